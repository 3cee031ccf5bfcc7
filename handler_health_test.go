package caddyqwen

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// mustHealth returns the answer to `/health?verbose`.
func (g *gateway) mustHealth() (report healthReport) {
	g.t.Helper()
	got := g.do(http.MethodGet, "/health?verbose", "")
	if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		g.t.Fatalf("%d %s %s", got.status, got.header, got.body)
	}
	decoder := json.NewDecoder(strings.NewReader(got.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		g.t.Fatalf("%v: %s", err, got.body)
	}
	return report
}

// setHealth changes what is known of the account with a label.
func (g *gateway) setHealth(label string, change func(*keeper)) {
	keepers.Range(func(_, value any) bool {
		k := value.(*keeper)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.label == label {
			change(k)
			k.nextProbe = time.Now().Add(time.Hour) // and no probe changes it back
		}
		return true
	})
}

// checked waits until the site has been asked about all accounts, and nothing that is
// known of them will change by itself.
func (g *gateway) checked() {
	g.t.Helper()
	eventually(g.t, "all accounts have been checked", func() bool {
		checked := true
		keepers.Range(func(_, value any) bool {
			k := value.(*keeper)
			k.mu.Lock()
			defer k.mu.Unlock()
			checked = checked && !k.probing && (k.nextProbe.After(time.Now()) || k.cred.Empty())
			return true
		})
		return checked
	})
}

// settled waits until all accounts have been checked and the store is open.
func (g *gateway) settled() {
	g.t.Helper()
	g.checked()
	eventually(g.t, "the store is open", func() bool { return g.mustHealth().Store.Status != storeUnavailable })
}

// Without the parameter, or with one that says no, nothing is told but that the server
// runs, whoever asks.
func TestHealthQuery(t *testing.T) {
	g := mustGateway(t, setup{})
	const static = `{"status":"ok"}`
	for query, verbose := range map[string]bool{
		"": false, "?": false, "?verbose=0": false, "?verbose=false": false, "?verbose=FALSE": false, "?Verbose": false, "?other=1": false, "?verbose=0&verbose=1": false, "?%zz": false,
		"?verbose": true, "?verbose=": true, "?verbose=1": true, "?verbose=true": true, "?verbose=yes": true, "?other&verbose": true,
	} {
		t.Run("/health"+query, func(t *testing.T) {
			with := g.do(http.MethodGet, "/health"+query, "")
			without := g.do(http.MethodGet, "/health"+query, "", "Authorization", "")
			wrong := g.do(http.MethodGet, "/health"+query, "", "Authorization", "Bearer wrong")
			head := g.do(http.MethodHead, "/health"+query, "")
			if with.status != http.StatusOK || (with.body == static) == verbose {
				t.Errorf("with a key: %d %s", with.status, with.body)
			}
			if head.status != http.StatusOK || head.body != "" || head.header.Get("Cache-Control") != "no-store" {
				t.Errorf("HEAD: %d %s %q", head.status, head.header, head.body)
			}
			for _, got := range []reply{without, wrong} {
				switch {
				case !verbose && (got.status != http.StatusOK || got.body != static):
					t.Errorf("without a key: %d %s", got.status, got.body)
				case verbose && (got.status != http.StatusUnauthorized || got.code() != "invalid_api_key"):
					t.Errorf("without a key: %d %s", got.status, got.body)
				}
				if got.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s", got.header)
				}
			}
		})
	}
}

// Who may ask is who may chat.
func TestHealthCallers(t *testing.T) {
	const hash = "$2a$04$ygEBf0YK16C/wGj6jC/ZW.JNujs/IiT8Hc9rdUQDg/DlR77fIM9Ka" // of "correct horse"
	for _, tt := range []struct {
		name   string
		setup  setup
		login  string
		status int
	}{
		{"everybody", setup{qwen: "auth off"}, "", http.StatusOK},
		{"nobody has logged in", setup{qwen: "auth caddy"}, "", http.StatusUnauthorized},
		{"a user of Caddy", setup{qwen: "auth caddy", site: "basic_auth {\nalice " + hash + "\n}"}, "alice:correct horse", http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := mustGateway(t, tt.setup)
			header := ""
			if tt.login != "" {
				header = "Basic " + base64.StdEncoding.EncodeToString([]byte(tt.login))
			}
			if got := g.do(http.MethodGet, "/health?verbose", "", "Authorization", header); got.status != tt.status {
				t.Errorf("%d %s, want %d", got.status, got.body, tt.status)
			}
		})
	}
}

func TestHealthVerbose(t *testing.T) {
	models := []emulator.Model{emulator.NewModel("qwen3.8-max", "A"), emulator.NewModel("qwen3.7-plus", "B")}
	g := mustGateway(t, setup{options: emulator.Options{Models: models}, qwen: "max_streams 7\nmax_streams_per_key 6\nmax_streams_per_account 5\nqueue_length 4\nfrontend_version 0.9.9"})
	g.settled()
	before := len(g.site.Requests())
	r := g.mustHealth()
	if n := len(g.site.Requests()); n != before {
		t.Errorf("%d calls of the site", n-before)
	}
	if r.Status != healthOK || len(r.Accounts) != 1 || r.Uptime < 0 {
		t.Errorf("%+v", r)
	}
	a := r.Accounts[0]
	if a.Label != defaultLabel || a.State != accountOK || a.Breaker != breakerClosed || !a.Reachable || a.Remedy != "" || time.Since(a.Checked) > time.Minute {
		t.Errorf("%+v", a)
	}
	if want := (streamsHealth{Max: 7, MaxPerKey: 6, MaxPerAccount: 5, MaxWaiting: 4}); r.Streams != want {
		t.Errorf("%+v, want %+v", r.Streams, want)
	}
	if want := (storeHealth{Kind: "sqlite", Status: "ok"}); r.Store != want {
		t.Errorf("%+v, want %+v", r.Store, want)
	}
	version, _ := caddy.Version()
	if want := (versionsHealth{Module: "(devel)", Caddy: version, Go: runtime.Version(), Frontend: "0.9.9"}); r.Versions != want {
		t.Errorf("%+v, want %+v", r.Versions, want)
	}
	if r.Models != (modelsHealth{}) {
		t.Errorf("nobody has asked for models, and there are %+v", r.Models)
	}
	g.do(http.MethodGet, "/v1/models", "")
	if m := g.mustHealth().Models; m.Count != 2 || m.Error != "" || time.Since(m.Fetched) > time.Minute {
		t.Errorf("%+v", m)
	}
}

// The streams that are being answered, and those that wait.
func TestHealthStreams(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_wait 1m"})
	finish := g.running()
	waiting := make(chan reply)
	go func() { waiting <- g.chat("hello", "") }()
	g.queued(1)
	if s := g.mustHealth().Streams; s.Active != 2 || s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
	finish()
	<-waiting
	g.slotsFree()
	if s := g.mustHealth().Streams; s.Active != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// Each state of an account, as programs are told it.
func TestHealthStates(t *testing.T) {
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	tests := []struct {
		name    string
		health  health
		absent  bool
		state   accountState
		breaker string
		until   time.Time
		status  healthStatus
		remedy  string
	}{
		{"unknown", health{}, false, accountUnknown, breakerClosed, time.Time{}, healthOK, ""},
		{"ok", health{State: accountOK}, false, accountOK, breakerClosed, time.Time{}, healthOK, ""},
		{"expired", health{State: accountExpired, Until: soon}, false, accountExpired, breakerOpen, soon, healthDown, "caddy qwen import"},
		{"expired, and to be tried", health{State: accountExpired, Until: soon.Add(-2 * time.Hour)}, false, accountExpired, breakerHalfOpen, soon.Add(-2 * time.Hour), healthDown, "caddy qwen import"},
		{"verification", health{State: accountVerification, Until: soon}, false, accountVerification, breakerOpen, soon, healthDown, "caddy qwen accounts --clear"},
		{"quota", health{State: accountOK, Quotas: map[string]time.Time{"m": soon}}, false, accountQuota, breakerClosed, soon, healthDegraded, "another model"},
		{"out of reach", health{State: accountOK}, true, accountOK, breakerClosed, time.Time{}, healthDown, "network"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.settled()
			g.setHealth(defaultLabel, func(k *keeper) {
				k.health, k.away = tt.health, time.Time{}
				if tt.absent {
					k.away = soon
				}
			})
			r := g.mustHealth()
			a := r.Accounts[0]
			if a.State != tt.state || a.Breaker != tt.breaker || !a.Until.Equal(tt.until) || a.Reachable == tt.absent || r.Status != tt.status {
				t.Errorf("%s: %+v", r.Status, a)
			}
			if !strings.Contains(a.Remedy, tt.remedy) || (a.Remedy == "") != (tt.remedy == "") {
				t.Errorf("the remedy is %q, want %q in it", a.Remedy, tt.remedy)
			}
			if static := g.do(http.MethodGet, "/health", ""); static.status != http.StatusOK || static.body != `{"status":"ok"}` {
				t.Errorf("A15: %d %s", static.status, static.body)
			}
		})
	}
}

// One account of two that does not work is no reason to call the whole down.
func TestHealthAccounts(t *testing.T) {
	g := mustGateway(t, setup{bare: true, qwen: "api_key " + testKey + "\naccount one {\ntoken " + testToken + "\n}\naccount two {\ntoken second." + testToken + "\n}"})
	g.settled()
	states := func() string {
		r := g.mustHealth()
		text := string(r.Status)
		for _, a := range r.Accounts {
			text += " " + a.Label + " " + string(a.State)
		}
		return text
	}
	expire := func(k *keeper) { k.health = health{State: accountExpired, Until: time.Now().Add(time.Hour)} }
	for _, step := range []struct {
		label, want string
	}{
		{"", "ok one ok two ok"}, {"two", "degraded one ok two expired"}, {"one", "down one expired two expired"},
	} {
		g.setHealth(step.label, expire)
		if got := states(); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

func TestHealthNoCredential(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := mustGateway(t, setup{bare: true, qwen: "api_key " + testKey})
	r := g.mustHealth()
	a := r.Accounts[0]
	if r.Status != healthDown || a.State != accountUnknown || a.LastError != "no_credential" || !strings.Contains(a.Remedy, "QWEN_COOKIES") || a.Seconds != nil {
		t.Errorf("%s: %+v", r.Status, a)
	}
	must(t, writeAccountFile(defaultAccountFile(), qwen.Credential{Token: g.site.IssueToken(48 * time.Hour)}))
	a = g.mustHealth().Accounts[0] // what was imported counts at once
	if a.LastError != "" || a.Renewable || a.Seconds == nil || *a.Seconds < 47*3600 || *a.Seconds > 48*3600 || time.Until(a.Expires) > 48*time.Hour {
		t.Errorf("%+v", a)
	}
	g.settled()
	if a = g.mustHealth().Accounts[0]; a.State != accountExpiring || !strings.Contains(a.Remedy, "caddy qwen import") {
		t.Errorf("%+v", a)
	}
}

func TestHealthModelsFail(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Fail(emulator.EndpointModels, emulator.ChallengeJSON())
	g.do(http.MethodGet, "/v1/models", "")
	if m := g.mustHealth().Models; m.Count != 0 || !strings.Contains(m.Error, "human verification") || !m.Fetched.IsZero() {
		t.Errorf("%+v", m)
	}
	c := newCatalog()
	_, _ = c.record(nil, nil)
	if m := c.health(); m.Error != "The site lists no models." {
		t.Errorf("%+v", m)
	}
}

// The store, as the server finds it.
func TestHealthStore(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked.db")
	mustMakeDir(t, blocked)
	for _, tt := range []struct {
		name, qwen string
		want       storeHealth
		status     healthStatus
	}{
		{"works", "sessions sqlite " + filepath.Join(dir, "works.db"), storeHealth{Kind: "sqlite", Status: "ok"}, healthOK},
		{"off", "sessions off", storeHealth{Kind: "off", Status: "off", Detail: "Each request"}, healthOK},
		{"D02 the path is a directory", "sessions sqlite " + blocked, storeHealth{Kind: "sqlite", Status: "unavailable", Detail: "the log tells why"}, healthDegraded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: tt.qwen})
			if g.checked(); tt.status == healthOK {
				g.settled()
			}
			r := g.mustHealth()
			if !strings.Contains(r.Store.Detail, tt.want.Detail) || (r.Store.Detail == "") != (tt.want.Detail == "") || strings.Contains(r.Store.Detail, dir) {
				t.Errorf("%q, want %q in it", r.Store.Detail, tt.want.Detail)
			}
			if r.Store.Detail = tt.want.Detail; r.Store != tt.want || r.Status != tt.status {
				t.Errorf("%+v %s", r.Store, r.Status)
			}
		})
	}
}

// Nothing that is told is secret, or says where things are on the server.
func TestHealthSecrets(t *testing.T) {
	g := mustGateway(t, setup{})
	g.settled()
	for _, change := range []func(*keeper){
		func(*keeper) {}, func(k *keeper) {
			k.health = health{State: accountVerification, Until: time.Now().Add(time.Hour), LastError: "upstream_verification_required"}
		},
	} {
		g.setHealth(defaultLabel, change)
		body := g.do(http.MethodGet, "/health?verbose", "").body
		for _, secret := range []string{testKey, testToken, testCookie, g.sessions, caddy.AppDataDir(), g.site.URL()} {
			if strings.Contains(body, secret) {
				t.Errorf("%q is in %s", secret, body)
			}
		}
		if found := regexp.MustCompile(`"[^"]*[/\\][a-z][^"]*"`).FindString(body); found != "" {
			t.Errorf("this looks like a path: %s", found)
		}
	}
}
