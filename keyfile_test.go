package caddyqwen

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// keyFileEnv names the key file in the environment of the processes that
// TestGeneratedKeyOfManyProcesses starts.
const keyFileEnv = "CADDY_QWEN_TEST_KEY_FILE"

// newKeyFile returns the path of a key file that does not exist yet, nor does
// its directory.
func newKeyFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "caddy", "qwen", "api_key")
}

// mustLoadKey returns the key at path, which is made if it is missing.
func mustLoadKey(t *testing.T, path string) string {
	t.Helper()
	key, _, err := loadOrCreateKey(path)
	if err != nil {
		t.Fatalf("loadOrCreateKey: %v", err)
	}
	return key
}

// mustCurrent returns the digest of g's key.
func mustCurrent(t *testing.T, g *generatedKey) [sha256.Size]byte {
	t.Helper()
	digests, err := g.current()
	if err != nil {
		t.Fatalf("current: %v", err)
	}
	if len(digests) != 1 {
		t.Fatalf("%d digests, want 1", len(digests))
	}
	return digests[0]
}

// mustWriteFile writes a file and the directories above it.
func mustWriteFile(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func TestGeneratedKeyPath(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", filepath.FromSlash("/data"))
	if got, want := generatedKeyPath(), filepath.FromSlash("/data/caddy/qwen/api_key"); got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestNewGeneratedKey(t *testing.T) {
	const n = 2000
	seen := make(map[string]bool, n)
	count := make(map[rune]int)
	for range n {
		key := newGeneratedKey()
		if !isGeneratedKey(key) {
			t.Fatalf("%d characters or an odd one, want %d after %s", len(key), generatedLength, generatedPrefix)
		}
		if seen[key] {
			t.Fatal("the same key came twice")
		}
		seen[key] = true
		for _, c := range key[len(generatedPrefix):] {
			count[c]++
		}
	}
	if len(count) != 62 {
		t.Errorf("%d different characters, want 62", len(count))
	}
	// With this many characters (86,000), a fair share is 1387 and a deviation
	// of a fifth is more than seven times the standard deviation.
	for c, got := range count {
		if fair := n * generatedLength / 62; got < fair*4/5 || got > fair*6/5 {
			t.Errorf("%q came %d times, a fair share is %d", c, got, fair)
		}
	}
}

func TestIsGeneratedKey(t *testing.T) {
	random := strings.Repeat("aZ9", 15)[:generatedLength]
	tests := []struct {
		key  string
		want bool
	}{
		{generatedPrefix + random, true},
		{"", false},
		{generatedPrefix, false},
		{random, false},
		{"sk-other-" + random, false},
		{generatedPrefix + random[1:], false},
		{generatedPrefix + random + "a", false},
		{generatedPrefix + random[1:] + "-", false},
		{generatedPrefix + random[2:] + "ü", false},
		{generatedPrefix + random[1:] + "\x00", false},
		{strings.ToUpper(generatedPrefix) + random, false},
	}
	for _, tt := range tests {
		if got := isGeneratedKey(tt.key); got != tt.want {
			t.Errorf("isGeneratedKey(%q) = %v, want %v", tt.key, got, tt.want)
		}
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := newKeyFile(t)
	key := mustLoadKey(t, path)
	if !isGeneratedKey(key) {
		t.Errorf("the key has %d characters and not the form of a generated one", len(key))
	}
	if again := mustLoadKey(t, path); again != key {
		t.Error("the second call returns another key")
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Errorf("%d files in the directory, want only the key", len(files))
	}
	checkMode(t, path, 0o600)
	checkMode(t, filepath.Dir(path), 0o700)
}

// checkMode fails the test if a file has other permissions than want.
func checkMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestLoadOrCreateKeyErrors(t *testing.T) {
	key := newGeneratedKey()
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		err     error  // what the error wraps; nil: does not matter
		text    string // a part of the error
	}{
		{"empty", writes(""), errDamagedKey, "delete it"},
		{"only space", writes(" \n\n"), errDamagedKey, "delete it"},
		{"cut", writes(key[:20]), errDamagedKey, "delete it"},
		{"other content", writes("sk-my-own-key-written-by-hand\n"), errDamagedKey, "delete it"},
		{"two keys", writes(key + "\n" + key + "\n"), errDamagedKey, "delete it"},
		{"NUL after the key", writes(key + "\x00"), errDamagedKey, "delete it"},
		{"huge", writes(strings.Repeat(" ", 1<<20) + key), errDamagedKey, "delete it"},
		{"directory", func(t *testing.T, path string) { mustMkdir(t, path) }, nil, "not a regular file"},
		{"parent is a file", func(t *testing.T, path string) {
			mustMkdir(t, filepath.Dir(filepath.Dir(path)))
			mustWriteFile(t, filepath.Dir(path), "", 0o600)
		}, nil, "API key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := newKeyFile(t)
			tt.prepare(t, path)
			got, _, err := loadOrCreateKey(path)
			if err == nil || got != "" {
				t.Fatalf("got a key of %d characters, error %v; want only an error", len(got), err)
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			for _, part := range []string{tt.text, filepath.Dir(path)} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), key[:20]) {
				t.Errorf("error %q shows the key", err)
			}
		})
	}
}

// writes returns a function that writes a private key file with that content.
func writes(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) { mustWriteFile(t, path, content, 0o600) }
}

func mustMkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestPermissionHint(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "api_key", Err: fs.ErrPermission}
	if got := permissionHint(fmt.Errorf("reading: %w", denied)); !strings.Contains(got, "as the user that runs the server") {
		t.Errorf("hint for a denied access: %q", got)
	}
	if got := permissionHint(errDamagedKey); got != "" {
		t.Errorf("hint for another error: %q, want none", got)
	}
}

func TestReadKeyMakesTheFilePrivate(t *testing.T) {
	for _, perm := range []fs.FileMode{0o640, 0o604, 0o644, 0o666, 0o777} {
		t.Run(fmt.Sprintf("%o", perm), func(t *testing.T) {
			path, key := newKeyFile(t), newGeneratedKey()
			mustWriteFile(t, path, key+"\r\n", perm)
			if got := mustLoadKey(t, path); got != key {
				t.Error("the key changed")
			}
			checkMode(t, path, 0o600)
		})
	}
}

func TestGeneratedKeyFollowsItsFile(t *testing.T) {
	path := newKeyFile(t)
	g := &generatedKey{path: path}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the directory exists before anybody needs the key: %v", err)
	}
	first := mustCurrent(t, g)
	if again := mustCurrent(t, g); again != first {
		t.Fatal("the key changed without reason")
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := mustCurrent(t, g)
	if second == first {
		t.Error("deleting the file did not replace the key")
	}

	other := newGeneratedKey()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustWriteFile(t, path, other, 0o600)
	if got := mustCurrent(t, g); got != sha256.Sum256([]byte(other)) {
		t.Error("the key of a replaced file is not used")
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustCurrent(t, g); got != sha256.Sum256([]byte(other)) {
		t.Error("other permissions changed the key")
	}
	checkMode(t, path, 0o600)

	mustWriteFile(t, path, "damaged", 0o600)
	if _, err := g.current(); !errors.Is(err, errDamagedKey) {
		t.Errorf("damaged file: %v, want %v", err, errDamagedKey)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustCurrent(t, g)
}

func TestGeneratedKeyIsCached(t *testing.T) {
	g := &generatedKey{path: newKeyFile(t)}
	first, err := g.current()
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.current()
	if err != nil {
		t.Fatal(err)
	}
	if &first[0] != &second[0] {
		t.Error("an unchanged file was read again")
	}
}

func TestGeneratedKeyOfManyGoroutines(t *testing.T) {
	path := newKeyFile(t)
	shared := &generatedKey{path: path}
	digests := make([][sha256.Size]byte, 32)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range digests {
		wg.Go(func() {
			<-start
			g := shared
			if i%2 == 0 {
				g = &generatedKey{path: path}
			}
			got, err := g.current()
			if err != nil {
				t.Errorf("goroutine %d: %v", i, err)
				return
			}
			digests[i] = got[0]
		})
	}
	close(start)
	wg.Wait()
	want := sha256.Sum256([]byte(mustLoadKey(t, path)))
	for i, got := range digests {
		if got != want {
			t.Errorf("goroutine %d has another key than the file", i)
		}
	}
}

// TestGeneratedKeyOfManyProcesses starts this test binary several times at once;
// each process makes or reads the same key file and prints the key.
func TestGeneratedKeyOfManyProcesses(t *testing.T) {
	if path := os.Getenv(keyFileEnv); path != "" {
		fmt.Println("key", mustLoadKey(t, path))
		return
	}
	path := newKeyFile(t)
	outputs := make([]string, 6)
	var wg sync.WaitGroup
	for i := range outputs {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestGeneratedKeyOfManyProcesses$")
			cmd.Env = append(os.Environ(), keyFileEnv+"="+path)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
			outputs[i] = string(out)
		})
	}
	wg.Wait()
	want := "key " + mustLoadKey(t, path) + "\n"
	for i, out := range outputs {
		if !strings.HasPrefix(out, want) {
			t.Errorf("process %d printed another key than the file has", i)
		}
	}
}
