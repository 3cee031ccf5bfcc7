package openai

import "strings"

// Message is one message of a conversation.
type Message struct {
	// Role is system, developer, user, assistant, tool or function.
	Role string

	// Name is the name of the participant, or of the tool whose result this
	// is. Usually empty.
	Name string

	// Parts is the content in its order. Content that is only text is one
	// part, or none if the text is empty; several text parts of a request are
	// joined by line feeds, empty ones and an assistant's thinking left out.
	Parts []Part

	// ToolCalls is what an assistant called. A call in the legacy
	// function_call field is the last of them and has no id.
	ToolCalls []ToolCall

	// ToolCallID says which call a tool message is the result of. Not every
	// client sends it.
	ToolCallID string

	// Reasoning is what an assistant thought before it answered, if the
	// client sent it along in reasoning_content or reasoning.
	Reasoning string
}

// Part is a piece of a message's content.
type Part struct {
	// Type is the kind of the piece: text.
	Type string

	// Text is the text of a text part. Never empty there.
	Text string
}

// partText is the type of text parts.
const partText = "text"

// ToolCall is a call that an assistant made in an earlier turn.
type ToolCall struct {
	// ID is what the tool message with the result refers to. Empty if the
	// client did not send one.
	ID string

	// Name is the name of the tool or function.
	Name string

	// Arguments is the JSON text of the arguments, or the plain text that a
	// custom tool was called with. It is passed on as it came and need not be
	// valid.
	Arguments string
}

// Text returns the text of the message: that of its text parts, joined by
// line feeds.
func (m *Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	texts := make([]string, 0, len(m.Parts))
	for _, part := range m.Parts {
		if part.Type == partText {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, "\n")
}
