package qwen

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// opRenew and opAccount name the calls in errors.
const (
	opRenew   = "renew the access token"
	opAccount = "ask who is signed in"
)

// Renew buys a new access token with the cookie `refresh_token` and returns the
// credential with it. The refresh token is replaced if the site names another
// one, and cookies that the answer sets are merged. It needs no password, and
// the old access token may have expired. KindCredential means that the refresh
// token is refused, too: only the owner can supply another one.
//
// The request has no Authorization header. What counts for this call is the
// refresh cookie, and an access token that has expired, which is when most calls
// happen, would only be a second credential to be refused for.
//
// An answer without a usable token is KindBadResponse. So is one with a token
// that has already expired by the clock of the site, or of another account.
func (c *Client) Renew(ctx context.Context, cred Credential) (Credential, error) {
	if !cred.Renewable() {
		return cred, &Error{Kind: KindCredential, Op: opRenew, Detail: "there is no cookie refresh_token"}
	}
	req, err := c.requestURL(ctx, cred, http.MethodGet, orElse(c.AuthURL, c.BaseURL)+"/api/v2/auths/refresh", nil)
	if err != nil {
		return cred, err
	}
	req.Header.Set("Referer", c.BaseURL+"/")
	req.Header.Del("Authorization")
	resp, body, err := c.exchange(req, opRenew)
	if isPage(body) && err != nil && !protected(body) && success(actualStatus(resp)) {
		// Not the protection's, and not that of the site's sign-in either, which
		// is at another host: there is something else at that address.
		return cred, &Error{Kind: KindBadResponse, Op: opRenew, Status: actualStatus(resp), Detail: "its answer is a page, not JSON"}
	}
	if err != nil {
		return cred, err
	}
	var answer struct {
		Data struct {
			AccessToken  claimText `json:"access_token"`
			RefreshToken claimText `json:"refresh_token"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return cred, &Error{Kind: KindBadResponse, Op: opRenew, Status: actualStatus(resp), Err: err}
	}
	now, token := clockOf(resp), string(answer.Data.AccessToken)
	if flaw := cred.flawOf(token, now); flaw != "" {
		return cred, &Error{Kind: KindBadResponse, Op: opRenew, Status: actualStatus(resp), Detail: flaw}
	}
	// Where the two differ, the cookie counts, as it does in a browser.
	return cred.withRefreshToken(string(answer.Data.RefreshToken)).WithToken(token).
		WithCookies(c.siteHost(), c.cookiesForSite(resp), now), nil
}

// flawOf returns why a token cannot take the place of the access token, or an
// empty text.
func (c Credential) flawOf(token string, now time.Time) string {
	expires := readClaims(token).Exp.time()
	switch {
	case token == "":
		return "it has no access token"
	case !sendableToken(token):
		return "its access token cannot be used"
	case !expires.IsZero() && !expires.After(now):
		return "its access token has already expired"
	case !sameAccount(c.AccessToken(), token):
		return "its access token is of another account"
	}
	return ""
}

// Account is what the site says of who is signed in.
type Account struct {
	// ID is the account's id, as in its access tokens.
	ID string
	// Token is a fresh access token, which comes with every answer, or empty if
	// there is none that could take the place of the one in use. It is secret.
	Token string
	// Date is the time by the site's clock, in whole seconds, or the zero time
	// if the answer does not tell it.
	Date time.Time
}

// Account asks the site who is signed in. It is the cheapest call that needs a
// credential, and starts nothing: fit to try whether the credential is good.
//
// The site answers this call with the page of its front end if nobody is signed
// in. That is KindCredential here, unless the page has the marks of the site's
// protection.
func (c *Client) Account(ctx context.Context, cred Credential) (Account, error) {
	req, err := c.request(ctx, cred, http.MethodGet, "/api/v1/auths/", nil)
	if err != nil {
		return Account{}, err
	}
	req.Header.Set("Referer", c.BaseURL+"/")
	resp, body, err := c.exchange(req, opAccount)
	if isPage(body) && err != nil && !protected(body) && success(actualStatus(resp)) {
		return Account{}, &Error{Kind: KindCredential, Op: opAccount, Status: actualStatus(resp)}
	}
	if err != nil {
		return Account{}, err
	}
	type record struct {
		ID    claimText `json:"id"`
		Token claimText `json:"token"`
	}
	var answer struct {
		record        // as the first version of the site answers
		Data   record `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Account{}, &Error{Kind: KindBadResponse, Op: opAccount, Status: actualStatus(resp), Err: err}
	}
	a := Account{
		ID: orElse(string(answer.ID), string(answer.Data.ID)), Token: orElse(string(answer.Token), string(answer.Data.Token)),
		Date: dateOf(resp),
	}
	if !validID(a.ID) {
		return Account{}, &Error{Kind: KindBadResponse, Op: opAccount, Status: actualStatus(resp), Detail: "it names no account"}
	}
	if cred.flawOf(a.Token, clockOf(resp)) != "" {
		a.Token = ""
	}
	return a, nil
}

// isPage reports whether an answer is HTML.
func isPage(body []byte) bool { return bytes.HasPrefix(significant(body), []byte("<")) }

// dateOf returns the time by the clock of the site, or the zero time.
func dateOf(resp *http.Response) time.Time {
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at
}

// clockOf returns the time by the clock of the site, or by ours if it does not
// tell. Times in an answer are meant by the clock of who answers.
func clockOf(resp *http.Response) time.Time {
	if at := dateOf(resp); !at.IsZero() {
		return at
	}
	return time.Now()
}

// siteHost returns the host whose cookies a credential has.
func (c *Client) siteHost() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// do sends a request and passes on the cookies that the answer sets.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Request = req // transports need not tell
	if c.OnSetCookie == nil || len(resp.Header["Set-Cookie"]) == 0 {
		return resp, nil
	}
	if set := c.cookiesForSite(resp); len(set) > 0 {
		c.OnSetCookie(req.Context(), c.siteHost(), set)
	}
	return resp, nil
}

// cookiesForSite returns the cookies that an answer sets and that a browser sends
// to the site. Those which the host of the access tokens sets for itself alone are
// not among them: cookies of the protection have the same names on every host.
// Its refresh token is, because a credential has cookies for both hosts.
func (c *Client) cookiesForSite(resp *http.Response) []*http.Cookie {
	set := resp.Cookies()
	if resp.Request.URL.Hostname() == c.siteHost() {
		return set
	}
	kept := set[:0]
	for _, cookie := range set {
		if cookie.Domain != "" || cookie.Name == tokenCookie || cookie.Name == refreshCookie {
			kept = append(kept, cookie)
		}
	}
	return kept
}
