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
	turns []session.Turn // in the order of recording, and of time
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

func (l *list) record(t session.Turn) {
	t.Continued = false
	for _, other := range l.turns {
		if l.inChat(t.Account, t.ChatID)(other) && other.ResponseID == t.ResponseID {
			return
		}
	}
	for i := range l.turns {
		if other := &l.turns[i]; l.inChat(t.Account, t.ChatID)(*other) && other.ResponseID == t.ParentID {
			other.Continued = true
		}
	}
	l.turns = append(l.turns, t)
}

func (l *list) addChat(c session.Chat) {
	if old := l.chat(c.Account, c.ID); old == nil {
		l.chats = append(l.chats, c)
	} else if old.Used.Before(c.Used) {
		old.Used = c.Used
	}
}

// used returns a chat as it is with its turns.
func (l *list) used(account session.Digest, id string) (c session.Chat, ok bool) {
	if added := l.chat(account, id); added != nil {
		c, ok = *added, true
	}
	for _, t := range l.turns { // in the order of time
		if !l.inChat(account, id)(t) {
			continue
		}
		if !ok {
			c, ok = session.Chat{Account: account, ID: id, Tenant: t.Tenant, Model: t.Model, Created: t.Time}, true
		}
		if t.Tenant == c.Tenant && t.Time.After(c.Used) {
			c.Used = t.Time
		}
	}
	return c, ok
}

func (l *list) forgetTurns(account session.Digest, id string) {
	if c, ok := l.used(account, id); ok && l.chat(account, id) == nil {
		l.chats = append(l.chats, c)
	}
	l.keepUsed()
	l.turns = slices.DeleteFunc(l.turns, l.inChat(account, id))
}

// keepUsed makes the chats that were added count as used when their turns were.
func (l *list) keepUsed() {
	for i := range l.chats {
		l.chats[i], _ = l.used(l.chats[i].Account, l.chats[i].ID)
	}
}

func (l *list) removeChat(account session.Digest, id string) {
	l.turns = slices.DeleteFunc(l.turns, l.inChat(account, id))
	l.chats = slices.DeleteFunc(l.chats, func(c session.Chat) bool { return c.Account == account && c.ID == id })
}

func (l *list) find(wanted func(*session.Turn) bool, limit int) (found []session.Turn) {
	for _, t := range slices.Backward(l.turns) {
		if wanted(&t) {
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
	for _, added := range l.chats {
		if c, _ := l.used(added.Account, added.ID); c.Account == account && c.Disposable && c.Used.Before(before) {
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
	l.keepUsed()
	l.turns = slices.Delete(l.turns, 0, max(0, len(l.turns)-keep))
	l.turns = slices.DeleteFunc(l.turns, func(t session.Turn) bool { return t.Time.Before(before) })
	l.chats = slices.DeleteFunc(l.chats, func(c session.Chat) bool {
		return !c.Disposable && c.Used.Before(before) && !slices.ContainsFunc(l.turns, l.inChat(c.Account, c.ID))
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

func (r *random) key() session.Digest { return key(r.IntN(4)) }

func (r *random) keys() (keys []session.Digest) {
	for range r.IntN(4) {
		keys = append(keys, r.key())
	}
	return keys
}

// turn returns a turn that follows one that was recorded, if any.
func (r *random) turn(l *list) session.Turn {
	t := session.Turn{
		Account: r.account(), ChatID: r.chatID(), ResponseID: fmt.Sprint("r", r.IntN(9)),
		Tenant: []string{"ann", "ann", "ann", "bob"}[r.IntN(4)], Model: fmt.Sprint("m", r.IntN(2)),
		Key:    session.Key{Pair: r.key(), Loose: r.key(), Chain: r.key()},
		System: r.key(), Long: r.IntN(4) > 0,
		Aliases: r.keys(), Messages: r.keys(), Variants: r.keys(), Partial: r.IntN(2) == 0, Time: r.time(),
	}
	for _, i := range r.Perm(len(l.turns)) {
		if one := &l.turns[i]; l.inChat(t.Account, t.ChatID)(*one) && one.ResponseID != t.ResponseID && r.IntN(4) > 0 {
			t.ParentID = one.ResponseID
		}
	}
	return t
}

// wanted returns a key that turns may have.
func (r *random) wanted() session.Key {
	k := session.Key{Pair: r.key()}
	if r.IntN(2) == 0 {
		k.Loose = r.key()
	}
	if r.IntN(2) == 0 {
		k.Chain = r.key()
	}
	return k
}

// seed returns a seed for random numbers, and prints it.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", seedVariable, seed)
	return seed
}

// testRandom does the same random things to the store and to a plain list, and
// compares what each finds.
func testRandom(t *testing.T, s *store) {
	r := &random{Rand: rand.New(rand.NewPCG(seed(t), 1))}
	l := new(list)
	for step := range 600 {
		switch r.IntN(24) {
		default:
			one := r.turn(l)
			s.record(one)
			l.record(one)
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

func (r *random) prune(s *store, l *list) {
	before, keep := at(r.clock-r.IntN(40)), r.IntN(30)
	s.prune(before, keep, 1000, l.prune(before, keep))
}

func (r *random) compare(s *store, l *list) {
	k, limit := r.wanted(), 1+r.IntN(6)
	r.same(s, s.find(k, limit), l.find(func(t *session.Turn) bool { return t.Matches(k) }, limit))
	alias := r.key()
	r.same(s, s.findAlias(alias, limit), l.find(func(t *session.Turn) bool { return slices.Contains(t.Aliases, alias) }, limit))
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
	id := r.chatID()
	if want, ok := l.used(account, id); ok {
		got, err := s.Chat(s.ctx, account, id)
		s.must(err)
		sameChat(s.t, got, want)
	} else if _, err := s.Chat(s.ctx, account, id); !errors.Is(err, session.ErrNotFound) {
		s.t.Errorf("chat %s: %v", id, err)
	}
}

// same asserts that the turns are those that a plain list finds.
func (r *random) same(s *store, got, want []session.Turn) {
	s.t.Helper()
	if len(got) != len(want) {
		s.t.Fatalf("found %d turns, not %d", len(got), len(want))
	}
	for i := range want {
		want[i].Aliases = nil
		sameTurn(s.t, got[i], want[i])
	}
}
