package emulator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func jwt(payload string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + enc.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestCredentials(t *testing.T) {
	const good, refused, expired = "good", "Unauthorized", "unauthorized"
	old := jwt(`{"id":"x","exp":1000000000}`)
	future := jwt(`{"id":"x","exp":99999999999}`)
	for _, tc := range []struct {
		name    string
		tokens  []string
		bearer  string
		cookies string
		want    string
	}{
		{"none", nil, "", "", refused},
		{"other cookies only", nil, "", "cna=1; token=", refused},
		{"any bearer", nil, "Bearer x", "", good},
		{"any cookie", nil, "", "cna=1; token=x", good},
		{"scheme in another case", nil, "bearer x", "", good},
		{"another scheme", nil, "Basic x", "", refused},
		{"empty bearer", nil, "Bearer ", "", refused},
		{"listed bearer", []string{"a", "b"}, "Bearer b", "", good},
		{"listed cookie", []string{"a"}, "", "token=a", good},
		{"not listed", []string{"a"}, "Bearer c", "", refused},
		{"one of two is good", []string{"a"}, "Bearer c", "token=a", good},
		{"expired JWT", nil, "Bearer " + old, "", expired},
		{"expired JWT that is listed", []string{old}, "Bearer " + old, "", expired},
		{"JWT with time left", nil, "Bearer " + future, "", good},
		{"expired bearer, good cookie", nil, "Bearer " + old, "token=" + future, good},
		{"JWT without exp", nil, "Bearer " + jwt(`{}`), "", good},
		{"JWT that is no JSON", nil, "Bearer " + jwt(`x`), "", good},
		{"dots", nil, "Bearer a.!.b", "", good},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{Tokens: tc.tokens})
			c := newClient(t, srv)
			for _, path := range []string{"/api/v2/chats/", "/api/v1/auths/"} {
				r := c.request(t.Context(), "GET", path, "")
				r.Header.Del("Authorization")
				if tc.bearer != "" {
					r.Header.Set("Authorization", tc.bearer)
				}
				if tc.cookies != "" {
					r.Header.Set("Cookie", tc.cookies)
				}
				resp := c.mustDo(r)
				body := mustReadAll(t, resp)
				if tc.want != good {
					wantRefusal(t, resp, body, tc.want, "", "401")
				} else if strings.Contains(body, `"success":false`) {
					t.Errorf("%s: %s", path, body)
				}
			}
		})
	}
}

func TestEveryCallNeedsACredential(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	for _, tc := range []struct {
		method, path string
		open         bool
	}{
		{"GET", "/api/models", true},
		{"GET", "/api/v2/models/", true},
		{"GET", "/api/v2/models", true},
		{"POST", "/api/v2/chats/new", false},
		{"POST", "/api/v2/chat/completions?chat_id=x", false},
		{"POST", "/api/v2/chat/completions/stop?chat_id=x", false},
		{"GET", "/api/v2/chats/?page=1", false},
		{"GET", "/api/v2/chats?limit=50", false},
		{"GET", "/api/v2/chats/pinned", false},
		{"GET", "/api/v2/chats/x", false},
		{"DELETE", "/api/v2/chats/x", false},
		{"DELETE", "/api/v2/chats/", false},
		{"GET", "/api/v1/auths/", false},
		{"GET", "/api/v2/auths/refresh", false},
	} {
		r := c.request(t.Context(), tc.method, tc.path, "")
		r.Header.Del("Authorization")
		body := mustReadAll(t, c.mustDo(r))
		if got := !strings.Contains(body, `"code":"Unauthorized"`); got != tc.open {
			t.Errorf("%s %s: %s", tc.method, tc.path, body)
		}
	}
}

func TestIssuedTokens(t *testing.T) {
	srv := mustStart(t, Options{Tokens: []string{"a"}})
	c := newClient(t, srv)
	answer := func(token string) string {
		r := c.request(t.Context(), "GET", "/api/v2/chats/", "")
		r.Header.Set("Authorization", "Bearer "+token)
		return mustReadAll(t, c.mustDo(r))
	}
	fresh := srv.IssueToken(15 * time.Minute)
	if body := answer(fresh); !strings.Contains(body, `"success":true`) {
		t.Errorf("fresh token: %s", body)
	}
	if body := answer(srv.IssueToken(0)); !strings.Contains(body, "Token has expired") {
		t.Errorf("token without a life: %s", body)
	}
	if first, second := srv.IssueToken(time.Minute), srv.IssueToken(time.Minute); first == second {
		t.Error("two tokens are equal")
	}
	srv.Revoke(fresh, "a")
	for _, token := range []string{fresh, "a"} {
		if body := answer(token); !strings.Contains(body, "Token has expired") {
			t.Errorf("revoked token: %s", body)
		}
	}

	// The form of the payload is that of the site.
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(fresh, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		ID, Type string
		Changed  int64 `json:"last_password_change"`
		Iat, Exp int64
	}
	if err := json.Unmarshal(raw, &p); err != nil || p.Type != "access_token" || p.Exp-p.Iat != 900 || p.ID == "" || p.Changed == 0 {
		t.Errorf("payload %s: %v", raw, err)
	}
}

func TestRefresh(t *testing.T) {
	for _, tc := range []struct {
		name     string
		accepted []string
		cookies  string
		ok       bool
	}{
		{"any", nil, "cna=1; refresh_token=r", true},
		{"none", nil, "cna=1", false},
		{"empty", nil, "refresh_token=", false},
		{"listed", []string{"q", "r"}, "refresh_token=r", true},
		{"not listed", []string{"q"}, "refresh_token=r", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{Tokens: []string{"a"}, RefreshTokens: tc.accepted})
			c := newClient(t, srv)
			r := c.request(t.Context(), "GET", "/api/v2/auths/refresh", "")
			r.Header.Del("Authorization")
			r.Header.Set("Cookie", tc.cookies)
			resp := c.mustDo(r)
			body := mustReadAll(t, resp)
			if !tc.ok {
				wantRefusal(t, resp, body, "Unauthorized", "", "401")
				return
			}
			var e struct {
				Success bool
				Data    struct {
					Access  string `json:"access_token"`
					Refresh string `json:"refresh_token"`
				}
			}
			mustDecode(t, body, &e)
			if !e.Success || e.Data.Refresh != "r" {
				t.Errorf("answered %s", body)
			}
			if life := time.Until(expiry(e.Data.Access)); life < 14*time.Minute || life > 15*time.Minute {
				t.Errorf("the token lives for %v", life)
			}
			r = c.request(t.Context(), "GET", "/api/v2/chats/", "")
			r.Header.Set("Authorization", "Bearer "+e.Data.Access)
			if body := mustReadAll(t, c.mustDo(r)); !strings.Contains(body, `"success":true`) {
				t.Errorf("with the new token: %s", body)
			}
		})
	}
}

func TestAccount(t *testing.T) {
	srv := mustStart(t, Options{})
	_, body := newClient(t, srv).call("GET", "/api/v1/auths/", "")
	var a struct{ ID, Role, Token string }
	mustDecode(t, body, &a)
	if a.ID == "" || a.Role != "user" || srv.judge(a.Token) != tokenGood {
		t.Errorf("answered %s", body)
	}
}

func TestRequestIDs(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	r := c.request(t.Context(), "GET", "/api/v2/models/", "")
	r.Header.Del("X-Request-Id")
	resp := c.mustDo(r)
	id := resp.Header.Get("X-Request-Id")
	if body := mustReadAll(t, resp); len(id) != 36 || !strings.Contains(body, `"request_id":"`+id+`"`) {
		t.Errorf("id %q in the header, %.100s", id, body)
	}
	r.Header.Set("X-Request-Id", `a"b`)
	resp = c.mustDo(r)
	var e struct {
		ID string `json:"request_id"`
	}
	mustDecode(t, mustReadAll(t, resp), &e)
	if e.ID != `a"b` {
		t.Errorf("id %q in the body", e.ID)
	}
	if got := resp.Header.Get("X-Actual-Status-Code"); resp.StatusCode != http.StatusOK || got != "200" {
		t.Errorf("status %d, x-actual-status-code %q", resp.StatusCode, got)
	}
}
