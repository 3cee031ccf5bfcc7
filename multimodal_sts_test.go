package caddyqwen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/oss"
)

const grantPath = "/v2/files/getstsToken"

// granted is the site's grant, as the route hands it on.
type granted struct {
	KeyID    string `json:"access_key_id"`
	Secret   string `json:"access_key_secret"`
	Token    string `json:"security_token"`
	URL      string `json:"file_url"`
	Path     string `json:"file_path"`
	ID       string `json:"file_id"`
	Bucket   string `json:"bucketname"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"`
	reply
}

func (g *gateway) grant(name, kind string, size any) (a granted) {
	g.t.Helper()
	body, _ := json.Marshal(map[string]any{"filename": name, "filesize": size, "filetype": kind})
	a.reply = g.do(http.MethodPost, grantPath, string(body))
	var envelope struct {
		Success   bool
		RequestID string `json:"request_id"`
		Data      *granted
	}
	envelope.Data = &a
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil || a.status != http.StatusOK || !envelope.Success || envelope.RequestID == "" {
		g.t.Fatalf("status %d, %v: %s", a.status, err, tail(a.body))
	}
	return a
}

// put uploads a file with a grant, as a client would that has asked for one.
func (g *gateway) put(a granted, kind string, content []byte) {
	g.t.Helper()
	endpoint, err := url.Parse(g.site.StorageURL())
	if err != nil {
		g.t.Fatal(err)
	}
	storage := &oss.Client{Transport: &http.Transport{DisableKeepAlives: true}, Endpoint: endpoint}
	err = storage.Upload(g.t.Context(), oss.Grant{
		AccessKeyID: a.KeyID, AccessKeySecret: a.Secret, SecurityToken: a.Token,
		Endpoint: a.Endpoint, Region: a.Region, Bucket: a.Bucket, Key: a.Path,
	}, oss.Object{
		Body: bytes.NewReader(content), Size: int64(len(content)), ContentType: kind,
		CRC64: crc64.Checksum(content, crc64.MakeTable(crc64.ECMA)),
	}, []oss.Method{oss.PutObject}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
}

// A client that uploads by itself can chat about its file.
func TestGrantUpload(t *testing.T) {
	for name, test := range map[string]struct {
		kind, file, mime string
		content          []byte
		size             func(n int) any
	}{
		"an image":                       {"image", "图 a+b%.png", "image/png", testPNG(1, 900), func(n int) any { return n }},
		"a video, its size as a string":  {"video", "film.mp4", "video/mp4", testMP4(2, 900), func(n int) any { return fmt.Sprint(n) }},
		"sound":                          {"audio", "a.wav", "audio/wav", testFile(wavHead, 3, 900), func(n int) any { return n }},
		"a document":                     {"file", "report.pdf", "application/pdf", testFile(pdfHead, 4, 900), func(n int) any { return n }},
		"a document, by its other class": {"document", "report.pdf", "application/pdf", testFile(pdfHead, 4, 900), func(n int) any { return n }},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.parsesAtOnce()
			a := g.grant(test.file, test.kind, test.size(len(test.content)))
			g.put(a, test.mime, test.content)
			plain, _, _ := strings.Cut(a.URL, "?")
			for way, part := range map[string]part{
				"its id": fileOfID(a.ID), "its URL": imageAt(a.URL), "its URL without the signature": imageAt(plain),
				"file_info": {"type": "image_url", "image_url": map[string]any{"url": a.URL}, "file_info": map[string]any{"file_id": a.ID, "file_url": a.URL}},
			} {
				r := g.show([]any{say("What is it?", part)})
				if r.status != http.StatusOK {
					t.Errorf("by %s: status %d: %s", way, r.status, r.body)
					continue
				}
				g.mustShow(g.last().Files, test.content)
				if f := g.last().Files[0]; f.ID != a.ID || f.Name != test.file || f.FileType != test.mime {
					t.Errorf("by %s the model sees %s", way, f.Raw)
				}
			}
			if r := g.do(http.MethodGet, "/v1/files/"+a.ID+"/content", ""); r.status != http.StatusOK || r.body != string(test.content) {
				t.Errorf("the content: status %d, %d bytes", r.status, len(r.body))
			}
			g.mustStore(1)
		})
	}
}

// The site is asked to read a document before it is shown, and its failure is told.
func TestGrantUnreadable(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	a := g.grant("report.pdf", "file", 900)
	g.put(a, "application/pdf", testFile(pdfHead, 4, 900))
	g.site.Parse(emulator.Parsing{Error: "The file is damaged."})
	r := g.show([]any{say("What is it?", fileOfID(a.ID))})
	mustRefuse(t, r, 400, "document_unreadable", imageParam)
	if !strings.Contains(r.body, "reading of the document") || !strings.Contains(r.body, "The file is damaged.") {
		t.Errorf("the stage or the reason is not named: %s", r.body)
	}
	if n := len(g.site.Completions()); n > 0 {
		t.Errorf("the site got %d prompts", n)
	}
}

// What a grant says is for its caller only.
func TestGrantSecret(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef"})
	a := g.grant("photo.png", "image", 900)
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	if !strings.HasPrefix(a.KeyID, "STS.") || a.Secret == "" || a.Token == "" || !strings.Contains(a.URL, "x-oss-signature=") || !strings.HasSuffix(a.Path, a.ID+"_photo.png") || a.Bucket == "" || a.Region == "" || a.Endpoint == "" {
		t.Errorf("the grant is %+v", a)
	}
	g.put(a, "image/png", testPNG(1, 900))
	g.discuss([]any{say("What is it?", fileOfID(a.ID))})
	log := g.logged()
	for what, secret := range map[string]string{
		"key": a.KeyID, "secret": a.Secret, "token": a.Token, "signature": "x-oss-signature", "address": "photo.png",
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the %s is in the log", what)
		}
	}
	if !strings.Contains(log, grantPath) {
		t.Error("the request is not in the log, so that this test shows nothing")
	}
	mustRefuse(t, g.show([]any{say("What is it?", fileOfID(a.ID))}, "Authorization", "Bearer sk-ann-0123456789abcdef"), 404, "file_not_found", imageParam)
	if list := g.do(http.MethodGet, "/v1/files", ""); strings.Contains(list.body, a.ID) {
		t.Error("it is in the list, though nobody knows whether it was uploaded")
	}
	if next := g.grant("photo.png", "image", 900); next.ID == a.ID || next.Token == a.Token || next.Path == a.Path {
		t.Error("two grants are one")
	}
}

func TestGrantRefused(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_image 1000\nmax_document 3000"})
	for name, test := range map[string]struct {
		body, code, param string
		status            int
	}{
		"no JSON":          {`filename=a.png`, "invalid_json", "", 400},
		"no object":        {`["a.png", 5, "image"]`, "invalid_json", "", 400},
		"nothing":          {``, "invalid_json", "", 400},
		"no name":          {`{"filesize":5,"filetype":"image"}`, "missing_required_parameter", "filename", 400},
		"an empty name":    {`{"filename":"  ","filesize":5,"filetype":"image"}`, "missing_required_parameter", "filename", 400},
		"no size":          {`{"filename":"a.png","filetype":"image"}`, "invalid_value", "filesize", 400},
		"no bytes":         {`{"filename":"a.png","filesize":0,"filetype":"image"}`, "invalid_value", "filesize", 400},
		"fewer than none":  {`{"filename":"a.png","filesize":-1,"filetype":"image"}`, "invalid_value", "filesize", 400},
		"half a byte":      {`{"filename":"a.png","filesize":1.5,"filetype":"image"}`, "invalid_value", "filesize", 400},
		"a size in words":  {`{"filename":"a.png","filesize":"many","filetype":"image"}`, "invalid_value", "filesize", 400},
		"beyond all sizes": {`{"filename":"a.png","filesize":99999999999999999999,"filetype":"image"}`, "invalid_value", "filesize", 400},
		"no type":          {`{"filename":"a.png","filesize":5}`, "invalid_value", "filetype", 400},
		"another type":     {`{"filename":"a.png","filesize":5,"filetype":"image/png"}`, "invalid_value", "filetype", 400},
		"too large":        {`{"filename":"a.png","filesize":1001,"filetype":"image"}`, "file_too_large", "filesize", 413},
		"a document, too":  {`{"filename":"a.pdf","filesize":"3001","filetype":"file"}`, "file_too_large", "filesize", 413},
		"a long body":      {`{"filename":"` + strings.Repeat("a", 64<<10) + `"}`, "request_too_large", "", 413},
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, g.do(http.MethodPost, grantPath, test.body), test.status, test.code, test.param)
		})
	}
	t.Run("another method", func(t *testing.T) {
		mustRefuse(t, g.do(http.MethodGet, grantPath, ""), 405, "method_not_allowed", "")
	})
	t.Run("a form of a web page", func(t *testing.T) {
		r := g.do(http.MethodPost, grantPath, `{"filename":"a.png","filesize":5,"filetype":"image"}`, "Content-Type", "text/plain", "Origin", "https://example.com")
		mustRefuse(t, r, 415, "unsupported_media_type", "")
	})
	if n := g.requested(emulator.EndpointFileGrant); n > 0 {
		t.Errorf("the site was asked %d times", n)
	}
	t.Run("U15 the site refuses", func(t *testing.T) {
		g.site.Fail(emulator.EndpointFileGrant, emulator.Refusal("Bad_Request", "No."))
		r := g.do(http.MethodPost, grantPath, `{"filename":"a.png","filesize":5,"filetype":"image"}`)
		mustRefuse(t, r, 502, "upload_failed", "")
		if !strings.Contains(r.body, "upload grant") {
			t.Errorf("the stage is not named: %s", r.body)
		}
	})
	t.Run("a path in the name", func(t *testing.T) {
		if a := g.grant(`..\..\etc/passwd "x".png`, "image", 5); !strings.HasSuffix(a.Path, a.ID+`_passwd "x".png`) {
			t.Errorf("the path is %q", a.Path)
		}
	})
}

func TestGrantOff(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "sts_endpoint off"})
	mustRefuse(t, g.do(http.MethodPost, grantPath, `{"filename":"a.png","filesize":5,"filetype":"image"}`), 404, "unknown_url", "")
	if n := g.requested(emulator.EndpointFileGrant); n > 0 {
		t.Errorf("the site was asked %d times", n)
	}
	f := g.upload("a.png", "image/png", testPNG(1, 900)) // uploads go on
	g.discuss([]any{say("What is it?", fileOfID(f.ID))})
	g.mustShow(g.last().Files, testPNG(1, 900))
}

// A grant that nobody has used names no file of the site.
func TestGrantUnused(t *testing.T) {
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			a := g.grant("photo.png", "image", 900)
			r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", fileOfID(a.ID))}, fields))
			if r.status < 400 || r.code() == "" {
				t.Errorf("status %d: %s", r.status, tail(r.body))
			}
			if n := len(g.site.Completions()); n > 0 {
				t.Errorf("the model has answered %d times without the file", n)
			}
		})
	}
}

// A14: who has no key learns of the route for grants only that it needs one, and if it
// is switched off, that it is not there.
func TestGrantWithoutKey(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	ask := func(header ...string) reply {
		return g.do(http.MethodPost, grantPath, `{"filename":"a.png","filesize":5,"filetype":"image"}`, header...)
	}
	for _, header := range []string{"", "Bearer x" + testKey} {
		mustRefuse(t, ask("Authorization", header), 401, "invalid_api_key", "")
	}
	g.load(setup{qwen: "sts_endpoint off"})
	mustRefuse(t, ask(), 404, "unknown_url", "")
	mustRefuse(t, ask("Authorization", ""), 404, "unknown_url", "")
	if n := g.requested(emulator.EndpointFileGrant); n > 0 {
		t.Errorf("the site was asked %d times", n)
	}
}
