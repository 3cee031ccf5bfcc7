package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

const panicText = "canary-panic-value"

// R11: a fault in the store's own goroutine is a failure of the store, which it gets
// over.
func TestPanicWhileOpened(t *testing.T) {
	var healthy atomic.Bool
	l := newLab(t, filepath.Join(t.TempDir(), "s.db"), func(_ *Options, h *hooks) {
		h.making = func() {
			if !healthy.Load() {
				panic(panicText)
			}
		}
	})
	<-l.resting
	_, err := l.Chat(ctx, session.Of("account"), "chat")
	if !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err == nil || strings.Contains(err.Error(), panicText) || !strings.Contains(err.Error(), "TestPanicWhileOpened") {
		t.Errorf("the error does not tell where, or tells more: %v", err)
	}
	healthy.Store(true)
	l.again <- l.hooks.now()
	l.mustWork(t)
}

// A fault while writes are carried out fails these, and no later ones.
func TestPanicWhileWriting(t *testing.T) {
	l := newLab(t, filepath.Join(t.TempDir(), "s.db"))
	l.mustWork(t)
	err := l.write(ctx, job{op: func(*writer) error { panic(panicText) }})
	if !errors.Is(err, session.ErrUnavailable) || strings.Contains(err.Error(), panicText) {
		t.Errorf("%v", err)
	}
	<-l.resting
	l.again <- l.hooks.now()
	l.mustWork(t)
}

// mustWork waits until a chat can be written and read.
func (l *lab) mustWork(t *testing.T) {
	t.Helper()
	chat := session.Chat{Account: session.Of("account"), ID: "chat", Tenant: "ann"}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	timeout := time.After(10 * time.Second)
	for {
		err := l.AddChat(ctx, chat)
		if err == nil {
			_, err = l.Chat(ctx, chat.Account, chat.ID)
		}
		if err == nil {
			return
		}
		select {
		case <-look.C: // it may be being opened
		case <-timeout:
			t.Fatalf("the store does not work: %v", err)
		}
	}
}
