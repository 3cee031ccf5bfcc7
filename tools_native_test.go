package caddyqwen

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func native(t *testing.T, test func(t *testing.T, g *gateway, streamed bool)) {
	for _, streamed := range []bool{false, true} {
		t.Run(map[bool]string{false: "whole", true: "streamed"}[streamed], func(t *testing.T) {
			test(t, mustGateway(t, setup{qwen: "tools native"}), streamed)
		})
	}
}

// local is an answer in which the model calls a function that the site has offered it.
func local(steps ...emulator.Step) emulator.Reply {
	return emulator.Stream(append(append([]emulator.Step{emulator.Created()}, steps...), emulator.Finish())...)
}

// The site offers the functions, and tells the calls from the text itself.
func TestToolsNative(t *testing.T) {
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		params := offering("How is the weather?", weather, search)
		g.site.Reply(local(emulator.Answer("Let me see."), emulator.LocalTool("client", "get_weather", map[string]any{"city": "Oslo"})))
		answer := g.complete(t.Context(), streamed, params)
		if got := answer.String(); sameCall(got) != sameCall(`"Let me see." get_weather{"city":"Oslo"} tool_calls`) {
			t.Fatalf("got %s", got)
		}
		first := g.last()
		if first.Content != "How is the weather?" || len(first.LocalTools) != 2 || first.LocalTools[0].Name != "get_weather" {
			t.Errorf("the prompt is %q with %v", first.Content, first.LocalTools)
		}
		// The result goes as text: the site refuses results in the form of its own.
		message := answer.Choices[0].Message
		params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("20 °C", message.ToolCalls[0].ID))
		g.says(5, "Warm.")
		if got := g.complete(t.Context(), streamed, params).String(); got != `"Warm." stop` {
			t.Error(got)
		}
		if second := g.last(); second.ChatID != first.ChatID || !strings.Contains(second.Content, "20 °C") || strings.Contains(second.Content, "<tools>") {
			t.Errorf("the second prompt is %q", second.Content)
		}
	})
}

// Where the site does not take the functions, the request goes on with their description in
// words, and so do those after it.
func TestToolsNativeRefused(t *testing.T) {
	for name, refusal := range map[string]emulator.Reply{
		"failure": emulator.Internal(), "unavailable": emulator.Status(502), "nothing": emulator.EmptyStream(),
	} {
		t.Run(name, func(t *testing.T) {
			native(t, func(t *testing.T, g *gateway, streamed bool) {
				g.site.RefuseLocalTools(refusal)
				for range 2 {
					g.says(5, called("get_weather", oslo))
					params := offering("How is the weather?", weather)
					required(&params)
					if got := g.complete(t.Context(), streamed, params).String(); got != `"" get_weather{"city": "Oslo"} tool_calls` {
						t.Errorf("got %s", got)
					}
				}
				turns := 0
				for _, c := range g.site.Completions() {
					if strings.Contains(c.Content, "<tools>") && strings.Contains(c.Content, "now, in a <tool_call> block") {
						turns++
					}
				}
				if turns != 2 {
					t.Errorf("%d turns described the functions in words", turns)
				}
			})
		})
	}
}

// What the site tells to be a call is checked as well, and a choice enforced.
func TestToolsNativeCorrected(t *testing.T) {
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		params := offering("How is the weather?", weather)
		required(&params)
		g.site.Reply(local(emulator.Answer("It is warm, I think.")))
		g.says(5, called("get_weather", oslo))
		if got := g.complete(t.Context(), streamed, params).String(); got != `"" get_weather{"city": "Oslo"} tool_calls` {
			t.Errorf("got %s", got)
		}
		if c := g.last(); !strings.Contains(c.Content, "<tools>") || len(c.LocalTools) != 0 {
			t.Errorf("the correction is %q", c.Content)
		}
		// Of a form that only those functions have that are told in words, nothing is said before.
		if first := g.site.Completions()[0].Content; !strings.Contains(first, "You must call") || strings.Contains(first, "<tool_call>") {
			t.Errorf("the first prompt is %q", first)
		}
	})
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		g.site.Reply(local(emulator.LocalTool("client", "get_weather", map[string]any{"town": "Oslo"})))
		g.says(5, called("get_weather", oslo))
		if got := g.complete(t.Context(), streamed, offering("How is the weather?", weather)).String(); got != `"" get_weather{"city": "Oslo"} tool_calls` {
			t.Errorf("got %s", got)
		}
	})
}

// A model may make its calls in words all the same: earlier ones and the demand of a call
// stand in words in its chat.
func TestToolsNativeInWords(t *testing.T) {
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, demand := range []func(*openai.ChatCompletionNewParams){auto, required} {
			params := offering("How is the weather?", weather)
			demand(&params)
			turns := len(g.site.Completions())
			g.says(5, called("get_weather", oslo))
			if got := g.complete(t.Context(), streamed, params).String(); got != `"" get_weather{"city": "Oslo"} tool_calls` {
				t.Errorf("got %s", got)
			}
			if n := len(g.site.Completions()) - turns; n != 1 || len(g.last().LocalTools) != 1 {
				t.Errorf("%d turns, the last one with %v", n, g.last().LocalTools)
			}
		}
	})
}

// Large definitions, of which the site makes an empty answer, are not sent to it that way.
func TestToolsNativeTooLarge(t *testing.T) {
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		large := function("large", strings.Repeat("word ", 24_000), map[string]any{"type": "object"})
		g.says(5, called("large", `{}`))
		if got := g.complete(t.Context(), streamed, offering("Hi", large)).String(); got != `"" large{} tool_calls` {
			t.Errorf("got %s", got)
		}
		if c := g.last(); len(c.LocalTools) != 0 {
			t.Error("the site was asked to offer it")
		}
	})
}

// A function may be called like the server as which the functions are declared.
func TestToolsNativeNames(t *testing.T) {
	g := mustGateway(t, setup{qwen: "tools native"})
	for _, name := range []string{"client-a", "a", "client"} {
		g.site.Reply(local(emulator.LocalTool("client", "client-"+name, map[string]any{})))
		if got := g.complete(t.Context(), false, offering("Hi", function(name, "", map[string]any{"type": "object"}))).String(); got != `"" `+name+`{} tool_calls` {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// A prompt that goes along as a file is no obstacle either.
func TestToolsNativeRefusedWithLongPrompt(t *testing.T) {
	g := mustGateway(t, setup{qwen: "tools native\nmax_prompt 5000"})
	g.site.RefuseLocalTools(emulator.Internal())
	g.says(5, called("get_weather", oslo))
	if got := g.complete(t.Context(), false, offering(strings.Repeat("How is it? ", 1000), weather)).String(); got != `"" get_weather{"city": "Oslo"} tool_calls` {
		t.Errorf("got %s", got)
	}
	if c := g.last(); len(c.Files) != 1 || !strings.Contains(c.Content, "<tools>") {
		t.Errorf("%d files beside %q", len(c.Files), c.Content)
	}
}
