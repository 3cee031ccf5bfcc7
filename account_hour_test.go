package caddyqwen

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// An hour with a chat every half minute, with nothing but what the owner has
// supplied in the beginning.
func TestAnHourOfChats(t *testing.T) {
	for name, tt := range map[string]struct {
		life    time.Duration
		prepare func(s *simulation)
		most    int // renewals
	}{
		"15 minutes":                {15 * time.Minute, nil, 6},
		"60 seconds":                {time.Minute, nil, 92},
		"the refresh token changes": {15 * time.Minute, func(s *simulation) { s.site.RotateRefreshTokens(true) }, 6},
		"60 seconds, and the refresh token changes": {time.Minute, func(s *simulation) { s.site.RotateRefreshTokens(true) }, 92},
		"renewals take 10 seconds":                  {15 * time.Minute, slowRenewals(10 * time.Second), 7},
		"60 seconds, and renewals take 10":          {time.Minute, slowRenewals(10 * time.Second), 92},
		"the auth host is down for 4 minutes, again and again": {15 * time.Minute, func(s *simulation) {
			s.again(10*time.Minute, func() {
				s.site.Refuse(emulator.Status(http.StatusBadGateway), emulator.EndpointRefresh)
				time.Sleep(4 * time.Minute)
				s.site.Accept(emulator.EndpointRefresh)
			})
		}, 40},
		"the auth host hangs for 4 minutes, again and again": {15 * time.Minute, func(s *simulation) {
			s.again(10*time.Minute, func() {
				s.site.Refuse(emulator.HangBeforeHeaders(), emulator.EndpointRefresh)
				time.Sleep(4 * time.Minute)
				s.site.Accept(emulator.EndpointRefresh)
			})
		}, 40},
		"X13 the site's clock is a day ahead":  {15 * time.Minute, func(s *simulation) { s.site.SkewClock(24 * time.Hour) }, 7},
		"X13 the site's clock is a day behind": {15 * time.Minute, func(s *simulation) { s.site.SkewClock(-24 * time.Hour) }, 7},
		"X13 the site's clock jumps back and forth": {15 * time.Minute, func(s *simulation) {
			ahead := false
			s.again(7*time.Minute, func() {
				if ahead = !ahead; ahead {
					s.site.SkewClock(24 * time.Hour)
				} else {
					s.site.SkewClock(-24 * time.Hour)
				}
			})
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, issuedOnly, renewable(tt.life), func(s *simulation) {
				s.site.SetTokenLife(tt.life)
				if tt.prepare != nil {
					tt.prepare(s)
				}
				s.every(30*time.Second, time.Hour, s.mustChat)
				if n := s.site.Refreshes(); n > tt.most || n < 3 {
					t.Errorf("%d renewals, want at most %d", n, tt.most)
				}
				if n := len(s.site.Completions()); n != 120 {
					t.Errorf("%d prompts", n)
				}
				if n := s.site.Probes(); n > 10 {
					t.Errorf("%d probes", n)
				}
				s.mustState(accountOK)
			})
		})
	}
}

// slowRenewals makes each renewal take so long.
func slowRenewals(d time.Duration) func(s *simulation) {
	return func(s *simulation) {
		gate := make(chan struct{})
		s.site.Hold(gate, emulator.EndpointRefresh)
		s.background(func() {
			before := s.site.Refreshes()
			for s.pause(100 * time.Millisecond) {
				if s.site.Refreshes() > before {
					before++
					if s.pause(d) {
						gate <- struct{}{}
					}
				}
			}
		})
	}
}

// background runs f until the end of the test, which makes pause return false.
func (s *simulation) background(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	s.Cleanup(func() { <-done })
}

// pause waits, unless the test has ended.
func (s *simulation) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.Context().Done():
		return false
	}
}

// again calls f again and again in the background.
func (s *simulation) again(pause time.Duration, f func()) {
	s.background(func() {
		for s.pause(pause) {
			f()
		}
	})
}
