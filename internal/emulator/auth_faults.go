package emulator

import (
	"net/http"
	"slices"
	"time"
)

// authState is how the site treats credentials. It is guarded by the lock of the
// site.
type authState struct {
	life   time.Duration
	rotate bool
	spent  map[string]bool // refresh tokens that are not accepted any more
	issued map[string]bool // refresh tokens that came from rotation

	refreshes, probes int
	requests          []Request

	skew    time.Duration
	cookies []string
	refused map[string]Reply           // by endpoint
	held    map[string]<-chan struct{} // by endpoint
}

func newAuthState() authState {
	return authState{
		life:  accessTokenLife,
		spent: map[string]bool{}, issued: map[string]bool{},
		refused: map[string]Reply{}, held: map[string]<-chan struct{}{},
	}
}

// endpoints are all of them.
var endpoints = []string{
	EndpointModels, EndpointNewChat, EndpointChats, EndpointChat, EndpointDelete, EndpointCompletions, EndpointStop,
	EndpointAuths, EndpointRefresh, EndpointFileGrant, EndpointFileParse, EndpointFileStatus, EndpointFileLink, EndpointUnknown,
}

// siteEndpoints returns the named endpoints, or all of the chat host if none is
// named. The auth host is another one, and has to be named.
func siteEndpoints(names []string) []string {
	if len(names) == 0 {
		return slices.DeleteFunc(slices.Clone(endpoints), func(name string) bool { return name == EndpointRefresh })
	}
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = canonicalEndpoint(name)
	}
	return canonical
}

// SetTokenLife sets for how long the access tokens are good that a refresh or an
// account record brings from now on. Default: 15 minutes. Zero or less makes
// tokens that have already expired.
func (s *Site) SetTokenLife(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.life = d
}

// RotateRefreshTokens makes each refresh bring a new refresh token, in its answer
// and as a cookie, and accept the old one no more. Default: they stay the same.
func (s *Site) RotateRefreshTokens(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.rotate = on
}

// RevokeRefresh makes the site accept these refresh tokens no more.
func (s *Site) RevokeRefresh(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		s.auth.spent[t] = true
	}
}

// SkewClock sets how far the clock of the site is ahead of ours: in the header
// Date, in the tokens that it issues, and in what it thinks of tokens.
func (s *Site) SkewClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.skew = d
}

// now is the time by the clock of the site.
func (s *Site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.auth.skew)
}

// SetCookies makes every answer set these cookies, each in the spelling of the
// header Set-Cookie. None: no answer does, except those of a script.
func (s *Site) SetCookies(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.cookies = slices.Clone(lines)
}

// Refuse makes the site give the same answer to every request until Accept is
// called: to those of the named endpoints, or of the whole chat host if none is
// named. The auth host ([EndpointRefresh]) has to be named. Scripted answers stay
// queued meanwhile. Some answers that fit:
//
//	ChallengeJSON(), ChallengeHTML(405)     human verification
//	RateLimited(4)                          quota, best for EndpointCompletions only
//	Expired(), Unauthorized401()            the credential
//	Status(403), Status(502)                servers in front of the site
//	ResetConnection()                       down
//	LoginPage()                             garbage where JSON is expected
func (s *Site) Refuse(r Reply, endpoints ...string) {
	names := siteEndpoints(endpoints)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.auth.refused[name] = r
	}
}

// Accept ends the effect of Refuse for the named endpoints, or for all of them,
// the auth host included, if none is named.
func (s *Site) Accept(endpoints ...string) {
	names := siteEndpoints(endpoints)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(endpoints) == 0 {
		clear(s.auth.refused)
	}
	for _, name := range names {
		delete(s.auth.refused, name)
	}
}

// Hold makes requests wait, before the site looks at them, until the gate is
// closed or received from: those of the named endpoints, or of the whole chat host
// if none is named. They are on record while they wait. A nil gate ends it for
// later requests.
func (s *Site) Hold(gate <-chan struct{}, endpoints ...string) {
	names := siteEndpoints(endpoints)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.auth.held[name] = gate
	}
}

// waitHeld waits for the gate of an endpoint. It returns false if there is nobody
// to answer any more.
func (s *Site) waitHeld(name string, c *call) bool {
	s.mu.Lock()
	gate := s.auth.held[name]
	s.mu.Unlock()
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-c.r.Context().Done():
	case <-s.done:
	}
	return false
}

// scripted returns the answer that a test has set for an endpoint: that of Refuse,
// else the next one of Fail.
func (s *Site) scripted(name string) (Reply, bool) {
	s.mu.Lock()
	r, refused := s.auth.refused[name]
	s.mu.Unlock()
	if refused {
		return r, true
	}
	return s.nextFailure(name)
}

// withCookies returns a reply with the cookies that SetCookies has set.
func (s *Site) withCookies(r Reply) Reply {
	s.mu.Lock()
	lines := s.auth.cookies
	s.mu.Unlock()
	for _, line := range lines {
		r = r.WithHeader("Set-Cookie", line)
	}
	return r
}

// Refreshes returns how many requests for a new access token have arrived,
// whatever the answer was.
func (s *Site) Refreshes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth.refreshes
}

// Probes returns how many requests for the record of the account have arrived,
// whatever the answer was.
func (s *Site) Probes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth.probes
}

// AuthRequests returns the requests for new access tokens and for the record of
// the account, in the order they arrived, at least the last 10,000 of them. They
// are on their own because a client makes them when it likes.
func (s *Site) AuthRequests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.auth.requests)
}

// takeRefresh reports whether the auth host accepts a refresh token, and returns
// the one to use next time.
func (s *Site) takeRefresh(token string) (next string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := len(s.options.RefreshTokens) == 0 || s.auth.issued[token] || slices.Contains(s.options.RefreshTokens, token)
	if token == "" || s.auth.spent[token] || !known {
		return "", false
	}
	if !s.auth.rotate {
		return token, true
	}
	next = noise()
	s.auth.spent[token], s.auth.issued[next] = true, true
	return next, true
}

// ResetConnection is no answer at all: the connection ends with a TCP RST.
func ResetConnection() Reply { return Reply{bare: true, reset: true} }

// setDate sets the header Date, which net/http would set to our own time.
func (s *Site) setDate(h http.Header) {
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
}
