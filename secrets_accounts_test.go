package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// vault is a gateway with an account for each way to supply one, all secrets of
// which are known, and everything that a person may get to see of it.
type vault struct {
	*gateway
	t       *testing.T
	format  string // of the log
	socket  string // of the admin API
	path    string // of the account file
	lines   string // of the qwen block
	secrets map[string]string
	shown   map[string]string // by where it was
}

// The accounts of a vault: from an account file, from the environment, and from a
// file that a placeholder names.
const (
	fromPaste = "pasted"
	fromEnv   = "environment"
	fromFile  = "mounted"
)

var vaultAccounts = []string{fromPaste, fromEnv, fromFile}

// The parts of the accounts that are not tokens.
func cookieOf(label string) string  { return "canary-cookie-of-" + label }
func headerOf(label string) string  { return "canary-bx-ua-of-" + label }
func refreshOf(label string) string { return "canary-refresh-of-" + label }

// credentialOf returns what a browser has of an account.
func (v *vault) credentialOf(label string, life time.Duration) qwen.Credential {
	token := v.site.IssueTokenFor(label, life)
	v.keepSecret("first token of "+label, token)
	for what, secret := range map[string]string{"cookie": cookieOf(label), "header": headerOf(label), "refresh token": refreshOf(label)} {
		v.keepSecret(what+" of "+label, secret)
	}
	cookies := "ssxmod=" + cookieOf(label) + "; token=" + token
	if label != fromFile {
		cookies += "; refresh_token=" + refreshOf(label)
	} else {
		delete(v.secrets, "refresh token of "+label)
	}
	return qwen.Credential{Cookies: cookies, Header: http.Header{"Bx-Ua": {headerOf(label)}}}
}

// keepSecret has a text looked for later. Of a token, it is the signature.
func (v *vault) keepSecret(what, secret string) {
	v.secrets[what] = secret[strings.LastIndex(secret, ".")+1:]
}

// mustVault starts a vault whose log is in a format.
func mustVault(t *testing.T, format string) *vault {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("NO_PROXY", "*")
	// Caddy has asked for the environment before this test could change it.
	autosave := caddy.ConfigAutosavePath
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	t.Cleanup(func() { caddy.ConfigAutosavePath = autosave })
	g := mustGateway(t, setup{options: emulator.Options{Tokens: []string{"none"}, RefreshTokens: []string{refreshOf(fromPaste), refreshOf(fromEnv)}}})
	t.Cleanup(func() { must(t, caddy.Load([]byte(`{"admin":{"disabled":true}}`), true)) }) // which ends the admin API
	v := &vault{gateway: g, t: t, format: format, socket: filepath.Join(mustShortDir(t), "admin"), path: filepath.Join(dir, "account.json"),
		secrets: map[string]string{"API key": testKey, "prompt": secretPrompt}, shown: make(map[string]string)}
	g.site.RotateRefreshTokens(true)
	mustWriteAccount(t, v.path, v.credentialOf(fromPaste, 15*time.Minute))
	env := v.credentialOf(fromEnv, 0) // it has ended, and is renewed at once
	t.Setenv("CANARY_COOKIES", env.Cookies)
	t.Setenv("CANARY_HEADER", headerOf(fromEnv))
	t.Setenv("CANARY_KEY", testKey)
	mounted := v.credentialOf(fromFile, time.Hour)
	mustWriteFile(t, filepath.Join(dir, "cookies"), mounted.Cookies, 0o600)
	mustWriteFile(t, filepath.Join(dir, "header"), headerOf(fromFile), 0o600)
	v.lines = fmt.Sprintf("auth_base_url %s\naccount %s {\nfile %s\n}\naccount %s {\ncookies {env.CANARY_COOKIES}\nheader bx-ua {env.CANARY_HEADER}\n}\n"+
		"account %s {\ncookies {file.%s}\nheader bx-ua {file.%s}\n}\napi_key {env.CANARY_KEY}\n",
		g.site.URL(), fromPaste, v.path, fromEnv, fromFile, filepath.Join(dir, "cookies"), filepath.Join(dir, "header"))
	testLog.Load().Reset()
	v.restart(v.lines)
	return v
}

// restart gives Caddy a configuration, with the admin API and everything saved.
func (v *vault) restart(lines string) {
	v.t.Helper()
	must(v.t, v.tryLoad(lines))
	v.url = mustAddress(v.t)
	v.checked()
}

func (v *vault) tryLoad(lines string) error {
	config := logEncoder(v.t, v.adapt(setup{bare: true, qwen: lines, site: metricsSite}), v.format)
	var root map[string]any
	must(v.t, json.Unmarshal(config, &root))
	root["admin"] = map[string]string{"listen": "unix/" + v.socket}
	config, err := json.Marshal(root)
	must(v.t, err)
	return caddy.Load(config, true)
}

// only has nothing known against one account, and the others expired.
func (v *vault) only(label string) {
	for _, other := range vaultAccounts {
		v.setHealth(other, func(k *keeper) {
			now := time.Now() // newer than what is saved
			if k.health = (health{State: accountOK, Checked: now}); other != label {
				k.health = health{State: accountExpired, Until: now.Add(time.Hour), FailedAt: now}
			}
		})
	}
}

// asks sends the prompt with one account, and checks what comes of it: a code, or
// none if all is well.
func (v *vault) asks(label, code string) {
	v.t.Helper()
	v.slotsFree()
	v.checked() // what others have begun changes nothing any more
	v.only(label)
	r := v.chat(secretPrompt, "")
	shown := r
	if code == "" {
		shown.body = strings.ReplaceAll(r.body, secretPrompt, "") // the site repeats what it is told
	}
	v.show(fmt.Sprintf("answer %d", len(v.shown)), shown)
	if r.code() != code || (code == "") != (r.status == http.StatusOK) {
		v.t.Errorf("%s: status %d: %s, want %q", label, r.status, r.body, code)
	}
}

// show has an answer looked at later.
func (v *vault) show(where string, r reply) { v.shown[where] = fmt.Sprint(r.header, r.body) }

// renews has the site refuse the token of an account, which gets a new one.
func (v *vault) renews(label string) {
	v.t.Helper()
	v.revoke(label)
	before := v.site.Refreshes()
	v.asks(label, "")
	if v.site.Refreshes() != before+1 {
		v.t.Errorf("%s: %d renewals", label, v.site.Refreshes()-before)
	}
	v.keepTokens(label)
}

// keepTokens has the present tokens of an account looked for.
func (v *vault) keepTokens(label string) (refresh string) {
	cred := v.keeperOf(label).credential()
	v.keepSecret(fmt.Sprintf("token %d of %s", len(v.secrets), label), cred.AccessToken())
	for part := range strings.SplitSeq(cred.Cookies, "; ") {
		if value, ok := strings.CutPrefix(part, "refresh_token="); ok {
			v.keepSecret(fmt.Sprintf("refresh token %d of %s", len(v.secrets), label), value)
			refresh = value
		}
	}
	return refresh
}

// live goes through all that happens to accounts.
func (v *vault) live() {
	v.t.Helper()
	v.keepTokens(fromEnv) // renewed at the start
	for _, label := range vaultAccounts {
		v.asks(label, "")
		for _, refusal := range []emulator.Reply{emulator.ChallengeJSON(), emulator.ChallengeHTML(405), emulator.ChallengeHTML(200)} {
			v.site.Fail(emulator.EndpointNewChat, refusal)
			v.asks(label, "upstream_verification_required")
		}
		v.site.Reply(emulator.RateLimited(4))
		v.asks(label, "upstream_quota_exceeded")
	}
	v.renews(fromPaste)
	v.renews(fromEnv)

	v.site.Refuse(emulator.LoginPage(), emulator.EndpointRefresh)
	v.revoke(fromPaste)
	v.asks(fromPaste, "upstream_credential_expired")
	v.site.Accept(emulator.EndpointRefresh)
	v.secrets["broken account file"] = "canary-broken-file"
	mustWriteFile(v.t, v.path, `{"cookies":"canary-broken-file`, 0o600)
	v.asks(fromPaste, "upstream_credential_expired")
	token := v.site.IssueTokenFor(fromPaste, time.Hour)
	v.keepSecret("token of the new account file", token)
	v.secrets["cookie of the new account file"] = "canary-new-cookie"
	mustWriteAccount(v.t, v.path, qwen.Credential{Cookies: "ssxmod=canary-new-cookie; token=" + token, Header: http.Header{"Bx-Ua": {headerOf(fromPaste)}}})
	v.asks(fromPaste, "")

	v.site.RevokeRefresh(v.keepTokens(fromEnv))
	v.revoke(fromEnv)
	v.asks(fromEnv, "upstream_credential_expired")
	v.revoke(fromFile)
	v.asks(fromFile, "upstream_credential_expired")
	v.show("answer without the key", v.do(http.MethodPost, chatPath, chatBody(secretPrompt, ""), "Authorization", "Bearer x"+testKey))
}
