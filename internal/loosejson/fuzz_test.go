package loosejson

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzScanner(f *testing.F) {
	for _, text := range doubtful {
		f.Add([]byte(text), uint8(3))
	}
	for _, text := range []string{
		`{"a":[1,-2.5e+7,true,false,null,"\u00e9\n"],"b":{}}`, `{'a': 'it's', “b”: “c”, d: None,}`, "{\"a\":\"x\ny\" /* z */}",
		`{"html":"<a href="x">y</a>"}`, "[\"\xe2\x80\x9c\", ‘x’ ]", "```json\n{\"a\":1,}\n```",
	} {
		f.Add([]byte(text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		var whole, pieces Scanner
		n, st := whole.Scan(text)
		if st == More && n != len(text) || n > len(text) {
			t.Fatalf("%d of %d bytes and %d", n, len(text), st)
		}
		if m, in := scanPieces(&pieces, text, int(size)+1); m != n || in != st || pieces.Strict() != whole.Strict() || pieces.Exact() != whole.Exact() {
			t.Fatalf("in pieces of %d: %d, %d, strict %d; whole: %d, %d, %d", size+1, m, in, pieces.Strict(), n, st, whole.Strict())
		}
		checkStrict(t, text, n, st, &whole)
		checkRepair(t, text, n, st, &whole)
	})
}

func scanPieces(s *Scanner, text []byte, size int) (n int, st State) {
	for piece := range slicesOf(text, size) {
		var taken int
		if taken, st = s.Scan(piece); st != More {
			return n + taken, st
		}
		n += taken
	}
	return n, st
}

func slicesOf(text []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			k := min(size, len(text))
			if !yield(text[:k]) {
				return
			}
			text = text[k:]
		}
	}
}

// checkStrict compares with what the standard library calls JSON.
func checkStrict(t *testing.T, text []byte, n int, st State, s *Scanner) {
	trimmed := bytes.TrimLeft(text, spaces)
	if st == Done && s.Exact() != json.Valid(text[:n]) {
		t.Fatalf("exact is %t, %q is not", s.Exact(), text[:n])
	}
	if json.Valid(text) && len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && (st != Done || !s.Exact()) && bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) <= maxDepth {
		t.Fatalf("valid, but %d", st)
	}
}

// checkRepair checks that a repair is valid, stays as it is, and begins with what
// was strict.
func checkRepair(t *testing.T, text []byte, n int, st State, s *Scanner) {
	if st == Lost {
		n = 0
	}
	for _, repair := range []func([]byte) ([]byte, bool){Repair, RepairUnclosed} {
		got, ok := repair(text[:n])
		if st == Done && !ok {
			t.Fatalf("%q is not repaired", text[:n])
		}
		if ok && !json.Valid(got) {
			t.Fatalf("%q became %q", text[:n], got)
		}
		if ok && !bytes.HasPrefix(got, text[:s.Strict()]) {
			t.Fatalf("%q is strict, but %q", text[:s.Strict()], got)
		}
	}
	if got, ok := Repair(text); ok && !json.Valid(got) {
		t.Fatalf("%q became %q", text, got)
	}
}

func BenchmarkScanner(b *testing.B) {
	text := []byte(`{"path":"a/b.go","content":"` + string(bytes.Repeat([]byte(`\tif err != nil {\n\t\treturn fmt.Errorf(\"reading %s: %w\", name, err)\n\t}\n`), 1000)) + `"}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var s Scanner
		scanPieces(&s, text, 20)
	}
}
