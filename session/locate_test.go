package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Texts of replies that are long enough for all rules.
const (
	long1 = "Bern is the seat of the government, and has been that since the year 1848."
	long2 = "The river that flows there is the Aare, which is the longest within the country."
	long3 = "It flows into the Rhine near Koblenz, after two hundred and eighty-eight kilometres."
)

// bern is a conversation of three turns.
var bern = []string{"Where does it sit?", long1, "Which river?", long2, "Where to?", long3}

// edited is a list in which one text is another.
func edited(texts []string, i int, text string) []string {
	texts = slices.Clone(texts)
	texts[i] = text
	return texts
}

func TestLocateLongestKnown(t *testing.T) {
	more := append(slices.Clone(bern), "And then?")
	tests := map[string]struct {
		texts  []string
		parent int // the turn that is followed, from 0; -1 for a new chat
		branch bool
	}{
		"HI-02 the next turn":                     {more, 2, false},
		"HI-07 the newest reply once more":        {more[:5], 1, true},
		"HI-07 an older reply once more":          {more[:3], 0, true},
		"HI-07 the first reply once more":         {more[:1], -1, false},
		"HI-06 the newest question edited":        {edited(more, 6, "So?"), 2, false},
		"HI-06 an older question edited":          {edited(more, 4, "So?"), 1, true},
		"HI-06 the first question edited":         {edited(more, 0, "So?"), -1, false},
		"HI-06 the newest reply edited":           {edited(more, 5, long3+"!"), 1, true},
		"HI-06 an older reply edited":             {edited(more, 3, long3), 0, true},
		"HI-06 the first reply edited":            {edited(more, 1, ""), -1, false},
		"HI-06 an older question, and the rest":   {[]string{bern[0], bern[1], "So?", "Well.", "So?"}, 0, true},
		"a turn in the middle deleted":            {slices.Delete(slices.Clone(more), 2, 4), 0, true},
		"a question in the middle deleted":        {slices.Delete(slices.Clone(more), 2, 3), 0, true},
		"a reply in the middle deleted":           {slices.Delete(slices.Clone(more), 3, 4), 0, true},
		"a turn put in":                           {slices.Insert(slices.Clone(more), 2, "And?", "Yes."), 0, true},
		"turns in another order":                  {[]string{bern[2], bern[3], bern[0], bern[1], "And then?"}, -1, false},
		"a list that ends with a reply":           {more[:6], 1, true},
		"a list that ends with the first reply":   {more[:2], -1, false},
		"two questions joined":                    {[]string{bern[0] + "\n" + bern[1], bern[2]}, -1, false},
		"the text moved from question to reply":   {edited(edited(more, 2, "Which"), 3, "river? "+long2), 0, true},
		"the text moved from reply to question":   {edited(edited(more, 3, long2[:20]), 4, long2[20:]+more[4]), 0, true},
		"white space edited":                      {edited(more, 3, "\n"+strings.ReplaceAll(long2, " ", "\n\n")), 2, false},
		"the list empty but for the new question": {more[6:], -1, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			answers := s.chat("", bern...)
			messages := list(test.texts...)
			if strings.Contains(name, "question in the middle deleted") || strings.Contains(name, "reply in the middle deleted") {
				// The roles stay with the texts.
				messages = messagesOf(bern, test.texts)
			}
			a := s.ask(request{messages: messages, text: "So."})
			if test.parent < 0 {
				a.isNew(t)
			} else {
				a.follows(t, answers[test.parent], 2*(test.parent+1))
				a.is(t, test.branch, false)
			}
			a.saw(t, asSent(messages)...)
		})
	}
}

// messagesOf gives texts the roles that they have in a conversation.
func messagesOf(conversation, texts []string) []Message {
	messages := make([]Message, len(texts))
	for i, text := range texts {
		messages[i] = user(text)
		if slices.Index(conversation, text)%2 == 1 {
			messages[i] = assistant(text)
		}
	}
	return messages
}

// asSent is what the model should see of a list: all of it. White space that the
// client has changed counts as it was.
func asSent(messages []Message) (seen []string) {
	for _, m := range messages {
		if strings.HasPrefix(m.Text, "\n") {
			m.Text = strings.Join(strings.Fields(m.Text), " ")
		}
		seen = append(seen, asSeen(m))
	}
	return seen
}

// TestLocateBranches goes to and fro between the branches of a conversation.
func TestLocateBranches(t *testing.T) {
	s := newSite(t)
	first := s.chat("", bern...)
	branch := s.ask(request{messages: list(append(slices.Clone(bern[:4]), "Why?")...), text: long1})
	branch.follows(t, first[1], 4)
	branch.is(t, true, false)
	again := s.ask(request{messages: list(append(slices.Clone(bern[:4]), "Why?", long1, "So?")...), text: long2})
	again.follows(t, branch, 6)
	again.is(t, false, false)
	back := s.ask(request{messages: list(append(slices.Clone(bern), "So?")...), text: long1})
	back.follows(t, first[2], 6)
	back.is(t, false, false)
	back.saw(t, asSent(list(append(slices.Clone(bern), "So?")...))...)
}

// HI-05: equal replies mix no conversations up.
func TestLocateEqualReplies(t *testing.T) {
	s := newSite(t)
	cats := s.chat("", "I like cats.", "OK", "Remember.", "OK")
	dogs := s.chat("", "I like dogs.", "OK", "Remember.", "OK")
	for _, test := range []struct {
		animal string
		parent answer
	}{{"cats", cats[1]}, {"dogs", dogs[1]}} {
		a := s.ask(request{messages: list("I like "+test.animal+".", "OK", "Remember.", "OK", "What do I like?"), text: "OK"})
		a.follows(t, test.parent, 4)
	}
	s.ask(request{messages: list("I like birds.", "OK", "Remember.", "OK", "What do I like?"), text: "OK"}).isNew(t)
	// Two that are equal so far may share nothing but what they have in common.
	a := s.ask(request{messages: list("I like cats.", "OK", "Remember.", "OK", "And mice.")})
	a.follows(t, cats[1], 4)
	a.is(t, true, false)
	a.saw(t, "user: I like cats.", "assistant: OK", "user: Remember.", "assistant: OK", "user: And mice.")
}

// HI-12: nothing of another tenant, account or model is found.
func TestLocateScopes(t *testing.T) {
	for name, scope := range map[string]Scope{
		"tenant":                  {"other", testScope.Account, testScope.Model},
		"no tenant":               {"", testScope.Account, testScope.Model},
		"account":                 {testScope.Tenant, Of("account", "b"), testScope.Model},
		"no account":              {testScope.Tenant, Digest{}, testScope.Model},
		"model":                   {testScope.Tenant, testScope.Account, "qwen3-coder"},
		"tenant and model joined": {testScope.Tenant + testScope.Model, testScope.Account, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.chat("Be brief.", bern...)
			home := s.scope
			s.scope = scope
			for cut := 0; cut < len(bern)-1; cut++ { // whole, and trimmed
				messages := append(list(bern...), user("So?"))[cut:]
				s.ask(request{system: "Be brief.", messages: messages, aborted: true}).isNew(t)
				s.ask(request{system: "Be kind.", messages: messages, aborted: true}).isNew(t)
			}
			own := s.chat("Be brief.", bern...)
			s.ask(request{system: "Be brief.", messages: append(list(bern...), user("So?"))}).follows(t, own[2], 6)
			s.scope = home
			if a := s.ask(request{system: "Be brief.", messages: append(list(bern...), user("So?"))}); a.ChatID == own[2].chat {
				t.Error("found the chat of another scope")
			}
		})
	}
}

// CA-04: an aborted turn leaves the conversation where it was.
func TestLocateAfterAbort(t *testing.T) {
	s := newSite(t)
	answers := s.chat("", bern[:4]...)
	s.ask(request{messages: list(bern[:5]...), text: "It flo", aborted: true}).follows(t, answers[1], 4)
	a := s.ask(request{messages: append(list(bern[:4]...), user("Never mind."))})
	a.follows(t, answers[1], 4)
	a.is(t, false, false)
	a.saw(t, asSent(append(list(bern[:4]...), user("Never mind.")))...)
	// The half reply in the list counts as an edit.
	b := s.ask(request{messages: append(list(bern[:5]...), assistant("It flo"), user("Go on."))})
	b.follows(t, answers[1], 4)
	b.saw(t, asSent(append(list(bern[:5]...), assistant("It flo"), user("Go on.")))...)
}

// HI-01, HI-04: a list without any reply is a new chat, and costs no read.
func TestLocateNoReply(t *testing.T) {
	s := newSite(t)
	s.store.fail = errors.New("read for nothing")
	for _, messages := range [][]Message{
		nil, list("Hello"), {user("Hello"), user("So?")}, {system("Be brief."), user("Hello")},
		{user("Hello"), tool("rain")}, list("Hello", "H"), {assistant("Hello")},
	} {
		s.ask(request{messages: messages, text: long1}).isNew(t)
	}
	if s.store.reads > 0 {
		t.Errorf("%d reads", s.store.reads)
	}
}

// TestLocateLeadingReply has lists that begin with a greeting of the client's.
func TestLocateLeadingReply(t *testing.T) {
	s := newSite(t)
	greeting := []Message{assistant("Hello! I am your assistant."), user("Where does it sit?")}
	a := s.ask(request{messages: greeting, text: long1})
	a.isNew(t)
	next := append(slices.Clone(greeting), assistant(long1), user("So?"))
	s.ask(request{messages: next, text: long2}).follows(t, a, 3)
	other := append([]Message{assistant("Hello! I am another.")}, next[1:]...)
	s.ask(request{messages: other, text: long2}).isNew(t)
}

// TestLocateManyMessages bounds the reads for long conversations.
func TestLocateManyMessages(t *testing.T) {
	texts := make([]string, 2001)
	for i := range texts {
		texts[i] = fmt.Sprintf("This is message number %d.", i)
	}
	s := newSite(t)
	read := func(r request) (answer, int) {
		before := s.store.reads
		a := s.ask(r)
		return a, s.store.reads - before
	}
	if a, n := read(request{messages: list(texts...), text: long1}); a.err == nil || n > maxReads {
		t.Errorf("unknown: %d reads, error %v", n, a.err)
	}
	known := append(list(texts...), assistant(long1), user("So?"))
	a, n := read(request{messages: known, text: long2})
	if a.Known != 2002 || n != 1 {
		t.Errorf("known: %d reads, %d messages known", n, a.Known)
	}
	if a, n = read(request{messages: append(list(texts[2:]...), assistant(long1), user("So?")), aborted: true}); n > maxReads {
		t.Errorf("trimmed: %d reads, %d messages known", n, a.Known)
	}
	// An edit at the very end, and replies that all came back in other forms: what
	// is known is found although not all can be tried.
	for i := 2001; i < len(known); i++ {
		known[i].Text += "!"
	}
	for len(known) < 6000 {
		known = append(known, assistant("<think>So.</think>And so on."), user("Go on."))
	}
	b := s.ask(request{messages: list("Where?"), text: long1})
	mangled := []Message{user("Where?"), assistant(long1)}
	for len(mangled) < 6001 {
		mangled = append(mangled, user("Go on."), assistant("<think>So.</think>And so on and on and on."))
	}
	c, n := read(request{messages: append(mangled, user("So?")), aborted: true})
	c.follows(t, b, 2)
	if n > maxReads {
		t.Errorf("%d reads", n)
	}
	for len(known) <= 2*maxReads+2 {
		known = append(known, assistant("And so on."), user("Go on."))
	}
	a, n = read(request{messages: known, aborted: true})
	a.isNew(t) // it cannot be told
	if n != maxReads {
		t.Errorf("%d reads, want %d", n, maxReads)
	}
}
