package emulator

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"
)

// Grant is a right to one object: a temporary access key with its token.
type Grant struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string
	Key             string    // of the object, without any encoding
	Expires         time.Time // by the storage's clock
}

// String describes the grant without the secret and the token.
func (g Grant) String() string {
	return "grant of " + g.AccessKeyID + " for " + g.Key
}

// grant is a Grant that the storage has given. Revoked is guarded by the lock
// of the storage, the rest never changes.
type grant struct {
	Grant
	readOnly bool
	revoked  bool
}

// Grant gives the right to do everything with the object of a key, and with
// no other.
func (s *Storage) Grant(key string) Grant {
	return s.issue(key, false).Grant
}

// issue makes a new access key.
func (s *Storage) issue(key string, readOnly bool) *grant {
	g := &grant{readOnly: readOnly, Grant: Grant{
		AccessKeyID: "STS." + randomText(18), AccessKeySecret: randomText(33), Key: key,
		// Real tokens have all characters of Base64, its padding included.
		SecurityToken: "CAIS+/" + randomBase64(730) + "==",
		Expires:       s.now().Add(s.options.Life),
	}}
	s.admit(g)
	return g
}

// admit makes a grant known.
func (s *Storage) admit(g *grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[g.AccessKeyID] = g
	if g.SecurityToken != "" {
		s.tokens[g.SecurityToken] = g.AccessKeyID
	}
}

// ExpireGrants lets everything that was granted so far expire, signed links
// included.
func (s *Storage) ExpireGrants() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		g.revoked = true
	}
}

// lookUp returns the grant of an access key, if the token that came with it
// is the right one and has not expired.
func (s *Storage) lookUp(id, token string, now time.Time) (*grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grants[id]
	switch {
	case g == nil, token == "" && g.SecurityToken != "":
		return nil, unknownKey
	case token != g.SecurityToken && s.tokens[token] != "":
		return nil, tokenMismatch
	case token != g.SecurityToken:
		return nil, invalidToken
	case g.revoked, !now.Before(g.Expires):
		return nil, tokenExpired403
	}
	return g, nil
}

// allows tells whether the grant covers a request.
func (g *grant) allows(c *storageCall) error {
	reads := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if c.key != g.Key || g.readOnly && !reads {
		return accessDenied("You have no right to access this object because of bucket acl.", "0003-00000001")
	}
	return nil
}

// Link returns a signed link that reads the object of a key, whether it exists
// or not, for a time from 1 s to 7 days. It is signed with an access key of
// its own.
func (s *Storage) Link(key string, life time.Duration) string {
	return s.presign(s.issue(key, true), s.base(), key, int(life/time.Second))
}

// base returns the URL before the keys of objects.
func (s *Storage) base() string {
	if a := s.Address(); a != "" {
		return a + "/" + s.options.Bucket + "/"
	}
	return "https://" + s.options.Bucket + "." + s.options.Endpoint + "/"
}

// randomText returns letters and digits.
func randomText(n int) string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i, c := range b {
		b[i] = letters[int(c)%len(letters)]
	}
	return string(b)
}

// randomBase64 returns n random bytes in Base64, without padding.
func randomBase64(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawStdEncoding.EncodeToString(b)
}
