package sqlite

import (
	"context"
	"os"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// ChatInfo is a chat and the number of its turns.
type ChatInfo struct {
	session.Chat
	Turns int
}

// Stats say how much there is in a store.
type Stats struct {
	Turns, Chats int
	// Bytes is the size of the file with its companions.
	Bytes int64
}

// Chats returns the chats of all accounts and callers, the last used first, at
// most limit of them, or all if limit is negative.
func (s *Store) Chats(ctx context.Context, limit int) (found []ChatInfo, err error) {
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.chats.Query(limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c ChatInfo
			if err := rows.Scan(append(chatFields(&c.Chat), &c.Turns)...); err != nil {
				return err
			}
			found = append(found, c)
		}
		return rows.Err()
	})
	return found, err
}

// Turns returns the turns of a chat with their Aliases, the oldest first. An
// unknown chat has none.
func (s *Store) Turns(ctx context.Context, account session.Digest, chatID string) (found []session.Turn, err error) {
	err = s.read(ctx, func(r *reader) error {
		rows, err := scanTurns(r.turns.Query(account[:], chatID))
		for _, row := range rows {
			found = append(found, row.Turn)
		}
		return err
	})
	return found, err
}

// Stats counts what is in the store.
func (s *Store) Stats(ctx context.Context) (stats Stats, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.all.QueryRow().Scan(&stats.Turns, &stats.Chats)
	})
	path := s.path()
	for _, suffix := range append([]string{""}, companions...) {
		if info, err := os.Stat(path + suffix); err == nil {
			stats.Bytes += info.Size()
		}
	}
	return stats, err
}

// Wipe removes all turns and chats and returns how many there were. Nothing of
// them stays in the file: with an error this may not be so, although they are
// removed.
func (s *Store) Wipe(ctx context.Context) (removed int, err error) {
	result := make(chan int, 1)
	err = s.write(ctx, func(w *writer) error {
		n, err := w.wipe()
		if err == nil {
			result <- n
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return <-result, s.vacuum(ctx)
}

func (w *writer) wipe() (removed int, err error) {
	if _, err := w.wipeAliases.Exec(); err != nil {
		return 0, err
	}
	turns, err := w.wipeTurns.Exec()
	if err != nil {
		return 0, err
	}
	chats, err := w.wipeChats.Exec()
	if err != nil {
		return 0, err
	}
	n, err := turns.RowsAffected()
	if err != nil {
		return 0, err
	}
	m, err := chats.RowsAffected()
	return int(n + m), err
}

// vacuum writes the file anew without the space of removed rows.
func (s *Store) vacuum(ctx context.Context) error {
	db := openDB(s.dsn(s.path(), writerCache, s.hooks.vfs), 1)
	defer db.Close()
	for _, text := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return unavailable(err)
		}
	}
	return nil
}
