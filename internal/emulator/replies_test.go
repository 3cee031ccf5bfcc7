package emulator

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// scripted answers one completion with a reply.
func scripted(t *testing.T, r Reply) (*http.Response, string) {
	t.Helper()
	srv := mustStart(t, Options{})
	srv.Reply(r)
	c := newClient(t, srv)
	return c.say(c.mustChat(), "", "hi")
}

func TestReadyMadeRefusals(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		reply                 Reply
		code, details, actual string
	}{
		{"Expired", Expired(), "unauthorized", "Token has expired", "401"},
		{"RateLimited", RateLimited(0), "RateLimited", "upper limit", "429"},
		{"Busy", Busy(), "Bad_Request", "The chat is in progress!", "400"},
		{"ChatNotFound", ChatNotFound(), "Not_Found", "is not exist", "404"},
		{"BrokenParent", BrokenParent(), "Bad_Request", "assistant", "400"},
		{"ModelNotFound", ModelNotFound(), "Not_Found", "Model not found", "404"},
		{"Moderation", Moderation(), "data_inspection_failed", "inappropriate", "400"},
		{"TooManyMessages", TooManyMessages(), "Bad_Request", "too many messages", "400"},
		{"Internal", Internal(), "Bad_Request", "Internal error", "400"},
		{"Refusal", Refusal("Internal_Server_Error", "x"), "Internal_Server_Error", "x", "500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := scripted(t, tc.reply)
			wantRefusal(t, resp, body, tc.code, tc.details, tc.actual)
		})
	}
}

func TestRateLimitedHours(t *testing.T) {
	var f failure
	_, body := scripted(t, RateLimited(4))
	mustDecode(t, body, &f)
	if f.Data.Num == nil || *f.Data.Num != 4 || !strings.Contains(f.Data.Template, "{{num}}") || !strings.Contains(f.Data.Details, "upper limit") {
		t.Errorf("daily limit: %s", body)
	}
	f = failure{}
	_, body = scripted(t, RateLimited(0))
	mustDecode(t, body, &f)
	if f.Data.Num != nil || f.Data.Template != "" {
		t.Errorf("limit per minute: %s", body)
	}
}

func TestUnauthorized401(t *testing.T) {
	resp, body := scripted(t, Unauthorized401())
	if resp.StatusCode != 401 || !strings.Contains(body, `"code":"Unauthorized"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// Answers of what stands before the site have none of the site's headers.
func TestForeignAnswers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reply  Reply
		status int
		media  string
		start  string
		holds  []string
	}{
		{
			"ChallengeJSON", ChallengeJSON(), 200, "application/json;charset=utf-8", `{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::`,
			[]string{"_____tmd_____/punish?x5secdata=", "action=captcha"},
		},
		{"ChallengeHTML", ChallengeHTML(405), 405, htmlType, "<!doctypehtml>", []string{"aliyun_waf_aa", "aliyun_waf_bb", "aliyunCaptcha", "x5secdata"}},
		{"ChallengeHTML 0", ChallengeHTML(0), 200, htmlType, "<!doctypehtml>", nil},
		{"Status 502", Status(502), 502, htmlType, "<html>", []string{"502 Bad Gateway"}},
		{"Status 204", Status(204), 204, "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := scripted(t, tc.reply)
			if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != tc.media || !strings.HasPrefix(body, tc.start) {
				t.Errorf("%d %q %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
			for _, w := range tc.holds {
				if !strings.Contains(body, w) {
					t.Errorf("no %q in %s", w, body)
				}
			}
			if resp.Header.Get("X-Request-Id") != "" || resp.Header.Get("X-Actual-Status-Code") != "" {
				t.Errorf("headers %v", resp.Header)
			}
			if strings.Contains(body, "success") {
				t.Errorf("a challenge has no success key: %s", body)
			}
		})
	}
}

func TestLoginPage(t *testing.T) {
	resp, body := scripted(t, LoginPage())
	if resp.StatusCode != 200 || !strings.HasPrefix(body, "<!doctype html>") || resp.Header.Get("Content-Type") != htmlType {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestEmptyAnswers(t *testing.T) {
	resp, body := scripted(t, Empty())
	if resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Type") != eventType {
		t.Errorf("Empty: %d %q %v", resp.StatusCode, body, resp.Header)
	}
	_, body = scripted(t, EmptyStream())
	list := mustEvents(t, body)
	if len(list) != 2 || list[0].Created == nil || list[1].Choices[0].Delta.Status != "finished" || answerText(list, "") != "" {
		t.Errorf("EmptyStream: %s", body)
	}
}

func TestBurst(t *testing.T) {
	resp, body := scripted(t, Burst())
	list := mustEvents(t, body)
	if resp.Header.Get("Content-Type") != eventType || len(list) != 1 || !strings.Contains(string(list[0].Error), "increased too quickly") {
		t.Errorf("%v %s", resp.Header, body)
	}
}

func TestPlainReply(t *testing.T) {
	resp, body := scripted(t, Reply{Status: 418, Header: http.Header{"X-A": {"b"}}, Body: []byte("tea")})
	if resp.StatusCode != 418 || resp.Header.Get("X-A") != "b" || body != "tea" || resp.Header.Get("X-Actual-Status-Code") != "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if resp, body = scripted(t, Reply{}); resp.StatusCode != 200 || body != "" {
		t.Errorf("zero reply: %d %q", resp.StatusCode, body)
	}
}

func TestReplyModifiers(t *testing.T) {
	base := Expired()
	r := base.WithHeader("Set-Cookie", "a=1").WithHeader("Set-Cookie", "b=2").
		WithHeader("X-Actual-Status-Code", "403").WithStatus(403).WithEarly(103)
	resp, body := scripted(t, r)
	if resp.StatusCode != 403 || len(resp.Header.Values("Set-Cookie")) != 2 || !strings.Contains(body, "expired") {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if got := resp.Header.Values("X-Actual-Status-Code"); len(got) != 1 || got[0] != "403" {
		t.Errorf("x-actual-status-code %v", got)
	}
	if len(base.Header) != 2 {
		t.Errorf("the modifiers changed the original: %v", base.Header)
	}
}

func TestGzip(t *testing.T) {
	for name, r := range map[string]Reply{"stream": Text("Grüße, ", "world"), "plain": Expired(), "cut": Stream(Created(), Answer("x"), Cut())} {
		t.Run(name, func(t *testing.T) {
			_, want := scripted(t, r)
			resp, body := scripted(t, r.Gzip())
			if resp.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("headers %v", resp.Header)
			}
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			if len(plain) != len(want) { // the ids in it differ, but not in length
				t.Errorf("got %q, want something like %q", plain, want)
			}
		})
	}
}

// Every frame of a gzip'ed stream can be read when it was sent.
func TestGzipIsFlushed(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("early"), Wait(gate), Finish()).Gzip())
	c := newClient(t, srv)
	resp := c.mustDo(c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi"}))
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for buf := make([]byte, 512); !strings.Contains(seen, "early"); {
		n, err := z.Read(buf)
		if seen += string(buf[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
	close(gate)
	if _, err := io.ReadAll(z); err != nil {
		t.Error(err)
	}
}

func TestHeldBackReply(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Expired().After(gate))
	c := newClient(t, srv)
	chat := c.mustChat()
	answered := make(chan string)
	go func() {
		resp, err := c.http.Do(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	mustAwait(t, srv.Site, "the completion", func() bool { return srv.Active() == 1 })
	select {
	case got := <-answered:
		t.Fatalf("answered before the gate was open: %s", got)
	default:
	}
	close(gate)
	if got := <-answered; !strings.Contains(got, "expired") {
		t.Errorf("got %s", got)
	}
}

func TestFail(t *testing.T) {
	for _, tc := range []struct{ endpoint, method, path string }{
		{"models", "GET", "/api/models"},
		{"models", "GET", "/api/v2/models/"},
		{"chats/new", "POST", "/api/v2/chats/new"},
		{"chats", "GET", "/api/v2/chats/?page=1"},
		{"chats", "GET", "/api/v2/chats/pinned"},
		{"chats/get", "GET", "/api/v2/chats/x"},
		{"chats/delete", "DELETE", "/api/v2/chats/x"},
		{"completions", "POST", "/api/v2/chat/completions?chat_id=x"},
		{"chat/completions", "POST", "/api/v2/chat/completions?chat_id=x"},
		{"stop", "POST", "/api/v2/chat/completions/stop?chat_id=x"},
		{"/api/v2/chat/completions/stop", "POST", "/api/v2/chat/completions/stop?chat_id=x"},
		{"auths", "GET", "/api/v1/auths/"},
		{"auths/refresh", "GET", "/api/v2/auths/refresh"},
	} {
		t.Run(tc.endpoint+" "+tc.method, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Fail(tc.endpoint, Status(503), RateLimited(2))
			c := newClient(t, srv)
			if resp, _ := c.call(tc.method, tc.path, "{}"); resp.StatusCode != 503 {
				t.Errorf("first answer %d", resp.StatusCode)
			}
			if _, body := c.call(tc.method, tc.path, "{}"); !strings.Contains(body, `"num":2`) {
				t.Errorf("second answer %s", body)
			}
			if _, body := c.call(tc.method, tc.path, "{}"); strings.Contains(body, "RateLimited") {
				t.Errorf("third answer %s", body)
			}
			for _, r := range srv.Refusals() {
				if r.Code == "RateLimited" {
					t.Error("a scripted answer was recorded as a refusal")
				}
			}
		})
	}
}

func TestFailUnknownEndpoint(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for an endpoint that does not exist")
		}
	}()
	New(Options{}).Fail("chats/neww", Status(500))
}
