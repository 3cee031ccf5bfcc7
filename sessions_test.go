package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
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

func TestConversationContinues(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	talk := []said{user("one")}
	first := g.ask(talk)
	first.mustBe(t, "new")
	g.mustSee("one")

	talk = append(talk, first.said, user("two"))
	second := g.ask(talk)
	second.mustBe(t, "continued")
	g.mustSee("two", "one", first.Content)
	if second.chat != first.chat {
		t.Error("HI-02 another chat")
	}

	talk = append(talk, second.said, user("three"))
	third := g.ask(talk)
	third.mustBe(t, "continued")
	g.mustSee("three", "one", first.Content, "two", second.Content)
	if n := g.requested(emulator.EndpointNewChat); n != 1 {
		t.Errorf("%d chats were opened", n)
	}
}

func TestConversationBranches(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	b := g.ask([]said{user("one"), a.said, user("two")})

	again := g.ask([]said{user("one"), a.said, user("two")})
	again.mustBe(t, "branched")
	g.mustSee("two", "one", a.Content)
	if again.chat != b.chat {
		t.Error("HI-07 another chat")
	}

	edited := g.ask([]said{user("one"), a.said, user("two"), assistant("Something else entirely."), user("three")})
	edited.mustBe(t, "branched")
	context, prompt := g.seen()
	if len(context) != 1 || !strings.Contains(prompt, "Something else entirely.") || strings.Contains(prompt, "Reply 2") {
		t.Errorf("HI-06 the model knows %d turns and got %q", len(context), prompt)
	}
	later := g.ask([]said{user("one"), a.said, user("two"), assistant("Something else entirely."), user("three"), edited.said, user("four")})
	later.mustBe(t, "continued")
	if context, prompt := g.seen(); len(context) != 2 || prompt != "four" {
		t.Errorf("HI-06 later the model knows %d turns and got %q", len(context), prompt)
	}
}

func TestConversationUnknown(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	talk := []said{user("one"), assistant("A reply from elsewhere."), user("two")}
	a := g.ask(talk)
	a.mustBe(t, "replayed")
	_, prompt := g.seen()
	for _, want := range []string{"<user>\none\n</user>", "<assistant>\nA reply from elsewhere.\n</assistant>", "<current_user_message>\ntwo\n"} {
		if !strings.Contains(prompt, want) {
			t.Errorf("HI-08 the prompt %q lacks %q", prompt, want)
		}
	}
	b := g.ask(append(talk, a.said, user("three")))
	b.mustBe(t, "continued")
	if context, prompt := g.seen(); len(context) != 1 || prompt != "three" {
		t.Errorf("the model knows %d turns and got %q", len(context), prompt)
	}
}
