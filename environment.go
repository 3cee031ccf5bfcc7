package caddyqwen

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// fromEnvironment returns the value of a placeholder of an environment variable,
// or nothing. It takes off quotation marks around the whole: most readers of .env
// files do that, but Docker does not, and neither a Cookie header nor a token nor
// a key has any there.
func fromEnvironment(repl *caddy.Replacer, placeholder string) string {
	value := strings.TrimSpace(repl.ReplaceAll(placeholder, ""))
	for _, quote := range []string{`"`, `'`} {
		if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return strings.TrimSpace(value[1 : len(value)-1])
		}
	}
	return value
}
