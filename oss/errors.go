package oss

import (
	"strconv"
	"strings"
)

// A Kind says what went wrong, and with it what the caller can do.
type Kind uint8

// The kinds of errors.
const (
	// KindNetwork: the storage could not be reached, or the connection broke, on
	// every attempt. Later it may work.
	KindNetwork Kind = iota + 1
	// KindTimeout: a connection stood still, an answer did not come, or the
	// deadline of the context passed.
	KindTimeout
	// KindCanceled: the caller's context was cancelled. The error wraps
	// context.Canceled.
	KindCanceled
	// KindExpired: the storage no longer accepts the keys of the grant. A new
	// grant, for a new key, and a new start are needed.
	KindExpired
	// KindUntrusted: the grant names a host, a port, a scheme or a bucket that
	// cannot be the storage service. Nothing was sent.
	KindUntrusted
	// KindRefused: the storage, or this package before it sent anything, refuses
	// the upload; the same again would be refused again.
	KindRefused
	// KindUnavailable: the storage answered 5xx, 429 or 408 on every attempt.
	KindUnavailable
	// KindMismatch: the storage holds other bytes than were sent, or than the
	// object was said to have, also after repeats. It must not be used.
	KindMismatch
	// KindBadResponse: an answer of the storage, or the grant, lacks something or
	// cannot be understood.
	KindBadResponse
	// KindBody: the object's body could not be read.
	KindBody
)

var kindNames = [...]string{
	"unknown", "network", "timeout", "canceled", "expired", "untrusted", "refused",
	"unavailable", "mismatch", "bad_response", "body",
}

// String returns a short name for logs, such as "bad_response".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return kindNames[0]
	}
	return kindNames[k]
}

// advice says in plain words what each kind means and what to do.
var advice = [...]string{
	KindNetwork:     "the storage could not be reached; check the network and try again",
	KindTimeout:     "the storage did not take or answer the request in time; try again",
	KindCanceled:    "the upload was cancelled",
	KindExpired:     "the storage no longer accepts these temporary keys; get new ones and start over",
	KindUntrusted:   "the temporary keys name a place that cannot be the storage; nothing was sent",
	KindRefused:     "the storage refuses the upload",
	KindUnavailable: "the storage is out of order or busy; try again later",
	KindMismatch:    "what the storage holds differs from what was to be stored; upload it again",
	KindBadResponse: "the answer cannot be understood",
	KindBody:        "the data to be uploaded could not be read",
}

// Error is the error of [Client.Upload]. Its text contains no secret.
type Error struct {
	Kind   Kind
	Method Method // the way that failed last; 0 before any was tried
	Op     string // what was being done, such as "upload a part"

	Status    int    // HTTP status, 0 without an answer
	Code, EC  string // the storage's codes, such as AccessDenied and 0003-00000001; EC is for people only
	RequestID string // the storage's id of the request
	Host      string // the host asked, or the one refused

	// AbortFailed tells that a multipart upload could not be aborted, so that its
	// parts stay until the bucket's own rules remove them.
	AbortFailed bool

	Err error // cause, may be nil

	next    step
	earlier *Error // of the method tried before
}

// A step is what the retry table says to do after an error.
type step uint8

const (
	stop     step = iota // report it
	repeat               // the same request again, after a pause
	resign               // the same request again, at the server's time
	fallBack             // another method
	restart              // the multipart upload is gone or spoilt: begin a new one
)

// Error describes the error in plain words.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("storage: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	if int(e.Kind) < len(advice) {
		b.WriteString(advice[e.Kind])
	}
	if d := e.details(); d != "" {
		b.WriteString(" (" + d + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.earlier != nil {
		b.WriteString("; before that: " + e.earlier.Error())
	}
	return b.String()
}

// details lists what is known of the request and its answer.
func (e *Error) details() string {
	var list []string
	add := func(name, value string) {
		if value != "" {
			list = append(list, strings.TrimSpace(name+" "+value))
		}
	}
	add("by", e.Method.String())
	add("host", e.Host)
	if e.Status != 0 {
		add("status", strconv.Itoa(e.Status))
	}
	add("", e.Code)
	add("EC", e.EC)
	add("request", e.RequestID)
	if e.AbortFailed {
		add("", "parts were left behind")
	}
	return strings.Join(list, ", ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// printable returns at most max characters of a text that came from outside,
// none of them able to forge a log line.
func printable(s string, max int) string {
	b := []byte(s[:min(len(s), max)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
