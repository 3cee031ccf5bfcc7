package openai

import "slices"

// toolChoiceDraft is a choice whose fields are still being read, or whose tools
// are not yet known.
type toolChoiceDraft struct {
	param string // the field of the body; empty if there is none
	kind  string
	mode  string
	named chosenTool   // of the type function
	some  []chosenTool // of the type allowed_tools
	at    string       // the field that held mode and tools, if not the choice itself
}

// chosenTool is a tool that a choice names.
type chosenTool struct {
	name, param string
	kind        string
	nested      string // the field that held an object with the name
}

// toolChoice reads which tools the model may or must call: a word, or an
// object that names one or some.
func (p *parser) toolChoice(name string) (err error) {
	c := toolChoiceDraft{param: name}
	switch p.dec.PeekKind() {
	case 'n', '"':
		if c.kind, err = p.string(); c.kind == "" || err != nil {
			return err
		}
		err = c.settleWord(name)
	case '{':
		if err = p.object(func(name string) error { return p.toolChoiceField(&c, name) }); err == nil {
			err = c.settleObject()
		}
	default:
		return p.wrongType("a string or an object")
	}
	if err == nil && p.choice.param != "" {
		return fail(codeInvalid, "function_call", "function_call is sent beside tool_choice, which replaces it; send tool_choice alone.")
	}
	p.choice = c
	return err
}

func (p *parser) toolChoiceField(c *toolChoiceDraft, name string) (err error) {
	switch name {
	case "type":
		c.kind, err = p.string()
	case "allowed_tools":
		if p.null() {
			return nil
		}
		c.at = ".allowed_tools"
		err = p.object(func(name string) error { return p.allowedField(c, name) })
	case "mode", "tools":
		err = p.allowedField(c, name)
	default:
		err = p.chosenField(&c.named, name)
	}
	return err
}

// allowedField reads a field of a choice that allows some of the tools.
func (p *parser) allowedField(c *toolChoiceDraft, name string) (err error) {
	switch name {
	case "mode":
		c.mode, err = p.string()
	case "tools":
		if p.null() {
			return nil
		}
		err = p.array(maxTools, func(int) error {
			var t chosenTool
			if err := p.object(func(name string) error { return p.chosenField(&t, name) }); err != nil {
				return err
			}
			c.some = append(c.some, t)
			return c.some[len(c.some)-1].check(p.path())
		})
	default:
		err = p.skip()
	}
	return err
}

// chosenField reads a field of an object that names a tool.
func (p *parser) chosenField(t *chosenTool, name string) (err error) {
	switch name {
	case "type":
		t.kind, err = p.string()
	case "name":
		t.name, err = p.identifier()
	case "function":
		if p.null() {
			return nil
		}
		t.nested = ".function"
		err = p.object(func(name string) error {
			if name != "name" {
				return p.skip()
			}
			return p.chosenField(t, name)
		})
	default:
		err = p.skip()
	}
	return err
}

// check checks a tool that a choice names, whose path in the request is param.
func (t *chosenTool) check(param string) error {
	if err := checkToolType(t.kind, param+".type"); err != nil {
		return err
	}
	t.param = param + t.nested + ".name"
	if t.name == "" {
		return fail(codeMissing, t.param, "%s is missing; send the name of the function.", t.param)
	}
	return nil
}

// settleWord checks a choice that is a word, or an object of which only the type
// counts.
func (c *toolChoiceDraft) settleWord(param string) error {
	switch c.kind {
	case ChoiceAuto, ChoiceNone, ChoiceRequired:
		c.mode = c.kind
	case "any": // a name that others have for required
		c.mode = ChoiceRequired
	default:
		return fail(codeInvalid, param, "%s is %s; send auto, none, required, or an object that names a function.", param, quoted(c.kind))
	}
	c.some = nil
	return nil
}

// settleObject checks a choice that is an object and brings it into one form: a
// mode, and the tools that may be called.
func (c *toolChoiceDraft) settleObject() error {
	switch c.kind {
	case "", "function", "tool": // the last is Anthropic's name
		c.mode, c.some = ChoiceRequired, []chosenTool{c.named}
		return c.some[0].check(c.param)
	case "allowed_tools":
		return c.settleAllowed()
	case "custom":
		return checkToolType(c.kind, c.param+".type")
	}
	return c.settleWord(c.param + ".type")
}

func (c *toolChoiceDraft) settleAllowed() error {
	param := c.param + c.at
	switch c.mode {
	case "":
		c.mode = ChoiceAuto
	case ChoiceAuto, ChoiceRequired:
	default:
		return fail(codeInvalid, param+".mode", "%s.mode is %s; send auto or required.", param, quoted(c.mode))
	}
	if len(c.some) == 0 {
		return fail(codeMissing, param+".tools", "%s.tools is missing or empty; send the tools that may be called, or the choice none.", param)
	}
	return nil
}

// parallelField reads whether an answer may have several calls.
func (p *parser) parallelField() error {
	parallel, set, err := p.bool()
	p.req.SingleCall = set && !parallel
	return err
}

// finishTools makes the checks for which all tools must be known, and leaves
// nothing of the choice if there are none. A choice that demands a call then is
// a mistake, whereas auto and none ask for nothing.
func (p *parser) finishTools() error {
	r, c := &p.req, &p.choice
	if len(r.Tools) == 0 {
		r.SingleCall = false
		if c.mode == ChoiceRequired || len(c.some) > 0 {
			return fail(codeInvalid, c.param, "%s asks for a call, but the request offers no tools; send tools, or leave %s out.", c.param, c.param)
		}
		return nil
	}
	r.SingleCall = r.SingleCall || r.Functions
	r.ToolChoice.Mode = c.mode
	if c.mode == "" {
		r.ToolChoice.Mode = ChoiceAuto
	}
	for _, t := range c.some {
		if !slices.ContainsFunc(r.Tools, func(offered Tool) bool { return offered.Name == t.name }) {
			return fail(codeInvalid, t.param, "%s is %s, but the request offers no tool of that name; offer it, or choose another one.", t.param, quoted(t.name))
		}
		if !slices.Contains(r.ToolChoice.Names, t.name) {
			r.ToolChoice.Names = append(r.ToolChoice.Names, t.name)
		}
	}
	return nil
}
