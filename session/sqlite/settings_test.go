package sqlite

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func TestSettings(t *testing.T) {
	pragma := func(t *testing.T, l *lab, name string) (value string) {
		t.Helper()
		l.works()
		err := l.write(ctx, job{op: func(*writer) error {
			return l.handle.Load().conns[0].QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for _, test := range []struct {
		name, pragma, want string
		full               bool
	}{
		{"D15 by default a power failure may cost the last turns", "synchronous", "1", false},
		{"D15 full costs none", "synchronous", "2", true},
		{"D17 the log is cut to 64 MiB", "journal_size_limit", "67108864", false},
		{"D17 memory is bounded", "cache_size", "-8192", false},
		{"D03 the wait for a lock ends before the patience", "busy_timeout", "16000", false},
		{"write-ahead logging", "journal_mode", "wal", false},
		{"references are looked after", "foreign_keys", "1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, storePath(t), func(o *Options, _ *hooks) { o.Full = test.full })
			if got := pragma(t, l, test.pragma); got != test.want {
				t.Errorf("%s is %s", test.pragma, got)
			}
		})
	}

	t.Run("D20 a file system without write-ahead logging", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("there is no such VFS on Windows")
		}
		path := storePath(t)
		l := newLab(t, path, func(_ *Options, h *hooks) { h.vfs = "unix-dotfile" })
		l.works()
		l.await(KindNoWAL)
		l.quiet()
		if got := pragma(t, l, "journal_mode"); got != "delete" {
			t.Errorf("journal_mode is %s", got)
		}
		if got := pragma(t, l, "synchronous"); got != "2" {
			t.Errorf("synchronous is %s", got)
		}
		_ = l.Close()
		newLab(t, path).works() // and with it again
	})
}

// What is in the file: digests, ids and times, and of uploaded files what a
// session.File has. Whoever adds a column must think about whether it may hold text
// of a message or a secret.
func TestColumns(t *testing.T) {
	path := storePath(t)
	mustFill(t, path, 1)
	rows, err := mustRaw(t, path, "").Query(`SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	want := strings.Fields(`aliases.key aliases.time aliases.turn
		chats.account chats.chat chats.created chats.disposable chats.model chats.place chats.tenant chats.used
		file_numbers.account file_numbers.number file_numbers.tenant
		files.account files.created files.data files.expires files.file files.hash files.id files.purpose files.tenant files.url
		turns.continued turns.data turns.id turns.key turns.time`)
	if !slices.Equal(got, want) {
		t.Errorf("D19 the file holds %v", got)
	}
}

// A row that is not the one asked for is never given to a caller.
func TestRowsAreCheckedAgain(t *testing.T) {
	one, other := testTurn("c", "r", "", 1), testTurn("d", "s", "", 2)
	for name, change := range map[string]string{
		"its key is that of another":    fmt.Sprintf("UPDATE turns SET key = %d", keyOf(other.Key)),
		"its place is that of another":  fmt.Sprintf("UPDATE turns SET id = %d", turnID(other.Account, "d", "s")),
		"its alias is that of another":  fmt.Sprintf("UPDATE aliases SET key = %d", aliasKey(other.Aliases[0])),
		"a bit of it has changed":       "UPDATE turns SET data = substr(data, 1, 60) || x'5a' || substr(data, 62)",
		"its end is missing":            "UPDATE turns SET data = substr(data, 1, length(data) - 1)",
		"it has nothing":                "UPDATE turns SET data = x''",
		"its time is no number of time": "UPDATE turns SET time = 'never'",
	} {
		t.Run("D18 "+name, func(t *testing.T) {
			path := storePath(t)
			l := newLab(t, path)
			l.record(one)
			_ = l.Close()
			db := mustRaw(t, path, "")
			mustExec(t, db, change)
			_ = db.Close()
			l = newLab(t, path)
			l.await(KindOpened)
			for _, find := range []func() error{
				func() error { _, err := l.Find(ctx, one.Key, 1); return err },
				func() error { _, err := l.Find(ctx, other.Key, 1); return err },
				func() error { _, err := l.FindAlias(ctx, other.Aliases[0], 1); return err },
				func() error { _, err := l.Turn(ctx, other.Account, "d", "s"); return err },
			} {
				if err := find(); err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("error: %v", err)
				}
			}
			l.await(KindCorrupt)
		})
	}
}

// The same holds for files.
func TestFileRowsAreCheckedAgain(t *testing.T) {
	one, other := testFile("f", 1), testFile("g", 2)
	other.Tenant = "bob"
	now := one.Created
	for name, change := range map[string]string{
		"its tenant is another":   "UPDATE files SET tenant = 'bob'",
		"its account is another":  "UPDATE files SET account = zeroblob(16)",
		"its id is another":       "UPDATE files SET file = 'g'",
		"its purpose is another":  "UPDATE files SET purpose = 'other'",
		"its URL is another's":    fmt.Sprintf("UPDATE files SET url = %d", urlKey(testAccount, "bob", other.URL)),
		"its URL is another":      fmt.Sprintf("UPDATE files SET url = %d", urlKey(testAccount, "ann", other.URL)),
		"its hash is another":     fmt.Sprintf("UPDATE files SET hash = %d", hashKey(testAccount, "ann", other.Hash)),
		"a bit of it has changed": "UPDATE files SET data = substr(data, 1, 60) || x'5a' || substr(data, 62)",
		"it has nothing":          "UPDATE files SET data = x''",
		"its time is no time":     "UPDATE files SET created = 'never'",
		"it is a turn":            "UPDATE files SET data = (SELECT data FROM turns)",
	} {
		t.Run("D18 "+name, func(t *testing.T) {
			path := storePath(t)
			l := newLab(t, path)
			l.record(testTurn("c", "r", "", 1))
			if err := l.AddFile(ctx, one); err != nil {
				t.Fatal(err)
			}
			_ = l.Close()
			db := mustRaw(t, path, "")
			mustExec(t, db, change)
			_ = db.Close()
			l = newLab(t, path)
			l.await(KindOpened)
			check := func(f session.File, err error) {
				t.Helper()
				if err == nil || !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("file %+v, %v", f, err)
				}
			}
			for _, f := range []session.File{one, other} {
				for _, id := range []string{"f", "g"} {
					if got, err := l.File(ctx, testAccount, f.Tenant, id, now); err != nil || got != one {
						check(got, err)
					}
				}
				if got, err := l.FileByURL(ctx, testAccount, f.Tenant, other.URL, now); err != nil || got != one {
					check(got, err)
				}
			}
			zero, err := l.File(ctx, session.Digest{}, "ann", "f", now)
			check(zero, err)
			_, _ = l.FileByURL(ctx, testAccount, "ann", other.URL, now)
			_, _ = l.FileByHash(ctx, testAccount, "ann", other.Hash, now, now)
			_, _, _ = l.Files(ctx, testAccount, "ann", session.FileQuery{Limit: 5, Purpose: "other"}, now)
			l.await(KindCorrupt)
		})
	}
}
