package caddyqwen

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// expanded is how large the bombs would become, at least.
const expanded = 256 << 20

// zipBomb is a document of Office that is small only while it is packed.
func zipBomb(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	for _, name := range []string{"[Content_Types].xml", "_rels/.rels", "word/document.xml"} {
		f, err := w.Create(name)
		if err == nil && strings.HasPrefix(name, "word/") {
			_, err = io.CopyN(f, &endless{text: strings.Repeat("\x00", 64<<10)}, expanded)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pixelBomb is an image whose header announces four gigabytes of pixels.
func pixelBomb() string {
	b := testPNG(1, 900)
	binary.BigEndian.PutUint32(b[16:], 1<<15)
	binary.BigEndian.PutUint32(b[20:], 1<<15)
	return string(b)
}

// laughs is an SVG whose entities multiply.
func laughs() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a0 "haha">`)
	for i := range 9 {
		n := string(rune('0' + i))
		b.WriteString(`<!ENTITY a` + string(rune('1'+i)) + ` "` + strings.Repeat("&a"+n+";", 10) + `">`)
	}
	return b.String() + `]><svg xmlns="http://www.w3.org/2000/svg"><text>&a9;</text></svg>`
}

// allocated is how much memory was ever taken.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestUploadBombs(t *testing.T) {
	g := mustGateway(t, setup{})
	script := `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(document.cookie)</script></svg>`
	for name, file := range map[string]field{
		"U10 an SVG with a script":    {file: "a.svg", kind: "image/svg+xml", value: script},
		"U10 an SVG without a name":   {file: "", kind: "image/svg+xml", value: script + " "},
		"U10 an SVG with entities":    {file: "laughs.svg", kind: "image/svg+xml", value: laughs()},
		"U10 a page with a script":    {file: "a.html", kind: "text/html", value: "<!doctype html><script>alert(1)</script>"},
		"U10 a zip bomb":              {file: "bomb.docx", value: zipBomb(t)},
		"U10 a pixel bomb":            {file: "bomb.png", kind: "image/png", value: pixelBomb()},
		"U10 an image that is a page": {file: "a.png", value: string(testPNG(9, 64)) + "<script>alert(1)</script>"},
	} {
		t.Run(name, func(t *testing.T) {
			file.name = "file"
			if file.file == "" {
				file.file = "x"
			}
			before := allocated()
			f := g.mustUpload(t, file)
			got := g.do(http.MethodGet, "/v1/files/"+f.ID+"/content", "")
			if took := allocated() - before; took > expanded/4 {
				t.Errorf("it took %d MiB of memory", took>>20)
			}
			if got.status != http.StatusOK || got.body != file.value {
				t.Errorf("status %d, %d bytes of %d", got.status, len(got.body), len(file.value))
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Content-Type": f.MIME, "Cache-Control": "private, no-store",
			} {
				if got.header.Get(header) != want {
					t.Errorf("%s: %q, want %q", header, got.header.Get(header), want)
				}
			}
			if how := got.header.Get("Content-Disposition"); !strings.HasPrefix(how, "attachment; filename") {
				t.Errorf("Content-Disposition: %q", how)
			}
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "sandbox") || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("Content-Security-Policy: %q", policy)
			}
		})
	}
	g.nothingLeft()
}
