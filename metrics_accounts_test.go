package caddyqwen

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// jwtUntil is an access token that ends at a time.
func jwtUntil(end time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"HS256"}`)) + "." + part(fmt.Appendf(nil, `{"id":"u","exp":%d}`, end.Unix())) + ".c2ln"
}

// accountLines are accounts with tokens that end at these times.
func accountLines(ends map[string]time.Time) (lines string) {
	for label, end := range ends {
		lines += fmt.Sprintf("account %s {\ntoken %s\n}\n", label, jwtUntil(end))
	}
	return lines + "api_key " + testKey
}

// state returns the state that an account is shown in. Of all states, one has to
// be 1.
func (f families) state(t *testing.T, account string) (state string) {
	t.Helper()
	all := f["caddy_qwen_account_state"].GetMetric()
	all = slices.DeleteFunc(slices.Clone(all), func(m *dto.Metric) bool { return !has(m, []string{"account=" + account}) })
	for _, s := range accountStates {
		switch value := f.value("account_state", "account="+account, "state="+string(s)); {
		case value == 1 && state == "":
			state = string(s)
		case value != 0:
			t.Errorf("%s: %s is %v", account, s, value)
		}
	}
	if len(all) != len(accountStates) || state == "" {
		t.Errorf("%s has %d series, and the state %q", account, len(all), state)
	}
	return state
}

func TestMetricsOfAccounts(t *testing.T) {
	now := time.Now()
	ends := map[string]time.Time{"main": now.Add(30 * 24 * time.Hour), "spare": now.Add(3 * time.Hour)}
	g := mustMeteredGateway(t, setup{bare: true, qwen: accountLines(ends)})
	for label, end := range ends {
		left := g.scrape().value("account_token_expiry_seconds", "account="+label)
		if most := end.Sub(now).Seconds(); left > most || left < most-60 {
			t.Errorf("the token of %s ends in %v s, want %v", label, left, most)
		}
	}
	for name, step := range map[string]struct {
		reply emulator.Reply
		want  accountState
	}{
		"a site that accepts the account":         {emulator.Text("Hello."), accountOK},
		"a limit":                                 {emulator.RateLimited(2), accountQuota},
		"a site that asks for human verification": {emulator.ChallengeJSON(), accountVerification},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustMeteredGateway(t, setup{bare: true, qwen: accountLines(map[string]time.Time{"main": ends["main"]})})
			g.site.Reply(step.reply)
			g.chat("hello", "")
			if state := g.scrape().state(t, "main"); state != string(step.want) {
				t.Errorf("the state is %q, want %q", state, step.want)
			}
		})
	}
}

// A token that is not known to end has no time.
func TestMetricsWithoutExpiry(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	if f := g.scrape(); f["caddy_qwen_account_token_expiry_seconds"] != nil || f.state(t, "default") == "" {
		t.Errorf("a token without an end has the time %v", f["caddy_qwen_account_token_expiry_seconds"])
	}
}

// When an account does not work any more and another one takes its place, that is a
// retry, and the request is the other one's.
func TestMetricsOfFailover(t *testing.T) {
	ends := time.Now().Add(30 * 24 * time.Hour)
	block := fmt.Sprintf("account one {\ntoken %s\n}\naccount two {\ntoken %s\n}\napi_key %s", jwtUntil(ends), jwtUntil(ends.Add(time.Minute)), testKey)
	g := mustMeteredGateway(t, setup{bare: true, qwen: block})
	g.site.Fail(emulator.EndpointNewChat, emulator.Expired())
	g.mustGrow(t, func() {
		if got := g.chat("hello", ""); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}, increase{"retries_total reason=account", 1}, increase{"requests_total status=200 code=ok", 1}, increase{"upstream_errors_total", 0})
	if line := g.accessLine(chatPath); line.Qwen["account"] != "two" || line.Qwen["retries"] != 1.0 {
		t.Errorf("the log has %v", line.Qwen)
	}
	if f := g.scrape(); f.state(t, "one") != string(accountExpired) || f.state(t, "two") != string(accountOK) {
		t.Errorf("the states are %s and %s", f.state(t, "one"), f.state(t, "two"))
	}
}

// A call that is made again with a renewed access token is a retry.
func TestMetricsOfRenewal(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	s := setup{bare: true, site: metricsSite}
	s.qwen = fmt.Sprintf("auth_base_url %s\naccount {\ncookies \"refresh_token=r; token=%s\"\n}\napi_key %s",
		g.site.URL(), g.site.IssueToken(30*24*time.Hour), testKey)
	g.load(s)
	g.site.Fail(emulator.EndpointNewChat, emulator.Expired())
	g.mustGrow(t, func() {
		if got := g.chat("hello", ""); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}, increase{"retries_total reason=renewed", 1}, increase{"retries_total", 1}, increase{"upstream_errors_total", 0})
	if line := g.accessLine(chatPath); line.Qwen["retries"] != 1.0 {
		t.Errorf("the log has %v", line.Qwen)
	}
}

// Accounts with one label are one, in the worst of their states, so that the metrics
// can be read while configurations and handlers overlap.
func TestMetricsOfAccountsWithOneLabel(t *testing.T) {
	second := fmt.Sprintf("handle_path /second/* {\nqwen {\nbase_url %%s\nsessions off\naccount main {\ntoken %s\n}\napi_key %s\n}\n}\n", jwtUntil(time.Now().Add(30*time.Hour)), testKey)
	first := accountLines(map[string]time.Time{"main": time.Now().Add(20 * time.Hour)})
	g := mustMeteredGateway(t, setup{bare: true, qwen: first})
	s := setup{bare: true, qwen: first, site: fmt.Sprintf(second, g.site.URL()) + metricsSite}
	g.load(s)
	g.site.Reply(emulator.RateLimited(2), emulator.ChallengeJSON())
	for i, prefix := range []string{"/second", ""} {
		g.do(http.MethodPost, prefix+chatPath, chatBody("hello", ""))
		if state := g.scrape().state(t, "main"); i == 0 && state != string(accountQuota) {
			t.Errorf("the state is %q", state)
		}
	}
	f := g.scrape()
	if state := f.state(t, "main"); state != string(accountVerification) {
		t.Errorf("the state is %q", state)
	}
	if left := f.value("account_token_expiry_seconds"); left > 20*3600 || left < 19*3600 {
		t.Errorf("the token ends in %v s, want 20 h", left)
	}
	metrics.accounts.mu.Lock()
	defer metrics.accounts.mu.Unlock()
	if n := len(metrics.accounts.handlers); n != 2 {
		t.Errorf("%d handlers are shown", n)
	}
}

// The metrics can be read at any time.
func TestMetricsDuringReloads(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				metrics.accounts.reports()
			}
		})
	}
	for i := range 20 {
		g.load(setup{qwen: fmt.Sprintf("heartbeat %ds", i+1), site: metricsSite})
		g.scrape()
	}
	stop()
	readers.Wait()
	bad := g.adapt(setup{qwen: "storage_endpoint http://127.0.0.1:1"})
	bad = []byte(strings.Replace(string(bad), "http://127.0.0.1:1", "nonsense", 1))
	if err := caddy.Load(bad, true); err == nil {
		t.Error("a bad configuration was taken")
	}
	metrics.accounts.mu.Lock()
	defer metrics.accounts.mu.Unlock()
	if n := len(metrics.accounts.handlers); n != 1 {
		t.Errorf("%d handlers are shown", n)
	}
}
