package caddyqwen

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
	"github.com/caddy-qwen/caddy-qwen/internal/stopseq"
	"github.com/caddy-qwen/caddy-qwen/structured"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// reading is how an answer of the site is read whose text is not simply for the
// client: calls of functions are taken out, the text ends at stop sequences, and
// of text around JSON only that is left. It belongs to the goroutine of the request.
type reading struct {
	*demand
	again  bool               // the answer is the second one, after a correction
	hold   bool               // the client gets nothing before the answer is complete
	parser *tools.Parser      // nil: no functions are offered
	stop   *stopseq.Filter    // nil: no stop sequences
	filter *structured.Filter // nil: the text has no form

	calls     []tools.Call // in their order
	wrong     []tools.Call // those of them that violate a schema
	problems  []tools.Problem
	strict    bool                // one of the schemas is strict
	lost      bool                // one of the problems is a call that is not among them
	misshapen *structured.Problem // the text is not the JSON that is demanded
	kept      []tools.Call        // of the first answer
	stopped   bool                // a stop sequence has come
	written   bool                // the client has got some of the text
	held      []byte              // what it has not got because of hold, as the content of a JSON string

	decoded, plain, shaped, raw []byte // reused
}

// take takes a piece of the answer, given as the content of a JSON string. It
// returns what of it the client gets now, in the same form, valid until the next
// call.
func (r *reading) take(raw []byte) []byte {
	switch {
	case r.stopped:
		return nil
	case r.parser == nil && r.stop == nil && r.filter == nil:
		return r.pass(raw)
	}
	r.decoded = jsonraw.AppendText(r.decoded[:0], raw)
	text := r.filtered(r.sift(r.decoded))
	if bytes.Equal(text, r.decoded) {
		return r.pass(raw) // byte for byte as it came
	}
	return r.pass(r.quote(text))
}

// end takes the end of the answer, and returns what could have been the start of
// something that is not for the client, but is not.
func (r *reading) end() []byte {
	text := r.rest()
	if r.filter != nil {
		text = r.filtered(text)
		text, r.misshapen = r.filter.End(text)
	}
	return r.pass(r.quote(text))
}

// sift returns the text in a piece of the answer, up to a stop sequence.
func (r *reading) sift(piece []byte) []byte {
	switch {
	case r.parser != nil:
		r.parser.Feed(piece)
		return r.drain(piece)
	case r.stop != nil:
		r.plain = r.cut(r.plain[:0], piece)
		return r.plain
	}
	return piece
}

// rest returns the text that was held back at the end of the answer.
func (r *reading) rest() (text []byte) {
	if r.stopped {
		return nil
	}
	if r.parser != nil {
		r.parser.End()
		text = r.drain(nil)
	}
	if r.stop != nil && !r.stopped {
		text = r.stop.End(text)
	}
	return text
}

// drain takes what the parser has found in a piece of the answer, and returns the
// text. That is the piece itself if there is nothing else.
func (r *reading) drain(piece []byte) []byte {
	r.plain = r.plain[:0]
	whole := false
	for !r.stopped {
		ev, ok := r.parser.Next()
		switch {
		case !ok && whole:
			return piece
		case !ok:
			return r.plain
		case ev.Kind != tools.Text:
			r.found(ev)
		case r.stop == nil && same(ev.Source, piece):
			whole = true
		default:
			r.plain = r.cut(r.plain, ev.Source)
		}
	}
	return r.plain
}

// same reports whether two texts are one and the same.
func same(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// found takes a call, or what should have been one.
func (r *reading) found(ev tools.Event) {
	if ev.Kind == tools.Called && !r.repeats(ev.Call) {
		r.calls = append(r.calls, ev.Call)
		if ev.Problem != nil {
			r.wrong = append(r.wrong, ev.Call)
			r.strict = r.strict || ev.Strict
		}
	}
	// Where one call is allowed, further ones are left out: the model sees that no
	// result comes.
	further := ev.Kind == tools.Broken && r.wish.Single && len(r.calls) > 0
	if ev.Problem != nil && !further {
		r.problems = append(r.problems, *ev.Problem)
		r.lost = r.lost || ev.Kind == tools.Broken && !unfinished(*ev.Problem)
	}
}

// repeats reports whether a call is one of the first answer that was right, however it
// is written this time.
func (r *reading) repeats(c tools.Call) bool {
	return slices.ContainsFunc(r.kept, func(k tools.Call) bool { return k.Name == c.Name && sameJSON(k.Arguments, c.Arguments) })
}

// sameJSON reports whether two texts are the same JSON, apart from spaces, escapes and
// the order of keys.
func sameJSON(a, b string) bool {
	x, y := jsontext.Value(a), jsontext.Value(b)
	for _, v := range []*jsontext.Value{&x, &y} {
		if v.Format(jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(false)) != nil {
			return a == b
		}
	}
	return bytes.Equal(x, y)
}

// right returns the calls with which nothing is wrong.
func (r *reading) right() []tools.Call {
	return slices.DeleteFunc(slices.Clone(r.calls), func(c tools.Call) bool { return slices.Contains(r.wrong, c) })
}

// keep takes over the calls of the first answer with which nothing is wrong: only the others are
// written again.
func (r *reading) keep(calls []tools.Call) { r.kept, r.calls = calls, slices.Clone(calls) }

// cut appends the text that certainly comes before a stop sequence.
func (r *reading) cut(dst, text []byte) []byte {
	if r.stop == nil {
		return append(dst, text...)
	}
	dst, r.stopped = r.stop.Append(dst, text)
	return dst
}

// filtered returns the JSON in the text, as far as it is certain.
func (r *reading) filtered(text []byte) []byte {
	if r.filter == nil {
		return text
	}
	r.shaped = r.filter.Append(r.shaped[:0], text)
	return r.shaped
}

// quote makes text the content of a JSON string.
func (r *reading) quote(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	r.raw, _ = jsontext.AppendQuote(r.raw[:0], text) // what is not UTF-8 is replaced
	return r.raw[1 : len(r.raw)-1]
}

// pass returns text that the client may get now, and keeps other text.
func (r *reading) pass(raw []byte) []byte {
	if r.hold {
		r.held = append(r.held, raw...)
		return nil
	}
	r.written = r.written || len(raw) > 0
	return raw
}

// rested returns the text that was kept until the answer was complete. What a model
// says of its own mistake is not for the client.
func (r *reading) rested() []byte {
	if r.again && len(r.calls) > 0 {
		return nil
	}
	return r.held
}
