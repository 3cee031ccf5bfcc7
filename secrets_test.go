package caddyqwen

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// testHeader is the value of a header that the owner has pasted.
const testHeader = "canary-pasted-header"

// canaries are the texts that may be neither in a log nor in an error.
func canaries() []string {
	return []string{testKey, testToken, testCookie, testHeader, secretPrompt}
}

// secretSetup takes all secrets from the environment.
func secretSetup(t *testing.T) setup {
	t.Helper()
	t.Setenv("CANARY_KEY", testKey)
	t.Setenv("CANARY_TOKEN", testToken)
	t.Setenv("CANARY_COOKIE", "ssxmod="+testCookie+"; token="+testToken)
	t.Setenv("CANARY_HEADER", testHeader)
	return setup{bare: true, qwen: `
		idle_timeout 100ms
		max_frame 2KiB
		account {
			token {env.CANARY_TOKEN}
			cookies {env.CANARY_COOKIE}
			header bx-ua {env.CANARY_HEADER}
		}
		api_key {env.CANARY_KEY}`}
}

// logEncoder changes the format of the log in a configuration.
func logEncoder(t *testing.T, config []byte, format string) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(config, &root); err != nil {
		t.Fatal(err)
	}
	logs := root["logging"].(map[string]any)["logs"].(map[string]any)
	logs["default"].(map[string]any)["encoder"] = map[string]string{"format": format}
	changed, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// provoke makes requests that succeed and that fail in all ways, and returns
// the answers to those that failed.
func provoke(g *gateway) (failures []string) {
	request := func(body string, header ...string) {
		g.t.Helper()
		g.accept()
		if got := g.do(http.MethodPost, chatPath, body, header...); got.status != http.StatusOK || strings.Contains(got.body, `"error"`) {
			failures = append(failures, got.body)
		}
	}
	for _, fields := range modes {
		request(chatBody(secretPrompt, fields))
		for _, test := range append(refusals(), breaks()...) {
			g.site.Reply(test.reply)
			request(chatBody(secretPrompt, fields))
		}
		g.site.Fail(emulator.EndpointNewChat, emulator.ChallengeJSON())
		request(chatBody(secretPrompt, fields))
		g.site.Reply(afterText(emulator.Hang()))
		request(chatBody(secretPrompt, fields))
		request(chatBody(secretPrompt, fields)[1:])
		request(chatBody(secretPrompt, fields+strings.Repeat(",", min(1, len(fields)))+`"n":2,"user":"`+secretPrompt+`"`))
		request(chatBody(secretPrompt, fields), "Authorization", "Bearer "+testKey+"x")
		request(chatBody(secretPrompt, fields), "Content-Encoding", "gzip")
	}
	l := g.leaver("")
	l.leave()
	<-l.done
	g.site.Close()
	request(chatBody(secretPrompt, ""))
	return failures
}

func TestSecretsInLogsAndErrors(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		t.Run("X20 "+format, func(t *testing.T) {
			s := secretSetup(t)
			s.site = metricsSite
			g := mustGateway(t, setup{})
			testLog.Load().Reset()
			if err := caddy.Load(logEncoder(t, g.adapt(s), format), true); err != nil {
				t.Fatal(err)
			}
			g.url = mustAddress(t)
			failures := provoke(g)
			checkReceived(t, g)
			if len(failures) < 100 {
				t.Errorf("only %d requests failed", len(failures))
			}
			failures = append(failures, g.metrics())
			for _, secret := range canaries() {
				for _, body := range failures {
					if strings.Contains(body, secret) {
						t.Errorf("%s is in an error: %s", secret, body)
					}
				}
				for line := range strings.Lines(g.logged()) {
					if strings.Contains(line, secret) {
						t.Errorf("%s is in the log: %s", secret, line)
					}
				}
			}
			for _, part := range []string{"handled request", "request failed", "upstream_verification_required"} {
				if !strings.Contains(g.logged(), part) {
					t.Errorf("%s is not in the log, so that this test proves nothing", part)
				}
			}
		})
	}
}

// checkReceived checks that the secrets were really in use.
func checkReceived(t *testing.T, g *gateway) {
	t.Helper()
	sent := g.site.Completions()
	if len(sent) == 0 {
		t.Fatal("the site got no prompt")
	}
	h := sent[0].Header
	if h.Get("Authorization") != "Bearer "+testToken || !strings.Contains(h.Get("Cookie"), testCookie) || h.Get("Bx-Ua") != testHeader || sent[0].Content != secretPrompt {
		t.Errorf("the site got %v", h)
	}
	for name, values := range h {
		if strings.Contains(strings.Join(values, ""), testKey) {
			t.Errorf("the site got the API key in %s", name)
		}
	}
}

func TestSecretsInAdminAPI(t *testing.T) {
	s := secretSetup(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	g := mustGateway(t, setup{})
	config := strings.Replace(string(g.adapt(s)), `"admin":{"disabled":true`, `"admin":{"listen":"unix/`+socket+`"`, 1)
	testLog.Load().Reset()
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	g.url = mustAddress(t)
	if got := g.chat(secretPrompt, ""); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	text := mustGetConfig(t, socket)
	if !strings.Contains(text, "{env.CANARY_TOKEN}") {
		t.Errorf("this is not the configuration: %s", text)
	}
	for _, secret := range canaries() {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in /config/", secret)
		}
	}
	if strings.Contains(g.logged(), "is part of the configuration") {
		t.Error("X19 there is a warning about secrets, although none is there")
	}
}

// mustGetConfig asks Caddy's admin API for the configuration.
func mustGetConfig(t *testing.T, socket string) string {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/config/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, text)
	}
	return string(text)
}

// A secret that is written into the configuration is warned of, without being
// repeated.
func TestSecretsLiteral(t *testing.T) {
	g := mustGateway(t, setup{})
	if n := strings.Count(g.logged(), "is part of the configuration"); n != 3 {
		t.Errorf("X19 %d warnings:\n%s", n, g.logged())
	}
	for _, secret := range canaries() {
		if strings.Contains(g.logged(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// Nothing of the site's own headers reaches a client.
func TestSecretsOfSite(t *testing.T) {
	g := mustGateway(t, setup{})
	const secret = "canary-set-by-site"
	for mode, fields := range modes {
		t.Run("P39 "+mode, func(t *testing.T) {
			for _, reply := range []emulator.Reply{emulator.Text("fine"), emulator.Expired(), emulator.Status(502)} {
				g.site.Reply(reply.WithHeader("Set-Cookie", "token="+secret).WithHeader("X-Internal", secret))
				got := g.chat("hello", fields)
				for name, values := range got.header {
					if strings.Contains(strings.Join(values, " "), secret) {
						t.Errorf("%s: %q", name, values)
					}
				}
			}
		})
	}
	if strings.Contains(g.logged(), secret) {
		t.Error("P39 it is in the log")
	}
}
