package caddyqwen

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
)

// mustReadExample returns example.Caddyfile.
func mustReadExample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("example.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestExampleIsFormatted(t *testing.T) {
	text := mustReadExample(t)
	if formatted := caddyfile.Format([]byte(text)); !bytes.Equal(formatted, []byte(text)) {
		t.Errorf("`caddy fmt` would change example.Caddyfile to\n%s", formatted)
	}
}

// TestExampleValidates checks that validation, which administrators run as root,
// stores nothing.
func TestExampleValidates(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	for _, name := range []string{"QWEN_COOKIES", "QWEN_AUTH_TOKEN", "VALID_TOKENS"} {
		t.Setenv(name, "")
	}
	mustUseStorage(t, filepath.Join(dir, "storage"))

	mustValidate(t, mustReadExample(t))
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			t.Errorf("validation stored %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mustUseStorage makes Caddy's default storage a directory during a test. Caddy
// chooses the default when the process starts.
func mustUseStorage(t *testing.T, dir string) {
	t.Helper()
	before := caddy.DefaultStorage
	caddy.DefaultStorage = &certmagic.FileStorage{Path: dir}
	t.Cleanup(func() { caddy.DefaultStorage = before })
}

// mustValidate does what `caddy validate` does.
func mustValidate(t *testing.T, text string) {
	t.Helper()
	config, warnings, err := adaptText(text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("adapt: %v, warnings %q", err, warnings)
	}
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatalf("validate: %v", err)
	}
}

// TestExampleComments checks that what the comments of the example recommend
// works, too.
func TestExampleComments(t *testing.T) {
	t.Setenv("LAPTOP_KEY", aliceKey)
	t.Setenv("PHONE_KEY", bobKey)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	mustUseStorage(t, t.TempDir())
	blocks := commentedBlocks(mustReadExample(t))
	if len(blocks) != 3 {
		t.Fatalf("%d commented blocks, want 3", len(blocks))
	}
	for _, block := range blocks {
		text := "http://127.0.0.1:8080 {\n" + block + "}\n"
		mustValidate(t, string(caddyfile.Format([]byte(text))))
	}
}

// commentedBlocks returns the indented lines of comments inside of the site, in
// blocks.
func commentedBlocks(text string) []string {
	_, site, _ := strings.Cut(text, "\n\tqwen\n")
	var blocks []string
	inside := false
	for line := range strings.SplitSeq(site, "\n") {
		code, ok := strings.CutPrefix(line, "\t#\t")
		if ok && !inside {
			blocks = append(blocks, "")
		}
		if inside = ok; ok {
			blocks[len(blocks)-1] += code + "\n"
		}
	}
	return blocks
}
