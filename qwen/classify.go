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
	"unicode"
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
	if e.Kind == KindBadResponse || e.Kind == KindVerification && plainErrorPage(e.Status, body) {
		e.Kind = kindOfStatus(e.Status)
	}
	if e.RetryAfter == 0 && (e.Kind == KindRateLimited || e.Kind == KindUnavailable) {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// actualStatus returns the status that the site means: `x-actual-status-code`
// if it is there.
func actualStatus(resp *http.Response) int {
	if n, err := strconv.Atoi(resp.Header.Get("X-Actual-Status-Code")); err == nil && n >= 100 && n < 600 {
		return n
	}
	return resp.StatusCode
}

func kindOfStatus(status int) Kind {
	switch {
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
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(n, 1), 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), time.Second), time.Hour)
	}
	return 0
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
	var envelope struct {
		Success *bool           `json:"success"`
		Ret     json.RawMessage `json:"ret"`
		Data    json.RawMessage `json:"data"`
		Error   json.RawMessage `json:"error"`
		failure
	}
	if json.Unmarshal(body, &envelope) != nil {
		if protected(body) {
			return &Error{Kind: KindVerification}
		}
		return &Error{Kind: KindBadResponse, Detail: "its answer is neither JSON nor a stream"}
	}
	if len(envelope.Ret) > 0 {
		return classifyRet(envelope.Ret, body)
	}
	for _, raw := range []json.RawMessage{envelope.Error, envelope.Data} {
		if f, ok := parseFailure(raw); ok {
			return f.classify()
		}
	}
	if envelope.Success != nil && !*envelope.Success || envelope.failure.present() {
		return envelope.failure.classify()
	}
	if protected(body) {
		return &Error{Kind: KindVerification}
	}
	return &Error{Kind: KindBadResponse, Detail: "its answer is not what was asked for"}
}

// plainErrorPage reports whether a page is only the server's way of showing a
// status. With 405 the site's protection answers where it says nothing else.
func plainErrorPage(status int, body []byte) bool {
	success := status >= 200 && status <= 299
	return !success && status != http.StatusMethodNotAllowed && !protected(body)
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

// failure is how the site describes a failure, at the top level of an answer,
// in `data`, or in `error`, with the spellings of several years:
//
//	{"success":false,"request_id":"…","data":{"code":"RateLimited","details":"…","num":4}}
type failure struct {
	Code    text    `json:"code"`
	Details text    `json:"details"`
	Detail  text    `json:"detail"`
	Message text    `json:"message"`
	Num     float64 `json:"num"`
}

// text is a string, or the text of any other JSON value.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	if json.Unmarshal(raw, &s) != nil && string(raw) != "null" {
		s = string(raw)
	}
	*t = text(s)
	return nil
}

// parseFailure reads the value of `data` or `error`: an object, or a string.
func parseFailure(raw json.RawMessage) (failure, bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil && s != "" {
		return failure{Details: text(s)}, true
	}
	var f failure
	if err := json.Unmarshal(raw, &f); err != nil && f == (failure{}) {
		return failure{}, false
	}
	if !f.present() {
		var nested struct{ Error json.RawMessage }
		if json.Unmarshal(raw, &nested) == nil && len(nested.Error) > 0 {
			return parseFailure(nested.Error)
		}
	}
	return f, f.present()
}

func classifyFailure(raw []byte) *Error {
	f, _ := parseFailure(raw)
	return f.classify()
}

func (f failure) present() bool {
	return f.Code != "" || f.Details != "" || f.Detail != "" || f.Message != ""
}

// said returns the sentence in which the site explains the failure.
func (f failure) said() string {
	for _, s := range []text{f.Details, f.Detail, f.Message} {
		if s != "" {
			return string(s)
		}
	}
	return ""
}

// codeKinds are the site's names of failures, in lower case.
var codeKinds = map[string]Kind{
	"ratelimited":            KindQuota,
	"quotalimited":           KindQuota,
	"exceedlimit":            KindQuota,
	"quota_exhausted":        KindQuota,
	"quota_limit":            KindQuota,
	"parallellimited":        KindRateLimited,
	"too_many_requests":      KindRateLimited,
	"unauthorized":           KindCredential,
	"invalid_token":          KindCredential,
	"chat_not_found":         KindChatNotFound,
	"data_inspection_failed": KindContent,
	"internal_error":         KindUnavailable,
	"internal_server_error":  KindUnavailable,
	"fail_sys_user_validate": KindVerification,
	"bad_request":            KindRejected,
	"invalid_input":          KindRejected,
	"requestvalidationerror": KindRejected,
	"not_found":              KindRejected,
}

// phraseKinds are parts of sentences, in lower case, that tell more than the
// code next to them. The first that matches decides.
var phraseKinds = []struct {
	phrase string
	kind   Kind
}{
	{"chat is in progress", KindBusy},
	{"first message must not", KindChatNotFound},
	{"is not exist", KindChatNotFound},
	{"chat not found", KindChatNotFound},
	{"model not found", KindModelNotFound},
	{"token has expired", KindCredential},
	{"request rate increased too quickly", KindRateLimited},
	{"high demand", KindRateLimited},
	{"allocated quota exceeded", KindRateLimited},
	{"token-limit", KindRateLimited},
	{"data_inspection_failed", KindContent},
	{"inappropriate content", KindContent},
	{"input length should be", KindTooLong},
	{"maximum context length", KindTooLong},
	{"context length exceeded", KindTooLong},
	{"prompt is too long", KindTooLong},
	{"internal error", KindUnavailable},
}

func (f failure) classify() *Error {
	said := f.said()
	e := &Error{Code: identifier(string(f.Code)), Detail: clean(said), Kind: KindBadResponse}
	lower := strings.ToLower(said)
	if kind, ok := codeKinds[strings.ToLower(string(f.Code))]; ok {
		e.Kind = kind
	} else if f.present() {
		e.Kind = KindRejected
	}
	for _, p := range phraseKinds {
		if strings.Contains(lower, p.phrase) && e.Kind != KindQuota {
			e.Kind = p.kind
			break
		}
	}
	if e.Kind == KindQuota {
		e.quota(f.Num)
	}
	if protected([]byte(said)) {
		return &Error{Kind: KindVerification}
	}
	return e
}

// quota completes an error of the daily limit. The site gives the hours to wait
// for it, and none for the limit per minute, which has the same code.
func (e *Error) quota(hours float64) {
	switch {
	case hours > 0:
		e.RetryAfter = time.Duration(min(hours, 24) * float64(time.Hour))
	case strings.EqualFold(e.Code, "RateLimited"):
		e.Kind = KindRateLimited
	}
}

// clean makes a sentence of the site fit for a message: one line of at most 200
// characters, without addresses, which may contain signatures.
func clean(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	kept := words[:0]
	for _, w := range words {
		if !strings.Contains(w, "://") && len(w) <= 100 {
			kept = append(kept, w)
		}
	}
	runes := []rune(strings.Join(kept, " "))
	return string(runes[:min(len(runes), 200)])
}

// identifier returns s if it is a plain name of at most 64 characters.
func identifier(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-' || r == '.')
	}) < 0
	if plain && len(s) <= 64 {
		return s
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
