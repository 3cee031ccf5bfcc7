package openai

import (
	"bytes"
	"slices"
)

// ChatRequest is the body of a chat completion request, reduced to what can
// be acted upon. Its strings are copies: it does not keep the body alive.
type ChatRequest struct {
	// Model is the model's name without surrounding white space. Empty if the
	// request names none.
	Model string

	// Messages is the conversation, oldest message first. There is at least
	// one, and at least one of them has text or an attachment.
	Messages []Message

	// Stream says whether the answer is wanted as an event stream.
	Stream bool

	// IncludeUsage says whether the event stream is to end with a chunk that
	// holds the usage. Never true unless Stream is.
	IncludeUsage bool

	// Thinking says whether and how long the model is to reason.
	Thinking Thinking

	// Tools are the functions that the model may call, in the client's order.
	Tools []Tool

	// ToolChoice says whether the model is to call one of them.
	ToolChoice ToolChoice

	// SingleCall says that the answer may have one call at most. Never true
	// without Tools, and always with Functions.
	SingleCall bool

	// Functions says that the tools came in functions, which preceded tools. A
	// call is then to be answered in function_call.
	Functions bool

	// Format is the form that the text of the answer must have.
	Format Format

	// Stop are the texts of which the first one ends the answer without being
	// part of it: at most 16, each of 1 to 1024 bytes.
	Stop []string

	// MaxOutput is the largest number of tokens in the answer, the smaller of
	// max_tokens and max_completion_tokens. 0 if there is no limit.
	MaxOutput int

	// Ignored has the names of the request's parameters that would change the
	// answer elsewhere and have no effect here, sorted, each once. Parameters
	// that are null, empty or at the default of OpenAI's API are left out, and
	// so are those that never change the answer, such as user and metadata.
	Ignored []string
}

// Limits bounds what [ParseChat] accepts. A field that is zero or negative
// has its default.
type Limits struct {
	// MaxTokens is the largest number of JSON tokens (names, values, and the
	// brackets of objects and arrays) in a body. Default: 100000.
	MaxTokens int

	// MaxDepth is the deepest nesting of objects and arrays. Default: 64.
	MaxDepth int

	// MaxMessages is the largest number of messages. Default: 2000.
	MaxMessages int

	// MaxParts is the largest number of content parts, and of tool calls, in
	// one message. Default: 256.
	MaxParts int

	// MaxText is the largest number of bytes of text, reasoning and tool
	// arguments in all messages together. Default: 4 MiB.
	MaxText int

	// MaxTools is the largest number of bytes of JSON in all tool definitions
	// and the response format together. Default: 256 KiB.
	MaxTools int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		MaxTokens:   positiveOr(l.MaxTokens, 100_000),
		MaxDepth:    positiveOr(l.MaxDepth, 64),
		MaxMessages: positiveOr(l.MaxMessages, 2000),
		MaxParts:    positiveOr(l.MaxParts, 256),
		MaxText:     positiveOr(l.MaxText, 4<<20),
		MaxTools:    positiveOr(l.MaxTools, 256<<10),
	}
}

func positiveOr(n, fallback int) int {
	if n > 0 {
		return n
	}
	return fallback
}

// ParseChat reads the body of a chat completion request.
//
// It is tolerant where clients differ: unknown fields are skipped, null and
// empty optional fields count as absent, content may be a string, a list of
// parts, or (for an assistant, a tool and a function) nothing, a UTF-8 byte
// order mark is skipped, and an escaped half of a surrogate pair becomes
// U+FFFD. Field names are compared exactly. It is strict where a mistake would
// be silent: trailing data, duplicate names, values of the wrong type, unknown
// roles and part types, attachments of which nothing can be read, and parameters that ask for something
// else than one answer (n above 1, logprobs) are refused, and so are definitions
// of tools and formats that cannot be followed, and a choice among tools that are
// not offered.
//
// The error is always an [*Error] of the type [TypeInvalidRequest] that names
// the field in Param and in Message. Its status is 413 if the texts are larger
// than [Limits.MaxText], and 400 otherwise. Its code is one of
//
//   - invalid_json: the body is not one JSON object in UTF-8, or nested too
//     deeply;
//   - missing_required_parameter: a field is missing, null or empty;
//   - invalid_value: a field has the wrong type, an unknown or impossible
//     value, occurs twice, or exceeds a limit;
//   - unsupported_parameter: the parameter asks for what cannot be done, such as
//     tools that are not functions;
//   - unsupported_content: a message of this role cannot have an attachment;
//   - media_fetch_blocked: the URL of an attachment is neither a data URL nor
//     one of http or https;
//   - request_too_large: see above.
//
// The memory it needs is bounded by the size of the body, whatever the body
// holds.
func ParseChat(body []byte, l Limits) (*ChatRequest, error) {
	l = l.withDefaults()
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	if err := scan(body, l); err != nil {
		return nil, err
	}
	p := parser{reader: newReader(body), limits: l}
	if err := p.object(p.field); err != nil {
		return nil, err
	}
	return p.finish()
}

// parser turns the fields of a scanned body into a request.
type parser struct {
	reader
	limits   Limits
	req      ChatRequest
	thinking thinkingSwitches

	includeUsage bool
	text         int // bytes of text kept so far
	definitions  int // bytes of tool definitions seen so far
	choice       toolChoiceDraft
	texts        []string // the texts of one message, reused for the next
}

// field reads the value of a field of the body.
func (p *parser) field(name string) error {
	switch name {
	case "model":
		return p.modelField()
	case "messages":
		return p.messagesField()
	case "stream":
		return p.setBool(&p.req.Stream)
	case "stream_options":
		return p.optional(p.streamOption)
	case "enable_thinking", "thinking_budget", "chat_template_kwargs", "thinking", "reasoning_effort", "reasoning":
		return p.thinkingField(name)
	default:
		return p.paramField(name)
	}
}

func (p *parser) modelField() (err error) {
	p.req.Model, err = p.identifier()
	return err
}

func (p *parser) streamOption(name string) error {
	if name != "include_usage" {
		return p.skip()
	}
	return p.setBool(&p.includeUsage)
}

// finish makes the checks for which the whole body must be known.
func (p *parser) finish() (*ChatRequest, error) {
	r := &p.req
	if len(r.Messages) == 0 {
		return nil, fail(codeMissing, "messages", "messages is missing or empty; send at least one message.")
	}
	if !slices.ContainsFunc(r.Messages, func(m Message) bool { return m.Content != "" || len(m.Attachments) > 0 }) {
		return nil, fail(codeInvalid, "messages", "No message in messages has any text or attachment; send at least one that has.")
	}
	if err := p.finishTools(); err != nil {
		return nil, err
	}
	r.IncludeUsage = r.Stream && p.includeUsage
	r.Thinking = p.thinking.resolve()
	slices.Sort(r.Ignored)
	r.Ignored = slices.Compact(r.Ignored)
	return r, nil
}
