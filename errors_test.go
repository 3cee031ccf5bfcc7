package caddyqwen

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// failed is an error answer as a client must see it.
type failed struct {
	status int
	code   string
	class  errorClass
	param  string
	retry  int  // Retry-After in seconds; 0: there is none
	final  bool // x-should-retry: false
}

// check compares an answer in the error format.
func (want failed) check(t *testing.T, got reply) {
	t.Helper()
	if got.err != nil {
		t.Errorf("reading the answer: %v", got.err)
	}
	if got.status != want.status {
		t.Errorf("status %d, want %d", got.status, want.status)
	}
	if contentType := got.header.Get("Content-Type"); contentType != "application/json" {
		t.Errorf("Content-Type %q", contentType)
	}
	if length := got.header.Get("Content-Length"); length != strconv.Itoa(len(got.body)) {
		t.Errorf("Content-Length %q for %d bytes", length, len(got.body))
	}
	want.checkHeader(t, got.header)
	want.checkBody(t, got.body)
}

// checkHeader compares the headers that tell programs what to do.
func (want failed) checkHeader(t *testing.T, got http.Header) {
	t.Helper()
	retryAfter, shouldRetry := "", ""
	if want.retry > 0 {
		retryAfter = strconv.Itoa(want.retry)
	}
	if want.final {
		shouldRetry = "false"
	}
	for name, value := range map[string]string{
		"X-Qwen-Error-Class": string(want.class), "Retry-After": retryAfter, "X-Should-Retry": shouldRetry,
	} {
		if got.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Get(name), value)
		}
	}
	if id := got.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
		t.Errorf("X-Request-Id: %q", id)
	}
}

// checkBody compares the JSON of an error, in an answer or in a stream.
func (want failed) checkBody(t *testing.T, body string) {
	t.Helper()
	var got map[string]map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	keys := slices.Sorted(maps.Keys(got["error"]))
	if len(got) != 1 || !slices.Equal(keys, []string{"code", "message", "param", "type"}) {
		t.Fatalf("not in the error format: %s", body)
	}
	e := got["error"]
	if e["code"] != want.code {
		t.Errorf("code %v, want %s: %s", e["code"], want.code, body)
	}
	if param, _ := e["param"].(string); param != want.param || want.param == "" && e["param"] != nil {
		t.Errorf("param %v, want %q", e["param"], want.param)
	}
	if kind := want.kind(); e["type"] != kind {
		t.Errorf("type %v, want %s", e["type"], kind)
	}
	checkMessage(t, e["message"])
}

// kind is the type that fits the status.
func (want failed) kind() string {
	switch {
	case want.status == http.StatusTooManyRequests:
		return openai.TypeRateLimit
	case want.status >= 500:
		return openai.TypeServer
	}
	return openai.TypeInvalidRequest
}

// checkMessage checks that a message is a sentence without anything that is
// nobody's business.
func checkMessage(t *testing.T, message any) {
	t.Helper()
	text, _ := message.(string)
	if len(text) < 20 || !strings.HasSuffix(text, ".") && !strings.Contains(text, "Details: ") {
		t.Errorf("the message is no sentence: %q", text)
	}
	for _, secret := range append(canaries(), "://", "127.0.0.1", "x5secdata", "<html") {
		if strings.Contains(text, secret) {
			t.Errorf("the message has %q in it: %s", secret, text)
		}
	}
}

// siteFailure is a refusal of the site, and what the client gets for it.
type siteFailure struct {
	name  string
	reply emulator.Reply
	want  failed
}

// Answers that many failures share.
var (
	wantExpired      = failed{status: 503, code: "upstream_credential_expired", class: classCredential, final: true}
	wantVerification = failed{status: 503, code: "upstream_verification_required", class: classVerification, final: true}
	wantRateLimited  = failed{status: 429, code: "upstream_rate_limited", class: classQuota, retry: 30}
	wantUnavailable  = failed{status: 502, code: "upstream_unavailable", class: classUpstream, retry: 5}
	wantRejected     = failed{status: 502, code: "upstream_rejected", class: classUpstream, final: true}
	wantChatLost     = failed{status: 502, code: "upstream_chat_lost", class: classUpstream}
	wantBadResponse  = failed{status: 502, code: "upstream_bad_response", class: classUpstream}
	wantTooLong      = failed{status: 400, code: "context_length_exceeded", class: classClient, param: "messages", final: true}
	wantModeration   = failed{status: 400, code: "content_filter", class: classContent, final: true}
	wantNoModel      = failed{status: 404, code: "model_not_found", class: classClient, param: "model", final: true}
	wantUnreachable  = failed{status: 502, code: "upstream_unreachable", class: classNetwork, retry: 5}
	wantEmpty        = failed{status: 502, code: "upstream_empty", class: classUpstream}
	wantBroken       = failed{status: 502, code: "upstream_stream_broken", class: classUpstream}
	wantTimeout      = failed{status: 504, code: "upstream_timeout", class: classNetwork}
)

// wantQuota is the answer to a daily limit that ends after so many hours.
func wantQuota(hours int) failed {
	return failed{status: 429, code: "upstream_quota_exceeded", class: classQuota, retry: hours * 3600, final: true}
}

// limitedFor is a limit with the waiting time that a server states.
func limitedFor(retryAfter string) emulator.Reply {
	return emulator.Status(429).WithHeader("Retry-After", retryAfter)
}

// wantWait is the answer to a limit with so many seconds to wait.
func wantWait(seconds int) failed {
	want := wantRateLimited
	want.retry, want.final = seconds, seconds > 60
	return want
}

// refusals are answers of the site that are no stream with text.
func refusals() []siteFailure {
	plain := func(body string) emulator.Reply { return emulator.Reply{Body: []byte(body)} }
	return []siteFailure{
		{"P06 token expired", emulator.Expired(), wantExpired},
		{"P06 status 401", emulator.Unauthorized401(), wantExpired},
		{"P06 not signed in", emulator.Refusal("Unauthorized", "You are not signed in."), wantExpired},
		{"P07 status 403 without marks", emulator.Status(403), wantExpired},
		{"P08 login page", emulator.LoginPage(), wantVerification},
		{"P08 UP-12 verification page with 200", emulator.ChallengeHTML(200), wantVerification},
		{"P08 verification page with 403", emulator.ChallengeHTML(403), wantVerification},
		{"P08 verification page with 405", emulator.ChallengeHTML(405), wantVerification},
		{"P08 verification page with 503", emulator.ChallengeHTML(503), wantVerification},
		{"P09 UP-12 verification as JSON", emulator.ChallengeJSON(), wantVerification},
		{"P10 limit with seconds", limitedFor("7"), wantWait(7)},
		{"P10 limit with a date", limitedFor(time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), wantWait(1)},
		{"P10 limit with garbage", limitedFor("soon"), wantWait(30)},
		{"P10 limit with a negative time", limitedFor("-5"), wantWait(1)},
		{"P10 UP-11 limit with an absurd time", limitedFor("1000000000"), wantWait(3600)},
		{"P10 UP-11 limit with just over a minute", limitedFor("61"), wantWait(61)},
		{"P11 UP-10 daily limit", emulator.RateLimited(4), wantQuota(4)},
		{"P11 daily limit with absurd hours", emulator.RateLimited(400), wantQuota(24)},
		{"P11 limit per minute", emulator.RateLimited(0), wantRateLimited},
		{"P11 quota used up", emulator.Refusal("quota_exhausted", "No quota left."), wantQuota(0)},
		{"P12 UP-01 status 500", emulator.Status(500), wantUnavailable},
		{"P12 UP-01 status 502", emulator.Status(502), wantUnavailable},
		{"P12 UP-01 status 503", emulator.Status(503), wantUnavailable},
		{"P12 UP-01 status 504", emulator.Status(504), wantUnavailable},
		{"P13 other refusal", emulator.TooManyMessages(), wantRejected},
		{"P13 status 404", emulator.Status(404), wantRejected},
		{"P13 internal error with 200", emulator.Internal(), wantUnavailable},
		{"P14 chat not found", emulator.ChatNotFound(), wantChatLost},
		{"P14 broken parent", emulator.BrokenParent(), wantChatLost},
		{"P15 chat busy", emulator.Busy(), failed{status: 429, code: "upstream_busy", class: classQuota, retry: 3}},
		{"P16 other JSON", plain(`{"success":true,"data":{}}`), wantBadResponse},
		{"P16 other text", plain("hello"), wantBadResponse},
		{"P18 burst in the first event", emulator.Burst(), wantRateLimited},
		{"P18 error in the first event", emulator.Stream(emulator.ErrorFrame("", "Internal error!")), wantUnavailable},
		{"P18 error as the first delta", emulator.Stream(emulator.Created(), emulator.ErrorDelta("internal_error", "Internal error!")), wantUnavailable},
		{"P43 status 204", emulator.Status(204), wantEmpty},
		{"P27 unknown compression", emulator.Text("x").WithHeader("Content-Encoding", "br"), wantBadResponse},
		{"P27 not really gzip", emulator.Text("x").WithHeader("Content-Encoding", "gzip"), wantUnreachable},
		{"P42 UP-03 moderation", emulator.Moderation(), wantModeration},
		{"UP-02 too long for the model", emulator.Refusal("Bad_Request", "Range of input length should be [1, 1000]"), wantTooLong},
		{"P17 UP-04 no byte", emulator.Empty(), wantEmpty},
		{"UP-04 no text", emulator.EmptyStream(), wantEmpty},
		{"P22 cut before any text", emulator.Stream(emulator.Created(), emulator.Cut()), wantBroken},
		{"model gone", emulator.ModelNotFound(), wantNoModel},
	}
}

// modes are the two ways to ask for an answer.
var modes = map[string]string{"whole": "", "streamed": `"stream":true`}

func TestErrorsRefusals(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, test := range refusals() {
		for mode, fields := range modes {
			t.Run(test.name+"/"+mode, func(t *testing.T) {
				g.accept()
				before := g.requested(emulator.EndpointCompletions)
				g.site.Reply(test.reply)
				test.want.check(t, g.chat(secretPrompt, fields))
				if n := g.requested(emulator.EndpointCompletions) - before; n != 1 {
					t.Errorf("the site got the prompt %d times", n)
				}
			})
		}
	}
	g.accept()
	t.Run("UP-01 the next request is fine", func(t *testing.T) {
		if got := g.chat("hello", ""); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
}

// Every failure of the site that has an answer must be in a test of this file.
func TestErrorsCoverAllProblems(t *testing.T) {
	tested := map[string]bool{"upstream_tls": true, "upstream_timeout": true} // in errors_network_test.go
	for _, test := range refusals() {
		tested[test.want.code] = true
	}
	for kind, p := range siteProblems {
		if !tested[p.Code] {
			t.Errorf("no test brings about %s (%v)", p.Code, kind)
		}
	}
}

func TestErrorsOpeningChat(t *testing.T) {
	badID := emulator.Reply{Body: []byte(`{"success":true,"data":{"id":"../../etc"}}`)}
	dropped := emulator.Stream(emulator.Drop())
	for _, test := range []struct {
		name    string
		replies []emulator.Reply
		want    failed
	}{
		{"P06 expired", []emulator.Reply{emulator.Expired()}, wantExpired},
		{"P08 verification page", []emulator.Reply{emulator.ChallengeHTML(200)}, wantVerification},
		{"P08 verification page with 503", []emulator.Reply{emulator.ChallengeHTML(503)}, wantVerification},
		{"P09 verification as JSON", []emulator.Reply{emulator.ChallengeJSON()}, wantVerification},
		{"P10 limit", []emulator.Reply{limitedFor("7")}, wantWait(7)},
		{"P11 daily limit", []emulator.Reply{emulator.RateLimited(4)}, wantQuota(4)},
		{"P12 status 500", []emulator.Reply{emulator.Status(500)}, wantUnavailable},
		{"P12 UP-09 status 502 twice", []emulator.Reply{emulator.Status(502), emulator.Status(502)}, wantUnavailable},
		{"P12 verification after a 502", []emulator.Reply{emulator.Status(502), emulator.ChallengeJSON()}, wantVerification},
		{"P20 UP-09 dropped twice", []emulator.Reply{dropped, dropped}, wantUnreachable},
		{"P33 id that cannot be used", []emulator.Reply{badID}, wantBadResponse},
		{"P17 empty", []emulator.Reply{{}}, wantBadResponse},
		{"model gone", []emulator.Reply{emulator.ModelNotFound()}, wantNoModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.site.Fail(emulator.EndpointNewChat, test.replies...)
			test.want.check(t, g.chat(secretPrompt, `"stream":true`))
			if n := g.requested(emulator.EndpointNewChat); n != len(test.replies) {
				t.Errorf("a chat was opened %d times, want %d", n, len(test.replies))
			}
			if n := g.requested(emulator.EndpointCompletions); n != 0 {
				t.Errorf("the site got the prompt %d times", n)
			}
			g.slotsFree()
		})
	}
}

func TestErrorsPassing(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"P12 UP-08 status 502": emulator.Status(502),
		"P12 UP-08 status 503": emulator.Status(503),
		"P20 UP-08 dropped":    emulator.Stream(emulator.Drop()),
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.site.Fail(emulator.EndpointNewChat, reply)
			g.site.Reply(emulator.Text("All is well."))
			if got := g.chat("hello", ""); got.status != http.StatusOK || !strings.Contains(got.body, "All is well.") {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if n := g.requested(emulator.EndpointNewChat); n != 2 {
				t.Errorf("a chat was opened %d times", n)
			}
		})
	}
}

func TestErrorsListOfModels(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Fail(emulator.EndpointModels, emulator.ChallengeJSON(), emulator.ChallengeJSON())
	t.Run("P40 a chat does without the list", func(t *testing.T) {
		if got := g.chat("hello", ""); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
	t.Run("P40 the aliases are listed", func(t *testing.T) {
		if got := g.do(http.MethodGet, "/v1/models", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"qwen3-coder"`) {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
	t.Run("P40 about other models nothing is known", func(t *testing.T) {
		wantVerification.check(t, g.do(http.MethodGet, "/v1/models/qwen3.7-plus", ""))
	})
	t.Run("the list is not asked for again at once", func(t *testing.T) {
		if n := g.requested(emulator.EndpointModels); n != 1 {
			t.Errorf("the list was asked for %d times", n)
		}
	})
}

func TestErrorsNoCredential(t *testing.T) {
	g := mustGateway(t, setup{bare: true, qwen: "api_key " + testKey})
	want := failed{status: 503, code: "no_credential", class: classCredential, final: true}
	for mode, fields := range modes {
		t.Run(mode, func(t *testing.T) {
			got := g.chat(secretPrompt, fields)
			want.check(t, got)
			if !strings.Contains(got.body, "QWEN_COOKIES") {
				t.Errorf("the remedy is missing: %s", got.body)
			}
		})
	}
	if n := len(g.site.Requests()); n != 0 {
		t.Errorf("the site got %d requests", n)
	}
}

// A fault of the server itself is not told to the caller, but to the log.
func TestErrorsOfServer(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	if err := os.MkdirAll(filepath.Join(dir, "caddy", "qwen", "api_key"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := mustGateway(t, setup{bare: true, qwen: "account {\ntoken " + testToken + "\n}"})
	got := g.chat(secretPrompt, "")
	failed{status: 500, code: "internal_error", class: classUpstream}.check(t, got)
	if strings.Contains(got.body, dir) {
		t.Errorf("the answer tells about files: %s", got.body)
	}
	if log := g.logged(); !strings.Contains(log, "is not a regular file") || !strings.Contains(log, got.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell why:\n%s", log)
	}
}

// The codes that docs/errors.md must describe, besides those of the tables.
var otherCodes = []string{
	"internal_error", "request_too_large", "invalid_json", "invalid_value", "missing_required_parameter",
	"unsupported_parameter", "unsupported_content", "invalid_request_body", "unsupported_media_type",
	"method_not_allowed", "unknown_url", "model_not_found", "invalid_api_key",
	"invalid_form", "file_too_large", "file_not_found", "media_type_unsupported", "media_fetch_blocked", "media_fetch_failed",
	"document_unreadable", "upload_failed", "upload_timeout", "upstream_file_lost", "storage_unavailable", "server_stopping",
}

func TestErrorsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := slices.Clone(otherCodes)
	for _, p := range ownProblems {
		codes = append(codes, p.Code)
	}
	for _, p := range siteProblems {
		codes = append(codes, p.Code)
	}
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		if !strings.Contains(string(text), "`"+code+"`") {
			t.Errorf("docs/errors.md does not mention %s", code)
		}
	}
}
