package caddyqwen

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// testPNG returns something that passes for an image, of a size of at least 64
// bytes, different for each seed.
func testPNG(seed uint64, size int) []byte {
	return testFile("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x02\x00\x00\x00", seed, size)
}

// testMP4 is testPNG for a video.
func testMP4(seed uint64, size int) []byte {
	return testFile("\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\x00\x00\x00\x08free", seed, size)
}

// testFile returns a file that begins with a head and goes on at random.
func testFile(head string, seed uint64, size int) []byte {
	b := make([]byte, size)
	n := copy(b, head)
	random := rand.New(rand.NewPCG(seed, uint64(size)))
	for i := n; i < len(b); i++ {
		b[i] = byte(random.Uint32())
	}
	return b
}

// field is a field of a form. One with a file name is a file.
type field struct {
	name, value string
	file        string // its name
	kind        string // its media type, or empty
}

// mustForm writes a form as browsers do.
func mustForm(t testing.TB, fields ...field) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		escape := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A")
		disposition := `form-data; name="` + escape.Replace(f.name) + `"`
		if f.file != "" {
			disposition += `; filename="` + escape.Replace(f.file) + `"`
		}
		header := textproto.MIMEHeader{"Content-Disposition": {disposition}}
		if f.kind != "" {
			header.Set("Content-Type", f.kind)
		}
		part, err := w.CreatePart(header)
		if err == nil {
			_, err = io.WriteString(part, f.value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// form posts a form.
func (g *gateway) form(path string, fields ...field) reply {
	g.t.Helper()
	kind, body := mustForm(g.t, fields...)
	return g.do(http.MethodPost, path, string(body), "Content-Type", kind)
}

// filesGone waits until nothing is left of any upload: no parts in the storage,
// no temporary file here.
func (g *gateway) filesGone() {
	g.t.Helper()
	eventually(g.t, "no upload is open in the storage", func() bool { return g.site.Storage().OpenUploads() == 0 })
	eventually(g.t, "no temporary file is open", func() bool { return len(spooled()) == 0 })
	left, err := os.ReadDir(filepath.Join(caddy.AppDataDir(), "qwen", "spool"))
	if err != nil && !os.IsNotExist(err) {
		g.t.Error(err)
	}
	for _, entry := range left {
		g.t.Errorf("the temporary file %s is left", entry.Name())
	}
}

// formRequest makes a request with a form for a context.
func (g *gateway) formRequest(ctx context.Context, path string, fields ...field) *http.Request {
	g.t.Helper()
	kind, body := mustForm(g.t, fields...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+testKey)
	return r
}
