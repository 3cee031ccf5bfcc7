package structured

import (
	"encoding/json"
	"strings"
)

// root is what the top of a schema says about the beginning of an answer.
type root struct {
	objects, lists bool
	// keys are the names that an object can have; nil: any. They tell the answer
	// from the examples, and from the schema, that a model may write before it.
	keys map[string]bool
}

// maxSteps is how many references are followed from the top of a schema.
const maxSteps = 32

// rootOf looks at the top of a schema that is known to be one.
func rootOf(text string) root {
	var whole any
	if json.Unmarshal([]byte(text), &whole) != nil {
		return root{}
	}
	steps := maxSteps
	r := rootAt(whole, whole, &steps)
	if r.known {
		return r.root
	}
	return root{objects: true, lists: true}
}

// finding is what a part of a schema says; known: it says anything.
type finding struct {
	root
	known bool
}

func rootAt(value, whole any, steps *int) finding {
	object, ok := value.(map[string]any)
	if !ok || *steps == 0 {
		return finding{}
	}
	*steps--
	found := rootOfType(object)
	if ref, ok := object["$ref"].(string); ok {
		found = found.and(rootAt(resolve(whole, ref), whole, steps))
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		if list, ok := object[keyword].([]any); ok && len(list) > 0 {
			found = found.and(union(list, whole, steps))
		}
	}
	if list, ok := object["allOf"].([]any); ok {
		for _, part := range list {
			found = found.and(rootAt(part, whole, steps))
		}
	}
	return found
}

// union is what several parts say of which one has to fit.
func union(list []any, whole any, steps *int) finding {
	all := finding{known: true}
	for _, part := range list {
		one := rootAt(part, whole, steps)
		if !one.known {
			return finding{}
		}
		all.objects = all.objects || one.objects
		all.lists = all.lists || one.lists
	}
	return all
}

// and combines what two parts say that both have to fit.
func (f finding) and(g finding) finding {
	switch {
	case !g.known:
		return f
	case !f.known:
		return g
	}
	f.objects, f.lists = f.objects && g.objects, f.lists && g.lists
	if f.keys == nil {
		f.keys = g.keys
	}
	return f
}

// rootOfType is what the keywords of one object say by themselves.
func rootOfType(object map[string]any) finding {
	has := func(keyword string) bool { _, found := object[keyword]; return found }
	keys := keysOf(object)
	switch kind := object["type"].(type) {
	case string:
		return finding{root{kind == "object", kind == "array", keys}, true}
	case []any:
		found := finding{root{keys: keys}, true}
		for _, one := range kind {
			found.objects = found.objects || one == "object"
			found.lists = found.lists || one == "array"
		}
		return found
	}
	if has("const") {
		return rootOfValues([]any{object["const"]})
	}
	if list, ok := object["enum"].([]any); ok {
		return rootOfValues(list)
	}
	objects, lists := has("properties") || has("required"), has("items") || has("prefixItems")
	return finding{root{objects, lists, keys}, objects || lists}
}

func rootOfValues(list []any) finding {
	found := finding{known: true}
	for _, value := range list {
		switch value.(type) {
		case map[string]any:
			found.objects = true
		case []any:
			found.lists = true
		}
	}
	return found
}

// keysOf returns the names of properties where there can be no others.
func keysOf(object map[string]any) map[string]bool {
	properties, ok := object["properties"].(map[string]any)
	if _, patterns := object["patternProperties"]; !ok || patterns || object["additionalProperties"] != false {
		return nil
	}
	keys := make(map[string]bool, len(properties))
	for key := range properties {
		keys[key] = true
	}
	return keys
}

// resolve follows a JSON pointer within a schema; others lead to nothing here.
func resolve(whole any, ref string) any {
	if ref == "#" {
		return whole
	}
	pointer, found := strings.CutPrefix(ref, "#/")
	if !found {
		return nil
	}
	value := whole
	for token := range strings.SplitSeq(pointer, "/") {
		object, _ := value.(map[string]any)
		value = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	return value
}
