package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// someCalls are lists of calls as models make them.
var someCalls = [][]Call{
	{{"weather", `{"city":"Bern"}`}},
	{{"weather", `{"city":"Bern"}`}, {"weather", `{"city":"Bern"}`}},
	{{"now", "{}"}},
	{{"write", `{"path":"a.go","text":"line\n\tline \u00e9 \ud83d\ude00"}`}, {"ls", `{ "path" : "." }`}},
	{{"find", `{"z":1,"a":[1,2.50,{"y":null,"b":true}],"m":9007199254740993}`}},
	{{"odd", "not JSON"}, {"", ""}},
}

// Calls take part in all forms of a reply, wherever they come.
func TestCallForms(t *testing.T) {
	for _, test := range replies {
		for n, calls := range someCalls {
			t.Run(fmt.Sprint(test.name, "/", n), func(t *testing.T) {
				want := slowForms(test.reasoning, test.text, calls...)
				for seed := range uint64(50) {
					if got := inPieces(seed, test.reasoning, test.text, calls...); !got.equal(want) {
						t.Fatalf("seed %d: %v, want %v", seed, got, want)
					}
				}
			})
		}
	}
}

// What was recorded of a reply with calls has a form in common with what comes back,
// and none with what nobody sends back of it.
func TestCallsComeBack(t *testing.T) {
	calls := []Call{{"weather", `{"city":"Zürich","days":[1,2],"unit":"C"}`}, {"now", "{}"}}
	anew := []Call{{"weather", "{\n  \"unit\": \"C\",\n  \"city\": \"Z\\u00fcrich\",\n  \"days\": [ 1, 2 ]\n}"}, {"now", "{ }"}}
	recorded := replyOf("Hm.", "I ask. <tool_use>a</tool_use>So.", calls...).forms()
	for name, test := range map[string]struct {
		text  string
		calls []Call
		want  bool
	}{
		"as it is":                           {"I ask. <tool_use>a</tool_use>So.", calls, true},
		"arguments written anew":             {"I ask. <tool_use>a</tool_use>So.", anew, true},
		"without tags":                       {"I ask. So.", anew, true},
		"with thoughts":                      {"<think>Hm.</think>I ask. <tool_use>a</tool_use>So.", anew, true},
		"after its thoughts":                 {"> Hm.\n\nI ask. <tool_use>a</tool_use>So.", anew, true},
		"without text":                       {"", anew, true},
		"a space for text":                   {" ", anew, true},
		"thoughts for text":                  {"<think>Hm.</think>\n", anew, true},
		"a part of the text":                 {"I ask.", calls, false},
		"another text":                       {"I don't. So.", calls, false},
		"without calls":                      {"I ask. <tool_use>a</tool_use>So.", nil, false},
		"without text and calls":             {"", nil, false},
		"without the last call":              {"", calls[:1], false},
		"without the first call":             {"", calls[1:], false},
		"another order":                      {"", []Call{calls[1], calls[0]}, false},
		"a call twice":                       {"", append(slices.Clone(calls), calls[1]), false},
		"another name":                       {"", []Call{calls[0], {"then", "{}"}}, false},
		"another argument":                   {"", []Call{calls[0], {"now", `{"zone":"CET"}`}}, false},
		"an argument less":                   {"", []Call{{"weather", `{"city":"Zürich","days":[1,2]}`}, calls[1]}, false},
		"another value":                      {"", []Call{{"weather", `{"city":"Zürich","days":[2,1],"unit":"C"}`}, calls[1]}, false},
		"another value, beside all the text": {"I ask. So.", []Call{{"weather", `{"city":"Zug","days":[1,2],"unit":"C"}`}, calls[1]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := (&Message{Role: roleAssistant, Text: test.text, Calls: test.calls}).entry()
			if got := e.isOneOf(append([]Digest{recorded.digest}, recorded.variants...)); got != test.want {
				t.Errorf("known: %v, want %v", got, test.want)
			}
		})
	}
}

// A reply with calls is as long as its text and the arguments together.
func TestCallsLong(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		call Call
		want bool
	}{
		"nothing but a name":       {"", Call{"a_name_of_some_length", "{}"}, false},
		"short":                    {"", Call{"f", `{"a":"12345678"}`}, true},
		"a character less":         {"", Call{"f", `{"a":"1234567"}`}, false},
		"spaces do not count":      {"", Call{"f", `{ "a" : "1234567" }`}, false},
		"characters, not bytes":    {"", Call{"f", `{"a":"éèêëüö"}`}, false},
		"with text":                {"OK", Call{"f", `{"a":"123456"}`}, true},
		"with text, one less":      {"OK", Call{"f", `{"a":"12345"}`}, false},
		"without arguments":        {"1234567 9012345", Call{"f", ""}, false},
		"text that is long itself": {"1234567 90123456", Call{"f", ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := (&Message{Role: roleAssistant, Text: test.text, Calls: []Call{test.call}}).entry()
			if f := replyOf("", test.text, test.call).forms(); f.long != test.want || e.long != test.want {
				t.Errorf("long: %v as a reply, %v as a message; want %v", f.long, e.long, test.want)
			}
			if e.unique {
				t.Error("it is taken for the only one")
			}
		})
	}
	long := strings.Repeat("a long argument ", 10)
	if e := (&Message{Role: roleAssistant, Calls: []Call{{"f", `{"a":"` + long + `"}`}}}).entry(); !e.long || e.unique {
		t.Errorf("with a long argument: long %v, unique %v", e.long, e.unique)
	}
}

// loop is a conversation in which a model calls tools in each of some rounds.
type loop struct {
	*site
	system   string
	messages []Message
	text     func(round int) string
	calls    func(round int) []Call
	back     func(Message) Message
}

// round plays one round.
func (l *loop) round(n int) answer {
	text, calls := l.text(n), l.calls(n)
	a := l.ask(request{system: l.system, messages: l.messages, text: text, calls: calls})
	l.messages = append(l.messages, l.back(Message{Role: roleAssistant, Text: text, Calls: slices.Clone(calls)}))
	for i := range calls {
		l.messages = append(l.messages, tool(fmt.Sprintf("result %d of round %d", i, n)))
	}
	return a
}

// A loop of twenty rounds stays in one chat, whatever the client does to the
// calls, and each round adds nothing but the results of the one before.
func TestCallsLoop(t *testing.T) {
	texts := map[string]func(int) string{
		"text": func(n int) string { return fmt.Sprintf("Let me look at number %d.\n\n", n) }, "no text": func(int) string { return "" },
		"text at times": func(n int) string { return strings.Repeat("OK. ", n%3) },
	}
	calls := map[string]func(int) []Call{
		"one call":       func(n int) []Call { return []Call{{"read", fmt.Sprintf(`{"unit":"line","path":"%d.go"}`, n)}} },
		"the same call":  func(int) []Call { return []Call{{"poll", `{}`}} },
		"parallel calls": func(n int) []Call { return slices.Repeat([]Call{{"read", fmt.Sprintf(`{"n":%d}`, n)}}, 1+n%3) },
	}
	backs := map[string]func(Message) Message{
		"as it came": func(m Message) Message { return m }, "content null": withoutText, "written anew": writtenAnew,
	}
	for textName, text := range texts {
		for callsName, calls := range calls {
			for backName, back := range backs {
				t.Run(textName+"/"+callsName+"/"+backName, func(t *testing.T) {
					l := &loop{site: newSite(t), system: "You are an agent.", messages: list("Do it."), text: text, calls: calls, back: back}
					before := l.round(0)
					for n := 1; n < 20; n++ {
						known := len(l.messages) - len(calls(n-1))
						a := l.round(n)
						a.follows(t, before, known)
						a.is(t, false, false)
						before = a
					}
				})
			}
		}
	}
}

// The system text changes in the middle of a loop, as it does when tools are added
// or the time is in it: the chat goes on, and is told.
func TestCallsLoopSystemChanged(t *testing.T) {
	l := &loop{
		site: newSite(t), messages: list("Do it."), text: func(int) string { return "" }, back: withoutText,
		calls: func(n int) []Call { return []Call{{"read", fmt.Sprintf(`{"path":"number %d"}`, n)}} },
	}
	before := l.round(0)
	for n := 1; n < 20; n++ {
		l.system = fmt.Sprintf("It is %d o'clock.", n)
		a := l.round(n)
		a.follows(t, before, len(l.messages)-3)
		a.is(t, false, true)
		before = a
	}
}

// Two replies to one question that call the same tools are one reply to a client
// that drops the text: it goes on in neither.
func TestCallsWithoutTextAmbiguous(t *testing.T) {
	s := newSite(t)
	call := []Call{{"weather", `{"city":"Bern, of course"}`}}
	ask := func(question, text string) answer {
		return s.ask(request{messages: list(question), text: text, calls: call})
	}
	back := func(question, text string) []Message {
		return append(list(question), Message{Role: roleAssistant, Text: text, Calls: call}, tool("rain"))
	}
	first := ask("The weather?", "I look it up.")
	s.ask(request{messages: back("The weather?", ""), aborted: true}).follows(t, first, 2)
	s.ask(request{messages: back("And the weather?", ""), aborted: true}).isNew(t)
	s.ask(request{messages: append(list("Hi", long1), back("The weather?", "")...), aborted: true}).isNew(t)
	second := ask("The weather?", "One moment.")
	s.ask(request{messages: back("The weather?", ""), aborted: true}).isNew(t)
	s.ask(request{messages: back("The weather?", "I look it up."), aborted: true}).follows(t, first, 2)
	s.ask(request{messages: back("The weather?", "One moment."), aborted: true}).follows(t, second, 2)
}

// A question that is alone with its call is not taken for the end of a longer
// conversation, however long the arguments are: tools are called alike.
func TestCallsTrimmed(t *testing.T) {
	s := newSite(t)
	call := []Call{{"read", `{"path":"/a/path/that/is/as/long/as/a/long/reply/and/even/longer/main.go"}`}}
	s.ask(request{messages: list("Hello"), text: long1})
	asked := list("Hello", long1, "Read it.")
	a := s.ask(request{messages: asked, text: "So.", calls: call})
	messages := append(asked, Message{Role: roleAssistant, Text: "So.", Calls: call}, tool("package main"))
	s.ask(request{messages: messages, aborted: true}).follows(t, a, 4)
	s.ask(request{messages: messages[1:], aborted: true}).follows(t, a, 3)
	s.ask(request{messages: messages[2:], aborted: true}).isNew(t)
	messages[3].Text = ""
	s.ask(request{messages: messages[1:], aborted: true}).follows(t, a, 3)
	messages[3].Calls = []Call{{"read", `{"path":"/another/path/that/is/long"}`}}
	s.ask(request{messages: messages[1:], aborted: true}).isNew(t)
}

// Calls that were recorded as replies have the digests of those that went along as
// text, so that a lost chat leaves no trace.
func TestCallsReplayed(t *testing.T) {
	l := &loop{
		site: newSite(t), messages: list("Do it."), text: func(int) string { return "I read." }, back: withoutText,
		calls: func(n int) []Call { return []Call{{"read", fmt.Sprint(n)}} },
	}
	first := l.round(0)
	l.round(1)
	if err := l.store.ForgetTurns(context.Background(), l.scope.Account, first.chat); err != nil {
		t.Fatal(err)
	}
	replayed := l.round(2)
	replayed.isNew(t)
	l.round(3).follows(t, replayed, 6)
}

// Random calls are found as they were recorded, and not when anything about them
// differs.
func TestCallsDiffer(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 7))}
	for range 3000 {
		s := newSite(t)
		var calls []Call
		for range 1 + g.IntN(3) {
			calls = append(calls, Call{g.text(), g.arguments()})
		}
		text := g.text()
		a := s.ask(request{messages: list("Well?"), text: text, calls: calls})
		sent := Message{Role: roleAssistant, Text: []string{text, "", "<think>So.</think>"}[g.IntN(3)], Calls: slices.Clone(calls)}
		messages := append(list("Well?"), sent, tool("So."))
		s.ask(request{messages: messages, aborted: true}).follows(t, a, 2)
		i := g.IntN(len(calls))
		switch g.IntN(4) {
		case 0:
			messages[1].Calls[i].Name = g.otherText(calls[i].Name)
		case 1:
			messages[1].Calls[i].Arguments += "x"
		case 2:
			messages[1].Calls = slices.Delete(messages[1].Calls, i, i+1)
		default:
			messages[1].Calls = slices.Insert(messages[1].Calls, i, calls[i])
		}
		if b := s.ask(request{messages: messages, aborted: true}); !errors.Is(b.err, ErrNotFound) {
			t.Fatalf("%q found with %q", calls, messages[1])
		}
	}
}

// Calls without end cost what they are, once.
func TestCallsAllocs(t *testing.T) {
	r := replyOf("", "So.")
	for range 256 {
		r.Call("f", "{}")
	}
	if n := testing.AllocsPerRun(100, func() { r.forms() }); n > 20 {
		t.Errorf("%v allocations for the forms of a reply", n)
	}
	if r.calls.runes > minLong {
		t.Errorf("%d characters are counted", r.calls.runes)
	}
	turn := New(testScope, "", list("Hi")).Turn(Place{}, "chat", "answer", r, time.UnixMilli(0))
	if len(turn.Variants) != 1 || len(turn.Aliases) != 1 {
		t.Errorf("%d variants and %d aliases", len(turn.Variants), len(turn.Aliases))
	}
}
