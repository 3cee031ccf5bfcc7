package caddyqwen

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// Keys for tests. None of them may ever appear in an error or a log.
const (
	aliceKey    = "sk-alice-4f1d9c1bb2e8"
	aliceNewKey = "sk-alice-new-77aa01d3c9"
	bobKey      = "sk-bob-0a93be7715d2c4"
	loneKey     = "sk-nobody-5512aa90ce1"
)

// mustCallers returns callers for the keys of Alice (two), Bob and a nameless
// one.
func mustCallers(t testing.TB) *callers {
	t.Helper()
	c, warnings, err := newCallers(authKeys, []*APIKey{
		{Name: "alice", Keys: []string{aliceKey, aliceNewKey}},
		{Name: "bob", Keys: []string{bobKey}},
		{Keys: []string{loneKey}},
	}, caddy.NewReplacer())
	if err != nil || len(warnings) > 0 {
		t.Fatalf("newCallers: %v, warnings %q", err, warnings)
	}
	return c
}

// keyRequest returns a request with header fields given as name, value, ….
func keyRequest(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions?key="+aliceKey, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// checkUnauthorized fails the test if err is not the 401 with that code.
func checkUnauthorized(t *testing.T, err error, code string) *openai.Error {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *openai.Error", err, err)
	}
	if e.Status != http.StatusUnauthorized || e.Code != code || e.Type != openai.TypeInvalidRequest || e.Param != "" {
		t.Errorf("error %+v, want status 401 and code %s", e, code)
	}
	if e.Message == "" {
		t.Error("the error has no message")
	}
	return e
}

func TestIdentify(t *testing.T) {
	const authorization = "Authorization"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+aliceKey))
	tests := []struct {
		name   string
		header []string
		want   string // name of the caller, or code of the error
	}{
		{"bearer", []string{authorization, "Bearer " + aliceKey}, "alice"},
		{"A20 second key of the same caller", []string{authorization, "Bearer " + aliceNewKey}, "alice"},
		{"other caller", []string{authorization, "Bearer " + bobKey}, "bob"},
		{"A03 scheme in lower case", []string{authorization, "bearer " + aliceKey}, "alice"},
		{"AU-04 scheme in upper case", []string{authorization, "BEARER " + aliceKey}, "alice"},
		{"two spaces", []string{authorization, "Bearer  " + aliceKey}, "alice"},
		{"AU-05 x-api-key", []string{"x-api-key", bobKey}, "bob"},
		{"AU-05 api-key", []string{"api-key", bobKey}, "bob"},
		{"MO-05 the same key in all headers", []string{authorization, "Bearer " + bobKey, "X-Api-Key", bobKey, "Api-Key", bobKey}, "bob"},
		{"only the bearer is valid", []string{authorization, "Bearer " + bobKey, "X-Api-Key", "sk-other"}, "bob"},
		{"only x-api-key is valid", []string{authorization, "Bearer sk-other", "X-Api-Key", bobKey}, "bob"},
		{"only api-key is valid", []string{authorization, "Bearer sk-other", "X-Api-Key", "sk-another", "Api-Key", bobKey}, "bob"},
		{"two keys of one caller", []string{authorization, "Bearer " + aliceKey, "X-Api-Key", aliceNewKey}, "alice"},
		{"Basic for somebody else, x-api-key for us", []string{authorization, basic, "X-Api-Key", aliceKey}, "alice"},
		{"A12 other names are ignored", []string{authorization, "Bearer " + aliceKey, "X-Forwarded-User", "bob", "X-User-Id", "bob", "OpenAI-Organization", "bob"}, "alice"},

		{"A01 nothing", nil, "invalid_api_key"},
		{"A01 J26 only in the query", []string{"Accept", "*/*"}, "invalid_api_key"},
		{"A01 empty", []string{authorization, ""}, "invalid_api_key"},
		{"AU-03 scheme without key", []string{authorization, "Bearer"}, "invalid_api_key"},
		{"A01 scheme and space", []string{authorization, "Bearer "}, "invalid_api_key"},
		{"A01 empty x-api-key", []string{"X-Api-Key", ""}, "invalid_api_key"},

		{"A02 wrong", []string{authorization, "Bearer sk-wrong-1b2c3d4e5f"}, "invalid_api_key"},
		{"A02 wrong x-api-key", []string{"X-Api-Key", "sk-wrong-1b2c3d4e5f"}, "invalid_api_key"},
		{"A04 last byte differs", []string{authorization, "Bearer " + aliceKey[:len(aliceKey)-1] + "9"}, "invalid_api_key"},
		{"A04 first byte differs", []string{authorization, "Bearer t" + aliceKey[1:]}, "invalid_api_key"},
		{"AU-03 prefix", []string{authorization, "Bearer " + aliceKey[:10]}, "invalid_api_key"},
		{"AU-03 other case", []string{authorization, "Bearer " + strings.ToUpper(aliceKey)}, "invalid_api_key"},
		{"AU-03 suffix", []string{authorization, "Bearer " + aliceKey + " x"}, "invalid_api_key"},
		{"A03 Basic", []string{authorization, basic}, "invalid_api_key"},
		{"A03 Basic with the key itself", []string{authorization, "Basic " + aliceKey}, "invalid_api_key"},
		{"A03 no scheme", []string{authorization, aliceKey}, "invalid_api_key"},
		{"A03 two Authorization headers", []string{authorization, "Bearer " + aliceKey, authorization, "Bearer " + aliceKey}, "invalid_api_key"},
		{"A03 two, and x-api-key", []string{authorization, "Bearer x", authorization, "Basic y", "X-Api-Key", aliceKey}, "invalid_api_key"},
		{"A03 two x-api-key headers", []string{"X-Api-Key", aliceKey, "x-api-key", aliceKey}, "invalid_api_key"},
		{"A03 control byte", []string{authorization, "Bearer\t" + aliceKey}, "invalid_api_key"},
		{"A03 control byte at the end", []string{authorization, "Bearer " + aliceKey + "\x7f"}, "invalid_api_key"},
		{"A03 NUL", []string{"X-Api-Key", aliceKey + "\x00"}, "invalid_api_key"},
		{"A03 too long", []string{authorization, "Bearer " + strings.Repeat(" ", maxKeyHeader) + aliceKey}, "invalid_api_key"},
		{"A03 malformed, and a valid x-api-key", []string{authorization, "Bearer a\x01", "X-Api-Key", aliceKey}, "invalid_api_key"},
		{"A05 SQL", []string{authorization, "Bearer ' OR '1'='1"}, "invalid_api_key"},
		{"two different callers", []string{authorization, "Bearer " + aliceKey, "X-Api-Key", bobKey}, "invalid_api_key"},
		{"named and nameless caller", []string{"X-Api-Key", loneKey, "Api-Key", bobKey}, "invalid_api_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustCallers(t).identify(keyRequest(tt.header...))
			if err != nil {
				e := checkUnauthorized(t, err, tt.want)
				if got != (caller{}) {
					t.Errorf("caller %+v with an error", got)
				}
				if strings.Contains(e.Error(), "sk-") {
					t.Errorf("message %q shows a key", e.Message)
				}
			} else if got.name != tt.want {
				t.Errorf("caller %+v, want %s", got, tt.want)
			}
		})
	}
}

// TestIdentifySameAnswerForEveryWrongKey checks that A02 holds to the letter.
func TestIdentifySameAnswerForEveryWrongKey(t *testing.T) {
	c := mustCallers(t)
	var first string
	for _, value := range []string{"Bearer x", "Bearer " + aliceKey[:20], "Basic x", "Bearer \x01", "Bearer " + strings.Repeat("x", 600)} {
		_, err := c.identify(keyRequest("Authorization", value))
		body := string(checkUnauthorized(t, err, "invalid_api_key").AppendJSON(nil))
		if first == "" {
			first = body
		}
		if body != first {
			t.Errorf("A02 %.20q is answered with\n%s\nanother wrong key with\n%s", value, body, first)
		}
	}
}

func TestTenants(t *testing.T) {
	c := mustCallers(t)
	tenant := func(key string) string {
		t.Helper()
		got, err := c.identify(keyRequest("Authorization", "Bearer "+key))
		if err != nil {
			t.Fatal(err)
		}
		return got.tenant
	}
	if got, want := tenant(aliceKey), "name:alice"; got != want {
		t.Errorf("tenant %q, want %q", got, want)
	}
	if tenant(aliceKey) != tenant(aliceNewKey) {
		t.Error("A20 two keys of one caller belong to different tenants")
	}
	// Conversations are stored under it, so it must not change with a release.
	if got, want := tenant(loneKey), "key:"+digestID("key", loneKey); got != want || len(got) != len("key:")+32 {
		t.Errorf("tenant %q, want %q", got, want)
	}
	if got, want := digestID("key", "sk-1"), "77ccf74a02f5a7b9fc8e511bb2f5a545"; got != want {
		t.Errorf("digest %q, want %q", got, want)
	}
	if digestID("key", "x") == digestID("user", "x") {
		t.Error("a key and a user of the same text have the same digest")
	}
}

// checkError fails the test if err does not contain a text or, if that is empty,
// is not nil. No error may contain one of the keys for tests.
func checkError(t *testing.T, err error, part string) {
	t.Helper()
	switch {
	case part == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		t.Errorf("error %v, want one with %q", err, part)
	case err != nil:
		checkNoKey(t, err.Error())
	}
}

// checkParts fails the test if the texts do not contain the parts, one each.
func checkParts(t *testing.T, texts, parts []string) {
	t.Helper()
	if len(texts) != len(parts) {
		t.Fatalf("%d texts %q, want %d", len(texts), texts, len(parts))
	}
	for i := range texts {
		if !strings.Contains(texts[i], parts[i]) {
			t.Errorf("text %q does not contain %q", texts[i], parts[i])
		}
		checkNoKey(t, texts[i])
	}
}

// checkNoKey fails the test if text shows one of the keys for tests.
func checkNoKey(t *testing.T, text string) {
	t.Helper()
	for _, key := range []string{aliceKey, aliceNewKey, bobKey, loneKey} {
		if strings.Contains(text, key) {
			t.Errorf("%q shows a key", text)
		}
	}
}

// FuzzIdentify checks that no header lets a stranger in.
func FuzzIdentify(f *testing.F) {
	c := mustCallers(f)
	f.Add("Bearer "+aliceKey, bobKey, "")
	f.Add("bearer x", "", aliceNewKey)
	f.Add("Basic x", "\x00", strings.Repeat("x", 600))
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, authorization, xAPIKey, apiKey string) {
		got, err := c.identify(keyRequest("Authorization", authorization, "X-Api-Key", xAPIKey, "Api-Key", apiKey))
		if err != nil {
			var e *openai.Error
			if got != (caller{}) || !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
				t.Errorf("caller %+v with error %v", got, err)
			}
			return
		}
		_, bearer, _ := strings.Cut(authorization, " ")
		valid := map[string]string{aliceKey: "alice", aliceNewKey: "alice", bobKey: "bob"}
		for _, key := range []string{strings.Trim(bearer, " "), xAPIKey, apiKey} {
			if valid[key] == got.name || key == loneKey {
				return
			}
		}
		t.Errorf("a stranger passes as %+v", got)
	})
}

func BenchmarkIdentify(b *testing.B) {
	c := mustCallers(b)
	r := keyRequest("Authorization", "Bearer "+bobKey)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.identify(r); err != nil {
			b.Fatal(err)
		}
	}
}
