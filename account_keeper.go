package caddyqwen

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// keepers holds the accounts in use, so that a reload changes nothing of what is
// known of them, and handlers with the same account share it.
var keepers = caddy.NewUsagePool()

// accountSource is where the owner has put a credential.
type accountSource struct {
	baseURL string
	given   qwen.Credential // without a path
	path    string          // of an account file
	// optional tells that there may be no file yet.
	optional bool
}

// keeperKey names a keeper: all that decides what it is about.
type keeperKey [sha256.Size]byte

func (s accountSource) key() keeperKey {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %x", s.baseURL, s.path, s.given.Fingerprint()))
}

// keeper keeps the credential of an account usable, and what is known of the
// account. All methods are safe for concurrent use.
type keeper struct {
	source accountSource
	label  string

	flight singleflight.Group // renewals
	wake   chan struct{}      // has a watch look after the account, of which there may be several
	saving sync.Mutex         // held while the state file is written

	mu       sync.Mutex
	supplied qwen.Credential // as the owner has put it
	supplies int             // how often that was
	cred     qwen.Credential // the same, with what has been renewed since
	ends     time.Time       // of the access token by this server's clock, or zero
	made     time.Time       // when the site has made the access token, or zero
	file     fs.FileInfo     // of the account file that was read
	openTold bool            // that others may read it was logged
	fileErr  string          // why it could not be read when it was tried last
	restored bool            // the state file was looked for
	saved    fs.FileInfo     // of the state file as it was last read or written
	saveBy   time.Time       // the state file is behind, and to be written by then; or zero
	saveErr  bool            // it could not be written when it was tried last

	health    health
	absences  int       // times in a row that the site could not be reached
	away      time.Time // other accounts are taken first until then
	nextProbe time.Time
	probing   bool      // a watch makes a probe
	nextRenew time.Time // no renewal is tried before
	failures  int       // renewals in a row that have failed
	denied    bool      // the site has refused the last of them
	warned    time.Duration
	told      int // times that the owner was told of the state
}

// acquireKeeper returns the keeper of a source. It reads an account file that must
// be there. Who got it must call release.
func acquireKeeper(label string, s accountSource) (*keeper, error) {
	value, _, err := keepers.LoadOrNew(s.key(), func() (caddy.Destructor, error) {
		k := &keeper{source: s, label: label, wake: make(chan struct{}, 1)}
		k.supply(s.given)
		if s.path == "" {
			return k, nil
		}
		return k, k.readFile()
	})
	if err != nil {
		return nil, err
	}
	return value.(*keeper), nil
}

func (k *keeper) release() error {
	_, err := keepers.Delete(k.source.key())
	return err
}

// Destruct saves what is not saved yet.
func (k *keeper) Destruct() error {
	select {
	case <-k.flight.DoChan("", func() (any, error) { return nil, nil }): // a renewal that runs
	case <-time.After(stopTime):
	}
	if !k.unsaved() {
		return nil
	}
	err := k.save(zap.NewNop())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.saveErr {
		return nil // the owner was told
	}
	return err
}

// setCredential sets the present credential. It is called with the lock.
func (k *keeper) setCredential(cred qwen.Credential, ends time.Time) { k.cred, k.ends = cred, ends }

// setFresh sets a credential whose access token the site has just made. Its end is
// told by its life, so that it does not matter whether this server's clock is right.
// It is called with the lock.
func (k *keeper) setFresh(cred qwen.Credential, now time.Time) {
	ends := cred.Expires()
	if life := cred.Lifetime(); life > 0 {
		ends = now.Add(life)
	} else if !ends.After(now) {
		ends = time.Time{} // one of the clocks is wrong, and only the site's answers tell
	}
	k.setCredential(cred, ends)
	k.made, k.warned = now, 0
	k.dirty(now)
}

// id returns the digest by which the account is known in the records.
func (k *keeper) id() session.Digest {
	k.mu.Lock()
	defer k.mu.Unlock()
	return session.Of("account", k.source.baseURL, k.supplied.Identity())
}

// missing reports whether there is no credential.
func (k *keeper) missing(logger *zap.Logger) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.look(logger)
	return k.cred.Empty()
}

// ready reports whether the credential was accepted, and the site reached, of late,
// and otherwise when it may be worth another try.
func (k *keeper) ready(now time.Time) (ok bool, again time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.health.State == accountExpired {
		again = k.health.Until
	}
	if k.away.After(again) {
		again = k.away
	}
	return !again.After(now) && !k.cred.Empty(), again
}

// admit returns why no request with a model may go to the site, or nil. Who was
// admitted and has waited since asks stillAdmitted, with the ticket.
func (k *keeper) admit(logger *zap.Logger, model string) (ticket int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.look(logger)
	if k.cred.Empty() {
		return 0, errNoCredential
	}
	err = k.health.admit(model, time.Now())
	return k.health.begun, err
}

// stillAdmitted returns why a request that was admitted may not go to the site any
// more, or nil.
func (k *keeper) stillAdmitted(ticket int, model string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.health.begun == ticket {
		return nil // the rest, if there is one, is that after which it was admitted
	}
	return k.health.refusal(model, time.Now())
}

// refusal returns why nothing is to be asked of the site, or nil.
func (k *keeper) refusal(logger *zap.Logger) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.look(logger)
	return k.health.refusal("", time.Now())
}

// use returns the credential, renewed if need be.
func (k *keeper) use(ctx context.Context, a *account) (qwen.Credential, error) {
	k.mu.Lock()
	k.look(a.logger)
	cred, due := k.cred, k.renewal(time.Now())
	k.mu.Unlock()
	switch {
	case cred.Empty():
		return cred, errNoCredential
	case due == renewalAhead:
		k.startRenewal(ctx, a)
	case due == renewalLate:
		renewed, _ := k.renewed(ctx, a, cred) // if it fails, the site has the last word
		return renewed, ctx.Err()
	}
	return cred, nil
}

// failed takes note of what the outcome of a call with a credential says about the
// account.
func (k *keeper) failed(a *account, cred qwen.Credential, model string, err error) {
	e := siteError(err)
	if e == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replaced(cred, e) {
		return
	}
	now := time.Now()
	switch {
	case e.Kind == qwen.KindNetwork || e.Kind == qwen.KindTLS:
		if k.away.After(now) {
			return // it was on its way when the site went away
		}
		k.absences++
		k.away = now.Add(min(time.Duration(k.absences)*firstAbsence, longestAbsence))
	case e.Kind == qwen.KindCredential && model == "":
		if !k.health.resting() {
			k.nextProbe = now // one odd call is no reason to refuse all others
			k.stir()
		}
	default:
		k.refused(a, e, model, now)
	}
}

// replaced reports whether a failure is about a credential that is not in use any
// more. What the site has against an account, it has against a renewed token, too. It
// is called with the lock.
func (k *keeper) replaced(cred qwen.Credential, e *qwen.Error) bool {
	return cred.AccessToken() != k.cred.AccessToken() &&
		(e.Kind == qwen.KindCredential || cred.Identity() != k.cred.Identity())
}

// refused takes note that the site refuses the account. It is called with the lock.
func (k *keeper) refused(a *account, e *qwen.Error, model string, now time.Time) {
	pause := k.untilRenewal(now)
	if !renewalHelps(e) {
		pause = 0
	}
	if k.health.failed(e, model, pause, now) {
		k.tell(a.logger, now)
	}
	k.noted(now) // a rest may also have become longer
}

// stir has a watch look after the account now.
func (k *keeper) stir() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// accepted takes note that the site has accepted the account, at best by the answer
// of a model.
func (k *keeper) accepted(a *account, answer bool) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.absences, k.away = 0, time.Time{}
	k.nextProbe = now.Add(jitter(probeInterval))
	before := k.health.State
	if news := k.health.accepted(answer, now); news && before != "" {
		k.changed(a.logger, now)
	}
}

// changed tells the owner of a new state, and has it saved. It is called with the
// lock.
func (k *keeper) changed(logger *zap.Logger, now time.Time) {
	k.tell(logger, now)
	k.noted(now)
}

// noted has what is known saved, and the site left alone while the account rests.
// It is called with the lock.
func (k *keeper) noted(now time.Time) {
	if k.health.resting() {
		k.nextProbe = k.health.Until
	}
	k.dirty(now)
	k.stir()
}

// tell tells the owner of the state. It is called with the lock.
func (k *keeper) tell(logger *zap.Logger, now time.Time) {
	k.told++
	k.reportLocked(now).log(logger)
}

// setCookies takes up the cookies that the site has set.
func (k *keeper) setCookies(host string, set []*http.Cookie, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.takeCookies(host, set, now)
}

// takeCookies is setCookies for who has the lock.
func (k *keeper) takeCookies(host string, set []*http.Cookie, now time.Time) {
	next := k.cred.WithCookies(host, set, now)
	switch {
	case next.AccessToken() != k.cred.AccessToken():
		k.setFresh(next, now)
		k.stir()
	case next.Cookies != k.cred.Cookies:
		k.cred = next
		if k.saveBy.IsZero() {
			k.dirty(now.Add(flushInterval))
			k.stir() // who waits for longer
		}
	}
}

func (k *keeper) report(now time.Time) accountReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reportLocked(now)
}

func (k *keeper) reportLocked(now time.Time) accountReport {
	r := accountReport{
		State: k.health.state(now), Until: k.health.until(now),
		Expires: k.ends, Renewable: k.canRenew() && !k.denied, Unreachable: k.away.After(now),
		Checked: k.health.Checked, LastError: k.health.LastError, FailedAt: k.health.FailedAt,
	}
	if r.State == accountOK && !r.Renewable && !r.Expires.IsZero() && r.Expires.Sub(now) < expiringSoon {
		r.State = accountExpiring
	}
	if k.cred.Empty() {
		r.LastError = codeNoCredential
	}
	return r
}
