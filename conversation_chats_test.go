package caddyqwen

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func talkBody(talk []said, fields string) string {
	raw, _ := json.Marshal(talk)
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"model":"qwen3.7-plus","messages":%s%s}`, raw, fields)
}

// Several requests with one history at the same time.
func TestConversationInParallel(t *testing.T) {
	const n = 4
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	gate := make(chan struct{})
	g.site.Respond(func(c emulator.Completion) emulator.Reply {
		return emulator.Text("The reply to " + c.Content[max(0, len(c.Content)-60):] + ".").After(gate)
	})
	answers := make([]heard, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i] = g.ask([]said{user("one"), a.said, user(fmt.Sprintf("two, %d", i))}) })
	}
	g.await("all are being answered", func() bool { return g.site.Active() == n })
	close(gate)
	all.Wait()
	kinds, chats := map[string]int{}, map[string]bool{}
	for i, answer := range answers {
		kinds[answer.kind]++
		chats[answer.chat] = true
		if !strings.Contains(answer.Content, fmt.Sprintf("two, %d", i)) {
			t.Errorf("HI-11 answer %d is %q", i, answer.Content)
		}
	}
	if kinds["continued"] != 1 || kinds["replayed"] != n-1 || len(chats) != n {
		t.Errorf("HI-11, X02, X03: %v in %d chats", kinds, len(chats))
	}
	for i, answer := range answers {
		next := g.ask([]said{user("one"), a.said, user(fmt.Sprintf("two, %d", i)), answer.said, user("three")})
		if next.kind != "continued" || next.chat != answer.chat {
			t.Errorf("X03 answer %d goes on as %q", i, next.kind)
		}
	}
	if refused := g.site.Refusals(); len(refused) > 0 {
		t.Errorf("the site refused %v", refused)
	}
}

// Conversations of one key are unknown to all others.
func TestConversationOfOthers(t *testing.T) {
	g := mustGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef\napi_key bob sk-bob-0123456789abcdef sk-bob-abcdef0123456789"})
	g.numbered()
	ann := []string{"Authorization", "Bearer sk-ann-0123456789abcdef"}
	a := g.ask([]said{user("one")}, ann...)
	talk := []said{user("one"), a.said, user("two")}
	other := g.ask(talk)
	other.mustBe(t, "replayed")
	if other.chat == a.chat {
		t.Error("HI-12 another key's chat")
	}
	b := g.ask([]said{user("one")}, "Authorization", "Bearer sk-bob-0123456789abcdef")
	g.ask([]said{user("one"), b.said, user("two")}, "Authorization", "Bearer sk-bob-abcdef0123456789").mustBe(t, "continued") // the other key of the same name
	g.ask(talk, ann...).mustBe(t, "continued")
	g.mustSee("two", "one", a.Content)
}

// An aborted turn leaves the conversation where it was.
func TestConversationAfterAbort(t *testing.T) {
	for mode, fields := range modes {
		t.Run("CA-04 "+mode, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.numbered()
			a := g.ask([]said{user("one")})
			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("The answer that nobody wants"), emulator.Hang()))
			l := g.leaverWith(talkBody([]said{user("one"), a.said, user("two")}, fields))
			g.await("the answer begins", func() bool { return len(g.site.Completions()) == 2 && g.last().Frames > 1 })
			l.gone(g)
			g.ask([]said{user("one"), a.said, user("three")}).mustBe(t, "continued")
			g.mustSee("three", "one", a.Content)
			partial := []said{user("one"), a.said, user("two"), assistant("The answer that"), user("four")}
			g.ask(partial).mustBe(t, "branched")
			if context, prompt := g.seen(); len(context) != 1 || !strings.Contains(prompt, "The answer that\n") {
				t.Errorf("the model knows %d turns and got %q", len(context), prompt)
			}
		})
	}
}

// last is the newest completion.
func (g *gateway) last() emulator.Completion {
	all := g.site.Completions()
	return all[len(all)-1]
}

// A turn that does not end well is not recorded.
func TestConversationAfterFailure(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"cut":     emulator.Stream(emulator.Created(), emulator.Answer("Half of an answer"), emulator.Cut()),
		"failed":  emulator.Stream(emulator.Created(), emulator.Answer("Half of an answer"), emulator.ErrorFrame("internal_error", "")),
		"refused": emulator.Moderation(),
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.numbered()
			a := g.ask([]said{user("one")})
			g.site.Reply(reply)
			if r := g.do(http.MethodPost, chatPath, talkBody([]said{user("one"), a.said, user("two")}, "")); r.status == http.StatusOK {
				t.Fatal("the turn did not fail")
			}
			g.slotsFree()
			g.ask([]said{user("one"), a.said, user("two"), assistant("Half of an answer"), user("three")}).mustBe(t, "branched")
			g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "branched")
			g.mustSee("two", "one", a.Content)
		})
	}
}

// The site refuses the chat that was found.
func TestConversationRefused(t *testing.T) {
	refusals := map[string]emulator.Reply{
		"CA-05 busy":             emulator.Busy(),
		"CA-05 busy, in stream":  emulator.Stream(emulator.Created(), emulator.ErrorFrame("Bad_Request", "The chat is in progress!")),
		"the chat is lost":       emulator.ChatNotFound(),
		"the parent is lost":     emulator.BrokenParent(),
		"lost, in the stream":    emulator.Stream(emulator.ErrorFrame("Not_Found", "The chat x is not exist")),
		"busy, after a reasoner": emulator.Stream(emulator.Created(), emulator.KeepAlive(), emulator.ErrorFrame("Bad_Request", "The chat is in progress!")),
	}
	for name, refusal := range refusals {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustGateway(t, setup{})
				g.numbered()
				a := g.ask([]said{user("one")})
				g.site.Reply(refusal)
				talk := []said{user("one"), a.said, user("two")}
				r := g.do(http.MethodPost, chatPath, talkBody(talk, fields))
				if r.status != http.StatusOK || r.header.Get("X-Qwen-Session") != "replayed" || r.header.Get("X-Qwen-Chat-Id") == a.chat {
					t.Fatalf("status %d, session %q: %s", r.status, r.header.Get("X-Qwen-Session"), r.body)
				}
				if context, prompt := g.seen(); len(context) != 0 || !strings.Contains(prompt, a.Content) {
					t.Errorf("the model knows %d turns and got %q", len(context), prompt)
				}
				g.slotsFree()
				eventually(t, "the site is done with the chat that it refused", func() bool { return !g.site.ChatBusy(a.chat) })
				want := "continued" // at the old place, which nothing has followed
				if strings.Contains(name, "lost") {
					want = "replayed"
				}
				g.ask([]said{user("one"), a.said, user("else")}).mustBe(t, want)
			})
		}
	}
	t.Run("the retry fails, too", func(t *testing.T) {
		g := mustGateway(t, setup{})
		a := g.ask([]said{user("one")})
		g.site.Reply(emulator.ChatNotFound(), emulator.ChatNotFound())
		r := g.do(http.MethodPost, chatPath, talkBody([]said{user("one"), a.said, user("two")}, ""))
		if r.code() != "upstream_chat_lost" || g.requested(emulator.EndpointCompletions) != 3 {
			t.Errorf("status %d after %d prompts: %s", r.status, g.requested(emulator.EndpointCompletions), r.body)
		}
	})
	t.Run("nobody deletes the chats of the owner", func(t *testing.T) {
		if g := mustGateway(t, setup{}); len(g.site.Deleted()) > 0 {
			t.Error("a chat was deleted")
		}
	})
}

// The chat was deleted in the browser.
func TestConversationDeletedOnSite(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	req, err := http.NewRequest(http.MethodDelete, g.site.URL()+"/api/v2/chats/"+a.chat, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	g.await("the chat is gone", func() bool { return len(g.site.Deleted()) == 1 })
	b := g.ask([]said{user("one"), a.said, user("two")})
	b.mustBe(t, "replayed")
	g.ask([]said{user("one"), a.said, user("two"), b.said, user("three")}).mustBe(t, "continued")
}

func TestConversationOverReloadAndRestart(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	talk := []said{user("one")}
	chat := ""
	for i, step := range []func(){
		func() {},
		func() { g.load(setup{qwen: "heartbeat 3s"}) },
		func() { g.stop(); g.load(setup{}) },
		func() {},
	} {
		step()
		a := g.ask(talk)
		if i > 0 {
			a.mustBe(t, "continued")
		}
		if chat != "" && a.chat != chat {
			t.Fatal("it went on in another chat")
		}
		chat = a.chat
		talk = append(talk, a.said, user(fmt.Sprint("next ", i)))
	}
}

// An answer that was cut off here is another one than the site's.
func TestConversationAfterCut(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_answer 100"})
	g.site.Reply(emulator.Text(strings.Repeat("word ", 30)))
	a := g.ask([]said{user("one")})
	if len(a.Content) != 100 {
		t.Fatalf("the answer has %d bytes", len(a.Content))
	}
	g.slotsFree()
	g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "replayed")
}

// X08: conversations of one account are not looked for in another.
func TestConversationOfAccounts(t *testing.T) {
	g := mustGateway(t, setup{})
	account := func(token string) setup {
		return setup{bare: true, qwen: "account {\ntoken " + token + "\n}\napi_key " + testKey}
	}
	g.load(account("first"))
	a := g.ask([]said{user("one")})
	talk := []said{user("one"), a.said, user("two")}
	g.load(account("second"))
	g.ask(talk).mustBe(t, "replayed")
	g.load(account("first"))
	g.ask(talk).mustBe(t, "continued")

	// A renewed token is still that of the same account.
	token := func(end string) string {
		payload := base64.RawURLEncoding.EncodeToString([]byte(`{"id":"user-1","exp":` + end + `}`))
		return "eyJhbGciOiJIUzI1NiJ9." + payload + ".c2ln"
	}
	g.load(account(token("4102444800")))
	b := g.ask([]said{user("one")})
	g.load(account(token("4102444801")))
	g.ask([]said{user("one"), b.said, user("two")}).mustBe(t, "continued")
}
