package emulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f\x7f", "é世🌍\u2028", "\xff\xfe", "a\xc3", "</script>&", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("%q became %q: %v", s, b, err)
		}
		if !utf8.Valid(b) {
			t.Errorf("%q became %q", s, b)
		}
		var want bytes.Buffer
		for _, r := range s {
			want.WriteRune(r)
		}
		if got != want.String() {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// Whatever comes in, the site answers with its envelope or a stream and does
// not keep a chat busy.
func FuzzCompletion(f *testing.F) {
	f.Add(`{"stream":true,"chat_id":"CHAT","model":"qwen3.7-plus","messages":[{"role":"user","content":"hi"}]}`)
	f.Add(`{"stream":true,"chat_id":"CHAT","parent_id":5,"messages":[{}]}`)
	f.Add(`{"chat_id":"CHAT","messages":[{"role":"user","content":"[[emulator","feature_config":null}],"stream":true,"model":"qwen3.7-plus"}`)
	f.Add(`{"chat_id":null,"messages":null,"timestamp":1e400}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		if _, _, found := findMarker(body); found {
			return // markers may hang, break the connection or set any status, on purpose
		}
		s := New(Options{})
		chat := s.AddChat("")
		body = strings.ReplaceAll(body, "CHAT", chat)
		r := httptest.NewRequest("POST", "/api/v2/chat/completions?chat_id="+chat, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Version", "1")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		out := w.Body.String()
		if w.Code != http.StatusOK || out == "" {
			t.Fatalf("%d %q", w.Code, out)
		}
		if !strings.HasPrefix(out, "data: ") && !json.Valid([]byte(out)) {
			t.Errorf("answered %q", out)
		}
		if s.ChatBusy(chat) || s.Active() != 0 {
			t.Error("the chat is still busy")
		}
	})
}

func FuzzExpiry(f *testing.F) {
	f.Add(jwt(`{"exp":1790000000}`))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if e := expiry(token); !e.IsZero() && strings.Count(token, ".") != 2 {
			t.Errorf("%q expires at %v", token, e)
		}
	})
}

func FuzzNewChat(f *testing.F) {
	f.Add(newChatBody(nil))
	f.Add(`{"models":["qwen3.7-plus"],"timestamp":"1790000000000"}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, body string) {
		s := New(Options{})
		r := httptest.NewRequest("POST", "/api/v2/chats/new", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var e struct{ Success *bool }
		raw, _ := io.ReadAll(w.Body)
		if err := json.Unmarshal(raw, &e); err != nil || e.Success == nil {
			t.Fatalf("answered %q: %v", raw, err)
		}
		if *e.Success != (len(s.ChatIDs()) == 1) {
			t.Errorf("answered %s, chats %v", raw, s.ChatIDs())
		}
	})
}
