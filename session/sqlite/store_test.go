package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sessiontest"
)

func TestMain(m *testing.M) {
	if play() {
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is longer than usual, so that a slow machine changes nothing.
const patience = 20 * time.Second

func TestConformance(t *testing.T) {
	sessiontest.Run(t, func(t *testing.T) session.Store {
		return New(Options{Path: filepath.Join(t.TempDir(), "sessions", "store.db"), Patience: patience})
	})
}

func TestPersistence(t *testing.T) {
	sessiontest.RunPersistent(t, func(t *testing.T, dir string) session.Store {
		return New(Options{Path: filepath.Join(dir, "store.db"), Patience: patience})
	})
}
