package caddyqwen

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// weatherFields offer the function get_weather in a request without an SDK.
const weatherFields = `"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}}}]`

// unknownCall is an answer that has to be corrected, and osloAnswer one that is right.
var (
	unknownCall = emulator.Text(called("wether", oslo))
	osloAnswer  = emulator.Text(called("get_weather", oslo))
)

// hanging is an answer that never ends.
func hanging(pieces ...string) emulator.Reply {
	steps := []emulator.Step{emulator.Created()}
	for _, p := range pieces {
		steps = append(steps, emulator.Answer(p))
	}
	return emulator.Stream(append(steps, emulator.Hang())...)
}

// CA-01, CA-02, C02: a client may leave at any time. The site is told to stop, nothing
// of the request is left, and the next one is answered.
func TestAgentLeaves(t *testing.T) {
	const half = "<tool_call>\n{\"name\": \"get_weather\", \"argu"
	cases := map[string]struct {
		fields  string
		replies []emulator.Reply
		frames  int // of the last answer, when the client leaves
	}{
		"while a call is written":             {"", []emulator.Reply{hanging(half)}, 2},
		"while a call is written, after text": {"", []emulator.Reply{hanging("Let me see.\n", half)}, 3},
		"after a call":                        {"", []emulator.Reply{hanging(called("get_weather", oslo), "\n")}, 3},
		"during text that is held back":       {`,"tool_choice":"required"`, []emulator.Reply{hanging("I think. ")}, 2},
		"during JSON":                         {`,"response_format":{"type":"json_object"}`, []emulator.Reply{hanging(`{"a": `)}, 2},
		"before the second answer":            {"", []emulator.Reply{unknownCall, emulator.HangBeforeHeaders()}, 0},
		"before text of the second answer":    {"", []emulator.Reply{unknownCall, hanging()}, 1},
		"during the second answer":            {"", []emulator.Reply{unknownCall, hanging(half)}, 2},
	}
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			g := mustGateway(t, setup{})
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					before, stops := g.prompts(), len(g.site.Stops())
					g.site.Reply(c.replies...)
					l := g.leaverWith(chatBody("How is the weather?", strings.TrimPrefix(fields+","+weatherFields+c.fields, ",")))
					g.await("the answer is there", func() bool {
						turns := g.since(before)
						return len(turns) == len(c.replies) && turns[len(turns)-1].Frames >= c.frames
					})
					l.leave()
					g.await("the site is told to stop", func() bool { return len(g.site.Stops()) == stops+1 && g.site.Active() == 0 })
					l.gone(g)
					turn := g.last()
					if stop := g.site.Stops()[stops]; stop.ChatID != turn.ChatID || g.site.ChatBusy(turn.ChatID) {
						t.Errorf("stop %+v for %v", stop, turn)
					}
					oneChat(t, g.since(before))
					g.mustCall(t)
				})
			}
		})
	}
}

// mustCall checks that a request is answered with a call.
func (g *gateway) mustCall(t *testing.T) {
	t.Helper()
	g.site.Reply(osloAnswer)
	if r := g.chat("How is the weather?", weatherFields); r.status != http.StatusOK || !strings.Contains(r.body, `"finish_reason":"tool_calls"`) {
		t.Errorf("the next request: status %d: %s", r.status, r.body)
	}
}

// Whatever the site refuses the correction with, the client gets that and not 200, and
// no text of the first answer.
func TestAgentCorrectionRefused(t *testing.T) {
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			g := mustGateway(t, setup{})
			for _, test := range refusals() {
				t.Run(test.name, func(t *testing.T) {
					g.accept()
					before, prompts := g.requested(emulator.EndpointCompletions), 2
					g.site.Reply(unknownCall, test.reply)
					if test.want.code == "upstream_busy" { // which passes: the correction is sent once more
						g.site.Reply(test.reply)
						prompts = 3
					}
					test.want.check(t, g.chat(secretPrompt, strings.TrimPrefix(fields+","+weatherFields, ",")))
					if n := g.requested(emulator.EndpointCompletions) - before; n != prompts {
						t.Errorf("the site got %d prompts", n)
					}
				})
			}
			g.accept()
			g.mustCall(t)
			g.slotsFree()
		})
	}
}

// After text, the failure is told in the stream, which does not end as if all were
// well.
func TestAgentCorrectionFails(t *testing.T) {
	text := emulator.Text("Let me see. " + called("wether", oslo))
	const again = "<tool_call>\n{\"name\": "
	for name, test := range map[string]struct {
		reply emulator.Reply
		want  string
	}{
		"P08 verification": {emulator.ChallengeHTML(200), "upstream_verification_required"},
		"P11 daily limit":  {emulator.RateLimited(4), "upstream_quota_exceeded"},
		"P15 busy":         {emulator.Busy(), "upstream_busy"},
		"P22 cut":          {emulator.Stream(emulator.Created(), emulator.Answer(again), emulator.Cut()), "upstream_stream_broken"},
		"P18 error":        {emulator.Stream(emulator.Created(), emulator.Answer(again), emulator.ErrorFrame("internal_error", "")), "upstream_unavailable"},
		"wrong again":      {unknownCall, "tool_call_invalid"},
		"cut off":          {emulator.Text(again), "tool_call_invalid"},
		"nothing":          {emulator.EmptyStream(), "upstream_empty"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.site.Reply(text, test.reply)
			if test.want == "upstream_busy" {
				g.site.Reply(test.reply) // the correction is sent once more
			}
			r := g.chat("How is it?", `"stream":true,`+weatherFields)
			got, complete := streamed(t, r.body)
			data := events(t, r.body)
			failure := mustParse[struct{ Error struct{ Code string } }](t, data[len(data)-1])
			if got != "Let me see. " || complete || failure.Error.Code != test.want || strings.Contains(r.body, "[DONE]") || strings.Contains(r.body, `"finish_reason":"`) {
				t.Errorf("the stream is %s", r.body)
			}
			g.slotsFree()
			g.accept()
			if c := g.last(); g.site.ChatBusy(c.ChatID) {
				t.Error("the chat is still busy")
			}
			g.mustCall(t)
		})
	}
}

// A site that does not answer the correction is given up, and told to stop.
func TestAgentCorrectionHangs(t *testing.T) {
	const half = "<tool_call>\n{\"name\": "
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: "idle_timeout 100ms"})
			for i, reply := range []emulator.Reply{emulator.HangBeforeHeaders(), hanging(), hanging(half)} {
				g.site.Reply(unknownCall, reply)
				wantTimeout.check(t, g.chat("How is it?", strings.TrimPrefix(fields+","+weatherFields, ",")))
				g.await("the site is told to stop", func() bool { return len(g.site.Stops()) == i+1 })
			}
			g.slotsFree()
			g.mustCall(t)
		})
	}
}

// While text is held back, the connection is kept alive, and the text does not come.
func TestAgentKeptAlive(t *testing.T) {
	g := mustGateway(t, setup{qwen: "first_byte_hold 20ms\nheartbeat 20ms"})
	gate := make(chan struct{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("I think. "), emulator.Wait(gate), emulator.Answer("Well."), emulator.Finish()),
		osloAnswer)
	resp := g.send(t.Context(), http.MethodPost, chatPath, chatBody("How is it?", `"stream":true,"tool_choice":"required",`+weatherFields))
	defer resp.Body.Close()
	body := ""
	for buf := make([]byte, 4096); strings.Count(body, ": keep-alive") < 3; {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, body)
		}
		body += string(buf[:n])
	}
	close(gate)
	rest, err := io.ReadAll(resp.Body)
	if body += string(rest); err != nil || strings.Contains(body, "think") || strings.Contains(body, "Well") {
		t.Errorf("%v: %s", err, body)
	}
	if got := g.assembled(t, reply{body: body}, true).compact(t); got != `"" `+osloCall {
		t.Errorf("got %s", got)
	}
}
