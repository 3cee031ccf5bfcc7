package oss

import (
	"net"
	"net/url"
	"strings"
)

// trustedSuffix ends the name of every host that may see a grant.
const trustedSuffix = ".aliyuncs.com"

// TrustedHost tells whether the host belongs to the storage service, so that a
// grant may be sent to it and an object fetched from it. The host is that of a
// URL: a name, with :443 behind it or no port. Only names under aliyuncs.com in
// plain ASCII letters, digits and hyphens are trusted; addresses, names that end
// with a dot, other ports, user names and look-alikes are not.
func TrustedHost(host string) bool {
	_, ok := trusted(host)
	return ok
}

// trusted returns the host in lower case and without its port.
func trusted(host string) (string, bool) {
	host = lowerASCII(strings.TrimSuffix(host, ":443"))
	if len(host) > 253 || !strings.HasSuffix(host, trustedSuffix) {
		return "", false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !plainLabel(label) {
			return "", false
		}
	}
	return host, true
}

// lowerASCII lowers ASCII letters only: strings.ToLower turns the Kelvin sign
// into a k, and with it a foreign name into a trusted one.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// plainLabel tells whether s is one label of a host name: 1 to 63 lower-case
// letters, digits and hyphens, no hyphen at either end.
func plainLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// plainBucket tells whether s can be the name of a bucket.
func plainBucket(s string) bool { return len(s) >= 3 && plainLabel(s) }

// normalise returns the host of an endpoint without scheme, port and bucket. It
// accepts a name, or an https URL of nothing but a name, that is trusted.
func normalise(endpoint, bucket string) (string, bool) {
	host := endpoint
	if scheme, rest, found := strings.Cut(endpoint, "://"); found {
		if lowerASCII(scheme) != "https" {
			return "", false
		}
		host = rest
	}
	host, ok := trusted(strings.TrimSuffix(host, "/"))
	if !ok {
		return "", false
	}
	// A bucket may be called like the first label of the endpoint itself; then
	// what remains without it is not a host of the service.
	if rest, found := strings.CutPrefix(host, bucket+"."); found && TrustedHost(rest) {
		host = rest
	}
	return host, true
}

// A target is where requests go.
type target struct {
	scheme, host string // the host with the bucket in front, unless pathStyle
	bucket       string
	pathStyle    bool
}

// grantTarget returns the target a grant names; ok is false if it may not be trusted.
func grantTarget(g Grant) (t target, ok bool) {
	host, ok := normalise(g.Endpoint, g.Bucket)
	if !ok {
		return target{}, false
	}
	host = g.Bucket + "." + host
	return target{scheme: "https", host: host, bucket: g.Bucket}, len(host) <= 253
}

// ownTarget returns the target for an endpoint the owner has set.
func ownTarget(endpoint *url.URL, bucket string) (t target, ok bool) {
	if endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Hostname() == "" ||
		strings.Trim(endpoint.Path, "/") != "" || endpoint.User != nil || endpoint.RawQuery != "" {
		return target{}, false
	}
	t = target{scheme: endpoint.Scheme, host: endpoint.Host, bucket: bucket}
	if t.pathStyle = net.ParseIP(endpoint.Hostname()) != nil; !t.pathStyle {
		t.host = bucket + "." + t.host
	}
	return t, true
}

// url returns the address of the key, or of the bucket if key is empty. Path and
// query go over the wire as they are signed.
func (t target) url(key string, query []param) *url.URL {
	path := "/" + key
	if t.pathStyle {
		path = "/" + t.bucket + path
	}
	return &url.URL{
		Scheme: t.scheme, Host: t.host,
		Path: path, RawPath: escape(path, true),
		RawQuery: canonicalQuery(query),
	}
}
