package qwen

import (
	"hash/maphash"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// summary turns the snapshots of a reasoning summary into its text. Each frame
// of phase `thinking_summary` carries the titles and the paragraphs so far:
//
//	"extra":{"summary_title":{"content":["Title 1"]},"summary_thought":{"content":["Paragraph 1"]}}
//
// The arrays are sent again and again, get longer, and their elements may grow.
// The text is title 1, paragraph 1, title 2 … with a blank line between any
// two. After a tool the site may start with new arrays or go on with the old
// ones.
type summary struct {
	parts [2][]part // titles, paragraphs
	begun bool      // something was returned, so that the next part needs a blank line before it
	buf   []byte
}

// part is what was returned of one title or paragraph.
type part struct {
	size int
	hash uint64
}

var summarySeed = maphash.MakeSeed()

// update takes the `extra` of a frame and returns what is new in it.
func (s *summary) update(extra []byte) []byte {
	arrays := summaryArrays(extra)
	if !s.continuedBy(arrays) {
		s.parts[0], s.parts[1] = s.parts[0][:0], s.parts[1][:0]
	}
	s.buf = keep(s.buf)
	for i := 0; ; i++ {
		title, hasTitle := element(&arrays[0])
		if hasTitle {
			s.add(0, i, title)
		}
		thought, hasThought := element(&arrays[1])
		if hasThought {
			s.add(1, i, thought)
		}
		if !hasTitle && !hasThought {
			return s.buf
		}
	}
}

// continuedBy reports whether the arrays begin with all that was returned. An
// empty array says nothing.
func (s *summary) continuedBy(arrays [2]jsonraw.Cursor) bool {
	for kind, parts := range s.parts {
		n := 0
		for raw, ok := element(&arrays[kind]); ok && n < len(parts); raw, ok = element(&arrays[kind]) {
			p := parts[n]
			if len(raw) < p.size || maphash.Bytes(summarySeed, raw[:p.size]) != p.hash {
				return false
			}
			n++
		}
		if n > 0 && n < len(parts) {
			return false
		}
	}
	return true
}

// add appends to buf what the i-th element of an array has more than was
// returned of it.
func (s *summary) add(kind, i int, raw []byte) {
	for len(s.parts[kind]) <= i {
		s.parts[kind] = append(s.parts[kind], part{hash: maphash.Bytes(summarySeed, nil)})
	}
	p := &s.parts[kind][i]
	if len(raw) <= p.size {
		return
	}
	if p.size == 0 && s.begun {
		s.buf = append(s.buf, `\n\n`...)
	}
	s.buf = append(s.buf, raw[p.size:]...)
	s.begun = true
	*p = part{size: len(raw), hash: maphash.Bytes(summarySeed, raw)}
}

// summaryArrays returns cursors inside the arrays of titles and of paragraphs.
func summaryArrays(extra []byte) (arrays [2]jsonraw.Cursor) {
	c := jsonraw.NewCursor(extra)
	if !c.Object() {
		return arrays
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		switch string(key) {
		case "summary_title":
			arrays[0] = contentArray(c.Raw())
		case "summary_thought":
			arrays[1] = contentArray(c.Raw())
		default:
			c.Skip()
		}
	}
	return arrays
}

// contentArray returns a cursor inside the array `content` of an object.
func contentArray(object []byte) (array jsonraw.Cursor) {
	c := jsonraw.NewCursor(object)
	if !c.Object() {
		return array
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		if string(key) == "content" {
			array = jsonraw.NewCursor(c.Raw())
			array.Array()
			continue
		}
		c.Skip()
	}
	return array
}

// element returns the next string of an array, or false at its end.
func element(c *jsonraw.Cursor) ([]byte, bool) {
	if !c.Elem() {
		return nil, false
	}
	raw, _ := c.String()
	return raw, true
}
