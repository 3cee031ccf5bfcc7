package caddyqwen

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// formRoute is a route that takes a form with a file.
type formRoute struct {
	path   string
	file   field   // one that it takes
	more   []field // what the form must have besides
	limit  string  // the option that bounds such a file
	answer string  // what a good answer has in it
}

// formRoutes are all of them.
func formRoutes() []formRoute {
	image := field{name: "file", file: "photo.png", kind: "image/png", value: string(testPNG(1, 900))}
	video := field{name: "video", file: "film.mp4", kind: "video/mp4", value: string(testMP4(1, 900))}
	asked := image
	asked.name = "image"
	prompt := []field{{name: "prompt", value: "What is this?"}}
	return []formRoute{
		{"/v1/files/upload", image, nil, "max_image", `"object":"file"`},
		{"/v1/files", image, nil, "max_image", `"object":"file"`},
		{"/v1/image/upload_and_chat", asked, prompt, "max_image", "chat.completion"},
		{"/v1/video/upload_and_chat", video, prompt, "max_video", "data: [DONE]"},
	}
}

// fields are those of a form with these files or others in place of the usual one.
func (route formRoute) fields(files ...field) []field {
	return append(files, route.more...)
}

// sized returns the file with another size.
func (route formRoute) sized(size int) field {
	f := route.file
	generate := testPNG
	if f.name == "video" {
		generate = testMP4
	}
	f.value = string(generate(7, size))
	return f
}

// named returns the file with another name.
func (route formRoute) named(name string) field {
	f := route.file
	f.file = name
	return f
}

// good checks that a form was accepted.
func (route formRoute) good(t *testing.T, got reply) {
	t.Helper()
	if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, route.answer) {
		t.Errorf("status %d, %v: %s", got.status, got.err, tail(got.body))
	}
}

// wantFile is an answer to a form that the client has to change.
func wantFile(status int, code, param string) failed {
	return failed{status: status, code: code, class: classClient, param: param, final: true}
}

// notSent checks that nothing of any file has left the server.
func (g *gateway) notSent(t *testing.T) {
	t.Helper()
	if n := g.requested(emulator.EndpointFileGrant) + g.requested(emulator.EndpointCompletions) + len(g.site.Storage().Requests()); n != 0 {
		t.Errorf("the site and its storage got %v and %v", g.site.Requests(), g.site.Storage().Requests())
	}
}

// posting is a request under way.
type posting struct {
	leave context.CancelFunc
	done  chan reply
}

// post sends a form and returns at once.
func (g *gateway) post(path string, fields ...field) *posting {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	return carry(g.formRequest(ctx, path, fields...), cancel)
}

// postChat is post for a chat request in JSON.
func (g *gateway) postChat(body string) *posting {
	ctx, cancel := context.WithCancel(context.Background())
	p := &posting{cancel, make(chan reply, 1)}
	go func() { p.done <- answerTo(g.trySend(ctx, http.MethodPost, chatPath, body)) }()
	return p
}

// carry sends a request.
func carry(r *http.Request, leave context.CancelFunc) *posting {
	p := &posting{leave, make(chan reply, 1)}
	go func() {
		transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
		p.done <- answerTo(transport.RoundTrip(r))
	}()
	return p
}

// answerTo reads an answer to its end.
func answerTo(resp *http.Response, err error) reply {
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}

// awaitStored waits until the condition over the storage's records holds.
func (g *gateway) awaitStored(what string, condition func() bool) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.site.Storage().Await(ctx, condition); err != nil {
		g.t.Fatalf("%s: %v; the storage got %v", what, err, g.site.Storage().Requests())
	}
}

// ops returns how many requests the storage has got for an operation.
func (g *gateway) ops(op string) (n int) {
	for _, r := range g.site.Storage().Requests() {
		if r.Op == op {
			n++
		}
	}
	return n
}

// steps returns the operations that the storage was asked for, parts counted as
// one.
func (g *gateway) steps() string {
	var list []string
	for _, r := range g.site.Storage().Requests() {
		if r.Op != emulator.OpPart || len(list) == 0 || list[len(list)-1] != r.Op {
			list = append(list, r.Op)
		}
	}
	return strings.Join(list, " ")
}

// wayOf joins operations as steps does.
func wayOf(ops ...string) string { return strings.Join(ops, " ") }

// multipartWay is a multipart upload as steps tells it.
var multipartWay = wayOf(emulator.OpInitiate, emulator.OpPart, emulator.OpComplete)

// mustHold checks that the storage has these contents and no others.
func (g *gateway) mustHold(t *testing.T, contents ...string) {
	t.Helper()
	var got, want []string
	for _, o := range g.site.Storage().Objects() {
		got = append(got, o.SHA256)
	}
	for _, c := range contents {
		want = append(want, fmt.Sprintf("%x", sha256.Sum256([]byte(c))))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the storage has %v", g.site.Storage().Objects())
	}
}

// uploadedFile is the answer to an upload.
type uploadedFile struct {
	ID       string
	Filename string
	MIME     string `json:"mime_type"`
	Type     string
	Bytes    int64
	URL      string
	FileInfo json.RawMessage `json:"file_info"`
}

// mustUpload uploads a file for later use.
func (g *gateway) mustUpload(t *testing.T, file field) (f uploadedFile) {
	t.Helper()
	got := g.form("/v1/files/upload", file)
	if err := json.Unmarshal([]byte(got.body), &f); err != nil || got.status != http.StatusOK || f.ID == "" {
		t.Fatalf("status %d, %v: %s", got.status, err, tail(got.body))
	}
	return f
}

// listed returns how many files GET /v1/files lists.
func (g *gateway) listed(t *testing.T) int {
	t.Helper()
	var list struct{ Data []json.RawMessage }
	got := g.do(http.MethodGet, "/v1/files", "")
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", got.status, err, got.body)
	}
	return len(list.Data)
}

// textFile is a document.
func textFile(name, text string) field {
	return field{name: "file", file: name, kind: "text/plain", value: text}
}

// testSound is a sound file of a size.
func testSound(size int) field {
	return field{name: "file", file: "a.wav", kind: "audio/wav", value: string(testFile("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", 1, size))}
}

// spooled returns the temporary files that this process has open, named or not,
// where the system tells.
func spooled() (open []string) {
	const fds = "/proc/self/fd"
	entries, _ := os.ReadDir(fds)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(fds, entry.Name())); err == nil && strings.Contains(target, "caddy-qwen-") && strings.Contains(target, ".spool") {
			open = append(open, target)
		}
	}
	return open
}

// nothingLeft waits until nothing of any request is left.
func (g *gateway) nothingLeft() {
	g.t.Helper()
	g.slotsFree()
	g.filesGone()
}
