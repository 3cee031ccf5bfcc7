package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func testEmpty(t *testing.T, s *store) {
	for _, k := range ways(keyOf(1)) {
		s.finds(k, 10)
	}
	s.finds(session.Key{}, 10)
	s.findsAlias(key(1), 10)
	s.findsAlias(session.Digest{}, 10)
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
}

// ways returns the keys that name turns with the key.
func ways(k session.Key) []session.Key {
	return []session.Key{k, {Pair: k.Pair}, {Pair: k.Pair, Loose: k.Loose}, {Pair: k.Pair, Chain: k.Chain}}
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
	bare := session.Turn{ChatID: "bare", ResponseID: "b", Key: session.Key{Pair: key(9)}, Time: at(0)}
	short := turn("short", "s", "", 11)
	short.Long = false
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
		found := s.find(want.Key, 1)
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
	order := []string{"c4/r1", "c3/r1", "c1/r1", "c5/r1", "c2/r1"}
	for limit := range len(order) + 2 {
		want := order[:min(limit, len(order))]
		for _, k := range ways(keyOf(0)) {
			s.finds(k, limit, want...)
		}
		s.findsAlias(key(77), limit, want...)
	}
	for _, found := range [][]session.Turn{s.find(keyOf(0), 10), s.findAlias(key(77), 10)} {
		for i := range found {
			if found[i].Continued != (i > 2) {
				t.Errorf("%s: continued %t", found[i].ChatID, found[i].Continued)
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
		if got := len(s.find(keyOf(0), limit)); got != min(limit, 10) {
			t.Errorf("limit %d: %d turns", limit, got)
		}
	}
	s.finds(keyOf(0), 0)
	s.finds(keyOf(0), -1)
	s.findsAlias(key(0), -1)
}

func testFindKeys(t *testing.T, s *store) {
	for n, k := range []session.Key{
		{Pair: key(1), Loose: key(2), Chain: key(3)},
		{Pair: key(1), Loose: key(2), Chain: key(4)},
		{Pair: key(1), Loose: key(5), Chain: key(6)},
		{Pair: key(7), Loose: key(2), Chain: key(3)},
	} {
		one := turn(fmt.Sprint("c", n), "r", "", n)
		one.Key = k
		s.record(one)
	}
	for _, test := range []struct {
		key  session.Key
		want []string
	}{
		{session.Key{Pair: key(1)}, []string{"c2/r", "c1/r", "c0/r"}},
		{session.Key{Pair: key(1), Loose: key(2)}, []string{"c1/r", "c0/r"}},
		{session.Key{Pair: key(1), Loose: key(5)}, []string{"c2/r"}},
		{session.Key{Pair: key(1), Chain: key(3)}, []string{"c0/r"}},
		{session.Key{Pair: key(1), Chain: key(6)}, []string{"c2/r"}},
		{session.Key{Pair: key(1), Loose: key(2), Chain: key(4)}, []string{"c1/r"}},
		{session.Key{Pair: key(1), Loose: key(5), Chain: key(4)}, nil},
		{session.Key{Pair: key(7), Chain: key(3)}, []string{"c3/r"}},
		{session.Key{Pair: key(7), Chain: key(4)}, nil},
		{session.Key{Pair: key(2)}, nil},
		{session.Key{Loose: key(2), Chain: key(3)}, nil},
	} {
		s.finds(test.key, 5, test.want...)
	}
}

// Whoever looks at a part of a digest only must look at all of it in the end.
func testFindAlike(t *testing.T, s *store) {
	k := keyOf(1)
	alike := []session.Key{k, k, k, k}
	alike[1].Pair[15] ^= 1
	alike[2].Chain[15] ^= 1
	alike[3].Loose[15] ^= 1
	for n := range alike {
		one := turn(fmt.Sprint("c", n), "r", "", n)
		one.Key, one.Aliases = alike[n], []session.Digest{alike[n].Pair}
		s.record(one)
	}
	for n := range alike {
		s.finds(alike[n], 5, fmt.Sprintf("c%d/r", n))
	}
	s.finds(session.Key{Pair: k.Pair}, 5, "c3/r", "c2/r", "c0/r")
	s.finds(session.Key{Pair: alike[1].Pair}, 5, "c1/r")
	s.finds(session.Key{Pair: k.Pair, Chain: k.Chain}, 5, "c3/r", "c0/r")
	s.findsAlias(alike[1].Pair, 5, "c1/r")
	s.findsAlias(k.Pair, 5, "c3/r", "c2/r", "c0/r")
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
	for _, k := range ways(keyOf(0)) {
		s.finds(k, 2, "c0/r1", fmt.Sprintf("c%d/r1", number-1))
	}
}

// As many as a store has to look at.
func testFindManyPairs(t *testing.T, s *store) {
	for n := range session.MaxSamePair {
		one := turn(fmt.Sprint("c", n), "r", "", 0)
		one.Loose, one.Chain, one.Time = key(2*n), key(2*n+1), at(n)
		s.record(one)
	}
	pair := key(0)
	for _, n := range []int{0, 1, session.MaxSamePair - 1} {
		s.finds(session.Key{Pair: pair, Loose: key(2 * n)}, 3, fmt.Sprintf("c%d/r", n))
		s.finds(session.Key{Pair: pair, Chain: key(2*n + 1)}, 3, fmt.Sprintf("c%d/r", n))
	}
	s.finds(session.Key{Pair: pair}, 1, fmt.Sprintf("c%d/r", session.MaxSamePair-1))
}

func testFindAlias(t *testing.T, s *store) {
	a, b := turn("a", "r", "", 1), turn("b", "r", "", 2)
	a.Aliases = []session.Digest{key(100), key(101), key(100)}
	b.Aliases = []session.Digest{key(101), key(102)}
	s.record(a, b)
	s.findsAlias(key(100), 5, "a/r")
	s.findsAlias(key(101), 5, "b/r", "a/r")
	s.findsAlias(key(102), 5, "b/r")
	s.findsAlias(a.Pair, 5)
	s.finds(session.Key{Pair: key(100)}, 5)
	for _, found := range append(s.findAlias(key(101), 5), s.find(a.Key, 5)...) {
		if found.Aliases != nil {
			t.Errorf("%s: the aliases are filled in", found.ChatID)
		}
	}
	s.must(s.ForgetTurns(s.ctx, here, "b"))
	s.findsAlias(key(101), 5, "a/r")
	s.findsAlias(key(102), 5)
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

func testRecordNoParent(t *testing.T, s *store) {
	s.record(turn("c", "r2", "r1", 2), turn("c", "r3", "r2", 3))
	if got := s.turn("c", "r2"); got.ParentID != "r1" || !got.Continued {
		t.Errorf("%+v", got)
	}
	s.noTurn("c", "r1")
}

func testRecordTwice(t *testing.T, s *store) {
	first, second := turn("c", "r1", "", 1), turn("c", "r2", "r1", 2)
	first.Aliases = []session.Digest{key(100)}
	s.record(first, second, first, second, first)
	first.Aliases, first.Continued = nil, true
	sameTurn(t, s.turn("c", "r1"), first)
	sameTurn(t, s.turn("c", "r2"), second)
	s.finds(first.Key, 5, "c/r1")
	s.finds(second.Key, 5, "c/r2")
	s.findsAlias(key(100), 5, "c/r1")
	// It stays as it was recorded first.
	other := turn("c", "r2", "", 9)
	other.Tenant, other.Aliases = "bob", []session.Digest{key(101)}
	s.record(other)
	sameTurn(t, s.turn("c", "r2"), second)
	s.finds(other.Key, 5)
	s.findsAlias(key(101), 5)
	s.prune(at(1000), 0, 100, 2)
}

func testTenantsApart(t *testing.T, s *store) {
	for n := range 20 {
		one := turn(fmt.Sprint("c", n), "r", "", n)
		one.Tenant = fmt.Sprint("tenant", n)
		s.record(one)
	}
	for n := range 20 {
		for _, found := range s.find(keyOf(n), 5) {
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
	if _, err := s.Find(ctx, keyOf(1), 1); err == nil {
		t.Error("Find has no error")
	}
	if err := s.Record(ctx, turn("c", "r2", "r", 2)); err == nil {
		t.Error("Record has no error")
	}
	s.finds(keyOf(1), 1, "c/r")
}
