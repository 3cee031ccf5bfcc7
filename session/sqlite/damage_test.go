package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func TestDamage(t *testing.T) {
	garbage := strings.Repeat("this is no database. ", 500)
	for name, text := range map[string]string{
		"D08 a text file":                        garbage,
		"D08 a short text file":                  "hello",
		"D09 the first page is malformed":        "",
		"D09 the header is followed by nonsense": "SQLite format 3\x00" + garbage,
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			if text == "" {
				mustFill(t, path, 10)
				good := mustRead(t, path)
				text = good[:100] + strings.Repeat("\xa5", 3000) + good[3100:]
			}
			mustWrite(t, path, text)
			clock := time.Date(2030, 5, 6, 7, 8, 9, 0, time.FixedZone("", 7200))
			taken := path + ".corrupt-20300506T050809Z"
			mustWrite(t, taken, "an older one")
			l := newLab(t, path, func(_ *Options, h *hooks) { h.now = func() time.Time { return clock } })
			l.works()
			n := l.await(KindCorrupt)
			l.await(KindCreated)
			l.await(KindAvailable)
			l.quiet()
			if n.Kept != taken+".2" || n.Err == nil {
				t.Errorf("notice %+v", n)
			}
			if mustRead(t, n.Kept) != text || mustRead(t, taken) != "an older one" {
				t.Error("what was kept has changed")
			}
			_ = l.Close()
			integrity(t, path)
		})
	}

	t.Run("D10 damage in the middle is found when the file is opened", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 300)
		mustDamage(t, path, 8)
		l := newLab(t, path)
		l.works()
		n := l.await(KindCorrupt)
		if _, err := os.Stat(n.Kept); err != nil {
			t.Error(err)
		}
		if _, err := l.Turn(ctx, testAccount, turns[0].ChatID, turns[0].ResponseID); err == nil {
			t.Error("the new file is not empty")
		}
	})

	t.Run("D10 a check that is not finished says nothing", func(t *testing.T) {
		path := storePath(t)
		mustFill(t, path, 300)
		mustDamage(t, path, 8)
		l := newLab(t, path, func(_ *Options, h *hooks) { h.budget = 1 })
		l.await(KindOpened)
		l.quiet()
	})

	t.Run("D10 damage in the middle is found on the next day", func(t *testing.T) {
		path := storePath(t)
		mustFill(t, path, 300)
		l := newLab(t, path)
		l.await(KindOpened)
		l.tick(l.day)
		l.works()
		l.quiet()
		mustDamage(t, path, 8)
		l.tick(l.day)
		l.await(KindCorrupt)
		l.await(KindAvailable)
		l.works()
	})

	t.Run("D09 damage is met in operation", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 300)
		l := newLab(t, path)
		l.await(KindOpened)
		mustDamage(t, path, 1)
		var err error
		for range readers { // one of which may have the pages in memory
			if err == nil {
				_, err = l.Find(ctx, turns[150].Key, 1)
			}
		}
		if !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("error: %v", err)
		}
		l.await(KindCorrupt)
		l.await(KindCreated)
		l.await(KindAvailable)
		l.works()
		l.quiet()
	})

	t.Run("D09 damage is met by a write", func(t *testing.T) {
		path := storePath(t)
		mustFill(t, path, 300)
		l := newLab(t, path)
		l.await(KindOpened)
		mustDamage(t, path, 1)
		if err := l.Record(ctx, testTurn("c3", "new", "r30", 500)); err == nil {
			t.Error("it was recorded")
		}
		l.await(KindCorrupt)
		l.await(KindAvailable)
		l.works()
	})

	t.Run("damage after damage is not repaired in haste", func(t *testing.T) {
		path := storePath(t)
		l := newLab(t, path)
		l.works()
		l.await(KindCreated)
		l.handle.Load().fail(damaged("a test"))
		l.await(KindAvailable)
		l.works()
		l.handle.Load().fail(damaged("a test"))
		l.await(KindCorrupt)
		l.fails()
		l.refuses()
		l.retry()
		l.await(KindAvailable)
		l.works()
		kept, err := filepath.Glob(path + ".corrupt-*Z*")
		if err != nil || len(kept) < 2 {
			t.Errorf("kept %v, %v", kept, err)
		}
	})
}

// What SQLite makes of the companions of a file is its own affair. The store must
// work afterwards.
func TestLog(t *testing.T) {
	prepare := func(t *testing.T) (path string, turns []session.Turn, log string) {
		path = storePath(t)
		turns = mustFill(t, path, 20)
		l := newLab(t, path)
		l.record(testTurn("log", "r", "", 900))
		live := filepath.Join(t.TempDir(), "live.db")
		mustWrite(t, live, mustRead(t, path))
		log = mustRead(t, path+"-wal")
		_ = l.Close()
		if log == "" {
			t.Fatal("there is nothing in the log")
		}
		return live, turns, log
	}
	for name, change := range map[string]func(log string) string{
		"D12 the log is missing":         func(string) string { return "" },
		"D12 the log is that of another": func(string) string { return strings.Repeat("x", 8000) },
		"D12 the log is cut":             func(log string) string { return log[:len(log)*2/3] },
	} {
		t.Run(name, func(t *testing.T) {
			path, turns, log := prepare(t)
			if log = change(log); log != "" {
				mustWrite(t, path+"-wal", log)
			}
			l := newLab(t, path)
			l.works()
			l.has(turns[7])
			_ = l.Close()
			integrity(t, path)
		})
	}
	t.Run("D12 the log is there", func(t *testing.T) {
		path, turns, log := prepare(t)
		mustWrite(t, path+"-wal", log)
		l := newLab(t, path)
		l.has(turns[7])
		l.has(testTurn("log", "r", "", 900))
	})
}

func TestReplaced(t *testing.T) {
	t.Run("D21 nothing has happened", func(t *testing.T) {
		l := newLab(t, storePath(t))
		l.works()
		l.await(KindCreated)
		h := l.handle.Load()
		l.tick(l.minute)
		l.works()
		l.quiet()
		if l.handle.Load() != h {
			t.Error("it was opened again")
		}
	})

	t.Run("D21 the file was removed", func(t *testing.T) {
		path := storePath(t)
		turns := mustFill(t, path, 10)
		l := newLab(t, path)
		l.works()
		l.await(KindOpened)
		old := mustRead(t, path+"-wal")
		if err := os.Remove(path); err != nil {
			t.Skip(err) // Windows does not remove open files
		}
		l.tick(l.minute)
		l.await(KindReplaced)
		l.await(KindCreated)
		l.await(KindAvailable)
		l.works()
		l.quiet()
		if _, err := l.Turn(ctx, testAccount, turns[0].ChatID, turns[0].ResponseID); err == nil {
			t.Error("a turn of the removed file was found")
		}
		keptLog(t, path, old)
		_ = l.Close()
		integrity(t, path)
	})

	t.Run("D21 the file was replaced by another", func(t *testing.T) {
		path, other := storePath(t), storePath(t)
		mustFill(t, path, 10)
		one := testTurn("other", "r", "", 700)
		o := newLab(t, other)
		o.record(one)
		_ = o.Close()
		l := newLab(t, path)
		l.works()
		l.await(KindOpened)
		old := mustRead(t, path+"-wal")
		if err := os.Rename(other, path); err != nil {
			t.Skip(err)
		}
		l.tick(l.minute)
		l.await(KindReplaced)
		l.await(KindAvailable)
		l.has(one)
		l.works()
		keptLog(t, path, old)
		_ = l.Close()
		integrity(t, path)
	})
}

// keptLog asserts that the log of a file that is gone was kept.
func keptLog(t *testing.T, path, want string) {
	t.Helper()
	kept, err := filepath.Glob(path + ".replaced-*-wal")
	if err != nil || len(kept) != 1 || !strings.HasPrefix(mustRead(t, kept[0]), want) {
		t.Errorf("kept %v, %v", kept, err)
	}
}
