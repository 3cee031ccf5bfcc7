package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// world is a site, and users who do to their conversations what users do. After
// each request it compares what the model has seen with what the client sent.
type world struct {
	generator
	*site
	conversations []*played
	serial        int              // makes texts unlike each other
	home          map[string]Scope // of chats
	disturbed     bool             // turns were forgotten since the beginning of the step
	counts        map[string]int   // of what happened
}

// played is a conversation as its user has it on the screen.
type played struct {
	client  *client
	scope   Scope
	system  string
	lines   []line
	from    int             // the first line that the client sends
	cut     bool            // lines before the first were deleted
	own     map[string]bool // all that was ever said in it, and in those it was copied from
	fickle  bool            // an edited reply may be sent in several forms
	upright bool            // the newest reply was recorded, and nothing has changed since
}

func (w *world) fresh(what string) string {
	w.serial++
	return fmt.Sprintf("This is %s number %d.", what, w.serial)
}

// pick reports true once in n times.
func (w *world) pick(n int) bool { return w.IntN(n) == 0 }

func (w *world) start() *played {
	p := &played{client: &clients[w.IntN(len(clients))], own: make(map[string]bool)}
	p.scope = Scope{Tenant: []string{"t1", "t2", "t3"}[w.IntN(3)], Account: testScope.Account, Model: []string{"m1", "m2"}[w.IntN(2)]}
	p.fickle = strings.Contains(p.client.name, "newest") || strings.Contains(p.client.name, "old tags")
	p.system = w.systemText()
	w.conversations = append(w.conversations, p)
	if len(w.conversations) > 12 {
		w.conversations = w.conversations[1:]
	}
	return p
}

func (w *world) systemText() string {
	return []string{"", "Be brief.", "Be kind.", "Be brief. And kind."}[w.IntN(4)]
}

// question is what a user says: often what others say, too.
func (w *world) question() line {
	l := line{role: "user", text: w.fresh("question")}
	if w.pick(3) {
		l.text = []string{"OK", "Go on.", "Why?"}[w.IntN(3)]
	}
	if w.pick(4) {
		l.file = w.file()
	}
	return l
}

func (w *world) file() string {
	if w.pick(3) {
		return w.fresh("file")
	}
	return []string{"id:1", "id:2"}[w.IntN(2)]
}

func (w *world) reply() line {
	l := line{role: roleAssistant, text: w.fresh("answer")}
	switch w.IntN(6) {
	case 0, 1:
		l.text = []string{"OK", "Yes.", "> No."}[w.IntN(3)]
	case 2:
		l.text += "\n<tool_use>" + w.fresh("call") + "</tool_use>\nSo."
	case 3:
		l.text = "> " + l.text + "\n\n\tThat was a quotation."
	}
	if w.pick(4) {
		l.calls = w.calls()
		if w.pick(2) {
			l.text = ""
		}
	}
	switch w.IntN(3) {
	case 0:
		l.reasoning = w.fresh("thought") + "\nAnd so on.\n\n> Said he."
	case 1:
		l.reasoning = "Hm."
	}
	return l
}

// calls are one or two calls of tools: often those that are made elsewhere, too.
func (w *world) calls() (calls []Call) {
	for range 1 + w.IntN(2) {
		c := Call{Name: []string{"ls", "cat"}[w.IntN(2)], Arguments: []string{"{}", `{"path":"."}`, `{"long":true,"path":"/etc/passwd"}`}[w.IntN(3)]}
		if w.pick(3) {
			c.Arguments = `{"path":"` + w.fresh("path") + `"}`
		}
		calls = append(calls, c)
	}
	return calls
}

// step does something to a conversation, and sends it.
func (w *world) step() {
	w.disturbed = false
	if len(w.conversations) == 0 || w.pick(40) {
		w.start()
	}
	p := w.conversations[w.IntN(len(w.conversations))]
	if len(p.lines) > 16 {
		p = w.start()
	}
	if len(p.lines) > 0 {
		p = w.change(p)
	}
	if n := len(p.lines); n == 0 || p.lines[n-1].role != "user" || w.pick(20) {
		p.lines = append(p.lines, w.question())
	}
	p.from = min(p.from, len(p.lines)-1)
	w.trouble()
	w.send(p)
}

// change does one of the things that users do besides going on.
func (w *world) change(p *played) *played {
	i := w.IntN(len(p.lines))
	before := p.upright
	p.upright = false
	switch w.IntN(32) {
	case 14, 15: // attach another file, or none, and keep what follows
		if p.lines[i].role == roleAssistant {
			p.upright = before
			break
		}
		p.lines = slices.Clone(p.lines)
		if was := p.lines[i].file; w.pick(2) && was != "" {
			p.lines[i].file = ""
		} else {
			p.lines[i].file = w.fresh("file")
		}
	case 0: // edit, and drop what follows
		p.lines = slices.Clone(p.lines[:i+1])
		p.lines[i].text, p.lines[i].calls = w.fresh("edit"), nil
	case 1: // edit, and keep what follows
		p.lines = slices.Clone(p.lines)
		p.lines[i].text, p.lines[i].calls = w.fresh("edit"), nil
	case 2: // regenerate
		for n := len(p.lines); n > 1 && p.lines[n-1].role == roleAssistant; n-- {
			p.lines = p.lines[:n-1]
		}
	case 3: // regenerate an older one
		p.lines = p.lines[:i+1]
	case 4, 5: // delete one or two
		left := slices.Delete(slices.Clone(p.lines), i, min(i+1+w.IntN(2), len(p.lines)))
		p.cut = p.cut || slices.EqualFunc(left, p.lines[len(p.lines)-len(left):], line.equal)
		p.lines = left
	case 6, 7: // the client drops the oldest
		p.from = i
	case 8:
		p.from = 0
	case 9:
		p.system = w.systemText()
	case 10:
		p.scope.Model = []string{"m1", "m2"}[w.IntN(2)]
	case 11: // go on in a copy
		c := *p
		c.lines = slices.Clone(p.lines)
		w.conversations = append(w.conversations, &c)
		return &c
	case 12: // the same list from another tenant
		c := *p
		c.lines = slices.Clone(p.lines)
		c.scope.Tenant = "thief"
		w.conversations = append(w.conversations, &c)
		return &c
	case 13:
		p.client, p.fickle = &clients[w.IntN(len(clients))], true
	default:
		p.upright = before
	}
	return p
}

// trouble is what befalls the store and the site.
func (w *world) trouble() {
	clear(w.busy)
	switch n := len(w.store.turns); {
	case n == 0:
	case w.pick(30):
		for range 50 {
			w.busy[w.store.turns[w.IntN(n)].ChatID] = true
		}
	case w.pick(30):
		w.disturbed = true
		chat := w.store.turns[w.IntN(n)].ChatID
		if err := w.store.ForgetTurns(context.Background(), testScope.Account, chat); err != nil {
			w.t.Fatal(err)
		}
	case n > 600:
		w.disturbed = true
		if _, err := w.store.Prune(context.Background(), w.now, 300, n); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.disturbed {
		for _, p := range w.conversations {
			p.upright = false
		}
	}
}

// send sends a conversation, checks what the model sees, and shows the reply.
func (w *world) send(p *played) {
	reply := w.reply()
	r := request{system: p.system, reasoning: reply.reasoning, text: reply.text, calls: reply.calls, aborted: w.pick(15)}
	for i := p.from; i < len(p.lines); i++ {
		r.messages = append(r.messages, p.sent(i))
		r.shown = append(r.shown, p.lines[i].text)
		p.own[p.lines[i].seen()] = true
	}
	p.own[reply.seen()] = true
	w.scope = p.scope
	a := w.ask(r)
	w.check(p, r, a)
	p.lines = append(slices.Clip(p.lines), reply)
	p.upright = !r.aborted
	if r.aborted && w.pick(2) {
		p.lines = p.lines[:len(p.lines)-1] // the next question follows the last
	}
}

func (w *world) check(p *played, r request, a answer) {
	w.count(a)
	if home, ok := w.home[a.chat]; ok && home != p.scope {
		w.t.Fatalf("a chat of %v for %v", home, p.scope)
	}
	w.home[a.chat] = p.scope
	var saw, want []string
	effective := ""
	for _, m := range a.seen {
		if text, ok := strings.CutPrefix(m, "system: "); ok {
			effective = text
		} else {
			saw = append(saw, m)
		}
	}
	extra := len(saw) - len(r.messages)
	for i, m := range r.messages {
		if m.Text = r.shown[i]; len(m.Calls) > 0 && (p.client.drops() || m.Text == "") && extra >= 0 {
			saw[extra+i] = m.seenAs(saw[extra+i])
		}
		want = append(want, asSeen(m))
	}
	if extra < 0 || !slices.Equal(saw[extra:], want) || effective != p.system {
		w.t.Fatalf("%s: the model saw under %q\n  %s\nthe client sent under %q\n  %s",
			p.client.name, effective, strings.Join(saw, "\n  "), p.system, strings.Join(want, "\n  "))
	}
	for _, m := range saw[:extra] {
		_, text, _ := strings.Cut(m, ": ")
		if p.from == 0 && !p.cut || !p.own[text] {
			w.t.Fatalf("the model saw %q before all that the client sent: %q", m, want)
		}
	}
	if extra > 0 {
		w.counts["trimmed"]++
	}
	// A conversation that just goes on is found, unless its chat is in use, or the
	// client has dropped what tells it from another.
	if p.upright && !p.fickle && !(p.client.drops() && slices.ContainsFunc(p.lines, line.calling)) && !p.cut && p.from == 0 && a.err != ErrBusy && (a.err != nil || a.Known < len(p.newestKnown())) {
		w.t.Fatalf("%s: %d of %d messages known, error %v", p.client.name, a.Known, len(r.messages), a.err)
	}
}

func (w *world) count(a answer) {
	switch {
	case a.err == ErrBusy:
		w.counts["busy"]++
	case a.err != nil:
		w.counts["new"]++
	case a.SystemChanged:
		w.counts["system changed"]++
	case a.Branch:
		w.counts["branched"]++
	default:
		w.counts["continued"]++
	}
}

// TestModel plays many users of several tenants. What the model sees is always
// what the client sent, and never anything of another conversation.
func TestModel(t *testing.T) {
	w := &world{
		generator: generator{rand.New(rand.NewPCG(seed(t), 6))},
		site:      newSite(t), home: make(map[string]Scope), counts: make(map[string]int),
	}
	const steps = 6000
	for range steps {
		w.step()
	}
	t.Log(w.counts)
	for what, least := range map[string]int{
		"continued": steps / 4, "branched": steps / 100, "system changed": steps / 200, "trimmed": steps / 200, "busy": 5, "new": steps / 20,
	} {
		if w.counts[what] < least {
			t.Errorf("%s: %d times only", what, w.counts[what])
		}
	}
}
