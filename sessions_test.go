package caddyqwen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// said is a message as a client keeps it.
type said struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func user(text string) said      { return said{"user", text} }
func assistant(text string) said { return said{"assistant", text} }
func system(text string) said    { return said{"system", text} }

// heard is an answer in a conversation.
type heard struct {
	said
	reply
	kind string // the header X-Qwen-Session
	chat string // the header X-Qwen-Chat-Id
}

// ask sends a conversation and reads the answer.
func (g *gateway) ask(messages []said, header ...string) heard {
	g.t.Helper()
	return g.askFor("qwen3.7-plus", messages, header...)
}

func (g *gateway) askFor(model string, messages []said, header ...string) heard {
	g.t.Helper()
	body, err := json.Marshal(map[string]any{"model": model, "messages": messages})
	if err != nil {
		g.t.Fatal(err)
	}
	r := g.do(http.MethodPost, chatPath, string(body), header...)
	var answer struct {
		Choices []struct{ Message said }
	}
	if r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &answer) != nil || len(answer.Choices) != 1 {
		g.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return heard{answer.Choices[0].Message, r, r.header.Get("X-Qwen-Session"), r.header.Get("X-Qwen-Chat-Id")}
}

// mustBe checks how a turn went on.
func (a heard) mustBe(t testing.TB, kind string) {
	t.Helper()
	if a.kind != kind {
		t.Fatalf("X-Qwen-Session is %q, not %q", a.kind, kind)
	}
	if a.chat == "" {
		t.Fatal("no X-Qwen-Chat-Id")
	}
}

// numbered makes the site answer `Reply <n> to <prompt>.` with n counting up.
func (g *gateway) numbered() {
	n := make(chan int, 1)
	n <- 0
	g.site.Respond(func(c emulator.Completion) emulator.Reply {
		i := <-n + 1
		n <- i
		return emulator.Text(fmt.Sprintf("Reply %d to %.20s.", i, strings.ReplaceAll(c.Content, "\n", " ")))
	})
}

// storesOpen waits until all session stores can be used.
func storesOpen(t testing.TB) {
	t.Helper()
	eventually(t, "the session stores are open", func() bool {
		usable := true
		sessionStores.Range(func(_, value any) bool {
			_, err := value.(*sessions).store.Chat(t.Context(), session.Digest{}, "unknown")
			usable = errors.Is(err, session.ErrNotFound)
			return usable
		})
		return usable
	})
}

// storesClosed waits until no session store is in use any more.
func storesClosed(t testing.TB) {
	t.Helper()
	eventually(t, "the session stores are closed", func() bool {
		open := 0
		sessionStores.Range(func(any, any) bool { open++; return true })
		return open == 0
	})
}

// seen is what the model saw of the newest turn, as the site has it: the turns
// before, and the prompt.
func (g *gateway) seen() (context []emulator.Turn, prompt string) {
	g.t.Helper()
	all := g.site.Completions()
	if len(all) == 0 {
		g.t.Fatal("the site has got no prompt")
	}
	c := all[len(all)-1]
	return c.Context, c.Content
}

// mustSee checks what the model saw of the newest turn: prompts and answers
// before, and the prompt.
func (g *gateway) mustSee(prompt string, before ...string) {
	g.t.Helper()
	context, got := g.seen()
	var texts []string
	for _, turn := range context {
		texts = append(texts, turn.User, turn.Answer)
	}
	if fmt.Sprint(texts) != fmt.Sprint(before) {
		g.t.Errorf("the model knows %q, not %q", texts, before)
	}
	if got != prompt {
		g.t.Errorf("the prompt is %q, not %q", got, prompt)
	}
}

// reasoned makes the site answer with reasoning and a text, once.
func (g *gateway) reasoned(reasoning, text string) {
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Think(reasoning), emulator.Answer(text), emulator.Finish()))
}
