package browser

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The kinds of what a PowerShell command is made of.
const (
	psWord    = iota
	psString  // in quotation marks
	psMark    // brackets, `=` and `,`
	psNewline // or `;`
)

type psToken struct {
	kind int
	text string
}

// is reports whether a token is a word or mark, whatever its case.
func (t psToken) is(text string) bool { return t.kind != psString && strings.EqualFold(t.text, text) }

// psSplit takes commands apart. What PowerShell would put something else in place of
// is refused, but for the characters that Chrome and Edge write by their numbers.
func psSplit(text string) (tokens []psToken, err error) {
	for rest := text; rest != ""; {
		var token psToken
		n := 0
		switch c := rest[0]; {
		case c == ' ' || c == '\t':
			rest = rest[1:]
			continue
		case strings.HasPrefix(rest, "`\n"): // the command goes on
			rest = rest[2:]
			continue
		case c == '\n' || c == ';':
			token, n = psToken{psNewline, ""}, 1
		case c == '"':
			token, n, err = psDouble(rest)
		case c == '\'':
			token, n, err = psSingle(rest)
		case strings.HasPrefix(rest, "$("):
			err = errExpansion
		case strings.IndexByte("&|<>", c) >= 0:
			err = errSeveral
		case strings.HasPrefix(rest, "@{"):
			token, n = psToken{psMark, "@{"}, 2
		case strings.IndexByte("(){}=,", c) >= 0:
			token, n = psToken{psMark, rest[:1]}, 1
		default:
			n = psWordEnd(rest)
			token = psToken{psWord, rest[:n]}
		}
		if err != nil {
			return nil, err
		}
		tokens, rest = append(tokens, token), rest[n:]
	}
	return tokens, nil
}

// psWordEnd returns the length of the word that a text begins with.
func psWordEnd(text string) int {
	if end := strings.IndexAny(text[1:], " \t\n;\"'(){}=,&|<>`"); end >= 0 {
		return end + 1
	}
	return len(text)
}

// psSingle reads a text in single quotation marks, where a doubled one stands for
// itself.
func psSingle(text string) (psToken, int, error) {
	var value strings.Builder
	for n := 1; ; {
		end := strings.IndexByte(text[n:], '\'')
		if end < 0 {
			return psToken{}, 0, errUnfinished
		}
		value.WriteString(text[n : n+end])
		n += end + 1
		if !strings.HasPrefix(text[n:], "'") {
			return psToken{psString, value.String()}, n, nil
		}
		value.WriteByte('\'')
		n++
	}
}

// psNumbered is a character by its number.
var psNumbered = regexp.MustCompile(`^\$\(\[char\]([0-9]{1,5})\)`)

// psDouble reads a text in double quotation marks. Chrome and Edge write all that is
// not in ASCII as numbers of 16 bits.
func psDouble(text string) (psToken, int, error) {
	var value []uint16
	for n := 1; n < len(text); {
		rest := text[n:]
		switch c := rest[0]; {
		case c == '"' && !strings.HasPrefix(rest, `""`):
			return psToken{psString, string(utf16.Decode(value))}, n + 1, nil
		case c == '"':
			value, n = append(value, '"'), n+2
		case c == '`' && len(rest) > 1 && rest[1] < utf8.RuneSelf:
			value, n = append(value, psEscape(rest[1])), n+2
		case c == '`':
			n++
		case c == '$':
			unit, length, err := psDollar(rest)
			if err != nil {
				return psToken{}, 0, err
			}
			value, n = append(value, unit), n+length
		default:
			end := strings.IndexAny(rest, "\"`$")
			if end < 0 {
				return psToken{}, 0, errUnfinished
			}
			value, n = append(value, utf16.Encode([]rune(rest[:end]))...), n+end
		}
	}
	return psToken{}, 0, errUnfinished
}

// psDollar reads what a dollar sign stands for.
func psDollar(text string) (unit uint16, length int, err error) {
	if m := psNumbered.FindStringSubmatch(text); m != nil {
		if number, err := strconv.ParseUint(m[1], 10, 16); err == nil {
			return uint16(number), len(m[0]), nil
		}
	}
	if len(text) > 1 && (isAlphanumeric(text[1]) || strings.IndexByte("({_?$^:", text[1]) >= 0) {
		return 0, 0, errExpansion
	}
	return '$', 1, nil
}

// psEscape returns what a character after a backtick stands for.
func psEscape(c byte) uint16 {
	if i := strings.IndexByte("0abefnrtv", c); i >= 0 {
		return uint16("\x00\a\b\x1b\f\n\r\t\v"[i])
	}
	return uint16(c)
}
