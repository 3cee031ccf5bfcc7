package tools

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fragments are what answers are put together from.
var fragments = []string{
	"<tool_call>", "</tool_call>", "<tool_call>\n", "\n</tool_call>\n", osloCall, timeCall, oslo,
	`{"name":"get_time","arguments":{}}`, `{"name": "rm"}`, `{'name': 'get_weather', 'arguments': {'city': 'it's',}}`,
	`{"name":"write_file","arguments":{"path":"a","content":"</tool_call>\n` + "```" + `"}}`, `{"name":"get_weather","arguments":"{\"city\":\"x\"}"}`,
	`{"name":"get_weather","arguments":{"city":"`, `"}}`, `{"name"`, `"get_time"`, "arguments", "{", "}", "[", "]", `"`, "'", `\`, ":", ",",
	"<function=run>", "<function=get_time>\n", "<parameter=text>", "<parameter=count>\n", "</parameter>", "\n</parameter>\n", "</function>",
	"```", "```json\n", "\n```\n", "````\n", "~~~\n", "`", "``", "\n", "\n\n", "\r\n", " ", "  ", "\t", "> ", "- ", "1. ", "<", "</", "tool_call>",
	"Hello", "世界", "😀", "a < b", "// x", "\\`", "\x00", "\xff", "“", "”", "None", "1", "null",
}

var fuzzWishes = []Wish{{}, {Mode: None}, {Mode: Required, Single: true}, {Only: []string{"get_time"}}}

// checkAnswer checks what is true of any answer: events do not depend on how it is
// cut, they account for each byte, calls are valid, and what has no sign of a call
// is text.
func checkAnswer(t *testing.T, set *Set, wish Wish, text string) {
	t.Helper()
	got := sameInPieces(t, set, wish, text)
	calls := 0
	for _, event := range got.events {
		switch event.Kind {
		case Called:
			calls++
			if event.Call.Arguments[0] != '{' || !json.Valid([]byte(event.Call.Arguments)) {
				t.Errorf("%q: arguments %q", text, event.Call.Arguments)
			}
			if _, known := set.lookup(event.Call.Name); !known || !wish.allows(event.Call.Name) {
				t.Errorf("%q: %s", text, event.Call.Name)
			}
			if event.Problem != nil && event.Problem.Kind != BadArguments {
				t.Errorf("%q: called, but %v", text, event.Problem)
			}
		case Broken:
			if event.Problem == nil || event.Problem.Kind == 0 {
				t.Errorf("%q: broken without a reason", text)
			}
		}
	}
	if wish.Single && calls > 1 {
		t.Errorf("%q: %d calls", text, calls)
	}
	first := strings.TrimLeft(text, " \t\r\n")
	isWhole := first != "" && strings.ContainsRune("{`~", rune(first[0]))
	if !strings.Contains(text, openTag) && !isWhole && slices.ContainsFunc(got.events, func(e Event) bool { return e.Kind != Text }) {
		t.Errorf("%q: %s", text, got.lines)
	}
}

func TestRandomAnswers(t *testing.T) {
	set := mustSet(t, offeredTools...)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range 6_000 {
		var b strings.Builder
		for range 1 + r.IntN(14) {
			b.WriteString(fragments[r.IntN(len(fragments))])
		}
		if checkAnswer(t, set, fuzzWishes[i%len(fuzzWishes)], b.String()); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A call survives whatever stands in its arguments, however it is written.
func TestCallsComeBack(t *testing.T) {
	set := mustSet(t, offeredTools...)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 5_000 {
		words := func() (s string) {
			for range r.IntN(8) {
				s += fragments[r.IntN(len(fragments))]
			}
			return strings.ToValidUTF8(s, "?")
		}
		arguments := `{"path":` + quote(words()) + `,"content": ` + quote(words()) + `}`
		calls := []Call{{Name: "write_file", Arguments: arguments}, {Name: "get_time", Arguments: "{}"}}
		got := parse(t, set, Wish{}, cutRandomly(r, "First.\n"+string(AppendCalls(nil, calls))+"\n", 30)...)
		if len(got.events) != 3 || got.events[1].Call != calls[0] || got.events[1].Problem != nil || got.events[2].Call != calls[1] {
			t.Fatalf("seed %d: %s became %s", seed, arguments, got.lines)
		}
	}
}

func FuzzParser(f *testing.F) {
	for i, text := range fragments {
		f.Add("x "+text+osloCall+text, uint8(i))
		f.Add(text+osloCall+text+timeCall+text, uint8(i))
		f.Add("<tool_call>"+text+"</tool_call>"+text, uint8(i))
		f.Add("```\n"+text+"\n```"+text, uint8(i))
	}
	set := mustSet(f, offeredTools...)
	f.Fuzz(func(t *testing.T, text string, wish uint8) {
		checkAnswer(t, set, fuzzWishes[int(wish)%len(fuzzWishes)], text)
	})
}
