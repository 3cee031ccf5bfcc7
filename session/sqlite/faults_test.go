package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func TestNewFile(t *testing.T) {
	t.Run("D01 without a file a private one is made", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "store ?#%20'.db")
		l := newLab(t, path)
		l.works()
		l.await(KindCreated)
		l.quiet()
		if runtime.GOOS == "windows" {
			t.Skip("modes mean nothing on Windows")
		}
		for name, want := range map[string]os.FileMode{
			"": 0o600, "-wal": 0o600, "-shm": 0o600,
		} {
			if got := perm(t, path+name); got != want {
				t.Errorf("%q has the mode %o", name, got)
			}
		}
		if got := perm(t, filepath.Dir(path)); got != 0o700 {
			t.Errorf("the directory has the mode %o", got)
		}
		// Closing leaves one file.
		_ = l.Close()
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("there is %v, %v", entries, err)
		}
	})

	t.Run("D11 a file of no length is told", func(t *testing.T) {
		path := storePath(t)
		mustWrite(t, path, "")
		l := newLab(t, path)
		l.works()
		l.await(KindEmpty)
		l.quiet()
	})

	t.Run("others may not read an existing file", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("modes mean nothing on Windows")
		}
		path := storePath(t)
		turns := mustFill(t, path, 3)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		l := newLab(t, path)
		l.has(turns[2])
		if n := l.await(KindPermissions); n.Err != nil {
			t.Error(n.Err)
		}
		l.await(KindOpened)
		l.quiet()
		if got := perm(t, path); got != 0o600 {
			t.Errorf("mode %o", got)
		}
	})

	t.Run("a symbolic link is followed", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 3)
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(path, link); err != nil {
			t.Skip(err)
		}
		l := newLab(t, link)
		l.has(turns[2])
		if _, err := os.Stat(path + "-wal"); err != nil {
			t.Error(err)
		}
	})
}

func TestCannotOpen(t *testing.T) {
	t.Run("D02 the path is a directory", func(t *testing.T) {
		path := storePath(t)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		l := newLab(t, path)
		l.refuses()
		l.await(KindFailed)
		l.fails()
		for range 3 {
			l.retry()
			l.fails()
			l.refuses()
		}
		l.quiet()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		l.retry()
		l.await(KindCreated)
		l.await(KindAvailable)
		l.works()
		l.quiet()
	})

	t.Run("D02 the directory cannot be made", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		mustWrite(t, file, "text")
		l := newLab(t, filepath.Join(file, "store.db"))
		l.refuses()
		l.await(KindFailed)
		l.quiet()
	})

	t.Run("a database of another program is left alone", func(t *testing.T) {
		path := storePath(t)
		db := mustRaw(t, path, "")
		mustExec(t, db, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine'); PRAGMA user_version = 1")
		_ = db.Close()
		before := mustRead(t, path)
		l := newLab(t, path)
		l.refuses()
		l.await(KindForeign)
		l.fails()
		l.retry()
		l.fails()
		l.refuses()
		l.quiet()
		if mustRead(t, path) != before {
			t.Error("it was changed")
		}
	})

	t.Run("New returns at once and Close ends an opening", func(t *testing.T) {
		path := storePath(t)
		mustFill(t, path, 3)
		db := mustRaw(t, path, "_pragma=locking_mode(EXCLUSIVE)")
		mustExec(t, db, "BEGIN EXCLUSIVE")
		l := newLab(t, path, func(o *Options, h *hooks) { h.lockWait = time.Hour; o.Patience = 20 * time.Millisecond })
		l.refuses()
		begin := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("closing took %v", took)
		}
		l.quiet()
	})
}

func TestLocked(t *testing.T) {
	t.Run("D03 locked by somebody else: the usual patience, then unavailable", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 3)
		l := newLab(t, path, func(o *Options, _ *hooks) { o.Patience = 0 })
		l.await(KindOpened)
		db := mustRaw(t, path, "")
		mustExec(t, db, "BEGIN IMMEDIATE")
		for range 3 {
			begin := time.Now()
			err := l.Record(ctx, testTurn("late", "r", "", 50))
			if !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("error: %v", err)
			}
			if took := time.Since(begin); took > DefaultPatience+2*time.Second {
				t.Errorf("it took %v", took)
			}
			l.has(turns[1]) // reading goes on
		}
		l.await(KindLocked)
		l.quiet()
		mustExec(t, db, "ROLLBACK")
		for errors.Is(l.Record(ctx, testTurn("late", "r", "", 50)), session.ErrUnavailable) {
		}
		l.await(KindAvailable)
		l.quiet()
		l.has(testTurn("late", "r", "", 50))
	})

	t.Run("D03 locked when it is opened", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 3)
		db := mustRaw(t, path, "_pragma=locking_mode(EXCLUSIVE)")
		mustExec(t, db, "BEGIN EXCLUSIVE; COMMIT")
		l := newLab(t, path)
		l.refuses()
		l.await(KindLocked)
		l.fails()
		l.retry()
		l.fails()
		l.refuses()
		l.quiet()
		_ = db.Close()
		l.retry()
		l.await(KindAvailable)
		l.has(turns[2])
	})

	t.Run("a full queue is unavailable at once", func(t *testing.T) {
		l := newLab(t, storePath(t))
		l.works()
		release := l.stall()
		defer release()
		for range maxQueue {
			l.queue <- job{op: func(*writer) error { return nil }, result: make(chan error, 1)}
		}
		l.options.Patience = time.Hour
		if err := l.Record(ctx, testTurn("c", "r", "", 1)); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("error: %v", err)
		}
	})

	t.Run("readers wait for a free one no longer than their patience", func(t *testing.T) {
		l := newLab(t, storePath(t), func(o *Options, _ *hooks) { o.Patience = time.Second })
		l.works()
		h := l.handle.Load()
		var taken []*reader
		for range readers {
			taken = append(taken, <-h.readers)
		}
		if _, err := l.Find(ctx, testKeys(1), 1); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("error: %v", err)
		}
		for _, r := range taken {
			h.readers <- r
		}
		l.works()
	})
}

func TestBatch(t *testing.T) {
	t.Run("a write that is refused does not spoil the others", func(t *testing.T) {
		l := newLab(t, storePath(t))
		l.works()
		release := l.stall()
		results := make([]chan error, 5)
		for n := range results {
			one := testTurn("c", fmt.Sprint("r", n), "", n)
			op := newRow(&one).record
			if n%2 == 1 {
				op = func(*writer) error { return errNoID }
			}
			results[n] = make(chan error, 1)
			l.queue <- job{op: op, result: results[n]}
		}
		release()
		for n, result := range results {
			if err := <-result; (n%2 == 1) != errors.Is(err, errNoID) || (n%2 == 0) != (err == nil) {
				t.Errorf("write %d: %v", n, err)
			}
		}
		l.has(testTurn("c", "r4", "", 4))
	})

	t.Run("D14 a write whose outcome is unknown may be repeated", func(t *testing.T) {
		l := newLab(t, storePath(t))
		l.works()
		release := l.stall()
		one := testTurn("c", "r", "", 1)
		waiting, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if err := l.Record(waiting, one); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error: %v", err)
		}
		release()
		l.record(one, one)
		l.has(one)
		if stats, err := l.Stats(ctx); err != nil || stats.Turns != 2 {
			t.Errorf("%d turns, %v", stats.Turns, err)
		}
	})

	t.Run("D14 what waits when the store is closed is written", func(t *testing.T) {
		path := storePath(t)
		l := newLab(t, path)
		l.works()
		release := l.stall()
		one, done := testTurn("c", "r", "", 1), make(chan error, 1)
		l.queue <- job{op: newRow(&one).record, result: done}
		l.cancel()
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-l.gone
		newLab(t, path).has(one)
	})
}
