package tools

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/internal/loosejson"
)

func broken(kind ProblemKind, name, detail string) Event {
	return Event{Kind: Broken, Problem: &Problem{Kind: kind, Tool: name, Detail: detail}}
}

// judge makes an event of a complete block.
func (p *Parser) judge(view []byte) Event {
	b := &p.block
	switch {
	case b.xml.name.to > 0:
		return p.judgeXML(b.xml, view)
	case b.closed != nil:
		return p.judgeJSON(b.closed)
	}
	return p.judgeJSON(view[b.begin:b.end])
}

// judgeJSON makes an event of the JSON of a call.
func (p *Parser) judgeJSON(text []byte) Event {
	repaired, ok := loosejson.Repair(text)
	object, readable := readObject(repaired)
	switch {
	case !ok || !readable:
		return broken(Malformed, nameIn(text[:min(len(text), maxLead)]), "")
	case object.name == "":
		return broken(Malformed, "", `the object has no "name"`)
	}
	return p.call(object.name, object.argumentsFor)
}

// judgeXML makes an event of a call in XML.
func (p *Parser) judgeXML(f function, text []byte) Event {
	name := strings.TrimSpace(f.name.of(text))
	return p.call(name, func(tool *offered) (string, string) {
		return f.argumentsFor(tool, text)
	})
}

// call makes an event of a call that is understood. The arguments are a JSON object,
// or there is a reason why they are none.
func (p *Parser) call(name string, arguments func(*offered) (text, reason string)) Event {
	tool, known := p.set.lookup(name)
	switch {
	case p.wish.Mode == None:
		return broken(Forbidden, name, "")
	case p.wish.Single && p.calls > 0:
		return broken(Extra, name, "")
	case !known:
		return broken(UnknownTool, name, "")
	case !p.wish.allows(name):
		return broken(NotAllowed, name, "")
	case p.calls == maxCalls:
		return broken(TooLarge, name, "there are too many calls in one answer")
	}
	text, reason := arguments(tool)
	if reason != "" {
		return broken(BadArguments, name, reason)
	}
	p.calls++
	event := Event{Kind: Called, Call: Call{Name: name, Arguments: text}, Strict: tool.Strict}
	if violation := tool.violation(text); violation != "" {
		event.Problem = &Problem{Kind: BadArguments, Tool: name, Detail: violation}
	}
	return event
}

// object is a call in JSON.
type object struct {
	name      string
	arguments json.RawMessage // nil if there are none
	others    []string        // keys that a call does not have
	wrapped   bool            // it was in the form in which clients get calls
}

// readObject reads a call. It reports false if it is no object, has a key twice or
// something else than a string as its name.
func readObject(text []byte) (o object, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return o, false
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		key, isKey := token.(string)
		var value json.RawMessage
		if err != nil || !isKey || dec.Decode(&value) != nil || seen[key] {
			return o, false
		}
		seen[key] = true
		if !o.take(key, value) {
			return o, false
		}
	}
	return o, true
}

// take keeps a member of a call.
func (o *object) take(key string, value json.RawMessage) bool {
	switch key {
	case "name":
		return json.Unmarshal(value, &o.name) == nil
	case "arguments":
		o.moveAside("parameters")
		o.arguments = value
	case "function":
		return o.unwrap(key, value)
	case "parameters":
		if o.arguments != nil {
			o.others = append(o.others, key)
			return true
		}
		o.arguments = value
	default:
		o.others = append(o.others, key)
	}
	return true
}

// unwrap takes a call in the form in which clients get them: an object under the key
// function, with an id and a type beside it.
func (o *object) unwrap(key string, value json.RawMessage) bool {
	inner, ok := readObject(value)
	if !ok || inner.name == "" || o.name != "" || o.arguments != nil {
		o.others = append(o.others, key)
		return true
	}
	o.name, o.arguments, o.wrapped = inner.name, inner.arguments, true
	return true
}

// moveAside makes another key of arguments that were there under that name.
func (o *object) moveAside(key string) {
	if o.arguments != nil {
		o.others = append(o.others, key)
	}
}

// argumentsFor returns the arguments as a JSON object.
func (o *object) argumentsFor(tool *offered) (text, reason string) {
	if len(o.others) > 0 && !o.wrapped {
		types := tool.parameterTypes()
		for _, key := range o.others {
			if _, is := types[key]; is {
				return "", `"` + key + `" stands beside "arguments", not in it`
			}
		}
	}
	switch value := o.arguments; {
	case len(value) == 0 || string(value) == "null":
		return "{}", ""
	case value[0] == '{':
		return string(value), ""
	case value[0] == '"':
		return objectIn(value)
	}
	return "", `"arguments" is not an object`
}

// objectIn returns the JSON object that a JSON string holds; nothing is an empty one.
func objectIn(value json.RawMessage) (text, reason string) {
	if json.Unmarshal(value, &text) != nil {
		return "", `"arguments" is not an object`
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "{}", ""
	}
	repaired, ok := loosejson.Repair([]byte(text))
	if !ok || repaired[0] != '{' {
		return "", `"arguments" is a string, and what it holds is no JSON object`
	}
	return string(repaired), ""
}
