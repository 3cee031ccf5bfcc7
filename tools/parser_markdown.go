package tools

import "bytes"

// markdown follows as much of the form of a text as tells whether a tag in it is
// quoted: code fences, also in lists and quotations, and inline code. It keeps nothing
// of the text. The zero markdown is at the start of a text.
type markdown struct {
	at     place
	fence  byte // '`' or '~' within a fence, otherwise 0
	length int  // the fence's length
	nested bool // the fence is part of a quotation (>)
	quoted bool // so is this line
	inline int  // the number of backticks that opened inline code, 0 outside
	char   byte // of the run that is being counted
	run    int
}

type place uint8

const (
	inIndent  place = iota // at the start of a line, after indentation and marks of lists
	inBullet               // after what may be a list's bullet
	inOrdinal              // after digits that may be a list's number
	inRun                  // in a run of ` or ~ that a line begins with
	inInfo                 // after it: it may be a fence
	inWords                // in the rest of a line
	inTicks                // in a run of backticks there
	inSlashed              // after a backslash
	inCode                 // in a line of a fence
	inEnd                  // in a run that may end the fence
	afterEnd               // after it
)

// scan goes over text up to a < with which a call may begin, or all of it.
func (m *markdown) scan(p []byte) int {
	i := 0
	for i < len(p) {
		n, stop := m.step(p[i:])
		if i += n; stop {
			return i
		}
	}
	return i
}

// pass takes the < at which scan has stopped for text. The caller leaves it out.
func (m *markdown) pass() { m.at = inWords }

// step takes some bytes, or none and changes the place. It stops before a < that may
// begin a call.
func (m *markdown) step(p []byte) (n int, stop bool) {
	switch m.at {
	case inWords:
		return m.words(p)
	case inCode:
		return m.line(bytes.IndexByte(p, '\n'), len(p)), false
	case inIndent:
		if p[0] == '<' && !m.inFence() {
			return 0, true
		}
		return m.indent(p[0]), false
	case inBullet, inOrdinal:
		return m.mark(p[0]), false
	case inSlashed:
		m.at = inWords
		if p[0] == '\n' {
			return 0, false
		}
		return 1, false
	}
	return m.counted(p[0]), false
}

// line takes text up to the line feed at i, or n bytes without any.
func (m *markdown) line(i, n int) int {
	if i < 0 {
		return n
	}
	m.at, m.quoted = inIndent, false
	return i + 1
}

// special are the bytes that matter within a line.
var special = [256]bool{'\n': true, '`': true, '\\': true, '<': true}

func (m *markdown) words(p []byte) (n int, stop bool) {
	for n < len(p) && !special[p[n]] {
		n++
	}
	if n > 0 {
		return n, false
	}
	switch p[0] {
	case '\n':
		return m.line(0, 1), false
	case '`':
		m.at, m.char, m.run = inTicks, '`', 1
	case '\\':
		if m.inline == 0 {
			m.at = inSlashed
		}
	case '<':
		if m.inline == 0 {
			return 0, true
		}
	}
	return 1, false
}

// leaveQuotation ends the fence of a quotation that ends with this line.
func (m *markdown) leaveQuotation() {
	if m.nested && !m.quoted {
		m.fence = 0
	}
}

// inFence reports whether a line is part of a fence.
func (m *markdown) inFence() bool {
	m.leaveQuotation()
	return m.fence != 0
}

// indent takes a byte at the start of a line.
func (m *markdown) indent(c byte) int {
	switch {
	case c == ' ' || c == '\t' || c == '\r':
		return 1
	case c == '\n':
		m.inline = 0 // no inline code goes over an empty line, nor does a quotation
		m.leaveQuotation()
		return m.line(0, 1)
	case c == '>' && (m.fence == 0 || m.nested):
		m.quoted = true
		return 1
	case m.inFence():
		return m.fenceLine(c)
	case isFence(c):
		m.at, m.char, m.run = inRun, c, 1
		return 1
	case c == '-' || c == '*' || c == '+':
		m.at = inBullet
		return 1
	case '0' <= c && c <= '9':
		m.at = inOrdinal
		return 1
	}
	m.at = inWords
	return 0
}

// fenceLine takes the first byte of a line in a fence.
func (m *markdown) fenceLine(c byte) int {
	if c != m.fence {
		m.at = inCode
		return 0
	}
	m.at, m.char, m.run = inEnd, c, 1
	return 1
}

// mark takes a byte after what may be the mark of a list.
func (m *markdown) mark(c byte) int {
	switch {
	case m.at == inBullet && (c == ' ' || c == '\t'):
		m.inline = 0 // an item is a paragraph of its own
		m.at = inIndent
	case m.at == inOrdinal && '0' <= c && c <= '9':
	case m.at == inOrdinal && (c == '.' || c == ')'):
		m.at = inBullet
	default:
		m.at = inWords
		return 0
	}
	return 1
}

// counted takes a byte in or after a run of backticks or tildes.
func (m *markdown) counted(c byte) int {
	if c == m.char && m.at != inInfo && m.at != afterEnd {
		m.run++
		return 1
	}
	switch m.at {
	case inRun:
		return m.afterRun()
	case inInfo:
		return m.info(c)
	case inTicks:
		m.ticks()
		return 0
	case inEnd:
		m.at = inCode
		if m.run >= m.length {
			m.at = afterEnd
		}
		return 0
	}
	return m.afterFence(c)
}

// afterRun decides what a run at the start of a line is.
func (m *markdown) afterRun() int {
	switch {
	case m.run >= 3:
		m.at = inInfo
	case m.char == '`':
		m.ticks()
	default:
		m.at = inWords
	}
	return 0
}

// info takes a byte of the line that opens a fence. A backtick makes inline code of
// what looked like a fence of backticks.
func (m *markdown) info(c byte) int {
	switch {
	case c == '\n':
		m.fence, m.length, m.nested = m.char, m.run, m.quoted
		m.inline = 0
		return m.line(0, 1)
	case c == '`' && m.char == '`':
		m.ticks()
		return 0
	}
	return 1
}

// ticks ends a run of backticks: it opens inline code, or closes what as many opened.
func (m *markdown) ticks() {
	m.at = inWords
	switch m.inline {
	case 0:
		m.inline = m.run
	case m.run:
		m.inline = 0
	}
}

// afterFence takes a byte after a run that may end a fence: it does if nothing
// follows in the line.
func (m *markdown) afterFence(c byte) int {
	switch c {
	case '\n':
		m.fence = 0
		return m.line(0, 1)
	case ' ', '\t', '\r':
		return 1
	}
	m.at = inCode
	return 0
}
