package caddyqwen

import (
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
)

// writePrompt makes one text of what the site does not know of a conversation: of
// all messages in a new chat, and of those after the first known ones, not
// counting the system text, in a chat that goes on. The system text is part of it
// if the chat is new or knows another one. A single user message is sent as it
// is.
func writePrompt(messages []openai.Message, known int, goesOn, systemChanged bool) string {
	system, rest := splitSystem(messages)
	rest = rest[min(known, len(rest)):]
	if len(rest) == 0 {
		return system
	}
	last := rest[len(rest)-1]
	tellSystem := systemChanged || !goesOn && system != ""
	if !tellSystem && len(rest) == 1 && last.Role == "user" && last.Name == "" {
		return last.Content
	}
	var b strings.Builder
	if tellSystem {
		writeSystem(&b, system, systemChanged)
	}
	if history := rest[:len(rest)-1]; len(history) > 0 {
		note := historyNote
		if goesOn {
			note = branchNote
		}
		b.WriteString(note + "\n\n<conversation_history>\n")
		for i := range history {
			section(&b, roleTag(history[i].Role), attributes(&history[i]), content(&history[i]))
		}
		b.WriteString("</conversation_history>\n\n")
	}
	section(&b, currentTag(last.Role), attributes(&last), content(&last))
	return strings.TrimSuffix(b.String(), "\n\n")
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

// content is a message's text with the tools that it called.
func content(m *openai.Message) string {
	parts := make([]string, 0, 1+len(m.ToolCalls))
	if text := m.Content; text != "" {
		parts = append(parts, text)
	}
	for _, call := range m.ToolCalls {
		parts = append(parts, `<tool_call id="`+attribute(call.ID)+`" name="`+attribute(call.Name)+`">`+call.Arguments+`</tool_call>`)
	}
	return strings.Join(parts, "\n")
}
