package emulator

import (
	"crypto/hmac"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far the clocks of client and storage may be apart.
const maxSkew = 15 * time.Minute

// maxLinkLife is the longest life of a signed link in seconds.
const maxLinkLife = 7 * 24 * 3600

// How a request was signed, as the records name it.
const (
	signedHeader = "header"
	signedQuery  = "query"
	signedForm   = "form"
)

// authenticate finds the grant that a request was signed with.
func (s *Storage) authenticate(c *storageCall) (*grant, error) {
	header, query := c.r.Header.Get("Authorization"), c.query.Has("x-oss-signature") || c.query.Has("x-oss-signature-version")
	switch {
	case header != "" && query:
		return nil, bothSignatures
	case header != "":
		return s.authenticateHeader(c, header)
	case query:
		return s.authenticateQuery(c)
	}
	return nil, accessDenied("Anonymous user has no right to access this bucket.", "0003-00000001")
}

// authenticateHeader checks the signature in the header Authorization.
func (s *Storage) authenticateHeader(c *storageCall, header string) (*grant, error) {
	a, err := parseAuthorization(header)
	if err != nil {
		return nil, err
	}
	date := c.r.Header.Get("X-Oss-Date")
	s.noteSignature(c, signedHeader, a.id, date)
	at, err := time.Parse(storageTime, date)
	if err != nil {
		return nil, invalidArgument("The header x-oss-date is missing or is no time such as "+storageTime+".", "")
	}
	if d := at.Sub(c.now); d > maxSkew || d < -maxSkew {
		return nil, tooSkewed(at, c.now)
	}
	if c.r.Header.Get("X-Oss-Content-Sha256") != unsigned {
		return nil, invalidArgument("The header x-oss-content-sha256 must be "+unsigned+".", "0002-00000214")
	}
	if err := present(c.r, a.additional); err != nil {
		return nil, err
	}
	return s.verify(c, a, date, c.r.Header.Get("X-Oss-Security-Token"))
}

// authenticateQuery checks the signature of a link.
func (s *Storage) authenticateQuery(c *storageCall) (*grant, error) {
	q := c.query
	if q.Get("x-oss-signature-version") != signAlgorithm {
		return nil, invalidArgument("x-oss-signature-version must be "+signAlgorithm+".", "")
	}
	var a authorization
	var ok bool
	if a.credential, ok = parseCredential(q.Get("x-oss-credential")); !ok {
		return nil, invalidArgument("x-oss-credential is invalid.", "")
	}
	if q.Has("x-oss-additional-headers") {
		if a.additional, ok = parseAdditional(q.Get("x-oss-additional-headers")); !ok {
			return nil, invalidArgument("x-oss-additional-headers is invalid.", "0002-00000210")
		}
	}
	if err := present(c.r, a.additional); err != nil {
		return nil, err
	}
	a.signature = q.Get("x-oss-signature")
	s.noteSignature(c, signedQuery, a.id, q.Get("x-oss-date"))
	if err := checkLinkTime(q.Get("x-oss-date"), q.Get("x-oss-expires"), c.now); err != nil {
		return nil, err
	}
	return s.verify(c, a, q.Get("x-oss-date"), q.Get("x-oss-security-token"))
}

// checkLinkTime checks when a link begins and ends.
func checkLinkTime(date, expires string, now time.Time) error {
	at, err := time.Parse(storageTime, date)
	if err != nil {
		return invalidArgument("x-oss-date is missing or is no time such as "+storageTime+".", "")
	}
	life, err := strconv.Atoi(expires)
	if err != nil || life < 1 || life > maxLinkLife {
		return invalidArgument(fmt.Sprintf("x-oss-expires must be from 1 to %d.", maxLinkLife), "")
	}
	if at.Sub(now) > maxSkew {
		return accessDenied("The request is not valid yet.", "")
	}
	if end := at.Add(time.Duration(life) * time.Second); !now.Before(end) {
		return accessDenied("Request has expired.", "").with("Expires", end.Format(policyTime)).with("ServerTime", now.Format(policyTime))
	}
	return nil
}

// present checks that the additional headers are in the request.
func present(r *http.Request, additional []string) error {
	for _, name := range additional {
		if name != "host" && r.Header.Values(name) == nil {
			return invalidArgument("The additional header "+name+" is not in the request.", "0002-00000210")
		}
	}
	return nil
}

// tooSkewed is the refusal of a clock that is wrong.
func tooSkewed(at, now time.Time) error {
	return storageFailure(http.StatusForbidden, "RequestTimeTooSkewed",
		"The difference between the request time and the current time is too large.", "0002-00000504").
		with("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10)).
		with("RequestTime", at.Format(policyTime)).
		with("ServerTime", now.Format(policyTime))
}

// verify checks scope, key, token and signature of a request.
func (s *Storage) verify(c *storageCall, a authorization, date, token string) (*grant, error) {
	if err := s.checkScope(a.scope, date); err != nil {
		return nil, err
	}
	g, err := s.lookUp(a.id, token, c.now)
	if err != nil {
		return nil, err
	}
	canonical := canonicalRequest(c.r, c.bucket, c.key, a.additional)
	text := stringToSign(date, a.scope, canonical)
	if !hmac.Equal([]byte(sign(g.AccessKeySecret, a.scope, text)), []byte(a.signature)) {
		return nil, wrongSignature.with("OSSAccessKeyId", a.id).with("SignatureProvided", a.signature).
			with("StringToSign", text).with("CanonicalRequest", canonical)
	}
	return g, nil
}

// checkScope checks that a signature is meant for this storage and its day.
func (s *Storage) checkScope(sc scope, date string) error {
	switch {
	case !strings.HasPrefix(date, sc.day+"T"):
		return invalidArgument("The day of the credential is not that of x-oss-date.", "")
	case sc.region != s.scoped:
		return invalidArgument(fmt.Sprintf("Invalid signing region in Authorization header. Expected: %q.", s.scoped), "0002-00000226")
	case sc.product != storageProduct:
		return invalidArgument("Invalid signing product in Authorization header. Expected: \"oss\".", "")
	}
	return nil
}
