package sqlite

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func TestPlace(t *testing.T) {
	for n := range 2000 {
		account, chat, response := testKey(n%7), fmt.Sprint("c", n), fmt.Sprint("r", n)
		first, id := firstID(account, chat), turnID(account, chat, response)
		if first < 0 || first%chatIDs != 0 || id < first || id+window-1 > first+(chatIDs-1) {
			t.Fatalf("chat %x, turn %x", first, id)
		}
		if first == firstID(account, chat+"x") || first == firstID(testKey(n+1), chat) || id == turnID(account, chat, response+"x") {
			t.Fatalf("%s/%s has the place of another", chat, response)
		}
	}
}

func TestKey(t *testing.T) {
	for n := range 2000 {
		k := testKeys(n)
		pair := session.Key{Pair: k.Pair}
		if n%2 == 0 {
			k.Pair[0] |= 0x80 // below zero
		}
		pair.Pair = k.Pair
		first, key := keyOf(pair), keyOf(k)
		if key < first || key > first|anyChain || first&anyChain != 0 {
			t.Fatalf("%x is not between %x and %x", key, first, first|anyChain)
		}
		if aliasKey(k.Pair) < 0 || aliasKey(k.Pair) == aliasKey(k.Loose) {
			t.Fatalf("alias %x", aliasKey(k.Pair))
		}
	}
	if highest := (session.Key{Pair: session.Digest{0x7f, 0xff, 0xff, 0xff, 0xff}}); keyOf(highest)|anyChain != math.MaxInt64 {
		t.Errorf("the highest key is %x", keyOf(highest)|anyChain)
	}
}

// twins returns two turns that want the same id, as turns of a chat with a great
// many may. The second follows the first.
func twins() (one, two session.Turn) {
	taken := map[int64]string{}
	for n := 0; ; n++ {
		response := fmt.Sprint("r", n)
		id := turnID(testAccount, "c", response)
		if other, ok := taken[id]; ok {
			return testTurn("c", other, "", 0), testTurn("c", response, other, 1)
		}
		taken[id] = response
	}
}

// Turns with the same id are told apart.
func TestSamePlace(t *testing.T) {
	l := newLab(t, storePath(t))
	one, two := twins()
	l.record(one, two, one, two)
	for range 2 {
		l.has(one)
		l.has(two)
		if got, err := l.Turn(ctx, testAccount, "c", one.ResponseID); err != nil || !got.Continued {
			t.Errorf("the parent is continued %t, %v", got.Continued, err)
		}
		if got, err := l.Turn(ctx, testAccount, "c", two.ResponseID); err != nil || got.Continued {
			t.Errorf("the other is continued %t, %v", got.Continued, err)
		}
		for _, turn := range []session.Turn{one, two} {
			if found, err := l.Find(ctx, turn.Key, 5); err != nil || len(found) != 1 || found[0].ResponseID != turn.ResponseID {
				t.Errorf("found %v, %v", found, err)
			}
			if found, err := l.FindAlias(ctx, turn.Aliases[0], 5); err != nil || len(found) != 1 || found[0].ResponseID != turn.ResponseID {
				t.Errorf("found by the alias %v, %v", found, err)
			}
		}
		l.record(two, one)
	}
	if stats, err := l.Stats(ctx); err != nil || stats.Turns != 2 {
		t.Errorf("%+v, %v", stats, err)
	}

	// The first goes, and the second stays what it is, where it is.
	if removed, err := l.Prune(ctx, two.Time, 10, 10); err != nil || removed != 1 {
		t.Errorf("removed %d, %v", removed, err)
	}
	l.has(two)
	l.record(two)
	next := testTurn("c", "next", two.ResponseID, 9)
	l.record(next)
	if got, err := l.Turn(ctx, testAccount, "c", two.ResponseID); err != nil || !got.Continued {
		t.Errorf("the second is continued %t, %v", got.Continued, err)
	}
	if stats, err := l.Stats(ctx); err != nil || stats.Turns != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
	l.record(one)
	l.has(one)
	l.has(two)
}

// A turn beside the one that is looked for is looked at, too.
func TestWrongPlace(t *testing.T) {
	l := newLab(t, storePath(t))
	one, other := testTurn("c", "r", "", 1), testTurn("d", "r", "", 2)
	l.record(one)
	l.mustPut(&turnRow{&other, []any{turnID(testAccount, "c", "r") + 1, keyOf(other.Key), other.Time.UnixMilli(), encode(&other)}})
	if _, err := l.Turn(ctx, testAccount, "c", "r"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a turn is at a place that is not its own: %v", err)
	}
	l.await(KindCorrupt)
}

// mustPut writes a row past the checks.
func (l *lab) mustPut(r *turnRow) {
	l.t.Helper()
	err := l.write(ctx, job{op: func(w *writer) error {
		_, err := w.putTurn.Exec(r.values...)
		return err
	}})
	if err != nil {
		l.t.Fatal(err)
	}
}

// A turn without a place is refused, and nothing else suffers.
func TestNoPlace(t *testing.T) {
	l := newLab(t, storePath(t))
	refused, other := twins()
	for n := range int64(window) {
		id := turnID(testAccount, "c", other.ResponseID) + n
		l.mustPut(&turnRow{&other, []any{id, keyOf(other.Key), n, encode(&other)}})
	}
	if err := l.Record(ctx, refused); !errors.Is(err, errNoID) || errors.Is(err, session.ErrUnavailable) {
		t.Errorf("error: %v", err)
	}
	one := testTurn("c", "r", "", 1)
	l.record(one)
	l.has(one)
	l.await(KindCreated)
	l.quiet()
}

// neighbours returns two chats whose turns have ids of the same range.
func neighbours(t *testing.T) (one, other string) {
	t.Helper()
	taken := map[int64]string{}
	for n := range 1 << 22 {
		id := fmt.Sprint("c", n)
		first := firstID(testAccount, id)
		if one, ok := taken[first]; ok {
			return one, id
		}
		taken[first] = id
	}
	t.Fatal("no two chats have the same ids")
	return "", ""
}

// Chats whose turns have ids of the same range are told apart.
func TestNeighbours(t *testing.T) {
	a, b := neighbours(t)
	l := newLab(t, storePath(t))
	first, second, other := testTurn(a, "r1", "", 1), testTurn(a, "r2", "r1", 2), testTurn(b, "r1", "", 3)
	other.Tenant = "bob"
	added := session.Chat{Account: testAccount, ID: b, Tenant: "bob", Used: first.Time.Add(-time.Hour)}
	l.record(first, second, other)
	if err := l.AddChat(ctx, added); err != nil {
		t.Fatal(err)
	}
	chats := func() (found []string) {
		err := l.EachChat(ctx, func(c ChatInfo, turns []session.Turn) error {
			found = append(found, fmt.Sprint(c.ID, " of ", c.Tenant, ": ", c.Turns))
			if len(turns) != c.Turns || len(turns) > 0 && turns[0].ChatID != c.ID {
				t.Errorf("%s has %v", c.ID, turns)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		slices.Sort(found)
		return found
	}
	both := []string{a + " of ann: 2", b + " of bob: 1"}
	slices.Sort(both)
	if got := chats(); !slices.Equal(got, both) {
		t.Errorf("there is %q", got)
	}
	if c, err := l.Chat(ctx, testAccount, a); err != nil || c.Tenant != "ann" || !c.Used.Equal(second.Time) {
		t.Errorf("%+v, %v", c, err)
	}
	if err := l.RemoveChat(ctx, testAccount, a); err != nil {
		t.Error(err)
	}
	l.has(other)
	if got := chats(); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
	l.record(first)
	if err := l.ForgetTurns(ctx, testAccount, b); err != nil {
		t.Error(err)
	}
	l.has(first)
	// The chat is not known to be without turns before its neighbour is gone.
	for hours, want := range []int{0, 2} {
		removed, err := l.Prune(ctx, first.Time.Add(time.Duration(hours)*time.Hour), 10, 10)
		if err != nil || removed != want {
			t.Errorf("removed %d, not %d, %v", removed, want, err)
		}
	}
	if got := chats(); len(got) != 0 {
		t.Errorf("there is %q", got)
	}
}
