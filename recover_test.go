package caddyqwen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// fragileTransport is a transport of somebody else, which panics at requests whose
// path has something in it.
type fragileTransport struct{ reverseproxy.HTTPTransport }

// transportPanics is where it panics: a part of a path. With a + before it, it does so
// when the second piece of the answer is read.
var transportPanics atomic.Pointer[string]

func init() { caddy.RegisterModule(fragileTransport{}) }

func (fragileTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.fragile", New: func() caddy.Module { return new(fragileTransport) }}
}

func (f *fragileTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	at := *transportPanics.Load()
	path, reading := strings.CutPrefix(at, "+")
	hit := at != "" && strings.HasSuffix(r.URL.Path, path)
	if hit && !reading {
		panic(panicText + path)
	}
	resp, err := f.HTTPTransport.RoundTrip(r)
	if err == nil && hit {
		resp.Body = &fragileBody{ReadCloser: resp.Body}
	}
	return resp, err
}

type fragileBody struct {
	io.ReadCloser
	reads int
}

func (b *fragileBody) Read(p []byte) (int, error) {
	if b.reads++; b.reads > 1 {
		panic(panicText + "a read")
	}
	return b.ReadCloser.Read(p[:min(len(p), 512)])
}

// mustFragileTransport is a gateway with that transport.
func mustFragileTransport(t *testing.T, qwen string) *gateway {
	t.Helper()
	none := ""
	transportPanics.Store(&none)
	t.Cleanup(func() { transportPanics.Store(&none) })
	return mustGateway(t, setup{qwen: "transport fragile\nmax_streams_per_account 1\n" + qwen})
}

// mustRecover checks that nothing is left of a request, that the owner knows where it
// has panicked, and that others are answered.
func (g *gateway) mustRecover(t *testing.T, function string) {
	t.Helper()
	none := ""
	transportPanics.Store(&none)
	g.nothingLeft()
	mustBeHeld(t, 1)
	g.mustBlame(function)
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("afterwards: status %d: %s", got.status, got.body)
	}
}

// R11: a transport that panics in the goroutine of a turn is one failed request.
func TestPanicOfTransport(t *testing.T) {
	for name, test := range map[string]struct {
		at, qwen   string
		text, fine bool // text has come before; the answer is complete
		function   string
	}{
		"when a chat is opened":              {at: "/chats/new"},
		"when a temporary chat is opened":    {at: "/chats/new", qwen: "chats temporary"},
		"when the prompt is sent":            {at: "/chat/completions"},
		"when the prompt is sent, temporary": {at: "/chat/completions", qwen: "chats temporary"},
		"when the answer is read":            {at: "+/chat/completions", text: true, function: "(*fragileBody).Read"},
		"when the answer is read, temporary": {at: "+/chat/completions", qwen: "chats temporary", text: true, function: "(*fragileBody).Read"},
		"when the list of models is fetched": {at: "/api/models", fine: true},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFragileTransport(t, test.qwen)
				if test.text {
					g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Hang()))
				}
				transportPanics.Store(&test.at)
				got := g.chat("hello "+secretPrompt, strings.TrimPrefix(fields, ","))
				switch {
				case test.fine:
					if got.status != http.StatusOK {
						t.Errorf("status %d: %s", got.status, got.body)
					}
				case got.status == http.StatusOK:
					mustEndWith(t, got, "internal_error")
				default:
					mustRefuse(t, got, 500, "internal_error", "")
				}
				if strings.Contains(got.body, panicText) {
					t.Errorf("the answer tells what is for the owner: %s", got.body)
				}
				function := test.function
				if function == "" {
					function = "(*fragileTransport).RoundTrip"
				}
				if test.text {
					g.await("the site is told to stop", func() bool { return len(g.site.Stops()) == 1 })
				}
				g.mustRecover(t, function)
				if strings.Contains(g.logged(), secretPrompt) {
					t.Error("the log has the prompt")
				}
				if test.qwen != "" && test.at != "/chats/new" {
					g.await("the temporary chats are deleted", func() bool { return len(g.site.ChatIDs()) == 0 })
				}
			})
		}
	}
}

// mustEndWith checks that a stream ended with an error, without [DONE].
func mustEndWith(t *testing.T, got reply, code string) {
	t.Helper()
	if got.err != nil {
		t.Fatalf("the stream was cut: %v", got.err)
	}
	data := events(t, got.body)
	if len(data) == 0 || !strings.Contains(data[len(data)-1], `"code":"`+code+`"`) || strings.Contains(got.body, "[DONE]") {
		t.Errorf("the stream ended with %s", tail(got.body))
	}
}

// R10: a store that panics while an answer is recorded ends the answer.
func TestPanicInStream(t *testing.T) {
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			g, s := mustFragileGateway(t)
			s.panicAt("Record")
			got := g.chat("hello", strings.TrimPrefix(fields, ","))
			if got.status == http.StatusOK {
				mustEndWith(t, got, "internal_error")
			} else {
				mustRefuse(t, got, 500, "internal_error", "")
				if got.header.Get("X-Request-Id") == "" {
					t.Error("the answer has no id")
				}
			}
			g.nothingLeft()
			g.mustBlame("(*fragileStore).Record")
			s.panicAt("")
			g.ask([]said{user("hello")}).mustBe(t, "new")
		})
	}
}

// A store that panics while it is tidied up, opened or closed ends nothing.
func TestPanicOfHousekeeping(t *testing.T) {
	for _, method := range []string{"Prune", "IdleChats", "AddChat", "OpenStore", "Close"} {
		t.Run(method, func(t *testing.T) {
			openPanics.Store(&method)
			defer openPanics.Store(new(string))
			g := mustFilesGateway(t, setup{qwen: "chats delete 1ms\nsessions fragile " + filepath.Join(t.TempDir(), "sessions.db")})
			g.numbered()
			if got := g.chat("hello", ""); got.status != http.StatusOK && method != "AddChat" {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if method == "Close" {
				g.stop()
			}
			eventually(t, "the owner is told", func() bool { return strings.Contains(g.logged(), "(panic)") })
			if method != "OpenStore" {
				g.mustBlame("(*fragileStore)." + method)
			} else {
				g.mustBlame("(*fragileSessions).OpenStore")
			}
			if method != "Close" {
				g.nothingLeft()
			}
		})
	}
}

// What Go itself panics with is told, and nothing else.
func TestPanicLogged(t *testing.T) {
	panicking := func(f func()) (log string) {
		buffer := new(logBuffer)
		err := guard(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(buffer), zapcore.DebugLevel)), "a test ran", func() error {
			f()
			return nil
		})
		if !errors.Is(err, errPanic) {
			t.Errorf("%v", err)
		}
		return buffer.String()
	}
	var none []int
	if log := panicking(func() { none[0] = 1 }); !strings.Contains(log, "index out of range") || !strings.Contains(log, "TestPanicLogged") {
		t.Errorf("the fault is not told: %s", log)
	}
	for name, value := range map[string]any{"a text": testToken, "an error": errors.New(testToken), "one like Go's": runtimeError{}} {
		if log := panicking(func() { panic(value) }); strings.Contains(log, testToken) || !strings.Contains(log, "TestPanicLogged") {
			t.Errorf("%s: %s", name, log)
		}
	}
	if err := guard(zap.NewNop(), "", func() error { return io.EOF }); err != io.EOF {
		t.Errorf("an error becomes %v", err)
	}
}

// runtimeError says that it is one of Go's.
type runtimeError struct{}

func (runtimeError) RuntimeError() {}
func (runtimeError) Error() string { return testToken }

var _ runtime.Error = runtimeError{}

// What goes on all the time goes on after a panic, but not at once.
func TestPanicKeepDoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		begin, times := time.Now(), 0
		keepDoing(ctx, zap.NewNop(), "", func() {
			if times++; times < 3 {
				panic("once more")
			}
		})
		if took := time.Since(begin); times != 3 || took != 2*faultPause {
			t.Errorf("%d times in %v", times, took)
		}
		cancel()
		keepDoing(ctx, zap.NewNop(), "", func() { panic("the last") })
	})
}
