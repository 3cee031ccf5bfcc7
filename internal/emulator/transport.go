package emulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
)

// errNoAnswer is what a client of [Site.RoundTrip] sees of a connection that ends
// without an answer, or in the middle of one.
var errNoAnswer = errors.New("emulator: the connection was reset by the site")

// RoundTrip answers a request without a network, streams included, whatever host
// it is for. So the time of testing/synctest goes for the site as well, which has
// to be made in the same bubble. A goroutine runs until the answer has ended, its
// body is closed, or the request's context ends.
func (s *Site) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	in := r.Clone(ctx)
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, pipe := io.Pipe()
	w := &inProcess{header: http.Header{}, pipe: pipe, answered: make(chan struct{})}
	context.AfterFunc(ctx, func() { w.end(context.Cause(ctx)) })
	go func() {
		defer cancel()
		defer in.Body.Close()
		w.end(w.serve(s, in))
	}()
	<-w.answered
	if err := w.failure; err != nil {
		cancel()
		if r.Context().Err() != nil { // whoever noticed first
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &inProcessBody{PipeReader: body, cancel: cancel}, ContentLength: -1, Request: r,
	}, nil
}

// inProcess is the side of the handler.
type inProcess struct {
	header http.Header
	pipe   *io.PipeWriter

	once     sync.Once
	answered chan struct{} // closed once the rest is known
	status   int
	sent     http.Header
	failure  error
}

// serve returns how the handler ended.
func (w *inProcess) serve(h http.Handler, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			err = errNoAnswer
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	if r.Context().Err() != nil { // an answer without a header is none
		return context.Cause(r.Context())
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// end ends the answer, or the wait for it. Only the first call counts.
func (w *inProcess) end(err error) {
	w.once.Do(func() {
		w.failure = err
		close(w.answered)
	})
	w.pipe.CloseWithError(err) // nil is io.EOF
}

func (w *inProcess) Header() http.Header { return w.header }

func (w *inProcess) WriteHeader(status int) {
	if status < 200 {
		return // informational
	}
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.answered)
	})
}

func (w *inProcess) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(b)
}

// Flush sends the headers. Nothing else is held back.
func (w *inProcess) Flush() { w.WriteHeader(http.StatusOK) }

// inProcessBody is the side of the client.
type inProcessBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close tells the handler that the client has left.
func (b *inProcessBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// Interface guards
var (
	_ http.RoundTripper = (*Site)(nil)
	_ http.Flusher      = (*inProcess)(nil)
)
