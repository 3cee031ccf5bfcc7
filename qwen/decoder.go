package qwen

import (
	"bytes"
)

// DefaultMaxFrame is the largest event that a Decoder takes by default.
const DefaultMaxFrame = 16 << 20

// Limits on what a Decoder passes over before it gives up on a stream.
const (
	maxNoise = 10 // lines of data that are not JSON
	noiseRun = 3  // the same, in a row
)

// EventKind tells what an Event is.
type EventKind uint8

// The kinds of events.
const (
	// Answer is a piece of the answer's text.
	Answer EventKind = iota + 1
	// Reasoning is a piece of the reasoning's text.
	Reasoning
	// Called is a call of one of Completion.LocalTools. It is complete: the model
	// waits for the result, for which another turn must be sent.
	Called
	// Finished is the regular end of the turn.
	Finished
	// Failed is a failure that the site reported, or a stream that cannot be
	// understood. Event.Err tells which.
	Failed
)

// Event is something that happened in a completion stream.
type Event struct {
	Kind EventKind
	// Raw is the content of a JSON string, without the quotes, for Answer and
	// Reasoning: valid UTF-8, valid escapes, never empty, never half of a
	// surrogate pair. It is valid until the next call of the decoder.
	Raw []byte
	// Name and Arguments are set for Called. Name is the function's name as it was
	// declared; Arguments is a JSON object as the site has written it.
	Name, Arguments string
	// Truncated tells for Finished that the site ended the answer at its length
	// limit.
	Truncated bool
	// Err is set for Failed.
	Err *Error
}

// Decoder reads a completion stream of the site. It is a pure function of the
// bytes fed to it, however they are cut, and allocates nothing in the steady
// state.
//
// The stream consists of lines `data: <json>`, with or without the space and
// with or without blank lines between them; comments, other fields, a byte
// order mark and every line ending are accepted. The turn ends with a frame
// whose status is `finished` in phase `answer`; there need not be a `[DONE]`,
// and the connection may stay open. Of several candidate answers, which the
// site interleaves, only the first is taken.
//
// A turn that calls local tools may have no text, and need not have a terminal
// frame after the calls.
//
// Feed it with Feed, then call Next until it reports false; at the end of the
// stream call End, then Next again. After Finished or Failed nothing more comes.
type Decoder struct {
	// MaxFrame is the size in bytes of the largest event that is accepted;
	// a larger one is a failure. Default: DefaultMaxFrame.
	MaxFrame int

	in      []byte // what was fed and not yet read
	partial []byte // the start of a line whose end was not fed yet
	skipLF  bool   // a CR ended the last line; an LF right after belongs to it
	begun   bool   // past the place where a byte order mark may stand
	over    bool   // after Finished or Failed

	candidate candidate
	summary   summary
	answer    channel
	reasoning channel
	calls     localCalls
	usage     []byte
	hasText   bool // an answer event was returned
	ended     bool // End was called
	ending    bool // the text returned last was in the terminal frame
	truncated bool
	noise     int
	noisy     int // in a row
}

// Feed gives the decoder the next bytes of the stream. They must stay unchanged
// until Next reports false, and Next must have reported false before.
func (d *Decoder) Feed(p []byte) {
	d.in = p
}

// Next returns the next event, or false if more input is needed.
func (d *Decoder) Next() (Event, bool) {
	for !d.over {
		if ev, ok := d.calls.next(); ok {
			return ev, true
		}
		if d.ending {
			if ev, ok := d.finish(d.truncated); ok {
				return ev, true
			}
			continue
		}
		line, ok, err := d.line()
		if err != nil {
			return d.fail(err), true
		}
		if !ok && d.ended && d.calls.settled {
			d.ending = true
			continue
		}
		if !ok && d.ended {
			return d.fail(&Error{Kind: KindTruncated}), true
		}
		if !ok {
			return Event{}, false
		}
		if ev, ok := d.interpret(line); ok {
			return ev, true
		}
	}
	return Event{}, false
}

// End tells the decoder that the stream has ended. Next then returns what is
// left, and Failed if the turn had not ended before.
func (d *Decoder) End() {
	d.ended = true
	if len(d.partial) > 0 {
		d.in = lf
	}
}

var lf = []byte("\n")

// ResponseID returns the id of the answer, with which the next turn of the
// conversation continues. It is empty until the site has named it.
func (d *Decoder) ResponseID() string { return string(d.candidate.id) }

// Usage returns the numbers of tokens that the site reported last, which are
// those of the whole turn so far. It reports false if there were none.
func (d *Decoder) Usage() (Usage, bool) { return parseUsage(d.usage) }

// fail ends the stream with an error.
func (d *Decoder) fail(err *Error) Event {
	d.over = true
	return Event{Kind: Failed, Err: err}
}

// line returns the next whole line without its ending.
func (d *Decoder) line() ([]byte, bool, *Error) {
	if d.skipLF && len(d.in) > 0 {
		d.skipLF = false
		if d.in[0] == '\n' {
			d.in = d.in[1:]
		}
	}
	end := lineEnd(d.in)
	if end < 0 {
		if len(d.partial)+len(d.in) > d.maxFrame() {
			return nil, false, d.tooLarge()
		}
		d.partial = append(d.partial, d.in...)
		d.in = nil
		return nil, false, nil
	}
	line := d.in[:end]
	d.skipLF = d.in[end] == '\r'
	d.in = d.in[end+1:]
	if len(d.partial)+len(line) > d.maxFrame() {
		return nil, false, d.tooLarge()
	}
	if len(d.partial) > 0 {
		line = append(d.partial, line...)
		d.partial = keep(line)
	}
	return d.withoutMark(line), true, nil
}

// keep returns b emptied for further use, or nil if it has grown so large that
// it should not stay in memory for the rest of the stream.
func keep(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}

// lineEnd returns the index of the first LF or CR in b, or -1. A CR inside a
// frame is always escaped, so that a CR can only stand at its end.
func lineEnd(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	head := b
	if n >= 0 {
		head = b[:n]
	}
	if cr := bytes.IndexByte(head, '\r'); cr >= 0 {
		return cr
	}
	return n
}

func (d *Decoder) withoutMark(line []byte) []byte {
	if d.begun {
		return line
	}
	d.begun = true
	return bytes.TrimPrefix(line, []byte("\ufeff"))
}

func (d *Decoder) maxFrame() int {
	if d.MaxFrame > 0 {
		return d.MaxFrame
	}
	return DefaultMaxFrame
}

func (d *Decoder) tooLarge() *Error {
	return &Error{Kind: KindBadResponse, Detail: "an event of its stream is larger than the limit max_frame"}
}

// interpret takes one line. It reports whether the line made an event.
func (d *Decoder) interpret(line []byte) (Event, bool) {
	data, isData := bytes.CutPrefix(line, []byte("data:"))
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return Event{}, false
	case data[0] == '{':
		// With or without `data:`, for the site's protection sends its JSON bare.
		return d.frame(data)
	case data[0] == '<':
		return d.fail(classifyBody(data)), true
	case !isData:
		return Event{}, false // a comment or another field
	case string(data) == "[DONE]":
		return d.finish(false)
	}
	d.noise++
	d.noisy++
	if bytes.Contains(data, []byte(`"content"`)) {
		return d.fail(&Error{Kind: KindBadResponse, Detail: "an event of its stream is damaged"}), true
	}
	if d.noise > maxNoise || d.noisy > noiseRun {
		return d.fail(&Error{Kind: KindBadResponse, Detail: "its stream contains events that are not JSON"}), true
	}
	return Event{}, false
}

// frame takes one JSON object of the stream. One that is damaged may have held
// text, so that passing over it would falsify the answer.
func (d *Decoder) frame(data []byte) (Event, bool) {
	d.noisy = 0
	var f frame
	if !f.parse(data) {
		if d.ended {
			return d.fail(&Error{Kind: KindTruncated}), true
		}
		return d.fail(&Error{Kind: KindBadResponse, Detail: "an event of its stream is damaged"}), true
	}
	switch {
	case f.created != nil:
		d.candidate.created(f.created)
	case f.failure != nil || f.refusal:
		if !d.candidate.mine(f.responseID) {
			return Event{}, false
		}
		return d.fail(classifyBody(data)), true
	case f.stopped != nil:
		if !d.candidate.mine(responseIDOf(f.stopped)) {
			return Event{}, false
		}
		return d.fail(&Error{Kind: KindTruncated, Detail: "the answer was stopped on the site"}), true
	case f.done && !f.hasDelta:
		return d.finish(false)
	case f.hasDelta && d.candidate.mine(f.responseID):
		return d.delta(&f)
	}
	return Event{}, false
}

// delta takes a piece of the first candidate's answer.
func (d *Decoder) delta(f *frame) (Event, bool) {
	if len(f.usage) > 2 {
		d.usage = append(d.usage[:0], f.usage...)
	}
	finished := string(f.status) == "finished"
	switch phase := f.phaseOf(); {
	case string(f.status) == "error":
		return d.fail(classifyFailure(memberOf(f.extra, "error"))), true
	case phase == phaseSummary:
		return d.text(Reasoning, &d.reasoning, d.summary.update(f.extra))
	case phase == phaseThink:
		return d.text(Reasoning, &d.reasoning, f.content)
	case phase == phaseLocal:
		return d.called(f)
	case phase == phaseTool:
		if finished && string(f.phase) == "image_gen" && string(f.role) != "function" {
			return d.finish(false)
		}
		return Event{}, false
	}
	d.ending = finished || f.truncated || f.done
	d.truncated = f.truncated
	if ev, ok := d.text(Answer, &d.answer, f.content); ok || !d.ending {
		return ev, ok
	}
	return d.finish(d.truncated)
}

// text returns the event for a piece of text, if there is any to return.
func (d *Decoder) text(kind EventKind, ch *channel, raw []byte) (Event, bool) {
	raw = ch.clean(raw)
	if len(raw) == 0 {
		return Event{}, false
	}
	d.hasText = d.hasText || kind == Answer
	d.calls.settled = false
	return Event{Kind: kind, Raw: raw}, true
}

// finish ends the turn, unless there are calls to return before. A turn without
// an answer and without calls is a failure, whatever its status.
func (d *Decoder) finish(truncated bool) (Event, bool) {
	if !d.calls.settle() {
		return d.fail(errDamagedCall()), true
	}
	if len(d.calls.ready) > 0 {
		d.ending, d.truncated = true, truncated
		return Event{}, false
	}
	if !d.hasText && d.calls.total == 0 {
		return d.fail(&Error{Kind: KindEmpty}), true
	}
	d.over = true
	return Event{Kind: Finished, Truncated: truncated}, true
}
