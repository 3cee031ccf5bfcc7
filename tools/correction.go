package tools

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a correction may hold, in bytes: all of it, the problems, the names of
// functions, and of one problem the model's own name and the detail.
const (
	maxCorrection = 4 << 10
	maxProblems   = 2500
	maxNames      = 1000
	maxToolName   = 80
	maxDetail     = 120
)

// Correction is what the model is told after an answer that cannot be used: what was
// wrong with it, problem by problem, and what to write now. It is at most 4 KiB
// long, and repeats at most 200 bytes of what the model wrote for each problem.
// Without any problem it is empty.
func (s *Set) Correction(w Wish, problems []Problem) string {
	if len(problems) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("[Your answer could not be used:\n")
	writeProblems(&b, problems)
	if names := s.callable(w); concernsNames(problems) && len(names) > 0 {
		b.WriteString("These functions may be called: " + someNames(names) + ".\n")
	}
	b.WriteString(closing(w, problems) + "]")
	return b.String()
}

// writeProblems writes each problem once, and of too many only the first.
func writeProblems(b *strings.Builder, problems []Problem) {
	said := map[string]bool{}
	for i, problem := range problems {
		line := "- " + sentence(problem) + "\n"
		if said[line] {
			continue
		}
		if b.Len()+len(line) > maxProblems {
			b.WriteString("- There are more of this kind: " + strconv.Itoa(len(problems)-i) + ".\n")
			return
		}
		said[line] = true
		b.WriteString(line)
	}
}

// sentence says what a problem is.
func sentence(p Problem) string {
	text := "A call"
	if p.Tool != "" {
		text = "The call of " + echo(p.Tool, maxToolName)
	}
	switch p.Kind {
	case NoCall:
		text = "A call was required, and your answer has no <tool_call> block"
	case Empty:
		text = "It has neither text nor a call; what you think is not part of it"
	default:
		text += " " + whatIsWrong(p.Kind)
	}
	if p.Detail != "" {
		text += ": " + strings.TrimRight(plain(p.Detail, maxDetail), ".")
	}
	return text + "."
}

// whatIsWrong continues a sentence about a call.
func whatIsWrong(kind ProblemKind) string {
	switch kind {
	case Malformed:
		return "is not valid JSON"
	case Incomplete:
		return "is cut off, your answer ended inside of it"
	case UnknownTool:
		return "names a function that does not exist"
	case NotAllowed:
		return "is not allowed in this answer"
	case BadArguments:
		return "has wrong arguments"
	case TooLarge:
		return "is too long; do it in smaller steps"
	case Forbidden:
		return "is not allowed: no function may be called in this answer"
	case Extra:
		return "is one too many: this answer may have only one"
	}
	return "cannot be used"
}

// concernsNames reports whether the model needs to hear the names again.
func concernsNames(problems []Problem) bool {
	for _, p := range problems {
		if p.Kind == UnknownTool || p.Kind == NotAllowed || p.Kind == NoCall {
			return true
		}
	}
	return false
}

// someNames lists as many names as fit. The model has all of them in its
// instructions.
func someNames(names []string) string {
	size := 0
	for i, name := range names {
		if size += len(name) + len(`, ""`); size > maxNames && i > 0 {
			return list(names[:i]) + " and " + strconv.Itoa(len(names)-i) + " more, listed in <tools>"
		}
	}
	return list(names)
}

// closing says what to write now.
func closing(w Wish, problems []Problem) string {
	switch {
	case w.Mode == None:
		return "Answer again, in words only, without any <tool_call>."
	case w.Mode == Required && w.Single:
		return "Write exactly one correct <tool_call> block now, and nothing else."
	case w.Mode == Required:
		return "Write the correct <tool_call> blocks now, and nothing else. Do not repeat calls that are not named above."
	case problems[0].Kind == Empty:
		return "Answer now: with <tool_call> blocks if a function is needed, else in words."
	case w.Single:
		return "Write the one correct <tool_call> block now, and nothing else; if no function is needed, answer in words."
	}
	return "Write only what is named above again, as correct <tool_call> blocks, and nothing else; if no function is needed, answer in words."
}

// echo quotes what the model wrote.
func echo(text string, limit int) string {
	return `"` + strings.ReplaceAll(plain(text, limit), `"`, "'") + `"`
}

// plain shortens a text and makes one line without tags of it.
func plain(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text[:min(len(text), limit+utf8.UTFMax)])
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit] + "…"
	}
	return replaceTags(text, "(", func(after string) bool {
		return hasPrefixFold(strings.TrimLeft(after, " /"), "tool")
	})
}
