package caddyqwen

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"
)

// Nothing that a client tells a model or a model tells a client gets into the log or into
// an error: not what functions are for, not their arguments and results, not what the
// model is corrected with.
func TestAgentSecrets(t *testing.T) {
	const mark = "canary-of-an-agent"
	secret := function("get_"+mark, "Tells "+mark+"-description", map[string]any{
		"type": "object", "required": []string{mark + "-key"}, "additionalProperties": false,
		"properties": map[string]any{mark + "-key": map[string]any{"type": "string", "description": mark + "-parameter"}},
	})
	form := func(p *openai.ChatCompletionNewParams) {
		p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: mark + "-form", Schema: map[string]any{"type": "object", "required": []string{mark}}, Strict: openai.Bool(true),
		}}
	}
	right, wrong := called("get_"+mark, `{"`+mark+`-key": "`+mark+`"}`), called("get_"+mark, `{"`+mark+`-key": 1, "`+mark+`": 2}`)
	unknown, broken := called(mark, `{}`), "<tool_call>\n{\"name\": \"get_"+mark+"\", \"arguments\": "+mark
	stopAt := func(p *openai.ChatCompletionNewParams) { p.Stop.OfString = openai.String(mark + "-stop") }
	g := mustGateway(t, setup{site: metricsSite})
	var failures []string
	for _, c := range []struct {
		demand  func(*openai.ChatCompletionNewParams)
		answers []string
		want    string
	}{
		{auto, []string{right}, "tool_calls"},
		{stopAt, []string{mark + "-stop"}, "stop"},
		{auto, []string{wrong, right}, "tool_calls"},
		{strict, []string{wrong, wrong}, "tool_call_invalid"},
		{auto, []string{unknown, unknown}, "tool_call_invalid"},
		{auto, []string{broken, broken}, "tool_call_invalid"},
		{required, []string{mark, mark}, "tool_choice_unsatisfied"},
		{none, []string{right, right}, "tool_choice_unsatisfied"},
		{form, []string{mark, mark}, "response_format_unsatisfied"},
		{form, []string{`{"a": "` + mark + `"}`, `{"a": "` + mark + `"}`}, "response_format_unsatisfied"},
		{named("get_" + mark + "-missing"), nil, "400"},
		{badSchema, nil, "400"},
	} {
		for _, streamed := range []bool{false, true} {
			before := g.prompts()
			g.says(11, c.answers...)
			params := offering(secretPrompt, secret)
			params.Messages = append(params.Messages, openai.AssistantMessage(mark+"-earlier"), openai.ToolMessage(mark+"-result", "call_"+mark))
			c.demand(&params)
			answer := g.complete(t.Context(), streamed, params)
			if answer.err != nil {
				failures = append(failures, answer.err.Error())
			}
			if got := answer.String(); !strings.HasSuffix(got, c.want) && (c.want != "400" || !strings.Contains(failures[len(failures)-1], "400")) {
				t.Errorf("%q: got %s, want %s", c.answers, got, c.want)
			}
			// What is left of the answers, because the stream had to end, is for nobody.
			for g.prompts() < before+len(c.answers) {
				g.chat("x", "")
			}
		}
	}
	told := ""
	for _, c := range g.since(0) {
		told += c.Content
	}
	for _, part := range []string{"-description", "-parameter", "-form", "-result", "[Your answer could not be used"} {
		if !strings.Contains(told, part) {
			t.Errorf("the model was not told %s, so that this test proves nothing", part)
		}
	}
	failures = append(failures, g.metrics())
	for _, secret := range []string{mark, secretPrompt, "Your answer could not be used", "<tool_call>", testKey} {
		for _, text := range failures {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in an error: %s", secret, text)
			}
		}
		for line := range strings.Lines(g.logged()) {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in the log: %s", secret, line)
			}
		}
	}
	if !strings.Contains(g.logged(), `"reason":"bad_arguments"`) || !strings.Contains(g.logged(), "response_format_unsatisfied") {
		t.Error("the log does not tell the failures, so that this test proves nothing")
	}
}

// badSchema makes the function one that cannot be offered.
func badSchema(p *openai.ChatCompletionNewParams) {
	p.Tools[0] = strictly(p.Tools[0])
	p.Tools[0].OfFunction.Function.Parameters = map[string]any{"type": "canary-of-an-agent-type"}
}
