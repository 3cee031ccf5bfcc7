package structured

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestFormatsThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, schema, want string }{
		{"no JSON", `{"type":`, "schema: the schema is not valid JSON"},
		{"no schema", `{"type":"objekt"}`, `schema: the schema is wrong at /type: it must be one of "array", "boolean", `},
		{"a remote reference", `{"$ref":"https://example.com/x"}`, "schema: the schema refers at its top to "},
		{"a string", `{"type":"string"}`, "schema: the schema must describe an object or an array"},
		{"a number or null", `{"type":["number","null"]}`, "schema: the schema must describe an object or an array"},
		{"a choice of strings", `{"enum":["a","b"]}`, "schema: the schema must describe an object or an array"},
		{"a string by reference", `{"$ref":"#/$defs/a","$defs":{"a":{"const":"x"}}}`, "schema: the schema must describe an object or an array"},
		{"strings of several kinds", `{"anyOf":[{"type":"string"},{"enum":[1]}]}`, "schema: the schema must describe an object or an array"},
		{"too long", `{"type":"object","description":"` + strings.Repeat("x", maxSchema) + `"}`, "schema: the schema has 65570 bytes without white space; at most 65536 are possible"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := New(Format{Schema: test.schema})
			var bad *Error
			if s != nil || !errors.As(err, &bad) || bad.Field != "schema" || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if _, err := New(Format{Schema: `{"type":"object", ` + strings.Repeat(" ", maxSchema) + `"title":"x"}`}); err != nil {
		t.Errorf("white space counts: %v", err)
	}
}

// What the top of a schema says about the first bytes of an answer.
func TestRoots(t *testing.T) {
	keys := func(names ...string) map[string]bool {
		set := make(map[string]bool)
		for _, name := range names {
			set[name] = true
		}
		return set
	}
	for schema, want := range map[string]root{
		`{"type":"object"}`:                  {objects: true},
		`{"type":"array"}`:                   {lists: true},
		`{"type":["array","object","null"]}`: {objects: true, lists: true},
		`{}`:                                 {objects: true, lists: true},
		`true`:                               {objects: true, lists: true},
		`{"description":"x"}`:                {objects: true, lists: true},
		`{"properties":{"a":{}}}`:            {objects: true},
		`{"items":{}}`:                       {lists: true},
		`{"const":{"a":1}}`:                  {objects: true},
		`{"enum":[[1],"x"]}`:                 {lists: true},
		`{"$ref":"#"}`:                       {objects: true, lists: true},
		`{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"array"}}}`:                                                {lists: true},
		`{"$ref":"#a","$defs":{"a":{"$anchor":"a","type":"array"}}}`:                                              {objects: true, lists: true},
		`{"anyOf":[{"type":"object"},{"type":"null"}]}`:                                                           {objects: true},
		`{"oneOf":[{"type":"object"},{"type":"array"}]}`:                                                          {objects: true, lists: true},
		`{"anyOf":[{"type":"object"},{}]}`:                                                                        {objects: true, lists: true},
		`{"allOf":[{"type":"object"},{"required":["a"]},{"type":["object","array"]}]}`:                            {objects: true},
		`{"type":"object","properties":{"a":{},"b":{}},"additionalProperties":false}`:                             {objects: true, keys: keys("a", "b")},
		`{"type":"object","properties":{"a":{}},"additionalProperties":true}`:                                     {objects: true},
		`{"type":"object","properties":{"a":{}},"patternProperties":{"^x":{}},"additionalProperties":false}`:      {objects: true},
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"a":{}},"additionalProperties":false}}}`: {objects: true, keys: keys("a")},
		`{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"properties":{"a":{}},"additionalProperties":false}}}`: {objects: true, keys: keys("a")},
		`{"anyOf":[{"type":"object","properties":{"a":{}},"additionalProperties":false},{"type":"object"}]}`:      {objects: true},
	} {
		if got := rootOf(schema); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", schema, got, want)
		}
	}
}

// golden compares a text with a file in testdata; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", path, got, want)
	}
}

// What is said to the model, in full.
func TestWhatTheModelIsTold(t *testing.T) {
	var text strings.Builder
	for _, f := range []Format{
		{},
		{Name: "steps", Description: "How it is solved.\nIn short steps.", Schema: "{\"type\": \"object\",\n \"properties\": {\"z\": {\"type\":\"string\"}, \"a\": {\"const\": \"<&>\"}}}"},
		{Name: "list", Schema: `{"type":"array"}`},
		{Description: "Anything.", Schema: `{}`},
	} {
		s := mustShape(t, f)
		fmt.Fprintf(&text, "## %q %q\n%s\n", f.Name, f.Schema, s.Note())
		if s.Note() != mustShape(t, f).Note() {
			t.Errorf("two notes for %+v", f)
		}
		for kind := range Violation + 1 {
			fmt.Fprintf(&text, "%s\n", s.Correction(Problem{Kind: kind, Detail: "at steps[0].text: must be string, not number"}))
		}
		fmt.Fprintln(&text, s.Correction(Problem{}))
	}
	golden(t, "texts", text.String())
}

// Whatever the client or the model wrote: the texts are valid, short, and on the lines
// that they are meant to be on.
func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("天\n\x00\xff ", 5000)
	s := mustShape(t, Format{Name: long, Description: long, Schema: `{"type":"object"}`})
	if note := s.Note(); len(note) > 2500 || !utf8.ValidString(note) || strings.Count(note, "\n") != 4 || strings.Contains(note, "\x00") {
		t.Errorf("%d bytes: %q", len(note), note)
	}
	for kind := range Violation + 2 {
		if text := s.Correction(Problem{kind, long}); len(text) > 2048 || !utf8.ValidString(text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
}

func TestProblemKinds(t *testing.T) {
	var names []string
	for kind := range Violation + 2 {
		names = append(names, kind.String())
	}
	if got := strings.Join(names, " "); got != "no_json malformed incomplete too_large violation unknown" {
		t.Error(got)
	}
}

// A shape serves several answers at the same time.
func TestConcurrentFilters(t *testing.T) {
	s := mustShape(t, Format{Schema: stepsSchema})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, o := range steps {
				if got := run(s, o.text, single); got.all != o.want || got.failed != (o.kind != "") {
					t.Errorf("%s: %+v", o.name, got)
				}
			}
		})
	}
	wg.Wait()
}
