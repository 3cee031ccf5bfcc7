package qwen

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Limits on answers that are not streams.
const (
	maxJSON    = 8 << 20  // of a regular answer; the list of models is the largest
	maxRefusal = 64 << 10 // of an answer that takes the place of a stream
)

// Client calls the site. Its fields must not change after the first call. It is
// safe for concurrent use.
type Client struct {
	// BaseURL is the address of the site, such as https://chat.qwen.ai, without
	// a slash at its end.
	BaseURL string
	// Version is what the site's own front end reports in the header `version`.
	// Completions without it are refused.
	Version string
	// AuthURL is the address of the host that renews access tokens, such as
	// https://auth.qwen.ai, without a slash at its end. If it is empty, BaseURL
	// takes its place.
	AuthURL string
	// Transport carries the requests. Redirects are not followed.
	Transport http.RoundTripper
	// OnSetCookie, if it is not nil, is called once for each answer that sets
	// cookies, whatever else the answer says, with what Credential.WithCookies
	// wants: the host of BaseURL, and the cookies that belong there. It is called
	// in the goroutine and with the context of the call, before the call returns,
	// and must be quick. Calls may overlap. The cookies are secret.
	OnSetCookie func(ctx context.Context, host string, set []*http.Cookie)
}

// request makes a request with the headers of the site's front end. The site
// wants a fresh `x-request-id` each time, and the local time in JavaScript's
// spelling.
func (c *Client) request(ctx context.Context, cred Credential, method, path string, body any) (*http.Request, error) {
	return c.requestURL(ctx, cred, method, c.BaseURL+path, body)
}

// requestURL is request for any of the site's hosts. The origin is that of the
// front end for all of them.
func (c *Client) requestURL(ctx context.Context, cred Credential, method, target string, body any) (*http.Request, error) {
	var payload io.Reader
	if body != nil {
		encoded, err := encode(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, err
	}
	h := make(http.Header, 16)
	req.Header = h
	h.Set("Accept", "application/json, text/plain, */*")
	h.Set("Accept-Encoding", "identity") // a compressed stream arrives late
	h.Set("Origin", c.BaseURL)
	h.Set("Source", "web")
	h.Set("Timezone", time.Now().Format("Mon Jan 02 2006 15:04:05 GMT-0700"))
	h.Set("Version", c.Version)
	h.Set("X-Request-Id", uuid.NewString())
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	if token := cred.AccessToken(); token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if cred.Cookies != "" {
		h.Set("Cookie", cred.Cookies)
	}
	for name, values := range cred.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return req, nil
}

// encode writes v as JSON without escaping for HTML.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// call makes a request whose answer is JSON and decodes the answer into out,
// unless out is nil.
func (c *Client) call(req *http.Request, op string, out any) error {
	resp, body, err := c.exchange(req, op)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return &Error{Kind: KindBadResponse, Op: op, Status: actualStatus(resp), Err: err}
	}
	return nil
}

// exchange makes a request whose answer is JSON and returns the answer. An answer
// that is something else, or tells of a failure, comes with an error. It is read
// to its end, so that the connection can be used again.
func (c *Client) exchange(req *http.Request, op string) (*http.Response, []byte, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, nil, named(op, classifyNetwork(err))
	}
	defer resp.Body.Close()
	body, err := readBody(resp, maxJSON)
	if err != nil {
		return nil, nil, named(op, asError(err))
	}
	if !succeeded(resp, body) {
		return resp, body, named(op, classifyResponse(resp, body))
	}
	return resp, body, nil
}

// asError returns err if it is an *Error, else it is one of the network.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return classifyNetwork(err)
}

func named(op string, e *Error) *Error {
	e.Op = op
	return e
}

// succeeded reports whether an answer is a JSON object that does not describe a
// failure.
func succeeded(resp *http.Response, body []byte) bool {
	var e envelope
	if !success(actualStatus(resp)) || json.Unmarshal(body, &e) != nil || len(e.Ret) > 0 {
		return false
	}
	if e.Success != nil {
		return *e.Success
	}
	return !e.failed()
}

// failed reports whether an answer without `success` describes a failure. Old
// paths answer so when they succeed, and some parts of the site when they fail.
func (e *envelope) failed() bool {
	if len(e.Data) > 0 && string(e.Data) != "null" {
		return false
	}
	_, named := codeKinds[strings.ToLower(string(e.Code))]
	_, described := parseFailure(e.Error)
	return named || described || e.ID == "" && (e.Detail != "" || e.Details != "")
}

// readBody reads at most limit bytes of the body.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	body, err := plainBody(resp)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(body, limit))
}

// plainBody returns the body without compression. The client does not ask for
// any, but a server may compress all the same.
func plainBody(resp *http.Response) (io.Reader, error) {
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, &Error{Kind: KindBadResponse, Detail: "its answer is compressed in an unknown way"}
	}
}
