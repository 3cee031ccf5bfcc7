package openai

// Completion collects an answer and writes it as one chat completion. It has
// the methods of Stream, but appends everything in Finish.
type Completion struct {
	// Functions has calls written in function_call, as in Stream.
	Functions bool

	id, model string
	created   int64
	answer    []byte
	reasoning []byte
	called    []byte // the calls as JSON, separated by commas
	calls     int
}

// NewCompletion returns an empty answer. Created is in seconds since 1970.
func NewCompletion(id, model string, created int64) *Completion {
	return &Completion{id: id, model: model, created: created}
}

// Start appends nothing.
func (c *Completion) Start(dst []byte) []byte { return dst }

// Text keeps a piece of the answer or of the reasoning. Raw is the content of a
// valid JSON string.
func (c *Completion) Text(dst []byte, reasoning bool, raw []byte) []byte {
	if reasoning {
		c.reasoning = append(c.reasoning, raw...)
	} else {
		c.answer = append(c.answer, raw...)
	}
	return dst
}

// Flush appends nothing.
func (c *Completion) Flush(dst []byte) []byte { return dst }

// Finish appends the JSON of the whole answer. There is no key
// `reasoning_content` without reasoning: clients would show an empty box. The
// reason is as in Stream.
func (c *Completion) Finish(dst []byte, reason string, usage Usage) []byte {
	dst = appendHead(dst, c.id, "chat.completion", c.model, c.created)
	dst = append(dst, `,"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	dst = c.appendContent(dst)
	if len(c.reasoning) > 0 {
		dst = append(dst, `,"reasoning_content":"`...)
		dst = append(dst, c.reasoning...)
		dst = append(dst, '"')
	}
	dst = c.appendCalls(dst)
	dst = append(dst, `},"logprobs":null,"finish_reason":"`...)
	dst = append(dst, finishReason(reason, c.calls, c.Functions)...)
	dst = append(dst, `"}],"usage":`...)
	dst = usage.appendJSON(dst)
	return append(dst, '}')
}

// appendContent appends the text, or null if there are calls instead.
func (c *Completion) appendContent(dst []byte) []byte {
	if len(c.answer) == 0 && c.calls > 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = append(dst, c.answer...)
	return append(dst, '"')
}

// Fail appends the body of an error answer.
func (c *Completion) Fail(dst []byte, err *Error) []byte { return err.AppendJSON(dst) }
