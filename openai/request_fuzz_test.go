package openai

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// FuzzParseChat checks that every body is either refused with a proper error
// or understood: written down again, it gives the same request.
func FuzzParseChat(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		r, err := ParseChat(body, Limits{})
		if !bytes.Equal(body, before) {
			t.Error("the body was changed")
		}
		if err != nil {
			checkFuzzedError(t, err)
			return
		}
		checkFuzzedRequest(t, body, r)
	})
}

var fuzzSeeds = []string{
	"", "null", "[]", "{", `{"messages":[]}`, "\uFEFF" + chatWith(""), chatWith("") + chatWith(""),
	chatWith(`"stream":true,"stream_options":{"include_usage":true},"n":1,"temperature":0.5,"max_tokens":5`),
	chatWith(`"enable_thinking":true,"chat_template_kwargs":{"enable_thinking":false,"thinking_budget":1},"thinking":{"type":"auto","budget_tokens":2},"reasoning_effort":"low","reasoning":{"effort":"none","enabled":true,"max_tokens":3}`),
	chatWith(`"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{}}},{"name":"g","parameters":{ "a" : 1.0 }}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false`),
	chatWith(`"functions":[{"name":"h","parameters":{"b":1e400,"a":"\ud800"}}],"function_call":{"name":"h"},"max_tokens":5,"max_completion_tokens":3`),
	chatWith(`"tools":[{"name":"f"},{"name":"g","strict":true}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}},{"name":"f"}]}}`),
	chatWith(`"tools":[{"type":"custom","name":"g"}]`), chatWith(`"tools":[{"name":"f"}],"tool_choice":{"name":"g"}`), chatWith(`"tools":[{"name":"f"},{"name":"f"}]`),
	chatWith(`"response_format":{"type":"json_schema","schema":{},"strict":null}`), chatWith(`"response_format":{"type":"json_object","schema":{"a":[ ]}},"stop":"\n"`),
	chatWith(`"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{}}},"stop":["a"],"modalities":["text"],"logit_bias":{"1":1}`),
	chatWith(`"temperature":NaN`), chatWith(`"model":"twice"`), chatWith(`"n":2`), chatWith(`"logprobs":true,"top_logprobs":1`), chatWith(`"seed":1e400`),
	messagesOf(`{"role":"system","content":[{"type":"text","text":"s","cache_control":{}}]}`, `{"role":"user","content":["a",{"type":"input_text","text":"\ud83d\ude00\ud83d"}],"name":"N"}`,
		`{"role":"assistant","content":null,"reasoning_content":"r","reasoning":"q","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":{"a":1}}}],"function_call":{"name":"g","arguments":"{}"}}`,
		`{"role":"tool","tool_call_id":"c","content":"42"}`, `{"role":"function","name":"g","content":null}`, `{"role":"developer","content":"d"}`),
	messagesOf(`{"role":"assistant","content":[{"type":"thinking","thinking":"t"},{"type":"refusal","refusal":"no"}]}`, `{"content":[{"type":"thinking"}],"role":"user"}`),
	messagesOf(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}},{"type":"input_audio","input_audio":{"data":"aGk=","format":"mp3"}},{"type":"file","file":{"file_id":"i","filename":"n","file_data":"data:a/b,c"}},{"type":"video_url","video_url":"data:,"}]}`), messagesOf(`{"role":"user","content":"a` + "\xff" + `"}`),
	strings.Repeat(`{"a":[`, 40), `{"":{"":1,"":2}}`, `{"a\u0000":1,"messages":[{"role":"user","content":"\u0000"}]}`,
}

func checkFuzzedError(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	checkRequestError(t, e)
	if !utf8.ValidString(e.Message) || !utf8.ValidString(e.Param) {
		t.Errorf("the error is not UTF-8: %q", e)
	}
	if line := e.AppendJSON(nil); !stdjson.Valid(line) || bytes.ContainsAny(line, "\r\n") {
		t.Errorf("the error is not one line of JSON: %s", line)
	}
}

func checkFuzzedRequest(t *testing.T, body []byte, r *ChatRequest) {
	t.Helper()
	if !stdjson.Valid(bytes.TrimPrefix(body, []byte("\uFEFF"))) {
		t.Error("this is not JSON")
	}
	if len(r.Messages) == 0 || !slices.IsSorted(r.Ignored) || len(slices.Compact(slices.Clone(r.Ignored))) != len(r.Ignored) {
		t.Errorf("an impossible request: %+v", r)
	}
	checkFuzzedTools(t, r)
	for _, m := range r.Messages {
		if !utf8.ValidString(m.Content + m.Name + m.Reasoning) {
			t.Errorf("an impossible message: %+v", m)
		}
	}
	again, err := ParseChat(mustWrite(t, r), Limits{})
	if err != nil {
		t.Fatalf("%v for %s", err, mustWrite(t, r))
	}
	again.Ignored = r.Ignored // what has no effect is not written down
	for i := range min(len(again.Tools), len(r.Tools)) {
		again.Tools[i].Param = r.Tools[i].Param // the form is not written down
	}
	again.Format.Param = r.Format.Param
	if !equalRequests(r, again) {
		t.Errorf("\n    %+v\nthen %+v", r, again)
	}
}

// mustWrite writes a request as the body that asks for it.
func mustWrite(t *testing.T, r *ChatRequest) []byte {
	t.Helper()
	body := map[string]any{"model": r.Model, "stream": r.Stream, "stream_options": map[string]any{"include_usage": r.IncludeUsage}}
	writeTools(body, r)
	if r.Thinking.Set {
		kind := map[bool]string{true: "enabled", false: "disabled"}[r.Thinking.Enabled]
		if r.Thinking.Auto {
			kind = "adaptive"
		}
		body["thinking"] = map[string]any{"type": kind, "budget_tokens": r.Thinking.Budget}
	}
	var messages []any
	for i := range r.Messages {
		messages = append(messages, writeMessage(&r.Messages[i]))
	}
	body["messages"] = messages
	text, err := json.Marshal(body, jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeMessage(m *Message) map[string]any {
	var calls []any
	for _, c := range m.ToolCalls {
		calls = append(calls, map[string]any{"id": c.ID, "type": "function", "function": map[string]any{"name": c.Name, "arguments": c.Arguments}})
	}
	var content any = m.Content
	if len(m.Attachments) > 0 {
		parts := []any{map[string]any{"type": "text", "text": m.Content}}
		for _, a := range m.Attachments {
			parts = append(parts, writeAttachment(a))
		}
		content = parts
	}
	return map[string]any{
		"role": m.Role, "name": m.Name, "content": content, "tool_calls": calls,
		"tool_call_id": m.ToolCallID, "reasoning_content": m.Reasoning,
	}
}

func writeAttachment(a *Attachment) map[string]any {
	types := map[string]string{AttachedImage: "input_image", AttachedVideo: "video_url", AttachedAudio: "input_audio", AttachedFile: "input_file"}
	part := map[string]any{"type": types[a.Kind], "filename": a.Name, "file_id": a.FileID, "file_url": a.URL}
	if a.Inline() {
		head := "data:,"
		if a.encoded {
			head = "data:;base64,"
		}
		part["file_data"] = head + a.data
	}
	return part
}
