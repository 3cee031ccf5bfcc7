package caddyqwen

import (
	"bufio"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// progressOf returns what the comments of a stream tell of an upload, in percent,
// and the stream without these comments.
func progressOf(t testing.TB, stream string) (percents []int, rest string) {
	t.Helper()
	for _, block := range strings.Split(stream, "\n\n") {
		text, ok := strings.CutPrefix(block, ": uploading ")
		if !ok {
			rest += block + "\n\n"
			continue
		}
		percent, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
		if err != nil || percent%10 != 0 || percent <= 0 || percent > 100 || !strings.HasSuffix(text, "%") {
			t.Errorf("the comment is %q", block)
		}
		percents = append(percents, percent)
	}
	return percents, strings.TrimSuffix(rest, "\n\n")
}

// Clients see that something goes on while a large file goes up, before all of it
// is there, and whatever they wait for.
func TestProgressWhileUploading(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "first_byte_hold 1h\nheartbeat 1h"})
	gate := make(chan struct{})
	video := testMP4(1, 16<<20)
	g.site.Storage().Fail(emulator.OpComplete, 1, emulator.Fault{Gate: gate})
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(g.formRequest(t.Context(), videoChatPath, videoField(video), promptField("What is it?")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("status %d, %s", resp.StatusCode, kind)
	}
	body := bufio.NewReader(resp.Body)
	for line := ""; !strings.HasPrefix(line, ": uploading "); {
		if line, err = body.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(g.site.Storage().Objects()); n > 0 {
		t.Error("the file is there already")
	}
	close(gate)
	var answer openai.ChatCompletionAccumulator
	rest := *resp
	rest.Body = struct {
		*bufio.Reader
		closer
	}{body, resp.Body.Close}
	stream := ssestream.NewStream[openai.ChatCompletionChunk](ssestream.NewDecoder(&rest), nil)
	for stream.Next() {
		answer.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || !strings.Contains(answer.Choices[0].Message.Content, "I see film.mp4") {
		t.Errorf("the rest of the stream: %v, %+v", err, answer.Choices)
	}
	g.mustShow(g.last().Files, video)
}

// closer closes by a function.
type closer func() error

func (c closer) Close() error { return c() }

// The official SDK takes streams with progress in them, of any route.
func TestProgressOfSDK(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		told bool
	}{
		"above 8 MiB it is told":      {8<<20 + 1, true},
		"up to 8 MiB nothing is told": {8 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			image := testPNG(1, test.size)
			r := g.form(imageChatPath, imageField(image), promptField("What is it?"), field{name: "stream", value: "true"})
			got, rest := progressOf(t, r.body)
			if _, complete := streamed(t, rest); (len(got) > 0) != test.told || !complete {
				t.Errorf("status %d, the stream tells %d", r.status, got)
			}
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("the upload goes back: %d", got)
			}
			if got := strings.Contains(g.logged(), `"uploading"`); got != test.told {
				t.Errorf("the log tells of it: %t", got)
			}
			message := mustStream(t, g.client(), openai.ChatCompletionNewParams{Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: dataURL("image/png", testPNG(2, test.size))}),
				}),
			}})
			if !strings.Contains(message.Content, "I see image-1.png") {
				t.Errorf("the answer is %q", message.Content)
			}
			whole := g.form(imageChatPath, imageField(testPNG(3, test.size)), promptField("What is it?"))
			if g.mustReply(whole); strings.Contains(whole.body, ": uploading") {
				t.Error("an answer that is no stream has comments in it")
			}
		})
	}
}

// What fails after the stream has begun is told in it.
func TestProgressThenFailure(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for name, fail := range map[string]func(){
		"the prompt is refused": func() { g.site.Reply(emulator.Moderation()) },
		"the storage is no more": func() {
			g.site.Storage().Fail(emulator.OpComplete, 1, emulator.Fault{Status: 403, Code: "AccessDenied"})
			g.failAll(emulator.OpPost, emulator.OpPut)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.site.Completions())
			fail()
			defer g.site.Storage().Heal()
			r := g.form(videoChatPath, videoField(testMP4(uint64(len(name)), 9<<20)), promptField("What is it?"))
			if percents, _ := progressOf(t, r.body); r.status != http.StatusOK || len(percents) == 0 {
				t.Fatalf("status %d: %s", r.status, tail(r.body))
			}
			if !strings.Contains(r.body, `data: {"error":{"message":`) || strings.Contains(r.body, `"finish_reason":"stop"`) {
				t.Errorf("the stream does not tell of the failure: %s", tail(r.body))
			}
			if n := len(g.site.Completions()) - before; n > 1 || name == "the storage is no more" && n > 0 {
				t.Errorf("the site got %d prompts", n)
			}
		})
	}
}

// failAll makes all calls of operations fail for good.
func (g *gateway) failAll(ops ...string) {
	for _, op := range ops {
		g.site.Storage().Fail(op, 0, emulator.Fault{Status: 403, Code: "AccessDenied"})
	}
}

// A turn whose stream has begun with progress can still start over.
func TestProgressThenStartOver(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	a := g.discuss([]any{user("one")})
	g.site.Reply(emulator.Busy())
	image := testPNG(1, 9<<20)
	talk := []any{user("one"), a.said, say("two", imagePart(image))}
	r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, `"stream":true`))
	percents, rest := progressOf(t, r.body)
	text, complete := streamed(t, rest)
	if !complete || !strings.HasPrefix(text, "Reply 2") || len(percents) == 0 {
		t.Errorf("status %d, %q: %s", r.status, text, tail(r.body))
	}
	c := g.last()
	g.mustShow(c.Files, image)
	if len(c.Context) > 0 || !strings.Contains(c.Content, a.Content) {
		t.Errorf("the model knows %d turns and got %q", len(c.Context), c.Content)
	}
	g.mustStore(1)
}
