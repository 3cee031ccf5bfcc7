package caddyqwen

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

var (
	wantUploadTimeout = failed{status: 504, code: "upload_timeout", class: classNetwork, param: "file"}
	wantUnreadable    = failed{status: 400, code: "document_unreadable", class: classContent, param: "file", final: true}
)

// documentChat is a chat request with a document in it.
func documentChat(text, fields string) string {
	data := "data:text/plain;base64," + base64.StdEncoding.EncodeToString([]byte(text))
	return fmt.Sprintf(`{"model":"qwen"%s,"messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"file","file":{"filename":"a.txt","file_data":%q}}]}]}`, fields, data)
}

// fileParam names the document in errors about such a request.
const fileParam = "messages[0].content[1]"

func TestUploadDocument(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Parse(emulator.Parsing{}, emulator.Parsing{Pending: 2})
	for i := range 2 {
		file := textFile(fmt.Sprintf("notes %d.md", i), fmt.Sprintf("# Notes\n\nnumber %d", i))
		file.kind = "text/markdown"
		if f := g.mustUpload(t, file); f.Type != "file" || f.MIME != "text/markdown" || f.Filename != file.file {
			t.Errorf("taken for %+v", f)
		}
	}
	if parsed, asked := g.requested(emulator.EndpointFileParse), g.requested(emulator.EndpointFileStatus); parsed != 2 || asked != 4 {
		t.Errorf("%d documents were submitted, and the state asked for %d times", parsed, asked)
	}
	if got := g.do(http.MethodPost, chatPath, documentChat("some text", "")); got.status != http.StatusOK || len(g.last().Files) != 1 || g.last().Files[0].Name != "a.txt" {
		t.Errorf("status %d, the model sees %v: %s", got.status, g.last().Files, got.body)
	}
	g.nothingLeft()
}

func TestUploadDocumentFails(t *testing.T) {
	for name, test := range map[string]struct {
		script func(*gateway)
		want   failed
	}{
		"the document is damaged":            {func(g *gateway) { g.site.Parse(emulator.Parsing{Pending: 1, Error: "The PDF is encrypted."}) }, wantUnreadable},
		"the parsing fails":                  {func(g *gateway) { g.site.Fail(emulator.EndpointFileParse, emulator.Refusal("Bad_Request", "No.")) }, wantUploadNever},
		"the parsing fails for the site":     {func(g *gateway) { g.site.Fail(emulator.EndpointFileParse, emulator.Status(500)) }, wantUploadLater},
		"the state cannot be asked for":      {func(g *gateway) { g.site.Fail(emulator.EndpointFileStatus, emulator.Status(500)) }, wantUploadLater},
		"the state cannot be understood":     {func(g *gateway) { g.site.Fail(emulator.EndpointFileStatus, emulator.Reply{Body: []byte("hello")}) }, wantUploadFailed},
		"the site asks for a human meantime": {func(g *gateway) { g.site.Fail(emulator.EndpointFileStatus, emulator.ChallengeJSON()) }, wantVerification},
		"U24 the parsing never ends":         {func(g *gateway) { g.site.Parse(emulator.Parsing{Never: true}) }, wantUploadTimeout},
		"U24 the site hangs":                 {func(g *gateway) { g.site.Fail(emulator.EndpointFileParse, emulator.HangBeforeHeaders()) }, wantUploadTimeout},
		"U24 the site hangs when asked":      {func(g *gateway) { g.site.Fail(emulator.EndpointFileStatus, emulator.HangBeforeHeaders()) }, wantUploadTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: "idle_timeout 700ms"})
			for way, send := range map[string]func() reply{
				"file":    func() reply { return g.form("/v1/files", textFile("a.txt", "some text")) },
				fileParam: func() reply { return g.do(http.MethodPost, chatPath, documentChat("some text", "")) },
			} {
				g.accept()
				test.script(g)
				got := send()
				want := test.want
				want.param = way
				if want.code == "upload_timeout" && way == fileParam && strings.Contains(got.body, "upstream_timeout") {
					t.Error("the error does not say that it is about the upload")
				}
				want.check(t, got)
				checkStage(t, g, got, stageParse)
				if want.code == wantUnreadable.code && !strings.Contains(got.body, "The PDF is encrypted.") {
					t.Errorf("the reason is missing: %s", got.body)
				}
			}
			if n := g.requested(emulator.EndpointCompletions); n != 0 {
				t.Errorf("%d prompts were sent", n)
			}
			if g.listed(t) != 0 {
				t.Error("it is listed")
			}
			asked := g.requested(emulator.EndpointFileStatus)
			g.site.Parse(emulator.Parsing{})
			g.accept()
			g.mustUpload(t, textFile("a.txt", "some text")) // it was not taken for uploaded
			if now := g.requested(emulator.EndpointFileStatus); now != asked+1 {
				t.Errorf("U24 the state was asked for %d times more", now-asked)
			}
			g.nothingLeft()
		})
	}
}

func TestUploadSound(t *testing.T) {
	g := mustGateway(t, setup{})
	if f := g.mustUpload(t, testSound(5000)); f.Type != "audio" || f.MIME != "audio/wav" {
		t.Errorf("taken for %+v", f)
	}
	g.mustHold(t, testSound(5000).value)
	if n := g.requested(emulator.EndpointFileParse); n != 0 {
		t.Errorf("%d sounds were submitted as documents", n)
	}
	g.nothingLeft()
}

// The same bytes go up once for all chats of a caller. Each upload to be kept is a
// file of its own.
func TestUploadSameBytes(t *testing.T) {
	const second = "sk-second-0123456789"
	g := mustGateway(t, setup{qwen: "api_key other " + second})
	first := g.mustUpload(t, film(1, 900))
	again := g.mustUpload(t, film(1, 900))
	if first.ID == again.ID || g.requested(emulator.EndpointFileGrant) != 2 {
		t.Errorf("uploaded %d times, as %s and %s", g.requested(emulator.EndpointFileGrant), first.ID, again.ID)
	}
	asked := film(1, 900)
	asked.name = "video"
	got := g.form("/v1/video/upload_and_chat", asked, field{name: "prompt", value: "What?"})
	if got.status != http.StatusOK || len(g.last().Files) != 1 || g.last().Files[0].ID != again.ID {
		t.Errorf("status %d with %v: %s", got.status, g.last().Files, got.body)
	}
	g.mustHold(t, asked.value, asked.value)
	kind, body := mustForm(t, film(1, 900))
	foreign := g.do(http.MethodPost, "/v1/files", string(body), "Content-Type", kind, "Authorization", "Bearer "+second)
	if foreign.status != http.StatusOK || strings.Contains(foreign.body, first.ID) {
		t.Errorf("U25 status %d: %s", foreign.status, foreign.body)
	}
	g.mustHold(t, asked.value, asked.value, asked.value)
	g.nothingLeft()
}

// An upload that is under way does not mind that the configuration changes.
func TestUploadDuringReload(t *testing.T) {
	for way, file := range map[string]field{"U22 parts": film(1, 3<<20), "U22 form": image(1, 400_000)} {
		t.Run(way, func(t *testing.T) {
			g := mustGateway(t, setup{})
			gate := make(chan struct{})
			op := map[bool]string{true: emulator.OpPart, false: emulator.OpPost}[file.file == "film.mp4"]
			g.site.Storage().Fail(op, 1, emulator.Fault{Gate: gate})
			p := g.post("/v1/files", file)
			g.awaitStored("it is on its way", func() bool { return g.ops(op) > 0 })
			g.load(setup{qwen: "heartbeat 10s\nmax_image 100\nmax_video 100"})
			wantFile(http.StatusRequestEntityTooLarge, "file_too_large", "file").check(t, g.form("/v1/files", image(2, 900)))
			close(gate)
			got := <-p.done
			if got.status != http.StatusOK || got.err != nil {
				t.Errorf("status %d, %v: %s", got.status, got.err, got.body)
			}
			g.mustHold(t, file.value)
			if g.listed(t) != 1 {
				t.Error("it is not listed")
			}
			g.nothingLeft()
		})
	}
}
