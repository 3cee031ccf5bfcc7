package caddyqwen

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
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
		case n.Type == html.TextNode && n.Parent.Data != "style":
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
	if !slices.Contains(h.Values("Vary"), "Accept") {
		t.Errorf("Vary: %q", h.Values("Vary"))
	}
}

func TestHomePage(t *testing.T) {
	site := &modelSite{fails: true}
	h := mustModelHandler(t, site, nil)
	w := serve(t, h, homeRequest("qwen.example.com", browserAccept))
	page := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	checkHomeHeaders(t, w.Header())
	if strings.Contains(page, "{{") || !strings.HasPrefix(page, "<!doctype html>") {
		t.Errorf("not filled in: %s", page)
	}
	_, links, text := mustParsePage(t, page)
	for _, want := range []string{"http://qwen.example.com/v1", "curl 'http://qwen.example.com/v1/chat/completions'", `{"model":"qwen",`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %q", want, text)
		}
	}
	root := "http://qwen.example.com"
	if want := []string{root + "/v1/models", root + "/v1/models", root + "/health", root + "/docs", documentationURL}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
	if n := site.calls.Load(); n != 0 {
		t.Errorf("%d calls of the site, want none", n)
	}
	for _, secret := range []string{testToken, testCookie} {
		if strings.Contains(page, secret) {
			t.Errorf("the page contains %q", secret)
		}
	}
}

// The page asks for nothing from elsewhere, and the policy would not let it.
func TestHomePagePolicy(t *testing.T) {
	h := mustModelHandler(t, &modelSite{}, nil)
	w := serve(t, h, homeRequest("qwen.example.com", browserAccept))
	page := w.Body.String()
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("no style sheet")
	}
	sum := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := w.Header().Values("Content-Security-Policy"); !slices.Equal(got, []string{want}) {
		t.Errorf("got %q, want %q", got, want)
	}
	if found := regexp.MustCompile(`(?i)<script|<img|<link|<iframe|<form| style=| src=| on\w+=|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(style[1], "prefers-color-scheme: dark") || !strings.Contains(page, `name="viewport"`) {
		t.Error("the page is not made for dark mode and phones")
	}
}

func TestHomeStates(t *testing.T) {
	tests := []struct {
		name           string
		state          homeState
		want, mustMiss []string
	}{
		{"generated key", homeState{HasCredential: true, Auth: authKeys, GeneratedKey: true, PublicModels: true},
			[]string{"Configured.", "that this server has made", "Run caddy qwen key on the server", "Authorization: Bearer KEY"},
			[]string{"(not public)", "--user", "QWEN_COOKIES"}},
		{"configured key", homeState{HasCredential: true, Auth: authKeys},
			[]string{"from the server’s configuration", "One of the configured keys", "Authorization: Bearer KEY", "(not public)"},
			[]string{"caddy qwen key", "--user"}},
		{"no credential", homeState{Auth: authKeys, PublicModels: true},
			[]string{"None is configured", "QWEN_COOKIES or QWEN_AUTH_TOKEN"}, []string{"Configured. "}},
		{"Caddy's users", homeState{HasCredential: true, Auth: authCaddy, PublicModels: true},
			[]string{"For users of this server", "--user '"}, []string{"Bearer", "caddy qwen key"}},
		{"open", homeState{HasCredential: true, Auth: authOff},
			[]string{"Open to everybody", "None is needed"}, []string{"Bearer", "--user", "(not public)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := tt.state.page("https://qwen.example.com")
			_, _, text := mustParsePage(t, page)
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in %q", want, text)
				}
			}
			for _, miss := range tt.mustMiss {
				if strings.Contains(text, miss) {
					t.Errorf("%q is in %q", miss, text)
				}
			}
			if strings.Contains(page, "{{") {
				t.Errorf("not filled in: %s", page)
			}
		})
	}
}

// The dots tell what needs attention, by a class of their own.
func TestHomeStateClasses(t *testing.T) {
	tests := []struct {
		name            string
		state           homeState
		account, access string
	}{
		{"all well", homeState{HasCredential: true, Auth: authKeys}, "good", "good"},
		{"users", homeState{HasCredential: true, Auth: authCaddy}, "good", "good"},
		{"no credential", homeState{Auth: authKeys, GeneratedKey: true}, "bad", "good"},
		{"open", homeState{HasCredential: true, Auth: authOff}, "good", "bad"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			classes := regexp.MustCompile(`<dd class="(\w+)">`).FindAllStringSubmatch(tt.state.page("http://x"), -1)
			if len(classes) != 2 || classes[0][1] != tt.account || classes[1][1] != tt.access {
				t.Errorf("got %v, want %s and %s", classes, tt.account, tt.access)
			}
		})
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

// Whatever the host and the prefix are, the page has the same elements and
// attributes, and the command the same two quotes around the address.
func FuzzHomePage(f *testing.F) {
	f.Add("qwen.example.com", "/qwen/")
	f.Add(`x"><script>alert(1)</script>`, `/"onmouseover="alert(1)/`)
	f.Add("x'; id; '", "/'; id; '/")
	f.Add("{{key}}", "/{{root}}{{curl_auth}}/")
	f.Add("[::1]:80", "/&quot;/&#39;/é/\xff/\x00/")
	state := homeState{HasCredential: true, Auth: authKeys}
	want, _, _ := mustParsePage(f, state.page("http://qwen.example.com"))
	f.Fuzz(func(t *testing.T, host, prefix string) {
		root := publicRoot(mounted(homeRequest(host, browserAccept), prefix))
		page := state.page(root)
		got, links, text := mustParsePage(t, page)
		if !slices.Equal(got, want) || strings.Contains(page, "{{") {
			t.Fatalf("host %q and prefix %q change the page: %s", host, prefix, page)
		}
		if links[0] != root+"/v1/models" || !strings.Contains(text, "curl '"+root+"/v1/chat/completions' \\ -H") {
			t.Errorf("links %q, text %q", links, text)
		}
		if strings.ContainsAny(root, "'\"\\<> \n") || !strings.HasPrefix(root, "http://") {
			t.Errorf("address %q", root)
		}
	})
}

func TestHealth(t *testing.T) {
	site := &modelSite{fails: true}
	h := mustModelHandler(t, site, nil)
	for range 1000 {
		w := serve(t, h, httptest.NewRequest(http.MethodGet, "/health", nil))
		if w.Code != http.StatusOK || w.Body.String() != `{"status":"ok"}` {
			t.Fatalf("A15: %d %s", w.Code, w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("A15: %v", w.Header())
		}
	}
	if n := site.calls.Load(); n != 0 {
		t.Errorf("A16: %d calls of the site, want none", n)
	}
}

// Below a prefix and without a key, with Caddy in front.
func TestHomeBelowPrefix(t *testing.T) {
	g := mustGateway(t, setup{prefix: "/ai/qwen"})
	page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept)
	if page.status != http.StatusOK {
		t.Fatalf("A15: %d %s", page.status, page.body)
	}
	_, links, _ := mustParsePage(t, page.body)
	for _, link := range links[:4] {
		path, below := strings.CutPrefix(link, g.url)
		if answer := g.do(http.MethodGet, path, "", "Authorization", ""); !below || answer.status != http.StatusOK {
			t.Errorf("link %q: %d %s", link, answer.status, answer.body)
		}
	}
	var info homeInfo
	if err := json.Unmarshal([]byte(g.do(http.MethodGet, "/", "", "Authorization", "").body), &info); err != nil {
		t.Fatal(err)
	}
	if info.BaseURL != g.url+"/v1" {
		t.Errorf("base_url %q, want %q", info.BaseURL, g.url+"/v1")
	}
	for _, secret := range []string{testKey, testToken, testCookie} {
		if strings.Contains(page.body, secret) {
			t.Errorf("the page contains %q", secret)
		}
	}
}
