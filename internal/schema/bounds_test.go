package schema

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// soon is far more than anything here may take, also with -race on a busy machine.
const soon = 20 * time.Second

func mustEnd(t *testing.T, what string, work func()) {
	t.Helper()
	start := time.Now()
	work()
	if took := time.Since(start); took > soon {
		t.Errorf("%s took %s", what, took)
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, schema, want string }{
		{"no JSON", `{"type":`, "the schema is not valid JSON"},
		{"empty", ``, "the schema is not valid JSON"},
		{"two values", `{} {}`, "the schema is not valid JSON"},
		{"a text", `"object"`, "the schema is wrong at its top: it must be boolean or object, not string"},
		{"a list", `[]`, "the schema is wrong at its top: it must be boolean or object, not array"},
		{"null", `null`, "the schema is wrong at its top: it must be boolean or object, not null"},
		{"an unknown type", `{"type":"object","properties":{"a/b":{"type":"str"}}}`,
			`the schema is wrong at /properties/a~1b/type: it must be one of "array", "boolean", "integer", "null", "number", "object", "string"`},
		{"a schema that is a text", `{"properties":{"a":"string"}}`, "the schema is wrong at /properties/a: it must be boolean or object, not string"},
		{"required that is no list", `{"type":["object"],"required":"a"}`, "the schema is wrong at /required: it must be array, not string"},
		{"what only another part than the top refers to", `{"$ref":"#/x/y","x":{"y":{"minLength":-1}}}`, "the schema is wrong at /x/y/minLength: it must be at least 0"},
		{"what only another draft than the named one has", `{"$schema":"https://json-schema.org/draft/2020-12/schema","items":[{}]}`, "the schema is wrong at /items: it must be boolean or object, not array"},
		{"a remote reference", `{"properties":{"a":{"$ref":"https://example.com/secret.json#/a"}}}`,
			`the schema refers at /properties/a to "https://example.com/secret.json", but only references within the schema are followed`},
		{"a file", `{"$ref":"file:///etc/passwd"}`, `the schema refers at its top to "file:///etc/passwd", but only references within the schema are followed`},
		{"a relative file", `{"items":{"$ref":"other.json"}}`, `the schema refers to "schema:///other.json", but only references within the schema are followed`},
		{"a dialect from elsewhere in it", `{"$defs":{"a":{"$id":"http://x/y","$schema":"http://example.com/dialect"}},"$ref":"#/$defs/a"}`,
			`the schema refers to "http://example.com/dialect", but only references within the schema are followed`},
		{"a reference to nothing", `{"properties":{"a":{"$ref":"#/$defs/b"}}}`, `the schema refers at /properties/a to "#/$defs/b", which it does not have`},
		{"an anchor that is missing", `{"properties":{"a":{"$ref":"#b"}}}`, `the schema refers at /properties/a to "#b", which it does not have`},
		{"itself", `{"$ref":"#"}`, "the schema contains itself without end at its top"},
		{"itself through others", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"anyOf":[{"type":"string"},{"$ref":"#/$defs/y"}]},"y":{"allOf":[{"$ref":"#/$defs/x"}]}}}`,
			"the schema contains itself without end at /properties/a"},
		{"a number with too many digits", `{"maximum":1e99999999}`, "the schema has a number that has a number with too many digits"},
		{"30 levels that each refer twice to the next", doubling(30, "allOf"), "the schema refers too often to the same definitions"},
		{"30 levels of choices", doubling(30, "anyOf"), "the schema refers too often to the same definitions"},
		{"200 levels of choices", doubling(100, "oneOf"), "the schema refers too often to the same definitions"},
		{"too many places", `{"anyOf":[` + strings.Repeat(`{},`, maxPlaces) + `{}]}`, "the schema is too large"},
		{"too long names", `{"properties":{` + strings.Repeat(`"`+strings.Repeat("n", 400)+`":{"properties":{`, 60) + many(2000) + strings.Repeat(`}}`, 60) + `}}`, "the schema is too large"},
		{"too many references", references(1500), "the schema is too large"},
		{"too deep", strings.Repeat(`{"not":`, 200) + `{}` + strings.Repeat(`}`, 200), "the schema is nested more than 128 levels deep"},
		{"too long", `{"description":"` + strings.Repeat("x", maxText) + `"}`, "bytes; at most 524288 are possible"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mustEnd(t, test.name, func() {
				s, err := Compile(test.schema)
				if err == nil || s != nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 500 {
					t.Errorf("got:  %v\nwant: %s", err, test.want)
				}
			})
		})
	}
}

// A file is not even read if it is there and has a schema in it.
func TestFilesAreNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := os.WriteFile(path, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
	for _, schema := range []string{`{"$ref":"` + address + `"}`, `{"$id":"` + address + `x","$ref":"a.json"}`, `{"$defs":{"a":{"$id":"x","$schema":"` + address + `"}}}`} {
		if _, err := Compile(schema); err == nil || !strings.Contains(err.Error(), "only references within the schema are followed") {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

// doubling is a schema with levels of definitions that each refer twice to the next.
func doubling(levels int, keyword string) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/l0","$defs":{`)
	for i := range levels {
		fmt.Fprintf(&b, `"l%d":{"%s":[{"$ref":"#/$defs/l%d"},{"$ref":"#/$defs/l%d"}]},`, i, keyword, i+1, i+1)
	}
	fmt.Fprintf(&b, `"l%d":{"type":"string"}}}`, levels)
	return b.String()
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%d":{},`, i)
	}
	return b.String() + `"p":{}`
}

// references is a schema with many references to places where no schema is expected.
func references(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"$ref":"#/x/%d"},`, i)
	}
	return `{"anyOf":[` + b.String() + `{}],"x":[` + strings.Repeat(`{"type":"string"},`, n-1) + `{}]}`
}

// The largest that is accepted ends soon, too.
func TestLargeSchemas(t *testing.T) {
	for name, schema := range map[string]string{
		"choices":    `{"anyOf":[` + strings.Repeat(`{"type":"string"},`, maxPlaces-10) + `{}]}`,
		"properties": `{"properties":{` + many(maxPlaces-10) + `}}`,
		"references": references(800),
		"levels":     strings.Repeat(`{"items":`, 127) + `{}` + strings.Repeat(`}`, 127),
		"addresses":  `{"allOf":[` + addresses(1500) + `{}]}`,
		"11 levels":  doubling(11, "allOf"),
	} {
		t.Run(name, func(t *testing.T) {
			mustEnd(t, name, func() { mustCompile(t, schema).Validate([]byte(`[1]`)) })
		})
	}
}

func addresses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"$id":"http://a/%d"},`, i)
	}
	return b.String()
}

// Schemas whose work grows with each level of the value are checked until the
// budget is exhausted, and then the value is refused: never by a hang.
func TestWorkIsBounded(t *testing.T) {
	nested := strings.Repeat(`{"a":`, 60) + `1` + strings.Repeat(`}`, 60)
	list := strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60)
	const tooMuch = ": is too large or too complicated to be checked against the schema"
	for _, test := range []struct{ name, schema, value, want string }{
		{"each level twice", `{"$defs":{"n":{"anyOf":[{"properties":{"a":{"$ref":"#/$defs/n"}},"not":{}},{"properties":{"a":{"$ref":"#/$defs/n"}},"not":{}}]}},"$ref":"#/$defs/n"}`, nested, tooMuch},
		{"each level twice, all fit", `{"$defs":{"n":{"allOf":[{"properties":{"a":{"$ref":"#/$defs/n"}}},{"properties":{"a":{"$ref":"#/$defs/n"}}}]}},"$ref":"#/$defs/n"}`, nested, tooMuch},
		{"patterns of names", `{"$defs":{"n":{"patternProperties":{"a":{"$ref":"#/$defs/n"},"^a":{"$ref":"#/$defs/n"},"a$":{"$ref":"#/$defs/n"}},"type":"object"}},"$ref":"#/$defs/n"}`, nested, tooMuch},
		{"negations", `{"$defs":{"n":{"dependentSchemas":{"a":{"properties":{"a":{"$ref":"#/$defs/n"}}}},"properties":{"a":{"$ref":"#/$defs/n"}},"type":"object"}},"not":{"$ref":"#/$defs/n"}}`, nested, tooMuch},
		{"items that are also searched", `{"$defs":{"n":{"items":{"$ref":"#/$defs/n"},"contains":{"$ref":"#/$defs/n"}}},"$ref":"#/$defs/n"}`, list, tooMuch},
		{"dynamic references", `{"$dynamicAnchor":"n","type":"object","dependentSchemas":{"a":{"properties":{"a":{"$dynamicRef":"#n"}}}},"properties":{"a":{"$dynamicRef":"#n"}}}`, nested, tooMuch},
		{"what only a dynamic reference reaches", `{"$ref":"list","$defs":{"x":{"$dynamicAnchor":"n","type":"object","dependentSchemas":{"a":{"properties":{"a":{"$ref":"#/$defs/x"}}}},"properties":{"a":{"$ref":"#/$defs/x"}}},
			"list":{"$id":"list","$dynamicRef":"#n","$defs":{"n":{"$dynamicAnchor":"n"}}}}}`, nested, tooMuch},
		{"a slow pattern", `{"items":{"pattern":"(x+x+)+y"}}`, `["` + strings.Repeat("x", 1_000_000) + `","` + strings.Repeat("x", 1_000_000) + `"]`, "[0]: must match the pattern (x+x+)+y; at [1]: must match the pattern (x+x+)+y"},
		{"a very slow pattern", `{"items":{"pattern":"^(([a-z]{1,9}){1,9}x){1,9}$"}}`, `["` + strings.Repeat("ab", 500_000) + `"]`, tooMuch},
		{"many equal items", `{"items":{"uniqueItems":true}}`, `[` + strings.TrimSuffix(strings.Repeat(`[`+strings.TrimSuffix(strings.Repeat(`[1,2],`, 1000), ",")+`],`, 200), ",") + `]`, tooMuch},
		{"a long list of one of many values", `{"items":{"enum":[` + strings.Repeat(`"v",`, 4000) + `"w"]}}`, `[` + strings.Repeat(`"x",`, 100_000) + `"w"]`, tooMuch},
		{"more faults than are looked for", `{"properties":{"a":{"type":"string"},"l":{"items":{"type":"string"}}}}`, `{"a":1,"l":[` + strings.Repeat(`1,`, 250_000) + `"a"]}`, "a: must be string, not number"},
		{"nothing but too many faults", `{"items":{"type":"string"}}`, `[` + strings.Repeat(`1,`, 250_000) + `"a"]`, ": does not match the schema"},
		{"a long list is no trouble", `{"items":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}`, `[` + strings.Repeat(`{"a":1},`, 50_000) + `{"a":1}]`, ""},
		{"a long list of faults", `{"items":{"type":"string"}}`, `[` + strings.Repeat(`1,`, 150_000) + `"a"]`, "[0]: must be string, not number; at [1]: must be string, not number; at [2]: must be string, not number; and 149997 more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustCompile(t, test.schema)
			mustEnd(t, test.name, func() { check(t, s, test.value, test.want) })
			// The next check has a budget of its own.
			if v := s.Validate([]byte(`{`)); v == nil {
				t.Error("accepted")
			}
		})
	}
}

// A union that refers to itself in each of its forms, as generators write it for
// expressions: real values are checked within the budget.
func TestRecursiveUnion(t *testing.T) {
	var forms []string
	for _, op := range []string{"add", "sub", "mul", "div", "pow"} {
		forms = append(forms, `{"type":"object","properties":{"op":{"const":"`+op+`"},"l":{"$ref":"#/$defs/e"},"r":{"$ref":"#/$defs/e"}},"required":["op","l","r"],"additionalProperties":false}`)
	}
	s := mustCompile(t, `{"$ref":"#/$defs/e","$defs":{"e":{"anyOf":[`+strings.Join(forms, ",")+`,{"type":"number"}]}}}`)
	value := `1`
	for range 5 {
		value = `{"op":"pow","l":` + value + `,"r":2}`
	}
	check(t, s, value, "")
	check(t, s, strings.Replace(value, `"r":2`, `"r":"2"`, 1), "l.l.l.l.r: must be object or number, not string")
}

// Regular expressions of which a few bytes make large programs, in any number and length,
// take neither time nor memory before they are needed, and little then.
func TestPatternsAreBounded(t *testing.T) {
	many := make([]string, 1500)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":{"pattern":"^%sx$"}`, i, strings.Repeat("(?:[a-c]{900})?", 9))
	}
	for name, schema := range map[string]string{
		"many": `{"properties":{` + strings.Join(many, ",") + `}}`,
		"long": `{"properties":{"p0":{"pattern":"` + strings.Repeat("a{1000}", 30_000) + `"},"p1":{"pattern":"^x$"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			value := make(map[string]string)
			for i := range many {
				value[fmt.Sprint("p", i)] = "x"
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s := mustCompile(t, schema)
			text, _ := json.Marshal(value)
			check(t, s, string(text), "")
			if name == "long" {
				check(t, s, `{"p0":"y","p1":"y"}`, "p1: must match the pattern ^x$")
			}
			runtime.ReadMemStats(&after)
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 150 {
				t.Errorf("it took %d MB", used)
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	s := mustCompile(b, `{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"},"mode":{"enum":["a","b"]}},"required":["path","content"],"additionalProperties":false}`)
	value := []byte(`{"path":"a/b.go","content":"` + strings.Repeat("x", 2000) + `","mode":"b"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if v := s.Validate(value); v != nil {
			b.Fatal(v)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, `{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"},"mode":{"enum":["a","b"]}},"required":["path","content"],"additionalProperties":false}`)
	}
}
