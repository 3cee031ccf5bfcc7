package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// generator makes random conversations.
type generator struct{ *rand.Rand }

var words = []string{
	"a", "b", "ab", "OK", "the", "answer", "42", "好", "你好", "é", "😀", "\u3000", " ", "\n", "\n\n", "\t", ">", "> ", "<", "</",
	"<tool_use>", "</tool_use>", "<think>", "</think>", "user:", "assistant", "{}", "\x00", "\u200b",
}

func (g generator) text() string {
	var b strings.Builder
	for range g.IntN(8) {
		b.WriteString(words[g.IntN(len(words))])
		if g.IntN(2) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// message makes any message.
func (g generator) message() Message {
	m := Message{Role: []string{"user", "assistant", "system", "tool"}[g.IntN(4)], Text: g.text()}
	switch {
	case m.Role == "user" && g.IntN(4) == 0:
		m.Name = g.text()
	case m.Role == "assistant":
		for range g.IntN(3) {
			m.Calls = append(m.Calls, Call{Name: g.text(), Arguments: g.arguments()})
		}
	}
	if g.IntN(4) == 0 {
		m.Files = g.files()
	}
	return m
}

// files are some identities of files, which may be any texts.
func (g generator) files() (files []string) {
	for range 1 + g.IntN(3) {
		files = append(files, []string{"a", "b", "ab", "", "sha256:00", "id:1", " "}[g.IntN(7)])
	}
	return files
}

func (g generator) arguments() string {
	return []string{
		fmt.Sprintf(`{"city":%q,"n":%d}`, "Bern", g.IntN(5)), fmt.Sprintf(`[%d,%d]`, g.IntN(3), g.IntN(3)), "", "{}", "not JSON", "null",
	}[g.IntN(6)]
}

func (g generator) messages(most int) []Message {
	messages := make([]Message, g.IntN(most+1))
	for i := range messages {
		messages[i] = g.message()
	}
	return messages
}

// plainOf is a message as it counts, written down with nothing left out. Two
// messages are the same exactly if this is.
func plainOf(m Message) string {
	name := m.Name
	if m.Role != "user" {
		name = ""
	}
	s := fmt.Sprintf("%s %q %q", m.Role, name, slowFold(m.Text))
	if m.Role != roleAssistant {
		for _, f := range m.Files {
			s += fmt.Sprintf(" %q", f)
		}
		return s
	}
	for _, c := range m.Calls {
		s += fmt.Sprintf(" %q(%q)", c.Name, c.Arguments)
	}
	return s
}

// digestOf returns the digest of a whole list.
func digestOf(c *Conversation) Digest {
	d := c.chain
	for i := range c.entries {
		d = next(d, c.entries[i].digest)
	}
	return d
}

// TestInjective makes many lists of few words: those with one digest are one
// list, however their texts are parted among messages, roles, names and calls.
func TestInjective(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 1))}
	seen := make(map[Digest]string)
	check := func(scope Scope, systemText string, messages []Message) {
		plain := fmt.Sprintf("%q %q", scope, slowFold(systemText))
		for _, m := range messages {
			plain += "\n" + plainOf(m)
		}
		d := digestOf(New(scope, systemText, messages))
		if old, ok := seen[d]; ok && old != plain {
			t.Fatalf("one digest of\n%s\nand\n%s", old, plain)
		}
		seen[d] = plain
	}
	scopes := []Scope{
		testScope, {Tenant: "ten", Account: testScope.Account, Model: "antqwen3-max"}, {},
		{Tenant: "a"}, {Model: "a"}, {Account: testScope.Account}, {Tenant: "a", Model: "a"},
	}
	for range 10_000 {
		scope, systemText, messages := scopes[g.IntN(len(scopes))], g.text(), g.messages(3)
		check(scope, systemText, messages)
		check(scope, "", append([]Message{system(systemText)}, messages...))
		if len(messages) > 1 {
			check(scope, systemText, g.moved(messages))
			check(scope, systemText, g.merged(messages))
		}
		if len(messages) > 0 {
			check(scope, systemText+messages[0].Text, messages[1:])
			check(scopes[g.IntN(len(scopes))], systemText, messages)
			check(scope, systemText, g.split(messages))
			messages[0].Role = []string{"user", "assistant", "system", "tool"}[g.IntN(4)]
			check(scope, systemText, messages)
		}
	}
	if len(seen) < 10_000 {
		t.Errorf("%d lists only", len(seen))
	}
}

// moved moves the end of a text to the message after it.
func (g generator) moved(messages []Message) []Message {
	messages = slices.Clone(messages)
	i := g.IntN(len(messages) - 1)
	at := g.cut(messages[i].Text)
	messages[i+1].Text = messages[i].Text[at:] + messages[i+1].Text
	messages[i].Text = messages[i].Text[:at]
	if n := len(messages[i].Files); n > 0 && g.IntN(2) == 0 {
		messages[i+1].Files = append([]string{messages[i].Files[n-1]}, messages[i+1].Files...)
		messages[i].Files = messages[i].Files[:n-1]
	}
	return messages
}

// merged makes one message of two.
func (g generator) merged(messages []Message) []Message {
	i := g.IntN(len(messages) - 1)
	messages = slices.Clone(messages)
	messages[i].Text += " " + messages[i+1].Text
	messages[i].Calls = append(slices.Clone(messages[i].Calls), messages[i+1].Calls...)
	messages[i].Files = append(slices.Clone(messages[i].Files), messages[i+1].Files...)
	return slices.Delete(messages, i+1, i+2)
}

// split makes two messages of one.
func (g generator) split(messages []Message) []Message {
	messages = slices.Clone(messages)
	i := g.IntN(len(messages))
	at, rest := g.cut(messages[i].Text), messages[i]
	rest.Text, messages[i].Text = rest.Text[at:], rest.Text[:at]
	return slices.Insert(messages, i+1, rest)
}

// cut returns a place in a text between two characters.
func (g generator) cut(text string) int {
	at := g.IntN(len(text) + 1)
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// otherText changes one character of a text that is not white space, or adds
// one.
func (g generator) otherText(text string) string {
	runes := []rune(text)
	i := g.IntN(len(runes) + 1)
	if i < len(runes) && !unicode.IsSpace(runes[i]) && g.IntN(2) == 0 {
		if g.IntN(2) == 0 && slowFold(string(slices.Delete(slices.Clone(runes), i, i+1))) != slowFold(text) {
			return string(slices.Delete(runes, i, i+1))
		}
		runes[i]++
		return string(runes)
	}
	return string(slices.Insert(runes, i, 'x'))
}

// TestEditsDiffer records random conversations, changes one thing anywhere in
// them, and must not find what it has changed.
func TestEditsDiffer(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 2))}
	for range 3000 {
		s := newSite(t)
		systemText := g.text()
		messages := append(g.messages(4), user("Well?"))
		reasoning := ""
		if g.IntN(2) == 0 {
			reasoning = "I wonder."
		}
		reply := Message{Role: roleAssistant, Text: "The answer to it all is 42. " + g.text()}
		if g.IntN(2) == 0 {
			reply.Calls = []Call{{Name: g.text(), Arguments: g.arguments()}}
		}
		recorded := s.ask(request{system: systemText, messages: messages, reasoning: reasoning, text: reply.Text, calls: reply.Calls})
		messages = append(messages, reply, user("So?"))
		s.ask(request{system: systemText, messages: messages, aborted: true}).follows(t, recorded, len(messages)-1)

		other := slices.Clone(messages)
		i := g.IntN(len(messages) - 1)
		what := g.edit(&other[i])
		a := s.ask(request{system: systemText, messages: other, aborted: true})
		if a.err == nil {
			t.Fatalf("message %d of %d: %s of %q changed to %q, but found", i, len(messages), what, messages[i], other[i])
		}
		if a := s.ask(request{system: g.otherText(systemText), messages: other, aborted: true}); a.err == nil {
			t.Fatalf("found under another system text although the %s has changed", what)
		}
		a = s.ask(request{system: g.otherText(systemText), messages: messages, aborted: true})
		if a.err != nil || !a.SystemChanged {
			t.Fatalf("the system text has changed: %+v, %v", a.Place, a.err)
		}
	}
}

// edit changes a message, and says what.
func (g generator) edit(m *Message) string {
	if m.Role == roleAssistant && len(m.Calls) > 0 && g.IntN(2) == 0 {
		m.Calls = slices.Clone(m.Calls)
		c := &m.Calls[g.IntN(len(m.Calls))]
		if g.IntN(2) == 0 {
			c.Name = g.otherText(c.Name)
			return "name of a call"
		}
		c.Arguments += "x"
		return "argument"
	}
	switch g.IntN(5) {
	case 4:
		if m.Role != roleAssistant {
			return "files: " + g.editFiles(m)
		}
	case 0:
		if m.Role == "user" {
			m.Name = g.otherText(m.Name)
			return "name"
		}
	case 1:
		roles := []string{"user", "assistant", "system", "tool"}
		m.Role = roles[(slices.Index(roles, m.Role)+1+g.IntN(3))%4]
		return "role"
	}
	m.Text = g.otherText(m.Text)
	return "text"
}

// editFiles changes what a message has attached, and says how.
func (g generator) editFiles(m *Message) string {
	m.Files = slices.Clone(m.Files)
	if len(m.Files) == 0 {
		m.Files = g.files()
		return "attached"
	}
	i := g.IntN(len(m.Files))
	switch g.IntN(3) {
	case 0:
		m.Files = slices.Delete(m.Files, i, i+1)
		return "one removed"
	case 1:
		m.Files = slices.Insert(m.Files, i, "another")
		return "one more"
	}
	m.Files[i] += "x"
	return "one changed"
}

// TestScopesDiffer makes conversations in random scopes: none is found in
// another.
func TestScopesDiffer(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 3))}
	parts := []string{"", "a", "b", "ab", "aa"}
	s := newSite(t)
	owner := make(map[string]Scope)
	messages := list(numbered(2)...)
	for range 500 {
		s.scope = Scope{Tenant: parts[g.IntN(5)], Account: Of("account", parts[g.IntN(5)]), Model: parts[g.IntN(5)]}
		a := s.ask(request{system: parts[g.IntN(5)], messages: messages[g.IntN(3) : 1+2*(1+g.IntN(2))], text: messages[3].Text})
		if a.err == nil && owner[a.chat] != s.scope {
			t.Fatalf("%q found a chat of %q", s.scope, owner[a.chat])
		}
		owner[a.chat] = s.scope
	}
}

// TestMangledAlike plays random conversations with all clients of the table:
// each turn follows the one before.
func TestMangledAlike(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 4))}
	lines := []string{"a", "So be it.", "> quoted", "  indented", "- 1\n- 2", "你好", "", "x<y", "1 > 0", "**OK**"}
	text := func() string {
		var parts []string
		for range 1 + g.IntN(5) {
			parts = append(parts, lines[g.IntN(len(lines))])
		}
		return strings.Join(parts, []string{"\n", "\n\n", " "}[g.IntN(3)])
	}
	for range 50 {
		for _, c := range clients {
			c.turns = nil
			for i := range 6 {
				turn := turnOf{asked: []Message{user(fmt.Sprint(i, " ", text()))}, reasoning: text() + ".", text: text()}
				if strings.Contains(c.name, "prompt") && g.IntN(2) == 0 {
					turn.text += "So: <tool_use>" + text() + "</tool_use>" + text()
				}
				if strings.Contains(c.name, "parts") || strings.Contains(c.name, "blocks") || slowFold(turn.text) == "" {
					turn.text = slowFold(turn.text) + "."
				}
				c.turns = append(c.turns, turn)
			}
			c.play(newSite(t), text())
		}
	}
}

// TestLocateTwice asks twice without recording: the answer is the same, and so is
// what would be recorded.
func TestLocateTwice(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(seed(t), 5))}
	s := newSite(t)
	texts := numbered(20)
	s.chat("Be brief.", texts...)
	take := func(string) bool { return true }
	for range 300 {
		from, to := g.IntN(20), 21+2*g.IntN(10)
		messages := list(texts...)[from:to]
		if g.IntN(3) == 0 {
			g.edit(&messages[g.IntN(len(messages))])
		}
		c := New(s.scope, []string{"", "Be brief."}[g.IntN(2)], messages)
		before := digestOf(c)
		first, err1 := c.Locate(context.Background(), s.store, take)
		second, err2 := c.Locate(context.Background(), s.store, take)
		if first != second || err1 != err2 || digestOf(c) != before {
			t.Fatalf("%+v, %v and then %+v, %v", first, err1, second, err2)
		}
	}
}
