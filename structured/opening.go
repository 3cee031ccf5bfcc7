package structured

import "encoding/json"

// opening reads the first bytes of what may be the JSON, and says what it is.
type opening struct {
	state openingState
	list  bool // it began as a list
}

type openingState uint8

const (
	openObject openingState = iota // after {
	openKey                        // within the first key
	openKeyEscape
	openColon // after it
	openList  // after [
	openItem  // within a string that is the first item
	openItemEscape
	openComma // after it
)

// verdict is what an opening turned out to be.
type verdict uint8

const (
	unsure verdict = iota
	plausible
	// lenient may be JSON, written loosely: it is kept until it has ended.
	lenient
	// weak may be JSON, or a reference such as [1], or a pair of brackets that
	// is spoken of: it is kept, and used if there is nothing better.
	weak
)

// open begins with a bracket.
func (o *opening) open(bracket byte) {
	*o = opening{}
	if bracket == '[' {
		o.state, o.list = openList, true
	}
}

// step takes the next byte.
func (o *opening) step(c byte) verdict {
	switch o.state {
	case openObject:
		return o.object(c)
	case openList:
		return o.items(c)
	case openKey, openItem:
		switch {
		case c == '\\':
			o.state++
		case c == '"':
			o.state += 2
		}
	case openKeyEscape, openItemEscape:
		o.state--
	case openColon:
		if !isSpace(c) {
			return plausibleIf(c == ':')
		}
	case openComma:
		if !isSpace(c) {
			return plausibleIf(c == ',' || c == ']')
		}
	}
	return unsure
}

func plausibleIf(yes bool) verdict {
	if yes {
		return plausible
	}
	return lenient
}

func (o *opening) object(c byte) verdict {
	switch {
	case isSpace(c):
		return unsure
	case c == '"':
		o.state = openKey
		return unsure
	case c == '}':
		return weak
	}
	return lenient
}

func (o *opening) items(c byte) verdict {
	switch {
	case isSpace(c):
		return unsure
	case c == '"':
		o.state = openItem
		return unsure
	case c == '{':
		o.state = openObject
		return unsure
	}
	return weak
}

// key returns the first key of an object that turned out plausible, with its quotes
// and what surrounds it: {"key":
func key(text []byte) string {
	var name string
	text = text[1 : len(text)-1]
	if json.Unmarshal(text, &name) != nil {
		return ""
	}
	return name
}
