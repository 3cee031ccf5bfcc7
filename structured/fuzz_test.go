package structured

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var fuzzFormats = []Format{
	{},
	{Schema: stepsSchema},
	{Schema: `{"type":"array","items":{"type":["integer","object"]}}`},
	{Schema: `{"type":["array","object"],"minItems":1}`},
}

// FuzzFilter checks for any answer in any pieces: the result does not depend on the
// pieces, what was handed out live is the beginning of it, and without a problem it
// is valid JSON that fits the schema.
func FuzzFilter(f *testing.F) {
	for i, corpus := range corpora {
		for _, o := range corpus.outputs {
			f.Add(o.text, uint8(i), uint64(len(o.text)))
		}
	}
	var shapes []*Shape
	for _, format := range fuzzFormats {
		shapes = append(shapes, mustShape(f, format))
	}
	f.Fuzz(func(t *testing.T, text string, which uint8, seed uint64) {
		shape := shapes[int(which)%len(shapes)]
		got := run(shape, text, whole)
		checkResult(t, shape, text, got)
		r := rand.New(rand.NewPCG(seed, 1))
		for _, next := range []func(int) int{single, random(r)} {
			pieces := run(shape, text, next)
			if pieces.all != got.all || pieces.problem != got.problem || pieces.failed != got.failed {
				t.Errorf("%q\nin one piece: %+v\nin pieces:    %+v", text, got, pieces)
			}
			if !strings.HasPrefix(got.all, pieces.live) {
				t.Errorf("%q: %q was not the beginning of %q", text, pieces.live, got.all)
			}
		}
	})
}

func checkResult(t *testing.T, shape *Shape, text string, got result) {
	t.Helper()
	isJSON := json.Valid([]byte(got.all))
	switch {
	case got.failed && got.problem.Kind == Violation:
		if got.all != "" && !isJSON {
			t.Errorf("%q: a violation in what is no JSON: %q", text, got.all)
		}
	case got.failed:
		if isJSON {
			t.Errorf("%q: %v, but it is JSON: %q", text, got.problem, got.all)
		}
	case !isJSON:
		t.Errorf("%q: no JSON: %q", text, got.all)
	case shape.schema != nil:
		if v := shape.schema.Validate([]byte(got.all)); v != nil {
			t.Errorf("%q: %q: %v", text, got.all, v)
		}
	case !strings.HasPrefix(got.all, "{"):
		t.Errorf("%q: no object: %q", text, got.all)
	}
}

// Answers made of what the filter looks at, to find what no person writes.
func TestAnswersOfPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	tokens := []string{"{", "}", "[", "]", `"`, `"a"`, `"steps":`, `"answer":null`, ":", ",", "1", "true", "'", "a", " ", "\n", "`", "```", "```json\n", "\n```", "<think>", "</think>", `\`, "//", "天", "None", "{}", `{"a":1}`, "[1]"}
	var shapes []*Shape
	for _, format := range fuzzFormats {
		shapes = append(shapes, mustShape(t, format))
	}
	for i := range 10_000 {
		var b strings.Builder
		for range 1 + r.IntN(25) {
			b.WriteString(tokens[r.IntN(len(tokens))])
		}
		shape := shapes[i%len(shapes)]
		got := run(shape, b.String(), whole)
		checkResult(t, shape, b.String(), got)
		for _, next := range []func(int) int{single, random(r)} {
			if pieces := run(shape, b.String(), next); pieces.all != got.all || pieces.problem != got.problem || !strings.HasPrefix(got.all, pieces.live) {
				t.Fatalf("%q\nin one piece: %+v\nin pieces:    %+v", b.String(), got, pieces)
			}
		}
	}
}

// What looks like the beginning of JSON again and again takes no more than a few
// looks at each byte.
func TestHostileAnswersTakeLittleTime(t *testing.T) {
	shape := mustShape(t, Format{Schema: `{"type":["array","object"]}`})
	for _, part := range []string{
		`{"`, `{'`, `{a:`, `{"a"`, `["`, `[[`, `[`, `{`, `{"{'`, "{`", `{“`, `[1,`, `{/*`, `{"a":1}`, `[{`, `[{"`, "`{", "```", "<think", "</think>{",
		`{"` + strings.Repeat("{'", 120) + `"x`, `{'` + strings.Repeat(`{"`, 120) + `'x`, strings.Repeat(`{'a':["`, 30) + "]",
	} {
		text := strings.Repeat(part, 60_000/len(part))
		start := time.Now()
		got := run(shape, text, func(rest int) int { return min(rest, 100) })
		checkResult(t, shape, part, got)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: %s for %d bytes", part, took, len(text))
		}
	}
}
