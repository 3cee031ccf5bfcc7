package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

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
		t.Error("HI-02 it went on in another chat")
	}

	talk = append(talk, second.said, user("three"))
	third := g.ask(talk)
	third.mustBe(t, "continued")
	g.mustSee("three", "one", first.Content, "two", second.Content)
	if n := g.requested(emulator.EndpointNewChat); n != 1 {
		t.Errorf("HI-02 %d chats were opened", n)
	}
}

// HI-02 and HI-03 with the official SDK, which sends its own message objects back.
func TestConversationOfSDK(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("HI-02 streamed %t", streamed), func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.numbered()
			client := g.client()
			params := openai.ChatCompletionNewParams{Model: "qwen3.7-plus",
				Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage("one")}}
			var said []string
			for i, next := range []string{"two", "three", ""} {
				var message openai.ChatCompletionMessage
				if streamed {
					message = mustStream(t, client, params)
				} else {
					answer, err := client.Chat.Completions.New(t.Context(), params)
					if err != nil {
						t.Fatal(err)
					}
					message = answer.Choices[0].Message
				}
				if i > 0 {
					g.mustSee([]string{"one", "two", "three"}[i], said...)
				}
				_, prompt := g.seen()
				said = append(said, prompt, message.Content)
				params.Messages = append(params.Messages, message.ToParam(), openai.UserMessage(next))
			}
		})
	}
}

func mustStream(t *testing.T, client openai.Client, params openai.ChatCompletionNewParams) openai.ChatCompletionMessage {
	t.Helper()
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatal("a chunk does not fit to the others")
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return all.Choices[0].Message
}

func TestConversationBegins(t *testing.T) {
	g := mustGateway(t, setup{})
	chats := map[string]bool{}
	for _, talk := range [][]said{
		{user("hello")}, {user("hello")},
		{system("Be brief."), user("hello")}, {system("Be brief."), user("hello")},
	} {
		a := g.ask(talk)
		a.mustBe(t, "new")
		if chats[a.chat] {
			t.Error("HI-01, HI-04 two conversations are in one chat")
		}
		chats[a.chat] = true
		if context, _ := g.seen(); len(context) > 0 {
			t.Errorf("HI-01 the model knows %d turns", len(context))
		}
	}
}

// Two conversations end with the same reply, even with the same pair of messages.
func TestConversationsWithEqualReplies(t *testing.T) {
	for name, reply := range map[string]string{"short": "OK", "long": "Of course, I would love to help you with that."} {
		t.Run("HI-05 "+name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			for range 4 {
				g.site.Reply(emulator.Text(reply))
			}
			apples, pears := []said{user("apples")}, []said{user("pears")}
			for _, talk := range []*[]said{&apples, &pears} {
				*talk = append(*talk, g.ask(*talk).said, user("and now?"))
			}
			for _, talk := range []*[]said{&apples, &pears} {
				g.ask(*talk).mustBe(t, "continued")
				g.mustSee("and now?", (*talk)[0].Content, reply)
				*talk = append(*talk, assistant(reply), user("more"))
			}
			for _, talk := range []*[]said{&pears, &apples} {
				g.ask(*talk).mustBe(t, "continued")
				g.mustSee("more", (*talk)[0].Content, reply, "and now?", reply)
			}
		})
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
		t.Error("HI-07 it went on in another chat")
	}

	edited := []said{user("one"), a.said, user("two"), assistant("Something else entirely."), user("three")}
	c := g.ask(edited)
	c.mustBe(t, "branched")
	context, prompt := g.seen()
	if len(context) != 1 || !strings.Contains(prompt, "Something else entirely.") || strings.Contains(prompt, b.Content) {
		t.Errorf("HI-06 the model knows %d turns and got %q", len(context), prompt)
	}
	g.ask(append(edited, c.said, user("four"))).mustBe(t, "continued")
	if context, prompt := g.seen(); len(context) != 2 || prompt != "four" {
		t.Errorf("HI-06 later the model knows %d turns and got %q", len(context), prompt)
	}
	g.ask([]said{user("one"), a.said, user("two"), b.said, user("five")}).mustBe(t, "continued")
	g.mustSee("five", "one", a.Content, "two", b.Content)
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
	g.ask(append(talk, a.said, user("three"))).mustBe(t, "continued")
	if context, prompt := g.seen(); len(context) != 1 || prompt != "three" {
		t.Errorf("HI-08 later the model knows %d turns and got %q", len(context), prompt)
	}
}

func TestConversationSystemText(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		want, not           string // in the prompt of the second turn
	}{
		{"HI-09 the same is not repeated", "Be brief.", "Be brief.", "", "Be brief."},
		{"HI-09 the same but for its ends", "Be brief.", "\r\nBe brief. \n", "", "brief"},
		{"HI-09 changed", "It is Monday.", "It is Tuesday.", "It is Tuesday.", "Monday"},
		{"HI-09 added", "", "It is Tuesday.", "It is Tuesday.", "Monday"},
		{"HI-09 removed", "It is Monday.", "", "does not apply", "Monday"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.numbered()
			with := func(text string, talk ...said) []said {
				if text == "" {
					return talk
				}
				return append([]said{system(text)}, talk...)
			}
			a := g.ask(with(tt.before, user("question one")))
			b := g.ask(with(tt.after, user("question one"), a.said, user("two")))
			b.mustBe(t, "continued")
			context, prompt := g.seen()
			if len(context) != 1 || !strings.Contains(prompt, tt.want) || strings.Contains(prompt, tt.not) || !strings.Contains(prompt, "two") {
				t.Errorf("the model knows %d turns and got %q", len(context), prompt)
			}
			g.ask(with(tt.after, user("question one"), a.said, user("two"), b.said, user("three"))).mustBe(t, "continued")
			if context, prompt := g.seen(); len(context) != 2 || prompt != "three" {
				t.Errorf("later the model knows %d turns and got %q", len(context), prompt)
			}
		})
	}
}

// How clients send replies back.
func TestConversationMangled(t *testing.T) {
	const reasoning, text = "The user greets me.\n\nI greet back.", "Hello there, how are you?\n\nTell me  more."
	const withTool = text + "\n<tool_use><name>clock</name><arguments>{}</arguments></tool_use>"
	for _, tt := range []struct{ name, reply, message string }{
		{"as it was", text, `"content":%s`},
		{"Open WebUI strips it", "  " + text + "\n", `"content":` + quote(text)},
		{"Open WebUI puts think tags in front", text, `"content":` + quote("<think>"+reasoning+"</think>\n"+text)},
		{"Open WebUI keeps details", text, `"content":` + quote("<details type=\"reasoning\" done=\"true\" duration=\"3\">\n<summary>Thought</summary>\n> The user\n</details>\n"+text)},
		{"Dify puts think tags in front", text, `"content":` + quote("<think>\n"+reasoning+"\n</think>"+text)},
		{"NextChat quotes the reasoning", text, `"content":` + quote("> The user greets me.\n\n> I greet back.\n\n"+text)},
		{"AI SDK adds reasoning_content", text, `"content":%s,"reasoning_content":` + quote(reasoning)},
		{"LangChain sends parts", text, `"content":[{"type":"text","text":%s}]`},
		{"Anthropic sends thinking parts", text, `"content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":%s}]`},
		{"openai-node adds keys", text, `"content":%s,"refusal":null,"annotations":[],"audio":null,"function_call":null`},
		{"Cherry Studio keeps tool blocks", withTool, `"content":%s`},
		{"Cherry Studio removes tool blocks", withTool, `"content":` + quote(text)},
	} {
		t.Run("HI-10 "+tt.name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.reasoned(reasoning, tt.reply)
			g.chat("one", `"enable_thinking":true`)
			message := strings.ReplaceAll(tt.message, "%s", quote(tt.reply))
			talk := `{"role":"user","content":"one"},{"role":"assistant",` + message + `},{"role":"user","content":"two"}`
			r := g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[`+talk+`]}`)
			if kind := r.header.Get("X-Qwen-Session"); r.status != http.StatusOK || kind != "continued" {
				t.Fatalf("status %d, %q: %s", r.status, kind, r.body)
			}
			g.mustSee("two", "one", tt.reply)

			var answer struct {
				Choices []struct{ Message said }
			}
			if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
				t.Fatal(err)
			}
			talk += `,{"role":"assistant","content":` + quote(answer.Choices[0].Message.Content) + `},{"role":"user","content":"three"}`
			r = g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[`+talk+`]}`)
			if kind := r.header.Get("X-Qwen-Session"); r.status != http.StatusOK || kind != "continued" {
				t.Fatalf("later status %d, %q: %s", r.status, kind, r.body)
			}
			g.mustSee("three", "one", tt.reply, "two", answer.Choices[0].Message.Content)
		})
	}
}

func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// A client that sends only the last messages goes on in the same chat.
func TestConversationTrimmed(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	var talk []said
	var chat string
	for i := range 8 {
		talk = append(talk, user(fmt.Sprintf("question %d", i)))
		window := talk[max(0, len(talk)-5):]
		a := g.ask(append([]said{system("Be brief.")}, window...))
		if i == 0 {
			chat = a.chat
		} else {
			a.mustBe(t, "continued")
		}
		if a.chat != chat {
			t.Fatalf("HI-10 turn %d is in another chat", i)
		}
		if context, prompt := g.seen(); len(context) != i || i > 0 && prompt != window[len(window)-1].Content {
			t.Fatalf("HI-10 turn %d: the model knows %d turns and got %q", i, len(context), prompt)
		}
		talk = append(talk, a.said)
	}
	edited := append([]said{system("Be brief."), user("no question at all")}, talk[len(talk)-3:]...)
	g.ask(append(edited, user("and now?"))).mustBe(t, "replayed")
}

func TestConversationForcedNew(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")}, "X-Qwen-Session", "New")
	a.mustBe(t, "new")
	b := g.ask([]said{user("one"), a.said, user("two")}, "X-Qwen-Session", "new")
	b.mustBe(t, "replayed")
	if b.chat == a.chat {
		t.Error("it is the same chat")
	}
	r := g.do(http.MethodPost, chatPath, chatBody("hello", ""), "X-Qwen-Session", "again")
	if r.status != http.StatusBadRequest || r.code() != "invalid_value" || !strings.Contains(r.body, "X-Qwen-Session") {
		t.Errorf("a wrong value: status %d, %s", r.status, r.body)
	}
}

// Another model does not go on in a chat, another name of the same model does.
func TestConversationOfModels(t *testing.T) {
	g := mustGateway(t, setup{qwen: "model_alias mine qwen3.7-plus"})
	g.numbered()
	a := g.ask([]said{user("one")})
	talk := []said{user("one"), a.said, user("two")}
	g.askFor("mine", talk).mustBe(t, "continued")
	g.askFor("qwen3.8-max", talk).mustBe(t, "replayed")
	if context, _ := g.seen(); len(context) != 0 {
		t.Errorf("X06 the model knows %d turns", len(context))
	}
}

// A prompt that is too long as a whole goes on where only its end is sent.
func TestConversationLongerThanAPrompt(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_prompt 1000\nlong_prompts refuse"})
	g.site.Reply(emulator.Text(strings.Repeat("A long reply. ", 100)))
	a := g.ask([]said{user("one")})
	talk := []said{user("one"), a.said, user("two")}
	g.ask(talk).mustBe(t, "continued")
	body, _ := json.Marshal(map[string]any{"model": "qwen3.7-plus", "messages": talk})
	r := g.do(http.MethodPost, chatPath, string(body), "X-Qwen-Session", "new")
	if r.code() != "context_length_exceeded" {
		t.Errorf("in a new chat: status %d, %s", r.status, r.body)
	}
}

// Some clients have a conversation named in the conversation itself.
func TestConversationTasks(t *testing.T) {
	g := mustGateway(t, setup{})
	g.numbered()
	a := g.ask([]said{user("one")})
	task := []said{user("one"), a.said, user("Please generate a four to five word title summarizing our conversation without any lead-in.")}
	b := g.ask(task)
	b.mustBe(t, "replayed")
	if b.chat == a.chat {
		t.Error("the title is made in the chat of the user")
	}
	g.ask([]said{user("one"), a.said, user("two")}).mustBe(t, "continued")
	g.mustSee("two", "one", a.Content)
	g.ask(append(task, b.said, user("two"))).mustBe(t, "branched") // nothing is recorded of the task
}
