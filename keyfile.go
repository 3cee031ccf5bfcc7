package caddyqwen

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

const (
	// generatedPrefix starts every generated key. Clients that check the form
	// of a key want `sk-`; the rest tells people where it belongs.
	generatedPrefix = "sk-qwen-"

	// generatedLength is the number of random characters that follow. Each is
	// one of 62, so 43 of them are as hard to guess as 256 random bits.
	generatedLength = 43

	// generatedMaxSize is more than a file with one generated key can have.
	generatedMaxSize = 512
)

// errDamagedKey says that the key file holds something else.
var errDamagedKey = errors.New("it does not hold a generated key; delete it to get a new one")

// generatedKeyPath returns where the generated key is kept: the file
// `qwen/api_key` in Caddy's data directory.
func generatedKeyPath() string {
	return filepath.Join(caddy.AppDataDir(), "qwen", "api_key")
}

// generatedKey is the key that is valid when none is configured. It is read,
// and made if it does not exist, when it is needed, and read again when its file
// has changed, so that deleting the file replaces the key without a restart.
type generatedKey struct {
	path string

	mu      sync.Mutex
	file    fs.FileInfo // the file that digests was read from
	digests [][sha256.Size]byte
}

// current returns a list with the digest of the key. The list is not modified
// later.
func (g *generatedKey) current() ([][sha256.Size]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if info, err := os.Stat(g.path); err == nil && g.file != nil && sameContent(info, g.file) {
		return g.digests, nil
	}
	key, info, err := loadOrCreateKey(g.path)
	if err != nil {
		return nil, err
	}
	g.file, g.digests = info, [][sha256.Size]byte{sha256.Sum256([]byte(key))}
	return g.digests, nil
}

// sameContent reports whether a and b are the same state of the same file, as
// far as can be told without reading it. Permissions count, because the file is
// only trusted while it is private.
func sameContent(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}

// loadOrCreateKey returns the key in the file at path, which it makes first if
// there is none. All who call it at the same time, in this process and others,
// get the same key.
func loadOrCreateKey(path string) (string, fs.FileInfo, error) {
	key, info, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKey(path); err != nil {
			return "", nil, fmt.Errorf("storing a generated API key: %w%s", err, permissionHint(err))
		}
		// Not the key just made: another process may have been faster.
		key, info, err = readKey(path)
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading the generated API key: %w%s", err, permissionHint(err))
	}
	return key, info, nil
}

// permissionHint says what to do about the usual reason for a file that cannot
// be used: the command ran as root and the server does not.
func permissionHint(err error) string {
	if !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	return " (run `caddy qwen key` as the user that runs the server, and give that user the file)"
}

// readKey returns the key in the file at path and the state of the file. The
// file is made private if it is not.
func readKey(path string) (string, fs.FileInfo, error) {
	// Opening anything else, such as a named pipe, could block for ever.
	if info, err := os.Stat(path); err != nil {
		return "", nil, err
	} else if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	info, err := makePrivate(f)
	if err != nil {
		return "", nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, generatedMaxSize))
	if err != nil {
		return "", nil, err
	}
	key := strings.TrimSpace(string(data))
	if !isGeneratedKey(key) {
		return "", nil, fmt.Errorf("%s: %w", path, errDamagedKey)
	}
	return key, info, nil
}

// makePrivate takes all permissions on f from everybody but its owner. On
// Windows, where files have none of these bits, the user's profile directory
// protects the file.
func makePrivate(f *os.File) (fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return info, err
	}
	if err := f.Chmod(0o600); err != nil {
		return nil, fmt.Errorf("others may read the file: %w", err)
	}
	return f.Stat()
}

// createKey stores a new key at path unless there is a file already. The file
// appears with its whole content or not at all.
func createKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".api_key-*") // readable by the owner only
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(newGeneratedKey() + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces the key of another process.
	if err := os.Link(tmp.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// newGeneratedKey returns a new random key.
func newGeneratedKey() string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	key := make([]byte, 0, len(generatedPrefix)+generatedLength)
	key = append(key, generatedPrefix...)
	var random [2 * generatedLength]byte
	for len(key) < cap(key) {
		rand.Read(random[:]) // never fails
		for _, b := range random {
			// The values above the last multiple of 62 would make the first
			// characters of the alphabet more frequent.
			if b < 4*62 && len(key) < cap(key) {
				key = append(key, alphabet[b%62])
			}
		}
	}
	return string(key)
}

// isGeneratedKey reports whether key has the form of a generated one.
func isGeneratedKey(key string) bool {
	random, ok := strings.CutPrefix(key, generatedPrefix)
	if !ok || len(random) != generatedLength {
		return false
	}
	for _, c := range []byte(random) {
		if !isAlphanumeric(c) {
			return false
		}
	}
	return true
}
