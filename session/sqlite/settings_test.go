package sqlite

import (
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
		err := l.write(ctx, func(*writer) error {
			return l.handle.Load().conns[0].QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
		})
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

// What is in the file: digests, ids and times. Whoever adds a column must think
// about whether it may hold text of a message or a secret.
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
	want := strings.Fields(`aliases.key aliases.turn
		chats.account chats.chat chats.created chats.disposable chats.id chats.model chats.orphans chats.tenant chats.used
		turns.aliases turns.chain turns.chat turns.continued turns.id turns.indexed turns.loose turns.messages turns.model
		turns.pair turns.parent turns.partial turns.response turns.time turns.variants`)
	if !slices.Equal(got, want) {
		t.Errorf("D19 the file holds %v", got)
	}
}

// A row that is not the one asked for is never given to a caller.
func TestRowsAreCheckedAgain(t *testing.T) {
	one := storedTurn{Turn: testTurn("c", "r", "", 1)}
	for index, k := range map[session.Index]session.Digest{
		session.IndexChain: one.Chain, session.IndexLoose: one.Loose,
		session.IndexPair: one.Pair, session.IndexAlias: one.Aliases[0],
	} {
		if found, err := inOrder([]storedTurn{one}, index, k); err != nil || len(found) != 1 {
			t.Errorf("D18 index %d: %v", index, err)
		}
		if found, err := inOrder([]storedTurn{one}, index, testKey(99)); kindOf(err) != KindCorrupt || found != nil {
			t.Errorf("D18 index %d, another key: %d turns, %v", index, len(found), err)
		}
	}
	one.Indexed = false
	for _, index := range []session.Index{session.IndexLoose, session.IndexPair} {
		k := map[session.Index]session.Digest{session.IndexLoose: one.Loose, session.IndexPair: one.Pair}[index]
		if _, err := inOrder([]storedTurn{one}, index, k); kindOf(err) != KindCorrupt {
			t.Errorf("D18 index %d, not indexed: %v", index, err)
		}
	}
}
