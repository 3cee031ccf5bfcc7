package caddyqwen

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestMain(m *testing.M) {
	actAsCaddy()
	dir, err := os.MkdirTemp("", "caddy-qwen-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	os.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	for _, name := range []string{"QWEN_COOKIES", "QWEN_AUTH_TOKEN", "VALID_TOKENS"} {
		os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// Secrets of the tests. None of them may ever appear in a log or an answer.
const (
	testKey      = "sk-test-canary-key-0123456789"
	testToken    = "canary.jwt.token"
	testCookie   = "canary-cookie-value"
	secretPrompt = "canary-prompt-text"
)

// Names such as CN-07, ST-14 or P21 in the names of tests are the points of the
// checklists that the project works by: what clients need (two letters), and
// faults with what must happen then (one letter). Each test says in words what
// its point demands.

// gateway is a Caddy that serves the handler, and the emulated site behind it.
type gateway struct {
	t    testing.TB
	url  string
	site *emulator.Server
	// sessions is the file of the session store, unless the setup says otherwise.
	sessions string
}

// setup is what differs between the gateways of tests.
type setup struct {
	qwen    string // lines of the qwen block, besides address, account and key
	site    string // lines of the site block
	global  string // lines of the global options
	bare    bool   // no account and no key in the qwen block
	prefix  string // the handler is below this prefix
	baseURL string // of another site than the emulated one
	// siteStorage leaves the choice of the storage to the site.
	siteStorage bool
	options     emulator.Options
}

// mustGateway starts Caddy with the handler, and the emulated site.
func mustGateway(t testing.TB, s setup) *gateway {
	t.Helper()
	site, err := emulator.Start(s.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	g := &gateway{t: t, site: site, sessions: filepath.Join(t.TempDir(), "sessions.db")}
	testLog.Store(new(logBuffer))
	t.Cleanup(g.stop)
	g.load(s)
	return g
}

// stop stops Caddy and waits until nothing of it is left.
func (g *gateway) stop() {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Errorf("stop Caddy: %v", err)
	}
	storesClosed(g.t)
	// The next site may have the same port.
	if err := os.RemoveAll(accountsDir()); err != nil {
		g.t.Error(err)
	}
	g.filesGone()
}

// load gives Caddy a configuration, as at the start or on a reload, and waits until
// the session store is open, unless the setup has one of its own. On a busy machine
// that takes longer than a request waits for it.
func (g *gateway) load(s setup) {
	g.t.Helper()
	if err := caddy.Load(g.adapt(s), true); err != nil {
		g.t.Fatalf("load: %v", err)
	}
	g.url = mustAddress(g.t) + s.prefix
	if !s.ownSessions() {
		storesOpen(g.t)
	}
}

// ownSessions reports whether the setup says where conversations are recorded.
func (s setup) ownSessions() bool { return strings.Contains("\n"+s.qwen, "\nsessions ") }

// adapt returns the configuration of a gateway as JSON.
func (g *gateway) adapt(s setup) []byte {
	g.t.Helper()
	block := "base_url " + cmp.Or(s.baseURL, g.site.URL()) + "\n" + s.qwen
	if !s.ownSessions() {
		block += "\nsessions sqlite " + g.sessions
	}
	if !s.siteStorage && !strings.Contains("\n"+s.qwen, "\nstorage_endpoint ") {
		block += "\nstorage_endpoint " + g.site.StorageURL()
	}
	if !s.bare {
		block += fmt.Sprintf("\naccount {\ntoken %s\ncookies \"ssxmod=%s; token=%s\"\n}\napi_key %s\n", testToken, testCookie, testToken, testKey)
	}
	directive := "qwen {\n" + block + "\n}"
	if s.prefix != "" {
		directive = "handle_path " + s.prefix + "/* {\n" + directive + "\n}"
	}
	text := fmt.Sprintf(`{
		admin off
		persist_config off
		auto_https off
		storage_clean_interval off
		log default {
			output test
			level DEBUG
		}
		%s
	}
	http://127.0.0.1:0 {
		bind 127.0.0.1
		log
		%s
		%s
		respond "next handler"
	}`, s.global, s.site, directive)
	return mustAdapt(g.t, text)
}

func mustAdapt(t testing.TB, text string) []byte {
	t.Helper()
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapt: %v\n%s", err, text)
	}
	return config
}

// mustAddress returns the address at which the running Caddy listens.
func mustAddress(t testing.TB) string {
	t.Helper()
	address, err := listenAddress()
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

// client returns the official SDK, without retries.
func (g *gateway) client(options ...option.RequestOption) openai.Client {
	transport := &http.Transport{}
	g.t.Cleanup(transport.CloseIdleConnections)
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(g.url + "/v1"), option.WithAPIKey(testKey), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: transport}),
	}, options...)...)
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// code returns the code of an answer in the error format.
func (r reply) code() string {
	var envelope struct {
		Error struct{ Code string }
	}
	_ = json.Unmarshal([]byte(r.body), &envelope)
	return envelope.Error.Code
}

// do sends a request with the key, unless the header says otherwise.
func (g *gateway) do(method, path, body string, header ...string) reply {
	g.t.Helper()
	resp := g.send(context.Background(), method, path, body, header...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}

// send sends a request and returns the answer as soon as its header is there.
func (g *gateway) send(ctx context.Context, method, path, body string, header ...string) *http.Response {
	g.t.Helper()
	resp, err := g.trySend(ctx, method, path, body, header...)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp
}

func (g *gateway) trySend(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Del(header[i]); header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	return transport.RoundTrip(req)
}

const chatPath = "/v1/chat/completions"

// chat sends a chat request with these fields besides model and messages.
func (g *gateway) chat(prompt, fields string) reply {
	g.t.Helper()
	return g.do(http.MethodPost, chatPath, chatBody(prompt, fields))
}

// chatBody is a chat request of one user message.
func chatBody(prompt, fields string) string {
	text, _ := json.Marshal(prompt)
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"model":"qwen3.7-plus","messages":[{"role":"user","content":%s}]%s}`, text, fields)
}

// await waits until the condition over the site's records holds.
func (g *gateway) await(what string, condition func() bool) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.site.Await(ctx, condition); err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
}

// logged returns what Caddy has logged since the gateway was started.
func (g *gateway) logged() string { return testLog.Load().String() }

// testLog is where Caddy logs in the present test. Each gateway has its own, so
// that late lines of the one before do not get into it.
var testLog atomic.Pointer[logBuffer]

// logBuffer is a log in memory, and Caddy's module for it: `output test`.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func init() { caddy.RegisterModule(logWriter{}) }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

type logWriter struct{ to *logBuffer }

func (logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.test", New: func() caddy.Module { return &logWriter{testLog.Load()} }}
}

func (*logWriter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (w logWriter) String() string                      { return fmt.Sprintf("test %p", w.to) }
func (w logWriter) WriterKey() string                   { return w.String() }
func (w logWriter) OpenWriter() (io.WriteCloser, error) { return logCloser{w.to}, nil }

type logCloser struct{ *logBuffer }

func (logCloser) Close() error { return nil }

// events returns the data of a stream's events, and checks the form of all its
// lines: nothing but `data: ` lines and comments, each a block of its own.
func events(t testing.TB, stream string) (data []string) {
	t.Helper()
	if !strings.HasSuffix(stream, "\n\n") || strings.Contains(stream, "\r") {
		t.Errorf("the stream does not end with an empty line, or has a CR: %q", tail(stream))
	}
	for _, block := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		switch text, isData := strings.CutPrefix(block, "data: "); {
		case strings.Contains(block, "\n"):
			t.Errorf("block of several lines: %q", block)
		case isData:
			data = append(data, text)
		case block != ": keep-alive":
			t.Errorf("unexpected block %q", block)
		}
		if len(block) >= 64<<10 {
			t.Errorf("line of %d bytes", len(block))
		}
	}
	return data
}

func tail(s string) string { return s[max(0, len(s)-200):] }

// accept makes the handlers forget that the site has refused an account.
func (g *gateway) accept() {
	keepers.Range(func(_, value any) bool {
		k := value.(*keeper)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.health, k.away = health{State: accountOK}, time.Time{}
		return true
	})
}

// slotsFree waits until no request holds a place any more, of any account.
func (g *gateway) slotsFree() {
	g.t.Helper()
	eventually(g.t, "all places are free", func() bool {
		free := true
		states.Range(func(key, value any) bool {
			slots, places := value.(*state).slots, int64(key.(stateKey).perAccount)
			slots.mu.Lock()
			defer slots.mu.Unlock()
			for _, account := range slots.accounts {
				if taken := account.TryAcquire(places); taken {
					account.Release(places)
				} else {
					free = false
				}
			}
			free = free && inProcess.Load() == 0 && slots.waiting == 0 && len(slots.byTenant) == 0
			return true
		})
		return free
	})
}

// queued waits until so many requests wait for the account.
func (g *gateway) queued(n int) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%d requests wait", n), func() bool {
		waiting := 0
		states.Range(func(_, value any) bool {
			slots := value.(*state).slots
			slots.mu.Lock()
			defer slots.mu.Unlock()
			waiting += slots.waiting
			return true
		})
		return waiting == n
	})
}

// eventually waits until a condition holds of which nothing sends word.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// requested returns how many requests an endpoint of the site has got.
func (g *gateway) requested(endpoint string) (n int) {
	for _, r := range g.site.Requests() {
		if r.Endpoint == endpoint {
			n++
		}
	}
	return n
}
