package caddyqwen

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// The values of [Handler.Auth].
const (
	authKeys  = "keys"
	authCaddy = "caddy"
	authOff   = "off"
)

// maxKeyHeader is the longest value, in bytes, of a header that presents a key.
const maxKeyHeader = 512

// keyHeaders are the headers, besides Authorization, that clients present a key
// in. Clients of Anthropic send the first, clients of Azure the second. Caddy's
// access log shows both: it is made from a copy of the request that no handler
// can reach, and only a filter in the log's configuration leaves them out.
var keyHeaders = [...]string{"X-Api-Key", "Api-Key"}

// caller is who sent a request.
type caller struct {
	// tenant identifies the owner of conversations, files and records. It stays
	// the same over restarts, differs for any two callers and holds no secret.
	tenant string

	// name is for people who read logs. It holds no secret, either.
	name string
}

// callers recognises callers. It is safe for concurrent use.
type callers struct {
	auth      string
	digests   [][sha256.Size]byte // of the configured keys
	owners    []caller            // of the same keys
	generated *generatedKey       // the only key if none is configured, else nil
}

// newCallers prepares the recognition of callers with the configured keys, whose
// placeholders repl fills in. No keys stand for `{env.VALID_TOKENS}`, and if
// that is empty, for the generated key, which is neither made nor read before it
// is needed. The warnings are for the log; neither they nor the error contain
// secrets.
func newCallers(auth string, keys []*APIKey, repl *caddy.Replacer) (*callers, []string, error) {
	c := &callers{auth: auth}
	var warnings []string
	switch auth {
	case "", authKeys:
		return newKeyCallers(keys, repl)
	case authCaddy:
	case authOff:
		warnings = append(warnings, "auth is off: everybody who can reach this listener may use the account")
	default:
		return nil, nil, fmt.Errorf("auth is %q; it must be %s, %s or %s", auth, authKeys, authCaddy, authOff)
	}
	if len(keys) > 0 {
		warnings = append(warnings, "the API keys are not used, because auth is "+auth)
	}
	return c, warnings, nil
}

// newKeyCallers prepares the recognition of callers by API keys.
func newKeyCallers(keys []*APIKey, repl *caddy.Replacer) (*callers, []string, error) {
	set, err := resolveKeys(keys, repl)
	if err != nil {
		return nil, nil, err
	}
	c := &callers{auth: authKeys, digests: set.digests, owners: set.owners}
	if len(c.digests) == 0 {
		c.generated = &generatedKey{path: generatedKeyPath()}
		c.owners = []caller{{tenant: "generated", name: "generated"}}
		set.warn("no API key is configured: callers need the generated one, which is stored in %s and printed by `caddy qwen key`", c.generated.path)
	}
	return c, set.warnings, nil
}

// identify returns who sent r. If the request does not prove it, the error is an
// [*openai.Error] with status 401. Any other error is a fault of the server, such
// as a generated key that cannot be read, and belongs into the log only.
func (c *callers) identify(r *http.Request) (caller, error) {
	switch c.auth {
	case authOff:
		return caller{tenant: "everybody", name: "everybody"}, nil
	case authCaddy:
		return caddyUser(r)
	}
	sent, ok := presentedKeys(r.Header)
	switch {
	case !ok:
		return caller{}, c.unauthorized(wrongKey)
	case sent == presented{}:
		return caller{}, c.unauthorized("This server needs an API key")
	}
	return c.owner(sent)
}

// owner returns whose keys were sent. One valid key is enough, but keys of
// different callers contradict each other.
func (c *callers) owner(sent presented) (caller, error) {
	digests := c.digests
	if c.generated != nil {
		var err error
		if digests, err = c.generated.current(); err != nil {
			return caller{}, err
		}
	}
	var found caller
	for _, key := range sent {
		if key == "" {
			continue
		}
		i := findKey(digests, key)
		if i < 0 {
			continue
		}
		if found != (caller{}) && found != c.owners[i] {
			return caller{}, c.unauthorized(wrongKey)
		}
		found = c.owners[i]
	}
	if found == (caller{}) {
		return caller{}, c.unauthorized(wrongKey)
	}
	return found, nil
}

// findKey returns the index of key's digest, or -1. The time it takes depends
// neither on the result nor on how similar the key is to a valid one.
func findKey(digests [][sha256.Size]byte, key string) int {
	sum := sha256.Sum256([]byte(key))
	found := -1
	for i := range digests {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], digests[i][:]), i, found)
	}
	return found
}

// wrongKey is the one text for all keys that are not valid, so that nobody learns
// in what way a key is wrong.
const wrongKey = "The API key is not valid for this server"

// unauthorized returns the error for a caller without a valid key: what is wrong
// and what to do.
func (c *callers) unauthorized(what string) error {
	where := "one of the keys that its owner has configured"
	if c.generated != nil {
		where = "the generated one: run `caddy qwen key` on the server, as the user that runs it, to see it"
	}
	return unauthorized(what + ". Send `Authorization: Bearer <key>` with " + where + ".")
}

func unauthorized(message string) error {
	return &openai.Error{
		Status:  http.StatusUnauthorized,
		Type:    openai.TypeInvalidRequest,
		Code:    "invalid_api_key",
		Message: message,
	}
}

// presented holds the keys of a request, one for each header that can present
// one; empty where there is none.
type presented [1 + len(keyHeaders)]string

// presentedKeys returns the keys that h presents. It reports false if a header
// that presents a key is malformed, which includes one that is there twice:
// other software in front could have looked at the other one.
func presentedKeys(h http.Header) (keys presented, ok bool) {
	value, ok := keyHeader(h, "Authorization")
	if !ok {
		return presented{}, false
	}
	scheme, key, _ := strings.Cut(value, " ")
	if strings.EqualFold(scheme, "Bearer") {
		keys[0] = strings.Trim(key, " ")
	} else if scheme != "" {
		// Credentials of another kind, perhaps for a handler before this one. A
		// lone space can never be a key, and says that something was there.
		keys[0] = " "
	}
	for i, name := range keyHeaders {
		if keys[1+i], ok = keyHeader(h, name); !ok {
			return presented{}, false
		}
	}
	return keys, true
}

// keyHeader returns the value of a header that may be there once.
func keyHeader(h http.Header, name string) (value string, ok bool) {
	values := h.Values(name)
	if len(values) == 0 {
		return "", true
	}
	if len(values) > 1 || len(values[0]) > maxKeyHeader || strings.ContainsFunc(values[0], isControl) {
		return "", false
	}
	return values[0], true
}

func isControl(c rune) bool {
	return c < ' ' || c == 0x7f
}

// caddyUser returns the user that an authentication handler of Caddy has
// recognised.
func caddyUser(r *http.Request) (caller, error) {
	var id string
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ = repl.GetString("http.auth.user.id")
	}
	if id == "" {
		return caller{}, unauthorized(
			"Nobody is signed in. This server leaves that to Caddy: a directive such as basic_auth must come before qwen and must have accepted the request.")
	}
	return caller{tenant: "user:" + digestID("user", id), name: loggable(id)}, nil
}

// digestID returns an identifier made from text of a kind. Nobody can tell the
// text from it, except by guessing.
func digestID(kind, text string) string {
	sum := sha256.Sum256([]byte("caddy-qwen " + kind + "\x00" + text))
	return hex.EncodeToString(sum[:16])
}

// loggable returns s cut to a length that suits a log, without characters that
// could be mistaken for something else there.
func loggable(s string) string {
	const maxRunes = 64
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n++; n > maxRunes {
			b.WriteString("…")
			break
		}
		if isControl(c) {
			c = '\uFFFD'
		}
		b.WriteRune(c)
	}
	return b.String()
}
