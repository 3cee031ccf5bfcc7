package openai

import (
	"math"
	"strconv"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

const (
	toolOpen     = `{"index":0,"delta":{"tool_calls":[{"index":`
	toolEnd      = `"}}]}` + chunkEnd
	functionOpen = `{"index":0,"delta":{"function_call":{`
	functionEnd  = `"}}` + chunkEnd
)

// Call appends a call that the model makes: a chunk with the id and the name,
// then the arguments, which are JSON text, in chunks of their own. Each call has
// its chunks to itself, because some clients read only the first call of a chunk.
func (s *Stream) Call(dst []byte, id, name, arguments string) []byte {
	if s.Functions && s.calls > 0 {
		return dst
	}
	dst = s.beginCall(s.Flush(dst), id, name)
	for len(arguments) > 0 {
		var n int
		dst = s.beginArguments(dst)
		dst, n = jsonraw.AppendEscaped(dst, arguments, maxPiece)
		dst = s.endCall(dst)
		arguments = arguments[n:]
	}
	s.calls++
	return dst
}

// beginCall appends the first chunk of a call. The arguments are there, though
// empty, because clients append to them.
func (s *Stream) beginCall(dst []byte, id, name string) []byte {
	dst = append(dst, s.head...)
	if s.Functions {
		dst = append(append(dst, functionOpen...), `"name":"`...)
	} else {
		dst = strconv.AppendInt(append(dst, toolOpen...), int64(s.calls), 10)
		dst = append(dst, `,"id":"`...)
		dst = appendEscaped(dst, id)
		dst = append(dst, `","type":"function","function":{"name":"`...)
	}
	dst = appendEscaped(dst, name)
	return s.endCall(append(dst, `","arguments":"`...))
}

func (s *Stream) beginArguments(dst []byte) []byte {
	dst = append(dst, s.head...)
	if s.Functions {
		return append(append(dst, functionOpen...), `"arguments":"`...)
	}
	dst = strconv.AppendInt(append(dst, toolOpen...), int64(s.calls), 10)
	return append(dst, `,"function":{"arguments":"`...)
}

func (s *Stream) endCall(dst []byte) []byte {
	if s.Functions {
		return append(dst, functionEnd...)
	}
	return append(dst, toolEnd...)
}

// Call keeps a call that the model makes. The arguments are JSON text.
func (c *Completion) Call(dst []byte, id, name, arguments string) []byte {
	if c.Functions && c.calls > 0 {
		return dst
	}
	if !c.Functions {
		if c.calls > 0 {
			c.called = append(c.called, ',')
		}
		c.called = append(c.called, `{"id":"`...)
		c.called = appendEscaped(c.called, id)
		c.called = append(c.called, `","type":"function","function":`...)
	}
	c.called = append(c.called, `{"name":"`...)
	c.called = appendEscaped(c.called, name)
	c.called = append(c.called, `","arguments":"`...)
	c.called = appendEscaped(c.called, arguments)
	c.called = append(c.called, `"}`...)
	if !c.Functions {
		c.called = append(c.called, '}')
	}
	c.calls++
	return dst
}

// appendCalls appends the calls as a field of the message.
func (c *Completion) appendCalls(dst []byte) []byte {
	switch {
	case c.calls == 0:
		return dst
	case c.Functions:
		return append(append(dst, `,"function_call":`...), c.called...)
	}
	dst = append(dst, `,"tool_calls":[`...)
	dst = append(dst, c.called...)
	return append(dst, ']')
}

// finishReason is the reason that clients must see to carry the calls out.
func finishReason(reason string, calls int, functions bool) string {
	switch {
	case calls == 0, reason != "stop" && reason != "tool_calls":
		return reason
	case functions:
		return "function_call"
	}
	return "tool_calls"
}

// appendEscaped appends all of a text as the content of a JSON string.
func appendEscaped(dst []byte, text string) []byte {
	dst, _ = jsonraw.AppendEscaped(dst, text, math.MaxInt)
	return dst
}
