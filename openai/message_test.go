package openai

import (
	"reflect"
	"strings"
	"testing"
)

func TestMessageContent(t *testing.T) {
	tests := []struct {
		name, message string
		want          Message
	}{
		{"CN-14 string", `{"role":"user","content":"a"}`, text("user", "a")},
		{"CN-14 one part", `{"role":"user","content":[{"type":"text","text":"a"}]}`, text("user", "a")},
		{"CN-14 several parts", `{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""},{"type":"text","text":"b\n"}]}`, text("user", "a\nb\n")},
		{"CN-14 cache_control and other keys", `{"role":"user","content":[{"cache_control":{"type":"ephemeral"},"text":"a","type":"text","annotations":[]}],"id":"m1","createdAt":1}`, text("user", "a")},
		{"CN-14 input_text and output_text", `{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"output_text","text":"b"}]}`, text("user", "a\nb")},
		{"CN-14 bare strings", `{"role":"user","content":["a","b"]}`, text("user", "a\nb")},
		{"CN-14 empty part", `{"role":"user","content":[{"type":"text","text":""}]}`, Message{Role: "user"}},
		{"CN-16 empty list", `{"role":"user","content":[]}`, Message{Role: "user"}},
		{"CN-16 empty string", `{"role":"user","content":""}`, Message{Role: "user"}},
		{"CN-15 system", `{"role":"system","content":"a"}`, text("system", "a")},
		{"CN-15 developer", `{"role":"developer","content":[{"type":"text","text":"a"}]}`, text("developer", "a")},
		{"CN-13 system null", `{"role":"system","content":null}`, Message{Role: "system"}},
		{"CN-16 assistant without content", `{"role":"assistant"}`, Message{Role: "assistant"}},
		{"CN-16 assistant null", `{"role":"assistant","content":null}`, Message{Role: "assistant"}},
		{"CN-16 assistant empty list", `{"role":"assistant","content":[]}`, Message{Role: "assistant"}},
		{"CN-16 assistant with one space", `{"role":"assistant","content":" "}`, text("assistant", " ")},
		{"CN-16 refusal part", `{"content":[{"type":"refusal","refusal":"no"}],"role":"assistant"}`, text("assistant", "no")},
		{"HI-10 thinking parts are dropped", `{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"redacted_thinking","data":"x"},{"type":"reasoning","text":"hm"},{"type":"text","text":"a"}]}`, text("assistant", "a")},
		{"HI-10 think tags stay", `{"role":"assistant","content":"<think>\nhm\n</think>a"}`, text("assistant", "<think>\nhm\n</think>a")},
		{"CN-16 tool", `{"role":"tool","tool_call_id":"c","name":"f","content":"a"}`, Message{Role: "tool", Name: "f", ToolCallID: "c", Content: "a"}},
		{"CN-16 tool without id and content", `{"role":"tool","content":null}`, Message{Role: "tool"}},
		{"CN-16 function", `{"role":"function","name":"f","content":"a"}`, Message{Role: "function", Name: "f", Content: "a"}},
		{"CN-16 tool with parts", `{"role":"tool","content":[{"type":"text","text":"a"}]}`, text("tool", "a")},
		{"CN-13 participant's name", `{"role":"user","name":"Ann","content":"a"}`, Message{Role: "user", Name: "Ann", Content: "a"}},
		{"RE-01 reasoning_content", `{"role":"assistant","content":"a","reasoning_content":"hm"}`, Message{Role: "assistant", Content: "a", Reasoning: "hm"}},
		{"RE-01 reasoning", `{"role":"assistant","content":"a","reasoning":"hm"}`, Message{Role: "assistant", Content: "a", Reasoning: "hm"}},
		{"RE-01 both", `{"role":"assistant","content":"a","reasoning_content":"1","reasoning":"2"}`, Message{Role: "assistant", Content: "a", Reasoning: "1"}},
		{"RE-01 both, the other way round", `{"role":"assistant","content":"a","reasoning":"2","reasoning_content":"1"}`, Message{Role: "assistant", Content: "a", Reasoning: "1"}},
		{"CN-12 reasoning as an object", `{"role":"assistant","content":"a","reasoning":{"text":"hm"},"reasoning_content":null}`, text("assistant", "a")},
		{"CN-12 reply fields of a user", `{"role":"user","content":"a","reasoning_content":"hm","tool_calls":[{"function":{"name":"f"}}]}`, text("user", "a")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, messagesOf(userMessage, test.message))
			if got := r.Messages[1]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestMessageToolCalls(t *testing.T) {
	tests := []struct {
		name, fields string
		want         []ToolCall
	}{
		{"CN-16 nested", `"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`, []ToolCall{{"c1", "f", `{"a":1}`}}},
		{"CN-16 several in order", `"tool_calls":[{"id":"c1","function":{"name":"f"}},{"id":"c2","function":{"name":"g"}}]`, []ToolCall{{"c1", "f", ""}, {"c2", "g", ""}}},
		{"CN-16 extra keys", `"tool_calls":[{"index":0,"id":"c1","type":"function","extra_content":{},"function":{"name":"f","arguments":"","parsed_arguments":null}}]`, []ToolCall{{"c1", "f", ""}}},
		{"CN-13 null id and arguments", `"tool_calls":[{"id":null,"function":{"name":"f","arguments":null}}]`, []ToolCall{{"", "f", ""}}},
		{"TO-08 arguments as an object", `"tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"a": [1]}}}]`, []ToolCall{{"c1", "f", `{"a": [1]}`}}},
		{"TO-08 arguments that are not JSON", `"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]`, []ToolCall{{"c1", "f", `{"a"`}}},
		{"TO-07 flat", `"tool_calls":[{"id":"c1","type":"function","name":"f","arguments":"{}"}]`, []ToolCall{{"c1", "f", "{}"}}},
		{"TO-07 custom", `"tool_calls":[{"id":"c1","type":"custom","custom":{"name":"ApplyPatch","input":"*** Begin"}}]`, []ToolCall{{"c1", "ApplyPatch", "*** Begin"}}},
		{"CN-16 legacy function_call", `"function_call":{"name":"f","arguments":"{}"}`, []ToolCall{{"", "f", "{}"}}},
		{"CN-16 both", `"function_call":{"name":"g"},"tool_calls":[{"id":"c1","function":{"name":"f"}}]`, []ToolCall{{"c1", "f", ""}, {"", "g", ""}}},
		{"CN-13 null", `"tool_calls":null,"function_call":null`, nil},
		{"CN-13 empty", `"tool_calls":[]`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, messagesOf(userMessage, `{"role":"assistant","content":null,`+test.fields+`}`))
			if got := r.Messages[1].ToolCalls; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseChatRefusesWrongMessages(t *testing.T) {
	third := func(message string) string {
		return messagesOf(`{"role":"system","content":"x"}`, userMessage, `{"role":"assistant","content":"y"}`, message)
	}
	part := func(part string) string {
		return third(`{"role":"user","content":[{"type":"text","text":"` + canary + `"},` + part + `]}`)
	}
	call := func(call string) string {
		return third(`{"role":"assistant","tool_calls":[` + call + `]}`)
	}
	runRefusals(t, []refusal{
		{"J16 unknown role", third(`{"role":"bot","content":"x"}`), codeInvalid, "messages[3].role"},
		{"J16 role in upper case", third(`{"role":"User","content":"x"}`), codeInvalid, "messages[3].role"},
		{"J16 role is a number", third(`{"role":1,"content":"x"}`), codeInvalid, "messages[3].role"},
		{"J16 role missing", third(`{"content":"x"}`), codeMissing, "messages[3].role"},
		{"J16 role null", third(`{"role":null,"content":"x"}`), codeMissing, "messages[3].role"},
		{"J16 message is a string", third(`"` + canary + `"`), codeInvalid, "messages[3]"},
		{"J16 message is null", third(`null`), codeInvalid, "messages[3]"},
		{"J16 empty message", third(`{}`), codeMissing, "messages[3].role"},
		{"J16 content is a number", third(`{"role":"user","content":5}`), codeInvalid, "messages[3].content"},
		{"J16 content is an object", third(`{"role":"user","content":{"type":"text","text":"` + canary + `"}}`), codeInvalid, "messages[3].content"},
		{"J16 user without content", third(`{"role":"user","text":"` + canary + `"}`), codeMissing, "messages[3].content"},
		{"J16 user with null content", third(`{"role":"user","content":null}`), codeMissing, "messages[3].content"},
		{"MM-10 unknown part type", part(`{"type":"hologram","hologram":{}}`), codeInvalid, "messages[3].content[1].type"},
		{"MM-10 Anthropic's image", part(`{"type":"image","source":{}}`), codeInvalid, "messages[3].content[1].type"},
		{"J16 type is a number", part(`{"type":3}`), codeInvalid, "messages[3].content[1].type"},
		{"J16 type missing", part(`{"text":"` + canary + `"}`), codeMissing, "messages[3].content[1].type"},
		{"J16 part is a number", part(`5`), codeInvalid, "messages[3].content[1]"},
		{"J16 part is null", part(`null`), codeInvalid, "messages[3].content[1]"},
		{"J16 text missing", part(`{"type":"text","content":"` + canary + `"}`), codeMissing, "messages[3].content[1].text"},
		{"J16 text null", part(`{"type":"text","text":null}`), codeMissing, "messages[3].content[1].text"},
		{"J16 text is an object", part(`{"type":"text","text":{"value":"` + canary + `"}}`), codeInvalid, "messages[3].content[1].text"},
		{"J16 thinking of a user", part(`{"type":"thinking","thinking":"` + canary + `"}`), codeInvalid, "messages[3].content[1].type"},
		{"J16 refusal of a user, role last", third(`{"content":[{"type":"refusal","refusal":"` + canary + `"}],"role":"user"}`), codeInvalid, "messages[3].content[0].type"},
		{"MM-04 an image without a URL", part(`{"type":"image_url","image_url":{}}`), codeMissing, "messages[3].content[1]"},
		{"MM-04 an empty URL", part(`{"type":"image_url","image_url":{"url":""}}`), codeMissing, "messages[3].content[1]"},
		{"MM-04 image_url is null", part(`{"type":"image_url","image_url":null}`), codeMissing, "messages[3].content[1]"},
		{"MM-04 image_url is a number", part(`{"type":"image_url","image_url":5}`), codeInvalid, "messages[3].content[1].image_url"},
		{"MM-04 url is a list", part(`{"type":"image_url","image_url":{"url":["` + canary + `"]}}`), codeInvalid, "messages[3].content[1].image_url.url"},
		{"S22 a data URL without a comma", part(`{"type":"image_url","image_url":"data:image/png;base64"}`), codeInvalid, "messages[3].content[1]"},
		{"MM-08 a file without content", part(`{"type":"file","file":{"filename":"a.pdf"}}`), codeMissing, "messages[3].content[1]"},
		{"MM-08 audio without data", part(`{"type":"input_audio","input_audio":{"format":"wav"}}`), codeMissing, "messages[3].content[1]"},
		{"MM-09 a video without a URL", part(`{"type":"video_url"}`), codeMissing, "messages[3].content[1]"},
		{"MM-10 attachment in a system message", third(`{"role":"system","content":[{"type":"image_url","image_url":"x"}]}`), codeUnsupportedContent, "messages[3].content[0]"},
		{"MM-10 the same, role last", third(`{"content":[{"type":"text","text":"a"},{"type":"file","file":{"file_id":"x"}}],"role":"developer"}`), codeUnsupportedContent, "messages[3].content[1]"},
		{"ER-02 name is a number", third(`{"role":"user","content":"x","name":5}`), codeInvalid, "messages[3].name"},
		{"ER-02 tool_call_id is a number", third(`{"role":"tool","content":"x","tool_call_id":5}`), codeInvalid, "messages[3].tool_call_id"},
		{"TO-06 tool_calls is an object", third(`{"role":"assistant","tool_calls":{}}`), codeInvalid, "messages[3].tool_calls"},
		{"TO-06 call without a name", call(`{"id":"c","function":{"arguments":"{}"}}`), codeMissing, "messages[3].tool_calls[0]"},
		{"TO-06 call is a string", call(`"f"`), codeInvalid, "messages[3].tool_calls[0]"},
		{"TO-06 function is a string", call(`{"function":"f"}`), codeInvalid, "messages[3].tool_calls[0].function"},
		{"TO-06 name is a number", call(`{"function":{"name":5}}`), codeInvalid, "messages[3].tool_calls[0].function.name"},
		{"TO-06 arguments is a list", call(`{"function":{"name":"f","arguments":[1]}}`), codeInvalid, "messages[3].tool_calls[0].function.arguments"},
		{"TO-06 function_call is a string", third(`{"role":"assistant","function_call":"f"}`), codeInvalid, "messages[3].function_call"},
		{"X21 a long role is cut", third(`{"role":"` + strings.Repeat("é", 1000) + `","content":"x"}`), codeInvalid, "messages[3].role"},
	})
}

func TestParseChatCutsEchoedValues(t *testing.T) {
	for _, body := range []string{
		messagesOf(`{"role":"` + strings.Repeat("é", 10_000) + `","content":"x"}`),
		messagesOf(`{"role":"user","content":[{"type":"` + strings.Repeat(`\n`, 10_000) + `"}]}`),
		chatWith(`"reasoning_effort":"` + strings.Repeat("x", 10_000) + `"`),
		chatWith(`"` + strings.Repeat("x", 1000) + `":{"a":1,"a":1}`),
		chatWith(`"` + strings.Repeat("x", 2000) + `":1`),
	} {
		if e := mustRefuse(t, body, Limits{}); len(e.Message)+len(e.Param) > 400 {
			t.Errorf("%d bytes of message: %.200s", len(e.Message), e.Message)
		}
	}
}

func TestParseChatConversations(t *testing.T) {
	tests := []struct {
		name     string
		messages []string
	}{
		{"the user is last", []string{`{"role":"system","content":"s"}`, userMessage}},
		{"TO-05 a tool is last", []string{userMessage, `{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"}}]}`, `{"role":"tool","tool_call_id":"c","content":"r"}`}},
		{"TO-05 a function is last", []string{userMessage, `{"role":"function","name":"f","content":"r"}`}},
		{"an assistant's prefix is last", []string{userMessage, `{"role":"assistant","content":"Sure, "}`}},
		{"only system", []string{`{"role":"system","content":"s"}`}},
		{"system after the user", []string{userMessage, `{"role":"system","content":"s"}`}},
		{"two users in a row", []string{userMessage, userMessage}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := len(mustParse(t, messagesOf(test.messages...)).Messages); got != len(test.messages) {
				t.Errorf("got %d messages", got)
			}
		})
	}
}
