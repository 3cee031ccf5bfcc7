package caddyqwen

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestChatsKeep(t *testing.T) {
	g := mustGateway(t, setup{})
	g.ask([]said{user("one")})
	g.load(setup{qwen: "heartbeat 3s"})
	g.stop()
	if deleted := g.site.Deleted(); len(deleted) > 0 {
		t.Errorf("%d chats were deleted", len(deleted))
	}
}

func TestChatsDelete(t *testing.T) {
	g := mustGateway(t, setup{})
	own := g.site.AddChat("The owner's own chat")
	kept := g.ask([]said{user("kept")})
	g.site.Reply(emulator.Moderation())
	g.chat("refused", "")
	g.slotsFree()
	refused := g.last().ChatID

	g.load(setup{qwen: "chats delete 1ms"})
	chats := map[string]bool{}
	for range 3 {
		chats[g.ask([]said{user("one")}).chat] = true
	}
	g.site.Reply(emulator.Moderation())
	g.chat("refused", "")
	g.await("the chats are deleted", func() bool { return len(g.site.Deleted()) == 4 })
	left := g.site.ChatIDs()
	if len(left) != 3 || !slices.Contains(left, own) || !slices.Contains(left, kept.chat) || !slices.Contains(left, refused) {
		t.Errorf("left are %v", left)
	}
	// The conversation that was kept under the old policy goes on, and stays.
	g.ask([]said{user("kept"), kept.said, user("more")}).mustBe(t, "continued")
	g.load(setup{qwen: "chats delete 1ms\nheartbeat 3s"})
	b := g.ask([]said{user("two")})
	g.await("the new chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), b.chat) })
	if !slices.Contains(g.site.ChatIDs(), kept.chat) {
		t.Error("a chat from the time of keep was deleted")
	}
}

// Nothing is deleted while it is in use.
func TestChatsDeleteWaits(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats delete 1ms"})
	gate := make(chan struct{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one "), emulator.Wait(gate), emulator.Answer("two"), emulator.Finish()))
	done := make(chan heard)
	go func() { done <- g.ask([]said{user("slow")}) }()
	g.await("the answer begins", func() bool { return g.site.Active() == 1 })
	quick := g.ask([]said{user("quick")})
	g.await("the other chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), quick.chat) })
	if deleted := g.site.Deleted(); len(deleted) != 1 {
		t.Errorf("%d chats are deleted, one of them in use", len(deleted))
	}
	close(gate)
	slow := <-done
	if slow.Content != "one two" {
		t.Errorf("the answer is %q", slow.Content)
	}
	g.await("the chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), slow.chat) })
}

// What a stop or a crash has left is deleted after the next start, without any
// request.
func TestChatsDeleteAfterRestart(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats delete 1h"})
	a := g.ask([]said{user("one")})
	g.stop()
	g.load(setup{qwen: "chats delete 1ms"})
	g.await("the chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), a.chat) })
}

func TestChatsDeleteFails(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats delete 1ms"})
	g.site.Fail(emulator.EndpointDelete, emulator.Internal(), emulator.Internal())
	a := g.ask([]said{user("one")})
	g.await("the chat is deleted at last", func() bool { return slices.Contains(g.site.Deleted(), a.chat) })
	g.site.Fail(emulator.EndpointDelete, emulator.ChallengeJSON())
	before := g.requested(emulator.EndpointDelete)
	g.ask([]said{user("two")})
	g.await("the site is asked", func() bool { return g.requested(emulator.EndpointDelete) == before+1 })
	if d := (&Handler{Chats: chatsDelete, DeleteChatsAfter: 1}).untilDelete(errNoSessions, 3); d.Milliseconds() != 800 {
		t.Errorf("the pause after three failures is %v", d)
	}
}

func TestChatsTemporary(t *testing.T) {
	for _, sessions := range []string{"", "\nsessions off"} {
		t.Run("with"+sessions, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: "chats temporary" + sessions})
			g.numbered()
			a := g.ask([]said{user("one")})
			a.mustBe(t, "new")
			g.await("the chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), a.chat) })
			b := g.ask([]said{user("one"), a.said, user("two")})
			b.mustBe(t, "replayed")
			g.await("the chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), b.chat) })

			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one"), emulator.Hang()))
			l := g.leaver(`"stream":true`)
			g.await("the answer begins", func() bool { return g.site.Active() == 1 && g.last().Frames > 1 })
			l.gone(g)
			g.await("the chat of the aborted turn is deleted", func() bool { return len(g.site.Deleted()) == 3 })

			// After a demand for verification the site is left alone.
			g.site.Reply(emulator.ChallengeJSON())
			if r := g.chat("hello", ""); r.code() != "upstream_verification_required" {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
			g.slotsFree()
			if n := g.requested(emulator.EndpointDelete); n != 3 {
				t.Errorf("the site was asked %d times to delete a chat", n)
			}
		})
	}
}

func TestDeleteChat(t *testing.T) {
	g := mustGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef"})
	g.numbered()
	own := g.site.AddChat("The owner's own chat")
	a := g.ask([]said{user("one")})
	ann := []string{"Authorization", "Bearer sk-ann-0123456789abcdef"}
	for name, tt := range map[string]struct {
		id, code string
		status   int
		header   []string
	}{
		"unknown":                 {"3f0c0a4e-0000-4000-8000-000000000000", "chat_not_found", 404, nil},
		"X10 of another key":      {a.chat, "chat_not_found", 404, ann},
		"not opened here":         {own, "chat_not_found", 404, nil},
		"not an id":               {"a%20b", "chat_not_found", 404, nil},
		"several steps":           {"a/b", "chat_not_found", 404, nil},
		"no key":                  {a.chat, "invalid_api_key", 401, []string{"Authorization", ""}},
		"a path out of the chats": {"..", "chat_not_found", 404, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.do(http.MethodDelete, "/v1/chats/"+tt.id, "", tt.header...)
			if r.status != tt.status || r.code() != tt.code {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		})
	}
	if n := g.requested(emulator.EndpointDelete); n > 0 {
		t.Fatalf("the site was asked %d times", n)
	}
	if r := g.do(http.MethodGet, "/v1/chats/"+a.chat, ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "DELETE, OPTIONS" {
		t.Errorf("GET: status %d, Allow %q", r.status, r.header.Get("Allow"))
	}
	r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, "")
	if want := `{"id":"` + a.chat + `","object":"chat.deleted","deleted":true}`; r.status != http.StatusOK || r.body != want {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if !slices.Contains(g.site.Deleted(), a.chat) {
		t.Error("the chat is still there")
	}
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.code() != "chat_not_found" {
		t.Errorf("again: status %d: %s", r.status, r.body)
	}
	g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "replayed")
}

func TestDeleteChatWithoutAnswer(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.Moderation())
	g.chat("refused", "")
	g.slotsFree()
	ids := g.site.ChatIDs()
	if len(ids) != 1 {
		t.Fatalf("there are %d chats", len(ids))
	}
	if r := g.do(http.MethodDelete, "/v1/chats/"+ids[0], ""); r.status != http.StatusOK {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

func TestDeleteChatInUse(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	gate := make(chan struct{})
	g.site.Reply(emulator.Text("The second reply.").After(gate))
	done := make(chan heard)
	go func() { done <- g.ask([]said{user("one"), a.said, user("two")}) }()
	g.await("the answer is being written", func() bool { return len(g.site.Completions()) == 2 })
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.status != http.StatusConflict || r.code() != "chat_busy" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	close(gate)
	(<-done).mustBe(t, "continued")
}

func TestDeleteChatWithoutSessions(t *testing.T) {
	g := mustGateway(t, setup{qwen: "sessions off"})
	a := g.ask([]said{user("one")})
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.status != http.StatusServiceUnavailable || r.code() != "sessions_unavailable" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

func TestDeleteChatSiteFails(t *testing.T) {
	g := mustGateway(t, setup{})
	a := g.ask([]said{user("one")})
	g.site.Fail(emulator.EndpointDelete, emulator.Expired())
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.code() != "upstream_credential_expired" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.status != http.StatusOK {
		t.Errorf("again: status %d: %s", r.status, r.body)
	}
}

// R12: to validate a configuration leaves no trace.
func TestSessionsNotOpenedByValidation(t *testing.T) {
	site, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	g := &gateway{t: t, site: site, sessions: filepath.Join(t.TempDir(), "dir", "sessions.db")}
	testLog.Store(new(logBuffer))
	config := new(caddy.Config)
	if err := json.Unmarshal(g.adapt(setup{}), config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(config); err != nil {
		t.Fatal(err)
	}
	storesClosed(t)
	if _, err := os.Stat(filepath.Dir(g.sessions)); !os.IsNotExist(err) {
		t.Errorf("validation has made the directory: %v", err)
	}
}

func TestSessionsOpenedAtStart(t *testing.T) {
	g := mustGateway(t, setup{})
	eventually(t, "the store is made", func() bool { _, err := os.Stat(g.sessions); return err == nil })
	if n := len(g.site.Requests()); n > 0 {
		t.Errorf("the site got %d requests", n)
	}
	if !strings.HasSuffix(defaultSessionsPath(), filepath.Join("caddy", "qwen", "sessions.db")) {
		t.Errorf("the default path is %s", defaultSessionsPath())
	}
}

func TestChatsConfigurationErrors(t *testing.T) {
	site, err := emulator.Start(emulator.Options{})
	must(t, err)
	defer site.Close()
	g := &gateway{t: t, site: site, sessions: filepath.Join(t.TempDir(), "sessions.db")}
	for name, tt := range map[string]struct{ lines, want string }{
		"delete without a record": {"chats delete 1h\nsessions off", "needs the record of sessions"},
	} {
		t.Run(name, func(t *testing.T) {
			testLog.Store(new(logBuffer))
			config := new(caddy.Config)
			must(t, json.Unmarshal(g.adapt(setup{qwen: tt.lines}), config))
			if err := caddy.Validate(config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for name, tt := range map[string]struct {
		h    Handler
		want string
	}{
		"unknown":          {Handler{Chats: "sometimes"}, "must be keep, delete or temporary"},
		"delete when?":     {Handler{Chats: chatsDelete}, "needs the time"},
		"a time for keep":  {Handler{Chats: chatsKeep, DeleteChatsAfter: 1}, "only for"},
		"a negative time":  {Handler{Chats: chatsDelete, DeleteChatsAfter: -1}, "needs the time"},
		"a time for never": {Handler{Chats: chatsTemporary, DeleteChatsAfter: 1}, "only for"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.h.validateChats(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
