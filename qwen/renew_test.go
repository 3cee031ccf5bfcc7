package qwen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// answering is a transport that gives one answer, and remembers the request.
type answering struct {
	status  int
	header  http.Header
	body    string
	request *http.Request
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.request = r
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: max(a.status, 200), Header: h, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

func (a *answering) client() *Client {
	return &Client{BaseURL: "https://chat.qwen.ai", AuthURL: "https://auth.qwen.ai", Version: "0.3.12", Transport: a}
}

var owners = Credential{
	Cookies: "cna=a=b; token=" + tokenOf("a", time.Now().Add(-time.Hour), 15*time.Minute) + "; refresh_token=r; x-ap=1",
	Header:  http.Header{"User-Agent": {"the owner's browser"}, "Authorization": {"Bearer pasted"}},
}

func TestRenew(t *testing.T) {
	fresh := tokenOf("a", time.Now(), 15*time.Minute)
	a := &answering{
		header: http.Header{"Set-Cookie": {"acw_tc=of-auth; HttpOnly", "ssxmod=1; Domain=.qwen.ai", "foreign=1; Domain=example.com"}},
		body:   `{"success":true,"request_id":"x","data":{"access_token":"` + fresh + `","refresh_token":"s"}}`,
	}
	got, err := a.client().Renew(t.Context(), owners)
	if want := "cna=a=b; token=" + fresh + "; refresh_token=s; x-ap=1; ssxmod=1"; err != nil || got.Cookies != want || got.Token != "" {
		t.Errorf("got %q, %v, want %q", got.Cookies, err, want)
	}
	r := a.request
	if r.Method != "GET" || r.URL.String() != "https://auth.qwen.ai/api/v2/auths/refresh" || r.Header.Get("Origin") != "https://chat.qwen.ai" {
		t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
	}
	for name, want := range map[string]string{
		"Cookie": owners.Cookies, "Authorization": "", "Version": "0.3.12", "Source": "web", "User-Agent": "the owner's browser",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if owners.Header.Get("Authorization") == "" {
		t.Error("the owner's headers were changed")
	}
}

func TestRenewWithoutAuthHost(t *testing.T) {
	a := &answering{status: 500}
	c := a.client()
	c.AuthURL = ""
	if _, err := c.Renew(t.Context(), owners); err == nil || a.request.URL.Host != "chat.qwen.ai" {
		t.Errorf("asked %v, %v", a.request.URL, err)
	}
}

func TestRenewFailures(t *testing.T) {
	now := time.Now()
	page := "<!doctype html><html><title>Qwen</title></html>"
	token := func(token string) string { return `{"success":true,"data":{"access_token":"` + token + `"}}` }
	for name, tt := range map[string]struct {
		answer answering
		want   Kind
	}{
		"P06 refused":          {answering{body: `{"success":false,"data":{"code":"Unauthorized"}}`}, KindCredential},
		"P06 refused with 401": {answering{status: 401, body: `{"success":false}`}, KindCredential},
		"P07 forbidden":        {answering{status: 403, body: page}, KindCredential},
		"P08 challenge page":   {answering{body: "<html>aliyun_waf_aa</html>"}, KindVerification},
		"P09 challenge":        {answering{body: `{"ret":["FAIL_SYS_USER_VALIDATE"],"data":{"url":"x/punish"}}`}, KindVerification},
		"P10 too many":         {answering{status: 429}, KindRateLimited},
		"P12 down":             {answering{status: 502, body: page}, KindUnavailable},
		"another page":         {answering{body: page}, KindBadResponse},
		"garbage":              {answering{body: "garbage"}, KindBadResponse},
		"empty":                {answering{}, KindBadResponse},
		"no data":              {answering{body: `{"success":true}`}, KindBadResponse},
		"data of another type": {answering{body: `{"success":true,"data":[1]}`}, KindBadResponse},
		"no token":             {answering{body: token("")}, KindBadResponse},
		"token of another type": {
			answering{body: `{"success":true,"data":{"access_token":7}}`}, KindBadResponse},
		"token with a space": {answering{body: token("a b")}, KindBadResponse},
		"token with a break": {answering{body: token(`a\r\nX: y`)}, KindBadResponse},
		"expired token":      {answering{body: token(tokenOf("a", now.Add(-time.Hour), time.Minute))}, KindBadResponse},
		"of another account": {answering{body: token(tokenOf("b", now, time.Hour))}, KindBadResponse},
		"expired by its clock": {
			answering{header: date(now.Add(2 * time.Hour)), body: token(tokenOf("a", now, time.Hour))}, KindBadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.answer.client().Renew(t.Context(), owners)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.want || e.Op != opRenew {
				t.Fatalf("got %+v", err)
			}
			if got.Cookies != owners.Cookies || got.Token != owners.Token {
				t.Errorf("the credential became %+v", got)
			}
		})
	}
}

func date(at time.Time) http.Header {
	return http.Header{"Date": {at.UTC().Format(http.TimeFormat)}}
}

// A clock of ours that is an hour ahead does not make fresh tokens old.
func TestRenewByTheClockOfTheSite(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	fresh := tokenOf("a", past, 15*time.Minute)
	a := &answering{header: date(past), body: `{"success":true,"data":{"access_token":"` + fresh + `"}}`}
	if got, err := a.client().Renew(t.Context(), owners); err != nil || got.AccessToken() != fresh {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Without a refresh token there is nothing to ask for.
func TestRenewNeedsARefreshToken(t *testing.T) {
	a := &answering{}
	var e *Error
	if _, err := a.client().Renew(t.Context(), Credential{Token: "t"}); !errors.As(err, &e) || e.Kind != KindCredential || a.request != nil {
		t.Errorf("got %v, asked %v", err, a.request)
	}
}

func TestAccount(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	fresh := tokenOf("a", now, 15*time.Minute)
	for name, tt := range map[string]struct {
		body string
		want Account
		kind Kind // of the failure, if there is no account in want
	}{
		"a record":            {`{"id":"a","role":"user","token":"` + fresh + `"}`, Account{ID: "a", Token: fresh, Date: now}, 0},
		"in an envelope":      {`{"success":true,"data":{"id":"a","token":"` + fresh + `"}}`, Account{ID: "a", Token: fresh, Date: now}, 0},
		"no token":            {`{"id":"a"}`, Account{ID: "a", Date: now}, 0},
		"of another account":  {`{"id":"b","token":"` + tokenOf("b", now, time.Hour) + `"}`, Account{ID: "b", Date: now}, 0},
		"a token that is bad": {`{"id":"a","token":"a b"}`, Account{ID: "a", Date: now}, 0},
		"signed out: a page":  {"<!doctype html><div id=root>", Account{}, KindCredential},
		"the protection":      {"<!doctypehtml>aliyun_waf_aa", Account{}, KindVerification},
		"refused":             {`{"success":false,"data":{"code":"unauthorized"}}`, Account{}, KindCredential},
		"no id":               {`{"role":"guest"}`, Account{}, KindBadResponse},
		"an id of no use":     {`{"id":"a b\r\n"}`, Account{}, KindBadResponse},
		"an id that is none":  {`{"id":7}`, Account{}, KindBadResponse},
		"garbage":             {`garbage`, Account{}, KindBadResponse},
		"odd":                 {`{"id":"a","data":7}`, Account{}, KindBadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answering{header: date(now), body: tt.body}
			got, err := a.client().Account(t.Context(), owners)
			var e *Error
			if got.ID != tt.want.ID || got.Token != tt.want.Token || !got.Date.Equal(tt.want.Date) {
				t.Errorf("got %+v", got)
			}
			if failed := errors.As(err, &e); failed != (tt.want.ID == "") || failed && (e.Kind != tt.kind || e.Op != opAccount) {
				t.Errorf("got %v", err)
			}
			if url := a.request.URL.String(); url != "https://chat.qwen.ai/api/v1/auths/" {
				t.Errorf("asked %s", url)
			}
		})
	}
}

func TestAccountWithoutADate(t *testing.T) {
	for _, value := range []string{"", "yesterday"} {
		a := &answering{header: http.Header{"Date": {value}}, body: `{"id":"a"}`}
		if got, err := a.client().Account(t.Context(), owners); err != nil || !got.Date.IsZero() {
			t.Errorf("%q: got %+v, %v", value, got, err)
		}
	}
}

// Cookies are passed on once for each answer that sets some, also if the answer
// is a stream or a refusal.
func TestOnSetCookie(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "the call's")
	var got []string
	c.OnSetCookie = func(ctx context.Context, host string, set []*http.Cookie) {
		for _, cookie := range set {
			got = append(got, host+" "+cookie.Name+"="+cookie.Value)
		}
		if ctx.Value(key{}) != "the call's" {
			t.Error("another context")
		}
	}
	wantOnly := func(what, want string) {
		t.Helper()
		if strings.Join(got, ",") != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		got = nil
	}
	chat, err := c.NewChat(ctx, testCredential, "qwen3.7-plus")
	if err != nil {
		t.Fatal(err)
	}
	wantOnly("an answer without cookies", "")
	turn := Completion{ChatID: chat, Model: "qwen3.7-plus", Prompt: "Hello"}
	site.Reply(emulator.Text("x").WithHeader("Set-Cookie", "a=1").WithHeader("Set-Cookie", "b=2"))
	stream, err := c.Complete(ctx, testCredential, turn)
	if err != nil {
		t.Fatal(err)
	}
	stream.Close()
	wantOnly("a stream", "127.0.0.1 a=1,127.0.0.1 b=2")
	site.Fail("chats/new", emulator.Expired().WithHeader("Set-Cookie", "c=3"))
	if _, err := c.NewChat(ctx, testCredential, "m"); err == nil {
		t.Error("no error")
	}
	wantOnly("a refusal", "127.0.0.1 c=3")
}

// Of what the host of the access tokens sets, only that is passed on which also
// belongs to the site.
func TestOnSetCookieOfTheAuthHost(t *testing.T) {
	a := &answering{header: http.Header{"Set-Cookie": {"acw_tc=1", "refresh_token=s", "shared=1; Domain=qwen.ai"}}, body: `{}`}
	c, got := a.client(), ""
	c.OnSetCookie = func(_ context.Context, host string, set []*http.Cookie) {
		for _, cookie := range set {
			got += host + " " + cookie.Name + ","
		}
	}
	if _, err := c.Renew(t.Context(), owners); err == nil {
		t.Error("no error")
	}
	if got != "chat.qwen.ai refresh_token,chat.qwen.ai shared," {
		t.Errorf("got %q", got)
	}
}

// No answer to Renew or Account makes a credential worse, or comes without an
// error and without what was asked for.
func FuzzAuthAnswers(f *testing.F) {
	f.Add(200, `{"success":true,"data":{"access_token":"a","refresh_token":"b"}}`, "token=; Max-Age=0")
	f.Add(200, `{"id":"a","token":"b"}`, "refresh_token=")
	f.Add(401, `<html>`, "a=b; Domain=ai")
	f.Add(200, `{"success":true,"data":{"access_token":"`+tokenOf("a", time.Now(), time.Hour)+`","refresh_token":" "}}`, "x=y")
	f.Fuzz(func(t *testing.T, status int, body, set string) {
		if status < 200 || status > 599 {
			return
		}
		a := &answering{status: status, body: body, header: http.Header{"Set-Cookie": {set}}}
		got, err := a.client().Renew(t.Context(), owners)
		if !got.Renewable() || got.AccessToken() == "" || got.Identity() != owners.Identity() && sameAccount(got.AccessToken(), owners.AccessToken()) == false {
			t.Errorf("the credential became %+v", got)
		}
		if err != nil && got.Cookies != owners.Cookies || err == nil && got.AccessToken() == owners.AccessToken() {
			t.Errorf("got %q with %v", got.Cookies, err)
		}
		account, err := a.client().Account(t.Context(), owners)
		if (err == nil) != validID(account.ID) || account.Token != "" && !sendableToken(account.Token) {
			t.Errorf("got %+v, %v", account, err)
		}
	})
}
