package openai

import "math"

// paramField reads a field of the body that is neither the conversation nor
// about streaming or reasoning. Values of known parameters must have the right
// type, so that a mistake is not mistaken for a wish that was ignored.
func (p *parser) paramField(name string) error {
	switch name {
	case "n":
		return p.answersField()
	case "logprobs":
		return p.logprobsField()
	case "top_logprobs":
		return p.topLogprobsField()
	case "temperature", "top_p", "typical_p", "repetition_penalty":
		return p.numberParam(name, 1)
	case "presence_penalty", "frequency_penalty", "min_p", "top_a":
		return p.numberParam(name, 0)
	case "max_tokens", "max_completion_tokens":
		return p.maxOutputField()
	case "top_k":
		return p.integerParam(name, -1, 0)
	case "seed":
		return p.seedParam()
	case "stop":
		return p.stopField()
	case "enable_search":
		return p.boolParam(name)
	case "verbosity":
		return p.stringParam(name, "medium")
	case "modalities":
		return p.modalitiesParam()
	case "logit_bias", "audio", "web_search_options":
		return p.objectParam(name)
	default:
		return p.toolField(name)
	}
}

// ignore notes that a parameter would change the answer elsewhere.
func (p *parser) ignore(name string) {
	p.req.Ignored = append(p.req.Ignored, name)
}

func (p *parser) answersField() error {
	n, set, err := p.integer(1)
	if set && n > 1 {
		return fail(codeUnsupported, "n", "n is %d, but there is one answer per request; leave n out and send several requests.", n)
	}
	return err
}

func (p *parser) logprobsField() error {
	on, _, err := p.bool()
	if on {
		return fail(codeUnsupported, "logprobs", "logprobs is true, but probabilities are not available; leave it out.")
	}
	return err
}

func (p *parser) topLogprobsField() error {
	n, set, err := p.integer(0)
	if set && n > 0 {
		return fail(codeUnsupported, "top_logprobs", "top_logprobs is %d, but probabilities are not available; leave it out.", n)
	}
	return err
}

func (p *parser) numberParam(name string, neutral float64) error {
	f, set, err := p.number()
	if set && f != neutral {
		p.ignore(name)
	}
	return err
}

func (p *parser) integerParam(name string, least, neutral int64) error {
	n, set, err := p.integer(least)
	if set && n != neutral {
		p.ignore(name)
	}
	return err
}

// seedParam reads the seed, of which no value is neutral.
func (p *parser) seedParam() error {
	_, set, err := p.integer(math.MinInt64)
	if set {
		p.ignore("seed")
	}
	return err
}

// boolParam reads a switch that is off by default.
func (p *parser) boolParam(name string) error {
	on, _, err := p.bool()
	if on {
		p.ignore(name)
	}
	return err
}

func (p *parser) stringParam(name, neutral string) error {
	s, err := p.string()
	if s != "" && s != neutral {
		p.ignore(name)
	}
	return err
}

const (
	maxStops = 16      // strings in stop
	maxStop  = 1 << 10 // bytes in one of them, which are held back while they may still come
)

// stopField reads a string or a list of strings.
func (p *parser) stopField() error {
	if p.dec.PeekKind() != '[' {
		return p.stop()
	}
	return p.array(maxStops, func(int) error { return p.stop() })
}

func (p *parser) stop() error {
	s, err := p.string()
	if s == "" || err != nil {
		return err
	}
	if len(s) > maxStop {
		path := p.path()
		return fail(codeInvalid, path, "%s has more than %d bytes; send a shorter one.", path, maxStop)
	}
	p.req.Stop = append(p.req.Stop, s)
	return nil
}

// maxOutputField reads one of the two limits of the answer's length, of which
// the smaller one counts.
func (p *parser) maxOutputField() error {
	n, set, err := p.integer(1)
	if limit := int(min(n, math.MaxInt)); set && (p.req.MaxOutput == 0 || limit < p.req.MaxOutput) {
		p.req.MaxOutput = limit
	}
	return err
}

// modalitiesParam reads the kinds of output, of which only text is available.
func (p *parser) modalitiesParam() error {
	if p.null() {
		return nil
	}
	return p.array(unlimited, func(int) error {
		return p.stringParam("modalities", "text")
	})
}

// objectParam reads an object of which nothing has an effect.
func (p *parser) objectParam(name string) error {
	empty := true
	err := p.optional(func(string) error {
		empty = false
		return p.skip()
	})
	if !empty {
		p.ignore(name)
	}
	return err
}
