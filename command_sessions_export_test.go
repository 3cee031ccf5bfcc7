package caddyqwen

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// exported is a line of `export`.
type exportedLine struct {
	jsonChat
	ResponseID string    `json:"response_id"`
	ParentID   string    `json:"parent_id"`
	Time       time.Time `json:"time"`
	Continued  *bool     `json:"continued"`
	Long       *bool     `json:"long"`
	Partial    *bool     `json:"partial"`
	Chain      string    `json:"chain"`
	Loose      string    `json:"loose"`
	Pair       string    `json:"pair"`
	System     string    `json:"system"`
	Aliases    []string  `json:"aliases"`
	Messages   []string  `json:"messages"`
	Variants   []string  `json:"variants"`
}

func mustExport(t *testing.T, path string, args ...string) (lines []exportedLine) {
	t.Helper()
	for text := range strings.Lines(mustSessions(t, path, append([]string{"export"}, args...)...)) {
		var line exportedLine
		decodeStrictly(t, text, &line)
		lines = append(lines, line)
	}
	return lines
}

// TestSessionsExport checks that every part of what is stored is in the output.
func TestSessionsExport(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	digest := func() (d session.Digest) {
		for i := range d {
			d[i] = byte(random.Uint32())
		}
		return d
	}
	account := digest()
	stamp := time.UnixMilli(1_790_000_000_123)
	chats := []session.Chat{
		{Account: account, ID: "full", Tenant: "name:alice", Model: "qwen3.7-plus", Disposable: true, Created: stamp, Used: stamp},
		{Account: account, ID: "empty", Tenant: "generated", Model: "qwen3.7-max", Created: stamp, Used: stamp.Add(-time.Hour)},
	}
	turns := []session.Turn{
		{ResponseID: "r1", Key: session.Key{Pair: digest(), Loose: digest(), Chain: digest()}, System: digest(), Long: true, Messages: []session.Digest{digest(), digest()},
			Variants: []session.Digest{digest()}, Aliases: []session.Digest{digest(), digest()}, Time: stamp.Add(time.Second)},
		{ResponseID: "r2", ParentID: "r1", Key: session.Key{Pair: digest(), Loose: digest(), Chain: digest()}, Partial: true, Messages: []session.Digest{digest()}, Time: stamp.Add(time.Minute)},
	}
	for i := range turns {
		turns[i].Account, turns[i].ChatID, turns[i].Tenant, turns[i].Model = account, "full", "name:alice", "qwen3.7-plus"
	}
	lines := mustExport(t, mustStore(t, chats, turns))
	if len(lines) > 0 && lines[0].ChatID == "empty" { // the chats are in no special order
		lines = append(lines[1:], lines[0])
	}
	var order []string
	for _, line := range lines {
		order = append(order, line.Type+" "+line.ChatID+" "+line.ResponseID)
		if line.Account != account.String() {
			t.Errorf("the account of %s is %s", line.ChatID, line.Account)
		}
	}
	if want := []string{"chat full ", "turn full r1", "turn full r2", "chat empty "}; !slices.Equal(order, want) {
		t.Fatalf("the lines are %q, want %q", order, want)
	}
	if c := lines[0].jsonChat; !*c.Deletable || c.Caller != "name:alice" || c.Model != "qwen3.7-plus" || c.Turns != 2 ||
		!c.Created.Equal(stamp) || !c.LastUsed.Equal(stamp.Add(time.Minute)) {
		t.Errorf("the chat is %+v", c)
	}
	if c := lines[3].jsonChat; *c.Deletable || c.Caller != "generated" || c.Turns != 0 {
		t.Errorf("the empty chat is %+v", c)
	}
	for i, want := range turns {
		got := lines[1+i]
		if got.ParentID != want.ParentID || !got.Time.Equal(want.Time) || got.Caller != want.Tenant || got.Model != want.Model ||
			got.Chain != want.Chain.String() || got.Loose != want.Loose.String() || got.Pair != want.Pair.String() ||
			got.System != want.System.String() || *got.Long != want.Long || *got.Partial != want.Partial || *got.Continued != (i == 0) ||
			!slices.Equal(got.Aliases, digestTexts(want.Aliases)) || !slices.Equal(got.Messages, digestTexts(want.Messages)) ||
			!slices.Equal(got.Variants, digestTexts(want.Variants)) || got.Aliases == nil {
			t.Errorf("the turn is %+v, want %+v", got, want)
		}
	}
}

// TestSessionsExportOfServer checks what a server leaves: all conversations, and
// none of their text.
func TestSessionsExportOfServer(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	if lines := mustExport(t, mustStore(t, nil, nil)); lines != nil {
		t.Errorf("%d lines from an empty store", len(lines))
	}
	a := g.ask([]said{system(secretPrompt), user("one " + secretPrompt)})
	g.ask([]said{system(secretPrompt), user("one " + secretPrompt), a.said, user("two")})
	g.ask([]said{user("three")})
	count := map[string]int{}
	for _, line := range mustExport(t, g.sessions, "--json") {
		count[line.Type]++
	}
	if count["chat"] != 2 || count["turn"] != 3 || len(count) != 2 {
		t.Errorf("the lines are %v", count)
	}
	if text := mustSessions(t, g.sessions, "export"); strings.Contains(text, "Reply 1") || strings.Contains(text, testKey) {
		t.Error("the export has text of a message, or a key")
	}
}

var errNoReader = errors.New("nobody reads any more")

// limitedWriter fails after a number of bytes.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errNoReader
	}
	return len(p), nil
}

// TestSessionsOutputFails checks that a command does not succeed if its output
// could not be written, and that an export then ends early.
func TestSessionsOutputFails(t *testing.T) {
	var turns []session.Turn
	for i := range 200 {
		turns = append(turns, chain(fmt.Sprintf("c%03d", i), fmt.Sprintf("r%03d", i))...)
	}
	path := mustStore(t, nil, turns)
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", "c001"}, {"show", "c001", "--json"}, {"export"}, {"forget", "c001"}, {"wipe"}} {
		for _, left := range []int{0, 100} {
			cmd := sessionsCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetOut(&limitedWriter{left})
			cmd.SetErr(io.Discard)
			cmd.SetArgs(append(args, "--file", path))
			err := cmd.Execute()
			if left == 0 && !errors.Is(err, errNoReader) || left > 0 && err == nil && args[0] != "forget" {
				t.Errorf("%q with room for %d bytes: %v", args, left, err)
			}
		}
	}
	if n := mustCount(t, path); n != (sqlite.Stats{Turns: 199, Chats: 200}) {
		t.Errorf("the store has %+v", n)
	}
}

// mustCount returns how much there is in a store.
func mustCount(t *testing.T, path string) (stats sqlite.Stats) {
	t.Helper()
	for _, line := range mustExport(t, path) {
		if line.Type == "chat" {
			stats.Chats++
		} else {
			stats.Turns++
		}
	}
	return stats
}

func TestSessionsWipe(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	talk := []said{user("one"), a.said, user("more")}
	b := g.ask(talk)
	g.ask([]said{user("elsewhere")})
	if r := g.form("/v1/files", field{name: "file", file: "a.png", value: string(testPNG(1, 100))}); r.status != http.StatusOK {
		t.Fatal(r.body)
	}

	text, err := runSessions(t, g.sessions, "wipe")
	if text != "This would remove 2 chats, 3 turns and 1 file.\n" || !errors.Is(err, errNotWiped) || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without --yes: %q, %v", text, err)
	}
	g.ask(append(talk, b.said, user("and more"))).mustBe(t, "continued")

	if text := mustSessions(t, g.sessions, "wipe", "--yes"); text != "Removed 2 chats, 4 turns and 1 file.\n" {
		t.Errorf("with --yes: %q", text)
	}
	if n := mustCount(t, g.sessions); n != (sqlite.Stats{}) {
		t.Errorf("the store has %+v", n)
	}
	if text := mustSessions(t, g.sessions, "list"); text != "0 chats in all.\n" {
		t.Errorf("the list is %q", text)
	}
	again := g.ask(talk)
	again.mustBe(t, "replayed")
	if again.chat == a.chat {
		t.Error("the conversation went on in its old chat")
	}
	g.ask(append(talk, again.said, user("and more"))).mustBe(t, "continued")
}

func TestSessionsWipeJSON(t *testing.T) {
	path := mustStore(t, nil, append(chain("x", "a", "b"), chain("y", "c")...))
	type result struct {
		Wiped *bool `json:"wiped"`
		Chats int   `json:"chats"`
		Turns int   `json:"turns"`
		Files *int  `json:"files"`
	}
	var r result
	text, err := runSessions(t, path, "wipe", "--json")
	decodeStrictly(t, text, &r)
	if r.Wiped == nil || r.Files == nil || *r.Wiped || r.Chats != 2 || r.Turns != 3 || !errors.Is(err, errNotWiped) {
		t.Errorf("without --yes: %+v, %v", r, err)
	}
	for _, want := range []int{2, 0} {
		r := mustDecode[result](t, path, "wipe", "--yes")
		if !*r.Wiped || r.Chats != want || (r.Turns == 0) != (want == 0) {
			t.Errorf("with --yes: %+v, want %d chats", r, want)
		}
	}
}

func TestSessionsDocumentation(t *testing.T) {
	var names []string
	for _, cmd := range sessionsCommand().Commands() {
		names = append(names, cmd.Name())
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, "caddy qwen sessions "+cmd.Name()) || cmd.Args == nil {
			t.Errorf("%s lacks a text, an example or a check of its arguments", cmd.Name())
		}
		checkWidth(t, cmd)
		stdout, _, err := runCommand(t, "sessions", cmd.Name(), "--help")
		for _, part := range []string{strings.TrimSpace(cmd.Long), "--file", "--json", cmd.Example} {
			if err != nil || !strings.Contains(stdout, part) {
				t.Errorf("the help of %s lacks %q, or fails: %v", cmd.Name(), part, err)
			}
		}
	}
	if want := []string{"export", "forget", "list", "show", "wipe"}; !slices.Equal(names, want) {
		t.Errorf("the commands are %q, want %q", names, want)
	}
	checkWidth(t, sessionsCommand())
	if stdout, _, err := runCommand(t, "sessions"); err != nil || !strings.Contains(stdout, "exit status is 0") {
		t.Errorf("the help does not tell the exit status, or fails: %v\n%s", err, stdout)
	}
}

// checkWidth checks that a help text fits into a terminal.
func checkWidth(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
		if len([]rune(line)) > 90 {
			t.Errorf("%s: the line is too long: %q", cmd.Name(), line)
		}
	}
}
