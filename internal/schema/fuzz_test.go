package schema

import (
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzValidate looks for schemas and values that end in a panic, take long, are judged
// differently the second time, or get another verdict when reasons are collected.
func FuzzValidate(f *testing.F) {
	for _, schema := range []string{
		`{"type":"object","properties":{"a":{"type":"string"},"b":{"enum":[1,null,"x"]}},"required":["a"],"additionalProperties":false}`,
		`{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"type":"null"},{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"]}]}}}`,
		`{"oneOf":[{"const":1},{"minimum":0}],"unevaluatedProperties":false,"patternProperties":{"^a":{"multipleOf":0.1}}}`,
		`{"items":[{"type":"string","nullable":true}],"contains":{"not":{"pattern":"^(?!x)"}},"uniqueItems":true}`,
		`{"$id":"http://a/b","$dynamicRef":"#x","$defs":{"y":{"$dynamicAnchor":"x","if":{"required":["a"]},"then":false}}}`,
		`{"$schema":"http://json-schema.org/draft-04/schema#","id":"#q","dependencies":{"a":["b"],"b":{"minProperties":3}}}`,
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveAnchor":true,"properties":{"a":{"$recursiveRef":"#"}}}`,
		doubling(8, "anyOf"),
	} {
		for _, value := range []string{`{"a":"x","b":null}`, `{"a":{"a":{"a":null}}}`, `[1,1,"a",{}]`, `1e300`, `{`, ``} {
			f.Add(schema, value)
		}
	}
	f.Fuzz(func(t *testing.T, schema, text string) {
		start := time.Now()
		s, err := Compile(schema)
		if err != nil {
			if s != nil || err.Error() == "" || utf8.ValidString(schema) && !utf8.ValidString(err.Error()) {
				t.Errorf("%v, %q", s, err)
			}
			return
		}
		v := s.Validate([]byte(text))
		if again := s.Validate([]byte(text)); (v == nil) != (again == nil) || v != nil && *v != *again {
			t.Errorf("first %v, then %v", v, again)
		}
		if v != nil && (v.Reason == "" || len(v.Reason) > maxReason || !utf8.ValidString(v.Reason+v.Path)) {
			t.Errorf("%q %q", v.Path, v.Reason)
		}
		value, problem := decode([]byte(text))
		s.budget.left = decideWork
		if err := s.schema.Validate(value); problem == "" && v == nil && err != nil && s.budget.left >= 0 {
			t.Errorf("fits, but: %v", err)
		}
		if took := time.Since(start); took > soon {
			t.Errorf("%s", took)
		}
	})
}
