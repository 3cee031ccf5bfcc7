package openai

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseChatTools(t *testing.T) {
	const schema = `{"type":"object","properties":{"z":{"type":"string","pattern":"(a+)+$"},"a":{"const":1.0}},"required":["z"]}`
	nested := Tool{Name: "f", Description: "d", Parameters: schema, Param: "tools[0].function"}
	flat := nested
	flat.Param = "tools[0]"
	strict := func(t Tool) Tool { t.Strict = true; return t }
	tests := []struct {
		name, fields string
		want         []Tool
	}{
		{"TO-02 nested", `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":` + schema + `,"strict":true}}]`, []Tool{strict(nested)}},
		{"TO-02 nested without a type", `"tools":[{"function":{"name":"f","description":"d","parameters":` + schema + `}}]`, []Tool{nested}},
		{"TO-02 not strict", `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":` + schema + `,"strict":false}}]`, []Tool{nested}},
		{"CN-13 strict null", `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":` + schema + `,"strict":null}}]`, []Tool{nested}},
		{"TO-02 strict beside the function", `"tools":[{"type":"function","strict":true,"function":{"name":"f","description":"d","parameters":` + schema + `}}]`, []Tool{strict(nested)}},
		{"TO-07 flat", `"tools":[{"type":"function","name":"f","description":"d","parameters":` + schema + `,"strict":true}]`, []Tool{strict(flat)}},
		{"TO-07 flat, fields in another order", `"tools":[{"parameters":` + schema + `,"description":"d","name":"f","type":"function"}]`, []Tool{flat}},
		{"TO-07 flat without a type", `"tools":[{"name":"f","description":"d","parameters":` + schema + `}]`, []Tool{flat}},
		{"TO-07 flat with the name that others have for the schema", `"tools":[{"name":"f","description":"d","input_schema":` + schema + `}]`, []Tool{flat}},
		{"TO-07 mixed, with nulls and unknown fields", `"tools":[{"type":"function","cache_control":{},"function":{"name":"f","description":null,"parameters":null,"x":[1]}},{"name":"g","function":null,"custom":null}]`,
			[]Tool{{Name: "f", Param: "tools[0].function"}, {Name: "g", Param: "tools[1]"}}},
		{"TO-02 order is kept", `"tools":[{"name":"b"},{"name":"a"},{"name":"B"}]`, []Tool{{Name: "b", Param: "tools[0]"}, {Name: "a", Param: "tools[1]"}, {Name: "B", Param: "tools[2]"}}},
		{"TO-02 white space goes, order and numbers stay", `"tools":[{"name":"f","parameters":{ "b" : [ 1e2 , 1.50, 12345678901234567890 ] ,` + "\n\t" + `"a":"x  \u00e9\n" } }]`,
			[]Tool{{Name: "f", Parameters: `{"b":[1e2,1.50,12345678901234567890],"a":"x  \u00e9\n"}`, Param: "tools[0]"}}},
		{"TO-02 an empty schema", `"tools":[{"name":"f","parameters":{}}]`, []Tool{{Name: "f", Parameters: "{}", Param: "tools[0]"}}},
		{"TO-02 description verbatim", `"tools":[{"name":"f","description":" a\r\n<tools> \"日本\" "}]`, []Tool{{Name: "f", Description: " a\r\n<tools> \"日本\" ", Param: "tools[0]"}}},
		{"TO-06 generous names", `"tools":[{"name":" mcp__a.b:c/d-e f "},{"name":"天气"}]`, []Tool{{Name: "mcp__a.b:c/d-e f", Param: "tools[0]"}, {Name: "天气", Param: "tools[1]"}}},
		{"TO-06 the longest name", `"tools":[{"name":"` + strings.Repeat("日", 128) + `"}]`, []Tool{{Name: strings.Repeat("日", 128), Param: "tools[0]"}}},
		{"CN-13 no tools", `"tools":[]`, nil},
		{"CN-13 null", `"tools":null,"functions":null`, nil},
		{"CN-13 no functions", `"functions":[],"function_call":null`, nil},
		{"CN-13 tools beside no functions", `"functions":[],"tools":[{"name":"f"}]`, []Tool{{Name: "f", Param: "tools[0]"}}},
		{"CN-13 tools before no functions", `"tools":[{"name":"f"}],"functions":[]`, []Tool{{Name: "f", Param: "tools[0]"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, chatWith(test.fields))
			if !slices.Equal(r.Tools, test.want) || r.Functions || len(r.Ignored) > 0 {
				t.Errorf("got %+v, functions %t, ignored %v\nwant %+v", r.Tools, r.Functions, r.Ignored, test.want)
			}
		})
	}
}

func TestParseChatFunctions(t *testing.T) {
	r := mustParse(t, chatWith(`"functions":[{"name":"f","description":"d","parameters":{"type":"object"}},{"name":"g"}],"tools":[]`))
	want := []Tool{{Name: "f", Description: "d", Parameters: `{"type":"object"}`, Param: "functions[0]"}, {Name: "g", Param: "functions[1]"}}
	if !slices.Equal(r.Tools, want) {
		t.Errorf("got %+v, want %+v", r.Tools, want)
	}
	if !r.Functions || !r.SingleCall || r.ToolChoice.Mode != ChoiceAuto {
		t.Errorf("functions %t, single %t, mode %q", r.Functions, r.SingleCall, r.ToolChoice.Mode)
	}
}

func TestParseChatRefusesMalformedTools(t *testing.T) {
	tool := func(fields string) string { return chatWith(`"tools":[{"name":"ok"},{` + fields + `}]`) }
	nested := func(fields string) string {
		return chatWith(`"tools":[{"name":"ok"},{"name":"ok2"},{"type":"function","function":{` + fields + `}}]`)
	}
	name := func(name string) string { return nested(`"name":"` + name + `"`) }
	runRefusals(t, []refusal{
		{"TO-06 tools is an object", chatWith(`"tools":{"name":"f"}`), codeInvalid, "tools"},
		{"TO-06 tools is a string", chatWith(`"tools":"f"`), codeInvalid, "tools"},
		{"TO-06 tool is a string", chatWith(`"tools":["f"]`), codeInvalid, "tools[0]"},
		{"TO-06 tool is null", chatWith(`"tools":[null]`), codeInvalid, "tools[0]"},
		{"TO-06 empty tool", tool(``), codeMissing, "tools[1].name"},
		{"TO-06 no function", tool(`"type":"function"`), codeMissing, "tools[1].name"},
		{"TO-06 function is a string", tool(`"type":"function","function":"f"`), codeInvalid, "tools[1].function"},
		{"TO-06 no name", nested(`"description":"d"`), codeMissing, "tools[2].function.name"},
		{"TO-06 empty name", name(" "), codeMissing, "tools[2].function.name"},
		{"TO-06 name is a number", nested(`"name":5`), codeInvalid, "tools[2].function.name"},
		{"J09 NUL in a name", name(`f\u0000`), codeInvalid, "tools[2].function.name"},
		{"TO-06 line feed in a name", name(`f\ng`), codeInvalid, "tools[2].function.name"},
		{"TO-06 line separator in a name", name(`f\u2028g`), codeInvalid, "tools[2].function.name"},
		{"TO-06 control character of C1 in a name", name(`f\u0085g`), codeInvalid, "tools[2].function.name"},
		{"TO-06 quote in a name", name(`f\"g`), codeInvalid, "tools[2].function.name"},
		{"TO-06 apostrophe in a name", name(`f'g`), codeInvalid, "tools[2].function.name"},
		{"TO-06 backtick in a name", name("f`g"), codeInvalid, "tools[2].function.name"},
		{"TO-06 backslash in a name", name(`f\\g`), codeInvalid, "tools[2].function.name"},
		{"TO-06 tag in a name", name(`<f`), codeInvalid, "tools[2].function.name"},
		{"TO-06 end of a tag in a name", name(`f>`), codeInvalid, "tools[2].function.name"},
		{"TO-06 half a surrogate pair in a name", name(`f\ud800`), codeInvalid, "tools[2].function.name"},
		{"TO-06 long name", name(strings.Repeat("n", 129)), codeInvalid, "tools[2].function.name"},
		{"TO-06 the same name twice", name("ok"), codeInvalid, "tools[2].function.name"},
		{"TO-06 the same name but for white space", tool(`"name":" ok"`), codeInvalid, "tools[1].name"},
		{"TO-06 description is an object", nested(`"name":"f","description":{}`), codeInvalid, "tools[2].function.description"},
		{"TO-06 parameters is a string", nested(`"name":"f","parameters":"{}"`), codeInvalid, "tools[2].function.parameters"},
		{"TO-06 parameters is a boolean", nested(`"name":"f","parameters":true`), codeInvalid, "tools[2].function.parameters"},
		{"TO-06 parameters is a list", tool(`"name":"f","parameters":[]`), codeInvalid, "tools[1].parameters"},
		{"TO-06 input_schema is a number", tool(`"name":"f","input_schema":1`), codeInvalid, "tools[1].input_schema"},
		{"TO-06 strict is a string", nested(`"name":"f","strict":"true"`), codeInvalid, "tools[2].function.strict"},
		{"TO-06 flat strict is a number", tool(`"name":"f","strict":1`), codeInvalid, "tools[1].strict"},
		{"TO-06 type is a number", tool(`"type":1,"name":"f"`), codeInvalid, "tools[1].type"},
		{"TO-07 unknown type", tool(`"type":"web_search_preview"`), codeInvalid, "tools[1].type"},
		{"TO-07 custom", tool(`"type":"custom","custom":{"name":"ApplyPatch","format":{"type":"grammar"}}`), codeUnsupported, "tools[1].type"},
		{"TO-07 flat custom", tool(`"name":"ApplyPatch","description":"d","format":{"type":"text"},"type":"custom"`), codeUnsupported, "tools[1].type"},
		{"TO-07 custom without a type", tool(`"custom":{"name":"ApplyPatch"}`), codeUnsupported, "tools[1].type"},
		{"TO-06 too many tools", chatWith(`"tools":[` + manyTools(513) + `]`), codeInvalid, "tools"},
		{"TO-06 functions is an object", chatWith(`"functions":{"name":"f"}`), codeInvalid, "functions"},
		{"TO-06 function without a name", chatWith(`"functions":[{"parameters":{}}]`), codeMissing, "functions[0].name"},
		{"TO-06 functions are never nested", chatWith(`"functions":[{"type":"function","function":{"name":"f"}}]`), codeMissing, "functions[0].name"},
		{"TO-06 parameters of a function", chatWith(`"functions":[{"name":"f","parameters":[]}]`), codeInvalid, "functions[0].parameters"},
		{"TO-06 the same function twice", chatWith(`"functions":[{"name":"f"},{"name":"f"}]`), codeInvalid, "functions[1].name"},
		{"TO-06 too many functions", chatWith(`"functions":[` + manyTools(513) + `]`), codeInvalid, "functions"},
		{"TO-06 tools, then functions", chatWith(`"tools":[{"name":"f"}],"functions":[{"name":"g"}]`), codeInvalid, "functions"},
		{"TO-06 functions, then tools", chatWith(`"functions":[{"name":"g"}],"tools":[{"name":"f"}]`), codeInvalid, "functions"},
	})
}

// manyTools returns n flat tools.
func manyTools(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"name":"tool_%d"}`, i))
	}
	return strings.Join(list, ",")
}

// TestParseChatToolMessages checks the words of errors that no other test reads.
func TestParseChatToolMessages(t *testing.T) {
	tests := []struct{ name, fields, want string }{
		{"what parameters must be", `"tools":[{"name":"a"},{"name":"b"},{"type":"function","function":{"name":"f","parameters":"{}"}}]`,
			"tools[2].function.parameters must be a JSON object, not a string."},
		{"which other tool has the name", `"tools":[{"type":"function","function":{"name":"f"}},{"name":"f"}]`,
			`tools[1].name is "f", which is the name of tools[0].function already; choose another one.`},
		{"which character", `"tools":[{"name":"a<b"}]`, `tools[0].name has the character '<' in it; use letters, digits, _ and -.`},
		{"how many", `"tools":[` + manyTools(513) + `]`, "tools has more than 512 entries; send fewer."},
		{"what replaces functions", `"functions":[{"name":"g"}],"tools":[{"name":"f"}]`, "functions is sent beside tools, which replaces it; send tools alone."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if e := mustRefuse(t, chatWith(test.fields), Limits{}); e.Message != test.want {
				t.Errorf("got  %s\nwant %s", e.Message, test.want)
			}
		})
	}
}

func TestParseChatManyTools(t *testing.T) {
	if r := mustParse(t, chatWith(`"tools":[`+manyTools(512)+`]`)); len(r.Tools) != 512 || r.Tools[511].Name != "tool_511" {
		t.Errorf("%d tools", len(r.Tools))
	}
}

func TestParseChatToolsLimit(t *testing.T) {
	tools := func(n int) string { return `"tools":[{"name":"f","description":"` + strings.Repeat("d", n) + `"}]` }
	functions := func(n int) string { return `"functions":[{"name":"f","description":"` + strings.Repeat("d", n) + `"}]` }
	format := func(n int) string {
		return `"response_format":{"type":"json_schema","json_schema":{"schema":{"description":"` + strings.Repeat("d", n) + `"}}}`
	}
	tests := []struct{ name, fits, over, param string }{
		{"J30 tools", tools(255 << 10), tools(256 << 10), "tools"},
		{"J30 functions", functions(255 << 10), functions(256 << 10), "functions"},
		{"J30 formats", format(255 << 10), format(256 << 10), "response_format"},
		{"J30 all together", tools(100<<10) + "," + format(155<<10), tools(128<<10) + "," + format(128<<10), "response_format"},
		{"J30 a megabyte", tools(0), tools(1 << 20), "tools"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustParse(t, chatWith(test.fits))
			e := mustRefuse(t, chatWith(test.over), Limits{})
			if e.Code != codeInvalid || e.Param != test.param || !strings.Contains(e.Message, "more than 262144 bytes") || !strings.Contains(e.Message, test.param) {
				t.Errorf("got %+v", e)
			}
		})
	}
}
