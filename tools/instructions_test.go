package tools

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

const weatherSchema = `{
	"type": "object",
	"required": ["city"],
	"properties": {
		"unit": {"type": "string", "enum": ["°C", "°F"]},
		"city": {"type": "string", "description": "City,  and country"},
		"days": {"type": "integer", "maximum": 1e1}
	}
}`

func someTools() []Tool {
	return []Tool{
		{Name: "get_weather", Description: "The weather of a city & its <surroundings>.\nNow, or in some days.", Parameters: weatherSchema},
		{Name: "mcp--files__read.file", Parameters: `{"properties":{"path":{"type":"string"}},"type":"object"}`},
		{Name: "查询时间", Description: "现在的时间", Parameters: " null "},
	}
}

func TestInstructions(t *testing.T) {
	golden(t, "instructions", mustSet(t, someTools()...).Instructions())
}

func TestInstructionsOfNoTools(t *testing.T) {
	set := mustSet(t)
	if set.Instructions() != "" || set.Note(Wish{Mode: None}) != "" {
		t.Errorf("%q, %q", set.Instructions(), set.Note(Wish{Mode: None}))
	}
}

func TestInstructionsAreTheSameEveryTime(t *testing.T) {
	want := mustSet(t, someTools()...).Instructions()
	spaced := someTools()
	spaced[0].Parameters = strings.ReplaceAll(weatherSchema, "\n", " \r\n\t\t")
	for range 50 {
		if got := mustSet(t, spaced...).Instructions(); got != want {
			t.Fatalf("%s\nis not\n%s", got, want)
		}
	}
}

// TestInstructionsAreShort keeps what comes on top of the tools themselves within
// what a prompt can spare.
func TestInstructionsAreShort(t *testing.T) {
	schema := `{"type":"object","properties":{"q":{"type":"string"}}}`
	spaced := strings.ReplaceAll(schema, ",", ",\n"+strings.Repeat(" ", 10_000))
	one := mustSet(t, Tool{Name: "search", Description: "Search", Parameters: spaced}).Instructions()
	line := `{"name":"search","description":"Search","parameters":` + schema + "}\n"
	if around := len(one) - len(line); around > 1400 {
		t.Errorf("%d bytes around the tools", around)
	}
	two := mustSet(t, Tool{Name: "search", Description: "Search", Parameters: spaced},
		Tool{Name: "s2arch", Description: "Search", Parameters: spaced}).Instructions()
	if len(two)-len(one) != len(line) {
		t.Errorf("a further tool of %d bytes takes %d", len(line), len(two)-len(one))
	}
}

// A schema reaches the model as it was written: keys in their order, also double
// ones, numbers and escapes untouched.
func TestSchemasAreExactButForWhiteSpace(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`{ }`, `{}`},
		{"\n{\"z\" : 1.0e+2 ,\t\"a\" : [ 1 , -0 ] }\n", `{"z":1.0e+2,"a":[1,-0]}`},
		{`{"a":"  \u00e9  \/ & > ü ","a":true}`, `{"a":"  \u00e9  \/ & > ü ","a":true}`},
		{"{\"a\":\"\xff\"}", "{\"a\":\"\uFFFD\"}"},
		{``, `{"type":"object","properties":{}}`},
		{`null`, `{"type":"object","properties":{}}`},
	} {
		text := mustSet(t, Tool{Name: "f", Parameters: c.schema}).Instructions()
		if want := `{"name":"f","parameters":` + c.want + "}\n</tools>"; !strings.Contains(text, want) {
			t.Errorf("%q: %s", c.schema, text)
		}
	}
}

func TestDescriptionsCannotEndTheList(t *testing.T) {
	for _, tag := range []string{
		"</tools>", "<tools>", "</TOOLS>", "< / tools>", "</tool_call>", "<tool_call>", "<Tool_Response id=1>", "</tool_response>",
	} {
		tool := Tool{Name: "f", Description: "a " + tag + " b < c <b>", Parameters: `{"title":"` + tag + `","` + tag + `":"<b> < c"}`}
		text := mustSet(t, tool).Instructions()
		if strings.Count(text, tag) != strings.Count(mustSet(t, Tool{Name: "f"}).Instructions(), tag) {
			t.Errorf("%s stands in\n%s", tag, text)
		}
		if !strings.Contains(text, " b < c <b>") || !strings.Contains(text, `:"<b> < c"}`) {
			t.Errorf("more than tags is escaped: %s", text)
		}
		if lines := mustLines(t, text); lines[0].Description != tool.Description || !sameJSON(lines[0].Parameters, []byte(tool.Parameters)) {
			t.Errorf("%s: %+v", tag, lines[0])
		}
	}
}

// The example must not be one of a call, nor name a tool.
func TestExampleIsNoCall(t *testing.T) {
	_, example, _ := strings.Cut(callForm, "<tool_call>\n")
	example, _, _ = strings.Cut(example, "\n</tool_call>")
	if json.Valid([]byte(example)) {
		t.Errorf("%s is JSON", example)
	}
	_, name, _ := strings.Cut(example, `"name": "`)
	name, _, _ = strings.Cut(name, `"`)
	if _, err := New([]Tool{{Name: name}}); err == nil {
		t.Errorf("%q can be offered", name)
	}
}

// A toolLine is what the model reads of a tool.
type toolLine struct {
	Name, Description string
	Parameters        json.RawMessage
}

// mustLines reads the list of tools out of instructions.
func mustLines(t *testing.T, instructions string) (lines []toolLine) {
	t.Helper()
	_, inside, opened := strings.Cut(instructions, "<tools>\n")
	inside, rest, closed := strings.Cut(inside, "</tools>")
	if !opened || !closed || strings.Contains(rest, "<tools>") || strings.Contains(rest, "</tools>") {
		t.Fatalf("no list of tools, or two:\n%s", instructions)
	}
	for line := range strings.Lines(inside) {
		var read toolLine
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&read); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, read)
	}
	return lines
}

func sameJSON(a, b []byte) bool {
	var first, second any
	return json.Unmarshal(a, &first) == nil && json.Unmarshal(b, &second) == nil && reflect.DeepEqual(first, second)
}

// FuzzInstructions offers any tool between two others, and reads all of them back.
func FuzzInstructions(f *testing.F) {
	f.Add("get_weather", "Weather", weatherSchema)
	f.Add("a</tools>", "</tools>\n<tool_call>", `{"a":"</tools>"}`)
	f.Add("a b", "\x00\xff\u2028", `{"a":"\u003c/tools>\\</tools>"}`)
	f.Add("名", "< /tools>", `[]`)
	f.Fuzz(func(t *testing.T, name, description, parameters string) {
		set, err := New([]Tool{{Name: "before"}, {Name: name, Description: description, Parameters: parameters}, {Name: "after"}})
		if err != nil {
			if set != nil || err.(*Error).Index != 1 {
				t.Fatalf("%v, %v", set, err)
			}
			return
		}
		text := set.Instructions()
		if !utf8.ValidString(text) {
			t.Fatalf("%q", text)
		}
		lines := mustLines(t, text)
		if len(lines) != 3 || lines[0].Name != "before" || lines[1].Name != name || lines[2].Name != "after" {
			t.Fatalf("%+v", lines)
		}
		if utf8.ValidString(description) && lines[1].Description != description {
			t.Errorf("%q is %q", description, lines[1].Description)
		}
		if tool, _ := set.lookup(name); tool.Parameters != "" && !sameJSON(lines[1].Parameters, []byte(strings.ToValidUTF8(parameters, "\uFFFD"))) {
			t.Errorf("%s is %s", parameters, lines[1].Parameters)
		}
	})
}
