package structured

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/caddy-qwen/caddy-qwen/internal/loosejson"
)

const (
	// maxJSON is how long the JSON of an answer may be, in bytes. All of it is kept,
	// to be checked.
	maxJSON = 1 << 20
	// maxAgain is how much of what only looked like JSON is read again, in bytes:
	// there may be JSON in it, as in: "{" and {"a":1}.
	maxAgain = 256
)

// Filter takes the JSON out of one answer while it arrives.
//
// The JSON is the first object (or array, where the schema has one at its top) that
// begins like one: a brace, a string, a colon. Where the schema lists all keys, the
// first key must be one of them. Words, thoughts, other code, and references such as [1]
// around it are left out. The result does not depend on how the answer was split.
type Filter struct {
	shape   *Shape
	phase   phase
	prose   prose
	opening opening
	scan    loosejson.Scanner
	text    []byte // of the JSON so far
	written int    // how much of it was handed out

	again    bool   // the text is none, and to be read again but for its first byte
	certain  bool   // what is read is the JSON
	weak     bool   // it will only be used if there is nothing better
	alone    bool   // there is nothing before it in its line
	pending  []byte // a weak one whose line goes on
	spare    []byte // the longest weak one that stands alone in its line
	mistaken string // what is wrong with the first object that was left out
	listed   bool   // the object is an item of a list that is not asked for
	several  bool   // and not its only one
	ticks    int    // backticks where the JSON could not go on; -1: something else
	closed   bool   // they end the code fence around it
}

type phase uint8

const (
	seeking  phase = iota // for where it may begin
	starting              // it may have begun
	holding               // it is not certain, or not strict: nothing is handed out
	leaving               // an object that is not meant
	writing               // it is certain
	complete
	lost // it cannot go on as it does
	full // it is too long
)

// Filter returns a filter for one answer.
func (s *Shape) Filter() *Filter { return &Filter{shape: s} }

// Append takes the next piece of the answer and appends to dst what is certain to be
// part of the JSON. It keeps no reference to text.
func (f *Filter) Append(dst, text []byte) []byte {
	for len(text) > 0 {
		switch f.phase {
		case seeking:
			text = f.seek(text)
		case starting:
			text = f.open(text)
		case holding, leaving, writing:
			text = f.read(text)
		case complete:
			f.after(text)
			return dst
		case lost:
			f.fenceEnd(text)
			return dst
		default:
			return dst
		}
		if f.again {
			dst = f.readAgain(dst)
		}
		dst = f.hand(dst)
	}
	return dst
}

// readAgain looks for JSON behind the bracket with which none began. It calls itself
// for what looks like JSON in there, which is shorter each time.
func (f *Filter) readAgain(dst []byte) []byte {
	var text [maxAgain]byte
	n := copy(text[:], f.text[1:])
	f.again = false
	return f.Append(dst, text[:n])
}

// hand appends what became certain.
func (f *Filter) hand(dst []byte) []byte {
	if !f.certain {
		return dst
	}
	if n := f.scan.Strict(); n > f.written {
		dst = append(dst, f.text[f.written:n]...)
		f.written = n
	}
	return dst
}

// seek looks for a bracket with which the JSON may begin.
func (f *Filter) seek(text []byte) (rest []byte) {
	for i, c := range text {
		f.settle(c)
		before, alone := f.prose.last, !f.prose.line
		if !f.prose.step(c) || !(c == '{' && f.shape.root.objects || c == '[' && f.shape.root.lists) {
			continue
		}
		f.phase = starting
		f.listed, f.alone = before == '[', alone
		f.opening.open(c)
		f.text = f.text[:0]
		f.scan.Reset()
		f.take(text[i : i+1])
		return text[i+1:]
	}
	return nil
}

// open looks at bytes until it is known what has begun.
func (f *Filter) open(text []byte) (rest []byte) {
	for i := range text {
		verdict := f.opening.step(text[i])
		_, state := f.take(text[i : i+1])
		switch {
		case f.phase == full:
			return nil
		case state == loosejson.Lost:
			f.drop()
			return text[i:]
		case verdict == unsure:
			continue
		}
		f.decide(verdict)
		if state == loosejson.Done {
			f.end()
		}
		return text[i+1:]
	}
	return nil
}

// decide goes on as an opening demands.
func (f *Filter) decide(v verdict) {
	f.phase, f.weak = holding, v == weak
	if v != plausible {
		return
	}
	if keys := f.shape.root.keys; keys != nil && !f.opening.list {
		if name := key(f.text); !keys[name] {
			f.phase = leaving
			if f.mistaken == "" {
				f.mistaken = "must not have the property " + strconv.Quote(plain(name, 60))
			}
			return
		}
	}
	f.phase, f.certain = writing, true
}

// settle looks at the byte after something weak: whether its line ends there.
func (f *Filter) settle(c byte) {
	switch {
	case f.pending == nil || c == ' ' || c == '\t' || c == '\r':
		return
	case (c == '\n' || c == '`') && len(f.pending) > len(f.spare):
		f.spare = f.pending
	}
	f.pending = nil
}

// read takes what belongs to the JSON that has begun.
func (f *Filter) read(text []byte) (rest []byte) {
	n, state := f.take(text)
	switch {
	case f.phase == full:
		return nil
	case state == loosejson.Done:
		f.end()
	case state == loosejson.Lost && f.phase == writing:
		f.phase = lost
	case state == loosejson.Lost:
		f.drop()
	}
	return text[n:]
}

// take gives bytes to the scanner and keeps those that belong to the JSON.
func (f *Filter) take(text []byte) (n int, state loosejson.State) {
	if f.phase == leaving {
		return f.scan.Scan(text)
	}
	if room := maxJSON - len(f.text); len(text) > room {
		if room == 0 {
			f.phase = full
			return 0, loosejson.More
		}
		text = text[:room]
	}
	n, state = f.scan.Scan(text)
	f.text = append(f.text, text[:n]...)
	return n, state
}

// end is called where the JSON that was read ends.
func (f *Filter) end() {
	switch {
	case f.phase == leaving:
		f.leave()
	case f.weak:
		if f.alone {
			f.pending = bytes.Clone(f.text)
		}
		f.leave()
	default:
		f.phase = complete
	}
}

// drop gives up what turned out to be no JSON.
func (f *Filter) drop() {
	if f.phase == leaving || len(f.text) > maxAgain {
		f.leave()
		return
	}
	f.phase, f.weak, f.again = seeking, false, true
}

// leave goes on looking behind what has been read.
func (f *Filter) leave() {
	f.phase, f.weak = seeking, false
	f.prose.last = 0 // it was a bracket
}

// fenceEnd looks at what follows where the JSON could not go on: whether it is the end
// of the code fence around it, so that only its brackets are missing.
func (f *Filter) fenceEnd(text []byte) {
	for _, c := range text {
		switch {
		case f.ticks < 0 || f.closed:
			return
		case c != '`':
			f.ticks = -1
			return
		}
		f.ticks++
		f.closed = f.ticks == 3 && f.prose.fenced
	}
}

// after looks at what follows the JSON: only whether it was one of several.
func (f *Filter) after(text []byte) {
	if !f.listed {
		return
	}
	for _, c := range text {
		if !isSpace(c) {
			f.several, f.listed = c == ',', false
			return
		}
	}
}

// End is called once the answer is complete. It appends the rest of the JSON. A
// problem says that what was appended all in all is not what the client asked for:
// with a Violation it is JSON that does not fit the schema, else it is a part of
// JSON or nothing.
func (f *Filter) End(dst []byte) ([]byte, *Problem) {
	f.settle('\n')
	text, problem := f.final()
	if problem != nil {
		return dst, problem
	}
	dst = append(dst, text[f.written:]...)
	switch {
	case f.several:
		return dst, &Problem{Violation, "must be one object, not a list of several"}
	case f.shape.schema == nil:
		return dst, nil
	}
	if v := f.shape.schema.Validate(text); v != nil {
		return dst, &Problem{Violation, v.String()}
	}
	return dst, nil
}

// final returns the JSON of the whole answer.
func (f *Filter) final() ([]byte, *Problem) {
	switch {
	case f.phase == full:
		return nil, &Problem{TooLarge, fmt.Sprintf("at most %d bytes are possible", maxJSON)}
	case f.phase == writing:
		return nil, &Problem{Incomplete, "it ends after " + tail(f.text)}
	case f.phase == complete, f.closed:
		return f.repaired()
	case f.phase == lost:
		return nil, &Problem{Malformed, "it cannot go on after " + tail(f.text)}
	case f.spare != nil:
		return f.useSpare()
	case f.mistaken != "":
		return nil, &Problem{Violation, f.mistaken}
	case f.phase != seeking && !f.weak:
		return nil, &Problem{Incomplete, "it ends after " + tail(f.text)}
	}
	return nil, &Problem{Kind: NoJSON}
}

// repaired returns the JSON that the text is meant to be.
func (f *Filter) repaired() ([]byte, *Problem) {
	repair := loosejson.Repair
	if f.closed {
		repair = loosejson.RepairUnclosed
	}
	text, ok := repair(f.text)
	if !ok || !bytes.HasPrefix(text, f.text[:f.written]) {
		return nil, &Problem{Malformed, "it cannot be understood before " + tail(f.text)}
	}
	return text, nil
}

// useSpare returns what was not likely to be the JSON when it was read.
func (f *Filter) useSpare() ([]byte, *Problem) {
	text, ok := loosejson.Repair(f.spare)
	if !ok {
		return nil, &Problem{Kind: NoJSON}
	}
	return text, nil
}

// tail quotes the end of a text.
func tail(text []byte) string {
	cut := max(0, len(text)-60)
	for cut < len(text) && cut > 0 && text[cut]&0xC0 == 0x80 {
		cut++
	}
	return strconv.Quote(plain(string(text[cut:]), 80))
}
