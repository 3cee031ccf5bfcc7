package caddyqwen

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// TestOpenAPIToolRequests checks that the description allows all forms in which
// clients send tools, choices, formats and limits, as the server does.
func TestOpenAPIToolRequests(t *testing.T) {
	j := &judge{mustDescribe(t), &gateway{url: "http://127.0.0.1:8080"}, nil}
	const tools = `"tools":[{"type":"function","function":{"name":"f"}}]`
	for name, fields := range map[string]string{
		"TO-02 nested":               `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","x":[1]},"strict":true}}]`,
		"TO-07 flat":                 `"tools":[{"type":"function","name":"f","description":null,"parameters":{"type":"object"},"strict":null},{"name":"天气 2","input_schema":{"a":{"b":1}}}]`,
		"CN-13 none":                 `"tools":[],"functions":null,"tool_choice":null,"parallel_tool_calls":null,"response_format":null,"stop":null,"max_tokens":null`,
		"TO-04 a word":               tools + `,"tool_choice":"required","parallel_tool_calls":false`,
		"TO-04 a word as the type":   tools + `,"tool_choice":{"type":"any"}`,
		"TO-04 named":                tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`,
		"TO-04 named, flat":          tools + `,"tool_choice":{"type":"function","name":"f"}`,
		"TO-04 allowed tools":        tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`,
		"TO-04 allowed tools, flat":  tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","name":"f"}]}}`,
		"TO-02 functions":            `"functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}`,
		"TO-02 functions and a word": `"functions":[{"name":"f"}],"function_call":"auto"`,
		"SO-01 text":                 `"response_format":{"type":"text"}`,
		"SO-01 JSON":                 `"response_format":{"type":"json_object"}`,
		"SO-01 JSON and a schema":    `"response_format":{"type":"json_object","schema":{"type":"object"}}`,
		"SO-01 schema":               `"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":null,"schema":{"type":"object","properties":{"a":{}}}}}`,
		"SO-01 schema, flat":         `"response_format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object","properties":{"a":{}}}}`,
		"CN-17 stop":                 `"stop":"\n"`,
		"CN-17 stops":                `"stop":["a","",null]`,
		"CN-18 limits":               `"max_tokens":1,"max_completion_tokens":100000`,
	} {
		t.Run(name, func(t *testing.T) {
			body := chatBody("Hello!", fields)
			if _, err := openai.ParseChat([]byte(body), openai.Limits{}); err != nil {
				t.Errorf("the server refuses %s: %v", body, err)
			}
			j.checkRequest(t, http.MethodPost, chatPath, body)
		})
	}
}

// TestOpenAPIToolMistakes checks that the description refuses what the server
// refuses, as far as a schema can say it.
func TestOpenAPIToolMistakes(t *testing.T) {
	j := mustJudge(t, setup{})
	named := func(name string) string { return `"tools":[{"type":"function","function":{"name":"` + name + `"}}]` }
	for name, test := range map[string]struct{ fields, param string }{
		"TO-06 tools is an object":      {`"tools":{}`, "tools"},
		"TO-06 a tool is a string":      {`"tools":["f"]`, "tools[0]"},
		"TO-06 no name":                 {`"tools":[{"type":"function","function":{}}]`, "tools[0].function.name"},
		"TO-06 blank name":              {named(" "), "tools[0].function.name"},
		"TO-06 tag in a name":           {named("a<b"), "tools[0].function.name"},
		"TO-06 backslash in a name":     {named(`a\\b`), "tools[0].function.name"},
		"TO-06 line feed in a name":     {named(`a\nb`), "tools[0].function.name"},
		"TO-06 long name":               {named(strings.Repeat("n", 129)), "tools[0].function.name"},
		"TO-06 parameters are a string": {`"tools":[{"name":"f","parameters":"{}"}]`, "tools[0].parameters"},
		"TO-06 strict is a string":      {`"tools":[{"type":"function","function":{"name":"f","strict":"yes"}}]`, "tools[0].function.strict"},
		"TO-07 custom":                  {`"tools":[{"type":"custom","custom":{"name":"f"}}]`, "tools[0].type"},
		"TO-07 custom, flat":            {`"tools":[{"type":"custom","name":"f"}]`, "tools[0].type"},
		"TO-06 too many":                {`"tools":[` + strings.Repeat(`{"name":"f"},`, 512) + `{"name":"f"}]`, "tools[1].name"},
		"TO-04 unknown choice":          {`"tool_choice":"maybe"`, "tool_choice"},
		"TO-04 choice without a name":   {`"tool_choice":{"type":"function","function":{}}`, "tool_choice.function.name"},
		"TO-04 no allowed tools":        {`"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[]}}`, "tool_choice.allowed_tools.tools"},
		"TO-04 unknown mode":            {`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"none","tools":[{"name":"f"}]}}`, "tool_choice.allowed_tools.mode"},
		"TO-04 function_call is true":   {`"function_call":true`, "function_call"},
		"TO-04 parallel is a number":    {`"parallel_tool_calls":1`, "parallel_tool_calls"},
		"SO-04 unknown format":          {`"response_format":{"type":"xml"}`, "response_format.type"},
		"SO-04 no schema":               {`"response_format":{"type":"json_schema","json_schema":{"name":"n"}}`, "response_format.json_schema.schema"},
		"SO-04 schema is a boolean":     {`"response_format":{"type":"json_schema","json_schema":{"schema":true}}`, "response_format.json_schema.schema"},
		"CN-17 stop is a number":        {`"stop":1`, "stop"},
		"CN-17 seventeen stops":         {`"stop":["a"` + strings.Repeat(`,"a"`, 16) + `]`, "stop"},
		"CN-17 a long stop":             {`"stop":["` + strings.Repeat("s", 1025) + `"]`, "stop[0]"},
		"CN-18 no token":                {`"max_tokens":0`, "max_tokens"},
		"CN-18 fewer than no tokens":    {`"max_completion_tokens":-1`, "max_completion_tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			body := chatBody("Hello!", test.fields)
			got := j.expect(t, 400, http.MethodPost, chatPath, body)
			if !strings.Contains(got.body, `"param":"`+test.param+`"`) {
				t.Errorf("the error is not about %s: %s", test.param, got.body)
			}
			if len(j.misfits(t, http.MethodPost, chatPath, body)) == 0 {
				t.Errorf("the description allows %s", body)
			}
		})
	}
}

// TestOpenAPICalls compares answers with calls with the description, and checks
// that it allows nothing else.
func TestOpenAPICalls(t *testing.T) {
	j := &judge{mustDescribe(t), &gateway{url: "http://127.0.0.1:8080"}, nil}
	for _, functions := range []bool{false, true} {
		for _, text := range []string{"", "Let me see."} {
			whole := openai.NewCompletion("chatcmpl-1", "qwen3-max", 1)
			stream := openai.NewStream("chatcmpl-1", "qwen3-max", 1, true)
			whole.Functions, stream.Functions = functions, functions
			whole.Text(nil, false, []byte(text))
			sent := stream.Text(stream.Start(nil), false, []byte(text))
			for _, arguments := range []string{`{"city":"Oslo"}`, `{"text":"` + strings.Repeat("a\n", 50_000) + `"}`} {
				whole.Call(nil, "call_1", "f", arguments)
				sent = stream.Call(sent, "call_1", "f", arguments)
			}
			for _, problem := range j.unlike("ChatCompletion", string(whole.Finish(nil, "stop", openai.Usage{}))) {
				t.Errorf("functions %t, text %q: %s", functions, text, problem)
			}
			for _, problem := range j.strangeEvents(t, string(stream.Finish(sent, "stop", openai.Usage{}))) {
				t.Errorf("functions %t, text %q, streamed: %s", functions, text, problem)
			}
		}
	}
	for name, delta := range map[string]string{
		"no index":                  `{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]}`,
		"no arguments":              `{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f"}}]}`,
		"arguments in the start":    `{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
		"an id in a later piece":    `{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]}`,
		"a name in a later piece":   `{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`,
		"two calls":                 `{"tool_calls":[{"index":0,"function":{"arguments":"{"}},{"index":1,"function":{"arguments":"{"}}]}`,
		"no calls":                  `{"tool_calls":[]}`,
		"a function with all of it": `{"function_call":{"name":"f","arguments":"{}"}}`,
		"a function without a name": `{"function_call":{}}`,
	} {
		event := `{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":null}]}`
		if len(j.unlike("ChatCompletionEvent", event)) == 0 {
			t.Errorf("nobody notices %s", name)
		}
	}
	for name, message := range map[string]string{
		"content missing":           `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
		"content null, no calls":    `{"role":"assistant","content":null}`,
		"no calls":                  `{"role":"assistant","content":null,"tool_calls":[]}`,
		"arguments are an object":   `{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]}`,
		"no type":                   `{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}`,
		"an index":                  `{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
		"function_call is a string": `{"role":"assistant","content":null,"function_call":"f"}`,
	} {
		whole := string(openai.NewCompletion("a", "m", 1).Finish(nil, "stop", openai.Usage{}))
		changed := strings.Replace(whole, `{"role":"assistant","content":""}`, message, 1)
		if changed == whole || len(j.unlike("ChatCompletion", changed)) == 0 {
			t.Errorf("nobody notices %s", name)
		}
	}
}
