package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Stop sequences and the limit of tokens, with functions and with JSON. A call is
// whole or it is none, and stop sequences are about text.
func TestAgentCutOff(t *testing.T) {
	call := called("get_weather", `{"city": "Stop City"}`)
	const city = `get_weather{"city":"Stop City"}`
	tokens := func(n int) string { return fmt.Sprintf(`"max_tokens":%d`, n) }
	for _, c := range []struct {
		name, answer, fields string
		want                 string
		stopped              bool
	}{
		{"a stop sequence inside of a call", call, `"stop":["Stop"]`, `"" ` + city + ` tool_calls`, false},
		{"before a call", "See. Stop it." + call, `"stop":["Stop"]`, `"See. " stop`, true},
		{"after a call", "See.\n" + call + "\nStop it.", `"stop":["Stop"]`, `"See.\n" ` + city + ` tool_calls`, true},
		{"the tag as a stop sequence", "See.\n" + call, `"stop":["</tool_call>"]`, `"See.\n" ` + city + ` tool_calls`, false},
		{"half of a stop sequence before a call", "See. St" + call, `"stop":["Stop"]`, `"See. St" ` + city + ` tool_calls`, false},
		{"tokens that end inside of a call", "See.\n" + call, tokens(10), `"See.\n" length`, true},
		{"tokens that end after a call", call + " And much more text after it.", tokens(32), `"And much mo" ` + city + ` length`, true},
		{"tokens that end inside of a call that is demanded", call, tokens(5) + `,"tool_choice":"required"`, `"" length`, true},
		{"tokens enough", "See.\n" + call, tokens(100), `"See.\n" ` + city + ` tool_calls`, false},
		{"tokens that end inside of JSON", `Here: {"name": "Ada", "age": 36}`, tokens(6) + `,"response_format":{"type":"json_object"}`, `"{\"name\": \"Ad" length`, true},
		{"a stop sequence in JSON", `{"name": "Ada Stop", "age": 36}`, `"stop":"Stop","response_format":{"type":"json_object"}`, `"{\"name\": \"Ada " stop`, true},
		{"a stop sequence after JSON", `{"name": "Ada"} Stop`, `"stop":"Stop","response_format":{"type":"json_object"}`, `"{\"name\": \"Ada\"}" stop`, true},
		{"tokens and a stop sequence", `{"name": "Ada"} and so on, and on, Stop`, tokens(8) + `,"stop":"Stop","response_format":{"type":"json_object"}`, `"{\"name\": \"Ada\"}" length`, true},
	} {
		for _, isStream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, streamed %t", c.name, isStream), func(t *testing.T) {
				g := mustGateway(t, setup{})
				g.counted(c.answer, 3)
				fields := c.fields
				if !strings.Contains(fields, "response_format") {
					fields += "," + weatherFields
				}
				r := g.chat("How is it?", fmt.Sprintf(`"stream":%t,%s`, isStream, fields))
				if got := g.assembled(t, r, isStream).compact(t); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				g.slotsFree()
				if n := len(g.site.Stops()); (n == 1) != c.stopped {
					t.Errorf("the site was told %d times to stop", n)
				}
				if g.prompts() != 1 {
					t.Error("an answer that was cut off has been corrected")
				}
			})
		}
	}
}

// assembled is an answer that was asked for without the SDK, as the SDK reads it.
func (g *gateway) assembled(t *testing.T, r reply, isStream bool) completed {
	t.Helper()
	if !isStream {
		return completed{ChatCompletion: mustParse[openai.ChatCompletion](t, r.body)}
	}
	var all openai.ChatCompletionAccumulator
	for _, data := range events(t, r.body) {
		if data != "[DONE]" && !all.AddChunk(mustParse[openai.ChatCompletionChunk](t, data)) {
			t.Fatal("a chunk does not fit to the others")
		}
	}
	return completed{ChatCompletion: all.ChatCompletion}
}

// The tokens of an answer that had to be corrected are those of both turns.
func TestAgentUsage(t *testing.T) {
	counted := func(text string, in, out, reasoning int) emulator.Reply {
		return emulator.Stream(emulator.Created(), emulator.Think("Hm."), emulator.ThinkDone(), emulator.Answer(text),
			emulator.Usage(in, out, reasoning), emulator.Finish())
	}
	for name, c := range map[string]struct {
		demand func(*openai.ChatCompletionNewParams)
		first  string
		second string
	}{
		"a call": {auto, called("wether", oslo), called("get_weather", oslo)},
		"JSON":   {asPerson, "It is Ada.", adaJSON},
	} {
		bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
			g.site.Reply(counted(c.first, 1000, 50, 20), counted(c.second, 1100, 30, 7))
			params := offering("How is it?", weather)
			c.demand(&params)
			answer := g.complete(t.Context(), streamed, params)
			if answer.err != nil {
				t.Fatal(answer.err)
			}
			u := answer.Usage
			if u.PromptTokens != 2100 || u.CompletionTokens != 80 || u.TotalTokens != 2180 || u.CompletionTokensDetails.ReasoningTokens != 27 {
				t.Errorf("%s: %+v", name, u)
			}
			if g.prompts() != 2 {
				t.Errorf("%s: %d prompts", name, g.prompts())
			}
		})
	}
}

// ST-09: a stream with a correction has the form of any other: one role, one end, one
// chunk with the usage, and [DONE]; n = 1 is accepted, more is refused.
func TestAgentStreamForm(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.Text("Let me see. "+called("wether", oslo)), emulator.Text("Sorry. "+called("get_weather", oslo)+called("get_weather", `{"city": "Bergen"}`)))
	r := g.chat("How is it?", `"stream":true,"n":1,"stream_options":{"include_usage":true},`+weatherFields)
	data := events(t, r.body)
	for part, want := range map[string]int{
		`"role":"assistant"`: 1, `"finish_reason":"`: 1, `"finish_reason":"tool_calls"`: 1, `"total_tokens"`: 1, `"name":"get_weather"`: 2,
		`"index":0,"id":"call_`: 1, `"index":1,"id":"call_`: 1, "wether": 0, "Sorry": 0, "tool_call>": 0,
	} {
		if n := strings.Count(r.body, part); n != want {
			t.Errorf("%s comes %d times, not %d: %s", part, n, want, r.body)
		}
	}
	if last := data[len(data)-2]; data[len(data)-1] != "[DONE]" || !strings.Contains(last, `"total_tokens"`) || !strings.Contains(last, `"choices":[]`) {
		t.Errorf("it ends with %s", last)
	}
	if r := g.chat("How is it?", `"n":2,`+weatherFields); r.status != http.StatusBadRequest {
		t.Errorf("n = 2: status %d: %s", r.status, r.body)
	}
}
