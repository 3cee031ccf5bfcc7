package tools

// Judge makes an event, without a source, of a call that has come beside the text of
// the answer. Its arguments are a JSON object.
func (p *Parser) Judge(c Call) Event {
	return p.call(c.Name, func(*offered) (text, reason string) { return c.Arguments, "" })
}
