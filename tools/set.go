package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-qwen/caddy-qwen/internal/schema"
)

// A Tool is a function that a client offers to the model.
type Tool struct {
	// Name is what the model calls it by: 1 to 128 characters, among them no
	// control characters, quotes, backslashes, < or >, and no white space at its
	// ends. No two tools of a set have the same.
	Name string

	// Description tells the model what it does. It may be empty.
	Description string

	// Parameters is the JSON Schema of its arguments, as the text of a JSON
	// object. Empty or null: it takes none.
	Parameters string

	// Strict demands that arguments satisfy Parameters. Where it is not set the
	// schema is a help for the model, and one that is no valid schema is offered
	// as it is.
	Strict bool
}

// A Mode says whether functions are called in an answer.
type Mode uint8

const (
	Auto     Mode = iota // the model decides
	None                 // no function may be called
	Required             // at least one function must be called
)

// A Wish is what a client demands of one answer. The zero value leaves everything
// to the model.
type Wish struct {
	// Mode says whether functions are called.
	Mode Mode

	// Only names the functions that may be called; empty: all of the set.
	Only []string

	// Single allows one call at most.
	Single bool

	// Native tells that the model calls in a form of its own, so that [Set.Note] does
	// not name that of this package.
	Native bool
}

// allows reports whether the function of that name may be called.
func (w Wish) allows(name string) bool {
	return w.Mode != None && (len(w.Only) == 0 || slices.Contains(w.Only, name))
}

// An Error says which tool of a list cannot be offered, and why.
type Error struct {
	Index  int    // the tool's place in the list, from 0
	Field  string // name or parameters
	Reason string // what is wrong, to be read after the field's name
}

func (e *Error) Error() string {
	return fmt.Sprintf("tool %d: %s %s", e.Index, e.Field, e.Reason)
}

// A Set is the functions that a client offers with one request. It does not change
// and may be used by several goroutines at once.
type Set struct {
	tools        []offered
	byName       map[string]int
	instructions string
}

// An offered tool is one of a set. Its Parameters are in the form in which the model
// gets them.
type offered struct {
	Tool

	// schema returns nil if there is none that can be used. That of a tool that is not
	// strict is compiled when it is needed: clients offer dozens with each request,
	// and few are called.
	schema func() *schema.Schema
}

// violation says how the arguments of a call violate the schema. It is empty if
// they do not.
func (t *offered) violation(arguments string) string {
	compiled := t.schema()
	if compiled == nil {
		return ""
	}
	found := compiled.Validate([]byte(arguments))
	switch {
	case found == nil:
		return ""
	case found.Path == "" || found.Path[0] == '[':
		return "arguments" + found.Path + ": " + found.Reason
	}
	return "arguments." + found.Path + ": " + found.Reason
}

// New checks the tools of a client. Its error is an [*Error].
func New(list []Tool) (*Set, error) {
	s := &Set{tools: make([]offered, 0, len(list)), byName: make(map[string]int, len(list))}
	for i, tool := range list {
		if reason := s.refusesName(tool.Name); reason != "" {
			return nil, &Error{Index: i, Field: "name", Reason: reason}
		}
		entry, reason := offer(tool)
		if reason != "" {
			return nil, &Error{Index: i, Field: "parameters", Reason: reason}
		}
		s.byName[tool.Name] = i
		s.tools = append(s.tools, entry)
	}
	s.instructions = s.instruct()
	return s, nil
}

// lookup finds an offered tool by its exact name.
func (s *Set) lookup(name string) (*offered, bool) {
	i, known := s.byName[name]
	if !known {
		return nil, false
	}
	return &s.tools[i], true
}

// callable lists the names that may be called, in the order of the client.
func (s *Set) callable(w Wish) (names []string) {
	for i := range s.tools {
		if name := s.tools[i].Name; w.allows(name) {
			names = append(names, name)
		}
	}
	return names
}

// maxName is the length of a name in characters. The API that clients are written
// for allows 64; names that proxies put together out of several are longer.
const maxName = 128

func (s *Set) refusesName(name string) string {
	_, double := s.byName[name]
	switch {
	case name == "":
		return "is missing"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("is longer than %d characters", maxName)
	case strings.ContainsFunc(name, unfitForName):
		return "contains a control character, a quote, a backslash, < or >"
	case strings.TrimSpace(name) != name:
		return "begins or ends with white space"
	case double:
		return "is that of an earlier tool too; names must differ"
	}
	return ""
}

// unfitForName tells the characters that would have to be escaped in a call or in an
// attribute. Models do not write escapes in names.
func unfitForName(r rune) bool {
	return strings.ContainsRune("\"'`\\<>", r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// offer brings the schema of a tool into the form in which the model gets it:
// without white space, its keys in their order.
func offer(tool Tool) (entry offered, reason string) {
	text := strings.TrimSpace(strings.ToValidUTF8(tool.Parameters, "\uFFFD"))
	if text == "null" {
		text = ""
	}
	if text != "" {
		var small bytes.Buffer
		if json.Compact(&small, []byte(text)) != nil || text[0] != '{' {
			return entry, "is not a JSON object"
		}
		text = small.String()
	}
	tool.Parameters = text
	return withSchema(tool)
}

func withSchema(tool Tool) (entry offered, reason string) {
	compile := func() (*schema.Schema, error) {
		if tool.Parameters == "" {
			return nil, nil
		}
		return schema.Compile(tool.Parameters)
	}
	if !tool.Strict {
		return offered{tool, sync.OnceValue(func() *schema.Schema {
			compiled, _ := compile()
			return compiled
		})}, ""
	}
	compiled, err := compile()
	if err != nil {
		return entry, "cannot be used, as strict demands: " + err.Error()
	}
	return offered{tool, func() *schema.Schema { return compiled }}, ""
}
