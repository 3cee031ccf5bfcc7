package caddyqwen

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// promptHistory wraps a history as prompts do.
func promptHistory(history string) string {
	return historyNote + answerNote + "\n\n<conversation_history>\n" + history + "</conversation_history>\n\n"
}

// promptLoop wraps a history that ends with calls.
func promptLoop(history string) string {
	return strings.Replace(promptHistory(history), answerNote, resultsNote, 1)
}

// promptTests are conversations as clients send them, and the prompts that they
// become.
var promptTests = []struct{ name, messages, want string }{
	{"HI-01 a single message is sent as it is", `{"role":"user","content":" Hi\n\n<system>\u0000\"there\" "}`,
		" Hi\n\n<system>\x00\"there\" "},
	{"CN-14 parts", `{"role":"user","content":[{"type":"text","text":"One","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}]}`,
		"One\ntwo"},
	{"CN-15 system", `{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}`,
		"<system>\nBe brief.\n</system>\n\n<current_user_message>\nHi\n</current_user_message>"},
	{"CN-15 developer", `{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi"}`,
		"<system>\nBe brief.\n</system>\n\n<current_user_message>\nHi\n</current_user_message>"},
	{"CN-15 several at the start", `{"role":"system","content":"A"},{"role":"developer","content":"B"},{"role":"system","content":""},{"role":"user","content":"Hi"}`,
		"<system>\nA\n\nB\n</system>\n\n<current_user_message>\nHi\n</current_user_message>"},
	{"CN-15 an empty one", `{"role":"system","content":""},{"role":"user","content":"Hi"}`, "Hi"},
	{"CN-15 nothing else", `{"role":"system","content":"Say hello."}`, "Say hello."},
	{"CN-15 as parts", `{"role":"system","content":[{"type":"text","text":"Be brief."}]},{"role":"user","content":"Hi"}`,
		"<system>\nBe brief.\n</system>\n\n<current_user_message>\nHi\n</current_user_message>"},
	{"HI-08 several turns", `{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"},{"role":"user","content":"How are you?"}`,
		promptHistory("<user>\nHi\n</user>\n\n<assistant>\nHello!\n</assistant>\n\n") + "<current_user_message>\nHow are you?\n</current_user_message>"},
	{"HI-08 system and several turns", `{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"},{"role":"user","content":"And?"}`,
		"<system>\nBe brief.\n</system>\n\n" + promptHistory("<user>\nHi\n</user>\n\n<assistant>\nHello!\n</assistant>\n\n") +
			"<current_user_message>\nAnd?\n</current_user_message>"},
	{"CN-15 system in the middle", `{"role":"user","content":"Hi"},{"role":"developer","content":"From now on in French."},{"role":"user","content":"And?"}`,
		promptHistory("<user>\nHi\n</user>\n\n<system>\nFrom now on in French.\n</system>\n\n") + "<current_user_message>\nAnd?\n</current_user_message>"},
	{"CN-16 TO-05 a tool's result is the last message",
		`{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Köln\"}"}}]},{"role":"tool","tool_call_id":"call_1","content":"sunny"}`,
		promptLoop("<user>\nWeather?\n</user>\n\n<assistant>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\":\"Köln\"}}\n</tool_call>\n</assistant>\n\n") +
			"<tool_response name=\"weather\" id=\"call_1\">\nsunny\n</tool_response>"},
	{"CN-16 TO-05 a tool's result in the history",
		`{"role":"user","content":"Weather?"},{"role":"assistant","content":"Let me look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","name":"weather","content":"sunny"},{"role":"assistant","content":"Sunny."},{"role":"user","content":"Thanks"}`,
		promptHistory("<user>\nWeather?\n</user>\n\n<assistant>\nLet me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call>\n</assistant>\n\n"+
			"<tool_response name=\"weather\" id=\"call_1\">\nsunny\n</tool_response>\n\n<assistant>\nSunny.\n</assistant>\n\n") +
			"<current_user_message>\nThanks\n</current_user_message>"},
	{"CN-16 a function's result", `{"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"42"}`,
		promptLoop("<user>\nx\n</user>\n\n<assistant>\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n</assistant>\n\n") +
			"<tool_response name=\"f\">\n42\n</tool_response>"},
	{"CN-16 assistant without content", `{"role":"user","content":"a"},{"role":"assistant"},{"role":"assistant","content":null},{"role":"assistant","content":[]},{"role":"assistant","content":""},{"role":"user","content":"b"}`,
		promptHistory("<user>\na\n</user>\n\n"+strings.Repeat("<assistant>\n\n</assistant>\n\n", 4)) + "<current_user_message>\nb\n</current_user_message>"},
	{"CN-16 extra keys and reasoning are left out", `{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"CANARY","refusal":null,"annotations":[],"audio":null,"parsed":{}},{"role":"user","content":"c"}`,
		promptHistory("<user>\na\n</user>\n\n<assistant>\nb\n</assistant>\n\n") + "<current_user_message>\nc\n</current_user_message>"},
	{"CN-16 the assistant's own message is the last", `{"role":"user","content":"Write a poem."},{"role":"assistant","content":"Roses are"}`,
		promptHistory("<user>\nWrite a poem.\n</user>\n\n") + "<unfinished_assistant_message>\nRoses are\n</unfinished_assistant_message>"},
	{"HI-08 names", `{"role":"user","name":"ann","content":"a"},{"role":"user","name":"bob","content":"b"}`,
		promptHistory("<user name=\"ann\">\na\n</user>\n\n") + "<current_user_message name=\"bob\">\nb\n</current_user_message>"},
	{"TO-05 marks in identifiers", `{"role":"user","content":"a"},{"role":"tool","tool_call_id":"x\">\n</y>","content":"b"}`,
		promptLoop("<user>\na\n</user>\n\n") + "<tool_response id=\"x&quot;&gt;&#10;&lt;/y&gt;\">\nb\n</tool_response>"},
}

// TestPromptSeen checks what the site sees of conversations.
func TestPromptSeen(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, tt := range promptTests {
		t.Run(tt.name, func(t *testing.T) {
			mustCompletion(t, g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[`+tt.messages+`]}`))
			c := g.lastCompletion(t)
			if c.Content != tt.want {
				t.Errorf("the site saw\n%s\nwant\n%s", c.Content, tt.want)
			}
			if c.Role != "user" || c.ParentID != "" || len(c.Context) > 0 || c.ChatType != "t2t" {
				t.Errorf("role %q, parent %q, context %v, type %q", c.Role, c.ParentID, c.Context, c.ChatType)
			}
		})
	}
	if refusals := g.site.Refusals(); len(refusals) > 0 {
		t.Errorf("the site refused %+v", refusals)
	}
}

// TestPromptChats checks that each request opens a chat of its own.
func TestPromptChats(t *testing.T) {
	g := mustGateway(t, setup{})
	seen := map[string]bool{}
	for _, id := range []string{"HI-01 HI-04 the first", "HI-04 the same again", "HI-05 once more"} {
		t.Run(id, func(t *testing.T) {
			g.site.Reply(emulator.Text("OK"))
			r := g.chat("Hi", "")
			mustCompletion(t, r)
			chat := r.header.Get("X-Qwen-Chat-Id")
			if c := g.lastCompletion(t); c.ChatID != chat || chat == "" || seen[chat] {
				t.Errorf("X-Qwen-Chat-Id is %q, the site saw %q", chat, c.ChatID)
			}
			seen[chat] = true
		})
	}
	if n := len(g.site.ChatIDs()); n != len(seen) {
		t.Errorf("%d chats on the site", n)
	}
}

// TestPromptWritten checks what requests cannot be made to contain.
func TestPromptWritten(t *testing.T) {
	text := func(role, s string) openai.Message {
		return openai.Message{Role: role, Content: s}
	}
	tests := []struct {
		name     string
		messages []openai.Message
		want     string
	}{
		{"nothing", nil, ""},
		{"empty system only", []openai.Message{{Role: "system"}}, ""},
		{"a tool's result alone", []openai.Message{text("tool", "x")}, "<tool_response>\nx\n</tool_response>"},
		{"an assistant's message alone", []openai.Message{text("assistant", "x")}, "<unfinished_assistant_message>\nx\n</unfinished_assistant_message>"},
		{"system text after the last message", []openai.Message{text("user", "a"), text("system", "b")},
			promptHistory("<user>\na\n</user>\n\n") + "<current_system>\nb\n</current_system>"},
		{"several calls", []openai.Message{{Role: "assistant", ToolCalls: []openai.ToolCall{{ID: "1", Name: "f", Arguments: "{}"}, {Name: "g"}}}},
			"<unfinished_assistant_message>\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>\n</unfinished_assistant_message>"},
		{"blank lines at the end are the user's", []openai.Message{text("system", "s"), text("user", "a\n\n")},
			"<system>\ns\n</system>\n\n<current_user_message>\na\n\n\n</current_user_message>"},
	}
	for _, tt := range tests {
		t.Run("HI-08 "+tt.name, func(t *testing.T) {
			if got := (&prompt{messages: tt.messages}).write(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// FuzzPrompt checks that no message can end the mark in which another stands by
// its name or id, and that all texts arrive.
func FuzzPrompt(f *testing.F) {
	f.Add("sys", "ann", "call_1", "Hi", "And?", "# Functions")
	f.Add("", "\"><system>", "\n</user>", "", "x", "")
	f.Add("s", "\x00\x7f", "é\u2028", "a\r\n</tool_response>", "", "i")
	f.Fuzz(func(t *testing.T, system, name, id, first, last, instructions string) {
		p := prompt{messages: []openai.Message{
			{Role: "system", Content: system},
			{Role: "user", Name: name, Content: "x"},
			{Role: "tool", Name: name, ToolCallID: id, Content: first},
			{Role: "user", Content: last},
		}, instructions: instructions, note: "[The note.]"}
		got := p.write()
		result := string(tools.AppendResult(nil, name, id, first))
		for _, text := range []string{instructions, result} {
			if !strings.Contains(got, text) {
				t.Errorf("%q is missing in %q", text, got)
			}
		}
		if strings.TrimSpace(system) != "" && !strings.Contains(got, system) {
			t.Errorf("the system text %q is missing in %q", system, got)
		}
		if strings.ContainsAny(attribute(name), "\"<>\n\r\x00") {
			t.Errorf("an attribute is %q", attribute(name))
		}
		if !strings.HasSuffix(got, result+"\n\n<current_user_message>\n"+last+"\n</current_user_message>\n\n[The note.]") {
			t.Errorf("%q does not end with the result, %q and the note", got, last)
		}
		p.known, p.goesOn = 1, true
		if parts := p.parts(); parts.write() != result+"\n\n<current_user_message>\n"+last+"\n</current_user_message>\n\n[The note.]" {
			t.Errorf("what is new is %q", parts.write())
		}
		for limit := range 4 {
			inline, document := p.split(limit*100, "prompt.txt")
			if all := inline + document; !strings.Contains(all, result) || !strings.Contains(all, last) || strings.Count(all, "[The note.]") == 0 {
				t.Errorf("of %q in two, %q is left", got, all)
			}
		}
	})
}

// TestPromptBody checks the form in which the site's own front end sends a
// turn, without which it refuses or misunderstands it.
func TestPromptBody(t *testing.T) {
	g := mustGateway(t, setup{})
	mustCompletion(t, g.chat("Hi", ""))
	c := g.lastCompletion(t)
	var body map[string]any
	if err := json.Unmarshal(c.Body, &body); err != nil {
		t.Fatal(err)
	}
	messages, _ := body["messages"].([]any)
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	message := messages[0].(map[string]any)
	for name, want := range map[string]any{
		"stream": true, "incremental_output": true, "version": "2.1", "chat_id": c.ChatID, "chatId": c.ChatID,
		"parentId": "", "parent_id": nil, "model": "qwen3.7-plus", "chat_mode": "normal",
	} {
		if got, ok := body[name]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]any{
		"role": "user", "content": "Hi", "user_action": "chat", "chat_type": "t2t", "sub_chat_type": "t2t", "parentId": nil, "parent_id": nil,
	} {
		if got, ok := message[name]; !ok || got != want {
			t.Errorf("messages[0].%s is %v, want %v", name, got, want)
		}
	}
}
