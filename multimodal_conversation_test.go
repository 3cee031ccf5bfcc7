package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Clients send the images of all turns again with each turn.
func TestMultimodalContinues(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("MM-07, HI-02 an image is attached once, streamed %t", streamed), func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.numbered()
			client, image := g.client(), testPNG(1, 3000)
			params := openai.ChatCompletionNewParams{Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.TextContentPart("one"),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: dataURL("image/png", image)}),
				}),
			}}
			var before []string
			for i, prompt := range []string{"one", "two", "three"} {
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
				g.mustSee(prompt, before...)
				if c := g.last(); i == 0 {
					g.mustShow(c.Files, image)
				} else {
					g.mustShow(c.Files)
					g.mustShow(c.Context[0].Files, image)
				}
				before = append(before, prompt, message.Content)
				params.Messages = append(params.Messages, message.ToParam(), openai.UserMessage([]string{"two", "three", ""}[i]))
			}
			g.mustStore(1)
			if n := g.requested(emulator.EndpointNewChat); n != 1 {
				t.Errorf("%d chats were opened", n)
			}
		})
	}
}

// A later turn brings images of its own.
func TestMultimodalFurtherImages(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	first, second, third := testPNG(1, 600), testPNG(2, 600), testPNG(3, 600)
	talk := []any{say("one", imagePart(first))}
	a := g.discuss(talk)
	talk = append(talk, a.said, say("two", imagePart(second), imagePart(third)))
	b := g.discuss(talk)
	b.mustBe(t, "continued")
	g.mustSee("two", "one", a.Content)
	g.mustShow(g.last().Files, second, third)
	g.discuss(append(talk, b.said, say("three", imagePart(first)))).mustBe(t, "continued")
	g.mustShow(g.last().Files, first)
	g.mustShow(g.last().Context[0].Files, first)
	g.mustShow(g.last().Context[1].Files, second, third)
	g.mustStore(3)
}

// Where the history has changed, the model sees the files along the path that is
// left, each of them once.
func TestMultimodalEdited(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	first, second, other := testPNG(1, 600), testPNG(2, 600), testPNG(3, 600)
	one := say("one", imagePart(first))
	a := g.discuss([]any{one})
	two := []any{one, a.said, say("two", imagePart(second))}
	b := g.discuss(two)
	g.discuss(append(two, b.said, user("three"))).mustBe(t, "continued")

	t.Run("MM-07, HI-07 the same question again", func(t *testing.T) {
		g.discuss(two).mustBe(t, "branched")
		g.mustSee("two", "one", a.Content)
		g.mustShow(g.last().Files, second)
		g.mustShow(g.last().Context[0].Files, first)
	})
	t.Run("MM-07 another image with the same words", func(t *testing.T) {
		g.discuss([]any{one, a.said, say("two", imagePart(other))}).mustBe(t, "branched")
		g.mustSee("two", "one", a.Content)
		g.mustShow(g.last().Files, other)
		c := g.last()
		path := g.site.Context(c.ChatID, c.ResponseID)
		if len(path) != 2 {
			t.Fatalf("the path has %d turns", len(path))
		}
		g.mustShow(path[0].Files, first)
		g.mustShow(path[1].Files, other)
	})
	t.Run("MM-07, HI-06 an edited reply", func(t *testing.T) {
		g.discuss(append(two, assistant("Something else entirely."), user("three"))).mustBe(t, "branched")
		c := g.last()
		if !strings.Contains(c.Content, "two\n[attached file: image-2.png]\n</user>") || !strings.Contains(c.Content, "Something else entirely.") {
			t.Errorf("the prompt is %q", c.Content)
		}
		g.mustShow(c.Files, second)
		g.mustShow(c.Context[0].Files, first)
	})
	t.Run("MM-07 the image of the first turn is another", func(t *testing.T) {
		g.discuss([]any{say("one", imagePart(other)), a.said, user("two")}).mustBe(t, "replayed")
		g.mustShow(g.last().Files, other)
		if len(g.last().Context) > 0 {
			t.Error("the model knows earlier turns")
		}
	})
	t.Run("MM-07 the image was removed", func(t *testing.T) {
		g.discuss([]any{user("one"), a.said, user("two")}).mustBe(t, "replayed")
		g.mustShow(g.last().Files)
	})
	g.mustStore(3)
}

// The same words and replies about different images are different conversations.
func TestMultimodalApart(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for range 4 {
		g.site.Reply(emulator.Text("A flower."))
	}
	images := [][]byte{testPNG(1, 600), testPNG(2, 600)}
	chats := map[string]bool{}
	for _, image := range images {
		a := g.discuss([]any{say("What is it?", imagePart(image))})
		a.mustBe(t, "new")
		chats[a.chat] = true
	}
	for _, image := range images {
		a := g.discuss([]any{say("What is it?", imagePart(image)), assistant("A flower."), user("Sure?")})
		a.mustBe(t, "continued")
		g.mustShow(g.last().Context[0].Files, image)
		chats[a.chat] = true
	}
	if len(chats) != 2 {
		t.Errorf("HI-05 %d chats", len(chats))
	}
	g.discuss([]any{say("What is it?", imagePart(testPNG(3, 600))), assistant("A flower."), user("Sure?")}).mustBe(t, "replayed")
}

// A history that the site does not know goes along with its images.
func TestMultimodalReplayed(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	image := testPNG(1, 600)
	talk := []any{say("one", imagePart(image))}
	a := g.discuss(talk)
	key := g.last().Files[0].Key
	talk = append(talk, a.said, user("two"))
	b := g.discuss(talk, "X-Qwen-Session", "new")
	b.mustBe(t, "replayed")
	c := g.last()
	g.mustShow(c.Files, image)
	if len(c.Context) > 0 || c.Files[0].Key != key || b.chat == a.chat {
		t.Errorf("the model knows %d turns and sees %v", len(c.Context), c.Files)
	}
	if !strings.Contains(c.Content, "<user>\none\n[attached file: image-1.png]\n</user>") || !strings.Contains(c.Content, "<current_user_message>\ntwo\n</current_user_message>") {
		t.Errorf("the prompt does not tell to what the image belongs: %q", c.Content)
	}
	g.discuss(append(talk, b.said, user("three"))).mustBe(t, "continued")
	g.mustShow(g.last().Files)
	g.mustShow(g.last().Context[0].Files, image)
	g.mustStore(1)
	if n := g.requested(emulator.EndpointFileGrant); n != 1 {
		t.Errorf("%d grants for the same bytes", n)
	}
}

// The site refuses the chat that was found: the turn begins again in a new one,
// with all images, none of which is uploaded twice.
func TestMultimodalStartsOver(t *testing.T) {
	for name, refusal := range map[string]emulator.Reply{
		"CA-05 busy":           emulator.Busy(),
		"the chat is lost":     emulator.ChatNotFound(),
		"busy, in the stream":  emulator.Stream(emulator.Created(), emulator.ErrorFrame("Bad_Request", "The chat is in progress!")),
		"the parent is lost":   emulator.BrokenParent(),
		"lost, after a notice": emulator.Stream(emulator.Created(), emulator.KeepAlive(), emulator.ErrorFrame("Not_Found", "The chat x is not exist")),
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{})
				g.numbered()
				first, second := testPNG(1, 600), testPNG(2, 600)
				one := say("one", imagePart(first))
				a := g.discuss([]any{one})
				g.site.Reply(refusal)
				talk := []any{one, a.said, say("two", imagePart(second))}
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, fields))
				if r.status != http.StatusOK || r.header.Get("X-Qwen-Session") != "replayed" || r.header.Get("X-Qwen-Chat-Id") == a.chat {
					t.Fatalf("status %d, session %q: %s", r.status, r.header.Get("X-Qwen-Session"), tail(r.body))
				}
				c := g.last()
				g.mustShow(c.Files, first, second)
				if len(c.Context) > 0 || !strings.Contains(c.Content, a.Content) || !strings.Contains(c.Content, "two\n[attached file: image-2.png]\n</current_user_message>") {
					t.Errorf("the model knows %d turns and got %q", len(c.Context), c.Content)
				}
				g.mustStore(2)
			})
		}
	}
}
