package openai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// writer is what Stream and Completion have in common.
type writer interface {
	Start(dst []byte) []byte
	Text(dst []byte, reasoning bool, raw []byte) []byte
	Call(dst []byte, id, name, arguments string) []byte
	Finish(dst []byte, reason string, usage Usage) []byte
}

// wholeAnswer is what a client has in the end.
type wholeAnswer struct {
	Content, Reason string
	Calls           []ToolCall
}

// message is a message, or a delta of one, as clients read it.
type message struct {
	Content      *string
	ToolCalls    []wireCall `json:"tool_calls"`
	FunctionCall *wireFunction
}

type wireCall struct {
	Index    *int
	ID, Type string
	Function wireFunction
}

type wireFunction struct {
	Name      string
	Arguments *string
}

// UnmarshalJSON exists because encoding/json ignores the case of names.
func (m *message) UnmarshalJSON(text []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for name, to := range map[string]any{"content": &m.Content, "tool_calls": &m.ToolCalls, "function_call": &m.FunctionCall} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return err
			}
		}
	}
	return nil
}

type wireAnswer struct {
	Choices []struct {
		Message, Delta message
		Reason         *string `json:"finish_reason"`
	}
}

// mustWriteCalls writes an answer with text and two calls and reads it as
// clients do. With functions, the second call has no room.
func mustWriteCalls(t *testing.T, streamed, functions bool, id, name, arguments, said string) wholeAnswer {
	t.Helper()
	raw, _ := jsonraw.AppendEscaped(nil, said, 6*len(said))
	var w writer = &Completion{Functions: functions}
	if streamed {
		stream := NewStream("chatcmpl-1", "m", 1, true)
		stream.Functions = functions
		w = stream
	}
	out := w.Text(w.Start(nil), false, raw)
	out = w.Call(out, id, name, arguments)
	out = w.Call(out, id+"2", name, arguments)
	out = w.Finish(out, "stop", Usage{})
	if streamed {
		return mustJoin(t, string(out))
	}
	return mustReadCompletion(t, out)
}

func mustReadCompletion(t *testing.T, out []byte) (a wholeAnswer) {
	t.Helper()
	var answer wireAnswer
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	choice := answer.Choices[0]
	if choice.Message.Content != nil {
		a.Content = *choice.Message.Content
	} else if !strings.Contains(string(out), `"content":null`) {
		t.Errorf("CN-05: no content in %s", out)
	}
	for _, c := range choice.Message.ToolCalls {
		if c.Type != "function" || c.Index != nil {
			t.Errorf("call %+v", c)
		}
		a.Calls = append(a.Calls, ToolCall{c.ID, c.Function.Name, *c.Function.Arguments})
	}
	if f := choice.Message.FunctionCall; f != nil {
		a.Calls = append(a.Calls, ToolCall{Name: f.Name, Arguments: *f.Arguments})
	}
	a.Reason = *choice.Reason
	return a
}

// mustJoin reads a stream as the strictest of the clients do.
func mustJoin(t *testing.T, out string) (a wholeAnswer) {
	t.Helper()
	rest, done := strings.CutSuffix(out, "\n\ndata: [DONE]\n\n")
	if !done {
		t.Fatalf("no end: %q", out)
	}
	for _, line := range strings.Split(rest, "\n\n") {
		payload, ok := strings.CutPrefix(line, "data: ")
		if !ok || len(line) >= 64<<10 || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("ST-04: a line of %d bytes: %.100q", len(line), line)
		}
		var chunk wireAnswer
		if err := json.Unmarshal([]byte(payload), &chunk); err != nil {
			t.Fatalf("%v in %.200s", err, payload)
		}
		for _, choice := range chunk.Choices {
			a.join(t, choice.Delta)
			if choice.Reason != nil {
				a.Reason += *choice.Reason
			}
		}
	}
	return a
}

// join adds a delta to the answer.
func (a *wholeAnswer) join(t *testing.T, d message) {
	t.Helper()
	if d.Content != nil {
		a.Content += *d.Content
		if len(d.ToolCalls) > 0 || d.FunctionCall != nil {
			t.Error("TO-09: text and a call in one chunk")
		}
	}
	if d.FunctionCall != nil {
		if d.FunctionCall.Arguments == nil {
			t.Fatal("a delta of a call without arguments")
		}
		if len(a.Calls) == 0 {
			a.Calls = append(a.Calls, ToolCall{})
		}
		a.Calls[0].Name += d.FunctionCall.Name
		a.Calls[0].Arguments += *d.FunctionCall.Arguments
	}
	if len(d.ToolCalls) > 0 {
		a.joinCall(t, d.ToolCalls)
	}
}

func (a *wholeAnswer) joinCall(t *testing.T, calls []wireCall) {
	t.Helper()
	c := calls[0]
	if len(calls) > 1 || c.Index == nil || c.Function.Arguments == nil {
		t.Fatalf("TO-09: calls %+v", calls)
	}
	switch *c.Index {
	case len(a.Calls):
		if c.Type != "function" || *c.Function.Arguments != "" {
			t.Errorf("TO-09: the first delta of a call is %+v", c)
		}
		a.Calls = append(a.Calls, ToolCall{})
	case len(a.Calls) - 1:
		if c.ID != "" || c.Type != "" || c.Function.Name != "" || *c.Function.Arguments == "" {
			t.Errorf("TO-09: a later delta of a call is %+v", c)
		}
	default:
		t.Fatalf("TO-09: the index is %d after %d calls", *c.Index, len(a.Calls))
	}
	last := &a.Calls[len(a.Calls)-1]
	last.ID += c.ID
	last.Name += c.Function.Name
	last.Arguments += *c.Function.Arguments
}

func TestStreamCallShapes(t *testing.T) {
	chunk := func(delta string) string {
		return chunkHead + `{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":null}]}` + "\n\n"
	}
	end := func(reason string) string {
		return chunkHead + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"` + reason + `"}]}` + "\n\ndata: [DONE]\n\n"
	}
	for name, tt := range map[string]struct {
		functions bool
		write     func(s *Stream) []byte
		want      string
	}{
		"TO-09 a call": {
			false, func(s *Stream) []byte { return s.Call(nil, "call_1", "f", `{"a":"\n"}`) },
			chunk(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}`) +
				chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"\\n\"}"}}]}`),
		},
		"TO-09 two calls between texts": {
			false, func(s *Stream) []byte {
				dst := s.Text(nil, false, []byte("x"))
				dst = s.Call(dst, "1", "f", `{}`)
				dst = s.Call(dst, "2", "g\"", "")
				return s.Flush(s.Text(dst, false, []byte("y")))
			},
			chunk(`{"content":"x"}`) +
				chunk(`{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":""}}]}`) +
				chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`) +
				chunk(`{"tool_calls":[{"index":1,"id":"2","type":"function","function":{"name":"g\"","arguments":""}}]}`) +
				chunk(`{"content":"y"}`),
		},
		"TO-08 the finish reason": {
			false, func(s *Stream) []byte { s.Call(nil, "1", "f", "{}"); return s.Finish(nil, "stop", Usage{}) },
			end("tool_calls"),
		},
		"TO-08 the finish reason by its name": {
			false, func(s *Stream) []byte { s.Call(nil, "1", "f", "{}"); return s.Finish(nil, "tool_calls", Usage{}) },
			end("tool_calls"),
		},
		"CN-18 the limit is the reason": {
			false, func(s *Stream) []byte { s.Call(nil, "1", "f", "{}"); return s.Finish(nil, "length", Usage{}) },
			end("length"),
		},
		"a legacy call, and one for which there is no room": {
			true, func(s *Stream) []byte {
				dst := s.Call(nil, "call_1", "f", `{"a":1}`)
				return s.Finish(s.Call(dst, "call_2", "g", `{}`), "stop", Usage{})
			},
			chunk(`{"function_call":{"name":"f","arguments":""}}`) + chunk(`{"function_call":{"arguments":"{\"a\":1}"}}`) + end("function_call"),
		},
		"legacy without a call": {true, func(s *Stream) []byte { return s.Finish(nil, "stop", Usage{}) }, end("stop")},
		"UP-06 failure after a call": {
			false, func(s *Stream) []byte { return s.Fail(s.Call(nil, "1", "f", ""), &Error{Status: 502, Message: "no"}) },
			chunk(`{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":""}}]}`) +
				`data: {"error":{"message":"no","type":"server_error","param":null,"code":null}}` + "\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStream("chatcmpl-1", "qwen3-max", 1700000000, false)
			s.Functions = tt.functions
			if got := string(tt.write(s)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// ST-04: arguments of any size are cut into lines below 64 KiB, at places where
// the text can be cut.
func TestStreamCutsLargeArguments(t *testing.T) {
	for _, unit := range []string{"a", "\"", "\\", "\x01", "日", "😀", "a\n"} {
		for _, functions := range []bool{false, true} {
			arguments := `{"x":"` + strings.Repeat(unit, 200_000/len(unit)) + `"}`
			got := mustWriteCalls(t, true, functions, "c", "f", arguments, "")
			if got.Calls[0].Arguments != arguments {
				t.Errorf("%q: the arguments changed", unit)
			}
		}
	}
}

func TestCompletionCallShapes(t *testing.T) {
	const one = `"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`
	for name, tt := range map[string]struct {
		functions bool
		write     func(c *Completion)
		message   string
		reason    string
	}{
		"TO-08 content is null": {
			false, func(c *Completion) { c.Call(nil, "call_1", "f", `{"a":1}`) },
			`"content":null,` + one, "tool_calls",
		},
		"TO-08 text, reasoning and two calls": {
			false, func(c *Completion) {
				c.Text(nil, true, []byte("hm"))
				c.Text(nil, false, []byte("x"))
				c.Call(nil, "call_1", "f", `{"a":1}`)
				c.Call(nil, "call_2", "g", "{}")
				c.Text(nil, false, []byte("y"))
			},
			`"content":"xy","reasoning_content":"hm",` + strings.TrimSuffix(one, "]") +
				`,{"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]`, "tool_calls",
		},
		"a legacy call, and one for which there is no room": {
			true, func(c *Completion) { c.Call(nil, "call_1", "f", `{"a":1}`); c.Call(nil, "call_2", "g", "{}") },
			`"content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}`, "function_call",
		},
		"CN-05 neither text nor calls": {false, func(c *Completion) {}, `"content":""`, "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCompletion("chatcmpl-1", "m", 1)
			c.Functions = tt.functions
			tt.write(c)
			got := string(c.Finish(nil, "stop", Usage{}))
			if want := fmt.Sprintf(`"message":{"role":"assistant",%s},"logprobs":null,"finish_reason":"%s"}]`, tt.message, tt.reason); !strings.Contains(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestStreamCallAllocatesNothing(t *testing.T) {
	arguments := `{"x":"` + strings.Repeat("日\n", 30_000) + `"}`
	for _, functions := range []bool{false, true} {
		buf := make([]byte, 0, 1<<20)
		s := NewStream("chatcmpl-1", "m", 1, false)
		s.Functions = functions
		if n := testing.AllocsPerRun(10, func() { s.calls = 0; s.Call(buf, "call_1", "get_weather", arguments) }); n != 0 {
			t.Errorf("%g allocations", n)
		}
	}
}

func BenchmarkStreamCall(b *testing.B) {
	s := NewStream("chatcmpl-0123456789abcdef0123456789abcdef", "qwen3.7-plus", 1700000000, false)
	arguments := `{"path":"main.go","content":"` + strings.Repeat(`func main() { fmt.Println(\"hi\") }\n`, 30) + `"}`
	var buf []byte
	b.SetBytes(int64(len(arguments)))
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Call(buf[:0], "call_0123456789abcdef", "write_file", arguments)
	}
}
