package sqlite

import (
	"context"
	"errors"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// errNoID says that all ids are taken that a turn may have. Other turns may have
// some.
var errNoID = errors.New("there is no free place for the turn")

// turnRow is a turn on its way into the file.
type turnRow struct {
	*session.Turn
	// values are the id, key, time and data, and the id and the place of the parent
	// if there is one.
	values []any
}

func newRow(t *session.Turn) *turnRow {
	r := &turnRow{t, []any{turnID(t.Account, t.ChatID, t.ResponseID), keyOf(t.Key), t.Time.UnixMilli(), encode(t)}}
	if t.ParentID != "" {
		r.values = append(r.values, turnID(t.Account, t.ChatID, t.ParentID), appendPlace(nil, t.Account, t.ChatID, t.ParentID))
	}
	return r
}

// Record implements session.Store.
func (s *Store) Record(ctx context.Context, t session.Turn) error {
	row := newRow(&t)
	j := job{op: row.record}
	if len(t.Aliases) == 0 {
		j.single = row.add
	}
	return s.write(ctx, j)
}

// add adds the turn and marks its parent, unless there may be a turn at its place.
// That is one statement.
func (r *turnRow) add(w *writer) (added bool, err error) {
	stmt := w.addTurn
	if r.ParentID != "" {
		stmt = w.addNext
	}
	result, err := stmt.Exec(r.values...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// addBeside does the same with another id than the turn's first, unless the turn
// is there.
func (r *turnRow) addBeside(w *writer) (added bool, err error) {
	turns, err := w.at(r.Account, r.ChatID, r.ResponseID)
	if err != nil {
		return false, err
	}
	first := r.values[0].(int64)
	free := first
	for i := range turns { // in the order of their ids
		if turns[i].isAt(r.Account, r.ChatID, r.ResponseID) {
			return false, nil
		}
		if turns[i].id == free {
			free++
		}
	}
	if free == first+window {
		return false, errNoID
	}
	r.values[0] = free
	if _, err = w.putTurn.Exec(r.values[:4]...); err == nil && r.ParentID != "" {
		_, err = w.continued.Exec(r.values...)
	}
	return true, err
}

func (r *turnRow) record(w *writer) error {
	added, err := r.add(w)
	if err == nil && !added {
		added, err = r.addBeside(w)
	}
	if err != nil || !added {
		return err
	}
	for _, alias := range r.Aliases {
		if _, err := w.addAlias.Exec(aliasKey(alias), r.Time.UnixMilli(), r.values[0]); err != nil {
			return err
		}
	}
	return nil
}

// AddChat implements session.Store.
func (s *Store) AddChat(ctx context.Context, c session.Chat) error {
	add := func(w *writer) (bool, error) { return true, w.putChat(&c) }
	return s.write(ctx, job{single: add, op: func(w *writer) error { return w.putChat(&c) }})
}

func (w *writer) putChat(c *session.Chat) error {
	_, err := w.addChat.Exec(firstID(c.Account, c.ID), c.Account[:], c.ID, c.Tenant, c.Model, c.Disposable,
		c.Created.UnixMilli(), c.Used.UnixMilli())
	return err
}

// ForgetTurns implements session.Store.
func (s *Store) ForgetTurns(ctx context.Context, account session.Digest, chatID string) error {
	return s.write(ctx, job{op: func(w *writer) error { return w.forget(account, chatID) }})
}

// forget removes the turns of a chat, which is added if only they tell of it.
func (w *writer) forget(account session.Digest, chatID string) error {
	added, err := w.added(account, chatID)
	if err != nil {
		return err
	}
	turns, err := w.turnsOf(account, chatID)
	if err != nil {
		return err
	}
	// If it was added, its time of use is that of its turns now.
	if chat, found := chatInfo(added, turns); found {
		if err := w.putChat(&chat); err != nil {
			return err
		}
	}
	return w.remove(turns)
}

// RemoveChat implements session.Store.
func (s *Store) RemoveChat(ctx context.Context, account session.Digest, chatID string) error {
	return s.write(ctx, job{op: func(w *writer) error {
		turns, err := w.turnsOf(account, chatID)
		if err == nil {
			err = w.remove(turns)
		}
		if err == nil {
			_, err = w.dropChat.Exec(firstID(account, chatID), account[:], chatID)
		}
		return err
	}})
}

// remove removes turns together with their aliases.
func (w *writer) remove(turns []storedTurn) error {
	for i := range turns {
		t := &turns[i]
		for _, alias := range t.Aliases {
			if _, err := w.dropAlias.Exec(aliasKey(alias), t.Time.UnixMilli(), t.id); err != nil {
				return err
			}
		}
		if _, err := w.dropTurn.Exec(t.id); err != nil {
			return err
		}
	}
	return nil
}
