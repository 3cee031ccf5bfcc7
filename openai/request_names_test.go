package openai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func TestNameCheckerComparesNames(t *testing.T) {
	const body = `"a" "b" "\u0061"`
	const hash = 7 << 32
	tests := []struct {
		name    string
		offsets []int
		want    string
	}{
		{"J06 different names with one hash", []int{0, 4}, ""},
		{"J06 equal names around another with the same hash", []int{0, 4, 8}, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newNameChecker([]byte(body))
			c.open()
			for _, offset := range test.offsets {
				c.names = append(c.names, nameMark(hash|offset))
			}
			if got, found := c.close(); got != test.want || found != (test.want != "") {
				t.Errorf("got %q, %v", got, found)
			}
		})
	}
}

func TestScanTellsObjectsApart(t *testing.T) {
	tests := []struct{ name, body, duplicate string }{
		{"J06 the same name outside and inside", `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`, ""},
		{"J06 the outer name again after the inner one", `{"a":{"b":1},"b":{"a":1},"a":1}`, "a"},
		{"J06 inside a list", `{"a":[{"b":1},{"b":1,"c":2,"b":3}]}`, "a[1].b"},
		{"J06 values are not names", `{"a":"b","b":"a","c":["a","b","a"]}`, ""},
		{"J06 empty names", `{"a":{"":1,"":2}}`, "a."},
		{"J06 surrogate halves become the same name", `{"\ud800":1,"\udbff":2}`, "\uFFFD"},
		{"J06 many names", `{` + numbered(2000) + `,"x777":1}`, "x777"},
		{"J06 many different names", `{` + numbered(2000) + `}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := scan([]byte(test.body), Limits{}.withDefaults())
			if test.duplicate == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Param != test.duplicate || e.Code != codeInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

// numbered returns n members with different names.
func numbered(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"x%d":%d`, i, i)
	}
	return strings.Join(members, ",")
}

// FuzzScan compares the scanner with a decoder that checks the same things in
// its own way.
func FuzzScan(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
	f.Add([]byte(`{"a":{"b":1,"c":{"b":1}},"d":[{"b":1},{"b":2,"\u0062":3}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		limits := Limits{MaxTokens: len(body) + 1, MaxDepth: 5000}.withDefaults()
		got := scan(body, limits)
		if e, ok := errors.AsType[*Error](got); ok && strings.Contains(e.Message, "whose name is longer") {
			return
		}
		if want := strictly(body); (got == nil) != (want == nil) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// strictly reads one JSON object.
func strictly(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("not UTF-8")
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != '{' {
		return errors.New("not an object")
	}
	if err := dec.SkipValue(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return errors.New("trailing data")
	}
	return nil
}
