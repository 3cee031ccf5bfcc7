package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// numbered is a conversation of n turns with no two texts alike, and the next
// question.
func numbered(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("Question %d?", i), fmt.Sprintf("This is the answer to question %d, and there is nothing else to be said about it.", i))
	}
	return append(texts, fmt.Sprintf("Question %d?", n))
}

func TestLocateTrimmed(t *testing.T) {
	s := newSite(t)
	texts := numbered(6)
	answers := s.chat("Be brief.", texts...)
	for turn := 1; turn <= len(answers); turn++ {
		for cut := 1; cut <= 2*turn-2; cut++ { // at a question, and between it and its reply
			messages := list(texts...)[cut : 2*turn+1]
			a := s.ask(request{system: "Be brief.", messages: messages, text: "So.", aborted: true})
			a.follows(t, answers[turn-1], len(messages)-1)
			a.is(t, turn < len(answers), false)
			if want := append([]string{"system: Be brief."}, asSent(list(texts...)[:2*turn+1])...); !slices.Equal(a.seen, want) {
				t.Errorf("turn %d without %d messages: the model saw %q", turn, cut, a.seen)
			}
		}
	}
}

// TestLocateWindow sends the newest messages of a long conversation only, as
// clients do that keep a window. A window of four messages is two turns.
func TestLocateWindow(t *testing.T) {
	for _, window := range []int{3, 4, 5} {
		s := newSite(t)
		texts := numbered(20)
		var last answer
		for i := 0; i+1 < len(texts); i += 2 {
			from := max(0, i+1-window)
			a := s.ask(request{messages: list(texts...)[from : i+1], text: texts[i+1]})
			if i > 0 {
				a.follows(t, last, i-from)
				a.is(t, false, false)
			}
			a.saw(t, asSent(list(texts...)[:i+1])...)
			last = a
		}
		// The whole list is known just as well.
		s.ask(request{messages: list(texts...)}).follows(t, last, len(texts)-1)
	}
}

// TestLocateTrimmedAfterReplay trims what went along as text.
func TestLocateTrimmedAfterReplay(t *testing.T) {
	s := newSite(t)
	texts := numbered(5)
	replay := s.ask(request{system: "Be brief.", messages: list(texts[:9]...), text: texts[9]})
	replay.isNew(t)
	for cut := 1; cut < 8; cut++ {
		a := s.ask(request{system: "Be brief.", messages: list(texts...)[cut:], aborted: true})
		a.follows(t, replay, len(texts)-1-cut)
	}
	after := s.ask(request{system: "Be brief.", messages: list(texts...)[4:], text: long1})
	after.follows(t, replay, len(texts)-5)
	messages := append(list(texts...), assistant(long1), user("So?"))
	s.ask(request{system: "Be brief.", messages: messages[7:]}).follows(t, after, 5)
}

// TestLocateTrimmedNot has lists of which the place cannot be told, or which are
// no end of any conversation.
func TestLocateTrimmedNot(t *testing.T) {
	texts := numbered(4)
	change := func(i int, text string) []Message { return list(edited(texts, i, text)...)[2:] }
	drop := func(i int) []Message { return slices.Delete(list(texts...), i, i+1)[2:] }
	for name, messages := range map[string][]Message{
		"the newest question of the pair changed": change(6, "So?"),
		"the newest reply changed":                change(7, long1),
		"the newest reply in quotation marks":     change(7, "> "+texts[7]),
		"an older question changed":               change(4, "So?"),
		"an older reply changed":                  change(5, long1),
		"an older reply made empty":               change(5, ""),
		"the oldest that is left changed":         change(2, "So?"),
		"a question deleted":                      drop(4),
		"a reply deleted":                         drop(3),
		"the question of the pair deleted":        drop(6),
		"a message put before":                    append([]Message{user("So?")}, list(texts...)[2:]...),
		"a system message put before":             append([]Message{system("So?")}, list(texts...)[2:]...),
		"more than there is":                      append(list("So?", long1), list(texts...)...),
		"the newest reply only":                   list(texts...)[7:],
		"calls of tools put in": append(list(texts...)[2:7],
			Message{Role: "assistant", Text: texts[7], Calls: []Call{{"f", "{}"}}}, user("So?")),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.chat("", texts...)
			a := s.ask(request{messages: messages})
			a.isNew(t)
			a.saw(t, asSent(messages)...)
		})
	}
}

// TestLocateTrimmedShort never takes a short reply for the end of a
// conversation, neither as it was nor as it came back.
func TestLocateTrimmedShort(t *testing.T) {
	for name, reply := range map[string][2]string{
		"short":                    {"OK", "OK"},
		"15 characters":            {"123456789 12345", "123456789 12345"},
		"white space":              {"OK                    ", "OK                    "},
		"short without its tools":  {"OK. <tool_use><name>f</name></tool_use>", "OK."},
		"short after its thoughts": {"OK", "<think>I think that this is fine.</think>OK"},
		"short with neither":       {"OK. <tool_use><name>f</name></tool_use>", "<think>I think that this is fine.</think>OK."},
		"short after a quotation":  {"OK", "> I think that this is fine.\n\nOK"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			first := s.ask(request{messages: list("Hello"), text: long1})
			a := s.ask(request{messages: list("Hello", long1, "Go on."), reasoning: "I think that this is fine.", text: reply[0]})
			a.follows(t, first, 2)
			s.ask(request{messages: list("Hello", long1, "Go on.", reply[1], "So?"), aborted: true}).follows(t, a, 4)
			s.ask(request{messages: list("Go on.", reply[1], "So?")}).isNew(t)
		})
	}
}

// TestLocateTrimmedAmbiguous has an end that two conversations have in common.
func TestLocateTrimmedAmbiguous(t *testing.T) {
	refusal := "I am sorry, but I cannot help with that, whatever you say and however often you ask."
	s := newSite(t)
	s.chat("", "I like cats.", long1, "Go on.", refusal)
	s.chat("", "I like dogs.", long2, "Go on.", refusal)
	end := request{messages: list("Go on.", refusal, "Why?"), aborted: true}
	s.ask(end).isNew(t)
	// One message more tells them apart.
	for _, m := range []string{long1, long2} {
		a := s.ask(request{messages: append([]Message{assistant(m)}, end.messages...), aborted: true})
		if a.err != nil || a.seen[1] != "assistant: "+m {
			t.Errorf("found %q, error %v", a.seen, a.err)
		}
	}
	// Another system text is another conversation.
	end.system = "Be brief."
	s.ask(end).isNew(t)
	briefly := s.chat("Be brief.", "I like birds.", long3, "Go on.", refusal)
	s.ask(end).follows(t, briefly[1], 2)
}

// TestLocateTrimmedTooMany has more conversations with one end than are looked
// at. They cannot be told apart even if all of those looked at are the same.
func TestLocateTrimmedTooMany(t *testing.T) {
	s := newSite(t)
	s.chat("", "I like cats.", long1, "Go on.", long2)
	s.chat("", "I like dogs.", long1, "Go on.", long2)
	for range maxCandidates {
		s.ask(request{messages: list("I like dogs.", long1, "Go on."), text: long2})
	}
	s.ask(request{messages: list("Go on.", long2, "Why?")}).isNew(t)
}

// TestLocateTrimmedTwice has the same conversation twice, which is as good as
// once.
func TestLocateTrimmedTwice(t *testing.T) {
	s := newSite(t)
	first := s.chat("", "I like cats.", long1, "Go on.", long2)
	s.ask(request{messages: list("I like cats.", long1, "Go on.", long2, "So?"), text: long3})
	again := s.ask(request{messages: list("I like cats.", long1, "Go on."), text: long2})
	again.follows(t, first[0], 2)
	again.is(t, true, false)
	end := request{messages: list("Go on.", long2, "Why?"), aborted: true}
	a := s.ask(end)
	a.follows(t, again, 2) // which was not continued
	a.is(t, false, false)
	a.saw(t, asSent(list("I like cats.", long1, "Go on.", long2, "Why?"))...)
}

// TestLocateTrimmedTake tries all chats, and says that none can be had.
func TestLocateTrimmedTake(t *testing.T) {
	s := newSite(t)
	answers := s.chat("", numbered(3)...)
	end := request{messages: list(numbered(3)...)[2:], aborted: true}
	s.busy[answers[0].chat] = true
	a := s.ask(end)
	if a.err != ErrBusy {
		t.Fatalf("error %v, want %v", a.err, ErrBusy)
	}
	a.saw(t, asSent(end.messages)...)
}

// TestLocateTrimmedPruned forgets the turns that would have to be looked at.
func TestLocateTrimmedPruned(t *testing.T) {
	s := newSite(t)
	texts := numbered(6)
	answers := s.chat("", texts...)
	s.prune(answers[3].record.Time)
	for cut := 1; cut < len(texts)-2; cut++ {
		a := s.ask(request{messages: list(texts...)[cut:], aborted: true})
		if cut < 6 { // a message of a forgotten turn is left
			a.isNew(t)
		} else {
			a.follows(t, answers[5], len(texts)-1-cut)
		}
	}
	// The whole list is known by its digest alone.
	s.ask(request{messages: list(texts...)}).follows(t, answers[5], len(texts)-1)
}

// prune forgets the turns recorded before a time.
func (s *site) prune(before time.Time) {
	s.t.Helper()
	if n, err := s.store.Prune(context.Background(), before, 1<<20, 1<<20); err != nil || n == 0 {
		s.t.Fatalf("%d turns forgotten, error %v", n, err)
	}
}

// TestLocateTrimmedPartial replays more messages than are recorded of a turn.
func TestLocateTrimmedPartial(t *testing.T) {
	for _, turns := range []int{(MaxMessages - 2) / 2, MaxMessages / 2, MaxMessages} {
		s := newSite(t)
		texts := numbered(turns)
		replay := s.ask(request{messages: list(texts...), text: long1})
		partial := len(texts)+1 > MaxMessages
		if got := replay.record; got.Partial != partial || len(got.Messages) != min(len(texts)+1, MaxMessages) {
			t.Fatalf("%d messages: %d recorded, partial %v", len(texts)+1, len(got.Messages), got.Partial)
		}
		messages := append(list(texts...), assistant(long1), user("So?"))
		left := len(replay.record.Messages) // as many as are recorded
		if !partial {
			left--
		}
		a := s.ask(request{messages: messages[len(messages)-1-left:], aborted: true})
		a.follows(t, replay, left)
	}
}

// TestLocateTrimmedPartialMore has one message more than is recorded, which
// cannot be compared.
func TestLocateTrimmedPartialMore(t *testing.T) {
	s := newSite(t)
	texts := numbered(MaxMessages)
	replay := s.ask(request{messages: list(texts...), text: long1})
	messages := append(list(texts...), assistant(long1), user("So?"))
	from := len(messages) - 1 - MaxMessages
	s.ask(request{messages: messages[from:], aborted: true}).follows(t, replay, MaxMessages)
	s.ask(request{messages: messages[from-1:], aborted: true}).isNew(t)
	s.ask(request{messages: messages, aborted: true}).follows(t, replay, len(messages)-1)
}

// TestLocateTrimmedDamaged has turns in the store that are their own parents.
func TestLocateTrimmedDamaged(t *testing.T) {
	s := newSite(t)
	texts := numbered(4)
	answers := s.chat("", texts...)
	s.store.tamper = func(turn *Turn) { turn.ParentID = turn.ResponseID }
	a := s.ask(request{messages: list(texts...)[6:]}) // of one turn only
	a.follows(t, answers[3], 2)
	s.ask(request{messages: list(texts...)[4:]}).isNew(t)
}

// TestLocateTrimmedHole leaves out just the messages that are not recorded of a
// turn: what is before them is not taken for what comes before the others.
func TestLocateTrimmedHole(t *testing.T) {
	s := newSite(t)
	texts := numbered(MaxMessages)
	s.chat("", texts[:4]...)
	replay := s.ask(request{messages: list(texts...), text: long1})
	messages := append(list(texts...), assistant(long1), user("So?"))
	recorded := messages[len(messages)-1-MaxMessages:]
	if !replay.record.Partial || replay.record.ParentID == "" {
		t.Fatalf("partial %v after %q", replay.record.Partial, replay.record.ParentID)
	}
	s.ask(request{messages: recorded, aborted: true}).follows(t, replay, MaxMessages)
	s.ask(request{messages: append(list(texts...)[3:4], recorded...), aborted: true}).isNew(t)
}

func TestTurnMessages(t *testing.T) {
	for _, n := range []int{1, MaxMessages - 2, MaxMessages - 1, MaxMessages, MaxMessages + 1} {
		messages := append([]Message{system("Be brief.")}, list(numbered(MaxMessages)...)...)[:n]
		c := New(testScope, "", messages)
		turn := c.Turn(c.NewChat(), "chat", "answer", replyOf("", long1), time.Now())
		if len(turn.Messages) != min(n+1, MaxMessages) || turn.Partial != (n+1 > MaxMessages) {
			t.Errorf("%d messages and a reply: %d recorded, partial %v", n, len(turn.Messages), turn.Partial)
		}
		if last := turn.Messages[len(turn.Messages)-1]; last != replyDigest(slowDigest(long1)) {
			t.Errorf("%d messages: the reply is not the last", n)
		}
	}
}

// TestLocateTrimmedGreeting has two conversations with the same greeting, one of
// which is not recorded: it must not be taken for the end of the other.
func TestLocateTrimmedGreeting(t *testing.T) {
	const greeting = "Hello! How can I help you today?"
	s := newSite(t)
	answers := s.chat("", "My secret is a canary.", long1, "hi", greeting)
	s.ask(request{messages: list("hi", greeting, "What do you know about me?"), aborted: true}).isNew(t)
	more := append([]Message{assistant(long1)}, list("hi", greeting, "So?")...)
	s.ask(request{messages: more, aborted: true}).follows(t, answers[1], 3)
}

// TestLocateInTime ends the search when its time is over. What was found by then
// counts.
func TestLocateInTime(t *testing.T) {
	s := newSite(t)
	s.chat("", bern...)
	c := New(testScope, "", append(list(bern...), user("So?")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Locate(ctx, s.store, func(string) bool { return true }); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
