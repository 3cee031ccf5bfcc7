package caddyqwen

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const imageCaddyfile = "deploy/Caddyfile"

// TestImageCaddyfile checks the Caddyfile of the image without and with a domain.
func TestImageCaddyfile(t *testing.T) {
	text, err := os.ReadFile(imageCaddyfile)
	must(t, err)
	if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
		t.Errorf("`caddy fmt` would change it to\n%s", formatted)
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	mustUseStorage(t, t.TempDir())
	for domain, want := range map[string][]string{
		"":               {`"listen":[":8080"]`},
		"ai.example.com": {`"listen":[":8080"]`, `"listen":[":443"]`, `"host":["ai.example.com"]`},
	} {
		t.Run("domain "+domain, func(t *testing.T) {
			t.Setenv("QWEN_DOMAIN", domain)
			config, warnings, err := adaptText(string(text))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v, warnings %q", err, warnings)
			}
			if n := strings.Count(config, `"handler": "qwen"`); n != max(1, len(want)-1) {
				t.Errorf("there are %d handlers: %s", n, config)
			}
			config = strings.Join(strings.Fields(config), "")
			for _, part := range append(slices.Clone(want), `"persist":false`, `"grace_period":30000000000`) {
				if !strings.Contains(config, part) {
					t.Errorf("the configuration has no %s: %s", part, config)
				}
			}
			mustValidate(t, string(text))
		})
	}
}

// TestDeployedSecrets checks that no file for the deployment brings a secret into
// Caddy's configuration.
func TestDeployedSecrets(t *testing.T) {
	for _, path := range []string{imageCaddyfile, "compose.yaml", unitPath, "Dockerfile", "example.Caddyfile"} {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, name := range []string{"QWEN_COOKIES", "QWEN_AUTH_TOKEN", "VALID_TOKENS"} {
			if strings.Contains(string(text), "{$"+name) || strings.Contains(string(text), "${"+name) || strings.Contains(string(text), "ARG "+name) {
				t.Errorf("%s puts %s into a configuration or an image", path, name)
			}
		}
	}
}
