package openai

import (
	"slices"
	"testing"
)

func TestParseChatToolChoice(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"f"}},{"name":"g"}]`
	const functions = `"functions":[{"name":"f"},{"name":"g"}]`
	tests := []struct {
		name, fields string
		mode         string
		names        []string
		single       bool
	}{
		{"TO-04 absent", tools, ChoiceAuto, nil, false},
		{"CN-13 null", tools + `,"tool_choice":null`, ChoiceAuto, nil, false},
		{"CN-13 empty", tools + `,"tool_choice":""`, ChoiceAuto, nil, false},
		{"TO-04 auto", tools + `,"tool_choice":"auto"`, ChoiceAuto, nil, false},
		{"TO-04 none", tools + `,"tool_choice":"none"`, ChoiceNone, nil, false},
		{"TO-04 required", tools + `,"tool_choice":"required"`, ChoiceRequired, nil, false},
		{"TO-04 any", tools + `,"tool_choice":"any"`, ChoiceRequired, nil, false},
		{"TO-04 choice before the tools", `"tool_choice":{"type":"function","function":{"name":"g"}},` + tools, ChoiceRequired, []string{"g"}, false},
		{"TO-04 named", tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`, ChoiceRequired, []string{"f"}, false},
		{"TO-04 named, without a type", tools + `,"tool_choice":{"function":{"name":" f ","x":1},"y":[]}`, ChoiceRequired, []string{"f"}, false},
		{"TO-04 named, flat", tools + `,"tool_choice":{"type":"function","name":"g"}`, ChoiceRequired, []string{"g"}, false},
		{"TO-04 named, flat, of the type tool", tools + `,"tool_choice":{"type":"tool","name":"g"}`, ChoiceRequired, []string{"g"}, false},
		{"TO-04 auto as an object", tools + `,"tool_choice":{"type":"auto"}`, ChoiceAuto, nil, false},
		{"TO-04 none as an object", tools + `,"tool_choice":{"type":"none"}`, ChoiceNone, nil, false},
		{"TO-04 required as an object", tools + `,"tool_choice":{"type":"required"}`, ChoiceRequired, nil, false},
		{"TO-04 any as an object", tools + `,"tool_choice":{"type":"any"}`, ChoiceRequired, nil, false},
		{"TO-04 auto as an object, whatever else", tools + `,"tool_choice":{"type":"auto","mode":"required","tools":[{"name":"g"}]}`, ChoiceAuto, nil, false},
		{"TO-04 allowed tools", tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}},{"type":"function","name":"f"},{"name":"g"}]}}`,
			ChoiceRequired, []string{"g", "f"}, false},
		{"TO-04 allowed tools, flat, auto", tools + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}`, ChoiceAuto, []string{"f"}, false},
		{"TO-04 allowed tools without a mode", tools + `,"tool_choice":{"allowed_tools":{"mode":null,"tools":[{"name":"f"}]},"type":"allowed_tools"}`, ChoiceAuto, []string{"f"}, false},
		{"TO-04 function_call auto", functions + `,"function_call":"auto"`, ChoiceAuto, nil, true},
		{"TO-04 function_call none", functions + `,"function_call":"none"`, ChoiceNone, nil, true},
		{"TO-04 function_call by name", functions + `,"function_call":{"name":"f"}`, ChoiceRequired, []string{"f"}, true},
		{"TO-04 function_call beside tools", tools + `,"function_call":{"name":"f"},"tool_choice":null`, ChoiceRequired, []string{"f"}, false},
		{"TO-04 tool_choice beside functions", functions + `,"tool_choice":"required"`, ChoiceRequired, nil, true},
		{"TO-04 parallel calls", tools + `,"parallel_tool_calls":true`, ChoiceAuto, nil, false},
		{"CN-13 parallel calls null", tools + `,"parallel_tool_calls":null`, ChoiceAuto, nil, false},
		{"TO-04 no parallel calls", `"parallel_tool_calls":false,` + tools, ChoiceAuto, nil, true},
		{"TO-04 functions have no parallel calls", functions + `,"parallel_tool_calls":true`, ChoiceAuto, nil, true},
		{"no tools", `"tools":[],"tool_choice":"auto","parallel_tool_calls":false`, "", nil, false},
		{"no tools, none of them", `"tool_choice":"none"`, "", nil, false},
		{"no functions, none of them", `"functions":[],"function_call":"none"`, "", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, chatWith(test.fields))
			if r.ToolChoice.Mode != test.mode || !slices.Equal(r.ToolChoice.Names, test.names) || r.SingleCall != test.single {
				t.Errorf("got %+v, single %t", r.ToolChoice, r.SingleCall)
			}
			if len(r.Ignored) > 0 {
				t.Errorf("ignored: %v", r.Ignored)
			}
		})
	}
}

func TestParseChatRefusesWrongToolChoice(t *testing.T) {
	choice := func(json string) string { return chatWith(`"tools":[{"name":"f"}],"tool_choice":` + json) }
	allowed := func(json string) string {
		return choice(`{"type":"allowed_tools","allowed_tools":{` + json + `}}`)
	}
	call := func(json string) string { return chatWith(`"functions":[{"name":"f"}],"function_call":` + json) }
	const first = "tool_choice.allowed_tools.tools[0]"
	runRefusals(t, []refusal{
		{"TO-04 unknown", choice(`"maybe"`), codeInvalid, "tool_choice"},
		{"TO-04 the name as a word", choice(`"f"`), codeInvalid, "tool_choice"},
		{"TO-04 a type as a word", choice(`"function"`), codeInvalid, "tool_choice"},
		{"TO-04 another type as a word", choice(`"allowed_tools"`), codeInvalid, "tool_choice"},
		{"TO-04 a number", choice(`1`), codeInvalid, "tool_choice"},
		{"TO-04 a list", choice(`["f"]`), codeInvalid, "tool_choice"},
		{"TO-04 an empty object", choice(`{}`), codeMissing, "tool_choice.name"},
		{"TO-04 no name", choice(`{"type":"function"}`), codeMissing, "tool_choice.name"},
		{"TO-04 nested without a name", choice(`{"type":"function","function":{}}`), codeMissing, "tool_choice.function.name"},
		{"TO-04 function is a string", choice(`{"type":"function","function":"f"}`), codeInvalid, "tool_choice.function"},
		{"TO-04 name is a number", choice(`{"type":"function","function":{"name":1}}`), codeInvalid, "tool_choice.function.name"},
		{"TO-04 unknown type", choice(`{"type":"file_search"}`), codeInvalid, "tool_choice.type"},
		{"TO-04 type is a number", choice(`{"type":1}`), codeInvalid, "tool_choice.type"},
		{"TO-07 custom", choice(`{"type":"custom","custom":{"name":"f"}}`), codeUnsupported, "tool_choice.type"},
		{"TO-04 not offered", choice(`{"type":"function","function":{"name":"g"}}`), codeInvalid, "tool_choice.function.name"},
		{"TO-04 not offered, flat", choice(`{"type":"function","name":"F"}`), codeInvalid, "tool_choice.name"},
		{"TO-04 allowed tools missing", choice(`{"type":"allowed_tools"}`), codeMissing, "tool_choice.tools"},
		{"TO-04 allowed tools null", allowed(`"mode":"auto","tools":null`), codeMissing, "tool_choice.allowed_tools.tools"},
		{"TO-04 allowed tools empty", allowed(`"mode":"auto","tools":[]`), codeMissing, "tool_choice.allowed_tools.tools"},
		{"TO-04 allowed tools is an object", allowed(`"tools":{}`), codeInvalid, "tool_choice.allowed_tools.tools"},
		{"TO-04 allowed tools is a list", choice(`{"type":"allowed_tools","allowed_tools":[]}`), codeInvalid, "tool_choice.allowed_tools"},
		{"TO-04 allowed tool is a string", allowed(`"tools":["f"]`), codeInvalid, first},
		{"TO-04 allowed tool without a name", allowed(`"tools":[{"type":"function"}]`), codeMissing, first + ".name"},
		{"TO-07 allowed tool of another type", allowed(`"tools":[{"type":"mcp","name":"f"}]`), codeInvalid, first + ".type"},
		{"TO-04 allowed tool not offered", allowed(`"tools":[{"type":"function","function":{"name":"g"}}]`), codeInvalid, first + ".function.name"},
		{"TO-04 second allowed tool not offered", allowed(`"tools":[{"name":"f"},{"name":"g"}]`), codeInvalid, "tool_choice.allowed_tools.tools[1].name"},
		{"TO-04 unknown mode", allowed(`"mode":"none","tools":[{"name":"f"}]`), codeInvalid, "tool_choice.allowed_tools.mode"},
		{"TO-04 mode is a number", allowed(`"mode":1,"tools":[{"name":"f"}]`), codeInvalid, "tool_choice.allowed_tools.mode"},
		{"TO-04 function_call is true", call(`true`), codeInvalid, "function_call"},
		{"TO-04 function_call is unknown", call(`"f"`), codeInvalid, "function_call"},
		{"TO-04 function_call without a name", call(`{}`), codeMissing, "function_call.name"},
		{"TO-04 function_call not offered", call(`{"name":"g"}`), codeInvalid, "function_call.name"},
		{"TO-04 both choices", choice(`"auto","function_call":"auto"`), codeInvalid, "function_call"},
		{"TO-04 both choices, the other way round", chatWith(`"function_call":"auto","tools":[{"name":"f"}],"tool_choice":"auto"`), codeInvalid, "function_call"},
		{"TO-04 required without tools", chatWith(`"tool_choice":"required"`), codeInvalid, "tool_choice"},
		{"TO-04 any without tools", chatWith(`"tools":[],"tool_choice":"any"`), codeInvalid, "tool_choice"},
		{"TO-04 named without tools", chatWith(`"tool_choice":{"type":"function","function":{"name":"f"}},"tools":null`), codeInvalid, "tool_choice"},
		{"TO-04 allowed without tools", chatWith(`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"name":"f"}]}`), codeInvalid, "tool_choice"},
		{"TO-04 function_call without functions", chatWith(`"function_call":{"name":"f"}`), codeInvalid, "function_call"},
	})
}
