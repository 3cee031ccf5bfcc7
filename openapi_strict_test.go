package caddyqwen

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"testing"
)

// TestOpenAPIIsStrict checks that what is not described is found: otherwise the
// tests above would say nothing.
func TestOpenAPIIsStrict(t *testing.T) {
	j := &judge{mustDescribe(t), &gateway{url: "http://127.0.0.1:8080"}, nil}
	good := map[string]any{"id": "a", "object": "chat.deleted", "deleted": true}
	answer := func(change func(map[string]any), header ...string) reply {
		body := maps.Clone(good)
		change(body)
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := reply{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: string(bytes.TrimSpace(text))}
		for i := 0; i < len(header); i += 2 {
			r.header.Set(header[i], header[i+1])
		}
		return r
	}
	same := func(map[string]any) {}
	tests := map[string]reply{
		"a field more":    answer(func(m map[string]any) { m["more"] = 1 }),
		"a field less":    answer(func(m map[string]any) { delete(m, "id") }),
		"another value":   answer(func(m map[string]any) { m["deleted"] = false }),
		"another type":    answer(same, "Content-Type", "text/plain"),
		"a header more":   answer(same, "X-Qwen-More", "1"),
		"another status":  {status: 201, header: http.Header{"Content-Type": {"application/json"}}, body: answer(same).body},
		"an error as 200": {status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: `{"error":{}}`},
	}
	if list := j.differences(t, http.MethodDelete, "/v1/chats/a", answer(same, "X-Request-Id", "a")); len(list) > 0 {
		t.Errorf("a good answer: %q", list)
	}
	for name, r := range tests {
		if len(j.differences(t, http.MethodDelete, "/v1/chats/a", r)) == 0 {
			t.Errorf("nobody notices %s", name)
		}
	}
	const chunk = `{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[]`
	for _, event := range []string{chunk + `,"more":1}`, chunk[:len(chunk)-2] + `{"index":0}]}`, `{"error":{"message":"No."}}`, `{"error":{"message":"No.","type":"server_error","param":null,"code":"strange"}}`} {
		if len(j.strangeEvents(t, "data: "+event+"\n\ndata: [DONE]\n\n")) == 0 {
			t.Errorf("nobody notices %s", event)
		}
	}
	if list := j.strangeEvents(t, "data: "+chunk+"}\n\ndata: [DONE]\n\n"); len(list) > 0 {
		t.Errorf("a good event: %q", list)
	}
	if len(j.strangeEvents(t, "data: "+chunk+"}\n\n")) == 0 {
		t.Error("nobody notices that the stream has no end")
	}
}
