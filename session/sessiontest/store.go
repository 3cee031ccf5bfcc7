package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// epoch is when the turns of the tests begin.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

// at returns a time some milliseconds after epoch.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// key returns one of many digests. Like all digests, it looks random.
func key[N int | int64](n N) session.Digest {
	return session.Of("sessiontest", strconv.FormatInt(int64(n), 10))
}

// keyOf returns the key of turn n.
func keyOf(n int) session.Key {
	return session.Key{Pair: key(4 * n), Loose: key(4*n + 1), Chain: key(4*n + 2)}
}

// Accounts of the tests.
var here, there = key(int64(1 << 40)), key(int64(2 << 40))

// turn returns a turn whose keys are made of a number.
func turn(chat, response, parent string, n int) session.Turn {
	return session.Turn{
		Account: here, ChatID: chat, ResponseID: response, ParentID: parent,
		Tenant: "ann", Model: "qwen-max",
		Key: keyOf(n), System: key(4*n + 3), Long: true,
		Messages: []session.Digest{key(n), key(n + 1)},
		Time:     at(n),
	}
}

// store is a store whose errors end the test.
type store struct {
	session.Store
	t   *testing.T
	ctx context.Context
}

func wrap(t *testing.T, s session.Store) *store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return &store{s, t, context.Background()}
}

// files returns the store as one of files.
func (s *store) files() *files { return &files{s.Store, s.t, s.ctx} }

func (s *store) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) record(turns ...session.Turn) {
	s.t.Helper()
	for _, t := range turns {
		s.must(s.Record(s.ctx, t))
	}
}

func (s *store) addChat(chats ...session.Chat) {
	s.t.Helper()
	for _, c := range chats {
		s.must(s.AddChat(s.ctx, c))
	}
}

func (s *store) find(k session.Key, limit int) []session.Turn {
	s.t.Helper()
	found, err := s.Find(s.ctx, k, limit)
	s.must(err)
	return found
}

func (s *store) findAlias(k session.Digest, limit int) []session.Turn {
	s.t.Helper()
	found, err := s.FindAlias(s.ctx, k, limit)
	s.must(err)
	return found
}

// finds asserts which turns are found, by their places.
func (s *store) finds(k session.Key, limit int, want ...string) {
	s.t.Helper()
	s.places(s.find(k, limit), want)
}

func (s *store) findsAlias(k session.Digest, limit int, want ...string) {
	s.t.Helper()
	s.places(s.findAlias(k, limit), want)
}

func (s *store) places(found []session.Turn, want []string) {
	s.t.Helper()
	var got []string
	for _, t := range found {
		got = append(got, t.ChatID+"/"+t.ResponseID)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("found %v, not %v", got, want)
	}
}

func (s *store) turn(chat, response string) session.Turn {
	s.t.Helper()
	t, err := s.Turn(s.ctx, here, chat, response)
	s.must(err)
	return t
}

func (s *store) chat(id string) session.Chat {
	s.t.Helper()
	c, err := s.Chat(s.ctx, here, id)
	s.must(err)
	return c
}

func (s *store) noTurn(chat, response string) {
	s.t.Helper()
	if _, err := s.Turn(s.ctx, here, chat, response); !errors.Is(err, session.ErrNotFound) {
		s.t.Errorf("turn %s/%s: %v", chat, response, err)
	}
}

func (s *store) noChat(id string) {
	s.t.Helper()
	if _, err := s.Chat(s.ctx, here, id); !errors.Is(err, session.ErrNotFound) {
		s.t.Errorf("chat %s: %v", id, err)
	}
}

func (s *store) prune(before time.Time, keep, limit, want int) {
	s.t.Helper()
	removed, err := s.Prune(s.ctx, before, keep, limit)
	s.must(err)
	if removed != want {
		s.t.Errorf("removed %d, not %d", removed, want)
	}
}

// sameTurn asserts that two turns are equal. Times are, if they are the same
// instant; no digests are like an empty list of them.
func sameTurn(t *testing.T, got, want session.Turn) {
	t.Helper()
	if a, b := describe(got), describe(want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func describe(t session.Turn) string {
	return fmt.Sprintf("%s %q %q %q %q %q key %s system %s %t aliases %s messages %s %t variants %s %d %t",
		t.Account, t.ChatID, t.ResponseID, t.ParentID, t.Tenant, t.Model, t.Key, t.System, t.Long,
		t.Aliases, t.Messages, t.Partial, t.Variants, t.Time.UnixMilli(), t.Continued)
}

func sameChat(t *testing.T, got, want session.Chat) {
	t.Helper()
	if a, b := describeChat(got), describeChat(want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func describeChat(c session.Chat) string {
	return fmt.Sprintf("%s %q %q %q %t %d %d", c.Account, c.ID, c.Tenant, c.Model, c.Disposable,
		c.Created.UnixMilli(), c.Used.UnixMilli())
}
