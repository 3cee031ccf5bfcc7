package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// reader is one of the connections that read.
type reader struct {
	common
	find, similar, alias *sql.Stmt
	idle                 *sql.Stmt
	turns, chats, count  *sql.Stmt
	old, oldest, unused  *sql.Stmt

	file, fileByURL, filesByHash *sql.Stmt
	filesDown, filesUp, oldFiles *sql.Stmt
}

func (r *reader) texts() map[**sql.Stmt]string {
	turns := "SELECT " + turnColumns + " FROM turns "
	most := fmt.Sprintf(" DESC LIMIT %d", session.MaxSamePair)
	texts := map[**sql.Stmt]string{
		&r.find:    turns + "WHERE key = ? ORDER BY time" + most,
		&r.similar: turns + "WHERE key BETWEEN ? AND ? ORDER BY time" + most,
		&r.alias: "SELECT " + turnColumns + " FROM aliases a CROSS JOIN turns ON turns.id = a.turn WHERE a.key = ? ORDER BY a.time" +
			most,

		&r.idle: "SELECT " + chatColumns + " FROM chats WHERE disposable = 1 AND account = ? AND used < ? ORDER BY used",

		&r.turns: turns + "WHERE id >= ? ORDER BY id",
		&r.chats: "SELECT " + chatColumns + " FROM chats WHERE place >= ? ORDER BY place",
		&r.count: countAll,

		&r.old:    "SELECT count(*), coalesce(sum(time < ?), 0) FROM turns INDEXED BY turns_key",
		&r.oldest: "SELECT id, time FROM turns INDEXED BY turns_key ORDER BY time LIMIT ?",
		&r.unused: "SELECT place, account, chat FROM chats WHERE used < ? AND disposable = 0 AND " + noTurns + " LIMIT ?",
	}
	maps.Copy(texts, r.fileTexts())
	maps.Copy(texts, r.common.texts())
	return texts
}

func newReader(ctx context.Context, conn *link, busy time.Duration) (*reader, error) {
	r := new(reader)
	if err := conn.prepareAll(ctx, r.texts()); err != nil {
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
		err = func() error {
			defer func() { h.readers <- r }()
			return query(r)
		}()
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
	case err == nil, errors.Is(err, session.ErrNotFound):
		return err
	case passing(err):
		s.troubled(err)
	default:
		s.drop(h, err)
	}
	return unavailable(err)
}

// Find implements session.Store. Also with a chain, it looks at no more than the
// newest session.MaxSamePair turns.
func (s *Store) Find(ctx context.Context, key session.Key, limit int) ([]session.Turn, error) {
	first := keyOf(key)
	last := first
	if key.Chain.IsZero() {
		last |= anyChain
	}
	query := func(r *reader) (*sql.Rows, error) {
		if first == last {
			return r.find.Query(first)
		}
		return r.similar.Query(first, last)
	}
	return s.find(ctx, limit, query, func(t *storedTurn) (bool, error) {
		if k := keyOf(t.Key); k < first || k > last {
			return false, damaged("a turn was found by a key that is not its own")
		}
		return t.Matches(key), nil
	})
}

// FindAlias implements session.Store. It looks at no more than the newest
// session.MaxSamePair turns.
func (s *Store) FindAlias(ctx context.Context, alias session.Digest, limit int) ([]session.Turn, error) {
	key := aliasKey(alias)
	query := func(r *reader) (*sql.Rows, error) { return r.alias.Query(key) }
	return s.find(ctx, limit, query, func(t *storedTurn) (bool, error) {
		if !slices.ContainsFunc(t.Aliases, func(d session.Digest) bool { return aliasKey(d) == key }) {
			return false, damaged("a turn was found by an alias that is not its own")
		}
		return slices.Contains(t.Aliases, alias), nil
	})
}

// find returns those that are wanted of the turns of a query, which gives the
// newest first.
func (s *Store) find(ctx context.Context, limit int, query func(*reader) (*sql.Rows, error),
	wanted func(*storedTurn) (bool, error)) (found []session.Turn, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	var continued []session.Turn
	err = s.read(ctx, func(r *reader) error {
		rows, err := query(r)
		return eachTurn(rows, err, func(t *storedTurn) (bool, error) {
			ok, err := wanted(t)
			if t.Aliases = nil; ok && t.Continued {
				continued = append(continued, t.Turn)
			} else if ok {
				found = append(found, t.Turn)
			}
			return len(found) < limit, err
		})
	})
	if err != nil {
		return nil, err
	}
	return append(found, continued[:min(len(continued), limit-len(found))]...), nil
}

// Turn implements session.Store.
func (s *Store) Turn(ctx context.Context, account session.Digest, chatID, responseID string) (found session.Turn, err error) {
	err = s.read(ctx, func(r *reader) error {
		turns, err := r.at(account, chatID, responseID)
		if err != nil {
			return err
		}
		for i := range turns {
			if t := &turns[i]; t.isAt(account, chatID, responseID) {
				t.Aliases = nil
				found = t.Turn
				return nil
			}
		}
		return session.ErrNotFound
	})
	return found, err
}

func (t *storedTurn) isAt(account session.Digest, chat, response string) bool {
	return t.Account == account && t.ChatID == chat && t.ResponseID == response
}

// Chat implements session.Store.
func (s *Store) Chat(ctx context.Context, account session.Digest, chatID string) (c session.Chat, err error) {
	err = s.read(ctx, func(r *reader) error {
		found, _, ok, err := r.look(account, chatID)
		if err == nil && !ok {
			err = session.ErrNotFound
		}
		c = found
		return err
	})
	return c, err
}

// IdleChats implements session.Store.
func (s *Store) IdleChats(ctx context.Context, account session.Digest, before time.Time, limit int) (idle []session.Chat, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = s.read(ctx, func(r *reader) error {
		idle, err = r.idleChats(account, before, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return idle, nil
}

func (r *reader) idleChats(account session.Digest, before time.Time, limit int) (idle []session.Chat, err error) {
	rows, err := r.idle.Query(account[:], before.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		added, err := scanChat(rows)
		if err != nil {
			return nil, err
		}
		if added.Account != account || !added.Disposable {
			return nil, damaged("a chat was found that was not looked for")
		}
		// The others were used later than they were added.
		if len(idle) >= limit && !idle[limit-1].Used.After(added.Used) {
			break
		}
		turns, err := r.turnsOf(added.Account, added.ID)
		if err != nil {
			return nil, err
		}
		if c, _ := chatInfo(&added, turns); c.Used.Before(before) {
			idle = append(idle, c)
			slices.SortStableFunc(idle, func(a, b session.Chat) int { return a.Used.Compare(b.Used) })
		}
	}
	return idle[:min(limit, len(idle))], rows.Err()
}
