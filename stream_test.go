package caddyqwen

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// wire is a way in which a client talks to Caddy.
type wire struct {
	name  string
	http2 bool // from the first byte, without TLS
	gzip  bool // the client takes gzip
}

var wires = []wire{
	{name: "HTTP1"},
	{name: "HTTP2", http2: true},
	{name: "HTTP1 gzip", gzip: true},
	{name: "HTTP2 gzip", http2: true, gzip: true},
}

// bothProtocols lets Caddy speak HTTP/2 without TLS.
const bothProtocols = "servers {\nprotocols h1 h2c\n}"

// transport returns a client's side of the wire.
func (w wire) transport(t testing.TB) *http.Transport {
	tr := &http.Transport{DisableCompression: true}
	if w.http2 {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// liveStream is the answer to a chat request that is read while it is written.
type liveStream struct {
	t    testing.TB
	resp *http.Response
	text *bufio.Reader
}

// mustOpen sends a chat request and waits for the header of the answer, which
// must be a stream in the expected encoding.
func (w wire) mustOpen(t testing.TB, g *gateway, body string, encoded bool) *liveStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+chatPath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	if w.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := w.transport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	s := &liveStream{t: t, resp: resp, text: bufio.NewReader(resp.Body)}
	s.checkHeader(w.http2)
	if want := w.gzip && encoded; (resp.Header.Get("Content-Encoding") == "gzip") != want {
		t.Fatalf("Content-Encoding is %q, want gzip: %t", resp.Header.Get("Content-Encoding"), want)
	} else if want {
		plain, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		s.text = bufio.NewReader(plain)
	}
	return s
}

// checkHeader checks what every stream begins with.
func (s *liveStream) checkHeader(http2 bool) {
	s.t.Helper()
	h := s.resp.Header
	if s.resp.StatusCode != http.StatusOK || (s.resp.ProtoMajor == 2) != http2 {
		text, _ := io.ReadAll(s.text)
		s.t.Fatalf("%s %s: %s", s.resp.Proto, s.resp.Status, text)
	}
	if kind := h.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		s.t.Errorf("Content-Type is %q", kind)
	}
	if cache := h.Get("Cache-Control"); cache != "no-cache" {
		s.t.Errorf("Cache-Control is %q", cache)
	}
	if buffering := h.Get("X-Accel-Buffering"); buffering != "no" {
		s.t.Errorf("X-Accel-Buffering is %q", buffering)
	}
	if length, ok := h["Content-Length"]; ok || s.resp.ContentLength >= 0 {
		s.t.Errorf("Content-Length is %q", length)
	}
	if h.Get("X-Request-Id") == "" {
		s.t.Error("no X-Request-Id")
	}
}

// next returns the next event or comment, which is one line and an empty one.
func (s *liveStream) next() string {
	s.t.Helper()
	line, err := s.text.ReadString('\n')
	if err != nil {
		s.t.Fatalf("no further event: %v after %q", err, line)
	}
	if empty, err := s.text.ReadString('\n'); empty != "\n" {
		s.t.Fatalf("%q, %v instead of an empty line after %q", empty, err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// content returns the text of the next event.
func (s *liveStream) content() string {
	s.t.Helper()
	event := s.next()
	data, ok := strings.CutPrefix(event, "data: ")
	if !ok {
		s.t.Fatalf("%q is no event", event)
	}
	c := mustChunk(s.t, data)
	if len(c.Choices) != 1 || c.Choices[0].Delta.Content == nil {
		s.t.Fatalf("no text in %s", data)
	}
	return *c.Choices[0].Delta.Content
}

// rest returns what is left of the stream.
func (s *liveStream) rest() string {
	s.t.Helper()
	text, err := io.ReadAll(s.text)
	if err != nil {
		s.t.Fatalf("%v after %q", err, tail(string(text)))
	}
	return string(text)
}

// chunk is an event of a stream. Unknown fields are a mistake.
type chunk struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chunkPart  `json:"choices"`
	Usage   *usageFields `json:"usage"`
}

type chunkPart struct {
	Index int `json:"index"`
	Delta *struct {
		Role      *string `json:"role"`
		Content   *string `json:"content"`
		Reasoning *string `json:"reasoning_content"`
	} `json:"delta"`
	Logprobs     json.RawMessage `json:"logprobs"`
	FinishReason *string         `json:"finish_reason"`
}

type usageFields struct {
	Prompt        int `json:"prompt_tokens"`
	Completion    int `json:"completion_tokens"`
	Total         int `json:"total_tokens"`
	PromptDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	Estimated bool `json:"estimated"`
}

func (u *usageFields) check(t testing.TB) {
	t.Helper()
	if u == nil || u.Prompt <= 0 || u.Completion <= 0 || u.Total != u.Prompt+u.Completion {
		t.Errorf("usage %+v: all must be positive, and the total the sum", u)
	}
}

func mustChunk(t testing.TB, data string) (c chunk) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		t.Fatalf("%v in %.300s", err, data)
	}
	return c
}

// streamResult is what a client makes of a whole stream.
type streamResult struct {
	text, reasoning, finish, model string
	usage                          *usageFields
	texts                          []string // of the chunks
}

// readStream checks the form of a whole stream and puts it together.
func readStream(t testing.TB, stream string) (s streamResult) {
	t.Helper()
	data := events(t, stream)
	if len(data) < 3 || data[len(data)-1] != "[DONE]" {
		t.Fatalf("ST-06: the stream does not end with [DONE]: %q", tail(stream))
	}
	data = data[:len(data)-1]
	first := mustChunk(t, data[0])
	for i, text := range data {
		if !strings.Contains(text, `"choices":[`) || strings.Count(text, `"finish_reason":`) > 1 {
			t.Errorf("ST-07: %s", text)
		}
		c := mustChunk(t, text)
		if c.ID != first.ID || c.Created != first.Created || c.Model != first.Model || c.Object != "chat.completion.chunk" {
			t.Errorf("ST-08: chunk %d is %.200s", i, text)
		}
		s.add(t, i, c)
	}
	if s.finish == "" {
		t.Error("ST-10: no finish_reason")
	}
	s.model, s.text = first.Model, strings.Join(s.texts, "")
	return s
}

// add adds the chunk with the given number.
func (s *streamResult) add(t testing.TB, i int, c chunk) {
	t.Helper()
	if len(c.Choices) == 0 {
		if s.finish == "" || s.usage != nil {
			t.Error("ST-12: a chunk without choices before the end, or two of them")
		}
		s.usage = c.Usage
		s.usage.check(t)
		return
	}
	part := c.Choices[0]
	switch delta := part.Delta; {
	case len(c.Choices) > 1 || part.Index != 0 || delta == nil || string(part.Logprobs) != "null":
		t.Errorf("ST-07: chunk %d has other choices than one", i)
	case s.finish != "":
		t.Errorf("ST-10: chunk %d comes after the finish_reason", i)
	case c.Usage != nil:
		t.Errorf("ST-12: chunk %d has choices and usage", i)
	case (delta.Role != nil) != (i == 0) || i == 0 && (*delta.Role != "assistant" || *delta.Content != ""):
		t.Errorf("ST-09: chunk %d has role %v", i, delta.Role)
	case i == 0:
	case part.FinishReason != nil:
		s.finish = *part.FinishReason
		if delta.Content != nil || delta.Reasoning != nil || s.finish == "" {
			t.Errorf("ST-10: the delta of the finish_reason %q is not empty", s.finish)
		}
	case delta.Content != nil && delta.Reasoning != nil || delta.Content == nil && delta.Reasoning == nil:
		t.Errorf("RE-04: chunk %d has text and reasoning, or neither", i)
	case delta.Content != nil:
		s.texts = append(s.texts, *delta.Content)
	default:
		if len(s.texts) > 0 {
			t.Errorf("RE-03: reasoning in chunk %d comes after text", i)
		}
		s.reasoning += *delta.Reasoning
	}
}

// stream sends a chat request for a stream and reads it to its end.
func (g *gateway) stream(t testing.TB, prompt, fields string) streamResult {
	t.Helper()
	if fields != "" {
		fields = "," + fields
	}
	r := g.chat(prompt, `"stream":true`+fields)
	if r.status != http.StatusOK || r.err != nil {
		t.Fatalf("%d %s, %v", r.status, tail(r.body), r.err)
	}
	return readStream(t, r.body)
}

var varying = regexp.MustCompile(`"id":"chatcmpl-[0-9a-f]{32}"|"created":1[0-9]{9}\b`)

// fixed replaces what differs between answers.
func fixed(text string) string {
	return varying.ReplaceAllStringFunc(text, func(s string) string {
		name, _, _ := strings.Cut(s, ":")
		return map[string]string{`"id"`: `"id":"chatcmpl-X"`, `"created"`: `"created":1700000000`}[name]
	})
}

// TestStreamBytes compares whole streams byte by byte with what all clients
// understand.
func TestStreamBytes(t *testing.T) {
	g := mustGateway(t, setup{})
	gate := make(chan struct{})
	close(gate)
	script := emulator.Stream(emulator.Created(), emulator.Think("Let me see."), emulator.ThinkDone(),
		emulator.Wait(gate), emulator.Answer("Hello"), emulator.Cached(3), emulator.Usage(10, 7, 4), emulator.Finish())

	const head = `data: {"id":"chatcmpl-X","object":"chat.completion.chunk","created":1700000000,"model":"qwen3.7-plus","choices":[`
	const null = `,"logprobs":null,"finish_reason":null}]}` + "\n\n"
	const start = head + `{"index":0,"delta":{"role":"assistant","content":""}` + null +
		head + `{"index":0,"delta":{"reasoning_content":"Let me see."}` + null +
		head + `{"index":0,"delta":{"content":"Hello"}` + null +
		head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\n"
	const usage = head + `],"usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,` +
		`"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":4}}}` + "\n\n"
	const done = "data: [DONE]\n\n"

	tests := []struct{ name, fields, want string }{
		{"ST-03 ST-04 ST-05 ST-06 ST-07 ST-09 ST-10 ST-13 plain", `"stream":true`, start + done},
		{"ST-12 with usage", `"stream":true,"stream_options":{"include_usage":true}`, start + usage + done},
		{"ST-13 usage not asked for", `"stream":true,"stream_options":{"include_usage":false}`, start + done},
		{"ST-13 options without it", `"stream":true,"stream_options":{"include_obfuscation":false}`, start + done},
		{"ST-13 options null", `"stream":true,"stream_options":null`, start + done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g.site.Reply(script)
			r := g.chat("Hi", tt.fields)
			if got := fixed(r.body); got != tt.want {
				t.Errorf("the stream is\n%s\nwant\n%s", got, tt.want)
			}
			readStream(t, r.body)
		})
	}
}

// TestStreamArrives releases each piece only after the one before it has
// arrived, over all kinds of connections.
func TestStreamArrives(t *testing.T) {
	for _, encoded := range []bool{false, true} {
		s := setup{global: bothProtocols}
		if encoded {
			s.site = "encode gzip"
		}
		g := mustGateway(t, s)
		for _, w := range wires {
			t.Run(fmt.Sprintf("ST-01 ST-02 ST-14 %s, encode %t", w.name, encoded), func(t *testing.T) {
				testArrives(t, g, w, encoded)
			})
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func testArrives(t *testing.T, g *gateway, w wire, encoded bool) {
	texts := []string{"One", " two", " 三", " 🌍", " five"}
	gates := make([]chan struct{}, len(texts))
	steps := []emulator.Step{emulator.Created()}
	for i, text := range texts {
		gates[i] = make(chan struct{})
		steps = append(steps, emulator.Answer(text), emulator.Wait(gates[i]))
	}
	g.site.Reply(emulator.Stream(append(steps, emulator.Usage(1, 2, 0), emulator.Finish())...))
	s := w.mustOpen(t, g, chatBody("Hi", `"stream":true`), encoded)
	if first := s.content(); first != "" {
		t.Errorf("the first chunk has the text %q", first)
	}
	for i, want := range texts {
		if got := s.content(); got != want {
			t.Errorf("piece %d is %q, want %q", i, got, want)
		}
		close(gates[i])
	}
	if end := s.rest(); !strings.HasSuffix(end, "\n\ndata: [DONE]\n\n") || strings.Count(end, "data: ") != 2 {
		t.Errorf("the stream ends with %q", end)
	}
}

// TestStreamKeepsAlive checks the comments that bridge silence.
func TestStreamKeepsAlive(t *testing.T) {
	g := mustGateway(t, setup{qwen: "first_byte_hold 5ms\nheartbeat 5ms", site: "encode gzip", global: bothProtocols})
	for _, w := range wires {
		t.Run("ST-15 "+w.name, func(t *testing.T) {
			before, between := make(chan struct{}), make(chan struct{})
			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("One"), emulator.Wait(between),
				emulator.Answer(" two"), emulator.Usage(1, 1, 0), emulator.Finish()).After(before))
			s := w.mustOpen(t, g, chatBody("Hi", `"stream":true`), true)
			stream := s.next() + "\n\n"
			if !strings.Contains(stream, `"role":"assistant"`) {
				t.Errorf("the stream is opened by %q", stream)
			}
			stream += s.mustKeepAlive(3)
			close(before)
			stream += s.until(`"One"`) + s.mustKeepAlive(3)
			close(between)
			stream += s.rest()
			if got := readStream(t, stream); got.text != "One two" || got.finish != "stop" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// mustKeepAlive reads that many comments and nothing else.
func (s *liveStream) mustKeepAlive(n int) (text string) {
	s.t.Helper()
	for range n {
		block := s.next()
		if block != ": keep-alive" {
			s.t.Fatalf("%q instead of a keep-alive", block)
		}
		text += block + "\n\n"
	}
	return text
}

// until reads to the first event that contains what is given.
func (s *liveStream) until(part string) (text string) {
	s.t.Helper()
	for {
		block := s.next()
		text += block + "\n\n"
		if strings.Contains(block, part) {
			return text
		}
	}
}

// TestStreamSilentSite checks that a silent site neither delays keep-alives nor
// gets requests answered that are not streams.
func TestStreamSilentSite(t *testing.T) {
	g := mustGateway(t, setup{qwen: "first_byte_hold 5ms\nheartbeat 5ms"})

	t.Run("ST-15 keep-alives of the site are none of ours", func(t *testing.T) {
		gate := make(chan struct{})
		g.site.Reply(emulator.Stream(emulator.Created(), emulator.KeepAlive(), emulator.Comment(), emulator.KeepAlivePhase(),
			emulator.Wait(gate), emulator.Answer("x"), emulator.Finish()))
		s := wires[0].mustOpen(t, g, chatBody("Hi", `"stream":true`), false)
		start := s.until(": keep-alive")
		close(gate)
		if got := readStream(t, start+s.rest()); got.text != "x" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("CN-07 no keep-alives without a stream", func(t *testing.T) {
		ticks, gate := make(chan struct{}), make(chan struct{})
		g.slotsFree() // or an earlier request counts as the first below
		g.await("nothing else is being answered", func() bool { return g.site.Active() == 0 })
		g.site.Reply(emulator.Text("x").After(ticks), emulator.Text("y").After(gate))
		plain := make(chan *http.Response, 1)
		go func() {
			resp, _ := g.trySend(t.Context(), http.MethodPost, chatPath, chatBody("Hi", ""))
			plain <- resp
		}()
		g.await("the first request", func() bool { return g.site.Active() == 1 })
		// The keep-alives of a stream that began later tell how much time has gone.
		s := wires[0].mustOpen(t, g, chatBody("Hi", `"stream":true`), false)
		s.next()
		s.mustKeepAlive(3)
		close(ticks)
		resp := <-plain
		if resp == nil {
			t.Fatal("no answer")
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if c := mustCompletion(t, reply{resp.StatusCode, resp.Header, string(text), err}); c.text() != "x" {
			t.Errorf("got %s", text)
		}
		close(gate)
		if got := s.rest(); !strings.HasSuffix(got, "data: [DONE]\n\n") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a refusal after the hold is told in the stream", func(t *testing.T) {
		gate := make(chan struct{})
		g.site.Reply(emulator.RateLimited(1).After(gate))
		s := wires[0].mustOpen(t, g, chatBody("Hi", `"stream":true`), false)
		start := s.until(": keep-alive")
		close(gate)
		data := events(t, start+s.rest())
		if len(data) != 2 || !strings.HasPrefix(data[1], `{"error":{`) || strings.Contains(data[1], "choices") {
			t.Errorf("got %q", data)
		}
	})
}

// TestStreamRefusedBeforeText checks that nothing is written before the first
// text, so that a refusal becomes a real status.
func TestStreamRefusedBeforeText(t *testing.T) {
	g := mustGateway(t, setup{})
	overture := []emulator.Step{
		emulator.Created(), emulator.KeepAlive(), emulator.KeepAlivePhase(), emulator.Comment(),
		emulator.WebSearch("q", 1, emulator.Doc{URL: "https://example.com/", Title: "T"}),
	}
	tests := []struct {
		name   string
		reply  emulator.Reply
		status int
	}{
		{"instead of a stream", emulator.RateLimited(1), http.StatusTooManyRequests},
		{"in the stream", emulator.Burst(), http.StatusTooManyRequests},
		{"after events without text", emulator.Stream(append(overture, emulator.ErrorFrame("data_inspection_failed", "No."))...), http.StatusBadRequest},
		{"a turn without text", emulator.Stream(append(overture, emulator.Finish())...), http.StatusBadGateway},
		{"cut before the text", emulator.Stream(append(overture, emulator.Cut())...), http.StatusBadGateway},
	}
	for _, tt := range tests {
		for _, mode := range []string{"true", "false"} {
			t.Run("ER-03 "+tt.name+", stream "+mode, func(t *testing.T) {
				g.accept()
				g.site.Reply(tt.reply)
				r := g.chat("Hi", `"stream":`+mode)
				if r.status != tt.status || r.header.Get("Content-Type") != "application/json" || r.code() == "" {
					t.Errorf("%d %s %s", r.status, r.header.Get("Content-Type"), r.body)
				}
			})
		}
	}
}

// TestStreamUsage checks where the numbers of tokens come from.
func TestStreamUsage(t *testing.T) {
	g := mustGateway(t, setup{})
	const withUsage = `"stream_options":{"include_usage":true}`
	both := func(t *testing.T, reply emulator.Reply, prompt string) (stream, plain *usageFields) {
		t.Helper()
		g.site.Reply(reply, reply)
		return g.stream(t, prompt, withUsage).usage, mustCompletion(t, g.chat(prompt, "")).Usage
	}

	t.Run("CN-06 ST-12 cumulative counts are not added up", func(t *testing.T) {
		reply := emulator.Stream(emulator.Created(), emulator.Count(1200, 5, 5), emulator.Think("Hm"), emulator.ThinkDone(),
			emulator.Count(1200, 20, 5), emulator.Answer("a"), emulator.Answer("b"), emulator.Usage(1200, 90, 60), emulator.Finish())
		stream, plain := both(t, reply, "Hi")
		want := usageFields{Prompt: 1200, Completion: 90, Total: 1290}
		want.CompletionDetails.Reasoning = 60
		if *stream != want || *plain != want {
			t.Errorf("stream %+v, plain %+v, want %+v", *stream, *plain, want)
		}
	})
	t.Run("CN-06 ST-12 estimated when the site sends none", func(t *testing.T) {
		text := strings.Repeat("word ", 40)
		reply := emulator.Stream(emulator.Created(), emulator.Think(text), emulator.ThinkDone(), emulator.Answer(text), emulator.Finish())
		stream, plain := both(t, reply, text)
		if *stream != *plain || !stream.Estimated {
			t.Errorf("stream %+v, plain %+v", *stream, *plain)
		}
		if u := *stream; u.Prompt < 40 || u.Prompt > 60 || u.Completion < 80 || u.Completion > 120 || u.CompletionDetails.Reasoning < 40 || u.CompletionDetails.Reasoning > 60 {
			t.Errorf("200 bytes of prompt, reasoning and answer each are estimated as %+v", u)
		}
	})
	t.Run("ST-12 counts of another candidate do not count", func(t *testing.T) {
		reply := emulator.Stream(emulator.Created(), emulator.Answer("a"), emulator.Usage(30, 4, 0),
			emulator.Candidate(1, emulator.Answer("z"), emulator.Usage(999, 999, 0), emulator.Finish()), emulator.Finish())
		if stream, plain := both(t, reply, "Hi"); stream.Total != 34 || plain.Total != 34 {
			t.Errorf("stream %+v, plain %+v", *stream, *plain)
		}
	})
	t.Run("ST-16 no stream with stream_options", func(t *testing.T) {
		for _, fields := range []string{withUsage, `"stream":false,` + withUsage, `"stream":null,` + withUsage} {
			g.site.Reply(emulator.Text("x"))
			mustCompletion(t, g.chat("Hi", fields)).Usage.check(t)
		}
	})
}

// TestStreamEnds checks that the turn ends with the site's terminal frame,
// whatever comes after it, and that the site is then not asked to stop.
func TestStreamEnds(t *testing.T) {
	g := mustGateway(t, setup{})
	tests := []struct {
		name, finish string
		end          []emulator.Step
	}{
		{"end of the body", "stop", []emulator.Step{emulator.Finish()}},
		{"DONE after it", "stop", []emulator.Step{emulator.Finish(), emulator.Done()}},
		{"DONE instead of it", "stop", []emulator.Step{emulator.Done()}},
		{"connection held open", "stop", []emulator.Step{emulator.Finish(), emulator.HoldOpen()}},
		{"text after it", "stop", []emulator.Step{emulator.Finish(), emulator.Answer("too late"), emulator.Finish()}},
		{"error after it", "stop", []emulator.Step{emulator.Finish(), emulator.ErrorFrame("x", "y")}},
		{"reset after it", "stop", []emulator.Step{emulator.Finish(), emulator.Reset()}},
		{"length of the site", "length", []emulator.Step{emulator.FinishWith("answer", "length")}},
	}
	for _, tt := range tests {
		t.Run("ST-06 ST-10 CN-04 "+tt.name, func(t *testing.T) {
			script := emulator.Stream(slices.Concat([]emulator.Step{emulator.Created(), emulator.Answer("All.")}, tt.end)...)
			g.site.Reply(script, script)
			if got := g.stream(t, "Hi", ""); got.text != "All." || got.finish != tt.finish {
				t.Errorf("stream: %+v", got)
			}
			c := mustCompletion(t, g.chat("Hi", ""))
			if got := c.Choices[0]; *got.Message.Content != "All." || got.FinishReason != tt.finish {
				t.Errorf("plain: %q %q", *got.Message.Content, got.FinishReason)
			}
		})
	}
	g.await("the end of all completions", func() bool { return g.site.Active() == 0 })
	if stops := g.site.Stops(); len(stops) > 0 {
		t.Errorf("%d stop calls for turns that had ended", len(stops))
	}
}

// TestStreamSDK reads streams with the official SDK and its accumulator.
func TestStreamSDK(t *testing.T) {
	g := mustGateway(t, setup{global: bothProtocols, site: "encode gzip"})
	for _, w := range wires {
		t.Run("ST-08 ST-12 "+w.name, func(t *testing.T) {
			transport := w.transport(t)
			transport.DisableCompression = !w.gzip
			g.site.Reply(emulator.Stream(emulator.Created(), emulator.Think("Hm."), emulator.ThinkDone(),
				emulator.Answer("Grüße, "), emulator.Answer("世界 🌍!"), emulator.Usage(11, 22, 5), emulator.Finish()))
			acc, reasoning := mustAccumulate(t, g.client(option.WithHTTPClient(&http.Client{Transport: transport})))
			choice := acc.Choices[0]
			if choice.Message.Content != "Grüße, 世界 🌍!" || choice.Message.Role != "assistant" || choice.FinishReason != "stop" || reasoning != "Hm." {
				t.Errorf("%q, %q by %q, finish_reason %q", reasoning, choice.Message.Content, choice.Message.Role, choice.FinishReason)
			}
			if u := acc.Usage; u.PromptTokens != 11 || u.CompletionTokens != 22 || u.TotalTokens != 33 || u.CompletionTokensDetails.ReasoningTokens != 5 {
				t.Errorf("usage %+v", u)
			}
			if !strings.HasPrefix(acc.ID, "chatcmpl-") || acc.Model != "qwen3.7-plus" || acc.Created < 1_700_000_000 {
				t.Errorf("id %q, model %q, created %d", acc.ID, acc.Model, acc.Created)
			}
		})
	}
}

// mustAccumulate asks for a stream with usage and puts it together, the
// reasoning apart, because the SDK's types do not have it.
func mustAccumulate(t *testing.T, client openai.Client) (acc openai.ChatCompletionAccumulator, reasoning string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model:         "qwen3.7-plus",
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
	defer stream.Close()
	var ended string // the text when it ended
	for stream.Next() {
		c := stream.Current()
		if !acc.AddChunk(c) {
			t.Fatalf("the accumulator refuses %s", c.RawJSON())
		}
		if text, ok := acc.JustFinishedContent(); ok {
			ended = text
		}
		for _, choice := range c.Choices {
			var piece string
			if raw := choice.Delta.JSON.ExtraFields["reasoning_content"].Raw(); raw != "" {
				if err := json.Unmarshal([]byte(raw), &piece); err != nil {
					t.Fatal(err)
				}
			}
			reasoning += piece
		}
	}
	if err := stream.Err(); err != nil || len(acc.Choices) != 1 || ended != acc.Choices[0].Message.Content {
		t.Fatalf("error %v; the text ended as %q", err, ended)
	}
	return acc, reasoning
}

// TestStreamReusesConnections counts the connections that the site accepts.
func TestStreamReusesConnections(t *testing.T) {
	g := mustGateway(t, setup{})
	var accepted atomic.Int32
	front := httptest.NewUnstartedServer(g.site)
	front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	front.Start()
	t.Cleanup(front.Close)
	config := bytes.ReplaceAll(g.adapt(setup{}), []byte(g.site.URL()), []byte(front.URL))
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	g.url = mustAddress(t)
	for i := range 20 {
		if i%2 == 0 {
			g.stream(t, "Hi", "")
		} else {
			mustCompletion(t, g.chat("Hi", ""))
		}
	}
	if n := accepted.Load(); n > 4 {
		t.Errorf("20 chats, one after the other, opened %d connections to the site", n)
	}
	if n := len(g.site.Completions()); n != 20 {
		t.Errorf("the site saw %d completions", n)
	}
}
