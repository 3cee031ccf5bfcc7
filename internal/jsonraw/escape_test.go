package jsonraw

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// mustEscape escapes text piece by piece and returns what the pieces say.
func mustEscape(t *testing.T, text string, limit int) string {
	t.Helper()
	var said strings.Builder
	for rest := text; rest != ""; {
		raw, n := AppendEscaped([]byte(`"`), rest, limit)
		if len(raw)-1 > limit || n == 0 || !Clean(raw[1:]) {
			t.Fatalf("limit %d: %d bytes of %q became %q", limit, n, rest, raw)
		}
		var piece string
		if err := json.Unmarshal(append(raw, '"'), &piece); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		said.WriteString(piece)
		rest = rest[n:]
	}
	return said.String()
}

func TestAppendEscaped(t *testing.T) {
	for _, text := range []string{
		"", "a", `{"city":"Zürich","note":"a \"b\" \\ c"}`, "line\nfeed\r\ttab", "\x00\x01\x1f\x7f", "日本語😀", strings.Repeat("😀\\", 50),
		"a\xffb", "\xed\xa0\x80", "\xf0\x9f\x98", "\ufffd", strings.Repeat("\x00", 9), "\u2028\u2029</script>",
	} {
		for limit := 6; limit < 20; limit++ {
			if got := mustEscape(t, text, limit); got != string([]rune(text)) {
				t.Errorf("limit %d: %q became %q", limit, text, got)
			}
		}
		if _, n := AppendEscaped(nil, text, 6*len(text)); n != len(text) {
			t.Errorf("%d of %d bytes of %q fitted", n, len(text), text)
		}
	}
}

func TestAppendEscapedFillsTheLimit(t *testing.T) {
	for text, want := range map[string]int{"aaaaaaaaaa": 8, `""""""""`: 4, "\x00\x00": 1, "日日日": 6, "\xff\xff\xff": 2, "aaaaaaa\x00": 7} {
		if raw, n := AppendEscaped(nil, text, 8); n != want {
			t.Errorf("%q: %d bytes in %q, want %d", text, n, raw, want)
		}
	}
}

func TestAppendEscapedAllocatesNothing(t *testing.T) {
	text := strings.Repeat(`{"a":"日本語"}`+"\n", 100)
	dst := make([]byte, 0, 4*len(text))
	if n := testing.AllocsPerRun(20, func() { AppendEscaped(dst, text, cap(dst)) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func FuzzAppendEscaped(f *testing.F) {
	f.Add(`{"a":"\u00e9"}`, 6)
	f.Add("\xf0\x9f\x98\x80\xff\x00\"", 7)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 6 + int(uint(limit)%100)
		if got := mustEscape(t, text, limit); got != string([]rune(text)) || !utf8.ValidString(got) {
			t.Errorf("limit %d: %q became %q", limit, text, got)
		}
	})
}
