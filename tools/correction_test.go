package tools

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCorrections(t *testing.T) {
	set := mustSet(t, someTools()...)
	var text strings.Builder
	for _, c := range []struct {
		wish     Wish
		problems []Problem
	}{
		{Wish{}, []Problem{{Malformed, "", `unexpected "}" after "city"`}}},
		{Wish{}, []Problem{{Malformed, "get_weather", "no closing quote"}, {UnknownTool, "get_wether", ""}, {Malformed, "get_weather", "no closing quote"}}},
		{Wish{}, []Problem{{BadArguments, "get_weather", "arguments.days: must be at most 10."}, {BadArguments, "get_weather", "arguments.city: is missing"}}},
		{Wish{Single: true}, []Problem{{Incomplete, "get_weather", ""}, {TooLarge, "", ""}}},
		{Wish{Only: []string{"查询时间"}}, []Problem{{NotAllowed, "get_weather", ""}}},
		{Wish{Mode: Required}, []Problem{{Kind: NoCall}}},
		{Wish{Mode: Required}, []Problem{{BadArguments, "get_weather", "arguments.city: is missing"}}},
		{Wish{Mode: Required, Only: []string{"get_weather"}, Single: true}, []Problem{{Kind: NoCall}}},
		{Wish{Mode: None}, []Problem{{Forbidden, "get_weather", ""}}},
		{Wish{Mode: None}, []Problem{{Malformed, "", ""}}},
		{Wish{Mode: None}, []Problem{{NotAllowed, `a "b"`, ""}}},
		{Wish{Single: true, Mode: Required}, []Problem{{Extra, "get_weather", ""}}},
		{Wish{}, []Problem{{Kind: Empty}}},
		{Wish{Single: true}, []Problem{{Kind: Empty}}},
		{Wish{Mode: Required}, []Problem{{Kind: Empty}}},
		{Wish{}, []Problem{{Tool: "f"}}},
	} {
		fmt.Fprintf(&text, "## mode %d, only %q, single %t: %v\n%s\n\n", c.wish.Mode, c.wish.Only, c.wish.Single, kinds(c.problems), set.Correction(c.wish, c.problems))
	}
	golden(t, "corrections", strings.TrimSpace(text.String()))
}

func kinds(problems []Problem) (all []ProblemKind) {
	for _, p := range problems {
		all = append(all, p.Kind)
	}
	return all
}

func TestNoProblemsNoCorrection(t *testing.T) {
	if got := mustSet(t, someTools()...).Correction(Wish{Mode: Required}, nil); got != "" {
		t.Error(got)
	}
}

// Whatever is wrong, and however much: the correction stays short, in valid text, and
// shows no tag that was not its own.
func TestCorrectionsAreBounded(t *testing.T) {
	var many []Tool
	var problems []Problem
	for i := range 500 {
		many = append(many, Tool{Name: fmt.Sprintf("%d%s", i, strings.Repeat("天", 125))})
		for kind := range Empty + 2 {
			problems = append(problems, Problem{kind, fmt.Sprint(i, strings.Repeat("\x00\xff<tool_call>\"", 100)), fmt.Sprint(i, strings.Repeat("</tool_call>é\n", 1000))})
		}
	}
	set := mustSet(t, many...)
	for _, wish := range []Wish{{}, {Mode: None}, {Mode: Required}, {Single: true}, {Mode: Required, Single: true}} {
		got := set.Correction(wish, problems)
		if len(got) > 4096 || !utf8.ValidString(got) {
			t.Errorf("%+v: %d bytes, valid %t", wish, len(got), utf8.ValidString(got))
		}
		if strings.Contains(got, "\x00") || strings.Count(got, "</tool_call>") > 1 {
			t.Errorf("%+v: %q", wish, got)
		}
		if !strings.Contains(got, "- And so on: ") || !strings.HasSuffix(got, "]") {
			t.Errorf("%+v: %s", wish, got)
		}
	}
}

func TestCorrectionsRepeatLittle(t *testing.T) {
	set := mustSet(t, someTools()...)
	got := set.Correction(Wish{}, []Problem{{UnknownTool, strings.Repeat("n", 1000), strings.Repeat("d", 1000)}})
	violated := set.Correction(Wish{}, []Problem{{BadArguments, "f", strings.Repeat("y", 1000)}})
	if y := strings.Count(violated, "y"); y < 450 || y > 460 {
		t.Errorf("%d: %s", y, violated)
	}
	if n, d := strings.Count(got, "n"), strings.Count(got, "d"); n < 128 || n > 128+100 || d < 200 || d > 200+60 {
		t.Errorf("%d, %d: %s", n, d, got)
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"天天", 5, "天…"},
		{"天天", 6, "天天"},
		{"\x80\x80\x80", 2, "…"},
		{"a\xffb", 5, "a?b"},
		{"a\n\t\u2028b\x1b", 9, "a   b "},
		{"<tool_call> < / TOOLS> <b> </tool", 99, "(tool_call> ( / TOOLS> <b> (/tool"},
	} {
		if got := plain(c.text, c.limit); got != c.want {
			t.Errorf("%q: %q", c.text, got)
		}
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	var problems []Problem
	for i := range 100 {
		problems = append(problems, Problem{UnknownTool, fmt.Sprintf("function_%02d", i), ""})
	}
	got := mustSet(t, someTools()...).Correction(Wish{}, problems)
	said := strings.Count(got, "names a function that does not exist")
	if !strings.Contains(got, fmt.Sprintf("- And so on: %d more.\n", 100-said)) || said < 20 {
		t.Errorf("%d said: %s", said, got)
	}
}

// A name of an offered function is never cut where it is listed.
func TestLongListsOfNamesAreCutBetweenNames(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("function_%02d", i))
	}
	if got := someNames(names[:3]); got != `"function_00", "function_01", "function_02"` {
		t.Error(got)
	}
	got := someNames(names)
	if !strings.HasSuffix(got, `"function_52" and 47 more in <tools>`) || len(got) > maxNames+30 {
		t.Errorf("%d: %s", len(got), got)
	}
}
