package caddyqwen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// mustShow runs `show --json`.
func mustShow(t *testing.T, path, chatID string) []jsonChat {
	t.Helper()
	return mustDecode[jsonList](t, path, "show", chatID).Chats
}

// levels returns the levels of a tree and checks that each turn is below its
// parent.
func levels(t *testing.T, tree []jsonTurn) (levels []int) {
	t.Helper()
	at := map[string]int{}
	for _, turn := range tree {
		parent, known := at[turn.ParentID]
		if turn.ParentID != "" && !known || known && turn.Level != parent+1 {
			t.Errorf("the turn %s is at level %d, its parent at %d", turn.ResponseID, turn.Level, parent)
		}
		at[turn.ResponseID] = turn.Level
		levels = append(levels, turn.Level)
	}
	return levels
}

func TestSessionsShow(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{system("Be brief."), user("one " + secretPrompt)})
	talk := []said{system("Be brief."), user("one " + secretPrompt), a.said}
	b := g.ask(append(slices.Clone(talk), user("two")))
	g.ask(append(slices.Clone(talk), user("two"), b.said, user("three"))).mustBe(t, "continued")
	g.ask(append(slices.Clone(talk), user("another two"))).mustBe(t, "branched")
	g.ask([]said{user("elsewhere")})

	chats := mustShow(t, g.sessions, a.chat)
	if len(chats) != 1 || chats[0].ChatID != a.chat || chats[0].Turns != 4 {
		t.Fatalf("shown is %+v", chats)
	}
	tree := chats[0].Tree
	if got := levels(t, tree); !slices.Equal(got, []int{0, 1, 2, 1}) {
		t.Errorf("the levels are %v", got)
	}
	for i, turn := range tree {
		if turn.Messages != 2 || turn.Partial || len(turn.Chain) != 32 || time.Since(turn.Time) > time.Minute {
			t.Errorf("turn %d is %+v", i, turn)
		}
	}

	_, table, found := strings.Cut(mustSessions(t, g.sessions, "show", a.chat), "\n\n")
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	if !found || len(lines) != 5 || strings.Join(strings.Fields(lines[0]), " ") != "TIME MESSAGES DIGEST RESPONSE" {
		t.Fatalf("the table is\n%s", table)
	}
	column := strings.Index(lines[0], "RESPONSE")
	for i, turn := range tree {
		want := fmt.Sprintf("%s 2 %s %s", localTime(turn.Time), turn.Chain[:8], turn.ResponseID)
		if got := strings.Join(strings.Fields(lines[i+1]), " "); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
		if got := strings.Index(lines[i+1], turn.ResponseID); got != column+2*turn.Level {
			t.Errorf("line %d has its turn in column %d, want %d", i, got, column+2*turn.Level)
		}
	}
}

// chain returns turns of a chat, of which each follows the one before.
func chain(chatID string, ids ...string) (turns []session.Turn) {
	for i, id := range ids {
		turn := session.Turn{ChatID: chatID, Tenant: "name:alice", ResponseID: id, Time: time.UnixMilli(int64(1e12 + i)),
			Key: session.Key{Pair: session.Of(id), Chain: session.Of(id)}, Messages: []session.Digest{session.Of("a"), session.Of("b")}}
		if i > 0 {
			turn.ParentID = ids[i-1]
		}
		turns = append(turns, turn)
	}
	return turns
}

func TestSessionsShowTrees(t *testing.T) {
	var long []string
	for i := range 30 {
		long = append(long, fmt.Sprintf("turn-%02d", i))
	}
	deep := chain("c", long...)
	deep[29].Partial = true
	parent := func(turn session.Turn, id string) session.Turn {
		turn.ParentID = id
		return turn
	}
	abc := chain("c", "a", "b", "c")
	tests := []struct {
		name  string
		turns []session.Turn
		want  []string // parts of the output
		tree  string   // ids and levels
	}{
		{"none", nil, []string{"Turns:      0\n"}, ""},
		{"forgotten beginning", abc[1:], []string{" … b\n", "   c\n"}, "b0 c1"},
		{"several beginnings", []session.Turn{abc[0], parent(abc[1], ""), parent(abc[2], "a")}, nil, "a0 c1 b0"},
		{"child first", []session.Turn{abc[2], abc[1], abc[0]}, nil, "a0 b1 c2"},
		{"circle", []session.Turn{parent(abc[0], "c"), abc[1], abc[2]}, nil, "a0 b1 c2"},
		{"own parent", []session.Turn{parent(abc[0], "a")}, nil, "a0"},
		{"deep", deep, []string{strings.Repeat("  ", 20) + "turn-20\n", strings.Repeat("  ", 20) + "(21) turn-21\n", "  2+ "}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The store has its turns in the order of their times.
			for i := range tt.turns {
				tt.turns[i].Time = time.UnixMilli(int64(1e12 + i))
			}
			path := mustStore(t, []session.Chat{{ID: "c", Tenant: "name:alice"}}, tt.turns)
			text := mustSessions(t, path, "show", "c")
			for _, part := range tt.want {
				if !strings.Contains(text, part) {
					t.Errorf("lacks %q:\n%s", part, text)
				}
			}
			tree := mustShow(t, path, "c")[0].Tree
			var got []string
			for _, turn := range tree {
				got = append(got, fmt.Sprint(turn.ResponseID, turn.Level))
			}
			if len(tree) != len(tt.turns) || tt.tree != "" && strings.Join(got, " ") != tt.tree {
				t.Errorf("%d turns, %q, want %d, %q", len(tree), got, len(tt.turns), tt.tree)
			}
		})
	}
}

// TestSessionsAccounts checks that chats with the same id in different accounts
// are all shown and forgotten.
func TestSessionsAccounts(t *testing.T) {
	turns := append(chain("same", "a", "b"), chain("same", "c")...)
	turns[2].Account = session.Of("another account")
	path := mustStore(t, nil, turns)
	chats := mustShow(t, path, "same")
	if len(chats) != 2 || chats[0].Account == chats[1].Account || chats[0].Turns+chats[1].Turns != 3 {
		t.Errorf("shown is %+v", chats)
	}
	if text := mustSessions(t, path, "show", "same"); strings.Count(text, "Chat: ") != 2 {
		t.Errorf("not two chats:\n%s", text)
	}
	mustSessions(t, path, "forget", "same")
	for _, c := range mustShow(t, path, "same") {
		if c.Turns != 0 {
			t.Errorf("a chat has %d turns after forgetting them", c.Turns)
		}
	}
}

// TestSessionsOutputIsHarmless checks that nothing from the file gets to a
// terminal as a command, and programs get it as it is.
func TestSessionsOutputIsHarmless(t *testing.T) {
	const evil = "x\x1b[2J\r\n\t\u009b31m\u202e\U000e0001\x7fy"
	c := session.Chat{ID: "id " + evil, Tenant: "name:" + evil, Model: evil, Created: time.UnixMilli(1 << 60), Used: time.UnixMilli(-1 << 60)}
	turn := session.Turn{ChatID: c.ID, Tenant: c.Tenant, Model: evil, ResponseID: evil, ParentID: "before " + evil}
	path := mustStore(t, []session.Chat{c}, []session.Turn{turn})
	for _, args := range [][]string{{"list"}, {"list", "--caller", evil}, {"show", c.ID}, {"forget", c.ID}} {
		mustSessions(t, path, args...) // checks the output
	}
	if _, err := runSessions(t, path, "show", evil); err == nil || strings.ContainsAny(err.Error(), "\x1b\r\n\t\u009b\u202e\x7f") {
		t.Errorf("the error is %q", err)
	}
	if got := mustDecode[jsonList](t, path, "list").Chats[0]; got.ChatID != c.ID || got.Caller != c.Tenant || got.Model != evil {
		t.Errorf("programs get %q, %q, %q", got.ChatID, got.Caller, got.Model)
	}
	for line := range strings.Lines(mustSessions(t, path, "export")) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestSessionsUnknownChats(t *testing.T) {
	path := mustStore(t, nil, chain("known", "a", "b"))
	before := mustSessions(t, path, "export")
	tests := []struct {
		args    string
		unknown []string
	}{
		{"show nobody", []string{`"nobody"`}},
		{"show know", []string{`"know"`}},
		{"forget nobody", []string{`"nobody"`}},
		{"forget known nobody no-one nobody", []string{`"nobody"`, `"no-one"`}},
	}
	for _, tt := range tests {
		for _, format := range []string{"", " --json"} {
			stdout, err := runSessions(t, path, strings.Fields(tt.args+format)...)
			if !errors.Is(err, session.ErrNotFound) || stdout != "" {
				t.Errorf("%s: error %v, output %q", tt.args, err, stdout)
				continue
			}
			for _, id := range tt.unknown {
				if strings.Count(err.Error(), id) != 1 || strings.Contains(err.Error(), `"known"`) {
					t.Errorf("%s: the error %q does not name %s", tt.args, err, id)
				}
			}
		}
	}
	if after := mustSessions(t, path, "export"); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}

func TestSessionsForget(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	b := g.ask([]said{user("two")})
	other := g.ask([]said{user("three")})
	talk := []said{user("one"), a.said, user("more")}
	g.ask(talk).mustBe(t, "continued")

	text := mustSessions(t, g.sessions, "forget", a.chat, b.chat, a.chat)
	for _, part := range []string{"Forgot 2 turns of the chat " + a.chat, "Forgot 1 turn of the chat " + b.chat, "stays on the site"} {
		if strings.Count(text, part) == 0 || strings.Count(text, "\n") != 2 {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
	again := g.ask(talk)
	again.mustBe(t, "replayed")
	if again.chat == a.chat {
		t.Error("the conversation went on in the chat that was forgotten")
	}
	if context, prompt := g.seen(); len(context) != 0 || !strings.Contains(prompt, a.Content) {
		t.Errorf("the model knows %d turns and got %q", len(context), prompt)
	}
	g.ask(append(talk, again.said, user("even more"))).mustBe(t, "continued")
	g.ask([]said{user("three"), other.said, user("more")}).mustBe(t, "continued")

	if got := mustShow(t, g.sessions, a.chat); len(got) != 1 || got[0].Turns != 0 {
		t.Errorf("the chat is not kept without turns, but %+v", got)
	}
	if r := g.do(http.MethodDelete, "/v1/chats/"+a.chat, ""); r.status != http.StatusOK {
		t.Errorf("the chat cannot be deleted by its owner: status %d", r.status)
	}
}

func TestSessionsForgetJSON(t *testing.T) {
	path := mustStore(t, nil, append(chain("x", "a", "b"), chain("y", "c")...))
	type result struct {
		Forgotten []struct {
			ChatID  string `json:"chat_id"`
			Account string `json:"account"`
			Turns   int    `json:"turns"`
		} `json:"forgotten"`
	}
	for _, want := range []string{"[y 1 x 2]", "[y 0 x 0]"} {
		var got []any
		for _, c := range mustDecode[result](t, path, "forget", "y", "x").Forgotten {
			got = append(got, c.ChatID, c.Turns)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("forgotten is %v, want %s", got, want)
		}
	}
}
