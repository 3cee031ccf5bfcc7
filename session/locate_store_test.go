package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestLocatePrefersFresh has equal conversations in several chats: those that
// were not continued come first, the newest before the others.
func TestLocatePrefersFresh(t *testing.T) {
	s := newSite(t)
	var chats []answer
	for range 3 {
		chats = append(chats, s.ask(request{messages: list("Hello"), text: long1}))
	}
	next := request{messages: list("Hello", long1, "So?"), text: long2}
	for _, i := range []int{2, 1, 0} {
		a := s.ask(next)
		a.follows(t, chats[i], 2)
		a.is(t, false, false)
	}
	a := s.ask(next)
	a.follows(t, chats[2], 2)
	a.is(t, true, false)
}

func TestLocateTake(t *testing.T) {
	s := newSite(t)
	first := s.ask(request{messages: list("Hello"), text: long1})
	second := s.ask(request{messages: list("Hello"), text: long1})
	next := request{messages: list("Hello", long1, "So?"), text: long2, aborted: true}

	s.busy[second.chat] = true
	s.ask(next).follows(t, first, 2)

	s.busy[first.chat] = true
	a := s.ask(next)
	if !errors.Is(a.err, ErrBusy) || a.Place.ChatID != "" || a.Place.ParentID != "" {
		t.Fatalf("all are in use: %+v, error %v", a.Place, a.err)
	}

	// CA-05: the conversation goes on in the chat that the busy one was forked to.
	next.aborted = false
	fork := s.ask(next)
	fork.saw(t, asSent(next.messages)...)
	after := s.ask(request{messages: list("Hello", long1, "So?", long2, "And?")})
	after.follows(t, fork, 4)
	after.is(t, false, false)
	clear(s.busy)
	s.ask(next).follows(t, second, 2)
}

// TestLocateTakesOnce counts the chats that are reserved: no more than the one of
// the place, for nobody would give the others back.
func TestLocateTakesOnce(t *testing.T) {
	s := newSite(t)
	for range 4 {
		s.ask(request{messages: list("Hello"), text: long1})
	}
	var asked []string
	c := New(s.scope, "", list("Hello", long1, "So?"))
	p, err := c.Locate(context.Background(), s.store, func(chat string) bool {
		asked = append(asked, chat)
		return len(asked) == 2
	})
	if err != nil || len(asked) != 2 || p.ChatID != asked[1] || asked[0] == asked[1] {
		t.Fatalf("asked for %v, got %q, error %v", asked, p.ChatID, err)
	}
}

func TestLocateStoreErrors(t *testing.T) {
	take := func(string) bool { t.Error("took a chat"); return false }
	broken := fmt.Errorf("disk: %w", ErrUnavailable)
	for name, messages := range map[string][]Message{
		"known": append(list(bern...), user("So?")), "trimmed": append(list(bern[2:]...), user("So?")), "unknown": list("a", "b", "c"),
	} {
		s := newSite(t)
		s.chat("", bern...)
		reads := s.store.reads
		c := New(s.scope, "", messages)
		for after := 0; ; after++ { // each read fails once
			faulty := &failing{Store: s.store, after: after, err: broken}
			_, err := c.Locate(context.Background(), faulty, func(string) bool { return true })
			if faulty.after >= 0 {
				if after == 0 {
					t.Errorf("%s: no read", name)
				}
				break
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s: read %d failed, but the error is %v", name, after, err)
			}
		}
		if s.store.reads == reads {
			t.Errorf("%s: nothing read", name)
		}
		s.store.Close()
		if _, err := c.Locate(context.Background(), s.store, take); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: the store is closed, but the error is %v", name, err)
		}
	}
}

// failing is a store of which one read fails.
type failing struct {
	Store
	after int // reads before that
	err   error
}

func (f *failing) Find(ctx context.Context, key Key, limit int) ([]Turn, error) {
	if f.after--; f.after == -1 {
		return nil, f.err
	}
	return f.Store.Find(ctx, key, limit)
}

func (f *failing) FindAlias(ctx context.Context, alias Digest, limit int) ([]Turn, error) {
	if f.after--; f.after == -1 {
		return nil, f.err
	}
	return f.Store.FindAlias(ctx, alias, limit)
}

func (f *failing) Turn(ctx context.Context, account Digest, chat, response string) (Turn, error) {
	if f.after--; f.after == -1 {
		return Turn{}, f.err
	}
	return f.Store.Turn(ctx, account, chat, response)
}

// TestLocateForeignTurns has a store that returns what it was not asked for.
func TestLocateForeignTurns(t *testing.T) {
	for name, tamper := range map[string]func(*Turn){
		"tenant":      func(t *Turn) { t.Tenant = "other" },
		"account":     func(t *Turn) { t.Account = Of("account", "other") },
		"model":       func(t *Turn) { t.Model = "other" },
		"no messages": func(t *Turn) { t.Messages = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.chat("Be brief.", bern...)
			s.store.tamper = tamper
			for cut := range len(bern) - 1 {
				for _, text := range []string{"Be brief.", "Be kind."} {
					s.ask(request{system: text, messages: append(list(bern...), user("So?"))[cut:], aborted: true}).isNew(t)
				}
			}
		})
	}
}

// TestLocateForeignAmong has turns of others among the right ones.
func TestLocateForeignAmong(t *testing.T) {
	s := newSite(t)
	first := s.ask(request{messages: list("Hello"), text: long1})
	second := s.ask(request{messages: list("Hello"), text: long1})
	s.store.tamper = func(t *Turn) {
		if t.ChatID == second.chat {
			t.Tenant = "other"
		}
	}
	s.ask(request{messages: list("Hello", long1, "So?")}).follows(t, first, 2)
}
