package caddyqwen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-qwen/caddy-qwen/internal/browser"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// importReport is what `caddy qwen import` tells, without any secret.
type importReport struct {
	File      string       `json:"file"`
	Format    string       `json:"format"`
	URL       string       `json:"url,omitempty"`
	Cookies   []string     `json:"cookies"`
	Headers   []string     `json:"headers"`
	Token     *importToken `json:"token"`
	Renewable bool         `json:"renewable"`
	Advice    []string     `json:"advice"`
	Next      string       `json:"next"`

	now time.Time
}

// importToken is what is told of an access token.
type importToken struct {
	Characters int        `json:"characters"`
	Expires    *time.Time `json:"expires"`
	Expired    bool       `json:"expired"`

	begin string // what all such tokens begin with
}

func newImportReport(p browser.Paste, path string, now time.Time) *importReport {
	cred := pasted(p)
	return &importReport{
		File: path, Format: p.Format, URL: p.URL,
		Cookies: cookieNames(p.Cookies), Headers: sortedNames(p.Header), Token: newImportToken(cred, now),
		Renewable: cred.Renewable(), Advice: importAdvice(cred, now), Next: nextStep(path), now: now,
	}
}

func sortedNames[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

func newImportToken(cred qwen.Credential, now time.Time) *importToken {
	token := cred.AccessToken()
	if token == "" {
		return nil
	}
	t := &importToken{Characters: len(token)}
	if strings.HasPrefix(token, "eyJ") {
		t.begin = "eyJ"
	}
	if expires := cred.Expires(); !expires.IsZero() {
		t.Expires, t.Expired = &expires, !expires.After(now)
	}
	return t
}

// maxCookieName is the longest name of a cookie that is shown. What is longer may be
// a secret at the wrong place.
const maxCookieName = 40

// cookieNames returns the names of cookies in their order.
func cookieNames(cookies string) []string {
	names := []string{}
	for cookie := range strings.SplitSeq(cookies, ";") {
		name, _, ok := strings.Cut(strings.TrimSpace(cookie), "=")
		if !ok && name == "" {
			continue
		}
		if !ok || len(name) > maxCookieName || !isPlain(name) {
			name = "(odd name)"
		}
		names = append(names, name)
	}
	return names
}

// isPlain reports whether a text has only visible characters of ASCII.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// shortLived is the longest life of a token that does not outlast a day's work.
const shortLived = time.Hour

// siteCookies are cookies that the site gives to every browser and misses in
// requests without them.
var siteCookies = []string{"acw_tc", "x-ap", "cna", "ssxmod_itna"}

// importAdvice tells what is missing, and what to do about it.
func importAdvice(cred qwen.Credential, now time.Time) []string {
	advice := []string{}
	if cred.Cookies == "" {
		advice = append(advice, "There are no cookies, only a token, which the site may refuse for lack of them. Copy the whole request as cURL.")
	} else if missing := missingCookies(cred.Cookies); len(missing) > 0 {
		advice = append(advice, fmt.Sprintf("The site's own page also sends the cookies %s. Copy the whole request as cURL, from the browser's list of requests to chat.qwen.ai.",
			strings.Join(missing, ", ")))
	}
	expires := cred.Expires()
	short := !expires.IsZero() && (cred.Lifetime() > 0 && cred.Lifetime() <= shortLived || expires.Sub(now) <= shortLived)
	switch {
	case short && !cred.Renewable():
		advice = append(advice, "The token is soon over, and it cannot be renewed without the cookie refresh_token. Copy the whole request as cURL.")
	case !expires.IsZero() && !expires.After(now):
		advice = append(advice, "The token is over. The server will renew it by the cookie refresh_token.")
	}
	return advice
}

// missingCookies returns those of siteCookies that are not there.
func missingCookies(cookies string) []string {
	names := cookieNames(cookies)
	return slices.DeleteFunc(slices.Clone(siteCookies), func(name string) bool { return slices.Contains(names, name) })
}

// nextStep tells what is to be done with the file.
func nextStep(path string) string {
	if path == defaultAccountFile() {
		return "Nothing else is to be done if no account is configured and QWEN_COOKIES and QWEN_AUTH_TOKEN are empty: the server reads this file."
	}
	return fmt.Sprintf("Name the file in the Caddyfile, in the block of qwen:\n\n\taccount {\n\t\tfile %q\n\t}", path)
}

// useless says why the account could be used for nothing, or nothing if it can be used.
func (r *importReport) useless() error {
	switch {
	case r.Renewable:
		return nil
	case r.Token == nil:
		return errors.New("nothing was written: there is no token among the cookies, as before a login; log in to the site, and copy a new request")
	case r.Token.Expired:
		return fmt.Errorf("nothing was written: the token ended at %s, and without the cookie refresh_token it cannot be renewed; "+
			"open the site, log in if it asks for it, and copy a new request", localTime(*r.Token.Expires))
	}
	return nil
}

// text returns the report for people.
func (r *importReport) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Found:    %s", r.Format)
	if r.URL != "" {
		fmt.Fprintf(&b, ", a request to %s", r.URL)
	}
	fmt.Fprintf(&b, "\nCookies:  %s\nToken:    %s\nHeaders:  %s\n", orNone(r.Cookies), r.tokenText(), orNone(r.Headers))
	for _, advice := range r.Advice {
		fmt.Fprintf(&b, "\nMissing:  %s\n", advice)
	}
	fmt.Fprintf(&b, "\nWritten to %s, which only you can read.\n%s\n", r.File, r.Next)
	return b.String()
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// tokenText tells of the token what is no secret.
func (r *importReport) tokenText() string {
	if r.Token == nil {
		return "none"
	}
	text := fmt.Sprintf("%s…(%d characters), ", r.Token.begin, r.Token.Characters)
	switch {
	case r.Token.Expires == nil:
		text += "which does not say until when it is good"
	case r.Token.Expired:
		text += "which was good until " + localTime(*r.Token.Expires)
	default:
		text += fmt.Sprintf("good until %s (%s)", localTime(*r.Token.Expires), humanize.RelTime(*r.Token.Expires, r.now, "ago", "from now"))
	}
	if r.Renewable {
		return text + "; the cookie refresh_token renews it"
	}
	return text + "; it cannot be renewed"
}
