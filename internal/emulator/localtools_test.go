package emulator

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// withTools is a turn that declares local tools.
func withTools(chat, prompt, localMCP string) turn {
	return turn{chat: chat, prompt: prompt, edit: func(_, m map[string]any) {
		feature(m)["local_mcp"] = json.RawMessage(localMCP)
	}}
}

func TestLocalToolsAreRecorded(t *testing.T) {
	for name, tc := range map[string]struct {
		localMCP string
		want     []DeclaredTool
	}{
		"none":         {`null`, nil},
		"of the site":  {`{}`, nil},
		"empty server": {`{"client":{}}`, nil},
		"in their order": {
			`{"z":{"f":{"description":"F","input_schema":{"type":"object"}},"a":{"input_schema":{}}},"b":{"f":{"input_schema":{"x":1}}}}`,
			[]DeclaredTool{{"z", "f", "F", `{"type":"object"}`}, {"z", "a", "", `{}`}, {"b", "f", "", `{"x":1}`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			mustReadAll(t, c.mustDo(c.completion(t.Context(), withTools(c.mustChat(), "hi", tc.localMCP))))
			if list := srv.Completions(); len(list) != 1 || !slices.Equal(list[0].LocalTools, tc.want) {
				t.Errorf("completions %+v, refusals %+v", list, srv.Refusals())
			}
		})
	}
}

func TestLocalToolsThatAreNone(t *testing.T) {
	for _, localMCP := range []string{`[]`, `"x"`, `{"client":[]}`, `{"client":{"f":1}}`, `{"client":{"f":{}}}`, `{"client":{"f":{"input_schema":"{}"}}}`} {
		srv := mustStart(t, Options{})
		c := newClient(t, srv)
		resp := c.mustDo(c.completion(t.Context(), withTools(c.mustChat(), "hi", localMCP)))
		wantRefusal(t, resp, mustReadAll(t, resp), "RequestValidationError", "local_mcp", "400")
	}
}

const oneTool = `{"client":{"f":{"description":"F","input_schema":{"type":"object"}}}}`

func TestRefuseLocalTools(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat := c.mustChat()
	srv.RefuseLocalTools(ServerError())
	srv.Reply(Text("queued"))
	for range 2 {
		resp := c.mustDo(c.completion(t.Context(), withTools(chat, "hi", oneTool)))
		wantRefusal(t, resp, mustReadAll(t, resp), "Internal_Server_Error", "Internal Server Error", "500")
	}
	if len(srv.Completions()) != 0 || srv.ChatBusy(chat) {
		t.Error("a refused completion is on record, or keeps the chat busy")
	}
	if _, body := c.say(chat, "", "hi"); answerText(mustEvents(t, body), "") != "queued" {
		t.Errorf("without tools: %s", body)
	}
	srv.RefuseLocalTools()
	if body := mustReadAll(t, c.mustDo(c.completion(t.Context(), withTools(chat, "hi", oneTool)))); !strings.Contains(body, "canned") {
		t.Errorf("accepted again: %s", body)
	}
}

// Above about 127 KB of schemas the model answers with nothing.
func TestTooManyLocalTools(t *testing.T) {
	frame := strings.Replace(oneTool, `"F"`, `""`, 1)
	for _, tc := range []struct {
		size  int
		empty bool
	}{{maxLocalTools, false}, {maxLocalTools + 1, true}} {
		srv := mustStart(t, Options{})
		c := newClient(t, srv)
		srv.Reply(Text("queued"))
		localMCP := strings.Replace(frame, `""`, `"`+strings.Repeat("x", tc.size-len(frame))+`"`, 1)
		body := mustReadAll(t, c.mustDo(c.completion(t.Context(), withTools(c.mustChat(), "hi", localMCP))))
		if list := mustEvents(t, body); (answerText(list, "") == "") != tc.empty || !strings.Contains(body, `"finished"`) {
			t.Errorf("%d bytes: %s", tc.size, body)
		}
		if _, body := c.say(c.mustChat(), "", "hi"); (answerText(mustEvents(t, body), "") == "queued") != tc.empty {
			t.Errorf("%d bytes, then: %s", tc.size, body)
		}
		if tools := srv.Completions()[0].LocalTools; len(tools) != 1 {
			t.Errorf("recorded: %d tools", len(tools))
		}
	}
}
