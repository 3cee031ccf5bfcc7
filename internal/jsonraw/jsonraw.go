// Package jsonraw walks over JSON text in place: it finds members and string
// contents without decoding them, so that a string can be copied from one JSON
// document into another as it is. It allocates nothing.
package jsonraw

import "bytes"

// Cursor is a position in a JSON text. It checks as much of the structure as it
// needs to find its way; after the first error OK reports false and every
// further call returns a zero value. The zero Cursor is an empty text.
type Cursor struct {
	buf []byte
	pos int
	bad bool
}

// NewCursor returns a cursor at the start of b.
func NewCursor(b []byte) Cursor {
	return Cursor{buf: b}
}

// OK reports whether everything read so far was well formed.
func (c *Cursor) OK() bool { return !c.bad }

// AtEnd reports whether only white space is left.
func (c *Cursor) AtEnd() bool {
	c.space()
	return c.pos >= len(c.buf)
}

// Object enters the object at the cursor. It reports false, and moves past the
// value, if the value is something else; that is not an error.
func (c *Cursor) Object() bool { return c.enter('{') }

// Array enters the array at the cursor, as Object does for objects.
func (c *Cursor) Array() bool { return c.enter('[') }

func (c *Cursor) enter(open byte) bool {
	if c.peek() == open {
		c.pos++
		return true
	}
	c.Skip()
	return false
}

// Key moves to the value of the next member of the object entered last and
// returns the member's name as it is written, without quotes. It reports false
// after the last member.
func (c *Cursor) Key() ([]byte, bool) {
	if c.next('}') {
		return nil, false
	}
	key, ok := c.string()
	if !ok || c.peek() != ':' {
		c.bad = true
		return nil, false
	}
	c.pos++
	return key, true
}

// Elem moves to the next element of the array entered last. It reports false
// after the last element.
func (c *Cursor) Elem() bool { return !c.next(']') }

// next moves past a comma and reports whether the container ends, or whether
// nothing can follow because of an error.
func (c *Cursor) next(end byte) bool {
	b := c.peek()
	if b == ',' {
		c.pos++
		b = c.peek()
	}
	if b == end {
		c.pos++
		return true
	}
	if b == 0 {
		c.bad = true
	}
	return c.bad
}

// String returns the content of the string at the cursor as it is written,
// without the quotes. It reports false, and moves past the value, if the value
// is something else.
func (c *Cursor) String() ([]byte, bool) {
	if c.peek() == '"' {
		return c.string()
	}
	c.Skip()
	return nil, false
}

// Raw returns the value at the cursor as it is written and moves past it.
func (c *Cursor) Raw() []byte {
	c.space()
	start := c.pos
	c.Skip()
	if c.bad {
		return nil
	}
	return c.buf[start:c.pos]
}

// Int returns the integer at the cursor and moves past the value, which it
// takes for 0 if it is not a non-negative integer below 10^15.
func (c *Cursor) Int() int64 {
	raw := c.Raw()
	var n int64
	for _, b := range raw {
		if b < '0' || b > '9' || len(raw) > 15 {
			return 0
		}
		n = n*10 + int64(b-'0')
	}
	return n
}

// True reports whether the value at the cursor is the literal true and moves
// past it.
func (c *Cursor) True() bool { return string(c.Raw()) == "true" }

// Skip moves past the value at the cursor.
func (c *Cursor) Skip() {
	switch b := c.peek(); b {
	case '"':
		c.string()
	case '{', '[':
		c.skipContainer()
	case 0, '}', ']', ',', ':':
		c.bad = true
	default:
		c.skipLiteral()
	}
}

func (c *Cursor) skipContainer() {
	depth := 0
	for c.pos < len(c.buf) {
		switch c.buf[c.pos] {
		default:
			c.pos++
			continue
		case '"':
			if _, ok := c.string(); !ok {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.pos++
		if depth == 0 {
			return
		}
	}
	c.bad = true
}

func (c *Cursor) skipLiteral() {
	start := c.pos
	for c.pos < len(c.buf) && literal[c.buf[c.pos]] {
		c.pos++
	}
	if c.pos == start {
		c.bad = true
	}
}

// literal marks the bytes of which numbers, true, false and null are made.
var literal = func() (t [256]bool) {
	for _, b := range []byte("+-.0123456789Eaeflnrstu") {
		t[b] = true
	}
	return t
}()

// shortString is the length up to which strings are searched byte by byte.
const shortString = 16

// string moves past the string at the cursor and returns its content.
func (c *Cursor) string() ([]byte, bool) {
	if c.peek() != '"' {
		c.bad = true
		return nil, false
	}
	start := c.pos + 1
	// Most strings are short names: the loop is faster than IndexByte there.
	short := min(start+shortString, len(c.buf))
	for i := start; i < short; i++ {
		switch c.buf[i] {
		case '"':
			c.pos = i + 1
			return c.buf[start:i], true
		case '\\':
			i++
		}
	}
	for i := start; ; {
		n := bytes.IndexByte(c.buf[i:], '"')
		if n < 0 {
			c.bad = true
			return nil, false
		}
		i += n
		if !escaped(c.buf[start:i]) {
			c.pos = i + 1
			return c.buf[start:i], true
		}
		i++
	}
}

// escaped reports whether the byte after b is escaped: whether b ends with an
// odd number of backslashes.
func escaped(b []byte) bool {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// peek moves to the next byte that is not white space and returns it, or 0 at
// the end and after an error.
func (c *Cursor) peek() byte {
	if !c.bad && c.pos < len(c.buf) && c.buf[c.pos] > ' ' {
		return c.buf[c.pos]
	}
	return c.peekSlow()
}

func (c *Cursor) peekSlow() byte {
	c.space()
	if c.bad || c.pos >= len(c.buf) {
		return 0
	}
	return c.buf[c.pos]
}

func (c *Cursor) space() {
	for c.pos < len(c.buf) {
		switch c.buf[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}
