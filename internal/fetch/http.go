package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// transport makes the transport of one fetch. No connection is used twice, so
// that each is dialled under the checks of its own fetch. A proxy of the
// environment is not used: behind it, addresses could not be checked.
func (c *Client) transport(guard *guard, t times) http.RoundTripper {
	dial := &dialer{guard: guard, resolver: c.resolver, connect: c.connect, times: t}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dial.dial,
		TLSClientConfig:        &tls.Config{RootCAs: c.roots},
		TLSHandshakeTimeout:    t.handshake,
		ResponseHeaderTimeout:  t.firstByte,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		DisableKeepAlives:      true,
	}
}

// newRequest makes a request that tells nothing of who asks for it.
func newRequest(ctx context.Context, u *url.URL) *http.Request {
	request := &http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   u.Host,
		Header: http.Header{
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
			"User-Agent":      {userAgent},
			marker:            {"1"},
		},
	}
	return request.WithContext(ctx)
}

// judge tells what an answer is: the file, when both results are nil, or a
// redirect, or of no use.
func judge(guard *guard, from *url.URL, answer *http.Response) (next *url.URL, err error) {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return redirect(guard, from, answer.Header.Get("Location"))
	case http.StatusOK:
		for _, encoding := range answer.Header.Values("Content-Encoding") {
			if encoding != "" && !strings.EqualFold(encoding, "identity") {
				reason := fmt.Sprintf("%s: content encoding %.40q", from.Hostname(), encoding)
				return nil, &Error{Kind: KindEncoded, Reason: reason}
			}
		}
		return nil, nil
	}
	return nil, fmt.Errorf("status %d", answer.StatusCode)
}

// redirect checks the target of a redirect like a URL that a client gives.
func redirect(guard *guard, from *url.URL, location string) (*url.URL, error) {
	target, err := url.Parse(location)
	if err != nil || location == "" {
		return nil, errors.New("redirect to what is no URL")
	}
	next, err := guard.parse(from.ResolveReference(target).String())
	if invalid, ok := errors.AsType[*Error](err); ok && invalid.Kind == KindInvalid {
		return nil, fmt.Errorf("redirect: %s", invalid.Reason) // the client's own URL was fine
	}
	return next, err
}

// fileName gives the name from the header, else the end of the path.
func fileName(answer *http.Response) string {
	if _, params, err := mime.ParseMediaType(answer.Header.Get("Content-Disposition")); err == nil {
		if name := params["filename"]; name != "" {
			return name
		}
	}
	if name := path.Base(answer.Request.URL.Path); name != "/" && name != "." {
		return name
	}
	return ""
}
