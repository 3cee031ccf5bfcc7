package qwen

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// failure is how the site describes a failure, at the top level of an answer,
// in `data`, or in `error`, with the spellings of several years:
//
//	{"success":false,"request_id":"…","data":{"code":"RateLimited","details":"…","num":4}}
type failure struct {
	Code    text `json:"code"`
	Details text `json:"details"`
	Detail  text `json:"detail"`
	Message text `json:"message"`
	Num     text `json:"num"`
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

// signInPhrases tell that nobody is signed in, where no code and no other phrase
// tells what the failure is.
var signInPhrases = []string{
	"please sign in", "to sign in", "please log in", "please login", "to log in", "logged in",
	"not authenticated", "session has expired", "session expired",
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
	if e.Kind == KindRejected && containsAny(lower, signInPhrases) {
		e.Kind = KindCredential
	}
	if e.Kind == KindQuota {
		hours, _ := strconv.ParseFloat(string(f.Num), 64)
		e.quota(hours)
	}
	if protected([]byte(said)) {
		return &Error{Kind: KindVerification}
	}
	return e
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
}

// quota completes an error of the daily limit. The site gives the hours to wait
// for it, and none for the limit per minute, which has the same code.
func (e *Error) quota(hours float64) {
	switch {
	case hours > 0:
		e.RetryAfter = max(time.Duration(min(hours, 24)*float64(time.Hour)), time.Second)
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
		if !strings.Contains(w, "://") && !strings.ContainsAny(w, "<>") && len(w) <= 100 {
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
