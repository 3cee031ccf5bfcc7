package session_test

import (
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sessiontest"
)

// The store that the tests here rely on is a store like others.
func TestMemory(t *testing.T) {
	sessiontest.Run(t, func(*testing.T) session.Store { return session.NewMemory() })
}

func TestMemoryFiles(t *testing.T) {
	sessiontest.RunFiles(t, func(*testing.T) session.FileStore { return session.NewMemoryFiles(100_000) })
}
