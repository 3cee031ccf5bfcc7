package schema

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func mustCompile(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := Compile(text)
	if err != nil {
		t.Fatalf("%s\n%v", cut(text, 500), err)
	}
	return s
}

// check compares a violation with "path: reason"; an empty text: none.
func check(t *testing.T, s *Schema, value, want string) {
	t.Helper()
	v := s.Validate([]byte(value))
	got := ""
	if v != nil {
		got = v.Path + ": " + v.Reason
		if len(v.Reason) > maxReason || !utf8.ValidString(v.Reason) || v.Reason == "" {
			t.Errorf("%s: a reason of %d bytes: %s", value, len(v.Reason), v.Reason)
		}
	}
	if got != want {
		t.Errorf("%s\n got: %s\nwant: %s", cut(value, 300), got, want)
	}
}

type sample struct{ value, want string }

// The schemas that agents send, as they send them.
func TestSchemasOfAgents(t *testing.T) {
	for _, test := range []struct {
		name, schema string
		samples      []sample
	}{
		{"Cline: a file and what to change in it", `{
			"type": "object",
			"properties": {
				"path": {"type": "string", "description": "The path of the file (relative to the current working directory)"},
				"diff": {"type": "string"},
				"requires_approval": {"type": "boolean"}
			},
			"required": ["path", "diff"]}`, []sample{
			{`{"path":"a.go","diff":"<<<"}`, ""},
			{`{"path":"a.go","diff":"","requires_approval":false,"task_progress":"- [x] done"}`, ""},
			{`{"path":"a.go"}`, `: lacks the required property "diff"`},
			{`{}`, `: lacks the required properties "diff", "path"`},
			{`{"path":1,"diff":null}`, `diff: must be string, not null; at path: must be string, not number`},
			{`{"path":"a","diff":"b","requires_approval":"true"}`, `requires_approval: must be boolean, not string`},
			{`[]`, `: must be object, not array`},
			{`"a.go"`, `: must be object, not string`},
		}},
		{"MCP: a file system server, draft 7", `{
			"type": "object",
			"properties": {
				"path": {"type": "string"},
				"edits": {"type": "array", "items": {
					"type": "object",
					"properties": {"oldText": {"type": "string"}, "newText": {"type": "string"}},
					"required": ["oldText", "newText"], "additionalProperties": false}},
				"dryRun": {"type": "boolean", "default": false}
			},
			"required": ["path", "edits"], "additionalProperties": false,
			"$schema": "http://json-schema.org/draft-07/schema#"}`, []sample{
			{`{"path":"a","edits":[]}`, ""},
			{`{"path":"a","edits":[{"oldText":"x","newText":"y"}],"dryRun":true}`, ""},
			{`{"path":"a","edits":[{"oldText":"x","newText":"y"},{"oldText":"x"},{"oldText":3,"newText":"y"}]}`,
				`edits[1]: lacks the required property "newText"; at edits[2].oldText: must be string, not number`},
			{`{"path":"a","edits":{"oldText":"x","newText":"y"}}`, `edits: must be array, not object`},
			{`{"path":"a","edits":[],"recursive":true,"a b":1}`, `: must not have the properties "a b", "recursive"`},
		}},
		{"OpenAI strict: all required, nothing else", `{
			"type": "object",
			"properties": {
				"location": {"type": "string"},
				"unit": {"type": ["string", "null"], "enum": ["celsius", "fahrenheit", null]},
				"days": {"type": "integer", "minimum": 1, "maximum": 14}
			},
			"required": ["location", "unit", "days"], "additionalProperties": false}`, []sample{
			{`{"location":"Oslo","unit":null,"days":3}`, ""},
			{`{"location":"Oslo","unit":"celsius","days":3.0}`, ""},
			{`{"location":"Oslo","unit":"kelvin","days":3}`, `unit: must be one of "celsius", "fahrenheit", null`},
			{`{"location":"Oslo","unit":null,"days":15}`, `days: must be at most 14`},
			{`{"location":"Oslo","unit":null,"days":0}`, `days: must be at least 1`},
			{`{"location":"Oslo","unit":null,"days":1.5}`, `days: must be integer, not number`},
			{`{"location":"Oslo","unit":7,"days":"3","x":1,"y":2}`,
				`: must not have the properties "x", "y"; at days: must be integer, not string; at unit: must be null or string, not number`},
		}},
		{"Pydantic: $defs, Optional and unions", `{
			"$defs": {
				"Step": {"properties": {"explanation": {"title": "Explanation", "type": "string"}, "output": {"type": "string"}},
					"required": ["explanation", "output"], "title": "Step", "type": "object", "additionalProperties": false},
				"Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind", "lives"]},
				"Dog": {"type": "object", "properties": {"kind": {"const": "dog"}, "tricks": {"type": "array", "items": {"type": "string"}}}, "required": ["kind"]}
			},
			"type": "object",
			"properties": {
				"steps": {"items": {"$ref": "#/$defs/Step"}, "type": "array"},
				"note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null},
				"pet": {"discriminator": {"propertyName": "kind"}, "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
			},
			"required": ["steps"]}`, []sample{
			{`{"steps":[{"explanation":"a","output":"b"}],"note":null,"pet":{"kind":"cat","lives":9}}`, ""},
			{`{"steps":[{"explanation":"a"}]}`, `steps[0]: lacks the required property "output"`},
			{`{"steps":[],"note":5}`, `note: must be string or null, not number`},
			{`{"steps":[],"pet":{"kind":"dog","tricks":["sit",1]}}`, `pet.tricks[1]: must be string, not number`},
			{`{"steps":[],"pet":{"kind":"cat"}}`, `pet: lacks the required property "lives"`},
			{`{"steps":[],"pet":{"kind":"cow"}}`, `pet.kind: must be one of "cat", "dog"`},
			{`{"steps":[],"pet":"cat"}`, `pet: must be object, not string`},
		}},
		{"recursion: a tree", `{
			"$ref": "#/$defs/node",
			"$defs": {"node": {"type": "object", "required": ["name"], "additionalProperties": false,
				"properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}`, []sample{
			{`{"name":"a","children":[{"name":"b","children":[{"name":"c"}]}]}`, ""},
			{`{"name":"a","children":[{"name":"b","children":[{"name":"c"},{}]}]}`, `children[0].children[1]: lacks the required property "name"`},
		}},
		{"recursion: the schema itself", `{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"v":{"type":"number"}},"required":["v"]}`, []sample{
			{`{"v":1,"next":{"v":2,"next":null}}`, ""},
			{`{"v":1,"next":{"v":2,"next":{"v":"3"}}}`, `next.next.v: must be number, not string`},
		}},
		{"Zod: arrays, bounds and patterns", `{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
			"properties": {
				"tags": {"type": "array", "minItems": 1, "maxItems": 3, "uniqueItems": true, "items": {"type": "string", "minLength": 2, "maxLength": 5}},
				"mail": {"type": "string", "format": "email", "pattern": "^[^@]+@[^@]+$"},
				"step": {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0, "exclusiveMaximum": 9007199254740991}
			}}`, []sample{
			{`{"tags":["ab","北京"],"mail":"a@b","step":1.5}`, ""},
			{`{"tags":[]}`, `tags: must have at least 1 items, not 0`},
			{`{"tags":["aa","bb","cc","dd"]}`, `tags: must have at most 3 items, not 4`},
			{`{"tags":["aa","bb","aa"]}`, `tags: must not have equal items, as are number 1 and 3`},
			{`{"tags":["a","abcdef"]}`, `tags[0]: must have at least 2 characters, not 1; at tags[1]: must have at most 5 characters, not 6`},
			{`{"mail":"nobody"}`, `mail: must match the pattern ^[^@]+@[^@]+$`},
			{`{"step":0.7}`, `step: must be a multiple of 0.5`},
			{`{"step":0}`, `step: must be more than 0`},
			{`{"step":9007199254740991}`, `step: must be less than 9007199254740991`},
		}},
		{"free maps", `{"type":"object","additionalProperties":{"type":"string"},"propertyNames":{"pattern":"^[a-z]+$"},"minProperties":1,"maxProperties":2}`, []sample{
			{`{"a":"b"}`, ""},
			{`{}`, `: must have at least 1 properties, not 0`},
			{`{"a":1}`, `a: must be string, not number`},
			{`{"A":"b"}`, `: must not have a property with the name "A"`},
		}},
		{"names that need quotes", `{"type":"object","properties":{"a b":{"type":"object","properties":{"x.y":{"type":"null"}}}}}`, []sample{
			{`{"a b":{"x.y":0}}`, `["a b"]["x.y"]: must be null, not number`},
		}},
		{"a list at the top", `{"type":"array","items":{"type":"integer"}}`, []sample{
			{`[1,2]`, ""},
			{`[1,"2",null,true,{}]`, `[1]: must be integer, not string; at [2]: must be integer, not null; at [3]: must be integer, not boolean; and 1 more`},
		}},
		{"anything", `{}`, []sample{{`null`, ""}, {`[{"a":1}]`, ""}}},
		{"nothing", `false`, []sample{{`1`, `: is not allowed`}}},
		{"conditions", `{"type":"object","if":{"properties":{"mode":{"const":"range"}},"required":["mode"]},"then":{"required":["from","to"]},
			"dependentRequired":{"a":["b"]},"not":{"required":["forbidden"]}}`, []sample{
			{`{"mode":"all"}`, ""},
			{`{"mode":"range","from":1}`, `: lacks the required property "to"`},
			{`{"a":1}`, `: lacks the property "b", required because of "a"`},
			{`{"forbidden":1}`, `: has a value that is not allowed`},
		}},
		{"tuples", `{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}],"items":false}`, []sample{
			{`["a",1]`, ""},
			{`["a",1,2]`, `[2]: is not allowed`},
			{`[1,1]`, `[0]: must be string, not number`},
		}},
		{"the variant with the fewest faults", `{"anyOf":[{"required":["a","b"],"additionalProperties":false},{"required":["c"]},{"required":["d","e"]}]}`, []sample{
			{`{"x":1}`, `: lacks the required property "c"`},
		}},
		{"several faults in one place", `{"type":"object","properties":{"o":{"properties":{"a":{}},"required":["a"],"additionalProperties":false}}}`, []sample{
			{`{"o":{"z":1}}`, `o: lacks the required property "a"; must not have the property "z"`},
		}},
		{"more values than can be listed", `{"enum":["` + strings.Repeat("value\",\"", 100) + `x"]}`, []sample{
			{`1`, `: must be one of ` + strings.Repeat(`"value", `, 15) + `"value", …`},
		}},
		{"contains", `{"contains":{"const":1},"minContains":2}`, []sample{
			{`[1,1]`, ""},
			{`[1]`, `: must have at least 2 items of the kind that the schema demands`},
		}},
		{"exactly one", `{"oneOf":[{"type":"integer"},{"minimum":5}]}`, []sample{
			{`6`, `: matches more than one of the possible forms, but must match exactly one`},
			{`5.5`, ""},
		}},
		{"a schema as argument", `{"type":"object","properties":{"schema":{"$ref":"http://json-schema.org/draft-07/schema#"}},"required":["schema"]}`, []sample{
			{`{"schema":{"type":"object","properties":{"a":{"type":"string"}}}}`, ""},
			{`{"schema":{"type":"objekt"}}`, `schema.type: must be one of "array", "boolean", "integer", "null", "number", "object", "string"`},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustCompile(t, test.schema)
			for _, sample := range test.samples {
				for range 3 { // the order of a map must not show
					check(t, s, sample.value, sample.want)
				}
			}
		})
	}
}

// What clients write although no draft, or another one, knows it.
func TestLenientSchemas(t *testing.T) {
	for _, test := range []struct{ name, schema, value, want string }{
		{"null for what is left out", `{"type":"object","properties":null,"required":null,"description":null}`, `{"a":1}`, ""},
		{"a constant null stays", `{"const":null}`, `1`, `: must be null`},
		{"nullable of OpenAPI", `{"type":"string","nullable":true,"enum":["a"]}`, `null`, ""},
		{"nullable of OpenAPI, violated", `{"type":"string","nullable":true}`, `1`, `: must be null or string, not number`},
		{"required of draft 3", `{"type":"object","properties":{"a":{"type":"string","required":true}}}`, `{}`, ""},
		{"items of draft 7 without a draft", `{"type":"array","items":[{"type":"string"}],"additionalItems":false}`, `["a",1]`, `: has 1 items too many`},
		{"constants of draft 7 without a draft", `{"type":"array","items":[{"const":"a"}]}`, `["b"]`, `[0]: must be "a"`},
		{"exclusive bounds of draft 4 without a draft", `{"type":"number","minimum":0,"exclusiveMinimum":true}`, `0`, `: must be more than 0`},
		{"an unknown dialect", `{"$schema":"https://spec.openapis.org/oas/3.1/dialect/base","type":"string"}`, `1`, `: must be string, not number`},
		{"an empty dialect", `{"$schema":"","type":"string"}`, `"a"`, ""},
		{"draft 4", `{"$schema":"http://json-schema.org/draft-04/schema#","minimum":3,"exclusiveMinimum":true}`, `3`, `: must be more than 3`},
		{"draft 7 ignores what stands next to a reference", `{"$schema":"http://json-schema.org/draft-07/schema","definitions":{"a":{"type":"number"}},"properties":{"x":{"$ref":"#/definitions/a","maximum":1}}}`, `{"x":2}`, ""},
		{"2020-12 does not", `{"definitions":{"a":{"type":"number"}},"properties":{"x":{"$ref":"#/definitions/a","maximum":1}}}`, `{"x":2}`, `x: must be at most 1`},
		{"format is not asserted in draft 7 either", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"string","format":"date"}`, `"tomorrow"`, ""},
		{"references of OpenAPI", `{"$ref":"#/components/schemas/A","components":{"schemas":{"A":{"type":"string"}}}}`, `1`, `: must be string, not number`},
		{"a schema with an address of its own", `{"$id":"https://example.com/a.json","$ref":"https://example.com/a.json#/$defs/b","$defs":{"b":{"type":"string"}}}`, `1`, `: must be string, not number`},
		{"an anchor", `{"$ref":"#b","$defs":{"x":{"$anchor":"b","type":"string"}}}`, `1`, `: must be string, not number`},
		{"a dynamic reference", `{"$dynamicRef":"#b","$defs":{"x":{"$dynamicAnchor":"b","type":"string"}}}`, `1`, `: must be string, not number`},
		{"a lookahead matches", `{"type":"string","pattern":"^(?!x)"}`, `"x"`, ""},
		{"a backward reference matches", `{"type":"string","pattern":"(a)\\1"}`, `"b"`, ""},
		{"a pattern with too many repetitions matches", `{"type":"string","pattern":"^((a{1,30}){1,30}){1,30}$"}`, `"b"`, ""},
		{"a pattern too long to be run matches", `{"type":"string","pattern":"^(` + strings.Repeat("a", 40) + `){1000}$"}`, `"b"`, ""},
		{"a name's pattern that cannot be run allows all names", `{"patternProperties":{"^(?!x)":{"type":"string"},"^x":{"type":"number"}},"additionalProperties":false}`, `{"y":1,"x":2}`, ""},
		{"unevaluated names too", `{"patternProperties":{"^(?!x)":{"type":"string"}},"unevaluatedProperties":false}`, `{"y":1}`, ""},
		{"the others are run", `{"patternProperties":{"^(?!x)":{"type":"string"},"^x":{"type":"number"}},"additionalProperties":false}`, `{"x":"2"}`, `x: must be number, not string`},
		{"data are no schemas", `{"enum":[{"type":"string","nullable":true,"required":null}]}`, `{"type":"string","nullable":true,"required":null}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, mustCompile(t, test.schema), test.value, test.want)
		})
	}
}

func TestWhatIsNoValue(t *testing.T) {
	s := mustCompile(t, `{"type":"object"}`)
	for value, want := range map[string]string{
		``:                  ": is not valid JSON",
		`{`:                 ": is not valid JSON",
		`{} {}`:             ": is not valid JSON",
		`{"a":1}x`:          ": is not valid JSON",
		`{"a":'b'}`:         ": is not valid JSON",
		`{"a":1e999999999}`: ": has a number with too many digits",
		`{"a":1` + strings.Repeat("0", 500) + `}`:                           ": has a number with too many digits",
		`{"a":-1.5e-99999999999999999999}`:                                  ": has a number with too many digits",
		`{"a":1.7e308}`:                                                     "",
		strings.Repeat(`[`, 1001) + strings.Repeat(`]`, 1001):               ": is nested too deeply to be checked against the schema",
		`{"a":` + strings.Repeat(`[`, 999) + strings.Repeat(`]`, 999) + `}`: "",
		`{"a":"` + strings.Repeat(`[\"`, 5000) + `"}`:                       "",
		`{"a":"` + strings.Repeat("x", maxInstance) + `"}`:                  ": is too long to be checked against the schema",
	} {
		check(t, s, value, want)
	}
}

func TestReasonsAreShort(t *testing.T) {
	long := strings.Repeat("ä", 500)
	for schema, value := range map[string]string{
		`{"enum":["` + long + `","` + long + `x","` + long + `y","` + long + `z"]}`:     `1`,
		`{"type":"object","required":["` + long + `","` + long + `b","` + long + `c"]}`: `{}`,
		`{"additionalProperties":{"type":"string"}}`:                                    `{"` + long + `":1,"` + long + `1":1,"` + long + `2":1}`,
		`{"additionalProperties":false}`:                                                `{"` + long + `":1,"` + long + `1":1,"` + long + `2":1}`,
		`{"pattern":"` + long + `"}`:                                                    `"a"`,
		`{"const":["` + long + `"]}`:                                                    `1`,
	} {
		v := mustCompile(t, schema).Validate([]byte(value))
		if v == nil || len(v.Reason) > maxReason || len(v.Path) > 200 || !utf8.ValidString(v.Path+v.Reason) || strings.ContainsAny(v.Reason, "\n\r") {
			t.Errorf("%.80s: %v", schema, v)
		}
	}
}

func TestViolationAsText(t *testing.T) {
	if got := (&Violation{Path: "a.b", Reason: "must be string, not null"}).String(); got != "at a.b: must be string, not null" {
		t.Error(got)
	}
	if got := (&Violation{Reason: "is not valid JSON"}).String(); got != "is not valid JSON" {
		t.Error(got)
	}
}

// Each check has its own budget, and one does not disturb another.
func TestConcurrentChecks(t *testing.T) {
	s := mustCompile(t, `{"type":"array","items":{"type":"integer"}}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if v := s.Validate([]byte(`[1,2,3]`)); v != nil {
					t.Error(v)
				}
				if v := s.Validate([]byte(`[1,"2"]`)); v == nil || v.Path != "[1]" {
					t.Error(v)
				}
			}
		})
	}
	wg.Wait()
}
