package openai

// toolField reads a field of the body that offers tools or asks for a format.
// Malformed values are refused, because a client that relies on them would
// otherwise wait for calls or for JSON that cannot come.
func (p *parser) toolField(name string) error {
	switch name {
	case "tools":
		return p.definition(name, func() error { return p.toolList(name, p.tool) })
	case "functions":
		return p.definition(name, func() error { return p.toolList(name, p.function) })
	case "tool_choice", "function_call":
		return p.toolChoice(name)
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
		return fail(codeInvalid, name, "The definitions of tools and formats are larger than %d bytes; offer fewer or smaller ones.", p.limits.MaxTools)
	}
	return nil
}

// toolList reads a list of definitions, each with read.
func (p *parser) toolList(name string, read func() error) error {
	if p.null() {
		return nil
	}
	empty := true
	err := p.array(unlimited, func(int) error {
		empty = false
		return read()
	})
	if !empty {
		p.ignore(name)
	}
	return err
}

// named is the part of a tool definition or of a choice that is looked at. The
// name is in an object that is called like the type, or (flat) beside it.
type named struct {
	kind, name string
	nested     string // the field that held an object with the name
}

// tool reads an entry of tools.
func (p *parser) tool() error {
	var t named
	if err := p.object(func(name string) error { return p.namedField(&t, name) }); err != nil {
		return err
	}
	return p.checkTool(&t)
}

// function reads an entry of functions, the predecessor of tools.
func (p *parser) function() error {
	t := named{kind: "function"}
	if err := p.object(func(name string) error { return p.definedField(&t, name) }); err != nil {
		return err
	}
	return p.checkTool(&t)
}

func (p *parser) namedField(t *named, name string) (err error) {
	switch name {
	case "type":
		t.kind, err = p.string()
		return err
	case "function", "custom":
		if p.null() {
			return nil
		}
		t.nested = "." + name
		return p.object(func(name string) error { return p.definedField(t, name) })
	}
	return p.definedField(t, name)
}

func (p *parser) definedField(t *named, name string) (err error) {
	switch name {
	case "name":
		t.name, err = p.identifier()
	case "description":
		_, err = p.string()
	case "parameters":
		err = p.optional(func(string) error { return p.skip() })
	default:
		err = p.skip()
	}
	return err
}

// checkTool checks a definition or choice that has just been read. A type is
// only needed where it is not obvious.
func (p *parser) checkTool(t *named) error {
	switch t.kind {
	case "", "function", "custom":
	default:
		param := p.path() + ".type"
		return fail(codeInvalid, param, "%s is %s; only tools of the type function or custom are known.", param, quoted(t.kind))
	}
	if t.name == "" {
		param := p.path() + t.nested + ".name"
		return fail(codeMissing, param, "%s is missing; send the name of the function.", param)
	}
	return nil
}

// toolChoice reads which tools the model may or must call: a word, or an
// object that names one. Without tools, auto and none ask for nothing.
func (p *parser) toolChoice(name string) error {
	switch p.dec.PeekKind() {
	case 'n', '"':
		return p.toolChoiceWord(name)
	case '{':
		return p.toolChoiceObject(name)
	}
	return p.wrongType("a string or an object")
}

func (p *parser) toolChoiceWord(name string) error {
	word, err := p.string()
	if err != nil {
		return err
	}
	switch word {
	case "", "auto", "none":
		return nil
	case "required", "any":
		p.ignore(name)
		return nil
	}
	return fail(codeInvalid, name, "%s is %s; send auto, none, required, or an object that names a function.", name, quoted(word))
}

func (p *parser) toolChoiceObject(name string) error {
	var t named
	if err := p.object(func(name string) error { return p.namedField(&t, name) }); err != nil {
		return err
	}
	switch t.kind {
	case "auto", "none":
		return nil
	case "required", "any", "allowed_tools":
		p.ignore(name)
		return nil
	}
	p.ignore(name)
	return p.checkTool(&t)
}

// formatFields is what is read of response_format.
type formatFields struct {
	kind      string
	empty     bool
	hasSchema bool
}

func (p *parser) responseFormat() error {
	f := formatFields{empty: true}
	if err := p.optional(func(name string) error { return p.formatField(&f, name) }); err != nil {
		return err
	}
	return p.checkFormat(&f)
}

func (p *parser) formatField(f *formatFields, name string) (err error) {
	f.empty = false
	switch name {
	case "type":
		f.kind, err = p.string()
	case "json_schema":
		if p.null() {
			return nil
		}
		f.hasSchema = true
		err = p.object(p.schemaField)
	default:
		err = p.skip()
	}
	return err
}

func (p *parser) schemaField(name string) (err error) {
	switch name {
	case "name", "description":
		_, err = p.string()
	case "strict":
		_, _, err = p.bool()
	case "schema":
		err = p.optional(func(string) error { return p.skip() })
	default:
		err = p.skip()
	}
	return err
}

func (p *parser) checkFormat(f *formatFields) error {
	const param = "response_format"
	switch {
	case f.empty, f.kind == "text":
		return nil
	case f.kind == "":
		return fail(codeMissing, param+".type", "response_format.type is missing; send text, json_object or json_schema.")
	case f.kind == "json_schema" && !f.hasSchema:
		return fail(codeMissing, param+".json_schema", "response_format.json_schema is missing; send the schema there, or the type json_object.")
	case f.kind != "json_schema" && f.kind != "json_object":
		return fail(codeInvalid, param+".type", "response_format.type is %s; send text, json_object or json_schema.", quoted(f.kind))
	}
	p.ignore(param)
	return nil
}
