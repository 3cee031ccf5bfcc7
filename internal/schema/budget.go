package schema

import (
	"errors"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxExpansion is how many schemas may apply to one value, counted as often as
	// they do: what 30 definitions that each refer twice to the next would need 2³⁰ of.
	maxExpansion = 20_000
	// maxProgram is the longest regular expression that is run, in instructions, and
	// maxPrograms how many those that were compiled may have together.
	maxProgram  = 20_000
	maxPrograms = 40_000
	// maxPattern is the longest that is looked at, in bytes: seven may make a thousand
	// instructions.
	maxPattern = 2_000
)

// budget is the work that a check may still do. The library knows no such limit; but
// it calls a schema's format with each value before it looks into it, and formats
// are not asserted here: so the format of every schema is the counter.
type budget struct {
	left     int
	programs int // the instructions of the regular expressions so far
}

var errExhausted = errors.New("too much work")

// spend takes some work from the budget. Once it is exhausted every further schema
// fails at once, so that the check soon ends.
func (b *budget) spend(work int) error {
	if b.left < 0 {
		return errExhausted
	}
	if b.left -= work; b.left < 0 {
		return errExhausted
	}
	return nil
}

// watch makes all schemas that can be reached count their work. The error says that
// they refer to themselves without end, or too often.
func (b *budget) watch(roots []*jsonschema.Schema) error {
	w := watcher{budget: b, size: make(map[*jsonschema.Schema]int)}
	for _, root := range roots {
		w.reach(root)
	}
	for _, s := range w.order {
		if size, ok := w.expand(s); !ok {
			return errors.New("the schema contains itself without end at " + placeOf(s))
		} else if size > maxExpansion {
			return errors.New("the schema refers too often to the same definitions: simplify it at " + placeOf(s))
		}
	}
	for _, s := range w.order {
		s.Format = &jsonschema.Format{Name: counter, Validate: b.counter(s)}
	}
	return nil
}

const counter = "work"

// placeOf returns the pointer of a compiled schema.
func placeOf(s *jsonschema.Schema) string {
	for i := range len(s.Location) {
		if s.Location[i] == '#' {
			return place(s.Location[i+1:])
		}
	}
	return place("")
}

// counter returns what a schema spends on a value.
func (b *budget) counter(s *jsonschema.Schema) func(any) error {
	fixed, each := weight(s), 0
	for _, sub := range inPlace(s) {
		fixed += weight(sub)
	}
	for _, sub := range below(s) {
		each = max(each, weight(sub))
	}
	each += len(s.PatternProperties)
	return func(value any) error {
		work := fixed
		switch value := value.(type) {
		case string:
			work += len(value) / 64
		case []any:
			work += each * len(value)
			if s.UniqueItems {
				work += 20 * nodes(value)
			}
		case map[string]any:
			work += each * len(value)
		}
		return b.spend(work)
	}
}

// weight is the work of what the library does before it calls the format.
func weight(s *jsonschema.Schema) int {
	work := 1 + len(s.Required)/8
	if s.Enum != nil {
		work += nodes(s.Enum.Values) / 8
	}
	if s.Const != nil {
		work += nodes(*s.Const) / 8
	}
	return work
}

// nodes returns of how many values a value consists.
func nodes(value any) int {
	n := 1
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			n += nodes(item)
		}
	case map[string]any:
		for _, member := range value {
			n += nodes(member)
		}
	}
	return n
}

// watcher walks through the graph of compiled schemas.
type watcher struct {
	budget *budget
	order  []*jsonschema.Schema
	size   map[*jsonschema.Schema]int // 0: reached, -1: being counted, else the result
}

// reach lists all schemas that a schema leads to.
func (w *watcher) reach(root *jsonschema.Schema) {
	todo := []*jsonschema.Schema{root}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, known := w.size[s]; known || s == nil {
			continue
		}
		w.size[s] = 0
		w.order = append(w.order, s)
		todo = append(append(todo, inPlace(s)...), below(s)...)
	}
}

// expand returns how many schemas a schema applies to the value that it is applied
// to; false if it applies itself.
func (w *watcher) expand(s *jsonschema.Schema) (size int, ok bool) {
	if known := w.size[s]; known != 0 {
		return known, known > 0
	}
	w.size[s] = -1
	size = 1
	for _, sub := range inPlace(s) {
		n, ok := w.expand(sub)
		if !ok {
			return 0, false
		}
		size = min(size+n, maxExpansion+1)
	}
	w.size[s] = size
	return size, true
}

// inPlace returns the schemas that a schema applies to its own value.
func inPlace(s *jsonschema.Schema) (list []*jsonschema.Schema) {
	list = present(s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else)
	if s.DynamicRef != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	list = append(append(append(list, s.AllOf...), s.AnyOf...), s.OneOf...)
	for _, sub := range s.DependentSchemas {
		list = append(list, sub)
	}
	for _, sub := range s.Dependencies {
		list = append(list, either(sub)...)
	}
	return list
}

// below returns the schemas that a schema applies to what its value consists of.
func below(s *jsonschema.Schema) (list []*jsonschema.Schema) {
	list = present(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
	list = append(list, s.PrefixItems...)
	list = append(list, either(s.AdditionalProperties)...)
	list = append(list, either(s.Items)...)
	list = append(list, either(s.AdditionalItems)...)
	for _, sub := range s.Properties {
		list = append(list, sub)
	}
	for _, sub := range s.PatternProperties {
		list = append(list, sub)
	}
	return list
}

func present(all ...*jsonschema.Schema) (list []*jsonschema.Schema) {
	for _, s := range all {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// either returns the schemas of a keyword that takes several kinds of values.
func either(value any) []*jsonschema.Schema {
	switch value := value.(type) {
	case *jsonschema.Schema:
		return present(value)
	case []*jsonschema.Schema:
		return value
	}
	return nil
}

// pattern is a regular expression whose work is counted. One that cannot be run,
// because RE2 has no such construct or because it is too long, matches everything.
// It is compiled when it is needed: few bytes of a schema can make much of it.
type pattern struct {
	text   string
	ready  bool
	run    *regexp.Regexp
	cost   int
	budget *budget
}

func (b *budget) compilePattern(text string) (jsonschema.Regexp, error) {
	return &pattern{text: text, budget: b}, nil
}

func (p *pattern) String() string { return p.text }

// MatchString reports whether the pattern occurs in a text. The work is the product
// of both their lengths at worst, and rarely as much.
func (p *pattern) MatchString(text string) bool {
	if p.budget.spend(1) != nil {
		return true
	}
	if !p.ready {
		p.compile()
	}
	if p.run == nil || p.budget.spend(len(text)*p.cost/256) != nil {
		return true
	}
	return p.run.MatchString(text)
}

func (p *pattern) compile() {
	p.ready = true
	if len(p.text) > maxPattern || p.budget.programs > maxPrograms {
		return
	}
	parsed, err := syntax.Parse(p.text, syntax.Perl)
	if err != nil {
		return
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return
	}
	p.cost = len(program.Inst)
	p.budget.programs += p.cost
	if p.cost <= maxProgram {
		p.run, _ = regexp.Compile(p.text)
	}
}
