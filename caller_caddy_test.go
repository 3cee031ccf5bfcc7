package caddyqwen

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// modelsPath is a route that costs nothing and, with public_models off, needs a
// caller.
const modelsPath = "/v1/models"

// TestAccessLogShowsNoKey sends keys in every header and to every kind of path,
// and reads the access log of a real Caddy with the filter that example.Caddyfile
// recommends.
func TestAccessLogShowsNoKey(t *testing.T) {
	const wrongKey = "sk-wrong-canary-key-9876543210"
	g := mustFilteredLog(t)
	requests := []struct{ method, path, body string }{
		{http.MethodGet, "/", ""},
		{http.MethodGet, "/health", ""},
		{http.MethodGet, modelsPath, ""},
		{http.MethodDelete, modelsPath, ""},
		{http.MethodOptions, modelsPath, ""},
		{http.MethodGet, "/v1/unknown", ""},
		{http.MethodGet, "/of-the-next-handler", ""},
		{http.MethodPost, chatPath, chatBody("hello", "")},
		{http.MethodPost, chatPath, "{"},
	}
	sent := 0
	for _, r := range requests {
		for _, header := range []string{"X-Api-Key", "x-api-key", "Api-Key", "api-key"} {
			for _, key := range []string{testKey, wrongKey} {
				g.do(r.method, r.path, r.body, header, key)
				g.do(r.method, r.path, r.body, header, key, "Authorization", "")
				sent += 2
			}
		}
	}
	stopCaddy(t) // so that every line is in the log
	log := g.logged()
	if got := strings.Count(log, `"http.log.access`); got != sent {
		t.Errorf("%d access log lines, want %d", got, sent)
	}
	for _, part := range []string{testKey, wrongKey, "X-Api-Key", `"Api-Key"`} {
		if strings.Contains(log, part) {
			t.Errorf("the log shows %s", part)
		}
	}
}

// mustFilteredLog starts Caddy with the handler and with the access log that
// example.Caddyfile recommends.
func mustFilteredLog(t *testing.T) *gateway {
	t.Helper()
	g := mustGateway(t, setup{})
	var block string
	for _, b := range commentedBlocks(mustReadExample(t)) {
		if strings.HasPrefix(b, "log {\n") {
			block = strings.Replace(b, "log {\n", "log {\noutput test\n", 1)
		}
	}
	if block == "" {
		t.Fatal("example.Caddyfile recommends no filter for the access log")
	}
	config := mustAdapt(t, fmt.Sprintf(`{
		admin off
		persist_config off
		auto_https off
		storage_clean_interval off
		log default {
			output test
			level DEBUG
		}
	}
	http://127.0.0.1:0 {
		bind 127.0.0.1
		%s
		qwen {
			base_url %s
			account {
				token %s
			}
			api_key %s
		}
	}`, block, g.site.URL(), testToken, testKey))
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	g.url = mustAddress(t)
	return g
}

// stopCaddy stops the running Caddy, which ends all requests first.
func stopCaddy(t *testing.T) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAuthKeys checks the statuses that clients see.
func TestAuthKeys(t *testing.T) {
	g := mustGateway(t, setup{qwen: "public_models off\napi_key laptop " + aliceKey})
	tests := []struct {
		name   string
		header []string
		status int
		code   string
	}{
		{"AU-05 x-api-key", []string{"Authorization", "", "X-Api-Key", aliceKey}, 200, ""},
		{"bearer", nil, 200, ""},
		{"other caller", []string{"Authorization", "bearer " + aliceKey}, 200, ""},
		{"A01 nothing", []string{"Authorization", ""}, 401, "invalid_api_key"},
		{"A02 wrong", []string{"Authorization", "Bearer sk-no"}, 401, "invalid_api_key"},
		{"A03 two callers", []string{"X-Api-Key", aliceKey}, 401, "invalid_api_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := g.do(http.MethodGet, modelsPath, "", tt.header...)
			if got.status != tt.status || got.code() != tt.code {
				t.Errorf("status %d, code %q; want %d, %q\n%s", got.status, got.code(), tt.status, tt.code, got.body)
			}
			if want := tt.status == 401; (got.header.Get("WWW-Authenticate") == "Bearer") != want || (got.header.Get("X-Should-Retry") == "false") != want {
				t.Errorf("header %q with status %d", got.header, got.status)
			}
		})
	}
}

// TestAuthCaddy checks that a user of Caddy's own basic_auth is recognised.
func TestAuthCaddy(t *testing.T) {
	const hash = "$2a$04$ygEBf0YK16C/wGj6jC/ZW.JNujs/IiT8Hc9rdUQDg/DlR77fIM9Ka" // of "correct horse"
	s := setup{
		bare: true,
		qwen: "auth caddy\npublic_models off\naccount {\ntoken " + testToken + "\n}",
		site: "basic_auth {\nalice " + hash + "\n}",
	}
	g := mustGateway(t, s)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:correct horse"))
	if got := g.do(http.MethodGet, modelsPath, "", "Authorization", basic); got.status != 200 {
		t.Errorf("the user gets status %d: %s", got.status, got.body)
	}
	if got := g.do(http.MethodGet, modelsPath, "", "Authorization", "", "X-Api-Key", aliceKey); got.status != 401 {
		t.Errorf("a stranger gets status %d", got.status)
	}

	s.site = "" // the owner forgot the directive
	g.load(s)
	for _, header := range [][]string{{"Authorization", basic}, {"X-Forwarded-User", "alice"}} {
		if got := g.do(http.MethodGet, modelsPath, "", header...); got.status != 401 || got.code() != "invalid_api_key" {
			t.Errorf("A12 with %s, without basic_auth: status %d, %s", header[0], got.status, got.body)
		}
	}
}

// TestGeneratedKeyInCaddy checks the way of an owner who has configured no key.
func TestGeneratedKeyInCaddy(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	g := mustGateway(t, setup{bare: true, qwen: "public_models off\naccount {\ntoken " + testToken + "\n}"})
	if _, err := os.Stat(generatedKeyPath()); err == nil {
		t.Error("the key exists before anybody needs it")
	}
	if got := g.do(http.MethodGet, modelsPath, "", "Authorization", ""); got.status != 401 || !strings.Contains(got.body, "caddy qwen key") {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	first, _, err := runCommand(t, "key")
	if err != nil {
		t.Fatal(err)
	}
	first = strings.TrimSpace(first)
	if got := g.do(http.MethodGet, modelsPath, "", "Authorization", "Bearer "+first); got.status != 200 {
		t.Errorf("with the printed key: status %d, %s", got.status, got.body)
	}
	path := generatedKeyPath()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := g.do(http.MethodGet, modelsPath, "", "Authorization", "Bearer "+first); got.status != 401 {
		t.Errorf("after deleting the file, the old key gets status %d", got.status)
	}
	mustWriteFile(t, path, "damaged", 0o600)
	got := g.do(http.MethodGet, modelsPath, "", "Authorization", "Bearer "+first)
	if got.status != 500 || strings.Contains(got.body, data) {
		t.Errorf("with a damaged file: status %d, %s; want 500 without the path", got.status, got.body)
	}
	stopCaddy(t)
	if log := g.logged(); strings.Contains(log, first) || !strings.Contains(log, "delete it to get a new one") {
		t.Error("the log shows the key or does not say what to do about the file")
	}
}

// TestKeyRemovedByReload checks A19 and A20.
func TestKeyRemovedByReload(t *testing.T) {
	g := mustGateway(t, setup{qwen: "public_models off\napi_key laptop " + aliceKey + " " + aliceNewKey})
	status := func(key string) int {
		return g.do(http.MethodGet, modelsPath, "", "Authorization", "Bearer "+key).status
	}
	if a, b := status(aliceKey), status(aliceNewKey); a != 200 || b != 200 {
		t.Errorf("A20 old and new key get %d and %d, want 200 for both", a, b)
	}
	g.load(setup{qwen: "public_models off\napi_key laptop " + aliceNewKey})
	if a, b := status(aliceKey), status(aliceNewKey); a != 401 || b != 200 {
		t.Errorf("A19 after the reload, old and new key get %d and %d, want 401 and 200", a, b)
	}
}

// TestProvisionRefusesBadKeys checks that Caddy does not start with keys that
// would let everybody in, and does not show them.
func TestProvisionRefusesBadKeys(t *testing.T) {
	g := mustGateway(t, setup{})
	tests := []struct{ name, qwen, want string }{
		{"A08", "api_key sk-your-token", "example"},
		{"A09", "api_key a " + aliceKey + "\napi_key b " + aliceKey, "configured twice"},
		{"A10", "api_key {env.QWEN_TEST_UNSET}", "{env.QWEN_TEST_UNSET}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkError(t, caddy.Load(g.adapt(setup{qwen: tt.qwen}), true), tt.want)
			if got := g.do(http.MethodGet, modelsPath, ""); got.status != 200 {
				t.Errorf("the server does not go on with the old configuration: status %d", got.status)
			}
		})
	}
}

// TestLiteralSecretsAreWarnedAbout checks X19 in the log of a real Caddy.
func TestLiteralSecretsAreWarnedAbout(t *testing.T) {
	g := mustGateway(t, setup{})
	var warnings []string
	for line := range strings.SplitSeq(g.logged(), "\n") {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "warn" && strings.Contains(entry.Msg, "{env.NAME}") {
			warnings = append(warnings, entry.Msg)
		}
	}
	checkParts(t, warnings, []string{"account 1: the cookie header", "account 1: the token", "api_key 1: a key"})
	for _, secret := range []string{testKey, testToken, testCookie} {
		if strings.Contains(fmt.Sprint(warnings), secret) {
			t.Error("a warning shows the secret")
		}
	}
}

// TestCORSInCaddy checks CORS together with directives of Caddy that set the
// same headers.
func TestCORSInCaddy(t *testing.T) {
	const app = "https://app.example.com"
	g := mustGateway(t, setup{
		qwen: "cors " + app,
		site: "encode\nheader Access-Control-Allow-Origin *",
	})
	answers := map[string]reply{
		"CO-03 answer":    g.do(http.MethodGet, modelsPath, "", "Origin", app, "Accept-Encoding", "gzip"),
		"CO-03 error":     g.do(http.MethodGet, "/v1/unknown", "", "Origin", app),
		"CO-03 401":       g.do(http.MethodPost, chatPath, chatBody("hello", ""), "Origin", app, "Authorization", ""),
		"CO-03 stream":    g.do(http.MethodPost, chatPath, chatBody("hello", `"stream":true`), "Origin", app),
		"CO-01 preflight": g.do(http.MethodOptions, chatPath, "", "Origin", app, "Authorization", "", "Access-Control-Request-Method", "POST"),
	}
	for name, got := range answers {
		t.Run(name, func(t *testing.T) {
			if values := got.header.Values("Access-Control-Allow-Origin"); len(values) != 1 || values[0] != app {
				t.Errorf("CO-04 allow-origin %q, want %q once", values, app)
			}
			if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
				t.Errorf("vary %q does not name Origin", vary)
			}
		})
	}
	if got := answers["CO-01 preflight"]; got.status != 204 || got.header.Get("Access-Control-Allow-Methods") != "POST, OPTIONS" {
		t.Errorf("preflight: status %d, header %q", got.status, got.header)
	}
}
