package caddyqwen

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/html"
)

// What a browser sends.
const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

// homeRequest is a request for `/` as it reaches the handler.
func homeRequest(host, accept string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return r
}

// mounted is the request after `handle_path` has taken off a prefix.
func mounted(r *http.Request, originalPath string) *http.Request {
	original := http.Request{URL: &url.URL{Path: originalPath}}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
}

// behindProxy is a request from a proxy with these headers.
func behindProxy(r *http.Request, trusted bool, proto string) *http.Request {
	r.Header.Set("X-Forwarded-Proto", proto)
	vars := map[string]any{caddyhttp.TrustedProxyVarKey: trusted}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}

func withTLS(r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{}
	return r
}

// mustParsePage returns all elements of a page in order, the destinations of its
// links, and its text with white space folded.
func mustParsePage(t testing.TB, page string) (elements, links []string, text string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for n := range doc.Descendants() {
		switch {
		case n.Type == html.ElementNode:
			elements = append(elements, n.Data)
			for _, attr := range n.Attr {
				elements = append(elements, attr.Key)
				if attr.Key == "href" {
					links = append(links, attr.Val)
				}
			}
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script":
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return elements, links, strings.Join(words, " ")
}

func TestHomeJSON(t *testing.T) {
	h := mustModelHandler(t, &modelSite{fails: true}, nil)
	for _, accept := range []string{"", "*/*", "application/json", "application/json, text/plain, */*"} {
		t.Run("Accept "+accept, func(t *testing.T) {
			w := serve(t, h, homeRequest("qwen.example.com", accept))
			want := `{"name":"caddy-qwen","description":"The owner's account on chat.qwen.ai as an OpenAI-compatible API.",` +
				`"base_url":"http://qwen.example.com/v1","endpoints":[` +
				`{"method":"POST","url":"http://qwen.example.com/v1/chat/completions","description":"Chat, at once or as a stream."},` +
				`{"method":"POST","url":"http://qwen.example.com/v1/image/upload_and_chat","description":"An image and a question about it, as a form."},` +
				`{"method":"POST","url":"http://qwen.example.com/v1/video/upload_and_chat","description":"A video and a question about it, as a form."},` +
				`{"method":"POST","url":"http://qwen.example.com/v1/files","description":"Upload a file, as a form."},` +
				`{"method":"GET","url":"http://qwen.example.com/v1/files","description":"The files."},` +
				`{"method":"GET","url":"http://qwen.example.com/v1/models","description":"The models."},` +
				`{"method":"GET","url":"http://qwen.example.com/v1/models/{id}","description":"One model."},` +
				`{"method":"GET","url":"http://qwen.example.com/health","description":"Whether the server runs."},` +
				`{"method":"GET","url":"http://qwen.example.com/docs","description":"All addresses, to try them in a browser."},` +
				`{"method":"GET","url":"http://qwen.example.com/openapi.yaml","description":"The same for programs, in the format OpenAPI 3.1."}],` +
				`"documentation":"https://github.com/caddy-qwen/caddy-qwen"}`
			if got := w.Body.String(); w.Code != http.StatusOK || got != want || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s\ngot  %s\nwant %s", w.Code, w.Header(), got, want)
			}
			checkHomeHeaders(t, w.Header())
		})
	}
}

func checkHomeHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(h.Values("Vary"), ", "); got != "Accept, Accept-Language" {
		t.Errorf("Vary: %q", got)
	}
}

func TestPublicRoot(t *testing.T) {
	const host = "qwen.example.com"
	plain := func(host string) *http.Request { return homeRequest(host, "") }
	below := func(original, path string) *http.Request {
		r := mounted(plain(host), original)
		r.URL.Path = path
		return r
	}
	tests := []struct {
		name string
		r    *http.Request
		want string
	}{
		{"plain", plain(host), "http://qwen.example.com"},
		{"port", plain("127.0.0.1:8080"), "http://127.0.0.1:8080"},
		{"IPv6", plain("[2001:db8::1]:8443"), "http://[2001:db8::1]:8443"},
		{"TLS", withTLS(plain(host)), "https://qwen.example.com"},
		{"no host", plain(""), "http://localhost"},
		{"trusted proxy with TLS", behindProxy(plain(host), true, "https"), "https://qwen.example.com"},
		{"trusted proxy without TLS", behindProxy(plain(host), true, "http"), "http://qwen.example.com"},
		{"odd scheme of a trusted proxy", behindProxy(plain(host), true, "javascript"), "http://qwen.example.com"},
		{"any other client", behindProxy(plain(host), false, "https"), "http://qwen.example.com"},
		{"at the root", mounted(plain(host), "/"), "http://qwen.example.com"},
		{"prefix", mounted(plain(host), "/qwen/"), "http://qwen.example.com/qwen"},
		{"prefix without slash", mounted(plain(host), "/qwen"), "http://qwen.example.com/qwen"},
		{"longer prefix", mounted(withTLS(plain(host)), "/ai/qwen/"), "https://qwen.example.com/ai/qwen"},
		{"another path", below("/docs", "/docs"), "http://qwen.example.com"},
		{"another path below a prefix", below("/qwen/docs", "/docs"), "http://qwen.example.com/qwen"},
		{"another path with a slash", below("/qwen/docs/", "/docs/"), "http://qwen.example.com/qwen"},
		{"another path that was replaced", below("/help", "/docs"), "http://qwen.example.com"},
		{"prefix for a shell", mounted(plain(host), "/a;b&c$HOME$(id)/"), "http://qwen.example.com/a%3Bb%26c%24HOME%24%28id%29"},
		{"prefix to escape", mounted(plain(host), `/a'"<b>%{{key}} é/`), "http://qwen.example.com/a%27%22%3Cb%3E%25%7B%7Bkey%7D%7D%20%C3%A9"},
		{"hostile host: HTML", plain(`x"><script>alert(1)</script>`), "http://localhost"},
		{"hostile host: shell", plain(`x'; rm -rf ~; '`), "http://localhost"},
		{"hostile host: command", plain("$(id).example.com"), "http://localhost"},
		{"hostile host: user", plain("good.example@evil.example"), "http://localhost"},
		{"hostile host: path", plain("evil.example/x?"), "http://localhost"},
		{"hostile host: template", plain("{{key}}"), "http://localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := publicRoot(tt.r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
