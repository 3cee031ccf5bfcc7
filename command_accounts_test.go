package caddyqwen

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// jsonAccounts is what `accounts --json` is expected to print.
type jsonAccounts struct {
	Accounts []struct {
		Label, Site, State, Until, Remedy string
		Expires                           string `json:"token_expires"`
		Renewable                         bool
		LastError                         string    `json:"last_error"`
		Checked                           string    `json:"last_accepted"`
		Updated                           time.Time `json:"updated"`
	}
}

// mustKeep stores what is known of an account of a label and a site.
func mustKeep(t *testing.T, label, site string, cred qwen.Credential, h health) string {
	t.Helper()
	k := &keeper{source: accountSource{baseURL: site, given: cred}, label: label, supplied: cred, health: h, restored: true}
	k.setCredential(cred, cred.Expires())
	must(t, k.save(zap.NewNop()))
	return k.statePath()
}

func TestAccountsCommand(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	const site, other = "https://chat.qwen.ai", "http://other.example"
	now := time.Now()
	out, _, err := runTool(t, nil, "accounts")
	if err != nil || !strings.Contains(out, "No account is known") {
		t.Errorf("without files: %v: %s", err, out)
	}
	_, _, err = runTool(t, nil, "accounts", "--clear", "default")
	checkError(t, err, "no account is known")

	mustKeep(t, "default", site, qwen.Credential{Cookies: "a=" + testCookie + "; refresh_token=" + canaryRefresh}, health{State: accountVerification, Until: now.Add(time.Hour), Rests: 3, LastError: "upstream_verification_required", FailedAt: now})
	mustKeep(t, "default", other, qwen.Credential{Token: testToken}, health{State: accountExpired, Until: now.Add(time.Hour), LastError: "upstream_credential_expired", FailedAt: now})
	mustKeep(t, "通义", site, qwen.Credential{Token: jwt(now, time.Hour)}, health{State: accountOK, Checked: now, Quotas: map[string]time.Time{"m": now.Add(time.Hour)}})
	must(t, os.WriteFile(filepath.Join(accountsDir(), "broken.json"), []byte("{"), 0o600))

	out, stderr, err := runTool(t, nil, "accounts")
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) < 9 || !strings.HasPrefix(lines[0], "LABEL ") || !strings.Contains(lines[1], "expired") ||
		!strings.Contains(lines[2], "verification") || !strings.Contains(lines[3], "quota") || !strings.Contains(out, "caddy qwen accounts --clear default") {
		t.Errorf("%v:\n%s", err, out)
	}
	if !strings.Contains(stderr, "broken.json") {
		t.Errorf("the broken file is not told of: %s", stderr)
	}
	list := func(args ...string) jsonAccounts {
		t.Helper()
		out, _, err := runTool(t, nil, append([]string{"accounts", "--json"}, args...)...)
		must(t, err)
		return mustUnmarshal[jsonAccounts](t, out)
	}
	all := list().Accounts
	if len(all) != 3 || all[1].Label != "default" || all[1].Site != site || all[1].State != "verification" || !all[1].Renewable ||
		all[1].Until == "" || all[1].LastError != "upstream_verification_required" || all[1].Remedy == "" || all[2].State != "quota" || all[2].Renewable {
		t.Errorf("the accounts are %+v", all)
	}
	if ends := all[2].Expires; ends == "" || all[1].Expires != "" {
		t.Errorf("the tokens end at %q and %q", all[1].Expires, ends)
	}
	if some := list("--site", site+"/").Accounts; len(some) != 2 {
		t.Errorf("of one site: %+v", some)
	}
	_, _, err = runTool(t, nil, "accounts", "--clear", "nobody")
	checkError(t, err, `there is no account "nobody"; there are "default", "通义"`)
	_, _, err = runTool(t, nil, "accounts", "--clear", "")
	checkError(t, err, `there is no account ""`)

	for _, want := range []string{" was expired. It is used again", " was unknown. It did not rest"} {
		out, _, err = runTool(t, nil, "accounts", "--clear", "default", "--site", other)
		if err != nil || !strings.Contains(out, "default at "+other+want) {
			t.Errorf("%v: %s, want %q", err, out, want)
		}
	}
	out, _, err = runTool(t, nil, "accounts", "--clear", "通义", "--json")
	if err != nil || !strings.Contains(out, `"state": "quota"`) {
		t.Errorf("%v: %s", err, out)
	}
	all = list().Accounts
	if all[0].State != "unknown" || all[0].Until != "" || all[0].LastError != "" || all[1].State != "verification" || all[2].State != "unknown" {
		t.Errorf("after that, the accounts are %+v", all)
	}
	out, _, err = runTool(t, nil, "accounts", "--clear", "default", "--json")
	if err != nil || strings.Count(out, `"site"`) != 2 {
		t.Errorf("all sites: %v: %s", err, out)
	}

	mustKeep(t, "fine", other, qwen.Credential{Token: jwt(now, 60*24*time.Hour)}, health{State: accountOK, Checked: now})
	_, _, err = runTool(t, nil, "accounts", "--clear", "fine")
	if all = list().Accounts; err != nil || all[2].Label != "fine" || all[2].State != "ok" {
		t.Errorf("without need: %v, %+v", err, all)
	}
}

// TestAccountsClearWhileServing checks that a running server asks the site again once
// the owner has cleared a state.
func TestAccountsClearWhileServing(t *testing.T) {
	for name, refuse := range map[string]emulator.Reply{"verification": emulator.ChallengeJSON(), "quota": emulator.RateLimited(4)} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			onDisk := func(state string) {
				t.Helper()
				eventually(t, "the state is on disk", func() bool {
					out, _, err := runTool(t, nil, "accounts", "--json")
					return err == nil && strings.Contains(out, `"state": "`+state+`"`)
				})
			}
			onDisk("ok") // the server has asked the site how the account is
			g.site.Reply(refuse)
			if got := g.chat("hello", ""); got.status == http.StatusOK {
				t.Fatalf("status %d", got.status)
			}
			sent := g.requested(emulator.EndpointCompletions)
			if got := g.chat("hello", ""); got.status == http.StatusOK || g.requested(emulator.EndpointCompletions) != sent {
				t.Fatalf("the account does not rest: status %d", got.status)
			}
			onDisk(name)
			_, _, err := runTool(t, nil, "accounts", "--clear", defaultLabel)
			must(t, err)
			if got := g.chat("hello", ""); got.status != http.StatusOK || g.requested(emulator.EndpointCompletions) != sent+1 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// TestAccountsStateOfThePast checks that a file which is not newer than what has just
// happened does not undo it.
func TestAccountsStateOfThePast(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	cred, now := qwen.Credential{Token: testToken}, time.Now()
	k := &keeper{source: accountSource{given: cred}, label: "a", supplied: cred, cred: cred, health: health{State: accountOK}, restored: true}
	must(t, k.save(zap.NewNop()))
	f, _, err := readStateFile(k.statePath())
	must(t, err)
	for name, happened := range map[string]time.Time{"at the same time": f.Updated, "since": f.Updated.Add(time.Second)} {
		k.saved = nil
		k.health = health{State: accountOK, FailedAt: happened, Quotas: map[string]time.Time{"m": now.Add(time.Hour)}}
		k.restore(zap.NewNop())
		if k.health.state(now) != accountQuota {
			t.Errorf("a limit that was met %s is forgotten: %+v", name, k.health)
		}
	}
}

// TestAccountsStateOfOthers checks that what another process has written is read
// before it would be overwritten, and counts if it is newer.
func TestAccountsStateOfOthers(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	cred := qwen.Credential{Token: testToken}
	begun := time.Now()
	resting := health{State: accountVerification, Until: begun.Add(time.Hour), LastError: "x", FailedAt: begun}
	server := &keeper{source: accountSource{given: cred}, label: "a", supplied: cred, cred: cred, health: resting, restored: true}
	must(t, server.save(zap.NewNop()))
	_, _, err := runTool(t, nil, "accounts", "--clear", "a")
	must(t, err)
	server.dirty(time.Now()) // of something else
	must(t, server.save(zap.NewNop()))
	f, _, err := readStateFile(server.statePath())
	must(t, err)
	if f.State != "" || server.health.State != "" {
		t.Errorf("the clearing is lost: %q in the file, %q in the server", f.State, server.health.State)
	}

	// It comes in between the last look and the writing.
	must(t, server.save(zap.NewNop()))
	old := server.saved
	mustKeep(t, "a", "", cred, health{State: accountOK, Checked: begun})
	if _, err := writeStateFile(server.statePath(), server.stateFile(), old); !errors.Is(err, errStateChanged) {
		t.Errorf("what another process has written is overwritten: %v", err)
	}
	server.health = health{State: accountExpired, Until: time.Now().Add(2 * time.Hour), FailedAt: time.Now().Add(time.Second)}
	must(t, server.save(zap.NewNop()))
	if f, _, err = readStateFile(server.statePath()); err != nil || f.State != accountExpired || server.health.State != accountExpired {
		t.Errorf("what has happened since is lost: %v, %q", err, f.State)
	}
}

// TestAccountsRenewedElsewhere checks that a token which another process has renewed
// is taken from the state file: its refresh token may not be good twice.
func TestAccountsRenewedElsewhere(t *testing.T) {
	b := mustToolbox(t, emulator.Options{RefreshTokens: []string{canaryRefresh}}, "")
	b.site.RotateRefreshTokens(true)
	cred := qwen.Credential{Cookies: "refresh_token=" + canaryRefresh}
	client := &qwen.Client{BaseURL: b.site.URL(), AuthURL: b.site.URL(), Transport: http.DefaultTransport}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	accounts := make([]*account, 2)
	for i := range accounts {
		k := &keeper{source: accountSource{baseURL: b.site.URL(), given: cred}, label: "a", supplied: cred, cred: cred, restored: true, wake: make(chan struct{}, 1)}
		accounts[i] = &account{keeper: k, label: "a", client: client, logger: zap.NewNop()}
	}
	for i, a := range accounts {
		renewed, ok := a.renewed(t.Context(), a, cred)
		if !ok || renewed.AccessToken() == "" {
			t.Fatalf("process %d has no token", i)
		}
		must(t, a.save(zap.NewNop()))
	}
	if n := b.site.Refreshes(); n != 1 || accounts[0].cred.AccessToken() != accounts[1].cred.AccessToken() {
		t.Errorf("%d renewals", n)
	}
}
