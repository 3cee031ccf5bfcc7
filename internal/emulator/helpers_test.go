package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// mustStart starts a server that ends with the test.
func mustStart(t testing.TB, o Options) *Server {
	t.Helper()
	srv, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// client speaks to a server as the site's own web client does. Each has its
// own connections, which end with the test.
type client struct {
	t    testing.TB
	srv  *Server
	http *http.Client
}

func newClient(t testing.TB, srv *Server) *client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, srv: srv, http: &http.Client{Transport: tr}}
}

// request makes a request with everything the site wants to see.
func (c *client) request(ctx context.Context, method, path, body string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.srv.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer t0ken")
	r.Header.Set("Version", "0.3.12")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "rid-1")
	return r
}

func (c *client) mustDo(r *http.Request) *http.Response {
	c.t.Helper()
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// call sends a request and returns the response with its whole body.
func (c *client) call(method, path, body string) (*http.Response, string) {
	c.t.Helper()
	resp := c.mustDo(c.request(c.t.Context(), method, path, body))
	return resp, mustReadAll(c.t, resp)
}

func mustReadAll(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mustChat creates a chat.
func (c *client) mustChat() string {
	c.t.Helper()
	_, body := c.call("POST", "/api/v2/chats/new", newChatBody(nil))
	var e struct {
		Success bool
		Data    struct{ ID string }
	}
	mustDecode(c.t, body, &e)
	if !e.Success || e.Data.ID == "" {
		c.t.Fatalf("chats/new: %s", body)
	}
	return e.Data.ID
}

// turn is what a test varies in a completion.
type turn struct {
	chat, parent, prompt string
	edit                 func(body, message map[string]any)
}

// completion makes the request of a completion.
func (c *client) completion(ctx context.Context, v turn) *http.Request {
	c.t.Helper()
	return c.request(ctx, "POST", "/api/v2/chat/completions?chat_id="+v.chat, completionJSON(c.t, v))
}

// say completes a turn and returns the whole stream.
func (c *client) say(chat, parent, prompt string) (*http.Response, string) {
	c.t.Helper()
	resp := c.mustDo(c.completion(c.t.Context(), turn{chat: chat, parent: parent, prompt: prompt}))
	return resp, mustReadAll(c.t, resp)
}

func newChatBody(edit func(map[string]any)) string {
	body := map[string]any{
		"chatId": "", "models": []string{"qwen3.7-plus"}, "project_id": "", "timestamp": 1790000000000,
		"chat_type": "t2t", "chat_mode": "normal",
	}
	if edit != nil {
		edit(body)
	}
	b, _ := json.Marshal(body)
	return string(b)
}

// completionJSON is the body of a completion as the site's web client sends it.
func completionJSON(t testing.TB, v turn) string {
	t.Helper()
	var parent any
	if v.parent != "" {
		parent = v.parent
	}
	message := map[string]any{
		"id": nil, "fid": "f-1", "parentId": parent, "childrenIds": []string{"c-1"}, "role": "user",
		"content": v.prompt, "user_action": "chat", "files": []any{}, "timestamp": 1790000000,
		"models": []string{"qwen3.7-plus"}, "model": "", "chat_type": "t2t",
		"feature_config": map[string]any{
			"thinking_enabled": false, "output_schema": "phase", "research_mode": "normal",
			"auto_thinking": false, "thinking_mode": "Fast", "auto_search": true,
		},
		"extra": map[string]any{"meta": map[string]any{"subChatType": "t2t"}}, "sub_chat_type": "t2t", "parent_id": parent,
	}
	body := map[string]any{
		"stream": true, "version": "2.1", "incremental_output": true,
		"chatId": v.chat, "parentId": v.parent, "chat_id": v.chat, "chat_mode": "normal",
		"model": "qwen3.7-plus", "parent_id": parent, "messages": []any{message}, "timestamp": 1790000000,
	}
	if v.edit != nil {
		v.edit(body, message)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func mustDecode(t testing.TB, body string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("not JSON: %v: %.200q", err, body)
	}
}

// mustAwait waits until the condition holds.
func mustAwait(t testing.TB, s *Site, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Await(ctx, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// event is what the tests read of a stream event.
type event struct {
	Created *struct {
		ChatID   string `json:"chat_id"`
		ParentID string `json:"parent_id"`
		Response string `json:"response_id"`
		Index    string `json:"response_index"`
	} `json:"response.created"`
	Info *struct {
		Action    string
		Timestamp int64
	} `json:"response.info"`
	Stopped *struct {
		Response string `json:"response_id"`
	} `json:"response.stopped"`
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		Delta struct {
			Role    string
			Content string
			Phase   *string
			Status  string
			Extra   json.RawMessage
			Call    *struct{ Name, Arguments string } `json:"function_call"`
			CallID  string                            `json:"function_id"`
		}
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Response string `json:"response_id"`
	Usage    *struct {
		In    int `json:"input_tokens"`
		Out   int `json:"output_tokens"`
		Total int `json:"total_tokens"`
	} `json:"usage"`
	Timestamp int64
}

// mustEvents decodes a stream that has nothing but well-formed events.
func mustEvents(t testing.TB, stream string) []event {
	t.Helper()
	var list []event
	for _, line := range strings.Split(strings.ReplaceAll(stream, "\r\n", "\n"), "\n\n") {
		if line == "" || strings.HasPrefix(line, ":") {
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			t.Fatalf("not an event: %.200q", line)
		}
		if strings.TrimSpace(data) == "[DONE]" {
			continue
		}
		var e event
		mustDecode(t, data, &e)
		list = append(list, e)
	}
	return list
}

// answerText joins the answer of one response id, or of the first if it is empty.
func answerText(list []event, response string) string {
	var b strings.Builder
	for _, e := range list {
		if e.Created != nil && response == "" {
			response = e.Created.Response
		}
		for _, c := range e.Choices {
			if e.Response == response && c.Delta.Role == "assistant" && (c.Delta.Phase == nil || *c.Delta.Phase == "answer") {
				b.WriteString(c.Delta.Content)
			}
		}
	}
	return b.String()
}

// decodes reports whether a text is JSON that fits.
func decodes(text string, v any) bool { return json.Unmarshal([]byte(text), v) == nil }
