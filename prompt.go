package caddyqwen

import (
	"fmt"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// The site has one role, the user, and takes one message at a time. What a
// client sends besides a single user message goes along as text in which every
// part is marked:
//
//	<system> … </system>
//	<conversation_history> <user> … </user> <assistant> … </assistant> </conversation_history>
//	<current_user_message> … </current_user_message>

// The notes tell the model how to read the marks.
const (
	historyNote = "The conversation so far is in <conversation_history>, oldest message first. Answer the message after it."
	branchNote  = "What was said after your last answer is in <conversation_history>, oldest message first. Answer the message after it."
	systemNote  = "From here on, the text in <system> takes the place of the earlier one."
	noSystem    = "From here on, the earlier text in <system> does not apply any more."

	// What a long prompt says of the file in which most of it is.
	beforeInFile  = "What comes before this message is in the attached file %s. Read the whole of it first, then answer the message below."
	messageInFile = "My message is in the attached file %s, with all that belongs to it. Read the whole of it, and answer it as if it stood here."
)

// prompt is what is to be said on the site in one turn: what the site does not
// know of a conversation.
type prompt struct {
	messages []openai.Message
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
	before, last, plain := p.parts()
	if plain {
		return last
	}
	return strings.TrimSuffix(before+last, "\n\n")
}

// split makes two texts of a prompt that is longer than limit: what is to be said,
// and what goes along as a file of a name. The newest message is said if it is not too long
// itself.
func (p *prompt) split(limit int, name string) (inline, document string) {
	before, last, plain := p.parts()
	if inline = fmt.Sprintf(beforeInFile, name) + "\n\n" + strings.TrimSuffix(last, "\n\n"); !plain && before != "" && len(inline) <= limit {
		return inline, strings.TrimSuffix(before, "\n\n")
	}
	return fmt.Sprintf(messageInFile, name), p.write()
}

// parts returns the newest message, and what comes before it. If it is plain, it is
// all there is, and has no marks.
func (p *prompt) parts() (before, last string, plain bool) {
	system, all := splitSystem(p.messages)
	known := min(p.known, len(all))
	rest := all[known:]
	if len(rest) == 0 {
		return "", system, true
	}
	newest := &rest[len(rest)-1]
	tellSystem := p.systemChanged || !p.goesOn && system != ""
	if !tellSystem && len(rest) == 1 && newest.Role == "user" && newest.Name == "" {
		return "", newest.Content, true
	}
	var b strings.Builder
	if tellSystem {
		writeSystem(&b, system, p.systemChanged)
	}
	if history := rest[:len(rest)-1]; len(history) > 0 {
		note := historyNote
		if p.goesOn {
			note = branchNote
		}
		b.WriteString(note + "\n\n<conversation_history>\n")
		for i := range history {
			section(&b, roleTag(history[i].Role), attributes(&history[i]), textOf(&history[i], p.attached[known+i]))
		}
		b.WriteString("</conversation_history>\n\n")
	}
	before = b.String()
	b.Reset()
	section(&b, currentTag(newest.Role), attributes(newest), textOf(newest, p.attached[len(all)-1]))
	return before, b.String(), false
}

// notes tells of the attachments of messages where these stand in a text.
func notes(sent, leftOut []*attachment) map[int][]string {
	if len(sent)+len(leftOut) == 0 {
		return nil
	}
	lines := make(map[int][]string)
	for _, a := range sent {
		lines[a.message] = append(lines[a.message], "[attached file: "+attribute(a.name)+"]")
	}
	for _, a := range leftOut {
		lines[a.message] = append(lines[a.message], "[file not attached again: "+attribute(a.name)+"]")
	}
	return lines
}

func writeSystem(b *strings.Builder, system string, changed bool) {
	switch {
	case changed && strings.TrimSpace(system) == "":
		b.WriteString(noSystem + "\n\n")
		return
	case changed:
		b.WriteString(systemNote + "\n\n")
	}
	section(b, "system", "", system)
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

func section(b *strings.Builder, tag, attributes, text string) {
	b.WriteString("<" + tag + attributes + ">\n")
	b.WriteString(text)
	b.WriteString("\n</" + tag + ">\n\n")
}

func roleTag(role string) string {
	switch role {
	case "system", "developer":
		return "system"
	case "tool", "function":
		return "tool_result"
	case "assistant":
		return "assistant"
	}
	return "user"
}

// currentTag marks the newest message.
func currentTag(role string) string {
	switch tag := roleTag(role); tag {
	case "assistant":
		return "unfinished_assistant_message"
	case "user":
		return "current_user_message"
	default:
		return "current_" + tag
	}
}

// attributes names a tool's result by what it belongs to, and a speaker by name.
func attributes(m *openai.Message) string {
	var s string
	if m.ToolCallID != "" {
		s += ` id="` + attribute(m.ToolCallID) + `"`
	}
	if m.Name != "" {
		s += ` name="` + attribute(m.Name) + `"`
	}
	return s
}

// attribute keeps a client's value from ending the mark in which it stands.
func attribute(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`"<>`, r) {
			return '_'
		}
		return r
	}, s)
}

// textOf is a message's text with the tools that it called, and notes on what
// it has attached.
func textOf(m *openai.Message, attached []string) string {
	parts := make([]string, 0, 1+len(attached)+len(m.ToolCalls))
	if text := m.Content; text != "" {
		parts = append(parts, text)
	}
	parts = append(parts, attached...)
	for _, call := range m.ToolCalls {
		parts = append(parts, `<tool_call id="`+attribute(call.ID)+`" name="`+attribute(call.Name)+`">`+call.Arguments+`</tool_call>`)
	}
	return strings.Join(parts, "\n")
}
