package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// Bits of a turn's id that are a serial number among turns of the same time.
const serialBits = 20

const addTurn = `
INSERT INTO turns (id, chat, continued, indexed, partial, time, chain, loose, pair, response, parent, model, aliases, variants, messages)
VALUES (coalesce((SELECT max(id) FROM turns WHERE id BETWEEN ?1 AND ?1 + 1048575) + 1, ?1),
	?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (chat, response) DO NOTHING`

// firstID returns the lowest id of turns of the time. Times before 1970 and after
// 2248 have those of the nearest time between.
func firstID(t time.Time) int64 {
	return min(max(t.UnixMilli(), 0), 1<<(63-serialBits)-1) << serialBits
}

// Record implements session.Store.
func (s *Store) Record(ctx context.Context, t session.Turn) error {
	return s.write(ctx, func(w *writer) error { return w.record(&t) })
}

func (w *writer) record(t *session.Turn) error {
	c, err := w.ownChat(t)
	if err != nil {
		return err
	}
	continued := false
	if c.orphans {
		if err := w.orphan.QueryRow(c.id, t.ResponseID).Scan(&continued); err != nil {
			return err
		}
	}
	var pair any
	if !t.Pair.IsZero() {
		pair = t.Pair[:]
	}
	result, err := w.addTurn.Exec(firstID(t.Time), c.id, continued, t.Indexed, t.Partial, t.Time.UnixMilli(),
		t.Chain[:], t.Loose[:], pair, t.ResponseID, t.ParentID, t.Model,
		join(t.Aliases), join(t.Variants), join(t.Messages))
	if err != nil {
		return err
	}
	if added, err := result.RowsAffected(); err != nil || added == 0 {
		return err // it was recorded before
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	for _, alias := range t.Aliases {
		if _, err := w.addAlias.Exec(alias[:], id); err != nil {
			return err
		}
	}
	if err := w.continueParent(c.id, t.ParentID); err != nil {
		return err
	}
	_, err = w.useChat.Exec(c.id, t.Time.UnixMilli())
	return err
}

// continueParent marks the turn that another follows. If it is not there, the
// chat remembers that it may come later.
func (w *writer) continueParent(chat int64, parent string) error {
	if parent == "" {
		return nil
	}
	result, err := w.continued.Exec(chat, parent)
	if err != nil {
		return err
	}
	if found, err := result.RowsAffected(); err != nil || found > 0 {
		return err
	}
	_, err = w.touchChat.Exec(chat)
	return err
}

// chatRow is what writes need of a chat.
type chatRow struct {
	id      int64
	tenant  string
	orphans bool
}

// findChat returns sql.ErrNoRows if there is none.
func (w *writer) findChat(account session.Digest, chat string) (c chatRow, err error) {
	err = w.chat.QueryRow(account[:], chat).Scan(&c.id, &c.tenant, &c.orphans)
	return c, err
}

// ownChat returns the chat of a turn, which it adds if there is none.
func (w *writer) ownChat(t *session.Turn) (c chatRow, err error) {
	c, err = w.findChat(t.Account, t.ChatID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		c.id, err = w.insertChat(session.Chat{
			Account: t.Account, ID: t.ChatID, Tenant: t.Tenant, Model: t.Model, Created: t.Time, Used: t.Time,
		})
	case err == nil && c.tenant != t.Tenant:
		err = errTenant
	}
	return c, err
}

func (w *writer) insertChat(c session.Chat) (id int64, err error) {
	result, err := w.addChat.Exec(c.Account[:], c.ID, c.Tenant, c.Model, c.Disposable, c.Created.UnixMilli(), c.Used.UnixMilli())
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// AddChat implements session.Store.
func (s *Store) AddChat(ctx context.Context, c session.Chat) error {
	return s.write(ctx, func(w *writer) error {
		found, err := w.findChat(c.Account, c.ID)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = w.insertChat(c)
			return err
		}
		if err == nil {
			_, err = w.useChat.Exec(found.id, c.Used.UnixMilli())
		}
		return err
	})
}

// ForgetTurns implements session.Store.
func (s *Store) ForgetTurns(ctx context.Context, account session.Digest, chatID string) error {
	return s.write(ctx, func(w *writer) error {
		_, err := w.forgetTurns(account, chatID)
		return err
	})
}

// RemoveChat implements session.Store.
func (s *Store) RemoveChat(ctx context.Context, account session.Digest, chatID string) error {
	return s.write(ctx, func(w *writer) error {
		c, err := w.forgetTurns(account, chatID)
		if err == nil && c.id != 0 {
			_, err = w.dropChat.Exec(c.id)
		}
		return err
	})
}

// forgetTurns returns a chat without an id if there is none.
func (w *writer) forgetTurns(account session.Digest, chatID string) (chatRow, error) {
	c, err := w.findChat(account, chatID)
	if errors.Is(err, sql.ErrNoRows) {
		return chatRow{}, nil
	}
	if err != nil {
		return c, err
	}
	rows, err := removable(w.turnsOf.Query(c.id))
	if err != nil {
		return c, err
	}
	return c, w.remove(rows)
}

// turnRow is what is needed to remove a turn.
type turnRow struct {
	id      int64
	aliases digests
}

func removable(rows *sql.Rows, err error) (found []turnRow, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t turnRow
		if err := rows.Scan(&t.id, &t.aliases); err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, rows.Err()
}

// remove removes turns together with their aliases.
func (w *writer) remove(turns []turnRow) error {
	for _, t := range turns {
		for _, alias := range t.aliases {
			if _, err := w.dropAlias.Exec(alias[:], t.id); err != nil {
				return err
			}
		}
		if _, err := w.dropTurn.Exec(t.id); err != nil {
			return err
		}
	}
	return nil
}

// Prune implements session.Store.
func (s *Store) Prune(ctx context.Context, before time.Time, keep, limit int) (removed int, err error) {
	if limit <= 0 {
		return 0, ctx.Err()
	}
	// The write may go on when nobody waits for it any more.
	result := make(chan int, 1)
	err = s.write(ctx, func(w *writer) error {
		n, err := w.prune(before, keep, limit)
		if err == nil {
			result <- n
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return <-result, nil
}

func (w *writer) prune(before time.Time, keep, limit int) (removed int, err error) {
	var count int
	if err := w.countTurns.QueryRow().Scan(&count); err != nil {
		return 0, err
	}
	oldest, err := removable(w.oldest.Query(limit))
	if err != nil {
		return 0, err
	}
	// The ids are in the order of time, so that the turns of both sorts come first.
	n, bound := 0, firstID(before)
	for n < len(oldest) && (oldest[n].id < bound || n < count-max(keep, 0)) {
		n++
	}
	if err := w.remove(oldest[:n]); err != nil {
		return 0, err
	}
	result, err := w.dropIdle.Exec(before.UnixMilli(), limit)
	if err != nil {
		return 0, err
	}
	chats, err := result.RowsAffected()
	return n + int(chats), err
}
