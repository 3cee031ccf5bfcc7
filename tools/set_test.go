package tools

import (
	"errors"
	"strings"
	"testing"
)

func mustSet(t testing.TB, list ...Tool) *Set {
	t.Helper()
	set, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestNamesThatCanBeOffered(t *testing.T) {
	for _, name := range []string{
		"a", "get_weather", "mcp--server__read.file", "functions.get/it:v2", "查询天气", "read file", "C++", "f(x)",
		strings.Repeat("n", 128), strings.Repeat("天", 128),
	} {
		tool, found := mustSet(t, Tool{Name: "before"}, Tool{Name: name}).lookup(name)
		if !found || tool.Name != name {
			t.Errorf("%q: %v, %t", name, tool, found)
		}
	}
}

func TestToolsThatCannotBeOffered(t *testing.T) {
	good := Tool{Name: "good"}
	for name, c := range map[string]struct {
		tools []Tool
		want  Error
	}{
		"no name":         {[]Tool{good, {}}, Error{1, "name", "is missing"}},
		"too long":        {[]Tool{{Name: strings.Repeat("天", 129)}}, Error{0, "name", "is longer than 128 characters"}},
		"not UTF-8":       {[]Tool{{Name: "a\xff"}}, Error{0, "name", "is not valid UTF-8"}},
		"line feed":       {[]Tool{{Name: "a\nb"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"delete":          {[]Tool{{Name: "a\x7fb"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"line separator":  {[]Tool{{Name: "a\u2028b"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"quote":           {[]Tool{{Name: `a"b`}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"apostrophe":      {[]Tool{{Name: `a'b`}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"backtick":        {[]Tool{{Name: "a`b"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"backslash":       {[]Tool{{Name: `a\b`}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"tag":             {[]Tool{{Name: "a<b"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"tag's end":       {[]Tool{{Name: "a>b"}}, Error{0, "name", "contains a control character, a quote, a backslash, < or >"}},
		"space before":    {[]Tool{{Name: " a"}}, Error{0, "name", "begins or ends with white space"}},
		"space after":     {[]Tool{{Name: "a "}}, Error{0, "name", "begins or ends with white space"}},
		"double":          {[]Tool{good, {Name: "b"}, good}, Error{2, "name", "is that of an earlier tool too; names must differ"}},
		"no JSON":         {[]Tool{{Name: "a", Parameters: `{"type":`}}, Error{0, "parameters", "is not a JSON object"}},
		"array":           {[]Tool{{Name: "a", Parameters: `[]`}}, Error{0, "parameters", "is not a JSON object"}},
		"truth":           {[]Tool{{Name: "a", Parameters: `true`}}, Error{0, "parameters", "is not a JSON object"}},
		"two JSON values": {[]Tool{{Name: "a", Parameters: `{} {}`}}, Error{0, "parameters", "is not a JSON object"}},
	} {
		set, err := New(c.tools)
		var got *Error
		if !errors.As(err, &got) || set != nil {
			t.Errorf("%s: %v, %v", name, set, err)
		} else if *got != c.want {
			t.Errorf("%s: %+v", name, *got)
		}
	}
}

func TestErrorsNameTheTool(t *testing.T) {
	err := &Error{Index: 3, Field: "name", Reason: "is missing"}
	if err.Error() != "tool 3: name is missing" {
		t.Error(err)
	}
}

func TestOnlyExactNamesAreKnown(t *testing.T) {
	set := mustSet(t, Tool{Name: "get_weather"})
	for _, name := range []string{"", "Get_Weather", "get_weather ", "get-weather", "get_weathe"} {
		if tool, found := set.lookup(name); found {
			t.Errorf("%q is taken for %q", name, tool.Name)
		}
	}
}

func TestWhatMayBeCalled(t *testing.T) {
	set := mustSet(t, Tool{Name: "a"}, Tool{Name: "b"}, Tool{Name: "c"})
	for name, c := range map[string]struct {
		wish Wish
		want string
	}{
		"all":                    {Wish{}, "a b c"},
		"required":               {Wish{Mode: Required}, "a b c"},
		"none":                   {Wish{Mode: None}, ""},
		"some, in the set order": {Wish{Only: []string{"c", "a"}}, "a c"},
		"none of some":           {Wish{Mode: None, Only: []string{"c"}}, ""},
		"unknown":                {Wish{Only: []string{"x"}}, ""},
	} {
		if got := strings.Join(set.callable(c.wish), " "); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestProblemsHaveStableNames(t *testing.T) {
	want := map[ProblemKind]string{
		0: "unknown", Malformed: "malformed", Incomplete: "incomplete", UnknownTool: "unknown_tool", NotAllowed: "not_allowed",
		BadArguments: "bad_arguments", TooLarge: "too_large", NoCall: "no_call", Forbidden: "forbidden", Extra: "extra",
		Empty: "empty", Empty + 1: "unknown",
	}
	for kind, name := range want {
		if kind.String() != name {
			t.Errorf("%d: %q, want %q", kind, kind, name)
		}
	}
}
