package caddyqwen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

func TestNewCallersModes(t *testing.T) {
	keys := []*APIKey{{Keys: []string{aliceKey}}}
	tests := []struct {
		name     string
		auth     string
		keys     []*APIKey
		warnings []string // parts of the warnings, in order
		err      string   // a part of the error; empty: none
	}{
		{"default", "", keys, nil, ""},
		{"keys", "keys", keys, nil, ""},
		{"caddy", "caddy", nil, nil, ""},
		{"caddy with keys", "caddy", keys, []string{"not used"}, ""},
		{"A07 off", "off", nil, []string{"everybody"}, ""},
		{"A07 off with keys", "off", keys, []string{"everybody", "not used"}, ""},
		{"unknown", "none", nil, nil, "it must be keys, caddy or off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := newCallers(tt.auth, tt.keys, caddy.NewReplacer())
			checkError(t, err, tt.err)
			checkParts(t, warnings, tt.warnings)
		})
	}
}

func TestIdentifyCaddyUser(t *testing.T) {
	c, _, err := newCallers(authCaddy, nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		id   any // nil: there is none
		want string
	}{
		{"user", "alice", "alice"},
		{"with odd characters", "a\r\nlevel=error \x1b[31m", "a\uFFFD\uFFFDlevel=error \uFFFD[31m"},
		{"long", strings.Repeat("ü", 100), strings.Repeat("ü", 64) + "…"},
		{"invalid UTF-8", "a\xff", "a\uFFFD"},
		{"A01 empty", "", ""},
		{"A01 none", nil, ""},
	}
	tenants := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repl := caddy.NewReplacer()
			if tt.id != nil {
				repl.Set("http.auth.user.id", tt.id)
			}
			r := keyRequest("Authorization", "Basic eDp5", "X-Api-Key", aliceKey)
			r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
			got, err := c.identify(r)
			if tt.want == "" {
				checkUnauthorized(t, err, "invalid_api_key")
				return
			}
			if err != nil || got.name != tt.want {
				t.Errorf("caller %+v, %v; want %q", got, err, tt.want)
			}
			if want := "user:" + digestID("user", tt.id.(string)); got.tenant != want || tenants[want] {
				t.Errorf("tenant %q, want %q and none twice", got.tenant, want)
			}
			tenants[got.tenant] = true
		})
	}
}

func TestIdentifyCaddyUserOutsideOfCaddy(t *testing.T) {
	c, _, err := newCallers(authCaddy, nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.identify(keyRequest("X-Forwarded-User", "alice"))
	checkUnauthorized(t, err, "invalid_api_key")
}

func TestIdentifyOff(t *testing.T) {
	c, _, err := newCallers(authOff, nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	var first caller
	for _, header := range [][]string{nil, {"X-Api-Key", aliceKey}, {"Authorization", "Bearer \x01"}} {
		got, err := c.identify(keyRequest(header...))
		if err != nil || got.tenant == "" || got.name == "" {
			t.Errorf("%q: caller %+v, error %v", header, got, err)
		}
		if first == (caller{}) {
			first = got
		}
		if got != first {
			t.Errorf("caller %+v, want the same as before: %+v", got, first)
		}
	}
}

// mustGeneratedCallers returns callers without a configured key and the path of
// the generated one.
func mustGeneratedCallers(t *testing.T) (*callers, string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("VALID_TOKENS", "")
	c, warnings, err := newCallers("", nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "caddy", "qwen", "api_key")
	checkParts(t, warnings, []string{path})
	return c, path
}

func TestIdentifyGeneratedKey(t *testing.T) {
	c, path := mustGeneratedCallers(t)
	_, err := c.identify(keyRequest())
	if e := checkUnauthorized(t, err, "invalid_api_key"); !strings.Contains(e.Message, "caddy qwen key") {
		t.Errorf("A01 message %q does not say where the key is", e.Message)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(path))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was stored before anybody presented a key: %v", err)
	}
	_, err = c.identify(keyRequest("Authorization", "Bearer sk-qwen-guess"))
	if e := checkUnauthorized(t, err, "invalid_api_key"); !strings.Contains(e.Message, "caddy qwen key") {
		t.Errorf("A02 message %q does not say where the key is", e.Message)
	}

	first := mustLoadKey(t, path)
	if got, err := c.identify(keyRequest("Authorization", "Bearer "+first)); err != nil || got.name != "generated" || got.tenant != "generated" {
		t.Errorf("generated key: %+v, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = c.identify(keyRequest("X-Api-Key", first))
	checkUnauthorized(t, err, "invalid_api_key")
	if _, err := c.identify(keyRequest("X-Api-Key", mustLoadKey(t, path))); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

func TestIdentifyDamagedKeyFile(t *testing.T) {
	c, path := mustGeneratedCallers(t)
	mustWriteFile(t, path, "", 0o600)
	_, err := c.identify(keyRequest("Authorization", "Bearer "+aliceKey))
	if !errors.Is(err, errDamagedKey) {
		t.Fatalf("error %v, want %v", err, errDamagedKey)
	}
	if e := new(openai.Error); errors.As(err, &e) {
		t.Errorf("clients are told about the server's file: %v", e)
	}
	// Nor does the empty file make an empty key valid.
	_, err = c.identify(keyRequest("Authorization", "Bearer "))
	checkUnauthorized(t, err, "invalid_api_key")
}
