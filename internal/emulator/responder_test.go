package emulator

import (
	"strings"
	"testing"
	"time"
)

func TestCannedAnswer(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat := c.mustChat()
	resp, body := c.say(chat, "", "Tell me a joke about gophers")
	list := mustEvents(t, body)
	const want = "This is a canned answer of the emulator. You said: Tell me a joke about gophers"
	if got := answerText(list, ""); got != want {
		t.Errorf("answer %q", got)
	}
	if resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || resp.Header.Get("X-Actual-Status-Code") != "200" {
		t.Errorf("headers %v", resp.Header)
	}
	if strings.Contains(body, "[DONE]") || strings.Contains(body, "thinking_summary") {
		t.Errorf("stream %s", body)
	}
	if len(list) < 6 {
		t.Errorf("only %d frames", len(list))
	}
	last := list[len(list)-1]
	if last.Choices[0].Delta.Status != "finished" || *last.Choices[0].Delta.Phase != "answer" || last.Usage != nil {
		t.Errorf("last frame %+v", last)
	}
	before := list[len(list)-2]
	if before.Choices[0].Delta.Content != "" || before.Usage.Total != before.Usage.In+before.Usage.Out {
		t.Errorf("last but one %+v", before)
	}
	out := 0
	for _, e := range list[1 : len(list)-1] {
		if e.Usage.Out < out {
			t.Errorf("usage shrinks from %d to %d", out, e.Usage.Out)
		}
		out = e.Usage.Out
	}
}

// What a model is told about functions is nothing that the user has said: repeating
// it would show a client the notation of a call.
func TestCannedAnswerLeavesOutFunctions(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	_, body := c.say(c.mustChat(), "", question("Hello!"))
	if got := answerText(mustEvents(t, body), ""); got != "This is a canned answer of the emulator. You said: Hello!" {
		t.Errorf("answer %q", got)
	}
}

func TestCannedAnswerKnowsTheContext(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat := c.mustChat()
	first := c.mustTurn(chat, "", "a")
	_, body := c.say(chat, first, "b")
	second := mustEvents(t, body)[0].Created.Response
	if got := answerText(mustEvents(t, body), ""); !strings.Contains(got, "I remember 1 earlier turn of") {
		t.Errorf("second turn: %q", got)
	}
	_, body = c.say(chat, second, "c")
	if got := answerText(mustEvents(t, body), ""); !strings.Contains(got, "I remember 2 earlier turns of") {
		t.Errorf("third turn: %q", got)
	}
}

func TestCannedReasoning(t *testing.T) {
	for _, tc := range []struct {
		name, model, format string
		enabled             bool
		summaries, thoughts int
	}{
		{"off", "qwen3.7-plus", "summary", false, 0, 0},
		{"summary", "qwen3.7-plus", "summary", true, 5, 0},
		{"no format", "qwen3.7-plus", "", true, 5, 0},
		{"full", "qwen3.7-plus", "full", true, 0, 3},
		{"detail", "qwen3.7-plus", "detail", true, 0, 3},
		{"model that must", "qwen3.8-max", "summary", true, 5, 0},
		{"model that cannot", "qwen3.5-flash", "summary", true, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			resp := c.mustDo(c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi", edit: func(b, m map[string]any) {
				b["model"] = tc.model
				feature(m)["thinking_enabled"], feature(m)["thinking_format"] = tc.enabled, tc.format
			}}))
			body := mustReadAll(t, resp)
			if got := strings.Count(body, `"phase":"thinking_summary"`); got != tc.summaries {
				t.Errorf("%d summary frames, want %d", got, tc.summaries)
			}
			if got := strings.Count(body, `"phase":"think"`); got != tc.thoughts {
				t.Errorf("%d think frames, want %d", got, tc.thoughts)
			}
			if got := strings.Contains(body, `"reasoning_tokens":24`); got != (tc.summaries+tc.thoughts > 0) {
				t.Errorf("reasoning tokens: %s", body)
			}
			if got := answerText(mustEvents(t, body), ""); !strings.HasSuffix(got, "You said: hi") {
				t.Errorf("answer %q", got)
			}
		})
	}
}

func TestLongPromptIsNotRepeatedWhole(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	_, body := c.say(c.mustChat(), "", strings.Repeat("é", 1000))
	if got := answerText(mustEvents(t, body), ""); strings.Count(got, "é") != 400 || !strings.HasSuffix(got, "…") {
		t.Errorf("answer %q", got)
	}
}

func TestOrderOfScripts(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	srv.Respond(func(c Completion) Reply { return Text("responder: ", c.Content) })
	srv.Reply(Text("first"), Text("second"))
	for _, tc := range []struct{ prompt, want string }{
		{"[[emulator:long 1]]", "first"},
		{"x", "second"},
		{"[[emulator:long 1]]", "word "},
		{"x", "responder: x"},
	} {
		_, body := c.say(c.mustChat(), "", tc.prompt)
		if got := answerText(mustEvents(t, body), ""); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.prompt, got, tc.want)
		}
	}
	srv.Respond(nil)
	if _, body := c.say(c.mustChat(), "", "x"); !strings.Contains(body, "canned") {
		t.Errorf("without a responder: %s", body)
	}
}

// What the site refuses itself does not use up a queued reply.
func TestRefusalsLeaveTheQueue(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	srv.Reply(Text("queued"))
	c.say("no-such-chat", "", "hi")
	if _, body := c.say(c.mustChat(), "", "hi"); answerText(mustEvents(t, body), "") != "queued" {
		t.Errorf("answered %s", body)
	}
}

func TestDelay(t *testing.T) {
	const delay = 3 * time.Millisecond
	srv := mustStart(t, Options{Delay: delay})
	srv.Reply(Text("a", "b", "c"))
	c := newClient(t, srv)
	chat := c.mustChat()
	start := time.Now()
	_, body := c.say(chat, "", "hi")
	if took, frames := time.Since(start), len(mustEvents(t, body)); took < time.Duration(frames-1)*delay {
		t.Errorf("%d frames took %v", frames, took)
	}
}

func TestPiecesKeepTheText(t *testing.T) {
	for _, text := range []string{"", "a", "a b c d", "  two  spaces ", "new\nline and more words"} {
		if got := strings.Join(pieces(text), ""); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
