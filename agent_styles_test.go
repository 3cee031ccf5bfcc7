package caddyqwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// What the client gets of the styles of models, the call aside.
var (
	// inTime are the styles that make a call that can be used, and the text that is left.
	inTime = map[emulator.Style]string{
		emulator.StylePerfect:       "",
		emulator.StyleChatty:        "Sure, I can do that {no problem}. Is 1 < 2? It is, so here you go:\n\nLet me know if you need anything else!",
		emulator.StyleChinese:       "好的，我马上为您处理。请看：\n以上就是我的操作，请稍等。",
		emulator.StyleLate:          "", // what the site says that it has written
		emulator.StyleFenced:        "",
		emulator.StyleFencedXML:     "",
		emulator.StyleFencedInside:  "",
		emulator.StyleBare:          "",
		emulator.StyleFunctionXML:   "",
		emulator.StyleSingleQuotes:  "",
		emulator.StyleUnclosed:      "",
		emulator.StyleTwoCalls:      "",
		emulator.StyleThinkThenCall: "",
	}
	// atFault are those whose calls cannot be used, with what the client is told if
	// the correction does not help.
	atFault = map[emulator.Style]string{
		emulator.StyleTruncated:  "error tool_call_invalid",
		emulator.StyleWrongName:  "error tool_call_invalid",
		emulator.StyleWrongTypes: "",
		emulator.StyleThinkOnly:  "error upstream_empty",
	}
	// inWords are those that answer in words instead.
	inWords = map[emulator.Style]string{
		emulator.StyleHalfTag:   "I will look that up. <tool_c",
		emulator.StyleIgnores:   "I can answer that without any help: it depends.",
		emulator.StyleAnnounces: "I will call the function get_weather now to find that out.",
		emulator.StyleDefiant:   "", // it depends on what is demanded
	}
)

const (
	osloCall   = `get_weather{"city":"Oslo"} tool_calls`
	unheeded   = "error tool_choice_unsatisfied"
	afterProse = "after much prose"
	cannedText = "This is a canned answer of the emulator. You said: How is the weather?"
)

// wantedOf returns what the client must get of a style, in one line, and in how many
// turns.
func wantedOf(style emulator.Style, choice string, always bool) (want string, turns int) {
	demanded := choice == "required" || choice == "named"
	text, proper := inTime[style]
	fault, wrong := atFault[style]
	words := inWords[style]
	switch {
	case style == emulator.StyleDefiant && (choice == "none" || demanded):
		switch {
		case always:
			return unheeded, 2
		case demanded:
			return `"" ` + osloCall, 2
		}
		return fmt.Sprintf("%q stop", cannedText), 2
	case style == emulator.StyleHalfTag && choice == "none":
		return fmt.Sprintf("%q stop", cannedText+" <tool_c"), 1
	case choice == "none":
		return fmt.Sprintf("%q stop", cannedText), 1
	case style == emulator.StyleDefiant:
		return `"" ` + osloCall, 1
	case style == emulator.StyleTwoCalls && choice == "named" && always:
		return unheeded, 2 // the second one is of another function
	case style == emulator.StyleTwoCalls && choice == "named":
		return `"" ` + osloCall, 2
	case style == emulator.StyleTwoCalls:
		return `"" get_weather{"city":"Oslo"} search{"query":"example"} tool_calls`, 1
	case style == emulator.StyleWrongTypes && always:
		return `"" get_weather{"city":12345} tool_calls`, 2
	case style == emulator.StyleLate:
		return afterProse, 1
	case proper:
		return fmt.Sprintf("%q ", text) + osloCall, 1
	case wrong && always:
		return fault, 2
	case !wrong && !demanded:
		return fmt.Sprintf("%q stop", words), 1
	case !wrong && always:
		return unheeded, 2
	}
	return `"" ` + osloCall, 2
}

// choices4 are the values of tool_choice.
var choices4 = map[string]func(*openai.ChatCompletionNewParams){
	"auto": auto, "required": required, "named": named("get_weather"), "none": none,
}

// TO-03, TO-04, TO-08: however a model writes, the client gets the calls and the
// text, each exactly, or an error that says what is wrong; and the conversation goes
// on in its chat.
func TestAgentStyles(t *testing.T) {
	plan := emulator.Script(emulator.Move{Calls: []emulator.Call{{Name: "get_weather", Arguments: oslo}}})
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, style := range emulator.Styles() {
			t.Run(string(style), func(t *testing.T) {
				_, known := inTime[style]
				_, wrong := atFault[style]
				if _, words := inWords[style]; !known && !wrong && !words {
					t.Fatal("nobody has said what becomes of this style")
				}
				for choice, choose := range choices4 {
					for _, persistence := range []emulator.Persistence{emulator.Once, emulator.Always} {
						g.play(emulator.Agent{Style: style, Persistence: persistence, Plan: plan})
						params := offering("How is the weather?", weather, search)
						choose(&params)
						want, turns := wantedOf(style, choice, persistence == emulator.Always)
						name := fmt.Sprintf("%s, persistence %d", choice, persistence)
						g.checkStyle(t, name, streamed, params, want, turns)
					}
				}
			})
		}
		g.slotsFree()
		if n := len(g.site.Stops()); n != 0 {
			t.Errorf("%d stops of answers that had ended", n)
		}
	})
}

// checkStyle asks, checks the answer, and goes on with the results of its calls.
func (g *gateway) checkStyle(t *testing.T, name string, streamed bool, params openai.ChatCompletionNewParams, want string, turns int) {
	t.Helper()
	before := g.prompts()
	answer := g.complete(t.Context(), streamed, params)
	if written, _, found := strings.Cut(g.since(before)[0].Answer, "<tool_call>"); want == afterProse && found && len(written) > 8<<10 {
		want = fmt.Sprintf("%q ", written) + osloCall
	}
	if got := answer.compact(t); got != want {
		t.Errorf("%s: got %.300s, want %.300s", name, got, want)
	}
	if n := g.prompts() - before; n != turns {
		t.Errorf("%s: %d turns, not %d", name, n, turns)
	}
	oneChat(t, g.since(before))
	if answer.err != nil {
		return
	}
	message := answer.Choices[0].Message
	params.Messages = append(params.Messages, message.ToParam())
	for _, call := range message.ToolCalls {
		params.Messages = append(params.Messages, openai.ToolMessage("20 °C", call.ID))
	}
	if len(message.ToolCalls) == 0 {
		params.Messages = append(params.Messages, openai.UserMessage("And now?"))
	} else {
		auto(&params)
		params.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{}
	}
	next := g.complete(t.Context(), streamed, params)
	if len(message.ToolCalls) > 0 && next.String() != `"The last result is: 20 °C" stop` {
		t.Errorf("%s: then %s", name, next)
	}
	oneChat(t, g.since(before))
	if second := g.since(before + turns)[0]; strings.Contains(second.Content, "<tools>") || strings.Contains(second.Content, "How is the weather") {
		t.Errorf("%s: the next prompt is %q", name, second.Content)
	}
}
