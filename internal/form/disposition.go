package form

import (
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"
)

// parameters are those of a Content-Disposition, by their names in lower case.
// mime.ParseMediaType does not do here: it refuses the whole header when a
// client left one quote unescaped, and drops backslashes of Windows paths.
type parameters map[string]string

// dispositionParams reads the parameters of a Content-Disposition header. It is
// empty if this is none of form-data.
func dispositionParams(header string) parameters {
	kind, rest, _ := strings.Cut(header, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") {
		return nil
	}
	params := parameters{}
	for rest != "" {
		var key, value string
		key, value, rest = nextParam(rest)
		if _, twice := params[key]; !twice && key != "" {
			params[key] = value
		}
	}
	return params
}

// nextParam cuts one parameter off.
func nextParam(s string) (key, value, rest string) {
	at := strings.IndexAny(s, "=;")
	if at < 0 {
		return "", "", ""
	}
	key = strings.ToLower(strings.TrimSpace(s[:at]))
	if s[at] == ';' {
		return "", "", s[at+1:]
	}
	s = strings.TrimLeft(s[at+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		value, rest = quoted(s[1:])
	} else {
		value, rest, _ = strings.Cut(s, ";")
		value = strings.TrimSpace(value)
	}
	return key, strings.ToValidUTF8(value, "\uFFFD"), rest
}

// quoted reads a quoted value up to the quote that ends it: one that is followed
// by the next parameter or by nothing. Others belong to the value, since not
// every client escapes them.
func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if after, ok := ends(s[i:]); ok {
			return b.String(), after
		}
		if escaped(s[i:]) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// ends tells whether s begins with the quote that ends a value, and what follows.
func ends(s string) (rest string, ok bool) {
	if s[0] != '"' {
		return "", false
	}
	rest = strings.TrimLeft(s[1:], " \t")
	if rest == "" {
		return "", true
	}
	return strings.CutPrefix(rest, ";")
}

// escaped tells whether s begins with an escaped quote or backslash. A backslash
// before the last quote of all is the end of a Windows path.
func escaped(s string) bool {
	if len(s) < 2 || s[0] != '\\' {
		return false
	}
	return s[1] == '\\' || s[1] == '"' && strings.Contains(s[2:], `"`)
}

// fileName gives the name of the file, and whether there is one at all.
func (p parameters) fileName() (name string, ok bool) {
	if name, ok := extendedValue(p["filename*"]); ok {
		return name, true
	}
	name, ok = p["filename"]
	if strings.HasPrefix(name, "=?") { // .NET writes names as in the headers of mail
		if decoded, err := new(mime.WordDecoder).DecodeHeader(name); err == nil {
			return decoded, ok
		}
	}
	return browserEscapes.Replace(name), ok
}

// browserEscapes undoes what browsers do to names. They escape nothing else, not
// even the percent sign.
var browserEscapes = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n", "%0d", "\r", "%0a", "\n")

// extendedValue decodes a value such as UTF-8”%E7%85%A7.png (RFC 8187).
func extendedValue(s string) (string, bool) {
	charset, rest, ok := strings.Cut(s, "'")
	if !ok {
		return "", false
	}
	_, escapedValue, ok := strings.Cut(rest, "'")
	value, err := url.PathUnescape(escapedValue)
	if !ok || err != nil {
		return "", false
	}
	switch strings.ToLower(charset) {
	case "utf-8":
		return value, utf8.ValidString(value)
	case "iso-8859-1":
		return latin1(value), true
	}
	return "", false
}

func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// Unquote removes white space around s and one pair of quotes, "…" or '…', that a
// Windows shell left around the value, with the white space in it.
func Unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}
