package caddyqwen

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// The values of [Handler.Chats].
const (
	chatsKeep      = "keep"
	chatsDelete    = "delete"
	chatsTemporary = "temporary"
)

const (
	// pruneInterval is how often the store forgets what is old.
	pruneInterval = time.Hour
	// pruneBatch is how many turns are forgotten at once, so that nobody waits
	// long for the store meanwhile.
	pruneBatch = 500
	// deleteBatch is how many chats may be deleted without a pause, and
	// deletePause how long it is for each one after them.
	deleteBatch = 5
	deletePause = time.Second
	// idleBatch is how many chats to be deleted are looked for at once. Some of
	// them may be in use.
	idleBatch = 100
	// unknownInterval is how often the store is told again of chats that it could
	// not take.
	unknownInterval = 10 * time.Second
	// deleteTime is how long the site may take to delete a chat.
	deleteTime = 10 * time.Second
	// restTime is for how long nothing is deleted after the site has refused the
	// account, and the longest pause after other failures.
	restTime = time.Hour
)

// startHousekeeping opens the store, and does until the end of the configuration
// what no request asks for.
func (h *Handler) startHousekeeping() {
	shared := h.sessions()
	if shared == nil {
		return
	}
	started := h.housekeeper.start(func(ctx context.Context) {
		defer shared.release(h.logger)
		keepDoing(ctx, h.logger, "the house was kept", func() { h.keepHouse(ctx, shared) })
	})
	if !started {
		shared.release(h.logger)
	}
}

// keepHouse forgets old turns and deletes old chats until the context ends.
func (h *Handler) keepHouse(ctx context.Context, shared *sessions) {
	prune := time.NewTimer(0)
	defer prune.Stop()
	remove := time.NewTimer(0)
	defer remove.Stop()
	if h.Chats == chatsKeep {
		remove.Stop()
	}
	unknown := time.NewTicker(unknownInterval)
	defer unknown.Stop()
	defer shared.addUnknown(context.WithoutCancel(ctx), h.logger)
	limit := rate.NewLimiter(rate.Every(deletePause), deleteBatch)
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-prune.C:
			prune.Reset(h.prune(ctx, shared))
		case <-unknown.C:
			shared.addUnknown(ctx, h.logger)
		case <-remove.C:
			shared.addUnknown(ctx, h.logger)
			err := h.deleteIdle(ctx, shared, limit)
			if err == nil {
				failures = 0
			} else {
				failures++
			}
			remove.Reset(h.untilDelete(err, failures))
		}
	}
}

// prune forgets some old turns. It returns the time until there may be more.
func (h *Handler) prune(ctx context.Context, shared *sessions) time.Duration {
	ttl, most := h.sessionStore.Retention()
	removed, err := shared.store.Prune(ctx, time.Now().Add(-ttl), most, pruneBatch)
	switch {
	case err != nil:
		return time.Minute
	case removed > 0:
		return 10 * time.Millisecond
	}
	return pruneInterval
}

// chatIdle is for how long a chat must not have been used before it is deleted.
// What is left of temporary chats after a crash may still be in use by another
// process.
func (h *Handler) chatIdle() time.Duration {
	if h.Chats == chatsTemporary {
		return time.Duration(h.MaxDuration)
	}
	return time.Duration(h.DeleteChatsAfter)
}

// untilDelete is the time until the next look for chats to be deleted, after a
// number of failures in a row, err being the last.
func (h *Handler) untilDelete(err error, failures int) time.Duration {
	pause := min(max(h.chatIdle()/4, 100*time.Millisecond), time.Minute)
	if resting(err) {
		return restTime
	}
	for range min(failures, 16) {
		pause *= 2
	}
	return min(pause, restTime)
}

// deleteIdle deletes the chats of all accounts that have not been used for long.
func (h *Handler) deleteIdle(ctx context.Context, shared *sessions, limit *rate.Limiter) error {
	var errs []error
	for _, a := range h.accounts {
		errs = append(errs, h.deleteIdleOf(ctx, shared, a, limit))
	}
	return errors.Join(errs...)
}

// deleteIdleOf deletes those of one account. A failure that is not that of one chat
// ends it, and so do as many in a row as make that unlikely.
func (h *Handler) deleteIdleOf(ctx context.Context, shared *sessions, a *account, limit *rate.Limiter) error {
	refused := 0
	for {
		chats, err := shared.store.IdleChats(ctx, a.id(), time.Now().Add(-h.chatIdle()), idleBatch)
		if err != nil {
			return err
		}
		done := 0
		for _, chat := range chats {
			deleted, err := h.deleteIfIdle(ctx, shared, a, limit, chat)
			if err != nil && ofChat(err) && refused < deleteBatch {
				refused++
				err = h.postpone(ctx, shared, chat, err)
			} else if deleted {
				refused = 0
			}
			if err != nil {
				return err
			}
			if deleted {
				done++
			}
		}
		if done == 0 || len(chats) < idleBatch {
			return nil
		}
	}
}

// deleteIfIdle deletes a chat, and reports true, unless it is in use or has been
// used since it was found.
func (h *Handler) deleteIfIdle(ctx context.Context, shared *sessions, a *account, limit *rate.Limiter, chat session.Chat) (bool, error) {
	key := chatKey{chat.Account, chat.ID}
	if shared.inUse(key) {
		return false, nil
	}
	if err := limit.Wait(ctx); err != nil {
		return false, err
	}
	lease := shared.take(key)
	if lease == nil {
		return false, nil
	}
	defer lease.end()
	now, err := shared.store.Chat(ctx, chat.Account, chat.ID)
	if errors.Is(err, session.ErrNotFound) || err == nil && !now.Used.Equal(chat.Used) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, h.deleteChat(ctx, shared, a, chatKey{chat.Account, chat.ID})
}

// postpone makes a chat that the site has refused to delete count as used, so that
// it is tried again after the others.
func (h *Handler) postpone(ctx context.Context, shared *sessions, chat session.Chat, cause error) error {
	h.logger.Warn("the site refuses to delete a chat", append(siteFields(cause), zap.String("chat", chat.ID))...)
	chat.Used = time.Now()
	return shared.store.AddChat(ctx, chat)
}

// ofChat reports whether a failure to delete a chat says nothing about others.
func ofChat(err error) bool {
	return isKind(err, qwen.KindRejected) || isKind(err, qwen.KindBadResponse) || isKind(err, qwen.KindBusy)
}

// deleteChat deletes a chat of an account on the site and in the store, of which
// there may be none.
func (h *Handler) deleteChat(ctx context.Context, shared *sessions, a *account, chat chatKey) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	err := a.ask(ctx, func(c *qwen.Client, cred qwen.Credential) error {
		return c.DeleteChat(ctx, cred, chat.id)
	})
	if err != nil || shared == nil {
		return err
	}
	return shared.store.RemoveChat(ctx, chat.account, chat.id)
}

// deleteTemporary deletes a chat after its only answer. If that fails, the
// housekeeping tries again later.
func (h *Handler) deleteTemporary(ctx context.Context, shared *sessions, a *account, chat chatKey) {
	err := h.deleteChat(ctx, shared, a, chat)
	if err == nil || errors.Is(err, session.ErrUnavailable) {
		return
	}
	h.logger.Warn("a temporary chat could not be deleted", append(siteFields(err), zap.String("chat", chat.id))...)
}

// resting reports whether the site refuses the account, so that nothing that can
// wait is to be asked of it.
func resting(err error) bool {
	return aboutAccount(err) || isKind(err, qwen.KindRateLimited) || errors.Is(err, errNoCredential)
}
