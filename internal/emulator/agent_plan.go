package emulator

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Call is a call of a function. Arguments is a JSON object.
type Call struct {
	Name, Arguments string
}

// Move is what an emulated model does in one turn: it makes calls, says something,
// or both, the words first.
type Move struct {
	Calls []Call
	// Text is what it says. Where it stands alone and the answer has to be JSON,
	// Text is given if it is JSON, else a value that satisfies the schema. `$result`
	// stands for the text of the last result. Default, if there are no calls
	// either: words that quote the last result, or else the question.
	Text string
}

// Plan decides what an emulated model does. It should follow from what the model
// sees alone, so that a turn that is corrected is planned again in the same way.
type Plan func(View) Move

// Script is the plan that makes the moves one after the other, one for each round
// of results, and then answers in words.
func Script(moves ...Move) Plan {
	return func(v View) Move {
		if v.Round < len(moves) {
			return moves[v.Round]
		}
		return Move{}
	}
}

// Loop is the plan that calls a function n times, one call in each round, with the
// arguments {"n":1}, {"n":2} …, and then answers in words that quote the last
// result.
func Loop(function string, n int) Plan {
	moves := make([]Move, n)
	for i := range moves {
		moves[i].Calls = []Call{{function, `{"n":` + strconv.Itoa(i+1) + `}`}}
	}
	return Script(moves...)
}

// helpful is the plan of an agent that has none: it calls the function that the
// question seems to be about, else the first, and then answers in words.
func helpful(v View) Move {
	if v.Round > 0 || len(v.Functions) == 0 {
		return Move{}
	}
	f, ok := v.topic()
	if !ok {
		f = v.Functions[0]
	}
	return Move{Calls: []Call{v.sampleCall(f)}}
}

// careful is the plan that calls a function only if the question seems to be about
// it.
func careful(v View) Move {
	if _, ok := v.topic(); !ok {
		return Move{}
	}
	return helpful(v)
}

// topic returns the function of whose name a longer word is in the question.
func (v *View) topic() (DeclaredTool, bool) {
	question := strings.ToLower(v.Question)
	for _, f := range v.Functions {
		words := strings.FieldsFunc(strings.ToLower(f.Name), func(r rune) bool { return !unicode.IsLetter(r) })
		if slices.ContainsFunc(words, func(w string) bool { return len(w) > 3 && strings.Contains(question, w) }) {
			return f, true
		}
	}
	return DeclaredTool{}, false
}

// obey makes a move that does what the client demands.
func (v *View) obey(m Move) Move {
	m.Calls = slices.DeleteFunc(slices.Clone(m.Calls), func(c Call) bool { return !v.allows(c.Name) })
	if v.Required && len(m.Calls) == 0 {
		i := slices.IndexFunc(v.Functions, func(f DeclaredTool) bool { return v.allows(f.Name) })
		if i >= 0 {
			m.Calls = []Call{v.sampleCall(v.Functions[i])}
		}
	}
	if v.Single && len(m.Calls) > 1 {
		m.Calls = m.Calls[:1]
	}
	return m
}

// defy makes a move that does the opposite, as far as that can be.
func (v *View) defy(m Move) Move {
	switch {
	case v.Required:
		m.Calls = nil
	case len(v.Functions) == 0:
	case v.Forbidden && len(m.Calls) == 0:
		m.Calls = []Call{v.sampleCall(v.Functions[0])}
	case v.Single && len(m.Calls) == 1:
		m.Calls = append(slices.Clone(m.Calls), v.another(m.Calls[0]))
	}
	return m
}

// another returns a second call: of the function after that of the first one.
func (v *View) another(first Call) Call {
	i := slices.IndexFunc(v.Functions, func(f DeclaredTool) bool { return f.Name == first.Name })
	if len(v.Functions) < 2 {
		return first
	}
	return v.sampleCall(v.Functions[(i+1)%len(v.Functions)])
}

// words is the text of a move.
func (v *View) words(m Move) string {
	last := ""
	if len(v.Results) > 0 {
		last = v.Results[len(v.Results)-1].Text
	}
	switch {
	case m.Text != "":
		return strings.ReplaceAll(m.Text, "$result", last)
	case len(m.Calls) > 0:
		return ""
	case v.Round > 0:
		return "The last result is: " + last
	}
	return "This is a canned answer of the emulator. You said: " + shorten(v.Question, 400)
}

// json is the text of a move as JSON.
func (v *View) json(m Move) string {
	text := v.words(m)
	switch {
	case json.Valid([]byte(text)):
		return text
	case v.Schema == "":
		return string(appendString([]byte(`{"answer":`), text)) + "}"
	}
	return v.sample(v.Schema)
}

// sampleCall calls a function with arguments that satisfy its schema.
func (v *View) sampleCall(f DeclaredTool) Call { return Call{f.Name, v.sample(f.Schema)} }
