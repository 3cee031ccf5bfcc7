package caddyqwen

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

const (
	// renewalAheadTime is how long before its end an access token is renewed at the
	// latest: the server's clock may be wrong by as much. Tokens that live for less
	// than three times as long are renewed after two thirds of their life.
	renewalAheadTime = 5 * time.Minute
	// renewalLateTime is how long before its end nobody uses a token any more while
	// a new one may be had.
	renewalLateTime = 30 * time.Second
	// renewalTime bounds one renewal, or one probe.
	renewalTime = 15 * time.Second
	// renewalMinPause and renewalMaxPause are the first and the longest pause after
	// a renewal that has failed on the way. Each further failure doubles it.
	renewalMinPause = 5 * time.Second
	renewalMaxPause = 5 * time.Minute
	// youngToken is for how long after it was made an access token cannot have ended.
	youngToken = 10 * time.Second
)

// dueRenewal is how much a renewal of the access token is due.
type dueRenewal uint8

const (
	renewalNone  dueRenewal = iota
	renewalAhead            // the token still serves meanwhile
	renewalLate             // the token is not to be used any more
)

// canRenew reports whether a new access token can be had. It is called with the
// lock.
func (k *keeper) canRenew() bool { return k.cred.Renewable() }

// renewal reports what is due at a time. It is called with the lock.
func (k *keeper) renewal(now time.Time) dueRenewal {
	ahead, late, ok := k.renewalTimes()
	switch {
	case !ok || now.Before(k.nextRenew) || now.Before(ahead):
		return renewalNone
	case now.Before(late):
		return renewalAhead
	}
	return renewalLate
}

// renewalTimes returns from when on the token is to be renewed, and from when on it
// is not to be used. It is called with the lock.
func (k *keeper) renewalTimes() (ahead, late time.Time, ok bool) {
	if !k.canRenew() || k.ends.IsZero() && k.cred.AccessToken() != "" {
		return ahead, late, false // only the site's answer tells
	}
	lead := renewalAheadTime
	if life := k.cred.Lifetime(); life > 0 {
		lead = min(lead, life/3)
	}
	return k.ends.Add(-lead), k.ends.Add(-min(renewalLateTime, lead/2)), true
}

// untilRenewal returns the time until a renewal may be tried again that has failed
// on the way, or 0 if another one is not to be expected to succeed. It is called
// with the lock.
func (k *keeper) untilRenewal(now time.Time) time.Duration {
	if k.denied {
		return 0
	}
	return max(k.nextRenew.Sub(now), 0)
}

// renewed returns a credential that is newer than one that the site has refused or
// that is about to end, if there is one or can be had.
func (k *keeper) renewed(ctx context.Context, a *account, old qwen.Credential) (qwen.Credential, bool) {
	k.mu.Lock()
	k.look(a.logger)
	cred, possible := k.cred, k.canRenew() && !time.Now().Before(k.nextRenew)
	k.mu.Unlock()
	if cred.AccessToken() != old.AccessToken() {
		return cred, true
	}
	if !possible {
		return old, false
	}
	select {
	case <-k.startRenewal(ctx, a):
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cred, k.cred.AccessToken() != old.AccessToken()
}

// failedLate is failed for what the site tells of within an answer, when the call
// cannot be made again. A token that is refused there may have ended, and is renewed
// for the calls to come.
func (a *account) failedLate(ctx context.Context, cred qwen.Credential, model string, err error) {
	if isKind(err, qwen.KindCredential) && a.mayHaveEnded(cred, time.Now()) {
		a.startRenewal(ctx, a)
		return
	}
	a.failed(a, cred, model, err)
}

// mayHaveEnded reports whether a credential is the present one, and another token may
// be a remedy. One that has just been made was no remedy.
func (k *keeper) mayHaveEnded(cred qwen.Credential, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return cred.AccessToken() == k.cred.AccessToken() && k.canRenew() && !now.Before(k.nextRenew) && now.Sub(k.made) > youngToken
}

// startRenewal begins a renewal or joins the one that runs. Something comes from the
// channel when it is over, which nobody needs to receive. However many wait, the site
// is asked once.
func (k *keeper) startRenewal(ctx context.Context, a *account) <-chan singleflight.Result {
	return k.flight.DoChan("", func() (any, error) {
		err := guard(a.logger, "an access token was renewed", func() error {
			k.renew(context.WithoutCancel(ctx), a)
			return nil
		})
		if err != nil {
			k.mu.Lock()
			k.renewalFailed(a, err, time.Now())
			k.mu.Unlock()
		}
		k.flush(a.logger) // at once: the refresh token may be another one now, too
		return nil, nil
	})
}

// renew gets a new access token.
func (k *keeper) renew(ctx context.Context, a *account) {
	k.mu.Lock()
	before := k.cred.AccessToken()
	k.restore(a.logger)
	cred := k.cred
	due, supplies := !time.Now().Before(k.nextRenew) && cred.AccessToken() == before, k.supplies
	k.mu.Unlock()
	if !due {
		return // another renewal has just failed, or another process has renewed it
	}
	ctx, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	var host string
	var set []*http.Cookie // not for a credential that is supplied meanwhile
	client := *a.client
	client.OnSetCookie = func(_ context.Context, from string, cookies []*http.Cookie) { host, set = from, cookies }
	next, err := client.Renew(ctx, cred)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.supplies != supplies {
		return // the owner has supplied another one meanwhile
	}
	now := time.Now()
	k.takeCookies(host, set, now)
	if err != nil {
		k.renewalFailed(a, err, now)
		return
	}
	remedy := k.failures > 0 || !now.Before(k.ends) // otherwise the site has refused what was good
	k.setFresh(k.cred.WithTokensOf(next), now)      // other answers may have set cookies meanwhile
	k.failures, k.denied, k.nextRenew = 0, false, time.Time{}
	a.logger.Debug("the access token has been renewed", zap.Time("expires", k.ends))
	if k.health.State == accountExpired && remedy {
		k.health.accepted(false, now)
		k.changed(a.logger, now)
	}
}

// renewalFailed sets the pause until the next renewal. One that was refused needs the
// owner, and asking again and again would only annoy the site.
func (k *keeper) renewalFailed(a *account, err error, now time.Time) {
	pause := min(renewalMinPause<<min(k.failures, 10), renewalMaxPause)
	if left := k.ends.Sub(now); left > 0 { // one more try, and another, before the end
		pause = min(pause, max(left/2, renewalMinPause))
	}
	if k.denied = aboutAccount(err); k.denied {
		pause = restAfter(k.failures)
	}
	if k.failures == 0 {
		a.logger.Warn("the access token could not be renewed", siteFields(err)...)
	}
	k.failures++
	k.nextRenew = now.Add(pause)
}
