package openai

import (
	"strconv"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// maxPiece is the largest text in one chunk, in bytes as written. Some clients
// refuse lines of more than 64 KiB.
const maxPiece = 48 << 10

// Stream writes an answer as chunks of a chat completion, one `data:` line and
// one blank line each. Its methods append to a slice and allocate nothing else.
// All chunks have the same id, model and time.
//
// Clients disagree on what they take; this is what all of them understand: the
// role in the first chunk only, every chunk with `choices` and `finish_reason`,
// exactly one chunk with a finish reason, never reasoning and answer in one
// chunk, of a call the id and the name once and before the arguments, usage only on request and in a last chunk without choices.
type Stream struct {
	// Functions has calls written in function_call, which preceded tool_calls
	// and has room for one: further ones are left out. Default: tool_calls.
	Functions bool

	head         []byte
	includeUsage bool
	calls        int      // calls so far
	open         textKind // the text that the unfinished chunk carries
	size         int      // of that text so far
}

// textKind tells which text a chunk carries.
type textKind uint8

const (
	noText textKind = iota
	answerText
	reasoningText
)

// NewStream returns a stream for an answer. Created is in seconds since 1970.
func NewStream(id, model string, created int64, includeUsage bool) *Stream {
	head := make([]byte, 0, 128+len(id)+len(model))
	head = append(head, `data: `...)
	head = appendHead(head, id, "chat.completion.chunk", model, created)
	head = append(head, `,"choices":[`...)
	return &Stream{head: head, includeUsage: includeUsage}
}

// appendHead appends the start of an object that is a chat completion or a
// chunk of one.
func appendHead(dst []byte, id, object, model string, created int64) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, id)
	dst = append(dst, `,"object":"`...)
	dst = append(dst, object...)
	dst = append(dst, `","created":`...)
	dst = strconv.AppendInt(dst, created, 10)
	dst = append(dst, `,"model":`...)
	return appendString(dst, model)
}

// Start appends the first chunk.
func (s *Stream) Start(dst []byte) []byte {
	dst = append(dst, s.head...)
	dst = append(dst, `{"index":0,"delta":{"role":"assistant","content":""}`...)
	return append(dst, chunkEnd...)
}

const (
	chunkEnd  = `,"logprobs":null,"finish_reason":null}]}` + "\n\n"
	textStart = `{"index":0,"delta":{"content":"`
	thinkOpen = `{"index":0,"delta":{"reasoning_content":"`
	textEnd   = `"}` + chunkEnd
)

// Text appends a piece of the answer or of the reasoning. Raw is the content of
// a valid JSON string, which is copied as it is. Pieces of the same text that
// follow each other share a chunk until Flush.
func (s *Stream) Text(dst []byte, reasoning bool, raw []byte) []byte {
	kind := answerText
	if reasoning {
		kind = reasoningText
	}
	for len(raw) > 0 {
		n := 0
		if s.open == kind && s.size < maxPiece-64 {
			n = jsonraw.Cut(raw, maxPiece-s.size)
		}
		if n == 0 {
			dst = s.begin(s.Flush(dst), kind)
			n = jsonraw.Cut(raw, maxPiece)
		}
		dst = append(dst, raw[:n]...)
		s.size += n
		raw = raw[n:]
	}
	return dst
}

func (s *Stream) begin(dst []byte, kind textKind) []byte {
	s.open, s.size = kind, 0
	dst = append(dst, s.head...)
	if kind == reasoningText {
		return append(dst, thinkOpen...)
	}
	return append(dst, textStart...)
}

// Flush appends the end of the chunk that Text has left unfinished.
func (s *Stream) Flush(dst []byte) []byte {
	if s.open == noText {
		return dst
	}
	s.open = noText
	return append(dst, textEnd...)
}

// Finish appends the chunk with the finish reason (`stop` or `length`; the
// former becomes `tool_calls` or `function_call` if there have been calls), the
// one with the usage if it was asked for, and the end mark.
func (s *Stream) Finish(dst []byte, reason string, usage Usage) []byte {
	dst = append(s.Flush(dst), s.head...)
	dst = append(dst, `{"index":0,"delta":{},"logprobs":null,"finish_reason":"`...)
	dst = append(dst, finishReason(reason, s.calls, s.Functions)...)
	dst = append(dst, `"}]}`+"\n\n"...)
	if s.includeUsage {
		dst = append(dst, s.head...)
		dst = append(dst, `],"usage":`...)
		dst = usage.appendJSON(dst)
		dst = append(dst, "}\n\n"...)
	}
	return append(dst, "data: [DONE]\n\n"...)
}

// Fail appends the event that tells clients of a failure in the middle of an
// answer. Nothing must follow it: after `[DONE]` or a finish reason clients
// would take what they have for the whole answer.
func (s *Stream) Fail(dst []byte, err *Error) []byte {
	dst = append(s.Flush(dst), "data: "...)
	dst = err.AppendJSON(dst)
	return append(dst, "\n\n"...)
}

// AppendKeepAlive appends a comment, which clients ignore. It is a block of its
// own, and not the word `ping`, because some clients drop what is in the same
// block and take `: ping` for the end.
func AppendKeepAlive(dst []byte) []byte { return AppendComment(dst, "keep-alive") }

// AppendComment appends a comment of one line, which clients ignore and people
// see.
func AppendComment(dst []byte, text string) []byte {
	dst = append(dst, ": "...)
	dst = append(dst, text...)
	return append(dst, "\n\n"...)
}
