package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var testScope = Scope{Tenant: "tenant", Account: Of("account", "a"), Model: "qwen3-max"}

// Short names for messages.
func user(text string) Message      { return Message{Role: "user", Text: text} }
func assistant(text string) Message { return Message{Role: "assistant", Text: text} }
func system(text string) Message    { return Message{Role: "system", Text: text} }
func tool(text string) Message      { return Message{Role: "tool", Text: text} }

// list makes a conversation of texts by user and assistant in turns, the user
// first.
func list(texts ...string) []Message {
	messages := make([]Message, len(texts))
	for i, text := range texts {
		messages[i] = user(text)
		if i%2 == 1 {
			messages[i] = assistant(text)
		}
	}
	return messages
}

// site plays the site and the gateway before it: chats are trees of answers, and
// each answer knows what the model has seen up to it.
type site struct {
	t     testing.TB
	store *memory
	scope Scope
	busy  map[string]bool // chats that take refuses
	nodes map[string]node // by chat and response
	last  int             // the number of the last id
	now   time.Time
}

type node struct {
	seen []string // "role: text" of all that the model saw, the answer included
}

func newSite(t testing.TB) *site {
	return &site{
		t: t, store: &memory{}, scope: testScope, busy: make(map[string]bool),
		nodes: make(map[string]node), now: time.UnixMilli(1_700_000_000_000),
	}
}

// request is what a client sends, and what the model answers to it.
type request struct {
	system    string
	messages  []Message
	shown     []string // the texts of the messages before the client mangled them, if it did
	reasoning string
	text      string
	calls     []Call
	aborted   bool // nothing is recorded
}

// answer is what became of a request.
type answer struct {
	Place
	err    error    // of Locate
	chat   string   // where the answer is
	id     string   // of the answer
	seen   []string // by the model, the answer not included
	record Turn
}

// ask sends a request through.
func (s *site) ask(r request) answer {
	s.t.Helper()
	c := New(s.scope, r.system, r.messages)
	place, err := c.Locate(context.Background(), s.store, func(chat string) bool { return !s.busy[chat] })
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrBusy) {
		s.t.Fatalf("Locate: %v", err)
	}
	a := answer{Place: place, err: err, chat: place.ChatID}
	if err != nil {
		place, a.chat = c.NewChat(), s.name("chat")
	}
	a.id = s.name("answer")
	a.seen = slices.Clone(s.nodes[place.ChatID+"/"+place.ParentID].seen)
	if place.ParentID == "" && r.system != "" || place.SystemChanged {
		a.seen = append(a.seen, "system: "+r.system)
	}
	for i, m := range r.messages[place.Known:] {
		if r.shown != nil {
			m.Text = r.shown[place.Known+i]
		}
		a.seen = append(a.seen, asSeen(m))
	}
	s.nodes[a.chat+"/"+a.id] = node{append(slices.Clone(a.seen), asSeen(Message{Role: roleAssistant, Text: r.text, Calls: r.calls}))}
	s.now = s.now.Add(time.Second)
	a.record = c.Turn(place, a.chat, a.id, replyOf(r.reasoning, r.text, r.calls...), s.now)
	if !r.aborted {
		if err := s.store.Record(context.Background(), a.record); err != nil {
			s.t.Fatalf("Record: %v", err)
		}
	}
	return a
}

// asSeen is a message as the model sees it.
func asSeen(m Message) string {
	text := m.Role + ": " + m.Text
	for _, f := range m.Files {
		text += " [" + f + "]"
	}
	for _, c := range m.Calls {
		text += " " + c.Name + canonical(c.Arguments)
	}
	return text
}

func (s *site) name(what string) string {
	s.last++
	return fmt.Sprintf("%s-%d", what, s.last)
}

// chat plays a conversation by user and assistant in turns, of which each turn
// must continue the one before, and returns its answers.
func (s *site) chat(system string, texts ...string) []answer {
	s.t.Helper()
	messages := list(texts...)
	var answers []answer
	for i := 0; i+1 < len(messages); i += 2 {
		a := s.ask(request{system: system, messages: messages[:i+1], text: texts[i+1]})
		if i > 0 && (a.err != nil || a.Known != i || a.ParentID != answers[len(answers)-1].id) {
			s.t.Fatalf("turn %d: known %d after %q, error %v", i/2, a.Known, a.ParentID, a.err)
		}
		answers = append(answers, a)
	}
	return answers
}

// replyOf returns the digester of a reply that came in one piece.
func replyOf(reasoning, text string, calls ...Call) *Reply {
	r := new(Reply)
	if reasoning != "" {
		r.Reasoning([]byte(reasoning))
	}
	r.Text([]byte(text))
	for _, c := range calls {
		r.Call(c.Name, c.Arguments)
	}
	return r
}

// follows fails the test unless the answer follows another in its chat.
func (a answer) follows(t testing.TB, parent answer, known int) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("no place: %v", a.err)
	}
	if a.ChatID != parent.chat || a.ParentID != parent.id || a.Known != known {
		t.Fatalf("follows %s/%s knowing %d messages, want %s/%s knowing %d",
			a.ChatID, a.ParentID, a.Known, parent.chat, parent.id, known)
	}
}

// is fails the test unless the flags of the place are these.
func (a answer) is(t testing.TB, branch, systemChanged bool) {
	t.Helper()
	if a.Branch != branch || a.SystemChanged != systemChanged {
		t.Fatalf("Branch %v, SystemChanged %v; want %v, %v", a.Branch, a.SystemChanged, branch, systemChanged)
	}
}

// isNew fails the test unless the answer is in a new chat because its
// conversation is unknown.
func (a answer) isNew(t testing.TB) {
	t.Helper()
	if !errors.Is(a.err, ErrNotFound) {
		t.Fatalf("follows %s/%s knowing %d messages, error %v; want a new chat", a.ChatID, a.ParentID, a.Known, a.err)
	}
	if a.Place.ChatID != "" || a.Place.ParentID != "" || a.Place.Known != 0 {
		t.Fatalf("unknown, but the place is %s/%s", a.ChatID, a.ParentID)
	}
}

// saw fails the test unless the model saw these messages.
func (a answer) saw(t testing.TB, want ...string) {
	t.Helper()
	if !slices.Equal(a.seen, want) {
		t.Fatalf("the model saw\n  %s\nwant\n  %s", strings.Join(a.seen, "\n  "), strings.Join(want, "\n  "))
	}
}

// seed returns a seed for random numbers, and prints it.
func seed(t testing.TB) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("CADDY_QWEN_SEED"); s != "" {
		given, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CADDY_QWEN_SEED: %v", err)
		}
		n = given
	}
	t.Logf("CADDY_QWEN_SEED=%d", n)
	return n
}
