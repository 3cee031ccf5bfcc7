package tools

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// A retold answer is what a parser makes of an answer.
type retold struct {
	text     string // what the client gets as words
	calls    []Call
	problems []Problem
}

// retell feeds an answer in pieces of a size, and checks that all of it is accounted
// for.
func retell(t testing.TB, set *Set, wish Wish, answer string, size int) (all retold) {
	t.Helper()
	parser := set.Parser(wish)
	var sources, text strings.Builder
	drain := func() {
		for event, more := parser.Next(); more; event, more = parser.Next() {
			sources.Write(event.Source)
			switch event.Kind {
			case Text:
				text.Write(event.Source)
			case Called:
				all.calls = append(all.calls, event.Call)
			}
			if event.Problem != nil {
				all.problems = append(all.problems, *event.Problem)
			} else if event.Kind == Broken {
				t.Errorf("broken for no reason: %q", event.Source)
			}
		}
	}
	for rest := answer; rest != ""; rest = rest[min(size, len(rest)):] {
		parser.Feed([]byte(rest[:min(size, len(rest))]))
		drain()
	}
	parser.End()
	drain()
	if sources.String() != answer {
		t.Fatalf("the sources are\n%q\nof\n%q", sources.String(), answer)
	}
	all.text = text.String()
	return all
}

// FuzzRoundTrip reads back what a history shows to the model as its own calls.
func FuzzRoundTrip(f *testing.F) {
	f.Add("get_weather", `{"city":"Oslo"}`, "now", ` { } `, "I see.\n", uint8(7))
	f.Add("a.b/c", `{"text":"</tool_call>\n<tool_call>{\"name\":\"now\"}"}`, "C++", `{"code":"`+"```json\\n{}\\n```"+`"}`, "", uint8(1))
	f.Add("名", "{\"\\u0000\":[1e400,-0.0,null,\"\\ud800\"],\"a\":1,\"a\":2}", "f(x)", `{"name":"now","arguments":{}}`, "好的。\n", uint8(255))
	f.Fuzz(func(t *testing.T, first, firstArguments, second, secondArguments, before string, size uint8) {
		set, err := New([]Tool{{Name: first}, {Name: second}})
		if err != nil || !isObject(firstArguments) || !isObject(secondArguments) || size == 0 || !isPlainLine(before) {
			return
		}
		want := []Call{{first, firstArguments}, {second, secondArguments}}
		answer := string(AppendCalls([]byte(before), want))
		got := retell(t, set, Wish{}, answer, int(size))
		if got.text != before || len(got.problems) > 0 || len(got.calls) != len(want) {
			t.Fatalf("%q: %+v", answer, got)
		}
		for i, call := range got.calls {
			if call.Name != want[i].Name || call.Arguments != strings.Trim(want[i].Arguments, " \t\r\n") {
				t.Errorf("%q is %q", want[i], call)
			}
		}
	})
}

// isObject reports whether arguments are as a client must send them, and not nested
// deeper than anybody's.
func isObject(text string) bool {
	return json.Valid([]byte(text)) && utf8.ValidString(text) && strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") &&
		strings.Count(text, "{")+strings.Count(text, "[") < 200
}

// isPlainLine reports whether a text before a call is no code and no tag, and ends
// its line: it would have to be read as Markdown else.
func isPlainLine(text string) bool {
	return text == "" || strings.HasSuffix(text, "\n") && utf8.ValidString(text) &&
		!strings.ContainsAny(text, "`~<{") && strings.TrimSpace(text) != ""
}
