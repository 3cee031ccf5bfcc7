package qwen

import (
	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// frame is what one JSON object of a completion stream says. Its slices are
// parts of that object, as they are written there.
//
//	{"choices":[{"delta":{"role":"assistant","content":"Hel","phase":"answer","status":"typing"}}],
//	 "response_id":"…","usage":{…},"timestamp":1790000002}
type frame struct {
	responseID []byte
	created    []byte // the object of `response.created`
	failure    []byte // the value of `error`
	usage      []byte
	refusal    bool   // an envelope of a refusal: `success` is false, or `ret` is there
	stopped    []byte // the object of `response.stopped`
	done       bool
	damaged    bool // the content is neither a string nor null

	hasDelta  bool
	role      []byte
	content   []byte
	phase     []byte
	status    []byte
	extra     []byte
	truncated bool // `finish_reason` is `length`
}

// parse reads data. It reports false if data is not a well-formed object.
func (f *frame) parse(data []byte) bool {
	c := jsonraw.NewCursor(data)
	if !c.Object() {
		return false
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		f.member(&c, key)
	}
	return c.OK() && c.AtEnd() && !f.damaged
}

func (f *frame) member(c *jsonraw.Cursor, key []byte) {
	switch string(key) {
	case "choices":
		f.choices(c)
	case "response_id":
		f.responseID, _ = c.String()
	case "usage":
		f.usage = c.Raw()
	case "response.created":
		f.created = c.Raw()
	case "error":
		f.failure = nonNull(c.Raw())
	case "success":
		f.refusal = f.refusal || !c.True()
	case "ret":
		f.refusal = true
		c.Skip()
	case "response.stopped":
		f.stopped = c.Raw()
	case "done":
		f.done = c.True()
	default:
		c.Skip()
	}
}

// choices reads the first choice; the site sends no others.
func (f *frame) choices(c *jsonraw.Cursor) {
	if !c.Array() {
		return
	}
	for first := true; c.Elem(); first = false {
		if !first || !c.Object() {
			if !first {
				c.Skip()
			}
			continue
		}
		for key, ok := c.Key(); ok; key, ok = c.Key() {
			f.choice(c, key)
		}
	}
}

func (f *frame) choice(c *jsonraw.Cursor, key []byte) {
	switch string(key) {
	case "delta":
		f.delta(c)
	case "finish_reason":
		reason, _ := c.String()
		f.truncated = string(reason) == "length"
	default:
		c.Skip()
	}
}

func (f *frame) delta(c *jsonraw.Cursor) {
	if !c.Object() {
		return
	}
	f.hasDelta = true
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		switch string(key) {
		case "content":
			f.text(c)
		case "phase":
			f.phase, _ = c.String()
		case "status":
			f.status, _ = c.String()
		case "role":
			f.role, _ = c.String()
		case "extra":
			f.extra = c.Raw()
		default:
			c.Skip()
		}
	}
}

func (f *frame) text(c *jsonraw.Cursor) {
	value := *c
	var ok bool
	if f.content, ok = c.String(); !ok {
		f.damaged = string(value.Raw()) != "null"
	}
}

func nonNull(raw []byte) []byte {
	if string(raw) == "null" || string(raw) == "false" || string(raw) == `""` {
		return nil
	}
	return raw
}

// memberOf returns the value of a member of an object, or nil. Of the `extra` of
// a delta whose status is `error`, `error` tells why.
func memberOf(object []byte, name string) []byte {
	c := jsonraw.NewCursor(object)
	if !c.Object() {
		return nil
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		if string(key) == name {
			return c.Raw()
		}
		c.Skip()
	}
	return nil
}

// phase is a kind of content of a delta.
type phase uint8

const (
	phaseAnswer  phase = iota // text of the answer
	phaseThink                // text of the reasoning
	phaseSummary              // reasoning as snapshots in `extra`
	phaseTool                 // a built-in tool at work; never text of the answer
	phaseLocal                // calls of the client's tools in `extra`
)

// phaseOf classifies the delta. A missing phase stands for the answer; an
// unknown one is taken for a tool, because the site adds tools often, and
// their content must not become part of the answer.
func (f *frame) phaseOf() phase {
	if string(f.role) == "function" {
		return phaseTool
	}
	switch string(f.phase) {
	case "", "answer":
		return phaseAnswer
	case "think":
		return phaseThink
	case "thinking_summary":
		return phaseSummary
	case "local_tool":
		return phaseLocal
	}
	return phaseTool
}

// responseIDOf returns the response id in an object.
func responseIDOf(object []byte) (id []byte) {
	c := jsonraw.NewCursor(object)
	if !c.Object() {
		return nil
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		if string(key) == "response_id" {
			id, _ = c.String()
		} else {
			c.Skip()
		}
	}
	return id
}

// candidate tells the deltas of the first answer from those of others that the
// site makes at the same time. Every `response.created` names an answer and its
// `response_index`; every delta names its answer in `response_id`.
type candidate struct {
	id     []byte // the first answer, once known
	others [][]byte
}

// created takes the object of a `response.created`.
func (k *candidate) created(object []byte) {
	var id, index []byte
	c := jsonraw.NewCursor(object)
	if !c.Object() {
		return
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		switch string(key) {
		case "response_id":
			id, _ = c.String()
		case "response_index":
			index = c.Raw()
		default:
			c.Skip()
		}
	}
	first := len(index) == 0 || string(index) == `"0"` || string(index) == "0"
	switch {
	case len(id) == 0:
	case first && k.id == nil:
		k.id = append(k.id, id...)
	case string(k.id) != string(id) && len(k.others) < 16:
		k.others = append(k.others, append([]byte(nil), id...))
	}
}

// mine reports whether a frame with this response id belongs to the first
// answer. A frame without an id does.
func (k *candidate) mine(id []byte) bool {
	if len(id) == 0 {
		return true
	}
	if k.id == nil {
		for _, other := range k.others {
			if string(other) == string(id) {
				return false
			}
		}
		k.id = append(k.id, id...)
	}
	return string(k.id) == string(id)
}

// channel is one of the texts of a turn. It keeps the first half of a surrogate
// pair that the site has cut in two until the second half comes.
type channel struct {
	half    []byte
	scratch []byte
}

// clean returns raw as the content of a valid JSON string. The result is raw
// itself unless something had to be mended.
func (ch *channel) clean(raw []byte) []byte {
	if len(ch.half) == 0 && jsonraw.Clean(raw) {
		return raw
	}
	if len(raw) == 0 {
		return nil
	}
	joined := append(ch.half, raw...)
	ch.half = nil
	if jsonraw.HighSurrogate(joined) {
		cut := len(joined) - 6
		ch.half = append(ch.half, joined[cut:]...)
		joined = joined[:cut]
	}
	ch.scratch = jsonraw.AppendClean(keep(ch.scratch), joined)
	return ch.scratch
}
