package tools

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The functions that are offered to the parser in tests.
var offeredTools = []Tool{
	{Name: "get_weather", Parameters: `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}`},
	{Name: "get_time"},
	{Name: "write_file", Strict: true, Parameters: `{"type":"object","additionalProperties":false,"required":["path","content"],
		"properties":{"path":{"type":"string"},"content":{"type":"string"}}}`},
	{Name: "run", Parameters: `{"type":"object","properties":{"text":{"type":"string"},"count":{"type":"integer"},"flag":{"type":"boolean"},
		"list":{"type":"array"},"map":{"type":"object"},"maybe":{"type":["string","null"]},"either":{"anyOf":[{"type":"string"},{"type":"number"}]},
		"choice":{"enum":["1","2"]},"ref":{"$ref":"#/$defs/s"},"any":{},"none":{"type":"integer","nullable":true},
		"both":{"allOf":[{"description":"x"},{"type":"string"}]},"one":{"const":1},"unknown":{"oneOf":[{"type":"string"},{}]}},
		"$defs":{"s":{"type":"string"}}}`},
	{Name: "查询天气"},
}

// answerOf is what a parser makes of an answer: one line for each event, and one for
// the text between two others.
type answerOf struct {
	lines  []string
	events []Event
}

// take adds an event, whose source it copies.
func (a *answerOf) take(event Event) {
	event.Source = bytes.Clone(event.Source)
	if event.Kind == Skipped {
		return
	}
	if n := len(a.events); event.Kind == Text && n > 0 && a.events[n-1].Kind == Text {
		a.events[n-1].Source = append(a.events[n-1].Source, event.Source...)
		return
	}
	a.events = append(a.events, event)
}

func (a *answerOf) finish() *answerOf {
	for _, event := range a.events {
		a.lines = append(a.lines, lineOf(event))
	}
	return a
}

func lineOf(event Event) string {
	switch {
	case event.Kind == Text:
		return fmt.Sprintf("text %q", event.Source)
	case event.Kind == Broken:
		return fmt.Sprintf("broken %s %q", event.Problem.Kind, event.Problem.Tool)
	case event.Problem != nil:
		return fmt.Sprintf("%s(%s) but %s", event.Call.Name, event.Call.Arguments, event.Problem.Kind)
	}
	return event.Call.Name + "(" + event.Call.Arguments + ")"
}

// parse gives an answer to a parser in pieces.
func parse(t testing.TB, set *Set, wish Wish, pieces ...[]byte) *answerOf {
	t.Helper()
	var (
		p       = set.Parser(wish)
		result  answerOf
		sources []byte
		hand    []byte
	)
	drain := func() {
		for {
			event, any := p.Next()
			if !any {
				return
			}
			if len(event.Source) == 0 {
				t.Fatalf("an event that accounts for nothing: %s", lineOf(event))
			}
			sources = append(sources, event.Source...)
			result.take(event)
		}
	}
	for _, piece := range pieces {
		hand = append(hand[:0], piece...)
		p.Feed(hand)
		drain()
		for i := range hand {
			hand[i] = '#' // what is gone may be used for something else
		}
	}
	p.End()
	drain()
	if input := bytes.Join(pieces, nil); !bytes.Equal(sources, input) {
		t.Fatalf("the sources are\n%q, the answer was\n%q", sources, input)
	}
	return result.finish()
}

// cut cuts a text into pieces of a size.
func cut(text string, size int) [][]byte {
	return slices.Collect(slices.Chunk([]byte(text), max(size, 1)))
}

// cutRandomly cuts a text into pieces of many sizes.
func cutRandomly(r *rand.Rand, text string, limit int) (pieces [][]byte) {
	for len(text) > 0 {
		n := min(1+r.IntN(limit), len(text))
		pieces = append(pieces, []byte(text[:n]))
		text = text[n:]
	}
	return pieces
}

// sameInPieces checks that the events do not depend on how an answer is cut.
func sameInPieces(t *testing.T, set *Set, wish Wish, text string) *answerOf {
	t.Helper()
	whole := parse(t, set, wish, []byte(text))
	check := func(how string, pieces [][]byte) {
		got := parse(t, set, wish, pieces...)
		if !slices.Equal(got.lines, whole.lines) || !sameCalls(got.events, whole.events) {
			t.Fatalf("%q\n%s:\n%s\nwhole:\n%s", text, how, strings.Join(got.lines, "\n"), strings.Join(whole.lines, "\n"))
		}
	}
	for _, size := range []int{1, 2, 3, 7, 16} {
		check(fmt.Sprintf("in pieces of %d", size), cut(text, size))
	}
	seed := rand.Uint64()
	check(fmt.Sprintf("with seed %d", seed), cutRandomly(rand.New(rand.NewPCG(seed, 0)), text, 40))
	return whole
}

// sameCalls compares what lines do not say.
func sameCalls(a, b []Event) bool {
	return slices.EqualFunc(a, b, func(a, b Event) bool {
		same := a.Kind == b.Kind && a.Call == b.Call && a.Strict == b.Strict && (a.Problem == nil) == (b.Problem == nil)
		return same && (a.Problem == nil || *a.Problem == *b.Problem)
	})
}

// outputs is a table of answers and the events that they are.
type outputs map[string]struct {
	text string
	want []string
}

func (table outputs) check(t *testing.T, wish Wish) {
	set := mustSet(t, offeredTools...)
	for name, tt := range table {
		t.Run(name, func(t *testing.T) {
			got := sameInPieces(t, set, wish, tt.text)
			if !slices.Equal(got.lines, tt.want) {
				t.Errorf("%q\ngot:\n%s\nwant:\n%s", tt.text, strings.Join(got.lines, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func quoteGo(text string) string { return fmt.Sprintf("%q", text) }
