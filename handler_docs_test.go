package caddyqwen

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/swaggest/swgui/v5/static"
)

var docsAddressPattern = regexp.MustCompile(` (?:href|src)="([^"]*)"`)

// TestDocsPage follows all addresses of the page, in each spelling of its own
// address, at the root and below a prefix, without a key.
func TestDocsPage(t *testing.T) {
	for _, prefix := range []string{"", "/ai/qwen"} {
		g := mustGateway(t, setup{prefix: prefix})
		for _, path := range []string{"/docs", "/docs/"} {
			t.Run(prefix+path, func(t *testing.T) {
				got := g.do(http.MethodGet, path, "", "Authorization", "")
				if got.status != http.StatusOK || strings.Contains(got.body, "{{") || strings.Contains(got.body, "://") {
					t.Fatalf("%d: %s", got.status, got.body)
				}
				checkDocsHeaders(t, got.header)
				if list := g.followAll(t, path, got.body); !slices.Equal(list, docsLoads()) {
					t.Errorf("the page uses %q, want %q", list, docsLoads())
				}
			})
		}
		g.stop()
	}
}

// docsLoads are the files that the page uses, from where it is.
func docsLoads() (list []string) {
	for name := range docsFiles {
		list = append(list, "/docs/"+name)
	}
	list = append(list, "/openapi.yaml")
	slices.Sort(list)
	return list
}

// followAll gets all that a page refers to, and returns the addresses.
func (g *gateway) followAll(t *testing.T, path, page string) (list []string) {
	t.Helper()
	from, err := url.Parse(g.url + path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range docsAddressPattern.FindAllStringSubmatch(page, -1) {
		to, err := from.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		target, below := strings.CutPrefix(to.String(), g.url)
		if got := g.do(http.MethodGet, target, "", "Authorization", ""); got.status != http.StatusOK || !below {
			t.Errorf("%s: %d %s", to, got.status, tail(got.body))
		}
		list = append(list, target)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func checkDocsHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache",
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestDocsFiles checks types, sizes, and that browsers need not load them twice.
func TestDocsFiles(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, path := range append(docsLoads(), "/docs", "/docs/") {
		t.Run(path, func(t *testing.T) {
			plain := g.do(http.MethodGet, path, "")
			tag := plain.header.Get("ETag")
			if plain.status != http.StatusOK || tag == "" || plain.header.Get("Cache-Control") != "no-cache" || plain.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %s", plain.status, plain.header)
			}
			if want, known := docsFiles[strings.TrimPrefix(path, docsPrefix)]; known && plain.header.Get("Content-Type") != want {
				t.Errorf("the type is %s, want %s", plain.header.Get("Content-Type"), want)
			}
			if again := g.do(http.MethodGet, path, "", "If-None-Match", tag); again.status != http.StatusNotModified || again.body != "" {
				t.Errorf("the same again: %d %q", again.status, tail(again.body))
			}
			if other := g.do(http.MethodGet, path, "", "If-None-Match", `"other"`); other.body != plain.body {
				t.Errorf("another tag: %d", other.status)
			}
			if head := g.do(http.MethodHead, path, ""); head.status != http.StatusOK || head.body != "" || head.header.Get("ETag") != tag {
				t.Errorf("HEAD: %d %s %q", head.status, head.header, head.body)
			}
			if part := g.do(http.MethodGet, path, "", "Range", "bytes=9999999-"); part.body != plain.body {
				t.Errorf("a range: %d", part.status)
			}
			packed := g.do(http.MethodGet, path, "", "Accept-Encoding", "br, gzip;q=0.5")
			if got := mustUnpack(t, packed); got != plain.body || packed.header.Get("Content-Encoding") != "" && packed.header.Get("ETag") == tag {
				t.Errorf("compressed: %d %s, %d bytes, and plain are %d", packed.status, packed.header, len(got), len(plain.body))
			}
			for _, accepted := range []string{"br", "gzip;q=0", "identity"} {
				if got := g.do(http.MethodGet, path, "", "Accept-Encoding", accepted); got.body != plain.body {
					t.Errorf("%s: %s", accepted, got.header)
				}
			}
			if post := g.do(http.MethodPost, path, ""); post.status != http.StatusMethodNotAllowed || post.header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("POST: %d %s", post.status, post.header)
			}
		})
	}
}

// mustUnpack returns the content of an answer.
func mustUnpack(t *testing.T, r reply) string {
	t.Helper()
	if r.header.Get("Content-Encoding") == "" {
		return r.body
	}
	if !slices.Contains(r.header.Values("Vary"), "Accept-Encoding") {
		t.Errorf("Vary: %q", r.header.Values("Vary"))
	}
	unpacked, err := gzip.NewReader(strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocsCompressed has Caddy compress the answers. What is compressed stays so.
func TestDocsCompressed(t *testing.T) {
	g := mustGateway(t, setup{site: "encode gzip"})
	for _, path := range []string{"/openapi.yaml", "/docs/docs.js", "/docs/swagger-ui.css"} {
		plain := g.do(http.MethodGet, path, "")
		got := g.do(http.MethodGet, path, "", "Accept-Encoding", "gzip")
		if mustUnpack(t, got) != plain.body {
			t.Errorf("%s: %d %s", path, got.status, got.header)
		}
	}
}

// TestDocsElse checks that nothing else below /docs is taken from the next handler.
func TestDocsElse(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, path := range []string{"/docs/index.html", "/docs/swagger-ui.js", "/docs/swagger-ui.css.gz", "/docs/../docs/x", "/docsx", "/docs%2F", "/docs/docs%2Ejs", "/openapi.json", "/openapi.yml"} {
		if got := g.do(http.MethodGet, path, ""); got.body != "next handler" {
			t.Errorf("%s: %d %s", path, got.status, tail(got.body))
		}
	}
}

// TestDocsTable checks that the files of the page, the table of routes and Swagger UI
// have the same names, so that nothing can fail that is in the program.
func TestDocsTable(t *testing.T) {
	var served []string
	for path := range routes {
		if name, below := strings.CutPrefix(path, docsPrefix); below && name != "" {
			served = append(served, name)
		}
	}
	slices.Sort(served)
	if want := slices.Sorted(maps.Keys(docsFiles)); !slices.Equal(served, want) {
		t.Errorf("there are routes for %q, and files %q", served, want)
	}
	for _, name := range served {
		if strings.HasPrefix(name, "docs.") {
			continue
		}
		plain, err := static.FS.ReadFile(name)
		packed, packedErr := static.FS.ReadFile(name + ".gz")
		if err != nil && (packedErr != nil || !bytes.HasPrefix(packed, []byte{0x1f, 0x8b})) || err == nil && len(plain) == 0 {
			t.Errorf("%s: %v, %v", name, err, packedErr)
		}
	}
}

// TestDocsSettings checks what must not be on: keys that outlive the page, and the
// badge of a validator elsewhere.
func TestDocsSettings(t *testing.T) {
	for _, want := range []string{"persistAuthorization: false", "validatorUrl: null"} {
		if !strings.Contains(string(docsScript), want) {
			t.Errorf("docs.js does not say %s", want)
		}
	}
}
