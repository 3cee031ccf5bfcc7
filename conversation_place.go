package caddyqwen

import (
	"context"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// settleAccount finds the account that the turn is with: that of the chat in which
// the conversation goes on, unless another one has to take its place.
func (c *conversation) settleAccount(ctx context.Context, forced bool) error {
	pinned, err := c.attached.account(c.h)
	if err != nil {
		return err
	}
	if c.keep && !forced {
		c.locateAny(ctx, pinned)
	}
	switch able := c.account != nil && c.account.able(); {
	case pinned != nil && c.account == nil:
		c.with(pinned)
	case pinned != nil || able:
	default:
		if chosen := c.h.chooseAccount(); chosen != c.account {
			c.with(chosen)
		}
	}
	return nil
}

// locateAny finds the chat in which the conversation goes on, of any account or of
// one. If accounts have taken each other's place, it is the one that knows most.
func (c *conversation) locateAny(ctx context.Context, only *account) {
	var best conversation
	for _, a := range c.h.accounts {
		if only != nil && a != only {
			continue
		}
		c.with(a)
		if !c.locate(ctx) || best.account != nil && c.place.Known <= best.place.Known {
			c.lease.end()
			continue
		}
		best.lease.end()
		best = conversation{account: a, owner: c.owner, record: c.record, place: c.place, kind: c.kind, lease: c.lease}
	}
	c.account, c.owner, c.record, c.place, c.kind, c.lease = best.account, best.owner, best.record, best.place, best.kind, best.lease
}

// with makes the turn begin a new chat of an account.
func (c *conversation) with(a *account) {
	c.lease.end()
	c.lease = nil
	c.account, c.owner = a, a.id()
	if c.shared != nil {
		c.record = recordOf(session.Scope{Tenant: c.tenant, Account: c.owner, Model: c.model}, c.messages, c.attached, c.instructions)
	}
	c.newChat()
}

// locateTime is how long the search for a chat may take. Most take microseconds; a
// new chat with all the history costs more than the wait for a busy disk.
const locateTime = time.Second

// locate finds the chat of the account in which the conversation goes on, if there
// is one that is not in use. Nobody is refused because the store fails.
func (c *conversation) locate(ctx context.Context) (found bool) {
	ctx, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	place, err := c.record.Locate(ctx, c.shared.store, func(chatID string) bool {
		c.lease = c.shared.take(chatKey{c.owner, chatID})
		return c.lease != nil
	})
	c.shared.check(c.h.logger, err)
	if err != nil {
		return false
	}
	c.place, c.kind = place, sessionContinued
	if place.Branch {
		c.kind = sessionBranched
	}
	return true
}

// newChat makes the turn begin a new chat.
func (c *conversation) newChat() {
	c.place = session.Place{}
	if c.record != nil {
		c.place = c.record.NewChat()
	}
	c.kind = sessionNew
	if _, rest := splitSystem(c.messages); len(rest) > 1 {
		c.kind = sessionReplayed
	}
}

// otherAccount returns the account that takes the turn over after a failure, or
// nil. It happens once, and only if all that is attached can be sent again.
func (c *conversation) otherAccount(cause error) *account {
	if c.moved || c.messages == nil {
		return nil
	}
	other := c.h.otherAccount(c.account, cause)
	if other == nil || !c.attached.forget() {
		return nil
	}
	return other
}
