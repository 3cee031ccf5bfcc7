package openai

import (
	"slices"
	"strings"
	"testing"
)

func TestParseChatAcceptsTools(t *testing.T) {
	const schema = `{"type":"object","properties":{"a":{"type":"string","pattern":"(a+)+$"}},"required":["a"]}`
	tests := []struct {
		name, fields string
		want         []string
	}{
		{"TO-02 nested", `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":` + schema + `,"strict":true}}]`, []string{"tools"}},
		{"TO-07 flat", `"tools":[{"type":"function","name":"f","description":"d","parameters":` + schema + `,"strict":false}]`, []string{"tools"}},
		{"TO-07 flat without a type", `"tools":[{"name":"f","parameters":` + schema + `}]`, []string{"tools"}},
		{"TO-07 custom", `"tools":[{"type":"custom","custom":{"name":"ApplyPatch","format":{"type":"grammar"}}}]`, []string{"tools"}},
		{"TO-07 flat custom", `"tools":[{"type":"custom","name":"ApplyPatch","description":"d","format":{"type":"text"}}]`, []string{"tools"}},
		{"TO-07 mixed, with nulls", `"tools":[{"type":"function","function":{"name":"f","description":null,"parameters":null}},{"name":"g","function":null}]`, []string{"tools"}},
		{"CN-13 no tools", `"tools":[]`, nil},
		{"CN-13 tools null", `"tools":null,"tool_choice":null`, nil},
		{"TO-02 functions", `"functions":[{"name":"f","parameters":` + schema + `}],"function_call":"auto"`, []string{"functions"}},
		{"CN-13 no functions", `"functions":[],"function_call":null`, nil},
		{"TO-04 auto", `"tool_choice":"auto"`, nil},
		{"TO-04 none", `"tool_choice":"none"`, nil},
		{"TO-04 required", `"tool_choice":"required"`, []string{"tool_choice"}},
		{"TO-04 any", `"tool_choice":"any"`, []string{"tool_choice"}},
		{"TO-04 named", `"tool_choice":{"type":"function","function":{"name":"f"}}`, []string{"tool_choice"}},
		{"TO-04 named, flat", `"tool_choice":{"type":"function","name":"f"}`, []string{"tool_choice"}},
		{"TO-04 auto as an object", `"tool_choice":{"type":"auto"}`, nil},
		{"TO-04 required as an object", `"tool_choice":{"type":"required"}`, []string{"tool_choice"}},
		{"TO-04 allowed tools", `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`, []string{"tool_choice"}},
		{"TO-04 function_call by name", `"function_call":{"name":"f"}`, []string{"function_call"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(test.fields)).Ignored; !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseChatRefusesMalformedTools(t *testing.T) {
	runRefusals(t, []refusal{
		{"TO-06 tools is an object", chatWith(`"tools":{"name":"f"}`), codeInvalid, "tools"},
		{"TO-06 tools is a string", chatWith(`"tools":"f"`), codeInvalid, "tools"},
		{"TO-06 tool is a string", chatWith(`"tools":["f"]`), codeInvalid, "tools[0]"},
		{"TO-06 tool is null", chatWith(`"tools":[null]`), codeInvalid, "tools[0]"},
		{"TO-06 empty tool", chatWith(`"tools":[{}]`), codeMissing, "tools[0].name"},
		{"TO-06 no function", chatWith(`"tools":[{"type":"function"}]`), codeMissing, "tools[0].name"},
		{"TO-06 function is a string", chatWith(`"tools":[{"type":"function","function":"f"}]`), codeInvalid, "tools[0].function"},
		{"TO-06 no name", chatWith(`"tools":[{"name":"ok"},{"type":"function","function":{"description":"d"}}]`), codeMissing, "tools[1].function.name"},
		{"TO-06 empty name", chatWith(`"tools":[{"type":"function","function":{"name":" "}}]`), codeMissing, "tools[0].function.name"},
		{"TO-06 name is a number", chatWith(`"tools":[{"type":"function","function":{"name":5}}]`), codeInvalid, "tools[0].function.name"},
		{"J09 NUL in a name", chatWith(`"tools":[{"name":"f\u0000"}]`), codeInvalid, "tools[0].name"},
		{"TO-06 description is an object", chatWith(`"tools":[{"type":"function","function":{"name":"f","description":{}}}]`), codeInvalid, "tools[0].function.description"},
		{"TO-06 parameters is a string", chatWith(`"tools":[{"type":"function","function":{"name":"f","parameters":"{}"}}]`), codeInvalid, "tools[0].function.parameters"},
		{"TO-06 parameters is a list", chatWith(`"tools":[{"name":"f","parameters":[]}]`), codeInvalid, "tools[0].parameters"},
		{"TO-06 type is a number", chatWith(`"tools":[{"type":1,"name":"f"}]`), codeInvalid, "tools[0].type"},
		{"TO-07 unknown type", chatWith(`"tools":[{"type":"web_search_preview"}]`), codeInvalid, "tools[0].type"},
		{"TO-06 functions is an object", chatWith(`"functions":{"name":"f"}`), codeInvalid, "functions"},
		{"TO-06 function without a name", chatWith(`"functions":[{"parameters":{}}]`), codeMissing, "functions[0].name"},
		{"TO-04 unknown choice", chatWith(`"tool_choice":"maybe"`), codeInvalid, "tool_choice"},
		{"TO-04 choice is a number", chatWith(`"tool_choice":1`), codeInvalid, "tool_choice"},
		{"TO-04 choice is a list", chatWith(`"tool_choice":["f"]`), codeInvalid, "tool_choice"},
		{"TO-04 choice without a name", chatWith(`"tool_choice":{"type":"function"}`), codeMissing, "tool_choice.name"},
		{"TO-04 choice with a nested empty name", chatWith(`"tool_choice":{"type":"function","function":{}}`), codeMissing, "tool_choice.function.name"},
		{"TO-04 choice of an unknown type", chatWith(`"tool_choice":{"type":"file_search"}`), codeInvalid, "tool_choice.type"},
		{"TO-04 function_call is true", chatWith(`"function_call":true`), codeInvalid, "function_call"},
	})
}

func TestParseChatResponseFormat(t *testing.T) {
	ignored := []string{"response_format"}
	tests := []struct {
		name, json string
		want       []string
	}{
		{"SO-01 text", `{"type":"text"}`, nil},
		{"SO-01 json_object", `{"type":"json_object"}`, ignored},
		{"SO-01 json_schema", `{"type":"json_schema","json_schema":{"name":"n","description":null,"strict":true,"schema":{"type":"object"}}}`, ignored},
		{"SO-01 schema first, without a name", `{"json_schema":{"schema":{}},"type":"json_schema"}`, ignored},
		{"CN-13 null", `null`, nil},
		{"CN-13 empty", `{}`, nil},
		{"CN-12 extra keys", `{"type":"json_object","schema":{"type":"object"},"json_schema":null}`, ignored},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(`"response_format":`+test.json)).Ignored; !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseChatRefusesMalformedFormats(t *testing.T) {
	format := func(json string) string { return chatWith(`"response_format":` + json) }
	runRefusals(t, []refusal{
		{"SO-04 a string", format(`"json"`), codeInvalid, "response_format"},
		{"SO-04 a list", format(`[]`), codeInvalid, "response_format"},
		{"SO-04 no type", format(`{"json_schema":{}}`), codeMissing, "response_format.type"},
		{"SO-04 unknown type", format(`{"type":"xml"}`), codeInvalid, "response_format.type"},
		{"SO-04 type is a number", format(`{"type":1}`), codeInvalid, "response_format.type"},
		{"SO-04 no schema", format(`{"type":"json_schema"}`), codeMissing, "response_format.json_schema"},
		{"SO-04 schema null", format(`{"type":"json_schema","json_schema":null}`), codeMissing, "response_format.json_schema"},
		{"SO-04 schema is a string", format(`{"type":"json_schema","json_schema":"s"}`), codeInvalid, "response_format.json_schema"},
		{"SO-04 inner schema is a list", format(`{"type":"json_schema","json_schema":{"name":"n","schema":[]}}`), codeInvalid, "response_format.json_schema.schema"},
		{"SO-04 name is a number", format(`{"type":"json_schema","json_schema":{"name":1}}`), codeInvalid, "response_format.json_schema.name"},
		{"SO-04 strict is a string", format(`{"type":"json_schema","json_schema":{"name":"n","strict":"yes"}}`), codeInvalid, "response_format.json_schema.strict"},
	})
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
		{"J30 all together", tools(100<<10) + "," + functions(155<<10), tools(128<<10) + "," + functions(128<<10), "functions"},
		{"J30 a megabyte", tools(0), tools(1 << 20), "tools"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustParse(t, chatWith(test.fits))
			e := mustRefuse(t, chatWith(test.over), Limits{})
			if e.Code != codeInvalid || e.Param != test.param || !strings.Contains(e.Message, "262144") {
				t.Errorf("got %+v", e)
			}
		})
	}
}
