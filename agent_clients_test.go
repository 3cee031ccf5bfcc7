package caddyqwen

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// object is JSON as a client keeps it that does not use an SDK.
type object = map[string]any

// rough is an agent without an SDK: it does to messages what a client does.
type rough struct {
	g        *gateway
	fields   object // of the request
	messages []object
	keep     func(object) object                  // what it keeps of an answer
	result   func(call object, n int) object      // the message with a result
	calls    func(message object) (list []object) // what an answer calls
}

const stepSchema = `{"type":"object","required":["n"],"properties":{"n":{"type":"integer"},"why":{"type":"string"}}}`

// step asks once and runs what was called. It returns the message.
func (r *rough) step() object {
	r.g.t.Helper()
	request := object{"model": "qwen3.7-plus", "messages": r.messages}
	maps.Copy(request, r.fields)
	body, err := json.Marshal(request)
	if err != nil {
		r.g.t.Fatal(err)
	}
	answer := r.g.do(http.MethodPost, chatPath, string(body))
	if answer.status != http.StatusOK {
		r.g.t.Fatalf("status %d: %s", answer.status, answer.body)
	}
	message := mustParse[struct{ Choices []struct{ Message object } }](r.g.t, answer.body).Choices[0].Message
	calls := r.calls(message)
	r.messages = append(r.messages, r.keep(message))
	for i, call := range calls {
		r.messages = append(r.messages, r.result(call, i))
	}
	return message
}

// toolCalls are the calls of a message.
func toolCalls(message object) (list []object) {
	calls, _ := message["tool_calls"].([]any)
	for _, c := range calls {
		list = append(list, c.(object))
	}
	return list
}

func toolResult(call object, n int) object {
	return object{"role": "tool", "tool_call_id": call["id"], "content": fmt.Sprintf("result %d", n)}
}

// eachCall changes the function of each call of a message.
func eachCall(change func(call, function object)) func(object) object {
	return func(message object) object {
		for _, c := range toolCalls(message) {
			change(c, c["function"].(object))
		}
		return message
	}
}

// X12, HI-01: what clients make of calls when they send them back does not move a loop
// to another chat.
func TestAgentClients(t *testing.T) {
	same := func(m object) object { return m }
	withContent := func(content any) func(object) object {
		return func(m object) object {
			m["content"] = content
			return m
		}
	}
	without := func(fields ...string) func(object) object {
		return func(m object) object {
			for _, f := range fields {
				delete(m, f)
			}
			return m
		}
	}
	for name, c := range map[string]struct {
		keep   func(object) object
		result func(call object, n int) object
	}{
		"as it came":        {same, toolResult},
		"content is null":   {withContent(nil), toolResult},
		"content is empty":  {withContent(""), toolResult},
		"content is a list": {withContent([]any{}), toolResult},
		"no content":        {without("content"), toolResult},
		"no fields but those that it knows": {func(m object) object {
			return object{"role": "assistant", "content": m["content"], "tool_calls": m["tool_calls"]}
		}, toolResult},
		"no ids": {eachCall(func(call, _ object) { delete(call, "id") }), func(_ object, n int) object {
			return object{"role": "tool", "content": fmt.Sprintf("result %d", n)}
		}},
		"other ids": {eachCall(func(call, f object) { call["id"] = "x" + fmt.Sprint(len(f["arguments"].(string))) }), toolResult},
		"arguments with other spaces": {eachCall(func(_, f object) {
			f["arguments"] = strings.NewReplacer(`{`, "{ \n ", `:`, " : ").Replace(f["arguments"].(string))
		}), toolResult},
		"arguments with keys in order": {eachCall(func(_, f object) {
			var v object
			_ = json.Unmarshal([]byte(f["arguments"].(string)), &v)
			sorted, _ := json.Marshal(v)
			f["arguments"] = string(sorted)
		}), toolResult},
		"arguments as an object": {eachCall(func(_, f object) {
			var v object
			_ = json.Unmarshal([]byte(f["arguments"].(string)), &v)
			f["arguments"] = v
		}), toolResult},
		"results as parts, with names": {same, func(call object, n int) object {
			result := toolResult(call, n)
			result["name"] = call["function"].(object)["name"]
			result["content"] = []any{object{"type": "text", "text": result["content"]}}
			return result
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			r := &rough{g: g, keep: c.keep, result: c.result, calls: toolCalls, messages: []object{{"role": "user", "content": "Do it."}},
				fields: object{"tools": []any{object{"type": "function", "function": object{"name": "step", "parameters": json.RawMessage(stepSchema)}}}}}
			const rounds = 5
			for i := range rounds {
				g.says(9, fmt.Sprintf("Let me do this, and then that (%d).\n", i)+
					called("step", fmt.Sprintf(`{"why": "é <b> & co", "n": %d}`, i))+"\n"+called("step", fmt.Sprintf(`{"n": %d}`, -i)))
				if n := len(toolCalls(r.step())); n != 2 {
					t.Fatalf("%d calls", n)
				}
			}
			g.says(9, "Done.")
			r.step()
			turns := g.since(0)
			oneChat(t, turns)
			for i, turn := range turns[1:] {
				got := resultsIn(turn)
				if len(got) != 2 || got[0].Text != "result 0" || got[1].Text != "result 1" || got[0].Name != "step" || got[1].Name != "step" {
					t.Errorf("prompt %d shows %v", i+1, got)
				}
				mustOnly(t, turn.Content, nil, []string{"<tools>", "Do it.", "<conversation_history>"})
			}
		})
	}
}

// Clients of the old kind offer functions, get one call, and send its result in the
// role function.
func TestAgentLegacyFunctions(t *testing.T) {
	g := mustGateway(t, setup{})
	g.play(emulator.Agent{Plan: emulator.Loop("step", 6), Style: emulator.StyleChinese})
	r := &rough{g: g, messages: []object{{"role": "user", "content": "Do it."}},
		fields: object{"functions": []any{object{"name": "step", "parameters": json.RawMessage(stepSchema)}}},
		keep:   func(m object) object { return m },
		result: func(call object, n int) object {
			return object{"role": "function", "name": call["name"], "content": "done"}
		},
		calls: func(m object) []object {
			if call, ok := m["function_call"].(object); ok {
				return []object{call}
			}
			return nil
		},
	}
	for i := range 6 {
		if call := r.calls(r.step()); len(call) != 1 || call[0]["name"] != "step" || compactJSON(t, call[0]["arguments"].(string)) != fmt.Sprintf(`{"n":%d}`, i+1) {
			t.Fatalf("round %d: %v", i, call)
		}
	}
	if last := r.step(); last["content"] != "The last result is: done" || last["function_call"] != nil {
		t.Errorf("the last answer is %v", last)
	}
	turns := g.since(0)
	oneChat(t, turns)
	if got := resultsIn(turns[6]); len(got) != 1 || got[0].Name != "step" || got[0].Text != "done" {
		t.Errorf("the last prompt shows %v", got)
	}
}

// Two agents with the same key do the same at the same time, but their functions return
// something else. Neither gets to see what the other's have returned.
func TestAgentsAtTheSameTime(t *testing.T) {
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		g.play(emulator.Agent{Plan: emulator.Loop("step", 8)})
		names := []string{"red", "green", "blue"}
		var all sync.WaitGroup
		for _, name := range names {
			a := g.stepping(streamed)
			a.run = func(openai.ChatCompletionMessageToolCallUnion) string { return "It is " + name + "." }
			all.Go(func() {
				for range 8 {
					if answer := g.complete(t.Context(), streamed, a.params); !a.take(answer) {
						t.Errorf("%s: %s", name, answer)
						return
					}
				}
				if got := g.complete(t.Context(), streamed, a.params).String(); got != fmt.Sprintf("%q stop", "The last result is: It is "+name+".") {
					t.Errorf("%s: %s", name, got)
				}
			})
		}
		all.Wait()
		for _, c := range g.since(0) {
			seen := c.Content
			for _, turn := range c.Context {
				seen += turn.User
			}
			others := 0
			for _, name := range names {
				if strings.Contains(seen, "It is "+name) {
					others++
				}
			}
			if others > 1 {
				t.Errorf("the model was shown the results of %d agents: %q", others, seen)
			}
		}
		g.slotsFree()
	})
}
