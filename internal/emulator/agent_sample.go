package emulator

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// sample returns a JSON value that satisfies a schema, as far as an emulated model
// understands it, and {} without a schema.
func (v *View) sample(schema string) string {
	if schema == "" {
		return "{}"
	}
	s := sampler{view: v, root: json.RawMessage(schema)}
	return s.value(s.root, 0)
}

// sampler makes values of schemas.
type sampler struct {
	view  *View
	root  json.RawMessage
	wrong bool // every value is of another type than the schema says
}

// rule is what it understands of a schema.
type rule struct {
	Type       json.RawMessage   `json:"type"`
	Const      json.RawMessage   `json:"const"`
	Enum       []json.RawMessage `json:"enum"`
	Ref        string            `json:"$ref"`
	AnyOf      []json.RawMessage `json:"anyOf"`
	OneOf      []json.RawMessage `json:"oneOf"`
	AllOf      []json.RawMessage `json:"allOf"`
	Properties json.RawMessage   `json:"properties"`
	Required   []string          `json:"required"`
	Items      json.RawMessage   `json:"items"`
	MinItems   int               `json:"minItems"`
	MinLength  int               `json:"minLength"`
	Minimum    json.Number       `json:"minimum"`
}

// maxSampleDepth ends values of schemas that contain themselves.
const maxSampleDepth = 12

func (s *sampler) value(schema json.RawMessage, depth int) string {
	var r rule
	if depth > maxSampleDepth || json.Unmarshal(schema, &r) != nil {
		return "null"
	}
	for _, list := range [][]json.RawMessage{r.AnyOf, r.OneOf, r.AllOf} {
		if len(list) > 0 && r.Properties == nil {
			return s.value(list[0], depth+1)
		}
	}
	switch {
	case r.Ref != "":
		return s.value(s.resolve(r.Ref), depth+1)
	case s.wrong && depth > 0:
		return s.unlike(&r)
	case r.Const != nil:
		return string(r.Const)
	case len(r.Enum) > 0:
		return string(r.Enum[0])
	}
	return s.typed(&r, depth)
}

// unlike returns a value of another type.
func (s *sampler) unlike(r *rule) string {
	if kind := r.kind(); kind == "number" || kind == "integer" || kind == "boolean" {
		return `"not a ` + kind + `"`
	}
	return "12345"
}

// resolve follows a reference inside of the schema.
func (s *sampler) resolve(ref string) json.RawMessage {
	at := s.root
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#"), "/")[1:] {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			return nil
		}
		at = object[name]
	}
	return at
}

// kind is the type of a schema, the first of several.
func (r *rule) kind() string {
	var one string
	var several []string
	if json.Unmarshal(r.Type, &one) != nil && json.Unmarshal(r.Type, &several) == nil && len(several) > 0 {
		one = several[0]
	}
	if one == "" && r.Properties != nil {
		one = "object"
	}
	return one
}

func (s *sampler) typed(r *rule, depth int) string {
	switch r.kind() {
	case "object":
		return s.object(r, depth)
	case "array":
		items := make([]string, max(1, r.MinItems))
		for i := range items {
			items[i] = s.value(r.Items, depth+1)
		}
		return "[" + strings.Join(items, ",") + "]"
	case "number", "integer":
		if r.Minimum != "" {
			return r.Minimum.String()
		}
		return "7"
	case "boolean":
		return "true"
	case "null":
		return "null"
	}
	text := s.word()
	for len(text) < r.MinLength {
		text += "."
	}
	return string(appendString(nil, text))
}

// object has the properties that are required, or all if none is.
func (s *sampler) object(r *rule, depth int) string {
	var members []string
	eachMember(r.Properties, func(name string, schema json.RawMessage) bool {
		if depth == 0 && len(r.Required) == 0 || slices.Contains(r.Required, name) {
			members = append(members, string(appendString(nil, name))+":"+s.value(schema, depth+1))
		}
		return true
	})
	return "{" + strings.Join(members, ",") + "}"
}

// word is a string for a value: the last word of the question that is written with
// a capital inside of a sentence, such as the name of a city.
func (s *sampler) word() string {
	word, starts := "example", true
	for _, field := range strings.Fields(s.view.Question) {
		bare := strings.TrimFunc(field, func(r rune) bool { return !unicode.IsLetter(r) })
		if bare != "" && !starts && unicode.IsUpper([]rune(bare)[0]) && !strings.ContainsAny(field, "<>[]{}") {
			word = bare
		}
		starts = strings.ContainsAny(field, ".!?:>")
	}
	return word
}
