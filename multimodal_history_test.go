package caddyqwen

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// namedImages returns images as files with the names 0.png, 1.png, …
func namedImages(first, n int) (images [][]byte, parts []part) {
	for i := first; i < first+n; i++ {
		image := testPNG(uint64(i), 500)
		images = append(images, image)
		parts = append(parts, filePart(fmt.Sprintf("%d.png", i), "image/png", image))
	}
	return images, parts
}

// Of a long history, the newest images go along; the model is told of the others.
func TestMultimodalHistory(t *testing.T) {
	for name, test := range map[string]struct {
		turns  []int // images in each message of the user
		sent   []int // by their numbers
		absent []int
	}{
		"MM-07 five go along":                     {[]int{2, 3, 0}, []int{0, 1, 2, 3, 4}, nil},
		"MM-07 the oldest of six does not":        {[]int{2, 4, 0}, []int{1, 2, 3, 4, 5}, []int{0}},
		"MM-07 those of the newest message count": {[]int{2, 4, 3}, []int{4, 5, 6, 7, 8}, []int{0, 1, 2, 3}},
		"MM-02, MM-07 the newest message has ten": {[]int{3, 10}, []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []int{0, 1, 2}},
		"MM-07 twelve in a message of before":     {[]int{12, 0}, []int{7, 8, 9, 10, 11}, []int{0, 1, 2, 3, 4, 5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			var images [][]byte
			var talk []any
			for i, n := range test.turns {
				more, parts := namedImages(len(images), n)
				images = append(images, more...)
				if i > 0 {
					talk = append(talk, assistant(fmt.Sprintf("A reply from elsewhere, %d.", i)))
				}
				talk = append(talk, say(fmt.Sprintf("question %d", i), parts...))
			}
			g.discuss(talk).mustBe(t, "replayed")
			c := g.last()
			var want [][]byte
			for _, i := range test.sent {
				want = append(want, images[i])
			}
			g.mustShow(c.Files, want...)
			for i := range images {
				note := fmt.Sprintf("[attached file: %d.png]", i)
				if slices.Contains(test.absent, i) {
					note = fmt.Sprintf("[file not attached again: %d.png]", i)
				}
				if strings.Count(c.Content, note) != 1 || strings.Count(c.Content, fmt.Sprintf(" %d.png", i)) != 1 {
					t.Errorf("%s is not in the prompt: %s", note, c.Content)
				}
			}
			g.mustStore(len(test.sent))
		})
	}
}

func TestMultimodalTooMany(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	_, parts := namedImages(0, 11)
	t.Run("MM-02, S21 eleven in a message", func(t *testing.T) {
		mustRefuse(t, g.show([]any{say("What is it?", parts...)}), 400, "invalid_value", "messages[0].content[1]")
	})
	t.Run("MM-02 257 in a request", func(t *testing.T) {
		var talk []any
		for range 26 {
			talk = append(talk, say("What is it?", parts[:10]...), assistant("A flower."))
		}
		mustRefuse(t, g.show(append(talk, user("Sure?"))), 400, "invalid_value", "messages[50].content[7]")
	})
	g.sentNothing()
}

// The same bytes are uploaded once, wherever they stand.
func TestMultimodalSameBytes(t *testing.T) {
	image, pdf := testPNG(1, 700), testFile(pdfHead, 2, 800)
	t.Run("MM-02 the same image twice in a message", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		g.discuss([]any{say("What is it?", imagePart(image), imagePart(image))})
		g.mustShow(g.last().Files, image, image)
		g.mustStore(1)
	})
	t.Run("MM-02 the same document under two names", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		g.parsesAtOnce()
		g.discuss([]any{say("What is it?", filePart("a.pdf", "application/pdf", pdf), filePart("b.pdf", "application/pdf", pdf))})
		c := g.last()
		g.mustShow(c.Files, pdf, pdf)
		if len(c.Files) == 2 && (c.Files[0].Name != "a.pdf" || c.Files[1].Name != "b.pdf") {
			t.Errorf("the model sees %v", c.Files)
		}
	})
	t.Run("FI-02 the same document under another name, later", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		g.parsesAtOnce()
		for _, name := range []string{"a.pdf", "b.pdf", "a.pdf"} {
			g.discuss([]any{say("What is it?", filePart(name, "application/pdf", pdf))})
			if got := g.last().Files[0].Name; got != name {
				t.Errorf("the model sees %s, not %s", got, name)
			}
			if f := g.upload(name, "application/pdf", pdf); f.Filename != name {
				t.Errorf("the upload of %s is %s", name, f.Filename)
			}
		}
		g.mustStore(5) // one for each of three uploads, and of two names in the chats
	})
	t.Run("MM-07 an image that was uploaded to be kept", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		f := g.upload("flower.png", "image/png", image)
		g.discuss([]any{say("What is it?", imagePart(image))})
		g.mustShow(g.last().Files, image)
		if got := g.last().Files[0].ID; got != f.ID {
			t.Errorf("the model sees the file %s, not %s", got, f.ID)
		}
		g.mustStore(1)
	})
	t.Run("U25 another caller's image is uploaded for itself", func(t *testing.T) {
		g := mustFilesGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef"})
		g.discuss([]any{say("What is it?", imagePart(image))})
		g.discuss([]any{say("What is it?", imagePart(image))}, "Authorization", "Bearer sk-ann-0123456789abcdef")
		g.mustShow(g.last().Files, image)
		g.mustStore(2)
	})
	t.Run("without a record", func(t *testing.T) {
		g := mustFilesGateway(t, setup{qwen: "sessions off"})
		talk := []any{say("one", imagePart(image))}
		a := g.discuss(talk)
		g.discuss(append(talk, a.said, user("two"))).mustBe(t, "replayed")
		g.mustShow(g.last().Files, image)
		g.mustStore(1)
	})
}

// A file that is not known any more does not matter as long as the chat knows it.
func TestMultimodalForgottenFile(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	image := testPNG(1, 700)
	f := g.upload("flower.png", "image/png", image)
	talk := []any{say("one", fileOfID(f.ID))}
	a := g.discuss(talk)
	g.mustShow(g.last().Files, image)
	if r := g.do("DELETE", "/v1/files/"+f.ID, ""); r.status != 200 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	talk = append(talk, a.said, user("two"))
	b := g.discuss(talk)
	b.mustBe(t, "continued")
	g.mustShow(g.last().Context[0].Files, image)
	t.Run("FI-05 it does where the history is told again", func(t *testing.T) {
		mustRefuse(t, g.show(append(talk, b.said, user("three")), "X-Qwen-Session", "new"), 404, "file_not_found", "messages[0].content[1]")
	})
	t.Run("FI-05 and where the chat is lost", func(t *testing.T) {
		g.site.Reply(emulator.ChatNotFound())
		mustRefuse(t, g.show(append(talk, b.said, user("three"))), 404, "file_not_found", "messages[0].content[1]")
	})
}
