package caddyqwen

import (
	"strings"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// messageWriter writes the messages of a conversation as the model gets them.
type messageWriter struct {
	messages []openai.Message
	attached map[int][]string // notes on the attachments of messages
	tools    map[int]string   // the names of tools by the messages with their results
}

// history writes messages as those of the conversation so far.
func (w *messageWriter) history(from, to int) string {
	if from == to {
		return ""
	}
	var b strings.Builder
	b.WriteString("<conversation_history>\n")
	for i := from; i < to; i++ {
		b.WriteString(w.write(i, roleTag(w.messages[i].Role)) + "\n\n")
	}
	b.WriteString("</conversation_history>")
	return b.String()
}

// current writes a message that the turn is about.
func (w *messageWriter) current(i int) string {
	switch tag := roleTag(w.messages[i].Role); tag {
	case "assistant":
		return w.write(i, "unfinished_assistant_message")
	case "user":
		return w.write(i, "current_user_message")
	default:
		return w.write(i, "current_"+tag)
	}
}

// write writes a message in a mark. Results of tools have one of their own, wherever
// they stand.
func (w *messageWriter) write(i int, tag string) string {
	m := &w.messages[i]
	parts := make([]string, 0, 2+len(w.attached[i]))
	if m.Content != "" {
		parts = append(parts, m.Content)
	}
	parts = append(parts, w.attached[i]...)
	if len(m.ToolCalls) > 0 {
		parts = append(parts, callsText(m.ToolCalls))
	}
	text := strings.Join(parts, "\n")
	if isRole(m, "tool") {
		return string(tools.AppendResult(nil, w.tools[i], m.ToolCallID, text))
	}
	name := ""
	if m.Name != "" {
		name = ` name="` + attribute(m.Name) + `"`
	}
	return mark(tag, name, text)
}

func mark(tag, attributes, text string) string {
	return "<" + tag + attributes + ">\n" + text + "\n</" + tag + ">"
}

// roleTag is the one name of a role, which marks its messages.
func roleTag(role string) string {
	switch role {
	case "system", "developer":
		return "system"
	case "tool", "function":
		return "tool"
	case "assistant":
		return "assistant"
	}
	return "user"
}

func isRole(m *openai.Message, role string) bool { return roleTag(m.Role) == role }

// attribute keeps a client's value from ending the mark in which it stands.
func attribute(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`"<>`, r) {
			return '_'
		}
		return r
	}, s)
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
