//go:build unix

package caddyqwen

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLoadOrCreateKeyOfPipe checks that a named pipe is refused instead of
// blocking every request.
func TestLoadOrCreateKeyOfPipe(t *testing.T) {
	path := newKeyFile(t)
	mustMkdir(t, filepath.Dir(path))
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := loadOrCreateKey(path)
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v, want one that says that it is not a regular file", err)
	}
}
