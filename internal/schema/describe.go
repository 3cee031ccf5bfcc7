package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// describe says what a value must be or have, as the rest of a sentence about it.
func describe(found jsonschema.ErrorKind) string {
	switch k := found.(type) {
	case *kind.Type:
		return "must be " + strings.Join(k.Want, " or ") + ", not " + k.Got
	case *kind.Enum:
		return oneOf(shown(k.Want))
	case *kind.Const:
		return oneOf(shown([]any{k.Want}))
	case *kind.Not:
		return "has a value that is not allowed"
	case *kind.OneOf:
		return "matches more than one of the possible forms, but must match exactly one"
	case *kind.FalseSchema:
		return "is not allowed"
	}
	if text, ok := describeObject(found); ok {
		return text
	}
	if text, ok := describeArray(found); ok {
		return text
	}
	return describeScalar(found)
}

func describeObject(found jsonschema.ErrorKind) (text string, ok bool) {
	switch k := found.(type) {
	case *kind.Required:
		return "lacks the required " + properties(k.Missing), true
	case *kind.AdditionalProperties:
		return "must not have the " + properties(k.Properties), true
	case *kind.Dependency:
		return "lacks the " + properties(k.Missing) + ", required because of " + quote(k.Prop), true
	case *kind.DependentRequired:
		return "lacks the " + properties(k.Missing) + ", required because of " + quote(k.Prop), true
	case *kind.PropertyNames:
		return "must not have a property with the name " + quote(k.Property), true
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d properties, not %d", k.Want, k.Got), true
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d properties, not %d", k.Want, k.Got), true
	}
	return "", false
}

func describeArray(found jsonschema.ErrorKind) (text string, ok bool) {
	switch k := found.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, not %d", k.Want, k.Got), true
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, not %d", k.Want, k.Got), true
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d items too many", k.Count), true
	case *kind.UniqueItems:
		return fmt.Sprintf("must not have equal items, as are number %d and %d", k.Duplicates[0]+1, k.Duplicates[1]+1), true
	case *kind.Contains:
		return "must have an item of the kind that the schema demands", true
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %d items of the kind that the schema demands", k.Want), true
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %d items of the kind that the schema limits", k.Want), true
	}
	return "", false
}

func describeScalar(found jsonschema.ErrorKind) string {
	switch k := found.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, not %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, not %d", k.Want, k.Got)
	case *kind.Pattern:
		return "must match the pattern " + cut(k.Want, maxList)
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	}
	return noMatch
}

// properties lists names: property "a", properties "a", "b".
func properties(names []string) string {
	names = slices.Sorted(slices.Values(names))
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, quote(name))
	}
	if len(names) == 1 {
		return "property " + quoted[0]
	}
	return "properties " + enumerate(quoted)
}

// oneOf says which values are possible.
func oneOf(want []string) string {
	if len(want) == 1 {
		return "must be " + want[0]
	}
	return "must be one of " + enumerate(want)
}

// shown writes as many values as can be of use.
func shown(list []any) []string {
	list = list[:min(len(list), maxList)]
	texts := make([]string, 0, len(list))
	for _, value := range list {
		texts = append(texts, show(value))
	}
	return texts
}

// enumerate joins as many items as there is room for.
func enumerate(items []string) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 && b.Len()+len(item) > maxList {
			return b.String() + ", …"
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(item)
	}
	return b.String()
}

// show writes a value as JSON, shortened.
func show(value any) string {
	if text, ok := value.(string); ok {
		return quote(text)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "another value"
	}
	return cut(string(text), maxQuote)
}

// quote writes a text in quotes, shortened.
func quote(text string) string { return strconv.Quote(cut(text, maxQuote)) }

// cut shortens a text at the boundary of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	limit -= len("…")
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
