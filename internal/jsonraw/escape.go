package jsonraw

import "unicode/utf8"

// AppendEscaped appends the start of text to dst as the content of a JSON
// string: as much of it as takes at most limit bytes there, without parting a
// character. It returns the extended slice and the number of bytes of text that
// it has appended, which is at least 1 unless text is empty. Bytes that are not
// UTF-8 become U+FFFD. The limit must be at least 6.
func AppendEscaped(dst []byte, text string, limit int) (out []byte, n int) {
	kept := 0 // what of text[:n] is not yet in dst
	for n < len(text) && limit > 0 {
		read, written := 1, 1
		switch classes[text[n]] {
		case plain:
		case wide:
			var r rune
			if r, read = utf8.DecodeRuneInString(text[n:]); r == utf8.RuneError {
				written = len("\ufffd")
			} else {
				written = read
			}
		default:
			written = escapedLen(text[n])
		}
		if written > limit {
			break
		}
		if written != read {
			dst = appendChanged(append(dst, text[kept:n]...), text[n])
			kept = n + read
		}
		limit -= written
		n += read
	}
	return append(dst, text[kept:n]...), n
}

// escapedLen is the length of what appendEscaped appends.
func escapedLen(b byte) int {
	switch b {
	case '"', '\\', '\n', '\r', '\t':
		return 2
	}
	return 6
}

// appendChanged appends a byte that cannot be in a JSON string as it is.
func appendChanged(dst []byte, b byte) []byte {
	if b >= utf8.RuneSelf {
		return append(dst, "\ufffd"...)
	}
	return appendEscaped(dst, b)
}
