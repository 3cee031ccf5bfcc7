package openai

import (
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// checkFuzzedTools checks what holds for the tools and the format of every
// request.
func checkFuzzedTools(t *testing.T, r *ChatRequest) {
	t.Helper()
	var names []string
	for _, tool := range r.Tools {
		if tool.Name == "" || !utf8.ValidString(tool.Name+tool.Description) || slices.Contains(names, tool.Name) {
			t.Errorf("an impossible tool: %+v", tool)
		}
		if tool.Parameters != "" && !isObject(tool.Parameters) {
			t.Errorf("parameters that are not an object: %s", tool.Parameters)
		}
		names = append(names, tool.Name)
	}
	for _, name := range r.ToolChoice.Names {
		if !slices.Contains(names, name) {
			t.Errorf("%q is chosen and not offered", name)
		}
	}
	modes := []string{ChoiceAuto, ChoiceNone, ChoiceRequired}
	if len(names) == 0 && (r.SingleCall || r.Functions || r.ToolChoice.Mode != "") || len(names) > 0 && !slices.Contains(modes, r.ToolChoice.Mode) || r.Functions && !r.SingleCall {
		t.Errorf("an impossible choice: %+v", r)
	}
	if f := r.Format; f.Type == "" && f != (Format{}) || f.Type == FormatSchema && f.Schema == "" || f.Schema != "" && !isObject(f.Schema) {
		t.Errorf("an impossible format: %+v", f)
	}
	if slices.Contains(r.Stop, "") || len(r.Stop) > maxStops || r.MaxOutput < 0 {
		t.Errorf("an impossible end: %q, %d", r.Stop, r.MaxOutput)
	}
}

func isObject(text string) bool {
	return stdjson.Valid([]byte(text)) && text[0] == '{'
}

// writeTools writes the tools of a request, and what is about them, into the
// body that asks for them.
func writeTools(body map[string]any, r *ChatRequest) {
	body["parallel_tool_calls"], body["stop"] = !r.SingleCall, r.Stop
	if r.MaxOutput > 0 {
		body["max_tokens"] = r.MaxOutput
	}
	list := "tools"
	if r.Functions {
		list = "functions"
	}
	var tools []any
	for _, tool := range r.Tools {
		tools = append(tools, map[string]any{"name": tool.Name, "description": tool.Description, "parameters": rawOrNull(tool.Parameters), "strict": tool.Strict})
	}
	body[list] = tools
	body["tool_choice"] = r.ToolChoice.Mode
	if len(r.ToolChoice.Names) > 0 {
		var named []any
		for _, name := range r.ToolChoice.Names {
			named = append(named, map[string]any{"type": "function", "function": map[string]any{"name": name}})
		}
		body["tool_choice"] = map[string]any{"type": "allowed_tools", "allowed_tools": map[string]any{"mode": r.ToolChoice.Mode, "tools": named}}
	}
	if f := r.Format; f.Type != "" {
		body["response_format"] = map[string]any{"type": f.Type, "name": f.Name, "description": f.Description, "strict": f.Strict, "schema": rawOrNull(f.Schema)}
	}
}

func rawOrNull(text string) jsontext.Value {
	if text == "" {
		text = "null"
	}
	return jsontext.Value(text)
}

// FuzzCall checks that calls in an answer are what the clients read of it, in
// both forms and both modes.
func FuzzCall(f *testing.F) {
	f.Add("call_1", "get_weather", `{"city":"Oslo"}`, uint16(1), "Let me see.", false)
	f.Add("", "\x00\"\\", "\xff\x01\n日本😀\ud7ff", uint16(1), "", true)
	f.Add("a", "b", "\n\u00e9", uint16(maxPiece/3), "x", false)
	f.Fuzz(func(t *testing.T, id, name, arguments string, times uint16, said string, functions bool) {
		// Repeated, so that they need several chunks.
		arguments = strings.Repeat(arguments, min(int(times), 4*maxPiece/max(len(arguments), 1)))
		for _, streamed := range []bool{true, false} {
			got := mustWriteCalls(t, streamed, functions, id, name, arguments, said)
			want := wholeAnswer{Content: string([]rune(said)), Reason: "tool_calls"}
			id, name, arguments := string([]rune(id)), string([]rune(name)), string([]rune(arguments))
			if functions {
				want.Reason = "function_call"
				want.Calls = []ToolCall{{Name: name, Arguments: arguments}}
			} else {
				want.Calls = []ToolCall{{id, name, arguments}, {id + "2", name, arguments}}
			}
			if got.Content != want.Content || got.Reason != want.Reason || !slices.Equal(got.Calls, want.Calls) {
				t.Errorf("streamed %t, functions %t:\n got %.500q\nwant %.500q", streamed, functions, fmt.Sprint(got), fmt.Sprint(want))
			}
		}
	})
}
