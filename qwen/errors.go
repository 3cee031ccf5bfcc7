package qwen

import (
	"fmt"
	"time"
)

// Kind is the class of a failure: what it means for the owner of the account.
type Kind uint8

// The kinds of failures.
const (
	// KindBadResponse: the site answered something that cannot be understood.
	KindBadResponse Kind = iota
	// KindCredential: the credential is missing, expired or refused. With the
	// status 403 it may be good, and refused for now: a new token is no remedy.
	KindCredential
	// KindVerification: the site wants a human to pass its verification page in
	// a browser. Must not be retried.
	KindVerification
	// KindQuota: the account's daily limit is used up. RetryAfter tells for how
	// long, if the site said so. Must not be retried.
	KindQuota
	// KindRateLimited: too many requests in a short time.
	KindRateLimited
	// KindBusy: another answer is still being written in the same chat.
	KindBusy
	// KindChatNotFound: the chat, or the message to continue from, is not there.
	KindChatNotFound
	// KindModelNotFound: the site does not have the model.
	KindModelNotFound
	// KindTooLong: the prompt is longer than the model takes.
	KindTooLong
	// KindContent: the site's moderation refused the content.
	KindContent
	// KindRejected: the site refused the request for another reason.
	KindRejected
	// KindEmpty: the site ended the turn without any text.
	KindEmpty
	// KindTruncated: the stream ended before the turn did.
	KindTruncated
	// KindUnavailable: the site reported a failure of its own.
	KindUnavailable
	// KindNetwork: the site could not be reached, or the connection broke.
	KindNetwork
	// KindTLS: the site's certificate was not accepted.
	KindTLS
	// KindTimeout: the connection timed out.
	KindTimeout
)

var kindTexts = [...]string{
	KindBadResponse:   "the site's answer cannot be understood",
	KindCredential:    "the site refused the credential",
	KindVerification:  "the site asks for human verification",
	KindQuota:         "the account's limit is used up",
	KindRateLimited:   "too many requests in a short time",
	KindBusy:          "the chat is busy with another answer",
	KindChatNotFound:  "the chat does not exist",
	KindModelNotFound: "the model does not exist",
	KindTooLong:       "the prompt is too long",
	KindContent:       "the site's moderation refused the content",
	KindRejected:      "the site refused the request",
	KindEmpty:         "the site's answer is empty",
	KindTruncated:     "the site's answer ended early",
	KindUnavailable:   "the site reports a failure",
	KindNetwork:       "the site cannot be reached",
	KindTLS:           "the site's certificate was not accepted",
	KindTimeout:       "the site did not answer in time",
}

// String returns the meaning of the kind in a few words.
func (k Kind) String() string {
	if int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is a failure of a call to the site. Its text contains nothing secret.
type Error struct {
	Kind Kind
	// Op is the call that failed, such as "open chat". May be empty.
	Op string
	// Status is the HTTP status that the site meant, or 0 if there was none.
	Status int
	// Code is the site's own name for the failure, such as `RateLimited`.
	Code string
	// Detail is what the site said, cleaned and cut to 200 characters.
	Detail string
	// RetryAfter is how long to wait as the site said it, or 0.
	RetryAfter time.Duration
	// Err is the cause, if the failure is one of the network.
	Err error
}

// Error tells what failed, without the cause's text, which may name addresses.
func (e *Error) Error() string {
	text := e.Kind.String()
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
