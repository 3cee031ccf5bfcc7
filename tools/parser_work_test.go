package tools

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A long call that comes byte by byte takes time in proportion to its length. What
// takes the square of it needs most of a minute.
func TestLongCallsInSmallPieces(t *testing.T) {
	set := mustSet(t, Tool{Name: "f"})
	text := strings.Repeat("abcdefgh ", 100_000)
	object := `{"name":"f","arguments":{"x":"` + text + `"}}`
	for name, answer := range map[string]string{
		"JSON":          "<tool_call>" + object + "</tool_call>",
		"without a tag": object,
		"XML":           "<tool_call><function=f><parameter=x>" + text + "</parameter></function></tool_call>",
	} {
		start := time.Now()
		if got := retell(t, set, Wish{}, answer, 1); len(got.calls) != 1 || !strings.Contains(got.calls[0].Arguments, text) {
			t.Errorf("%s: %d calls, %v", name, len(got.calls), got.problems)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// fan is a schema in which one definition refers many times to the next, and that to
// another, and so on.
func fan(width int, leaf string) string {
	var b strings.Builder
	b.WriteString(`{"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{`)
	for _, step := range [][2]string{{"a", "b"}, {"b", "c"}, {"c", "d"}} {
		refs := strings.Repeat(fmt.Sprintf(`{"$ref":"#/$defs/%s"},`, step[1]), width)
		fmt.Fprintf(&b, `"%s":{"anyOf":[%s]},`, step[0], strings.TrimSuffix(refs, ","))
	}
	return b.String() + `"d":` + leaf + `}}`
}

// References that fan out must not keep the parser busy for hours.
func TestTypesAreFoundInBoundedWork(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"v",`, 5000), ",")
	for name, c := range map[string]struct {
		schema string
		known  bool
	}{
		"few references":     {fan(3, `{"type":"integer"}`), true},
		"many":               {fan(1000, `{"type":"integer"}`), false},
		"few, many values":   {fan(3, `{"enum":[`+many+`]}`), false},
		"few, many types":    {fan(3, `{"type":[`+strings.ReplaceAll(many, "v", "integer")+`]}`), false},
		"few, but long ones": {strings.ReplaceAll(fan(3, `{"type":"integer"}`), "#/", "#"+strings.Repeat("/", 40_000)), false},
	} {
		tool, _ := mustSet(t, Tool{Name: "f", Parameters: c.schema}).lookup("f")
		types := tool.parameterTypes()
		if (types != nil) != c.known || c.known && types["x"] != typeNumber {
			t.Errorf("%s: %v", name, types)
		}
	}
}

// Wherever the end of a call that is too long lies, the text after it is not lost.
func TestTextAfterTooLongCalls(t *testing.T) {
	set := mustSet(t, Tool{Name: "f"})
	for _, form := range []struct{ begin, end string }{
		{`<tool_call>{"name":"f","arguments":{"x":"`, `"}}</tool_call>`},
		{`<tool_call>{"name":"f","arguments":{"x":"x"`, `</tool_call>`},
		{`<tool_call><function=f><parameter=x>`, `</parameter></function></tool_call>`},
	} {
		for cut := range len(form.end) {
			fill := strings.Repeat(" ", maxCall-len(form.begin)-cut)
			for _, size := range []int{4096, 2 * maxCall} {
				got := retell(t, set, Wish{}, form.begin+fill+form.end+"after", size)
				if len(got.problems) != 1 || got.problems[0] != (Problem{Kind: TooLarge, Tool: "f"}) || got.text != "after" {
					t.Errorf("%d bytes of %s are within the limit: %q, %v, %d calls", cut, form.end, got.text, got.problems, len(got.calls))
				}
			}
		}
	}
}
