package filetype

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// plainText tells whether head is text in UTF-8, or in UTF-16 with a byte order
// mark, and gives it as UTF-8 without the mark; of UTF-16 only what is ASCII.
// cut says that the last character may be incomplete.
func plainText(head []byte, cut bool) (text []byte, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\xFF\xFE")):
		return wideText(head[2:], 0)
	case bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return wideText(head[2:], 1)
	}
	text = bytes.TrimPrefix(head, []byte("\uFEFF"))
	if cut {
		text = wholeRunes(text)
	}
	return text, utf8.Valid(text) && !slices.ContainsFunc(text, control)
}

// control tells the bytes that text does not have. The escape character colours
// logs; the form feed separates pages of old source code; office programs leave
// vertical tabs, and old ones of Windows end files with Ctrl-Z.
func control(b byte) bool {
	return b < ' ' && !strings.ContainsRune("\t\n\v\f\r\b\x1a\x1b", rune(b))
}

// wholeRunes drops the beginning of a character at the end.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if last := b[len(b)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// wideText is text in UTF-16 whose low bytes are at the odd or even places. An
// MP3 file too may begin with what looks like a byte order mark, so the control
// characters count here as well.
func wideText(b []byte, low int) (text []byte, ok bool) {
	for ; len(b) >= 2; b = b[2:] {
		if b[1-low] != 0 {
			text = append(text, '?')
			continue
		}
		if control(b[low]) {
			return nil, false
		}
		text = append(text, b[low])
	}
	return text, bytes.ContainsFunc(text, func(r rune) bool { return r != '?' })
}

// sniffText tells text by the extension, else by its beginning. An SVG image
// under the name of a text is a text.
func sniffText(text []byte, c claim) (finding, error) {
	if bytes.HasPrefix(text, []byte(`{\rtf`)) {
		return finding{}, &UnknownError{Found: "text/rtf"}
	}
	if mime, ok := texts[c.extension]; ok {
		return finding{Type: Type{Document, mime, c.extension}}, nil
	}
	extension := "txt"
	switch root := rootElement(text); {
	case root == "svg":
		return finding{Type: svg}, nil
	case root == "html":
		extension = "html"
	case root != "" && bytes.HasPrefix(bytes.TrimSpace(text), []byte("<?xml")):
		extension = "xml"
	case looksLikeJSON(text):
		extension = "json"
	}
	return finding{Type: Type{Document, texts[extension], extension}}, nil
}

// looksLikeJSON tells only an object or a list whose beginning cannot be prose.
func looksLikeJSON(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	next := bytes.TrimSpace(text[1:])
	return len(next) > 0 && (text[0] == '{' && bytes.IndexByte([]byte(`"}`), next[0]) >= 0 ||
		text[0] == '[' && bytes.IndexByte([]byte(`{["]`), next[0]) >= 0)
}

// rootElement gives the name of the first element, in lower case and without a
// prefix, or "" if the text does not begin with one but for declarations and
// comments. Nothing is decoded.
func rootElement(text []byte) string {
	for {
		text = bytes.TrimSpace(text)
		var ok bool
		switch {
		case bytes.HasPrefix(text, []byte("<?")):
			_, text, ok = bytes.Cut(text, []byte("?>"))
		case bytes.HasPrefix(text, []byte("<!--")):
			_, text, ok = bytes.Cut(text, []byte("-->"))
		case bytes.HasPrefix(text, []byte("<!")):
			if doctypeHTML(text) {
				return "html"
			}
			text, ok = afterDoctype(text)
		case bytes.HasPrefix(text, []byte("<")):
			return elementName(text[1:])
		}
		if !ok {
			return ""
		}
	}
}

func doctypeHTML(text []byte) bool {
	const doctype = "<!doctype html"
	return len(text) >= len(doctype) && strings.EqualFold(string(text[:len(doctype)]), doctype)
}

// afterDoctype skips a document type, with its declarations in brackets.
func afterDoctype(text []byte) (rest []byte, ok bool) {
	at := bytes.IndexAny(text, "[>")
	if at >= 0 && text[at] == '[' {
		end := bytes.IndexByte(text[at:], ']')
		if end < 0 {
			return nil, false
		}
		text = text[at+end:]
		at = bytes.IndexByte(text, '>')
	}
	if at < 0 {
		return nil, false
	}
	return text[at+1:], true
}

func elementName(text []byte) string {
	end := bytes.IndexAny(text, " \t\r\n/>")
	if end < 0 {
		return ""
	}
	name := strings.ToLower(string(text[:end]))
	if _, local, ok := strings.Cut(name, ":"); ok {
		return local
	}
	return name
}
