package caddyqwen

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// firstWords is the text that comes before a failure in the middle.
const firstWords = "The first words "

// afterText is a stream that takes the given steps after some text.
func afterText(steps ...emulator.Step) emulator.Reply {
	return emulator.Stream(append([]emulator.Step{emulator.Created(), emulator.Answer(firstWords)}, steps...)...)
}

// breaks are streams that fail after text has come.
func breaks() []siteFailure {
	raw := func(line string) emulator.Step { return emulator.Raw([]byte(line)) }
	garbage := emulator.Raw([]byte("data: garbage\n\n"))
	return []siteFailure{
		{"P21 UP-07 cut", afterText(emulator.Cut()), wantBroken},
		{"P22 cut in a frame", afterText(raw(`data: {"choices":[{"delta":{"role":"assi`), emulator.Cut()), wantBroken},
		{"P22 cut after half a comment", afterText(raw(": keep"), emulator.Cut()), wantBroken},
		{"stopped on the site", afterText(raw(`data: {"response.stopped":{"response_id":"x"}}` + "\n\n")), wantBroken},
		{"P20 reset", afterText(emulator.Reset()), wantBroken},
		{"P20 dropped", afterText(emulator.Drop()), wantBroken},
		{"P27 gzip cut", afterText(emulator.Drop()).Gzip(), wantBroken},
		{"P12 error frame", afterText(emulator.ErrorFrame("internal_error", "Internal error!")), wantUnavailable},
		{"P12 error as a delta", afterText(emulator.ErrorDelta("internal_error", "Internal error!")), wantUnavailable},
		{"P12 error as text", afterText(emulator.ErrorFrame("", "Internal error!")), wantUnavailable},
		{"P10 burst", afterText(emulator.ErrorFrame("Too_Many_Requests", "Request rate increased too quickly.")), wantRateLimited},
		{"P11 quota", afterText(emulator.ErrorFrame("quota_exhausted", "No quota left.")), wantQuota(0)},
		{"P06 expired", afterText(emulator.ErrorFrame("unauthorized", "Token has expired.")), wantExpired},
		{"P42 moderation", afterText(emulator.ErrorFrame("data_inspection_failed", "Output data may contain inappropriate content.")), wantModeration},
		{"P09 verification as JSON", afterText(raw(string(emulator.ChallengeJSON().Body) + "\n")), wantVerification},
		{"P09 verification as JSON event", afterText(raw("data: " + string(emulator.ChallengeJSON().Body) + "\n\n")), wantVerification},
		{"P08 verification page", afterText(raw(string(emulator.ChallengeHTML(200).Body) + "\n")), wantVerification},
		{"P23 damaged frame", afterText(emulator.Garbage(), emulator.Finish()), wantBadResponse},
		{"P23 garbage", afterText(garbage, garbage, garbage, garbage, emulator.Finish()), wantBadResponse},
		{"call of a tool that was not declared", afterText(emulator.LocalTool("client", "f", map[string]any{}), emulator.Finish()), wantBadResponse},
		{"P24 frame above the limit", afterText(emulator.HugeFrame(4096), emulator.Finish()), wantBadResponse},
	}
}

func TestErrorsInStreams(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_frame 2KiB"})
	for _, test := range breaks() {
		t.Run(test.name+"/streamed", func(t *testing.T) {
			g.accept()
			g.site.Reply(test.reply)
			checkBroken(t, g.chat(secretPrompt, `"stream":true,"stream_options":{"include_usage":true}`), test.want)
		})
		t.Run(test.name+"/whole", func(t *testing.T) {
			g.accept()
			g.site.Reply(test.reply)
			got := g.chat(secretPrompt, "")
			test.want.check(t, got)
			if strings.Contains(got.body, firstWords) {
				t.Errorf("half an answer: %s", got.body)
			}
		})
	}
	g.slotsFree()
}

// checkBroken checks a stream that has failed after its first text: one event
// that is the error, and nothing that looks like an end.
func checkBroken(t *testing.T, got reply, want failed) {
	t.Helper()
	if got.status != http.StatusOK || got.err != nil || !strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("status %d, %q, %v: %s", got.status, got.header.Get("Content-Type"), got.err, got.body)
	}
	data := events(t, got.body)
	if len(data) < 3 || !strings.Contains(data[1], `"content":"`+firstWords+`"`) {
		t.Fatalf("the text is missing: %q", data)
	}
	want.checkBody(t, data[len(data)-1])
	for _, mark := range []string{"[DONE]", `"finish_reason":"`, `"usage"`} {
		if strings.Contains(got.body, mark) {
			t.Errorf("the stream looks complete, it has %s:\n%s", mark, got.body)
		}
	}
	if n := strings.Count(got.body, `"error"`); n != 1 {
		t.Errorf("%d errors:\n%s", n, got.body)
	}
	if strings.Contains(data[len(data)-1], "choices") {
		t.Errorf("UP-06 the error has choices: %s", data[len(data)-1])
	}
}

// What the site goes on to write, although its answer is given up, is stopped.
func TestErrorsStopWhatGoesOn(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"P23 damaged frame":         afterText(emulator.Garbage(), emulator.Hang()),
		"P24 frame above the limit": afterText(emulator.HugeFrame(4096), emulator.Hang()),
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: "max_frame 2KiB"})
			g.site.Reply(reply)
			checkBroken(t, g.chat("hello", `"stream":true`), wantBadResponse)
			g.await("the answer is stopped", func() bool { return len(g.site.Stops()) == 1 && g.site.Active() == 0 })
			c := g.site.Completions()[0]
			if stop := g.site.Stops()[0]; stop.ChatID != c.ChatID || stop.ResponseID != c.ResponseID {
				t.Errorf("stopped %+v, not %v", stop, c)
			}
		})
	}
}

// A turn that the site itself has ended needs no stop call.
func TestErrorsNoStopAfterEnd(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.Text("fine"), emulator.ChallengeJSON(), afterText(emulator.Cut()), emulator.EmptyStream())
	for range 4 {
		g.chat("hello", `"stream":true`)
	}
	g.slotsFree()
	if stops := g.site.Stops(); len(stops) != 0 {
		t.Errorf("stopped %+v", stops)
	}
}
