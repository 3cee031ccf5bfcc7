package qwen

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The site's HTTP status says little: most failures come with 200. What an
// answer means is read from its content, then from `x-actual-status-code`, and
// only then from the status.

// protectionMarks stand in the pages and JSON answers of the site's protection
// against programs.
var protectionMarks = []string{
	"fail_sys_user_validate", "rgv587", "_____tmd_____", "x5secdata", "/punish",
	"aliyun_waf", "aliyuncaptcha", "purecaptcha", "baxia",
}

// classifyResponse makes an error of an answer that is not what was asked for.
// The body may be cut.
func classifyResponse(resp *http.Response, body []byte) *Error {
	e := classifyBody(body)
	e.Status = actualStatus(resp)
	if vague := e.Kind == KindBadResponse || e.Kind == KindRejected; vague && !success(e.Status) || e.Kind == KindVerification && plainErrorPage(e.Status, body) {
		e.Kind = kindOfStatus(e.Status)
	}
	if e.RetryAfter == 0 && (e.Kind == KindRateLimited || e.Kind == KindUnavailable || e.Kind == KindQuota) {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), clockOf(resp))
	}
	return e
}

// actualStatus returns the status that the site means: `x-actual-status-code`
// if it is there, unless that hides a failure of what stands in front of it.
func actualStatus(resp *http.Response) int {
	n, err := strconv.Atoi(resp.Header.Get("X-Actual-Status-Code"))
	if err != nil || n < 100 || n > 599 || success(n) && !success(resp.StatusCode) {
		return resp.StatusCode
	}
	return n
}

func success(status int) bool { return status >= 200 && status <= 299 }

func kindOfStatus(status int) Kind {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return KindTooLong
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return KindCredential
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case status >= 500:
		return KindUnavailable
	case status >= 400:
		return KindRejected
	}
	return KindBadResponse
}

// retryAfter reads a Retry-After header: seconds or a date. What is absurd is
// brought between a second and an hour; 0 means that there is none.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(n, 1), 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), time.Second), time.Hour)
	}
	return 0
}

// envelope is what answers have around what was asked for. What stands in front of
// the site has `ret` instead; old paths, and descriptions of failures, have nothing
// around.
type envelope struct {
	Success *bool           `json:"success"`
	Ret     json.RawMessage `json:"ret"`
	Data    json.RawMessage `json:"data"`
	Error   json.RawMessage `json:"error"`
	ID      text            `json:"id"`
	failure
}

// classifyBody makes an error of the content of an answer, whole or cut.
func classifyBody(body []byte) *Error {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) == 0 {
		return &Error{Kind: KindBadResponse, Detail: "its answer is empty"}
	}
	if body[0] == '<' {
		// A page of the protection, or for signing in. The remedy is the same:
		// to open the site in a browser.
		return &Error{Kind: KindVerification}
	}
	var e envelope
	if json.Unmarshal(body, &e) != nil {
		if protected(body) {
			return &Error{Kind: KindVerification}
		}
		return &Error{Kind: KindBadResponse, Detail: "its answer is neither JSON nor a stream"}
	}
	if len(e.Ret) > 0 {
		return classifyRet(e.Ret, body)
	}
	for _, raw := range []json.RawMessage{e.Error, e.Data} {
		if f, ok := parseFailure(raw); ok {
			return f.classify()
		}
	}
	if e.Success != nil && !*e.Success || e.failure.present() {
		return e.failure.classify()
	}
	if protected(body) {
		return &Error{Kind: KindVerification}
	}
	return &Error{Kind: KindBadResponse, Detail: "its answer is not what was asked for"}
}

// plainErrorPage reports whether a page is only the server's way of showing a
// status. With 405 the site's protection answers where it says nothing else.
func plainErrorPage(status int, body []byte) bool {
	return !success(status) && status != http.StatusMethodNotAllowed && !protected(body)
}

// protected reports whether the content is from the site's protection.
func protected(body []byte) bool {
	lower := strings.ToLower(string(body[:min(len(body), 64<<10)]))
	for _, mark := range protectionMarks {
		if strings.Contains(lower, mark) {
			return true
		}
	}
	return false
}

// classifyRet takes an answer of the gateway before the site:
//
//	{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::…"],"data":{"url":"…/punish?…"}}
func classifyRet(ret json.RawMessage, body []byte) *Error {
	text := strings.ToUpper(string(ret))
	switch {
	case protected(body):
		return &Error{Kind: KindVerification, Code: "FAIL_SYS_USER_VALIDATE"}
	case strings.Contains(text, "SESSION") || strings.Contains(text, "TOKEN"):
		return &Error{Kind: KindCredential}
	}
	return &Error{Kind: KindUnavailable, Detail: clean(firstString(ret))}
}

func firstString(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		return list[0]
	}
	return ""
}

// classifyNetwork makes an error of a failed exchange.
func classifyNetwork(err error) *Error {
	e := &Error{Kind: KindNetwork, Err: err}
	var (
		unknown   x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		netErr    net.Error
		dnsErr    *net.DNSError
		tlsErrors = []any{&unknown, &invalid, &name, &verify, &record, &alert}
	)
	for _, target := range tlsErrors {
		if errors.As(err, target) {
			e.Kind = KindTLS
			return e
		}
	}
	switch {
	case errors.As(err, &dnsErr):
		e.Detail = "its name cannot be resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		e.Kind = KindTimeout
	}
	return e
}
