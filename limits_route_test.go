package caddyqwen

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Answers of the limits.
var (
	wantTooMany    = failed{status: 429, code: "too_many_streams", class: classClient, retry: 2}
	wantServerBusy = failed{status: 503, code: "server_busy", class: classClient, retry: 2}
	wantQueue      = failed{status: 429, code: "queue_timeout", class: classQuota, retry: 5}
	wantTooLarge   = failed{status: 413, code: "request_too_large", class: classClient, final: true}
)

// running starts a stream that goes on until finish is called, and returns when
// its first text has come. Finish returns the rest.
func (g *gateway) running(header ...string) (finish func() string) {
	g.t.Helper()
	gate := make(chan struct{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Wait(gate),
		emulator.Answer("last words"), emulator.Finish()))
	resp := g.send(context.Background(), http.MethodPost, chatPath, chatBody("hello", `"stream":true`), header...)
	body := bufio.NewReader(resp.Body)
	var begin strings.Builder
	for !strings.Contains(begin.String(), firstWords) {
		line, err := body.ReadString('\n')
		if err != nil {
			g.t.Fatalf("status %d, %v after %q", resp.StatusCode, err, begin.String())
		}
		begin.WriteString(line)
	}
	return func() string {
		defer resp.Body.Close()
		close(gate)
		var rest strings.Builder
		if _, err := body.WriteTo(&rest); err != nil {
			g.t.Error(err)
		}
		return begin.String() + rest.String()
	}
}

// streamed returns the text of a stream and whether the stream is complete.
func streamed(t testing.TB, stream string) (text string, complete bool) {
	t.Helper()
	data := events(t, stream)
	for _, event := range data {
		var chunk struct {
			Choices []struct {
				Delta struct{ Content string }
			}
		}
		if event != "[DONE]" && json.Unmarshal([]byte(event), &chunk) != nil {
			t.Errorf("not JSON: %q", event)
		}
		for _, choice := range chunk.Choices {
			text += choice.Delta.Content
		}
	}
	return text, len(data) > 1 && data[len(data)-1] == "[DONE]" && strings.Contains(data[len(data)-2], `"finish_reason":"stop"`)
}

func TestLimitsPerKeyAndProcess(t *testing.T) {
	const second = "sk-second-0123456789"
	other := []string{"Authorization", "Bearer " + second}
	for name, test := range map[string]struct {
		qwen   string
		header []string
		want   failed
	}{
		"L04 per key":                        {"max_streams_per_key 1", nil, wantTooMany},
		"L05 in the process":                 {"max_streams 1", other, wantServerBusy},
		"L05 comes first":                    {"max_streams 1\nmax_streams_per_key 1", nil, wantServerBusy},
		"L04 the same caller, two keys":      {"max_streams_per_key 1\napi_key team sk-a-0123456789abcdef sk-b-0123456789abcdef", []string{"Authorization", "Bearer sk-b-0123456789abcdef"}, wantTooMany},
		"L06 the account, with a full queue": {"max_streams_per_account 1\nqueue_length 1\nqueue_wait 20ms", other, wantQueue},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: test.qwen + "\napi_key second " + second})
			var first []string
			if strings.Contains(name, "two keys") {
				first = []string{"Authorization", "Bearer sk-a-0123456789abcdef"}
			}
			finish := g.running(first...)
			for mode, fields := range modes {
				t.Run(mode, func(t *testing.T) {
					test.want.check(t, g.do(http.MethodPost, chatPath, chatBody("hello", fields), test.header...))
				})
			}
			if n := len(g.site.Completions()); n != 1 {
				t.Errorf("the site got %d prompts", n)
			}
			if text, complete := streamed(t, finish()); !complete || text != firstWords+"last words" {
				t.Errorf("the first stream was disturbed: %q", text)
			}
			if got := g.do(http.MethodPost, chatPath, chatBody("hello", ""), test.header...); got.status != http.StatusOK {
				t.Errorf("status %d when there is place again", got.status)
			}
			g.slotsFree()
		})
	}
	t.Run("L04 another key has places of its own", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "max_streams_per_key 1\napi_key second " + second})
		finish := g.running()
		if got := g.do(http.MethodPost, chatPath, chatBody("hello", ""), other...); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		finish()
	})
}

func TestLimitsQueue(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_length 1\nqueue_wait 1m"})
	finish := g.running()
	waiting := make(chan reply, 1)
	leave, cancel := context.WithCancel(context.Background())
	go func() {
		_, err := g.trySend(leave, http.MethodPost, chatPath, chatBody("hello", `"stream":true`))
		waiting <- reply{err: err}
	}()
	g.queued(1)
	t.Run("L06 full", func(t *testing.T) { wantQueue.check(t, g.chat("hello", `"stream":true`)) })
	t.Run("L06 who leaves makes room", func(t *testing.T) {
		cancel()
		if got := <-waiting; got.err == nil {
			t.Error("there was an answer to who has left")
		}
		g.queued(0)
		go func() { waiting <- g.chat("hello", "") }()
		g.queued(1)
	})
	t.Run("L06 who waits gets the place", func(t *testing.T) {
		finish()
		if got := <-waiting; got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
	if n := len(g.site.Completions()); n != 2 {
		t.Errorf("the site got %d prompts", n)
	}
	g.slotsFree()
}

func TestLimitsAnswer(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_answer 40"})
	long := func() emulator.Reply {
		return afterText(emulator.Answer("and more of them "), emulator.Answer("until the limit"), emulator.Hang())
	}
	const kept = firstWords + "and more of them "
	t.Run("L11 streamed", func(t *testing.T) {
		g.site.Reply(long())
		got := g.chat("hello", `"stream":true`)
		text, _ := streamed(t, got.body)
		if text != kept || strings.Count(got.body, `"finish_reason":"length"`) != 1 || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("got %q:\n%s", text, got.body)
		}
	})
	t.Run("L11 whole", func(t *testing.T) {
		g.site.Reply(long())
		got := g.chat("hello", "")
		if got.status != http.StatusOK || !strings.Contains(got.body, `"content":"`+kept+`"`) || !strings.Contains(got.body, `"finish_reason":"length"`) {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
	g.await("both answers are stopped", func() bool { return len(g.site.Stops()) == 2 && g.site.Active() == 0 })
	stops := g.site.Stops()
	for _, c := range g.site.Completions() {
		if !slices.Contains(stops, emulator.Stop{ChatID: c.ChatID, ResponseID: c.ResponseID}) || g.site.ChatBusy(c.ChatID) {
			t.Errorf("%v was not stopped by any of %+v", c, stops)
		}
	}
	g.slotsFree()
}

func TestLimitsPrompt(t *testing.T) {
	g := mustGateway(t, setup{qwen: "long_prompts refuse"})
	for name, test := range map[string]struct {
		size int
		want int
	}{
		"LI-02 150 KB pass":        {150_000, 200},
		"LI-02 just fits":          {160_000, 200},
		"LI-02 UP-02 one too many": {160_001, 400},
		"LI-02 200 KB":             {200_000, 400},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				before := len(g.site.Completions())
				prompt := strings.Repeat("é", test.size/2) + strings.Repeat("x", test.size%2)
				got := g.chat(prompt, fields)
				if test.want == 400 {
					wantTooLong.check(t, got)
					if !strings.Contains(got.body, "context_length_exceeded: ") || !strings.Contains(got.body, "maximum context length") {
						t.Errorf("UP-02 clients do not understand the message: %s", got.body)
					}
				}
				sent := g.site.Completions()[before:]
				if got.status != test.want || (len(sent) == 1) != (test.want == 200) {
					t.Errorf("status %d, %d prompts sent", got.status, len(sent))
				}
				if len(sent) == 1 && sent[0].Content != prompt {
					t.Error("the prompt is not the same")
				}
			})
		}
	}
}

func TestLimitsMessages(t *testing.T) {
	g := mustGateway(t, setup{})
	var messages []string
	for i := range 301 {
		role := [...]string{"user", "assistant"}[i%2]
		messages = append(messages, fmt.Sprintf(`{"role":%q,"content":"turn %d."}`, role, i))
	}
	got := g.do(http.MethodPost, chatPath, `{"model":"qwen3.7-plus","messages":[`+strings.Join(messages, ",")+`]}`)
	if got.status != http.StatusOK {
		t.Fatalf("LI-03 status %d: %s", got.status, got.body)
	}
	prompt := g.site.Completions()[0].Content
	for i := range messages {
		if n := strings.Count(prompt, fmt.Sprintf("turn %d.", i)); n != 1 {
			t.Errorf("turn %d is in the prompt %d times", i, n)
		}
	}
}

// Such bodies cost much more than their size if they are read naively.
func TestLimitsBombs(t *testing.T) {
	g := mustGateway(t, setup{})
	const size = 4 << 20
	many := func(item string) string { return strings.Repeat(item+",", size/(len(item)+1)) + item }
	for name, test := range map[string]struct {
		body string
		want failed
	}{
		"J10 depth":              {chatBody("x", `"a":`+strings.Repeat("[", size)), badRequest("invalid_json", "")},
		"J11 tokens":             {chatBody("x", `"a":[`+many("{}")+"]"), badRequest("invalid_value", "")},
		"J11 messages":           {`{"model":"m","messages":[` + strings.Repeat(`{"role":"user","content":"x"},`, 3000) + `{"role":"user","content":"x"}]}`, badRequest("invalid_value", "messages")},
		"J19 text":               {chatBody(strings.Repeat("x", 5<<20), ""), wantTooLarge},
		"L01 LI-04 above 20 MiB": {strings.Repeat(" ", 20<<20+1), wantTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got := g.do(http.MethodPost, chatPath, test.body)
			want := test.want
			if want.param == "" && got.code() == want.code {
				want.param = paramOf(got.body) // what it says depends on the bound that is met first
			}
			want.check(t, got)
		})
	}
	g.untouched()
	g.slotsFree()
}

// paramOf returns the param of an error.
func paramOf(body string) string {
	var envelope struct {
		Error struct{ Param string }
	}
	_ = json.Unmarshal([]byte(body), &envelope)
	return envelope.Error.Param
}

// Each answer has the mark of its own prompt in every piece, so that a piece of
// another's answer shows.
func TestLimitsNoMixUp(t *testing.T) {
	const streams = 40
	for name, qwen := range map[string]string{
		"LI-01 X12 at once":      "max_streams_per_key 64\nmax_streams_per_account 64",
		"LI-01 L06 four by four": "max_streams_per_key 64\nqueue_length 64\nqueue_wait 1m",
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: qwen})
			g.site.Respond(func(c emulator.Completion) emulator.Reply {
				pieces := make([]string, 50)
				for i := range pieces {
					pieces[i] = fmt.Sprintf("%s piece %d. ", c.Content, i)
				}
				return emulator.Text(pieces...)
			})
			var all sync.WaitGroup
			for i := range streams {
				all.Go(func() { checkMark(t, g, fmt.Sprintf("mark-%d-of-%d", i, streams), i%2 == 0) })
			}
			all.Wait()
			g.slotsFree()
		})
	}
}

// checkMark chats and checks that the answer is that of the mark.
func checkMark(t *testing.T, g *gateway, mark string, stream bool) {
	var want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&want, "%s piece %d. ", mark, i)
	}
	got := g.chat(mark, fmt.Sprintf(`"stream":%t`, stream))
	text, complete := "", got.status == http.StatusOK
	if stream {
		text, complete = streamed(t, got.body)
	} else {
		var answer struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Choices) != 1 {
			t.Errorf("%v: %s", err, got.body)
			return
		}
		text = answer.Choices[0].Message.Content
	}
	if !complete || text != want.String() {
		t.Errorf("%s: status %d, got %q", mark, got.status, text)
	}
}

// A request that waits for the account is refused with a status, however soon a
// stream would be opened for the site's sake.
func TestLimitsQueueBeforeHold(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_wait 50ms\nfirst_byte_hold 1ms\nheartbeat 1ms"})
	finish := g.running()
	if got := g.chat("hello", `"stream":true`); got.status != http.StatusTooManyRequests || got.code() != "queue_timeout" {
		t.Errorf("L06 status %d: %s", got.status, got.body)
	}
	finish()
}

// Bodies whose length is not declared take no share of the memory for large
// ones before they are large.
func TestLimitsSmallBodiesOfUnknownLength(t *testing.T) {
	g := mustGateway(t, setup{qwen: "queue_wait 50ms"})
	var open []io.Closer
	for range 8 {
		body, feed := io.Pipe()
		open = append(open, feed)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+chatPath, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testKey)
		go func() {
			transport := &http.Transport{DisableKeepAlives: true}
			if resp, err := transport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}()
		if _, err := feed.Write([]byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+chatPath, io.MultiReader(strings.NewReader(chatBody("hello", ""))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("L14 status %d", resp.StatusCode)
	}
	for _, feed := range open {
		feed.Close()
	}
	g.slotsFree()
}

func TestLimitsJSON(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_json_tokens 40\nmax_json_depth 5"})
	for name, tt := range map[string]struct {
		fields string
		status int
	}{
		"J11 within":          {`"metadata":{"a":{"b":1}}`, http.StatusOK},
		"J11 too many tokens": {`"metadata":{"a":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]}`, http.StatusBadRequest},
		"J10 too deep":        {`"metadata":{"a":{"b":{"c":{"d":{"e":1}}}}}`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if got := g.chat("hello", tt.fields); got.status != tt.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// An answer that is too long in one piece is cut there, and never empty.
func TestLimitsAnswerInOnePiece(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_answer 100B"})
	for _, fields := range []string{`"stream":true`, ""} {
		g.site.Reply(emulator.Text(strings.Repeat("日", 200)))
		got := g.chat("hello", fields)
		if n := strings.Count(got.body, "日"); n != 33 || !strings.Contains(got.body, `"finish_reason":"length"`) {
			t.Errorf("L11 %d characters: %s", n, got.body)
		}
	}
}
