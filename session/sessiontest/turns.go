package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

var indexes = []session.Index{session.IndexChain, session.IndexLoose, session.IndexPair, session.IndexAlias}

func testEmpty(t *testing.T, s *store) {
	for _, index := range indexes {
		s.finds(index, key(1), 10)
		s.finds(index, session.Digest{}, 10)
	}
	s.noTurn("chat", "r1")
	s.noChat("chat")
	idle, err := s.IdleChats(s.ctx, here, at(0), 10)
	if err != nil || len(idle) != 0 {
		t.Errorf("idle: %v, %v", idle, err)
	}
	s.prune(at(0), 10, 10, 0)
	s.must(s.ForgetTurns(s.ctx, here, "chat"))
	s.must(s.RemoveChat(s.ctx, here, "chat"))
	s.noChat("chat")
	if _, err := s.Find(s.ctx, 99, key(1), 1); err == nil {
		t.Error("there is no index 99")
	}
}

func testRoundTrip(t *testing.T, s *store) {
	many := make([]session.Digest, session.MaxMessages)
	for i := range many {
		many[i] = key(i)
	}
	full := turn("chat 1", "r2", "r1", 5)
	full.Messages, full.Partial = many, true
	full.Variants = []session.Digest{key(7), key(8), key(7)}
	full.Aliases = []session.Digest{key(70), key(71)}
	bare := session.Turn{ChatID: "bare", ResponseID: "b", Chain: key(9), Time: at(0)}
	short := turn("short", "s", "", 11)
	short.Indexed = false
	odd := turn(`o'"\%_ ☃ `+"\x00\n", `r'";--?1`, `p'`, 12)
	odd.Tenant, odd.Model = `t'";`, "模型"
	fine := turn("fine", "f", "", 13)
	fine.Time = time.Date(2031, 1, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	old := turn("old", "o", "", 14)
	old.Time = time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC)
	for _, want := range []session.Turn{full, bare, short, odd, fine, old} {
		s.record(want)
		got, err := s.Turn(s.ctx, want.Account, want.ChatID, want.ResponseID)
		s.must(err)
		want.Aliases = nil
		sameTurn(t, got, want)
		found := s.find(session.IndexChain, want.Chain, 1)
		if len(found) != 1 {
			t.Fatalf("%q: found %d turns", want.ChatID, len(found))
		}
		sameTurn(t, found[0], want)
	}
}

func testFindOrder(t *testing.T, s *store) {
	// Recorded in another order than that of time.
	for _, n := range []int{3, 1, 5, 2, 4} {
		one := turn(fmt.Sprint("c", n), "r1", "", 0)
		one.Time, one.Aliases = at(n), []session.Digest{key(77)}
		s.record(one)
	}
	s.record(turn("c5", "r2", "r1", 100), turn("c2", "r2", "r1", 101))
	for _, k := range []struct {
		index session.Index
		key   session.Digest
	}{
		{session.IndexChain, key(0)}, {session.IndexLoose, key(1)}, {session.IndexPair, key(2)}, {session.IndexAlias, key(77)},
	} {
		s.finds(k.index, k.key, 10, "c4/r1", "c3/r1", "c1/r1", "c5/r1", "c2/r1")
		s.finds(k.index, k.key, 4, "c4/r1", "c3/r1", "c1/r1", "c5/r1")
		s.finds(k.index, k.key, 2, "c4/r1", "c3/r1")
		for i, found := range s.find(k.index, k.key, 10) {
			if found.Continued != (i > 2) {
				t.Errorf("%s: continued %t", found.ChatID, found.Continued)
			}
		}
	}
}

func testFindLimit(t *testing.T, s *store) {
	for n := range 10 {
		one := turn(fmt.Sprint("c", n), "r", "", 0)
		one.Time = at(n)
		s.record(one)
	}
	for _, limit := range []int{1, 3, 10, 11} {
		if got := len(s.find(session.IndexChain, key(0), limit)); got != min(limit, 10) {
			t.Errorf("limit %d: %d turns", limit, got)
		}
	}
	s.finds(session.IndexChain, key(0), 0)
	s.finds(session.IndexChain, key(0), -1)
}

func testFindIndexes(t *testing.T, s *store) {
	one := turn("c", "r", "", 1)
	one.Aliases = []session.Digest{key(500)}
	s.record(one)
	keys := map[session.Index]session.Digest{
		session.IndexChain: one.Chain, session.IndexLoose: one.Loose, session.IndexPair: one.Pair, session.IndexAlias: key(500),
	}
	for _, index := range indexes {
		for of, k := range keys {
			if of == index {
				s.finds(index, k, 5, "c/r")
			} else {
				s.finds(index, k, 5)
			}
		}
	}
}

func testFindIndexed(t *testing.T, s *store) {
	short := turn("short", "r", "", 1)
	short.Indexed = false
	s.record(short)
	s.finds(session.IndexChain, short.Chain, 5, "short/r")
	s.finds(session.IndexLoose, short.Loose, 5)
	s.finds(session.IndexPair, short.Pair, 5)

	noPair := turn("noPair", "r", "", 2)
	noPair.Pair = session.Digest{}
	s.record(noPair)
	s.finds(session.IndexLoose, noPair.Loose, 5, "noPair/r")
	s.finds(session.IndexPair, session.Digest{}, 5)
}

func testFindAliases(t *testing.T, s *store) {
	a, b := turn("a", "r", "", 1), turn("b", "r", "", 2)
	a.Aliases = []session.Digest{key(100), key(101), key(100)}
	b.Aliases = []session.Digest{key(101), key(102)}
	s.record(a, b)
	s.finds(session.IndexAlias, key(100), 5, "a/r")
	s.finds(session.IndexAlias, key(101), 5, "b/r", "a/r")
	s.finds(session.IndexAlias, key(102), 5, "b/r")
	s.finds(session.IndexAlias, a.Chain, 5)
	for _, found := range s.find(session.IndexAlias, key(101), 5) {
		if found.Aliases != nil {
			t.Errorf("%s: the aliases are filled in", found.ChatID)
		}
	}
	s.must(s.ForgetTurns(s.ctx, here, "b"))
	s.finds(session.IndexAlias, key(101), 5, "a/r")
	s.finds(session.IndexAlias, key(102), 5)
}

// One that was not continued comes first, however many newer ones were.
func testFindMany(t *testing.T, s *store) {
	const number = 200
	for n := range number {
		first := turn(fmt.Sprint("c", n), "r1", "", 0)
		first.Time = at(n)
		s.record(first)
		if n > 0 {
			s.record(turn(first.ChatID, "r2", "r1", number+n))
		}
	}
	s.finds(session.IndexChain, key(0), 2, "c0/r1", fmt.Sprintf("c%d/r1", number-1))
}

func testTurnPlace(t *testing.T, s *store) {
	a, b, c := turn("a", "r1", "", 1), turn("b", "r1", "", 2), turn("a", "r1", "", 3)
	c.Account = there
	s.record(a, b, c)
	sameTurn(t, s.turn("a", "r1"), a)
	sameTurn(t, s.turn("b", "r1"), b)
	got, err := s.Turn(s.ctx, there, "a", "r1")
	s.must(err)
	sameTurn(t, got, c)
	s.noTurn("a", "r2")
	s.noTurn("c", "r1")
	if _, err := s.Turn(s.ctx, there, "b", "r1"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("in another account: %v", err)
	}
}

func testRecordAddsChat(t *testing.T, s *store) {
	s.record(turn("c", "r", "", 3))
	sameChat(t, s.chat("c"), session.Chat{
		Account: here, ID: "c", Tenant: "ann", Model: "qwen-max", Created: at(3), Used: at(3),
	})
}

func testRecordMarksParent(t *testing.T, s *store) {
	s.record(turn("c", "r1", "", 1), turn("c", "r2", "r1", 2), turn("d", "r1", "", 3), turn("c", "r3", "r1", 4))
	for place, want := range map[[2]string]bool{
		{"c", "r1"}: true, {"c", "r2"}: false, {"c", "r3"}: false, {"d", "r1"}: false,
	} {
		if got := s.turn(place[0], place[1]).Continued; got != want {
			t.Errorf("%v: continued %t", place, got)
		}
	}
	// What the caller says does not count.
	said := turn("e", "r1", "", 5)
	said.Continued = true
	s.record(said)
	if s.turn("e", "r1").Continued {
		t.Error("continued by nobody")
	}
}

func testRecordLateParent(t *testing.T, s *store) {
	s.record(turn("c", "r2", "r1", 2), turn("c", "r1", "", 1), turn("c", "r3", "", 3))
	if !s.turn("c", "r1").Continued || s.turn("c", "r2").Continued || s.turn("c", "r3").Continued {
		t.Error("only the parent that came late was continued")
	}
}

func testRecordTwice(t *testing.T, s *store) {
	first, second := turn("c", "r1", "", 1), turn("c", "r2", "r1", 2)
	first.Aliases = []session.Digest{key(100)}
	s.record(first, second, first, second, first)
	first.Aliases, first.Continued = nil, true
	sameTurn(t, s.turn("c", "r1"), first)
	sameTurn(t, s.turn("c", "r2"), second)
	s.finds(session.IndexChain, first.Chain, 5, "c/r1")
	s.finds(session.IndexLoose, second.Loose, 5, "c/r2")
	s.finds(session.IndexPair, first.Pair, 5, "c/r1")
	s.finds(session.IndexAlias, key(100), 5, "c/r1")
	if used := s.chat("c").Used; !used.Equal(at(2)) {
		t.Errorf("used at %v", used)
	}
	s.prune(at(1000), 0, 100, 3) // two turns and the chat
}

func testRecordUses(t *testing.T, s *store) {
	s.addChat(session.Chat{Account: here, ID: "c", Tenant: "ann", Model: "m", Disposable: true, Created: at(0), Used: at(0)})
	s.record(turn("c", "r", "", 7))
	sameChat(t, s.chat("c"), session.Chat{
		Account: here, ID: "c", Tenant: "ann", Model: "m", Disposable: true, Created: at(0), Used: at(7),
	})
}

func testRecordTenant(t *testing.T, s *store) {
	own := turn("c", "r1", "", 1)
	s.record(own)
	foreign := turn("c", "r2", "r1", 2)
	foreign.Tenant, foreign.Aliases = "bob", []session.Digest{key(100)}
	for range 2 {
		err := s.Record(s.ctx, foreign)
		if err == nil || errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("error: %v", err)
		}
	}
	same := own
	same.Tenant = "bob"
	if err := s.Record(s.ctx, same); err == nil {
		t.Error("a turn was recorded for two")
	}
	s.noTurn("c", "r2")
	sameTurn(t, s.turn("c", "r1"), own)
	s.finds(session.IndexChain, foreign.Chain, 5)
	s.finds(session.IndexAlias, key(100), 5)
	if c := s.chat("c"); c.Tenant != "ann" || !c.Used.Equal(at(1)) {
		t.Errorf("the chat is %s", describeChat(c))
	}
	// The same id in another account is another chat.
	foreign.Account = there
	s.record(foreign)
}

func testTenantsApart(t *testing.T, s *store) {
	for n := range 20 {
		one := turn(fmt.Sprint("c", n), "r", "", n)
		one.Tenant = fmt.Sprint("tenant", n)
		s.record(one)
	}
	for n := range 20 {
		for _, found := range s.find(session.IndexChain, key(4*n), 5) {
			if found.Tenant != fmt.Sprint("tenant", n) {
				t.Errorf("%d: found a turn of %s", n, found.Tenant)
			}
		}
	}
}

func testContext(t *testing.T, s *store) {
	s.record(turn("c", "r", "", 1))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.Find(ctx, session.IndexChain, key(4), 1); err == nil {
		t.Error("Find has no error")
	}
	if err := s.Record(ctx, turn("c", "r2", "r", 2)); err == nil {
		t.Error("Record has no error")
	}
	s.finds(session.IndexChain, key(4), 1, "c/r")
}
