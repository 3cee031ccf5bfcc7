package caddyqwen

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const imageParam = "messages[0].content[1]"

// Without the owner's permission nothing on private addresses is reached.
func TestMultimodalBlocked(t *testing.T) {
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(testPNG(1, 600)) })
	port := m.URL[strings.LastIndexByte(m.URL, ':'):]
	g := mustFilesGateway(t, setup{})
	texts := map[string]bool{}
	for name, url := range map[string]string{
		"S01 an address":             m.URL + "/a.png",
		"S01 a name":                 "http://localhost" + port + "/a.png",
		"S01 IPv6":                   "http://[::1]" + port + "/a.png",
		"S04 IPv4 in IPv6":           "http://[::ffff:127.0.0.1]" + port + "/a.png",
		"S05 an odd spelling":        "http://127.1" + port + "/a.png",
		"S05 a number":               "http://2130706433" + port + "/a.png",
		"S02 the cloud's own":        "http://100.100.100.200/latest/meta-data/",
		"S02 the other clouds' own":  "http://169.254.169.254/latest/meta-data/",
		"S12 a user name in the URL": "http://me:secret@example.com/a.png",
		"S11 another port":           "http://example.com:22/a.png",
	} {
		for mode, fields := range modes {
			t.Run("MM-06, "+name+"/"+mode, func(t *testing.T) {
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", imageAt(url))}, fields))
				mustRefuse(t, r, 400, "media_fetch_blocked", imageParam)
				texts[r.body] = true
			})
		}
	}
	if len(texts) != 1 {
		t.Errorf("S19 there are %d texts for what is blocked", len(texts))
	}
	if n := m.connected.Load(); n > 0 {
		t.Errorf("the server was reached %d times", n)
	}
	if log := g.logged(); !strings.Contains(log, "was not fetched") || strings.Contains(log, "secret@") {
		t.Error("the owner is not told, or too much")
	}
	g.sentNothing()
}

// What cannot be fetched is told in the same words, whatever is behind it.
func TestMultimodalNotFetched(t *testing.T) {
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page.png":
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<!DOCTYPE html><title>Log in</title><p>inner secret"))
		case "/packed.png":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(testPNG(1, 600))
		case "/large.png":
			w.Write(testPNG(1, 3001))
		case "/empty.png":
		case "/short.png":
			w.Header().Set("Content-Length", "2000")
			w.Write(testPNG(1, 600))
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/to-file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/to-metadata":
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		case "/broken":
			http.Error(w, "inner secret", http.StatusInternalServerError)
		default:
			http.Error(w, "inner secret", http.StatusNotFound)
		}
	})
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	g := mustFilesGateway(t, setup{qwen: fetchAllowed + "\nmax_image 3000"})
	failed := map[string]bool{}
	for name, test := range map[string]struct {
		url    string
		status int
		code   string
	}{
		"S18 a page at the URL":             {m.URL + "/page.png", 415, "media_type_unsupported"},
		"S18 the page is not found":         {m.URL + "/gone.png", 400, "media_fetch_failed"},
		"S19 the server fails":              {m.URL + "/broken", 400, "media_fetch_failed"},
		"S19 nobody listens":                {closed.URL + "/a.png", 400, "media_fetch_failed"},
		"S09 a loop":                        {m.URL + "/round", 400, "media_fetch_failed"},
		"S16 less than was announced":       {m.URL + "/short.png", 400, "media_fetch_failed"},
		"S16 one byte too many":             {m.URL + "/large.png", 413, "file_too_large"},
		"S17 compressed":                    {m.URL + "/packed.png", 415, "media_type_unsupported"},
		"S09 a redirect to a file":          {m.URL + "/to-file", 400, "media_fetch_blocked"},
		"S09 a redirect to a cloud's own":   {m.URL + "/to-metadata", 400, "media_fetch_blocked"},
		"U07 an empty file":                 {m.URL + "/empty.png", 400, "invalid_value"},
		"S14 this server by its address":    {g.url + "/health", 400, "media_fetch_failed"},
		"S14 a file's content, by its URL":  {g.url + "/v1/files/x/content", 400, "media_fetch_failed"},
		"S14 what is behind this handler":   {g.url + "/other.png", 415, "media_type_unsupported"},
		"S13 a name that is none":           {"http://exa_mple..com/a.png", 400, "media_fetch_failed"},
		"S13 a URL of 2049 characters":      {"http://example.com/" + strings.Repeat("a", 2030), 400, "invalid_value"},
		"S13 a line break":                  {"http://example.com/\na.png", 400, "invalid_value"},
		"MM-05 a name of nobody's, blocked": {"gopher://example.com/", 400, "media_fetch_blocked"},
	} {
		t.Run("MM-06, "+name, func(t *testing.T) {
			r := g.show([]any{say("What is it?", imageAt(test.url))})
			mustRefuse(t, r, test.status, test.code, imageParam)
			if strings.Contains(r.body, "inner secret") || strings.Contains(r.body, "404") || strings.Contains(r.body, "500") {
				t.Errorf("the answer tells what is there: %s", r.body)
			}
			if test.code == "media_fetch_failed" {
				failed[r.body] = true
			}
		})
	}
	if len(failed) != 1 {
		t.Errorf("S19 there are %d texts for what could not be fetched", len(failed))
	}
	g.sentNothing()
}

// All images of a request together may not be larger than four of the largest.
func TestMultimodalFetchedTooMuch(t *testing.T) {
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(testPNG(uint64(len(r.URL.Path)), 3000)) })
	g := mustFilesGateway(t, setup{qwen: fetchAllowed + "\nmax_image 3000"})
	var parts []part
	for i := range 4 {
		parts = append(parts, imageAt(m.URL+"/"+strings.Repeat("a", i)+".png"))
	}
	t.Run("S21 as much as may be", func(t *testing.T) { g.discuss([]any{say("What is it?", parts...)}) })
	t.Run("S21 one more", func(t *testing.T) {
		r := g.show([]any{say("What is it?", append(parts, imageAt(m.URL+"/aaaaaaaa.png"))...)})
		mustRefuse(t, r, 413, "file_too_large", paramOf(r.body)) // whichever came last
	})
	if n := len(g.site.Completions()); n != 1 {
		t.Errorf("the site got %d prompts", n)
	}
}

// The server does not ask itself.
func TestMultimodalOwnHost(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	const host = `"host":["127.0.0.1"]`
	config := string(g.adapt(setup{qwen: fetchAllowed}))
	if !strings.Contains(config, host) {
		t.Fatalf("the configuration names no host: %s", config)
	}
	if err := caddy.Load([]byte(strings.Replace(config, host, `"host":["127.0.0.1","qwen.example.net"]`, 1)), true); err != nil {
		t.Fatal(err)
	}
	g.url = mustAddress(t)
	for name, url := range map[string]string{
		"S14 its name":                "http://qwen.example.net/v1/files/x/content",
		"S14 its name, written oddly": "http://QWEN.Example.net./a.png",
		"S14 its name and a port":     "http://qwen.example.net:8080/a.png",
	} {
		t.Run(name, func(t *testing.T) {
			body := messagesBody(t, "qwen3.7-plus", []any{say("What is it?", imageAt(url))}, "")
			req, err := http.NewRequest(http.MethodPost, g.url+chatPath, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "qwen.example.net"
			req.Header.Set("Authorization", "Bearer "+testKey)
			req.Header.Set("Content-Type", "application/json")
			mustRefuse(t, mustRead(t, req), 400, "media_fetch_blocked", imageParam)
			if !strings.Contains(g.logged(), "our own name") {
				t.Error("the owner is not told why")
			}
		})
	}
	t.Run("S14 a request that a server of this kind has made", func(t *testing.T) {
		for _, path := range []string{"/v1/models", "/v1/files/x", chatPath} {
			method := http.MethodGet
			if path == chatPath {
				method = http.MethodPost
			}
			r := g.do(method, path, "", "X-Caddy-Qwen-Fetch", "1")
			mustRefuse(t, r, 400, "media_fetch_blocked", "")
		}
	})
	g.sentNothing()
}

// mustRead sends a request and reads the answer.
func mustRead(t testing.TB, req *http.Request) reply {
	t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}
