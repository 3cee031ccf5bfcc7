// Package stopseq ends a text before the first of some stop sequences, while the
// text comes in pieces.
package stopseq

import "slices"

// Filter passes text on until a stop sequence begins in it. It holds back what may
// be the beginning of one, and nothing else, and takes each byte once: the time is
// linear in the text, whatever the sequences are. If pieces part no characters,
// neither does what it passes on.
//
// A Filter is for one text and not safe for concurrent use.
type Filter struct {
	searches []search
	first    [256]bool // the bytes that a sequence begins with

	held    string // what of the text is held back: the beginning of a sequence
	match   int    // how long ago a sequence began that has come whole; 0 if none has
	stopped bool
}

// search looks for one sequence, as Knuth, Morris and Pratt do.
type search struct {
	stop string
	// borders are by length less one: of the beginning of stop that is so long, how
	// long is the longest part that it both begins and ends with.
	borders []int32
	found   int // how much of stop the text ends with
}

// New returns a filter for some stop sequences. Those that are empty do not count.
// It takes five times the memory of the sequences.
func New(stops []string) *Filter {
	f := new(Filter)
	for i, stop := range stops {
		if stop == "" || slices.Contains(stops[:i], stop) {
			continue
		}
		f.first[stop[0]] = true
		f.searches = append(f.searches, search{stop: stop, borders: borders(stop)})
	}
	return f
}

func borders(stop string) []int32 {
	b := make([]int32, len(stop))
	s := search{stop: stop, borders: b}
	for i := 1; i < len(stop); i++ {
		s.next(stop[i])
		b[i] = int32(s.found)
	}
	return b
}

// next takes the next byte of the text.
func (s *search) next(c byte) {
	for s.found > 0 && s.stop[s.found] != c {
		s.found = int(s.borders[s.found-1])
	}
	if s.stop[s.found] == c {
		s.found++
	}
}

// Append appends to dst what of the text up to and including its next piece
// certainly comes before any stop sequence. It reports whether a sequence has
// come; then the text has ended, and nothing more is ever appended. Of several
// sequences, that counts which begins first. As long as one that began before
// may still become whole, it waits for that.
func (f *Filter) Append(dst, text []byte) (out []byte, stopped bool) {
	if f.stopped {
		return dst, true
	}
	before, longest := f.held, f.longest()
	for i := 0; i < len(text); i++ {
		if longest == nil {
			if i += f.skip(text[i:]); i == len(text) {
				break
			}
		}
		longest = f.next(text[i])
		if f.match > 0 && (longest == nil || longest.found <= f.match) {
			dst = appendFirst(dst, before, text, len(before)+i+1-f.match)
			f.stopped, f.held, f.match = true, "", 0
			return dst, true
		}
	}
	f.held = ""
	if longest != nil {
		f.held = longest.stop[:longest.found]
	}
	return appendFirst(dst, before, text, len(before)+len(text)-len(f.held)), false
}

// End appends to dst what was held back: the text has come whole. The filter is
// then at its end.
func (f *Filter) End(dst []byte) []byte {
	dst = append(dst, f.held[:len(f.held)-f.match]...)
	f.stopped, f.held, f.match = true, "", 0
	return dst
}

// skip returns how much of the text comes before the first byte that a sequence
// begins with.
func (f *Filter) skip(text []byte) int {
	for i, c := range text {
		if f.first[c] {
			return i
		}
	}
	return len(text)
}

// next takes the next byte of the text, and returns the longest beginning of a
// sequence that the text ends with, or nil.
func (f *Filter) next(c byte) *search {
	if f.match > 0 {
		f.match++
	}
	for i := range f.searches {
		s := &f.searches[i]
		if s.next(c); s.found == len(s.stop) {
			f.match = max(f.match, len(s.stop))
			s.found = 0 // what begins within the match does not count any more
		}
	}
	return f.longest()
}

func (f *Filter) longest() (longest *search) {
	for i := range f.searches {
		if s := &f.searches[i]; s.found > 0 && (longest == nil || s.found > longest.found) {
			longest = s
		}
	}
	return longest
}

// appendFirst appends the first n bytes of two texts.
func appendFirst(dst []byte, a string, b []byte, n int) []byte {
	if n <= len(a) {
		return append(dst, a[:n]...)
	}
	return append(append(dst, a...), b[:n-len(a)]...)
}
