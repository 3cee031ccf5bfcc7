package qwen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The cookies that are the credential. All others only accompany it.
const (
	tokenCookie   = "token"
	refreshCookie = "refresh_token"
)

// Credential is what the owner's own browser sends. All of it is secret.
//
// The cookie `token` and the header `Authorization: Bearer` carry the same
// access token, a JWT. Which of the two the site wants has changed over time, so
// both are sent. An access token used to be good for 30 days; since 2026-09 it is
// good for 15 minutes, and the cookie `refresh_token`, which is good for about 30
// days, buys the next one: see Client.Renew. The site wants the token and the
// other cookies to be of the same login.
//
// Its methods change nothing in place: they return another Credential, which
// shares the Header with the first one.
type Credential struct {
	// Cookies is the whole Cookie header, sent as it is.
	Cookies string
	// Token is the access token, sent as `Authorization: Bearer`. If it is
	// empty, the cookie `token` takes its place.
	Token string
	// Header has further headers that the owner's browser sends. They replace
	// the client's own of the same name.
	Header http.Header
}

// Empty reports whether there is nothing to log in with.
func (c Credential) Empty() bool { return c.AccessToken() == "" && c.Cookies == "" }

// Identity returns a text that is the same for all credentials of an account as
// far as they tell: the account's id in the access token, and otherwise the token
// or the cookies themselves. It is secret.
func (c Credential) Identity() string {
	token := c.AccessToken()
	if id := readClaims(token).ID; id != "" {
		return "id " + string(id)
	}
	if token != "" {
		return "token " + token
	}
	return "cookies " + c.Cookies
}

// AccessToken returns the access token: Token, or else the cookie `token`.
func (c Credential) AccessToken() string {
	if c.Token != "" {
		return c.Token
	}
	value, _ := cookieValue(c.Cookies, tokenCookie)
	return value
}

// Expires returns until when the access token says that it is good, or the zero
// time if it does not say so in a way that makes sense. The site may refuse a
// token earlier.
func (c Credential) Expires() time.Time { return readClaims(c.AccessToken()).Exp.time() }

// Lifetime returns for how long the access token was good when it was issued, or
// 0 if it does not say so. Tokens from before 2026-09 do not.
func (c Credential) Lifetime() time.Duration {
	claims := readClaims(c.AccessToken())
	issued, expires := claims.Iat.time(), claims.Exp.time()
	if issued.IsZero() || expires.IsZero() {
		return 0
	}
	return max(expires.Sub(issued), 0)
}

// Renewable reports whether there is a cookie `refresh_token`, without which
// Client.Renew has nothing to offer.
func (c Credential) Renewable() bool {
	value, _ := cookieValue(c.Cookies, refreshCookie)
	return value != ""
}

// WithToken returns the credential with another access token wherever it has had
// one: in Token, unless only the cookie `token` is there, and in that cookie if
// it is there. A token that cannot be sent changes nothing.
func (c Credential) WithToken(token string) Credential {
	if !sendableToken(token) {
		return c
	}
	cookies, inCookie := replaceCookie(c.Cookies, tokenCookie, token)
	if c.Token != "" || !inCookie {
		c.Token = token
	}
	c.Cookies = cookies
	return c
}

// WithTokensOf returns the credential with the access token and the refresh token of
// another one of the same account, wherever it has had its own.
func (c Credential) WithTokensOf(other Credential) Credential {
	refresh, _ := cookieValue(other.Cookies, refreshCookie)
	return c.withRefreshToken(refresh).WithToken(other.AccessToken())
}

// Fingerprint returns a digest of everything in the credential. It tells whether
// the owner has supplied something else, and is the same after every start.
func (c Credential) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	part := func(s string) { // with its length, so that nothing can move between parts
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	part(c.Cookies)
	part(c.Token)
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		part(http.CanonicalHeaderKey(name))
		part(strconv.Itoa(len(c.Header[name])))
		for _, value := range c.Header[name] {
			part(value)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// maxToken is the longest token in bytes that is read or taken up. The site's
// have about 300.
const maxToken = 8 << 10

// sendableToken reports whether a token can stand in a header and in a cookie.
func sendableToken(token string) bool {
	for _, b := range []byte(token) {
		if b <= ' ' || b >= 0x7f || b == ';' || b == ',' || b == '"' || b == '\\' {
			return false
		}
	}
	return token != "" && len(token) <= maxToken
}

// claims is what an access token says of itself. Nobody but the site can check
// its signature; nothing is decided by it that the site would not decide as well.
type claims struct {
	ID  claimText   `json:"id"`
	Exp numericDate `json:"exp"`
	Iat numericDate `json:"iat"`
}

// readClaims returns what a JWT says, or nothing if it cannot be read.
func readClaims(token string) (c claims) {
	if len(token) > maxToken {
		return claims{}
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return claims{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}
	}
	return c
}

// claimText is a claim that should be a string. Anything else is as if it were
// not there, and keeps no other claim from being read.
type claimText string

// UnmarshalJSON never fails.
func (t *claimText) UnmarshalJSON(raw []byte) error {
	var s string
	_ = json.Unmarshal(raw, &s)
	*t = claimText(s)
	return nil
}

// numericDate is a time in seconds since 1970, or 0 for none.
type numericDate int64

// lastDate is the end of the year 9999. Later times cannot be written as JSON,
// and are not meant.
const lastDate = 253402300799

// UnmarshalJSON never fails. A time that is no number between 1970 and 9999 is
// as if it were not there.
func (d *numericDate) UnmarshalJSON(raw []byte) error {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(seconds >= 1 && seconds <= lastDate) {
		seconds = 0
	}
	*d = numericDate(seconds)
	return nil
}

func (d numericDate) time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(int64(d), 0)
}
