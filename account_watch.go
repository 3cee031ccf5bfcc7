package caddyqwen

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

const (
	// probeInterval is about how often the site is asked whether it accepts an
	// account that nobody uses.
	probeInterval = 10 * time.Minute
	// flushInterval is for how long new cookies may not be saved, and how often it is
	// tried to save what could not be.
	flushInterval = time.Minute
	// usualLife is that of access tokens which do not tell when they were issued.
	usualLife = 30 * 24 * time.Hour
	// expiringSoon is how long before its end a token that cannot be renewed begins
	// to count as expiring.
	expiringSoon = 7 * 24 * time.Hour
)

// expiryWarnings are the times before the end of a token that cannot be renewed at
// which the owner is warned.
var expiryWarnings = []time.Duration{time.Hour, 24 * time.Hour, expiringSoon}

// jitter returns d, up to a tenth more or less.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5)
}

// watch looks after the account until the context ends: its token is renewed ahead
// of time, and the site is asked from time to time whether it accepts it.
func (a *account) watch(ctx context.Context) {
	removeOldStates(time.Now())
	timer := time.NewTimer(a.begin(ctx))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			a.flush(a.logger)
			return
		case <-a.wake:
		case <-timer.C:
		}
		timer.Reset(a.attend(ctx))
	}
}

// begin attends to the account for the first time, and tells the owner how it is,
// unless what is found out has told that.
func (a *account) begin(ctx context.Context) time.Duration {
	k := a.keeper
	k.mu.Lock()
	before := k.told
	k.mu.Unlock()
	wait := a.attend(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told == before && ctx.Err() == nil {
		k.tell(a.logger, time.Now())
	}
	return wait
}

// attend does what is due, and returns the time until something is again.
func (a *account) attend(ctx context.Context) time.Duration {
	k := a.keeper
	k.mu.Lock()
	k.look(a.logger)
	now := time.Now()
	missing, due := k.cred.Empty(), k.renewal(now)
	probe := !missing && k.claimProbe(now)
	quiet := k.quietUntil().After(now)
	k.mu.Unlock()
	if missing {
		return flushInterval
	}
	if due != renewalNone && !quiet {
		select {
		case <-k.startRenewal(ctx, a):
		case <-ctx.Done():
		}
	}
	if probe {
		a.probeClaimed(ctx)
	}
	a.warn()
	if k.saveDue(time.Now()) {
		k.flush(a.logger)
	}
	return k.untilNext(time.Now())
}

// claimProbe reports whether a probe is due. Of several watches, one makes it. It is
// called with the lock.
func (k *keeper) claimProbe(now time.Time) bool {
	if k.probing || now.Before(k.nextProbe) {
		return false
	}
	k.probing = true
	return true
}

// probeClaimed makes a probe that was claimed.
func (a *account) probeClaimed(ctx context.Context) {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.probing = false
	}()
	_ = a.probe(ctx) // what it says is in the state
}

// quietUntil returns until when not even a renewal is worth asking for, unless it is
// needed: a site that asks for human verification is best left alone. It is called
// with the lock.
func (k *keeper) quietUntil() time.Time {
	if k.health.State == accountVerification {
		return k.health.Until
	}
	return time.Time{}
}

// probe asks the site whether it accepts the account, and for nothing else. An
// account that has expired may be renewed. It returns what is in the way of that.
func (a *account) probe(ctx context.Context) error {
	k, end := a.keeper, ctx
	ctx, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	cred := k.credential()
	found, err := a.client.Account(ctx, cred)
	if end.Err() != nil {
		return end.Err() // the next configuration asks again
	}
	if unclear(err, cred, time.Now()) {
		a.logger.Debug("the site's answer does not tell whether it accepts the account")
		k.probed(time.Now())
		return errUnclear
	}
	if renewalHelps(err) {
		if renewed, ok := k.renewed(ctx, a, cred); ok {
			cred = renewed
			found, err = a.client.Account(ctx, cred)
		}
	}
	switch {
	case err == nil:
		k.adopt(cred, found.Token)
		k.accepted(a, false)
	case aboutAccount(err):
		k.probeFailed(a, cred, siteError(err))
	default:
		a.logger.Debug("the account could not be checked", siteFields(err)...)
	}
	k.probed(time.Now())
	return err
}

// errUnclear says that the site's answer does not tell whether it accepts an account.
var errUnclear = errors.New("the answer does not tell whether the site accepts the account")

// unclear reports whether an answer to a probe may mean that the credential has
// expired, or only that the site has changed: a page in place of the record.
func unclear(err error, cred qwen.Credential, now time.Time) bool {
	e := siteError(err)
	page := e != nil && e.Kind == qwen.KindCredential && e.Code == "" && e.Status == http.StatusOK
	ends := cred.Expires()
	return page && (ends.IsZero() || ends.After(now))
}

// credential returns the present credential.
func (k *keeper) credential() qwen.Credential {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cred
}

// adopt takes up an access token that the site has handed out with the record of the
// account, if the present one cannot be renewed and ends earlier. It is of use only
// in the second half of the present one's life.
func (k *keeper) adopt(cred qwen.Credential, token string) {
	next, life := cred.WithToken(token), cred.Lifetime()
	if life == 0 {
		life = usualLife
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.canRenew() || k.ends.IsZero() || k.cred.AccessToken() != cred.AccessToken() ||
		!next.Expires().After(cred.Expires()) || next.Identity() != cred.Identity() || time.Until(k.ends) > life/2 {
		return
	}
	k.setFresh(next, time.Now())
}

// probeFailed takes note that the site refuses the account, unless its credential has
// been replaced meanwhile.
func (k *keeper) probeFailed(a *account, cred qwen.Credential, e *qwen.Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.replaced(cred, e) {
		k.refused(a, e, "", time.Now())
	}
}

// probed sets the time of the next probe, unless an outcome has, and has what is
// known now saved.
func (k *keeper) probed(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dirty(now)
	if !k.nextProbe.After(now) {
		k.nextProbe = now.Add(jitter(probeInterval))
	}
}

// warn warns the owner, once at each of the times before it, of the end of a token
// that cannot be renewed.
func (a *account) warn() {
	k := a.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ends.IsZero() || k.canRenew() && !k.denied || k.health.State == accountExpired {
		return
	}
	left := time.Until(k.ends)
	for _, before := range expiryWarnings {
		if left <= before && (k.warned == 0 || before < k.warned) {
			k.warned = before
			message := "the account's access token ends soon and cannot be renewed"
			if left <= 0 {
				message = "the account's access token has ended and cannot be renewed"
			}
			a.logger.Warn(message+": log in to the site in a browser again, and import the credential anew with `caddy qwen import`",
				zap.Time("expires", k.ends), zap.Duration("left", left.Round(time.Second)))
			return
		}
	}
}

// untilWarning returns the time until the next warning, if there is one. It is called
// with the lock.
func (k *keeper) untilWarning(now time.Time) (wait time.Duration, ok bool) {
	if k.ends.IsZero() || k.canRenew() && !k.denied {
		return 0, false
	}
	for _, before := range slices.Backward(expiryWarnings) {
		if wait := k.ends.Add(-before).Sub(now); wait > 0 {
			return wait, true
		}
	}
	return 0, false
}

// untilNext returns the time until something is due.
func (k *keeper) untilNext(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.nextProbe.Sub(now)
	if ahead, _, ok := k.renewalTimes(); ok {
		for _, not := range []time.Time{k.nextRenew, k.quietUntil()} {
			if ahead.Before(not) {
				ahead = not
			}
		}
		next = min(next, ahead.Sub(now))
	}
	if wait, ok := k.untilWarning(now); ok {
		next = min(next, wait)
	}
	if !k.saveBy.IsZero() {
		next = min(next, k.saveBy.Sub(now))
	}
	return max(next, time.Second)
}

// log tells the owner the state, and what to do.
func (r accountReport) log(logger *zap.Logger) {
	fields := []zap.Field{zap.String("state", string(r.State)), zap.Bool("renewable", r.Renewable)}
	if !r.Expires.IsZero() {
		fields = append(fields, zap.Time("expires", r.Expires))
	}
	if !r.Until.IsZero() {
		fields = append(fields, zap.Time("until", r.Until))
	}
	switch r.State {
	case accountExpired:
		if r.renewing(time.Now()) {
			logger.Warn("the account's access token has ended and could not be renewed yet; it is tried again", fields...)
			return
		}
		logger.Error("the site does not accept the account's credential any more: log in to the site in a browser, and import the credential anew with `caddy qwen import`", fields...)
	case accountVerification:
		logger.Error("the site asks for human verification: open the site in a browser, finish the check, wait some minutes, and end the rest with `caddy qwen accounts --clear`; if it goes on, import the credential anew with `caddy qwen import`; until then, requests are refused", fields...)
	case accountQuota:
		logger.Warn("the account has used up a limit on the site", fields...)
	default:
		if r.missing() {
			logger.Warn("there is no credential for the account: import one with `caddy qwen import`, or set QWEN_COOKIES", fields...)
			return
		}
		logger.Info("account", fields...)
	}
}
