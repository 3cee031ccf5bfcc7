package tools

import (
	"bytes"

	"github.com/caddy-qwen/caddy-qwen/internal/loosejson"
)

// whole tells whether an answer is nothing but calls that do not look like ones: a
// JSON object without a tag, bare or in a fence, or blocks in fences. It reads like
// a block: the same text again, longer each time.
type whole struct {
	state      wholeState
	pos        int
	fence      byte // of what the fence is made that it is in, 0 outside
	length     int
	fences     int
	items      int  // calls
	bare       bool // the one item is JSON without a tag
	known      bool // the JSON has begun as a call does
	begin, end int  // the JSON
	json       loosejson.Scanner
	block      block
}

type wholeState uint8

const (
	betweenItems wholeState = iota
	inItem                  // in a block
	inRest                  // in the rest of a broken one
	inBare                  // in JSON without a tag
)

func (w *whole) read(view []byte, last bool, set *Set) verdict {
	for {
		v := w.step(view, last, set)
		switch {
		case v == goOn:
		case v == more && last && w.state != inBare && w.items > 0:
			return isCall
		case v == more && last:
			return isText
		default:
			return v
		}
	}
}

func (w *whole) step(view []byte, last bool, set *Set) verdict {
	switch w.state {
	case inItem:
		return w.item(view, last)
	case inRest:
		return w.rest(view)
	case inBare:
		return w.object(view, set)
	}
	return w.between(view, last)
}

// between reads what stands between calls: white space and the lines of fences.
func (w *whole) between(view []byte, last bool) verdict {
	w.pos += spaceLen(view[w.pos:])
	rest := view[w.pos:]
	switch {
	case len(rest) == 0:
		return more
	case rest[0] == '{' && w.items == 0:
		w.state, w.begin = inBare, w.pos
		return goOn
	case w.bare && w.fence == 0:
		return isText
	case w.fence != 0 && rest[0] == w.fence && w.items > 0:
		return w.closeFence(rest, last)
	case w.fence == 0 && isFence(rest[0]):
		return w.openFence(rest)
	case w.bare || w.fences == 0:
		return isText
	}
	switch matchTag(rest, openTag) {
	case unclear:
		return more
	case yes:
		w.enterItem(len(openTag))
		return goOn
	}
	return isText
}

func (w *whole) enterItem(tag int) {
	w.block.reset(w.pos, tag)
	w.block.inFence = w.fence != 0
	w.state = inItem
}

func (w *whole) openFence(rest []byte) verdict {
	n, found := openFence(rest)
	switch found {
	case unclear:
		return more
	case no:
		return isText
	}
	w.fence, w.length = rest[0], runLen(rest)
	w.fences++
	w.pos += n
	return goOn
}

// closeFence reads the line that closes the fence.
func (w *whole) closeFence(rest []byte, last bool) verdict {
	n := runLen(rest)
	end := n + len(rest[n:]) - len(bytes.TrimLeft(rest[n:], " \t\r"))
	switch {
	case end == len(rest) && !last && end < maxLead:
		return more
	case end >= maxLead || n < w.length || end < len(rest) && rest[end] != '\n':
		return isText
	}
	w.pos += end
	w.fence = 0
	return goOn
}

// item goes on with a block.
func (w *whole) item(view []byte, last bool) verdict {
	v := w.block.read(view, last)
	if v == more || v == isText {
		return v
	}
	w.items++
	w.pos = w.block.pos
	switch {
	case v == isBroken:
		w.state = inRest
	case v == isCall && w.block.again:
		w.enterItem(0)
	default:
		w.state = betweenItems
	}
	return goOn
}

// rest goes over the rest of a broken block.
func (w *whole) rest(view []byte) verdict {
	n := bytes.Index(view[w.pos:], []byte(closeTag))
	if n < 0 {
		w.pos = max(w.pos, len(view)-len(closeTag)+1)
		return more
	}
	w.pos += n + len(closeTag)
	w.state = betweenItems
	return goOn
}

// object reads JSON without a tag as long as it looks like a call.
func (w *whole) object(view []byte, set *Set) verdict {
	n, state := w.json.Scan(view[max(w.pos, w.end):])
	w.pos = max(w.pos, w.end) + n
	w.end = w.pos
	text := view[w.begin:w.end]
	if !w.known {
		begun := set.beginsCall(string(text[:min(len(text), maxLead)]))
		if begun == no || state == loosejson.Lost || begun == unclear && len(text) >= maxLead {
			return isText
		}
		w.known = begun == yes
	}
	switch {
	case state == loosejson.Lost || state == loosejson.Done && !set.isCall(text):
		return isText
	case state == loosejson.More:
		return more
	}
	w.items, w.bare, w.state = 1, true, betweenItems
	return goOn
}
