package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// askModel sends messages to a model.
func (g *gateway) askModel(model string, messages []any, fields string) reply {
	g.t.Helper()
	return g.do(http.MethodPost, chatPath, messagesBody(g.t, model, messages, fields))
}

// modelOf returns the model that an answer names, streamed or not.
func modelOf(t testing.TB, r reply) string {
	t.Helper()
	body, _, _ := strings.Cut(strings.TrimPrefix(r.body, "data: "), "\n")
	var answer struct{ Model string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || r.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", r.status, err, tail(r.body))
	}
	return answer.Model
}

// A model that cannot see does not get what it cannot see.
func TestMultimodalModelWithoutVision(t *testing.T) {
	image, video, wav, pdf := testPNG(1, 600), testMP4(2, 600), testFile(wavHead, 3, 600), testFile(pdfHead, 4, 600)
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(image) })
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	g.parsesAtOnce()
	f := g.upload("flower.png", "image/png", image)
	for name, part := range map[string]part{
		"an image":          imagePart(image),
		"a video":           {"type": "video_url", "video_url": dataURL("video/mp4", video)},
		"a file of a video": filePart("a.mp4", "video/mp4", video),
		"sound":             filePart("a.wav", "audio/wav", wav),
		"an image by id":    fileOfID(f.ID),
		"an image by URL":   imageAt(f.URL),
		"one elsewhere":     imageAt(m.URL + "/a.png"),
		"a file elsewhere":  {"type": "input_file", "file_url": m.URL + "/a.png"},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				r := g.askModel("qwen3.7-max", []any{say("What is it?", part)}, fields)
				mustRefuse(t, r, 400, "unsupported_content", imageParam)
				if !strings.Contains(r.body, "qwen3.7-max") || !strings.Contains(r.body, "vision_model") {
					t.Errorf("the error does not name the model or what to do: %s", r.body)
				}
			})
		}
	}
	if n := g.requested(emulator.EndpointNewChat); n > 0 {
		t.Errorf("%d chats were opened", n)
	}
	g.mustStore(1)

	t.Run("a document is text to every model", func(t *testing.T) {
		g.mustReply(g.askModel("qwen3.7-max", []any{say("What is it?", filePart("a.pdf", "application/pdf", pdf))}, ""))
		g.mustShow(g.last().Files, pdf)
	})
}

// The owner can name a model that sees in place of those that do not.
func TestMultimodalVisionModel(t *testing.T) {
	image := testPNG(1, 600)
	for mode, fields := range modes {
		t.Run("images go to it/"+mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "vision_model qwen3-vl-plus"})
			g.numbered()
			one := say("one", imagePart(image))
			r := g.askModel("qwen3.7-max", []any{one}, fields)
			if got := modelOf(t, r); got != "qwen3-vl-plus" || g.last().Model != got {
				t.Errorf("%q has answered, the site says %q", got, g.last().Model)
			}
			g.mustShow(g.last().Files, image)

			talk := []any{one, assistant(g.site.Context(g.last().ChatID, g.last().ResponseID)[0].Answer), user("two")}
			next := g.askModel("qwen3.7-max", talk, fields)
			if modelOf(t, next) != "qwen3-vl-plus" || next.header.Get("X-Qwen-Session") != "continued" || next.header.Get("X-Qwen-Chat-Id") != r.header.Get("X-Qwen-Chat-Id") {
				t.Errorf("the next turn is %q, answered by %q", next.header.Get("X-Qwen-Session"), modelOf(t, next))
			}
			g.mustShow(g.last().Files)

			if got := modelOf(t, g.askModel("qwen3.7-max", []any{user("no image")}, fields)); got != "qwen3.7-max" {
				t.Errorf("%q has answered without an image", got)
			}
			if got := modelOf(t, g.askModel("qwen3.7-plus", []any{one}, fields)); got != "qwen3.7-plus" {
				t.Errorf("%q has answered, though the model sees", got)
			}
		})
	}
	t.Run("an alias of a model without vision", func(t *testing.T) {
		g := mustFilesGateway(t, setup{qwen: "vision_model qwen3-vl\nmodel_alias blind qwen3-coder-plus"})
		if got := modelOf(t, g.askModel("blind", []any{say("one", imagePart(image))}, "")); got != "qwen3-vl-plus" {
			t.Errorf("%q has answered", got)
		}
	})
	for name, model := range map[string]string{"does not see": "qwen3-coder-plus", "does not exist": "qwen-nowhere"} {
		t.Run("it "+name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "vision_model " + model})
			mustRefuse(t, g.askModel("qwen3.7-max", []any{say("one", imagePart(image))}, ""), 400, "unsupported_content", imageParam)
			g.sentNothing()
		})
	}
	t.Run("it does not hear", func(t *testing.T) {
		deaf := emulator.NewModel("qwen3-vl-plus", "Deaf")
		deaf.Info.Meta.Capabilities["audio"] = false
		delete(deaf.Info.Meta.Abilities, "audio")
		models := append(emulator.DefaultModels()[:3], deaf)
		g := mustFilesGateway(t, setup{qwen: "vision_model qwen3-vl-plus", options: emulator.Options{Models: models}})
		sound := filePart("a.wav", "audio/wav", testFile(wavHead, 3, 600))
		mustRefuse(t, g.askModel("qwen3.7-max", []any{say("one", sound)}, ""), 400, "unsupported_content", imageParam)
		if got := modelOf(t, g.askModel("qwen3.7-max", []any{say("one", imagePart(image))}, "")); got != "qwen3-vl-plus" {
			t.Errorf("%q has answered", got)
		}
	})
}

const multimodalPath = "/v1/chat/multimodal"

// The original's route is another name of chat completions.
func TestMultimodalRoute(t *testing.T) {
	image := testPNG(1, 600)
	for mode, fields := range modes {
		t.Run("MM-11 "+mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.numbered()
			one := say("one", imagePart(image))
			post := func(path string, messages ...any) reply {
				return g.do(http.MethodPost, path, messagesBody(t, "qwen3.7-plus", messages, fields))
			}
			r := post(multimodalPath, one)
			modelOf(t, r)
			g.mustShow(g.last().Files, image)
			c := g.last()
			answer := g.site.Context(c.ChatID, c.ResponseID)[0].Answer
			if mode == "streamed" {
				if text, complete := streamed(t, r.body); text != answer || !complete {
					t.Errorf("the stream is %q", text)
				}
			} else if g.mustReply(r) != answer {
				t.Errorf("the answer is %s", r.body)
			}
			next := post(chatPath, one, assistant(answer), user("two"))
			if got := next.header.Get("X-Qwen-Session"); got != "continued" {
				t.Errorf("on the other route it goes on as %q", got)
			}
			mustRefuse(t, post(multimodalPath, say("one", imageAt("data:,"))), 400, "invalid_value", imageParam)
		})
	}
	t.Run("MM-11 text alone", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		g.mustReply(g.do(http.MethodPost, multimodalPath, chatBody("hello", "")))
	})
	t.Run("AU-06, AU-07 a key is needed", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		for _, path := range []string{multimodalPath, "/v1/image/upload_and_chat", "/v1/video/upload_and_chat", "/v1/files/upload", "/v1/files", "/v2/files/getstsToken"} {
			mustRefuse(t, g.do(http.MethodPost, path, "{", "Authorization", ""), 401, "invalid_api_key", "")
		}
		g.sentNothing()
	})
}

// What an upload has answered can be sent back in any way.
func TestMultimodalUploaded(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef"})
	g.parsesAtOnce()
	image := testPNG(1, 5<<20+3)
	name := `图 a+b%2F "x".png`
	f := g.upload(name, "image/png", image)
	plain, _, _ := strings.Cut(f.URL, "?")
	forged := func(format string, args ...any) json.RawMessage { return json.RawMessage(fmt.Sprintf(format, args...)) }
	ways := map[string]part{
		"FI-03 its URL":                         imageAt(f.URL),
		"FI-03 its URL without the signature":   imageAt(plain),
		"FI-03 its URL as a bare string":        {"type": "image_url", "image_url": f.URL},
		"FI-03 file_info beside the URL":        {"type": "image_url", "image_url": map[string]any{"url": f.URL}, "file_info": f.Info},
		"FI-03 file_info within the URL":        {"type": "image_url", "image_url": map[string]any{"url": f.URL, "file_info": f.Info}},
		"FI-03 file_info alone":                 {"type": "image_url", "file_info": f.Info},
		"FI-03 the whole answer as file_info":   {"type": "image_url", "image_url": map[string]any{"url": plain}, "file_info": f.raw},
		"FI-04 its id":                          fileOfID(f.ID),
		"FI-04 its id beside a name":            {"type": "file", "file": map[string]any{"file_id": f.ID, "filename": "other.png"}},
		"FI-04 its id, as the newer API has it": {"type": "input_image", "file_id": f.ID},
		"FI-03 file_info in a video's part":     {"type": "video_url", "video_url": map[string]any{"url": f.URL}, "file_info": f.Info},
		"U26 a forged size":                     {"type": "image_url", "image_url": map[string]any{"url": f.URL}, "file_info": forged(`{"id":%q,"size":1,"name":"x.exe","type":"video","file_type":"video/mp4","file_class":"document"}`, f.ID)},
		"U26 a forged URL beside the id":        {"type": "image_url", "image_url": map[string]any{"url": "http://169.254.169.254/"}, "file_info": forged(`{"id":%q,"url":"http://169.254.169.254/"}`, f.ID)},
	}
	for way, part := range ways {
		for mode, fields := range modes {
			t.Run(way+"/"+mode, func(t *testing.T) {
				modelOf(t, g.do(http.MethodPost, multimodalPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", part)}, fields)))
				g.mustShow(g.last().Files, image)
				if ref := g.last().Files[0]; ref.ID != f.ID || ref.Name != name || ref.FileType != "image/png" || ref.Type != "image" || ref.FileClass != "vision" {
					t.Errorf("the model sees %s", ref.Raw)
				}
			})
		}
	}
	g.mustStore(1)
	for way, test := range map[string]struct {
		part part
		code string
		want int
	}{
		"U25 the id":       {fileOfID(f.ID), "file_not_found", 404},
		"U25 file_info":    {ways["FI-03 file_info alone"], "file_not_found", 404},
		"U25, S01 the URL": {imageAt(f.URL), "media_fetch_blocked", 400},
	} {
		t.Run(way+" of another caller's file", func(t *testing.T) {
			r := g.do(http.MethodPost, multimodalPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", test.part)}, ""), "Authorization", "Bearer sk-ann-0123456789abcdef")
			mustRefuse(t, r, test.want, test.code, imageParam)
		})
	}
	t.Run("U25 another's file is as one that never was", func(t *testing.T) {
		unknown := g.show([]any{say("What is it?", fileOfID("3f1f0c0e-0000-4000-8000-000000000000"))})
		foreign := g.show([]any{say("What is it?", fileOfID(f.ID))}, "Authorization", "Bearer sk-ann-0123456789abcdef")
		if unknown.body != foreign.body {
			t.Errorf("the answers differ: %s, %s", unknown.body, foreign.body)
		}
	})
}
