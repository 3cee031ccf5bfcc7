package caddyqwen

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// garble puts garbage in place of the state files, and starts Caddy anew: also with
// account files that it does not take.
func (v *vault) garble() {
	v.t.Helper()
	must(v.t, caddy.Stop())
	v.secrets["garbage in a state file"] = "canary-garbage"
	files, err := filepath.Glob(filepath.Join(accountsDir(), "*.json"))
	must(v.t, err)
	for i, path := range files {
		mustWriteFile(v.t, path, []string{`{"version":1,"state":"canary-garbage","last_error":"canary-garbage"}`, "canary-garbage", `{"version":"canary-garbage"}`}[i%3], 0o600)
	}
	v.restart(v.lines)
	v.restart(v.lines + "heartbeat 7s\n")
	v.secrets["account file at the start"] = "canary-bad-file"
	for _, bad := range []string{`{"token":"canary-bad-file`, `{"token":["canary-bad-file"]}`, `{"cookies":"a=canary-bad-file\nb=c"}`, `{"headers":{"bx-ua":"canary-bad-file"}}`, "canary-bad-file: x\n"} {
		path := filepath.Join(v.t.TempDir(), "bad.json")
		mustWriteFile(v.t, path, bad, 0o600)
		err := v.tryLoad("account bad {\nfile " + path + "\n}\napi_key {env.CANARY_KEY}\n")
		if err == nil {
			v.t.Errorf("%s is taken", bad)
			v.restart(v.lines)
		}
		v.shown["error of "+path] = fmt.Sprint(err)
	}
}

// pages looks at all that is shown over HTTP, the admin API included.
func (v *vault) pages() {
	v.t.Helper()
	for _, path := range []string{"/metrics", "/health", "/health?verbose", "/", "/docs", "/openapi.yaml", "/v1/models"} {
		r := v.do(http.MethodGet, path, "")
		if r.status != http.StatusOK || r.body == "" {
			v.t.Errorf("%s: status %d", path, r.status)
		}
		v.show(fmt.Sprintf("%s, look %d", path, len(v.shown)), r)
	}
	v.shown[fmt.Sprintf("/config/, look %d", len(v.shown))] = mustGetConfig(v.t, v.socket)
	saved, err := os.ReadFile(caddy.ConfigAutosavePath)
	must(v.t, err)
	if !strings.Contains(string(saved), "{env.CANARY_COOKIES}") {
		v.t.Errorf("this is not the configuration: %s", saved)
	}
	v.shown[fmt.Sprintf("autosave.json, look %d", len(v.shown))] = string(saved)
}

// commands looks at what the commands print, as processes beside the server.
func (v *vault) commands() {
	v.t.Helper()
	t := v.t
	b := &toolbox{t: t, site: v.site, data: os.Getenv("XDG_DATA_HOME"), config: filepath.Join(t.TempDir(), "Caddyfile")}
	b.configure(v.lines)
	output := filepath.Join(t.TempDir(), "imported.json")
	for want, args := range map[string][]string{
		"LABEL":            {"accounts"},
		`"accounts"`:       {"accounts", "--json"},
		"configuration":    {"doctor", "--chat", "--config", b.config},
		`"step"`:           {"doctor", "--json", "--config", b.config},
		"Written to":       {"import", v.path, "--output", output},
		`"format"`:         {"import", v.path, "--output", output, "--json"},
		"qwen3.7-plus":     {"models", "--config", b.config},
		"nothing was read": {"import", filepath.Join(t.TempDir(), "none")},
		"nothing usable":   {"import", caddy.ConfigAutosavePath},
	} {
		text, err := json.Marshal(args)
		must(t, err)
		cmd := b.process("accounts")
		cmd.Env = append(cmd.Env, toolEnv+"="+string(text))
		out, _ := cmd.CombinedOutput() // the doctor finds something
		if !strings.Contains(string(out), want) {
			t.Errorf("%q prints nothing of %q: %s", args, want, out)
		}
		v.shown[fmt.Sprintf("%q", args)] = string(out)
	}
}

// stateFiles looks at what is saved of each account: it may have the secrets of this
// one only, and must have those that are in use.
func (v *vault) stateFiles() {
	v.t.Helper()
	v.only(fromPaste) // commands will use it
	for _, label := range vaultAccounts {
		k := v.keeperOf(label)
		must(v.t, k.save(zap.NewNop()))
		k.mu.Lock()
		path := k.statePath()
		k.mu.Unlock()
		text, err := os.ReadFile(path)
		must(v.t, err)
		signature := k.credential().AccessToken()
		if signature = signature[strings.LastIndex(signature, ".")+1:]; !strings.Contains(string(text), signature) {
			v.t.Errorf("the token of %s is not in its own state file, so that this test proves nothing", label)
		}
		for what, secret := range v.secrets {
			if own := strings.HasSuffix(what, " of "+label) || strings.HasSuffix(what, " of the new account file") && label == fromPaste; !own && strings.Contains(string(text), secret) {
				v.t.Errorf("X20 the state file of %s has the %s", label, what)
			}
		}
	}
}

// used checks that each secret was really in use: the site has got it, or the log tells
// that it was looked at.
func (v *vault) used() {
	v.t.Helper()
	var sent strings.Builder
	for _, r := range slices.Concat(v.site.Requests(), v.site.AuthRequests()) {
		fmt.Fprintln(&sent, r.Header, string(r.Body))
	}
	told := map[string]string{
		"broken account file": "the account file cannot be read", "garbage in a state file": "what is known of the account cannot be read",
		"account file at the start": "handled request",
	}
	for what, secret := range v.secrets {
		if part := told[what]; part != "" {
			if !strings.Contains(v.logged(), part) {
				v.t.Errorf("nothing is told of the %s", what)
			}
		} else if got := strings.Contains(sent.String(), secret); got != (what != "API key") {
			v.t.Errorf("the site has got the %s: %t", what, got)
		}
	}
}

func TestSecretsOfAccounts(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		t.Run("X20 "+format, func(t *testing.T) {
			v := mustVault(t, format)
			v.live()
			v.pages()
			v.stateFiles()
			v.commands()
			v.garble()
			v.pages()
			v.used()
			v.shown["the log"] = v.logged()
			for _, where := range slices.Sorted(maps.Keys(v.shown)) {
				for what, secret := range v.secrets {
					if at := strings.Index(v.shown[where], secret); at >= 0 {
						t.Errorf("X20 the %s is in %s: %s", what, where, v.shown[where][max(0, at-200):at+len(secret)])
					}
				}
			}
			for _, part := range []string{"handled request", "request failed", "upstream_verification_required", "could not be renewed", "has been renewed"} {
				if !strings.Contains(v.logged(), part) {
					t.Errorf("%s is not in the log, so that this test proves nothing", part)
				}
			}
		})
	}
}
