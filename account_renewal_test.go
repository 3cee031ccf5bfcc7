package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// Tokens are renewed some time before their end, without any request.
func TestRenewalAheadOfTime(t *testing.T) {
	for _, tt := range []struct{ life, at time.Duration }{
		{15 * time.Minute, 10 * time.Minute},
		{24 * time.Hour, 24*time.Hour - 5*time.Minute},
		{time.Minute, 40 * time.Second},
		{6 * time.Minute, 4 * time.Minute},
	} {
		t.Run(fmt.Sprint(tt.life), func(t *testing.T) {
			simulate(t, issuedOnly, renewable(tt.life), func(s *simulation) {
				s.site.SetTokenLife(tt.life)
				time.Sleep(tt.at - time.Second)
				synctest.Wait()
				if n := s.site.Refreshes(); n != 0 {
					t.Fatalf("%d renewals before it is due", n)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if n := s.site.Refreshes(); n != 1 {
					t.Fatalf("%d renewals when it is due", n)
				}
				if end := s.h.accountReports()[0].Expires; !end.Equal(time.Now().Add(tt.life)) {
					t.Errorf("the new one ends at %v", end)
				}
				s.mustChat()
			})
		})
	}
}

// However many use an account, one renewal is under way, and those who need it wait.
func TestRenewalLate(t *testing.T) {
	for name, age := range map[string]time.Duration{"about to end": 15*time.Minute - 20*time.Second, "has ended": 16 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			simulate(t, issuedOnly, nil, func(s *simulation) {
				gate := make(chan struct{})
				s.site.Hold(gate, emulator.EndpointRefresh)
				old := "refresh_token=r; token=" + s.site.IssueToken(15*time.Minute)
				a := s.mustKeep(qwen.Credential{Cookies: old})
				time.Sleep(age)
				var all sync.WaitGroup
				for range 100 {
					all.Go(func() {
						cred, err := a.use(s.Context(), a)
						if err != nil || cred.Cookies == old {
							t.Errorf("not a new one, %v", err)
						}
					})
				}
				synctest.Wait()
				close(gate)
				all.Wait()
				if n := s.site.Refreshes(); n != 1 {
					t.Errorf("%d renewals", n)
				}
			})
		})
	}
}

// The site refuses a token that should be good. All of those who notice get the same
// new one.
func TestRenewalAfterRefusal(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.mustChat()
		s.site.Revoke(s.h.accounts[0].credential().AccessToken())
		s.site.SetTokenLife(15 * time.Minute)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if r := s.chat(""); r.status != http.StatusOK {
					t.Errorf("status %d: %s", r.status, r.body)
				}
			})
		}
		all.Wait()
		if n := s.site.Refreshes(); n != 1 {
			t.Errorf("%d renewals", n)
		}
		s.mustState(accountOK)
	})
}

// The auth host in trouble: the old token serves to its end, and after it everybody
// is refused at once until a renewal succeeds.
func TestRenewalInTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		reply emulator.Reply
		back  time.Duration // until it has been noticed that the trouble is over
	}{
		"down":      {emulator.Status(502), renewalMaxPause + renewalTime},
		"reset":     {emulator.ResetConnection(), renewalMaxPause + renewalTime},
		"hangs":     {emulator.HangBeforeHeaders(), renewalMaxPause + renewalTime},
		"garbage":   {emulator.Reply{Body: []byte("\x00garbage")}, renewalMaxPause + renewalTime},
		"a page":    {emulator.LoginPage(), renewalMaxPause + renewalTime},
		"refused":   {emulator.Unauthorized401(), longestRest},
		"challenge": {emulator.ChallengeJSON(), longestRest},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
				s.site.Refuse(tt.reply, emulator.EndpointRefresh)
				s.every(30*time.Second, 14*time.Minute+20*time.Second, s.mustChat)
				time.Sleep(time.Minute)
				s.every(30*time.Second, 20*time.Minute, func() {
					r := s.chat("")
					if r.code() != "upstream_credential_expired" || r.status != http.StatusServiceUnavailable || r.header.Get("X-Should-Retry") != "false" {
						t.Fatalf("status %d: %s", r.status, r.body)
					}
				})
				s.mustState(accountExpired)
				if n := s.site.Refreshes(); n > 25 {
					t.Errorf("%d renewals were tried", n)
				}
				s.mustLog("the access token could not be renewed", 1)

				s.site.Accept(emulator.EndpointRefresh)
				time.Sleep(tt.back)
				synctest.Wait()
				s.mustState(accountOK) // without any request
				s.every(30*time.Second, 30*time.Minute, s.mustChat)
			})
		})
	}
}

// A renewal that was refused needs the owner. It is asked for less and less often.
func TestRenewalRefusedAgain(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.site.RevokeRefresh("r")
		s.every(time.Minute, 24*time.Hour, func() { s.chat("") })
		if n := s.site.Refreshes(); n < 20 || n > 30 {
			t.Errorf("%d renewals were tried in a day", n)
		}
		if n := s.asked(); n > 15*2+60 {
			t.Errorf("the site was asked %d times", n)
		}
		s.mustState(accountExpired)
		s.mustLog("ends soon and cannot be renewed", 1)
		s.mustLog("the site does not accept the account's credential any more", 1)
	})
}

// P07: who is forbidden something is known to the site, so that no new token helps.
func TestRenewalForbidden(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.mustChat()
		s.site.Refuse(emulator.Status(http.StatusForbidden))
		s.mustFail("upstream_credential_expired")
		before := s.asked()
		if n := s.site.Refreshes(); n != 0 {
			t.Errorf("%d renewals", n)
		}
		s.every(10*time.Second, firstRest, func() { s.mustFail("upstream_credential_expired") })
		if n := s.asked() - before; n != 0 {
			t.Errorf("%d requests in the pause, in which the token was renewed ahead of time", n)
		}
	})
}

// The cookies that the site sets are sent back, and saved soon.
func TestRenewalCookies(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.site.SetCookies("acw_tc=canary-1; Max-Age=1800", "other=x; Domain=example.com")
		s.mustChat()
		time.Sleep(flushInterval)
		synctest.Wait()
		if text := s.mustStateFile(); !strings.Contains(text, "canary-1") || strings.Contains(text, "other") {
			t.Errorf("saved: %s", text)
		}
		s.mustChat()
		if last := s.site.Completions()[1]; !strings.Contains(last.Header.Get("Cookie"), "cna=a=b; ") || !strings.Contains(last.Header.Get("Cookie"), "; acw_tc=canary-1") {
			t.Errorf("sent: %s", last.Header.Get("Cookie"))
		}
	})
}

// A new token is saved before anything else can happen: the refresh token that
// bought it may not be good any more.
func TestRenewalIsSavedAtOnce(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.site.RotateRefreshTokens(true)
		time.Sleep(2 * time.Minute)
		s.site.Revoke(s.h.accounts[0].credential().AccessToken())
		s.mustChat()
		cred := s.h.accounts[0].credential()
		if text := s.mustStateFile(); !strings.Contains(text, cred.AccessToken()) || strings.Contains(text, "refresh_token=r;") {
			t.Errorf("not saved: %s", text)
		}
	})
}

// What another goroutine is about to save counts as saved only when it is.
func TestFlushWaitsForOther(t *testing.T) {
	k := new(keeper)
	k.saving.Lock() // as who has begun to write all that there is
	done := make(chan bool)
	go func() {
		k.flush(zap.NewNop())
		close(done)
	}()
	select {
	case <-done:
		t.Error("the renewal goes on before the token is saved")
	case <-time.After(50 * time.Millisecond):
	}
	k.saving.Unlock()
	<-done
}
