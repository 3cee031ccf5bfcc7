package caddyqwen

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// threeCalls are calls as models make them: short, with every kind of character,
// and longer than a line of a stream may be.
var threeCalls = []openai.ToolCall{
	{ID: "call_1", Name: "get_weather", Arguments: `{"city":"Oslo"}`},
	{ID: "call_2", Name: "write_file", Arguments: `{"text":"` + strings.Repeat(`日本😀 \"\\\n`, 12_000) + `"}`},
	{ID: "call_3", Name: "list", Arguments: `{}`},
}

// mustReadSDK reads a stream with the accumulator of the official SDK. It also
// returns the calls that the accumulator has told of when each was complete.
func mustReadSDK(t *testing.T, sent []byte) (all sdk.ChatCompletionAccumulator, finished []openai.ToolCall) {
	t.Helper()
	stream := ssestream.NewStream[sdk.ChatCompletionChunk](ssestream.NewDecoder(&http.Response{
		Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(string(sent))),
	}), nil)
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("the accumulator refuses %s", stream.Current().RawJSON())
		}
		if call, ok := all.JustFinishedToolCall(); ok {
			finished = append(finished, openai.ToolCall{ID: call.ID, Name: call.Name, Arguments: call.Arguments})
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return all, finished
}

// callsOf returns the calls of a message.
func callsOf(m sdk.ChatCompletionMessage) (calls []openai.ToolCall) {
	for _, call := range m.ToolCalls {
		calls = append(calls, openai.ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
	}
	return calls
}

// TestSDKReadsCalls has the official SDK read an answer with text and calls.
func TestSDKReadsCalls(t *testing.T) {
	stream := openai.NewStream("chatcmpl-1", "qwen3-max", 1700000000, true)
	whole := openai.NewCompletion("chatcmpl-1", "qwen3-max", 1700000000)
	sent := stream.Text(stream.Start(nil), false, []byte("Let me see."))
	whole.Text(nil, false, []byte("Let me see."))
	for _, call := range threeCalls {
		sent = stream.Call(sent, call.ID, call.Name, call.Arguments)
		whole.Call(nil, call.ID, call.Name, call.Arguments)
	}
	usage := openai.Usage{Prompt: 3, Completion: 4}
	sent = stream.Finish(sent, "stop", usage)
	check := func(t *testing.T, c sdk.ChatCompletion) {
		t.Helper()
		choice := c.Choices[0]
		if choice.Message.Content != "Let me see." || choice.FinishReason != "tool_calls" || c.Usage.TotalTokens != 7 {
			t.Errorf("content %q, reason %q, usage %+v", choice.Message.Content, choice.FinishReason, c.Usage)
		}
		if got := callsOf(choice.Message); !reflect.DeepEqual(got, threeCalls) {
			t.Errorf("calls %.300s", fmt.Sprint(got))
		}
	}
	t.Run("TO-09 streamed", func(t *testing.T) {
		all, finished := mustReadSDK(t, sent)
		check(t, all.ChatCompletion)
		if !reflect.DeepEqual(finished, threeCalls) {
			t.Errorf("finished %.300s", fmt.Sprint(finished))
		}
	})
	t.Run("TO-08 at once", func(t *testing.T) {
		var c sdk.ChatCompletion
		if err := json.Unmarshal(whole.Finish(nil, "stop", usage), &c); err != nil {
			t.Fatal(err)
		}
		check(t, c)
	})
}

// TestSDKReadsCallsWithoutText has the official SDK read calls alone.
func TestSDKReadsCallsWithoutText(t *testing.T) {
	stream := openai.NewStream("chatcmpl-1", "qwen3-max", 1700000000, false)
	sent := stream.Call(stream.Start(nil), "call_1", "list", "{}")
	all, finished := mustReadSDK(t, stream.Finish(sent, "stop", openai.Usage{}))
	want := threeCalls[2]
	want.ID = "call_1"
	if len(finished) != 1 || finished[0] != want || all.Choices[0].Message.Content != "" || all.Choices[0].FinishReason != "tool_calls" {
		t.Errorf("finished %v, answer %+v", finished, all.Choices)
	}
}

// TestSDKReadsFunctionCall has the official SDK read the call that preceded tools.
func TestSDKReadsFunctionCall(t *testing.T) {
	whole := openai.NewCompletion("chatcmpl-1", "qwen3-max", 1700000000)
	whole.Functions = true
	whole.Call(nil, "call_1", "get_weather", threeCalls[0].Arguments)
	var c sdk.ChatCompletion
	if err := json.Unmarshal(whole.Finish(nil, "stop", openai.Usage{}), &c); err != nil {
		t.Fatal(err)
	}
	choice := c.Choices[0]
	//lint:ignore SA1019 clients of that time read nothing else
	if call := choice.Message.FunctionCall; call.Name != "get_weather" || call.Arguments != threeCalls[0].Arguments || choice.FinishReason != "function_call" || len(choice.Message.ToolCalls) > 0 {
		t.Errorf("%s", c.RawJSON())
	}
}
