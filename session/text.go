package session

import (
	"crypto/sha256"
	"hash"
	"strings"
	"unicode"
	"unicode/utf8"
)

// folder digests a text that comes in pieces, with every run of white space as
// one space and none at the ends. Pieces must not part characters.
type folder struct {
	sum   hash.Hash
	buf   [256]byte
	n     int  // bytes in buf
	runes int  // characters so far, folded, or minUnique if there are more
	space bool // white space came after the last character
}

func newFolder() *folder { return &folder{sum: sha256.New()} }

// clone returns a folder that has got the same text.
func (f *folder) clone() *folder {
	f.flush()
	sum, err := f.sum.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // SHA-256 can be cloned
	}
	return &folder{sum: sum, runes: f.runes, space: f.space}
}

func (f *folder) write(p []byte) {
	for len(p) > 0 {
		if n := spaceLen(p); n > 0 {
			f.space = true
			p = p[n:]
			continue
		}
		n := foldedLen(p)
		f.put(p[:n])
		p = p[n:]
	}
}

// The classes of bytes for folding.
const (
	letter = iota // part of a character that is no white space
	blank         // a space
	other         // white space that is not a space
	lead          // may begin a white space character outside of ASCII
)

var classes = func() (t [256]uint8) {
	for c := '\t'; c <= '\r'; c++ {
		t[c] = other
	}
	t[' '] = blank
	for _, c := range []byte{0xc2, 0xe1, 0xe2, 0xe3} {
		t[c] = lead
	}
	return t
}()

// foldedLen returns how much of p, which begins with no white space, is folded
// already: it ends before white space that is more than a space between two
// letters.
func foldedLen(p []byte) int {
	for i := 1; i < len(p); i++ {
		switch classes[p[i]] {
		case letter:
		case blank:
			if i+1 == len(p) || classes[p[i+1]] != letter {
				return i
			}
		default:
			if spaceLen(p[i:]) > 0 {
				return i
			}
		}
	}
	return len(p)
}

// spaceLen returns the length of the white space character at the start of p, or
// 0 if there is none.
func spaceLen(p []byte) int {
	switch classes[p[0]] {
	case letter:
		return 0
	case lead:
		if r, size := utf8.DecodeRune(p); unicode.IsSpace(r) {
			return size
		}
		return 0
	}
	return 1
}

// put adds folded text.
func (f *folder) put(text []byte) {
	if f.n+1+len(text) > len(f.buf) {
		f.flush()
	}
	if f.space && f.runes > 0 {
		f.buf[f.n] = ' '
		f.n++
		f.runes = min(f.runes+1, minUnique)
	}
	f.space = false
	if f.runes < minUnique {
		f.runes = min(f.runes+utf8.RuneCount(text), minUnique)
	}
	if len(text) < len(f.buf) {
		f.n += copy(f.buf[f.n:], text)
		return
	}
	f.flush()
	f.sum.Write(text)
}

func (f *folder) flush() {
	f.sum.Write(f.buf[:f.n])
	f.n = 0
}

// digest returns the digest of the text so far.
func (f *folder) digest() Digest {
	f.flush()
	var out [sha256.Size]byte
	f.sum.Sum(out[:0])
	return cut(out)
}

// fold returns the digest of a whole text and how many characters it has, folded,
// or minUnique if it has more.
func fold(text string) (Digest, int) {
	f := newFolder()
	for chunk := range chunks(text) {
		f.write(chunk)
	}
	return f.digest(), f.runes
}

// chunks yields a text in pieces that part no characters. The pieces are valid
// until the next.
func chunks(text string) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var buf [512]byte
		for len(text) > 0 {
			n := whole(buf[:copy(buf[:], text)])
			if !yield(buf[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// whole returns how many bytes of a text come before a character that is parted by
// its end.
func whole(p []byte) int {
	for i := len(p) - 1; i > len(p)-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}

// unquoter passes a text on without the marks of quotations, which are `>` at
// the start of lines. Clients show reasoning like that.
type unquoter struct {
	to     *folder
	inLine bool // past the marks of the line
}

func (u *unquoter) write(p []byte) {
	start := 0
	for i, c := range p {
		switch {
		case c == '\n':
			u.inLine = false
		case u.inLine:
		case c == '>' || c == ' ' || c == '\t':
			u.to.write(p[start:i])
			start = i + 1
		default:
			u.inLine = true
		}
	}
	u.to.write(p[start:])
}

// asKept returns a text of the client's own, which it sends back as it is but for
// its ends and the way in which lines end. White space within may have a meaning.
func asKept(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
}

// The marks around what clients take out of replies.
const (
	thinkOpen, thinkClose = "<think>", "</think>"
	toolOpen, toolClose   = "<tool_use>", "</tool_use>"
	detailsOpen           = `<details type="reasoning"`
	detailsClose          = "</details>"
)

// withoutReasoning returns a reply without the reasoning that clients put into
// its text: blocks of <think> at its start, and of <details type="reasoning">
// anywhere. A block without an end stays.
func withoutReasoning(text string) string {
	if strings.Contains(text, detailsOpen) {
		text = withoutDetails(text)
	}
	for {
		inner, found := strings.CutPrefix(strings.TrimLeftFunc(text, unicode.IsSpace), thinkOpen)
		_, after, closed := strings.Cut(inner, thinkClose)
		if !found || !closed {
			return text
		}
		text = after
	}
}

func withoutDetails(text string) string {
	var b strings.Builder
	for {
		before, inner, found := strings.Cut(text, detailsOpen)
		_, after, closed := strings.Cut(inner, detailsClose)
		if !found || !closed {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		text = after
	}
}
