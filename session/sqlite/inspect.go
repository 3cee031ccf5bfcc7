package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// countAll counts the turns, the ranges of ids of the chats, and the files.
const countAll = `SELECT (SELECT count(*) FROM turns INDEXED BY turns_key),
	(SELECT count(*) FROM (SELECT id / 134217728 FROM turns INDEXED BY turns_key UNION SELECT place / 134217728 FROM chats)),
	(SELECT count(*) FROM files INDEXED BY files_created)`

// pageTurns and pageChats are how much EachChat reads at a time.
const pageTurns, pageChats = 1000, 250

// ChatInfo is a chat and the number of its turns.
type ChatInfo struct {
	session.Chat
	Turns int
}

// Stats say how much there is in a store.
type Stats struct {
	Turns int
	// Chats are those that were added or have turns. Two of them count as one if 36
	// bits of their digests are the same.
	Chats int
	// Files are the uploaded files, with those that have expired.
	Files int
	// Bytes is the size of the file with its companions.
	Bytes int64
}

// EachChat calls do for each chat of all accounts and callers, with its turns and
// their Aliases, the oldest first. The chats are in no special order; those that
// are added or removed meanwhile may be among them or not. It ends with the first
// error of do. Other calls need not wait while do runs.
func (s *Store) EachChat(ctx context.Context, do func(ChatInfo, []session.Turn) error) error {
	for from := int64(0); from >= 0; {
		var page []group
		err := s.read(ctx, func(r *reader) (err error) {
			page, from, err = r.page(from)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page {
			info, _ := chatInfo(page[i].added, page[i].turns)
			if err := do(ChatInfo{info, len(page[i].turns)}, plain(page[i].turns)); err != nil {
				return err
			}
		}
	}
	return nil
}

// group is a chat while it is put together.
type group struct {
	account session.Digest
	chat    string
	added   *session.Chat
	turns   []storedTurn
}

// page returns some chats from a place on, and where the next page begins:
// nowhere if it is negative.
func (r *reader) page(from int64) (page []group, next int64, err error) {
	var turns cursor[storedTurn]
	defer turns.close()
	var chats cursor[session.Chat]
	defer chats.close()
	turns.open(scanTurn)(r.turns.Query(from))
	chats.open(scanChat)(r.chats.Query(from))
	for read := 0; read < pageTurns && len(page) < pageChats; {
		next = math.MinInt64
		if turns.more {
			next = turns.head.id &^ (chatIDs - 1)
		}
		if chats.more {
			if place := firstID(chats.head.Account, chats.head.ID); next < 0 || place < next {
				next = place
			}
		}
		if next < 0 {
			break
		}
		next += chatIDs // negative after the last place
		first := len(page)
		for ; chats.more && uint64(firstID(chats.head.Account, chats.head.ID)) < uint64(next); chats.advance() {
			added := chats.head
			page = append(page, group{account: added.Account, chat: added.ID, added: &added})
		}
		for ; turns.more && uint64(turns.head.id) < uint64(next); turns.advance() {
			page = turns.head.join(page, first)
			read++
		}
	}
	if turns.err != nil {
		return nil, 0, turns.err
	}
	return page, next, chats.err
}

// join puts a turn into its group, one of those from first on or a new one.
func (t *storedTurn) join(page []group, first int) []group {
	for i := first; i < len(page); i++ {
		if page[i].account == t.Account && page[i].chat == t.ChatID {
			page[i].turns = append(page[i].turns, *t)
			return page
		}
	}
	return append(page, group{account: t.Account, chat: t.ChatID, turns: []storedTurn{*t}})
}

// cursor goes through rows and knows the next one.
type cursor[T any] struct {
	rows *sql.Rows
	scan func(*sql.Rows) (T, error)
	head T
	more bool
	err  error
}

func (c *cursor[T]) open(scan func(*sql.Rows) (T, error)) func(*sql.Rows, error) {
	return func(rows *sql.Rows, err error) {
		if c.rows, c.scan, c.err = rows, scan, err; err == nil {
			c.advance()
		}
	}
}

func (c *cursor[T]) advance() {
	if c.more = c.rows.Next(); c.more {
		c.head, c.err = c.scan(c.rows)
		c.more = c.err == nil
		return
	}
	c.err = c.rows.Err()
}

func (c *cursor[T]) close() {
	if c.rows != nil {
		_ = c.rows.Close()
	}
}

func plain(turns []storedTurn) []session.Turn {
	list := make([]session.Turn, len(turns))
	for i := range turns {
		list[i] = turns[i].Turn
	}
	return list
}

// Turns returns the turns of a chat with their Aliases, the oldest first. An
// unknown chat has none.
func (s *Store) Turns(ctx context.Context, account session.Digest, chatID string) (found []session.Turn, err error) {
	err = s.read(ctx, func(r *reader) error {
		_, turns, _, err := r.look(account, chatID)
		found = plain(turns)
		return err
	})
	return found, err
}

// Stats counts what is in the store.
func (s *Store) Stats(ctx context.Context) (stats Stats, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.count.QueryRow().Scan(&stats.Turns, &stats.Chats, &stats.Files)
	})
	path := s.path()
	for _, suffix := range append([]string{""}, companions...) {
		if info, err := os.Stat(path + suffix); err == nil {
			stats.Bytes += info.Size()
		}
	}
	return stats, err
}

// ForgetAll removes the turns of chats as ForgetTurns does: with an error, of
// none.
func (s *Store) ForgetAll(ctx context.Context, chats []ChatInfo) error {
	return s.write(ctx, job{op: func(w *writer) error {
		for _, c := range chats {
			if err := w.forget(c.Account, c.ID); err != nil {
				return err
			}
		}
		return nil
	}})
}

// ErrStillOnDisk says that everything was removed from the store, but that parts of
// it may still be in its file or in the file's log, because others who have the file
// open kept them from being erased. They go when those close the file; wiping the
// store again once they have makes sure.
var ErrStillOnDisk = errors.New("everything was removed, but parts of it may still be on the disk, because another process is using the file")

// Wipe removes all turns, chats and files and returns how many there were. Nothing
// of them stays in the file or in its log. If others are using the file, Wipe tries
// for some seconds; if that is not enough, the error is ErrStillOnDisk. With that
// and with any other error after the removal, the numbers are returned, too.
func (s *Store) Wipe(ctx context.Context) (removed Stats, err error) {
	var had Stats
	err = s.write(ctx, job{op: func(w *writer) error {
		if err := w.count.QueryRow().Scan(&had.Turns, &had.Chats, &had.Files); err != nil {
			return err
		}
		for _, stmt := range []*sql.Stmt{w.wipeAliases, w.wipeTurns, w.wipeChats, w.wipeFiles} {
			if _, err := stmt.Exec(); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return Stats{}, err
	}
	return had, s.vacuum(ctx)
}

// vacuum writes the file anew without the space of removed rows, and empties the
// log.
func (s *Store) vacuum(ctx context.Context) error {
	db := openDB(s.dsn(s.path(), writerCache, s.hooks.vfs), 1)
	defer db.Close()
	err := s.unlocked(ctx, func() error {
		_, err := db.ExecContext(ctx, "VACUUM")
		return err
	})
	if err == nil {
		err = s.unlocked(ctx, func() error { return emptyLog(ctx, db) })
	}
	switch {
	case err == nil:
		return nil
	case KindOf(err) == KindLocked:
		return fmt.Errorf("%w: %w", ErrStillOnDisk, err)
	}
	return unavailable(err)
}

// emptyLog moves the log into the file and cuts it. SQLite does not call it an
// error if others keep it from that.
func emptyLog(ctx context.Context, db *sql.DB) error {
	var busy, pages, moved int
	err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		err = &failure{KindLocked, errors.New("others are using the log")}
	}
	return err
}
