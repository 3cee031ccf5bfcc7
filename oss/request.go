package oss

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A request is one operation, of which each attempt is signed afresh.
type request struct {
	op      string // for errors
	verb    string
	query   []param
	ctype   string
	section section // of the object
	data    []byte  // instead of a section
	form    bool    // the section goes into a form, to the bucket instead of the key

	// grace is how long the request goes on after its context has ended, for
	// requests whose lost answer would leave something behind.
	grace time.Duration

	// lost, if set, becomes true when an attempt got no answer.
	lost *atomic.Bool

	// check looks at a successful answer and returns an error if it is none.
	check func(a *answer) *Error

	// settled is asked after an attempt that may have succeeded nevertheless.
	settled func(ctx context.Context) bool
}

// attempts is how often a request is sent at most, not counting that a wrong
// clock costs one more.
const attempts = 3

// do sends a request until it succeeds or the retry table says to stop. The
// answer is nil if the request turned out to be settled without one.
func (u *upload) do(ctx context.Context, r *request) (*answer, *Error) {
	resigned := false
	for n := 1; ; n++ {
		a, err := u.once(ctx, r)
		if err == nil {
			return a, nil
		}
		if err.next == resign && !resigned {
			resigned = true
			n--
			continue
		}
		if unclear(err) && r.settled != nil && r.settled(ctx) {
			return nil, nil
		}
		if err.next != repeat || n >= attempts {
			return nil, err
		}
		u.c.pause(ctx, n)
		if ctx.Err() != nil {
			return nil, u.ended(ctx, r.op)
		}
	}
}

// unclear tells whether a request that ended like this may have done its work.
func unclear(e *Error) bool {
	return e.Kind != KindMismatch && (e.next == repeat || e.next == restart)
}

// once makes one attempt.
func (u *upload) once(outer context.Context, r *request) (*answer, *Error) {
	if outer.Err() != nil {
		return nil, u.ended(outer, r.op)
	}
	ctx, cancel := outlive(outer, r.grace)
	defer cancel(nil)
	begun, signed := u.c.localTime(), u.c.time()
	req, b, dog, err := u.build(ctx, cancel, r, signed)
	if err != nil {
		return nil, u.fail(r.op, &Error{Kind: KindBadResponse, Err: err})
	}
	defer dog.end()
	defer b.detach()
	a, err := u.exchange(req)
	if err != nil && r.lost != nil {
		r.lost.Store(true)
	}
	b.detach()
	if cause := b.failure(); cause != nil {
		return nil, u.fail(r.op, &Error{Kind: KindBody, Err: cause})
	}
	if err != nil {
		return nil, u.fail(r.op, u.broken(outer, ctx, err))
	}
	// By then the time of the signature has gone on.
	return u.examine(r, a, b, signed.Add(u.c.localTime().Sub(begun)))
}

// exchange sends a request and reads its answer.
func (u *upload) exchange(req *http.Request) (*answer, error) {
	res, err := u.c.transport().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return readAnswer(res)
}

// build makes and signs the request of one attempt.
func (u *upload) build(ctx context.Context, cancel context.CancelCauseFunc, r *request, at time.Time) (*http.Request, *body, *watchdog, error) {
	key, ctype := u.g.Key, r.ctype
	head, tail := r.data, []byte(nil)
	if r.form {
		key = ""
		head, tail, ctype = formFrame(u.keys.formFields(u.g.Bucket, u.g.Key, r.section.size, at), u.o.ContentType)
	}
	req, err := http.NewRequestWithContext(ctx, r.verb, "", nil)
	if err != nil {
		return nil, nil, nil, err
	}
	req.URL = u.to.url(key, r.query)
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if !r.form {
		u.keys.sign(req.Header, r.verb, u.g.Bucket, key, r.query, at)
	}
	dog := newWatchdog(u.c, len(head) > 0 || r.section.size > 0, cancel)
	b, length := newBody(u.o, r.section, head, tail, dog)
	req.Body, req.ContentLength = b, length
	if length == 0 {
		req.Body = http.NoBody
	}
	return req, b, dog, nil
}

// examine judges an answer.
func (u *upload) examine(r *request, a *answer, b *body, signed time.Time) (*answer, *Error) {
	if !a.ok() {
		e := a.refusal()
		if (a.status == http.StatusForbidden || a.status == http.StatusBadRequest) &&
			e.Kind != KindExpired && u.c.learn(a, e.Code, signed) {
			e.next = resign
		}
		return nil, u.fail(r.op, e)
	}
	var whole bool
	if a.crc, whole = b.whole(); !whole {
		return nil, u.fail(r.op, u.about(a, KindMismatch, repeat, "the answer came before the data was sent"))
	}
	if r.check != nil {
		if e := r.check(a); e != nil {
			return nil, u.fail(r.op, e)
		}
	}
	return a, nil
}

// about returns an error about the content of a successful answer.
func (u *upload) about(a *answer, kind Kind, next step, text string) *Error {
	e := &Error{Kind: kind, Status: a.status, next: next, Err: errors.New(text)}
	e.RequestID = printable(a.header.Get("x-oss-request-id"), 64)
	return e
}

// broken describes a request that got no answer. outer is the caller's context,
// inner that of the attempt.
func (u *upload) broken(outer, inner context.Context, err error) *Error {
	cause := context.Cause(inner)
	if errors.Is(cause, errStalled) || errors.Is(cause, errNoAnswer) {
		return &Error{Kind: KindTimeout, Err: cause, next: repeat}
	}
	if outer.Err() != nil {
		return u.ended(outer, "")
	}
	e := &Error{Kind: KindNetwork, Err: err, next: repeat}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		e.Kind = KindTimeout
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		e.next = stop // it will be the same certificate next time
	}
	return e
}

// ended describes the end of the caller's context.
func (u *upload) ended(ctx context.Context, op string) *Error {
	err := ctx.Err()
	e := &Error{Kind: KindCanceled, Err: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Kind = KindTimeout
	}
	return u.fail(op, e)
}

// fail adds to an error where it happened.
func (u *upload) fail(op string, e *Error) *Error {
	e.Op, e.Method, e.Host = op, u.method, u.to.host
	return e
}

// outlive returns a context that ends the given time after ctx does, or when it
// is cancelled, which must be done in the end.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelCauseFunc) {
	if grace == 0 {
		return context.WithCancelCause(ctx)
	}
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return longer, func(cause error) {
		forget()
		cancel(cause)
	}
}
