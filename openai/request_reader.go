package openai

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks through a JSON text. Each of its methods consumes one value. An
// error that concerns the value just read can name it by path.
type reader struct {
	dec *jsontext.Decoder
}

// newReader returns a reader of body that does not look for duplicate names.
// Invalid UTF-8 is allowed for the sake of escaped halves of surrogate pairs,
// which JavaScript programs produce when they cut a text in the middle of an
// emoji.
func newReader(body []byte) reader {
	// A bytes.Buffer is read in place; any other reader would be copied.
	return reader{jsontext.NewDecoder(bytes.NewBuffer(body),
		jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))}
}

// token reads a token. A name or string among them is valid until the next
// token is read.
func (r *reader) token() (jsontext.Token, error) {
	t, err := r.dec.ReadToken()
	return t, r.syntax(err)
}

// skip consumes a value of any kind.
func (r *reader) skip() error {
	return r.syntax(r.dec.SkipValue())
}

// raw consumes a value of any kind and returns a copy of its JSON text.
func (r *reader) raw() (string, error) {
	v, err := r.dec.ReadValue()
	return string(v), r.syntax(err)
}

// syntax turns an error of the decoder into one that repeats nothing of the
// body.
func (r *reader) syntax(err error) error {
	if err == nil {
		return nil
	}
	return fail(codeJSON, "", "The request body is not valid JSON: syntax error at byte %d.", r.dec.InputOffset())
}

// null consumes the value if it is null and reports whether it was.
func (r *reader) null() bool {
	if r.dec.PeekKind() != 'n' {
		return false
	}
	_, err := r.token()
	return err == nil
}

// wrongType consumes the start of a value and says that it should have been
// something else.
func (r *reader) wrongType(want string) error {
	t, err := r.token()
	if err != nil {
		return err
	}
	path := r.path()
	return fail(codeInvalid, path, "%s must be %s, not %s.", path, want, kindName(t.Kind()))
}

// object consumes an object. It calls field after each name; field consumes
// the value.
func (r *reader) object(field func(name string) error) error {
	if r.dec.PeekKind() != '{' {
		return r.wrongType("an object")
	}
	if _, err := r.token(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.token()
		if err != nil {
			return err
		}
		if err := field(name.String()); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// optional consumes an object or null.
func (r *reader) optional(field func(name string) error) error {
	if r.null() {
		return nil
	}
	return r.object(field)
}

// unlimited is the limit of lists of which nothing is kept. Their length is
// bounded by that of the body and by [Limits.MaxTokens].
const unlimited = -1

// array consumes an array of at most limit elements. It calls elem before each
// of them; elem consumes it.
func (r *reader) array(limit int, elem func(i int) error) error {
	if r.dec.PeekKind() != '[' {
		return r.wrongType("a list")
	}
	if _, err := r.token(); err != nil {
		return err
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if i == limit {
			path := r.pathOf(r.dec.StackPointer().Parent())
			return fail(codeInvalid, path, "%s has more than %d entries; send fewer.", path, limit)
		}
		if err := elem(i); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// string consumes a string. Null becomes "".
func (r *reader) string() (string, error) {
	if r.null() {
		return "", nil
	}
	if r.dec.PeekKind() != '"' {
		return "", r.wrongType("a string")
	}
	t, err := r.token()
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// identifier consumes a string that may become part of a URL, a header or a
// log line. White space around it is removed.
func (r *reader) identifier() (string, error) {
	s, err := r.string()
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(s, 0) {
		path := r.path()
		return "", fail(codeInvalid, path, "%s contains a NUL character; remove it.", path)
	}
	return strings.TrimSpace(s), nil
}

// bool consumes true, false or null, for which set is false.
func (r *reader) bool() (value, set bool, err error) {
	switch r.dec.PeekKind() {
	case 'n':
		_, err = r.token()
		return false, false, err
	case 't', 'f':
		t, err := r.token()
		return t.Kind() == 't', true, err
	}
	return false, false, r.wrongType("true or false")
}

// setBool consumes true, false or null and stores the first two in b.
func (r *reader) setBool(b *bool) error {
	value, set, err := r.bool()
	if set {
		*b = value
	}
	return err
}

// number consumes a number or null, for which set is false.
func (r *reader) number() (value float64, set bool, err error) {
	digits, err := r.digits("a number")
	if digits == "" || err != nil {
		return 0, false, err
	}
	value, e := strconv.ParseFloat(digits, 64)
	if e != nil {
		path := r.path()
		return 0, false, fail(codeInvalid, path, "%s is too large for a number; send a smaller one or leave it out.", path)
	}
	return value, true, nil
}

// integer consumes a whole number of at least least, or null, for which set is
// false. Whole numbers in the notation of others (5.0, 1e3) are fine.
func (r *reader) integer(least int64) (value int64, set bool, err error) {
	digits, err := r.digits("a whole number")
	if digits == "" || err != nil {
		return 0, false, err
	}
	value, ok := wholeNumber(digits)
	if !ok {
		path := r.path()
		return 0, false, fail(codeInvalid, path, "%s must be a whole number that fits into 64 bits.", path)
	}
	if value < least {
		path := r.path()
		return 0, false, fail(codeInvalid, path, "%s must be %d or more.", path, least)
	}
	return value, true, nil
}

// digits consumes a number and returns its JSON text, which is empty for null.
func (r *reader) digits(want string) (string, error) {
	const limit = 64
	if r.null() {
		return "", nil
	}
	if r.dec.PeekKind() != '0' {
		return "", r.wrongType(want)
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return "", r.syntax(err)
	}
	if len(v) > limit {
		path := r.path()
		return "", fail(codeInvalid, path, "%s has more than %d digits; send fewer.", path, limit)
	}
	return string(v), nil
}

func wholeNumber(digits string) (int64, bool) {
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// path returns the path of the value or name that has just been read, such as
// messages[3].content[1].type. Right after the first bracket of an object or
// array it is the path of that object or array.
func (r *reader) path() string {
	return r.pathOf(r.dec.StackPointer())
}

// pathOf writes a pointer to a value near the current position as a path.
func (r *reader) pathOf(pointer jsontext.Pointer) string {
	path := ""
	level := 0
	for token := range pointer.Tokens() {
		level++
		if r.isArray(level) {
			path += "[" + token + "]"
		} else {
			path = joinPath(path, token)
		}
	}
	return path
}

// joinPath appends the name of a field to the path of an object.
func joinPath(path, name string) string {
	if path == "" {
		return brief(name)
	}
	return path + "." + brief(name)
}

func (r *reader) isArray(level int) bool {
	if level > r.dec.StackDepth() {
		return false
	}
	kind, _ := r.dec.StackIndex(level)
	return kind == '['
}

// brief cuts a string of the request that goes into an error.
func brief(s string) string {
	const limit = 48
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// quoted returns a short value of the request for an error.
func quoted(s string) string {
	return strconv.Quote(brief(s))
}

// kindName names a kind of JSON value in an error.
func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "a list"
	}
	return "an object"
}
