package structured

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func mustShape(t testing.TB, f Format) *Shape {
	t.Helper()
	s, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// result is what a filter made of an answer.
type result struct {
	live, all string // before End, and with it
	problem   Problem
	failed    bool
}

// run filters an answer that arrives in pieces, in memory that is overwritten afterwards.
func run(s *Shape, text string, next func(rest int) int) (r result) {
	f := s.Filter()
	var out, piece []byte
	for len(text) > 0 {
		n := next(len(text))
		piece = append(piece[:0], text[:n]...)
		out = f.Append(out, piece)
		for i := range piece {
			piece[i] = '#'
		}
		text = text[n:]
	}
	r.live = string(out)
	out, problem := f.End(out)
	r.all = string(out)
	if problem != nil {
		r.problem, r.failed = *problem, true
	}
	return r
}

func whole(rest int) int { return rest }
func single(int) int     { return 1 }

func random(r *rand.Rand) func(int) int {
	return func(rest int) int { return 1 + r.IntN(min(rest, 7)) }
}

var corpora = []struct {
	name    string
	format  Format
	outputs []output
}{
	{"any object", Format{}, objects},
	{"an object of a strict schema", Format{Name: "steps", Schema: stepsSchema}, steps},
	{"a list of numbers", Format{Schema: `{"type":"array","items":{"type":"integer"}}`}, numbers},
	{"an object or a list", Format{Schema: `{"type":["object","array"]}`}, either},
	{"a list of objects", Format{Schema: `{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}`}, people},
}

func TestOutputsOfModels(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	right := 0
	for _, corpus := range corpora {
		shape := mustShape(t, corpus.format)
		for _, o := range corpus.outputs {
			t.Run(corpus.name+"/"+o.name, func(t *testing.T) {
				got := run(shape, o.text, whole)
				kind := ""
				if got.failed {
					kind = got.problem.Kind.String()
				}
				if got.all != o.want || kind != o.kind {
					t.Fatalf("%q\n got: %q %s (%s)\nwant: %q %s", o.text, got.all, kind, got.problem.Detail, o.want, o.kind)
				}
				if kind == "" && !json.Valid([]byte(got.all)) {
					t.Errorf("not valid: %s", got.all)
				}
				if one := run(shape, o.text, single); one.all != got.all || one.problem != got.problem {
					t.Errorf("byte by byte: %+v, in one piece: %+v", one, got)
				}
				for range 20 {
					if some := run(shape, o.text, random(r)); some.all != got.all || some.problem != got.problem {
						t.Errorf("in random pieces: %+v, in one: %+v", some, got)
					}
				}
				right++
			})
		}
	}
	t.Logf("%d outputs, all as expected: %d", len(objects)+len(steps)+len(numbers)+len(either)+len(people), right)
}

// What is certain is handed out at once: not at the end, nor at the end of a line.
func TestOutputIsLive(t *testing.T) {
	f := mustShape(t, Format{Schema: stepsSchema}).Filter()
	var out []byte
	for _, step := range []struct{ piece, live string }{
		{"Sure, here ", ""},
		{"is it:\n``", ""},
		{"`json\n{", ""},
		{`"ste`, ""},
		{`ps"`, ""},
		{`:`, `{"steps":`},
		{` [{"text":"a`, `{"steps": [{"text":"a`},
		{`bc`, `{"steps": [{"text":"abc`},
		{`"`, `{"steps": [{"text":"abc`}, // it may be a quote that was not escaped
		{`}`, `{"steps": [{"text":"abc"}`},
		{`,`, `{"steps": [{"text":"abc"}`}, // it may be one too many
		{`{"text":"\`, `{"steps": [{"text":"abc"},{"text":"`},
		{`n"}], "answer": nu`, `{"steps": [{"text":"abc"},{"text":"\n"}], "answer": nu`},
		{`ll}`, `{"steps": [{"text":"abc"},{"text":"\n"}], "answer": null}`},
		{"\n```\nDone {\"steps\":1}", `{"steps": [{"text":"abc"},{"text":"\n"}], "answer": null}`},
	} {
		if out = f.Append(out, []byte(step.piece)); string(out) != step.live {
			t.Fatalf("after %q: %s\nwant %s", step.piece, out, step.live)
		}
	}
	rest, problem := f.End(nil)
	if len(rest) > 0 || problem != nil {
		t.Errorf("%q, %v", rest, problem)
	}
}

// The first key may have escapes.
func TestEscapedKeysAreLive(t *testing.T) {
	f := mustShape(t, Format{}).Filter()
	if got := f.Append(nil, []byte(`{"a\"b":[`)); string(got) != `{"a\"b":[` {
		t.Errorf("%s", got)
	}
}

// What was handed out stands: a repair that begins otherwise is no answer.
func TestRepairsKeepWhatWasHandedOut(t *testing.T) {
	f := mustShape(t, Format{}).Filter()
	f.Append(nil, []byte(`{"a":1,}`))
	f.written++ // with the comma
	if out, problem := f.End(nil); len(out) > 0 || problem == nil || problem.Kind != Malformed {
		t.Errorf("%s, %v", out, problem)
	}
}

// A list is live from its first item on, if that is an object or a string.
func TestListsAreLive(t *testing.T) {
	for text, want := range map[string]string{
		`[{"name":"Ann"}, {"name":"B`: `[{"name":"Ann"}, {"name":"B`,
		`["a", "b`:                    `["a", "b`,
		`[1, 2, 3`:                    ``,
	} {
		f := mustShape(t, Format{Schema: `{"type":"array"}`}).Filter()
		if got := f.Append(nil, []byte(text)); string(got) != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	f := mustShape(t, Format{}).Filter()
	out := f.Append([]byte("data: "), []byte(`{"a":1,`))
	out = f.Append(out, []byte(`}`))
	if out, problem := f.End(out); string(out) != `data: {"a":1}` || problem != nil {
		t.Errorf("%s, %v", out, problem)
	}
}

// The model is told where something is wrong.
func TestDetails(t *testing.T) {
	shape := mustShape(t, Format{Schema: stepsSchema})
	for text, want := range map[string]string{
		`{"steps":[{"text":1}],"answer":null}`:        `at steps[0].text: must be string, not number`,
		`{"steps":[]}`:                                `lacks the required property "answer"`,
		`{"result":{}} {"other":{}}`:                  `must not have the property "result"`,
		`[{"steps":[],"answer":null},{}]`:             `must be one object, not a list of several`,
		`{"steps":[],"answer":oh}`:                    `it cannot go on after "{\"steps\":[],\"answer\":"`,
		`{"steps":["` + strings.Repeat("天", 99) + "x": `it ends after "` + strings.Repeat("天", 19) + `x"`,
		`Sorry.`: ``,
	} {
		if got := run(shape, text, whole); !got.failed || got.problem.Detail != want {
			t.Errorf("%s: %q", text, got.problem.Detail)
		}
	}
}

// However long an answer is, only 1 MiB of JSON is kept, and what was handed out is
// what would have been with any split.
func TestTooLong(t *testing.T) {
	shape := mustShape(t, Format{})
	for name, text := range map[string]string{
		"an object":         `{"a":"` + strings.Repeat("x", maxJSON) + `"}`,
		"a loose object":    `{a:"` + strings.Repeat("x", maxJSON) + `"}`,
		"an endless key":    `{"` + strings.Repeat("x", maxJSON) + `":1}`,
		"an object, almost": `{"a":"` + strings.Repeat("x", maxJSON-7) + `"}`,
	} {
		got := run(shape, text, whole)
		if !got.failed || got.problem.Kind != TooLarge || len(got.all) > maxJSON || strings.HasPrefix(text, `{"a`) != (got.all != "") {
			t.Errorf("%s: %d bytes, %v", name, len(got.all), got.problem)
		}
		pieces := run(shape, text, func(rest int) int { return min(rest, 1000) })
		if pieces.all != got.all || pieces.problem != got.problem {
			t.Errorf("%s: another result in pieces: %d bytes, %v", name, len(pieces.all), pieces.problem)
		}
	}
	text := `{"a":"` + strings.Repeat("x", maxJSON-8) + `"}`
	if got := run(shape, text+" and "+text, whole); got.failed || got.all != text {
		t.Errorf("as long as possible: %v", got.problem)
	}
	// What is not kept may have any length.
	strict := mustShape(t, Format{Schema: stepsSchema})
	answer := `{"steps":[],"answer":null}`
	long := strings.Repeat("words {and} `more` ", 5000) + `{"x":"` + strings.Repeat("x", maxJSON) + `"}`
	if got := run(strict, long+answer, whole); got.failed || got.all != answer {
		t.Errorf("after much else: %v", got.problem)
	}
	for _, start := range []string{"", "```" + strings.Repeat("x", 5000)} {
		f := strict.Filter()
		f.Append(nil, []byte(start+long))
		if cap(f.text) > 4096 || cap(f.prose.word) > 64 {
			t.Errorf("%d and %d bytes are kept", cap(f.text), cap(f.prose.word))
		}
	}
}

func TestDeepJSON(t *testing.T) {
	shape := mustShape(t, Format{})
	if got := run(shape, `{"a":`+strings.Repeat("[", 5000), whole); got.problem.Kind != Malformed || !got.failed {
		t.Errorf("%v", got.problem)
	}
}

// In the strict part nothing is allocated for a piece.
func TestNoAllocationPerPiece(t *testing.T) {
	f := mustShape(t, Format{}).Filter()
	dst := f.Append(make([]byte, 0, 4096), []byte(`Here: {"a":["`))
	f.text = append(make([]byte, 0, maxJSON), f.text...)
	piece := []byte(`some words, "and", 北京 `)
	piece = bytes.ReplaceAll(piece, []byte(`"`), []byte(`\"`))
	if n := testing.AllocsPerRun(1000, func() { dst = f.Append(dst[:0], piece) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if string(dst) != string(piece) {
		t.Errorf("%s", dst)
	}
	f = mustShape(t, Format{}).Filter()
	if n := testing.AllocsPerRun(1000, func() { dst = f.Append(dst[:0], []byte("words before it, `code` ")) }); n != 0 {
		t.Errorf("%v allocations in words", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	for name, text := range map[string]string{
		"strict": "```json\n{\"items\":[" + strings.TrimSuffix(strings.Repeat(`{"id":12345,"name":"Some name, 名字","tags":["a","b"],"ok":true},`, 500), ",") + "]}\n```",
		"words":  strings.Repeat("Some words about {this} and `that`, 还有中文。\n", 1000),
	} {
		b.Run(name, func(b *testing.B) {
			shape := mustShape(b, Format{})
			dst := make([]byte, 0, len(text))
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				f := shape.Filter()
				dst = dst[:0]
				for rest := text; len(rest) > 0; {
					n := min(len(rest), 24)
					dst = f.Append(dst, []byte(rest[:n]))
					rest = rest[n:]
				}
				f.End(dst)
			}
		})
	}
}
