package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// depth is how many turns with the same key Find looks at, the newest ones. It
// bounds the time for a key under which there are a great many.
const depth = 4096

const turnColumns = `
	c.account, c.chat, c.tenant, t.response, t.parent, t.model, t.chain, t.loose, t.pair,
	t.indexed, t.partial, t.continued, t.time, t.messages, t.variants, t.aliases, t.id`

const chatColumns = "account, chat, tenant, model, disposable, created, used"

// sources are the newest turns under a key, per index.
var sources = map[session.Index]string{
	session.IndexChain: "SELECT id, continued FROM turns WHERE chain = ?1 ORDER BY id DESC",
	session.IndexLoose: "SELECT id, continued FROM turns WHERE loose = ?1 AND indexed = 1 ORDER BY id DESC",
	session.IndexPair:  "SELECT id, continued FROM turns WHERE pair = ?1 AND indexed = 1 ORDER BY id DESC",
	session.IndexAlias: "SELECT id, continued FROM aliases CROSS JOIN turns ON id = turn WHERE key = ?1 ORDER BY turn DESC",
}

// findText returns the query of Find for a source. It stops at the limit, instead
// of sorting everything under the key.
func findText(source string) string {
	half := fmt.Sprintf(`SELECT * FROM (
		SELECT %s FROM (%s LIMIT %d) n
		CROSS JOIN turns t ON t.id = n.id CROSS JOIN chats c ON c.id = t.chat
		WHERE n.continued = %%d LIMIT ?2)`, turnColumns, source, depth)
	return fmt.Sprintf(half, 0) + " UNION ALL " + fmt.Sprintf(half, 1) + " LIMIT ?2"
}

// reader is one of the connections that read.
type reader struct {
	find              map[session.Index]*sql.Stmt
	turn, chat, idle  *sql.Stmt
	chats, turns, all *sql.Stmt
}

func newReader(ctx context.Context, conn *link, busy time.Duration) (*reader, error) {
	r := &reader{find: map[session.Index]*sql.Stmt{}}
	for index, source := range sources {
		stmt, err := conn.prepare(ctx, findText(source))
		if err != nil {
			return nil, err
		}
		r.find[index] = stmt
	}
	err := conn.prepareAll(ctx, map[**sql.Stmt]string{
		&r.turn: "SELECT " + turnColumns + ` FROM chats c JOIN turns t ON t.chat = c.id
			WHERE c.account = ? AND c.chat = ? AND t.response = ?`,
		&r.chat: "SELECT " + chatColumns + " FROM chats WHERE account = ? AND chat = ?",
		&r.idle: "SELECT " + chatColumns + ` FROM chats
			WHERE used < ?2 AND disposable = 1 AND account = ?1 ORDER BY used LIMIT ?3`,
		&r.chats: "SELECT " + chatColumns + `, (SELECT count(*) FROM turns WHERE turns.chat = chats.id)
			FROM chats ORDER BY used DESC LIMIT ?`,
		&r.turns: "SELECT " + turnColumns + ` FROM chats c JOIN turns t ON t.chat = c.id
			WHERE c.account = ? AND c.chat = ? ORDER BY t.id`,
		&r.all: "SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM chats)",
	})
	if err != nil {
		return nil, err
	}
	return r, conn.setBusyTimeout(ctx, busy)
}

// read runs a function with a reader. The queries take no context: they are short,
// and the driver would start a goroutine for each.
func (s *Store) read(ctx context.Context, query func(*reader) error) error {
	timer := time.NewTimer(s.options.Patience * 3 / 5)
	defer timer.Stop()
	h, err := s.current(ctx, timer.C)
	if err != nil {
		return err
	}
	select {
	case r := <-h.readers:
		err = query(r)
		h.readers <- r
	case <-h.closing:
		return s.unavailable()
	case <-timer.C:
		return unavailable(errors.New("too many are reading"))
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.judge(h, err)
}

// judge turns the error of a query into that of a method, and does what it means
// for the store.
func (s *Store) judge(h *handle, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return session.ErrNotFound
	case passing(err):
		s.troubled(err)
	default:
		s.drop(h, err)
	}
	return unavailable(err)
}

// Find implements session.Store. If more than 4,096 turns have the key, it knows
// only the newest of them.
func (s *Store) Find(ctx context.Context, index session.Index, key session.Digest, limit int) (found []session.Turn, err error) {
	if sources[index] == "" {
		return nil, fmt.Errorf("there is no index %d", index)
	}
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = s.read(ctx, func(r *reader) error {
		rows, err := scanTurns(r.find[index].Query(key[:], limit))
		if err != nil {
			return err
		}
		found, err = inOrder(rows, index, key)
		return err
	})
	return found, err
}

// inOrder sorts the turns that Find returns. That each has the key is seen once
// more: a turn of somebody else must never get to a caller.
func inOrder(rows []storedTurn, index session.Index, key session.Digest) (found []session.Turn, err error) {
	slices.SortFunc(rows, func(a, b storedTurn) int {
		if a.Continued != b.Continued {
			if b.Continued {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.id, a.id)
	})
	for _, row := range rows {
		if !row.has(index, key) {
			return nil, damaged("a turn was found by a key that is not its own")
		}
		row.Aliases = nil
		found = append(found, row.Turn)
	}
	return found, nil
}

// Turn implements session.Store.
func (s *Store) Turn(ctx context.Context, account session.Digest, chatID, responseID string) (t session.Turn, err error) {
	err = s.read(ctx, func(r *reader) error {
		rows, err := scanTurns(r.turn.Query(account[:], chatID, responseID))
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return sql.ErrNoRows
		}
		if t = rows[0].Turn; t.Account != account || t.ChatID != chatID || t.ResponseID != responseID {
			t = session.Turn{}
			return damaged("a turn was found at a place that is not its own")
		}
		t.Aliases = nil
		return nil
	})
	return t, err
}

// Chat implements session.Store.
func (s *Store) Chat(ctx context.Context, account session.Digest, chatID string) (c session.Chat, err error) {
	err = s.read(ctx, func(r *reader) error {
		var found session.Chat
		if err := r.chat.QueryRow(account[:], chatID).Scan(chatFields(&found)...); err != nil {
			return err
		}
		if found.Account != account || found.ID != chatID {
			return damaged("a chat was found by an id that is not its own")
		}
		c = found
		return nil
	})
	return c, err
}

// IdleChats implements session.Store.
func (s *Store) IdleChats(ctx context.Context, account session.Digest, before time.Time, limit int) (found []session.Chat, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.idle.Query(account[:], before.UnixMilli(), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c session.Chat
			if err := rows.Scan(chatFields(&c)...); err != nil {
				return err
			}
			if c.Account != account || !c.Disposable {
				return damaged("a chat was found that was not looked for")
			}
			found = append(found, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
