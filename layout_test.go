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

// What each package may import besides the standard library. None of them knows
// Caddy, its logger or the root package, and what two of them have in common goes
// through the root. Only what keeps conversations, and what tests that, knows what
// they are. The emulator shares nothing with the clients of the site and of the
// storage, so that neither hides a mistake of the other; nor do the parts through
// which a file comes in know each other.
var mayImport = map[string][]string{
	"qwen":                {own + "internal/jsonraw", "github.com/google/uuid"},
	"oss":                 {"golang.org/x/sync/errgroup"},
	"openai":              {own + "internal/jsonraw", "github.com/go-json-experiment/json/jsontext"},
	"session":             {"github.com/go-json-experiment/json/jsontext"},
	"session/sqlite":      {own + "session", "github.com/google/uuid", "modernc.org/sqlite"},
	"session/sessiontest": {own + "session"},
	"structured":          {own + "internal/loosejson", own + "internal/schema"},
	"tools":               {own + "internal/loosejson", own + "internal/schema"},
	"internal/browser":    nil,
	"internal/jsonraw":    nil,
	"internal/loosejson":  nil,
	"internal/fetch":      {"code.dny.dev/ssrf", "golang.org/x/net/idna"},
	"internal/filetype":   {"github.com/gabriel-vasile/mimetype"},
	"internal/form":       nil,
	"internal/schema":     {"github.com/santhosh-tekuri/jsonschema/v6", "github.com/santhosh-tekuri/jsonschema/v6/kind"},
	"internal/spool":      nil,
	"internal/stopseq":    nil,
	"internal/emulator":   {"github.com/google/uuid"},
}

const own = modulePath + "/"

func TestPackagesStandAlone(t *testing.T) {
	for dir, allowed := range mayImport {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, path := range mustImports(t, file) {
				if !isStandard(path) && !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}

// TestPackagesAreListed checks that no package is forgotten above: only the root,
// the commands and what measures them may import what they like.
func TestPackagesAreListed(t *testing.T) {
	free := []string{".", "cmd/caddy", "internal/bench"}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); name != "." && strings.HasPrefix(name, ".") || name == "testdata" || name == "readme" {
			return filepath.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		dir := filepath.ToSlash(path)
		if _, listed := mayImport[dir]; !listed && len(files) > 0 && !slices.Contains(free, dir) {
			t.Errorf("what may %s import?", dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isStandard reports whether a path is one of the standard library: those of
// others begin with a host.
func isStandard(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return !strings.Contains(host, ".")
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
