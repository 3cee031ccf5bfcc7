package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// lastCompletion returns what the site saw of the newest chat.
func (g *gateway) lastCompletion(t testing.TB) emulator.Completion {
	t.Helper()
	list := g.site.Completions()
	if len(list) == 0 {
		t.Fatal("the site saw no completion")
	}
	return list[len(list)-1]
}

// chatWith sends a chat request for a model with further fields.
func (g *gateway) chatWith(model, fields string) reply {
	if fields != "" {
		fields = "," + fields
	}
	return g.do(http.MethodPost, chatPath, fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Hi"}]%s}`, model, fields))
}

// The ways in which a model can be asked to think, as the site sees them.
var (
	fast      = emulator.Feature{ThinkingMode: "Fast"}
	thinks    = emulator.Feature{ThinkingEnabled: true, ThinkingMode: "Thinking", ThinkingFormat: "summary"}
	automatic = emulator.Feature{ThinkingEnabled: true, AutoThinking: true, ThinkingMode: "Auto", ThinkingFormat: "summary"}
)

func withBudget(f emulator.Feature, tokens int) emulator.Feature {
	f.ThinkingBudget = tokens
	return f
}

// checkFeature compares what the site saw of thinking.
func checkFeature(t testing.TB, got, want emulator.Feature) {
	t.Helper()
	want.OutputSchema, want.ResearchMode = "phase", "normal"
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the site saw %+v, want %+v", got, want)
	}
}

// TestThinkingSwitches sends the switches of all clients.
func TestThinkingSwitches(t *testing.T) {
	g := mustGateway(t, setup{})
	tests := []struct {
		name, fields string
		want         emulator.Feature
	}{
		{"RE-06 none", ``, fast},
		{"RE-07 enable_thinking", `"enable_thinking":true`, thinks},
		{"RE-06 RE-07 enable_thinking off", `"enable_thinking":false`, fast},
		{"RE-07 chat_template_kwargs", `"chat_template_kwargs":{"enable_thinking":true}`, thinks},
		{"RE-06 RE-07 chat_template_kwargs off", `"chat_template_kwargs":{"enable_thinking":false}`, fast},
		{"RE-07 thinking.type enabled", `"thinking":{"type":"enabled"}`, thinks},
		{"RE-07 thinking.type adaptive", `"thinking":{"type":"adaptive"}`, automatic},
		{"RE-06 RE-07 thinking.type disabled", `"thinking":{"type":"disabled"}`, fast},
		{"RE-07 reasoning_effort low", `"reasoning_effort":"low"`, thinks},
		{"RE-07 reasoning_effort medium", `"reasoning_effort":"medium"`, thinks},
		{"RE-07 reasoning_effort high", `"reasoning_effort":"high"`, thinks},
		{"RE-07 reasoning_effort auto", `"reasoning_effort":"auto"`, automatic},
		{"RE-06 RE-07 reasoning_effort none", `"reasoning_effort":"none"`, fast},
		{"RE-06 RE-07 reasoning_effort minimal", `"reasoning_effort":"minimal"`, fast},
		{"RE-07 reasoning.effort", `"reasoning":{"effort":"high"}`, thinks},
		{"RE-06 RE-07 reasoning.effort none", `"reasoning":{"effort":"none"}`, fast},
		{"RE-07 the most explicit one decides", `"reasoning_effort":"high","enable_thinking":false`, fast},
		{"RE-08 thinking_budget", `"enable_thinking":true,"thinking_budget":4096`, withBudget(thinks, 4096)},
		{"RE-08 thinking_budget alone", `"thinking_budget":4096`, withBudget(thinks, 4096)},
		{"RE-08 in chat_template_kwargs", `"chat_template_kwargs":{"enable_thinking":true,"thinking_budget":2048}`, withBudget(thinks, 2048)},
		{"RE-08 thinking.budget_tokens", `"thinking":{"type":"enabled","budget_tokens":1024}`, withBudget(thinks, 1024)},
		{"RE-08 at most what the model takes", `"enable_thinking":true,"thinking_budget":1000000`, withBudget(thinks, 81920)},
		{"RE-08 not without thinking", `"enable_thinking":false,"thinking_budget":4096`, fast},
	}
	for _, tt := range tests {
		for _, mode := range []string{"", `"stream":true`} {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				fields := strings.Trim(tt.fields+","+mode, ",")
				r := g.chatWith("qwen3.7-plus", fields)
				if r.status != http.StatusOK {
					t.Fatalf("%d %s", r.status, r.body)
				}
				checkFeature(t, g.lastCompletion(t).Feature, tt.want)
				if got := strings.Contains(r.body, `"reasoning_content":"`); got != tt.want.ThinkingEnabled {
					t.Errorf("RE-01 RE-06: reasoning in the answer: %t", got)
				}
				if ignored := r.header.Get("X-Qwen-Ignored-Params"); ignored != "" {
					t.Errorf("X-Qwen-Ignored-Params is %q", ignored)
				}
			})
		}
	}
}

// TestThinkingWire checks what the site's protocol leaves out when thinking is
// off, which no decoded value shows.
func TestThinkingWire(t *testing.T) {
	g := mustGateway(t, setup{})
	tests := []struct{ name, fields, want string }{
		{"RE-06 off", `"enable_thinking":false`,
			`{"thinking_enabled":false,"output_schema":"phase","research_mode":"normal","auto_thinking":false,"thinking_mode":"Fast","auto_search":false}`},
		{"RE-08 with a budget", `"thinking_budget":512`,
			`{"thinking_enabled":true,"output_schema":"phase","research_mode":"normal","auto_thinking":false,"thinking_mode":"Thinking","thinking_format":"summary","thinking_budget":512,"auto_search":false}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mustCompletion(t, g.chatWith("qwen3.7-plus", tt.fields))
			var body struct {
				Messages []struct {
					Feature json.RawMessage `json:"feature_config"`
				} `json:"messages"`
			}
			if err := json.Unmarshal(g.lastCompletion(t).Body, &body); err != nil {
				t.Fatal(err)
			}
			if got := string(body.Messages[0].Feature); got != tt.want {
				t.Errorf("feature_config is\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestThinkingModels combines the wishes of requests with the abilities of
// models and the endings of their names.
func TestThinkingModels(t *testing.T) {
	g := mustGateway(t, setup{qwen: "model_alias mine qwen3.7-plus"})
	const on, off, param = `"enable_thinking":true`, `"enable_thinking":false`, "enable_thinking"
	tests := []struct {
		name, model, fields string
		want                emulator.Feature
		site, ignored       string
	}{
		{"suffix -thinking", "qwen3.7-plus-thinking", "", thinks, "qwen3.7-plus", ""},
		{"suffix -thinking with a budget", "qwen3.7-plus-thinking", `"thinking_budget":99`, withBudget(thinks, 99), "qwen3.7-plus", ""},
		{"suffix -thinking and the same wish", "qwen3.7-plus-thinking", on, thinks, "qwen3.7-plus", ""},
		{"suffix -thinking against the request", "qwen3.7-plus-thinking", off, thinks, "qwen3.7-plus", param},
		{"suffix -fast against the request", "qwen3.7-plus-fast", on, fast, "qwen3.7-plus", param},
		{"suffix -fast", "qwen3.7-plus-fast", "", fast, "qwen3.7-plus", ""},
		{"suffix -fast and the same wish", "qwen3.7-plus-fast", off, fast, "qwen3.7-plus", ""},
		{"suffix of an alias", "mine-thinking", "", thinks, "qwen3.7-plus", ""},
		{"suffix of a built-in alias", "gpt-4-thinking", "", thinks, "qwen3.7-plus", ""},
		{"RE-07 a model that always thinks", "qwen3.8-max", "", thinks, "qwen3.8-max", ""},
		{"RE-07 it, switched on", "qwen3.8-max", on, thinks, "qwen3.8-max", ""},
		{"RE-07 it, switched off", "qwen3.8-max", off, thinks, "qwen3.8-max", param},
		{"RE-07 it, with -fast", "qwen3.8-max-fast", "", thinks, "qwen3.8-max", param},
		{"RE-06 a model without thinking", "qwen3.5-flash", "", fast, "qwen3.5-flash", ""},
		{"RE-06 it, switched off", "qwen3.5-flash", off, fast, "qwen3.5-flash", ""},
		{"RE-06 it, switched on", "qwen3.5-flash", on, fast, "qwen3.5-flash", param},
		{"RE-06 it, with -thinking", "qwen3.5-flash-thinking", "", fast, "qwen3.5-flash", param},
		{"RE-08 a smaller limit", "qwen3.7-max", `"thinking_budget":81921`, withBudget(thinks, 81920), "qwen3.7-max", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := g.chatWith(tt.model, tt.fields)
			c := mustCompletion(t, r)
			seen := g.lastCompletion(t)
			checkFeature(t, seen.Feature, tt.want)
			if seen.Model != tt.site || c.Model != tt.site {
				t.Errorf("the site saw %q, the answer says %q, want %q", seen.Model, c.Model, tt.site)
			}
			if got := r.header.Get("X-Qwen-Ignored-Params"); got != tt.ignored {
				t.Errorf("X-Qwen-Ignored-Params is %q, want %q", got, tt.ignored)
			}
		})
	}
}

// TestThinkingText checks how reasoning arrives.
func TestThinkingText(t *testing.T) {
	g := mustGateway(t, setup{})
	long := strings.Repeat("世界 🌍! \"", 8000)
	one, two := []string{"First"}, []string{"First", "Second"}
	tests := []struct {
		name      string
		steps     []emulator.Step
		reasoning string
	}{
		{"RE-01 as text", []emulator.Step{
			emulator.Think("Let me "), emulator.Think("see.\n"), emulator.ThinkDone(),
		}, "Let me see.\n"},
		{"RE-01 as snapshots that grow", []emulator.Step{
			emulator.Summary(one, []string{"I lo"}), emulator.Summary(one, []string{"I look."}), emulator.Summary(one, []string{"I look."}),
			emulator.Summary(two, []string{"I look.", "I see 世界."}), emulator.SummaryDone(),
		}, "First\n\nI look.\n\nSecond\n\nI see 世界."},
		{"RE-01 with a tool between", []emulator.Step{
			emulator.Summary(one, []string{"I look."}), emulator.SummaryDone(), emulator.WebSearch("q", 0),
			emulator.Summary([]string{"Again"}, []string{"I read."}), emulator.SummaryDone(),
		}, "First\n\nI look.\n\nAgain\n\nI read."},
		{"RE-01 of another candidate", []emulator.Step{
			emulator.Think("Mine."), emulator.Candidate(1, emulator.Think("Not mine.")), emulator.ThinkDone(),
		}, "Mine."},
		{"RE-01 ST-04 long", []emulator.Step{emulator.Think(long), emulator.Think(long), emulator.ThinkDone()}, long + long},
		{"RE-01 ST-11 a surrogate pair in two frames", []emulator.Step{
			emulator.Frame(`{"choices":[{"delta":{"content":"a\ud83c","phase":"think","status":"typing"}}]}`),
			emulator.Frame(`{"choices":[{"delta":{"content":"\udf0db","phase":"think","status":"typing"}}]}`), emulator.ThinkDone(),
		}, "a🌍b"},
		{"RE-02 none", nil, ""},
		{"RE-02 empty", []emulator.Step{emulator.Think(""), emulator.ThinkDone(), emulator.Summary(nil, nil), emulator.SummaryDone()}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps := append([]emulator.Step{emulator.Created()}, tt.steps...)
			script := emulator.Stream(append(steps, emulator.Answer("Text "), emulator.Answer("only."), emulator.Finish())...)
			g.site.Reply(script, script)
			if s := g.stream(t, "Hi", `"enable_thinking":true`); s.reasoning != tt.reasoning || s.text != "Text only." {
				t.Errorf("streamed %q, %q", s.reasoning, s.text)
			}
			r := g.chat("Hi", `"enable_thinking":true`)
			m := mustCompletion(t, r).Choices[0].Message
			if *m.Content != "Text only." || strings.Contains(r.body, "reasoning_content") != (tt.reasoning != "") {
				t.Errorf("not streamed: %s", r.body)
			}
			if m.Reasoning != nil && *m.Reasoning != tt.reasoning {
				t.Errorf("not streamed %q, want %q", *m.Reasoning, tt.reasoning)
			}
		})
	}
}

// TestThinkingLate has the site think again after it has begun to answer.
func TestThinkingLate(t *testing.T) {
	g := mustGateway(t, setup{})
	again := map[string][]emulator.Step{
		"as text":     {emulator.Think("Again."), emulator.ThinkDone()},
		"as snapshot": {emulator.Summary([]string{"Again"}, []string{"Once more."}), emulator.SummaryDone()},
	}
	for name, steps := range again {
		t.Run("RE-03 "+name, func(t *testing.T) {
			all := []emulator.Step{emulator.Created(), emulator.Think("First."), emulator.ThinkDone(), emulator.Answer("One")}
			all = append(all, steps...)
			script := emulator.Stream(append(all, emulator.Answer(" two"), emulator.Finish())...)
			g.site.Reply(script)
			// That reasoning comes first is checked where the stream is read.
			if s := g.stream(t, "Hi", `"enable_thinking":true`); s.text != "One two" || !strings.HasPrefix(s.reasoning, "First.") {
				t.Errorf("streamed %q, %q", s.reasoning, s.text)
			}
		})
	}
}

// TestThinkingArrives checks that reasoning is not held back, in either form,
// and that pieces of both kinds that come at once are kept apart.
func TestThinkingArrives(t *testing.T) {
	g := mustGateway(t, setup{})
	gates := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	g.site.Reply(emulator.Stream(emulator.Created(),
		emulator.Summary([]string{"Title"}, nil), emulator.Wait(gates[0]),
		emulator.Summary([]string{"Title"}, []string{"Thought"}), emulator.Wait(gates[1]),
		emulator.Joined(emulator.Summary([]string{"Title"}, []string{"Thought, and more"}), emulator.SummaryDone(), emulator.Answer("Te"), emulator.Answer("xt")),
		emulator.Wait(gates[2]), emulator.Finish()))
	t.Run("ST-14 RE-03 RE-04", func(t *testing.T) {
		s := wires[0].mustOpen(t, g, chatBody("Hi", `"stream":true,"enable_thinking":true`), false)
		start := s.until(`{"reasoning_content":"Title"}`)
		close(gates[0])
		start += s.until(`{"reasoning_content":"\n\nThought"}`)
		close(gates[1])
		start += s.until(`{"reasoning_content":", and more"}`)
		start += s.until(`xt"}`)
		close(gates[2])
		if got := readStream(t, start+s.rest()); got.reasoning != "Title\n\nThought, and more" || got.text != "Text" {
			t.Errorf("got %+v", got)
		}
	})
}
