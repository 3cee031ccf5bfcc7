package tools

import "github.com/caddy-qwen/caddy-qwen/internal/loosejson"

// block reads one call: the tag, then a JSON object or a function in XML, then the
// end tag. It is given the same text again and again, longer each time, and looks
// at each byte about once.
type block struct {
	state   blockState
	from    int  // where the tag begins
	pos     int  // how far it has read; at the end, where what follows begins
	inFence bool // the block stands in a fence that belongs to it
	fenced  bool // a fence was opened in it
	list    bool // its values are those of an array
	again   bool // another value follows without a tag

	begin, end int // the value
	json       loosejson.Scanner
	closed     []byte // the value, where brackets were missing
	xml        function
	reason     string // why it is broken, for the model
}

type blockState uint8

const (
	inOpening blockState = iota // after the tag
	inJSON
	isLost // at a byte that the JSON cannot have
	inFunction
	inParameters // between parameters
	inParameter  // in a parameter's name
	inValue
	afterValue // after what may be a parameter's end tag
	inClosing  // after the value
)

// A verdict is what is known of a block, or of a whole answer.
type verdict uint8

const (
	goOn     verdict = iota // in another state
	more                    // more text is needed
	isText                  // it is no call
	isCall                  // it is complete
	isBroken                // it is no call, but was meant as one
	isCut                   // the answer ends in it
)

// reset begins with a block at from, whose tag has n bytes.
func (b *block) reset(from, n int) {
	*b = block{from: from, pos: from + n}
}

// follow begins with another value in the same block.
func (b *block) follow() {
	*b = block{inFence: b.inFence, fenced: b.fenced, list: b.list}
}

// read goes on with view, with which the answer may end.
func (b *block) read(view []byte, last bool) verdict {
	for {
		switch v := b.step(view); {
		case v == goOn:
		case v == more && last:
			return b.cut(view)
		default:
			return v
		}
	}
}

// cut is the verdict at the end of the answer.
func (b *block) cut(view []byte) verdict {
	b.pos = len(view)
	switch b.state {
	case inOpening:
		return isText
	case inClosing:
		return isCall
	}
	return isCut
}

func (b *block) step(view []byte) verdict {
	switch b.state {
	case inOpening:
		return b.opening(view)
	case inJSON:
		return b.value(view)
	case isLost:
		return b.lost(view)
	case inClosing:
		return b.closing(view)
	}
	return b.function(view)
}

// opening reads what comes before the value.
func (b *block) opening(view []byte) verdict {
	b.pos += spaceLen(view[b.pos:])
	switch rest := view[b.pos:]; {
	case b.pos-b.from > maxLead:
		return isText
	case len(rest) == 0:
		return more
	case rest[0] == '{':
		b.begin = b.pos
		return b.to(inJSON, 0)
	case rest[0] == '[' && !b.list:
		return b.openList(rest)
	case matchTag(rest, openTag) == yes:
		return b.to(inOpening, len(openTag)) // said twice
	case isFence(rest[0]) && !b.fenced:
		n, found := openFence(rest)
		b.fenced = found == yes
		return b.decide(found, inOpening, n, isText)
	default:
		b.begin = b.pos
		return b.decide(matchTag(rest, functionTag), inFunction, len(functionTag), b.notYet(rest))
	}
}

// notYet is the verdict on what begins no value: it may still begin another tag.
func (b *block) notYet(rest []byte) verdict {
	if matchTag(rest, openTag) == unclear {
		return more
	}
	return isText
}

// openList goes over the bracket of an array of calls.
func (b *block) openList(rest []byte) verdict {
	n := 1 + spaceLen(rest[1:])
	switch {
	case n > maxLead || n < len(rest) && rest[n] != '{':
		return isText
	case n == len(rest):
		return more
	}
	b.list = true
	return b.to(inOpening, n)
}

// decide goes on in another state behind n bytes if they were found, and otherwise
// has its verdict.
func (b *block) decide(found answer, state blockState, n int, otherwise verdict) verdict {
	switch found {
	case yes:
		return b.to(state, n)
	case unclear:
		return more
	}
	return otherwise
}

// name returns the name of the function, as far as it is known.
func (b *block) name(view []byte) string {
	if b.state == inOpening {
		return ""
	}
	if b.state != inJSON && b.state != isLost && b.xml.name.to > 0 {
		return b.xml.name.of(view)
	}
	return nameIn(view[b.begin:min(b.begin+maxLead, max(b.begin, b.end))])
}

func (b *block) to(state blockState, n int) verdict {
	b.state = state
	b.pos += n
	return goOn
}

// value reads a JSON object.
func (b *block) value(view []byte) verdict {
	n, state := b.json.Scan(view[b.pos:])
	b.pos += n
	b.end = b.pos
	switch state {
	case loosejson.Done:
		return b.to(inClosing, 0)
	case loosejson.Lost:
		return b.to(isLost, 0)
	}
	return more
}

// lost decides about JSON that cannot go on: only the end tag tells that nothing but
// closing brackets is missing.
func (b *block) lost(view []byte) verdict {
	switch matchTag(view[b.pos:], closeTag) {
	case unclear:
		return more
	case yes:
		if closed, ok := loosejson.RepairUnclosed(view[b.begin:b.end]); ok {
			b.closed = closed
			b.pos += len(closeTag)
			return isCall
		}
	}
	return b.broken("it goes wrong after " + tail(view[b.begin:b.end]))
}

func (b *block) broken(reason string) verdict {
	b.reason = reason
	return isBroken
}

// tail quotes the end of a text, for the model to find it.
func tail(text []byte) string {
	const length = 40
	if len(text) > length {
		return "…" + string(text[len(text)-length:])
	}
	return string(text)
}

// closing reads what comes after the value: the end tag, or what shows that it was
// forgotten. Closing brackets before it are too many, but change nothing.
func (b *block) closing(view []byte) verdict {
	b.pos += spaceLen(view[b.pos:])
	rest := view[b.pos:]
	if len(rest) == 0 {
		return more
	}
	switch c := rest[0]; {
	case c == '<':
		return b.nextTag(rest)
	case c == '{':
		b.again = true
		return isCall
	case c == '}' || c == ']' || c == ',' && b.list:
		return b.to(inClosing, 1)
	case isFence(c) && b.fenced:
		return b.closeFence(rest)
	case isFence(c) && b.inFence:
		return isCall
	}
	return b.broken("something else than " + closeTag + " follows the JSON object")
}

// nextTag decides about a tag after the value.
func (b *block) nextTag(rest []byte) verdict {
	end, start, function := matchTag(rest, closeTag), matchTag(rest, openTag), matchTag(rest, functionTag)
	switch {
	case end == yes:
		b.pos += len(closeTag)
		return isCall
	case start == yes:
		return isCall
	case function == yes:
		b.again = true
		return isCall
	case end == unclear || start == unclear || function == unclear:
		return more
	}
	return b.broken("a tag that is not " + closeTag + " follows the call")
}

// closeFence goes over the end of the fence in a block.
func (b *block) closeFence(rest []byte) verdict {
	n := runLen(rest)
	switch {
	case n == len(rest) && n < maxInfo:
		return more
	case n < 3 || n >= maxInfo:
		return b.broken("something else than " + closeTag + " follows the JSON object")
	}
	b.fenced = false
	return b.to(inClosing, n)
}

// runLen returns how often the first byte of p is repeated at its start.
func runLen(p []byte) int {
	n := 1
	for n < len(p) && p[n] == p[0] {
		n++
	}
	return n
}

// maxInfo is how long the line may be that opens a fence around a call.
const maxInfo = 64

// openFence returns the length of the line that opens a fence, with its line feed, if
// text begins with one that may be around a call: three backticks or tildes at least,
// and nothing but a word or two.
func openFence(text []byte) (n int, found answer) {
	n = runLen(text)
	if n < 3 && n < len(text) {
		return 0, no
	}
	for ; n < min(len(text), maxInfo); n++ {
		switch c := text[n]; {
		case c == '\n':
			return n + 1, yes
		case !isInfo(c):
			return 0, no
		}
	}
	if n >= maxInfo {
		return 0, no
	}
	return 0, unclear
}

func isInfo(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '+' || c == ' ' || c == '\t' || c == '\r'
}
