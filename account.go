package caddyqwen

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// account is one of the owner's accounts as a handler uses it.
type account struct {
	*keeper
	label  string
	place  int // among the accounts of the handler
	client *qwen.Client
	logger *zap.Logger
}

// newAccount returns an account whose calls go through the client's transport.
func (h *Handler) newAccount(label string, k *keeper) *account {
	a := &account{keeper: k, label: label, place: len(h.accounts), logger: h.logger.With(zap.String("account", label))}
	client := *h.client
	client.OnSetCookie = func(_ context.Context, host string, set []*http.Cookie) { k.setCookies(host, set, time.Now()) }
	a.client = &client
	return a
}

// call calls the site with the account's credential, as a part of a request with a
// model or, if there is none, of something else. If the site refuses the credential,
// it is renewed, and the call is made once more. What the site says of the account is
// taken note of.
func (a *account) call(ctx context.Context, model string, f func(*qwen.Client, qwen.Credential) error) error {
	cred, err := a.use(ctx, a)
	if err != nil {
		return err
	}
	err = f(a.client, cred)
	if renewalHelps(err) {
		if renewed, ok := a.renewed(ctx, a, cred); ok {
			infoOf(ctx).retried(retryRenewed)
			cred, err = renewed, f(a.client, renewed)
		}
	}
	if ctx.Err() == nil { // otherwise the failure is that of who does not wait any more
		a.failed(a, cred, model, err)
	}
	return err
}

// ask is call for what is not part of a request that was admitted, and not worth
// disturbing an account that rests.
func (a *account) ask(ctx context.Context, f func(*qwen.Client, qwen.Credential) error) error {
	if err := a.refusal(a.logger); err != nil {
		return err
	}
	return a.call(ctx, "", f)
}

// able reports whether the site has refused neither the credential, nor been out of
// reach, of late.
func (a *account) able() bool {
	ok, _ := a.ready(time.Now())
	return ok
}

// chooseAccount returns the account for what may be done with any: the first that
// is able, or else the one that may be the soonest. Other accounts take the place of
// one that has expired or with which the site cannot be reached, but not of one that
// the site limits.
func (h *Handler) chooseAccount() *account {
	now := time.Now()
	var soonest *account
	var when time.Time
	for _, a := range h.accounts {
		ok, again := a.ready(now)
		if ok {
			return a
		}
		if soonest == nil || again.Before(when) && !a.missing(a.logger) {
			soonest, when = a, again
		}
	}
	return soonest
}

// otherAccount returns an account to take the place of another one after a
// failure, or nil.
func (h *Handler) otherAccount(than *account, cause error) *account {
	if upload := (*uploadError)(nil); errors.As(cause, &upload) {
		cause = upload.cause // which is the site's, or that of the storage
	}
	if !isKind(cause, qwen.KindCredential) && !isKind(cause, qwen.KindNetwork) {
		return nil
	}
	for _, a := range h.accounts {
		if a != than && a.able() {
			return a
		}
	}
	return nil
}

// accountOf returns the account with a digest, or nil.
func (h *Handler) accountOf(id session.Digest) *account {
	i := slices.IndexFunc(h.accounts, func(a *account) bool { return a.id() == id })
	if i < 0 {
		return nil
	}
	return h.accounts[i]
}

// hasCredential reports whether there is anything to log in to the site with.
func (h *Handler) hasCredential() bool {
	return slices.ContainsFunc(h.accounts, func(a *account) bool { return !a.missing(a.logger) })
}

// accountReport is what is told of an account. Nothing of it is secret.
type accountReport struct {
	Label string
	State accountState
	// Until is the end of the state, as far as it is known, or zero.
	Until time.Time
	// Expires is the end of the access token, or zero if it is not known.
	Expires time.Time
	// Unreachable tells that the site could not be reached with it of late.
	Unreachable bool
	// Renewable tells that a new access token can be had when this one ends, as far
	// as the site has not refused that.
	Renewable bool
	// Checked is when the site accepted the account last, or zero.
	Checked time.Time
	// LastError is the code of the last failure of the account, or empty, and
	// FailedAt its time.
	LastError string
	FailedAt  time.Time
}

// accountReports tells about the accounts of the handler. It calls nobody.
func (h *Handler) accountReports() []accountReport {
	now := time.Now()
	reports := make([]accountReport, len(h.accounts))
	for i, a := range h.accounts {
		reports[i] = a.report(now)
		reports[i].Label = a.label
	}
	return reports
}

// renewalHelps reports whether a failure may be due to an access token that has
// ended. Who is forbidden something is known to the site.
func renewalHelps(err error) bool {
	e := siteError(err)
	return e != nil && e.Kind == qwen.KindCredential && e.Status != http.StatusForbidden
}

// aboutAccount reports whether a failure says something about the account.
func aboutAccount(err error) bool {
	return isKind(err, qwen.KindVerification) || isKind(err, qwen.KindCredential) || isKind(err, qwen.KindQuota)
}
