package caddyqwen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// meddler stands between Caddy and the site and does something else with some
// requests.
type meddler struct {
	*httptest.Server
	site atomic.Pointer[httputil.ReverseProxy]
}

func mustMeddle(t *testing.T, with func(w http.ResponseWriter, r *http.Request, site http.Handler)) *meddler {
	m := new(meddler)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := m.site.Load()
		if site == nil {
			w.WriteHeader(http.StatusBadGateway) // Caddy has been started before it
			return
		}
		with(w, r, site)
	}))
	t.Cleanup(m.Close)
	return m
}

// mustMeddledGateway is a gateway whose site is behind the meddler.
func mustMeddledGateway(t *testing.T, m *meddler, s setup) *gateway {
	s.baseURL = m.URL
	g := mustGateway(t, s)
	site, err := url.Parse(g.site.URL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(site)
	transport := &http.Transport{DisableKeepAlives: true}
	proxy.Transport, proxy.FlushInterval = transport, -1
	m.site.Store(proxy)
	return g
}

// The client leaves while the site opens a chat that is to be deleted.
func TestChatOfLeaver(t *testing.T) {
	for _, policy := range []string{"temporary", "delete 1ms"} {
		t.Run(policy, func(t *testing.T) {
			opened, answer := make(chan bool), make(chan bool)
			m := mustMeddle(t, func(w http.ResponseWriter, r *http.Request, site http.Handler) {
				if !strings.HasSuffix(r.URL.Path, "/chats/new") {
					site.ServeHTTP(w, r)
					return
				}
				recorder := httptest.NewRecorder()
				site.ServeHTTP(recorder, r.WithContext(context.WithoutCancel(r.Context())))
				opened <- true
				<-answer
				w.WriteHeader(recorder.Code)
				_, _ = w.Write(recorder.Body.Bytes())
			})
			g := mustMeddledGateway(t, m, setup{qwen: "chats " + policy})
			l := g.leaver(`"stream":true`)
			<-opened
			l.leave()
			<-l.done
			close(answer)
			g.await("the chat is deleted", func() bool { return len(g.site.Deleted()) == 1 && len(g.site.ChatIDs()) == 0 })
			g.slotsFree()
		})
	}
}

// One chat that the site does not delete is no reason to keep the others.
func TestChatsDeleteRefused(t *testing.T) {
	var stubborn atomic.Pointer[string]
	var tried atomic.Int64
	m := mustMeddle(t, func(w http.ResponseWriter, r *http.Request, site http.Handler) {
		if id := stubborn.Load(); r.Method == http.MethodDelete && (id == nil || strings.HasSuffix(r.URL.Path, *id)) {
			tried.Add(1)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"success":false,"request_id":"x","data":{"code":"Bad_Request","details":"This chat is part of a project."}}`)
			return
		}
		site.ServeHTTP(w, r)
	})
	g := mustMeddledGateway(t, m, setup{qwen: "chats delete 1ms"})
	first := g.ask([]said{user("one")}).chat
	eventually(t, "the site has refused to delete it", func() bool { return tried.Load() > 0 })
	stubborn.Store(&first)
	second := g.ask([]said{user("two")}).chat
	g.await("the other one is deleted", func() bool { return slices.Contains(g.site.Deleted(), second) })
	if slices.Contains(g.site.Deleted(), first) {
		t.Error("the stubborn one is deleted, too")
	}
}

// A chat that was found idle, and used before its turn to be deleted came.
func TestChatUsedBeforeItIsDeleted(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	var shared *sessions
	sessionStores.Range(func(_, v any) bool { shared = v.(*sessions); return true })
	h := new(Handler) // without an account, it cannot delete
	id := session.Of("account", g.site.URL(), "token "+testToken)
	chat, err := shared.store.Chat(t.Context(), id, a.chat)
	must(t, err)
	nextMilli()
	g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "continued")
	if deleted, err := h.deleteIfIdle(t.Context(), shared, nil, rate.NewLimiter(rate.Inf, 0), chat); deleted || err != nil {
		t.Fatalf("deleted %t, %v", deleted, err)
	}
	if _, err := shared.store.Chat(t.Context(), id, a.chat); err != nil {
		t.Errorf("the chat is gone: %v", err)
	}
}

// A turn whose chat is lost has its place already, however many wait.
func TestConversationLostWhileOthersWait(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_length 1\nqueue_wait 1m"})
	g.numbered()
	a := g.ask([]said{user("one")})
	g.slotsFree()
	gate := make(chan struct{})
	g.site.Fail(emulator.EndpointCompletions, emulator.ChatNotFound().After(gate))
	answers := make(chan reply, 2)
	go func() {
		answers <- g.do(http.MethodPost, chatPath, talkBody([]said{user("one"), a.said, user("two")}, ""))
	}()
	g.await("the prompt is there", func() bool { return g.requested(emulator.EndpointCompletions) == 2 })
	go func() { answers <- g.chat("another", "") }()
	g.queued(1)
	close(gate)
	for range 2 {
		if r := <-answers; r.status != http.StatusOK {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	prompts := g.site.Completions()
	if len(prompts) != 3 || !strings.Contains(prompts[1].Content, "two") {
		t.Errorf("the turn did not keep its place: %v", prompts)
	}
}

// A chat that was refused within the stream is not the one that answers.
func TestConversationLostBehindComments(t *testing.T) {
	g := mustGateway(t, setup{qwen: "first_byte_hold 1ms"})
	g.numbered()
	a := g.ask([]said{user("one")})
	gate := make(chan struct{})
	g.site.Reply(
		emulator.Stream(emulator.Created(), emulator.ErrorFrame("Not_Found", "The chat x is not exist")),
		emulator.Text("The new answer.").After(gate),
	)
	resp := g.send(t.Context(), http.MethodPost, chatPath, talkBody([]said{user("one"), a.said, user("two")}, `"stream":true`))
	defer resp.Body.Close()
	close(gate)
	if id := resp.Header.Get("X-Qwen-Chat-Id"); id == a.chat {
		t.Error("X-Qwen-Chat-Id names the lost chat")
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil || !strings.Contains(text.String(), "The new answer.") {
		t.Errorf("%v: %s", err, &text)
	}
}

// What the model is told does not depend on whether the conversation is known.
func TestConversationTellsNames(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	r := g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[{"role":"user","name":"ann","content":"one"}]}`)
	text, err := contentOf([]byte(r.body))
	must(t, err)
	r = g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[{"role":"user","name":"ann","content":"one"},`+
		`{"role":"assistant","content":`+quote(text)+`},{"role":"user","name":"bob","content":"two"}]}`)
	if _, prompt := g.seen(); r.header.Get("X-Qwen-Session") != "continued" || !strings.Contains(prompt, `name="bob"`) {
		t.Errorf("%q: %q", r.header.Get("X-Qwen-Session"), prompt)
	}
}

// White space of a question may have a meaning, as in a program.
func TestConversationEditedIndentation(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("Why?\nif x:\n    a()\n    b()")})
	g.ask([]said{user("Why?\nif x:\n    a()\nb()"), a.said, user("And so?")}).mustBe(t, "replayed")
}

// Two callers behind one key, one of whose conversations is not recorded.
func TestConversationGreeting(t *testing.T) {
	const greeting = "Hello! How can I help you today?"
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.Text("I will keep it to myself."), emulator.Text(greeting))
	talk := []said{user("My secret is " + secretPrompt)}
	talk = append(talk, g.ask(talk).said, user("hi"))
	g.ask(talk).mustBe(t, "continued")
	g.ask([]said{user("hi"), assistant(greeting), user("What do you know?")}).mustBe(t, "replayed")
}

// troubledStore fails in some ways.
type troubledStore struct {
	session.Store
	refuseChats atomic.Int64 // so many calls of AddChat
	slow        atomic.Bool  // reads take until nobody waits for them
	panics      atomic.Bool
}

func (s *troubledStore) AddChat(ctx context.Context, c session.Chat) error {
	if s.refuseChats.Add(-1) >= 0 {
		return session.ErrUnavailable
	}
	return s.Store.AddChat(ctx, c)
}

func (s *troubledStore) Find(ctx context.Context, key session.Key, limit int) ([]session.Turn, error) {
	if s.panics.Load() {
		panic("the store panics")
	}
	if s.slow.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Find(ctx, key, limit)
}

// troubledSessions is a module for another store than the handler's own.
type troubledSessions struct{ SQLiteSessions }

// newestTrouble is the store that the module has opened last.
var newestTrouble atomic.Pointer[troubledStore]

func init() { caddy.RegisterModule(troubledSessions{}) }

func (troubledSessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.qwen.sessions.troubled",
		New: func() caddy.Module { return new(troubledSessions) },
	}
}

func (m *troubledSessions) OpenStore(logger *zap.Logger) session.Store {
	s := &troubledStore{Store: m.SQLiteSessions.OpenStore(logger)}
	newestTrouble.Store(s)
	return s
}

// mustTroubledGateway is a gateway with a store that can fail.
func mustTroubledGateway(t *testing.T, qwen string) (*gateway, *troubledStore) {
	g := mustGateway(t, setup{qwen: "sessions troubled " + filepath.Join(t.TempDir(), "sessions.db") + "\n" + qwen})
	g.numbered()
	return g, newestTrouble.Load()
}

func TestChatThatTheStoreMissed(t *testing.T) {
	g, s := mustTroubledGateway(t, "chats delete 1h")
	s.refuseChats.Store(1)
	a := g.ask([]said{user("one")})
	g.slotsFree()
	var shared *sessions
	sessionStores.Range(func(_, v any) bool { shared = v.(*sessions); return true })
	shared.addUnknown(t.Context(), zap.NewNop())
	chat, err := shared.store.Chat(t.Context(), session.Of("account", g.site.URL(), "token "+testToken), a.chat)
	if err != nil || !chat.Disposable {
		t.Errorf("%+v, %v", chat, err)
	}
}

func TestConversationOfSlowStore(t *testing.T) {
	g, s := mustTroubledGateway(t, "")
	a := g.ask([]said{user("one")})
	s.slow.Store(true)
	g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "replayed")
	if strings.Contains(g.logged(), "session store") && strings.Contains(g.logged(), "fails") {
		t.Error("the store counts as broken")
	}
}

func TestConversationOfPanickingStore(t *testing.T) {
	g, s := mustTroubledGateway(t, "")
	a := g.ask([]said{user("one")})
	s.panics.Store(true)
	got := g.do(http.MethodPost, chatPath, talkBody([]said{user("one"), a.said, user("two")}, ""))
	if got.status != http.StatusInternalServerError || got.code() != "internal_error" {
		t.Errorf("R10 status %d: %s", got.status, got.body)
	}
	g.slotsFree() // and when the gateway stops, nobody holds the store
}

func TestSessionsCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		errs []error
		want string
	}{
		"works":                  {[]error{nil, session.ErrNotFound, session.ErrBusy}, ""},
		"a client has left":      {[]error{context.Canceled, fmt.Errorf("find: %w", context.DeadlineExceeded)}, ""},
		"it tells itself":        {[]error{session.ErrUnavailable}, ""},
		"fails":                  {[]error{errors.New("x"), errors.New("y")}, "warn"},
		"fails and works":        {[]error{errors.New("x"), nil}, "warn info"},
		"fails and is not there": {[]error{errors.New("x"), session.ErrUnavailable, errors.New("y")}, "warn"},
	} {
		t.Run(name, func(t *testing.T) {
			var levels []string
			logger := zap.New(levelCore{&levels})
			s := new(sessions)
			for _, err := range tt.errs {
				s.check(logger, err)
			}
			if got := strings.Join(levels, " "); got != tt.want {
				t.Errorf("logged %q, want %q", got, tt.want)
			}
		})
	}
}

// levelCore keeps the levels of what is logged.
type levelCore struct{ levels *[]string }

func (levelCore) Enabled(zapcore.Level) bool          { return true }
func (c levelCore) With([]zapcore.Field) zapcore.Core { return c }
func (levelCore) Sync() error                         { return nil }

func (c levelCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(e, c)
}

func (c levelCore) Write(e zapcore.Entry, _ []zapcore.Field) error {
	*c.levels = append(*c.levels, e.Level.String())
	return nil
}
