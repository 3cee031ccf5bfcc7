package qwen

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testCredential = Credential{
	Cookies: "cna=a=b; token=jwt-in-cookie",
	Token:   "jwt",
	Header:  http.Header{"Bx-Ua": {"pasted"}, "User-Agent": {"the owner's browser"}},
}

// mustSite starts the emulated site and returns a client of it.
func mustSite(t testing.TB, o emulator.Options) (*emulator.Server, *Client) {
	t.Helper()
	site, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(site.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return site, &Client{BaseURL: site.URL(), Version: "0.3.12", Transport: transport}
}

func mustChat(t testing.TB, c *Client, model string) string {
	t.Helper()
	id, err := c.NewChat(t.Context(), testCredential, model)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// ask sends a prompt in a new chat and reads the whole answer.
func ask(t testing.TB, c *Client, prompt string, thinking Thinking) (outcome, error) {
	t.Helper()
	chat := mustChat(t, c, "qwen3.7-plus")
	stream, err := c.Complete(t.Context(), testCredential, Completion{ChatID: chat, Model: "qwen3.7-plus", Prompt: prompt, Thinking: thinking})
	if err != nil {
		return outcome{}, err
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	return decode(t, new(Decoder), string(text), 1000), err
}

func TestConversation(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	site.Reply(emulator.Text("The answer ", "is 42."))
	got, err := ask(t, c, "What is it?", ThinkingOff)
	if err != nil || got.Answer != "The answer is 42." || got.End != "stop" || got.Reasoning != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	first := site.Completions()[0]

	stream, err := c.Complete(t.Context(), testCredential, Completion{
		ChatID: first.ChatID, ParentID: got.ResponseID, Model: "qwen3.7-plus", Prompt: "Why?", Thinking: ThinkingOn, Budget: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := io.ReadAll(stream); err != nil {
		t.Fatal(err)
	}
	second := site.Completions()[1]
	if len(second.Context) == 0 || !strings.Contains(second.Context[0].Answer, "42") {
		t.Errorf("the second turn does not continue the first: %+v", second.Context)
	}
	for _, want := range []string{`"thinking_enabled":true`, `"thinking_mode":"Thinking"`, `"thinking_budget":7`, `"output_schema":"phase"`, `"auto_search":false`} {
		if !strings.Contains(string(second.Body), want) {
			t.Errorf("the request lacks %s: %s", want, second.Body)
		}
	}
}

func TestThinking(t *testing.T) {
	_, c := mustSite(t, emulator.Options{})
	for mode, want := range map[Thinking]bool{ThinkingOff: false, ThinkingOn: true} {
		got, err := ask(t, c, "Hello", mode)
		if err != nil || (got.Reasoning != "") != want || got.Answer == "" || got.Usage.Input == 0 {
			t.Errorf("mode %d: got %+v, %v", mode, got, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	if _, err := ask(t, c, "Hello", ThinkingOff); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range site.Requests() {
		for name, want := range map[string]string{
			"Authorization": "Bearer jwt", "Cookie": testCredential.Cookies, "Source": "web", "Version": "0.3.12",
			"Bx-Ua": "pasted", "User-Agent": "the owner's browser", "Origin": site.URL(), "Accept-Encoding": "identity",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", r.Path, name, got, want)
			}
		}
		if zone := r.Header.Get("Timezone"); !strings.Contains(zone, " GMT") {
			t.Errorf("Timezone is %q", zone)
		}
		ids[r.Header.Get("X-Request-Id")] = true
	}
	if len(ids) != len(site.Requests()) {
		t.Error("a request id was used twice")
	}
}

// Every refusal of the site, in the shapes in which it comes.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		reply emulator.Reply
		want  Kind
		retry time.Duration
	}{
		"expired":                {emulator.Expired(), KindCredential, 0},
		"P06 401":                {emulator.Unauthorized401(), KindCredential, 0},
		"P07 403":                {emulator.Status(403), KindCredential, 0},
		"P11 daily limit":        {emulator.RateLimited(4), KindQuota, 4 * time.Hour},
		"limit per minute":       {emulator.RateLimited(0), KindRateLimited, 0},
		"P09 P16 challenge":      {emulator.ChallengeJSON(), KindVerification, 0},
		"P08 challenge page":     {emulator.ChallengeHTML(200), KindVerification, 0},
		"challenge page 405":     {emulator.ChallengeHTML(405), KindVerification, 0},
		"challenge page 503":     {emulator.ChallengeHTML(503), KindVerification, 0},
		"page of the site":       {emulator.LoginPage(), KindVerification, 0},
		"P15 busy":               {emulator.Busy(), KindBusy, 0},
		"P14 chat lost":          {emulator.ChatNotFound(), KindChatNotFound, 0},
		"broken parent":          {emulator.BrokenParent(), KindChatNotFound, 0},
		"model gone":             {emulator.ModelNotFound(), KindModelNotFound, 0},
		"P42 moderation":         {emulator.Moderation(), KindContent, 0},
		"too many messages":      {emulator.TooManyMessages(), KindRejected, 0},
		"P17 empty body":         {emulator.Empty(), KindEmpty, 0},
		"P12 500":                {emulator.Status(500), KindUnavailable, 0},
		"P12 502":                {emulator.Status(502), KindUnavailable, 0},
		"P10 429":                {emulator.Status(429).WithHeader("Retry-After", "7"), KindRateLimited, 7 * time.Second},
		"S24 redirect":           {emulator.Status(302).WithHeader("Location", "https://example.com/"), KindBadResponse, 0},
		"P13 another code":       {emulator.Refusal("Something_New", "no"), KindRejected, 0},
		"too long":               {emulator.Refusal("Bad_Request", "Range of input length should be [1, 1000]"), KindTooLong, 0},
		"unlisted code with 401": {emulator.Refusal("Something_New", "no").WithHeader("X-Actual-Status-Code", "401"), KindCredential, 0},
		"unlisted code with 429": {emulator.Refusal("Something_New", "no").WithHeader("X-Actual-Status-Code", "429"), KindRateLimited, 0},
		"unlisted code with 503": {emulator.Refusal("Something_New", "no").WithHeader("X-Actual-Status-Code", "503"), KindUnavailable, 0},
		"body too large":         {emulator.Status(413), KindTooLong, 0},
		"P27 compressed stream":  {emulator.RateLimited(2).Gzip(), KindQuota, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			site, c := mustSite(t, emulator.Options{})
			site.Reply(tt.reply)
			_, err := ask(t, c, "secret prompt", ThinkingOff)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.want || e.RetryAfter != tt.retry {
				t.Fatalf("got %v (%+v)", err, e)
			}
			for _, secret := range []string{"jwt", "cna", "x5secdata=", "http://", "https://", "secret prompt"} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("the error %q contains %q", e, secret)
				}
			}
		})
	}
}

// A refusal is understood while its connection is still open, and after white
// space of any length.
func TestRefusalOnAnOpenConnection(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	challenge := `{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::busy"],"data":{"url":"https://x/punish"}}`
	site.Reply(emulator.Stream(emulator.Raw([]byte(strings.Repeat(" \n", 2000)+challenge)), emulator.Hang()))
	_, err := ask(t, c, "Hello", ThinkingOff)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindVerification {
		t.Fatalf("got %v", err)
	}
}

func TestQuotaInWords(t *testing.T) {
	for body, want := range map[string]time.Duration{
		`{"success":false,"data":{"code":"RateLimited","num":"4"}}`: 4 * time.Hour,
		`{"success":false,"data":{"code":"RateLimited","num":2}}`:   2 * time.Hour,
		`{"success":false,"data":{"code":"RateLimited","num":99}}`:  24 * time.Hour,
	} {
		if e := classifyBody([]byte(body)); e.Kind != KindQuota || e.RetryAfter != want {
			t.Errorf("%s: %v, %v", body, e, e.RetryAfter)
		}
	}
}

func TestGzipStream(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	site.Reply(emulator.Text("packed").Gzip())
	if got, err := ask(t, c, "Hello", ThinkingOff); err != nil || got.Answer != "packed" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestUnknownCompression(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	site.Reply(emulator.Text("packed").WithHeader("Content-Encoding", "br"))
	_, err := ask(t, c, "Hello", ThinkingOff)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindBadResponse {
		t.Fatalf("got %v", err)
	}
}

func TestNetworkFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		url  string
		want Kind
	}{
		"P01 refused": {"http://127.0.0.1:1", KindNetwork},
		"P02 DNS":     {"http://does-not-exist.invalid", KindNetwork},
		"P03 TLS":     {mustTLSServer(t), KindTLS},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			_, err := (&Client{BaseURL: tt.url, Transport: transport}).NewChat(t.Context(), testCredential, "m")
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.want || e.Op == "" {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// mustTLSServer returns the address of a server whose certificate nobody trusts.
func mustTLSServer(t *testing.T) string {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestStopAndDelete(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	chat := mustChat(t, c, "qwen3.7-plus")
	gate := make(chan struct{})
	defer close(gate)
	site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("x"), emulator.Wait(gate)))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := c.Complete(ctx, testCredential, Completion{ChatID: chat, Model: "qwen3.7-plus", Prompt: "Hello"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	stream.Close()
	if err := c.Stop(t.Context(), testCredential, chat, ""); err != nil {
		t.Fatal(err)
	}
	if stops := site.Stops(); len(stops) != 1 || stops[0].ChatID != chat {
		t.Errorf("stops: %+v", stops)
	}
	for range 2 { // the second time it is gone
		if err := c.DeleteChat(t.Context(), testCredential, chat); err != nil {
			t.Fatal(err)
		}
	}
	if got := site.Deleted(); len(got) != 1 || got[0] != chat {
		t.Errorf("deleted: %q", got)
	}
	if err := c.DeleteChat(t.Context(), testCredential, "../models"); err == nil {
		t.Error("a path was taken for an id")
	}
}

func TestModels(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	models, err := c.Models(t.Context(), Credential{})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]Model{}
	for _, m := range models {
		byID[m.ID] = m
	}
	plus, max := byID["qwen3.7-plus"], byID["qwen3.8-max"]
	if !plus.Vision || !plus.Thinking || plus.AlwaysThinks || plus.MaxContext != 1_000_000 || plus.Created == 0 || plus.OwnedBy == "" {
		t.Errorf("qwen3.7-plus: %+v", plus)
	}
	if !max.AlwaysThinks {
		t.Errorf("qwen3.8-max: %+v", max)
	}
	site.Fail("models", emulator.ChallengeHTML(200))
	var e *Error
	if _, err := c.Models(t.Context(), Credential{}); !errors.As(err, &e) || e.Kind != KindVerification {
		t.Errorf("got %v", err)
	}
}

func TestDecodeModels(t *testing.T) {
	for name, tt := range map[string]struct{ json, want string }{
		"flat":             {`[{"id":"a"}]`, "a"},
		"one level":        {`{"data":[{"id":"a"},{"id":" b "}]}`, "a b"},
		"two levels":       {`{"success":true,"data":{"data":[{"id":"a"}]}}`, "a"},
		"three levels":     {`{"data":{"data":{"data":[{"id":"a"}]}}}`, ""},
		"MO-03 duplicates": {`[{"id":"a"},{"id":"a"}]`, "a"},
		"not active":       {`[{"id":"a","info":{"is_active":false}},{"id":"b","info":{"is_active":true}}]`, "b"},
		"unusable ids":     {`[{"id":""},{"id":"a b"},{"id":"x\r\ny"},{"id":7},null,"z",{"id":"org/m:1"}]`, "org/m:1"},
		"odd types":        {`[{"id":"a","name":7,"info":{"created_at":"x","meta":{"capabilities":[1],"max_context_length":"big"}}}]`, "a"},
		"nothing":          {`{"data":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for _, m := range decodeModels([]byte(tt.json)) {
				ids = append(ids, m.ID)
				if m.Name == "" || m.OwnedBy == "" {
					t.Errorf("%+v", m)
				}
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	m := decodeModels([]byte(`[{"id":"a","info":{"created_at":1780000000123,"meta":{"abilities":{"vision":1,"thinking":3,"audio":0},"capabilities":{"vision":false}}}}]`))[0]
	if m.Created != 1780000000 || m.Vision || !m.Thinking || m.Audio {
		t.Errorf("MO-02: %+v", m)
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"0f3c-9": true, "a.b_c:d": true, "": false, ".": false, "..": false, "a/b": false, "a\r\n": false, "ä": false, strings.Repeat("a", 129): false,
	} {
		if got := validID(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}
