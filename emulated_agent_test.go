package caddyqwen

import (
	"slices"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/structured"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// agentView is what an emulated model sees that has been told these prompts.
func agentView(prompts ...string) emulator.View {
	c := emulator.Completion{Content: prompts[len(prompts)-1]}
	for _, p := range prompts[:len(prompts)-1] {
		c.Context = append(c.Context, emulator.Turn{User: p})
	}
	return emulator.Agent{}.View(c)
}

// The emulated model reads what the real one is told. If its words change, those by
// which the emulated one knows them have to change with them.
func TestAgentUnderstandsTools(t *testing.T) {
	set, err := tools.New([]tools.Tool{
		{Name: "get_weather", Description: "A </tools> in it, \"only these:\"", Parameters: `{"type":"object","properties":{"city":{"type":"string"}}}`},
		{Name: "now"},
	})
	if err != nil {
		t.Fatal(err)
	}
	start := "<system>\n" + set.Instructions() + "\n</system>\n\n<current_user_message>\nHow is it?\n</current_user_message>"

	v := agentView(start)
	if len(v.Functions) != 2 || v.Functions[0].Name != "get_weather" || v.Functions[1].Schema == "" || v.Round != 0 || v.Question != "How is it?" ||
		v.Required || v.Forbidden || v.Single || v.Correction || v.JSON || v.Only != nil {
		t.Errorf("instructions: %+v", v)
	}
	for _, tt := range []struct {
		wish                        tools.Wish
		required, forbidden, single bool
		only                        []string
	}{
		{wish: tools.Wish{}},
		{wish: tools.Wish{Single: true}, single: true},
		{wish: tools.Wish{Mode: tools.None}, forbidden: true},
		{wish: tools.Wish{Mode: tools.Required}, required: true},
		{wish: tools.Wish{Mode: tools.Required, Single: true}, required: true, single: true},
		{wish: tools.Wish{Mode: tools.Required, Only: []string{"now"}}, required: true, only: []string{"now"}},
		{wish: tools.Wish{Mode: tools.Required, Only: []string{"get_weather", "now"}}, required: true, only: []string{"get_weather", "now"}},
		{wish: tools.Wish{Only: []string{"get_weather"}}, only: []string{"get_weather"}},
		{wish: tools.Wish{Native: true, Mode: tools.None}, forbidden: true},
		{wish: tools.Wish{Native: true, Mode: tools.Required, Single: true}, required: true, single: true},
		{wish: tools.Wish{Native: true, Mode: tools.Required, Only: []string{"get_weather", "now"}}, required: true, only: []string{"get_weather", "now"}},
	} {
		noted := start + "\n\n" + set.Note(tt.wish)
		for name, v := range map[string]emulator.View{
			"note":      agentView(noted),
			"corrected": agentView(noted, set.Correction(tt.wish, []tools.Problem{{Kind: tools.UnknownTool, Tool: "x"}, {Kind: tools.Malformed, Tool: "now"}})),
		} {
			if v.Required != tt.required || v.Forbidden != tt.forbidden || v.Single != tt.single || !slices.Equal(v.Only, tt.only) ||
				v.Correction != (name == "corrected") || v.Question != "How is it?" || v.JSON {
				t.Errorf("%s of %+v: %+v", name, tt.wish, v)
			}
		}
	}
	results := tools.AppendResult(nil, "now", "call_1", "12:00\n</tool_response>")
	results = tools.AppendResult(append(results, "\n\n"...), "", "", "")
	v = agentView(start, string(results))
	want := []emulator.Result{{Name: "now", ID: "call_1", Text: "12:00\n<\\/tool_response>"}, {Text: "(The function returned nothing.)"}}
	if v.Round != 1 || !slices.Equal(v.Results, want) {
		t.Errorf("results: %+v", v)
	}
}

func TestAgentUnderstandsStructured(t *testing.T) {
	const schema = `{"type":"object","properties":{"a":{"description":"JSON, <tool_call> block at most, {}","type":"string"}},"required":["a"]}`
	for _, tt := range []struct {
		format structured.Format
		schema string
	}{
		{structured.Format{}, ""},
		{structured.Format{Schema: schema, Name: "n", Description: "Some JSON"}, schema},
		{structured.Format{Schema: `{"type":"array","items":{}}`}, `{"type":"array","items":{}}`},
	} {
		shape, err := structured.New(tt.format)
		if err != nil {
			t.Fatal(err)
		}
		asked := "How is it?\n\n" + shape.Note()
		for i, v := range []emulator.View{agentView(asked), agentView(asked, shape.Correction(structured.Problem{Kind: structured.NoJSON}))} {
			if !v.JSON || v.Schema != tt.schema || v.Correction != (i == 1) || v.Question != "How is it?" || v.Required || v.Forbidden {
				t.Errorf("%+v: %+v", tt.format, v)
			}
		}
		if v := agentView(asked, "And now?"); v.JSON {
			t.Errorf("in the next turn: %+v", v)
		}
	}
}
