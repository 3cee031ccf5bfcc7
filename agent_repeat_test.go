package caddyqwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// What is right in the first answer is not lost and not doubled, however the model
// writes it the second time.
func TestAgentCorrectionRepeats(t *testing.T) {
	unknown := called("wether", oslo)
	right, spaced := called("search", `{"query": "a", "most": [1, 2]}`), called("search", `{"most":[1,2], "query":"\u0061"}`)
	const found = `search{"query":"a","most":[1,2]}`
	for _, c := range []struct {
		name    string
		params  func(*openai.ChatCompletionNewParams)
		answers []string
		want    string
	}{
		{"only the wrong one again", auto, []string{right + unknown, called("get_weather", oslo)}, `"" ` + found + ` ` + osloCall},
		{"both again", auto, []string{right + unknown, right + called("get_weather", oslo)}, `"" ` + found + ` ` + osloCall},
		{"both again, written otherwise", auto, []string{right + unknown, spaced + called("get_weather", oslo)}, `"" ` + found + ` ` + osloCall},
		{"the other order", auto, []string{unknown + right, called("get_weather", oslo) + spaced}, `"" ` + found + ` ` + osloCall},
		{"the same call twice is meant", auto, []string{right + right}, `"" ` + found + ` ` + found + ` tool_calls`},
		{"nothing but the right one", auto, []string{unknown + right, "I cannot."}, `"" ` + found + ` tool_calls`},
		{"another call, not the same", auto, []string{right + unknown, called("search", `{"query": "a", "most": [2, 1]}`)}, `"" ` + found + ` search{"query":"a","most":[2,1]} tool_calls`},
		{"another function, the same arguments", auto, []string{called("search", `{"query":"a","n":1}`) + unknown, called("step", `{"query":"a","n":1}`)},
			`"" search{"query":"a","n":1} step{"query":"a","n":1} tool_calls`},
		{"large numbers that are not the same", auto, []string{called("search", `{"query":"a","id":9007199254740993}`) + unknown, called("search", `{"query":"a","id":9007199254740992}`)},
			`"" search{"query":"a","id":9007199254740993} search{"query":"a","id":9007199254740992} tool_calls`},
		{"one at a time, and that is right", single, []string{unknown + right}, `"" ` + found + ` tool_calls`},
		{"one at a time, and none is right", single, []string{unknown + unknown, called("get_weather", oslo) + right}, `"" ` + osloCall},
	} {
		bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
			g.says(7, c.answers...)
			params := offering("How is the weather?", weather, search, stepTool)
			c.params(&params)
			if got := g.complete(t.Context(), streamed, params).compact(t); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
			if n := g.prompts(); n != len(c.answers) {
				t.Errorf("%s: %d prompts", c.name, n)
			}
		})
	}
}

// A call that cannot be used is not dropped because a stop sequence or the limit of
// tokens comes after it, nor is an answer without the JSON that was demanded taken for
// one.
func TestAgentCutOffWrong(t *testing.T) {
	unknown := called("wether", oslo)
	g := mustGateway(t, setup{})
	for _, c := range []struct{ name, answer, fields, want string }{
		{"a call of an unknown function", unknown + "\nStop", `"stop":"Stop",` + weatherFields, "tool_call_invalid"},
		{"a call that violates the schema", called("get_weather", `{"town": "Oslo"}`) + "Stop", `"stop":"Stop",` + strings.Replace(weatherFields, `"name"`, `"strict":true,"name"`, 1), "tool_call_invalid"},
		{"the same, and the limit of tokens", unknown + " and so on and on and on", `"max_tokens":25,` + weatherFields, "tool_call_invalid"},
		{"no call where one is demanded", "I think. Stop", `"stop":"Stop","tool_choice":"required",` + weatherFields, "tool_choice_unsatisfied"},
		{"a call where none is allowed", called("get_weather", oslo) + "Stop", `"stop":"Stop","tool_choice":"none",` + weatherFields, "tool_choice_unsatisfied"},
		{"no JSON", "I think. Stop", `"stop":"Stop","response_format":{"type":"json_object"}`, "response_format_unsatisfied"},
	} {
		for _, isStream := range []bool{false, true} {
			g.counted(c.answer, 3)
			r := g.chat("How is it?", fmt.Sprintf(`"stream":%t,%s`, isStream, c.fields))
			if !strings.Contains(r.body, `"code":"`+c.want+`"`) || strings.Contains(r.body, `"finish_reason":"`) || !isStream && r.status != 502 {
				t.Errorf("%s, streamed %t: status %d: %s", c.name, isStream, r.status, r.body)
			}
			g.slotsFree()
		}
	}
	if n := len(g.site.Stops()); n != 12 {
		t.Errorf("the site was told %d times to stop", n)
	}
}

// The same holds where the site itself has cut the answer off: half a call is told by
// finish_reason, a whole one has to be right, and nothing is corrected.
func TestAgentCutOffBySite(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, c := range []struct{ answer, want string }{
			{called("wether", oslo) + " And", "error tool_call_invalid"},
			{"See. " + called("get_weather", oslo) + "<tool_call>\n{\"name\": \"get_w", `"See. " get_weather{"city":"Oslo"} length`},
			{"See. <tool_call>\n{\"name\": \"wether\", \"argu", `"See. " length`},
			{called("get_weather", `{"town":"Oslo"}`), `"" get_weather{"town":"Oslo"} length`},
		} {
			before := g.prompts()
			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(c.answer), emulator.FinishWith("answer", "length")))
			if got := g.complete(t.Context(), streamed, offering("How is it?", weather)).compact(t); got != c.want {
				t.Errorf("%q: got %s, want %s", c.answer, got, c.want)
			}
			if n := g.prompts() - before; n != 1 {
				t.Errorf("%q: %d prompts", c.answer, n)
			}
		}
	})
}

// A conversation goes on after text whose call had to be corrected, and after an answer
// that could not be.
func TestAgentGoesOnAfterCorrection(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		a := g.stepping(streamed)
		g.says(6, "Let me see. "+called("stop", `{"n": 1}`), "Sorry, I meant:\n"+called("step", `{"n": 1}`))
		if got := a.step().compact(t); got != `"Let me see. " step{"n":1} tool_calls` {
			t.Errorf("got %s", got)
		}
		g.says(6, "Now. "+called("stop", `{"n": 2}`), "I cannot do that.")
		if got := a.step().String(); got != `"Now. \n\nI cannot do that." stop` {
			t.Errorf("got %s", got)
		}
		a.say("Why?")
		g.says(6, called("stop", `{}`), called("stop", `{}`))
		if got := g.complete(t.Context(), streamed, a.params).String(); got != "error tool_call_invalid" {
			t.Errorf("got %s", got)
		}
		before := g.prompts()
		g.says(6, "Because.")
		a.step()
		c := g.since(before)[0]
		if c.ChatID != g.since(0)[0].ChatID || len(c.Context) != 4 || c.Content != "Why?" {
			t.Errorf("the model knows %d turns and got %q", len(c.Context), c.Content)
		}
	})
}

// A loop that began elsewhere is told as if it had been here, and goes on in one chat.
func TestAgentForeignHistory(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.play(emulator.Agent{Plan: emulator.Loop("step", 5)})
		a := g.stepping(streamed)
		for i := range 3 {
			id := fmt.Sprintf("toolu_%d", i)
			a.params.Messages = append(a.params.Messages, openai.ChatCompletionMessageParamUnion{OfAssistant: &openai.ChatCompletionAssistantMessageParam{
				ToolCalls: []openai.ChatCompletionMessageToolCallUnionParam{{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID: id, Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "step", Arguments: fmt.Sprintf(`{"n":%d}`, i+1)},
				}}},
			}}, openai.ToolMessage(fmt.Sprintf("result %d", i+1), id))
		}
		last, rounds := a.work()
		if got := last.String(); rounds != 2 || got != `"The last result is: done" stop` {
			t.Errorf("%s after %d rounds", got, rounds)
		}
		turns := g.since(0)
		oneChat(t, turns)
		mustOnly(t, turns[0].Content, []string{called("step", `{"n":1}`), called("step", `{"n":3}`), resultText("step", "toolu_0", "result 1"), resultText("step", "toolu_2", "result 3")}, nil)
	})
}

// A result that is too long for a message of the site reaches the model whole, and the
// loop goes on.
func TestAgentLongResult(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.parsesAtOnce()
		g.play(emulator.Agent{Plan: emulator.Loop("step", 3), Site: g.site.Site})
		long := longText("The file", 300_000)
		a := g.stepping(streamed)
		a.run = func(call openai.ChatCompletionMessageToolCallUnion) string {
			if numberOf(t, call) == 2 {
				return "short"
			}
			return long
		}
		last, rounds := a.work()
		if got := last.Choices[0].Message.Content; rounds != 3 || !strings.Contains(got, long) {
			t.Errorf("%d rounds, an answer of %d bytes", rounds, len(got))
		}
		turns := g.since(0)
		oneChat(t, turns)
		if len(turns[1].Files) != 1 || len(turns[2].Files) != 0 || len(turns[3].Files) != 1 {
			t.Errorf("the files are %v, %v, %v", turns[1].Files, turns[2].Files, turns[3].Files)
		}
	})
}
