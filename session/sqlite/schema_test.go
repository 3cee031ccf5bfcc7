package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
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
		if kept, _ := filepath.Glob(path + ".*"); len(kept) > 0 {
			t.Errorf("kept %v of a file that has not changed", kept)
		}
		newLab(t, path).has(turns[5])
	})

	t.Run("D16 nothing is left of a copy that fails", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 20)
		before := mustRead(t, path)
		stuck := func(_ *Options, h *hooks) { // SQLite does not copy to a file with content
			h.copying = func(kept string) { mustWrite(t, kept, "this is no empty file") }
		}
		l := newLab(t, path, later(extra), stuck)
		l.refuses()
		l.await(KindFailed)
		l.fails()
		l.retry()
		l.fails()
		l.quiet()
		_ = l.Close()
		if kept, _ := filepath.Glob(path + ".*"); len(kept) > 0 {
			t.Errorf("there is %v", kept)
		}
		if mustRead(t, path) != before {
			t.Error("the file has changed")
		}
		newLab(t, path, later(extra)).has(turns[5])
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
		if kept, _ := filepath.Glob(path + ".v*"); len(kept) != 1 {
			t.Errorf("kept %v", kept)
		}
	})
}

// versionOne is a file that was made when there was only the first version: three
// chats of four turns each, the last of which was added, too, and two that were
// only added.
const versionOne = "testdata/version1.db"

func TestVersionOne(t *testing.T) {
	text := mustRead(t, versionOne)
	path := storePath(t)
	mustWrite(t, path, text)
	l := newLab(t, path)
	l.await(KindOpened)
	n := l.await(KindMigrated)
	if v, _ := version(t, path); v != len(migrations) {
		t.Errorf("version %d", v)
	}
	checkVersionOne(t, l)
	one := testFile("f", 1)
	if err := l.AddFile(ctx, one); err != nil {
		t.Fatal(err)
	}
	l.hasFile(one)
	l.works()
	l.quiet()
	_ = l.Close()
	integrity(t, path)
	l = newLab(t, path)
	checkVersionOne(t, l)
	l.hasFile(one)

	if v, _ := version(t, n.Kept); v != 1 {
		t.Errorf("the copy has version %d", v)
	}
	l = newLab(t, n.Kept) // it can take the place of the file again
	checkVersionOne(t, l)
}

func checkVersionOne(t *testing.T, l *lab) {
	t.Helper()
	for n := range 12 {
		parent := ""
		if n%4 > 0 {
			parent = fmt.Sprint("r", n-1)
		}
		want := testTurn(fmt.Sprint("c", n/4), fmt.Sprint("r", n), parent, n)
		found, err := l.Find(ctx, want.Key, 2)
		if err != nil || len(found) != 1 {
			t.Fatalf("turn %d: %d found, %v", n, len(found), err)
		}
		alias, err := l.FindAlias(ctx, want.Aliases[0], 2)
		if err != nil || len(alias) != 1 || !reflect.DeepEqual(alias[0], found[0]) {
			t.Errorf("turn %d by its alias: %d found, %v", n, len(alias), err)
		}
		want.Aliases, want.Continued, want.Time = nil, n%4 < 3, want.Time.UTC()
		if !reflect.DeepEqual(found[0], want) {
			t.Errorf("got  %+v\nwant %+v", found[0], want)
		}
	}
	for n := range 3 {
		want := session.Chat{Account: testAccount, ID: fmt.Sprint("c", n+2), Tenant: "ann", Model: "m", Disposable: n > 0,
			Created: time.UnixMilli(1_900_000_000_000).UTC(), Used: time.UnixMilli(1_900_000_000_100 + int64(n)).UTC()}
		if got, err := l.Chat(ctx, testAccount, want.ID); err != nil || got != want {
			t.Errorf("got %+v, want %+v, %v", got, want, err)
		}
	}
}

// What a version has made of a file must not change any more: there are such files.
func TestMigrationsStay(t *testing.T) {
	old := storePath(t)
	mustWrite(t, old, mustRead(t, versionOne))
	db := mustRaw(t, storePath(t), "")
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migrations[0](ctx, conn); err != nil {
		t.Fatal(err)
	}
	const all = "SELECT group_concat(type || name || coalesce(sql, ''), char(10)) FROM (SELECT * FROM sqlite_schema ORDER BY name)"
	var got, want string
	if err := conn.QueryRowContext(ctx, all).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if err := mustRaw(t, old, "").QueryRow(all).Scan(&want); err != nil || got != want || want == "" {
		t.Errorf("the first version makes\n%s\nnot\n%s\n%v", got, want, err)
	}
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
