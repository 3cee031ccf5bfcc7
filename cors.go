package caddyqwen

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// corsExposed are the response headers that a page may read. CORS hides
	// all but a few standard ones; official SDKs read these.
	corsExposed = "x-request-id, retry-after, x-should-retry, x-qwen-chat-id, " +
		"x-qwen-session, x-qwen-error-class, x-qwen-ignored-params, x-qwen-long-prompt"

	// corsAllowed are the request headers that every page may send. They are
	// named because `*` never covers Authorization.
	corsAllowed = "authorization, content-type, x-api-key, api-key, x-qwen-session"

	// corsMaxAge is how long a browser may remember a preflight, in seconds.
	// No browser that matters remembers one for longer by default.
	corsMaxAge = "7200"

	// corsMaxAsked and corsMaxName limit how many header names of a preflight
	// are repeated in its answer and how long each may be. Official SDKs ask
	// for about a dozen.
	corsMaxAsked = 48
	corsMaxName  = 64
)

// cors decides which web pages may call the API from a browser. Credentials
// that browsers attach by themselves (cookies, passwords) are never allowed:
// pages present an API key.
type cors struct {
	any     bool                // every origin is allowed
	origins map[string]struct{} // the allowed ones, as browsers write them
}

// newCORS returns the rules for the configured origins. None means that no page
// may call the API. An error names the origin that is wrong.
func newCORS(origins []string) (*cors, error) {
	c := &cors{origins: make(map[string]struct{}, len(origins))}
	for _, origin := range origins {
		if origin == "*" {
			if len(origins) > 1 {
				return nil, errors.New("the origin * allows all pages, so it must be the only one")
			}
			c.any = true
			continue
		}
		canonical, err := parseOrigin(origin)
		if err != nil {
			return nil, fmt.Errorf("origin %q: %w", origin, err)
		}
		if _, ok := c.origins[canonical]; ok {
			return nil, fmt.Errorf("origin %q is given twice", origin)
		}
		c.origins[canonical] = struct{}{}
	}
	return c, nil
}

// parseOrigin returns an origin as browsers write it: in lower case and without
// the default port of its scheme.
func parseOrigin(origin string) (string, error) {
	if origin == "null" {
		// Every sandboxed frame and local file of anyone has this origin.
		return "", errors.New("null stands for pages of unknown origin and cannot be allowed")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return "", errors.New("not of the form scheme://host or scheme://host:port")
	}
	if u.Path != "" || u.User != nil || strings.ContainsAny(origin, "?#") {
		return "", errors.New("an origin ends after the host and port")
	}
	if !isHostname(u.Hostname(), strings.HasPrefix(u.Host, "[")) {
		return "", errors.New("the host must be written out in ASCII (xn--… for other letters), without wildcards")
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host, nil
}

// isHostname reports whether s has only characters of host names and addresses.
// Colons are part of IPv6 addresses, which stand in brackets.
func isHostname(s string, brackets bool) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && strings.IndexByte("-._", c) < 0 && (c != ':' || !brackets) {
			return false
		}
	}
	return true
}

// apply adds what a browser needs to show the answer to the page that asked. It
// has to be called for errors, too, before the header is written.
func (c *cors) apply(w http.ResponseWriter, r *http.Request) {
	origin, ok := c.allowed(w.Header(), r)
	if !ok {
		return
	}
	// Set instead of Add: browsers refuse an answer with two of them, which
	// would be the result of a `header` directive in the same site.
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", corsExposed)
	w.Header().Set("Timing-Allow-Origin", origin) // for Server-Timing
}

// preflight answers an OPTIONS request for a resource with the given methods,
// such as `GET, HEAD, OPTIONS`. It needs no API key, because browsers send none.
func (c *cors) preflight(w http.ResponseWriter, r *http.Request, allow string) {
	h := w.Header()
	h.Set("Allow", allow)
	if origin, ok := c.allowed(h, r); ok {
		vary(h, "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Values("Access-Control-Request-Headers")))
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowed returns the value of Access-Control-Allow-Origin if the page that
// sent r may have the answer. It tells caches when the answer depends on that.
func (c *cors) allowed(h http.Header, r *http.Request) (string, bool) {
	if c.any {
		return "*", true
	}
	if len(c.origins) == 0 {
		return "", false
	}
	vary(h, "Origin")
	sent := r.Header.Values("Origin")
	if len(sent) != 1 {
		return "", false
	}
	_, ok := c.origins[sent[0]]
	return sent[0], ok
}

// vary adds a name to the Vary header unless it is there.
func vary(h http.Header, name string) {
	for _, line := range h.Values("Vary") {
		for field := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(field), name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

// allowedHeaders lists the request headers that a page may send: ours and those
// that it asks for, of which only well-formed names are repeated.
func allowedHeaders(asked []string) string {
	names := strings.Split(corsAllowed, ", ")
	limit := len(names) + corsMaxAsked
	for _, line := range asked {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if len(names) == limit {
				return strings.Join(names, ", ")
			}
			if name != "*" && isHeaderName(name) && len(name) <= corsMaxName && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// isHeaderName reports whether s can be the name of an HTTP header.
func isHeaderName(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
