package qwen

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// bubble returns a site without a network and a client of it. It is called in a
// bubble of synctest.
func bubble(t *testing.T) (*emulator.Site, *Client) {
	t.Helper()
	site := emulator.New(emulator.Options{Tokens: []string{"none"}, RefreshTokens: []string{"r"}})
	t.Cleanup(site.Close)
	return site, &Client{BaseURL: "https://chat.qwen.ai", AuthURL: "https://auth.qwen.ai", Version: "0.3.12", Transport: site}
}

// mustTalk opens a chat and reads a whole answer.
func mustTalk(t *testing.T, c *Client, cred Credential) {
	t.Helper()
	chat, err := c.NewChat(t.Context(), cred, "qwen3.7-plus")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Complete(t.Context(), cred, Completion{ChatID: chat, Model: "qwen3.7-plus", Prompt: "Hello"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if got := decode(t, new(Decoder), string(text), 1000); err != nil || got.Answer == "" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// An hour with tokens that are good for 15 minutes, refresh tokens that change
// each time, and cookies that come with every answer: nothing fails as long as a
// token is renewed before its end.
func TestAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, c := bubble(t)
		site.RotateRefreshTokens(true)
		cred := Credential{Cookies: "cna=a=b; refresh_token=r; token=" + site.IssueToken(0)}
		c.OnSetCookie = func(_ context.Context, host string, set []*http.Cookie) {
			cred = cred.WithCookies(host, set, time.Now())
		}
		id, start := cred.Identity(), time.Now()
		for minute := 0; time.Since(start) < time.Hour; minute++ {
			site.SetCookies(fmt.Sprintf("acw_tc=%d; Domain=qwen.ai; Max-Age=1800", minute), "token=; Max-Age=0")
			if time.Until(cred.Expires()) < 2*time.Minute {
				renewed, err := c.Renew(t.Context(), cred)
				if err != nil {
					t.Fatalf("after %v: %v", time.Since(start), err)
				}
				cred = renewed
			}
			account, err := c.Account(t.Context(), cred)
			if err != nil || "id "+account.ID != id || account.Token == "" || !account.Date.Equal(time.Now()) {
				t.Fatalf("after %v: %+v, %v", time.Since(start), account, err)
			}
			mustTalk(t, c, cred)
			time.Sleep(time.Minute)
		}
		if n := site.Refreshes(); n != 5 || cred.Identity() != id || cred.Lifetime() != 15*time.Minute {
			t.Errorf("%d refreshes, %+v", n, cred)
		}
		if want := "59"; mustCookie(t, cred, "acw_tc") != want || mustCookie(t, cred, "cna") != "a=b" {
			t.Errorf("the cookies are %q", cred.Cookies)
		}
		if len(site.Completions()) != 60 || len(site.Refusals()) != 0 {
			t.Errorf("%d answers, refused: %v", len(site.Completions()), site.Refusals())
		}
		time.Sleep(time.Hour) // and without a renewal it ends
		if _, err := c.NewChat(t.Context(), cred, "qwen3.7-plus"); kindOf(err) != KindCredential {
			t.Errorf("with an old token: %v", err)
		}
	})
}

func mustCookie(t *testing.T, c Credential, name string) string {
	t.Helper()
	value, ok := cookieValue(c.Cookies, name)
	if !ok {
		t.Fatalf("no cookie %s in %q", name, c.Cookies)
	}
	return value
}

// The auth host in every bad state. Each leaves the credential as it was, and
// tells what it is.
func TestAuthHostInTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		reply emulator.Reply
		want  Kind
	}{
		"P06 refused":  {emulator.Unauthorized401(), KindCredential},
		"P07 403":      {emulator.Status(403), KindCredential},
		"P08 page":     {emulator.ChallengeHTML(200), KindVerification},
		"P09 JSON":     {emulator.ChallengeJSON(), KindVerification},
		"P12 down":     {emulator.Status(502), KindUnavailable},
		"reset":        {emulator.ResetConnection(), KindNetwork},
		"another page": {emulator.LoginPage(), KindBadResponse},
		"garbage":      {emulator.Reply{Body: []byte("\x00garbage")}, KindBadResponse},
		"slow":         {emulator.HangBeforeHeaders(), KindTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, c := bubble(t)
				cred := Credential{Cookies: "refresh_token=r", Token: site.IssueToken(15 * time.Minute)}
				site.Refuse(tt.reply, emulator.EndpointRefresh)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := c.Renew(ctx, cred)
				if kindOf(err) != tt.want || got.Fingerprint() != cred.Fingerprint() {
					t.Errorf("got %v", err)
				}
				mustTalk(t, c, cred) // the other host is as it was
				site.Accept()
				if _, err := c.Renew(t.Context(), cred); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

func kindOf(err error) Kind {
	if err == nil {
		return 255
	}
	return asError(err).Kind
}
