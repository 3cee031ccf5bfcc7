package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	maxReason = 300 // bytes of a whole reason
	maxFaults = 3   // places that it names
	maxQuote  = 60  // bytes of a name or value that it quotes
	maxList   = 140 // bytes of a list of such

	noMatch = "does not match the schema"
)

// fault is one thing that is wrong with a value.
type fault struct {
	path    string // items[2].name
	pointer string // /items/2/name
	tokens  []string
	text    string // what the value at that place must be or have
	class   class
	want    []string // types or values of which it must be one
}

// class orders faults by how likely the value was meant for the schema that they
// are from, where there are several to choose from.
type class int

const (
	wrongKind  class = iota // a type, at the place where the choice is
	wrongValue              // a constant or an enumeration: another variant was meant
	wrongElse
)

// violation puts what the library found into a few words.
func violation(found *jsonschema.ValidationError, value any) *Violation {
	all := faults(found, value)
	v := &Violation{Path: all[0].path}
	text := []byte(all[0].text)
	for i, f := range all[1:] {
		if i+1 == maxFaults {
			text = fmt.Appendf(text, "; and %d more", len(all)-maxFaults)
			break
		}
		text = append(text, "; "...)
		if f.path != v.Path {
			text = fmt.Appendf(text, "at %s: ", place(f.path))
		}
		text = append(text, f.text...)
	}
	v.Reason = cut(string(text), maxReason)
	return v
}

// faults returns what is wrong, in the order of the places; it is never empty.
func faults(found *jsonschema.ValidationError, value any) []fault {
	list := collect(found, value)
	slices.SortFunc(list, func(a, b fault) int {
		return cmp.Or(slices.CompareFunc(a.tokens, b.tokens, compareTokens), strings.Compare(a.text, b.text))
	})
	list = slices.CompactFunc(list, func(a, b fault) bool { return a.path == b.path && a.text == b.text })
	if len(list) == 0 {
		return []fault{{text: noMatch}}
	}
	return list
}

// compareTokens orders the items of a list by their numbers, and properties by name.
func compareTokens(a, b string) int {
	i, errA := strconv.Atoi(a)
	j, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Compare(i, j)
	}
	return strings.Compare(a, b)
}

// collect returns the causes at the bottom of an error. Of several variants none of
// which fits it takes the one that was probably meant.
func collect(e *jsonschema.ValidationError, value any) (list []fault) {
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		return choose(e, value)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return choose(e, value)
		}
	case *kind.Contains, *kind.MinContains, *kind.PropertyNames:
		return one(e, value)
	case *kind.Format:
		return nil // the counter of work
	}
	if len(e.Causes) == 0 && e.ErrorKind != nil {
		return one(e, value)
	}
	for _, cause := range e.Causes {
		list = append(list, collect(cause, value)...)
	}
	return list
}

// choose returns the faults of the best of several variants: not one of another
// type, not one with another constant, and then the one with the fewest.
func choose(e *jsonschema.ValidationError, value any) (best []fault) {
	top, bestClass := len(e.InstanceLocation), wrongKind
	var all []fault
	for _, cause := range e.Causes {
		list := collect(cause, value)
		if len(list) == 0 {
			continue
		}
		all = append(all, list...)
		c := classOf(list, top)
		if best == nil || c > bestClass || c == bestClass && len(list) < len(best) {
			best, bestClass = list, c
		}
	}
	switch {
	case best == nil || bestClass == wrongElse:
		return best
	case bestClass == wrongKind:
		return merge(all, func(f fault) bool { return f.class == wrongKind && len(f.tokens) == top }, func(want []string) string {
			return "must be " + strings.Join(want, " or ") + ", not " + typeAt(value, e.InstanceLocation)
		})
	}
	at := best[slices.IndexFunc(best, func(f fault) bool { return f.class == wrongValue })].path
	return merge(all, func(f fault) bool { return f.class == wrongValue && f.path == at }, oneOf)
}

// classOf returns the class of a variant whose choice was due at a depth.
func classOf(list []fault, top int) class {
	c := wrongElse
	for _, f := range list {
		if f.class != wrongKind || len(f.tokens) == top { // a type further down is a fault like any other
			c = min(c, f.class)
		}
	}
	return c
}

// merge makes one fault of those of several variants that demand something else of
// the same place.
func merge(all []fault, same func(fault) bool, say func(want []string) string) []fault {
	var merged fault
	for _, f := range all {
		if same(f) {
			f.want = append(merged.want, f.want...)
			merged = f
		}
	}
	merged.want = unique(merged.want)
	merged.text = say(merged.want)
	return []fault{merged}
}

func unique(list []string) (out []string) {
	for _, item := range list {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}

// one returns the fault that a single error of the library is.
func one(e *jsonschema.ValidationError, value any) []fault {
	path, pointer := locate(value, e.InstanceLocation)
	f := fault{path: path, pointer: pointer, tokens: e.InstanceLocation, class: wrongElse}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		f.class, f.want = wrongKind, k.Want
	case *kind.Enum:
		f.class, f.want = wrongValue, shown(k.Want)
	case *kind.Const:
		f.class, f.want = wrongValue, shown([]any{k.Want})
	}
	f.text = describe(e.ErrorKind)
	return []fault{f}
}

// locate returns a place in a value as a path and as a JSON pointer.
func locate(value any, tokens []string) (path, pointer string) {
	var p, q strings.Builder
	for _, token := range tokens {
		q.WriteString("/" + escapeToken(token))
		index, err := strconv.Atoi(token)
		if items, ok := value.([]any); ok && err == nil && index >= 0 && index < len(items) {
			value = items[index]
			p.WriteString("[" + token + "]")
			continue
		}
		members, _ := value.(map[string]any)
		value = members[token]
		switch {
		case !isPlain(token):
			p.WriteString("[" + quote(token) + "]")
		case p.Len() > 0:
			p.WriteString("." + token)
		default:
			p.WriteString(token)
		}
	}
	return cut(p.String(), 200), q.String()
}

// typeAt names the type of what stands at a place of a value.
func typeAt(value any, tokens []string) string {
	for _, token := range tokens {
		switch v := value.(type) {
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			value = v[token]
		}
	}
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// isPlain reports whether a name can stand in a path without quotes.
func isPlain(name string) bool {
	if name == "" || len(name) > maxQuote {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == utf8.RuneError || strings.ContainsRune(".[]\"'`", r) || !strconv.IsPrint(r)
	})
}
