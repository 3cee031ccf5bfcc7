package caddyqwen

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// SessionStore is a guest module in the namespace http.handlers.qwen.sessions: a
// way to keep which conversation is where on the site. Package
// session/sessiontest tests implementations of what it opens.
type SessionStore interface {
	// StoreKey names the store. Modules of one key share a store, also over a
	// reload.
	StoreKey() string

	// OpenStore opens the store. It is called when the configuration has been
	// started, never while it is only validated, and once for all modules with
	// the key. It must return at once; a store that is not ready yet, or not any
	// more, returns session.ErrUnavailable, and logs why.
	OpenStore(logger *zap.Logger) session.Store

	// Retention returns for how long turns are kept, and how many.
	Retention() (ttl time.Duration, maxTurns int)
}

// sessionStores holds the stores in use. On a reload the new handler takes over
// the store of the old one, and the old one's requests keep theirs.
var sessionStores = caddy.NewUsagePool()

// sessions is a store that handlers share, and which of its chats are in use.
type sessions struct {
	key    string
	store  session.Store
	logger *zap.Logger // of the handler that has opened it

	mu     sync.Mutex
	leased map[chatKey]bool
	// unknown are the chats that the store should know, but could not take.
	unknown []session.Chat

	troubled atomic.Bool // the store did not work when it was last used
}

// chatKey names a chat on the site.
type chatKey struct {
	account session.Digest
	id      string
}

// Destruct closes the store when its last user is gone.
func (s *sessions) Destruct() (err error) {
	defer recovered(s.logger, "the session store was closed", &err) // it may be anybody's
	return s.store.Close()
}

// sessions returns the handler's store, or nil if it has none. Who got it must
// call release once.
func (h *Handler) sessions() *sessions {
	if h.sessionStore == nil {
		return nil
	}
	key := h.sessionStore.StoreKey()
	value, _, err := sessionStores.LoadOrNew(key, func() (caddy.Destructor, error) {
		store, err := h.openStore()
		return &sessions{key: key, store: store, logger: h.logger, leased: make(map[chatKey]bool)}, err
	})
	if err != nil {
		return nil // it has panicked
	}
	return value.(*sessions)
}

// openStore opens the store. A panic would leave the pool locked for ever.
func (h *Handler) openStore() (store session.Store, err error) {
	defer recovered(h.logger, "the session store was opened", &err)
	return h.sessionStore.OpenStore(h.logger), nil
}

// release gives back what Handler.sessions returned.
func (s *sessions) release(logger *zap.Logger) {
	if s == nil {
		return
	}
	if _, err := sessionStores.Delete(s.key); err != nil {
		logger.Error("the session store cannot be closed", zap.Error(err))
	}
}

// chatLease is the right to use a chat. The nil lease is none.
type chatLease struct {
	of   *sessions
	chat chatKey
	once sync.Once
}

// take reserves a chat, or returns nil if it is in use.
func (s *sessions) take(chat chatKey) *chatLease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leased[chat] {
		return nil
	}
	s.leased[chat] = true
	return &chatLease{of: s, chat: chat}
}

// inUse reports whether a chat is reserved.
func (s *sessions) inUse(chat chatKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leased[chat]
}

// end gives the chat back. Further calls do nothing.
func (l *chatLease) end() {
	if l == nil {
		return
	}
	l.once.Do(func() {
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		delete(l.of.leased, l.chat)
	})
}

// check logs, once, that the store fails, and that it no longer does. A request
// does not fail because of it. That the store is not available, it tells itself.
func (s *sessions) check(logger *zap.Logger, err error) {
	switch {
	case errors.Is(err, session.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrBusy):
		err = nil
	}
	if s.troubled.Swap(err != nil) == (err != nil) {
		return
	}
	if err != nil {
		logger.Warn("the session store fails: "+withoutStore, zap.Error(err))
		return
	}
	logger.Info("the session store works again")
}

// maxUnknown is how many chats may wait for the store to know them.
const maxUnknown = 1000

// addChat lets the store know a chat. If that fails, the housekeeping tries again.
func (s *sessions) addChat(ctx context.Context, logger *zap.Logger, c session.Chat) {
	err := s.store.AddChat(ctx, c)
	s.check(logger, err)
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unknown) < maxUnknown {
		s.unknown = append(s.unknown, c)
	}
}

// addUnknown lets the store know the chats that it could not take before.
func (s *sessions) addUnknown(ctx context.Context, logger *zap.Logger) {
	s.mu.Lock()
	unknown := s.unknown
	s.unknown = nil
	s.mu.Unlock()
	for _, c := range unknown {
		s.addChat(ctx, logger, c)
	}
}

// withoutStore says what it means for users that the store cannot be used.
const withoutStore = "until it works, each request gets a new chat, with its history as text"
