package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func chat(id string, used int) session.Chat {
	return session.Chat{Account: here, ID: id, Tenant: "ann", Model: "m", Disposable: true, Created: at(0), Used: at(used)}
}

func testAddChat(t *testing.T, s *store) {
	want := chat("c", 5)
	kept := chat("kept", 6)
	kept.Disposable = false
	s.addChat(want, kept)
	sameChat(t, s.chat("c"), want)
	sameChat(t, s.chat("kept"), kept)
}

func testAddChatTwice(t *testing.T, s *store) {
	first := chat("c", 5)
	s.addChat(first)
	other := session.Chat{Account: here, ID: "c", Tenant: "bob", Model: "n", Created: at(1), Used: at(4)}
	s.addChat(other)
	sameChat(t, s.chat("c"), first)
	other.Used = at(9)
	s.addChat(other)
	first.Used = at(9)
	sameChat(t, s.chat("c"), first)
}

func testAddChatLate(t *testing.T, s *store) {
	s.record(turn("c", "r", "", 3))
	want := chat("c", 1)
	s.addChat(want)
	want.Used = at(3)
	sameChat(t, s.chat("c"), want)
	s.turn("c", "r")
}

func testChatOfTurns(t *testing.T, s *store) {
	s.record(turn("c", "r", "", 3))
	want := session.Chat{Account: here, ID: "c", Tenant: "ann", Model: "qwen-max", Created: at(3), Used: at(3)}
	sameChat(t, s.chat("c"), want)
	later := turn("c", "r2", "r", 5)
	later.Model = "another"
	s.record(later)
	want.Used = at(5)
	sameChat(t, s.chat("c"), want)
	s.idles(10, 100)
	s.noChat("d")
	if _, err := s.Chat(s.ctx, there, "c"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("in another account: %v", err)
	}
}

func testChatUsed(t *testing.T, s *store) {
	want := chat("c", 5)
	s.addChat(want)
	foreign := turn("c", "r1", "", 9)
	foreign.Tenant = "bob"
	s.record(foreign, turn("c", "r2", "", 3))
	sameChat(t, s.chat("c"), want)
	s.record(turn("c", "r3", "", 7), turn("c", "r4", "", 6))
	want.Used = at(7)
	sameChat(t, s.chat("c"), want)
}

func testChatAccounts(t *testing.T, s *store) {
	a, b := chat("c", 1), chat("c", 2)
	b.Account, b.Tenant = there, "bob"
	s.addChat(a, b)
	sameChat(t, s.chat("c"), a)
	got, err := s.Chat(s.ctx, there, "c")
	s.must(err)
	sameChat(t, got, b)
	s.must(s.RemoveChat(s.ctx, there, "c"))
	sameChat(t, s.chat("c"), a)
}

func testForgetTurns(t *testing.T, s *store) {
	a := turn("c", "r1", "", 1)
	a.Aliases = []session.Digest{key(100)}
	elsewhere := turn("c", "r1", "", 9)
	elsewhere.Account = there
	s.record(a, turn("c", "r2", "r1", 2), turn("d", "r1", "", 3), elsewhere)
	s.must(s.ForgetTurns(s.ctx, here, "c"))
	s.must(s.ForgetTurns(s.ctx, here, "c"))
	s.must(s.ForgetTurns(s.ctx, here, "unknown"))
	s.noTurn("c", "r1")
	s.noTurn("c", "r2")
	s.finds(a.Key, 5)
	s.finds(session.Key{Pair: a.Pair}, 5)
	s.findsAlias(key(100), 5)
	s.finds(keyOf(3), 5, "d/r1")
	s.finds(elsewhere.Key, 5, "c/r1")
	s.noChat("unknown")
	// The chat can be used again, also for the same turn.
	s.record(a)
	if s.turn("c", "r1").Continued {
		t.Error("continued by a forgotten turn")
	}
	s.findsAlias(key(100), 5, "c/r1")
}

func testForgetTurnsChat(t *testing.T, s *store) {
	foreign := turn("foreign", "r1", "", 9)
	foreign.Tenant = "bob"
	s.record(turn("turns", "r1", "", 1), turn("turns", "r2", "r1", 4), turn("added", "r1", "", 2), turn("used", "r1", "", 8), foreign)
	s.addChat(chat("added", 6), chat("used", 3), chat("foreign", 7))
	turns, added, used := s.chat("turns"), s.chat("added"), s.chat("used")
	for _, id := range []string{"turns", "added", "used", "foreign"} {
		s.must(s.ForgetTurns(s.ctx, here, id))
	}
	sameChat(t, s.chat("turns"), turns)
	sameChat(t, s.chat("added"), added)
	sameChat(t, s.chat("used"), used) // also without the turns that tell so
	sameChat(t, s.chat("foreign"), chat("foreign", 7))
	s.idles(10, 10, "added", "foreign", "used")
}

func testRemoveChat(t *testing.T, s *store) {
	a := turn("c", "r1", "", 1)
	a.Aliases = []session.Digest{key(100)}
	s.record(a, turn("d", "r1", "", 3))
	s.must(s.RemoveChat(s.ctx, here, "c"))
	s.must(s.RemoveChat(s.ctx, here, "c"))
	s.noChat("c")
	s.noTurn("c", "r1")
	s.finds(a.Key, 5)
	s.findsAlias(key(100), 5)
	s.chat("d")
	// Its id is free, also for somebody else.
	a.Tenant = "bob"
	s.record(a)
	if got := s.chat("c").Tenant; got != "bob" {
		t.Errorf("the chat belongs to %s", got)
	}
}

func (s *store) idles(limit int, before int, want ...string) {
	s.t.Helper()
	found, err := s.IdleChats(s.ctx, here, at(before), limit)
	s.must(err)
	got := []string{}
	for _, c := range found {
		got = append(got, c.ID)
		if describeChat(c) != describeChat(s.chat(c.ID)) {
			s.t.Errorf("%s is %s", c.ID, describeChat(c))
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("idle: %v, not %v", got, want)
	}
}

func testIdleChats(t *testing.T, s *store) {
	kept, foreign := chat("kept", 1), chat("foreign", 1)
	kept.Disposable, foreign.Account = false, there
	s.addChat(chat("c4", 4), chat("c2", 2), kept, foreign, chat("c3", 3))
	s.record(turn("turn", "r", "", 1)) // of a chat that is not disposable
	s.idles(10, 5, "c2", "c3", "c4")
	s.idles(10, 4, "c2", "c3")
	s.idles(2, 5, "c2", "c3")
	s.idles(0, 5)
	s.idles(10, 2)
	s.record(turn("c2", "r", "", 6)) // it is not idle any more
	s.idles(10, 5, "c3", "c4")
	s.idles(10, 7, "c3", "c4", "c2")
	s.idles(2, 7, "c3", "c4")
	s.must(s.RemoveChat(s.ctx, here, "c3"))
	s.idles(10, 5, "c4")
}

func testPruneAge(t *testing.T, s *store) {
	s.record(turn("c", "r1", "", 1), turn("c", "r2", "r1", 2), turn("c", "r3", "r2", 3))
	s.prune(at(1), 100, 100, 0)
	s.prune(at(3), 100, 100, 2)
	s.noTurn("c", "r1")
	s.noTurn("c", "r2")
	s.turn("c", "r3")
	s.chat("c")
	s.finds(keyOf(1), 5)
	s.finds(keyOf(3), 5, "c/r3")
}

func testPruneNumber(t *testing.T, s *store) {
	for _, n := range []int{4, 2, 5, 1, 3} {
		s.record(turn("c", fmt.Sprint("r", n), "", n))
	}
	s.prune(at(0), 5, 100, 0)
	s.prune(at(0), 3, 100, 2)
	for n := 1; n <= 5; n++ {
		if n <= 2 {
			s.noTurn("c", fmt.Sprint("r", n))
		} else {
			s.turn("c", fmt.Sprint("r", n))
		}
	}
	s.prune(at(4), 1, 100, 2) // one is too old, and that and another are too many
	s.turn("c", "r5")
	s.noTurn("c", "r4")
}

// plainChat is a chat that is not disposable.
func plainChat(id string, used int) session.Chat {
	c := chat(id, used)
	c.Disposable = false
	return c
}

func testPruneChats(t *testing.T, s *store) {
	s.record(turn("gone", "r1", "", 1), turn("used", "r1", "", 1))
	s.addChat(plainChat("used", 8), plainChat("old", 2), plainChat("new", 8))
	s.record(turn("turns", "r2", "", 9))
	// Those whose turns are removed go along.
	s.prune(at(5), 100, 100, 3)
	s.noTurn("used", "r1")
	s.noChat("gone")
	s.noChat("old")
	s.chat("used")
	s.chat("new")
	s.chat("turns")
	s.prune(at(8), 100, 100, 0) // used just then
	s.prune(at(9), 100, 100, 2)
	s.chat("turns")
}

// They are on the site until they are deleted there.
func testPruneDisposable(t *testing.T, s *store) {
	s.addChat(chat("turns", 1), chat("idle", 2), plainChat("plain", 2))
	s.record(turn("turns", "r", "", 3))
	s.prune(at(1000), 0, 100, 2)
	s.noTurn("turns", "r")
	s.noChat("plain")
	s.idles(10, 1000, "idle", "turns")
	s.prune(at(1000), 0, 100, 0)
	// They do not stand in the way of others either.
	for n := range 6 {
		s.addChat(chat(fmt.Sprint("many", n), 1), plainChat(fmt.Sprint("plain", n), 1))
	}
	for range 3 {
		s.prune(at(1000), 0, 2, 2)
	}
	s.prune(at(1000), 0, 2, 0)
	for n := range 6 {
		s.noChat(fmt.Sprint("plain", n))
		s.must(s.RemoveChat(s.ctx, here, fmt.Sprint("many", n)))
	}
	s.must(s.RemoveChat(s.ctx, here, "idle"))
	s.idles(10, 1000, "turns")
}

// A chat stays used when it was, also if the turns are gone that tell so.
func testPruneUsed(t *testing.T, s *store) {
	foreign := turn("foreign", "r", "", 8)
	foreign.Tenant = "bob"
	s.addChat(chat("c", 1), chat("later", 9), chat("foreign", 1))
	s.record(turn("c", "r1", "", 5), turn("c", "r2", "r1", 7), turn("c", "r3", "r2", 6), turn("later", "r", "", 5), foreign)
	before := []session.Chat{s.chat("c"), s.chat("later"), s.chat("foreign")}
	s.prune(at(0), 0, 100, 5)
	for _, want := range before {
		sameChat(t, s.chat(want.ID), want)
	}
	s.idles(10, 8, "foreign", "c")
}

func testPruneLimit(t *testing.T, s *store) {
	for n := range 7 {
		s.record(turn(fmt.Sprint("c", n), "r", "", n))
		s.addChat(plainChat(fmt.Sprint("c", n), n))
	}
	s.prune(at(100), 100, 3, 6) // three turns, and their chats
	s.noTurn("c2", "r")
	s.turn("c3", "r")
	s.prune(at(100), 100, 0, 0)
	s.prune(at(100), 100, 3, 6)
	s.prune(at(100), 100, 3, 2)
	s.prune(at(100), 100, 3, 0)
}

func testPruneFiles(t *testing.T, s *store) {
	// Which have expired is told by the clock.
	future, past := time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(-time.Hour)
	s.record(turn("c", "r", "", 1))
	for n := range 6 {
		f := file(fmt.Sprint("f", n), n)
		if f.Expires = future; n >= 4 {
			f.Expires = past
		}
		s.must(s.AddFile(s.ctx, f))
	}
	bobs := file("bob", 1)
	bobs.Tenant, bobs.Account = "bob", there
	s.must(s.AddFile(s.ctx, bobs))
	s.prune(at(0), 100, 0, 0)
	s.prune(at(0), 100, 1, 1) // one of the two that have expired
	s.prune(at(0), 100, 100, 1)
	s.prune(at(0), 100, 100, 0)
	s.files().hasNo(file("f5", 5), past.Add(-time.Hour))
	s.files().lists(session.FileQuery{Limit: 9}, false, "f3", "f2", "f1", "f0")
	s.prune(at(2), 100, 2, 3) // a turn, and two of the files that are too old
	s.prune(at(2), 100, 2, 1)
	s.prune(at(2), 100, 2, 0)
	s.files().lists(session.FileQuery{Limit: 9}, false, "f3", "f2")
	s.files().hasNo(bobs, at(0))
	s.must(s.AddFile(s.ctx, file("f0", 9))) // its id is free
}

func testPruneAliases(t *testing.T, s *store) {
	one := turn("c", "r", "", 1)
	one.Aliases = []session.Digest{key(100)}
	s.record(one)
	s.prune(at(5), 100, 100, 1)
	s.findsAlias(key(100), 5)
	// Nothing of it is left for another turn to be found by.
	s.record(turn("d", "r", "", 1), turn("c", "r", "", 2))
	s.findsAlias(key(100), 5)
}
