package qwen

import (
	"iter"
	"net"
	"net/http"
	"strings"
	"time"
)

// Limits on what the site can add to the cookies of a credential. What the owner
// has supplied may be longer, but does not grow.
const (
	maxCookies     = 100      // also of one answer
	maxCookieBytes = 16 << 10 // of all
	maxOneCookie   = 4 << 10  // a name with its value, as in browsers
)

// WithCookies returns the credential as the owner's browser would have it after
// an answer with these Set-Cookie headers from the given host (without a port):
// values are replaced in their place, new cookies come at the end, and those
// that expire go. Left out is what belongs to other domains, what cannot be
// sent, and what would exceed 100 cookies or 16 KiB. Paths are not looked at.
//
// The access token changes only to one of the same account that is good for
// longer, and neither it nor the cookie `refresh_token` goes away or becomes
// empty: sites clear cookies for many reasons, and only what an answer says tells
// that a credential is dead.
func (c Credential) WithCookies(host string, set []*http.Cookie, now time.Time) Credential {
	for _, cookie := range set[:min(len(set), maxCookies)] {
		if !usableCookie(cookie) || cookie.Domain != "" && !domainCovers(cookie.Domain, host) {
			continue
		}
		gone := expiredCookie(cookie, now)
		switch {
		case cookie.Name == tokenCookie:
			if !gone && c.prolonged(cookie.Value) {
				c = c.WithToken(cookie.Value)
			}
		case cookie.Name == refreshCookie:
			if !gone {
				c = c.withRefreshToken(cookie.Value)
			}
		case gone:
			c.Cookies = removeCookie(c.Cookies, cookie.Name)
		default:
			c.Cookies = setCookie(c.Cookies, cookie.Name, verbatim(cookie))
		}
	}
	return c
}

// withRefreshToken returns the credential with another refresh token, unless the
// token cannot be sent or is of another account.
func (c Credential) withRefreshToken(token string) Credential {
	old, _ := cookieValue(c.Cookies, refreshCookie)
	if sendableToken(token) && sameAccount(old, token) {
		c.Cookies = setCookie(c.Cookies, refreshCookie, token)
	}
	return c
}

// prolonged reports whether a token takes the place of the access token: one that
// tells that it is of the same account and good for longer.
func (c Credential) prolonged(token string) bool {
	then, now := readClaims(token), readClaims(c.AccessToken())
	return then.ID != "" && then.Exp > now.Exp && (then.ID == now.ID || c.AccessToken() == "")
}

// sameAccount reports whether nothing tells that two tokens are of different
// accounts.
func sameAccount(a, b string) bool {
	first, second := readClaims(a).ID, readClaims(b).ID
	return first == "" || second == "" || first == second
}

// verbatim returns the value as it stood in the header.
func verbatim(c *http.Cookie) string {
	if c.Quoted {
		return `"` + c.Value + `"`
	}
	return c.Value
}

// expiredCookie reports whether Set-Cookie asks to forget a cookie. net/http says
// MaxAge -1 for `Max-Age=0` and 0 for none; Max-Age precedes Expires.
func expiredCookie(c *http.Cookie, now time.Time) bool {
	return c.MaxAge < 0 || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(now)
}

// usableCookie reports whether a cookie can be sent.
func usableCookie(c *http.Cookie) bool {
	if c == nil || c.Name == "" || len(c.Name)+len(c.Value) > maxOneCookie || c.Value != trim(c.Value) {
		return false
	}
	for _, b := range []byte(c.Name) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, b) >= 0 {
			return false
		}
	}
	for _, b := range []byte(c.Value) {
		if b < ' ' || b >= 0x7f || b == ';' || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// domainCovers reports whether a cookie of a domain is sent to a host. Nobody
// sets cookies for a whole top-level domain, and an address has no parent.
func domainCovers(domain, host string) bool {
	domain, host = strings.ToLower(strings.TrimPrefix(domain, ".")), strings.ToLower(host)
	if domain == host {
		return true
	}
	return strings.Contains(domain, ".") && strings.HasSuffix(host, "."+domain) && net.ParseIP(host) == nil
}

// segments yields the parts of a Cookie header between semicolons, with where
// they start and end.
func segments(cookies string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for start := 0; start <= len(cookies); {
			end := len(cookies)
			if i := strings.IndexByte(cookies[start:], ';'); i >= 0 {
				end = start + i
			}
			if !yield(start, end) {
				return
			}
			start = end + 1
		}
	}
}

// isNamed returns the value if a part of a Cookie header is a cookie of that
// name. The value may contain `=`.
func isNamed(part, name string) (value string, ok bool) {
	rest, ok := strings.CutPrefix(trim(part), name)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(rest, "=")
}

// cookieValue returns the value of the first cookie of that name.
func cookieValue(cookies, name string) (string, bool) {
	for start, end := range segments(cookies) {
		if value, ok := isNamed(cookies[start:end], name); ok {
			return value, true
		}
	}
	return "", false
}

// setCookie returns a Cookie header with another value of a cookie, wherever it
// is, or at the end. What would exceed the limits changes nothing.
func setCookie(cookies, name, value string) string {
	after, found := replaceCookie(cookies, name, value)
	if !found {
		after = addCookie(cookies, name+"="+value)
	}
	if len(after) > maxCookieBytes && len(after) > len(cookies) {
		return cookies
	}
	return after
}

// replaceCookie returns a Cookie header with another value of a cookie, wherever
// it is, and whether it is anywhere. All else stays byte for byte.
func replaceCookie(cookies, name, value string) (after string, found bool) {
	var b strings.Builder
	copied := 0 // how much of cookies is in b
	for start, end := range segments(cookies) {
		old, ok := isNamed(cookies[start:end], name)
		if found = found || ok; !ok || old == value {
			continue
		}
		at := start + len(strings.TrimRight(cookies[start:end], whiteSpace)) - len(old)
		b.WriteString(cookies[copied:at])
		b.WriteString(value)
		copied = at + len(old)
	}
	if copied == 0 {
		return cookies, found
	}
	b.WriteString(cookies[copied:])
	return b.String(), true
}

// whiteSpace is what may stand around a cookie, and at the end of a pasted line.
const whiteSpace = " \t\r\n"

func trim(s string) string { return strings.Trim(s, whiteSpace) }

// addCookie returns a Cookie header with one more cookie after those that it has,
// unless it is full.
func addCookie(cookies, cookie string) string {
	if strings.Count(cookies, ";")+1 >= maxCookies {
		return cookies
	}
	switch trimmed := strings.TrimRight(cookies, whiteSpace); {
	case trimmed == "":
		return cookie
	case strings.HasSuffix(trimmed, ";"):
		return trimmed + " " + cookie
	default:
		return trimmed + "; " + cookie
	}
}

// removeCookie returns a Cookie header without the cookies of that name.
func removeCookie(cookies, name string) string {
	if _, ok := cookieValue(cookies, name); !ok {
		return cookies
	}
	var kept []string
	for start, end := range segments(cookies) {
		if _, ok := isNamed(cookies[start:end], name); !ok {
			kept = append(kept, cookies[start:end])
		}
	}
	return strings.TrimLeft(strings.Join(kept, ";"), whiteSpace)
}
