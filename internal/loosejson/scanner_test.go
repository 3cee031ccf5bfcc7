package loosejson

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	for _, tt := range []struct {
		in    string
		n     int
		want  State
		exact bool
	}{
		{`{"a":"}"} rest`, 9, Done, true},
		{" \n[[]]]", 6, Done, true},
		{`{"a":1`, 6, More, true},
		{``, 0, More, true},
		{`x{}`, 0, Lost, true},
		{`"x"`, 0, Lost, true},
		{`{"a":"b"</tool_call>`, 8, Lost, true},
		{"{\"a\":\"b\"\n</tool_call>", 9, Lost, true},
		{`{"a":12</tool_call>`, 7, Lost, true},
		{`{"a":"</tool_call>"}x`, 20, Done, true},
		{`{a:'</tool_call>'}x`, 18, Done, false},
		{`{"a":"\"}"}x`, 11, Done, true},
		{"{\"a\":\"\n\"}x", 9, Done, false},
		{`[1,]x`, 4, Done, false},
		{`[1,`, 3, More, true},
		{`{"a":"x" y`, 9, Lost, true},
		{`{"a":"x "y`, 10, More, false},
		{`{"a":"\d`, 8, More, false},
		{`{"a":"\u`, 8, More, true},
		{`[t`, 2, More, true},
		{`[T`, 2, More, false},
	} {
		var s Scanner
		n, st := s.Scan([]byte(tt.in))
		if n != tt.n || st != tt.want || s.Exact() != tt.exact {
			t.Errorf("%s: got %d, %d, exact %t, want %d, %d, %t", tt.in, n, st, s.Exact(), tt.n, tt.want, tt.exact)
		}
		if again, same := s.Scan([]byte(" x")); st != More && (again != 0 || same != st) {
			t.Errorf("%s: then %d bytes and %d", tt.in, again, same)
		}
	}
}

func TestScannerStrict(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1`:             `{"a":1`,
		`[1, `:               `[1`,
		`[1, 2`:              `[1, 2`,
		`[1,]`:               `[1`,
		`["x"`:               `["x`,
		`["x" `:              `["x`,
		`["x\n y`:            `["x\n y`,
		`["x\u00e9 y`:        `["x\u00e9 y`,
		`["x", "y\n", 2`:     `["x", "y\n", 2`,
		`{"a" : "x" , "b"`:   `{"a" : "x" , "b`,
		`{"a" : "x" , "b" :`: `{"a" : "x" , "b" :`,
		`["x\'y`:             `["x`,
		`["x\dy", 1`:         `["x`,
		`["x <"y"> z", 1`:    `["x <`,
		`[1,], 2`:            `[1`,
		`["x",`:              `["x"`,
		`["x" // `:           `["x" `,
		`["x <"y`:            `["x <`,
		`["x\d`:              `["x`,
		`["x\up`:             `["x`,
		"[\"x\n":             `["x`,
		`['`:                 `[`,
		`{a`:                 `{`,
		`{"a":1, b`:          `{"a":1, `,
		`[“`:                 `[`,
		`[1, /`:              `[1`,
		`{"a":"b"} and more`: `{"a":"b"}`,
	} {
		var s Scanner
		s.Scan([]byte(in))
		if got := in[:s.Strict()]; got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestScannerTellsWhereItIs(t *testing.T) {
	for in, want := range map[string]struct {
		depth int
		in    bool
	}{
		`{`: {1, false}, `{"`: {1, true}, `{"a":[[`: {3, false}, `{"a\`: {1, true}, `{"a\u1`: {1, true},
		`{"a"`: {1, false}, `{'a':'b" `: {1, true}, "[“x\xe2": {1, true}, `[[]`: {1, false}, `{}`: {0, false},
	} {
		var s Scanner
		s.Scan([]byte(in))
		if s.Depth() != want.depth || s.InString() != want.in {
			t.Errorf("%s: depth %d, in a string %t", in, s.Depth(), s.InString())
		}
	}
}

func TestReset(t *testing.T) {
	var s Scanner
	s.Scan([]byte(`{'a':[[`))
	s.Reset()
	if n, st := s.Scan([]byte(`{}`)); n != 2 || st != Done || !s.Exact() || s.Depth() != 0 {
		t.Errorf("got %d, %d, exact %t, depth %d", n, st, s.Exact(), s.Depth())
	}
}

func TestScannerAllocatesNothing(t *testing.T) {
	text := []byte(`{'a':[1,2,{"b":"x "y" z\d\u0041",}, // c` + "\n" + `“d”, None]}`)
	var s Scanner
	allocs := testing.AllocsPerRun(10, func() {
		s.Reset()
		if _, st := s.Scan(text); st != Done {
			t.Fatal(st)
		}
	})
	if allocs != 0 {
		t.Errorf("%g allocations", allocs)
	}
}

// slip writes valid JSON as models do, without changing what it means.
func slip(r *rand.Rand, value any) string {
	var b strings.Builder
	writeSlip(r, &b, value)
	return b.String()
}

func writeSlip(r *rand.Rand, b *strings.Builder, value any) {
	gap := func() { b.WriteString([]string{"", "", " ", "\n", " /* , */", " // }\n"}[r.IntN(6)]) }
	switch v := value.(type) {
	case nil:
		b.WriteString([]string{"null", "None"}[r.IntN(2)])
	case bool:
		b.WriteString(map[bool][]string{true: {"true", "True"}, false: {"false", "False"}}[v][r.IntN(2)])
	case float64:
		text, _ := json.Marshal(v)
		b.Write(text)
	case string:
		writeSlipString(r, b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			gap()
			writeSlip(r, b, e)
			gap()
		}
		if len(v) > 0 && r.IntN(2) == 0 {
			b.WriteString(", ")
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		first := true
		for k, e := range v {
			if !first {
				b.WriteByte(',')
			}
			first = false
			gap()
			if k != "" && strings.Trim(k, "abcXYZ_") == "" && r.IntN(2) == 0 {
				b.WriteString(k)
			} else {
				writeSlipString(r, b, k)
			}
			b.WriteString([]string{":", " : "}[r.IntN(2)])
			gap()
			writeSlip(r, b, e)
			gap()
		}
		b.WriteByte('}')
	}
}

func writeSlipString(r *rand.Rand, b *strings.Builder, v string) {
	quote := []string{`"`, `"`, `'`}[r.IntN(3)]
	text, _ := json.Marshal(v)
	inner := string(text[1 : len(text)-1])
	if quote == `'` {
		inner = strings.ReplaceAll(strings.ReplaceAll(inner, `'`, `\'`), `\"`, []string{`"`, `\"`}[r.IntN(2)])
	}
	if r.IntN(2) == 0 && !strings.Contains(inner, `\\`) {
		inner = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(inner)
	}
	b.WriteString(quote + inner + quote)
}

func randomValue(r *rand.Rand, depth int) any {
	parts := []string{"a", "b", "XY", "_", " ", "\n", "\t", `"`, "'", `\`, "{", "]", ",", ":", "//", "/*", "é", "“", "</tool_call>", "\x01"}
	word := func() (s string) {
		for range r.IntN(6) {
			s += parts[r.IntN(len(parts))]
		}
		return s
	}
	switch k := r.IntN(7); {
	case k == 0:
		return nil
	case k == 1:
		return r.IntN(2) == 0
	case k == 2:
		return r.NormFloat64() * 1000
	case k < 5 || depth == 0:
		return word()
	case k == 5:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, randomValue(r, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(4) {
		object[word()] = randomValue(r, depth-1)
	}
	return object
}

// Slips change nothing of what any value means.
func TestRepairKeepsTheMeaning(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		value := map[string]any{"v": randomValue(r, 4)}
		text := slip(r, value)
		got, ok := Repair([]byte(text))
		var back any
		if !ok || json.Unmarshal(got, &back) != nil {
			t.Fatalf("seed %d: %q became %q, %t", seed, text, got, ok)
		}
		want, _ := json.Marshal(value)
		if have, _ := json.Marshal(back); !bytes.Equal(have, want) {
			t.Fatalf("seed %d: %q became %s, want %s", seed, text, have, want)
		}
	}
}
