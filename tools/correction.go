package tools

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a correction may hold, in bytes: the problems, the names of functions, and of
// one problem the name that the model wrote and the detail. What violates a schema is
// told with names and values from the schema, so that it takes more.
const (
	maxProblems = 2400
	maxNames    = 800
	maxToolName = 128
	maxDetail   = 200
	maxViolated = 450
)

// Correction is what the model is told after an answer that cannot be used: what was
// wrong with it, problem by problem, and what to write now. It is at most 4 KiB
// long, whatever the model wrote: of each problem it has the first 128 bytes of
// Tool and the first 200 of Detail, or 450 where a schema is violated. Without any problem it is empty.
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
	if w.Mode != None && concernsForm(problems) {
		b.WriteString(formHint)
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
			b.WriteString("- And so on: " + strconv.Itoa(len(problems)-i) + " more.\n")
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
	limit := maxDetail
	if p.Kind == BadArguments {
		limit = maxViolated
	}
	if p.Detail != "" {
		text += ": " + strings.TrimRight(plain(p.Detail, limit), ".")
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

// formHint says the form again, to a model that did not keep it.
const formHint = "The form is:\n" + callForm + "Inside of JSON strings, write \\\" for a quote and \\n for a line feed.\n"

func concernsForm(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return p.Kind == Malformed || p.Kind == Incomplete || p.Kind == NoCall
	})
}

// concernsNames reports whether the model needs to hear the names again.
func concernsNames(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return p.Kind == UnknownTool || p.Kind == NotAllowed || p.Kind == NoCall
	})
}

// someNames lists as many names as fit. The model has all of them in its
// instructions.
func someNames(names []string) string {
	size := 0
	for i, name := range names {
		if size += len(name) + len(`, ""`); size > maxNames {
			return list(names[:i]) + " and " + strconv.Itoa(len(names)-i) + " more in <tools>"
		}
	}
	return list(names)
}

// closing says what to write now.
func closing(w Wish, problems []Problem) string {
	isAbout := func(kind ProblemKind) bool {
		return slices.ContainsFunc(problems, func(p Problem) bool { return p.Kind == kind })
	}
	switch {
	case w.Mode == None:
		return "Answer again, in words only, without any <tool_call>."
	case w.Single && w.Mode == Required:
		return "Now write one correct <tool_call> block, and nothing else."
	case w.Single && !isAbout(Empty):
		return "Now write one correct <tool_call> block, and nothing else. If no function is needed, answer in words instead."
	case isAbout(NoCall) || isAbout(Empty) && w.Mode == Required:
		return "Now write the <tool_call> blocks, and nothing else."
	case isAbout(Empty):
		return "Now answer: with <tool_call> blocks if functions are needed, otherwise in words."
	case w.Mode == Required:
		return "Now write these calls again, correctly, in <tool_call> blocks, and nothing else: no text, no other calls."
	}
	return "Now write these calls again, correctly, in <tool_call> blocks, and nothing else: no text, no other calls. " +
		"If no function is needed after all, answer in words instead."
}

// echo quotes what the model wrote.
func echo(text string, limit int) string {
	return `"` + strings.ReplaceAll(plain(text, limit), `"`, "'") + `"`
}

// plain shortens a text, and makes one line without tags of it.
func plain(text string, limit int) string {
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit] + "…"
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return replaceTags(text, "(", func(after string) bool {
		return hasPrefixFold(strings.TrimLeft(after, " /"), "tool")
	})
}
