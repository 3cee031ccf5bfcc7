package caddyqwen

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// In the middle of the day the site asks for human verification. Nothing reaches it
// for ten minutes, then one request does, and then all is well again.
func TestBreakerVerification(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"P08 page": emulator.ChallengeHTML(405), "P09 JSON": emulator.ChallengeJSON(),
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
				s.every(30*time.Second, 3*time.Hour-5*time.Minute, s.mustChat)
				s.site.Refuse(reply)
				wantVerification.check(t, s.chat(""))
				s.mustState(accountVerification)
				s.mustLog("the site asks for human verification: open the site", 1)
				asked, probes, renewals := s.asked(), s.site.Probes(), s.site.Refreshes()
				s.every(30*time.Second, firstRest-30*time.Second, func() { s.mustFail("upstream_verification_required") })
				if s.asked() != asked || s.site.Probes() != probes || s.site.Refreshes() != renewals {
					t.Error("P41 something has reached the site in the pause")
				}
				s.site.Accept()
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if n := s.site.Probes() - probes; n != 1 {
					t.Errorf("P41 %d probes after the pause", n)
				}
				s.mustState(accountOK)
				s.every(30*time.Second, time.Hour, s.mustChat)
			})
		})
	}
}

// The site asks for verification just when the token is being renewed.
func TestBreakerDuringRenewal(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		gate := make(chan struct{})
		s.site.Reply(emulator.ChallengeJSON().After(gate))
		time.Sleep(10*time.Minute - time.Second)
		answer := make(chan reply)
		go func() { answer <- s.chat("") }()
		time.Sleep(2 * time.Second)
		if n := s.site.Refreshes(); n != 1 {
			t.Fatalf("%d renewals", n)
		}
		close(gate)
		wantVerification.check(t, <-answer)
		s.mustState(accountVerification)
	})
}

// P41: the waiting time is told, and as long as it is over a minute, that it makes
// no sense to try again.
func TestBreakerAnswers(t *testing.T) {
	simulate(t, issuedOnly, nil, func(s *simulation) {
		s.site.Refuse(emulator.ChallengeJSON())
		s.chat("")
		for _, tt := range []struct {
			wait  time.Duration
			retry int
		}{{0, 600}, {500 * time.Millisecond, 600}, {8 * time.Minute, 120}, {119 * time.Second, 1}} {
			time.Sleep(tt.wait)
			want := wantVerification
			want.retry = tt.retry
			want.check(t, s.mustFail("upstream_verification_required"))
		}
	})
}

// While it goes on, one request in a pause that becomes longer reaches the site.
func TestBreakerGoesOn(t *testing.T) {
	simulate(t, issuedOnly, nil, func(s *simulation) {
		s.site.Refuse(emulator.ChallengeJSON())
		var all sync.WaitGroup
		for range 4 { // as many as the account has places
			all.Go(func() { s.chat("") })
		}
		all.Wait()
		if n := s.h.accounts[0].health.Rests; n != 1 {
			t.Errorf("%d rests after requests that failed together", n)
		}
		asked, probes := s.asked(), s.site.Probes()
		s.every(7*time.Second, 24*time.Hour, func() { s.chat("") })
		if n := s.asked() - asked + s.site.Probes() - probes; n < 20 || n > 60 {
			t.Errorf("the site was asked %d times in a day", n)
		}
	})
}

// One request of many is let through after the pause, and the others are when it has
// been answered.
func TestBreakerTrial(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.site.Refuse(emulator.ChallengeJSON(), emulator.EndpointNewChat, emulator.EndpointAuths)
		s.chat("")
		gate := make(chan struct{})
		s.site.Hold(gate, emulator.EndpointNewChat)
		asked := s.asked()
		time.Sleep(firstRest - time.Second)
		s.site.Refuse(emulator.Status(502), emulator.EndpointAuths) // the probe tells nothing
		time.Sleep(time.Second)
		synctest.Wait()
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := make(map[int]int)
		for range 100 {
			all.Go(func() {
				r := s.chat("")
				mu.Lock()
				codes[r.status]++
				mu.Unlock()
			})
		}
		synctest.Wait()
		if n := s.asked() - asked; n != 1 || codes[503]+codes[429] != 99 {
			t.Errorf("%d requests have reached the site, %v", n, codes)
		}
		s.site.Accept()
		close(gate)
		all.Wait()
		if codes[200] != 1 {
			t.Errorf("%v", codes)
		}
		s.mustState(accountOK)
		s.mustChat()
	})
}

// P11: a limit goes for one model, until its time.
func TestBreakerQuota(t *testing.T) {
	simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
		s.mustChat()
		s.site.Reply(emulator.RateLimited(4))
		wantQuota(4).check(t, s.chat(""))
		s.mustState(accountQuota)
		asked, hours := s.asked(), 4
		s.every(time.Hour, 4*time.Hour, func() {
			wantQuota(hours).check(t, s.mustFail("upstream_quota_exceeded"))
			hours--
		})
		if n := s.asked() - asked; n != 0 {
			t.Errorf("%d requests have reached the site", n)
		}
		s.mustChat()
		s.mustState(accountOK)

		s.site.Reply(emulator.RateLimited(4))
		wantQuota(4).check(t, s.chat(""))
		s.every(10*time.Minute, 3*time.Hour, func() {
			if r := s.chat("qwen3.8-max"); r.status != http.StatusOK {
				t.Fatalf("another model: status %d: %s", r.status, r.body)
			}
		})
		s.mustState(accountQuota)
		if r := s.h.accountReports()[0]; r.LastError != "upstream_quota_exceeded" || time.Until(r.Until) != time.Hour {
			t.Errorf("%+v", r)
		}
	})
}

// What is known survives a restart, and nothing is asked for again.
func TestBreakerOverRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		reply emulator.Reply
		code  string
		state accountState
	}{
		"verification": {emulator.ChallengeJSON(), "upstream_verification_required", accountVerification},
		"quota":        {emulator.RateLimited(4), "upstream_quota_exceeded", accountQuota},
		"expired":      {emulator.Status(http.StatusForbidden), "upstream_credential_expired", accountExpired},
	} {
		t.Run(name, func(t *testing.T) {
			var accounts []*Account
			simulate(t, issuedOnly, func(site *emulator.Site) []*Account {
				accounts = renewable(15 * time.Minute)(site)
				return accounts
			}, func(s *simulation) {
				s.site.SetCookies("acw_tc=merged")
				s.site.Reply(tt.reply)
				s.chat("")
				time.Sleep(time.Minute)
				for range 3 {
					s.restart(accounts)
					asked, probes := s.asked(), s.site.Probes()
					s.mustState(tt.state)
					s.mustFail(tt.code)
					if s.asked() != asked || tt.state != accountQuota && s.site.Probes() != probes {
						t.Error("P41 something has reached the site after a restart")
					}
				}
				if cookies := s.h.accounts[0].credential().Cookies; !strings.Contains(cookies, "acw_tc=merged") {
					t.Errorf("the cookies are %s", cookies)
				}
				time.Sleep(4 * time.Hour)
				s.mustChat()
			})
		})
	}
}

// X13: after a restart, the token that was renewed last is used, whatever the clock
// of the site says.
func TestRenewedTokenOverRestart(t *testing.T) {
	for name, skew := range map[string]time.Duration{"same": 0, "X13 ahead": 24 * time.Hour, "X13 behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var accounts []*Account
			simulate(t, issuedOnly, func(site *emulator.Site) []*Account {
				site.SkewClock(skew)
				site.RotateRefreshTokens(true)
				accounts = renewable(15 * time.Minute)(site)
				return accounts
			}, func(s *simulation) {
				s.every(time.Minute, 42*time.Minute, s.mustChat)
				cred, renewals := s.h.accounts[0].credential(), s.site.Refreshes()
				s.restart(accounts)
				s.mustChat()
				if got := s.h.accounts[0].credential(); got.Fingerprint() != cred.Fingerprint() || s.site.Refreshes() != renewals {
					t.Errorf("another credential, and %d renewals", s.site.Refreshes()-renewals)
				}
				s.every(time.Minute, 50*time.Minute, s.mustChat)
				if n := s.site.Refreshes() - renewals; n > 6 {
					t.Errorf("X13 %d renewals", n)
				}
			})
		})
	}
}

// X15: the owner is warned a week, a day and an hour before the end of a token that
// cannot be renewed. A stream that runs at that time goes on.
func TestTokenEnds(t *testing.T) {
	simulate(t, issuedOnly, func(site *emulator.Site) []*Account {
		site.Refuse(emulator.LoginPage(), emulator.EndpointAuths) // and it hands out no fresh one
		return lasting(8 * 24 * time.Hour)(site)
	}, func(s *simulation) {
		s.mustState(accountUnknown)
		s.mustChat()
		s.mustState(accountOK)
		for i, left := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour} {
			time.Sleep(time.Until(s.h.accountReports()[0].Expires.Add(-left)) - time.Minute)
			s.mustLog("ends soon and cannot be renewed", i)
			time.Sleep(2 * probeInterval)
			s.mustLog("ends soon and cannot be renewed", i+1)
			s.mustState(accountExpiring)
		}
		end := s.h.accountReports()[0].Expires
		time.Sleep(time.Until(end) - time.Second)
		s.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one"), emulator.Pause(time.Minute), emulator.Answer("two"), emulator.Finish()))
		if r := s.chat(""); r.status != http.StatusOK || !strings.Contains(r.body, "onetwo") {
			t.Errorf("a running answer: status %d: %s", r.status, r.body)
		}
		s.site.Accept()
		if r := s.chat(""); r.code() != "upstream_credential_expired" {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	})
}

// A token that cannot be renewed is replaced by the one that comes with the record
// of the account, but not before it is of use.
func TestTokenFromRecord(t *testing.T) {
	if !long {
		t.Skip("the probes of three weeks take long; set CADDY_QWEN_LONG=1")
	}
	simulate(t, issuedOnly, lasting(16*24*time.Hour), func(s *simulation) {
		s.site.SetTokenLife(16 * 24 * time.Hour)
		first := s.h.accounts[0].credential().AccessToken()
		s.every(24*time.Hour, 7*24*time.Hour, s.mustChat)
		if s.h.accounts[0].credential().AccessToken() != first {
			t.Error("it is replaced in the first half of its life")
		}
		s.every(24*time.Hour, 13*24*time.Hour, s.mustChat)
		if tokens := s.tokens(); len(tokens) != 3 {
			t.Errorf("%d tokens in 20 days", len(tokens))
		}
		s.mustLog("ends soon", 0)
	})
}

// The record of another account is none of ours.
func TestTokenFromRecordOfAnother(t *testing.T) {
	simulate(t, issuedOnly, lasting(time.Hour), func(s *simulation) {
		stranger := s.site.IssueTokenFor("stranger", 24*time.Hour)
		s.site.Refuse(emulator.Reply{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"id":"stranger","token":"` + stranger + `"}`)}, emulator.EndpointAuths)
		s.every(time.Minute, 59*time.Minute, s.mustChat)
		if tokens := s.tokens(); len(tokens) != 1 {
			t.Errorf("%d tokens", len(tokens))
		}
	})
}

// tokens returns the access tokens with which the site was asked.
func (s *simulation) tokens() (list []string) {
	for _, c := range s.site.Completions() {
		list = append(list, c.Header.Get("Authorization"))
	}
	return slices.Compact(list)
}

// Without anybody asking, a probe is made every ten minutes or so, however many
// handlers have the account.
func TestProbes(t *testing.T) {
	for name, handlers := range map[string]int{"one handler": 1, "three handlers": 3} {
		t.Run(name, func(t *testing.T) {
			simulate(t, issuedOnly, renewable(15*time.Minute), func(s *simulation) {
				accounts := s.h.Accounts
				for range handlers - 1 {
					cancel := s.cancel
					s.start(accounts)
					defer cancel()
				}
				time.Sleep(10 * time.Hour)
				if n := s.site.Probes(); n < 54 || n > 68 {
					t.Errorf("%d probes in ten hours", n)
				}
				if n := s.site.Refreshes(); n < 59 || n > 60 {
					t.Errorf("%d renewals in ten hours", n)
				}
				if s.asked() != 0 {
					t.Errorf("%d other requests", s.asked())
				}
			})
		})
	}
}
