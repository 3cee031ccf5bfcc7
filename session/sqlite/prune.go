package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// noTurns holds for chats without turns. Those whose ids belong to turns of another
// chat, too, have to wait until those are gone.
const noTurns = "NOT EXISTS (SELECT 1 FROM turns WHERE id BETWEEN place AND place + 134217727)"

// Prune implements session.Store. What to remove is looked for before the file is
// locked for it.
func (s *Store) Prune(ctx context.Context, before time.Time, keep, limit int) (removed int, err error) {
	if limit <= 0 {
		return 0, ctx.Err()
	}
	turns, err := s.pruneTurns(ctx, before, keep, limit)
	if err != nil {
		return turns, err
	}
	chats, err := s.pruneChats(ctx, before, limit)
	if err != nil {
		return turns + chats, err
	}
	files, err := s.pruneFiles(ctx, before, limit)
	return turns + chats + files, err
}

// found is what Prune has found: a turn, a chat or a file, at the time.
type found struct {
	id, ms  int64
	account session.Digest
	chat    string
}

func (s *Store) pruneTurns(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	var oldest []found
	err := s.read(ctx, func(r *reader) error {
		var all, old int
		if err := r.old.QueryRow(before.UnixMilli()).Scan(&all, &old); err != nil {
			return err
		}
		// Both sorts of turns are the oldest ones.
		n := min(limit, max(old, all-max(keep, 0)))
		if n <= 0 {
			return nil
		}
		rows, err := r.oldest.Query(n)
		oldest, err = collect(rows, err, func(f *found) []any { return []any{&f.id, &f.ms} })
		return err
	})
	if err != nil || len(oldest) == 0 {
		return 0, err
	}
	return s.pruneEach(ctx, oldest, func(w *writer, f *found) (bool, error) {
		turns, err := w.between(f.id, f.id, func(t *storedTurn) bool { return t.Time.UnixMilli() == f.ms })
		if err == nil {
			err = w.used(turns)
		}
		if err == nil {
			err = w.remove(turns)
		}
		return len(turns) > 0, err
	})
}

// used makes chats that were added count as used at the times of turns.
func (w *writer) used(turns []storedTurn) error {
	for i := range turns {
		t := &turns[i]
		_, err := w.useChat.Exec(t.Time.UnixMilli(), firstID(t.Account, t.ChatID), t.Account[:], t.ChatID, t.Tenant)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) pruneChats(ctx context.Context, before time.Time, limit int) (int, error) {
	var unused []found
	err := s.read(ctx, func(r *reader) (err error) {
		rows, err := r.unused.Query(before.UnixMilli(), limit)
		unused, err = collect(rows, err, func(f *found) []any { return []any{&f.id, (*digest)(&f.account), &f.chat} })
		return err
	})
	if err != nil || len(unused) == 0 {
		return 0, err
	}
	return s.pruneEach(ctx, unused, func(w *writer, f *found) (bool, error) {
		result, err := w.dropUnused.Exec(f.id, f.account[:], f.chat, before.UnixMilli())
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		return n > 0, err
	})
}

func (s *Store) pruneFiles(ctx context.Context, before time.Time, limit int) (int, error) {
	now := s.hooks.now().UnixMilli()
	var old []found
	err := s.read(ctx, func(r *reader) (err error) {
		rows, err := r.oldFiles.Query(before.UnixMilli(), now, limit)
		old, err = collect(rows, err, func(f *found) []any { return []any{&f.id} })
		return err
	})
	if err != nil || len(old) == 0 {
		return 0, err
	}
	return s.pruneEach(ctx, old, func(w *writer, f *found) (bool, error) {
		result, err := w.dropOldFile.Exec(before.UnixMilli(), now, f.id)
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		return n > 0, err
	})
}

// pruneEach removes what was found, if it is still the same, and returns how much
// was.
func (s *Store) pruneEach(ctx context.Context, list []found, remove func(*writer, *found) (bool, error)) (int, error) {
	removed := 0
	err := s.write(ctx, job{op: func(w *writer) error {
		for i := range list {
			done, err := remove(w, &list[i])
			if err != nil {
				return err
			}
			if done {
				removed++
			}
		}
		return nil
	}})
	if err != nil {
		return 0, err // removed may still change
	}
	return removed, nil
}

// collect reads all rows.
func collect(rows *sql.Rows, err error, fields func(*found) []any) (list []found, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f found
		if err := rows.Scan(fields(&f)...); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}
