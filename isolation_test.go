package caddyqwen

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// contentOf returns the text of an answer that is not streamed.
func contentOf(body []byte) (string, error) {
	var answer struct {
		Choices []struct{ Message said }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	if len(answer.Choices) != 1 {
		return "", errors.New("no choice")
	}
	return answer.Choices[0].Message.Content, nil
}

// One client changes its conversation at random. After each request the model
// must have seen what the client has sent, no more and no less.
func TestConversationAtRandom(t *testing.T) {
	steps := 600
	if long {
		steps = 2000
	}
	seed := mustSeed(t)
	g := mustGateway(t, setup{})
	k := &talker{g: g, views: g.views(), random: rand.New(rand.NewPCG(seed, 0)), mark: "me:", models: []string{"qwen3.7-plus", "qwen3.8-max"}}
	for i := range steps {
		if err := k.step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

// Many callers talk at the same time, with equal words, and leave at random. No
// answer may come from what another one has said.
func TestConversationsApart(t *testing.T) {
	const tenants, each = 20, 2
	steps := 12
	if long {
		steps = 150 // 6,000 requests
	}
	seed := mustSeed(t)
	block := "max_streams_per_account 16\nqueue_length 256\nqueue_wait 1m"
	for i := range tenants {
		block += fmt.Sprintf("\napi_key tenant-%02d sk-tenant-%02d-0123456789", i, i)
	}
	g := mustGateway(t, setup{qwen: block})
	shown := g.views()
	var foreign, asked atomic.Int64
	watch(g, shown, &foreign, &asked)
	var all sync.WaitGroup
	for i := range tenants * each {
		tenant := i / each
		k := &talker{
			g: g, views: shown, random: rand.New(rand.NewPCG(seed, uint64(i))), cancels: true,
			mark: fmt.Sprintf("canary-%02d:", tenant), models: []string{"qwen3.7-plus"},
			header: []string{"Authorization", fmt.Sprintf("Bearer sk-tenant-%02d-0123456789", tenant)},
		}
		all.Go(func() {
			for n := range steps {
				if err := k.step(); err != nil {
					t.Errorf("X11 tenant %d, step %d: %v", tenant, n, err)
					return
				}
			}
		})
	}
	all.Wait()
	g.slotsFree()
	if n := foreign.Load(); n > 0 {
		t.Errorf("X11 %d prompts had something of two tenants", n)
	}
	t.Logf("%d prompts came to the site", asked.Load())
	if refused := g.site.Refusals(); len(refused) > 0 {
		t.Errorf("the site refused %v", refused)
	}
}

// watch counts the prompts, and those at which the model knows something of more
// than one tenant.
func watch(g *gateway, shown *views, foreign, asked *atomic.Int64) {
	g.site.Respond(func(c emulator.Completion) emulator.Reply {
		asked.Add(1)
		text := c.Content
		for _, turn := range c.Context {
			text += turn.User
		}
		_, first, _ := strings.Cut(text, "canary-")
		if len(first) < 2 || strings.Count(text, "canary-") != strings.Count(text, "canary-"+first[:2]) {
			foreign.Add(1)
		}
		return shown.answer(c)
	})
}
