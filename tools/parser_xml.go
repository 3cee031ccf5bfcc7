package tools

import "bytes"

// The form of calls that Qwen's models for code are trained on:
//
//	<function=name>
//	<parameter=key>
//	value
//	</parameter>
//	</function>
const (
	functionTag    = "<function="
	parameterTag   = "<parameter="
	parameterClose = "</parameter>"
	functionClose  = "</function>"
)

// function is a call in XML, as places in the text.
type function struct {
	name       span
	parameters []parameter
}

type parameter struct{ key, value span }

type span struct{ from, to int }

func (s span) of(text []byte) string { return string(text[s.from:s.to]) }

// function reads a call in XML.
func (b *block) function(view []byte) verdict {
	switch b.state {
	case inFunction:
		return b.tagName(view, &b.xml.name, inParameters)
	case inParameters:
		return b.nextParameter(view)
	case inParameter:
		return b.tagName(view, &b.current().key, inValue)
	case inValue:
		return b.parameterValue(view)
	}
	return b.afterParameter(view)
}

func (b *block) current() *parameter { return &b.xml.parameters[len(b.xml.parameters)-1] }

// maxTagName is how long a name in a tag may be, in bytes.
const maxTagName = 4 * maxName

// tagName reads the name in a tag, up to its >.
func (b *block) tagName(view []byte, name *span, next blockState) verdict {
	rest := view[b.pos:]
	n := bytes.IndexAny(rest[:min(len(rest), maxTagName)], "><\n")
	switch {
	case n < 0 && len(rest) < maxTagName:
		return more
	case n <= 0 || rest[n] != '>':
		return b.broken("the name in a tag has no end")
	}
	*name = span{b.pos, b.pos + n}
	b.to(next, n+1)
	if next == inValue {
		b.current().value.from = b.pos
	}
	return goOn
}

// nextParameter reads up to the next parameter, or the end of the function.
func (b *block) nextParameter(view []byte) verdict {
	b.pos += spaceLen(view[b.pos:])
	switch found, tag := followsParameter(view[b.pos:]); {
	case found == unclear:
		return more
	case found == no:
		return b.broken("something else than a tag follows " + parameterClose)
	case tag == parameterTag:
		b.xml.parameters = append(b.xml.parameters, parameter{})
		return b.to(inParameter, len(tag))
	case tag == functionClose:
		b.end = b.pos + len(tag)
		return b.to(inClosing, len(tag))
	}
	b.end = b.pos
	return b.to(inClosing, 0) // </function> is missing
}

// followsParameter tells which of the tags that may follow a parameter text begins
// with.
func followsParameter(text []byte) (found answer, tag string) {
	for _, tag := range []string{parameterTag, functionClose, closeTag} {
		switch matchTag(text, tag) {
		case yes:
			return yes, tag
		case unclear:
			found = unclear
		}
	}
	return found, ""
}

// parameterValue reads a value up to what may be its end tag.
func (b *block) parameterValue(view []byte) verdict {
	n := bytes.Index(view[b.pos:], []byte(parameterClose))
	if n < 0 {
		b.pos = max(b.pos, len(view)-len(parameterClose)+1)
		return more
	}
	b.current().value.to = b.pos + n
	return b.to(afterValue, n+len(parameterClose))
}

// afterParameter decides whether an end tag was the parameter's, or part of its value.
func (b *block) afterParameter(view []byte) verdict {
	b.pos += spaceLen(view[b.pos:])
	value := b.current().value
	switch found, _ := followsParameter(view[b.pos:]); {
	case found == unclear:
		return more
	case found == no:
		b.pos = value.to + 1
		return b.to(inValue, 0)
	case bytes.Contains(view[value.from:value.to], []byte("\n"+parameterTag)):
		return b.broken(parameterClose + " is missing before " + parameterTag)
	}
	return b.to(inParameters, 0)
}
