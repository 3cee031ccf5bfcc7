package tools

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/internal/loosejson"
)

// argumentsFor writes the parameters of a call in XML as a JSON object.
func (f function) argumentsFor(tool *offered, text []byte) (arguments, reason string) {
	types := tool.parameterTypes()
	seen := map[string]bool{}
	out := []byte{'{'}
	for i, parameter := range f.parameters {
		key := strings.TrimSpace(parameter.key.of(text))
		if seen[key] {
			return "", `the parameter "` + key + `" is there twice`
		}
		seen[key] = true
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(append(out, quote(key)...), ": "...)
		out = append(out, valueOf(parameter.value.of(text), types[key])...)
	}
	return string(append(out, '}')), ""
}

// valueOf writes a value as JSON. What can be a string is one as it stands, unless it
// is JSON of another type that is allowed too.
func valueOf(text string, allowed types) string {
	text = trimLine(text)
	found, is := jsonValue(strings.TrimSpace(text), allowed)
	switch {
	case found == "":
	case allowed == 0, is != typeString && allowed&is != 0:
		return found
	case allowed&typeString == 0:
		return found // the schema says what is wrong with it
	}
	return quote(text)
}

// jsonValue returns the JSON that text is, and its type, or "".
func jsonValue(text string, allowed types) (value string, is types) {
	switch {
	case text == "":
		return "", 0
	case json.Valid([]byte(text)):
		return text, typeOf(text)
	case allowed&typeString != 0:
		return "", 0
	case text == "True" && allowed&typeBoolean != 0:
		return "true", typeBoolean
	case text == "False" && allowed&typeBoolean != 0:
		return "false", typeBoolean
	case text == "None" && allowed&typeNull != 0:
		return "null", typeNull
	case text[0] == '{' && allowed&typeObject != 0, text[0] == '[' && allowed&typeArray != 0:
		if repaired, ok := loosejson.Repair([]byte(text)); ok {
			return string(repaired), typeOf(text)
		}
	}
	return "", 0
}

// trimLine takes one line feed from each end: they belong to the tags.
func trimLine(text string) string {
	if after, found := strings.CutPrefix(text, "\r\n"); found {
		text = after
	} else {
		text = strings.TrimPrefix(text, "\n")
	}
	if before, found := strings.CutSuffix(text, "\r\n"); found {
		return before
	}
	return strings.TrimSuffix(text, "\n")
}

// types is a set of the types that JSON has; 0 if nothing is said about them.
type types uint8

const (
	typeString types = 1 << iota
	typeNumber
	typeBoolean
	typeNull
	typeObject
	typeArray
)

var typeNames = map[string]types{
	"string": typeString, "number": typeNumber, "integer": typeNumber, "boolean": typeBoolean,
	"null": typeNull, "object": typeObject, "array": typeArray,
}

// typeOf returns the type of valid JSON.
func typeOf(text string) types {
	switch text[0] {
	case '"':
		return typeString
	case '{':
		return typeObject
	case '[':
		return typeArray
	case 't', 'f':
		return typeBoolean
	case 'n':
		return typeNull
	}
	return typeNumber
}

// parameterTypes returns the parameters that the tool's schema names, and which
// types they may have. It knows none if that takes too much work.
func (t *offered) parameterTypes() map[string]types {
	dec := json.NewDecoder(bytes.NewReader([]byte(t.Parameters)))
	dec.UseNumber()
	var root any
	if dec.Decode(&root) != nil {
		return nil
	}
	found := map[string]types{}
	reader := typed{root: root, work: maxWork}
	reader.properties(root, found, maxReferences)
	if reader.work < 0 {
		return nil
	}
	return found
}

// maxReferences is how many references and combinations are followed into each
// other, and maxWork how many schemas and values are looked at in all: references
// that fan out make much of a small schema.
const (
	maxReferences = 8
	maxWork       = 10_000
)

// typed finds the types that a schema allows.
type typed struct {
	root any
	work int // what is left
}

// enter returns a schema that is an object, or nil where the work is bounded.
func (t *typed) enter(schema any, left int) map[string]any {
	if t.work--; left == 0 || t.work < 0 {
		return nil
	}
	object, _ := schema.(map[string]any)
	return object
}

// properties collects those of an object's schema.
func (t *typed) properties(schema any, found map[string]types, left int) {
	object := t.enter(schema, left)
	if object == nil {
		return
	}
	named, _ := object["properties"].(map[string]any)
	for key, property := range named {
		found[key] = t.of(property, maxReferences)
	}
	if target := t.resolve(object["$ref"]); target != nil {
		t.properties(target, found, left-1)
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := object[word].([]any)
		for _, part := range parts {
			t.properties(part, found, left-1)
		}
	}
}

// of returns the types that a schema allows.
func (t *typed) of(schema any, left int) (found types) {
	object := t.enter(schema, left)
	if object == nil {
		return 0
	}
	defer func() {
		if object["nullable"] == true && found != 0 {
			found |= typeNull
		}
	}()
	if found = t.namedTypes(object["type"]); found != 0 {
		return found
	}
	if found = t.valueTypes(object); found != 0 {
		return found
	}
	if target := t.resolve(object["$ref"]); target != nil {
		return t.of(target, left-1)
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if parts, _ := object[word].([]any); len(parts) > 0 {
			return t.ofAny(parts, left-1)
		}
	}
	parts, _ := object["allOf"].([]any)
	for _, part := range parts {
		if found = t.of(part, left-1); found != 0 {
			return found
		}
	}
	return 0
}

// ofAny returns the types that any of some schemas allows.
func (t *typed) ofAny(schemas []any, left int) (found types) {
	for _, schema := range schemas {
		one := t.of(schema, left)
		if one == 0 {
			return 0
		}
		found |= one
	}
	return found
}

// namedTypes reads the value of "type".
func (t *typed) namedTypes(value any) (found types) {
	switch v := value.(type) {
	case string:
		return typeNames[v]
	case []any:
		t.work -= len(v)
		for _, one := range v {
			name, _ := one.(string)
			found |= typeNames[name]
		}
	}
	return found
}

// valueTypes returns the types of the values in "enum" or "const".
func (t *typed) valueTypes(schema map[string]any) (found types) {
	values, _ := schema["enum"].([]any)
	if constant, is := schema["const"]; is {
		values = []any{constant}
	}
	t.work -= len(values)
	for _, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return 0
		}
		found |= typeOf(string(text))
	}
	return found
}

// resolve follows a reference within the schema.
func (t *typed) resolve(reference any) any {
	text, _ := reference.(string)
	t.work -= len(text) / 64
	path, local := strings.CutPrefix(text, "#")
	if !local {
		return nil
	}
	at := t.root
	for _, key := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if key == "" {
			continue
		}
		object, _ := at.(map[string]any)
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
	}
	return at
}
