package caddyqwen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// A model whose style is another one in each turn, thinking or not, streamed or not, in
// pieces of any size, with reloads in between: each round has its call, in one chat.
func TestAgentAnyStyle(t *testing.T) {
	rounds := 40
	if long {
		rounds = 400
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	g := mustGateway(t, setup{})
	styles := emulator.Styles()
	plan := func(v emulator.View) emulator.Move { return emulator.Move{Calls: stepCalls(v.Round + 1)} }
	a := g.stepping(false)
	required(&a.params)
	for n := 1; n <= rounds; n++ {
		style := styles[random.IntN(len(styles))]
		model := emulator.Agent{Style: style, Persistence: emulator.EachTurn, Plan: plan, Piece: random.IntN(30)}
		g.play(model)
		a.streamed = random.IntN(2) == 0
		a.params.SetExtraFields(map[string]any{"enable_thinking": random.IntN(2) == 0})
		if random.IntN(20) == 0 {
			g.load(setup{qwen: fmt.Sprintf("heartbeat %ds", n)})
		}
		before := g.prompts()
		answer := a.step()
		calls := answer.Choices[0].Message.ToolCalls
		if len(calls) == 0 || calls[0].Function.Name != "step" || numberOf(t, calls[0]) != n && style != emulator.StyleWrongTypes {
			t.Fatalf("round %d, style %s: %s", n, style, answer)
		}
		if extra := len(calls) - 1; extra > 1 || extra == 1 && style != emulator.StyleTwoCalls {
			t.Errorf("round %d, style %s: %d calls", n, style, len(calls))
		}
		if turns := g.prompts() - before; turns > 2 {
			t.Errorf("round %d, style %s: %d turns", n, style, turns)
		}
		if strings.Contains(answer.Choices[0].Message.Content, "<tool_c") {
			t.Errorf("round %d, style %s: %s", n, style, answer)
		}
	}
	oneChat(t, g.since(0))
}

// A loop in which the site itself tells the calls goes on in one chat as well, also in
// words if the site does not take the functions any more.
func TestAgentNativeLoop(t *testing.T) {
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		g.play(emulator.Agent{Plan: emulator.Loop("step", rounds20), Style: emulator.StyleChatty})
		a := g.stepping(streamed)
		last, rounds := a.work()
		if got := last.String(); rounds != rounds20 || got != `"The last result is: done" stop` {
			t.Errorf("%s after %d rounds", got, rounds)
		}
		turns := g.since(0)
		oneChat(t, turns)
		for i, c := range turns {
			if len(c.LocalTools) != 2 || strings.Contains(c.Content, "<tools>") || len(resultsIn(c)) != min(i, 1) {
				t.Errorf("prompt %d has %d functions: %q", i, len(c.LocalTools), c.Content)
			}
		}
	})
	native(t, func(t *testing.T, g *gateway, streamed bool) {
		g.play(emulator.Agent{Plan: emulator.Loop("step", 8), Style: emulator.StyleWrongName, Persistence: emulator.EachTurn})
		a := g.stepping(streamed)
		for range 4 {
			a.step()
		}
		oneChat(t, g.since(0))
		g.site.RefuseLocalTools(emulator.Internal())
		before := g.prompts()
		last, rounds := a.work()
		if got := last.String(); rounds != 4 || got != `"The last result is: done" stop` {
			t.Errorf("%s after %d rounds", got, rounds)
		}
		turns := g.since(before)
		oneChat(t, turns)
		mustOnly(t, turns[0].Content, []string{"<tools>", "<tool_response name=\"step\""}, nil)
		g.slotsFree()
	})
}
