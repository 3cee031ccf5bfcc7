package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// What a schema may have at most: bytes, levels, places where a schema can stand,
	// bytes of all their JSON pointers, and references times places. The library
	// compares each place with each other and copies them for some references;
	// with these limits the worst schema takes a fraction of a second.
	maxText     = 512 << 10
	maxLevels   = 128
	maxPlaces   = 5000
	maxPointers = 4 << 20
	maxRefs     = 2_000_000

	// maxNumber is how many bytes a number may have, and maxExponent which
	// power of ten: the library computes with exact fractions.
	maxNumber   = 400
	maxExponent = 400
)

// document is the text of a schema, decoded, checked for its size and made ready
// for the library.
type document struct {
	value    any
	anchors  []string          // pointers of what may be found without a reference to it
	refs     map[string]string // what it refers to → pointer of a place that does
	places   int
	pointers int
}

// parse decodes the text of a schema.
func parse(text string) (*document, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the schema has %d bytes; at most %d are possible", len(text), maxText)
	}
	if depth([]byte(text)) > maxLevels {
		return nil, fmt.Errorf("the schema is nested more than %d levels deep", maxLevels)
	}
	value, err := unmarshal([]byte(text))
	if err != nil {
		return nil, errors.New("the schema is not valid JSON")
	}
	if err := tame(value); err != nil {
		return nil, fmt.Errorf("the schema has a number that %w", err)
	}
	d := &document{value: value, refs: make(map[string]string)}
	if root, ok := value.(map[string]any); ok {
		dropUnknownDraft(root)
	}
	d.visit(value, "")
	switch {
	case d.places > maxPlaces, d.pointers > maxPointers, len(d.refs)*d.places > maxRefs:
		return nil, errors.New("the schema is too large: simplify it, or split it")
	}
	return d, nil
}

// dropUnknownDraft removes the name of a draft that the library would look for elsewhere.
func dropUnknownDraft(root map[string]any) {
	name, _ := root["$schema"].(string)
	name = strings.TrimSuffix(name, "#")
	for _, scheme := range []string{"http://", "https://"} {
		short, found := strings.CutPrefix(name, scheme)
		if found && slices.Contains(knownDrafts, short) {
			return
		}
	}
	delete(root, "$schema")
}

var knownDrafts = []string{
	"json-schema.org/schema", "json-schema.org/draft/2020-12/schema", "json-schema.org/draft/2019-09/schema",
	"json-schema.org/draft-07/schema", "json-schema.org/draft-06/schema", "json-schema.org/draft-04/schema",
}

// visit measures a value and all in it, and corrects what clients are known to get wrong.
func (d *document) visit(value any, pointer string) {
	if d.places > maxPlaces || d.pointers > maxPointers {
		return
	}
	switch value := value.(type) {
	case bool:
		d.count(pointer)
	case []any:
		d.count(pointer)
		for i, item := range value {
			d.visit(item, pointer+"/"+strconv.Itoa(i))
		}
	case map[string]any:
		d.count(pointer)
		d.note(value, pointer)
		correct(value)
		for key, member := range value {
			if !slices.Contains(literal, key) {
				d.visit(member, pointer+"/"+escapeToken(key))
			}
		}
	}
}

// literal are the keywords whose values are no schemas but data.
var literal = []string{"const", "enum", "default", "examples", "example"}

func (d *document) count(pointer string) {
	d.places++
	d.pointers += len(pointer)
}

// note remembers references, and what can be found without one.
func (d *document) note(object map[string]any, pointer string) {
	for _, key := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if ref, ok := object[key].(string); ok {
			if known, seen := d.refs[ref]; !seen || pointer < known {
				d.refs[ref] = pointer
			}
		}
	}
	for _, key := range []string{"$id", "id", "$dynamicAnchor", "$recursiveAnchor"} {
		if _, found := object[key]; found && pointer != "" {
			d.anchors = append(d.anchors, (&url.URL{Path: pointer}).EscapedPath())
			return
		}
	}
}

func escapeToken(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// correct changes what is meant clearly but written wrongly in one object of a schema.
func correct(object map[string]any) {
	for key, value := range object {
		if value == nil && key != "const" && key != "default" && key != "example" {
			delete(object, key) // Go clients write "required": null
		}
	}
	if kind, ok := object["type"].(string); ok {
		// Not among "properties", where each value is a schema itself.
		if _, ok := object["required"].(bool); ok {
			delete(object, "required") // draft 3
		}
		if object["nullable"] == true && kind != "null" {
			object["type"] = []any{kind, "null"} // OpenAPI 3.0
			if values, ok := object["enum"].([]any); ok && !slices.Contains(values, nil) {
				object["enum"] = append(values, nil)
			}
		}
	}
	dropPatterns(object)
}

// dropPatterns leaves out patterns of property names that cannot be run. What they
// would have matched is unknown, so that all other names are allowed then.
func dropPatterns(object map[string]any) {
	patterns, ok := object["patternProperties"].(map[string]any)
	if !ok {
		return
	}
	for pattern := range patterns {
		if _, err := regexp.Compile(pattern); err != nil {
			delete(patterns, pattern)
			delete(object, "additionalProperties")
			delete(object, "unevaluatedProperties")
		}
	}
}

// tame refuses numbers with which exact computation would take very long.
func tame(value any) error {
	switch value := value.(type) {
	case json.Number:
		return tameNumber(string(value))
	case []any:
		for _, item := range value {
			if err := tame(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, member := range value {
			if err := tame(member); err != nil {
				return err
			}
		}
	}
	return nil
}

var errNumber = errors.New("has a number with too many digits")

func tameNumber(number string) error {
	if len(number) > maxNumber {
		return errNumber
	}
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return nil
	}
	exponent, err := strconv.Atoi(number[i+1:])
	if err != nil || exponent > maxExponent || exponent < -maxExponent {
		return errNumber
	}
	return nil
}

// explain puts an error of the library into plain words.
func (d *document) explain(err error) error {
	var (
		mismatch *jsonschema.SchemaValidationError
		outside  *jsonschema.LoadURLError
		missing  *jsonschema.JSONPointerNotFoundError
		anchor   *jsonschema.AnchorNotFoundError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch):
		return d.explainMismatch(mismatch)
	case errors.As(err, &outside):
		return fmt.Errorf("the schema refers%s to %s, but only references within the schema are followed", d.where(outside.URL), quote(outside.URL))
	case errors.As(err, &missing):
		return d.missing(missing.URL)
	case errors.As(err, &anchor):
		return d.missing(anchor.Reference)
	}
	return errors.New(strings.ReplaceAll(err.Error(), docURL, ""))
}

// missing is the error of a reference within the schema that leads nowhere.
func (d *document) missing(target string) error {
	short := strings.TrimPrefix(target, docURL)
	return fmt.Errorf("the schema refers%s to %s, which it does not have", d.where(short), quote(short))
}

// where names the place that refers to something, if it can be told.
func (d *document) where(target string) string {
	plain, err := url.PathUnescape(target)
	if err != nil {
		plain = target
	}
	var places []string
	for ref, place := range d.refs {
		if ref == target || ref == plain || strings.TrimSuffix(ref, "#") == plain || strings.HasPrefix(ref, target+"#") {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return ""
	}
	return " at " + place(slices.Min(places))
}

// explainMismatch says what in the schema is no schema.
func (d *document) explainMismatch(err *jsonschema.SchemaValidationError) error {
	var found *jsonschema.ValidationError
	if !errors.As(err.Err, &found) {
		return errors.New("the schema is not one")
	}
	first := faults(found, d.value)[0]
	_, base, _ := strings.Cut(err.URL, "#")
	return fmt.Errorf("the schema is wrong at %s: it %s", place(base+first.pointer), first.text)
}

// place names a JSON pointer; the empty one is that of the whole.
func place(pointer string) string {
	if pointer == "" {
		return "its top"
	}
	return cut(pointer, 200)
}

// number writes an exact fraction the way people do.
func number(r *big.Rat) string {
	if r.IsInt() && r.Num().BitLen() < 64 {
		return r.Num().String()
	}
	f, _ := r.Float64()
	if math.IsInf(f, 0) {
		return r.FloatString(0)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
