// Package fetch gets files from URLs that clients give, without letting them
// reach anything but public web servers: every address is checked when it is
// dialled, so neither redirects nor names that change their address get around it.
package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Kind says what went wrong, as far as the client may know.
type Kind uint8

// What can go wrong. Only what is known before any packet to the target is
// blocked; a target that is open, closed or silent makes no difference.
const (
	// KindInvalid: this is no usable URL.
	KindInvalid Kind = iota + 1
	// KindBlocked: the scheme, port, user name, host or address is not allowed.
	KindBlocked
	// KindFailed: the name is not found, the connection or TLS failed, it took
	// too long, there were too many redirects, or the answer is not 200.
	KindFailed
	// KindEncoded: the server sends compressed content though nobody asked for it.
	KindEncoded
)

// Error says why a file was not fetched. Its text is the same for all errors of
// a kind and may be shown to clients; Reason and Err are for the owner only.
type Error struct {
	Kind   Kind
	Reason string // the host and what is wrong with it
	Err    error  // the cause, or nil
}

func (e *Error) Error() string {
	switch e.Kind {
	case KindInvalid:
		return "this URL cannot be used: give a complete http or https URL of at most 2048 characters without blanks"
	case KindBlocked:
		return "this URL is not allowed: only http and https URLs of public servers on the standard ports are"
	case KindEncoded:
		return "the file could not be fetched because its server compresses it; send the file itself instead"
	}
	return "the file could not be fetched from this URL; send the file itself instead"
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Client gets files. The zero value is ready for use and reaches public servers
// only. Its fields must not change after the first use; it is safe for concurrent
// use.
//
// Of the time allowed, looking up a name and connecting may take 5 seconds each,
// the first byte of the answer 10, and everything up to the end of the content 30.
type Client struct {
	// Allowed are addresses that may be reached besides public ones, on any port:
	// the owner's own servers. Default: none.
	Allowed []netip.Prefix
	// OwnHosts gives the names of this server, which are refused so that it does
	// not ask itself. *.example.com stands for all names one level below. May be nil.
	OwnHosts func() []string

	// For tests, in place of the network, the usual ports, the system's roots and
	// the usual times.
	resolver *net.Resolver
	connect  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	ports    []uint16
	roots    *x509.CertPool
	times    times
}

// times bounds how long things take. Zero values mean the defaults.
type times struct{ lookup, connect, handshake, firstByte, total time.Duration }

func (t times) withDefaults() times {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	or(&t.lookup, 5*time.Second)
	or(&t.connect, 5*time.Second)
	or(&t.handshake, 5*time.Second)
	or(&t.firstByte, 10*time.Second)
	or(&t.total, 30*time.Second)
	return t
}

const (
	maxRedirects = 3
	maxHeader    = 64 << 10 // bytes in the header of an answer
	userAgent    = "caddy-qwen"
	// marker is the request header by which a server knows its own requests.
	marker = "X-Caddy-Qwen-Fetch"
)

// IsMarked tells whether a request with this header was made by a [Client]. A
// server that serves such a request would be asking itself.
func IsMarked(h http.Header) bool { return len(h[marker]) > 0 }

// Response is an answer with status 200.
type Response struct {
	// Body is the content, of any length and type, to be closed by the caller.
	// Its errors are of type [*Error] and [KindFailed].
	Body io.ReadCloser
	// ContentType is what the server declared, or "".
	ContentType string
	// FileName is the name that the server or the end of the URL gives, or "". It
	// is as untrusted as the content.
	FileName string
	// Size is the length in bytes that the server declared, or -1.
	Size int64
}

// Get asks for the file at rawURL. The errors are of type [*Error]; when ctx
// ends, errors.Is finds its error too.
func (c *Client) Get(ctx context.Context, rawURL string) (*Response, error) {
	guard := newGuard(c)
	u, err := guard.parse(rawURL)
	if err != nil {
		return nil, err
	}
	t := c.times.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, t.total)
	answer, err := follow(ctx, c.transport(guard, t), guard, u)
	if err != nil {
		cancel()
		return nil, asError(u.Hostname(), err)
	}
	return &Response{
		Body:        &body{ReadCloser: answer.Body, host: u.Hostname(), cancel: cancel},
		ContentType: answer.Header.Get("Content-Type"),
		FileName:    fileName(answer),
		Size:        answer.ContentLength,
	}, nil
}

// asError gives every error its type. Those of the transport name addresses, not
// URLs.
func asError(host string, err error) error {
	if typed, ok := errors.AsType[*Error](err); ok {
		return typed
	}
	return &Error{Kind: KindFailed, Reason: fmt.Sprintf("%s: %v", host, err), Err: err}
}

// body is the content of an answer. The time for the whole fetch runs until it is
// closed.
type body struct {
	io.ReadCloser
	host   string
	cancel context.CancelFunc
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = asError(b.host, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// follow asks for u and for what the answers redirect to.
func follow(ctx context.Context, via http.RoundTripper, guard *guard, u *url.URL) (*http.Response, error) {
	for range maxRedirects + 1 {
		answer, err := via.RoundTrip(newRequest(ctx, u))
		if err != nil {
			return nil, err
		}
		next, err := judge(guard, u, answer)
		if next == nil && err == nil {
			return answer, nil
		}
		answer.Body.Close() // nothing of it is wanted
		if err != nil {
			return nil, err
		}
		u = next
	}
	return nil, fmt.Errorf("more than %d redirects", maxRedirects)
}
