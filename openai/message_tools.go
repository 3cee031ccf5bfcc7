package openai

// toolCalls reads the calls of an earlier answer.
func (p *parser) toolCalls(d *draft) error {
	if p.null() {
		return nil
	}
	var calls []ToolCall
	err := p.array(p.limits.MaxParts, func(int) error {
		call, err := p.toolCall()
		calls = append(calls, call)
		return err
	})
	// A legacy call that came before these in the JSON stays the last one.
	d.ToolCalls = append(calls, d.ToolCalls...)
	return err
}

// functionCall reads the single call of the API that preceded tools.
func (p *parser) functionCall(d *draft) error {
	if p.null() {
		return nil
	}
	call, err := p.toolCall()
	d.ToolCalls = append(d.ToolCalls, call)
	return err
}

// toolCall reads one call. Its name and arguments are in an object that is
// called like the type of the tool, or beside its id.
func (p *parser) toolCall() (ToolCall, error) {
	var c ToolCall
	if err := p.object(func(name string) error { return p.toolCallField(&c, name) }); err != nil {
		return c, err
	}
	if c.Name == "" {
		param := p.path()
		return c, fail(codeMissing, param, "%s has no name of a function; send it in function.name.", param)
	}
	return c, nil
}

func (p *parser) toolCallField(c *ToolCall, name string) (err error) {
	switch name {
	case "id":
		c.ID, err = p.identifier()
	case "function", "custom":
		err = p.optional(func(name string) error { return p.calledField(c, name) })
	default:
		err = p.calledField(c, name)
	}
	return err
}

func (p *parser) calledField(c *ToolCall, name string) (err error) {
	switch name {
	case "name":
		c.Name, err = p.identifier()
	case "arguments", "input":
		c.Arguments, err = p.arguments()
	default:
		err = p.skip()
	}
	return err
}

// arguments reads the arguments of a call: a string, or the object that the
// string should have contained.
func (p *parser) arguments() (string, error) {
	if p.dec.PeekKind() != '{' {
		return p.keptText()
	}
	s, err := p.raw()
	if err != nil {
		return "", err
	}
	return s, p.count(len(s))
}
