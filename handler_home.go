package caddyqwen

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const documentationURL = "https://github.com/caddy-qwen/caddy-qwen"

// homeInfo is what programs are told at `/`.
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
	header.Add("Vary", "Accept, Accept-Language")
	if wantsHTML(r) {
		h.writeHome(w, r)
	} else {
		writeValue(w, describeHome(publicRoot(r)))
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
	return noShell.Replace((&url.URL{Path: strings.TrimRight(strings.TrimSuffix(prefix, rest), "/")}).EscapedPath())
}

// noShell escapes what a path may hold and a shell takes for a command: addresses on
// the page are made to be copied, not all of them within quotes.
var noShell = strings.NewReplacer("$", "%24", "&", "%26", ";", "%3B")
