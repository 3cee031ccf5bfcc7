package browser

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// words collects the words of a command.
type words struct {
	list []string
	word strings.Builder
	open bool // a word has begun, though it may be empty so far
}

func (w *words) add(text string) {
	w.open = true
	w.word.WriteString(text)
}

// end ends a word.
func (w *words) end() {
	if w.open {
		w.list = append(w.list, w.word.String())
	}
	w.word.Reset()
	w.open = false
}

// bash takes a command apart.
type bash struct {
	words
	rest string
}

// bashWords returns the words of the single command in a text as bash understands
// it. What bash would put something else in place of is refused.
func bashWords(text string) ([]string, error) {
	b := &bash{rest: text}
	for b.rest != "" {
		if err := b.step(); err != nil {
			return nil, err
		}
	}
	b.end()
	return b.list, nil
}

// take returns the next n bytes.
func (b *bash) take(n int) string {
	text := b.rest[:n]
	b.rest = b.rest[n:]
	return text
}

// step reads one character outside of quotation marks, or everything within them.
func (b *bash) step() error {
	switch c := b.rest[0]; {
	case strings.HasPrefix(b.rest, "\\\n"):
		b.take(2)
	case c == '\\':
		if len(b.rest) < 2 {
			return errUnfinished
		}
		b.add(b.take(2)[1:])
	case c == '\'':
		end := strings.IndexByte(b.rest[1:], '\'')
		if end < 0 {
			return errUnfinished
		}
		b.add(b.take(end + 2)[1 : end+1])
	case strings.HasPrefix(b.rest, "$'"):
		b.take(2)
		return b.ansi()
	case c == '"':
		b.take(1)
		return b.double()
	case expands(b.rest):
		return errExpansion
	case c == ' ' || c == '\t':
		b.take(1)
		b.end()
	case strings.IndexByte("\n;&|<>()", c) >= 0:
		return b.last()
	case c == '#' && !b.open:
		b.take(strings.IndexByte(b.rest+"\n", '\n'))
	default:
		b.add(b.take(1))
	}
	return nil
}

// last reads what ends a command. Another one must not follow.
func (b *bash) last() error {
	if strings.Trim(b.rest, "; \t\n") != "" {
		return errSeveral
	}
	b.rest = ""
	return nil
}

// expands reports whether bash puts something else in place of what follows.
func expands(text string) bool {
	if text[0] != '$' || len(text) == 1 {
		return text[0] == '`'
	}
	c := text[1]
	return strings.IndexByte("({[\"@*#?-$!_", c) >= 0 || isAlphanumeric(c)
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// double reads a text in double quotation marks.
func (b *bash) double() error {
	b.add("")
	for b.rest != "" {
		switch c := b.rest[0]; {
		case c == '"':
			b.take(1)
			return nil
		case c == '\\' && len(b.rest) > 1 && strings.IndexByte("$`\"\\\n", b.rest[1]) >= 0:
			b.add(strings.TrimSuffix(b.take(2)[1:], "\n"))
		case c != '\\' && !strings.HasPrefix(b.rest, `$"`) && expands(b.rest):
			return errExpansion
		default:
			b.add(b.take(1))
		}
	}
	return errUnfinished
}

// ansi reads a text in $'…'.
func (b *bash) ansi() error {
	b.add("")
	for {
		next := strings.IndexAny(b.rest, `\'`)
		if next < 0 || next == len(b.rest)-1 && b.rest[next] == '\\' {
			return errUnfinished
		}
		b.add(b.take(next))
		if b.take(1) == "'" {
			return nil
		}
		text, n := ansiEscape(b.rest)
		b.add(text)
		b.take(n)
	}
}

// ansiLetters has what single letters after a backslash stand for.
var ansiLetters = map[byte]string{
	'a': "\a", 'b': "\b", 'e': "\x1b", 'E': "\x1b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'\\': `\`, '\'': `'`, '"': `"`, '?': "?",
}

// ansiEscape returns what the text after a backslash stands for, and how long it
// is. Text is not empty.
func ansiEscape(text string) (string, int) {
	if letter, ok := ansiLetters[text[0]]; ok {
		return letter, 1
	}
	switch text[0] {
	case 'x':
		if value, n := number(text[1:], 16, 2); n > 0 {
			return string([]byte{byte(value)}), n + 1
		}
	case 'u':
		if value, n := number(text[1:], 16, 4); n > 0 {
			return surrogates(value, text[1+n:], n+1)
		}
	case 'U':
		if value, n := number(text[1:], 16, 8); n > 0 {
			return string(value), n + 1
		}
	}
	if value, n := number(text, 8, 3); n > 0 {
		return string([]byte{byte(value)}), n
	}
	_, n := utf8.DecodeRuneInString(text)
	return `\` + text[:n], n
}

// surrogates returns the character of a number. Browsers write those beyond 16 bits
// as two, of which bash makes none.
func surrogates(first rune, rest string, length int) (string, int) {
	if low, ok := strings.CutPrefix(rest, `\u`); ok && utf16.IsSurrogate(first) {
		if second, n := number(low, 16, 4); n == 4 {
			if c := utf16.DecodeRune(first, second); c != utf8.RuneError {
				return string(c), length + 6
			}
		}
	}
	return string(first), length
}

// number returns the number that a text begins with, and its length.
func number(text string, base, digits int) (rune, int) {
	n := 0
	for n < min(digits, len(text)) && strings.IndexByte("0123456789abcdefABCDEF"[:base+6*(base/16)], text[n]) >= 0 {
		n++
	}
	value, _ := strconv.ParseUint(text[:n], base, 32)
	return rune(value), n
}
