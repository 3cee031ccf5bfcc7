package caddyqwen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Beginnings of files, for testFile.
const (
	jpegHead = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
	gifHead  = "GIF89a\x10\x00\x10\x00\x80\x00\x00"
	wavHead  = "RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x08\x00\x00"
	pdfHead  = "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
)

// part is a part of a message.
type part map[string]any

func textPart(text string) part { return part{"type": "text", "text": text} }

func imagePart(image []byte) part { return imageAt(dataURL("image/png", image)) }

// imageAt is an image that is at a URL.
func imageAt(url string) part {
	return part{"type": "image_url", "image_url": map[string]any{"url": url}}
}

func filePart(name, kind string, content []byte) part {
	return part{"type": "file", "file": map[string]any{"filename": name, "file_data": dataURL(kind, content)}}
}

// fileOfID is a file that was uploaded before.
func fileOfID(id string) part {
	return part{"type": "file", "file": map[string]any{"file_id": id}}
}

func dataURL(kind string, content []byte) string {
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content)
}

// say is a message of the user with parts, the text first.
func say(text string, parts ...part) any {
	return map[string]any{"role": "user", "content": append([]part{textPart(text)}, parts...)}
}

// messagesBody is a request of messages of any form.
func messagesBody(t testing.TB, model string, messages []any, fields string) string {
	t.Helper()
	raw, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"model":%q,"messages":%s%s}`, model, raw, fields)
}

// mustFilesGateway is mustGateway for tests that need the record of files from the
// first request on.
func mustFilesGateway(t testing.TB, s setup) *gateway {
	t.Helper()
	g := mustGateway(t, s)
	g.storeOpen()
	return g
}

// storeOpen waits until the record can be used. On a busy machine that may take
// longer than a request waits for it.
func (g *gateway) storeOpen() {
	g.t.Helper()
	eventually(g.t, "the record can be used", func() bool { return g.do(http.MethodGet, filesPath, "").status == http.StatusOK })
}

// show sends messages of any form and returns the answer, whatever it is.
func (g *gateway) show(messages []any, header ...string) reply {
	g.t.Helper()
	return g.do(http.MethodPost, chatPath, messagesBody(g.t, "qwen3.7-plus", messages, ""), header...)
}

// discuss sends messages of any form and reads the answer.
func (g *gateway) discuss(messages []any, header ...string) heard {
	g.t.Helper()
	r := g.show(messages, header...)
	return heard{said{"assistant", g.mustReply(r)}, r, r.header.Get("X-Qwen-Session"), r.header.Get("X-Qwen-Chat-Id")}
}

// mustReply returns the text of a whole answer.
func (g *gateway) mustReply(r reply) string {
	g.t.Helper()
	var answer struct {
		Choices []struct{ Message said }
	}
	if r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &answer) != nil || len(answer.Choices) != 1 {
		g.t.Fatalf("status %d: %s", r.status, tail(r.body))
	}
	return answer.Choices[0].Message.Content
}

// mustShow checks that files of a turn are these, byte for byte and in this order.
func (g *gateway) mustShow(files []emulator.FileRef, want ...[]byte) {
	g.t.Helper()
	if len(files) != len(want) {
		g.t.Errorf("the model sees %d files, not %d", len(files), len(want))
		return
	}
	for i, f := range files {
		stored, ok := g.site.Storage().Object(f.Key)
		if !ok || stored.SHA256 != sha(want[i]) || f.Size != int64(len(want[i])) {
			g.t.Errorf("file %d, %v, is not what was sent", i, f)
		}
	}
}

func sha(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// mustStore checks how many objects there are in the storage, that is, how many
// files were uploaded.
func (g *gateway) mustStore(n int) {
	g.t.Helper()
	if got := len(g.site.Storage().Objects()); got != n {
		g.t.Errorf("%d files are in the storage, not %d", got, n)
	}
}

// parsesAtOnce makes the site read the next documents without any pause.
func (g *gateway) parsesAtOnce() { g.site.Parse(make([]emulator.Parsing, 50)...) }

// uploaded is the answer to an upload.
type uploaded struct {
	ID, Object, Filename, Purpose, Status, URL string
	Bytes                                      int64
	CreatedAt                                  int64  `json:"created_at"`
	ExpiresAt                                  *int64 `json:"expires_at"`
	MIME                                       string `json:"mime_type"`
	Type                                       string
	Class                                      string          `json:"file_class"`
	Display                                    string          `json:"display_type"`
	Info                                       json.RawMessage `json:"file_info"`

	raw json.RawMessage // all of it
}

// upload uploads a file by the route of the original.
func (g *gateway) upload(name, kind string, content []byte, more ...field) uploaded {
	g.t.Helper()
	return g.uploadTo("/v1/files/upload", append(more, field{name: "file", file: name, kind: kind, value: string(content)})...)
}

func (g *gateway) uploadTo(path string, fields ...field) (f uploaded) {
	g.t.Helper()
	r := g.form(path, fields...)
	if err := json.Unmarshal([]byte(r.body), &f); err != nil || r.status != http.StatusOK {
		g.t.Fatalf("status %d, %v: %s", r.status, err, tail(r.body))
	}
	f.raw = json.RawMessage(r.body)
	return f
}

// mustRefuse checks an answer that is an error of the request.
func mustRefuse(t testing.TB, r reply, status int, code, param string) {
	t.Helper()
	if r.status != status || r.code() != code || paramOf(r.body) != param {
		t.Errorf("status %d, code %q, param %q; want %d, %q, %q: %s", r.status, r.code(), paramOf(r.body), status, code, param, tail(r.body))
	}
}

// sentNothing checks that the site got no prompt and the storage no file.
func (g *gateway) sentNothing() {
	g.t.Helper()
	if n := len(g.site.Completions()); n > 0 {
		g.t.Errorf("the site got %d prompts", n)
	}
	g.mustStore(0)
}
