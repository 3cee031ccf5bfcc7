package browser

import (
	"errors"
	"strings"
)

var errPowerShell = errors.New("its PowerShell commands are not as a browser writes them; copy the request again, and paste all of it")

// powerShell reads the commands of "Copy as PowerShell": some that prepare
// `$session`, and one that makes the request.
type powerShell struct {
	request
	tokens []psToken
	asked  bool // the command that makes the request has been read
}

func readPowerShell(text string) (*request, error) {
	tokens, err := psSplit(text)
	if err != nil {
		return nil, err
	}
	p := &powerShell{tokens: tokens}
	for len(p.tokens) > 0 {
		if p.skip(psNewline) {
			continue
		}
		if err := p.command(); err != nil {
			return nil, err
		}
	}
	if !p.asked {
		return nil, errUnfinished
	}
	return &p.request, nil
}

// next returns the next token and goes on. At the end it is a line break.
func (p *powerShell) next() psToken {
	if len(p.tokens) == 0 {
		return psToken{psNewline, ""}
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

// skip goes on if the next token is of that kind.
func (p *powerShell) skip(kind int) bool {
	if len(p.tokens) == 0 || p.tokens[0].kind != kind {
		return false
	}
	p.next()
	return true
}

// command reads one command.
func (p *powerShell) command() error {
	switch first := p.next(); {
	case first.is("$session"):
		p.rest()
		return nil
	case first.is("$session.UserAgent"):
		p.skip(psMark)
		p.add("User-Agent", p.next().text)
		return p.end()
	case first.is("$session.Cookies.Add"):
		return p.cookie()
	case first.is("Invoke-WebRequest"), first.is("Invoke-RestMethod"):
		if p.asked {
			return errSeveral
		}
		p.asked = true
		return p.invoke()
	}
	return errSeveral
}

// rest returns the texts in quotation marks of the rest of a command.
func (p *powerShell) rest() (texts []string) {
	for {
		token := p.next()
		switch token.kind {
		case psNewline:
			return texts
		case psString:
			texts = append(texts, token.text)
		}
	}
}

// end expects the end of a command.
func (p *powerShell) end() error {
	if p.next().kind != psNewline {
		return errPowerShell
	}
	return nil
}

// cookie reads the arguments of Cookies.Add: a cookie with a name, a value, a path
// and a domain.
func (p *powerShell) cookie() error {
	texts := p.rest()
	if len(texts) < 2 || texts[0] == "" || strings.ContainsAny(texts[0]+texts[1], ";\r\n") {
		return errPowerShell
	}
	p.cookies = append(p.cookies, texts[0]+"="+texts[1])
	return nil
}

// invoke reads the parameters of the request.
func (p *powerShell) invoke() error {
	for {
		var err error
		switch token := p.next(); {
		case token.kind == psNewline:
			return nil
		case token.is("-Uri"):
			err = p.setURL(p.next().text)
		case token.is("-UserAgent"):
			p.add("User-Agent", p.next().text)
		case token.is("-Headers"):
			err = p.headers()
		case token.kind == psWord && strings.HasPrefix(token.text, "-"):
			p.value()
		default:
			err = errPowerShell
		}
		if err != nil {
			return err
		}
	}
}

// value goes on to the next parameter.
func (p *powerShell) value() {
	for depth := 0; len(p.tokens) > 0; p.next() {
		switch token := p.tokens[0]; {
		case token.is("(") || token.is("@{") || token.is("{"):
			depth++
		case token.is(")") || token.is("}"):
			depth--
		case depth > 0:
		case token.kind == psNewline, token.kind == psWord && strings.HasPrefix(token.text, "-"):
			return
		}
	}
}

// headers reads a table of names and values.
func (p *powerShell) headers() error {
	if !p.next().is("@{") {
		return errPowerShell
	}
	for len(p.tokens) > 0 {
		if p.skip(psNewline) {
			continue
		}
		name := p.next()
		if name.is("}") {
			return nil
		}
		if equals, value := p.next(), p.next(); equals.is("=") && value.kind == psString {
			p.add(name.text, value.text)
			continue
		}
		return errPowerShell
	}
	return errUnfinished
}
