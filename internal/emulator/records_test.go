package emulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRequestRecords(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat := c.mustChat()
	c.say(chat, "", "hi")
	c.call("GET", "/api/v2/chats/?page=1&exclude_project=true", "")
	list := srv.Requests()
	if len(list) != 3 {
		t.Fatalf("%d records", len(list))
	}
	if r := list[0]; r.Endpoint != EndpointNewChat || r.String() != "POST /api/v2/chats/new" || string(r.Body) != newChatBody(nil) {
		t.Errorf("first %v %s", r, r.Body)
	}
	if r := list[1]; r.Endpoint != EndpointCompletions || r.Query.Get("chat_id") != chat || r.Header.Get("Version") != "0.3.12" {
		t.Errorf("second %v %v", r, r.Query)
	}
	if r := list[2]; r.Endpoint != EndpointChats || r.Query.Get("exclude_project") != "true" || len(r.Body) != 0 {
		t.Errorf("third %v %v", r, r.Query)
	}
}

func TestCompletionRecord(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat := c.mustChat()
	v := turn{chat: chat, parent: "p", prompt: "secret words", edit: func(b, m map[string]any) {
		m["user_action"], m["chat_type"] = "edit", "search"
		feature(m)["thinking_budget"], feature(m)["local_mcp"] = 512, map[string]any{}
	}}
	mustReadAll(t, c.mustDo(c.completion(t.Context(), v)))
	rec := srv.Completions()[0]
	if rec.ChatID != chat || rec.ParentID != "p" || rec.Model != "qwen3.7-plus" || rec.Role != "user" || rec.Content != "secret words" ||
		rec.ChatType != "search" || rec.UserAction != "edit" || len(rec.Files) != 0 || string(rec.Body) != completionJSON(t, v) {
		t.Errorf("record %+v", rec)
	}
	f := rec.Feature
	if f.ThinkingEnabled || f.ThinkingMode != "Fast" || f.ThinkingBudget != 512 || f.OutputSchema != "phase" ||
		f.ResearchMode != "normal" || !f.AutoSearch || string(f.LocalMCP) != "{}" {
		t.Errorf("feature_config %+v", f)
	}
	if !rec.Finished || !rec.Ended || rec.Stopped || rec.Gone || rec.Frames < 5 || !strings.HasSuffix(rec.Answer, "secret words") {
		t.Errorf("state %v", rec)
	}
	if s := fmt.Sprint(rec); strings.Contains(s, "secret") || strings.Contains(s, "t0ken") || !strings.Contains(s, rec.ResponseID) {
		t.Errorf("String: %s", s)
	}
	if rec.Header.Get("Authorization") != "Bearer t0ken" {
		t.Error("the headers are not recorded")
	}
}

// The record grows while the answer is sent.
func TestProgress(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("a"), Wait(gate), Answer("b"), Finish()))
	c := newClient(t, srv)
	resp := c.mustDo(c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi"}))
	mustAwait(t, srv.Site, "the first piece", func() bool { return srv.Completions()[0].Answer == "a" })
	if rec := srv.Completions()[0]; rec.Ended || rec.Finished || rec.Frames != 2 {
		t.Errorf("in between: %v", rec)
	}
	gate <- struct{}{}
	mustReadAll(t, resp)
	if rec := srv.Completions()[0]; rec.Answer != "ab" || rec.Frames != 4 {
		t.Errorf("afterwards: %v", rec)
	}
}

func TestNoRecord(t *testing.T) {
	srv := mustStart(t, Options{NoRecord: true})
	c := newClient(t, srv)
	chat := c.mustChat()
	a := c.mustTurn(chat, "", "hi")
	b := c.mustTurn(chat, a, "hi")
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("x"), Wait(gate)))
	resp := c.mustBegin(t.Context(), chat)
	if !srv.ChatBusy(chat) || srv.Active() != 1 {
		t.Error("the chat is not busy")
	}
	refused, body := c.say(chat, "", "hi")
	wantRefusal(t, refused, body, "Bad_Request", "in progress", "400")
	c.stop(chat, "")
	close(gate)
	mustReadAll(t, resp)
	if got := srv.Context(chat, b); len(got) != 2 || got[0].ResponseID != a || got[0].User != "" || got[0].Answer != "" || got[0].Files != nil {
		t.Errorf("the chat has %+v", got)
	}
	c.call("DELETE", "/api/v2/chats/"+chat, "")
	if n := len(srv.Requests()) + len(srv.Completions()) + len(srv.Stops()) + len(srv.Deleted()) + len(srv.Refusals()); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestKeepIsBounded(t *testing.T) {
	var list []int
	for i := range 5 * recordLimit {
		list = keep(list, i)
		if len(list) > 2*recordLimit {
			t.Fatalf("%d entries", len(list))
		}
	}
	if len(list) < recordLimit || list[len(list)-1] != 5*recordLimit-1 || list[0] != 5*recordLimit-len(list) {
		t.Errorf("%d entries from %d to %d", len(list), list[0], list[len(list)-1])
	}
}

func TestAwait(t *testing.T) {
	s := New(Options{})
	if err := s.Await(t.Context(), func() bool { return true }); err != nil {
		t.Errorf("condition that holds: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	checked := make(chan struct{}, 100)
	result := make(chan error, 1)
	wait := func(ctx context.Context, chats int) {
		result <- s.Await(ctx, func() bool {
			checked <- struct{}{}
			return len(s.ChatIDs()) >= chats
		})
	}
	go wait(ctx, 2)
	<-checked
	s.AddChat("a")
	<-checked
	s.AddChat("b")
	if err := <-result; err != nil {
		t.Errorf("condition that came true: %v", err)
	}
	for len(checked) > 0 {
		<-checked
	}
	go wait(ctx, 3)
	<-checked
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go wait(t.Context(), 3)
	s.Close()
	if err := <-result; !errors.Is(err, errSiteClosed) {
		t.Errorf("closed: %v", err)
	}
}
