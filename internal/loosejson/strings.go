package loosejson

// stringState is what is known of the string that is being read.
type stringState struct {
	quote byte // a plain quote, or the last byte of the opening typographic quote
	key   bool // it is a key
	stops class
	prev  byte // the last byte of its content; '"' for any quote in it, 0 at its start
	inner int  // quotes in it that were not escaped
	gap   bool // white space after a quote that may end it
	hex   int  // digits after \u
}

// class tells bytes of strings apart. A string's stops are those that are more
// than content in it.
type class uint8

const (
	control class = 1 << iota
	backslash
	doubleQuote
	singleQuote
	curlyLead // the first byte of a typographic quote, and of much else
)

var classes = func() (t [256]class) {
	for c := range 0x20 {
		t[c] = control
	}
	t['\\'], t['"'], t['\''], t[curly1] = backslash, doubleQuote, singleQuote, curlyLead
	return t
}()

// The bytes of typographic quotes: two that all share, and the last one.
const (
	curly1 = 0xE2
	curly2 = 0x80
)

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == curly1 }

// curlyQuote returns what a typographic quote with this last byte stands for: '“'
// and '”' are double quotes, '‘' and '’' single ones. Other bytes give 0.
func curlyQuote(last byte) byte {
	switch last {
	case 0x9C, 0x9D:
		return '"'
	case 0x98, 0x99:
		return '\''
	}
	return 0
}

func (s *Scanner) openString(c byte, key bool) int {
	s.str = stringState{quote: c, key: key, stops: control | backslash}
	switch c {
	case '"':
		s.str.stops |= doubleQuote
		s.fix.raw('"')
		return s.to(inString)
	case '\'':
		s.str.stops |= singleQuote
		s.fix.raw('"')
		return s.loosely(inString)
	}
	return s.loosely(openCurly)
}

// openCurly takes the rest of an opening typographic quote.
func (s *Scanner) openCurly(c byte) int {
	switch {
	case s.state == openCurly && c == curly2:
		return s.to(openCurly2)
	case s.state == openCurly2 && curlyQuote(c) != 0:
		s.str.quote = c
		s.str.stops |= curlyLead
		s.fix.raw('"')
		return s.to(inString)
	}
	return s.lose()
}

// stringBytes takes content up to the next byte that is more than that, or that
// byte.
func (s *Scanner) stringBytes(p []byte) int {
	n := 0
	for n < len(p) && classes[p[n]]&s.str.stops == 0 {
		n++
	}
	if n > 0 {
		s.str.prev = p[n-1]
		s.fix.content(p[:n])
		return n
	}
	switch classes[p[0]] {
	case control:
		s.str.prev = p[0]
		s.fix.content(p[:1])
		return s.loosely(inString)
	case backslash:
		s.pend = s.off
		return s.to(inEscape)
	case curlyLead:
		return s.to(inCurly)
	}
	return s.quote()
}

// quote takes a byte that may end the string.
func (s *Scanner) quote() int {
	s.str.gap = false
	s.pend = s.off
	s.fix.mark()
	s.fix.raw('"')
	return s.to(inQuote)
}

// curly takes what follows the first byte of a typographic quote in a string in
// such quotes.
func (s *Scanner) curly(c byte) int {
	switch {
	case s.state == inCurly && c == curly2:
		return s.to(inCurly2)
	case s.state == inCurly:
		s.fix.raw(curly1)
	case curlyQuote(c) == s.mark() && curlyQuote(c) != 0:
		s.str.quote = c
		return s.quote()
	default:
		s.fix.raw(curly1)
		s.fix.raw(curly2)
	}
	s.str.prev = curly1
	return s.stay(inString)
}

// mark returns the plain quote that the string's quotes stand for.
func (s *Scanner) mark() byte {
	if last := curlyQuote(s.str.quote); last != 0 {
		return last
	}
	return s.str.quote
}

// escape takes the byte after a backslash.
func (s *Scanner) escape(c byte) int {
	s.str.prev = '\\'
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pend = 0
		s.fix.raw('\\')
		s.fix.raw(c)
		return s.to(inString)
	case 'u':
		s.str.hex = 0
		return s.to(inHex)
	case '\'':
		s.loosen()
		s.pend = 0
		s.fix.raw(c)
		return s.to(inString)
	}
	// \x41 is a character for some and four for others, a backslash before a line
	// feed vanishes for some.
	if c == 'x' || c < 0x20 || c == curly1 && s.str.stops&curlyLead != 0 {
		return s.lose()
	}
	return s.literalBackslash()
}

// hex takes a byte after \u. Without any digit, as in C:\users, the backslash is
// meant as one; with some it is open what is.
func (s *Scanner) hex(c byte) int {
	switch {
	case isHex(c):
		if s.str.hex == 0 {
			s.pend = 0
			s.fix.raw('\\')
			s.fix.raw('u')
		}
		s.fix.raw(c)
		if s.str.hex++; s.str.hex < 4 {
			return 1
		}
		return s.to(inString)
	case s.str.hex > 0 || c < 0x20 || isQuote(c):
		return s.lose()
	}
	s.literalBackslash()
	s.fix.raw('u')
	s.str.prev = 'u'
	return 0
}

// literalBackslash makes a backslash that begins no escape content.
func (s *Scanner) literalBackslash() int {
	s.loosen()
	s.pend = 0
	s.fix.text(`\\`)
	return s.stay(inString)
}

// afterQuote decides by what follows a quote whether it ended the string.
func (s *Scanner) afterQuote(c byte) int {
	switch {
	case isSpace(c):
		s.str.gap = true
		s.fix.raw(c)
		return 1
	case s.str.key:
		if c == ':' && s.str.inner == 0 {
			s.pend = 0
			return s.stay(atColon)
		}
		return s.lose()
	case c == ',' || c == '}' || c == ']':
		return s.endString()
	case s.isApostrophe(c):
		return s.innerQuote()
	case s.isInner(c):
		s.str.inner++
		return s.innerQuote()
	case c == '/' || c == '<': // a comment or a closing tag
		return s.endString()
	}
	return s.lose()
}

// endString ends a value, unless a quote within it is left open.
func (s *Scanner) endString() int {
	if s.str.inner%2 != 0 {
		return s.lose()
	}
	s.pend = 0
	return s.stay(atComma)
}

// isApostrophe reports whether the single quote before c stands in a word.
func (s *Scanner) isApostrophe(c byte) bool {
	return s.mark() == '\'' && !s.str.gap && isLetterWide(s.str.prev) && isLetterWide(c)
}

// isInner reports whether the quote before c stands as one that opens or, every
// second time, closes something within the string does: neither after a word nor
// before a space; neither after a space nor before a word. That refuses strings
// that were joined by an operator, or between which a comma is missing.
func (s *Scanner) isInner(c byte) bool {
	prev := s.str.prev
	switch {
	case c == ':' || prev == '"':
		return false
	case s.str.inner%2 == 0:
		return !isWord(prev) && !s.str.gap
	}
	return !isSpace(prev) && (s.str.gap || !isWord(c))
}

// innerQuote makes the last quote, and white space after it, content.
func (s *Scanner) innerQuote() int {
	s.loosen()
	s.pend = 0
	s.fix.undoQuote(s.str.quote)
	s.str.prev = '"'
	if s.str.gap {
		s.str.prev = ' '
	}
	return s.stay(inString)
}
