package caddyqwen

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestNetworkUnreachable(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Close()
	for mode, fields := range modes {
		t.Run("P01 connection refused/"+mode, func(t *testing.T) {
			wantUnreachable.check(t, g.chat(secretPrompt, fields))
		})
	}
	t.Run("health does not depend on the site", func(t *testing.T) {
		if got := g.do(http.MethodGet, "/health", ""); got.status != http.StatusOK || got.body != `{"status":"ok"}` {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
}

// mustRefuseNames starts a name server that knows no name, and returns its
// address and the number of questions for addresses of that name.
func mustRefuseNames(t *testing.T) (address string, asked *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		packet := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			asked.Add(1)
			packet[2], packet[3] = 0x81, 0x83 // an answer: there is no such name
			_, _ = conn.WriteTo(packet[:n], from)
		}
	}()
	return conn.LocalAddr().String(), asked
}

func TestNetworkName(t *testing.T) {
	address, asked := mustRefuseNames(t)
	g := mustGateway(t, setup{
		baseURL: "http://site.invalid",
		qwen:    "transport http {\nresolvers udp/" + address + "\n}",
	})
	wantUnreachable.check(t, g.chat(secretPrompt, `"stream":true`))
	if asked.Load() == 0 {
		t.Error("P02 the name was not looked up at the given server")
	}
}

func TestNetworkTLS(t *testing.T) {
	var requests, connections atomic.Int32
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	site.Config.ErrorLog = log.New(io.Discard, "", 0)
	site.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	site.StartTLS()
	t.Cleanup(site.Close)
	g := mustGateway(t, setup{baseURL: site.URL})
	for mode, fields := range modes {
		t.Run("P03 unknown certificate/"+mode, func(t *testing.T) {
			before := connections.Load()
			want := failed{status: 502, code: "upstream_tls", class: classNetwork, final: true}
			want.check(t, g.chat(secretPrompt, fields))
			// One for the chat; the first time, one for the list of models and one to
			// find out how the account is.
			if n := connections.Load() - before; n > 3 {
				t.Errorf("it was tried %d times", n)
			}
		})
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestNetworkIdle(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"P05 no headers":                       emulator.HangBeforeHeaders(),
		"P19 no text":                          emulator.Stream(emulator.Created(), emulator.Hang()),
		"P19 no byte":                          emulator.Stream(emulator.Hang()),
		"P19 hang after text is no end, whole": afterText(emulator.Hang()),
	} {
		for mode, fields := range modes {
			if strings.HasSuffix(name, mode) || !strings.Contains(name, ", ") {
				t.Run(name+"/"+mode, func(t *testing.T) {
					g := mustGateway(t, setup{qwen: "idle_timeout 50ms"})
					g.site.Reply(reply)
					wantTimeout.check(t, g.chat(secretPrompt, fields))
					checkStopped(t, g)
				})
			}
		}
	}
	t.Run("P19 hang in the stream", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "idle_timeout 200ms\nheartbeat 20ms"})
		g.site.Reply(afterText(emulator.Hang()))
		got := g.chat(secretPrompt, `"stream":true`)
		checkBroken(t, got, wantTimeout)
		if !strings.Contains(got.body, ": keep-alive\n\n") {
			t.Errorf("no sign of life before:\n%s", got.body)
		}
		checkStopped(t, g)
	})
	t.Run("L10 a hang before the first text, after the stream was opened", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "idle_timeout 200ms\nfirst_byte_hold 20ms\nheartbeat 20ms"})
		g.site.Reply(emulator.HangBeforeHeaders())
		got := g.chat(secretPrompt, `"stream":true`)
		data := events(t, got.body)
		if got.status != http.StatusOK || len(data) != 2 || !strings.Contains(data[0], `"role":"assistant"`) {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		wantTimeout.checkBody(t, data[1])
		checkStopped(t, g)
	})
}

// checkStopped checks that the only answer was stopped on the site.
func checkStopped(t *testing.T, g *gateway) {
	t.Helper()
	g.await("the answer is stopped", func() bool {
		return len(g.site.Stops()) == 1 && g.site.Active() == 0
	})
	if c := g.site.Completions(); len(c) != 1 || g.site.ChatBusy(c[0].ChatID) || g.site.Stops()[0].ChatID != c[0].ChatID {
		t.Errorf("stops %v for %v", g.site.Stops(), c)
	}
	g.slotsFree()
}

func TestNetworkOpeningHangs(t *testing.T) {
	g := mustGateway(t, setup{qwen: "idle_timeout 50ms"})
	g.site.Fail(emulator.EndpointNewChat, emulator.HangBeforeHeaders())
	wantTimeout.check(t, g.chat(secretPrompt, `"stream":true`))
	g.slotsFree()
	if n := len(g.site.Requests()); n != 2 {
		t.Errorf("P05 the site got %v", g.site.Requests())
	}
}

// The idle time begins anew with every byte; the duration does not.
func TestNetworkDuration(t *testing.T) {
	endless := func(emulator.Completion) emulator.Reply { return emulator.Bulk(1<<20, "word ", 5e6) }
	want := failed{status: 504, code: "upstream_timeout", class: classUpstream, final: true}
	g := mustGateway(t, setup{qwen: "idle_timeout 100ms\nmax_duration 300ms"})
	g.site.Respond(endless)
	t.Run("L12 P34 whole", func(t *testing.T) {
		want.check(t, g.chat(secretPrompt, ""))
	})
	t.Run("L12 P34 streamed", func(t *testing.T) {
		got := g.chat(secretPrompt, `"stream":true`)
		data := events(t, got.body)
		want.checkBody(t, data[len(data)-1])
		if len(data) < 5 || strings.Contains(got.body, "[DONE]") || strings.Contains(got.body, `"finish_reason":"`) {
			t.Errorf("%d events:\n%s", len(data), got.body)
		}
	})
	g.await("both are stopped", func() bool { return len(g.site.Stops()) == 2 && g.site.Active() == 0 })
}

// The log says what failed on the way to the site.
func TestNetworkLogged(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Close()
	got := g.chat(secretPrompt, "")
	for _, part := range []string{
		`"level":"warn"`, `"msg":"request failed"`, `"operation":"open a chat"`, "connection refused",
		fmt.Sprintf(`"request_id":%q`, got.header.Get("X-Request-Id")),
	} {
		if !strings.Contains(g.logged(), part) {
			t.Errorf("%s is not in the log:\n%s", part, g.logged())
		}
	}
}
