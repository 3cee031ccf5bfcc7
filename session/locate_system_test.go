package session

import (
	"slices"
	"testing"
)

// withTexts is a list with a system message before it, as the wire has it.
func withTexts(systemText string, messages []Message) []Message {
	return append([]Message{system(systemText)}, messages...)
}

// HI-09: a system text that has changed is sent along, and the chat goes on.
func TestLocateSystemChanged(t *testing.T) {
	for name, texts := range map[string][2]string{
		"changed": {"It is Monday.", "It is Tuesday."},
		"added":   {"", "It is Monday."},
		"removed": {"It is Monday.", ""},
		"prefix":  {"It is Monday", "It is Monday."},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			answers := s.chat(texts[0], bern...)
			next := request{system: texts[1], messages: append(list(bern...), user("So?")), text: long1}
			a := s.ask(next)
			a.follows(t, answers[2], 6)
			a.is(t, false, true)
			if got := slices.Index(a.seen, "system: "+texts[1]); got != len(a.seen)-2 {
				t.Errorf("the model saw %q", a.seen)
			}
			// It goes on under the new text, and the old one is another way.
			b := s.ask(request{system: texts[1], messages: append(next.messages, assistant(long1), user("And?")), text: long2})
			b.follows(t, a, 8)
			b.is(t, false, false)
			old := s.ask(request{system: texts[0], messages: next.messages})
			old.follows(t, answers[2], 6)
			old.is(t, true, false)
			// An older place under the new text is found only as far as it ends the list.
			c := s.ask(request{system: texts[1], messages: list(bern[:3]...)})
			c.follows(t, answers[0], 2)
			c.is(t, true, true)
		})
	}
}

// White space around the system text does not count, and nothing but white space
// is no text.
func TestLocateSystemSame(t *testing.T) {
	for _, texts := range [][2]string{{"Be\nbrief.", " Be\r\nbrief. "}, {"", " \n"}, {"\t", ""}} {
		s := newSite(t)
		answers := s.chat(texts[0], "Hello", "OK")
		a := s.ask(request{system: texts[1], messages: list("Hello", "OK", "So?")})
		a.follows(t, answers[0], 2)
		a.is(t, false, false)
	}
}

// Two conversations that differ in their system texts only never share a chat.
func TestLocateSystemApart(t *testing.T) {
	s := newSite(t)
	brief := s.chat("Be brief.", bern...)
	kind := s.ask(request{system: "Be kind.", messages: list(bern[0]), text: long1})
	kind.isNew(t)
	messages := append(list(bern...), user("So?"))
	s.ask(request{system: "Be brief.", messages: messages, aborted: true}).follows(t, brief[2], 6)
	// Each of them is known up to its first reply under its own text.
	a := s.ask(request{system: "Be kind.", messages: list(bern[:3]...), text: "Another."})
	a.follows(t, kind, 2)
	a.is(t, false, false)

	// With a third text either may be meant.
	s.ask(request{system: "Be proud.", messages: list(bern[:3]...), aborted: true}).isNew(t)
	// A list that one of them has never had is that of the other.
	b := s.ask(request{system: "Be proud.", messages: messages, aborted: true})
	b.follows(t, brief[2], 6)
	b.is(t, false, true)
}

// What the system text is is not guessed from less than the whole list.
func TestLocateSystemNot(t *testing.T) {
	more := append(slices.Clone(bern), "So?")
	for name, messages := range map[string][]Message{
		"an older reply edited":    list(edited(more, 3, long3)...),
		"an older question edited": list(edited(more, 2, "So?")...),
		"the newest reply edited":  list(edited(more, 5, long1)...),
		"trimmed":                  list(more...)[2:],
		"trimmed in a pair":        list(more...)[1:],
		"a system message put in":  withTexts("Be brief.", list(more...)),
		"more turns":               append(list(more...), assistant(long1), user("And?")),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.chat("Be brief.", bern...)
			for _, systemText := range []string{"", "Be kind."} {
				s.ask(request{system: systemText, messages: messages, aborted: true}).isNew(t)
			}
		})
	}
}

// Short replies tell no conversations apart that have other system texts.
func TestLocateSystemShort(t *testing.T) {
	for name, reply := range map[string][3]string{
		"short":                    {"", "OK", "OK"},
		"short without its tools":  {"", "OK. <tool_use><name>f</name></tool_use>", "OK."},
		"short after its thoughts": {"This is a long thought.", "OK", "<think>This is a long thought.</think>OK"},
		"short after a quotation":  {"This is a long thought.", "OK", "> This is a long thought.\n\nOK"},
	} {
		for _, texts := range [][2]string{{"It is Monday.", "It is Tuesday."}, {"It is Monday.", ""}, {"", "It is Monday."}} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t)
				first := s.ask(request{system: texts[0], messages: list("Hello"), reasoning: reply[0], text: reply[1]})
				next := list("Hello", reply[2], "So?")
				s.ask(request{system: texts[1], messages: next, aborted: true}).isNew(t)
				s.ask(request{system: texts[0], messages: next, aborted: true}).follows(t, first, 2)

				// They do no harm in the middle.
				second := s.ask(request{system: texts[0], messages: next, text: long1})
				a := s.ask(request{system: texts[1], messages: append(next, assistant(long1), user("And?"))})
				a.follows(t, second, 4)
				a.is(t, false, true)
			})
		}
	}
}

// A reply that came back in another form leads to no conversation with another
// system text unless that is said.
func TestLocateSystemByAlias(t *testing.T) {
	for _, texts := range [][2]string{{"Be brief.", ""}, {"", "Be brief."}, {"Be brief.", "Be kind."}} {
		s := newSite(t)
		answers := s.ask(request{system: texts[0], messages: list("Hello"), reasoning: "So.", text: long1})
		a := s.ask(request{system: texts[1], messages: list("Hello", "> So.\n\n"+long1, "So?")})
		a.follows(t, answers, 2)
		a.is(t, false, true)
		if !slices.Contains(a.seen, "system: "+texts[1]) {
			t.Errorf("the model saw %q", a.seen)
		}
	}
}

// A search under another system text leaves no trace in what is recorded.
func TestLocateSystemLeavesConversation(t *testing.T) {
	s := newSite(t)
	s.ask(request{system: "It is Monday.", messages: list("Hello"), reasoning: "So.", text: long1})
	messages := []Message{
		user("Hello"), assistant("> So.\n\n" + long1),
		user("Not known"), assistant("> So.\n\n" + long2), user("So?"),
	}
	replay := s.ask(request{system: "It is Tuesday.", messages: messages, reasoning: "So.", text: long3})
	replay.isNew(t)
	a := s.ask(request{system: "It is Tuesday.", messages: append(messages, assistant("> So.\n\n"+long3), user("And?"))})
	a.follows(t, replay, 6)
	a.is(t, false, false)
}

// System messages in the list are messages like others.
func TestLocateSystemMessages(t *testing.T) {
	s := newSite(t)
	messages := []Message{user("Hello"), system("Be brief."), user("So?")}
	a := s.ask(request{messages: messages, text: long1})
	next := append(slices.Clone(messages), assistant(long1), user("And?"))
	s.ask(request{messages: next, aborted: true}).follows(t, a, 4)
	for _, i := range []int{0, 1, 2} {
		other := slices.Clone(next)
		other[i].Text += "!"
		s.ask(request{messages: other, aborted: true}).isNew(t)
	}
	s.ask(request{messages: slices.Delete(slices.Clone(next), 1, 2), aborted: true}).isNew(t)
	next[1] = user("Be brief.")
	s.ask(request{messages: next, aborted: true}).isNew(t)
}

// After the system text has changed, the replies from before come back in
// another form than they were recorded in, and the newest is short.
func TestLocateSystemChangedMangled(t *testing.T) {
	s := newSite(t)
	var messages []Message
	ask := func(systemText, text string) answer {
		messages = append(messages, user("Go on."))
		a := s.ask(request{system: systemText, messages: messages, reasoning: "So.", text: text})
		messages = append(messages, assistant("> So.\n\n"+text))
		return a
	}
	last := ask("It is Monday.", "OK")
	for i, turn := range []struct{ system, text string }{
		{"It is Monday.", long1},
		{"It is Tuesday.", "OK"}, {"It is Tuesday.", "OK"}, {"It is Tuesday.", long2},
		{"", "OK"}, {"", long3},
		{"It is Monday.", "OK"}, {"It is Monday.", "OK"},
	} {
		a := ask(turn.system, turn.text)
		a.follows(t, last, 2*(i+1))
		a.is(t, false, i == 1 || i == 4 || i == 6)
		last = a
	}
}
