package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// stateUsers returns how many users each of the shared states has.
func stateUsers() (users []int) {
	states.Range(func(key, _ any) bool {
		n, _ := states.References(key)
		users = append(users, n)
		return true
	})
	return users
}

// mustBeHeld waits until there is one state, held by so many users: handlers,
// requests, and turns on the site, which end a moment after the answer.
func mustBeHeld(t *testing.T, users int) {
	t.Helper()
	eventually(t, fmt.Sprintf("one state with %d users", users), func() bool {
		now := stateUsers()
		return len(now) == 1 && now[0] == users
	})
}

func TestReloadDuringStreams(t *testing.T) {
	const streams = 8
	g := mustGateway(t, setup{qwen: "heartbeat 15s\nmax_streams_per_account 16"})
	var finish []func() string
	for range streams {
		finish = append(finish, g.running())
	}
	g.load(setup{qwen: "heartbeat 10ms\nidle_timeout 1m\nmax_streams 9\nmax_streams_per_account 16"})
	t.Run("R02 the new limits count the old streams", func(t *testing.T) {
		last := g.running()
		wantServerBusy.check(t, g.chat("hello", `"stream":true`))
		last()
	})
	t.Run("R01 the old streams go on to their end", func(t *testing.T) {
		for i, f := range finish {
			stream := f()
			if text, complete := streamed(t, stream); !complete || text != firstWords+"last words" {
				t.Errorf("stream %d: %q", i, text)
			}
			if strings.Contains(stream, "keep-alive") {
				t.Errorf("R02 stream %d has the heartbeat of the new configuration", i)
			}
		}
	})
	g.slotsFree()
	mustBeHeld(t, 1)
}

func TestReloadMany(t *testing.T) {
	g := mustGateway(t, setup{})
	finish := g.running()
	for i := range 50 {
		g.load(setup{qwen: fmt.Sprintf("heartbeat %ds", i+1)})
		if i%10 == 0 {
			if got := g.chat("hello", `"stream":true`); got.status != http.StatusOK || !strings.Contains(got.body, "[DONE]") {
				t.Errorf("R04 reload %d: status %d: %s", i, got.status, got.body)
			}
		}
	}
	if text, complete := streamed(t, finish()); !complete || text != firstWords+"last words" {
		t.Errorf("R04 the stream was disturbed: %q", text)
	}
	if n := g.requested(emulator.EndpointModels); n != 1 {
		t.Errorf("the list of models was fetched %d times", n)
	}
	g.slotsFree()
	mustBeHeld(t, 1)
}

// badSetups cannot be loaded, for reasons that show at different points.
var badSetups = map[string]setup{
	"A10 a variable that does not exist": {bare: true, qwen: "account {\ntoken {env.CADDY_QWEN_NOT_THERE}\n}"},
	"A08 a key from documentation":       {qwen: "api_key sk-your-token"},
	"A09 a key twice":                    {qwen: "api_key " + testKey},
	"a transport that is not well set":   {qwen: "transport http {\nlocal_address nonsense\n}"},
	"A09 a second handler, after a good one": {
		site: "handle_path /x/* {\nqwen {\nbase_url http://127.0.0.1:1\nauth off\n}\n}",
		qwen: "api_key " + testKey,
	},
}

func TestReloadFailed(t *testing.T) {
	g := mustGateway(t, setup{})
	finish := g.running()
	for name, s := range badSetups {
		t.Run("R03 R13 "+name, func(t *testing.T) {
			const held = 3 // by the handler, the stream's request and its turn
			mustBeHeld(t, held)
			for range 3 {
				err := caddy.Load(g.adapt(s), true)
				if err == nil {
					t.Fatal("it was loaded")
				}
				for _, secret := range canaries() {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error has a secret in it: %v", err)
					}
				}
			}
			mustBeHeld(t, held)
			if got := g.chat("hello", ""); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	if text, complete := streamed(t, finish()); !complete || text != firstWords+"last words" {
		t.Errorf("the stream was disturbed: %q", text)
	}
}

func TestReloadKeyRemoved(t *testing.T) {
	const second = "sk-second-0123456789"
	g := mustGateway(t, setup{qwen: "api_key " + second})
	finish := g.running("Authorization", "Bearer "+second)
	g.load(setup{})
	wantKey("invalid_api_key").check(t, g.do(http.MethodPost, chatPath, chatBody("hello", ""), "Authorization", "Bearer "+second))
	if _, complete := streamed(t, finish()); !complete {
		t.Error("A19 the stream of the old key was cut")
	}
}

func TestReloadLastUser(t *testing.T) {
	g := mustGateway(t, setup{})
	g.chat("hello", "")
	g.slotsFree()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no state is left", func() bool { return len(stateUsers()) == 0 })
}

func TestReloadTwoSites(t *testing.T) {
	g := mustGateway(t, setup{})
	const site = `%s {
		bind 127.0.0.1
		qwen {
			base_url %s
			account {
				token %s
			}
			api_key %s
			max_streams 1
			heartbeat %s
		}
	}
	`
	text := "{\nadmin off\npersist_config off\nauto_https off\nstorage_clean_interval off\nlog default {\noutput test\n}\n}\n" +
		fmt.Sprintf(site, "http://a.test:0", g.site.URL(), testToken, testKey, "15s") +
		fmt.Sprintf(site, "http://b.test:0", g.site.URL(), testToken, testKey, "20s")
	if err := caddy.Load(mustAdapt(t, text), true); err != nil {
		t.Fatal(err)
	}
	g.url = mustAddress(t)
	mustBeHeld(t, 2) // R06: by both handlers
	chat := func(host string) reply {
		conn := g.dial()
		body := chatBody("hello", "")
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chatPath, host, testKey, len(body), body)
		return mustReadReply(t, conn)
	}
	gate := make(chan struct{})
	g.site.Reply(emulator.Text("held back").After(gate))
	first := make(chan reply, 1)
	go func() { first <- chat("a.test") }()
	g.await("the prompt arrives", func() bool { return g.site.Active() == 1 })
	wantServerBusy.check(t, chat("b.test"))
	close(gate)
	if got := <-first; got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := chat("b.test"); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// `caddy validate` sets everything up; it must neither write nor call anyone.
func TestReloadValidate(t *testing.T) {
	g := mustGateway(t, setup{})
	config := g.adapt(setup{bare: true, qwen: "account {\ntoken " + testToken + "\n}"})
	g.load(setup{})
	eventually(t, "the account has been checked", func() bool { return g.site.Probes() > 0 })
	before, asked := len(stateUsers()), len(g.site.Requests())+len(g.site.AuthRequests())
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	cfg := new(caddy.Config)
	if err := json.Unmarshal(config, cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "caddy", "qwen")); err == nil {
		t.Error("R12 a file was made")
	}
	if n := len(g.site.Requests()) + len(g.site.AuthRequests()); n != asked {
		t.Errorf("R12 the site got %v and %v", g.site.Requests(), g.site.AuthRequests())
	}
	eventually(t, "nothing is held", func() bool { return len(stateUsers()) == before })
}
