package openai

// Message is one message of a conversation.
type Message struct {
	// Role is system, developer, user, assistant, tool or function.
	Role string

	// Name is the name of the participant, or of the tool whose result this
	// is. Usually empty.
	Name string

	// Content is the text. Several text parts of a request are joined by line
	// feeds, empty ones and an assistant's thinking left out.
	Content string

	// Attachments are the parts that are not text, in their order.
	Attachments []*Attachment

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
