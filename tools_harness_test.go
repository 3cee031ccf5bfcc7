package caddyqwen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// weather and search are functions as clients offer them.
var (
	weather = function("get_weather", "Tells the weather of a city.", map[string]any{
		"type": "object", "required": []string{"city"}, "additionalProperties": false,
		"properties": map[string]any{
			"city": map[string]any{"type": "string"},
			"days": map[string]any{"type": "integer"},
		},
	})
	search = function("search", "Searches the notes.", map[string]any{
		"type": "object", "required": []string{"query"}, "properties": map[string]any{"query": map[string]any{"type": "string"}},
	})
)

func function(name, description string, parameters map[string]any) openai.ChatCompletionToolUnionParam {
	return openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: name, Description: openai.String(description), Parameters: parameters,
	})
}

// strictly returns a tool whose schema must be kept.
func strictly(tool openai.ChatCompletionToolUnionParam) openai.ChatCompletionToolUnionParam {
	f := tool.OfFunction.Function
	f.Strict = openai.Bool(true)
	return openai.ChatCompletionFunctionTool(f)
}

// offering is a request that offers functions.
func offering(prompt string, tools ...openai.ChatCompletionToolUnionParam) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)}, Tools: tools,
	}
}

// called is a call in the form in which the model writes it.
func called(name, arguments string) string {
	return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " + arguments + "}\n</tool_call>"
}

// completed is what the SDK has made of an answer, streamed or not.
type completed struct {
	openai.ChatCompletion
	err error
}

// complete asks with the SDK.
func (g *gateway) complete(ctx context.Context, streamed bool, params openai.ChatCompletionNewParams, options ...option.RequestOption) completed {
	g.t.Helper()
	client := g.client(options...)
	if !streamed {
		answer, err := client.Chat.Completions.New(ctx, params)
		if err != nil {
			return completed{err: err}
		}
		return completed{ChatCompletion: *answer}
	}
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			g.t.Fatal("a chunk does not fit to the others")
		}
	}
	return completed{all.ChatCompletion, stream.Err()}
}

// String is the answer in one line: its text, its calls and why it ended, or its error.
func (c completed) String() string {
	if c.err != nil {
		return "error " + codeOf(c.err)
	}
	choice := c.Choices[0]
	parts := []string{fmt.Sprintf("%q", choice.Message.Content)}
	for _, call := range choice.Message.ToolCalls {
		parts = append(parts, call.Function.Name+call.Function.Arguments)
	}
	return strings.Join(append(parts, choice.FinishReason), " ")
}

// codeOf is the code of an error that the SDK has returned: of an answer, or in a
// stream.
func codeOf(err error) string {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return e.Code
	}
	_, told, _ := strings.Cut(err.Error(), `"code":"`)
	code, _, found := strings.Cut(told, `"`)
	if !found {
		return err.Error()
	}
	return code
}

// bothModes runs a test with a stream and without.
func bothModes(t *testing.T, test func(t *testing.T, g *gateway, streamed bool)) {
	for _, streamed := range []bool{false, true} {
		t.Run(map[bool]string{false: "whole", true: "streamed"}[streamed], func(t *testing.T) {
			test(t, mustGateway(t, setup{}), streamed)
		})
	}
}

// says makes the model answer with texts, one after the other, in pieces of n characters.
func (g *gateway) says(n int, texts ...string) {
	for _, text := range texts {
		g.site.Reply(emulator.Text(inPieces(text, n)...))
	}
}

func inPieces(text string, n int) (list []string) {
	for runes := []rune(text); len(runes) > 0; {
		k := min(n, len(runes))
		list = append(list, string(runes[:k]))
		runes = runes[k:]
	}
	return list
}

func mustParse[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
