package jsonraw

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// visit walks over all of a value with the cursor and writes it down again.
func visit(c *Cursor, out *bytes.Buffer, depth int) {
	probe := *c
	switch {
	case depth > 50:
		out.Write(c.Raw())
	case probe.peek() == '{':
		c.Object()
		out.WriteByte('{')
		for i := 0; ; i++ {
			key, ok := c.Key()
			if !ok {
				break
			}
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteString(`"` + string(key) + `":`)
			visit(c, out, depth+1)
		}
		out.WriteByte('}')
	case probe.peek() == '[':
		c.Array()
		out.WriteByte('[')
		for i := 0; c.Elem(); i++ {
			if i > 0 {
				out.WriteByte(',')
			}
			visit(c, out, depth+1)
		}
		out.WriteByte(']')
	default:
		out.Write(c.Raw())
	}
}

func TestCursorWalks(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, `-1.5e+7`, `"a\"b\\"`, `"\\"`,
		`{"a":{"b":[1,"}",{"c":null}],"d":""},"e":[[],{}]}`,
		" {\n\"a\" : [ 1 , 2 ] ,\t\"b\":\r\"x\" } ",
	} {
		c := NewCursor([]byte(text))
		var got, want bytes.Buffer
		visit(&c, &got, 0)
		if err := json.Compact(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if !c.OK() || !c.AtEnd() || got.String() != want.String() {
			t.Errorf("%s: got %s, ok %t, at end %t", text, got.String(), c.OK(), c.AtEnd())
		}
	}
}

func TestCursorRefuses(t *testing.T) {
	for _, text := range []string{``, `{`, `[1`, `{"a"`, `{"a":`, `{"a":1`, `"abc`, `"abc\"`, `{"a" 1}`, `{1:2}`, `[}`, `[,`, `:`} {
		c := NewCursor([]byte(text))
		visit(&c, new(bytes.Buffer), 0)
		if c.OK() {
			t.Errorf("%q was taken for JSON", text)
		}
		if c.Raw() != nil || c.Int() != 0 || c.True() {
			t.Errorf("%q: values after an error", text)
		}
	}
}

func TestCursorOtherTypes(t *testing.T) {
	c := NewCursor([]byte(`[7,"x",true,false,{"a":1},12345678901234567]`))
	if c.Object() {
		t.Fatal("an array is no object")
	}
	if !c.AtEnd() {
		t.Fatal("the value was not passed")
	}
	c = NewCursor([]byte(`[7,"x",true,false,{"a":1},12345678901234567,-3]`))
	c.Array()
	next := func() { t.Helper(); c.Elem() }
	if next(); c.Int() != 7 {
		t.Error("7")
	}
	if next(); c.Int() != 0 {
		t.Error("a string is no integer")
	}
	if next(); !c.True() {
		t.Error("true")
	}
	if next(); c.True() {
		t.Error("false is not true")
	}
	if next(); c.Array() {
		t.Error("an object is no array")
	}
	if next(); c.Int() != 0 {
		t.Error("an integer that is too large")
	}
	if next(); c.Int() != 0 {
		t.Error("a negative integer")
	}
	if c.Elem() || !c.OK() || !c.AtEnd() {
		t.Error("end")
	}
}

func TestClean(t *testing.T) {
	for raw, want := range map[string]bool{
		``: true, `abc`: true, `日本語😀`: true, `\n\t\"\\\/\b\f\r`: true, `\u00e9\uD83D\uDE00`: true,
		`\ud83d`: false, `\ude00`: false, `\ud83dx`: false, `\ud83d\ud83d`: false, `\x`: false, `\u12`: false,
		`\`: false, "\n": false, "\xff": false, "\xed\xa0\x80": false, `"`: false,
	} {
		if got := Clean([]byte(raw)); got != want {
			t.Errorf("Clean(%q) = %t", raw, got)
		}
	}
}

func TestAppendClean(t *testing.T) {
	for raw, want := range map[string]string{
		`a\ud83db`: `a` + "\ufffd" + `b`, `\ude00`: "\ufffd", `\ud83d\ude00`: `\ud83d\ude00`,
		"a\xffb": "a\ufffdb", "a\nb\"": `a\nb\"`, "\x01": `\u0001`, `\x.`: "\ufffd.", `\`: "\ufffd", `\u12`: "\ufffd12",
	} {
		got := AppendClean(nil, []byte(raw))
		if string(got) != want || !Clean(got) {
			t.Errorf("AppendClean(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestHighSurrogate(t *testing.T) {
	for raw, want := range map[string]bool{
		`\ud83d`: true, `ab\uDBFF`: true, `\\ud83d`: false, `\\\ud83d`: true, `\ude00`: false, `\ud83`: false, `\ud83d\ude00`: false, ``: false,
	} {
		if got := HighSurrogate([]byte(raw)); got != want {
			t.Errorf("HighSurrogate(%q) = %t", raw, got)
		}
	}
}

func TestCut(t *testing.T) {
	for _, unit := range []string{`a`, `\n`, `\u00e9`, `\ud83d\ude00`, `é`, `日`, `😀`, `\\`, `\"`} {
		for lead := range 12 {
			raw := []byte(strings.Repeat("x", lead) + strings.Repeat(unit, 20))
			for limit := 12; limit < len(raw)+2; limit++ {
				n := Cut(raw, limit)
				if n > limit || n < min(limit-11, len(raw)) || !Clean(raw[:n]) || !Clean(raw[n:]) {
					t.Fatalf("Cut(%q, %d) = %d", raw, limit, n)
				}
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`abc`, `\ud83d`, `\ud83d\ude00`, "\xff\xed", `\\\"`, "日本\n", `\u12`, `\ude00\ud83d`} {
		f.Add([]byte(s), 12)
	}
	f.Fuzz(func(t *testing.T, raw []byte, limit int) {
		clean := Clean(raw)
		mended := AppendClean(nil, raw)
		if !Clean(mended) {
			t.Fatalf("AppendClean(%q) = %q, which is not clean", raw, mended)
		}
		if clean && !bytes.Equal(mended, raw) {
			t.Fatalf("AppendClean changed %q to %q", raw, mended)
		}
		var want string
		if err := json.Unmarshal([]byte(`"`+string(mended)+`"`), &want); err != nil {
			t.Fatalf("%q is not a JSON string: %v", mended, err)
		}
		if got := AppendText(nil, mended); string(got) != want {
			t.Fatalf("AppendText(%q) = %q, want %q", mended, got, want)
		}
		limit = 12 + max(limit, -limit, 0)%64
		if n := Cut(mended, limit); n > max(limit, 0) && n != len(mended) || !Clean(mended[:n]) || !Clean(mended[n:]) || n == 0 && len(mended) > 0 {
			t.Fatalf("Cut(%q, %d) = %d", mended, limit, n)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",{"b":null}]}`, `{"a":`, `[[[`, `"\"`, `{"a":1}}`, `[1,,2]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := NewCursor(text)
		var got, want bytes.Buffer
		visit(&c, &got, 0)
		ok := c.OK() && c.AtEnd()
		if json.Compact(&want, text) != nil {
			return // what is not JSON may be refused or not, but must not crash
		}
		if !ok || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("%q: got %q, ok %t", text, got.Bytes(), ok)
		}
	})
}

func BenchmarkClean(b *testing.B) {
	for name, raw := range map[string]string{"ASCII": strings.Repeat("some words ", 6), "escapes": strings.Repeat(`a\nb\"`, 10), "Chinese": strings.Repeat("通义千问", 6)} {
		b.Run(name, func(b *testing.B) {
			text := []byte(raw)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !Clean(text) {
					b.Fatal("not clean")
				}
			}
		})
	}
}
