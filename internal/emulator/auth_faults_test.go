package emulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ask sends a request with a refresh token and an access token, and returns the
// answer with its body, or the error of the transport.
func ask(t testing.TB, via http.RoundTripper, method, url, refresh, access string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "refresh_token="+refresh+"; token="+access)
	resp, err := via.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	return resp, mustReadAll(t, resp), nil
}

const (
	refreshURL = "http://auth.test/api/v2/auths/refresh"
	accountURL = "http://chat.test/api/v1/auths/"
	chatsURL   = "http://chat.test/api/v2/chats/"
)

// mustRenew refreshes and returns both tokens.
func mustRenew(t testing.TB, s *Site, refresh, access string) (newAccess, newRefresh string) {
	t.Helper()
	_, body, err := ask(t, s, "GET", refreshURL, refresh, access)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Success bool
		Data    struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
	}
	if mustDecode(t, body, &e); !e.Success {
		t.Fatalf("refused: %s", body)
	}
	return e.Data.Access, e.Data.Refresh
}

func TestTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		defer s.Close()
		s.SetTokenLife(time.Minute)
		access, _ := mustRenew(t, s, "r", "")
		for _, want := range []bool{true, false} {
			_, body, err := ask(t, s, "GET", chatsURL, "", access)
			if err != nil || strings.Contains(body, `"success":true`) != want {
				t.Errorf("good: want %t, got %s, %v", want, body, err)
			}
			time.Sleep(time.Minute)
		}
		var record struct{ Token string }
		_, body, _ := ask(t, s, "GET", accountURL, "", "opaque")
		if mustDecode(t, body, &record); !expiry(record.Token).Equal(time.Now().Add(time.Minute)) {
			t.Errorf("the token of the record is good until %v", expiry(record.Token))
		}
	})
}

// A new token is of the account of the old one, also if that has expired.
func TestAccountsAreKeptApart(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	access, _ := mustRenew(t, s, "r", s.IssueTokenFor("second", -time.Hour))
	if got := tokenOwner(access); got != "second" {
		t.Errorf("the new token is of %q", got)
	}
	if _, body, _ := ask(t, s, "GET", accountURL, "", access); !strings.Contains(body, `"id":"second"`) {
		t.Errorf("the record is %s", body)
	}
	access, _ = mustRenew(t, s, "r", "")
	if got := tokenOwner(access); got != userID {
		t.Errorf("without an old token it is of %q", got)
	}
}

func TestRotation(t *testing.T) {
	s := New(Options{RefreshTokens: []string{"first"}})
	defer s.Close()
	if _, refresh := mustRenew(t, s, "first", ""); refresh != "first" {
		t.Errorf("it became %q", refresh)
	}
	s.RotateRefreshTokens(true)
	resp, body, _ := ask(t, s, "GET", refreshURL, "first", "")
	cookies := resp.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "refresh_token" || !strings.Contains(body, cookies[0].Value) || cookies[0].Value == "first" {
		t.Fatalf("cookies %v, body %s", cookies, body)
	}
	if _, body, _ := ask(t, s, "GET", refreshURL, "first", ""); !strings.Contains(body, "Unauthorized") {
		t.Errorf("the old one is still good: %s", body)
	}
	_, third := mustRenew(t, s, cookies[0].Value, "")
	s.RevokeRefresh(third)
	if _, body, _ := ask(t, s, "GET", refreshURL, third, ""); !strings.Contains(body, "Unauthorized") {
		t.Errorf("a revoked one is still good: %s", body)
	}
}

func TestSkewedClock(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	token := s.IssueToken(15 * time.Minute)
	s.SkewClock(time.Hour)
	resp, body, _ := ask(t, s, "GET", accountURL, "", token)
	if !strings.Contains(body, "expired") {
		t.Errorf("by its clock the token has not expired: %s", body)
	}
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if ahead := time.Until(at); err != nil || ahead < 59*time.Minute || ahead > time.Hour {
		t.Errorf("Date is %v ahead, %v", ahead, err)
	}
	if ahead := time.Until(expiry(s.IssueToken(0))); ahead < 59*time.Minute {
		t.Errorf("tokens are issued %v ahead", ahead)
	}
}

func TestSetCookies(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	s.SetCookies("acw_tc=1; Path=/", "x-ap=2")
	s.Fail(EndpointChats, Status(502).WithHeader("Set-Cookie", "own=3"))
	for _, want := range []string{"own=3,acw_tc=1; Path=/,x-ap=2", "acw_tc=1; Path=/,x-ap=2"} {
		resp, _, _ := ask(t, s, "GET", chatsURL, "", "t")
		if got := strings.Join(resp.Header["Set-Cookie"], ","); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	s.SetCookies()
	if resp, _, _ := ask(t, s, "GET", chatsURL, "", "t"); len(resp.Header["Set-Cookie"]) != 0 {
		t.Errorf("got %v", resp.Header)
	}
}

// What Refuse has set lasts until Accept, for the chat host or for what is named,
// and leaves scripted answers alone.
func TestRefuse(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	status := func(url string) int {
		t.Helper()
		resp, _, err := ask(t, s, "GET", url, "r", "t")
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	want := func(when string, chats, account, refresh int) {
		t.Helper()
		for url, want := range map[string]int{chatsURL: chats, accountURL: account, refreshURL: refresh} {
			if got := status(url); got != want {
				t.Errorf("%s: %s is answered with %d, want %d", when, url, got, want)
			}
		}
	}
	s.Refuse(ChallengeHTML(405))
	s.Fail(EndpointChats, Status(418))
	for range 3 {
		want("everything", 405, 405, 200)
	}
	s.Accept(EndpointAuths)
	want("all but the record", 405, 200, 200)
	s.Refuse(Status(502), EndpointRefresh)
	want("the auth host, too", 405, 200, 502)
	s.Accept()
	want("a scripted answer was left", 418, 200, 200)
	want("nothing", 200, 200, 200)
	if n := len(s.Refusals()); n != 0 {
		t.Errorf("%d of them are on record as the site's own", n)
	}
}

func TestHold(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	gate := make(chan struct{})
	srv.Hold(gate, EndpointRefresh)
	answered := make(chan string)
	go func() {
		_, body, err := ask(t, c.http.Transport, "GET", srv.URL()+"/api/v2/auths/refresh", "r", "")
		if err != nil {
			body = err.Error()
		}
		answered <- body
	}()
	mustAwait(t, srv.Site, "the refresh", func() bool { return srv.Refreshes() == 1 })
	if _, body := c.call("GET", "/api/v2/chats/", ""); !strings.Contains(body, `"success":true`) {
		t.Errorf("other calls wait, too: %s", body)
	}
	select {
	case body := <-answered:
		t.Fatalf("it was not held: %s", body)
	default:
	}
	close(gate)
	if body := <-answered; !strings.Contains(body, "access_token") {
		t.Errorf("got %s", body)
	}
	srv.Hold(make(chan struct{}), EndpointAuths)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		mustAwait(t, srv.Site, "the probe", func() bool { return srv.Probes() == 1 })
		cancel()
	}()
	if resp, err := c.http.Do(c.request(ctx, "GET", "/api/v1/auths/", "")); err == nil {
		resp.Body.Close()
		t.Error("a request that is held was answered")
	}
	go func() {
		mustAwait(t, srv.Site, "another probe", func() bool { return srv.Probes() == 2 })
		srv.Site.Close()
	}()
	if _, _, err := ask(t, srv.Site, "GET", accountURL, "", "t"); err == nil {
		t.Error("a site that was closed has answered")
	}
}

func TestResetConnection(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Refuse(ResetConnection(), EndpointRefresh)
	c := newClient(t, srv)
	for name, via := range map[string]http.RoundTripper{"network": c.http.Transport, "in process": srv.Site} {
		if _, body, err := ask(t, via, "GET", srv.URL()+"/api/v2/auths/refresh", "r", ""); err == nil {
			t.Errorf("%s: got %s", name, body)
		}
	}
}

// What a client asks about the account is counted, and on a record of its own.
func TestAuthRecords(t *testing.T) {
	for _, o := range []Options{{}, {NoRecord: true}} {
		s := New(o)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for _, url := range []string{refreshURL, refreshURL, accountURL, chatsURL} {
					if _, _, err := ask(t, s, "GET", url, "r", "t"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if s.Refreshes() != 8 || s.Probes() != 4 {
			t.Errorf("%+v: %d refreshes, %d probes", o, s.Refreshes(), s.Probes())
		}
		others, own := 4, 12
		if o.NoRecord {
			others, own = 0, 0
		}
		if len(s.Requests()) != others || len(s.AuthRequests()) != own {
			t.Errorf("%+v: %v and %v on record", o, s.Requests(), s.AuthRequests())
		}
		if slices.ContainsFunc(s.Requests(), func(r Request) bool { return r.Endpoint != EndpointChats }) {
			t.Errorf("on record: %v", s.Requests())
		}
		s.Close()
	}
}

// Without a network a stream arrives piece by piece, and nothing is left when the
// client leaves.
func TestInProcessStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		defer s.Close()
		send := func(path, body string) *http.Response {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), "POST", "http://chat.test"+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer t")
			r.Header.Set("Version", "1")
			r.Header.Set("Content-Type", "application/json")
			resp, err := s.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		var e struct{ Data struct{ ID string } }
		if err := json.NewDecoder(send("/api/v2/chats/new", newChatBody(nil)).Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		s.Reply(Stream(Created(), Answer("one"), Pause(time.Hour), Answer("two"), Hang()))
		resp := send("/api/v2/chat/completions?chat_id="+e.Data.ID, completionJSON(t, turn{chat: e.Data.ID, prompt: "Hi"}))
		got, start := make([]byte, 0, 4096), time.Now()
		for !strings.Contains(string(got), "two") {
			n, err := resp.Body.Read(got[len(got):cap(got)])
			if got = got[:len(got)+n]; err != nil {
				t.Fatalf("%v after %s", err, got)
			}
			if strings.Contains(string(got), "two") != (time.Since(start) == time.Hour) {
				t.Errorf("after %v it is %s", time.Since(start), got)
			}
		}
		resp.Body.Close()
		synctest.Wait()
		if s.Active() != 0 || !s.Completions()[0].Gone {
			t.Errorf("%d are still active", s.Active())
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the body can still be read")
		}
	})
}

// A context that ends ends the wait for an answer, and the reading of one.
func TestInProcessCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		defer s.Close()
		s.Hold(make(chan struct{}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := s.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", chatsURL, nil))
		if err != context.DeadlineExceeded || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}
