package caddyqwen

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

const (
	// defaultKeys is where the keys come from if none are configured.
	defaultKeys = "{env.VALID_TOKENS}"

	// shortKey is the length, in bytes, below which a key is likely to be one
	// that somebody made up.
	shortKey = 16

	// longestKey is the length, in bytes, of the longest key that fits into
	// `Authorization: Bearer <key>`.
	longestKey = maxKeyHeader - len("Bearer ")

	// maxName is the length, in bytes, of the longest name of a caller or an
	// account.
	maxName = 32
)

// placeholderPattern finds the placeholders of Caddy that can hold a secret.
var placeholderPattern = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_-]*\.[^{}]+\}`)

// keySet collects the configured keys. Its errors and warnings say where a key
// is configured and never what it is.
type keySet struct {
	digests  [][sha256.Size]byte
	owners   []caller
	warnings []string
}

func (s *keySet) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// resolveKeys fills in the placeholders of the configured keys. Without any, the
// set may be empty.
func resolveKeys(keys []*APIKey, repl *caddy.Replacer) (*keySet, error) {
	s := new(keySet)
	if len(keys) == 0 {
		list, err := splitKeys(fromEnvironment(repl, defaultKeys))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", defaultKeys, err)
		}
		return s, s.addAll(defaultKeys, "", list)
	}
	names := make(map[string]bool)
	for i, k := range keys {
		where, err := describeKey(i, k)
		if err != nil {
			return nil, err
		}
		if k.Name != "" && names[k.Name] {
			return nil, fmt.Errorf("%s: there is another caller of this name; write all keys of one caller into one entry", where)
		}
		names[k.Name] = true
		if err := s.addEntry(where, k, repl); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// describeKey says which entry of the configuration k is.
func describeKey(i int, k *APIKey) (string, error) {
	where := fmt.Sprintf("api_key %d", i+1)
	if k == nil || len(k.Keys) == 0 {
		return "", fmt.Errorf("%s: it has no key", where)
	}
	if k.Name == "" {
		return where, nil
	}
	if !isName(k.Name) {
		// A key may have slipped into the place of the name, so it isn't shown.
		return "", fmt.Errorf("%s: the name must consist of 1 to %d letters, digits, - and _", where, maxName)
	}
	return fmt.Sprintf("api_key %s", k.Name), nil
}

// addEntry adds the keys of one entry of the configuration.
func (s *keySet) addEntry(where string, k *APIKey, repl *caddy.Replacer) error {
	for i, value := range k.Keys {
		where := where
		if len(k.Keys) > 1 {
			where = fmt.Sprintf("%s, value %d", where, i+1)
		}
		if p := placeholderPattern.FindAllString(value, -1); p != nil {
			where += " (" + strings.Join(p, ", ") + ")"
		}
		resolved, err := repl.ReplaceOrErr(value, true, true)
		if err != nil {
			return fmt.Errorf("%s: a placeholder is unknown or has no value; in a key itself, write \\{ for {", where)
		}
		list, err := splitKeys(resolved)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		if len(list) == 0 {
			return fmt.Errorf("%s: it holds no key", where)
		}
		if err := s.addAll(where, k.Name, list); err != nil {
			return err
		}
	}
	return nil
}

// addAll adds keys of the caller with that name, or, if it is empty, of a caller
// each.
func (s *keySet) addAll(where, name string, keys []string) error {
	for i, key := range keys {
		where := where
		if len(keys) > 1 {
			where = fmt.Sprintf("%s, key %d of %d", where, i+1, len(keys))
		}
		if err := checkKey(key); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		if len(key) < shortKey {
			s.warn("%s: the key has fewer than %d characters and may be guessed; `openssl rand -hex 24` makes a good one", where, shortKey)
		}
		if findKey(s.digests, key) >= 0 {
			return fmt.Errorf("%s: the same key is configured twice", where)
		}
		s.digests = append(s.digests, sha256.Sum256([]byte(key)))
		s.owners = append(s.owners, keyOwner(name, key))
	}
	return nil
}

// keyOwner returns the caller that a key belongs to. Callers with a name keep
// their identity when the key is replaced.
func keyOwner(name, key string) caller {
	if name != "" {
		return caller{tenant: "name:" + name, name: name}
	}
	id := digestID("key", key)
	return caller{tenant: "key:" + id, name: "key-" + id[:8]}
}

// splitKeys returns the keys in a value: a JSON list of strings, a list that is
// separated by commas, or one key.
func splitKeys(value string) ([]string, error) {
	value = strings.TrimSpace(value)
	list := strings.Split(value, ",")
	if strings.HasPrefix(value, "[") {
		list = nil
		if err := json.Unmarshal([]byte(value), &list); err != nil {
			return nil, errors.New(`a value that starts with [ must be a JSON list of strings, such as ["key1","key2"]`)
		}
	}
	keys := list[:0]
	for _, key := range list {
		if key = strings.TrimSpace(key); key != "" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// checkKey reports what makes a key unusable.
func checkKey(key string) error {
	if len(key) > longestKey {
		return fmt.Errorf("the key has more than %d characters", longestKey)
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\'' {
			return errors.New("the key has a character that no key can have: a quotation mark, a space, a control character or one outside of ASCII")
		}
	}
	if isExampleKey(key) {
		return errors.New("the key is an example from documentation, which everybody knows; `openssl rand -hex 24` makes a good one")
	}
	return nil
}

// isExampleKey reports whether documentation uses such keys as a stand-in for a
// real one.
func isExampleKey(key string) bool {
	s := strings.ReplaceAll(strings.ToLower(strings.Trim(key, "<>[]{}")), "_", "-")
	s = strings.TrimPrefix(s, "sk-")
	if strings.Trim(s, "x*.-") == "" {
		return true
	}
	switch strings.TrimRight(s, "0123456789") {
	case "token", "key", "api-key", "apikey", "secret", "password",
		"your-token", "your-token-here", "your-key", "your-key-here",
		"your-api-key", "your-api-key-here", "your-secret", "your-secret-key",
		"my-token", "my-key", "my-api-key", "my-secret-key",
		"valid-token", "changeme", "change-me", "replace-me", "placeholder":
		return true
	}
	return false
}

// isName reports whether s can name a caller or an account.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// literalSecretWarnings says which secrets are written into h itself. There they
// can be read through Caddy's admin API and in its saved configuration.
func literalSecretWarnings(h *Handler) []string {
	var warnings []string
	warn := func(what, value string) {
		if value != "" && !placeholderPattern.MatchString(value) {
			warnings = append(warnings, what+" is part of the configuration, so Caddy's admin API and autosave.json show it; write {env.NAME} or {file./path} instead ({$NAME} does not help)")
		}
	}
	for i, a := range h.Accounts {
		if a != nil {
			where := fmt.Sprintf("account %d: the ", i+1)
			warn(where+"cookie header", a.Cookies)
			warn(where+"token", a.Token)
		}
	}
	for i, k := range h.APIKeys {
		if where, err := describeKey(i, k); err == nil {
			for _, value := range k.Keys {
				warn(where+": a key", value)
			}
		}
	}
	return warnings
}
