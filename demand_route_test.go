package caddyqwen

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// A schema that no answer can be checked against is refused before anything is sent, and
// the error names the field in which the client has sent it.
func TestWrongSchemas(t *testing.T) {
	g := mustGateway(t, setup{})
	for name, c := range map[string]struct{ fields, param, message string }{
		"SO-04 format": {`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"objekt"}}}`,
			"response_format.json_schema.schema", "cannot be used: the schema is wrong at /type"},
		"SO-04 format, flat": {`"response_format":{"type":"json_schema","schema":{"type":"objekt"}}`,
			"response_format.schema", "cannot be used: the schema is wrong at /type"},
		"SO-04 schema of any object": {`"response_format":{"type":"json_object","schema":{"type":"string"}}`,
			"response_format.schema", "must describe an object or an array."},
		"TO-06 strict tool": {`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"objekt"}}}]`,
			"tools[0].function.parameters", "as strict demands: the schema is wrong at /type"},
		"TO-06 strict tool, flat": {`"tools":[{"name":"f","strict":true,"parameters":{"type":"objekt"}}]`,
			"tools[0].parameters", "as strict demands: the schema is wrong at /type"},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.chat("Hello!", c.fields)
			if r.status != 400 || !strings.Contains(r.body, `"param":"`+c.param+`"`) || !strings.Contains(r.body, `"message":"`+c.param+" ") ||
				!strings.Contains(r.body, c.message) || !strings.Contains(r.body, `.","type"`) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	if n := len(g.site.Completions()); n != 0 {
		t.Errorf("%d prompts were sent", n)
	}
}

// A model that has only thought about what is demanded of it is told so once.
func TestOnlyThought(t *testing.T) {
	thought := emulator.Stream(emulator.Created(), emulator.Think("I should answer."), emulator.ThinkDone(), emulator.Finish())
	const ada = `{"name": "Ada", "age": 36}`
	for name, c := range map[string]struct {
		demand      func(*openai.ChatCompletionNewParams)
		second      emulator.Reply
		told, want  string
		corrections int
	}{
		"a call": {required, emulator.Text(called("get_weather", oslo)), "what you think is not part of it", `"" get_weather{"city": "Oslo"} tool_calls`, 1},
		"JSON": {func(p *openai.ChatCompletionNewParams) { p.Tools = nil; asPerson(p) },
			emulator.Text(ada), "it has no JSON object", wanted(ada), 1},
		"JSON, never": {func(p *openai.ChatCompletionNewParams) { p.Tools = nil; asPerson(p) },
			thought, "it has no JSON object", "error upstream_empty", 1},
		"text": {func(p *openai.ChatCompletionNewParams) { p.Tools, p.MaxTokens = nil, openai.Int(500) }, thought, "", "error upstream_empty", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
				g.site.Reply(thought, c.second)
				params := offering("Who is it?", weather)
				c.demand(&params)
				if got := g.complete(t.Context(), streamed, params).String(); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				turns := g.site.Completions()
				if len(turns) != 1+c.corrections || !strings.Contains(turns[len(turns)-1].Content, c.told) {
					t.Errorf("%d turns, the last one %q", len(turns), turns[len(turns)-1].Content)
				}
				g.slotsFree()
			})
		})
	}
}
