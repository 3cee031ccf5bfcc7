package caddyqwen

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// R01, R04: a new configuration disturbs no loop: not between its rounds, not while a
// call is written, and not while an answer is corrected.
func TestAgentReload(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, isStream bool) {
		a := g.stepping(isStream)
		asked := make(chan completed, 1)
		for round, answer := range []func(gate chan struct{}) []emulator.Reply{
			func(chan struct{}) []emulator.Reply {
				return []emulator.Reply{emulator.Text(called("step", `{"n": 0}`))}
			},
			func(gate chan struct{}) []emulator.Reply {
				return []emulator.Reply{emulator.Stream(emulator.Created(), emulator.Answer("<tool_call>\n{\"name\": \"step\","),
					emulator.Wait(gate), emulator.Answer(" \"arguments\": {\"n\": 1}}\n</tool_call>"), emulator.Finish())}
			},
			func(gate chan struct{}) []emulator.Reply {
				return []emulator.Reply{unknownCall, emulator.Text(called("step", `{"n": 2}`)).After(gate)}
			},
			func(chan struct{}) []emulator.Reply { return []emulator.Reply{emulator.Text("Done.")} },
		} {
			gate := make(chan struct{})
			replies := answer(gate)
			before := g.prompts()
			g.site.Reply(replies...)
			go func() { asked <- g.complete(t.Context(), isStream, a.params) }()
			g.await("the last answer begins", func() bool { return g.prompts() == before+len(replies) })
			g.load(setup{qwen: fmt.Sprintf("heartbeat %ds", round+1)})
			close(gate)
			got := <-asked
			if want := fmt.Sprintf(`"" step{"n":%d} tool_calls`, round); round < 3 && got.compact(t) != want {
				t.Errorf("round %d: %s", round, got)
			}
			a.take(got)
		}
		oneChat(t, g.since(0))
		g.slotsFree()
	})
}

// What a loop has done is known after a restart.
func TestAgentRestart(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.play(emulator.Agent{Plan: emulator.Loop("step", 3), Style: emulator.StyleWrongName, Persistence: emulator.EachTurn})
		a := g.stepping(streamed)
		for range 4 {
			a.step()
			g.stop()
			g.load(setup{})
		}
		turns := g.since(0)
		oneChat(t, turns)
		if got := turns[len(turns)-1].Content; len(turns) != 7 || !strings.HasPrefix(got, "<tool_response ") {
			t.Errorf("%d prompts, the last is %q", len(turns), got)
		}
	})
}

// A chat that is deleted after its turn is so once, after the correction.
func TestAgentTemporaryChats(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.load(setup{qwen: "chats temporary"})
		g.play(emulator.Agent{Plan: emulator.Loop("step", 3), Style: emulator.StyleTruncated, Persistence: emulator.EachTurn})
		a := g.stepping(streamed)
		for round := range 4 {
			a.step()
			g.await("the chat is deleted", func() bool { return len(g.site.Deleted()) == round+1 })
		}
		checkReplayed(t, g, 4)
		g.site.Reply(unknownCall, unknownCall)
		if got := g.complete(t.Context(), streamed, offering("Hi", weather)).String(); got != "error tool_call_invalid" {
			t.Errorf("got %s", got)
		}
		g.await("the chat is deleted", func() bool { return len(g.site.Deleted()) == 5 })
		g.slotsFree()
		if n := g.requested(emulator.EndpointDelete); n != 5 || len(g.site.ChatIDs()) != 0 {
			t.Errorf("the site was asked %d times to delete a chat; %d are left", n, len(g.site.ChatIDs()))
		}
	})
}

// checkReplayed checks that each round of a loop was in a chat of its own, with all that
// had been said, and corrections in the same chat as what they correct.
func checkReplayed(t *testing.T, g *gateway, rounds int) {
	t.Helper()
	chats := map[string]int{}
	for _, c := range g.since(0) {
		chats[c.ChatID]++
		if chats[c.ChatID] != len(c.Context)+1 {
			t.Errorf("prompt %d of a chat knows %d turns", chats[c.ChatID], len(c.Context))
		}
		calls, results := strings.Count(c.Content, "{\"name\": \"step\""), strings.Count(c.Content, "<tool_response ")
		if n := len(chats) - 1; len(c.Context) == 0 && (calls != n || results != n || !strings.Contains(c.Content, "Do all the steps.")) {
			t.Errorf("round %d: %d calls and %d results in %q", n, calls, results, c.Content)
		}
	}
	if len(chats) != rounds {
		t.Errorf("%d chats for %d rounds", len(chats), rounds)
	}
}

// A chat is not deleted while an answer in it is corrected, however soon it may be.
func TestAgentDeletedChats(t *testing.T) {
	g := mustGateway(t, setup{qwen: "chats delete 1ms"})
	gate := make(chan struct{})
	g.site.Reply(unknownCall, osloAnswer.After(gate))
	asked := make(chan completed, 1)
	go func() { asked <- g.complete(t.Context(), true, offering("How is it?", weather)) }()
	g.await("the correction begins", func() bool { return g.prompts() == 2 })
	slow := g.last().ChatID
	quick := g.ask([]said{user("quick")})
	g.await("the other chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), quick.chat) })
	if deleted := g.site.Deleted(); len(deleted) != 1 {
		t.Errorf("%d chats are deleted, one of them in use", len(deleted))
	}
	close(gate)
	if got := (<-asked).compact(t); got != `"" `+osloCall {
		t.Errorf("got %s", got)
	}
	g.await("the chat is deleted", func() bool { return slices.Contains(g.site.Deleted(), slow) })
	if n := g.requested(emulator.EndpointDelete); n != 2 {
		t.Errorf("the site was asked %d times", n)
	}
}

// Without a record of conversations each round is told all that was said, in the
// form in which the model calls.
func TestAgentWithoutSessions(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.load(setup{qwen: "sessions off"})
		g.play(emulator.Agent{Plan: emulator.Loop("step", 5), Style: emulator.StyleWrongName, Persistence: emulator.EachTurn})
		last, rounds := g.stepping(streamed).work()
		if got := last.String(); rounds != 5 || got != `"The last result is: done" stop` {
			t.Errorf("%s after %d rounds", got, rounds)
		}
		checkReplayed(t, g, 6)
	})
}

// X08: the account of a loop expires in its middle. The loop goes on with another one,
// which is told all that was done.
func TestAgentFailOver(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("streamed %t", streamed), func(t *testing.T) {
			g := mustAccounts(t, 2, "")
			g.play(emulator.Agent{Plan: emulator.Loop("step", 5), Style: emulator.StyleTruncated, Persistence: emulator.EachTurn})
			a := g.stepping(streamed)
			a.run = func(call openai.ChatCompletionMessageToolCallUnion) string {
				return fmt.Sprintf("result %d", numberOf(t, call))
			}
			for range 3 {
				a.step()
				g.mustAnswerBy("first")
			}
			g.revoke("first")
			before := g.prompts()
			last, rounds := a.work()
			if got := last.String(); rounds != 2 || got != `"The last result is: result 5" stop` {
				t.Errorf("%s after %d rounds", got, rounds)
			}
			g.mustAnswerBy("second")
			turns := g.since(before)
			oneChat(t, turns)
			mustOnly(t, turns[0].Content, []string{"<tools>", "Do all the steps.", `{"name": "step", "arguments": {"n":1}}`, "result 1", "result 2", "result 3"}, nil)
			for _, c := range turns[1:] {
				mustOnly(t, c.Content, nil, []string{"<tools>", "Do all the steps."})
			}
			if n := g.requested(emulator.EndpointNewChat); n != 2 {
				t.Errorf("%d chats", n)
			}
		})
	}
}
