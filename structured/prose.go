package structured

import "strings"

// prose reads what stands around the JSON: it tells where the JSON may begin. That
// is neither within what looks like thinking at the start of an answer, nor in inline
// code within a sentence, nor in a code fence of another language.
type prose struct {
	begun  bool   // there was something other than white space
	last   byte   // the last byte that was not white space
	line   bool   // there was something in this line
	inline bool   // within inline code
	ticks  int    // backticks just before
	fenced bool   // within a code fence
	info   bool   // in the first line of a fence
	word   []byte // the language that it names
	other  bool   // it is not JSON

	thought thought
}

// step takes a byte and reports whether JSON may begin with it if it is a bracket.
func (p *prose) step(c byte) bool {
	if p.thought.takes(c, p.begun) {
		p.begun = p.begun || !isSpace(c)
		return false
	}
	if c == '`' {
		p.ticks++
		return false
	}
	if p.ticks > 0 {
		p.marker()
	}
	if c == '\n' {
		p.inline, p.line = false, false
	}
	if p.info {
		p.language(c)
	}
	if isSpace(c) || p.info {
		return false
	}
	p.begun, p.line, p.last = true, true, c
	return !p.inline && !p.other
}

// marker takes the backticks that just ended.
func (p *prose) marker() {
	switch {
	case p.ticks >= 3:
		p.fenced = !p.fenced
		p.info, p.other, p.inline = p.fenced, false, false
		p.word = p.word[:0]
	case p.begun && p.ticks == 1:
		p.inline = !p.inline
	}
	p.ticks, p.begun = 0, true
}

// language takes a byte of the first line of a fence.
func (p *prose) language(c byte) {
	switch {
	case c == '\n' || c == '{' || c == '[':
		p.info = false
		p.other = !isJSON(string(p.word))
	case len(p.word) < 32:
		p.word = append(p.word, c)
	}
}

// isJSON reports whether the first line of a fence is one that JSON comes with.
func isJSON(info string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(info), " ")
	switch strings.ToLower(word) {
	case "", "json", "jsonc", "json5", "js", "javascript", "text", "txt", "plaintext", "output":
		return true
	}
	return false
}

// thought skips <think>…</think>, if an answer begins with it.
type thought struct {
	state   thoughtState
	matched int
}

type thoughtState uint8

const (
	thoughtPossible thoughtState = iota
	thoughtBegun
	thoughtOver
)

const (
	thoughtOpen  = "<think"
	thoughtClose = "</think"
)

// takes reports whether a byte belongs to the thought, or may. What only begins like
// one has no bracket in it, so that nothing is missed.
func (t *thought) takes(c byte, begun bool) bool {
	switch t.state {
	case thoughtPossible:
		if isSpace(c) && !begun {
			return true
		}
		if c != thoughtOpen[t.matched] {
			t.state = thoughtOver
			return false
		}
		if t.matched++; t.matched == len(thoughtOpen) {
			t.state, t.matched = thoughtBegun, 0
		}
		return true
	case thoughtBegun:
		switch {
		case c == thoughtClose[t.matched]:
			t.matched++
		case c == '<':
			t.matched = 1
		default:
			t.matched = 0
		}
		if t.matched == len(thoughtClose) {
			t.state = thoughtOver
		}
		return true
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
