package caddyqwen

import (
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// homePage is the page for browsers, with {{names}} where values go.
//
//go:embed home.html
var homePage string

const documentationURL = "https://github.com/caddy-qwen/caddy-qwen"

// homeState is what the page tells about the configuration. It holds nothing
// that strangers must not know.
type homeState struct {
	HasCredential bool   // there is something to log in to the site with
	Auth          string // authKeys, authCaddy or authOff
	GeneratedKey  bool   // with authKeys: the key is the one that was made here
	PublicModels  bool   // the list of models can be read without a key or a login
}

// homeInfo is the same for programs.
type homeInfo struct {
	Name          string         `json:"name"`
	Description   string         `json:"description"`
	BaseURL       string         `json:"base_url"`
	Endpoints     []homeEndpoint `json:"endpoints"`
	Documentation string         `json:"documentation"`
}

type homeEndpoint struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	Description string `json:"description"`
}

// serveHome answers with a page that tells how to connect a client, or with the
// addresses as JSON if the client does not ask for HTML.
func (h *Handler) serveHome(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept")
	if root := publicRoot(r); wantsHTML(r) {
		writePage(w, h.homeState().page(root))
	} else {
		writeValue(w, describeHome(root))
	}
}

func describeHome(root string) homeInfo {
	return homeInfo{
		Name:        "caddy-qwen",
		Description: "The owner's account on chat.qwen.ai as an OpenAI-compatible API.",
		BaseURL:     root + "/v1",
		Endpoints: []homeEndpoint{
			{http.MethodPost, root + "/v1/chat/completions", "Chat, at once or as a stream."},
			{http.MethodPost, root + "/v1/image/upload_and_chat", "An image and a question about it, as a form."},
			{http.MethodPost, root + "/v1/video/upload_and_chat", "A video and a question about it, as a form."},
			{http.MethodPost, root + "/v1/files", "Upload a file, as a form."},
			{http.MethodGet, root + "/v1/files", "The files."},
			{http.MethodGet, root + "/v1/models", "The models."},
			{http.MethodGet, root + "/v1/models/{id}", "One model."},
			{http.MethodGet, root + "/health", "Whether the server runs."},
			{http.MethodGet, root + "/docs", "All addresses, to try them in a browser."},
			{http.MethodGet, root + "/openapi.yaml", "The same for programs, in the format OpenAPI 3.1."},
		},
		Documentation: documentationURL,
	}
}

// wantsHTML reports whether a browser asks. Programs send `*/*`, `application/json`
// or nothing.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header["Accept"], ",")), "text/html")
}

// writePage writes HTML that may use nothing but its own style sheet.
func writePage(w http.ResponseWriter, page string) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash()+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(page)) // a client that has gone away is nobody to tell
}

// styleHash returns the hash of the page's style sheet as browsers compute it:
// over all between the tags, white space included.
func styleHash() string {
	_, rest, _ := strings.Cut(homePage, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page fills in the page. The root is the only value that comes from the
// request. The replacer looks at each place once, so that no value can bring in
// another.
func (s homeState) page(root string) string {
	accountClass, account := s.account()
	accessClass, access, key, curlAuth := s.access()
	modelsNote := ""
	if !s.PublicModels && s.Auth != authOff {
		modelsNote = " (not public)"
	}
	return strings.NewReplacer(
		"{{root}}", html.EscapeString(root),
		"{{account_class}}", accountClass, "{{account}}", account,
		"{{access_class}}", accessClass, "{{access}}", access,
		"{{key}}", key, "{{curl_auth}}", curlAuth,
		"{{models_note}}", modelsNote,
		"{{documentation}}", documentationURL,
	).Replace(homePage)
}

// account returns the class and the HTML of what the page says about the
// account.
func (s homeState) account() (class, text string) {
	if s.HasCredential {
		return "good", "Configured. The first chat shows whether the site accepts it."
	}
	return "bad", "None is configured, so chats are refused. Set <code>QWEN_COOKIES</code> or" +
		" <code>QWEN_AUTH_TOKEN</code> on the server, or write an <code>account</code> block, and restart."
}

// access returns the class and the HTML of what the page says about who may use
// the account, how to get a key, and how curl presents it.
func (s homeState) access() (class, text, key, curlAuth string) {
	const bearer = "-H 'Authorization: Bearer <b>KEY</b>' \\\n  "
	switch {
	case s.Auth == authOff:
		return "bad", "Open to everybody who can reach this address.", "None is needed. Clients that insist take any text.", ""
	case s.Auth == authCaddy:
		return "good", "For users of this server. Caddy checks who they are.",
			"None. Log in as on the rest of this server.", "--user '<b>NAME</b>' \\\n  "
	case s.GeneratedKey:
		return "good", "With the API key that this server has made.",
			"Run <code>caddy qwen key</code> on the server to see it.", bearer
	}
	return "good", "With an API key from the server’s configuration.", "One of the configured keys. The owner knows them.", bearer
}

// publicRoot returns the address of the handler as the client sees it, without
// a slash at its end.
func publicRoot(r *http.Request) string {
	return clientScheme(r) + "://" + clientHost(r) + mountPath(r)
}

// clientScheme returns the scheme that the client used. Only a proxy that is
// trusted in Caddy's configuration may say so itself.
func clientScheme(r *http.Request) string {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if r.TLS != nil || trusted && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// clientHost returns the Host header, unless it has characters that are not
// those of a host and a port: the page shows it as part of a shell command.
func clientHost(r *http.Request) string {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-_:[]", c))
	}
	if r.Host == "" || strings.ContainsFunc(r.Host, odd) {
		return "localhost"
	}
	return r.Host
}

// mountPath returns what `handle_path` and the like have taken off the path in
// front of the handler's own, escaped.
func mountPath(r *http.Request) string {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return ""
	}
	prefix, rest := strings.TrimRight(original.URL.Path, "/"), strings.TrimRight(r.URL.Path, "/")
	if !strings.HasSuffix(prefix, rest) {
		return "" // the path was not cut but replaced
	}
	// Not the spelling of the request, which may have quotes in it.
	return (&url.URL{Path: strings.TrimRight(strings.TrimSuffix(prefix, rest), "/")}).EscapedPath()
}
