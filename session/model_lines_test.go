package session

import (
	"slices"
	"strings"
)

// line is a message on the screen.
type line struct {
	role, text, reasoning string
	file                  string // what it has attached, if any
	calls                 []Call
}

// sent is a line as the client sends it.
func (p *played) sent(i int) Message {
	l := p.lines[i]
	if l.role != roleAssistant {
		m := Message{Role: l.role, Text: l.text}
		if l.file != "" {
			m.Files = []string{l.file}
		}
		return m
	}
	if l.reasoning == "" && strings.Contains(p.client.name, "NextChat") {
		return Message{Role: roleAssistant, Text: l.text, Calls: l.calls}
	}
	newest := !slices.ContainsFunc(p.lines[i+1:], func(l line) bool { return l.role == roleAssistant })
	return p.client.again(turnOf{reasoning: l.reasoning, text: l.text, calls: l.calls}, newest)
}

// seen is a line as the model sees it, without the role.
func (l line) seen() string {
	m := Message{Text: l.text, Calls: l.calls}
	if l.file != "" {
		m.Files = []string{l.file}
	}
	return strings.TrimPrefix(asSeen(m), ": ")
}

func (l line) equal(other line) bool { return l.role == other.role && l.seen() == other.seen() }

// drops reports whether a client drops what was said beside calls.
func (c *client) drops() bool {
	return c.calling != nil && strings.TrimSpace(c.calling(Message{Text: "So.", Calls: []Call{{"f", "{}"}}}).Text) == ""
}

// calling reports whether a line has calls beside text.
func (l line) calling() bool { return len(l.calls) > 0 && l.text != "" }

// seenAs returns what the model saw of calls, with the text that the user saw
// beside them, if the calls are these. Calls without text count as those that were
// recorded after the same messages with a text beside them, if there are no others.
func (m Message) seenAs(saw string) string {
	bare := m
	bare.Text = ""
	if calls, _ := strings.CutPrefix(asSeen(bare), "assistant: "); strings.HasPrefix(saw, "assistant: ") && strings.HasSuffix(saw, calls) {
		return asSeen(m)
	}
	return saw
}

// newestKnown returns the lines up to the newest reply.
func (p *played) newestKnown() []line {
	n := len(p.lines)
	for n > 0 && p.lines[n-1].role != roleAssistant {
		n--
	}
	return p.lines[:n]
}
