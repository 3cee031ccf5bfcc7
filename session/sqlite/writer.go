package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

const (
	// maxQueue is how many writes may wait.
	maxQueue = 256
	// maxBatch is how many writes are committed together.
	maxBatch = 64
)

// job is a write that a caller waits for.
type job struct {
	op func(*writer) error
	// single does the same with one statement, or reports that it has done
	// nothing. Optional.
	single func(*writer) (done bool, err error)
	result chan error // has room for it
}

// writer is the connection that writes.
type writer struct {
	common
	begin, commit, rollback           *sql.Stmt
	addTurn, addNext                  *sql.Stmt
	putTurn, continued                *sql.Stmt
	dropTurn, addAlias, dropAlias     *sql.Stmt
	addChat, dropChat, dropUnused     *sql.Stmt
	useChat                           *sql.Stmt
	addFile, trimFiles                *sql.Stmt
	dropFile, dropOldFile             *sql.Stmt
	count                             *sql.Stmt
	wipeAliases, wipeTurns, wipeChats *sql.Stmt
	wipeFiles                         *sql.Stmt
}

// isNew holds if the turn ?1 cannot be in the file yet, and isParent for the one at
// the place ?5 ?6 unless it was continued before.
const (
	isNew    = "NOT EXISTS (SELECT 1 FROM turns WHERE id BETWEEN ?1 AND ?1 + 7)"
	isParent = "id BETWEEN ?5 AND ?5 + 7 AND continued = 0 AND substr(data, 1, length(?6)) = ?6"
)

func (w *writer) texts() map[**sql.Stmt]string {
	texts := map[**sql.Stmt]string{
		&w.begin: "BEGIN IMMEDIATE", &w.commit: "COMMIT", &w.rollback: "ROLLBACK",

		&w.addTurn: "INSERT INTO turns (id, key, time, data) SELECT ?1, ?2, ?3, ?4 WHERE " + isNew,
		// The parent is added, too, and so comes under the rule for conflicts.
		&w.addNext: "INSERT INTO turns (id, key, time, continued, data) SELECT ?1, ?2, ?3, 0, ?4 WHERE " + isNew +
			" UNION ALL SELECT id, key, time, 1, data FROM turns WHERE " + isParent + " AND " + isNew +
			" ON CONFLICT (id) DO UPDATE SET continued = 1",
		&w.putTurn:   "INSERT INTO turns (id, key, time, data) VALUES (?, ?, ?, ?)",
		&w.continued: "UPDATE turns SET continued = 1 WHERE " + isParent,
		&w.dropTurn:  "DELETE FROM turns WHERE id = ?",
		&w.addAlias:  "INSERT OR IGNORE INTO aliases (key, time, turn) VALUES (?, ?, ?)",
		&w.dropAlias: "DELETE FROM aliases WHERE key = ? AND time = ? AND turn = ?",

		&w.addChat: "INSERT INTO chats (place, " + chatColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET used = max(used, excluded.used)`,
		&w.dropChat:   "DELETE FROM chats WHERE place = ? AND account = ? AND chat = ?",
		&w.dropUnused: "DELETE FROM chats WHERE place = ? AND account = ? AND chat = ? AND used < ? AND disposable = 0 AND " + noTurns,
		&w.useChat:    "UPDATE chats SET used = ? WHERE place = ? AND account = ? AND chat = ? AND used < ?1 AND tenant = ?",

		&w.addFile: "INSERT INTO files (" + fileKeys + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) " +
			"ON CONFLICT (account, file) DO UPDATE SET (" + fileKeys + ") = (" + excluded(fileKeys) + ") WHERE tenant = excluded.tenant",
		&w.trimFiles: fmt.Sprintf("DELETE FROM files WHERE id IN (SELECT id FROM files WHERE account = ?1 AND tenant = ?2 "+
			"ORDER BY created, file LIMIT (SELECT max(0, sum(number) - %d) FROM file_numbers WHERE account = ?1 AND tenant = ?2))", maxFiles),
		&w.dropFile:    "DELETE FROM files WHERE account = ? AND tenant = ? AND file = ?",
		&w.dropOldFile: "DELETE FROM files WHERE " + oldFiles + " AND id = ?3",

		&w.count:       countAll,
		&w.wipeAliases: "DELETE FROM aliases", &w.wipeTurns: "DELETE FROM turns", &w.wipeChats: "DELETE FROM chats",
		&w.wipeFiles: "DELETE FROM files",
	}
	maps.Copy(texts, w.common.texts())
	return texts
}

func newWriter(ctx context.Context, conn *link, busy time.Duration) (*writer, error) {
	w := new(writer)
	if err := conn.prepareAll(ctx, w.texts()); err != nil {
		return nil, err
	}
	return w, conn.setBusyTimeout(ctx, busy)
}

// run is the store's goroutine: it opens the file, writes to it and opens it
// again when it has failed.
func (s *Store) run() {
	defer close(s.gone)
	for s.ctx.Err() == nil {
		err := guard(s.once)
		if s.ctx.Err() == nil {
			s.failed(err)
		}
	}
	s.setReason(errors.New("it is closed"))
	s.settle.Do(func() { close(s.settled) })
}

// once opens the file and serves it until it fails.
func (s *Store) once() error {
	h, err := s.open(s.ctx)
	if err != nil {
		return err
	}
	s.handle.Store(h)
	s.settle.Do(func() { close(s.settled) })
	s.recovered()
	return s.leave(h, guard(func() error { return s.serve(h) }))
}

// guard calls a function and makes an error of a panic in it, which in a goroutine
// of the store's own would end the process. Of the panic's value, which may be
// anything, the error tells only the type.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &failure{KindFailed, fmt.Errorf("a fault of the program (panic with a %T), at %s", v, debug.Stack())}
		}
	}()
	return f()
}

// failed waits before the file is opened again, but not after the first failure
// of a file that was open, or if a damaged one was just put out of the way.
func (s *Store) failed(err error) {
	s.setReason(err)
	s.troubled(err)
	first := s.failures == 0
	s.failures++
	var moved *quarantined
	if first && (errors.As(err, &moved) || KindOf(err) == KindReplaced) {
		return
	}
	s.settle.Do(func() { close(s.settled) })
	s.rest()
}

// serve does what the store's goroutine has to do until the store is closed or
// the file fails.
func (s *Store) serve(h *handle) error {
	minute, stopMinute := s.hooks.every(time.Minute)
	defer stopMinute()
	day, stopDay := s.hooks.every(24 * time.Hour)
	defer stopDay()
	for {
		if len(s.queue) > 0 {
			h.wake()
		}
		var err error
		select {
		case <-s.ctx.Done():
			s.finish(h)
			return nil
		case err = <-h.broken:
		case <-h.more:
			runtime.Gosched() // more may come who can be served together
			h.writing.Lock()
			s.batchLocked(h)
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
func (s *Store) finish(h *handle) {
	h.writing.Lock()
	defer h.writing.Unlock()
	for len(s.queue) > 0 && !h.left {
		s.batch(h)
	}
	h.left = true
}

// leave closes a file that has failed, and puts a damaged one out of the way.
func (s *Store) leave(h *handle, err error) error {
	if err != nil {
		s.setReason(err)
	}
	s.handle.Store(nil)
	h.writing.Lock()
	h.left = true
	h.writing.Unlock()
	h.close()
	switch {
	case err == nil || s.hooks.tool:
	case KindOf(err) == KindCorrupt:
		return s.quarantine(h, err)
	case KindOf(err) == KindReplaced:
		s.leaveBehind(h)
	}
	return err
}

// batch commits writes that are waiting. Who calls it holds h.writing.
func (s *Store) batch(h *handle) {
	var room [maxBatch]job
	jobs := room[:0]
	for len(jobs) < maxBatch && !h.left {
		select {
		case j := <-s.queue:
			jobs = append(jobs, j)
			continue
		default:
		}
		break
	}
	if len(jobs) == 0 {
		return
	}
	begin := time.Now()
	results := make([]error, len(jobs))
	err := guard(func() error { return h.writer.run(jobs, results) })
	h.slow.Store(time.Since(begin) > s.options.Patience/4)
	if err != nil {
		s.failedBatch(h, err)
		for i := range results {
			results[i] = unavailable(err)
		}
	} else {
		s.recovered()
	}
	for i := range jobs {
		jobs[i].result <- results[i]
	}
}

// failedBatch does what the error of a batch means for the store.
func (s *Store) failedBatch(h *handle, err error) {
	if passing(err) {
		s.troubled(err)
		return
	}
	if moved := h.moved(); moved != nil {
		err = moved
	}
	h.left = true
	s.drop(h, err)
}

// run does all jobs or, with an error, none. A job that is refused for a reason of
// its own has changed nothing and does not spoil the others.
func (w *writer) run(jobs []job, results []error) (err error) {
	if len(jobs) == 1 && jobs[0].single != nil {
		if done, err := jobs[0].single(w); done || err != nil {
			return err
		}
	}
	if _, err := w.begin.Exec(); err != nil {
		return err
	}
	for i := range jobs {
		err = jobs[i].op(w)
		if results[i] = err; err != nil && !refused(err) {
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

// refused tells that a job was not done for a reason of its own.
func refused(err error) bool {
	return errors.Is(err, errNoID) || errors.Is(err, session.ErrTaken) || errors.Is(err, session.ErrNotFound)
}

// write has a job done and waits for it, not longer than the store's patience.
// What was not acknowledged may still be written.
//
// Who finds that nobody writes does it himself, also what others wait for: that
// costs less than leaving it to another goroutine. He has to be patient with the
// disk, so when that is slow, only the store's goroutine writes.
func (s *Store) write(ctx context.Context, j job) error {
	timer := time.NewTimer(s.options.Patience)
	defer timer.Stop()
	h, err := s.current(ctx, timer.C)
	if err != nil {
		return err
	}
	j.result = make(chan error, 1)
	select {
	case s.queue <- j:
	default:
		return unavailable(errors.New("too many writes are waiting"))
	}
	if now := s.handle.Load(); now != nil {
		h = now // the file may have been opened again meanwhile
	}
	if h.slow.Load() {
		h.wake()
	} else if h.writing.TryLock() {
		s.batchLocked(h)
		if len(s.queue) > 0 {
			h.wake() // for those who came meanwhile
		}
	}
	return s.wait(ctx, timer.C, j.result)
}

// batchLocked is batch for who has locked the handle for writing.
func (s *Store) batchLocked(h *handle) {
	defer h.writing.Unlock()
	s.batch(h)
}

// wait returns the result of a job.
func (s *Store) wait(ctx context.Context, timer <-chan time.Time, result <-chan error) error {
	select {
	case err := <-result:
		return err
	default:
	}
	select {
	case err := <-result:
		return err
	case <-timer:
		return unavailable(errors.New("it takes too long"))
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
	}
	select {
	case err := <-result: // it was among the last
		return err
	default:
		return s.unavailable()
	}
}
