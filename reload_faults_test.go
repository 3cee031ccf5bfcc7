package caddyqwen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// R01: streams that began under any of several configurations reach their end.
func TestReloadHundredStreams(t *testing.T) {
	const streams, reloads = 100, 4
	configured := func(i int) setup {
		return setup{qwen: fmt.Sprintf("max_streams_per_account %d\nmax_streams_per_key 200\nidle_timeout %dm", streams, i+2)}
	}
	g := mustGateway(t, configured(0))
	var finish []func() string
	for i := range reloads {
		for range streams / reloads {
			finish = append(finish, g.running())
		}
		g.load(configured(i + 1))
	}
	var ends sync.WaitGroup
	for i, f := range finish {
		ends.Go(func() {
			if text, complete := streamed(t, f()); !complete || text != firstWords+"last words" {
				t.Errorf("stream %d: %q", i, text)
			}
		})
	}
	ends.Wait()
	g.slotsFree()
	mustBeHeld(t, 1)
}

// R04: clients do not notice reloads.
func TestReloadUnderLoad(t *testing.T) {
	const clients = 4
	reloads := 15
	if long {
		reloads = 100
	}
	g := mustGateway(t, setup{})
	var requests, again, broken atomic.Int64
	stop := make(chan struct{})
	var working sync.WaitGroup
	// All configurations share a Unix socket. Of TCP, each has a socket of its own, and
	// what is in the queue of the old one is lost with it.
	dir, err := os.MkdirTemp("", "qwen") // paths of sockets must be short
	must(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "http.sock")
	reload := func(i int) {
		config := strings.ReplaceAll(string(g.adapt(setup{qwen: fmt.Sprintf("heartbeat %ds", i+1)})), `"127.0.0.1:0"`, `"unix/`+socket+`"`)
		must(t, caddy.Load([]byte(config), true))
	}
	reload(reloads)
	for i := range clients {
		working.Go(func() {
			// A connection that waits for a request is closed by a reload, perhaps when
			// one is on its way. Clients know this, and try again.
			transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}
			for {
				select {
				case <-stop:
					return
				default:
				}
				fields := ""
				if i%2 == 0 {
					fields = `"stream":true`
				}
				req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1"+chatPath, strings.NewReader(chatBody("hello", fields)))
				must(t, err)
				req.Header.Set("Authorization", "Bearer "+testKey)
				got := answerTo(transport.RoundTrip(req))
				if got.status == 0 && errors.Is(got.err, io.EOF) {
					again.Add(1) // Go's server does not answer what it reads when it is shut down
					continue
				}
				requests.Add(1)
				if got.err != nil || got.status != http.StatusOK || fields != "" && !strings.Contains(got.body, "[DONE]") {
					broken.Add(1)
					t.Errorf("status %d, %v: %s", got.status, got.err, tail(got.body))
				}
			}
		})
	}
	for i := range reloads {
		reload(i)
		before := requests.Load()
		eventually(t, "some requests are answered", func() bool { return requests.Load() >= before+2 })
	}
	close(stop)
	working.Wait()
	t.Logf("%d reloads, %d requests, %d of them broken, %d sent again", reloads, requests.Load(), broken.Load(), again.Load())
	if n := int64(len(g.site.Completions())); n != requests.Load() {
		t.Errorf("the site got %d prompts of %d requests, so that some that were not answered had come to it", n, requests.Load())
	}
	g.slotsFree()
	mustBeHeld(t, 1)
}

// held counts what a process can run out of.
func held(t *testing.T) (goroutines, descriptors int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the system does not tell its open files")
	}
	return runtime.NumGoroutine(), len(list)
}

// R03: configurations that cannot be loaded leave nothing behind.
func TestReloadFailedMany(t *testing.T) {
	const rounds = 100
	g := mustGateway(t, setup{})
	var bad [][]byte
	for _, s := range badSetups {
		bad = append(bad, g.adapt(s))
	}
	fail := func(n int) {
		for i := range n {
			if caddy.Load(bad[i%len(bad)], true) == nil {
				t.Fatal("it was loaded")
			}
		}
	}
	fail(len(bad)) // Caddy itself keeps something of the first ones
	goroutines, descriptors := held(t)
	fail(rounds)
	eventually(t, "goroutines and files are as many as before", func() bool {
		nowGoroutines, nowDescriptors := held(t)
		return nowGoroutines <= goroutines+2 && nowDescriptors <= descriptors+2
	})
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	g.slotsFree()
	mustBeHeld(t, 1)
	if l := mustLifecycle(t); l.handlers != 1 {
		t.Errorf("%d handlers count as running", l.handlers)
	}
}

// twiceHandler is the handler, cleaned up twice.
type twiceHandler struct{ Handler }

func init() { caddy.RegisterModule(twiceHandler{}) }

func (twiceHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.qwen_twice", New: func() caddy.Module { return new(twiceHandler) }}
}

// cleanedTwice counts that, and keeps what it fails with.
var (
	cleanedTwice atomic.Int64
	cleanupError atomic.Pointer[error]
)

func (h *twiceHandler) Cleanup() error {
	err := errors.Join(h.Handler.Cleanup(), h.Handler.Cleanup())
	if err != nil {
		cleanupError.Store(&err)
	}
	cleanedTwice.Add(1)
	return err
}

// R13: cleaning up what was set up in part, or twice, is harmless.
func TestReloadCleanupInPart(t *testing.T) {
	g := mustGateway(t, setup{})
	before := mustLifecycle(t)
	for name, spoil := range map[string]map[string]any{
		"nothing":       {},
		"an account":    {"accounts": []any{map[string]any{}}},
		"two accounts":  {"accounts": []any{map[string]any{"token": "a.b.c"}, map[string]any{"token": "a.b.c"}}},
		"the keys":      {"api_keys": []any{map[string]any{"keys": []string{"sk-your-token"}}}},
		"the origins":   {"cors_origins": []string{"null"}},
		"the transport": {"transport": map[string]any{"protocol": "none"}},
		"the storage":   {"storage_endpoint": "x"},
		"the addresses": {"fetch_allow": []string{"x"}},
		"the sessions":  {"sessions": map[string]any{"store": "none"}},
		"the limits":    {"queue_length": -1}, // which Validate refuses
	} {
		t.Run(name, func(t *testing.T) {
			var tree any
			must(t, json.Unmarshal(g.adapt(setup{}), &tree))
			handler := findHandler(tree).(map[string]any)
			handler["handler"] = "qwen_twice"
			maps.Copy(handler, spoil)
			raw, err := json.Marshal(tree)
			must(t, err)
			config := new(caddy.Config)
			must(t, json.Unmarshal(raw, config))
			times := cleanedTwice.Load()
			if err := caddy.Validate(config); (err == nil) != (name == "nothing") {
				t.Errorf("Validate: %v", err)
			}
			if cleanedTwice.Load() != times+1 {
				t.Error("it was not cleaned up")
			}
			if err := cleanupError.Swap(nil); err != nil {
				t.Errorf("Cleanup: %v", *err)
			}
			if before.handlers != 1 {
				t.Errorf("%d handlers count as running", before.handlers)
			}
			mustBeHeld(t, 1)
		})
	}
	if err := new(Handler).Cleanup(); err != nil {
		t.Errorf("of a handler that was never set up: %v", err)
	}
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// R12: neither `adapt` nor `validate` of the example makes a file or calls anybody.
func TestReloadAdaptExample(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	mustUseStorage(t, filepath.Join(dir, "storage"))
	none := ""
	transportPanics.Store(&none)
	site := mustSite(t)
	text := strings.Replace(mustReadExample(t), "\tqwen\n", "\tqwen {\n\t\tbase_url "+site.URL()+"\n\t\taccount {\n\t\t\ttoken "+testToken+"\n\t\t}\n\t}\n", 1)
	mustAdapt(t, text)
	mustValidate(t, text)
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			t.Errorf("there is %s", path)
		}
		return err
	}))
	if got := site.Requests(); len(got) > 0 {
		t.Errorf("the site got %v", got)
	}
}

// timedRelay is a relay that waits for the site.
func timedRelay(t *testing.T, stream bool) *relay {
	h := new(Handler)
	h.setDefaults()
	r, err := http.NewRequest(http.MethodPost, "/", nil)
	must(t, err)
	x := newRelay(h, &nullWriter{header: make(http.Header)}, r, openai.NewStream("chatcmpl-1", "qwen3.7-plus", 1790000000, true), stream, time.Now())
	x.turn = &turn{conversation: &conversation{h: h}}
	t.Cleanup(func() { x.timer.Stop() })
	return x
}

// R14: after the machine was suspended, an answer ends at the next look at the clock,
// whatever is due besides.
func TestClockSuspended(t *testing.T) {
	for _, stream := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := timedRelay(t, stream)
			if err := x.tick(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("after a minute: %v", err)
			}
			if err := x.tick(time.Now().Add(time.Hour)); describe(err).Code != "upstream_timeout" {
				t.Errorf("after an hour: %v", err)
			}
			x.begun = time.Now().Add(-time.Minute)
			x.heard = time.Now().Add(-5 * time.Minute)
			if err := x.tick(time.Now()); describe(err).Code != "upstream_timeout" {
				t.Errorf("after 5 minutes of silence: %v", err)
			}
		})
	}
}

// X14: a clock that jumps back ends nothing, and no time to wait is negative.
func TestClockJumpsBack(t *testing.T) {
	x := timedRelay(t, true)
	for _, jump := range []time.Duration{time.Second, time.Minute, 24 * time.Hour} {
		// Without the monotonic part, as times are that do not come from this process.
		back := time.Now().Round(0).Add(-jump)
		if err := x.tick(back); err != nil {
			t.Errorf("%v back: %v", jump, err)
		}
		if next := x.untilNext(back); next <= 0 {
			t.Errorf("%v back: the next look is after %v", jump, next)
		}
	}
	if next := x.untilNext(time.Now().Add(-time.Hour)); next <= 0 {
		t.Errorf("the next look is after %v", next)
	}
	// What is compared has the monotonic part, which no change of the clock reaches.
	for name, at := range map[string]time.Time{"begun": x.begun, "heard": x.heard, "wrote": x.wrote} {
		if at == at.Round(0) {
			t.Errorf("%s is a time of the wall clock", name)
		}
	}
}

// R14: a failure by the clock is not tried again.
func TestClockNoRetry(t *testing.T) {
	g := mustGateway(t, setup{qwen: "idle_timeout 300ms"})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Hang()))
	got := g.chat("hello", `"stream":true`)
	mustEndWith(t, got, "upstream_timeout")
	g.slotsFree()
	if n := len(g.site.Completions()); n != 1 {
		t.Errorf("the site got %d prompts", n)
	}
}
