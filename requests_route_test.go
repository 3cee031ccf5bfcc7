package caddyqwen

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// badRequest is the answer to a request that must be changed.
func badRequest(code, param string) failed {
	return failed{status: 400, code: code, class: classClient, param: param, final: true}
}

var wantMedia = failed{status: 415, code: "unsupported_media_type", class: classClient, final: true}

// untouched checks that the site got nothing but requests for its list.
func (g *gateway) untouched() {
	g.t.Helper()
	for _, r := range g.site.Requests() {
		if r.Endpoint != "models" {
			g.t.Errorf("the site got %v", r)
		}
	}
}

func TestRequestBodies(t *testing.T) {
	g := mustGateway(t, setup{})
	message := `{"role":"user","content":"` + secretPrompt + `"}`
	with := func(fields string) string {
		return `{"model":"qwen3.7-plus","messages":[` + message + `],` + fields + `}`
	}
	for _, test := range []struct {
		name, body string
		want       failed
	}{
		{"J01 empty", "", badRequest("invalid_json", "")},
		{"J02 ER-01 syntax", `{"model":`, badRequest("invalid_json", "")},
		{"J03 second document", with(`"n":1`) + with(`"n":1`), badRequest("invalid_json", "")},
		{"J04 null", "null", badRequest("invalid_json", "")},
		{"J04 list", "[]", badRequest("invalid_json", "")},
		{"J06 duplicate key", with(`"model":"x"`), badRequest("invalid_value", "model")},
		{"J07 other case", `{"MODEL":"x","messages":[` + message + `]}`, badRequest("missing_required_parameter", "model")},
		{"J08 ER-04 invalid UTF-8", with("\"user\":\"\xff\""), badRequest("invalid_json", "")},
		{"J09 NUL in the model", `{"model":"a\u0000b","messages":[` + message + `]}`, badRequest("invalid_value", "model")},
		{"J10 ER-04 depth", with(`"metadata":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), badRequest("invalid_json", "")},
		{"J12 huge number", with(`"temperature":1e400`), badRequest("invalid_value", "temperature")},
		{"J12 fraction", with(`"max_tokens":1.5`), badRequest("invalid_value", "max_tokens")},
		{"J12 ER-02 wrong type", with(`"temperature":"hot"`), badRequest("invalid_value", "temperature")},
		{"J13 ER-02 stream as a string", with(`"stream":"true"`), badRequest("invalid_value", "stream")},
		{"J14 no messages", `{"model":"qwen3.7-plus"}`, badRequest("missing_required_parameter", "messages")},
		{"J14 empty messages", `{"model":"qwen3.7-plus","messages":[]}`, badRequest("missing_required_parameter", "messages")},
		{"J14 no model", `{"messages":[` + message + `]}`, badRequest("missing_required_parameter", "model")},
		{"J15 unknown model", `{"model":"no-such-model","messages":[` + message + `]}`, wantNoModel},
		{"J16 unknown role", `{"model":"qwen3.7-plus","messages":[{"role":"wizard","content":"x"}]}`, badRequest("invalid_value", "messages[0].role")},
		{"J17 CN-19 n", with(`"n":2`), badRequest("unsupported_parameter", "n")},
		{"J17 logprobs", with(`"logprobs":true`), badRequest("unsupported_parameter", "logprobs")},
		{"J18 negative", with(`"max_tokens":-1`), badRequest("invalid_value", "max_tokens")},
		{"ER-03 streamed", with(`"stream":true,"n":2`), badRequest("unsupported_parameter", "n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := g.do(http.MethodPost, chatPath, test.body)
			test.want.check(t, got)
			if test.want.param != "" && !strings.Contains(got.body, strings.Split(test.want.param, ".")[0]) {
				t.Errorf("the message does not name the field: %s", got.body)
			}
		})
	}
	g.untouched()
	g.slotsFree()
}

func TestRequestBodiesTolerated(t *testing.T) {
	g := mustGateway(t, setup{})
	for name, body := range map[string]string{
		"J05 byte order mark":         "\ufeff" + chatBody("hello", ""),
		"J09 ER-04 lone surrogate":    strings.Replace(chatBody("hello", ""), "hello", `h\ud800i`, 1),
		"J09 NUL in the content":      strings.Replace(chatBody("hello", ""), "hello", `h\u0000i`, 1),
		"J29 fields that would steer": chatBody("hello", `"base_url":"http://127.0.0.1:1","cookie":"x","headers":{"a":"b"},"proxy":"http://127.0.0.1:1"`),
		"CN-12 unknown fields":        chatBody("hello", `"chat_id":"x","session_id":"y","metadata":{"a":1},"user":{"id":1}`),
		"CN-13 null fields":           chatBody("hello", `"tools":[],"stop":null,"temperature":null,"stream":null,"n":null`),
	} {
		t.Run(name, func(t *testing.T) {
			if got := g.do(http.MethodPost, chatPath, body); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestRequestContentType(t *testing.T) {
	g := mustGateway(t, setup{})
	const origin = "https://app.example.com"
	for _, test := range []struct {
		name   string
		header []string
		want   int
	}{
		{"ER-05 JSON", []string{"Content-Type", "application/json"}, 200},
		{"ER-05 with charset", []string{"Content-Type", "application/json; charset=UTF-8"}, 200},
		{"ER-05 like JSON", []string{"Content-Type", "application/vnd.api+json"}, 200},
		{"ER-05 missing", []string{"Content-Type", ""}, 200},
		{"ER-05 what curl sends", []string{"Content-Type", "application/x-www-form-urlencoded"}, 200},
		{"ER-05 not well-formed", []string{"Content-Type", ";;"}, 200},
		{"JSON from a page", []string{"Origin", origin}, 200},
		{"J20 text from a page", []string{"Content-Type", "text/plain", "Origin", origin}, 415},
		{"J20 form from a page", []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", origin}, 415},
		{"J20 nothing from a page", []string{"Content-Type", "", "Origin", origin}, 415},
		{"J20 A18 text from a page without an origin", []string{"Content-Type", "text/plain", "Origin", "null"}, 415},
		{"J21 compressed", []string{"Content-Encoding", "gzip"}, 415},
		{"J21 not compressed, in so many words", []string{"Content-Encoding", "identity"}, 200},
		{"J22 other charset", []string{"Content-Type", "application/json; charset=gbk"}, 415},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(g.site.Completions())
			got := g.do(http.MethodPost, chatPath, chatBody("hello", ""), test.header...)
			sent := len(g.site.Completions()) - before
			if test.want == 415 {
				wantMedia.check(t, got)
			} else if got.status != test.want {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if sent != 0 && test.want != 200 || sent != 1 && test.want == 200 {
				t.Errorf("the site got %d prompts", sent)
			}
		})
	}
}

func TestRequestMethodsAndPaths(t *testing.T) {
	g := mustGateway(t, setup{})
	for path, allow := range map[string]string{
		chatPath: "POST, OPTIONS", "/v1/models": "GET, HEAD, OPTIONS", "/v1/models/qwen": "GET, HEAD, OPTIONS",
		"/": "GET, HEAD, OPTIONS", "/health": "GET, HEAD, OPTIONS",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if strings.Contains(allow, method) {
				continue
			}
			t.Run("J23 ER-07 "+method+" "+path, func(t *testing.T) {
				got := g.do(method, path, "")
				failed{status: 405, code: "method_not_allowed", class: classClient, final: true}.check(t, got)
				if got.header.Get("Allow") != allow {
					t.Errorf("Allow: %q", got.header.Get("Allow"))
				}
			})
		}
	}
	for _, path := range []string{
		"/v1", "/v1/", "/v1/nothing", "/v1/chat/completions/", "/v1/Chat/Completions", "/v1/chat%2Fcompletions",
		"/v1/chat/%63ompletions", "/v1//chat/completions", "/v1/../v1/nothing",
	} {
		t.Run("J24 J25 ER-06 "+path, func(t *testing.T) {
			failed{status: 404, code: "unknown_url", class: classClient, final: true}.check(t, g.do(http.MethodPost, path, chatBody("x", "")))
		})
	}
	for _, path := range []string{"/V1/chat/completions", "//v1/chat/completions", "/other", "/v10/models"} {
		t.Run("J25 not ours "+path, func(t *testing.T) {
			if got := g.do(http.MethodPost, path, chatBody("x", "")); got.body != "next handler" {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	g.untouched()
}

func TestRequestTooLarge(t *testing.T) {
	want := failed{status: 413, code: "request_too_large", class: classClient, final: true}
	large := chatBody(strings.Repeat("x", 2048), "")
	exact := chatBody(strings.Repeat("x", 1024-len(chatBody("", ""))), "")
	for name, s := range map[string]setup{
		"L01 LI-04 max_body":           {qwen: "max_body 1KiB"},
		"L01 Caddy's own request_body": {site: "request_body {\nmax_size 1KiB\n}"},
	} {
		g := mustGateway(t, s)
		t.Run(name+"/declared", func(t *testing.T) {
			got := g.do(http.MethodPost, chatPath, large)
			if s.site != "" && got.status == want.status {
				return // refused by Caddy before the handler
			}
			want.check(t, got)
		})
		t.Run(name+"/chunked", func(t *testing.T) {
			conn := g.dial()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
				chatPath, testKey, len(large), large)
			want.check(t, mustReadReply(t, conn))
		})
		t.Run(name+"/just fits", func(t *testing.T) {
			if got := g.do(http.MethodPost, chatPath, exact); got.status != http.StatusOK {
				t.Errorf("status %d for %d bytes: %s", got.status, len(exact), got.body)
			}
		})
	}
}

// dial opens a connection to the gateway.
func (g *gateway) dial() *net.TCPConn {
	g.t.Helper()
	u, err := url.Parse(g.url)
	if err != nil {
		g.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// mustReadReply reads one answer from a connection.
func mustReadReply(t *testing.T, conn net.Conn) reply {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}

func TestRequestCutShort(t *testing.T) {
	g := mustGateway(t, setup{})
	for name, request := range map[string]string{
		"with a length": "Content-Length: 100\r\n\r\n" + `{"model"`,
		"in chunks":     "Transfer-Encoding: chunked\r\n\r\n" + "8\r\n" + `{"model"`,
		"bad chunks":    "Transfer-Encoding: chunked\r\n\r\n" + "zz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := g.dial()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n%s", chatPath, testKey, request)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			badRequest("invalid_request_body", "").check(t, mustReadReply(t, conn))
		})
	}
	g.untouched()
	g.slotsFree()
}

// The server behind the handler answers these. If a new version of Go lets them
// through, this tells.
func TestRequestSmuggling(t *testing.T) {
	g := mustGateway(t, setup{})
	body := chatBody("x", "")
	for name, lines := range map[string]string{
		"J28 two lengths":        fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d", len(body), len(body)+1),
		"J28 space before colon": fmt.Sprintf("Content-Length : %d", len(body)),
		"J28 unknown encoding":   "Transfer-Encoding: gzip, chunked",
		"J28 huge header":        "X-Large: " + strings.Repeat("x", 1200<<10),
	} {
		t.Run(name, func(t *testing.T) {
			conn := g.dial()
			// The server may close the connection while this is being sent.
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", chatPath, testKey, lines, body)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && resp.StatusCode < 400 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	g.untouched()
}
