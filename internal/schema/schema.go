// Package schema checks JSON against a JSON Schema that somebody else wrote: the
// parameters of a client's tool, or the format that it wants an answer in.
//
// Draft 2020-12 is meant unless the schema names another one (2019-09, 7, 6 or 4)
// in "$schema". "format" is not asserted. Nothing outside of the schema is ever
// read: a reference to anything but the schema itself, or one of the published
// meta-schemas, is an error. The work is bounded, whatever the schema and the value.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxInstance is the longest value that is checked, in bytes.
	maxInstance = 4 << 20
	// maxDepth is how deeply a value may be nested.
	maxDepth = 1000

	// decideWork is how much work may be done to learn whether a value fits, and
	// explainWork to learn why it does not. A unit is about the comparison of one
	// value with one schema. The first keeps nothing, the second keeps what it finds.
	decideWork  = 1_000_000
	explainWork = 200_000
)

// Schema is a schema that was found to be usable. Its methods may be called from
// several goroutines at the same time.
type Schema struct {
	mu     sync.Mutex // guards the budget, which belongs to one check at a time
	budget *budget
	not    *jsonschema.Schema // {"not": schema}: decides without collecting reasons
	schema *jsonschema.Schema
}

// Violation tells a language model why a value does not fit its schema.
type Violation struct {
	// Path is the place in the value, such as items[2].name; empty: the value itself.
	Path string
	// Reason says in a few English words what is wrong there, and with up to two
	// further places. It may quote names and values from the schema and from the
	// value, and has at most 300 bytes.
	Reason string
}

// String returns the place and the reason in one line.
func (v *Violation) String() string {
	if v.Path == "" {
		return v.Reason
	}
	return "at " + v.Path + ": " + v.Reason
}

// Compile reads a schema. The error says in plain words, with the place as a JSON
// pointer, what is wrong: no JSON, no schema, a reference to something outside or to
// nothing, or a schema whose check would be too much work.
//
// It is lenient where the intention is beyond doubt and clients are known to
// err: keywords that are null are left out, "nullable" is understood, a "$schema" that
// is unknown is ignored, and a schema that names no draft may be written for draft 7 or 4.
// A pattern that RE2 cannot run counts as matching.
func Compile(text string) (*Schema, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	var first error
	for _, draft := range []*jsonschema.Draft{jsonschema.Draft2020, jsonschema.Draft7, jsonschema.Draft4} {
		// One that the schema names takes precedence each time.
		s, err := compile(doc, draft)
		var mismatch *jsonschema.SchemaValidationError
		if err == nil || !errors.As(err, &mismatch) {
			return s, doc.explain(err)
		}
		if first == nil {
			first = err
		}
	}
	return nil, doc.explain(first)
}

const (
	docURL = "schema:///"
	notURL = "schema:///not"
)

// compile compiles a document as one of a draft. The library ends with a panic
// where it meets what it takes for impossible; that is an error here.
func compile(doc *document, draft *jsonschema.Draft) (s *Schema, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("the schema cannot be read: %v", p)
		}
	}()
	s = &Schema{budget: new(budget)}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.UseLoader(nothing{})
	c.UseRegexpEngine(s.budget.compilePattern)
	if err := c.AddResource(docURL, doc.value); err != nil {
		return nil, err
	}
	if err := c.AddResource(notURL, map[string]any{"not": map[string]any{"$ref": docURL}}); err != nil {
		return nil, err
	}
	if s.schema, err = c.Compile(docURL); err != nil {
		return nil, err
	}
	if s.not, err = c.Compile(notURL); err != nil {
		return nil, err
	}
	roots := []*jsonschema.Schema{s.schema, s.not}
	for _, place := range doc.anchors {
		// What only a dynamic reference leads to. Whatever is no schema is left out.
		if sub, err := c.Compile(docURL + "#" + place); err == nil {
			roots = append(roots, sub)
		}
	}
	if err := s.budget.watch(roots); err != nil {
		return nil, err
	}
	return s, nil
}

// nothing is a loader that knows no document.
type nothing struct{}

func (nothing) Load(string) (any, error) { return nil, errOutside }

var errOutside = errors.New("outside of the schema")

// Validate checks a JSON text against the schema: nil means that it fits. A text that
// is no JSON, or too long or too deeply nested to be checked, does not fit.
func (s *Schema) Validate(text []byte) *Violation {
	value, problem := decode(text)
	if problem != "" {
		return &Violation{Reason: problem}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fits, known := s.decide(value); !known {
		return &Violation{Reason: "is too large or too complicated to be checked against the schema"}
	} else if fits {
		return nil
	}
	s.budget.left = explainWork
	var found *jsonschema.ValidationError
	if err := s.schema.Validate(value); !errors.As(err, &found) {
		return &Violation{Reason: noMatch}
	}
	return violation(found, value)
}

// decide reports whether a value fits, and whether that could be found out.
func (s *Schema) decide(value any) (fits, known bool) {
	s.budget.left = decideWork
	err := s.not.Validate(value)
	return err != nil, s.budget.left >= 0
}

// decode returns the value of a JSON text, or what is wrong with it.
func decode(text []byte) (value any, problem string) {
	switch {
	case len(text) > maxInstance:
		return nil, "is too long to be checked against the schema"
	case depth(text) > maxDepth:
		return nil, "is nested too deeply to be checked against the schema"
	}
	value, err := unmarshal(text)
	if err != nil {
		return nil, "is not valid JSON"
	}
	if err := tame(value); err != nil {
		return nil, err.Error()
	}
	return value, ""
}

// unmarshal decodes one JSON value and keeps its numbers as they are written.
func unmarshal(text []byte) (value any, err error) {
	if !json.Valid(text) { // the decoder would leave what follows the value unread
		return nil, errors.New("not valid JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

// depth returns how deeply a JSON text is nested, before anything recurses into it.
func depth(text []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}
