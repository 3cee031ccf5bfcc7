package emulator

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// accessTokenLife is how long the tokens of the auth host are valid.
const accessTokenLife = 900 * time.Second

// userID is the account of every access token that does not name another one.
const userID = "9d1c3b52-6a0e-4c55-8f0e-0a3f6a1d7e10"

// signedIn wraps an endpoint that needs a credential: `Authorization: Bearer`
// or the cookie `token`, whichever of them is good.
func (s *Site) signedIn(e endpoint) endpoint {
	return func(c *call) (Reply, *generation) {
		presented := presentedTokens(c.r)
		if len(presented) == 0 {
			return unauthorized(), nil
		}
		expired := false
		for _, t := range presented {
			switch s.judge(t) {
			case tokenGood:
				c.account = tokenOwner(t)
				return e(c)
			case tokenExpired:
				expired = true
			}
		}
		if expired {
			return Expired(), nil
		}
		return unauthorized(), nil
	}
}

// presentedTokens returns the non-empty access tokens of a request.
func presentedTokens(r *http.Request) []string {
	var tokens []string
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if t = strings.TrimSpace(t); strings.EqualFold(scheme, "bearer") && t != "" {
		tokens = append(tokens, t)
	}
	if c, err := r.Cookie("token"); err == nil && c.Value != "" {
		tokens = append(tokens, c.Value)
	}
	return tokens
}

type tokenState int

const (
	tokenUnknown tokenState = iota
	tokenExpired
	tokenGood
)

// judge tells what the site thinks of an access token.
func (s *Site) judge(token string) tokenState {
	s.mu.Lock()
	known, revoked, anyToken := s.tokens[token], s.revoked[token], len(s.options.Tokens) == 0
	s.mu.Unlock()
	switch exp := expiry(token); {
	case revoked, !exp.IsZero() && !exp.After(s.now()):
		return tokenExpired
	case known, anyToken:
		return tokenGood
	}
	return tokenUnknown
}

// claims is what the site reads of a JWT.
type claims struct {
	ID  string `json:"id"`
	Exp int64  `json:"exp"`
}

// readClaims returns the claims of a JWT, or none if they cannot be read.
func readClaims(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}
	}
	return c
}

// expiry returns when a JWT expires, or the zero time if that cannot be read.
func expiry(token string) time.Time {
	c := readClaims(token)
	if c.Exp == 0 {
		return time.Time{}
	}
	return time.Unix(c.Exp, 0)
}

// tokenOwner returns the account that an access token belongs to: the `id` in
// a JWT that has one, else that of the owner. Only files are kept apart by it.
func tokenOwner(token string) string {
	if id := readClaims(token).ID; id != "" {
		return id
	}
	return userID
}

// IssueToken returns a new access token in the form of the site's own, which
// the site accepts for the given time. The life is cut to whole seconds; zero
// or less gives a token that has already expired. The signature is noise:
// nobody can verify it.
func (s *Site) IssueToken(life time.Duration) string { return s.IssueTokenFor(userID, life) }

// IssueTokenFor is [Site.IssueToken] for another account than the usual one.
func (s *Site) IssueTokenFor(account string, life time.Duration) string {
	now := s.now()
	payload, _ := json.Marshal(map[string]any{ // cannot fail: strings and numbers only
		"id": account, "last_password_change": 1750000000, "type": "access_token",
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	enc := base64.RawURLEncoding
	token := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT","kid":"legacy"}`)) + "." +
		enc.EncodeToString(payload) + "." + noise()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = true
	return token
}

// noise returns what looks like a signature.
func noise() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Revoke makes the site answer these access tokens as it answers expired ones.
func (s *Site) Revoke(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		s.revoked[t] = true
	}
}

// issue returns an access token of the life that SetTokenLife has set.
func (s *Site) issue(account string) string {
	s.mu.Lock()
	life := s.auth.life
	s.mu.Unlock()
	return s.IssueTokenFor(account, life)
}

// refresh answers `GET /api/v2/auths/refresh` of the auth host: the cookie
// `refresh_token` buys a new access token, of the same account as the old one.
func (s *Site) refresh(c *call) (Reply, *generation) {
	cookie, err := c.r.Cookie("refresh_token")
	if err != nil {
		return unauthorized(), nil
	}
	next, ok := s.takeRefresh(cookie.Value)
	if !ok {
		return unauthorized(), nil
	}
	account := userID
	for _, t := range presentedTokens(c.r) {
		account = tokenOwner(t)
	}
	r := success(map[string]any{"access_token": s.issue(account), "refresh_token": next})
	if next != cookie.Value {
		r = r.WithHeader("Set-Cookie", "refresh_token="+next+"; Path=/; HttpOnly")
	}
	return r, nil
}

// account answers `GET /api/v1/auths/`, which has no envelope and hands out a
// fresh token each time.
func (s *Site) account(c *call) (Reply, *generation) {
	return jsonReply(map[string]any{
		"id": c.account, "email": "owner@example.com", "name": "Owner", "role": "user",
		"token": s.issue(c.account), "token_type": "Bearer",
	}), nil
}
