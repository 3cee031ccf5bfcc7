package stopseq

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// slow ends a text before the first stop sequence.
func slow(text string, stops []string) (before string, stopped bool) {
	end := len(text)
	for _, stop := range stops {
		if i := strings.Index(text, stop); stop != "" && i >= 0 && i <= end {
			end, stopped = i, true
		}
	}
	return text[:end], stopped
}

// heldBack is how much of a text without stop sequences may be the beginning of one.
func heldBack(text string, stops []string) int {
	longest := 0
	for _, stop := range stops {
		for n := range len(stop) {
			if strings.HasSuffix(text, stop[:n]) {
				longest = max(longest, n)
			}
		}
	}
	return longest
}

// filtered passes a text through in pieces of random sizes, up to a size. It checks
// after each of them that no more is held back than must be.
func filtered(t testing.TB, r *rand.Rand, text string, stops []string, size int) string {
	t.Helper()
	f := New(stops)
	var out []byte
	for at := 0; at < len(text); {
		n := min(r.IntN(size+1), len(text)-at)
		at += n
		var stopped bool
		out, stopped = f.Append(out, []byte(text[at-n:at]))
		before, come := slow(text[:at], stops)
		switch {
		case stopped && (!come || string(out) != before):
			t.Fatalf("%q with %q: stopped at %d after %q", text, stops, at, out)
		case stopped:
			if again, stopped := f.Append(out, []byte(text)); !stopped || len(again) != len(out) {
				t.Fatalf("%q with %q: after the end came %q", text, stops, again[len(out):])
			}
		case !strings.HasPrefix(before, string(out)):
			t.Fatalf("%q with %q: %q is passed on of %q", text, stops, out, text[:at])
		case !come && len(out) != at-heldBack(text[:at], stops):
			t.Fatalf("%q with %q: of %q only %q is passed on", text, stops, text[:at], out)
		}
	}
	out = f.End(out)
	if again := f.End(out); len(again) != len(out) {
		t.Fatalf("%q with %q: at the second end came %q", text, stops, again[len(out):])
	}
	if again, stopped := f.Append(out, []byte(text)); !stopped || len(again) != len(out) {
		t.Fatalf("%q with %q: after the end came %q", text, stops, again[len(out):])
	}
	return string(out)
}

var tables = []struct {
	name, text string
	stops      []string
	want       string
}{
	{"no sequences", "a text", nil, "a text"},
	{"an empty sequence", "a text", []string{""}, "a text"},
	{"no text", "", []string{"a"}, ""},
	{"not in it", "a text", []string{"x\n"}, "a text"},
	{"in the middle", "one\ntwo", []string{"\n"}, "one"},
	{"at the start", "STOP it", []string{"STOP"}, ""},
	{"at the end", "a STOP", []string{"STOP"}, "a "},
	{"nothing else", "STOP", []string{"STOP"}, ""},
	{"all but the last byte", "a STO", []string{"STOP"}, "a STO"},
	{"another case", "a stop", []string{"STOP"}, "a stop"},
	{"begun twice", "a SSTOP b", []string{"STOP"}, "a S"},
	{"begun over and over", "aaaaaaab", []string{"aaab"}, "aaaa"},
	{"repeating itself", "abababac", []string{"abac"}, "abab"},
	{"given up late", "abcabcabd!", []string{"abcabcabe", "d!"}, "abcabcab"},
	{"twice", "a\n\nb\n\nc", []string{"\n\n"}, "a"},
	{"more of it than needed", "a\n\n\nb", []string{"\n\n"}, "a"},
	{"the first of several", "a.b,c", []string{",", "."}, "a"},
	{"one in another, which does not come", "xabcy", []string{"abcd", "bc"}, "xa"},
	{"one in another, which comes", "xabcd", []string{"bc", "abcd"}, "x"},
	{"one in another, at the end", "xabc", []string{"abcd", "bc"}, "xa"},
	{"one that begins another", "xabcd", []string{"abcd", "ab"}, "x"},
	{"one that ends another", "xabcd", []string{"cd", "abcd"}, "x"},
	{"three that overlap", "12345", []string{"34", "2345", "12346"}, "1"},
	{"the same twice", "a|b", []string{"|", "|"}, "a"},
	{"Chinese", "你好。再见", []string{"。"}, "你好"},
	{"characters with the same first byte", "中丯丰", []string{"丰"}, "中丯"},
	{"a model's marks", "Answer<|im_end|>\nUser:", []string{"\nUser:", "<|im_end|>"}, "Answer"},
	{"NUL", "a\x00b", []string{"\x00"}, "a"},
	{"bytes that are no characters", "a\xffb", []string{"\xff"}, "a"},
}

func TestFilter(t *testing.T) {
	for _, test := range tables {
		t.Run(test.name, func(t *testing.T) {
			if want, _ := slow(test.text, test.stops); want != test.want {
				t.Fatalf("the table says %q, the reference %q", test.want, want)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for size := 1; size <= len(test.text)+1; size++ {
				for range 20 {
					if got := filtered(t, r, test.text, test.stops, size); got != test.want {
						t.Fatalf("in pieces of up to %d: %q, want %q", size, got, test.want)
					}
				}
			}
		})
	}
}

// What has been said before is kept.
func TestFilterAppends(t *testing.T) {
	f := New([]string{"END"})
	out, stopped := f.Append([]byte("before "), []byte("a E"))
	if string(out) != "before a " || stopped {
		t.Errorf("%q, %v", out, stopped)
	}
	if out, stopped = f.Append(out, []byte("N")); string(out) != "before a " || stopped {
		t.Errorf("then %q, %v", out, stopped)
	}
	if out, stopped = f.Append(out, []byte("O EN")); string(out) != "before a ENO " || stopped {
		t.Errorf("then %q, %v", out, stopped)
	}
	if out, stopped = f.Append(out, []byte("D more")); string(out) != "before a ENO " || !stopped {
		t.Errorf("at last %q, %v", out, stopped)
	}
}

// A sequence ends the text as soon as it has come, unless one that began before it may
// still come.
func TestFilterAtOnce(t *testing.T) {
	for _, test := range []struct {
		text  string
		stops []string
		want  bool
	}{
		{"a STOP", []string{"STOP"}, true},
		{"a STOP", []string{"STOPPED", "STOP"}, true},
		{"a STOP", []string{"STOP", "TOPS"}, true},
		{"a STOP", []string{"a STOPPED", "STOP"}, false},
		{"a STOPPE", []string{"a STOPPED", "STOP"}, false},
		{"a STOPPING", []string{"a STOPPED", "STOP"}, true},
		{"a STOPPED", []string{"a STOPPED", "STOP"}, true},
	} {
		if _, stopped := New(test.stops).Append(nil, []byte(test.text)); stopped != test.want {
			t.Errorf("%q with %q: stopped %v, want %v", test.text, test.stops, stopped, test.want)
		}
	}
}

// The pieces may be written over.
func TestFilterKeepsNoPiece(t *testing.T) {
	f := New([]string{"abcd"})
	piece := []byte("xab")
	out, _ := f.Append(nil, piece)
	copy(piece, "???")
	if out, _ = f.Append(out, []byte("c")); string(f.End(out)) != "xabc" {
		t.Errorf("%q", f.End(out))
	}
}

// Characters are not parted if they come whole.
func TestFilterCharacters(t *testing.T) {
	stops := []string{"中丰é", "😀😁", "é!"}
	text := "中丯 😀 é中丰e 😀😂 è 中丰é"
	f := New(stops)
	var out []byte
	for _, r := range text {
		out, _ = f.Append(out, []byte(string(r)))
		if !utf8.Valid(out) {
			t.Fatalf("%q", out)
		}
	}
	if got := string(f.End(out)); got != strings.TrimSuffix(text, "中丰é") {
		t.Errorf("%q", got)
	}
}

func seed(t testing.TB) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("CADDY_QWEN_SEED"); s != "" {
		given, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CADDY_QWEN_SEED: %v", err)
		}
		n = given
	}
	t.Logf("CADDY_QWEN_SEED=%d", n)
	return n
}

// Random texts of few letters with sequences of the same: however a text is parted,
// what comes out is what the reference says.
func TestFilterRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	some := func(letters, most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = 'a' + byte(r.IntN(letters))
		}
		return string(b)
	}
	stoppedTimes := 0
	for range 20_000 {
		letters := 1 + r.IntN(3)
		text := some(letters, 40)
		var stops []string
		for range 1 + r.IntN(4) {
			stops = append(stops, some(letters, 1+r.IntN(12)))
		}
		want, stopped := slow(text, stops)
		if got := filtered(t, r, text, stops, 1+r.IntN(8)); got != want {
			t.Fatalf("%q with %q: %q, want %q", text, stops, got, want)
		}
		if stopped {
			stoppedTimes++
		}
	}
	if stoppedTimes < 2000 || stoppedTimes > 18_000 {
		t.Errorf("stopped in %d of 20000 texts only", stoppedTimes)
	}
}

func FuzzFilter(f *testing.F) {
	for i, test := range tables {
		stops := append(append([]string{}, test.stops...), "", "", "")
		f.Add(test.text, stops[0], stops[1], stops[2], uint64(i))
	}
	f.Fuzz(func(t *testing.T, text, a, b, c string, seed uint64) {
		stops := []string{a, b, c}
		r := rand.New(rand.NewPCG(seed, 0))
		want, _ := slow(text, stops)
		if got := filtered(t, r, text, stops, 1+int(seed%16)); got != want {
			t.Fatalf("%q with %q: %q, want %q", text, stops, got, want)
		}
	})
}

// pathological texts come as near to their sequences as they can, over and over.
var pathological = []struct {
	name, text string
	stops      []string
}{
	{"one letter", strings.Repeat("a", 1<<16), []string{strings.Repeat("a", 1<<12) + "b"}},
	{"many of one letter", strings.Repeat("a", 1<<16), func() (stops []string) {
		for n := range 16 {
			stops = append(stops, strings.Repeat("a", 256*(n+1))+"b")
		}
		return stops
	}()},
	{"two letters", strings.Repeat(strings.Repeat("ab", 1<<10)+"b", 1<<5), []string{strings.Repeat("ab", 1<<11)}},
}

// steps counts the steps that a search takes back.
func steps(stop, text string) (back int) {
	s := search{stop: stop, borders: borders(stop)}
	for i := range len(text) {
		for before := s.found; before > 0 && s.stop[before] != text[i]; back++ {
			before = int(s.borders[before-1])
		}
		if s.next(text[i]); s.found == len(s.stop) {
			s.found = 0
		}
	}
	return back
}

// Each byte costs a bounded number of steps, however near a text comes to a sequence.
func TestFilterLinear(t *testing.T) {
	for _, test := range pathological {
		t.Run(test.name, func(t *testing.T) {
			for _, stop := range test.stops {
				if n := steps(stop, test.text); n > len(test.text) {
					t.Errorf("%d steps back in a text of %d bytes", n, len(test.text))
				}
			}
			f := New(test.stops)
			var out []byte
			for i := range len(test.text) {
				out, _ = f.Append(out, []byte{test.text[i]})
			}
			if got := f.End(out); string(got) != test.text {
				t.Errorf("%d bytes of %d have come through", len(got), len(test.text))
			}
		})
	}
}

// Pieces cost no memory.
func TestFilterAllocs(t *testing.T) {
	f := New([]string{"\nUser:", "<|im_end|>", "###"})
	out := make([]byte, 0, 1<<10)
	pieces := [][]byte{[]byte("Plain text.\n"), []byte("User <|im"), []byte("_start|> ##"), []byte(" 你好")}
	if n := testing.AllocsPerRun(1000, func() {
		for _, p := range pieces {
			out, _ = f.Append(out[:0], p)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	prose := strings.Repeat("The quick brown fox jumps over the lazy dog, and so it goes on.\n你好，世界。", 1<<9)
	for _, bench := range append(pathological[:len(pathological):len(pathological)], []struct {
		name, text string
		stops      []string
	}{
		{"none", prose, nil},
		{"one", prose, []string{"\nUser:"}},
		{"four", prose, []string{"\nUser:", "<|im_end|>", "###", "\n\n"}},
		{"sixteen", prose, strings.Split("The fix,quiet,brox,foxy,jumper,oven,the lame,dot,and no,it so,goest,on!,你们,世人,\nA,.\n\n", ",")},
	}...) {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			b.ReportAllocs()
			text := []byte(bench.text)
			out := make([]byte, 0, len(text))
			f := New(bench.stops)
			for b.Loop() {
				out = out[:0]
				for at := 0; at < len(text); at += 32 {
					out, _ = f.Append(out, text[at:min(at+32, len(text))])
				}
			}
			if f.stopped {
				b.Fatal("it has stopped")
			}
		})
	}
}
