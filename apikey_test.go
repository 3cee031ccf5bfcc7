package caddyqwen

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestResolveKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	mustWriteFile(t, file, bobKey+"\n", 0o600)
	t.Setenv("QWEN_TEST_KEY", aliceKey)
	t.Setenv("QWEN_TEST_LIST", `["`+aliceKey+`", "`+bobKey+`"]`)
	t.Setenv("QWEN_TEST_EMPTY", "")
	t.Setenv("QWEN_TEST_COMMAS", " , ,")
	t.Setenv("QWEN_TEST_BAD_LIST", `["`+aliceKey+`"`)

	unnamed := func(keys ...string) []*APIKey { return []*APIKey{{Keys: keys}} }
	tests := []struct {
		name     string
		keys     []*APIKey
		owners   []string // names, in order; key-… for callers without
		warnings []string // a part of each
		err      string   // a part of the error; empty: none
	}{
		{"literal", unnamed(aliceKey), []string{"key-"}, nil, ""},
		{"from the environment", unnamed("{env.QWEN_TEST_KEY}"), []string{"key-"}, nil, ""},
		{"from a file", unnamed("{file." + file + "}"), []string{"key-"}, nil, ""},
		{"list in one variable", unnamed("{env.QWEN_TEST_LIST}"), []string{"key-", "key-"}, nil, ""},
		{"A20 list of one caller", []*APIKey{{Name: "team", Keys: []string{"{env.QWEN_TEST_LIST}"}}}, []string{"team", "team"}, nil, ""},
		{"several entries", []*APIKey{{Name: "a", Keys: []string{aliceKey}}, {Keys: []string{bobKey}}, {Keys: []string{loneKey}}}, []string{"a", "key-", "key-"}, nil, ""},
		{"part of a value", unnamed("sk-prefix-{env.QWEN_TEST_KEY}"), []string{"key-"}, nil, ""},
		{"escaped brace", unnamed(`sk-\{0123456789abcdef\}`), []string{"key-"}, nil, ""},
		{"short", unnamed("sk-fifteen-1234"), []string{"key-"}, []string{"fewer than 16"}, ""},
		{"longest", unnamed("sk-" + strings.Repeat("k", longestKey-3)), []string{"key-"}, nil, ""},

		{"A10 empty variable", unnamed("{env.QWEN_TEST_EMPTY}"), nil, nil, "api_key 1 ({env.QWEN_TEST_EMPTY}): a placeholder is unknown or has no value"},
		{"A10 only commas", unnamed("{env.QWEN_TEST_COMMAS}"), nil, nil, "api_key 1 ({env.QWEN_TEST_COMMAS}): it holds no key"},
		{"A10 missing file", unnamed("{file." + file + ".missing}"), nil, nil, "no value"},
		{"A10 second entry", []*APIKey{{Keys: []string{bobKey}}, {Name: "x", Keys: []string{aliceKey, "{env.QWEN_TEST_EMPTY}"}}}, nil, nil, "api_key x, value 2 ({env.QWEN_TEST_EMPTY}): "},
		{"A10 unset variable", unnamed("{env.QWEN_TEST_UNSET}"), nil, nil, "{env.QWEN_TEST_UNSET}"},
		{"unknown placeholder", unnamed("{evn.QWEN_TEST_KEY}"), nil, nil, "{evn.QWEN_TEST_KEY}): a placeholder is unknown"},
		{"literal with braces", unnamed("{" + aliceKey + "}"), nil, nil, `write \{ for {`},
		{"list that is none", unnamed("{env.QWEN_TEST_BAD_LIST}"), nil, nil, "must be a JSON list of strings"},
		{"empty literal", unnamed(""), nil, nil, "it holds no key"},
		{"empty list", unnamed("[]"), nil, nil, "it holds no key"},
		{"no value", []*APIKey{{Name: "a"}}, nil, nil, "api_key 1: it has no key"},
		{"null in JSON", []*APIKey{{Keys: []string{bobKey}}, nil}, nil, nil, "api_key 2: it has no key"},
		{"A08 example", unnamed("sk-your-token"), nil, nil, "example"},
		{"A08 example in a list", unnamed(bobKey + ",sk-token1"), nil, nil, "api_key 1, key 2 of 2: the key is an example"},
		{"A09 twice", []*APIKey{{Name: "a", Keys: []string{aliceKey}}, {Name: "b", Keys: []string{"{env.QWEN_TEST_KEY}"}}}, nil, nil, "api_key b ({env.QWEN_TEST_KEY}): the same key"},
		{"A09 twice in a list", unnamed(aliceKey + "," + aliceKey), nil, nil, "the same key"},
		{"A09 same name", []*APIKey{{Name: "a", Keys: []string{aliceKey}}, {Name: "a", Keys: []string{bobKey}}}, nil, nil, "api_key a: there is another caller of this name"},
		{"key in the place of the name", []*APIKey{{Name: aliceKey + "." + bobKey, Keys: []string{bobKey}}}, nil, nil, "the name must consist of"},
		{"too long", unnamed(strings.Repeat(aliceKey, 40)), nil, nil, "more than 505 characters"},
		{"space", unnamed(aliceKey + " " + bobKey), nil, nil, "a character that no key can have"},
		{"quoted", unnamed(`"` + aliceKey + `"`), nil, nil, "quotation mark"},
		{"quoted list", unnamed(`'["` + aliceKey + `"]'`), nil, nil, "quotation mark"},
		{"other letters", unnamed(aliceKey + "ü"), nil, nil, "outside of ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := resolveKeys(tt.keys, caddy.NewReplacer())
			checkError(t, err, tt.err)
			if err != nil {
				return
			}
			checkParts(t, set.warnings, tt.warnings)
			checkOwners(t, set, tt.owners)
		})
	}
}

// checkOwners compares the names of the callers that a set's keys belong to.
func checkOwners(t *testing.T, set *keySet, want []string) {
	t.Helper()
	var got []string
	for _, owner := range set.owners {
		name := owner.name
		if strings.HasPrefix(name, "key-") {
			name = "key-"
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) || len(set.digests) != len(got) {
		t.Errorf("%d keys of %q, want %q", len(set.digests), got, want)
	}
}

func TestResolveDefaultKeys(t *testing.T) {
	tests := []struct {
		name   string
		tokens string // VALID_TOKENS
		keys   int
		err    string
	}{
		{"unset", "", 0, ""},
		{"only space", "  ", 0, ""},
		{"empty list", "[]", 0, ""},
		{"list of nothing", `["", null]`, 0, ""},
		{"one", bobKey, 1, ""},
		{"JSON list", `["` + bobKey + `","` + aliceKey + `"]`, 2, ""},
		{"commas", bobKey + ", " + aliceKey + ",", 2, ""},
		{"A08 the example of the Python original", `["sk-token1", "sk-token2"]`, 0, "{env.VALID_TOKENS}, key 1 of 2: the key is an example"},
		{"A09 twice", bobKey + "," + bobKey, 0, "{env.VALID_TOKENS}, key 2 of 2: the same key"},
		{"damaged list", `["` + bobKey, 0, "{env.VALID_TOKENS}: a value that starts with ["},
		{"list of numbers", `[1, 2]`, 0, "JSON list of strings"},
		{"list and more", `["` + bobKey + `"] x`, 0, "JSON list of strings"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("VALID_TOKENS", tt.tokens)
			set, err := resolveKeys(nil, caddy.NewReplacer())
			checkError(t, err, tt.err)
			if err == nil && len(set.digests) != tt.keys {
				t.Errorf("%d keys, want %d", len(set.digests), tt.keys)
			}
		})
	}
}

// TestResolveKeysOfTheSameCaller checks that each key without a name is a caller
// of its own and that the environment is as good as a literal.
func TestResolveKeysOfTheSameCaller(t *testing.T) {
	t.Setenv("VALID_TOKENS", aliceKey+","+bobKey)
	fromEnv, err := resolveKeys(nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	written, err := resolveKeys([]*APIKey{{Keys: []string{aliceKey}}, {Keys: []string{bobKey}}}, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fromEnv.owners, written.owners) {
		t.Errorf("owners %+v from the environment, %+v as written", fromEnv.owners, written.owners)
	}
	if fromEnv.owners[0].tenant == fromEnv.owners[1].tenant {
		t.Error("two keys without a name share a tenant")
	}
}

func TestIsExampleKey(t *testing.T) {
	examples := []string{
		"sk-token1", "sk-token2", "sk-token", "sk-your-token", "your-token", "YOUR_TOKEN", "<your-token>",
		"sk-your-api-key", "your_api_key_here", "changeme", "ChangeMe", "change_me", "secret", "password123",
		"sk-xxxxxxxx", "sk-XXXX-xxxx", "sk-...", "sk-", "sk-****", "my_secret_key",
	}
	for _, key := range examples {
		if !isExampleKey(key) {
			t.Errorf("A08 %q passes as a real key", key)
		}
	}
	for _, key := range []string{aliceKey, bobKey, newGeneratedKey(), "correct-horse-battery", "sk-1234567890", "sk-x1", "tokens"} {
		if isExampleKey(key) {
			t.Errorf("%d characters of a real key pass as an example", len(key))
		}
	}
}

func TestIsName(t *testing.T) {
	for _, s := range []string{"a", "Cherry-Studio_2", "-", strings.Repeat("x", maxName)} {
		if !isName(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"", " ", "a b", "a.b", "ü", "a\n", "{env.X}", "sk/1", strings.Repeat("x", maxName+1)} {
		if isName(s) {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestLiteralSecretWarnings(t *testing.T) {
	tests := []struct {
		name string
		h    Handler
		want []string
	}{
		{"nothing configured", Handler{}, nil},
		{"placeholders", Handler{
			Accounts: []*Account{{Cookies: "{env.QWEN_COOKIES}", Token: "{file./run/secrets/token}"}},
			APIKeys:  []*APIKey{{Keys: []string{"{env.A}", "{vault.kv.key}"}}},
		}, nil},
		{"X19 cookies", Handler{Accounts: []*Account{{Cookies: "token=" + aliceKey}}}, []string{"account 1: the cookie header is part"}},
		{"X19 token", Handler{Accounts: []*Account{{Cookies: "{env.A}", Token: aliceKey}}}, []string{"account 1: the token is part"}},
		{"X19 keys", Handler{APIKeys: []*APIKey{{Name: "a", Keys: []string{aliceKey}}, {Keys: []string{"{env.A}", bobKey}}}}, []string{"api_key a: a key is part", "api_key 2: a key is part"}},
		{"braces are no placeholder", Handler{APIKeys: []*APIKey{{Keys: []string{"{" + aliceKey + "}"}}}}, []string{"{env.NAME}"}},
		{"null in JSON", Handler{Accounts: []*Account{nil}, APIKeys: []*APIKey{nil}}, nil},
		{"key in the place of the name", Handler{APIKeys: []*APIKey{{Name: aliceKey + "!", Keys: []string{"{env.A}"}}}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkParts(t, literalSecretWarnings(&tt.h), tt.want)
		})
	}
}

// FuzzSplitKeys checks that no part of a list gets lost or stays untrimmed and
// that an accepted key can be sent in a header.
func FuzzSplitKeys(f *testing.F) {
	for _, seed := range []string{"", "a", "a, b", `["a","b"]`, `[]`, `["a"`, `[null]`, `{"a":1}`, " [\"\\u0000\"] ", "[1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		keys, err := splitKeys(value)
		if err != nil {
			if keys != nil || !strings.HasPrefix(strings.TrimSpace(value), "[") {
				t.Errorf("splitKeys(%q) = %q, %v", value, keys, err)
			}
			return
		}
		for _, key := range keys {
			if key == "" || key != strings.TrimSpace(key) {
				t.Errorf("splitKeys(%q) has the key %q", value, key)
			}
			if checkKey(key) == nil && presentsOther(key) {
				t.Errorf("the key %q is accepted but cannot be sent", key)
			}
		}
		if encoded, err := json.Marshal(keys); err == nil && len(keys) > 0 {
			if again, err := splitKeys(string(encoded)); err != nil || len(again) != len(keys) {
				t.Errorf("as a JSON list, %q becomes %q, %v", keys, again, err)
			}
		}
	})
}

// presentsOther reports whether a header with a key presents something else.
func presentsOther(key string) bool {
	got, ok := presentedKeys(keyRequest("Authorization", "Bearer "+key, "X-Api-Key", key).Header)
	return !ok || got != presented{key, key}
}
