package caddyqwen

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"

	"github.com/caddy-qwen/caddy-qwen/internal/fetch"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// route is one of the handler's paths.
type route struct {
	methods string // separated by commas; GET includes HEAD
	public  func(*Handler) bool
	serve   func(*Handler, http.ResponseWriter, *http.Request, caller)
}

var routes = map[string]route{
	"/":                    {http.MethodGet, always, func(h *Handler, w http.ResponseWriter, r *http.Request, _ caller) { h.serveHome(w, r) }},
	"/health":              {http.MethodGet, always, func(h *Handler, w http.ResponseWriter, r *http.Request, _ caller) { h.serveHealth(w, r) }},
	"/v1/models":           {http.MethodGet, (*Handler).publicModels, func(h *Handler, w http.ResponseWriter, r *http.Request, _ caller) { h.serveModels(w, r) }},
	"/v1/models/{id}":      {http.MethodGet, (*Handler).publicModels, func(h *Handler, w http.ResponseWriter, r *http.Request, _ caller) { h.serveModel(w, r, modelID(r)) }},
	"/v1/chat/completions": {http.MethodPost, never, (*Handler).serveChat},
	"/v1/chats/{id}":       {http.MethodDelete, never, (*Handler).serveDeleteChat},

	"/v1/chat/multimodal":       {http.MethodPost, never, (*Handler).serveChat},
	"/v1/image/upload_and_chat": {http.MethodPost, never, (*Handler).serveImageChat},
	"/v1/video/upload_and_chat": {http.MethodPost, never, (*Handler).serveVideoChat},
	"/v1/files":                 {"GET, POST", never, (*Handler).serveFiles},
	"/v1/files/upload":          {http.MethodPost, never, (*Handler).serveUpload},
	"/v1/files/{id}":            {"GET, DELETE", never, (*Handler).serveFile},
	"/v1/files/{id}/content":    {http.MethodGet, never, (*Handler).serveFileContent},
	"/v2/files/getstsToken":     {http.MethodPost, (*Handler).grantsOff, (*Handler).serveGrant},

	"/openapi.yaml":              {http.MethodGet, always, func(_ *Handler, w http.ResponseWriter, r *http.Request, _ caller) { serveOpenAPI(w, r) }},
	"/docs":                      docsRoute,
	"/docs/":                     docsRoute,
	"/docs/docs.css":             docsRoute,
	"/docs/docs.js":              docsRoute,
	"/docs/favicon-32x32.png":    docsRoute,
	"/docs/swagger-ui-bundle.js": docsRoute,
	"/docs/swagger-ui.css":       docsRoute,
}

// docsRoute is the route of the page at /docs and of the files that it needs.
// Everything else below is the next handler's.
var docsRoute = route{http.MethodGet, always, func(_ *Handler, w http.ResponseWriter, r *http.Request, _ caller) { serveDocs(w, r) }}

func always(*Handler) bool { return true }
func never(*Handler) bool  { return false }

// grantsOff reports whether there is no route for grants, which nobody needs a key to
// be told.
func (h *Handler) grantsOff() bool { return !h.stsEndpoint() }

const modelsPrefix = "/v1/models/"

// modelID returns the model that a path names. Names may contain slashes.
func modelID(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, modelsPrefix) }

// match finds the route of a path, and its pattern, which is empty if there is
// none. It reports whether the path is the handler's at all: those below /v1 are,
// known or not. Only the plain spelling of a path counts, so that no check before
// this handler can be got around with another.
func match(r *http.Request) (rt route, pattern string, ours bool) {
	path := r.URL.Path
	rt, known := routes[path]
	if !known {
		if pattern = patternOf(path); pattern != "" {
			return routes[pattern], pattern, true
		}
	}
	if known = known && r.URL.EscapedPath() == path; known {
		pattern = path
	}
	return rt, pattern, known || path == "/v1" || strings.HasPrefix(path, "/v1/")
}

// patternOf returns the pattern of a path that ends in an id, or is below one.
func patternOf(path string) string {
	for _, prefix := range []string{modelsPrefix, chatsPrefix, filesPrefix} {
		id, found := strings.CutPrefix(path, prefix)
		if !found || id == "" {
			continue
		}
		if before, below := strings.CutSuffix(id, contentSuffix); below && prefix == filesPrefix && before != "" {
			return prefix + "{id}" + contentSuffix
		}
		return prefix + "{id}"
	}
	return ""
}

// ServeHTTP answers the handler's own paths and passes on all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt, pattern, ours := match(r)
	if !ours {
		return next.ServeHTTP(w, r)
	}
	r = withRequestID(w, r)
	m := measure(w, r, cmp.Or(pattern, otherRoute))
	defer m.end()
	h.answer(m, r, rt, pattern != "")
	m.info.returned = true
	return nil
}

// answer answers a request for one of the handler's own paths.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, rt route, known bool) {
	h.cors.apply(w, r)
	allow := allowed(rt.methods)
	if r.Method == http.MethodOptions {
		h.cors.preflight(w, r, allow)
		return
	}
	who, err := h.callers.identify(r)
	infoOf(r.Context()).caller = who.name
	if err != nil && !(known && rt.public(h)) {
		h.writeError(w, r, err)
		return
	}
	switch {
	case fetch.IsMarked(r.Header):
		h.writeError(w, r, &fetch.Error{Kind: fetch.KindBlocked})
	case !known:
		h.writeError(w, r, errUnknownURL)
	case !rt.takes(r.Method):
		w.Header().Set("Allow", allow)
		h.writeError(w, r, errMethod(allow))
	default:
		h.serve(rt, w, r, who)
	}
}

// takes reports whether a request of the method is for this route.
func (rt route) takes(method string) bool {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return slices.Contains(strings.Split(rt.methods, ", "), method)
}

// allowed returns the value of the header Allow.
func allowed(methods string) string {
	if methods == "" {
		return "OPTIONS"
	}
	return strings.Replace(methods, "GET", "GET, HEAD", 1) + ", OPTIONS"
}

var errUnknownURL = &openai.Error{Status: http.StatusNotFound, Code: "unknown_url",
	Message: "There is nothing at this address. The base URL of the API ends with /v1, and chat completions are at /v1/chat/completions."}

func errMethod(allow string) error {
	return &openai.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "This address does not take this method. It takes: " + allow + "."}
}

// requestInfo is what the log and the metrics tell about a request.
type requestInfo struct {
	id     string
	caller string // name of the caller, once known
	facts
}

// requestInfoKey is the key of the requestInfo in a request's context.
type requestInfoKey struct{}

// withRequestID gives a request the id that the client chose, if it is a plain
// one, or a new one, and puts it into the answer.
func withRequestID(w http.ResponseWriter, r *http.Request) *http.Request {
	id := r.Header.Get("X-Request-Id")
	if !plainID(id) {
		id = "req_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	w.Header().Set("X-Request-Id", id)
	return r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, &requestInfo{id: id}))
}

// infoOf returns what the log and the metrics tell about a request. What goes on
// without one has nothing to tell.
func infoOf(ctx context.Context) *requestInfo {
	if info, ok := ctx.Value(requestInfoKey{}).(*requestInfo); ok {
		return info
	}
	return new(requestInfo)
}

// plainID reports whether an id can go into logs and headers as it is.
func plainID(id string) bool {
	for _, c := range []byte(id) {
		if !isAlphanumeric(c) && strings.IndexByte("._:-", c) < 0 {
			return false
		}
	}
	return id != "" && len(id) <= 128
}
