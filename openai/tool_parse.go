package openai

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxTools    = 512 // tools in a request
	maxToolName = 128 // characters in the name of one
)

// toolField reads a field of the body that offers tools or asks for a format.
// Malformed values are refused, because a client that relies on them would
// otherwise wait for calls or for JSON that cannot come.
func (p *parser) toolField(name string) error {
	switch name {
	case "tools", "functions":
		return p.definition(name, func() error { return p.toolList(name) })
	case "tool_choice", "function_call":
		return p.toolChoice(name)
	case "parallel_tool_calls":
		return p.parallelField()
	case "response_format":
		return p.definition(name, p.responseFormat)
	default:
		return p.skip()
	}
}

// definition reads a field with read and counts the bytes of its JSON.
func (p *parser) definition(name string, read func() error) error {
	start := p.dec.InputOffset()
	if err := read(); err != nil {
		return err
	}
	p.definitions += int(p.dec.InputOffset() - start)
	if p.definitions > p.limits.MaxTools {
		return fail(codeInvalid, name, "%s is too large: the definitions of all tools and formats have more than %d bytes of JSON; offer fewer or smaller ones.", name, p.limits.MaxTools)
	}
	return nil
}

// toolList reads tools or functions, which preceded them. An empty list counts
// as none.
func (p *parser) toolList(name string) error {
	if p.null() {
		return nil
	}
	before := len(p.req.Tools)
	err := p.array(maxTools, func(int) error { return p.tool(name == "functions") })
	added := len(p.req.Tools) > before
	if err == nil && added && before > 0 {
		return fail(codeInvalid, "functions", "functions is sent beside tools, which replaces it; send tools alone.")
	}
	if added {
		p.req.Functions = name == "functions"
	}
	return err
}

// definedTool is a tool whose fields are still being read. Its name is in an
// object that is called like the type, or (flat) beside it.
type definedTool struct {
	Tool
	kind   string
	nested string // the field that held an object with the name
}

// tool reads an entry of tools, or of functions, which are always flat.
func (p *parser) tool(function bool) error {
	var t definedTool
	field := p.toolEntryField
	if function {
		field = p.definedField
	}
	if err := p.object(func(name string) error { return field(&t, name) }); err != nil {
		return err
	}
	param := p.path()
	if err := checkToolType(t.kind, param+".type"); err != nil {
		return err
	}
	t.Param = param + t.nested
	if err := p.checkToolName(t.Name, t.Param+".name"); err != nil {
		return err
	}
	p.req.Tools = append(p.req.Tools, t.Tool)
	return nil
}

func (p *parser) toolEntryField(t *definedTool, name string) (err error) {
	switch name {
	case "type":
		t.kind, err = p.string()
		return err
	case "function":
		if p.null() {
			return nil
		}
		t.nested = ".function"
		return p.object(func(name string) error { return p.definedField(t, name) })
	case "custom":
		// A tool without a type is what it holds.
		if p.null() {
			return nil
		}
		t.kind = "custom"
		return p.skip()
	}
	return p.definedField(t, name)
}

func (p *parser) definedField(t *definedTool, name string) (err error) {
	switch name {
	case "name":
		t.Name, err = p.identifier()
	case "description":
		t.Description, err = p.string()
	case "parameters", "input_schema": // the latter is Anthropic's name
		t.Parameters, err = p.jsonObject()
	case "strict":
		err = p.setBool(&t.Strict)
	default:
		err = p.skip()
	}
	return err
}

// jsonObject consumes an object and returns its JSON text without white space.
// Null becomes "".
func (r *reader) jsonObject() (string, error) {
	if r.null() {
		return "", nil
	}
	if r.dec.PeekKind() != '{' {
		return "", r.wrongType("a JSON object")
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return "", r.syntax(err)
	}
	v = v.Clone()
	err = v.Compact()
	return string(v), r.syntax(err)
}

// checkToolType checks the type of a tool or choice. It is only needed where it
// is not obvious.
func checkToolType(kind, param string) error {
	switch kind {
	case "", "function":
		return nil
	case "custom":
		return fail(codeUnsupported, param, "%s is custom, but models here call functions with JSON arguments only; offer a tool of the type function.", param)
	}
	return fail(codeInvalid, param, "%s is %s; only tools of the type function are known.", param, quoted(kind))
}

// checkToolName checks the name of a tool that is about to be added.
func (p *parser) checkToolName(name, param string) error {
	if name == "" {
		return fail(codeMissing, param, "%s is missing; send the name of the function.", param)
	}
	if utf8.RuneCountInString(name) > maxToolName {
		return fail(codeInvalid, param, "%s has more than %d characters; choose a shorter name.", param, maxToolName)
	}
	if i := strings.IndexFunc(name, badInToolName); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return fail(codeInvalid, param, "%s has the character %q in it; use letters, digits, _ and -.", param, r)
	}
	for i := range p.req.Tools {
		if p.req.Tools[i].Name == name {
			return fail(codeInvalid, param, "%s is %s, which is the name of %s already; choose another one.", param, quoted(name), p.req.Tools[i].Param)
		}
	}
	return nil
}

// badInToolName reports whether models could not repeat a character reliably,
// because it is invisible or has a meaning where names are written.
func badInToolName(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || strings.ContainsRune("\"'`\\<>\u2028\u2029", r)
}
