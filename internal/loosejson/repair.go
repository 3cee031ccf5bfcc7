package loosejson

import (
	"bytes"
	"encoding/json"
)

// Repair returns the JSON that text is meant to be: valid JSON as it is, byte for
// byte; otherwise the object or array that it is when read loosely, which may have
// a code fence around it. It reports false if there is any doubt about the meaning,
// if the text ends too early, or if more than white space follows. It takes time
// in proportion to the text. The result may share its memory with text.
func Repair(text []byte) (repaired []byte, ok bool) {
	return repair(text, false)
}

// RepairUnclosed does what Repair does, and adds the closing brackets that are
// missing at the end, unless the text ends within a string, a word or a number
// that goes on, or where a key or value has to follow. It is for text of which a
// closing tag tells that it was to end there; of other text the rest is missing.
func RepairUnclosed(text []byte) (repaired []byte, ok bool) {
	return repair(text, true)
}

func repair(text []byte, unclosed bool) ([]byte, bool) {
	if json.Valid(text) {
		return text, true
	}
	text = unfence(text)
	f := &fixer{out: make([]byte, 0, len(text)+len(text)/8+16)}
	s := Scanner{fix: f}
	n, st := s.Scan(text)
	switch {
	case st == Done && len(bytes.Trim(text[n:], spaces)) == 0:
	case st == More && unclosed && s.addClosers():
	default:
		return nil, false
	}
	return f.out, true
}

// addClosers completes a text that may end here.
func (s *Scanner) addClosers() bool {
	switch {
	case s.state == atComma:
	case s.state == inQuote && !s.str.key && s.str.inner%2 == 0:
	case s.state == inNumber && s.numberComplete():
	default:
		return false
	}
	for ; s.depth > 0; s.depth-- {
		s.fix.raw(s.closer())
	}
	return true
}

const spaces = " \t\r\n"

var fence = []byte("```")

// unfence returns what is in the code fence around text, or text if there is none.
func unfence(text []byte) []byte {
	inner, opened := bytes.CutPrefix(bytes.Trim(text, spaces), fence)
	inner, closed := bytes.CutSuffix(inner, fence)
	if !opened || !closed {
		return text
	}
	info, body, found := bytes.Cut(inner, []byte{'\n'})
	if !found || bytes.ContainsAny(info, "`{[") {
		return text
	}
	return body
}

// fixer writes down what a scanner understands. A nil fixer does nothing.
type fixer struct {
	out    []byte
	marked int // where the last quote or comma is that may have to go
}

func (f *fixer) raw(c byte) {
	if f != nil {
		f.out = append(f.out, c)
	}
}

func (f *fixer) text(s string) {
	if f != nil {
		f.out = append(f.out, s...)
	}
}

const hexDigits = "0123456789abcdef"

// content writes bytes of a string, escaped where they have to be.
func (f *fixer) content(p []byte) {
	if f == nil {
		return
	}
	for _, c := range p {
		switch {
		case c == '"':
			f.text(`\"`)
		case c == '\n':
			f.text(`\n`)
		case c == '\r':
			f.text(`\r`)
		case c == '\t':
			f.text(`\t`)
		case c < 0x20:
			f.text(`\u00`)
			f.raw(hexDigits[c>>4])
			f.raw(hexDigits[c&15])
		default:
			f.raw(c)
		}
	}
}

// mark remembers that what is written next may have to go.
func (f *fixer) mark() {
	if f != nil {
		f.marked = len(f.out)
	}
}

// drop takes the marked comma out.
func (f *fixer) drop() {
	if f != nil {
		f.out = append(f.out[:f.marked], f.out[f.marked+1:]...)
	}
}

// undoQuote makes the marked quote and the white space after it content.
func (f *fixer) undoQuote(quote byte) {
	if f == nil {
		return
	}
	space := bytes.Clone(f.out[f.marked+1:])
	f.out = f.out[:f.marked]
	if curlyQuote(quote) != 0 {
		f.out = append(f.out, curly1, curly2, quote)
	} else {
		f.content([]byte{quote})
	}
	f.content(space)
}
