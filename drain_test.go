package caddyqwen

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// mustLifecycle returns the lifecycle, of which there is one.
func mustLifecycle(t testing.TB) (s *lifecycle) {
	t.Helper()
	lifecycles.Range(func(_, v any) bool { s = v.(*lifecycle); return true })
	if s == nil {
		t.Fatal("there is no lifecycle")
	}
	return s
}

// leaving makes everything that is served believe that the process ends.
func (g *gateway) leaving() { mustLifecycle(g.t).stop(0, zap.NewNop()) }

func TestDrainFor(t *testing.T) {
	for name, test := range map[string]struct{ limit, grace, want time.Duration }{
		"without a grace period":      {30 * time.Second, 0, 30 * time.Second},
		"within the grace period":     {10 * time.Second, time.Minute, 10 * time.Second},
		"limited by the grace period": {30 * time.Second, 30 * time.Second, 28 * time.Second},
		"half of a short one":         {30 * time.Second, 3 * time.Second, 1500 * time.Millisecond},
		"shorter than a short one":    {time.Second, 3 * time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := drainFor(test.limit, test.grace); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestDrainRefuses(t *testing.T) {
	g := mustGateway(t, setup{})
	g.leaving()
	for path, method := range map[string]string{
		chatPath: http.MethodPost, "/v1/files": http.MethodPost, "/v2/files/getstsToken": http.MethodPost, "/v1/image/upload_and_chat": http.MethodPost,
		"/v1/chats/x": http.MethodDelete, "/v1/files/x": http.MethodGet,
	} {
		conn := g.dial()
		body := chatBody("hello", "")
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, testKey, len(body), body)
		got := mustReadReply(t, conn)
		wantStopping.check(t, got)
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection stays open: %v", path, err)
		}
	}
	for _, path := range []string{"/", "/health", "/v1/models"} {
		if got := g.do(http.MethodGet, path, ""); got.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
		}
	}
	if n := len(g.site.Completions()); n > 0 {
		t.Errorf("the site got %d prompts", n)
	}
}

// A reload is not the end of anything, and nobody holds the lifecycle afterwards.
func TestDrainNotOnReload(t *testing.T) {
	g := mustGateway(t, setup{qwen: "drain_timeout 1ms"})
	finish := g.running()
	before := mustLifecycle(t)
	for range 3 {
		g.load(setup{qwen: "drain_timeout 1ms"})
	}
	if mustLifecycle(t) != before {
		t.Error("there is another lifecycle than before")
	}
	if text, complete := streamed(t, finish()); !complete || text != firstWords+"last words" {
		t.Errorf("the stream was disturbed: %q", text)
	}
	if before.exiting.Err() != nil {
		t.Error("the reload was taken for the end")
	}
	g.slotsFree()
	g.stop()
	eventually(t, "nobody holds the lifecycle", func() bool {
		held := false
		lifecycles.Range(func(any, any) bool { held = true; return true })
		return !held
	})
	if before.handlers != 0 || before.helpers != 0 || len(before.tasks) != 0 {
		t.Errorf("%d handlers, %d helpers and %d requests are left", before.handlers, before.helpers, len(before.tasks))
	}
}

// Those who do not read what is written to them are not waited for.
func TestDrainSlowReader(t *testing.T) {
	g := mustGateway(t, setup{qwen: "drain_timeout 100ms\nmax_answer 1GiB"})
	steps := []emulator.Step{emulator.Created()}
	for range 64 {
		steps = append(steps, emulator.HugeFrame(1<<20))
	}
	g.site.Reply(emulator.Stream(append(steps, emulator.Finish())...))
	conn := g.dial()
	body := chatBody("hello", `"stream":true`)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chatPath, testKey, len(body), body)
	g.await("the answer begins", func() bool { return g.site.Active() == 1 && g.last().Frames > 1 })
	begin := time.Now()
	g.leaving()
	g.slotsFree()
	if took := time.Since(begin); took > soon {
		t.Errorf("it took %v", took)
	}
}

// A file of which a part was sent does not look complete.
func TestDrainFile(t *testing.T) {
	g := mustGateway(t, setup{qwen: "drain_timeout 100ms"})
	f := g.mustUpload(t, film(1, 3<<20))
	g.site.Storage().Fail(emulator.OpGet, 1, emulator.Fault{Pause: 50 * time.Millisecond})
	resp := g.send(context.Background(), http.MethodGet, "/v1/files/"+f.ID+"/content", "")
	defer resp.Body.Close()
	g.leaving()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil && n < resp.ContentLength {
		t.Errorf("%d of %d bytes came as if they were all", n, resp.ContentLength)
	}
	g.slotsFree()
}

// What waits for the memory for large bodies ends, too.
func TestDrainWhileWaitingForMemory(t *testing.T) {
	g := mustGateway(t, setup{qwen: "queue_wait 1m"})
	var shared *state
	states.Range(func(_, v any) bool { shared = v.(*state); return true })
	must(t, shared.bodies.Acquire(t.Context(), bodyMemory))
	defer shared.bodies.Release(bodyMemory)
	x := g.postChat(chatBody(strings.Repeat("a", 2<<20), ""))
	eventually(t, "the request is being read", func() bool { return inProcess.Load() == 1 })
	g.leaving()
	wantStopping.check(t, <-x.done)
}

// Where there is no connection, Caddy may have shut the servers down before it has
// told that it begins to: what goes on for requests is waited for all the same.
func TestDrainWaitsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lifecycle{tasks: make(map[*task]struct{}), helpers: 1}
		l.exiting, l.exit = context.WithCancel(t.Context())
		begun := time.Now()
		time.AfterFunc(endTime/2, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.helpers--
			l.settle()
		})
		l.wait()
		if waited := time.Since(begun); waited != endTime/2 {
			t.Errorf("waited %v", waited)
		}
		l.exit()
	})
}

// The process does not end before what is done for requests on the site, nor does it
// wait for that for ever.
func TestDrainWaits(t *testing.T) {
	for name, test := range map[string]struct{ grace, takes, want time.Duration }{
		"for nothing":               {time.Minute, 0, 0},
		"for the site":              {time.Minute, time.Second, time.Second},
		"not longer than it may be": {time.Minute, time.Hour, endTime},
		"within the grace period":   {time.Second, time.Hour, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := acquireLifecycle()
				defer l.release()
				if test.takes > 0 {
					done := help()
					time.AfterFunc(test.takes, done)
				}
				begin := time.Now()
				l.stop(test.grace, zap.NewNop())
				l.wait()
				if took := time.Since(begin); took != test.want {
					t.Errorf("it took %v, want %v", took, test.want)
				}
				time.Sleep(test.takes) // so that nothing is left
			})
		})
	}
}

// What a turn does on the site after its answer is waited for.
func TestDrainCountsTurns(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats temporary"})
	gate := make(chan struct{})
	g.site.Fail(emulator.EndpointDelete, emulator.Text("").After(gate))
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	l := mustLifecycle(t)
	helpers := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.helpers
	}
	if n := helpers(); n != 1 {
		t.Errorf("%d turns are waited for while a chat is being deleted", n)
	}
	close(gate)
	eventually(t, "no turn is left", func() bool { return helpers() == 0 })
}
