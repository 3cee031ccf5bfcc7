package caddyqwen

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const oslo = `{"city": "Oslo"}`

// What the model writes, and what the client gets of it.
func TestToolsAnswered(t *testing.T) {
	call := called("get_weather", oslo)
	cases := []struct {
		name   string
		answer string
		want   string
	}{
		{"TO-08 a call", call, `"" get_weather{"city": "Oslo"} tool_calls`},
		{"TO-09 two calls", call + "\n" + called("search", `{"query":"a"}`), `"" get_weather{"city": "Oslo"} search{"query":"a"} tool_calls`},
		{"TO-09 a call after text", "Let me see.\n" + call, `"Let me see.\n" get_weather{"city": "Oslo"} tool_calls`},
		{"Chinese prose around the call", "好的，我来查。" + call + "请稍等。", `"好的，我来查。请稍等。" get_weather{"city": "Oslo"} tool_calls`},
		{"single quotes", "<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Oslo'}}</tool_call>", `"" get_weather{"city":"Oslo"} tool_calls`},
		{"TO-03 no call", "a < b, {\"name\": 1}, `<tool_call>` and\n```\n" + call + "\n```\nare text.", ""},
		{"half a tag at the end", "It is warm. <tool_c", ""},
	}
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, c := range cases {
			want := cmp.Or(c.want, fmt.Sprintf("%q stop", c.answer))
			for _, n := range []int{1, 7, 1000} {
				g.says(n, c.answer)
				if got := g.complete(t.Context(), streamed, offering("How is the weather?", weather, search)).String(); sameCall(got) != sameCall(want) {
					t.Errorf("%s, in pieces of %d: got %s, want %s", c.name, n, got, want)
				}
			}
		}
	})
}

// sameCall leaves out the spaces, which nobody promises for a call that had to be
// repaired.
func sameCall(s string) string { return strings.ReplaceAll(s, " ", "") }

// TO-01, CN-10: without functions all that looks like a call is text.
func TestToolsNotOffered(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		text := called("get_weather", oslo) + "\n<tool_use><name>a</name></tool_use>"
		for _, n := range []int{1, 1000} {
			g.says(n, text)
			if got, want := g.complete(t.Context(), streamed, offering("Hi")).String(), fmt.Sprintf("%q stop", text); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if _, prompt := g.seen(); prompt != "Hi" {
			t.Errorf("the prompt is %q", prompt)
		}
	})
}

// TO-02: what a function is for reaches the model, with the first turn of a chat only.
func TestToolsReachTheModel(t *testing.T) {
	g := mustGateway(t, setup{})
	params := offering("How is the weather?", weather)
	g.says(5, "Where?", "I see.")
	answer := g.complete(t.Context(), false, params)
	_, prompt := g.seen()
	for _, part := range []string{"get_weather", "Tells the weather of a city.", `"additionalProperties":false`, "How is the weather?"} {
		if !strings.Contains(prompt, part) {
			t.Errorf("TO-02 %q is not in the prompt", part)
		}
	}
	params.Messages = append(params.Messages, answer.Choices[0].Message.ToParam(), openai.UserMessage("In Oslo."))
	g.complete(t.Context(), false, params)
	if _, prompt := g.seen(); prompt != "In Oslo." {
		t.Errorf("the second prompt is %q", prompt)
	}
	if n := g.requested(emulator.EndpointNewChat); n != 1 {
		t.Errorf("%d chats", n)
	}
}

// An answer that is not as demanded is corrected once, in the same chat, and the
// client sees only what is right.
func TestToolsCorrected(t *testing.T) {
	call := called("get_weather", oslo)
	const want = `"" get_weather{"city": "Oslo"} tool_calls`
	cases := []struct {
		name    string
		params  func(*openai.ChatCompletionNewParams)
		answers []string
		want    string
	}{
		{"required, announced", required, []string{"I will call it.", call}, want},
		{"required, never", required, []string{"No.", "No, never."}, "error tool_choice_unsatisfied"},
		{"named, the wrong one", named("get_weather"), []string{called("search", `{"query":"a"}`), call}, want},
		{"named, always the wrong one", named("get_weather"), []string{called("search", `{"query":"a"}`), called("search", `{"query":"a"}`)}, "error tool_choice_unsatisfied"},
		{"none, but called", none, []string{call, "It is warm."}, `"It is warm." stop`},
		{"none, called again", none, []string{call, call}, "error tool_choice_unsatisfied"},
		{"unknown name", auto, []string{called("wether", oslo), call}, want},
		{"unknown name twice", auto, []string{called("wether", oslo), called("wether", oslo)}, "error tool_call_invalid"},
		{"unknown name after text", auto, []string{"Let me see. " + called("wether", oslo), "Sorry.\n" + call}, `"Let me see. " get_weather{"city": "Oslo"} tool_calls`},
		{"unknown name, then words", auto, []string{"Let me see. " + called("wether", oslo), "I cannot."}, `"Let me see. \n\nI cannot." stop`},
		{"cut off inside", auto, []string{`<tool_call>{"name": "get_weather", "arguments": {"city": "Os`, call}, want},
		{"schema", auto, []string{called("get_weather", `{"town": "Oslo"}`), call}, want},
		{"schema twice, not strict", auto, []string{called("get_weather", `{"town": "Oslo"}`), called("get_weather", `{"town": "Oslo"}`)}, `"" get_weather{"town": "Oslo"} tool_calls`},
		{"schema twice, strict", strict, []string{called("get_weather", `{"town": "Oslo"}`), called("get_weather", `{"town": "Oslo"}`)}, "error tool_call_invalid"},
		{"one of two is wrong", auto, []string{call + called("wether", oslo), call + called("search", `{"query":"a"}`)}, `"" get_weather{"city": "Oslo"} search{"query":"a"} tool_calls`},
		{"no object twice, not strict", auto, []string{called("get_weather", `"Oslo"`), called("get_weather", `"Oslo"`)}, "error tool_call_invalid"},
		{"no object twice, required", required, []string{called("get_weather", `[1]`), called("get_weather", `[1]`)}, "error tool_call_invalid"},
		{"no object twice, beside a call", auto, []string{call + called("search", `[1]`), called("search", `[1]`)}, "error tool_call_invalid"},
		{"one at a time, after one that is no call", single, []string{called("wether", oslo) + "\n" + call}, want},
		{"one at a time", single, []string{call + "\n" + called("search", `{"query":"a"}`)}, want},
		{"one at a time, the second one broken", single, []string{call + "<tool_call>{oops</tool_call>"}, want},
	}
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				before, chats, stops := len(g.site.Completions()), g.requested(emulator.EndpointNewChat), len(g.site.Stops())
				g.says(6, c.answers...)
				params := offering("How is the weather?", weather, search)
				c.params(&params)
				if got := g.complete(t.Context(), streamed, params).String(); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				turns, opened := g.site.Completions()[before:], g.requested(emulator.EndpointNewChat)-chats
				if len(turns) != len(c.answers) || opened != 1 {
					t.Fatalf("%d turns in %d chats", len(turns), opened)
				}
				if n := len(turns); n == 2 && (turns[1].ChatID != turns[0].ChatID || len(turns[1].Context) != 1) {
					t.Error("the correction does not follow the answer in its chat")
				}
				if n := len(g.site.Stops()) - stops; n != 0 {
					t.Errorf("%d stops of answers that had ended", n)
				}
				g.slotsFree()
			})
		}
	})
}

func auto(*openai.ChatCompletionNewParams) {}
func required(p *openai.ChatCompletionNewParams) {
	p.ToolChoice.OfAuto = openai.String("required")
}
func none(p *openai.ChatCompletionNewParams)   { p.ToolChoice.OfAuto = openai.String("none") }
func single(p *openai.ChatCompletionNewParams) { p.ParallelToolCalls = openai.Bool(false) }
func strict(p *openai.ChatCompletionNewParams) { p.Tools[0] = strictly(p.Tools[0]) }
func named(name string) func(*openai.ChatCompletionNewParams) {
	return func(p *openai.ChatCompletionNewParams) {
		p.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: name})
	}
}

// A refusal that no second answer helps has a status of its own, and tells SDKs not to repeat
// the request.
func TestToolChoiceUnsatisfied(t *testing.T) {
	g := mustGateway(t, setup{})
	g.says(5, "No.", "No.")
	r := g.chat("Hi", `"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"required"`)
	if r.status != http.StatusBadGateway || r.header.Get("X-Should-Retry") != "false" || r.header.Get("X-Qwen-Error-Class") != "upstream" {
		t.Errorf("status %d, %v: %s", r.status, r.header, r.body)
	}
	if !strings.Contains(g.logged(), `"reason":"no_call"`) {
		t.Error("the log does not tell the reason")
	}
}

// The site may still be ending the answer before when the correction comes: the client cannot
// know of that, so that it is sent once more.
func TestCorrectionOfBusyChat(t *testing.T) {
	call := called("get_weather", oslo)
	for name, c := range map[string]struct {
		then []emulator.Reply
		want string
	}{
		"for a moment": {[]emulator.Reply{emulator.Busy(), emulator.Text(call)}, `"" get_weather{"city": "Oslo"} tool_calls`},
		"for longer":   {[]emulator.Reply{emulator.Busy(), emulator.Busy()}, "error upstream_busy"},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
				g.site.Reply(append([]emulator.Reply{emulator.Text(called("wether", oslo))}, c.then...)...)
				if got := g.complete(t.Context(), streamed, offering("How is the weather?", weather)).String(); got != c.want {
					t.Errorf("got %s", got)
				}
				turns := g.site.Completions()
				if last := turns[len(turns)-1]; len(turns) != 3 || last.ChatID != turns[0].ChatID || last.ParentID != turns[1].ParentID || last.Content != turns[1].Content {
					t.Errorf("%d turns: %+v", len(turns), turns)
				}
				g.slotsFree()
			})
		})
	}
}

// A stop sequence before the call that is required is no end that a client could go on from.
func TestToolChoiceStopped(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.says(5, "I will: call it.")
		params := offering("How is the weather?", weather)
		required(&params)
		params.Stop = openai.ChatCompletionNewParamsStopUnion{OfString: openai.String("will:")}
		if got := g.complete(t.Context(), streamed, params).String(); got != "error tool_choice_unsatisfied" {
			t.Errorf("got %s", got)
		}
		g.slotsFree()
	})
}

// An agent works through 20 rounds in one chat, to which only the new results go.
func TestToolsLoop(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		params := offering("Do all the steps.", weather, search)
		for round := range 20 {
			g.says(9, fmt.Sprintf("Step %d.\n", round)+called("search", fmt.Sprintf(`{"query": "step %d"}`, round)))
			answer := g.complete(t.Context(), streamed, params)
			if answer.err != nil {
				t.Fatal(answer.err)
			}
			if _, prompt := g.seen(); round > 0 {
				if want := fmt.Sprintf("result %d", round-1); !strings.Contains(prompt, want) || strings.Contains(prompt, "steps.") || strings.Count(prompt, "<tool_response") != 1 {
					t.Fatalf("the prompt of round %d is %q", round, prompt)
				}
			}
			message := answer.Choices[0].Message
			if len(message.ToolCalls) != 1 {
				t.Fatalf("round %d: %s", round, answer)
			}
			params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage(fmt.Sprintf("result %d", round), message.ToolCalls[0].ID))
		}
		if n := g.requested(emulator.EndpointNewChat); n != 1 {
			t.Errorf("%d chats", n)
		}
		if context, _ := g.seen(); len(context) != 19 {
			t.Errorf("the last round knows %d earlier ones", len(context))
		}
	})
}

// After a correction the conversation goes on behind the corrected answer.
func TestToolsLoopAfterCorrection(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		params := offering("How is the weather?", weather)
		g.says(9, called("wether", oslo), called("get_weather", oslo), "Warm.")
		message := g.complete(t.Context(), streamed, params).Choices[0].Message
		params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("20 °C", message.ToolCalls[0].ID))
		if got := g.complete(t.Context(), streamed, params).String(); got != `"Warm." stop` {
			t.Error(got)
		}
		if context, _ := g.seen(); len(context) != 2 || g.requested(emulator.EndpointNewChat) != 1 {
			t.Errorf("%d turns are known in %d chats", len(context), g.requested(emulator.EndpointNewChat))
		}
	})
}
