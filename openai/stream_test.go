package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// chunkHead is how every chunk of the tests' streams begins.
const chunkHead = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"qwen3-max","choices":[`

func TestStreamShapes(t *testing.T) {
	piece := func(field, text string) string {
		return chunkHead + `{"index":0,"delta":{"` + field + `":"` + text + `"},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	}
	for name, tt := range map[string]struct {
		write func(s *Stream) []byte
		want  string
	}{
		"ST-09 role in the first chunk": {
			func(s *Stream) []byte { return s.Start(nil) },
			chunkHead + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n",
		},
		"ST-07 text": {
			func(s *Stream) []byte { return s.Flush(s.Text(nil, false, []byte(`a\n"`[:3]))) },
			piece("content", `a\n`),
		},
		"RE-01 reasoning": {
			func(s *Stream) []byte { return s.Flush(s.Text(nil, true, []byte(`hm`))) },
			piece("reasoning_content", `hm`),
		},
		"RE-04 never both in one chunk": {
			func(s *Stream) []byte {
				dst := s.Text(nil, true, []byte("a"))
				dst = s.Text(dst, true, []byte("b"))
				dst = s.Text(dst, false, []byte("c"))
				dst = s.Text(dst, false, []byte("d"))
				return s.Flush(dst)
			},
			piece("reasoning_content", "ab") + piece("content", "cd"),
		},
		"flush of nothing": {func(s *Stream) []byte { return s.Flush(s.Text(nil, false, nil)) }, ""},
		"ST-10 ST-13 the end": {
			func(s *Stream) []byte { return s.Finish(s.Text(nil, false, []byte("x")), "stop", Usage{Prompt: 1}) },
			piece("content", "x") + chunkHead + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n",
		},
		"ST-12 usage": {
			func(s *Stream) []byte {
				s.includeUsage = true
				return s.Finish(nil, "length", Usage{Prompt: 3, Completion: 4, Reasoning: 2, Cached: 1, Estimated: true})
			},
			chunkHead + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}` + "\n\n" +
				chunkHead + `],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2},"estimated":true}}` + "\n\ndata: [DONE]\n\n",
		},
		"UP-06 failure": {
			func(s *Stream) []byte {
				return s.Fail(s.Text(nil, false, []byte("x")), &Error{Status: 502, Message: "no\nway", Code: "c"})
			},
			piece("content", "x") + `data: {"error":{"message":"no\nway","type":"server_error","param":null,"code":"c"}}` + "\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(tt.write(NewStream("chatcmpl-1", "qwen3-max", 1700000000, false)))
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestKeepAliveIsAComment(t *testing.T) {
	if got := string(AppendKeepAlive(nil)); got != ": keep-alive\n\n" {
		t.Errorf("got %q", got)
	}
}

// ST-04: a piece of any size is cut into lines below 64 KiB, at places where
// the text can be cut.
func TestStreamCutsLargePieces(t *testing.T) {
	for _, unit := range []string{"a", `\u00e9`, `\ud83d\ude00`, "日", `\\`} {
		s := NewStream("id", "model", 1, false)
		raw := strings.Repeat(unit, 300_000/len(unit))
		out := s.Text(nil, false, []byte("abc"))
		out = s.Text(out, false, []byte(raw))
		out = s.Text(out, false, []byte("xyz"))
		out = s.Flush(out)
		var text strings.Builder
		for _, line := range strings.Split(strings.TrimSuffix(string(out), "\n\n"), "\n\n") {
			if len(line) >= 64<<10 {
				t.Fatalf("%s: line of %d bytes", unit, len(line))
			}
			var chunk struct {
				Choices []struct{ Delta struct{ Content string } }
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &chunk); err != nil {
				t.Fatal(err)
			}
			text.WriteString(chunk.Choices[0].Delta.Content)
		}
		if want := string(jsonraw.AppendText(nil, []byte("abc"+raw+"xyz"))); text.String() != want {
			t.Errorf("%s: the text changed", unit)
		}
	}
}

func TestCompletionShape(t *testing.T) {
	c := NewCompletion("chatcmpl-1", "qwen3-max", 1700000000)
	dst := c.Start(nil)
	dst = c.Text(dst, false, []byte(`a\n`))
	dst = c.Text(dst, false, []byte("b"))
	if dst = c.Flush(dst); len(dst) != 0 {
		t.Fatalf("%q was written before the end", dst)
	}
	const head = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"qwen3-max","choices":[{"index":0,"message":{"role":"assistant","content":"a\nb"`
	const end = `},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`
	usage := Usage{Prompt: 1, Completion: 2}
	if got := string(c.Finish(nil, "stop", usage)); got != head+end {
		t.Errorf("without reasoning (RE-02):\n got %s\nwant %s", got, head+end)
	}
	c.Text(nil, true, []byte("hm"))
	if got, want := string(c.Finish(nil, "stop", usage)), head+`,"reasoning_content":"hm"`+end; got != want {
		t.Errorf("with reasoning:\n got %s\nwant %s", got, want)
	}
	if got := string(c.Fail(nil, &Error{Message: "no"})); !strings.HasPrefix(got, `{"error":{"message":"no"`) {
		t.Errorf("failure: %s", got)
	}
}

func BenchmarkStreamText(b *testing.B) {
	s := NewStream("chatcmpl-0123456789abcdef0123456789abcdef", "qwen3.7-plus", 1700000000, false)
	raw := []byte("a few words of text, as the site sends them in a frame, ok?")
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Flush(s.Text(buf[:0], false, raw))
	}
}
