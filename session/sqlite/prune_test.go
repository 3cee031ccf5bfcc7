package sqlite

import (
	"runtime"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// What Prune has found may have changed by the time it comes to remove it. Then it
// stays.
func TestPruneLooksAgain(t *testing.T) {
	before := time.UnixMilli(1_900_000_001_000)
	later := before.Add(time.Hour)
	one, newer := testTurn("c", "r", "", 1), testTurn("c", "r", "", 1)
	newer.Time = later
	plain := session.Chat{Account: testAccount, ID: "c", Tenant: "ann", Used: one.Time}
	used, disposable := plain, plain
	used.Used, disposable.Disposable = later, true
	file, added := testFile("f", 1), testFile("f", 1)
	added.Created = later.UTC()

	again := func(w *writer) error {
		turns, err := w.turnsOf(testAccount, "c")
		if err == nil {
			err = w.remove(turns)
		}
		if err == nil {
			err = newRow(&newer).record(w)
		}
		return err
	}
	turns := func(l *lab) (int, error) { return l.pruneTurns(ctx, before, 10, 10) }
	chats := func(l *lab) (int, error) { return l.pruneChats(ctx, before, 10) }
	files := func(l *lab) (int, error) { return l.pruneFiles(ctx, before, 10) }
	for name, test := range map[string]struct {
		fill   func(l *lab) error
		change func(w *writer) error // nil: none, so that it is removed
		prune  func(l *lab) (int, error)
	}{
		"a turn":                        {func(l *lab) error { return l.Record(ctx, one) }, nil, turns},
		"a chat":                        {func(l *lab) error { return l.AddChat(ctx, plain) }, nil, chats},
		"a file":                        {func(l *lab) error { return l.AddFile(ctx, file) }, nil, files},
		"a turn that was recorded anew": {func(l *lab) error { return l.Record(ctx, one) }, again, turns},
		"a chat that was used":          {func(l *lab) error { return l.AddChat(ctx, plain) }, func(w *writer) error { return w.putChat(&used) }, chats},
		"a chat that has got a turn":    {func(l *lab) error { return l.AddChat(ctx, plain) }, newRow(&one).record, chats},
		"a chat that was added as disposable": {func(l *lab) error { return l.AddChat(ctx, plain) }, func(w *writer) error {
			if _, err := w.dropChat.Exec(firstID(testAccount, "c"), testAccount[:], "c"); err != nil {
				return err
			}
			return w.putChat(&disposable)
		}, chats},
		"a file that was added again": {func(l *lab) error { return l.AddFile(ctx, file) }, func(w *writer) error {
			_, err := w.addFile.Exec(fileRow(&added)...)
			return err
		}, files},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, storePath(t))
			if err := test.fill(l); err != nil {
				t.Fatal(err)
			}
			release := l.stall()
			defer release()
			want, waiting := 1, 1
			if test.change != nil {
				want, waiting = 0, 2
				l.queue <- job{op: test.change, result: make(chan error, 1)}
			}
			done := make(chan int, 1)
			go func() {
				removed, err := test.prune(l)
				if err != nil {
					t.Error(err)
				}
				done <- removed
			}()
			for len(l.queue) < waiting {
				runtime.Gosched()
			}
			release()
			if removed := <-done; removed != want {
				t.Errorf("removed %d, not %d", removed, want)
			}
		})
	}
}
