package tools

import "bytes"

// begin looks at the start of the answer.
func (p *Parser) begin() (Event, next) {
	i := p.pos + spaceLen(p.win[p.pos:])
	if i >= maxLead {
		return p.enter(inText, 0)
	}
	if p.pos = i; i == len(p.win) {
		if p.last {
			return p.enter(inText, 0)
		}
		return Event{}, wait
	}
	switch p.win[i] {
	case '{', '`', '~':
		p.whole = whole{}
		return p.enter(inWhole, 0)
	case '<':
		return p.maybeBlock(i, inText)
	}
	return p.enter(inText, 0)
}

// maybeBlock enters a block at i if there is its tag, and goes on in another phase
// if there is none.
func (p *Parser) maybeBlock(i int, otherwise phase) (Event, next) {
	switch p.match(p.win[i:], openTag) {
	case unclear:
		return Event{}, wait
	case yes:
		return p.enterBlock(i, inText)
	}
	return p.enter(otherwise, 0)
}

func (p *Parser) enterBlock(i int, resume phase) (Event, next) {
	p.block.reset(i, len(openTag))
	p.block.inFence = p.fences
	p.resume = resume
	return p.enter(inBlock, 0)
}

// match is matchTag, for which nothing is unclear at the end of the answer.
func (p *Parser) match(text []byte, tag string) answer {
	found := matchTag(text, tag)
	if found == unclear && p.last {
		return no
	}
	return found
}

// readText takes text up to what may be a call.
func (p *Parser) readText() (Event, next) {
	n := p.pos
	for n < len(p.win) {
		n += p.prose.scan(p.win[n:])
		if n == len(p.win) {
			break
		}
		found := p.match(p.win[n:], openTag)
		switch {
		case found == no:
			p.prose.pass()
			n++
		case n > 0:
			return p.account(n, Event{Kind: Text}, inText)
		case found == unclear:
			return Event{}, wait
		default:
			return p.enterBlock(0, inText)
		}
	}
	return p.account(n, Event{Kind: Text}, inText)
}

// readWhole goes on with an answer that may be nothing but calls.
func (p *Parser) readWhole() (Event, next) {
	view, last := p.bounded()
	switch v := p.whole.read(view, last, p.set); {
	case v == more && len(view) < maxCall:
		return Event{}, wait
	case v != isCall:
		return p.enter(inText, 0)
	}
	if p.whole.bare {
		return p.account(len(view), p.judgeJSON(view[p.whole.begin:p.whole.end]), afterOne)
	}
	p.fences = true
	return p.enter(afterOne, 0)
}

// readBlock goes on with what may be a call.
func (p *Parser) readBlock() (Event, next) {
	view, last := p.bounded()
	b := &p.block
	switch v := b.read(view, last); v {
	case isText:
		return p.leaveBlock()
	case isCall:
		ph := afterOne
		if b.again {
			ph = inBlock
		}
		event, done := p.account(b.pos, p.judge(view), ph)
		b.follow()
		return event, done
	case isBroken:
		return p.account(b.pos, broken(Malformed, b.name(view), b.reason), inWaste)
	case isCut:
		return p.account(len(view), broken(Incomplete, b.name(view), ""), afterOne)
	}
	if len(view) < maxCall {
		return Event{}, wait
	}
	ph := inWaste
	if b.state == inJSON {
		ph = inExcess
	}
	// What it has not read may be the start of the end tag.
	return p.account(b.pos, broken(TooLarge, b.name(view), ""), ph)
}

// leaveBlock takes the tag of what is no call for what it is without it.
func (p *Parser) leaveBlock() (Event, next) {
	switch p.resume {
	case inWaste:
		return p.account(p.block.from+1, Event{Kind: Skipped}, inWaste)
	case afterOne:
		return p.account(len(openTag), Event{Kind: Skipped}, afterOne)
	}
	p.prose.pass()
	return p.enter(inText, p.block.from+1)
}

// readGap skips the white space after a call.
func (p *Parser) readGap() (Event, next) {
	n := spaceLen(p.win)
	if p.fences && n < len(p.win) && isFence(p.win[n]) {
		line := bytes.IndexByte(p.win[n:], '\n') + 1
		if line == 0 {
			line = len(p.win) - n
		}
		n += line
	}
	switch {
	case n > 0:
		return p.account(n, Event{Kind: Skipped}, afterOne)
	case p.win[0] == '<':
		return p.readGapTag()
	}
	p.prose = markdown{}
	return p.enter(inText, 0)
}

// readGapTag decides about a tag right after a call. One that begins no call is a slip
// of the model's: a second end tag, or a start tag in place of the end tag. A result that
// it has made up is left out with all that it goes on with.
func (p *Parser) readGapTag() (Event, next) {
	p.prose = markdown{}
	end, start, result := p.match(p.win, closeTag), p.match(p.win, openTag), p.match(p.win, resultTag)
	switch {
	case end == yes:
		return p.account(len(closeTag), Event{Kind: Skipped}, afterOne)
	case start == yes:
		return p.enterBlock(0, afterOne)
	case result == yes:
		return p.enter(inFiction, 0)
	case end == unclear || start == unclear || result == unclear:
		return Event{}, wait
	}
	return p.enter(inText, 0)
}

// skipWaste skips the rest of a broken call: up to its end tag, or the next call.
func (p *Parser) skipWaste() (Event, next) {
	n := bytes.IndexByte(p.win, '<')
	if n < 0 {
		n = len(p.win)
	}
	if n > 0 {
		return p.account(n, Event{Kind: Skipped}, inWaste)
	}
	end, start := p.match(p.win, closeTag), p.match(p.win, openTag)
	switch {
	case end == yes:
		return p.account(len(closeTag), Event{Kind: Skipped}, afterOne)
	case start == yes:
		return p.enterBlock(0, inWaste)
	case end == unclear || start == unclear:
		return Event{}, wait
	}
	return p.account(1, Event{Kind: Skipped}, inWaste)
}

// skipExcess skips the rest of a JSON value, so that no tag in its strings is taken
// for its end.
func (p *Parser) skipExcess() (Event, next) {
	n, _ := p.block.json.Scan(p.win)
	if n == 0 {
		return p.enter(inWaste, 0)
	}
	return p.account(n, Event{Kind: Skipped}, inExcess)
}

// An answer to the question whether a text begins with something.
type answer uint8

const (
	no answer = iota
	yes
	unclear // the text ends too early
)

func matchTag(text []byte, tag string) answer {
	n := min(len(text), len(tag))
	switch {
	case string(text[:n]) != tag[:n]:
		return no
	case n < len(tag):
		return unclear
	}
	return yes
}

// spaceLen returns how many bytes of white space p begins with.
func spaceLen(p []byte) int {
	n := 0
	for n < len(p) && isSpace(p[n]) {
		n++
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isFence(c byte) bool { return c == '`' || c == '~' }
