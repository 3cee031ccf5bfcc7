package openai

import "math"

// Thinking is what a request says about reasoning before the answer.
//
// Clients have five ways to switch it. If a request uses several, the most
// explicit one decides:
//
//  1. enable_thinking: true or false
//  2. chat_template_kwargs.enable_thinking: true or false
//  3. thinking.type: enabled, disabled, auto or adaptive
//  4. reasoning_effort: none or minimal (off), low, medium, high, xhigh or max
//     (on), auto
//  5. reasoning.enabled: true or false; without it reasoning.effort, with the
//     values of reasoning_effort
//
// A budget is taken from thinking_budget, chat_template_kwargs.thinking_budget,
// thinking.budget_tokens or reasoning.max_tokens, the first that is not 0. A
// budget without any switch switches reasoning on.
type Thinking struct {
	// Set says whether the request says anything about it.
	Set bool

	// Enabled says whether the model may reason. It is true with Auto.
	Enabled bool

	// Auto says that the model decides on its own whether to reason.
	Auto bool

	// Budget is the largest number of tokens to reason with. 0 means that
	// there is no limit of the client's; it is always 0 if Enabled is false.
	// What models take is smaller than what fits here.
	Budget int
}

// thinkingSwitch is the position of one switch.
type thinkingSwitch uint8

const (
	thinkingUnset thinkingSwitch = iota
	thinkingOff
	thinkingOn
	thinkingAuto
)

// The places where switches and budgets are found, most explicit first.
const (
	inParameter = iota
	inTemplate
	inThinking
	inEffort
	inReasoning
	thinkingPlaces
)

// thinkingSwitches is what was found in each place.
type thinkingSwitches struct {
	switches [thinkingPlaces]thinkingSwitch
	budgets  [thinkingPlaces]int
}

func (t *thinkingSwitches) resolve() Thinking {
	var budget int
	for _, b := range t.budgets {
		if budget == 0 {
			budget = b
		}
	}
	for _, s := range t.switches {
		switch s {
		case thinkingOff:
			return Thinking{Set: true}
		case thinkingOn, thinkingAuto:
			return Thinking{Set: true, Enabled: true, Auto: s == thinkingAuto, Budget: budget}
		}
	}
	return Thinking{Set: budget > 0, Enabled: budget > 0, Budget: budget}
}

// thinkingField reads a field of the body that is about reasoning.
func (p *parser) thinkingField(name string) error {
	switch name {
	case "enable_thinking":
		return p.thinkingBool(inParameter)
	case "thinking_budget":
		return p.thinkingBudget(inParameter)
	case "chat_template_kwargs":
		return p.optional(p.templateField)
	case "thinking":
		return p.optional(p.thinkingObjectField)
	case "reasoning_effort":
		return p.thinkingEffort(inEffort)
	default:
		return p.reasoningObject()
	}
}

func (p *parser) templateField(name string) error {
	switch name {
	case "enable_thinking":
		return p.thinkingBool(inTemplate)
	case "thinking_budget":
		return p.thinkingBudget(inTemplate)
	}
	return p.skip()
}

func (p *parser) thinkingObjectField(name string) error {
	switch name {
	case "type":
		return p.thinkingType()
	case "budget_tokens":
		return p.thinkingBudget(inThinking)
	}
	return p.skip()
}

// reasoningObject reads the object in which effort yields to enabled, in
// whatever order they come.
func (p *parser) reasoningObject() error {
	effort := thinkingUnset
	err := p.optional(func(name string) (err error) {
		switch name {
		case "enabled":
			return p.thinkingBool(inReasoning)
		case "effort":
			effort, err = p.effort()
			return err
		case "max_tokens":
			return p.thinkingBudget(inReasoning)
		}
		return p.skip()
	})
	if p.thinking.switches[inReasoning] == thinkingUnset {
		p.thinking.switches[inReasoning] = effort
	}
	return err
}

func (p *parser) thinkingBool(place int) error {
	on, set, err := p.bool()
	switch {
	case set && on:
		p.thinking.switches[place] = thinkingOn
	case set:
		p.thinking.switches[place] = thinkingOff
	}
	return err
}

func (p *parser) thinkingBudget(place int) error {
	n, _, err := p.integer(0)
	p.thinking.budgets[place] = int(min(n, math.MaxInt32))
	return err
}

func (p *parser) thinkingEffort(place int) (err error) {
	p.thinking.switches[place], err = p.effort()
	return err
}

func (p *parser) effort() (thinkingSwitch, error) {
	s, err := p.string()
	if err != nil {
		return thinkingUnset, err
	}
	switch s {
	case "":
		return thinkingUnset, nil
	case "none", "minimal":
		return thinkingOff, nil
	case "low", "medium", "high", "xhigh", "max":
		return thinkingOn, nil
	case "auto":
		return thinkingAuto, nil
	}
	param := p.path()
	return thinkingUnset, fail(codeInvalid, param, "%s is %s; send none, minimal, low, medium, high, xhigh, max or auto, or leave it out.", param, quoted(s))
}

func (p *parser) thinkingType() error {
	s, err := p.string()
	if err != nil {
		return err
	}
	place := &p.thinking.switches[inThinking]
	switch s {
	case "":
	case "enabled":
		*place = thinkingOn
	case "disabled":
		*place = thinkingOff
	case "auto", "adaptive":
		*place = thinkingAuto
	default:
		param := p.path()
		return fail(codeInvalid, param, "%s is %s; send enabled, disabled, auto or adaptive, or leave it out.", param, quoted(s))
	}
	return nil
}
