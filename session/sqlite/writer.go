package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

const (
	// maxQueue is how many writes may wait.
	maxQueue = 256
	// maxBatch is how many writes are committed together.
	maxBatch = 64
)

// errTenant says that a chat belongs to another caller.
var errTenant = errors.New("the chat belongs to another caller")

// job is a write that a caller waits for.
type job struct {
	op   func(*writer) error
	done chan error // has room for the answer
}

// writer is the connection that writes. Only the store's goroutine uses it.
type writer struct {
	begin, commit, rollback                     *sql.Stmt
	chat, addChat, useChat, touchChat, dropChat *sql.Stmt
	addTurn, continued, orphan, turnsOf         *sql.Stmt
	dropTurn, addAlias, dropAlias               *sql.Stmt
	countTurns, oldest, dropIdle                *sql.Stmt
	wipeAliases, wipeTurns, wipeChats           *sql.Stmt
}

func newWriter(ctx context.Context, conn *link, busy time.Duration) (*writer, error) {
	w := new(writer)
	err := conn.prepareAll(ctx, map[**sql.Stmt]string{
		&w.begin: "BEGIN IMMEDIATE", &w.commit: "COMMIT", &w.rollback: "ROLLBACK",

		&w.chat:      "SELECT id, tenant, orphans FROM chats WHERE account = ? AND chat = ?",
		&w.addChat:   "INSERT INTO chats (account, chat, tenant, model, disposable, created, used) VALUES (?, ?, ?, ?, ?, ?, ?)",
		&w.useChat:   "UPDATE chats SET used = ?2 WHERE id = ?1 AND used < ?2",
		&w.touchChat: "UPDATE chats SET orphans = 1 WHERE id = ?",
		&w.dropChat:  "DELETE FROM chats WHERE id = ?",

		&w.addTurn:   addTurn,
		&w.continued: "UPDATE turns SET continued = 1 WHERE chat = ? AND response = ?",
		&w.orphan:    "SELECT EXISTS (SELECT 1 FROM turns WHERE chat = ? AND parent = ?)",
		&w.turnsOf:   "SELECT id, aliases FROM turns WHERE chat = ?",
		&w.dropTurn:  "DELETE FROM turns WHERE id = ?",
		&w.addAlias:  "INSERT OR IGNORE INTO aliases (key, turn) VALUES (?, ?)",
		&w.dropAlias: "DELETE FROM aliases WHERE key = ? AND turn = ?",

		&w.countTurns: "SELECT count(*) FROM turns",
		&w.oldest:     "SELECT id, aliases FROM turns ORDER BY id LIMIT ?",
		&w.dropIdle: `DELETE FROM chats WHERE id IN (
			SELECT id FROM chats WHERE used < ? AND NOT EXISTS (SELECT 1 FROM turns WHERE turns.chat = chats.id)
			ORDER BY used LIMIT ?)`,

		&w.wipeAliases: "DELETE FROM aliases", &w.wipeTurns: "DELETE FROM turns", &w.wipeChats: "DELETE FROM chats",
	})
	if err != nil {
		return nil, err
	}
	return w, conn.setBusyTimeout(ctx, busy)
}

// run is the store's goroutine: it opens the file, writes to it and opens it
// again when it has failed.
func (s *Store) run() {
	defer close(s.gone)
	for s.ctx.Err() == nil {
		h, err := s.open(s.ctx)
		if err == nil {
			s.handle.Store(h)
			s.settle.Do(func() { close(s.settled) })
			s.recovered()
			err = s.leave(h, s.serve(h))
		}
		if s.ctx.Err() == nil {
			s.failed(err)
		}
	}
	s.setReason(errors.New("it is closed"))
	s.settle.Do(func() { close(s.settled) })
}

// failed waits before the file is opened again, but not after the first failure
// of a file that was open, or if a damaged one was just put out of the way.
func (s *Store) failed(err error) {
	s.setReason(err)
	s.troubled(err)
	first := s.failures == 0
	s.failures++
	var moved *quarantined
	if first && (errors.As(err, &moved) || kindOf(err) == KindReplaced) {
		return
	}
	s.settle.Do(func() { close(s.settled) })
	s.rest()
}

// serve writes until the store is closed or the file fails.
func (s *Store) serve(h *handle) error {
	minute, stopMinute := s.hooks.every(time.Minute)
	defer stopMinute()
	day, stopDay := s.hooks.every(24 * time.Hour)
	defer stopDay()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return s.finish(h)
		case err = <-h.broken:
		case first := <-s.queue:
			err = s.batch(h, first)
		case <-minute:
			s.failures = 0
			err = h.moved()
		case <-day:
			s.checkLater(h)
		}
		if err != nil {
			return err
		}
	}
}

// finish does what is waiting when the store is closed.
func (s *Store) finish(h *handle) error {
	for {
		select {
		case first := <-s.queue:
			if err := s.batch(h, first); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// leave closes a file that has failed, and puts a damaged one out of the way.
func (s *Store) leave(h *handle, err error) error {
	if err != nil {
		s.setReason(err)
	}
	s.handle.Store(nil)
	h.close()
	switch {
	case err == nil || s.hooks.tool:
	case kindOf(err) == KindCorrupt:
		return s.quarantine(h, err)
	case kindOf(err) == KindReplaced:
		s.leaveBehind(h)
	}
	return err
}

// batch commits a write together with those that are waiting. It returns an
// error if the file cannot be used any more.
func (s *Store) batch(h *handle, first job) error {
	jobs := []job{first}
	for len(jobs) < min(maxBatch, len(s.queue)+len(jobs)) {
		jobs = append(jobs, <-s.queue)
	}
	results := make([]error, len(jobs))
	err := h.writer.transaction(jobs, results)
	if err != nil {
		if !passing(err) {
			if moved := h.moved(); moved != nil {
				err = moved
			}
			s.drop(h, err)
		}
		for i := range results {
			results[i] = unavailable(err)
		}
	}
	for i, j := range jobs {
		j.done <- results[i]
	}
	switch {
	case err == nil:
		s.recovered()
	case passing(err):
		s.troubled(err)
	default:
		return err
	}
	return nil
}

// transaction runs all jobs or, with an error, none. A job that is refused for a
// reason of its own has changed nothing and does not spoil the others.
func (w *writer) transaction(jobs []job, results []error) (err error) {
	if _, err := w.begin.Exec(); err != nil {
		return err
	}
	for i, j := range jobs {
		err = j.op(w)
		if results[i] = err; err != nil && !errors.Is(err, errTenant) {
			break
		}
		err = nil
	}
	if err == nil {
		_, err = w.commit.Exec()
	}
	if err != nil {
		// After some errors SQLite has already done it, and says so.
		_, _ = w.rollback.Exec()
	}
	return err
}

// write has a job done and waits for it, not longer than the store's patience.
// What was not acknowledged may still be written.
func (s *Store) write(ctx context.Context, op func(*writer) error) error {
	timer := time.NewTimer(s.options.Patience)
	defer timer.Stop()
	if _, err := s.current(ctx, timer.C); err != nil {
		return err
	}
	j := job{op, make(chan error, 1)}
	select {
	case s.queue <- j:
	default:
		return unavailable(errors.New("too many writes are waiting"))
	}
	select {
	case err := <-j.done:
		return err
	case <-timer.C:
		return unavailable(errors.New("it takes too long"))
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
	}
	select {
	case err := <-j.done: // it was among the last
		return err
	default:
		return s.unavailable()
	}
}
