package tools

import "slices"

const (
	// maxCall is how long a call may be, in bytes from its tag on, and what is held
	// back at most.
	maxCall = 1 << 20
	// maxCalls is how many calls an answer may have.
	maxCalls = 128
	// maxLead is how much white space, or how long a start of what may be a call is
	// held back before it is clear that it is one.
	maxLead = 4 << 10
)

const (
	openTag  = "<tool_call>"
	closeTag = "</tool_call>"

	// resultTag begins a result that the model has made up: those of the client come
	// in the next turn.
	resultTag = "<tool_response"
)

// A Parser finds the calls in one answer, which arrives in pieces. Each piece goes in
// by Feed; then Next is called until it reports false. After the last piece End is
// called, and Next again. The events are the same however the answer was
// cut, except for the bounds of texts and of what is skipped, and their sources are
// together the answer.
//
// What is no call is text, and comes at once. Held back is only what may become part
// of a call: 1 MiB at most.
type Parser struct {
	set  *Set
	wish Wish

	win  []byte // what is not accounted for yet
	own  []byte // the memory of win, where that must outlive a piece
	kept bool   // win is in own
	used int    // the bytes of win that the last event accounts for
	last bool   // nothing comes after win

	phase  phase
	pos    int   // how far win was looked at
	resume phase // where to go on if a block is no call
	prose  markdown
	block  block
	whole  whole
	fences bool // fences around calls belong to them
	calls  int
}

// Parser returns a parser for one answer to a request that demands w.
func (s *Set) Parser(w Wish) *Parser {
	return &Parser{set: s, wish: w}
}

// Feed takes the next piece of the answer, as UTF-8. It must not change until Next
// reports false.
func (p *Parser) Feed(text []byte) {
	p.drop()
	if len(p.win) == 0 {
		p.win, p.kept = text, false
		return
	}
	p.keep()
	p.own = append(p.own, text...)
	p.win = p.own
}

// End tells that the answer is complete.
func (p *Parser) End() { p.last = true }

// Next returns the next event. It reports false when it needs another piece, or has
// come to the end. What the event holds is valid until the next call of Next or
// Feed, but for Call and Problem, which stay.
func (p *Parser) Next() (Event, bool) {
	p.drop()
	for len(p.win) > 0 {
		event, next := p.step()
		switch next {
		case emit:
			return event, true
		case wait:
			p.keep()
			return Event{}, false
		}
	}
	return Event{}, false
}

// drop leaves out what the last event accounts for.
func (p *Parser) drop() {
	p.win = p.win[p.used:]
	p.used = 0
}

// keep brings the window to the start of the parser's own memory. A long call stays
// where it is while it grows: moving it with each piece would take the square of its
// length.
func (p *Parser) keep() {
	switch {
	case p.kept && len(p.win) == len(p.own):
		return
	case !p.kept:
		p.own = slices.Grow(p.own[:0], len(p.win))
	}
	p.own = append(p.own[:0], p.win...)
	p.win, p.kept = p.own, true
}

// A phase is what the window begins with.
type phase uint8

const (
	atStart   phase = iota // the answer
	inWhole                // an answer that may be nothing but calls
	inText                 // text
	inBlock                // what may be a call
	afterOne               // what follows a call
	inWaste                // the rest of a broken call, up to its end tag
	inExcess               // the rest of a JSON value that is too large
	inFiction              // what follows a call and its made-up result
)

// next says how Next goes on.
type next uint8

const (
	again next = iota // in another phase
	emit              // with an event
	wait              // when there is more
)

func (p *Parser) step() (Event, next) {
	switch p.phase {
	case atStart:
		return p.begin()
	case inWhole:
		return p.readWhole()
	case inBlock:
		return p.readBlock()
	case afterOne:
		return p.readGap()
	case inWaste:
		return p.skipWaste()
	case inExcess:
		return p.skipExcess()
	case inFiction:
		return p.account(len(p.win), Event{Kind: Skipped}, inFiction)
	}
	return p.readText()
}

// enter goes on in another phase, at a place of the window.
func (p *Parser) enter(ph phase, pos int) (Event, next) {
	p.phase, p.pos = ph, pos
	return Event{}, again
}

// account makes an event of the first n bytes of the window, and goes on behind them.
func (p *Parser) account(n int, event Event, ph phase) (Event, next) {
	event.Source = p.win[:n:n]
	p.used, p.phase, p.pos = n, ph, 0
	return event, emit
}

// bounded returns the part of the window that may become a call, and whether the
// answer ends with it. Where the part is as long as it may be, it is too long.
func (p *Parser) bounded() (view []byte, last bool) {
	if len(p.win) >= maxCall {
		return p.win[:maxCall], false
	}
	return p.win, p.last
}
