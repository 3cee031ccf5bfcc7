package caddyqwen

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The site is reached through a proxy, whose transport writes to Caddy's values of
// a request. The stop call comes after the client's request, whose values the
// access log reads at the same time: the race detector must find nothing.
func TestTransportThroughProxy(t *testing.T) {
	site, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	g := mustGateway(t, setup{
		baseURL: "http://site.test",
		site:    "log_append id {http.request.uuid}\nlog_append v {vars.x}",
		qwen:    "transport http {\nnetwork_proxy url " + site.URL() + "\n}",
	})
	g.site = site // for a proxy, the emulated site answers for every host
	const clients = 5
	for range clients {
		site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Hang()))
		ctx, leave := context.WithCancel(t.Context())
		resp := g.send(ctx, http.MethodPost, chatPath, chatBody("hello", `"stream":true`))
		if _, err := resp.Body.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		leave()
		resp.Body.Close()
	}
	g.await("every answer is stopped", func() bool { return len(site.Stops()) == clients })
	g.slotsFree()
}

// mustContext returns what handlers are provisioned with, of a Caddy that never
// starts.
func mustContext(t *testing.T) caddy.Context {
	t.Helper()
	off := false
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}}})
	must(t, err)
	return ctx
}

// mustProvision returns a handler in front of a site, without a Caddy around it.
func mustProvision(t *testing.T, h *Handler) *Handler {
	t.Helper()
	h.SessionsRaw = json.RawMessage(`{"store":"off"}`) // a store needs a Caddy that starts
	ctx := mustContext(t)
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// plainWriter hides that a response writer can flush, as some other handlers do.
type plainWriter struct{ w http.ResponseWriter }

func (p plainWriter) Header() http.Header         { return p.w.Header() }
func (p plainWriter) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plainWriter) WriteHeader(status int)      { p.w.WriteHeader(status) }

// Without flushing, the stream is late, but whole.
func TestStreamWithoutFlush(t *testing.T) {
	site, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	gate := make(chan struct{})
	close(gate)
	site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one "), emulator.Wait(gate), emulator.Answer("two"), emulator.Finish()))
	h := mustProvision(t, &Handler{BaseURL: site.URL(), Auth: authOff, Accounts: []*Account{{Token: testToken}}})
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(chatBody("hello", `"stream":true`)))
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	if err := h.ServeHTTP(plainWriter{recorder}, request, next); err != nil {
		t.Fatal(err)
	}
	if text, complete := streamed(t, recorder.Body.String()); text != "one two" || !complete {
		t.Errorf("got %q, complete %t", text, complete)
	}
}

// Headers that make up a request cannot be pasted, nor can those that have an
// option of their own.
func TestAccountHeaders(t *testing.T) {
	for header, refused := range map[string]bool{
		"Accept-Encoding": true, "content-type": true, "Content-Length": true, "Cookie": true, "authorization": true, "Host": true,
		"User-Agent": false, "bx-ua": false, "sec-fetch-mode": false,
	} {
		ctx := mustContext(t)
		h := &Handler{
			Accounts:    []*Account{{Token: testToken, Headers: map[string]string{header: "value"}}},
			SessionsRaw: json.RawMessage(`{"store":"off"}`), // a store needs a Caddy that starts
		}
		err := h.Provision(ctx)
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), http.CanonicalHeaderKey(header)) {
			t.Errorf("%s: %v", header, err)
		}
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}
