package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func TestInspect(t *testing.T) {
	path := storePath(t)
	l := newLab(t, path)
	var turns []session.Turn
	for n := range 6 {
		turns = append(turns, testTurn([]string{"a", "b", "c"}[n%3], string(rune('r'+n)), "", n))
	}
	l.record(turns...)
	bob := testTurn("bob's", "r", "", 60)
	bob.Tenant = "bob"
	l.record(bob)
	if err := l.AddFile(ctx, testFile("f", 1)); err != nil {
		t.Fatal(err)
	}

	s, err := OpenFile(path) // beside the one that is in use
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stats, err := s.Stats(ctx)
	if err != nil || stats.Turns != 7 || stats.Chats != 4 || stats.Files != 1 || stats.Bytes < 8192 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	chats := map[string]ChatInfo{}
	err = s.EachChat(ctx, func(c ChatInfo, list []session.Turn) error {
		if chats[c.ID] = c; len(list) != c.Turns || list[0].ChatID != c.ID || len(list[0].Aliases) != 1 {
			t.Errorf("%+v has %+v", c, list)
		}
		return nil
	})
	if err != nil || len(chats) != 4 {
		t.Fatalf("%d chats, %v", len(chats), err)
	}
	for id, want := range map[string]ChatInfo{
		"bob's": {session.Chat{Tenant: "bob"}, 1}, "a": {session.Chat{Tenant: "ann"}, 2},
		"b": {session.Chat{Tenant: "ann"}, 2}, "c": {session.Chat{Tenant: "ann"}, 2},
	} {
		if c := chats[id]; c.Tenant != want.Tenant || c.Turns != want.Turns {
			t.Errorf("chat %s: of %s with %d turns", id, c.Tenant, c.Turns)
		}
	}
	found, err := s.Turns(ctx, testAccount, "b")
	if err != nil || len(found) != 2 || found[0].ResponseID != "s" || found[1].ResponseID != "v" ||
		len(found[0].Aliases) != 1 || found[0].Aliases[0] != turns[1].Aliases[0] {
		t.Errorf("turns %v, %v", found, err)
	}
	if err := s.RemoveChat(ctx, testAccount, "b"); err != nil {
		t.Error(err)
	}
	if _, err := l.Chat(ctx, testAccount, "b"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the other store finds it: %v", err)
	}
}

func TestWipe(t *testing.T) {
	path := storePath(t)
	turns := mustFill(t, path, 500)
	l := newLab(t, path)
	one := testFile("f", 1)
	if err := l.AddFile(ctx, one); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := s.Wipe(ctx)
	if err != nil || removed.Turns != before.Turns || removed.Chats != before.Chats || removed.Files != 1 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	after, err := s.Stats(ctx)
	if err != nil || after.Turns+after.Chats+after.Files != 0 || after.Bytes >= before.Bytes/2 {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var number int
	if err := mustRaw(t, path, "").QueryRow("SELECT count(*) FROM file_numbers").Scan(&number); err != nil || number != 0 {
		t.Errorf("%d tenants are left, %v", number, err)
	}
	content := mustRead(t, path)
	for _, one := range turns[1:] { // the first key is all zero
		if strings.Contains(content, string(one.Chain[:])) {
			t.Fatal("a digest is still in the file")
		}
	}
	for _, text := range []string{one.Name, one.URL, string(one.Hash[:])} {
		if strings.Contains(content, text) {
			t.Errorf("%q is still in the file", text)
		}
	}
	newLab(t, path).works()
}

// A wipe beside somebody who reads tells that the log could not be emptied, and one
// after that does it.
func TestWipeBesideReader(t *testing.T) {
	path := storePath(t)
	turns := mustFill(t, path, 50)
	reading := mustRaw(t, path, "mode=ro")
	read, err := reading.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if err := read.QueryRow("SELECT count(*) FROM turns").Scan(&number); err != nil || number != 50 {
		t.Fatalf("%d turns, %v", number, err)
	}
	l := newLab(t, path)
	l.await(KindOpened)
	removed, err := l.Wipe(ctx)
	if !errors.Is(err, ErrStillOnDisk) || errors.Is(err, session.ErrUnavailable) || removed.Turns != 50 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if stats, err := l.Stats(ctx); err != nil || stats.Turns != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	if err := read.Rollback(); err != nil {
		t.Fatal(err)
	}
	if removed, err := l.Wipe(ctx); err != nil || removed.Turns != 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	content := mustRead(t, path) + mustRead(t, path+"-wal")
	for _, one := range turns[1:] {
		if strings.Contains(content, string(one.Chain[:])) {
			t.Fatal("a digest is still on the disk")
		}
	}
}

// A wipe waits for others who write or read for some time.
func TestWipePatience(t *testing.T) {
	for _, begin := range []string{"BEGIN IMMEDIATE", "BEGIN; SELECT count(*) FROM turns"} {
		t.Run(begin, func(t *testing.T) {
			path := storePath(t)
			mustFill(t, path, 5)
			l := newLab(t, path, func(_ *Options, h *hooks) { h.lockWait = time.Minute })
			l.await(KindOpened)
			other := mustRaw(t, path, "")
			mustExec(t, other, begin)
			done := make(chan error, 1)
			go func() { done <- l.vacuum(ctx) }()
			select {
			case err := <-done:
				t.Errorf("it did not wait: %v", err)
			case <-time.After(10 * firstWait):
			}
			mustExec(t, other, "ROLLBACK")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// Chats are gone through in pages, whatever is in a page.
func TestEachChat(t *testing.T) {
	l := newLab(t, storePath(t))
	want := map[string]int{}
	fill := func(op func(w *writer) error) {
		t.Helper()
		if err := l.write(ctx, job{op: op}); err != nil {
			t.Fatal(err)
		}
	}
	record := func(chat string, number int) {
		want[chat] = number
		fill(func(w *writer) error {
			for n := range number {
				one := testTurn(chat, fmt.Sprint("r", n), "", number-n)
				if err := newRow(&one).record(w); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for n := range 2*pageChats + 10 {
		record(fmt.Sprint("c", n), 1+n%3)
	}
	record("large", 2*pageTurns+7)
	record("both", 2)
	fill(func(w *writer) error {
		for n := range 2*pageChats + 5 {
			id := fmt.Sprint("a", n)
			if n == 0 {
				id = "both"
			} else {
				want[id] = 0
			}
			if err := w.putChat(&session.Chat{Account: testAccount, ID: id, Tenant: "ann", Used: time.UnixMilli(5)}); err != nil {
				return err
			}
		}
		return nil
	})

	got := map[string]int{}
	err := l.EachChat(ctx, func(c ChatInfo, turns []session.Turn) error {
		if _, twice := got[c.ID]; twice || c.Turns != len(turns) || c.Tenant != "ann" || c.Account != testAccount {
			t.Errorf("%+v with %d turns, twice %t", c, len(turns), twice)
		}
		if !slices.IsSortedFunc(turns, func(a, b session.Turn) int { return a.Time.Compare(b.Time) }) {
			t.Errorf("the turns of %s are not in the order of time", c.ID)
		}
		one, err := l.Chat(ctx, c.Account, c.ID)
		if err != nil || one != c.Chat {
			t.Errorf("%+v is %+v elsewhere, %v", c.Chat, one, err)
		}
		got[c.ID] = c.Turns
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Errorf("%d chats instead of %d, %v", len(got), len(want), err)
	}
	for id, number := range want {
		if got[id] != number {
			t.Errorf("%s has %d turns instead of %d", id, got[id], number)
		}
	}
	stats, err := l.Stats(ctx)
	if err != nil || stats.Chats != len(want) {
		t.Errorf("%+v, %v", stats, err)
	}

	stop, calls := errors.New("enough"), 0
	err = l.EachChat(ctx, func(ChatInfo, []session.Turn) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestForgetAll(t *testing.T) {
	path := storePath(t)
	l := newLab(t, path)
	var chats []ChatInfo
	for n := range 5 {
		one := testTurn(fmt.Sprint("c", n), "r", "", n)
		l.record(one)
		chats = append(chats, ChatInfo{Chat: session.Chat{Account: one.Account, ID: one.ChatID}})
	}
	db := mustRaw(t, path, "")
	mustExec(t, db, fmt.Sprintf(`CREATE TRIGGER stuck BEFORE DELETE ON turns WHEN old.id = %d
		BEGIN SELECT RAISE(ABORT, 'stuck'); END`, turnID(testAccount, "c3", "r")))
	if err := l.ForgetAll(ctx, chats); err == nil {
		t.Error("no error")
	}
	l.fails()
	l.retry()
	l.await(KindAvailable)
	for n := range chats {
		l.has(testTurn(fmt.Sprint("c", n), "r", "", n))
	}
	mustExec(t, db, "DROP TRIGGER stuck")
	if err := l.ForgetAll(ctx, append(chats, chats[0], ChatInfo{Chat: session.Chat{ID: "unknown"}})); err != nil {
		t.Error(err)
	}
	if stats, err := l.Stats(ctx); err != nil || stats.Turns != 0 || stats.Chats != len(chats) {
		t.Errorf("%+v, %v", stats, err)
	}
}
