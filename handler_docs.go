package caddyqwen

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for the document and the page
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	"github.com/swaggest/swgui/v5/static"
)

// openAPI describes all routes in the format OpenAPI 3.1.
//
//go:embed openapi.yaml
var openAPI string

// openAPIServer is what stands in openAPI for the address of the server.
const openAPIServer = "url: http://127.0.0.1:8080\n"

// serveOpenAPI answers with the description of the API, in which the address is
// the one by which the client has called.
func serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	// Neither the host nor the escaped path can have anything that ends the quotation.
	text := strings.Replace(openAPI, openAPIServer, "url: \""+publicRoot(r)+"\"\n", 1)
	writeStatic(w, r, "application/yaml", []byte(text))
}

// docsPage is the page that shows openAPI, with {{names}} where addresses go.
//
//go:embed docs.html
var docsPage string

// Its own style sheet and script. Swagger UI needs none of them in the page itself,
// so that its policy need not allow that.
var (
	//go:embed docs.css
	docsStyle []byte
	//go:embed docs.js
	docsScript []byte
)

// docsPolicy lets the page load what is from this server and nothing else.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const docsPrefix = "/docs/"

// docsFiles are the files that the page needs, with their media types.
var docsFiles = map[string]string{
	"docs.css":             "text/css; charset=utf-8",
	"docs.js":              "text/javascript; charset=utf-8",
	"favicon-32x32.png":    "image/png",
	"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	"swagger-ui.css":       "text/css; charset=utf-8",
}

// serveDocs answers with the page, or with a file that it needs.
func serveDocs(w http.ResponseWriter, r *http.Request) {
	name, below := strings.CutPrefix(r.URL.Path, docsPrefix)
	switch {
	case !below:
		serveDocsPage(w, r, "docs/", "")
	case name == "":
		serveDocsPage(w, r, "", "../")
	case name == "docs.css":
		writeStatic(w, r, docsFiles[name], docsStyle)
	case name == "docs.js":
		writeStatic(w, r, docsFiles[name], docsScript)
	default:
		serveSwaggerUI(w, r, name)
	}
}

// serveDocsPage answers with the page. Its addresses are relative, so that they are
// right below any prefix and behind any proxy: here is where its files are, and up
// where the handler is.
func serveDocsPage(w http.ResponseWriter, r *http.Request, here, up string) {
	header := w.Header()
	header.Set("Content-Security-Policy", docsPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	page := strings.NewReplacer("{{here}}", here, "{{up}}", up).Replace(docsPage)
	writeStatic(w, r, "text/html; charset=utf-8", []byte(page))
}

// serveSwaggerUI answers with a file of Swagger UI. The large ones are in the
// program in compressed form, which browsers take as it is.
func serveSwaggerUI(w http.ResponseWriter, r *http.Request, name string) {
	content, err := static.FS.ReadFile(name)
	if err == nil {
		writeStatic(w, r, docsFiles[name], content)
		return
	}
	// Of files in the program itself, neither reading nor unpacking fails.
	content, _ = static.FS.ReadFile(name + ".gz")
	vary(w.Header(), "Accept-Encoding")
	if slices.Contains(encode.AcceptedEncodings(r, []string{"gzip"}), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
	} else if packed, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
		content, _ = io.ReadAll(packed)
	}
	writeStatic(w, r, docsFiles[name], content)
}

// writeStatic answers with what is in the program. Browsers keep it and ask each
// time whether it is still the same, because another version of the program may
// answer the next time.
func writeStatic(w http.ResponseWriter, r *http.Request, kind string, content []byte) {
	sum := sha256.Sum256(content)
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	header.Set("X-Content-Type-Options", "nosniff")
	whole := r.Clone(r.Context())
	whole.Header.Del("Range") // a wrong one would be answered in another form than all errors
	http.ServeContent(w, whole, "", time.Time{}, bytes.NewReader(content))
}
