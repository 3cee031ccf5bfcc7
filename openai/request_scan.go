package openai

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scan checks that the body is one JSON object within the limits. Nothing is
// built from the body before that, because a few megabytes of brackets can
// otherwise become a few hundred megabytes of values.
func scan(body []byte, l Limits) error {
	if !utf8.Valid(body) {
		return fail(codeJSON, "", "The request body is not valid UTF-8 at byte %d; send it as UTF-8.", invalidUTF8At(body))
	}
	s := scanner{reader: newReader(body), body: body, limits: l, names: newNameChecker(body)}
	if err := s.document(); err != nil {
		return err
	}
	end := s.dec.InputOffset()
	if _, err := s.dec.ReadToken(); err != io.EOF {
		return fail(codeJSON, "", "The request body goes on after the JSON object that ends at byte %d; send one object and nothing else.", end)
	}
	return nil
}

func invalidUTF8At(b []byte) int {
	at := 0
	for at < len(b) {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

type scanner struct {
	reader
	body   []byte
	limits Limits
	names  nameChecker
}

// document reads one JSON object.
func (s *scanner) document() error {
	for n := 1; ; n++ {
		kind, err := s.next()
		switch {
		case err != nil:
			return err
		case n == 1 && kind != '{':
			return fail(codeJSON, "", "The request body is %s, but must be a JSON object.", kindName(kind))
		case n > s.limits.MaxTokens:
			return fail(codeInvalid, "", "The request body has more than %d JSON tokens; send a shorter conversation or fewer parameters.", s.limits.MaxTokens)
		case s.dec.StackDepth() > s.limits.MaxDepth:
			return fail(codeJSON, "", "The request body is nested deeper than %d levels; send a flatter one.", s.limits.MaxDepth)
		case s.dec.StackDepth() == 0:
			return nil
		}
	}
}

// next reads a token and returns its kind.
func (s *scanner) next() (jsontext.Kind, error) {
	if s.expectsName() && s.dec.PeekKind() == '"' {
		return '"', s.readName()
	}
	token, err := s.dec.ReadToken()
	if err != nil {
		return 0, s.syntaxError(err)
	}
	switch token.Kind() {
	case '{':
		s.names.open()
	case '}':
		if name, found := s.names.close(); found {
			param := joinPath(s.path(), name)
			return '}', fail(codeInvalid, param, "%s occurs twice in the same object; send it once.", param)
		}
	}
	return token.Kind(), nil
}

// expectsName reports whether the next token is a name or the end of an object.
func (s *scanner) expectsName() bool {
	kind, length := s.dec.StackIndex(s.dec.StackDepth())
	return kind == '{' && length%2 == 0
}

// readName reads the name of a field. The length of names is limited because
// errors hold whole paths of them.
func (s *scanner) readName() error {
	const limit = 1024
	name, err := s.dec.ReadValue()
	if err != nil {
		return s.syntaxError(err)
	}
	if len(name) > limit {
		return fail(codeInvalid, "", "The request body has a field whose name is longer than %d bytes; leave it out.", limit)
	}
	s.names.add(name, int(s.dec.InputOffset())-len(name))
	return nil
}

// syntaxError describes err without repeating any of the body, except for the
// path of a field.
func (s *scanner) syntaxError(err error) error {
	if len(bytes.TrimSpace(s.body)) == 0 {
		return fail(codeJSON, "", "The request body is empty; send a JSON object.")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(codeJSON, "", "The request body ends in the middle of the JSON, after %d bytes; it was probably cut off on its way.", len(s.body))
	}
	at := s.dec.InputOffset()
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = syntactic.ByteOffset
		if isNotANumber(s.body[at:]) {
			param := s.pathOf(syntactic.JSONPointer)
			return fail(codeInvalid, param, "%s is NaN or infinite, which JSON does not have; send a number or leave it out.", param)
		}
	}
	return fail(codeJSON, "", "The request body is not valid JSON: syntax error at byte %d.", at)
}

// isNotANumber recognises what Python and JavaScript programs write for
// floating point values that are not numbers.
func isNotANumber(at []byte) bool {
	at = bytes.TrimPrefix(at, []byte("-"))
	return bytes.HasPrefix(at, []byte("NaN")) || bytes.HasPrefix(at, []byte("Infinity"))
}
