package caddyqwen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const filesPath = "/v1/files"

// newFile uploads a file with the official SDK.
func (g *gateway) newFile(client openai.Client, purpose, name, kind string, content []byte) *openai.FileObject {
	g.t.Helper()
	f, err := client.Files.New(g.t.Context(), openai.FileNewParams{
		File: openai.File(bytes.NewReader(content), name, kind), Purpose: openai.FilePurpose(purpose),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return f
}

// mustBeGone checks that no route knows a file.
func (g *gateway) mustBeGone(id, url string) {
	g.t.Helper()
	for _, path := range []string{filesPath + "/" + id, filesPath + "/" + id + "/content"} {
		mustRefuse(g.t, g.do(http.MethodGet, path, ""), 404, "file_not_found", "")
	}
	mustRefuse(g.t, g.do(http.MethodDelete, filesPath+"/"+id, ""), 404, "file_not_found", "")
	mustRefuse(g.t, g.show([]any{say("What is it?", fileOfID(id))}), 404, "file_not_found", imageParam)
	mustRefuse(g.t, g.show([]any{say("What is it?", imageAt(url))}), 400, "media_fetch_blocked", imageParam)
	if list := g.do(http.MethodGet, filesPath, ""); list.status != http.StatusOK || strings.Contains(list.body, id) {
		g.t.Errorf("the list: status %d: %s", list.status, list.body)
	}
}

// What an upload answers.
func TestFilesUpload(t *testing.T) {
	for name, test := range map[string]struct {
		file, mime, kind, display string
		content                   []byte
	}{
		"an image":   {`图 a+b%2F "x".png`, "image/png", "image", "vision", testPNG(1, 900)},
		"a video":    {"film.mp4", "video/mp4", "video", "video", testMP4(2, 900)},
		"sound":      {"a b.wav", "audio/wav", "audio", "audio", testFile(wavHead, 3, 900)},
		"a document": {"报告.pdf", "application/pdf", "file", "document", testFile(pdfHead, 4, 900)},
		"plain text": {"notes.txt", "text/plain", "file", "document", []byte("Nothing but text.\n")},
	} {
		for _, path := range []string{"/v1/files/upload", filesPath} {
			t.Run("FI-01, FI-02, FI-03 "+name+" "+path, func(t *testing.T) {
				g := mustFilesGateway(t, setup{})
				g.parsesAtOnce()
				before := time.Now().Unix()
				f := g.uploadTo(path, field{name: "file", file: test.file, kind: test.mime, value: string(test.content)})
				plain, query, _ := strings.Cut(f.URL, "?")
				for what, is := range map[string]bool{
					"id, object":  f.ID != "" && f.Object == "file",
					"size":        f.Bytes == int64(len(test.content)),
					"time":        f.CreatedAt >= before && f.CreatedAt <= time.Now().Unix() && f.ExpiresAt == nil,
					"name":        f.Filename == test.file,
					"purpose":     f.Purpose == "user_data",
					"status":      f.Status == "uploaded",
					"type":        strings.HasPrefix(f.MIME, test.mime) && f.Type == test.kind && f.Class == test.kind && f.Display == test.display,
					"URL":         strings.Contains(query, "x-oss-signature=") && strings.HasPrefix(plain, g.site.StorageURL()),
					"file_info":   bytes.Contains(f.Info, []byte(`"id":"`+f.ID+`"`)) && bytes.Contains(f.Info, []byte(`"file_class":`)),
					"no escaping": !bytes.Contains(f.raw, []byte(`\u0026`)),
				} {
					if !is {
						t.Errorf("the %s is wrong: %s", what, f.raw)
					}
				}
				stored := g.site.Storage().Objects()
				if len(stored) != 1 || stored[0].SHA256 != sha(test.content) {
					t.Errorf("the storage has %v", stored)
				}
			})
		}
	}
	t.Run("U27 the signed URL is kept nowhere on its way", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		for _, path := range []string{"/v1/files/upload", filesPath} {
			r := g.form(path, field{name: "file", file: "a.png", value: string(testPNG(1, 900))})
			if got := r.header.Get("Cache-Control"); r.status != http.StatusOK || got != "no-store" {
				t.Errorf("%s: status %d, Cache-Control is %q", path, r.status, got)
			}
		}
	})
	t.Run("FI-03 anybody can open the signed URL for a while", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		f := g.upload("a.png", "image/png", testPNG(1, 900))
		req, err := http.NewRequest(http.MethodGet, f.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := mustRead(t, req); r.status != http.StatusOK || sha([]byte(r.body)) != sha(testPNG(1, 900)) {
			t.Errorf("status %d, %d bytes", r.status, len(r.body))
		}
	})
}

// The routes of OpenAI with the official SDK, from the upload to the end.
func TestFilesOfSDK(t *testing.T) {
	for _, sessions := range []string{"", "sessions off"} {
		t.Run("FI-04, FI-09, FI-10 "+sessions, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: sessions})
			g.parsesAtOnce()
			client, ctx := g.client(), t.Context()
			pdf := testFile(pdfHead, 1, 3000)
			f := g.newFile(client, "file-extract", "报告 a+b%.pdf", "application/pdf", pdf)
			if f.Filename != "报告 a+b%.pdf" || f.Bytes != 3000 || f.Purpose != "file-extract" || f.CreatedAt == 0 || string(f.Object) != "file" {
				t.Errorf("the upload answers %s", f.RawJSON())
			}
			got, err := client.Files.Get(ctx, f.ID)
			if err != nil || got.ID != f.ID || got.Filename != f.Filename || got.Bytes != f.Bytes || got.Purpose != f.Purpose || got.CreatedAt != f.CreatedAt || !strings.Contains(got.RawJSON(), `"status":"processed"`) {
				t.Errorf("%v: %+v", err, got)
			}
			if strings.Contains(got.RawJSON(), "signature") {
				t.Errorf("U27 a signed URL: %s", got.RawJSON())
			}
			content, err := client.Files.Content(ctx, f.ID)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(content.Body)
			content.Body.Close()
			if err != nil || sha(body) != sha(pdf) {
				t.Errorf("%v: the content has %d bytes", err, len(body))
			}
			answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.FileContentPart(openai.ChatCompletionContentPartFileFileParam{FileID: openai.String(f.ID)}),
					openai.TextContentPart("What is it?"),
				}),
			}})
			if err != nil || !strings.Contains(answer.Choices[0].Message.Content, "报告 a+b%.pdf (application/pdf, 3000 bytes)") {
				t.Fatalf("%v: %+v", err, answer)
			}
			g.mustShow(g.last().Files, pdf)
			deleted, err := client.Files.Delete(ctx, f.ID)
			if err != nil || deleted.ID != f.ID || !deleted.Deleted || string(deleted.Object) != "file" {
				t.Errorf("%v: %+v", err, deleted)
			}
			var refused *openai.Error
			if _, err := client.Files.Get(ctx, f.ID); !errors.As(err, &refused) || refused.StatusCode != 404 || refused.Code != "file_not_found" {
				t.Errorf("after the deletion: %v", err)
			}
			g.mustBeGone(f.ID, g.site.StorageURL()+"/x")
		})
	}
}

// Every purpose is as good as any other.
func TestFilesPurpose(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for i, purpose := range []string{"assistants", "vision", "fine-tune", "file-extract", "batch", "用途", strings.Repeat("x", 256)} {
		t.Run(fmt.Sprintf("FI-09 %.20s", purpose), func(t *testing.T) {
			f := g.newFile(g.client(), purpose, "a.png", "image/png", testPNG(uint64(i), 200))
			if string(f.Purpose) != purpose {
				t.Errorf("the purpose is %q", f.Purpose)
			}
		})
	}
	t.Run("FI-09 in quotes", func(t *testing.T) {
		if f := g.upload("a.png", "image/png", testPNG(9, 200), field{name: "purpose", value: `"vision"`}); f.Purpose != "vision" {
			t.Errorf("the purpose is %q", f.Purpose)
		}
	})
	before := len(g.site.Storage().Objects())
	for name, value := range map[string]string{"too long": strings.Repeat("x", 257), "not UTF-8": "a\xff"} {
		t.Run("FI-09 "+name, func(t *testing.T) {
			r := g.form(filesPath, field{name: "purpose", value: value}, field{name: "file", file: "a.png", value: string(testPNG(10, 200))})
			mustRefuse(t, r, 400, "invalid_value", "purpose")
		})
	}
	g.mustStore(before)
}

// The content comes as a file to be saved, never as a page of this server.
func TestFilesContent(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.parsesAtOnce()
	page := []byte("<!DOCTYPE html><html><script>alert(1)</script></html>\n")
	for name, test := range map[string]struct {
		file, kind string
		content    []byte
	}{
		"an image":      {`图 a+b "x".png`, "image/png", testPNG(1, 70_000)},
		"U10 a page":    {"page.html", "text/html", page},
		"a large image": {"large.png", "image/png", testPNG(2, 6<<20)},
	} {
		t.Run("FI-10 "+name, func(t *testing.T) {
			f := g.upload(test.file, test.kind, test.content)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				r := g.do(method, filesPath+"/"+f.ID+"/content", "")
				if want := map[string][]byte{http.MethodGet: test.content}[method]; r.status != http.StatusOK || sha([]byte(r.body)) != sha(want) {
					t.Errorf("%s: status %d, %d bytes", method, r.status, len(r.body))
				}
				kind, params, err := mime.ParseMediaType(r.header.Get("Content-Disposition"))
				if err != nil || kind != "attachment" || params["filename"] != test.file {
					t.Errorf("%s: Content-Disposition is %q", method, r.header.Get("Content-Disposition"))
				}
				for header, want := range map[string]string{
					"Content-Length": fmt.Sprint(len(test.content)), "X-Content-Type-Options": "nosniff",
					"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "private, no-store",
				} {
					if got := r.header.Get(header); got != want {
						t.Errorf("%s: %s is %q", method, header, got)
					}
				}
				if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, test.kind) {
					t.Errorf("%s: Content-Type is %q", method, got)
				}
			}
			if r := g.do(http.MethodHead, filesPath+"/"+f.ID, ""); r.status != http.StatusOK || r.body != "" {
				t.Errorf("HEAD: status %d, %q", r.status, r.body)
			}
		})
	}
	t.Run("the storage has lost it", func(t *testing.T) {
		image := testPNG(3, 600)
		f := g.upload("lost.png", "image/png", image)
		for _, o := range g.site.Storage().Objects() {
			if o.SHA256 == sha(image) {
				g.site.Storage().Remove(o.Key)
			}
		}
		r := g.do(http.MethodGet, filesPath+"/"+f.ID+"/content", "")
		if r.status != http.StatusBadGateway || r.code() == "" || strings.Contains(r.body, "signature") {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	})
	t.Run("U15 the site gives no link", func(t *testing.T) {
		f := g.upload("b.png", "image/png", testPNG(4, 600))
		g.site.Fail(emulator.EndpointFileLink, emulator.Expired())
		r := g.do(http.MethodGet, filesPath+"/"+f.ID+"/content", "")
		mustRefuse(t, r, 503, "upstream_credential_expired", "")
	})
}

func TestFilesRefused(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_document 1000"})
	image := field{name: "file", file: "a.png", kind: "image/png", value: string(testPNG(1, 900))}
	for name, test := range map[string]struct {
		fields      []field
		status      int
		code, param string
	}{
		"FI-06, U02 no file":       {[]field{{name: "purpose", value: "vision"}}, 400, "missing_required_parameter", "file"},
		"FI-06, U02 another field": {[]field{{name: "image", file: "a.png", value: "x"}}, 400, "missing_required_parameter", "file"},
		"FI-06 text":               {[]field{{name: "file", value: "a.png"}}, 400, "invalid_value", "file"},
		"U03 two":                  {[]field{image, image}, 400, "invalid_value", "file"},
		"FI-07, U07 empty":         {[]field{{name: "file", file: "a.png"}}, 400, "invalid_value", "file"},
		"U09 of no type":           {[]field{{name: "file", file: "a.bin", value: "\x00\x01\x02\x03"}}, 415, "media_type_unsupported", "file"},
		"U06 one byte too many":    {[]field{{name: "file", file: "a.txt", value: strings.Repeat("a", 1001)}}, 413, "file_too_large", "file"},
		"FI-09 expires before":     {[]field{image, {name: "expires_after[seconds]", value: "-1"}}, 400, "invalid_value", "expires_after[seconds]"},
		"FI-09 expires at no time": {[]field{image, {name: "expires_after[seconds]", value: "soon"}}, 400, "invalid_value", "expires_after[seconds]"},
		"FI-09 expires after what": {[]field{image, {name: "expires_after[anchor]", value: "last_active_at"}}, 400, "invalid_value", "expires_after[anchor]"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{filesPath, "/v1/files/upload"} {
				mustRefuse(t, g.form(path, test.fields...), test.status, test.code, test.param)
			}
		})
	}
	g.sentNothing()
	for name, id := range map[string]string{
		"unknown": "3f1f0c0e-0000-4000-8000-000000000000", "a path": "..%2F..%2Fetc", "a quote": "a%22b", "a page": "%3Cscript%3E", "long": strings.Repeat("a", 300),
	} {
		t.Run("FI-05 "+name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				r := g.do(method, filesPath+"/"+id, "")
				mustRefuse(t, r, 404, r.code(), "")
				if code := r.code(); code != "file_not_found" && code != "unknown_url" {
					t.Errorf("%s: %s", method, r.body)
				}
			}
		})
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
		t.Run("ER-07 "+method, func(t *testing.T) {
			mustRefuse(t, g.do(method, filesPath, ""), 405, "method_not_allowed", "")
		})
	}
}
