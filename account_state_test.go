package caddyqwen

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// X18: the owner changes the account file while the server runs.
func TestAccountFileWhileServing(t *testing.T) {
	g := mustGateway(t, setup{})
	path := filepath.Join(t.TempDir(), "account.json")
	first, second := g.site.IssueTokenFor("first", time.Hour), g.site.IssueTokenFor("second", time.Hour)
	mustWriteAccount(t, path, qwen.Credential{Token: first})
	g.load(setup{bare: true, qwen: "account mine {\nfile " + path + "\n}\napi_key " + testKey})
	g.mustBeFine("hello")
	g.mustAnswerBy("first")

	mustWriteAccount(t, path, qwen.Credential{Token: second})
	g.mustBeFine("hello")
	g.mustAnswerBy("second")

	const broken = `{"token":"` + fileSecret
	must(t, replaceFile(path, []byte(broken))) // at once: what looks after the account reads along
	for range 5 {
		g.mustBeFine("hello")
	}
	g.mustAnswerBy("second")
	must(t, os.Remove(path))
	g.mustBeFine("hello")
	g.mustAnswerBy("second")
	logged := g.logged()
	if n := strings.Count(logged, "the account file cannot be read; what it held before is used further"); n != 2 {
		t.Errorf("X18 logged %d times: once that it is broken, and once that it is gone", n)
	}

	mustWriteAccount(t, path, qwen.Credential{Token: first})
	must(t, os.Chmod(path, 0o644))
	g.mustBeFine("hello")
	g.mustBeFine("hello")
	g.mustAnswerBy("first")
	if n := strings.Count(g.logged(), "other users of this machine may read the account file"); n != 1 {
		t.Errorf("warned %d times that others may read it", n)
	}
	for _, secret := range []string{first, second, fileSecret} {
		if strings.Contains(g.logged(), secret) {
			t.Errorf("X20 %s is in the log", secret)
		}
	}
}

// Nothing is configured, and the owner imports an account later.
func TestAccountFileAfterStart(t *testing.T) {
	g := mustGateway(t, setup{})
	g.load(setup{bare: true, qwen: "api_key " + testKey})
	if r := g.chat("hello", ""); r.code() != "no_credential" || r.status != http.StatusServiceUnavailable {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	path := defaultAccountFile()
	t.Cleanup(func() { os.Remove(path) })
	mustWriteAccount(t, path, qwen.Credential{Token: g.site.IssueTokenFor("imported", time.Hour)})
	g.mustBeFine("hello")
	g.mustAnswerBy("imported")
}

// What is known survives a restart of Caddy, and a reload: the renewed token, the
// merged cookies, and that the site does not want to be asked.
func TestAccountOverRestart(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.RotateRefreshTokens(true)
	g.site.SetCookies("acw_tc=merged; Max-Age=1800")
	s := setup{bare: true, qwen: "auth_base_url " + g.site.URL() + "\naccount {\ncookies \"refresh_token=r; token=" +
		g.site.IssueToken(10*time.Second) + "\"\n}\napi_key " + testKey}
	g.site.SetTokenLife(15 * time.Minute)
	g.load(s)
	g.mustBeFine("hello")
	eventually(t, "a renewal", func() bool { return g.site.Refreshes() > 0 || g.chat("hello", "").status != http.StatusOK })
	g.mustBeFine("hello")
	token, renewals := g.last().Header.Get("Authorization"), g.site.Refreshes()
	for _, again := range []func() error{func() error { return nil }, caddy.Stop} {
		must(t, again())
		g.load(s)
		g.mustBeFine("hello")
		if h := g.last().Header; h.Get("Authorization") != token || !strings.Contains(h.Get("Cookie"), "acw_tc=merged") || g.site.Refreshes() != renewals {
			t.Errorf("another token or other cookies, and %d renewals", g.site.Refreshes()-renewals)
		}
	}
	g.site.Fail(emulator.EndpointNewChat, emulator.ChallengeJSON())
	wantVerification.check(t, g.chat("hello", ""))
	before := g.requested(emulator.EndpointNewChat)
	for _, again := range []func() error{func() error { return nil }, caddy.Stop} {
		must(t, again())
		g.load(s)
		if r := g.chat("hello", ""); r.code() != "upstream_verification_required" || r.header.Get("Retry-After") == "" {
			t.Errorf("P41 status %d: %s", r.status, r.body)
		}
	}
	if g.requested(emulator.EndpointNewChat) != before {
		t.Error("P41 the site was asked")
	}
}

// mustState is a keeper with something to save, and the path of its state file.
func mustState(t *testing.T, token string) (*keeper, string) {
	t.Helper()
	k := &keeper{source: accountSource{baseURL: "https://site.test"}, label: "x", wake: make(chan struct{}, 1)}
	k.supply(qwen.Credential{Token: token})
	must(t, k.save(zap.NewNop()))
	t.Cleanup(func() { os.RemoveAll(accountsDir()) })
	return k, k.statePath()
}

func TestStateFile(t *testing.T) {
	k, path := mustState(t, "canary-one")
	_, other := mustState(t, "canary-two")
	checkMode(t, path, 0o600)
	checkMode(t, filepath.Dir(path), 0o700)
	text, err := os.ReadFile(other)
	must(t, err)
	if strings.Contains(string(text), "canary-one") || path == other {
		t.Error("X20 the secret of an account is in the state file of another")
	}

	// What a crash before the last step leaves changes nothing, and goes some day.
	left := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-123")
	mustWriteFile(t, left, `{"token":"canary`, 0o600)
	must(t, os.Chtimes(left, time.Time{}, time.Now().Add(-2*time.Hour)))
	if f, _, err := readStateFile(path); err != nil || f.Token != "canary-one" {
		t.Errorf("%v", err)
	}
	must(t, k.save(zap.NewNop()))
	if _, err := os.Stat(left); err == nil {
		t.Error("what a crash has left is still there")
	}

	must(t, os.Chtimes(other, time.Time{}, time.Now().Add(-stateLife-time.Hour)))
	removeOldStates(time.Now())
	if _, err := os.Stat(other); err == nil {
		t.Error("an old state file is still there")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("a state file in use is gone")
	}
}

// A state file that is none of ours is as good as none, and is replaced.
func TestStateFileDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `{"version":1,"token":"canary`, "not JSON": "\x00canary", "null": "null", "list": `["canary"]`,
		"another version": `{"version":2,"token":"canary"}`, "huge": `{"version":1,"x":"` + strings.Repeat("canary", 1<<18) + `"}`,
		"wrong kinds": `{"version":1,"token":["canary"]}`, "times": `{"version":1,"until":"canary"}`,
	} {
		t.Run(name, func(t *testing.T) {
			k, path := mustState(t, "token")
			mustWriteFile(t, path, text, 0o600)
			k.restored, k.saved = false, nil
			var levels []string
			logs := zap.New(levelCore{&levels})
			for range 3 {
				k.look(logs)
			}
			if strings.Join(levels, " ") != "warn" && text != "" {
				t.Errorf("logged %q", levels)
			}
			if k.cred.Token != "token" || k.health.State != "" {
				t.Errorf("%+v", k.health)
			}
			must(t, k.save(zap.NewNop()))
			if f, _, err := readStateFile(path); err != nil || f.Token != "token" {
				t.Errorf("it is not replaced: %v", err)
			}
		})
	}
}

// A state that this program does not write says nothing, and gets nowhere: it would be
// a label of the metrics.
func TestStateFileUnknownState(t *testing.T) {
	for _, state := range []string{"canary", "OK", "quota", "unknown", "expiring", "\\u0000"} {
		t.Run(state, func(t *testing.T) {
			k, path := mustState(t, "token")
			renewed := k.stateFile()
			renewed.Token = "renewed"
			renewed.health = health{State: "x", Until: time.Now().Add(time.Hour), Rests: 3, LastError: "x", FailedAt: time.Now()}
			text, err := json.Marshal(renewed)
			must(t, err)
			mustWriteFile(t, path, strings.Replace(string(text), `"state":"x"`, `"state":"`+state+`"`, 1), 0o600)
			f, _, err := readStateFile(path)
			must(t, err)
			k.restored, k.saved = false, nil
			k.look(zap.NewNop())
			for _, h := range []health{f.health, k.health} {
				if h.State != "" || h.Rests != 0 || h.LastError != "" || !h.Until.IsZero() {
					t.Errorf("what is known: %+v", h)
				}
			}
			if got := k.report(time.Now()).State; got != accountUnknown {
				t.Errorf("it is shown as %q", got)
			}
			if _, err := k.admit(zap.NewNop(), "m"); err != nil || k.cred.Token != "renewed" {
				t.Errorf("admitted with %v; the renewed token is lost: %t", err, k.cred.Token != "renewed")
			}
		})
	}
}

func FuzzStateFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"supplied":"x","cookies":"a=b","token":"t","expires":"2026-11-22T12:00:00Z","state":"quota","quotas":{"m":"2026-11-22T12:00:00Z"}}`))
	f.Add([]byte(`{"version":1,"until":"9999-12-31T23:59:59Z","rests":-1}`))
	path := filepath.Join(f.TempDir(), "state.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o600))
		state, _, err := readStateFile(path)
		if err != nil {
			return
		}
		now := time.Now()
		h := state.health.plausible(now)
		_ = h.admit("m", now)
		h.failed(siteFailed(qwen.KindVerification), "m", 0, now)
		if wait := h.Until.Sub(now); wait <= 0 || wait > 25*time.Hour {
			t.Errorf("no rest: %v", wait)
		}
	})
}
