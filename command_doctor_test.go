package caddyqwen

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// examined is what `doctor --json` is expected to print.
type examined []struct {
	Step, Account, Status, Detail, Remedy string
	Took                                  int64 `json:"duration_ms"`
}

// of returns the statuses of a step.
func (e examined) of(step string) string {
	var list []string
	for _, f := range e {
		if f.Step == step {
			list = append(list, f.Status)
		}
	}
	return strings.Join(list, " ")
}

// told returns what a step tells.
func (e examined) told(step string) string {
	var text string
	for _, f := range e {
		if f.Step == step {
			text += f.Detail + " | " + f.Remedy + "\n"
		}
	}
	return text
}

// doctor runs the command, checks that all that has failed comes with a remedy and
// with the exit status, and returns what it has found.
func (b *toolbox) doctor(args ...string) examined {
	b.t.Helper()
	out, stderr, err := b.run("", append([]string{"doctor", "--json"}, args...)...)
	found := mustUnmarshal[examined](b.t, out)
	failed := false
	for _, f := range found {
		failed = failed || f.Status == "failed"
		if f.Detail == "" || f.Status == "failed" && f.Remedy == "" {
			b.t.Errorf("%+v says too little", f)
		}
	}
	if failed != (err != nil) {
		b.t.Errorf("the error is %v: %s%s", err, out, stderr)
	}
	return found
}

// allSteps are the steps of the command, and how they end if all is well.
var allSteps = [][2]string{
	{"configuration", "ok"}, {"account file", "skipped"}, {"dns", "skipped"}, {"connection", "ok"}, {"clock", "ok"},
	{"credential", "ok"}, {"models", "ok"}, {"upload", "ok"}, {"sessions", "ok"},
}

func TestDoctorCommand(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "api_key {env.CANARY_KEY}")
	t.Setenv("CANARY_KEY", testKey)
	found := b.doctor()
	for i, want := range allSteps {
		if found[i].Step != want[0] || found[i].Status != want[1] || found[i].Took < 0 {
			t.Errorf("step %d is %+v, want %v", i, found[i], want)
		}
	}
	if n := len(b.site.Completions()); n != 0 || b.site.Probes() != 1 {
		t.Errorf("%d completions, %d probes", n, b.site.Probes())
	}
	if !strings.Contains(found.told("configuration"), "1 API key may") {
		t.Errorf("the configuration: %s", found.told("configuration"))
	}
	stored, err := filepath.Glob(filepath.Join(b.data, "caddy", "*", "*"))
	if err != nil || len(stored) != 1 || filepath.Base(stored[0]) != "accounts" {
		t.Errorf("stored are %q, %v", stored, err)
	}
	out := b.mustRunTool("", "doctor", "--chat")
	if !strings.Contains(out, "ok       chat: ") || strings.Contains(out, "→") || strings.Contains(out, "\x1b") {
		t.Errorf("the output is\n%s", out)
	}
	chats, deleted := 0, 0
	for _, r := range b.site.Requests() {
		switch r.Endpoint {
		case emulator.EndpointNewChat:
			chats++
		case emulator.EndpointDelete:
			deleted++
		}
	}
	if len(b.site.Completions()) != 1 || chats != 1 || deleted != 1 {
		t.Errorf("%d completions, %d chats, %d deleted", len(b.site.Completions()), chats, deleted)
	}
}

func TestDoctorFindings(t *testing.T) {
	long := strings.Repeat("x", 64) + ".invalid" // which no resolver is asked for
	directory := t.TempDir()
	foreign := filepath.Join(directory, "foreign.db")
	must(t, os.WriteFile(foreign, []byte("no database"), 0o600))
	tests := []struct {
		name   string
		config string
		prompt func(*emulator.Server)
		chat   bool
		step   string
		status string
		told   string
		then   map[string]string // other steps
	}{
		{name: "bad configuration", config: "max_image -5", step: "configuration", status: "failed", told: "max_image",
			then: map[string]string{"connection": "", "models": ""}},
		{name: "bad value", config: "base_url ftp://x", step: "configuration", status: "failed", told: "base_url"},
		{name: "missing variable", config: "account {\ntoken {env.CANARY_MISSING}\n}", step: "configuration", status: "failed", told: "--envfile"},
		{name: "auth off", config: "auth off", step: "configuration", status: "warning", told: "everybody"},
		{name: "auth caddy", config: "auth caddy", step: "configuration", status: "ok", told: "users whom Caddy knows"},
		{name: "secret in the configuration", config: "api_key sk-qwen-in-the-file", step: "configuration", status: "warning", told: "a key is part of the configuration"},
		{name: "account file missing", config: "account {\nfile " + directory + "/none\n}", step: "configuration", status: "failed", told: "no such file"},
		{name: "account file a directory", config: "account {\nfile " + directory + "\n}", step: "configuration", status: "failed", told: "not a regular file"},
		{name: "no such host", config: "base_url https://" + long, step: "dns", status: "failed skipped", told: "has no address",
			then: map[string]string{"connection": "skipped ok", "clock": "skipped", "credential": "skipped", "models": "skipped", "upload": "skipped", "sessions": "ok"}},
		{name: "no such host for renewals", config: "auth_base_url https://" + long, step: "dns", status: "skipped failed", told: "has no address",
			then: map[string]string{"connection": "ok skipped", "credential": "ok"}},
		{name: "nobody listens", config: "base_url http://127.0.0.1:1", step: "connection", status: "failed ok", told: "refuses the connection"},
		{name: "clock behind", prompt: func(s *emulator.Server) { s.SkewClock(10 * time.Minute) }, step: "clock", status: "failed", told: "behind that of the site",
			then: map[string]string{"credential": "ok"}},
		{name: "clock ahead", prompt: func(s *emulator.Server) { s.SkewClock(-2 * time.Minute) }, step: "clock", status: "warning", told: "ahead of that of the site"},
		{name: "expired", prompt: func(s *emulator.Server) { s.Refuse(emulator.Expired()) }, step: "credential", status: "failed", told: "caddy qwen import",
			then: map[string]string{"connection": "ok", "upload": "skipped"}},
		{name: "verification", prompt: func(s *emulator.Server) { s.Refuse(emulator.ChallengeJSON()) }, step: "credential", status: "failed", told: "human verification",
			then: map[string]string{"models": "failed", "upload": "skipped"}},
		{name: "page instead of the account", prompt: func(s *emulator.Server) { s.Refuse(emulator.LoginPage(), emulator.EndpointAuths) }, step: "credential", status: "warning", told: "does not tell"},
		{name: "no models", prompt: func(s *emulator.Server) { s.Refuse(emulator.Status(502), emulator.EndpointModels) }, step: "models", status: "failed", told: "cannot be had",
			then: map[string]string{"credential": "ok", "upload": "ok"}},
		{name: "models gone", config: "model_alias a nothing\ndefault_model none\nvision_model blind", step: "models", status: "warning", told: "default_model is none, model_alias a stands for nothing, vision_model is blind"},
		{name: "grant refused", prompt: func(s *emulator.Server) { s.Refuse(emulator.Status(502), emulator.EndpointFileGrant) }, step: "upload", status: "failed", told: "no upload grant"},
		{name: "storage away", config: "storage_endpoint http://127.0.0.1:1", step: "upload", status: "failed", told: "refuses the connection"},
		{name: "sessions off", config: "sessions off", step: "sessions", status: "skipped", told: "off"},
		{name: "no session store", config: "sessions sqlite " + foreign, step: "sessions", status: "failed", told: "is no session store"},
		{name: "no room for a session store", config: "sessions sqlite " + foreign + "/below/sessions.db", step: "sessions", status: "failed", told: "not a directory"},
		{name: "no answer", chat: true, prompt: func(s *emulator.Server) { s.Reply(emulator.RateLimited(3)) }, step: "chat", status: "failed", told: "limit of the account is used up"},
		{name: "half an answer", chat: true, prompt: func(s *emulator.Server) {
			s.Reply(emulator.Stream(emulator.Created(), emulator.Answer("O"), emulator.Cut()))
		}, step: "chat", status: "failed", told: "ended before it was complete"},
		{name: "no chat without an account", chat: true, prompt: func(s *emulator.Server) { s.Refuse(emulator.Expired()) }, step: "chat", status: "skipped", told: "no account"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := mustToolbox(t, emulator.Options{}, tt.config)
			if tt.prompt != nil {
				tt.prompt(b.site)
			}
			var args []string
			if tt.chat {
				args = append(args, "--chat")
			}
			found := b.doctor(args...)
			if found.of(tt.step) != tt.status || !strings.Contains(found.told(tt.step), tt.told) {
				t.Errorf("%s is %s: %s", tt.step, found.of(tt.step), found.told(tt.step))
			}
			for step, want := range tt.then {
				if found.of(step) != want {
					t.Errorf("%s is %q, want %q: %s", step, found.of(step), want, found.told(step))
				}
			}
		})
	}
}

func TestDoctorAccountFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "account.json")
	must(t, os.WriteFile(path, fmt.Appendf(nil, `{"cookies":"token=%s"}`, testToken), 0o644))
	b := mustToolbox(t, emulator.Options{}, "account {\nfile "+path+"\n}")
	if found := b.doctor(); found.of("account file") != "warning" || !strings.Contains(found.told("account file"), "chmod 600 "+path) {
		t.Errorf("open for others: %s", found.told("account file"))
	}
	must(t, os.Chmod(path, 0o600))
	if found := b.doctor(); found.of("account file") != "ok" || found.of("credential") != "ok" {
		t.Errorf("private: %+v", found)
	}
	out, _, err := runTool(t, nil, "doctor", "--json", "--config", mustDefaultHandler(t))
	found := mustUnmarshal[examined](t, out)
	if err == nil || found.of("account file") != "failed" || found.of("credential") != "failed" || !strings.Contains(found.told("credential"), "caddy qwen import") {
		t.Errorf("without any credential: %v: %+v", err, found)
	}
}

// mustDefaultHandler returns a configuration with a handler that reaches nobody.
func mustDefaultHandler(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "caddy.json")
	must(t, os.WriteFile(path, []byte(`[{"handler":"qwen","base_url":"http://127.0.0.1:1","auth_base_url":"http://127.0.0.1:1"}]`), 0o600))
	return path
}

// TestDoctorRenews checks that a token which is due is renewed, and kept.
func TestDoctorRenews(t *testing.T) {
	b := mustToolbox(t, emulator.Options{RefreshTokens: []string{canaryRefresh}}, "")
	b.site.RotateRefreshTokens(true)
	t.Setenv("CANARY_COOKIES", "refresh_token="+canaryRefresh)
	for range 2 {
		found := b.doctor()
		if found.of("credential") != "ok" || !strings.Contains(found.told("credential"), "can be renewed") {
			t.Errorf("the credential: %s", found.told("credential"))
		}
	}
	if n := b.site.Refreshes(); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

// TestDoctorEndsRest checks that an account rests no more once the site accepts it.
func TestDoctorEndsRest(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "")
	b.site.Refuse(emulator.ChallengeJSON())
	b.doctor()
	if _, _, err := b.run("", "chat", "hello"); err == nil || !strings.Contains(err.Error(), "human verification") {
		t.Errorf("the account does not rest: %v", err)
	}
	b.site.Accept()
	if found := b.doctor(); found.of("credential") != "ok" {
		t.Errorf("the credential: %s", found.told("credential"))
	}
	b.mustRunTool("", "chat", "hello")
}

func TestDoctorTLS(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "")
	server := httptest.NewUnstartedServer(b.site)
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	other := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct{ name, address, transport, status, told string }{
		{"unknown authority", server.URL, "", "failed ok", "issued by Acme Co, whom this computer does not trust"},
		{"known authority", server.URL, "transport http {\ntls_trust_pool file " + authority + "\n}", "ok ok", "issued by Acme Co, is good for"},
		{"another host", other, "transport http {\ntls_trust_pool file " + authority + "\n}", "failed ok", "the certificate is not for localhost"},
		{"no TLS", strings.Replace(b.site.URL(), "http:", "https:", 1), "", "failed ok", "answers, but does not encrypt"},
		{"not checked", server.URL, "transport http {\ntls_insecure_skip_verify\n}", "warning ok", "is not checked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			b.configure("base_url " + tt.address + "\n" + tt.transport)
			found := b.doctor()
			if found.of("connection") != tt.status || !strings.Contains(found.told("connection"), tt.told) {
				t.Errorf("%s: %s", found.of("connection"), found.told("connection"))
			}
			if usable := strings.HasPrefix(tt.status, "failed"); usable == (found.of("models") == "ok") {
				t.Errorf("the models: %s", found.told("models"))
			}
		})
	}
}

// TestDoctorProxy checks that the way through a proxy is taken, and the DNS not asked.
func TestDoctorProxy(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "site.invalid" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		b.site.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	b.configure("base_url http://site.invalid\nauth_base_url http://site.invalid\nstorage_endpoint http://site.invalid\ntransport http {\nnetwork_proxy url " + proxy.URL + "\n}")
	found := b.doctor()
	if found.of("dns") != "skipped" || !strings.Contains(found.told("dns"), "through a proxy") || found.of("connection") != "ok" || found.of("credential") != "ok" {
		t.Errorf("%+v", found)
	}
}
