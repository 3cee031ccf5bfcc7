package caddyqwen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Nothing can be saved, as there is a file in place of the directory: the owner is told
// once, and everything else works, the renewal of tokens included.
func TestStateUnwritable(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	mustWriteFile(t, accountsDir(), "not a directory", 0o600)
	g := mustGateway(t, setup{})
	g.site.RotateRefreshTokens(true)
	s := setup{bare: true, qwen: "auth_base_url " + g.site.URL() + "\naccount mine {\ncookies \"refresh_token=r; token=" +
		g.site.IssueTokenFor("mine", 15*time.Minute) + "\"\n}\napi_key " + testKey}
	g.load(s)
	g.checked()
	for range 3 {
		g.mustBeFine("hello")
		g.revoke("mine")
		g.mustBeFine("hello") // with another token, which cannot be saved either
	}
	g.site.Fail(emulator.EndpointNewChat, emulator.ChallengeJSON())
	wantVerification.check(t, g.chat("hello", ""))
	g.load(s)
	g.accept()
	g.mustBeFine("hello")
	if n := g.site.Refreshes(); n != 3 {
		t.Errorf("%d renewals", n)
	}
	const warning = `"what is known of the account cannot be saved; after a restart, it will be found out anew","account":"mine"`
	eventually(t, "a warning", func() bool { return strings.Contains(g.logged(), warning) })
	k := g.keeperOf("mine")
	k.mu.Lock()
	k.dirty(time.Now())
	k.mu.Unlock()
	if err := k.Destruct(); err != nil {
		t.Errorf("told again at the end: %v", err)
	}
	if n := strings.Count(g.logged(), warning); n != 1 {
		t.Errorf("warned %d times:\n%s", n, g.logged())
	}
	if text, err := os.ReadFile(accountsDir()); err != nil || string(text) != "not a directory" {
		t.Errorf("what was there is %q, %v", text, err)
	}
}

// The process is killed when the new state file has been written and not yet taken the
// place of the old one: the old one counts, and the secrets in the other one go.
func TestStateKilledBeforeRename(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := mustGateway(t, setup{})
	s := setup{bare: true, qwen: "auth_base_url " + g.site.URL() + "\naccount mine {\ncookies \"refresh_token=r; token=" +
		g.site.IssueTokenFor("mine", 15*time.Minute) + "\"\n}\napi_key " + testKey}
	g.load(s)
	g.mustBeFine("hello")
	g.revoke("mine")
	g.mustBeFine("hello")
	token := g.last().Header.Get("Authorization")
	must(t, caddy.Stop())
	files, err := filepath.Glob(filepath.Join(accountsDir(), "*.json"))
	if must(t, err); len(files) == 0 {
		t.Fatal("there is no state file")
	}
	var left []string
	for _, path := range files {
		old, err := os.ReadFile(path)
		must(t, err)
		name := filepath.Join(accountsDir(), "."+filepath.Base(path)+"-")
		left = append(left, name+"1")
		for end, age := range map[string]time.Duration{"1": 2 * time.Hour, "2": 0} {
			mustWriteFile(t, name+end, string(old[:len(old)/2]), 0o600)
			must(t, os.Chtimes(name+end, time.Time{}, time.Now().Add(-age)))
		}
	}
	g.load(s)
	g.mustBeFine("hello")
	if got := g.last().Header.Get("Authorization"); got != token || g.site.Refreshes() != 1 {
		t.Errorf("another token, and %d renewals", g.site.Refreshes())
	}
	must(t, caddy.Stop())
	gone := 0
	for _, path := range left {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			gone++
		}
	}
	if gone == 0 {
		t.Error("nothing of what a kill has left is gone")
	}
	g.load(s)
}
