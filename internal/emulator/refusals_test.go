package emulator

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// failure is the envelope of a refusal.
type failure struct {
	Success   *bool  `json:"success"`
	RequestID string `json:"request_id"`
	Data      struct {
		Code     string `json:"code"`
		Details  string `json:"details"`
		Template string `json:"template"`
		Num      *int   `json:"num"`
	} `json:"data"`
}

// wantRefusal checks the shape that all refusals share.
func wantRefusal(t *testing.T, resp *http.Response, body, code, details, actual string) {
	t.Helper()
	if resp.StatusCode != 200 {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
	if got := resp.Header.Get("X-Actual-Status-Code"); got != actual {
		t.Errorf("x-actual-status-code %q, want %q", got, actual)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content-type %q", got)
	}
	if got := resp.Header.Get("X-Request-Id"); got != "rid-1" {
		t.Errorf("x-request-id %q, want the client's", got)
	}
	var f failure
	mustDecode(t, body, &f)
	if f.Success == nil || *f.Success || f.RequestID != "rid-1" {
		t.Errorf("envelope: %s", body)
	}
	if f.Data.Code != code || !strings.Contains(f.Data.Details, details) {
		t.Errorf("code %q details %q, want %q and …%q…", f.Data.Code, f.Data.Details, code, details)
	}
}

func TestCompletionRefusals(t *testing.T) {
	set := func(k string, v any) func(b, m map[string]any) {
		return func(b, m map[string]any) { b[k] = v }
	}
	inMessage := func(k string, v any) func(b, m map[string]any) {
		return func(b, m map[string]any) { m[k] = v }
	}
	without := func(k string) func(b, m map[string]any) {
		return func(b, m map[string]any) { delete(b, k) }
	}
	for _, tc := range []struct {
		name                  string
		edit                  func(b, m map[string]any)
		code, details, actual string
	}{
		{"chat_id missing in the body", without("chat_id"), "RequestValidationError", "chat_id", "400"},
		{"chat_id null", set("chat_id", nil), "RequestValidationError", "chat_id", "400"},
		{"chat_id differs from the query", set("chat_id", "other"), "RequestValidationError", "chat_id", "400"},
		{"no messages", set("messages", []any{}), "RequestValidationError", "messages", "400"},
		{"two messages", func(b, m map[string]any) { b["messages"] = []any{m, m} }, "Bad_Request", "too many messages", "400"},
		{"role system", inMessage("role", "system"), "Bad_Request", "role", "400"},
		{"role assistant", inMessage("role", "assistant"), "Bad_Request", "first message must not", "400"},
		{"role function", inMessage("role", "function"), "Bad_Request", "Internal error", "400"},
		{"role missing", func(b, m map[string]any) { delete(m, "role") }, "Bad_Request", "role", "400"},
		{"content list", inMessage("content", []any{map[string]any{"type": "text", "text": "x"}}), "RequestValidationError", "content", "400"},
		{"content null", inMessage("content", nil), "RequestValidationError", "content", "400"},
		{"content missing", func(b, m map[string]any) { delete(m, "content") }, "RequestValidationError", "content", "400"},
		{"timestamp in ms", set("timestamp", 1790000000000), "RequestValidationError", "timestamp", "400"},
		{"message timestamp in ms", inMessage("timestamp", 1790000000000), "RequestValidationError", "timestamp", "400"},
		{"unknown chat_type", inMessage("chat_type", "t2x"), "RequestValidationError", "chat_type", "400"},
		{"stream false", set("stream", false), "Bad_Request", "stream", "400"},
		{"stream missing", without("stream"), "Bad_Request", "stream", "400"},
		{"unknown model", set("model", "qwen9"), "Not_Found", "Model not found", "404"},
		{"model missing", without("model"), "Not_Found", "Model not found", "404"},
		{"must think", set("model", "qwen3.8-max"), "invalid_input", "thinking", "400"},
		{"body of another type", set("messages", "hello"), "RequestValidationError", "body", "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			chat := c.mustChat()
			resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi", edit: tc.edit}))
			wantRefusal(t, resp, mustReadAll(t, resp), tc.code, tc.details, tc.actual)
			if n := len(srv.Completions()); n != 0 {
				t.Errorf("%d completions recorded, want none", n)
			}
			if r := srv.Refusals(); len(r) != 1 || r[0].Endpoint != EndpointCompletions || r[0].Code != tc.code {
				t.Errorf("refusals %+v", r)
			}
			if srv.ChatBusy(chat) {
				t.Error("a refused completion left the chat busy")
			}
		})
	}
}

func TestAcceptedVariants(t *testing.T) {
	for name, edit := range map[string]func(b, m map[string]any){
		"without the fields added later": func(b, m map[string]any) {
			for _, k := range []string{"chatId", "parentId", "version"} {
				delete(b, k)
			}
			for _, k := range []string{"id", "model"} {
				delete(m, k)
			}
		},
		"without timestamps":         func(b, m map[string]any) { delete(b, "timestamp"); delete(m, "timestamp") },
		"thinking on a must-thinker": func(b, m map[string]any) { b["model"] = "qwen3.8-max"; feature(m)["thinking_enabled"] = true },
		"unknown fields":             func(b, m map[string]any) { b["temperature"] = 1; m["extra2"] = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			resp := c.mustDo(c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi", edit: edit}))
			if text := answerText(mustEvents(t, mustReadAll(t, resp)), ""); !strings.Contains(text, "You said: hi") {
				t.Errorf("answer %q, refusals %v", text, srv.Refusals())
			}
		})
	}
}

func feature(m map[string]any) map[string]any { return m["feature_config"].(map[string]any) }

func TestMissingVersionHeader(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	r := c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi"})
	r.Header.Del("Version")
	resp := c.mustDo(r)
	wantRefusal(t, resp, mustReadAll(t, resp), "Bad_Request", "Internal error", "400")

	r = c.request(t.Context(), "POST", "/api/v2/chats/new", newChatBody(nil))
	r.Header.Del("Version")
	resp = c.mustDo(r)
	if body := mustReadAll(t, resp); !strings.Contains(body, `"success":true`) {
		t.Errorf("chats/new does not need the header, but answered %s", body)
	}
}

func TestNewChatRefusals(t *testing.T) {
	set := func(k string, v any) func(map[string]any) { return func(b map[string]any) { b[k] = v } }
	for _, tc := range []struct {
		name                  string
		body                  string
		code, details, actual string
	}{
		{"timestamp in seconds", newChatBody(set("timestamp", 1790000000)), "RequestValidationError", "timestamp", "400"},
		{"timestamp missing", newChatBody(func(b map[string]any) { delete(b, "timestamp") }), "RequestValidationError", "timestamp", "400"},
		{"models empty", newChatBody(set("models", []string{})), "RequestValidationError", "models", "400"},
		{"models missing", newChatBody(func(b map[string]any) { delete(b, "models") }), "RequestValidationError", "models", "400"},
		{"model unknown", newChatBody(set("models", []string{"gpt-4o"})), "Not_Found", "Model not found", "404"},
		{"chat_type unknown", newChatBody(set("chat_type", "t2x")), "RequestValidationError", "chat_type", "400"},
		{"not JSON", "{", "RequestValidationError", "body", "400"},
		{"empty body", "", "RequestValidationError", "body", "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			resp, body := newClient(t, srv).call("POST", "/api/v2/chats/new", tc.body)
			wantRefusal(t, resp, body, tc.code, tc.details, tc.actual)
			if ids := srv.ChatIDs(); len(ids) != 0 {
				t.Errorf("chats %v were created", ids)
			}
		})
	}
}

func TestUnknownChat(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	for name, do := range map[string]func(*client) (*http.Response, string){
		"completion": func(c *client) (*http.Response, string) { return c.say(id, "", "hi") },
		"get":        func(c *client) (*http.Response, string) { return c.call("GET", "/api/v2/chats/"+id, "") },
		"delete":     func(c *client) (*http.Response, string) { return c.call("DELETE", "/api/v2/chats/"+id, "") },
		"stop": func(c *client) (*http.Response, string) {
			return c.call("POST", "/api/v2/chat/completions/stop?chat_id="+id, `{"chat_id":"`+id+`","response_id":""}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := do(newClient(t, mustStart(t, Options{})))
			wantRefusal(t, resp, body, "Not_Found", "The chat "+id+" is not exist", "404")
		})
	}
}

func TestLongPrompt(t *testing.T) {
	for _, tc := range []struct {
		name      string
		max, size int
		challenge bool
	}{
		{"at the limit", 100, 100, false},
		{"above the limit", 100, 101, true},
		{"at the default limit", 0, 180_000, false},
		{"above the default limit", 0, 180_001, true},
		{"no limit", -1, 200_000, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{MaxPrompt: tc.max})
			c := newClient(t, srv)
			_, body := c.say(c.mustChat(), "", strings.Repeat("x", tc.size))
			if got := strings.Contains(body, "FAIL_SYS_USER_VALIDATE"); got != tc.challenge {
				t.Errorf("challenge %t, want %t: %.100s", got, tc.challenge, body)
			}
		})
	}
}

func TestUnknownPaths(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	for _, r := range [][2]string{{"GET", "/api/v3/x"}, {"GET", "/api/v2/chats/new/x"}, {"PUT", "/api/models"}} {
		if resp, body := c.call(r[0], r[1], ""); resp.StatusCode != 404 || body != `{"detail":"Not Found"}` {
			t.Errorf("%v: %d %s", r, resp.StatusCode, body)
		}
	}
	if list := srv.Requests(); len(list) != 3 || list[0].Endpoint != EndpointUnknown {
		t.Errorf("records %+v", list)
	}
}

// A client that leaves while it sends its body is not worth a record.
func TestHalfSentBody(t *testing.T) {
	srv := mustStart(t, Options{})
	conn, err := net.Dial("tcp", srv.site.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /api/v2/chats/new HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	srv.Close() // waits for the handler
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests recorded", n)
	}
}

func TestChunkedBody(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	r := c.request(t.Context(), "POST", "/api/v2/chats/new", "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(newChatBody(nil))), -1
	resp := c.mustDo(r)
	if body := mustReadAll(t, resp); !strings.Contains(body, `"success":true`) || len(srv.ChatIDs()) != 1 {
		t.Errorf("answered %s", body)
	}
}
