package caddyqwen

import (
	"slices"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// The site has one role, the user, and takes one message at a time. What a
// client sends besides a single user message goes along as text in which every
// part is marked:
//
//	<system> … </system>
//	<conversation_history> <user> … </user> <assistant> … </assistant> </conversation_history>
//	<tool_response> … </tool_response>
//	<current_user_message> … </current_user_message>
//
// What the model is told about functions is the end of the system text. A note on
// the one turn comes last and has no mark.

// The notes tell the model how to read the marks.
const (
	historyNote = "The conversation so far is in <conversation_history>, oldest message first."
	branchNote  = "What was said after your last answer is in <conversation_history>, oldest message first."
	answerNote  = " Answer the message after it."
	resultsNote = " After it is what the functions returned that were called last. Go on from there."
	systemNote  = "From here on, the text in <system> takes the place of the earlier one."
	noSystem    = "From here on, the earlier text in <system> does not apply any more."
)

// prompt is what is to be said on the site in one turn: what the site does not
// know of a conversation.
type prompt struct {
	messages []openai.Message
	// instructions are the end of the system text.
	instructions string
	// note is about this turn only.
	note string
	// known is how many messages the site knows, the system text not counted.
	known int
	// goesOn tells that the turn goes on in a chat. The system text is part of the
	// prompt if it does not, or if it has changed.
	goesOn, systemChanged bool
	// attached are notes on the attachments of messages.
	attached map[int][]string
}

// write makes one text of the prompt. A single user message is sent as it is.
func (p *prompt) write() string {
	parts := p.parts()
	return parts.write()
}

// promptParts are the parts of a prompt. Those that it does not have are empty.
type promptParts struct {
	system, instructions string
	systemChanged        bool
	history              string // with the note on how to read it
	newest               string // what the turn is about
	note                 string
}

func (p *promptParts) write() string {
	return joined(p.before(systemText(p.system, p.instructions)), p.newest, p.note)
}

// before returns what comes before the newest message.
func (p *promptParts) before(system string) string {
	return joined(systemSection(system, p.systemChanged), p.history)
}

// joined puts blank lines between texts. Those that are empty do not count.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "\n\n")
}

// parts takes the prompt apart.
func (p *prompt) parts() promptParts {
	system, all := splitSystem(p.messages)
	if len(all) == 0 { // the system text is all that is said
		system, all = "", []openai.Message{{Role: "user", Content: system}}
	}
	parts := promptParts{note: p.note}
	if p.systemChanged || !p.goesOn {
		parts.system, parts.instructions, parts.systemChanged = system, p.instructions, p.systemChanged
	}
	known := min(p.known, len(all)-1)
	newest := newestPart(all, known)
	w := messageWriter{all, p.attached, resultNames(all)}
	if parts.history = w.history(known, newest); parts.history != "" {
		parts.history = p.historyNote(all) + "\n\n" + parts.history
	}
	if only := &all[newest]; newest == len(all)-1 && only.Role == "user" && only.Name == "" && parts.before(parts.system+parts.instructions) == "" {
		parts.newest = only.Content
		return parts
	}
	texts := make([]string, 0, len(all)-newest)
	for i := newest; i < len(all); i++ {
		texts = append(texts, w.current(i))
	}
	parts.newest = joined(texts...)
	return parts
}

// newestPart returns the index of the first message that the turn is about: of the
// newest, and of the results of tools before it or at the end.
func newestPart(messages []openai.Message, known int) int {
	i := len(messages) - 1
	if isRole(&messages[i], "assistant") {
		return i
	}
	for i > known && isRole(&messages[i-1], "tool") {
		i--
	}
	return i
}

// historyNote tells how to read the history.
func (p *prompt) historyNote(messages []openai.Message) string {
	note := historyNote
	if p.goesOn {
		note = branchNote
	}
	if isRole(&messages[len(messages)-1], "tool") {
		return note + resultsNote
	}
	return note + answerNote
}

// systemSection marks the system text, if there is any or has been.
func systemSection(system string, changed bool) string {
	switch {
	case changed && strings.TrimSpace(system) == "":
		return noSystem
	case changed:
		return systemNote + "\n\n" + mark("system", "", system)
	case system == "":
		return ""
	}
	return mark("system", "", system)
}

// systemText is a client's system text with the instructions.
func systemText(system, instructions string) string {
	if instructions != "" && strings.TrimSpace(system) == "" {
		return instructions
	}
	return joined(system, instructions)
}

// splitSystem takes the system messages at the start, joined, from the others.
func splitSystem(messages []openai.Message) (system string, rest []openai.Message) {
	var texts []string
	for i := range messages {
		if roleTag(messages[i].Role) != "system" {
			return strings.Join(texts, "\n\n"), messages[i:]
		}
		if text := messages[i].Content; text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n\n"), nil
}
