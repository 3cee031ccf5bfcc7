package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// timings are the parts of a header Server-Timing in milliseconds.
func timings(t *testing.T, header http.Header) map[string]float64 {
	t.Helper()
	parts := make(map[string]float64)
	values := header.Values("Server-Timing")
	if len(values) != 1 {
		t.Fatalf("Server-Timing: %q", values)
	}
	for part := range strings.SplitSeq(values[0], ", ") {
		name, duration, found := strings.Cut(part, ";dur=")
		ms, err := strconv.ParseFloat(duration, 64)
		if _, twice := parts[name]; !found || err != nil || twice || ms < 0 {
			t.Fatalf("Server-Timing: %q", values)
		}
		parts[name] = ms
	}
	return parts
}

func TestServerTiming(t *testing.T) {
	const pause = 30 * time.Millisecond
	answer := emulator.Stream(emulator.Created(), emulator.Pause(pause), emulator.Answer("one"), emulator.Finish())
	tests := map[string]struct {
		qwen  string
		send  func(g *gateway) reply
		parts []string
	}{
		"a page":          {"", func(g *gateway) reply { return g.do(http.MethodGet, "/", "") }, []string{"total"}},
		"a health check":  {"", func(g *gateway) reply { return g.do(http.MethodGet, "/health", "") }, []string{"total"}},
		"the models":      {"", func(g *gateway) reply { return g.do(http.MethodGet, "/v1/models", "") }, []string{"total"}},
		"a preflight":     {"", func(g *gateway) reply { return g.do(http.MethodOptions, chatPath, "") }, []string{"total"}},
		"no key":          {"", func(g *gateway) reply { return g.do(http.MethodPost, chatPath, "{}", "Authorization", "") }, []string{"total"}},
		"an unknown path": {"", func(g *gateway) reply { return g.do(http.MethodGet, "/v1/x", "") }, []string{"total"}},
		"a grant": {"", func(g *gateway) reply {
			return g.do(http.MethodPost, "/v2/files/getstsToken", `{"filename":"a.png","filesize":1,"filetype":"image"}`)
		}, []string{"queue", "total", "upstream"}},
		"an upload": {"", func(g *gateway) reply { return g.form("/v1/files", image(1, 500)) }, []string{"queue", "total", "upstream"}},
		"a refusal": {"", func(g *gateway) reply {
			g.site.Reply(emulator.RateLimited(1))
			return g.chat("hello", `"stream":true`)
		}, []string{"queue", "total", "upstream"}},
		"a chat": {"", func(g *gateway) reply {
			g.site.Reply(answer)
			return g.chat("hello", "")
		}, []string{"first_token", "queue", "total", "upstream"}},
		"a stream that its first text opens": {"", func(g *gateway) reply {
			g.site.Reply(answer)
			return g.chat("hello", `"stream":true`)
		}, []string{"first_token", "queue", "total", "upstream"}},
		"a stream that is opened earlier": {"first_byte_hold 1ms", func(g *gateway) reply {
			g.site.Reply(answer)
			return g.chat("hello", `"stream":true`)
		}, []string{"queue", "total", "upstream"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: test.qwen})
			got := timings(t, test.send(g).header)
			var names []string
			for name := range got {
				names = append(names, name)
			}
			if slices.Sort(names); !slices.Equal(names, test.parts) {
				t.Errorf("the parts are %q, want %q", names, test.parts)
			}
			if got["queue"]+got["upstream"] > got["total"]+0.2 || got["first_token"] > got["total"]+0.2 {
				t.Errorf("parts are longer than the whole: %v", got)
			}
			if first, there := got["first_token"]; there && (first < milliseconds(pause) || got["upstream"] < milliseconds(pause)) {
				t.Errorf("the site took %v: %v", pause, got)
			}
		})
	}
}

// The time in the queue is told.
func TestServerTimingOfQueue(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1"})
	finish := g.running()
	waiting := make(chan reply)
	go func() { waiting <- g.chat("hello", "") }()
	g.queued(1)
	begun := time.Now()
	for time.Since(begun) < 20*time.Millisecond {
		g.queued(1)
	}
	waited := time.Since(begun)
	finish()
	if got := timings(t, (<-waiting).header); got["queue"] < milliseconds(waited) || got["total"] < got["queue"] {
		t.Errorf("after %v in the queue: %v", waited, got)
	}
}

// What comes before an answer is not the answer.
func TestMeterInformational(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/health", nil)
	w := httptest.NewRecorder()
	m := measure(w, withRequestID(w, r), otherRoute)
	m.WriteHeader(http.StatusEarlyHints)
	if m.info.status != 0 || w.Header().Get("Server-Timing") != "" {
		t.Errorf("status %d and %v after an early hint", m.info.status, w.Header())
	}
	if m.WriteHeader(http.StatusTeapot); m.info.status != http.StatusTeapot || w.Header().Get("Server-Timing") == "" {
		t.Errorf("status %d and %v after the status", m.info.status, w.Header())
	}
}

func TestTimingAllowOrigin(t *testing.T) {
	for name, test := range map[string]struct{ cors, origin, want string }{
		"without cors":          {"", "https://app.example.com", ""},
		"an origin allowed":     {"cors https://app.example.com", "https://app.example.com", "https://app.example.com"},
		"an origin not allowed": {"cors https://app.example.com", "https://other.example.com", ""},
		"all origins":           {"cors *", "https://other.example.com", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{qwen: test.cors})
			for _, path := range []string{"/v1/models", "/v1/nothing"} {
				got := g.do(http.MethodGet, path, "", "Origin", test.origin)
				if value := got.header.Get("Timing-Allow-Origin"); value != test.want || got.header.Get("Server-Timing") == "" {
					t.Errorf("%s: %q, want %q", path, value, test.want)
				}
			}
		})
	}
}

// accessLine is the line of the access log about the last request to a path.
type accessLine struct {
	Message string `json:"msg"`
	Request struct{ URI string }
	Status  int
	Qwen    map[string]any
	Extra   any // what log_append has added
	Model   string
	Tokens  int

	Duration float64 // in seconds
	raw      string
}

func (g *gateway) accessLine(path string) (found accessLine) {
	g.t.Helper()
	eventually(g.t, "the access log has "+path, func() bool {
		for line := range strings.Lines(g.logged()) {
			var l accessLine
			if json.Unmarshal([]byte(line), &l) == nil && l.Message == "handled request" && l.Request.URI == path {
				found = l
				found.raw = line
			}
		}
		return found.raw != ""
	})
	return found
}

// Each line of the access log tells what a request was about, without any option.
func TestAccessLogFields(t *testing.T) {
	g := mustGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef"})
	header := []string{"X-Request-Id", "req-of-test", "Authorization", "Bearer sk-ann-0123456789abcdef"}
	mustHave := func(path string, want map[string]any, more ...string) {
		t.Helper()
		line := g.accessLine(path)
		for name, value := range want {
			if fmt.Sprint(line.Qwen[name]) != fmt.Sprint(value) {
				t.Errorf("%s is %v, want %v", name, line.Qwen[name], value)
			}
		}
		for name, value := range line.Qwen {
			if _, wanted := want[name]; !wanted && !slices.Contains(more, name) {
				t.Errorf("%s is %v, want none", name, value)
			}
		}
		if strings.Contains(line.raw, secretPrompt) || strings.Contains(line.raw, "last words") {
			t.Errorf("the text of a chat is in the access log: %s", line.raw)
		}
	}
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Pause(3*time.Millisecond), emulator.Answer("last words"), emulator.Usage(70, 8, 0), emulator.Finish()))
	answer := g.do(http.MethodPost, chatPath, chatBody(secretPrompt, `"stream":true`), header...)
	mustHave(chatPath, map[string]any{
		"request_id": "req-of-test", "caller": "ann", "account": "default", "route": chatPath, "model": "qwen3.7-plus", "session": "new",
		"chat_id": answer.header.Get("X-Qwen-Chat-Id"), "code": "ok", "tokens_input": 70, "tokens_output": 8,
	}, "first_byte_ms", "first_token_ms", "queue_ms")
	if line := g.accessLine(chatPath); line.Qwen["first_token_ms"].(float64) < 3 {
		t.Errorf("the first text came after %v ms", line.Qwen["first_token_ms"])
	}
	g.do(http.MethodGet, "/v1/nothing", "", header...)
	mustHave("/v1/nothing", map[string]any{"request_id": "req-of-test", "caller": "ann", "route": "other", "code": "unknown_url", "class": "client"}, "first_byte_ms")
	g.do(http.MethodGet, "/elsewhere", "", header...)
	if line := g.accessLine("/elsewhere"); line.Qwen != nil {
		t.Errorf("the line about another handler's request has %v", line.Qwen)
	}
}

// The first text counts, not the last one.
func TestFirstToken(t *testing.T) {
	const pause = 100 * time.Millisecond
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one "), emulator.Pause(pause), emulator.Answer("two"), emulator.Finish()))
	g.chat("hello", `"stream":true`)
	line := g.accessLine(chatPath)
	if rest := 1000*line.Duration - line.Qwen["first_token_ms"].(float64); rest < milliseconds(pause)-1 {
		t.Errorf("the answer ended %v ms after its first text, which came %v before the second", rest, pause)
	}
}

// Without the site's list of models a client may name any model, of any length.
func TestAccessLogCutsModels(t *testing.T) {
	g := mustGateway(t, setup{site: `log_append extra {http.qwen.model}`})
	g.site.Fail(emulator.EndpointModels, slices.Repeat([]emulator.Reply{emulator.Status(http.StatusBadGateway)}, 9)...)
	name := strings.Repeat("m\n\"", 1000)
	text, _ := json.Marshal(name)
	g.do(http.MethodPost, chatPath, strings.Replace(chatBody("hello", ""), `"qwen3.7-plus"`, string(text), 1))
	line := g.accessLine(chatPath)
	if line.Qwen["model"] != name[:256] || line.Extra != name[:256] {
		t.Errorf("the model is %q and %q", line.Qwen["model"], line.Extra)
	}
}

func TestPlaceholders(t *testing.T) {
	g := mustGateway(t, setup{})
	try := func(placeholder string, send func()) any {
		t.Helper()
		testLog.Load().Reset()
		g.load(setup{site: "log_append extra {http.qwen." + placeholder + "}"})
		g.site.Reply(emulator.Stream(emulator.Created(), emulator.Pause(3*time.Millisecond), emulator.Answer("one"), emulator.Usage(70, 8, 0), emulator.Finish()))
		send()
		return g.accessLine(chatPath).Extra
	}
	var answer reply
	chat := func() {
		answer = g.do(http.MethodPost, chatPath, chatBody(secretPrompt, `"stream":true`), "X-Request-Id", "req-of-test")
	}
	for placeholder, want := range map[string]any{
		"request_id": "req-of-test", "account": "default", "route": chatPath, "model": "qwen3.7-plus", "session": "new",
		"code": "ok", "class": "", "tokens_input": 70.0, "tokens_output": 8.0, "retries": 0.0, "queue_ms": 0.0,
	} {
		if got := try(placeholder, chat); got != want && placeholder != "queue_ms" {
			t.Errorf("%s is %v, want %v", placeholder, got, want)
		}
	}
	if got := try("chat_id", chat); got != answer.header.Get("X-Qwen-Chat-Id") || got == "" {
		t.Errorf("the chat is %v", got)
	}
	if got, _ := try("caller", chat).(string); got == "" {
		t.Error("the caller has no name")
	}
	for _, placeholder := range []string{"first_byte_ms", "first_token_ms"} {
		if got, _ := try(placeholder, chat).(float64); got < 3 {
			t.Errorf("%s is %v, want 3 or more", placeholder, got)
		}
	}
	refused := func() { g.do(http.MethodPost, chatPath, "{") }
	if code, class := try("code", refused), try("class", refused); code == "ok" || code == "" || class != "client" {
		t.Errorf("the code is %v of the class %v", code, class)
	}
	if got := try("nothing", chat); got != nil {
		t.Errorf("an unknown placeholder is %v", got)
	}
}

// What the documents say about logs works.
func TestDocsLogs(t *testing.T) {
	var appends []string
	filtered := false
	for _, text := range mustReadDocument(t, "docs/metrics.md").in("caddyfile") {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "log_append ") {
				appends = append(appends, line)
			}
			filtered = filtered || line == "qwen delete"
		}
	}
	if len(appends) != 2 || !filtered {
		t.Fatalf("the examples are not there: %q", appends)
	}
	g := mustGateway(t, setup{site: strings.Join(appends, "\n")})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one"), emulator.Usage(70, 8, 0), emulator.Finish()))
	g.chat("hello", "")
	if line := g.accessLine(chatPath); line.Model != "qwen3.7-plus" || line.Tokens != 8 {
		t.Errorf("log_append has added %q and %d", line.Model, line.Tokens)
	}
	testLog.Load().Reset()
	g.load(setup{site: "log filtered {\noutput test\nformat filter {\nqwen delete\n}\n}"})
	g.chat("hello", "")
	if line := g.accessLine(chatPath); line.Qwen != nil || line.Status != http.StatusOK {
		t.Errorf("the filter leaves %s", line.raw)
	}
}
