package caddyqwen

import (
	"errors"
	"maps"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// accountState is what the site makes of an account.
type accountState string

// The states of an account.
const (
	// accountUnknown: nothing is known yet, or there is no credential.
	accountUnknown accountState = "unknown"
	// accountOK: the site accepts the account.
	accountOK accountState = "ok"
	// accountExpiring: so it does, but the access token ends soon and cannot be
	// renewed.
	accountExpiring accountState = "expiring"
	// accountExpired: the site refuses the credential, and it cannot be renewed.
	accountExpired accountState = "expired"
	// accountVerification: the site asks for human verification.
	accountVerification accountState = "verification"
	// accountQuota: a limit of the account is used up, at least for one model.
	accountQuota accountState = "quota"
)

// accountStates are all states, in the order of their declaration.
var accountStates = []accountState{accountUnknown, accountOK, accountExpiring, accountExpired, accountVerification, accountQuota}

const (
	// firstRest and longestRest are for how long the site is not asked for anything
	// after it has refused the account. Each refusal in a row doubles the rest.
	firstRest   = 10 * time.Minute
	longestRest = time.Hour
	// trialTime is how long nobody else may try after one request has been let
	// through to an account that has rested.
	trialTime = 30 * time.Second
	// unknownQuota is for how long a limit counts as used up if the site does not
	// say.
	unknownQuota = time.Hour
	// longestQuota is for how long limits are used up at most.
	longestQuota = 24 * time.Hour
	// firstAbsence and longestAbsence are for how long other accounts are taken
	// first after the site could not be reached with one.
	firstAbsence   = 30 * time.Second
	longestAbsence = 10 * time.Minute
)

// health is what is known of an account. It survives reloads and restarts. The
// zero value knows nothing.
type health struct {
	State accountState `json:"state,omitempty"`
	// Until is the end of the rest, if the state is one of rest.
	Until time.Time `json:"until,omitzero"`
	// Rests is the number of rests in a row.
	Rests int `json:"rests,omitempty"`
	begun int // rests; tells those who were admitted before the last one
	// Quotas are the ends of limits that are used up, by the model.
	Quotas map[string]time.Time `json:"quotas,omitempty"`
	// LastError is the code of the last failure, and FailedAt its time.
	LastError string    `json:"last_error,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
	// Checked is when the site accepted the account last.
	Checked time.Time `json:"checked,omitzero"`
}

// resting reports whether the site is not to be asked for anything.
func (h *health) resting() bool {
	return h.State == accountExpired || h.State == accountVerification
}

// state returns the state at a time.
func (h *health) state(now time.Time) accountState {
	switch {
	case !h.resting() && h.quotaUntil(now).After(now):
		return accountQuota
	case h.State == "":
		return accountUnknown
	}
	return h.State
}

// quotaUntil returns the end of the limit that ends last, or zero.
func (h *health) quotaUntil(now time.Time) (until time.Time) {
	for _, end := range h.Quotas {
		if end.After(now) && end.After(until) {
			until = end
		}
	}
	return until
}

// until returns the end of the present state as far as it is known, or zero.
func (h *health) until(now time.Time) time.Time {
	if h.resting() {
		return h.Until
	}
	return h.quotaUntil(now)
}

// admit returns why no request with a model may go to the site, or nil. After a
// rest, one request may, and others when it has not changed anything.
func (h *health) admit(model string, now time.Time) error {
	if err := h.refusal(model, now); err != nil {
		return err
	}
	if h.resting() {
		h.Until = now.Add(trialTime)
	}
	return nil
}

// refusal returns why nothing that concerns a model, or none, may be asked of the
// site, or nil.
func (h *health) refusal(model string, now time.Time) error {
	if wait := h.Until.Sub(now); h.resting() && wait > 0 {
		return &qwen.Error{Kind: h.restKind(), RetryAfter: wait}
	}
	if end := h.Quotas[model]; end.After(now) {
		return &qwen.Error{Kind: qwen.KindQuota, RetryAfter: end.Sub(now)}
	}
	return nil
}

// restKind is why the account rests.
func (h *health) restKind() qwen.Kind {
	if h.State == accountVerification {
		return qwen.KindVerification
	}
	return qwen.KindCredential
}

// accepted takes note that the site has accepted the account. Only an answer of a
// model proves that the next one will be, too. It reports whether this is news.
func (h *health) accepted(answer bool, now time.Time) bool {
	news := h.State != accountOK
	h.State, h.Until, h.Checked = accountOK, time.Time{}, now
	if answer {
		h.Rests = 0
	}
	return news
}

// failed takes note of a failure, and reports whether it changes the state. The
// pause is that until the credential may be renewed, or 0 if it cannot be.
func (h *health) failed(e *qwen.Error, model string, pause time.Duration, now time.Time) bool {
	before, until := h.state(now), h.quotaUntil(now)
	switch {
	case e.Kind == qwen.KindVerification:
		h.rest(accountVerification, now)
	case e.Kind == qwen.KindCredential && pause > 0:
		h.begin(accountExpired, now.Add(pause)) // which no later rest is longer for
	case e.Kind == qwen.KindCredential:
		h.rest(accountExpired, now)
	case e.Kind == qwen.KindQuota:
		h.useUp(model, e.RetryAfter, now)
	default:
		return false
	}
	h.LastError, h.FailedAt = siteProblems[e.Kind].Code, now
	return h.state(now) != before || !h.quotaUntil(now).Equal(until)
}

// rest begins a rest, or a longer one. Requests that were on their way when it
// began, and fail like the one that began it, are no reason for that.
func (h *health) rest(state accountState, now time.Time) {
	if h.State == state && h.Until.Sub(now) > trialTime {
		return
	}
	h.begin(state, now.Add(restAfter(h.Rests)))
	h.Rests++
}

// begin begins a rest that ends at a time.
func (h *health) begin(state accountState, until time.Time) {
	h.State, h.Until = state, until
	h.begun++
}

// restAfter returns the length of a rest after a number of rests.
func restAfter(rests int) time.Duration {
	return min(firstRest<<min(rests, 10), longestRest)
}

// useUp takes note that a limit is used up. Those that have ended are forgotten.
func (h *health) useUp(model string, wait time.Duration, now time.Time) {
	if wait <= 0 {
		wait = unknownQuota
	}
	quotas := map[string]time.Time{model: now.Add(wait)}
	for name, end := range h.Quotas {
		if name != model && end.After(now) {
			quotas[name] = end
		}
	}
	h.Quotas = quotas
}

// newest is when something has happened of which the health tells, or zero.
func (h *health) newest() time.Time {
	if h.Checked.After(h.FailedAt) {
		return h.Checked
	}
	return h.FailedAt
}

// plausible returns the health without what cannot be. The clock may have been wrong
// when it was saved.
func (h *health) plausible(now time.Time) health {
	p := h.clone()
	p.Until = earlier(p.Until, now.Add(longestRest))
	p.Checked, p.FailedAt = earlier(p.Checked, now), earlier(p.FailedAt, now)
	p.Rests = max(p.Rests, 0)
	for model, end := range p.Quotas {
		p.Quotas[model] = earlier(end, now.Add(longestQuota))
	}
	return p
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// clone returns a copy that shares nothing.
func (h *health) clone() health {
	c := *h
	c.Quotas = maps.Clone(h.Quotas)
	return c
}

// siteError returns the failure of a call to the site, or nil.
func siteError(err error) *qwen.Error {
	var e *qwen.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
