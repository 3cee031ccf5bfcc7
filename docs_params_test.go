package caddyqwen

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// paramValues are values that ask for something else than the default.
var paramValues = map[string]string{
	"model": `"qwen"`, "messages": `[{"role":"user","content":"Hi"}]`, "stream": `true`, "stream_options": `{"include_usage":true}`,
	"enable_thinking": `true`, "thinking_budget": `5`, "reasoning_effort": `"low"`, "thinking": `{"type":"enabled"}`, "reasoning": `{"effort":"low"}`,
	"chat_template_kwargs": `{"enable_thinking":true}`, "tools": `[{"name":"f"}]`, "tool_choice": `"none"`, "parallel_tool_calls": `false`,
	"functions": `[{"name":"f"}]`, "function_call": `"none"`, "response_format": `{"type":"json_object"}`, "stop": `"a"`,
	"max_tokens": `5`, "max_completion_tokens": `5`, "n": `2`, "logprobs": `true`, "top_logprobs": `3`,
	"temperature": `0.2`, "top_p": `0.5`, "seed": `1`, "presence_penalty": `1`, "frequency_penalty": `1`, "logit_bias": `{"5":1}`,
	"verbosity": `"low"`, "modalities": `["audio"]`, "enable_search": `true`,
}

// TestDocsParameters checks that the tables of parameters say which ones have an
// effect, which are refused and which are ignored, as the parser does.
func TestDocsParameters(t *testing.T) {
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		seen := make(map[string]bool)
		for _, row := range mustParamRows(t, name) {
			for _, param := range row {
				seen[param] = true
				want := "has an effect"
				switch row[0] {
				case "n":
					want = "is refused"
				case "temperature":
					want = "is ignored"
				}
				if got := mustTryParam(t, param); got != want {
					t.Errorf("%s: %s %s, and the table says that it %s", name, param, got, want)
				}
			}
		}
		for param := range paramValues {
			if !seen[param] {
				t.Errorf("%s does not name %s", name, param)
			}
		}
	}
}

// mustParamRows returns the names in the first column of the table of parameters.
func mustParamRows(t *testing.T, file string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([a-z_]+)`")
	_, table, _ := strings.Cut(string(text), "\n| `model`")
	table, _, _ = strings.Cut("| `model`"+table, "\n\n")
	for line := range strings.Lines(table) {
		var row []string
		for _, match := range quoted.FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			row = append(row, match[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// mustTryParam tells what comes of a parameter.
func mustTryParam(t *testing.T, name string) string {
	t.Helper()
	value, known := paramValues[name]
	if !known {
		t.Fatalf("there is no value for %s", name)
	}
	body := `{"model":"qwen",` + paramOnce("messages", name) + `"` + name + `":` + value + `}`
	if name == "model" {
		body = strings.Replace(body, `"model":"qwen",`, "", 1)
	}
	r, err := openai.ParseChat([]byte(body), openai.Limits{})
	switch {
	case err != nil && strings.Contains(err.Error(), "unsupported_parameter"):
		return "is refused"
	case err != nil:
		t.Fatal(err)
	case slices.Contains(r.Ignored, name):
		return "is ignored"
	}
	return "has an effect"
}

// paramOnce returns a field that is needed, unless it is tried itself.
func paramOnce(needed, tried string) string {
	if needed == tried {
		return ""
	}
	return `"` + needed + `":` + paramValues[needed] + `,`
}
