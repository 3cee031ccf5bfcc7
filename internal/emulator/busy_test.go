package emulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func (c *client) stop(chat, response string) (*http.Response, string) {
	c.t.Helper()
	return c.call("POST", "/api/v2/chat/completions/stop?chat_id="+chat, `{"chat_id":"`+chat+`","response_id":"`+response+`"}`)
}

// mustBegin starts a completion and reads until some answer has arrived.
func (c *client) mustBegin(ctx context.Context, chat string) *http.Response {
	c.t.Helper()
	resp := c.mustDo(c.completion(ctx, turn{chat: chat, prompt: "hi"}))
	seen := ""
	for buf := make([]byte, 4096); !strings.Contains(seen, `"phase":"answer"`); {
		n, err := resp.Body.Read(buf)
		if seen += string(buf[:n]); err != nil {
			c.t.Fatalf("%v after %q", err, seen)
		}
	}
	return resp
}

const stopOK = `{"success":true,"request_id":"rid-1","data":{"status":true}}`

func TestBusyWhileAnswering(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("a"), Wait(gate), Finish()))
	c := newClient(t, srv)
	chat, other := c.mustChat(), c.mustChat()
	resp := c.mustBegin(t.Context(), chat)
	if !srv.ChatBusy(chat) || srv.Active() != 1 {
		t.Errorf("busy %t, active %d", srv.ChatBusy(chat), srv.Active())
	}
	refused, body := c.say(chat, "", "me too")
	wantRefusal(t, refused, body, "Bad_Request", "The chat is in progress!", "400")
	if _, body := c.say(other, "", "hi"); !strings.Contains(body, "canned") {
		t.Errorf("another chat: %s", body)
	}
	close(gate)
	mustReadAll(t, resp)
	if _, body := c.say(chat, "", "me too"); !strings.Contains(body, "canned") {
		t.Errorf("afterwards: %s", body)
	}
}

// The chat is free as soon as the client can see the terminal frame.
func TestFreeAtTheTerminalFrame(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Stream(Created(), Answer("a"), Finish(), HoldOpen()))
	c := newClient(t, srv)
	chat := c.mustChat()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := c.mustDo(c.completion(ctx, turn{chat: chat, prompt: "hi"}))
	defer resp.Body.Close()
	seen := ""
	for buf := make([]byte, 4096); !strings.Contains(seen, `"finished"`); {
		n, err := resp.Body.Read(buf)
		if seen += string(buf[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if srv.ChatBusy(chat) {
		t.Error("busy after the terminal frame")
	}
	rec := srv.Completions()[0]
	if !rec.Finished || rec.Ended || rec.Answer != "a" {
		t.Errorf("held open: %v", rec)
	}
	cancel()
	mustAwait(t, srv.Site, "the end", func() bool { return srv.Completions()[0].Ended })
	if rec := srv.Completions()[0]; !rec.Gone || srv.ChatBusy(chat) || len(srv.Context(chat, rec.ResponseID)) != 1 {
		t.Errorf("left after the end: %v", rec)
	}
}

func TestAbandonedChatStaysBusyUntilStop(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply Reply
		begin bool // some answer arrives
	}{
		{"in mid-stream", Stream(Created(), Answer("a"), Hang(), Finish()), true},
		{"before headers", HangBeforeHeaders(), false},
		{"while frames drip", Bulk(1<<20, "x", 1), true},
		{"in a flood", Bulk(1<<22, "x", 0), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Reply(tc.reply)
			c := newClient(t, srv)
			chat := c.mustChat()
			ctx, cancel := context.WithCancel(t.Context())
			if tc.begin {
				defer c.mustBegin(ctx, chat).Body.Close()
				cancel()
			} else {
				failed := make(chan error, 1)
				go func() {
					resp, err := c.http.Do(c.completion(ctx, turn{chat: chat, prompt: "hi"}))
					if err == nil {
						resp.Body.Close()
					}
					failed <- err
				}()
				mustAwait(t, srv.Site, "the completion", func() bool { return srv.Active() == 1 })
				cancel()
				if err := <-failed; !errors.Is(err, context.Canceled) {
					t.Fatalf("error %v", err)
				}
			}
			mustAwait(t, srv.Site, "the end", func() bool { return srv.Active() == 0 })

			rec := srv.Completions()[0]
			if !rec.Gone || !rec.Ended || rec.Finished || rec.Stopped || !srv.ChatBusy(chat) {
				t.Errorf("abandoned: gone %t ended %t finished %t stopped %t busy %t", rec.Gone, rec.Ended, rec.Finished, rec.Stopped, srv.ChatBusy(chat))
			}
			resp, body := c.say(chat, "", "again")
			wantRefusal(t, resp, body, "Bad_Request", "in progress", "400")
			if _, body := c.stop(chat, rec.ResponseID); body != stopOK {
				t.Errorf("stop: %s", body)
			}
			if srv.ChatBusy(chat) || !srv.Completions()[0].Stopped {
				t.Error("busy after the stop call")
			}
			if got := srv.Stops(); len(got) != 1 || got[0] != (Stop{ChatID: chat, ResponseID: rec.ResponseID}) {
				t.Errorf("stops %+v", got)
			}
			if _, body := c.say(chat, "", "again"); !strings.Contains(body, "canned") {
				t.Errorf("afterwards: %s", body)
			}
		})
	}
}

func TestStopEndsTheStream(t *testing.T) {
	for name, reply := range map[string]Reply{
		"hanging":         Stream(Created(), Answer("part"), Hang(), Finish()),
		"held back bytes": Stream(Created(), Answer("part"), Joined(Comment(), Hang())),
		"dripping":        Stream(Created(), Answer("part"), Step{func(st *stream) error { return st.bulk(1<<20, "x", 1) }}),
	} {
		t.Run(name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Reply(reply)
			c := newClient(t, srv)
			chat := c.mustChat()
			resp := c.mustBegin(t.Context(), chat)
			id := srv.Completions()[0].ResponseID
			c.stop(chat, id)
			rest := mustReadAll(t, resp)
			if !strings.HasSuffix(strings.TrimSpace(rest), `data: {"response.stopped":{"response_id":"`+id+`"}}`) {
				t.Errorf("the stream ends with %.300q", rest)
			}
			mustAwait(t, srv.Site, "the end", func() bool { return srv.Active() == 0 })
			rec := srv.Completions()[0]
			if !rec.Stopped || rec.Gone || rec.Finished {
				t.Errorf("stopped %t gone %t finished %t", rec.Stopped, rec.Gone, rec.Finished)
			}
			if got := srv.Context(chat, id); len(got) != 1 || !strings.HasPrefix(got[0].Answer, "part") {
				t.Errorf("the chat has %+v", got)
			}
		})
	}
}

func TestStopBeforeHeaders(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(HangBeforeHeaders())
	c := newClient(t, srv)
	chat := c.mustChat()
	answer := make(chan string)
	go func() {
		resp, err := c.http.Do(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	mustAwait(t, srv.Site, "the completion", func() bool { return srv.Active() == 1 })
	c.stop(chat, "")
	if got := <-answer; !strings.Contains(got, "response.stopped") || strings.Contains(got, "choices") {
		t.Errorf("got %q", got)
	}
}

func TestStopWithoutEffect(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("a"), Wait(gate), Finish()))
	c := newClient(t, srv)
	chat, idle := c.mustChat(), c.mustChat()
	resp := c.mustBegin(t.Context(), chat)
	if _, body := c.stop(chat, "another-answer"); body != stopOK || !srv.ChatBusy(chat) {
		t.Errorf("another response id stopped it: %s", body)
	}
	if _, body := c.stop(idle, ""); body != stopOK {
		t.Errorf("idle chat: %s", body)
	}
	close(gate)
	list := mustEvents(t, mustReadAll(t, resp))
	if list[len(list)-1].Choices[0].Delta.Status != "finished" {
		t.Error("the stream did not end normally")
	}
	for name, call := range map[string][2]string{
		"no body":       {"?chat_id=" + chat, ""},
		"no chat_id":    {"?chat_id=" + chat, `{"response_id":"x"}`},
		"other chat_id": {"?chat_id=" + idle, `{"chat_id":"` + chat + `"}`},
		"no query":      {"", `{"chat_id":"` + chat + `"}`},
	} {
		resp, body := c.call("POST", "/api/v2/chat/completions/stop"+call[0], call[1])
		t.Run(name, func(t *testing.T) { wantRefusal(t, resp, body, "RequestValidationError", "chat_id", "400") })
	}
}

// A client that leaves and stops at the same moment is recorded as both,
// whichever the site notices first.
func TestLeaveAndStopAtOnce(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	for range 10 {
		srv.Reply(Stream(Created(), Answer("a"), Hang()))
		chat := c.mustChat()
		ctx, cancel := context.WithCancel(t.Context())
		resp := c.mustBegin(ctx, chat)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			c.stop(chat, "")
		}()
		cancel()
		<-stopped
		resp.Body.Close()
		mustAwait(t, srv.Site, "the end", func() bool { return srv.Active() == 0 })
		list := srv.Completions()
		if rec := list[len(list)-1]; !rec.Gone || !rec.Stopped || srv.ChatBusy(chat) {
			t.Errorf("%v, busy %t", rec, srv.ChatBusy(chat))
		}
	}
}

// The stop call may name any candidate.
func TestStopByCandidate(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Stream(Created(), Candidate(1, Answer("x")), Answer("a"), Hang()))
	c := newClient(t, srv)
	chat := c.mustChat()
	resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
	mustAwait(t, srv.Site, "four frames", func() bool { return srv.Completions()[0].Frames == 4 })
	srv.mu.Lock()
	second := srv.records.completions[0].ids[0]
	srv.mu.Unlock()
	c.stop(chat, second)
	if body := mustReadAll(t, resp); !strings.Contains(body, "response.stopped") || srv.ChatBusy(chat) {
		t.Errorf("got %s", body)
	}
}

// A stream that the site ends without a terminal frame frees the chat, but its
// text is not part of it.
func TestBrokenStreams(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  Step
		err  error
	}{
		{"Cut", Cut(), nil},
		{"error frame", ErrorFrame("internal_error", "x"), nil},
		{"Drop", Drop(), io.ErrUnexpectedEOF},
		{"Reset", Reset(), syscall.ECONNRESET},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Reply(Stream(Created(), Answer("a"), tc.end))
			c := newClient(t, srv)
			chat := c.mustChat()
			resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
			defer resp.Body.Close()
			_, err := io.ReadAll(resp.Body)
			if !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			mustAwait(t, srv.Site, "the end", func() bool { return srv.Active() == 0 })
			rec := srv.Completions()[0]
			if rec.Finished || rec.Gone || !rec.Ended || srv.ChatBusy(chat) || srv.Context(chat, rec.ResponseID) != nil {
				t.Errorf("%v, busy %t", rec, srv.ChatBusy(chat))
			}
			if _, body := c.say(chat, rec.ResponseID, "again"); !strings.Contains(body, "canned") || len(srv.Completions()[1].Context) != 0 {
				t.Errorf("afterwards: %s", body)
			}
		})
	}
}

// A reset over TLS and over HTTP/2 breaks the answer, too.
func TestResetElsewhere(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		site := New(Options{})
		site.Fail("models", Stream(Answer("a"), Reset()))
		ts := httptest.NewUnstartedServer(site)
		ts.EnableHTTP2 = http2
		ts.StartTLS()
		resp, err := ts.Client().Get(ts.URL + "/api/models")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("HTTP/2 %t: the body ended normally", http2)
		}
		resp.Body.Close()
		ts.Close()
	}
}

func TestFinishTwice(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Stream(Created(), Answer("a"), Finish(), Answer("late"), Finish(), Done(), Done()))
	c := newClient(t, srv)
	chat := c.mustChat()
	_, body := c.say(chat, "", "hi")
	if strings.Count(body, `"finished"`) != 2 || strings.Count(body, "[DONE]") != 2 {
		t.Errorf("stream %s", body)
	}
	if got := srv.Context(chat, srv.Completions()[0].ResponseID); len(got) != 1 || got[0].Answer != "a" {
		t.Errorf("the chat has %+v", got)
	}
}
