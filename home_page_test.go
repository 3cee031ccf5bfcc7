package caddyqwen

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// testHome is what a page could tell.
func testHome(root string) homeState {
	return homeState{
		Root: root, Access: authKeys, PublicModels: true, Documentation: documentationURL,
		Accounts: []homeAccount{{State: "OK", Class: "good"}}, Models: []homeModel{{"qwen3.7-plus", "images"}},
	}
}

// mustRender returns the page in a language.
func mustRender(t testing.TB, s homeState, in tongue) string {
	t.Helper()
	var page bytes.Buffer
	must(t, homePages[in].Execute(&page, s))
	return page.String()
}

func TestHomePage(t *testing.T) {
	site := &modelSite{fails: true}
	h := mustModelHandler(t, site, nil)
	w := serve(t, h, homeRequest("qwen.example.com", browserAccept))
	page := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Content-Language") != "en" {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	checkHomeHeaders(t, w.Header())
	if strings.Contains(page, "{{") || strings.Contains(page, "ZgotmplZ") || !strings.HasPrefix(page, "<!doctype html>") {
		t.Errorf("not filled in: %s", page)
	}
	_, links, text := mustParsePage(t, page)
	for _, want := range []string{"http://qwen.example.com/v1", "curl 'http://qwen.example.com/v1/chat/completions'", `{"model":"qwen",`, "Not checked yet"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %q", want, text)
		}
	}
	root := "http://qwen.example.com"
	if want := []string{root + "/v1/models", root + "/docs", root + "/openapi.yaml", root + "/health", documentationURL}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
	if n := site.calls.Load(); n != 0 {
		t.Errorf("A15: %d calls of the site, want none", n)
	}
	for _, secret := range []string{testToken, testCookie, defaultLabel} {
		if strings.Contains(page, secret) {
			t.Errorf("the page contains %q", secret)
		}
	}
}

// The page asks for nothing from elsewhere, and the policy would not let it. A browser
// takes no other style sheet and script than those whose hashes it names.
func TestHomePagePolicy(t *testing.T) {
	h := mustModelHandler(t, &modelSite{}, nil)
	for _, accepted := range []string{"en", "zh"} {
		r := homeRequest("qwen.example.com", browserAccept)
		r.Header.Set("Accept-Language", accepted)
		w := serve(t, h, r)
		page := w.Body.String()
		want := fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			hashOfElement(t, page, "script"), hashOfElement(t, page, "style"))
		if got := w.Header().Values("Content-Security-Policy"); !slices.Equal(got, []string{want}) {
			t.Errorf("got %q, want %q", got, want)
		}
		if found := regexp.MustCompile(`<img|<link|<iframe|<form| style=| src=| on\w+="|@import|url\(|import\(|fetch\(`).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
		if !strings.Contains(page, "prefers-color-scheme: dark") || !strings.Contains(page, `name="viewport"`) {
			t.Error("the page is not made for dark mode and phones")
		}
	}
}

// hashOfElement returns the hash, as a browser computes it, of the only element of a
// kind.
func hashOfElement(t *testing.T, page, element string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	must(t, err)
	var texts []string
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == element {
			texts = append(texts, n.FirstChild.Data)
		}
	}
	if len(texts) != 1 {
		t.Fatalf("%d elements %s", len(texts), element)
	}
	sum := sha256.Sum256([]byte(texts[0]))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestHomeLanguages(t *testing.T) {
	h := mustModelHandler(t, &modelSite{}, nil)
	for accepted, want := range map[string]string{
		"": "en", "en": "en", "en-GB,en;q=0.9": "en", "de": "en", "*": "en", "zh": "zh-Hans", "zh-CN,zh;q=0.9,en;q=0.8": "zh-Hans", "zh-TW": "zh-Hans", "zh-Hant-HK": "zh-Hans",
		"en;q=0.5, zh;q=0.8": "zh-Hans", "zh;q=0.1, en;q=0.2": "en", "de, zh;q=0.5": "zh-Hans", "de, en;q=0.9, zh;q=0.5": "en", "zh;q=0, en": "en", "zh;q=0": "en",
		"ZH-cn": "zh-Hans", "zh_CN": "zh-Hans", ";;;": "en", "zh;q=x": "en", "\xff": "en", strings.Repeat("zh-", 1500) + "zh": "en",
	} {
		r := homeRequest("qwen.example.com", browserAccept)
		if accepted != "" {
			r.Header.Set("Accept-Language", accepted)
		}
		w := serve(t, h, r)
		if got := w.Header().Get("Content-Language"); got != want || !strings.Contains(w.Body.String(), `<html lang="`+want+`">`) {
			t.Errorf("%.40q: %s, want %s", accepted, got, want)
		}
	}
}

// Both pages have the same elements, addresses and settings, whatever they tell.
func TestHomeSameInBothLanguages(t *testing.T) {
	settings := func(page string) (list []string) {
		for _, m := range regexp.MustCompile(`(?s)class="value"[^>]*>(.*?)</(?:code|pre)>`).FindAllStringSubmatch(page, -1) {
			list = append(list, m[1])
		}
		return list
	}
	for name, change := range homeChanges {
		t.Run(name, func(t *testing.T) {
			s := testHome("https://qwen.example.com")
			change(&s)
			pages := [...]string{mustRender(t, s, english), mustRender(t, s, chinese)}
			first, firstLinks, _ := mustParsePage(t, pages[english])
			second, secondLinks, text := mustParsePage(t, pages[chinese])
			if !slices.Equal(first, second) || !slices.Equal(firstLinks, secondLinks) {
				t.Errorf("%q\n%q", first, second)
			}
			if a, b := settings(pages[english]), settings(pages[chinese]); !slices.Equal(a, b) || len(a) < 12 {
				t.Errorf("%q\n%q", a, b)
			}
			for _, word := range []string{"Connect", "State ", "server", "Models "} {
				if strings.Contains(text, word) {
					t.Errorf("%q is not translated: %s", word, text)
				}
			}
			if strings.Contains(pages[english], "密钥") {
				t.Error("the English page is in Chinese")
			}
		})
	}
}

var homeChanges = map[string]func(*homeState){
	"as it is":      func(*homeState) {},
	"generated key": func(s *homeState) { s.GeneratedKey = true },
	"Caddy's users": func(s *homeState) { s.Access = authCaddy },
	"open":          func(s *homeState) { s.Access = authOff },
	"no list":       func(s *homeState) { s.Models = nil },
	"closed list":   func(s *homeState) { s.Models, s.PublicModels = nil, false },
	"long list":     func(s *homeState) { s.More = true },
	"local":         func(s *homeState) { s.Local = true },
}

func TestHomeTexts(t *testing.T) {
	tests := map[string]struct{ want, mustMiss []string }{
		"as it is":      {[]string{"Access API key Connect", "in the server’s configuration", "Authorization: Bearer KEY", "qwen3.7-plus images"}, []string{"caddy qwen key", "--user", "Nobody has asked", "not public", "And more", "needs one that it can reach"}},
		"generated key": {[]string{"that this server has made", "Run caddy qwen key on the server", "Authorization: Bearer KEY"}, []string{"in the server’s configuration"}},
		"Caddy's users": {[]string{"For the users of this server", "--user ' NAME '"}, []string{"Bearer", "caddy qwen key"}},
		"open":          {[]string{"Everybody who can reach", "None is needed"}, []string{"Bearer", "--user"}},
		"no list":       {[]string{"Nobody has asked the site"}, []string{"qwen3.7-plus"}},
		"closed list":   {[]string{"is not public"}, []string{"qwen3.7-plus", "Nobody has asked"}},
		"long list":     {[]string{"And more."}, nil},
		"local":         {[]string{"needs one that it can reach"}, nil},
	}
	for name, change := range homeChanges {
		t.Run(name, func(t *testing.T) {
			s := testHome("https://qwen.example.com")
			change(&s)
			_, _, text := mustParsePage(t, mustRender(t, s, english))
			for _, want := range tests[name].want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in %q", want, text)
				}
			}
			for _, miss := range tests[name].mustMiss {
				if strings.Contains(text, miss) {
					t.Errorf("%q is in %q", miss, text)
				}
			}
			if len(tests[name].want) == 0 {
				t.Error("nothing is wanted")
			}
		})
	}
}

// Whatever the host and the prefix are, the page has the same elements and
// attributes, and the command the same two quotes around the address.
func FuzzHomePage(f *testing.F) {
	f.Add("qwen.example.com", "/qwen/", "qwen3")
	f.Add(`x"><script>alert(1)</script>`, `/"onmouseover="alert(1)/`, `"><script>alert(1)</script>`)
	f.Add("x'; id; '", "/'; id; '/", "'; id; '")
	f.Add("{{.Root}}", "/{{.Root}}{{t}}/", "{{.Style}}")
	f.Add("x", "/$(id);id&/", "$(id)")
	f.Add("[::1]:80", "/&quot;/&#39;/é/\xff/\x00/", "\xff\x00&#39;`id`")
	want, _, _ := mustParsePage(f, mustRender(f, testHome("http://qwen.example.com"), english))
	f.Fuzz(func(t *testing.T, host, prefix, model string) {
		root := publicRoot(mounted(homeRequest(host, browserAccept), prefix))
		state := testHome(root)
		state.Models[0].ID = model
		for in := range tongue(len(homeLanguages)) {
			page := mustRender(t, state, in)
			got, links, text := mustParsePage(t, page)
			if !slices.Equal(got, want) || strings.Contains(page, "ZgotmplZ") {
				t.Fatalf("host %q, prefix %q and model %q change the page: %s", host, prefix, model, page)
			}
			if links[0] != root+"/v1/models" || !strings.Contains(text, "curl '"+root+"/v1/chat/completions' \\ -H") {
				t.Errorf("links %q, text %q", links, text)
			}
		}
		if strings.ContainsAny(root, "'\"\\<> \n`$&;()|") || !strings.HasPrefix(root, "http://") {
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

// BenchmarkHome tells how long the page takes, and what stands at /health (A15).
func BenchmarkHome(b *testing.B) {
	h := mustModelHandler(b, &modelSite{models: siteModels("a", "b")}, nil)
	get(b, h, "/v1/models", http.StatusOK)
	for name, r := range map[string]*http.Request{"page": homeRequest("qwen.example.com", browserAccept), "health": httptest.NewRequest(http.MethodGet, "/health", nil)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				serve(b, h, r)
			}
		})
	}
}

// Of models, the page tells those that can be asked for text, and what they take.
func TestHomeModels(t *testing.T) {
	site := &modelSite{models: siteModels("drawing", "one", "two")}
	site.models[0].Info.Meta.ChatTypes = []string{"t2i", "t2v"}
	h := mustModelHandler(t, site, nil)
	shown := func() string {
		t.Helper()
		_, _, text := mustParsePage(t, serve(t, h, homeRequest("qwen.example.com", browserAccept)).Body.String())
		_, text, _ = strings.Cut(text, " Models ")
		return text
	}
	if text := shown(); !strings.HasPrefix(text, "Nobody has asked the site") {
		t.Errorf("%q", text)
	}
	get(t, h, "/v1/models", http.StatusOK)
	calls := site.calls.Load()
	if text := shown(); !strings.HasPrefix(text, "one ") || !strings.Contains(text, " two ") {
		t.Errorf("%q", text)
	}
	closed := false
	h.PublicModels = &closed
	if text := shown(); !strings.HasPrefix(text, "The list of models is not public.") {
		t.Errorf("%q", text)
	}
	if n := site.calls.Load(); n != calls {
		t.Errorf("A15: %d calls of the site", n-calls)
	}
	for want, m := range map[string]qwen.Model{
		"": {}, "images · video · sound · documents · thinking": {Vision: true, Video: true, Audio: true, Document: true, Thinking: true}, "thinking": {AlwaysThinks: true},
	} {
		if got := modelTakes(m, english); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Only so many models are shown.
func TestHomeManyModels(t *testing.T) {
	var ids []string
	for i := range homeModels + 1 {
		ids = append(ids, fmt.Sprint("model-", i, "."))
	}
	h := mustModelHandler(t, &modelSite{models: siteModels(ids...)}, nil)
	get(t, h, "/v1/models", http.StatusOK)
	_, _, text := mustParsePage(t, serve(t, h, homeRequest("qwen.example.com", browserAccept)).Body.String())
	if strings.Contains(text, ids[homeModels]) || !strings.Contains(text, ids[homeModels-1]) || !strings.Contains(text, "And more.") {
		t.Errorf("%s", text)
	}
}
