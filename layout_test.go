package caddyqwen

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/caddy-qwen/caddy-qwen"

// The packages below know nothing of Caddy and of each other: what they have in
// common goes through the root package, or is in internal. Only what keeps
// conversations, and what tests that, knows what they are. The emulator shares
// nothing with the client, so that neither hides a mistake of the other.
func TestPackagesStandAlone(t *testing.T) {
	alone := map[string][]string{ // and what else they may import
		"qwen": nil, "openai": nil, "internal/jsonraw": nil, "internal/emulator": nil,
		"session": nil, "session/sqlite": {"/session"}, "session/sessiontest": {"/session"},
	}
	forbidden := []string{"github.com/caddyserver/", "go.uber.org/zap"}
	for dir, besides := range alone {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, path := range mustImports(t, file) {
				own, isOwn := strings.CutPrefix(path, modulePath)
				if isOwn && !strings.HasPrefix(own, "/internal/") && !slices.Contains(besides, own) {
					t.Errorf("%s imports %s", file, path)
				}
				for _, prefix := range forbidden {
					if strings.HasPrefix(path, prefix) {
						t.Errorf("%s imports %s", file, path)
					}
				}
			}
		}
	}
}

func mustImports(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// What xcaddy demands of a repository: one module, and no replacements.
func TestOneModule(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %s", line)
		}
	}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "go.mod" && path != "go.mod" {
			t.Errorf("a module of its own: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
