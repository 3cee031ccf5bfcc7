// Package structured makes answers JSON where a client asked for JSON
// (response_format): it tells the model what to write, takes the JSON out of what
// the model writes while it writes it, and checks it.
//
// It knows nothing of HTTP nor of the site. What is said to a model is deterministic.
package structured

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-qwen/caddy-qwen/internal/schema"
)

const (
	// maxSchema is how long a schema may be without white space, in bytes: it is
	// sent to the model with each turn.
	maxSchema = 64 << 10
	// maxDescription and maxDetail are how much of such texts a model is told, in bytes.
	maxDescription = 1024
	maxDetail      = 400
)

// Format is what a client asked for.
type Format struct {
	// Schema is the JSON Schema of the answer. Empty: any JSON object (json_object).
	Schema string
	// Name and Description say what the answer is for. Both may be empty.
	Name, Description string
}

// Error says why a format cannot be used.
type Error struct {
	Field  string // the field of the format: schema
	Reason string // in plain words
}

func (e *Error) Error() string { return e.Field + ": " + e.Reason }

// Shape is a format that can be used. It may be used by several goroutines.
type Shape struct {
	schema *schema.Schema // nil: any object
	text   string         // of the schema, without white space
	about  string
	root   root
}

// New reads a format. Errors are of type *Error: the schema is none, is too long, is
// too complicated, or describes neither objects nor lists.
func New(f Format) (*Shape, error) {
	s := &Shape{about: about(f), root: root{objects: true}}
	if strings.TrimSpace(f.Schema) == "" {
		return s, nil
	}
	compiled, err := schema.Compile(f.Schema)
	if err != nil {
		return nil, &Error{"schema", err.Error()}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(f.Schema)); err != nil {
		return nil, &Error{"schema", "the schema is not valid JSON"}
	}
	if compact.Len() > maxSchema {
		return nil, &Error{"schema", fmt.Sprintf("the schema has %d bytes without white space; at most %d are possible", compact.Len(), maxSchema)}
	}
	s.schema, s.text, s.root = compiled, compact.String(), rootOf(f.Schema)
	if !s.root.objects && !s.root.lists {
		return nil, &Error{"schema", "the schema must describe an object or an array"}
	}
	return s, nil
}

// about says what an answer is for.
func about(f Format) string {
	name, description := plain(f.Name, 128), plain(f.Description, maxDescription)
	switch {
	case description == "":
		return name
	case name == "":
		return description
	}
	return name + ": " + description
}

// noun is what the JSON has to be.
func (s *Shape) noun() string {
	switch {
	case s.root.objects && s.root.lists:
		return "JSON object or array"
	case s.root.lists:
		return "JSON array"
	}
	return "JSON object"
}

// Note is what the model is told with the turn, to stand at the end of its prompt.
func (s *Shape) Note() string {
	text := "[For this answer: Write one " + s.noun() + " and nothing else: no words before or after it, no code fence, no comments. " +
		"Inside of JSON strings, write \\\" for a quote and \\n for a line feed."
	if s.about != "" {
		text += "\nIt is for: " + s.about
	}
	if s.schema == nil {
		return text + "]"
	}
	return text + "\nIt must be an instance of the following JSON Schema, not the schema itself. " +
		"Write all required properties, and no others where additionalProperties is false.\n" + s.text + "\n]"
}

// Correction is what the model is told after an answer that cannot be used. It has
// less than 2 KiB, whatever the model wrote.
func (s *Shape) Correction(p Problem) string {
	text := "[Your answer could not be used: " + s.sentence(p.Kind)
	if detail := strings.TrimRight(plain(p.Detail, maxDetail), "."); detail != "" {
		text += ": " + detail
	}
	text += ".\nNow write the whole " + s.noun() + " again, correctly"
	if s.schema != nil {
		text += " and as the JSON Schema demands"
	}
	if p.Kind == Incomplete || p.Kind == TooLarge {
		text += ", and make it shorter"
	}
	return text + ", and nothing else: no words before or after it, no code fence.]"
}

func (s *Shape) sentence(kind ProblemKind) string {
	switch kind {
	case NoJSON:
		return "it has no " + s.noun()
	case Malformed:
		return "its JSON is not valid"
	case Incomplete:
		return "its JSON is cut off"
	case TooLarge:
		return "its JSON is too long"
	}
	if s.schema == nil {
		return "its JSON is not what was asked for"
	}
	return "its JSON does not fit the schema"
}

// Problem is why an answer is not what the client asked for.
type Problem struct {
	Kind ProblemKind
	// Detail is for the model only: it may quote the answer, so that it belongs
	// neither into logs nor into errors.
	Detail string
}

// ProblemKind is what is wrong with an answer.
type ProblemKind uint8

const (
	NoJSON     ProblemKind = iota // it has no JSON of the kind that is asked for
	Malformed                     // what looks like it is no JSON, even after repair
	Incomplete                    // the answer ended inside of it
	TooLarge                      // it is longer than 1 MiB
	Violation                     // it is JSON, but does not fit the schema
)

var kindNames = [...]string{"no_json", "malformed", "incomplete", "too_large", "violation"}

// String returns a name for logs and metrics, which does not change.
func (k ProblemKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// plain shortens a text and makes one line of it.
func plain(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit] + "…"
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, text))
}
