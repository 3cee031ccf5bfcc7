package caddyqwen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const (
	// dnsTime and connectTime bound one question to the DNS, and one request that
	// only tries the way.
	dnsTime     = 10 * time.Second
	connectTime = 15 * time.Second
	// clockWarning and clockFailure are how far the clock may be off. Access tokens
	// end 15 minutes after they were issued.
	clockWarning = time.Minute
	clockFailure = 5 * time.Minute
	// certificateWarning is how long before its end a certificate is told of, which
	// is usually renewed earlier.
	certificateWarning = 3 * 24 * time.Hour
)

// clockReading is what the site's clock has said, and ours at the same time.
type clockReading struct{ theirs, ours time.Time }

// hosts tries the ways to the site and to the host that renews access tokens.
func (d *doctor) hosts() {
	for i, address := range []string{d.h.BaseURL, d.h.AuthBaseURL} {
		if i > 0 && address == d.h.BaseURL {
			continue
		}
		u, err := url.Parse(address)
		if err != nil {
			continue // it was checked when the configuration was loaded
		}
		var resolved finding
		d.step("dns", "", func() finding {
			resolved = d.resolve(u)
			return resolved
		})
		tried := d.step("connection", "", func() finding {
			if resolved.Status == stepFailed {
				return skipped("%s has no address", u.Hostname())
			}
			return d.connect(d.h.client.Transport, u, i == 0)
		})
		if i == 0 {
			d.reachable = tried.Status == stepOK || tried.Status == stepWarning
		}
	}
}

// resolve asks the DNS for a host.
func (d *doctor) resolve(u *url.URL) finding {
	host := u.Hostname()
	switch {
	case net.ParseIP(host) != nil:
		return skipped("%s is an address", host)
	case d.proxied(u):
		return skipped("%s is reached through a proxy", host)
	}
	ctx, cancel := context.WithTimeout(d.ctx, dnsTime)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		var failed *net.DNSError
		reason := "it fails"
		if errors.As(err, &failed) {
			reason = failed.Err
		}
		return wrong(fmt.Sprintf("%s has no address: %s", host, reason), "check the name in the configuration, the network of this computer, and its DNS servers")
	}
	return fine("%s is %s", host, strings.Join(addresses, ", "))
}

// proxied reports whether requests to an address go through a proxy, or may do so.
func (d *doctor) proxied(u *url.URL) bool {
	wrapped, _ := d.h.client.Transport.(ownVars)
	transport, ok := wrapped.RoundTripper.(*reverseproxy.HTTPTransport)
	if !ok {
		return true // only the transport knows
	}
	if transport.Transport.Proxy == nil {
		return false
	}
	ctx := context.WithValue(d.ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return false
	}
	proxy, err := transport.Transport.Proxy(r)
	return err != nil || proxy != nil
}

// connect makes a request without any credential, only to see whether there is an
// answer.
func (d *doctor) connect(transport http.RoundTripper, u *url.URL, readClock bool) finding {
	ctx, cancel := context.WithTimeout(d.ctx, connectTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.Scheme+"://"+u.Host+"/", nil)
	if err != nil {
		return wrong("the address cannot be used", "correct it in the configuration")
	}
	begun := time.Now()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return d.unreachable(u, err)
	}
	resp.Body.Close()
	if at, err := http.ParseTime(resp.Header.Get("Date")); readClock && err == nil {
		d.siteTime = clockReading{theirs: at, ours: begun.Add(time.Since(begun) / 2)}
	}
	where := u.Host
	if d.proxied(u) {
		where += ", perhaps through a proxy,"
	}
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		return fine("%s answers; nothing is encrypted on the way", where)
	}
	leaf := resp.TLS.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	text := fmt.Sprintf("%s answers; its certificate, issued by %s, is good for %s", where, issuer(leaf), counted(int(left.Hours()/24), "more day"))
	if len(resp.TLS.VerifiedChains) == 0 {
		return doubtful(where+" answers; its certificate is not checked", "remove `tls_insecure_skip_verify` from the transport: anybody on the way can read the credential")
	}
	if left < certificateWarning {
		return doubtful(text, "nothing, if it is the site's own: the site has to renew it")
	}
	return fine("%s", text)
}

// issuer names who has issued a certificate.
func issuer(c *x509.Certificate) string {
	name := c.Issuer
	if len(name.Organization) > 0 {
		return name.Organization[0]
	}
	if name.CommonName != "" {
		return name.CommonName
	}
	return "somebody without a name"
}

// unreachable says why there is no answer.
func (d *doctor) unreachable(u *url.URL, err error) finding {
	var (
		plain   tls.RecordHeaderError
		unknown *x509.UnknownAuthorityError
		value   x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		timeout net.Error
	)
	if errors.As(err, &value) {
		unknown = &value
	}
	what, remedy := u.Host+" cannot be reached", "check the network, the firewall and the proxy settings of this computer"
	switch {
	case unknown != nil && unknown.Cert != nil:
		what = fmt.Sprintf("the certificate of %s is issued by %s, whom this computer does not trust", u.Host, issuer(unknown.Cert))
		remedy = "something on the way, such as a company's proxy or an antivirus program, may read along: go without it, or trust its certificate with `transport http { tls_trust_pool … }`; if the name is that of a public authority, update the root certificates of this computer"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		what = "the certificate of " + u.Host + " has expired, or is not good yet, by the clock of this computer"
		remedy = "check the clock of this computer"
	case errors.As(err, &host):
		what = "the certificate is not for " + u.Host
		remedy = "something on the way answers in place of the site: check the DNS, and whether this network wants a login first"
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		what = u.Host + " answers, but does not encrypt"
		remedy = "check the address in the configuration; if it is right, something on the way answers in place of the site, such as a network that wants a login first"
	// Caddy's transport keeps the cause to itself, but for its text.
	case strings.Contains(err.Error(), "refused"):
		what = u.Host + " refuses the connection"
	case errors.As(err, &timeout) && timeout.Timeout(), strings.Contains(err.Error(), "timeout"):
		what = u.Host + " does not answer in time"
	}
	return wrong(what, remedy)
}

// clock compares the clocks.
func (d *doctor) clock() finding {
	if !d.reachable {
		return skipped("the site cannot be reached")
	}
	if d.siteTime.theirs.IsZero() {
		return skipped("the site does not tell its time")
	}
	off := d.siteTime.ours.Sub(d.siteTime.theirs) // which it tells in whole seconds
	text := "the clock of this computer agrees with that of the site"
	if off.Abs() > 2*time.Second {
		direction := "ahead of"
		if off < 0 {
			direction = "behind"
		}
		text = fmt.Sprintf("the clock of this computer is %s %s that of the site", off.Abs().Round(time.Second), direction)
	}
	const remedy = "let this computer set its clock by NTP, such as with `timedatectl set-ntp true`; access tokens end after minutes"
	switch {
	case off.Abs() > clockFailure:
		return wrong(text, remedy)
	case off.Abs() > clockWarning:
		return doubtful(text, remedy)
	}
	return fine("%s", text)
}
