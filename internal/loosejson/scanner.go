// Package loosejson reads JSON as language models write it: valid JSON, and JSON
// with slips that leave no doubt about what is meant. Those are
//
//   - raw line feeds, tabs and other control characters in strings,
//   - trailing commas, comments (// and /* */), keys without quotes,
//   - strings in single or in typographic quotes; True, False and None,
//   - escapes that there are none of, such as \' or \d,
//   - quotes in a string that were not escaped, as in "<a href="x">", where each
//     stands as an opening or a closing one must, and they come in pairs.
//
// What can be understood in more than one way is refused, never guessed.
package loosejson

// State says how far a Scanner has come with its value.
type State uint8

const (
	More State = iota // all of the piece belongs to the value, which goes on
	Done              // the value is complete
	Lost              // the next byte cannot belong to the value
)

// maxDepth is how many objects and arrays may stand in each other. It is far
// beyond what arguments of a tool or an answer need.
const maxDepth = 1024

// Scanner finds the end of one object or array in text that arrives in pieces,
// looking at each byte once and keeping none. The zero Scanner is ready to use.
type Scanner struct {
	state  state
	loose  bool                  // something was met that is not strict JSON
	off    int                   // bytes taken
	pend   int                   // while > 0: from here on, it depends on what follows whether it is strict
	strict int                   // bytes before the first that is not strict, once loose
	depth  int                   // objects and arrays that are open
	arrays [maxDepth / 64]uint64 // a bit for each: it is an array

	str     stringState
	literal literal
	matched int   // bytes of the literal
	number  state // the part of a number
	back    state // the state after a comment

	fix *fixer // writes what is meant; nil while only the end is sought
}

type state uint8

const (
	atStart    state = iota
	atValue          // a value must come
	atFirst          // a value or the end of an array
	atNext           // the same, after a comma
	atFirstKey       // a key or the end of an object
	atNextKey        // the same, after a comma
	atColon          // the colon after a key
	atComma          // a comma or an end
	inString         // between the quotes
	inEscape         // after a backslash
	inHex            // after \u
	inQuote          // after a quote that may end the string
	inCurly          // in a string, after the first byte of what may be a typographic quote
	inCurly2         // after the second
	openCurly        // outside, the same
	openCurly2
	inName    // a key without quotes
	inLiteral // true, None …
	inNumber
	inSlash // after the first slash of a comment
	inLine
	inBlock
	inStar // after a star in a block
	isDone
	isLost
)

// Reset makes s ready for another value.
func (s *Scanner) Reset() { *s = Scanner{} }

// Scan takes the next piece of the value, which may begin with white space. It
// returns how many bytes of p belong to it and whether it goes on (More; n is
// len(p)), ends before p[n] (Done) or cannot have p[n] as its next byte (Lost).
// Done and Lost are final.
func (s *Scanner) Scan(p []byte) (n int, st State) {
	for n < len(p) && s.state < isDone {
		taken := s.step(p[n:])
		n += taken
		s.off += taken
	}
	switch s.state {
	case isDone:
		return n, Done
	case isLost:
		return n, Lost
	}
	return n, More
}

// Exact reports whether everything so far is strict JSON (RFC 8259).
func (s *Scanner) Exact() bool { return !s.loose }

// Strict returns how many bytes from the start will stand at the start of the
// value in strict JSON too, whatever follows: all of them as long as the text is
// exact, except a comma before it is certain that it is none too many, a quote
// before it is certain that it ends the string, and half an escape.
func (s *Scanner) Strict() int {
	switch {
	case s.loose:
		return s.strict
	case s.pend > 0:
		return s.pend
	}
	return s.off
}

// InString reports whether the text so far ends within a string.
func (s *Scanner) InString() bool {
	switch s.state {
	case inString, inEscape, inHex, inCurly, inCurly2:
		return true
	}
	return false
}

// Depth returns how many objects and arrays are open.
func (s *Scanner) Depth() int { return s.depth }

// step takes bytes of p, or none and changes the state.
func (s *Scanner) step(p []byte) int {
	switch s.state {
	case inString:
		return s.stringBytes(p)
	case inEscape:
		return s.escape(p[0])
	case inHex:
		return s.hex(p[0])
	case inQuote:
		return s.afterQuote(p[0])
	case inCurly, inCurly2:
		return s.curly(p[0])
	case openCurly, openCurly2:
		return s.openCurly(p[0])
	case inName:
		return s.name(p[0])
	case inLiteral:
		return s.literalByte(p[0])
	case inNumber:
		return s.numberByte(p[0])
	case inSlash, inLine, inBlock, inStar:
		return s.comment(p[0])
	}
	return s.structure(p[0])
}

// structure takes a byte between tokens.
func (s *Scanner) structure(c byte) int {
	if isSpace(c) {
		s.fix.raw(c)
		return 1
	}
	if c == '/' && s.state != atStart {
		s.back = s.state
		return s.loosely(inSlash)
	}
	switch s.state {
	case atStart:
		if c == '{' || c == '[' {
			return s.open(c)
		}
	case atFirst, atNext, atFirstKey, atNextKey, atComma:
		if c == '}' || c == ']' {
			return s.close(c)
		}
	}
	return s.token(c)
}

// token takes the first byte of a token that is no closing bracket.
func (s *Scanner) token(c byte) int {
	switch s.state {
	case atValue, atFirst, atNext:
		return s.value(c)
	case atFirstKey, atNextKey:
		return s.key(c)
	case atColon:
		if c == ':' {
			s.fix.raw(c)
			return s.to(atValue)
		}
	case atComma:
		if c == ',' {
			s.pend = s.off
			s.fix.mark()
			s.fix.raw(c)
			return s.to(s.pick(atNext, atNextKey))
		}
	}
	return s.lose()
}

func (s *Scanner) value(c byte) int {
	s.pend = 0
	switch {
	case c == '{' || c == '[':
		return s.open(c)
	case isQuote(c):
		return s.openString(c, false)
	case c == '-' || isDigit(c):
		s.number = numberStart
		return s.stay(inNumber)
	}
	return s.openLiteral(c)
}

func (s *Scanner) key(c byte) int {
	s.pend = 0
	switch {
	case isQuote(c):
		return s.openString(c, true)
	case isLetter(c) || c == '_' || c == '$':
		s.fix.raw('"')
		s.fix.raw(c)
		return s.loosely(inName)
	}
	return s.lose()
}

// name takes a byte of a key without quotes, or leaves what follows it.
func (s *Scanner) name(c byte) int {
	if isWord(c) || c == '_' || c == '$' || c == '-' {
		s.fix.raw(c)
		return 1
	}
	s.fix.raw('"')
	return s.stay(atColon)
}

func (s *Scanner) open(c byte) int {
	if s.depth == maxDepth {
		return s.lose()
	}
	bit := uint64(1) << (s.depth % 64)
	s.arrays[s.depth/64] &^= bit
	if c == '[' {
		s.arrays[s.depth/64] |= bit
	}
	s.depth++
	s.fix.raw(c)
	return s.to(s.pick(atFirst, atFirstKey))
}

func (s *Scanner) close(c byte) int {
	if c != s.closer() {
		return s.lose()
	}
	if s.state == atNext || s.state == atNextKey {
		s.loosen() // from the comma on
		s.fix.drop()
	}
	s.pend = 0
	s.depth--
	s.fix.raw(c)
	if s.depth == 0 {
		return s.to(isDone)
	}
	return s.to(atComma)
}

// closer returns the bracket that ends what was opened last.
func (s *Scanner) closer() byte {
	if s.inArray() {
		return ']'
	}
	return '}'
}

func (s *Scanner) inArray() bool {
	at := s.depth - 1
	return s.arrays[at/64]>>(at%64)&1 != 0
}

// pick returns the state that fits what was opened last.
func (s *Scanner) pick(array, object state) state {
	if s.inArray() {
		return array
	}
	return object
}

// to takes a byte and goes on in another state.
func (s *Scanner) to(next state) int {
	s.state = next
	return 1
}

// stay goes on in another state with the same byte.
func (s *Scanner) stay(next state) int {
	s.state = next
	return 0
}

// loosely is to for a byte that strict JSON does not have there.
func (s *Scanner) loosely(next state) int {
	s.loosen()
	return s.to(next)
}

func (s *Scanner) lose() int { return s.stay(isLost) }

// loosen notes that the text is no strict JSON, from what is pending or the next
// byte on.
func (s *Scanner) loosen() {
	if !s.loose {
		s.strict = s.Strict()
		s.loose = true
	}
}
