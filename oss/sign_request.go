package oss

import (
	"net/http"
	"time"
)

// credentials are what signs requests, already checked.
type credentials struct{ id, secret, token, region string }

// scopeAt returns the scope of signatures made at the time.
func (c credentials) scopeAt(at time.Time) scope {
	return scope{at.UTC().Format(dayLayout), c.region, product}
}

// sign adds the headers of a signature of version 4 to the header. Headers that
// are added afterwards and are always signed make the signature wrong.
func (c credentials) sign(header http.Header, verb, bucket, key string, query []param, at time.Time) {
	stamp := at.UTC().Format(stampLayout)
	header.Set("x-oss-content-sha256", unsigned)
	header.Set("x-oss-date", stamp)
	if c.token != "" {
		header.Set("x-oss-security-token", c.token)
	}
	sc := c.scopeAt(at)
	s := signable{verb: verb, bucket: bucket, key: key, query: query, header: header}
	sig := signature(signingKey(c.secret, sc), stringToSign(stamp, sc, s.canonical()))
	header.Set("Authorization", authorization(c.id, sc, nil, sig))
}
