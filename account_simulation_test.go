package caddyqwen

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// emulatedTransport is a transport module that needs no network, so that the time
// of testing/synctest goes for the whole handler.
type emulatedTransport struct{ site http.RoundTripper }

// emulatedSite is the site of the simulation that is being set up.
var emulatedSite atomic.Pointer[emulator.Site]

func init() { caddy.RegisterModule(emulatedTransport{}) }

func (emulatedTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.emulated",
		New: func() caddy.Module { return &emulatedTransport{emulatedSite.Load()} },
	}
}

func (e *emulatedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return e.site.RoundTrip(r)
}

// simulation is a whole handler, as Caddy provisions it, and the emulated site, in
// a bubble of testing/synctest.
type simulation struct {
	*testing.T
	site   *emulator.Site
	h      *Handler
	caddy  caddy.Context // that of the configuration
	cancel context.CancelFunc
	logs   *logBuffer
}

// simulate runs f in a bubble, with a handler that has been started.
func simulate(t *testing.T, options emulator.Options, accounts func(*emulator.Site) []*Account, f func(s *simulation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{T: t, site: emulator.New(options), logs: new(logBuffer)}
		t.Cleanup(s.site.Close)
		t.Cleanup(func() { must(t, os.RemoveAll(accountsDir())) })
		if accounts == nil {
			accounts = lasting(time.Hour)
		}
		s.start(accounts(s.site))
		defer func() { s.cancel() }()
		synctest.Wait() // for the first look at the accounts
		f(s)
	})
}

// start provisions and starts a handler, as at the start of the process.
func (s *simulation) start(accounts []*Account) {
	s.Helper()
	testLog.Store(s.logs)
	emulatedSite.Store(s.site)
	config, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"test"}`), Level: "DEBUG"}}}},
	})
	must(s.T, err)
	s.caddy, s.cancel = caddy.NewContext(config)
	text, err := json.Marshal(map[string]any{
		"accounts": accounts, "auth": authOff, "sessions": map[string]string{"store": "off"}, "transport": map[string]string{"protocol": "emulated"},
	})
	must(s.T, err)
	module, err := s.caddy.LoadModuleByID("http.handlers.qwen", text)
	must(s.T, err)
	s.h = module.(*Handler)
	events, err := s.caddy.App("events")
	must(s.T, err)
	events.(*caddyevents.App).Emit(s.caddy, "started", nil)
}

// restart ends the handler and starts another one.
func (s *simulation) restart(accounts []*Account) {
	s.Helper()
	s.cancel()
	s.start(accounts)
	synctest.Wait()
}

// request answers a request.
func (s *simulation) request(method, path, body string) reply {
	s.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r = r.WithContext(context.WithValue(s.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	if err := s.h.ServeHTTP(w, r, nil); err != nil {
		s.Fatal(err)
	}
	return reply{w.Code, w.Header(), w.Body.String(), nil}
}

// chat sends a chat request to a model, or to the usual one.
func (s *simulation) chat(model string) reply {
	s.Helper()
	return s.request(http.MethodPost, chatPath, strings.Replace(chatBody("hello", ""), "qwen3.7-plus", cmp.Or(model, "qwen3.7-plus"), 1))
}

// mustChat sends a chat request, which must not fail.
func (s *simulation) mustChat() {
	s.Helper()
	if r := s.chat(""); r.status != http.StatusOK {
		s.Fatalf("at %v: status %d: %s\n%.3000s", time.Now(), r.status, r.body, s.logs)
	}
}

// mustFail sends a chat request, which must fail with a code at once.
func (s *simulation) mustFail(code string) reply {
	s.Helper()
	begun := time.Now()
	r := s.chat("")
	if r.code() != code || time.Since(begun) > 0 {
		s.Fatalf("after %v: status %d: %s, want %s", time.Since(begun), r.status, r.body, code)
	}
	return r
}

// every calls f at once and then every so often, for some time.
func (s *simulation) every(pause, all time.Duration, f func()) {
	for begun := time.Now(); time.Since(begun) < all; time.Sleep(pause) {
		f()
	}
}

// asked returns how many requests the site has got, but for its list of models.
func (s *simulation) asked() (n int) {
	for _, r := range s.site.Requests() {
		if r.Endpoint != emulator.EndpointModels {
			n++
		}
	}
	return n
}

// mustState checks the state of the first account.
func (s *simulation) mustState(want accountState) {
	s.Helper()
	if r := s.h.accountReports()[0]; r.State != want {
		s.Fatalf("the account is %+v, not %s", r, want)
	}
}

// renewable is an account whose access token has some life left, and can be renewed.
func renewable(life time.Duration) func(*emulator.Site) []*Account {
	return func(site *emulator.Site) []*Account {
		return []*Account{{Cookies: "cna=a=b; refresh_token=r; token=" + site.IssueToken(life)}}
	}
}

// issuedOnly makes the site accept nothing but what it has issued.
var issuedOnly = emulator.Options{Tokens: []string{"none"}, RefreshTokens: []string{"r"}}

// lasting is an account that cannot be renewed.
func lasting(life time.Duration) func(*emulator.Site) []*Account {
	return func(site *emulator.Site) []*Account {
		return []*Account{{Token: site.IssueToken(life)}}
	}
}

func identityOf(token string) string { return qwen.Credential{Token: token}.Identity() }

// mustKeep returns an account that nobody looks after.
func (s *simulation) mustKeep(cred qwen.Credential) *account {
	s.Helper()
	k, err := acquireKeeper("another", accountSource{baseURL: "https://chat.qwen.ai", given: cred})
	must(s.T, err)
	s.Cleanup(func() { must(s.T, k.release()) })
	return s.h.newAccount("another", k)
}

// mustStateFile returns the state file of the first account.
func (s *simulation) mustStateFile() string {
	s.Helper()
	k := s.h.accounts[0].keeper
	k.mu.Lock()
	path := k.statePath()
	k.mu.Unlock()
	text, err := os.ReadFile(path)
	must(s.T, err)
	return string(text)
}

// mustLog checks how often something was logged.
func (s *simulation) mustLog(text string, want int) {
	s.Helper()
	if n := strings.Count(s.logs.String(), text); n != want {
		s.Errorf("logged %d times, want %d: %s\n%.4000s", n, want, text, s.logs)
	}
}
