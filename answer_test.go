package caddyqwen

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// completion is an answer that is not streamed. Unknown fields are a mistake,
// `error` above all.
type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index   int `json:"index"`
		Message struct {
			Role      string  `json:"role"`
			Content   *string `json:"content"`
			Reasoning *string `json:"reasoning_content"`
		} `json:"message"`
		Logprobs     json.RawMessage `json:"logprobs"`
		FinishReason string          `json:"finish_reason"`
	} `json:"choices"`
	Usage *usageFields `json:"usage"`
}

// mustCompletion checks the form of an answer that is not streamed.
func mustCompletion(t testing.TB, r reply) (c completion) {
	t.Helper()
	if r.status != http.StatusOK || r.err != nil {
		t.Fatalf("%d %s, %v", r.status, tail(r.body), r.err)
	}
	dec := json.NewDecoder(strings.NewReader(r.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		t.Fatalf("%v in %.300s", err, r.body)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("CN-07: Content-Type is %q", kind)
	}
	if r.header.Get("X-Request-Id") == "" {
		t.Error("CN-20: no X-Request-Id")
	}
	if !strings.HasPrefix(c.ID, "chatcmpl-") || c.Object != "chat.completion" || c.Model == "" {
		t.Errorf("CN-01, CN-02: id %q, object %q, model %q", c.ID, c.Object, c.Model)
	}
	if now := time.Now().Unix(); c.Created < now-60 || c.Created > now+60 {
		t.Errorf("CN-03: created is %d", c.Created)
	}
	if len(c.Choices) != 1 || c.Choices[0].Index != 0 {
		t.Fatalf("CN-04: choices %+v", c.Choices)
	}
	if m := c.Choices[0].Message; m.Role != "assistant" || m.Content == nil {
		t.Fatalf("CN-05: message %+v", m)
	}
	c.Usage.check(t)
	return c
}

// text returns the text of the answer.
func (c completion) text() string { return *c.Choices[0].Message.Content }

func TestAnswerBytes(t *testing.T) {
	g := mustGateway(t, setup{})
	const usage = `"usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,` +
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":4}}}`
	const head = `{"id":"chatcmpl-X","object":"chat.completion","created":1700000000,"model":"qwen3.7-plus",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":`
	tests := []struct {
		name, fields, want string
		steps              []emulator.Step
	}{
		{"CN-01 CN-04 CN-05 CN-06 text", `"stream":false`, head + `"Hello, world"},"logprobs":null,"finish_reason":"stop"}],` + usage,
			[]emulator.Step{emulator.Answer("Hello, "), emulator.Answer("world")}},
		{"RE-01 RE-02 with reasoning", "", head + `"Hello","reasoning_content":"Let me see."},"logprobs":null,"finish_reason":"stop"}],` + usage,
			[]emulator.Step{emulator.Think("Let me "), emulator.Think("see."), emulator.ThinkDone(), emulator.Answer("Hello")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps := append([]emulator.Step{emulator.Created()}, tt.steps...)
			g.site.Reply(emulator.Stream(append(steps, emulator.Usage(10, 7, 4), emulator.Finish())...))
			r := g.chat("Hi", tt.fields)
			if got := fixed(r.body); got != tt.want {
				t.Errorf("the answer is\n%s\nwant\n%s", got, tt.want)
			}
			if length := r.header.Get("Content-Length"); length != fmt.Sprint(len(r.body)) {
				t.Errorf("Content-Length is %q", length)
			}
		})
	}
	t.Run("CN-02 ids are unique", func(t *testing.T) {
		seen := map[string]bool{}
		for range 10 {
			id := mustCompletion(t, g.chat("Hi", "")).ID
			if seen[id] {
				t.Errorf("%s occurs twice", id)
			}
			seen[id] = true
		}
	})
	t.Run("CN-20 the client's own x-request-id", func(t *testing.T) {
		r := g.do(http.MethodPost, chatPath, chatBody("Hi", ""), "X-Request-Id", "client-1.a:b")
		if id := r.header.Get("X-Request-Id"); id != "client-1.a:b" {
			t.Errorf("X-Request-Id is %q", id)
		}
	})
	t.Run("CN-20 a strange x-request-id is replaced", func(t *testing.T) {
		r := g.do(http.MethodPost, chatPath, chatBody("Hi", ""), "X-Request-Id", "a b\"c")
		if id := r.header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
			t.Errorf("X-Request-Id is %q", id)
		}
	})
}

// verbatim are texts that programs between the model and the user tend to
// change.
var verbatim = map[string]string{
	"Unicode":            "Grüße, 世界 🌍 👩‍👩‍👧‍👦 e\u0301 \u202Eabc\u202C \U0010FFFF \uFEFF \uFFFD \u00A0|\u2028|\u2029|\u0085|",
	"control characters": "a\u0000b\u0001\u001b[0m\b\f\v\u007f end",
	"white space":        "\n\n  \tleading and trailing \r\n\r\n\t  ",
	"look-alikes of SSE": "data: [DONE]\n\ndata: {\"error\":\"no\"}\n\n: keep-alive\nevent: x\rid: 1\r\nretry: 5\n\n",
	"JSON and escapes":   `{"a":"\\u0041 \" \/ \\"} \ud83d \n <script>&amp;</script> "`,
	"Markdown":           "```go\nfunc main() {\n\tprintln(\"hi\")\n}\n```\n\n| a | b |\n|---|---|\n| 1 | `x|y` |\n",
	"CN-10 tool tags":    "<tool_use><name>f</name><arguments>{\"a\":1}</arguments></tool_use>\n<tool_call>{}</tool_call>",
	"RE-05 thinking":     "<think>not mine</think><details type=\"reasoning\">x</details>",
}

// TestAnswerVerbatim sends each text in every way of cutting and writing it.
func TestAnswerVerbatim(t *testing.T) {
	g := mustGateway(t, setup{})
	ways := map[string]func(steps ...emulator.Step) emulator.Step{
		"at once":        emulator.Joined,
		"byte by byte":   emulator.Bytewise,
		"in odd pieces":  func(steps ...emulator.Step) emulator.Step { return emulator.Split([]int{3, 7, 1, 11}, steps...) },
		"CR LF":          emulator.CRLF,
		"CR LF bytewise": func(steps ...emulator.Step) emulator.Step { return emulator.Bytewise(emulator.CRLF(steps...)) },
	}
	for name, text := range verbatim {
		for way, cut := range ways {
			t.Run("CN-08 ST-11 "+name+", "+way, func(t *testing.T) {
				steps := []emulator.Step{emulator.Created()}
				for piece := range slices.Chunk([]rune(text), 7) {
					steps = append(steps, emulator.Answer(string(piece)))
				}
				script := emulator.Stream(cut(append(steps, emulator.Finish())...))
				if way == "at once" {
					script = emulator.Text(text).Gzip()
				}
				g.mustAnswer(t, script, text)
			})
		}
	}
}

// mustAnswer checks that both kinds of answers to a reply of the site have this
// text.
func (g *gateway) mustAnswer(t *testing.T, script emulator.Reply, want string) {
	t.Helper()
	g.site.Reply(script, script)
	if got := g.stream(t, "Hi", "").text; got != want {
		t.Errorf("streamed %.300q, want %.300q", got, want)
	}
	if got := mustCompletion(t, g.chat("Hi", "")).text(); got != want {
		t.Errorf("not streamed %.300q, want %.300q", got, want)
	}
}

// TestAnswerEscapes checks text that the site writes with escapes, and in
// halves.
func TestAnswerEscapes(t *testing.T) {
	g := mustGateway(t, setup{})
	frame := func(content string) emulator.Step {
		return emulator.Frame(`{"choices":[{"delta":{"role":"assistant","content":"` + content + `","phase":"answer","status":"typing"}}],"response_id":"$response_id"}`)
	}
	tests := []struct {
		name     string
		contents []string
		want     string
	}{
		{"escapes", []string{`\u0041\/\"\\\b\f\n\r\t\u00e9`}, "A/\"\\\b\f\n\r\té"},
		{"a surrogate pair", []string{`\ud83c\udf0d`}, "🌍"},
		{"a pair in two frames", []string{`a\ud83c`, `\udf0db`}, "a🌍b"},
		{"a pair around an empty frame", []string{`a\uD83C`, ``, `\uDF0Db`}, "a🌍b"},
		{"a lone first half", []string{`a\ud83c`, `b`}, "a\uFFFDb"},
		{"a lone second half", []string{`a`, `\udf0db`}, "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run("CN-08 ST-11 ER-04 "+tt.name, func(t *testing.T) {
			steps := []emulator.Step{emulator.Created()}
			for _, content := range tt.contents {
				steps = append(steps, frame(content))
			}
			g.mustAnswer(t, emulator.Stream(append(steps, emulator.Finish())...), tt.want)
		})
	}
}

func TestAnswerLarge(t *testing.T) {
	g := mustGateway(t, setup{})
	long := strings.Repeat("Grüße, 世界 🌍! \"quoted\"\n", 6000)
	var pieces []string
	for piece := range slices.Chunk([]rune(long), 500) {
		pieces = append(pieces, string(piece))
	}
	t.Run("CN-09 a long answer in pieces", func(t *testing.T) {
		g.mustAnswer(t, emulator.Text(pieces...), long)
	})
	t.Run("CN-09 ST-04 a long answer in one frame", func(t *testing.T) {
		g.mustAnswer(t, emulator.Text(long), long)
	})
	t.Run("ST-04 ST-11 long frames of wide characters", func(t *testing.T) {
		wide := strings.Repeat("🌍", 40_000)
		g.mustAnswer(t, emulator.Text("a", wide, "bc", wide), "a"+wide+"bc"+wide)
	})
	t.Run("CN-09 ST-04 a frame of 10 MB", func(t *testing.T) {
		g.mustAnswer(t, emulator.Stream(emulator.Created(), emulator.HugeFrame(10<<20), emulator.Finish()), strings.Repeat("x", 10<<20))
	})
}

// TestAnswerOnly checks that nothing but the first answer becomes text.
func TestAnswerOnly(t *testing.T) {
	g := mustGateway(t, setup{})
	page := emulator.Doc{URL: "https://example.com/", Title: "Canary page", Snippet: "Canary snippet"}
	tests := []struct {
		name  string
		steps []emulator.Step
		want  string
	}{
		{"candidates", []emulator.Step{
			emulator.Created(), emulator.Answer("Only "), emulator.Candidate(1, emulator.Answer("never ")),
			emulator.Answer("this "), emulator.Candidate(1, emulator.Answer("that"), emulator.Finish()), emulator.Answer("one."), emulator.Finish(),
		}, "Only this one."},
		{"candidates announced together", []emulator.Step{
			emulator.Created(), emulator.Candidate(1, emulator.Answer("x")), emulator.Candidate(2, emulator.Answer("y")),
			emulator.Candidate(0, emulator.Answer("One")), emulator.Candidate(2, emulator.Finish()), emulator.Candidate(0, emulator.Answer("."), emulator.Finish()),
		}, "One."},
		{"another candidate fails", []emulator.Step{
			emulator.Created(), emulator.Answer("Good"), emulator.Candidate(1, emulator.ErrorFrame("internal_error", "No.")), emulator.Answer("."), emulator.Finish(),
		}, "Good."},
		{"web search", []emulator.Step{
			emulator.Created(), emulator.WebSearch("canary query", 1, page), emulator.Answer("Found.[[1]]"), emulator.Finish(),
		}, "Found.[[1]]"},
		{"tools between text", []emulator.Step{
			emulator.Created(), emulator.Answer("One"), emulator.Tool("code_interpreter", `{"code":"1+1"}`, map[string]string{"out": "2"}),
			emulator.Answer(" two"), emulator.Tool("image_zoom_in_tool", "{}", nil), emulator.PhaseDone("image_zoom_in_tool"), emulator.Answer("."), emulator.Finish(),
		}, "One two."},
		{"text in an unknown phase", []emulator.Step{
			emulator.Created(), emulator.Frame(`{"choices":[{"delta":{"role":"assistant","content":"canary","phase":"new_tool_2027","status":"typing"}}],"response_id":"$response_id"}`),
			emulator.PhaseDone("new_tool_2027"), emulator.Answer("Text."), emulator.Finish(),
		}, "Text."},
		{"deltas without a phase", []emulator.Step{
			emulator.Created(), emulator.Unphased("a"), emulator.Unphased("b"), emulator.Finish(),
		}, "ab"},
		{"notes and keep-alives", []emulator.Step{
			emulator.Created(), emulator.Note("skip_think"), emulator.KeepAlive(), emulator.Answer("a"), emulator.KeepAlivePhase(), emulator.Comment(), emulator.Answer("b"), emulator.Finish(),
		}, "ab"},
		{"text in the terminal frame", []emulator.Step{
			emulator.Created(), emulator.Answer("a"),
			emulator.Frame(`{"choices":[{"delta":{"role":"assistant","content":"b","phase":"answer","status":"finished"}}],"response_id":"$response_id"}`),
		}, "ab"},
		{"lines of other forms", []emulator.Step{
			emulator.Raw([]byte("\ufeffevent: message\nid: 7\nretry: 1\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n")),
			emulator.Raw([]byte("data:   {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}  \r")),
			emulator.Raw([]byte("\r:comment\rdata: {\"choices\":[{\"delta\":{\"content\":\"c\",\"status\":\"finished\"}}]}")),
		}, "abc"},
	}
	for _, tt := range tests {
		t.Run("TO-01 "+tt.name, func(t *testing.T) {
			g.mustAnswer(t, emulator.Stream(tt.steps...), tt.want)
		})
	}
}

// TestAnswerRequests sends what clients send besides the conversation.
func TestAnswerRequests(t *testing.T) {
	g := mustGateway(t, setup{})
	hello := `"messages":[{"role":"user","content":"Hi"}]`
	tests := []struct{ name, body, ignored string }{
		{"CN-07 no stream field", `{"model":"qwen3.7-plus",` + hello + `}`, ""},
		{"CN-11 Dify's ping", `{"model":"qwen3.7-plus","max_tokens":5,"messages":[{"role":"user","content":"ping"}]}`, ""},
		{"CN-12 unknown fields", `{"model":"qwen3.7-plus","chat_id":"x","session_id":"y","id":"z","metadata":{"a":[1]},"user":{"id":1},"transforms":["x"],` + hello + `}`, ""},
		{"CN-13 null fields", `{"model":"qwen3.7-plus","temperature":null,"top_p":null,"max_tokens":null,"stream":null,"stream_options":null,"stop":null,"tools":null,"tool_choice":null,"response_format":null,"enable_thinking":null,"thinking":null,"reasoning":null,"reasoning_effort":null,"n":null,"user":null,"seed":null,` + hello + `}`, ""},
		{"CN-13 empty fields", `{"model":"qwen3.7-plus","tools":[],"stop":[],"stop_sequences":"","logit_bias":{},"metadata":{},` + hello + `}`, ""},
		{"CN-17 CN-18 parameters with and without effect", `{"model":"qwen3.7-plus","temperature":0.2,"stop":["END"],"seed":1,"max_completion_tokens":100,` + hello + `}`, "seed, temperature"},
		{"CN-12 parameters at their defaults", `{"model":"qwen3.7-plus","temperature":1,"top_p":1.0,"presence_penalty":0,"frequency_penalty":0,"n":1,"logprobs":false,` + hello + `}`, ""},
	}
	for _, tt := range tests {
		for _, mode := range []string{"", `"stream":true,`} {
			if mode != "" && strings.Contains(tt.body, `"stream":`) {
				continue
			}
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				r := g.do(http.MethodPost, chatPath, "{"+mode+strings.TrimPrefix(tt.body, "{"))
				if mode == "" {
					mustCompletion(t, r)
				} else {
					readStream(t, r.body)
				}
				if got := r.header.Get("X-Qwen-Ignored-Params"); got != tt.ignored {
					t.Errorf("X-Qwen-Ignored-Params is %q, want %q", got, tt.ignored)
				}
			})
		}
	}
	t.Run("CN-19 several answers", func(t *testing.T) {
		r := g.chat("Hi", `"n":2`)
		if r.status != http.StatusBadRequest || r.code() != "unsupported_parameter" {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// TestAnswerSDK reads answers with the official SDK.
func TestAnswerSDK(t *testing.T) {
	g := mustGateway(t, setup{global: bothProtocols, site: "encode gzip"})
	for _, w := range wires {
		t.Run("CN-01 "+w.name, func(t *testing.T) {
			transport := w.transport(t)
			transport.DisableCompression = !w.gzip
			client := g.client(option.WithHTTPClient(&http.Client{Transport: transport}))
			text := strings.Repeat("Grüße, 世界 🌍! ", 100)
			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Think("Hm."), emulator.ThinkDone(),
				emulator.Answer(text), emulator.Usage(11, 22, 5), emulator.Finish()))
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var resp *http.Response
			c, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
				Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
			}, option.WithResponseInto(&resp))
			if err != nil {
				t.Fatal(err)
			}
			if encoding := resp.Header.Get("Content-Encoding"); (encoding == "gzip" || resp.Uncompressed) != w.gzip || resp.ProtoMajor == 2 != w.http2 {
				t.Errorf("%s with Content-Encoding %q", resp.Proto, encoding)
			}
			if m := c.Choices[0].Message; m.Content != text || m.JSON.ExtraFields["reasoning_content"].Raw() != `"Hm."` {
				t.Errorf("message %s", m.RawJSON())
			}
			if c.Usage.TotalTokens != 33 || c.Choices[0].FinishReason != "stop" || c.Object != "chat.completion" {
				t.Errorf("answer %s", c.RawJSON())
			}
		})
	}
}
