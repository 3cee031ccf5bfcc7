package browser

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// request is what a paste says of the request, before it is judged.
type request struct {
	url     string
	cookies []string
	header  http.Header
}

// add takes a header, if it is of any use.
func (r *request) add(name, value string) {
	name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch {
	case value == "":
	case name == "Cookie":
		r.cookies = append(r.cookies, value)
	case name == "Authorization" || tellsBrowser(name):
		if r.header == nil {
			r.header = make(http.Header)
		}
		r.header.Set(name, value)
	}
}

// tellsBrowser reports whether a header tells which browser it is. All others belong
// to the one request, or are set for each.
func tellsBrowser(name string) bool {
	switch name {
	case "User-Agent", "Accept-Language", "Version", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site":
		return true
	}
	return (strings.HasPrefix(name, "Sec-Ch-Ua") || strings.HasPrefix(name, "Bx-")) && isName(name)
}

// setURL takes the address of the request. There must not be two.
func (r *request) setURL(address string) error {
	if r.url != "" {
		return errSeveral
	}
	r.url = address
	return nil
}

// paste returns what is usable of the request.
func (r *request) paste(format string) (Paste, error) {
	address, err := checkURL(r.url)
	if err != nil {
		return Paste{}, err
	}
	p := Paste{Format: format, URL: address, Cookies: strings.Join(r.cookies, "; "), Header: r.kept()}
	if err := checkCookies(p.Cookies); err != nil {
		return Paste{}, err
	}
	if p.Token, err = r.token(); err != nil {
		return Paste{}, err
	}
	if p.Token == "" && p.Cookies == "" {
		if format == formatFetch {
			return Paste{}, errFetch
		}
		return Paste{}, errNothing
	}
	if slices.Contains(strings.Split(strings.ReplaceAll(p.Cookies, " ", ""), ";"), "token="+p.Token) {
		p.Token = ""
	}
	for name := range p.Header {
		if err := checkText("the header "+name, p.Header.Get(name)); err != nil {
			return Paste{}, err
		}
	}
	return p, nil
}

// token returns the access token in the header Authorization. Pages without a
// token have been seen to send the word of JavaScript for nothing.
func (r *request) token() (string, error) {
	scheme, token, _ := strings.Cut(r.header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || token == "null" || token == "undefined" {
		return "", nil
	}
	if !isToken68(token) {
		return "", errors.New("the token in the header Authorization has characters that no token has; copy the request again")
	}
	return token, nil
}

// isToken68 reports whether a text has only the characters of tokens.
func isToken68(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c >= utf8.RuneSelf || !isAlphanumeric(byte(c)) && !strings.ContainsRune("-._~+/=", c)
	})
}

// kept returns the headers that are worth sending along. What a browser says of a
// request for a page or an image is not true of those for data.
func (r *request) kept() http.Header {
	kept := r.header.Clone()
	if kept == nil {
		kept = make(http.Header)
	}
	kept.Del("Authorization")
	if !strings.EqualFold(kept.Get("Sec-Fetch-Dest"), "empty") {
		maps.DeleteFunc(kept, func(name string, _ []string) bool { return strings.HasPrefix(name, "Sec-Fetch-") })
	}
	return kept
}

// checkURL returns an address without its query, and refuses those of other sites.
func checkURL(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", errors.New("the address of its request cannot be read; copy the request again")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host != "qwen.ai" && !strings.HasSuffix(host, ".qwen.ai") {
		return "", fmt.Errorf("it is a request to another site%s; copy one to chat.qwen.ai", shownHost(host))
	}
	if checkText("", u.Path) != nil {
		u.Path = ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: host, Path: u.Path}).String(), nil
}

// shownHost returns a host for an error, unless it is an odd one.
func shownHost(host string) string {
	if len(host) > 100 || strings.ContainsFunc(host, func(c rune) bool { return !isNameChar(c) && c != ':' }) {
		return ""
	}
	return ", " + host
}

func checkCookies(cookies string) error {
	if err := checkText("the cookies", cookies); err != nil {
		return err
	}
	if cookies != "" && !strings.Contains(cookies, "=") {
		return errors.New("the cookies are not of the form name=value; copy the whole request as cURL")
	}
	return nil
}

// checkText refuses what cannot be sent, and what could look like something else.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s: not all of it is text in UTF-8; copy the request again", what)
	}
	for _, c := range s {
		if unicode.IsControl(c) && c != '\t' || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Errorf("%s: there are line breaks, control characters or invisible ones; copy the request again", what)
		}
	}
	return nil
}

// isName reports whether a text can be the name of a header or a cookie.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isNameChar(c) })
}

func isNameChar(c rune) bool {
	return c < utf8.RuneSelf && (isAlphanumeric(byte(c)) || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}
