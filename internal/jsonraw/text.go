package jsonraw

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean reports whether raw is the content of a valid JSON string: valid UTF-8,
// no control characters, only known escapes, no unpaired surrogates.
func Clean(raw []byte) bool {
	ascii := true
	for i := 0; i < len(raw); {
		switch classes[raw[i]] {
		case plain:
			i++
		case wide:
			ascii = false
			i++
		case escape:
			n := escapeLen(raw[i:])
			if n == 0 {
				return false
			}
			i += n
		default:
			return false
		}
	}
	return ascii || utf8.Valid(raw)
}

// The classes of bytes in the content of a JSON string.
const (
	plain     = iota
	wide      // part of a character outside of ASCII
	escape    // a backslash
	forbidden // a control character or a quotation mark
)

var classes = func() (t [256]uint8) {
	for b := range t {
		switch {
		case b >= utf8.RuneSelf:
			t[b] = wide
		case b < ' ' || b == '"':
			t[b] = forbidden
		case b == '\\':
			t[b] = escape
		}
	}
	return t
}()

// escapeLen returns the length of the escape at the start of b, a surrogate
// pair counting as one, or 0 if it is not a complete one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	r, ok := unit(b)
	switch {
	case !ok:
		return 0
	case !utf16.IsSurrogate(r):
		return 6
	}
	if low, ok := unit(b[6:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
		return 12
	}
	return 0
}

// unit decodes the \uXXXX escape at the start of b.
func unit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// HighSurrogate reports whether raw ends with the escape of a high surrogate,
// the first half of a pair whose second half may follow in the next piece of a
// text that is sent in pieces.
func HighSurrogate(raw []byte) bool {
	if len(raw) < 6 || escaped(raw[:len(raw)-6]) {
		return false
	}
	r, ok := unit(raw[len(raw)-6:])
	return ok && r >= 0xd800 && r < 0xdc00
}

// AppendClean appends raw to dst, made into the content of a valid JSON string:
// invalid bytes, unknown escapes and unpaired surrogates become U+FFFD, control
// characters are escaped.
func AppendClean(dst, raw []byte) []byte {
	for len(raw) > 0 {
		switch b := raw[0]; {
		case b == '\\':
			n := escapeLen(raw)
			if n == 0 {
				dst = append(dst, "\ufffd"...)
				n = min(brokenEscapeLen(raw), len(raw))
			} else {
				dst = append(dst, raw[:n]...)
			}
			raw = raw[n:]
		case b < ' ' || b == '"':
			dst = appendEscaped(dst, b)
			raw = raw[1:]
		default:
			r, n := utf8.DecodeRune(raw)
			dst = utf8.AppendRune(dst, r)
			raw = raw[n:]
		}
	}
	return dst
}

// brokenEscapeLen tells how much of raw to replace: an unpaired surrogate
// whole, of anything else only the backslash and what follows it.
func brokenEscapeLen(raw []byte) int {
	if _, ok := unit(raw); ok {
		return 6
	}
	return 2
}

func appendEscaped(dst []byte, b byte) []byte {
	const hex = "0123456789abcdef"
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
}

// AppendText appends the text that raw, the content of a valid JSON string,
// stands for.
func AppendText(dst, raw []byte) []byte {
	for len(raw) > 0 {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:n]...)
		raw = raw[n:]
		n = escapeLen(raw)
		if n == 0 {
			n = 1
		}
		dst = appendUnescaped(dst, raw[:n])
		raw = raw[n:]
	}
	return dst
}

func appendUnescaped(dst, esc []byte) []byte {
	switch len(esc) {
	case 12:
		high, _ := unit(esc)
		low, _ := unit(esc[6:])
		return utf8.AppendRune(dst, utf16.DecodeRune(high, low))
	case 6:
		r, _ := unit(esc)
		return utf8.AppendRune(dst, r)
	case 2:
		if i := bytes.IndexByte([]byte("bfnrt"), esc[1]); i >= 0 {
			return append(dst, "\b\f\n\r\t"[i])
		}
		return append(dst, esc[1])
	}
	return utf8.AppendRune(dst, utf8.RuneError)
}

// Cut returns the largest length of at most limit bytes at which raw, the
// content of a valid JSON string, can be cut without parting an escape, a
// surrogate pair or a code point. The limit must be at least 12.
func Cut(raw []byte, limit int) int {
	if len(raw) <= limit {
		return len(raw)
	}
	n := limit
	for n > limit-utf8.UTFMax && !utf8.RuneStart(raw[n]) {
		n--
	}
	// An escape that the cut would part starts at most 11 bytes before it.
	for start := max(0, n-11); start < n; start++ {
		if raw[start] != '\\' || escaped(raw[:start]) {
			continue
		}
		size := escapeLen(raw[start:])
		if start+size > n {
			return start
		}
		start += max(size, 1) - 1
	}
	return n
}
