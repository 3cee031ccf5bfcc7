package sessiontest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// seedVariable may be set in the environment to repeat a random test.
const seedVariable = "SESSIONTEST_SEED"

// list is a store as simple as possible, to compare others with.
type list struct {
	turns []session.Turn // in the order of recording
	chats []session.Chat
}

func (l *list) chat(account session.Digest, id string) *session.Chat {
	for i := range l.chats {
		if c := &l.chats[i]; c.Account == account && c.ID == id {
			return c
		}
	}
	return nil
}

func (l *list) inChat(account session.Digest, id string) func(session.Turn) bool {
	return func(t session.Turn) bool { return t.Account == account && t.ChatID == id }
}

func (l *list) record(t session.Turn) (ok bool) {
	c := l.chat(t.Account, t.ChatID)
	if c == nil {
		l.chats = append(l.chats, session.Chat{
			Account: t.Account, ID: t.ChatID, Tenant: t.Tenant, Model: t.Model, Created: t.Time, Used: t.Time})
		c = &l.chats[len(l.chats)-1]
	}
	if c.Tenant != t.Tenant {
		return false
	}
	for _, other := range l.turns {
		if l.inChat(t.Account, t.ChatID)(other) && other.ResponseID == t.ResponseID {
			return true
		}
	}
	t.Continued = false
	for i := range l.turns {
		other := &l.turns[i]
		if !l.inChat(t.Account, t.ChatID)(*other) {
			continue
		}
		if t.ParentID != "" && other.ResponseID == t.ParentID {
			other.Continued = true
		}
		t.Continued = t.Continued || other.ParentID == t.ResponseID
	}
	l.turns = append(l.turns, t)
	if c.Used.Before(t.Time) {
		c.Used = t.Time
	}
	return true
}

func (l *list) addChat(c session.Chat) {
	if old := l.chat(c.Account, c.ID); old == nil {
		l.chats = append(l.chats, c)
	} else if old.Used.Before(c.Used) {
		old.Used = c.Used
	}
}

func (l *list) forgetTurns(account session.Digest, id string) {
	l.turns = slices.DeleteFunc(l.turns, l.inChat(account, id))
}

func (l *list) removeChat(account session.Digest, id string) {
	l.forgetTurns(account, id)
	l.chats = slices.DeleteFunc(l.chats, func(c session.Chat) bool { return c.Account == account && c.ID == id })
}

func keysOf(t session.Turn, index session.Index) []session.Digest {
	switch {
	case index == session.IndexChain:
		return []session.Digest{t.Chain}
	case index == session.IndexAlias:
		return t.Aliases
	case index == session.IndexLoose && t.Indexed:
		return []session.Digest{t.Loose}
	case index == session.IndexPair && t.Indexed && !t.Pair.IsZero():
		return []session.Digest{t.Pair}
	}
	return nil
}

func (l *list) find(index session.Index, k session.Digest, limit int) (found []session.Turn) {
	for _, t := range slices.Backward(l.turns) {
		if slices.Contains(keysOf(t, index), k) {
			found = append(found, t)
		}
	}
	slices.SortStableFunc(found, func(a, b session.Turn) int {
		if a.Continued != b.Continued {
			if a.Continued {
				return 1
			}
			return -1
		}
		return b.Time.Compare(a.Time)
	})
	return found[:min(limit, len(found))]
}

func (l *list) idleChats(account session.Digest, before time.Time, limit int) (found []session.Chat) {
	for _, c := range l.chats {
		if c.Account == account && c.Disposable && c.Used.Before(before) {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b session.Chat) int {
		return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(limit, len(found))]
}

// prune is without a limit, with which there would be more than one answer.
func (l *list) prune(before time.Time, keep int) (removed int) {
	all := len(l.turns) + len(l.chats)
	slices.SortStableFunc(l.turns, func(a, b session.Turn) int { return a.Time.Compare(b.Time) })
	if excess := len(l.turns) - keep; excess > 0 {
		l.turns = l.turns[excess:]
	}
	l.turns = slices.DeleteFunc(l.turns, func(t session.Turn) bool { return t.Time.Before(before) })
	l.chats = slices.DeleteFunc(l.chats, func(c session.Chat) bool {
		return c.Used.Before(before) && !slices.ContainsFunc(l.turns, l.inChat(c.Account, c.ID))
	})
	return all - len(l.turns) - len(l.chats)
}

// random makes the steps of testRandom.
type random struct {
	*rand.Rand
	clock int
}

// time returns a new time each time, so that there is one right order.
func (r *random) time() time.Time {
	r.clock++
	return at(r.clock)
}

func (r *random) account() session.Digest {
	return []session.Digest{here, there}[r.IntN(2)]
}

func (r *random) chatID() string { return fmt.Sprint("c", r.IntN(6)) }

func (r *random) key() session.Digest { return key(r.IntN(8)) }

func (r *random) keys() (keys []session.Digest) {
	for range r.IntN(4) {
		keys = append(keys, r.key())
	}
	return keys
}

func (r *random) turn() session.Turn {
	t := session.Turn{
		Account: r.account(), ChatID: r.chatID(), ResponseID: fmt.Sprint("r", r.IntN(9)),
		Tenant: []string{"ann", "ann", "ann", "bob"}[r.IntN(4)], Model: fmt.Sprint("m", r.IntN(2)),
		Chain: r.key(), Loose: r.key(), Pair: r.key(), Indexed: r.IntN(4) > 0,
		Aliases: r.keys(), Messages: r.keys(), Variants: r.keys(), Partial: r.IntN(2) == 0, Time: r.time(),
	}
	if r.IntN(4) == 0 {
		t.Pair = session.Digest{}
	}
	if parent := fmt.Sprint("r", r.IntN(9)); r.IntN(4) > 0 && parent != t.ResponseID {
		t.ParentID = parent
	}
	return t
}

// testRandom does the same random things to the store and to a plain list, and
// compares what each finds.
func testRandom(t *testing.T, s *store) {
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", seedVariable, seed)
	r := &random{Rand: rand.New(rand.NewPCG(seed, 1))}
	l := new(list)
	for step := range 600 {
		switch r.IntN(24) {
		default:
			one := r.turn()
			err := s.Record(s.ctx, one)
			if errors.Is(err, session.ErrUnavailable) {
				t.Fatal(err)
			}
			if ok := l.record(one); ok != (err == nil) {
				t.Fatalf("step %d: recorded %t, error %v", step, ok, err)
			}
		case 0:
			c := session.Chat{Account: r.account(), ID: r.chatID(), Tenant: "ann", Model: "m",
				Disposable: r.IntN(2) == 0, Created: r.time(), Used: r.time()}
			s.must(s.AddChat(s.ctx, c))
			l.addChat(c)
		case 1:
			account, id := r.account(), r.chatID()
			s.must(s.ForgetTurns(s.ctx, account, id))
			l.forgetTurns(account, id)
		case 2:
			account, id := r.account(), r.chatID()
			s.must(s.RemoveChat(s.ctx, account, id))
			l.removeChat(account, id)
		case 3:
			r.prune(s, l)
		}
		r.compare(s, l)
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
}

// prune also forgets the chats that have lost turns: whether a turn that is
// recorded once more after that was continued is nowhere said.
func (r *random) prune(s *store, l *list) {
	before, keep := at(r.clock-r.IntN(40)), r.IntN(30)
	s.prune(before, keep, 1000, l.prune(before, keep))
	for _, c := range l.chats {
		s.must(s.ForgetTurns(s.ctx, c.Account, c.ID))
	}
	l.turns = nil
}

func (r *random) compare(s *store, l *list) {
	index, k, limit := indexes[r.IntN(len(indexes))], r.key(), 1+r.IntN(6)
	got, want := s.find(index, k, limit), l.find(index, k, limit)
	if len(got) != len(want) {
		s.t.Fatalf("index %d, limit %d: found %d turns, not %d", index, limit, len(got), len(want))
	}
	for i := range want {
		want[i].Aliases = nil
		sameTurn(s.t, got[i], want[i])
	}
	account, before := r.account(), at(r.clock-r.IntN(20))
	idle, err := s.IdleChats(s.ctx, account, before, limit)
	s.must(err)
	wantIdle := l.idleChats(account, before, limit)
	if len(idle) != len(wantIdle) {
		s.t.Fatalf("%d idle chats, not %d", len(idle), len(wantIdle))
	}
	for i := range wantIdle {
		sameChat(s.t, idle[i], wantIdle[i])
	}
	if len(l.chats) > 0 {
		c := l.chats[r.IntN(len(l.chats))]
		stored, err := s.Chat(s.ctx, c.Account, c.ID)
		s.must(err)
		sameChat(s.t, stored, c)
	}
}
