package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var errMigration = errors.New("a migration that fails")

// later adds migrations to those there are.
func later(more ...migration) func(*Options, *hooks) {
	return func(_ *Options, h *hooks) {
		h.migrations = append(h.migrations[:len(h.migrations):len(h.migrations)], more...)
	}
}

var extra = statements("CREATE TABLE extra (text); INSERT INTO extra VALUES ('done')")

func version(t *testing.T, path string) (version, tables int) {
	t.Helper()
	db := mustRaw(t, path, "mode=ro")
	defer db.Close()
	err := db.QueryRow("SELECT (SELECT user_version FROM pragma_user_version), count(*) FROM sqlite_schema WHERE name = 'extra'").
		Scan(&version, &tables)
	if err != nil {
		t.Fatal(err)
	}
	return version, tables
}

func TestMigration(t *testing.T) {
	t.Run("D16 an older file is copied, then brought to the new version", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "it's a store.db")
		turns := mustFill(t, path, 20)
		l := newLab(t, path, later(extra))
		l.has(turns[5])
		l.await(KindOpened)
		n := l.await(KindMigrated)
		l.quiet()
		_ = l.Close()
		if v, tables := version(t, path); v != len(migrations)+1 || tables != 1 {
			t.Errorf("version %d, %d tables", v, tables)
		}
		if !strings.HasPrefix(n.Kept, fmt.Sprintf("%s.v%d-", path, len(migrations))) {
			t.Errorf("kept %s", n.Kept)
		}
		if v, tables := version(t, n.Kept); v != len(migrations) || tables != 0 {
			t.Errorf("the copy has version %d and %d tables", v, tables)
		}
		if got := perm(t, n.Kept); got != 0o600 {
			t.Errorf("the copy has the mode %o", got)
		}
		c := newLab(t, n.Kept)
		c.has(turns[5])
		// The second time there is nothing to do.
		l = newLab(t, path, later(extra))
		l.has(turns[5])
		l.await(KindOpened)
		l.quiet()
	})

	t.Run("D16 a new file needs no copy", func(t *testing.T) {
		path := storePath(t)
		l := newLab(t, path, later(extra))
		l.works()
		l.await(KindCreated)
		l.quiet()
		if kept, _ := filepath.Glob(path + ".v*"); len(kept) > 0 {
			t.Errorf("kept %v", kept)
		}
	})

	t.Run("D16 a newer file is not touched", func(t *testing.T) {
		path := storePath(t)
		o := newLab(t, path, later(extra))
		o.works()
		_ = o.Close()
		before := mustRead(t, path)
		l := newLab(t, path)
		l.refuses()
		l.await(KindNewer)
		l.fails()
		l.retry()
		l.fails()
		l.quiet()
		_ = l.Close()
		if mustRead(t, path) != before {
			t.Error("it was changed")
		}
	})

	t.Run("D16 a migration that fails leaves the file as it was", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 20)
		l := newLab(t, path, later(extra, func(context.Context, *sql.Conn) error { return errMigration }))
		l.refuses()
		if n := l.await(KindFailed); !errors.Is(n.Err, errMigration) {
			t.Errorf("notice %+v", n)
		}
		_ = l.Close()
		if v, tables := version(t, path); v != len(migrations) || tables != 0 {
			t.Errorf("version %d, %d tables", v, tables)
		}
		newLab(t, path).has(turns[5])
	})

	t.Run("D16 a crash in a migration leaves the file as it was", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 20)
		if err := child(t, "migrate", path, 0).Run(); err == nil {
			t.Fatal("the process was not killed")
		}
		if kept, err := filepath.Glob(path + ".v*"); err != nil || len(kept) != 1 {
			t.Errorf("kept %v, %v", kept, err)
		}
		l := newLab(t, path)
		l.has(turns[5])
		_ = l.Close()
		if v, tables := version(t, path); v != len(migrations) || tables != 0 {
			t.Errorf("version %d, %d tables", v, tables)
		}
		integrity(t, path)
		newLab(t, path, later(extra)).has(turns[5])
	})

	t.Run("D16 of two at once the second waits and finds it done", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 20)
		var mu sync.Mutex
		done := 0
		began, end := make(chan struct{}, 2), make(chan struct{})
		slow := func(ctx context.Context, conn *sql.Conn) error {
			began <- struct{}{}
			<-end
			mu.Lock()
			defer mu.Unlock()
			done++
			return extra(ctx, conn)
		}
		patient := func(_ *Options, h *hooks) { h.lockWait = 30 * time.Second }
		one, two := newLab(t, path, later(slow), patient), newLab(t, path, later(slow), patient)
		<-began
		close(end)
		one.has(turns[5])
		two.has(turns[5])
		one.works()
		two.works()
		if done != 1 {
			t.Errorf("migrated %d times", done)
		}
	})
}

func TestOpenFile(t *testing.T) {
	corrupt, empty, foreign, newer := storePath(t), storePath(t), storePath(t), storePath(t)
	mustWrite(t, corrupt, strings.Repeat("this is no database. ", 500))
	mustWrite(t, empty, "")
	mustExec(t, mustRaw(t, foreign, ""), "CREATE TABLE notes (text)")
	n := newLab(t, newer, later(extra))
	n.works()
	_ = n.Close()
	for name, path := range map[string]string{
		"no file": storePath(t), "a directory": t.TempDir(), "no database": corrupt,
		"an empty file": empty, "another program's": foreign, "of a newer version": newer,
	} {
		t.Run(name, func(t *testing.T) {
			before, beforeErr := os.ReadFile(path)
			s, err := OpenFile(path)
			if err == nil {
				t.Errorf("%v was opened", s.Close())
			} else if !strings.Contains(err.Error(), path) {
				t.Errorf("error: %v", err)
			}
			after, afterErr := os.ReadFile(path)
			if string(before) != string(after) || (beforeErr == nil) != (afterErr == nil) {
				t.Error("it was changed")
			}
			if kept, _ := filepath.Glob(path + ".*"); len(kept) > 0 {
				t.Errorf("there is %v", kept)
			}
		})
	}
}
