package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// Reply is one scripted answer. The zero value is `200` with nothing in it.
// A Reply is either plain (Status, Header, Body) or a stream made by [Stream].
// It may be used for several requests.
type Reply struct {
	// Status is the HTTP status. Default: 200.
	Status int

	// Header is sent as it is. Only `x-request-id` is added, and the headers
	// of the ready-made replies are described there.
	Header http.Header

	// Body is the body of a plain answer.
	Body []byte

	render func(requestID string) []byte // makes the body of an envelope
	code   string                        // of a refusal, for the records
	detail string
	bare   bool // sent by what stands before the site: no headers of the site
	gzip   bool
	reset  bool // no answer: the connection is reset
	early  int  // informational status sent before
	gated  bool
	gate   <-chan struct{}
	stream bool
	steps  []Step
}

const (
	jsonType  = "application/json; charset=utf-8"
	htmlType  = "text/html; charset=utf-8"
	eventType = "text/event-stream; charset=utf-8"
)

// Stream returns an event stream made of steps. It ends cleanly (end of the
// body) after the last one.
func Stream(steps ...Step) Reply {
	return Reply{stream: true, steps: steps, Header: siteHeader(eventType, http.StatusOK)}
}

// Text returns a complete stream: [Created], one [Answer] per piece, [Usage]
// with small numbers, [Finish].
func Text(pieces ...string) Reply {
	steps := []Step{Created()}
	for _, p := range pieces {
		steps = append(steps, Answer(p))
	}
	return Stream(append(steps, Usage(10, len(pieces), 0), Finish())...)
}

// Gzip returns the reply with a gzip'ed body and `content-encoding: gzip`,
// whether the client asked for it or not. A stream is flushed after every
// frame.
func (r Reply) Gzip() Reply {
	r = r.WithHeader("Content-Encoding", "gzip")
	r.gzip = true
	return r
}

// WithHeader returns the reply with one more response header. A name that is
// already there is kept beside it, except for Content-Type,
// Content-Encoding and X-Actual-Status-Code, which are replaced.
func (r Reply) WithHeader(name, value string) Reply {
	if r.Header = r.Header.Clone(); r.Header == nil {
		r.Header = http.Header{}
	}
	switch http.CanonicalHeaderKey(name) {
	case "Content-Type", "Content-Encoding", "X-Actual-Status-Code":
		r.Header.Set(name, value)
	default:
		r.Header.Add(name, value)
	}
	return r
}

// WithStatus returns the reply with another HTTP status.
func (r Reply) WithStatus(status int) Reply {
	r.Status = status
	return r
}

// WithEarly returns the reply preceded by an informational response (1xx).
func (r Reply) WithEarly(status int) Reply {
	r.early = status
	return r
}

// After returns the reply held back, headers included, until the gate is
// closed or received from. Nil holds it back for ever.
func (r Reply) After(gate <-chan struct{}) Reply {
	r.gated, r.gate = true, gate
	return r
}

// siteHeader returns what the site sets on every answer: the wire status is
// mostly 200, the true one is in `x-actual-status-code`.
func siteHeader(contentType string, actual int) http.Header {
	return http.Header{
		"Content-Type":         {contentType},
		"X-Actual-Status-Code": {strconv.Itoa(actual)},
	}
}

// jsonReply returns a value without an envelope.
func jsonReply(v any) Reply {
	return Reply{Header: siteHeader(jsonType, http.StatusOK), Body: mustJSON(v)}
}

// success returns the envelope of a call that worked.
func success(data any) Reply {
	raw := mustJSON(data)
	return Reply{
		Header: siteHeader(jsonType, http.StatusOK),
		render: func(id string) []byte {
			b := appendString([]byte(`{"success":true,"request_id":`), id)
			b = append(append(b, `,"data":`...), raw...)
			return append(b, '}')
		},
	}
}

// refusal is the inner object of a failure envelope.
type refusal struct {
	Code     string `json:"code"`
	Details  string `json:"details"`
	Template string `json:"template,omitempty"`
	Num      int    `json:"num,omitempty"`
}

// Refusal returns the failure envelope of the site, HTTP 200 with
// `{"success":false,"request_id":…,"data":{"code":…,"details":…}}`. The
// header `x-actual-status-code` is 401, 403, 404, 429 or 500 for the codes
// that say so, else 400.
func Refusal(code, details string) Reply {
	return refuse(refusal{Code: code, Details: details})
}

func refuse(f refusal) Reply {
	raw := mustJSON(f)
	return Reply{
		code:   f.Code,
		detail: f.Details,
		Header: siteHeader(jsonType, actualStatus(f.Code)),
		render: func(id string) []byte {
			b := appendString([]byte(`{"success":false,"request_id":`), id)
			b = append(append(b, `,"data":`...), raw...)
			return append(b, '}')
		},
	}
}

func actualStatus(code string) int {
	switch code {
	case "Unauthorized", "unauthorized", "invalid_token":
		return http.StatusUnauthorized
	case "Not_Found", "CHAT_NOT_FOUND":
		return http.StatusNotFound
	case "RateLimited", "ParallelLimited", "Too_Many_Requests", "quotaLimited", "ExceedLimit", "quota_exhausted", "quota_limit":
		return http.StatusTooManyRequests
	case "internal_error", "Internal_Server_Error":
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// unauthorized is the answer to no credential, or to one that was never valid.
func unauthorized() Reply {
	return Refusal("Unauthorized", "You are not signed in. Please sign in and try again.")
}

// Expired is the answer to an access token that has run out: HTTP 200,
// lower-case code `unauthorized`, `x-actual-status-code: 401`.
func Expired() Reply {
	return Refusal("unauthorized", "Token has expired, please sign in again.")
}

// Unauthorized401 is the other spelling of a refused credential: a real HTTP
// status 401.
func Unauthorized401() Reply {
	return unauthorized().WithStatus(http.StatusUnauthorized)
}

// RateLimited is the daily limit: JSON instead of a stream, HTTP 200. Hours is
// the waiting time in the field `num`; 0 leaves the field out, as limits per
// minute do.
func RateLimited(hours int) Reply {
	f := refusal{Code: "RateLimited", Details: "You have reached the upper limit of requests. Please try again later."}
	if hours > 0 {
		f.Num = hours
		f.Details = "You have reached the upper limit for today's usage."
		f.Template = "You have reached the upper limit for today's usage. Please wait {{num}} hours before trying again."
	}
	return refuse(f)
}

// Burst is the overload limit: a stream that consists of one error frame.
func Burst() Reply {
	return Stream(ErrorFrame("Too_Many_Requests",
		"Request rate increased too quickly. To ensure system stability, please slow down."))
}

// ChallengeJSON is the site's human verification in JSON form: HTTP 200
// without `success`, and without any header of the site itself.
func ChallengeJSON() Reply {
	return Reply{
		bare:   true,
		code:   "FAIL_SYS_USER_VALIDATE",
		Header: http.Header{"Content-Type": {"application/json;charset=utf-8"}},
		Body: []byte(`{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::The system is busy, please try again later"],` +
			`"data":{"url":"https://chat.qwen.ai:443//api/v2/chat/completions/_____tmd_____/punish` +
			`?x5secdata=0000emulated0000&x5step=2&action=captcha&pureCaptcha="}}`),
	}
}

// ChallengeHTML is the site's human verification as a page. The status seen
// on the real site is 200, 405 or 503; 0 means 200.
func ChallengeHTML(status int) Reply {
	return Reply{
		bare:   true,
		Status: status,
		Header: http.Header{"Content-Type": {htmlType}},
		Body: []byte(`<!doctypehtml><html lang="en"><head><meta charset="utf-8"><title>Verification</title>` +
			`<meta name="aliyun_waf_aa" content="0000emulated0000"><meta name="aliyun_waf_bb" content="0000emulated0000">` +
			`</head><body><div id="aliyunCaptcha-window"></div>` +
			`<script src="/_____tmd_____/punish?x5secdata=0000emulated0000"></script></body></html>`),
	}
}

// LoginPage is the HTML page that some calls answer with when the credential
// is no longer good.
func LoginPage() Reply {
	return Reply{
		Header: http.Header{"Content-Type": {htmlType}},
		Body:   []byte(`<!doctype html><html lang="en"><head><title>Qwen Chat</title></head><body><div id="root"></div></body></html>`),
	}
}

// Busy is the refusal of a second completion while one is running in a chat.
func Busy() Reply {
	return Refusal("Bad_Request", "The chat is in progress!")
}

// ChatNotFound is the refusal of a chat that does not exist or was deleted.
func ChatNotFound() Reply { return chatNotFound("") }

func chatNotFound(id string) Reply {
	return Refusal("Not_Found", strings.Join(strings.Fields("The chat "+id+" is not exist"), " "))
}

// BrokenParent is the refusal of a chain of turns that the site cannot follow.
func BrokenParent() Reply {
	return Refusal("Bad_Request", "The first message must not be from the assistant.")
}

// ModelNotFound is the refusal of a model that is not in the catalogue.
func ModelNotFound() Reply {
	return Refusal("Not_Found", "Model not found")
}

// Moderation is the refusal of a prompt by the content filter.
func Moderation() Reply {
	return Refusal("data_inspection_failed", "Input data may contain inappropriate content.")
}

// TooManyMessages is the refusal of more than one entry in `messages`.
func TooManyMessages() Reply {
	return Refusal("Bad_Request", "The request has too many messages.")
}

// Internal is the refusal with the misleading text that the site gives for
// requests it does not like, for example those without a `version` header.
func Internal() Reply {
	return Refusal("Bad_Request", "Internal error, please try again later.")
}

// invalid is the refusal of a body that lacks a field or has a bad value in it.
func invalid(field, why string) Reply {
	return Refusal("RequestValidationError", "Field '"+field+"' "+why)
}

// Status is an answer of the servers in front of the site: that HTTP status
// with a short HTML page, and none of the site's own headers. Statuses
// without a body (204, 304) have none.
func Status(code int) Reply {
	r := Reply{Status: code, bare: true, Header: http.Header{"Content-Type": {htmlType}}}
	if code == http.StatusNoContent || code == http.StatusNotModified {
		r.Header = nil
		return r
	}
	title := strconv.Itoa(code) + " " + http.StatusText(code)
	r.Body = []byte("<html><head><title>" + title + "</title></head><body><center><h1>" + title + "</h1></center></body></html>\n")
	return r
}

// Empty is an event stream without a single byte in it.
func Empty() Reply {
	return Reply{Header: siteHeader(eventType, http.StatusOK)}
}

// EmptyStream is a stream that is complete but has no text.
func EmptyStream() Reply {
	return Stream(Created(), Finish())
}

// HangBeforeHeaders never answers: nothing is sent until the client leaves or
// the site is closed.
func HangBeforeHeaders() Reply {
	return EmptyStream().After(nil)
}
