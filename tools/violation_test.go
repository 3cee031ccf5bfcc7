package tools

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

const orderSchema = `{"type":"object","required":["items"],"properties":{
	"items":{"type":"array","items":{"type":"object","properties":{"count":{"type":"integer","minimum":1}}}}}}`

func TestViolations(t *testing.T) {
	for _, strict := range []bool{true, false} {
		tool, _ := mustSet(t, Tool{Name: "order", Parameters: orderSchema, Strict: strict}).lookup("order")
		for _, c := range []struct{ arguments, begins, tells string }{
			{`{"items":[]}`, "", ""},
			{`{"items":[{"count":1}],"more":true}`, "", ""},
			{`{}`, "arguments: ", "items"},
			{`{"items":1}`, "arguments.items: ", "array"},
			{`{"items":[{"count":2},{"count":0}]}`, "arguments.items[1].count: ", "1"},
		} {
			got := tool.violation(c.arguments)
			if !strings.HasPrefix(got, c.begins) || !strings.Contains(got, c.tells) || (got == "") != (c.begins == "") {
				t.Errorf("strict %t, %s: %q", strict, c.arguments, got)
			}
		}
	}
}

// The path of a name that is no plain one begins with a bracket.
func TestViolationsOfOddNames(t *testing.T) {
	tool, _ := mustSet(t, Tool{Name: "f", Parameters: `{"properties":{"a b":{"type":"string"}}}`}).lookup("f")
	if got := tool.violation(`{"a b":1}`); !strings.HasPrefix(got, `arguments["a b"]: `) {
		t.Error(got)
	}
}

func TestWithoutSchemaNothingIsViolated(t *testing.T) {
	for name, tool := range map[string]Tool{
		"none":             {Name: "f"},
		"none, but strict": {Name: "f", Strict: true},
		"null":             {Name: "f", Strict: true, Parameters: "null"},
		"no valid schema":  {Name: "f", Parameters: `{"type":"objekt"}`},
	} {
		entry, _ := mustSet(t, tool).lookup("f")
		if got := entry.violation(`{"a":1}`); got != "" {
			t.Errorf("%s: %q", name, got)
		}
		if entry.Strict != tool.Strict {
			t.Errorf("%s: strict %t", name, entry.Strict)
		}
	}
}

// A schema that is none is offered as it is, unless it must be satisfied.
func TestSchemasThatDoNotCompile(t *testing.T) {
	for _, schema := range []string{`{"type":"objekt"}`, `{"$ref":"https://example.com/schema.json"}`, `{"$ref":"#/$defs/missing"}`} {
		if text := mustSet(t, Tool{Name: "f", Parameters: schema}).Instructions(); !strings.Contains(text, schema) {
			t.Errorf("%s: %s", schema, text)
		}
		_, err := New([]Tool{{Name: "e"}, {Name: "f", Parameters: schema, Strict: true}})
		var got *Error
		if !errors.As(err, &got) || got.Index != 1 || got.Field != "parameters" || !strings.HasPrefix(got.Reason, "cannot be used, as strict demands: ") {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func TestSchemasAreCompiledByWhoeverIsFirst(t *testing.T) {
	tool, _ := mustSet(t, Tool{Name: "order", Parameters: orderSchema}).lookup("order")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if tool.violation(`{"items":1}`) == "" || tool.violation(`{"items":[]}`) != "" {
				t.Error("wrong")
			}
		})
	}
	all.Wait()
}
