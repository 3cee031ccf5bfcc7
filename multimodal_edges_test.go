package caddyqwen

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// What follows the user's message without being another one does not make its
// attachments old.
func TestMultimodalTurnGoesOn(t *testing.T) {
	images, parts := namedImages(0, 8)
	call := map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{
		map[string]any{"id": "c1", "type": "function", "function": map[string]any{"name": "f", "arguments": "{}"}}}}
	for name, after := range map[string][]any{
		"MM-07 an answer to be completed": {assistant("The differences are:")},
		"MM-07 the result of a tool":      {call, map[string]any{"role": "tool", "tool_call_id": "c1", "content": "42"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.discuss(append([]any{say("Compare all eight", parts...)}, after...))
			g.mustShow(g.last().Files, images...)
		})
	}
}

func TestAttachmentIdentity(t *testing.T) {
	id := func(u string) string { return (&attachment{Attachment: &openai.Attachment{URL: u}}).identity() }
	for name, pair := range map[string][2]string{
		"odd fields":       {"https://h.test/render?a;1", "https://h.test/render?a;2"},
		"a stray percent":  {"https://h.test/render?x=100%", "https://h.test/render?y=50%"},
		"parts of a image": {"https://b.oss.test/p.jpg?x-oss-process=crop,x_0", "https://b.oss.test/p.jpg?x-oss-process=crop,x_900"},
	} {
		if id(pair[0]) == id(pair[1]) {
			t.Errorf("%s: different files are one: %s", name, id(pair[0]))
		}
	}
	for name, pair := range map[string][2]string{
		"OSS":        {"https://h.test/p?x-oss-date=1&x-oss-signature=a&x-oss-expires=300", "https://h.test/p?x-oss-date=2&x-oss-signature=b&x-oss-expires=300"},
		"S3":         {"https://h.test/p?X-Amz-Date=1&X-Amz-Signature=a&versionId=3", "https://h.test/p?X-Amz-Date=2&X-Amz-Signature=b&versionId=3"},
		"COS":        {"https://h.test/p?q-ak=A&q-sign-time=1;2&q-signature=aa", "https://h.test/p?q-ak=A&q-sign-time=3;4&q-signature=bb"},
		"Azure":      {"https://h.test/p?sv=1&se=1&sig=a", "https://h.test/p?sv=1&se=2&sig=b"},
		"a fragment": {"https://h.test/p.png", "https://h.test/p.png#top"},
	} {
		if id(pair[0]) != id(pair[1]) {
			t.Errorf("%s: one file is two: %s and %s", name, id(pair[0]), id(pair[1]))
		}
	}
}

// A part of an image that was uploaded is not the image.
func TestMultimodalURLWithQuery(t *testing.T) {
	whole, part := testPNG(1, 500), testPNG(2, 400)
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			w.Write(part)
			return
		}
		w.Write(whole)
	})
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	first := say("What is it?", imageAt(m.URL+"/p.png?x-oss-process=image/crop,x_0"))
	r := g.discuss([]any{first})
	edited := say("What is it?", imageAt(m.URL+"/p.png"))
	g.discuss([]any{edited, r.said, user("Sure?")}).mustBe(t, "replayed")
	g.mustShow(g.last().Files, whole)
}

// A file elsewhere gets a name that says what it is.
func TestMultimodalFetchedName(t *testing.T) {
	image := testFile("\xff\xd8\xff\xe0\x00\x10JFIF\x00", 2, 800)
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write(append(slices.Clone(image), r.URL.Path...))
	})
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	for _, p := range []string{"/avatar.php", "/show.html", "/doc.pdf"} {
		g.discuss([]any{say("What is "+p, imageAt(m.URL+p))})
		if f := g.last().Files[0]; f.FileType != "image/jpeg" || path.Ext(f.Name) != ".jpg" && path.Ext(f.Name) != ".jpeg" {
			t.Errorf("%s becomes %s (%s)", p, f.Name, f.FileType)
		}
	}
}

func TestLongPromptBesideAnotherOfItsName(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
	g.parsesAtOnce()
	g.discuss([]any{say(strings.Repeat("long ", 2000), filePart("prompt.txt", "text/plain", []byte("something else")))})
	c := g.last()
	if len(c.Files) != 2 || c.Files[1].Name != "prompt-2.txt" || !strings.Contains(c.Content, "prompt-2.txt") {
		t.Errorf("the model sees %v and %q", c.Files, tail(c.Content))
	}
}

// One question that is not answered does not end the wait for a document.
func TestDocumentStatusHiccup(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.site.Parse(emulator.Parsing{Pending: 1})
	g.site.Fail(emulator.EndpointFileStatus, emulator.Status(503))
	if f := g.upload("a.txt", "text/plain", []byte("some text")); f.ID == "" {
		t.Error("it was not uploaded")
	}
}
