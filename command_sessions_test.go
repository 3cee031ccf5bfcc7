package caddyqwen

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// runSessions runs a command about the session store, and checks that nothing is
// in its output that must not be.
func runSessions(t *testing.T, path string, args ...string) (stdout string, err error) {
	t.Helper()
	args = append([]string{"sessions", args[0], "--file", path}, args[1:]...)
	stdout, _, err = runCommand(t, args...)
	if i := strings.IndexFunc(stdout, func(c rune) bool { return c != '\n' && !unicode.IsGraphic(c) }); i >= 0 {
		t.Errorf("%q has a character at %d that may control a terminal: %q", args, i, stdout)
	}
	if strings.Contains(stdout, secretPrompt) || strings.Contains(stdout, testToken) || strings.Contains(stdout, testCookie) {
		t.Errorf("%q shows what it must not", args)
	}
	return stdout, err
}

// mustSessions runs a command that has to succeed.
func mustSessions(t *testing.T, path string, args ...string) (stdout string) {
	t.Helper()
	stdout, err := runSessions(t, path, args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return stdout
}

// mustDecode runs a command with --json and decodes its only document, all fields
// of which have to be known.
func mustDecode[T any](t *testing.T, path string, args ...string) (v T) {
	t.Helper()
	decodeStrictly(t, mustSessions(t, path, append(args, "--json")...), &v)
	return v
}

func decodeStrictly(t *testing.T, text string, v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil || decoder.More() {
		t.Fatalf("not one document: %v\n%s", err, text)
	}
}

// What programs get.
type (
	jsonChat struct {
		Type      string     `json:"type"`
		ChatID    string     `json:"chat_id"`
		Account   string     `json:"account"`
		Caller    string     `json:"caller"`
		Model     string     `json:"model"`
		Turns     int        `json:"turns"`
		Created   time.Time  `json:"created"`
		LastUsed  time.Time  `json:"last_used"`
		Deletable *bool      `json:"deletable"`
		Tree      []jsonTurn `json:"tree"`
	}
	jsonTurn struct {
		ResponseID string    `json:"response_id"`
		ParentID   string    `json:"parent_id"`
		Level      int       `json:"level"`
		Time       time.Time `json:"time"`
		Messages   int       `json:"messages"`
		Partial    bool      `json:"partial"`
		Chain      string    `json:"chain"`
	}
	jsonList struct {
		Chats []jsonChat `json:"chats"`
		Total *int       `json:"total"`
	}
)

func (l jsonList) ids() (ids []string) {
	for _, c := range l.Chats {
		ids = append(ids, c.ChatID)
	}
	return ids
}

// mustStore makes a session store with these chats and turns, and returns its
// file.
func mustStore(t *testing.T, chats []session.Chat, turns []session.Turn) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sessions.db")
	store := sqlite.New(sqlite.Options{Path: path, Patience: 10 * time.Second})
	defer store.Close()
	if _, err := store.Stats(t.Context()); err != nil { // it may not be open yet
		t.Fatal(err)
	}
	for _, c := range chats {
		if err := store.AddChat(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, turn := range turns {
		if err := store.Record(t.Context(), turn); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// nextMilli waits until it is later by the clock of the store.
func nextMilli() {
	for begin := time.Now().UnixMilli(); time.Now().UnixMilli() == begin; {
		runtime.Gosched()
	}
}

func TestSessionsList(t *testing.T) {
	g := mustGateway(t, setup{qwen: "api_key alice " + aliceKey + "\napi_key bob " + bobKey})
	g.numbered()
	before := time.Now().Truncate(time.Millisecond)
	asAlice, asBob := []string{"Authorization", "Bearer " + aliceKey}, []string{"Authorization", "Bearer " + bobKey}
	one := g.ask([]said{user("one " + secretPrompt)}, asAlice...)
	two := g.ask([]said{user("two")}, asBob...)
	nextMilli()
	three := g.ask([]said{user("three")})
	nextMilli()
	g.ask([]said{user("one " + secretPrompt), one.said, user("more")}, asAlice...).mustBe(t, "continued")
	own := keyOwner("", testKey)

	newest := []string{one.chat, three.chat, two.chat}
	tests := []struct {
		args  string
		ids   []string
		total int
	}{
		{"", newest, 3},
		{"--limit 0", newest, 3},
		{"--limit 2", newest[:2], 3},
		{"--limit 3", newest, 3},
		{"--caller alice", []string{one.chat}, 1},
		{"--caller name:alice", []string{one.chat}, 1},
		{"--caller bob --limit 1", []string{two.chat}, 1},
		{"--caller " + own.name, []string{three.chat}, 1},
		{"--caller " + own.tenant, []string{three.chat}, 1},
		{"--caller ali", nil, 0},
		{"--caller key-", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			args := append([]string{"list"}, strings.Fields(tt.args)...)
			l := mustDecode[jsonList](t, g.sessions, args...)
			if !slices.Equal(l.ids(), tt.ids) || l.Chats == nil || l.Total == nil || *l.Total != tt.total {
				t.Errorf("%d chats %q, want %d %q", l.Total, l.ids(), tt.total, tt.ids)
			}
			lines := strings.Split(strings.TrimSpace(mustSessions(t, g.sessions, args...)), "\n")
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, counted(tt.total, "chat")+" ") {
				t.Errorf("the last line is %q", last)
			}
			for i, id := range tt.ids {
				if row := lines[i+1]; !strings.HasPrefix(row, id+" ") {
					t.Errorf("row %d is %q, want that of %s", i, row, id)
				}
			}
		})
	}

	l := mustDecode[jsonList](t, g.sessions, "list")
	c := l.Chats[0]
	if c.Caller != "name:alice" || c.Turns != 2 || c.Model == "" || len(c.Account) != 32 || *c.Deletable ||
		c.Created.Before(before) || c.LastUsed.Before(c.Created) || c.LastUsed.After(time.Now()) {
		t.Errorf("the first chat is %+v", c)
	}
	rows := strings.Split(mustSessions(t, g.sessions, "list"), "\n")
	want := []string{c.ChatID, "name:alice", c.Model, "2", localTime(c.Created), localTime(c.LastUsed), "no"}
	if got := strings.Join(strings.Fields(rows[1]), " "); got != strings.Join(want, " ") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if got := strings.Join(strings.Fields(rows[0]), " "); got != "CHAT CALLER MODEL TURNS CREATED LAST USED DELETABLE" {
		t.Errorf("the head is %q", got)
	}
}

// TestSessionsListUsers checks that chats of a user of Caddy, whose name is not
// stored, are found by that name.
func TestSessionsListUsers(t *testing.T) {
	now := time.Now()
	path := mustStore(t, []session.Chat{
		{ID: "a", Tenant: "user:" + digestID("user", "zoë"), Created: now, Used: now},
		{ID: "b", Tenant: "user:" + digestID("user", "zoe"), Created: now, Used: now},
	}, nil)
	if got := mustDecode[jsonList](t, path, "list", "--caller", "zoë").ids(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the chats are %q", got)
	}
}

func TestSessionsListDeletable(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats delete 1h"})
	g.ask([]said{user("one")})
	if l := mustDecode[jsonList](t, g.sessions, "list"); len(l.Chats) != 1 || !*l.Chats[0].Deletable {
		t.Errorf("the chats are %+v", l.Chats)
	}
	if text := mustSessions(t, g.sessions, "list"); !strings.Contains(text, "  yes\n") {
		t.Errorf("the table does not tell that the chat may be deleted:\n%s", text)
	}
}

// TestSessionsDefaultFile checks that without --file, the file is the server's.
func TestSessionsDefaultFile(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	_, _, err := runCommand(t, "sessions", "list")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), defaultSessionsPath()) {
		t.Fatalf("without a file: %v", err)
	}
	g := mustGateway(t, setup{qwen: "\nsessions sqlite"})
	a := g.ask([]said{user("one")})
	stdout, _, err := runCommand(t, "sessions", "list")
	if err != nil || !strings.Contains(stdout, a.chat) {
		t.Errorf("with a server: %v\n%s", err, stdout)
	}
}

// TestSessionsWhileServing checks that commands work while the server writes.
func TestSessionsWhileServing(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	first := g.ask([]said{user("zero")})
	served, done := make(chan struct{}), make(chan int)
	go func() {
		rounds := 0
		defer func() { done <- rounds }()
		for {
			for _, args := range [][]string{{"list"}, {"show", first.chat}, {"export"}, {"forget", first.chat}} {
				if _, err := runSessions(t, g.sessions, args...); err != nil {
					t.Errorf("%q: %v", args, err)
				}
			}
			rounds++
			select {
			case <-served:
				return
			default:
			}
		}
	}()
	for range 10 {
		talk := []said{user("one")}
		for i := range 4 {
			a := g.ask(talk)
			a.mustBe(t, []string{"new", "continued"}[min(i, 1)])
			talk = append(talk, a.said, user("more"))
		}
	}
	close(served)
	if rounds := <-done; rounds == 0 {
		t.Error("no command was run meanwhile")
	}
	l := mustDecode[jsonList](t, g.sessions, "list")
	for _, c := range l.Chats[:10] {
		if c.Turns != 4 {
			t.Errorf("a chat has %d turns", c.Turns)
		}
	}
	if len(l.Chats) != 11 || strings.Contains(g.logged(), "session store fails") {
		t.Errorf("%d chats, or the server complains about its store", len(l.Chats))
	}
}
