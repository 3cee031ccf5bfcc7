package openai

import (
	"fmt"
	"slices"
	"testing"
)

// TestParseChatClients parses what real clients send.
func TestParseChatClients(t *testing.T) {
	tests := []struct {
		name, body string
		want       ChatRequest
	}{
		{
			"CN-11 Dify's ping", `{"model":"qwen3","max_tokens":5,"messages":[{"role":"user","content":"ping"}]}`,
			ChatRequest{Model: "qwen3", Messages: []Message{text("user", "ping")}, MaxOutput: 5},
		},
		{
			"CN-12 Open WebUI with its own fields", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"user":{"name":"A","id":"1","email":"a@b.c","role":"admin"},
			"metadata":{"chat_id":"c"},"chat_id":"c","session_id":"s","id":"i","messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]}`,
			ChatRequest{Model: "m", Stream: true, IncludeUsage: true, Messages: []Message{text("user", "hi")}},
		},
		{
			"CN-13 Python client that serialises every field", `{"model":"m","messages":[{"role":"user","content":"hi","name":null,"tool_calls":null,"tool_call_id":null,"function_call":null}],
			"stream":false,"stream_options":null,"temperature":null,"top_p":null,"n":null,"stop":null,"max_tokens":null,"max_completion_tokens":null,"presence_penalty":null,"frequency_penalty":null,
			"logit_bias":null,"logprobs":null,"top_logprobs":null,"user":null,"seed":null,"tools":null,"tool_choice":null,"functions":null,"function_call":null,"response_format":null,
			"parallel_tool_calls":null,"reasoning_effort":null,"reasoning":null,"thinking":null,"thinking_budget":null,"enable_thinking":null,"chat_template_kwargs":null,"modalities":null,"audio":null,"verbosity":null}`,
			ChatRequest{Model: "m", Messages: []Message{text("user", "hi")}},
		},
		{
			"CN-13 empty values", `{"model":"m","messages":[{"role":"user","content":"hi","tool_calls":[]}],"tools":[],"functions":[],"tool_choice":"","stop":[],"logit_bias":{},"response_format":{},
			"reasoning_effort":"","thinking":{"type":""},"chat_template_kwargs":{},"reasoning":{},"modalities":[],"metadata":{},"user":""}`,
			ChatRequest{Model: "m", Messages: []Message{text("user", "hi")}},
		},
		{
			"CN-15 AI SDK with a developer message", `{"model":"m","temperature":0,"seed":7,"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":"hi"}]}`,
			ChatRequest{Model: "m", Messages: []Message{text("developer", "be brief"), text("user", "hi")}, Ignored: []string{"seed", "temperature"}},
		},
		{
			"RE-07 Cherry Studio, custom provider", `{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true},"chat_template_kwargs":{"enable_thinking":true,"thinking_budget":4096}}`,
			ChatRequest{Model: "m", Stream: true, IncludeUsage: true, Messages: []Message{text("user", "hi")}, Thinking: Thinking{Set: true, Enabled: true, Budget: 4096}},
		},
		{
			"CN-14 Roo Code", `{"model":"m","max_completion_tokens":8192,"temperature":0,"messages":[{"role":"system","content":[{"type":"text","text":"rules","cache_control":{"type":"ephemeral"}}]},
			{"role":"user","content":[{"type":"text","text":"<task>"},{"type":"text","text":"<environment_details>"}]}],"stream":true,"stream_options":{"include_usage":true},
			"tools":[{"type":"function","function":{"name":"read_file","description":"d","strict":true,"parameters":{"type":"object"}}}],"tool_choice":"auto","parallel_tool_calls":true,"thinking":{"type":"enabled"}}`,
			ChatRequest{Model: "m", Stream: true, IncludeUsage: true, Messages: []Message{text("system", "rules"), text("user", "<task>\n<environment_details>")},
				Tools:      []Tool{{Name: "read_file", Description: "d", Strict: true, Parameters: `{"type":"object"}`, Param: "tools[0].function"}},
				ToolChoice: ToolChoice{Mode: "auto"}, MaxOutput: 8192, Thinking: Thinking{Set: true, Enabled: true}, Ignored: []string{"temperature"}},
		},
		{
			"CN-16 NextChat after a tool call", messagesOf(`{"role":"user","content":"hi"}`, `{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
				`{"role":"tool","name":"f","content":"42","tool_call_id":"call_1"}`),
			ChatRequest{Messages: []Message{text("user", "hi"), {Role: "assistant", ToolCalls: []ToolCall{{"call_1", "f", "{}"}}},
				{Role: "tool", Name: "f", ToolCallID: "call_1", Content: "42"}}},
		},
		{
			"CN-16 openai-node sends its own messages back", messagesOf(`{"role":"user","content":"hi"}`,
				`{"role":"assistant","content":"hello","refusal":null,"annotations":[],"parsed":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning_content":"hm"}`, `{"role":"user","content":"more"}`),
			ChatRequest{Messages: []Message{text("user", "hi"), {Role: "assistant", Content: "hello", Reasoning: "hm"}, text("user", "more")}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := mustParse(t, test.body)
			if !equalRequests(got, &test.want) {
				t.Errorf("got  %+v\nwant %+v", *got, test.want)
			}
		})
	}
}

// text returns a message of which only the role and the text are set.
func text(role, content string) Message {
	return Message{Role: role, Content: content}
}

// equalRequests compares requests; it makes no difference between an empty and
// no list.
func equalRequests(a, b *ChatRequest) bool {
	return fmt.Sprintf("%#v", emptied(a)) == fmt.Sprintf("%#v", emptied(b)) && slices.Equal(attached(a), attached(b))
}

// attached is what a request has attached, but the places and types in which it
// came.
func attached(r *ChatRequest) (all []Attachment) {
	for _, m := range r.Messages {
		for _, a := range m.Attachments {
			plain := *a
			plain.Param, plain.MIME = "", ""
			all = append(all, plain)
		}
		all = append(all, Attachment{})
	}
	return all
}

func emptied(r *ChatRequest) ChatRequest {
	c := *r
	c.Ignored = append([]string{}, r.Ignored...)
	c.Tools = append([]Tool{}, r.Tools...)
	c.ToolChoice.Names = append([]string{}, r.ToolChoice.Names...)
	c.Stop = append([]string{}, r.Stop...)
	c.Messages = append([]Message{}, r.Messages...)
	for i := range c.Messages {
		c.Messages[i].Attachments = nil // pointers
		c.Messages[i].ToolCalls = append([]ToolCall{}, c.Messages[i].ToolCalls...)
	}
	return c
}
