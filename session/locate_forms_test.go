package session

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestLocateLeavesConversation records in a new chat what was searched for
// before: a chat that was lost, or is in use, leaves no trace in what is
// recorded then, so that the same list finds it the next time.
func TestLocateLeavesConversation(t *testing.T) {
	mangled := func(n int) (messages []Message) {
		for i := range n {
			messages = append(messages, user(bern[2*i]), assistant("> So.\n\n"+bern[2*i+1]))
		}
		return append(messages, user("Next?"))
	}
	s := newSite(t)
	s.ask(request{messages: list(bern[0]), reasoning: "So.", text: bern[1]})
	second := s.ask(request{messages: append(mangled(1)[:2], user(bern[2])), reasoning: "So.", text: bern[3]})
	second.is(t, false, false)
	c := New(s.scope, "", mangled(2))
	p, err := c.Locate(context.Background(), s.store, func(string) bool { return true })
	if err != nil || p.ParentID != second.id || p.Known != 4 {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := s.store.ForgetTurns(context.Background(), s.scope.Account, p.ChatID); err != nil {
		t.Fatal(err)
	}
	turn := c.Turn(c.NewChat(), "new chat", "new answer", replyOf("So.", long3), time.Now())
	if err := s.store.Record(context.Background(), turn); err != nil {
		t.Fatal(err)
	}
	after := append(mangled(2), assistant("> So.\n\n"+long3), user("And?"))
	a := s.ask(request{messages: after})
	if a.ChatID != "new chat" || a.ParentID != "new answer" || a.Known != 6 {
		t.Fatalf("follows %s/%s knowing %d, error %v", a.ChatID, a.ParentID, a.Known, a.err)
	}
}

// TestLocateForkedMangled goes on in the chat that a busy one was forked to,
// although the replies came back in another form than the busy chat has them.
func TestLocateForkedMangled(t *testing.T) {
	for name, back := range map[string]func(string) Message{
		"tags":       func(text string) Message { return assistant("<think>So.</think>" + text) },
		"quotations": func(text string) Message { return assistant("> So.\n\n" + text) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			var messages []Message
			var last answer
			for i, text := range []string{"One.", "Two.", "Three.", "Four.", "Five.", "Six.", "Seven.", "Eight."} {
				forked := i == 2 || i == 5
				s.busy[last.chat] = forked
				messages = append(messages, user("Go on."))
				a := s.ask(request{messages: messages, reasoning: "So.", text: text})
				switch {
				case i == 0:
				case forked:
					if !errors.Is(a.err, ErrBusy) {
						t.Fatalf("turn %d: error %v", i, a.err)
					}
				default:
					a.follows(t, last, 2*i)
					a.is(t, false, false)
				}
				messages, last = append(messages, back(text)), a
			}
		})
	}
}

// TestLocateAmbiguousForms has two replies to one question that are the same when
// the client has taken out their tools.
func TestLocateAmbiguousForms(t *testing.T) {
	s := newSite(t)
	text := func(name string) string { return "I look it up. <tool_use>" + name + "</tool_use>" }
	first := s.ask(request{messages: list("The weather?"), text: text("bern")})
	back := list("The weather?", "I look it up.", "Well?")
	s.ask(request{messages: back, aborted: true}).follows(t, first, 2)
	s.ask(request{messages: list("The weather?"), text: text("bern")})
	if a := s.ask(request{messages: back, aborted: true}); a.err != nil || a.Known != 2 {
		t.Errorf("the same reply twice: %d messages known, error %v", a.Known, a.err)
	}
	second := s.ask(request{messages: list("The weather?"), text: text("thun")})
	s.ask(request{messages: back, aborted: true}).isNew(t)
	s.ask(request{messages: list("The weather?", text("thun"), "Well?"), aborted: true}).follows(t, second, 2)
}
