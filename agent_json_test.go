package caddyqwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The JSON that the model of these tests has to say, as it writes it and without spaces.
const (
	adaJSON = `{"name": "Ada", "age": 36}`
	adaTold = `{"name":"Ada","age":36}`
	noForm  = "error response_format_unsatisfied"
)

// formats3 are the forms that are demanded of an answer.
var formats3 = map[string]func(*openai.ChatCompletionNewParams){
	"object": asObject,
	"schema": func(p *openai.ChatCompletionNewParams) {
		p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "person", Schema: person},
		}
	},
	"strict schema": asPerson,
}

// wantedJSON returns what the client must get of a style, and in how many turns. What
// of JSON has been streamed cannot be taken back.
func wantedJSON(style emulator.Style, object, always, streamed bool) (want string, turns int) {
	const right = adaTold + " stop"
	failed, corrected := noForm, false
	switch style {
	case emulator.StyleUnclosed, emulator.StyleTruncated:
		corrected = !streamed
	case emulator.StyleWrongTypes:
		corrected = object || !streamed // without a schema it writes null
	case emulator.StyleIgnores, emulator.StyleAnnounces, emulator.StyleDefiant:
		corrected = true
	case emulator.StyleThinkOnly:
		failed, corrected = "error upstream_empty", true
	default:
		return right, 1
	}
	switch {
	case !corrected:
		return failed, 1
	case always:
		return failed, 2
	}
	return right, 2
}

// SO-01, SO-03: however a model writes, the client gets JSON and nothing else, or an
// error; and the conversation goes on in its chat.
func TestAgentFormats(t *testing.T) {
	plan := func(emulator.View) emulator.Move { return emulator.Move{Text: adaJSON} }
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, style := range emulator.Styles() {
			t.Run(string(style), func(t *testing.T) {
				for format, choose := range formats3 {
					for _, persistence := range []emulator.Persistence{emulator.Once, emulator.Always} {
						g.play(emulator.Agent{Style: style, Persistence: persistence, Plan: plan})
						params := offering("Who is it?")
						choose(&params)
						want, turns := wantedJSON(style, format == "object", persistence == emulator.Always, streamed)
						g.checkFormat(t, fmt.Sprintf("%s, persistence %d", format, persistence), streamed, params, want, turns)
					}
				}
			})
		}
		g.slotsFree()
	})
}

// checkFormat asks, checks the JSON, and asks something else.
func (g *gateway) checkFormat(t *testing.T, name string, streamed bool, params openai.ChatCompletionNewParams, want string, turns int) {
	t.Helper()
	before := g.prompts()
	answer := g.complete(t.Context(), streamed, params)
	got := answer.String()
	if answer.err == nil {
		got = compactJSON(t, answer.Choices[0].Message.Content) + " " + answer.Choices[0].FinishReason
	}
	if n := g.prompts() - before; got != want || n != turns {
		t.Errorf("%s: got %s in %d turns, want %s in %d", name, got, n, want, turns)
	}
	oneChat(t, g.since(before))
	if answer.err != nil {
		return
	}
	params.Messages = append(params.Messages, answer.Choices[0].Message.ToParam(), openai.UserMessage("And then?"))
	params.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{}
	g.complete(t.Context(), streamed, params)
	oneChat(t, g.since(before))
	if prompt := g.last().Content; prompt != "And then?" {
		t.Errorf("%s: the next prompt is %q", name, prompt)
	}
}

// An agent may call functions on its way to an answer in JSON.
func TestAgentCallsThenFormat(t *testing.T) {
	plan := emulator.Script(emulator.Move{Calls: []emulator.Call{{Name: "get_weather", Arguments: oslo}}}, emulator.Move{Text: adaJSON})
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for style, turns := range map[emulator.Style]int{
			emulator.StylePerfect: 2, emulator.StyleChatty: 2, emulator.StyleChinese: 2, emulator.StyleFenced: 2,
			emulator.StyleBare: 2, emulator.StyleSingleQuotes: 2, emulator.StyleFencedInside: 2,
			emulator.StyleWrongName: 3, // and in the next turn it does better
		} {
			t.Run(string(style), func(t *testing.T) {
				g.play(emulator.Agent{Style: style, Plan: plan})
				before := g.prompts()
				a := &working{g: g, streamed: streamed, params: offering("Who is it?", weather, search)}
				asPerson(&a.params)
				if got := a.step().compact(t); got != `"" `+osloCall {
					t.Errorf("first %s", got)
				}
				last := a.step()
				if got := compactJSON(t, last.Choices[0].Message.Content); got != adaTold || len(last.Choices[0].Message.ToolCalls) > 0 {
					t.Errorf("then %s", last)
				}
				if n := g.prompts() - before; n != turns {
					t.Errorf("%d turns", n)
				}
				oneChat(t, g.since(before))
			})
		}
	})
}

// What is demanded of one answer is said with its turn only.
func TestAgentDemandsOfOneTurn(t *testing.T) {
	g := mustGateway(t, setup{})
	g.play(emulator.Agent{Plan: emulator.Loop("step", 2)})
	a := g.stepping(false)
	required(&a.params)
	a.step()
	a.params.ToolChoice.OfAuto = openai.String("auto")
	a.step()
	for i, c := range g.since(0) {
		if said := strings.Contains(c.Content, "You must call"); said != (i == 0) {
			t.Errorf("prompt %d demands a call: %t", i, said)
		}
	}
	asObject(&a.params)
	if got := a.step(); !strings.HasPrefix(got.Choices[0].Message.Content, `{"answer":`) {
		t.Errorf("the last answer is %s", got)
	}
	mustOnly(t, g.last().Content, []string{"<tool_response", "JSON"}, []string{"You must call", "<tools>"})
	oneChat(t, g.since(0))
}
