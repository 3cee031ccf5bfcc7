package loosejson

// literal is a word that is a value, and the value in JSON.
type literal struct{ word, json string }

func (s *Scanner) openLiteral(c byte) int {
	switch c {
	case 't':
		s.literal = literal{"true", "true"}
	case 'f':
		s.literal = literal{"false", "false"}
	case 'n':
		s.literal = literal{"null", "null"}
	case 'T':
		s.literal = literal{"True", "true"}
	case 'F':
		s.literal = literal{"False", "false"}
	case 'N':
		s.literal = literal{"None", "null"}
	default:
		return s.lose()
	}
	if s.literal.word != s.literal.json {
		s.loosen()
	}
	s.matched = 1
	return s.to(inLiteral)
}

func (s *Scanner) literalByte(c byte) int {
	if c != s.literal.word[s.matched] {
		return s.lose()
	}
	if s.matched++; s.matched < len(s.literal.word) {
		return 1
	}
	s.fix.text(s.literal.json)
	return s.to(atComma)
}

// The parts of a number, by what was read last.
const (
	numberStart state = iota
	numberMinus
	numberZero
	numberDigits
	numberPoint
	numberFraction
	numberE
	numberSign
	numberExponent
)

// numberByte takes a byte of a number, or leaves what follows it.
func (s *Scanner) numberByte(c byte) int {
	next := numberNext(s.number, c)
	switch {
	case next != numberStart:
		s.number = next
		s.fix.raw(c)
		return 1
	case !s.numberComplete() || isWord(c) || c == '.' || c == '+' || c == '-':
		return s.lose()
	}
	return s.stay(atComma)
}

func (s *Scanner) numberComplete() bool {
	switch s.number {
	case numberZero, numberDigits, numberFraction, numberExponent:
		return true
	}
	return false
}

// numberNext returns the part that c brings a number to; numberStart: to none.
func numberNext(part state, c byte) state {
	switch {
	case isDigit(c):
		return numberDigit(part, c)
	case c == '-' && part == numberStart:
		return numberMinus
	case c == '.' && (part == numberZero || part == numberDigits):
		return numberPoint
	case (c == 'e' || c == 'E') && (part == numberZero || part == numberDigits || part == numberFraction):
		return numberE
	case (c == '+' || c == '-') && part == numberE:
		return numberSign
	}
	return numberStart
}

func numberDigit(part state, c byte) state {
	switch part {
	case numberStart, numberMinus:
		if c == '0' {
			return numberZero
		}
		return numberDigits
	case numberDigits:
		return numberDigits
	case numberPoint, numberFraction:
		return numberFraction
	case numberE, numberSign, numberExponent:
		return numberExponent
	}
	return numberStart // nothing follows a leading zero
}

// comment takes a byte of a comment.
func (s *Scanner) comment(c byte) int {
	switch {
	case s.state == inSlash && c == '/':
		s.state = inLine
	case s.state == inSlash && c == '*':
		s.state = inBlock
	case s.state == inSlash:
		return s.lose()
	case s.state == inLine && c == '\n':
		s.fix.raw(c)
		s.state = s.back
	case s.state == inStar && c == '/':
		s.state = s.back
	case s.state == inBlock && c == '*':
		s.state = inStar
	case s.state == inStar && c != '*':
		s.state = inBlock
	}
	return 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isWord(c byte) bool { return isLetter(c) || isDigit(c) }

// isLetterWide counts all that is not ASCII as letters.
func isLetterWide(c byte) bool { return isLetter(c) || c >= 0x80 }
