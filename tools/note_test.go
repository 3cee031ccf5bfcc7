package tools

import (
	"strings"
	"testing"
)

func TestNotes(t *testing.T) {
	set := mustSet(t, Tool{Name: "a"}, Tool{Name: "b c"}, Tool{Name: "d"})
	for name, c := range map[string]struct {
		wish Wish
		want string
	}{
		"the model decides": {Wish{}, ""},
		"at most one":       {Wish{Single: true}, "[For this answer: Write one <tool_call> block at most.]"},
		"only some": {Wish{Only: []string{"d", "b c"}},
			`[For this answer: Of the functions, you may call only these: "b c", "d".]`},
		"only some, one of them": {Wish{Only: []string{"d", "b c"}, Single: true},
			`[For this answer: Of the functions, you may call only these: "b c", "d". Write one <tool_call> block at most.]`},
		"required": {Wish{Mode: Required},
			"[For this answer: You must call at least one function now, in a <tool_call> block. Write nothing but the call.]"},
		"exactly one": {Wish{Mode: Required, Single: true},
			"[For this answer: You must call at least one function now, in a <tool_call> block. Write nothing but the call. Write one <tool_call> block at most.]"},
		"one of some": {Wish{Mode: Required, Only: []string{"a", "d"}},
			`[For this answer: You must call at least one of these functions now, in a <tool_call> block, and no others: "a", "d". Write nothing but the call.]`},
		"named": {Wish{Mode: Required, Only: []string{"b c"}},
			`[For this answer: You must call the function "b c" now, in a <tool_call> block, and no other. Write nothing but the call.]`},
		"none": {Wish{Mode: None},
			"[For this answer: Call no function, write no <tool_call>; answer in words.]"},
		"none, whatever else": {Wish{Mode: None, Single: true, Only: []string{"a"}},
			"[For this answer: Call no function, write no <tool_call>; answer in words.]"},
		"only one that there is not": {Wish{Mode: Required, Only: []string{"x"}},
			"[For this answer: Call no function, write no <tool_call>; answer in words.]"},
		"native, at most one": {Wish{Native: true, Single: true}, "[For this answer: Call one function at most.]"},
		"native, required": {Wish{Native: true, Mode: Required},
			"[For this answer: You must call at least one function now. Write nothing but the call.]"},
		"native, one of some": {Wish{Native: true, Mode: Required, Only: []string{"a", "d"}},
			`[For this answer: You must call at least one of these functions now, and no others: "a", "d". Write nothing but the call.]`},
		"native, named": {Wish{Native: true, Mode: Required, Only: []string{"b c"}},
			`[For this answer: You must call the function "b c" now, and no other. Write nothing but the call.]`},
		"native, none": {Wish{Native: true, Mode: None}, "[For this answer: Call no function; answer in words.]"},
	} {
		if got := set.Note(c.wish); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A set of one function is as good as named.
func TestNoteOfTheOnlyFunction(t *testing.T) {
	set := mustSet(t, Tool{Name: "a"})
	if got := set.Note(Wish{Mode: Required}); !strings.Contains(got, `the function "a" now`) {
		t.Error(got)
	}
}
