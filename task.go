package caddyqwen

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// task is a request that is being answered.
type task struct {
	lifecycle *lifecycle
	drain     time.Duration // for which it may go on when Caddy begins to stop
	cancel    context.CancelCauseFunc
	conn      *http.ResponseController
	writing   *http.ResponseController // for the deadline of a write that goes on
	cut       atomic.Bool              // its body is not read any more
}

// taskKey is the key of the task in a request's context.
type taskKey struct{}

// taskOf returns the task of a request that is served by [Handler.serve], or nil.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// serve answers a request by its route. It is told when Caddy stops, from when on
// there are no new ones but for what is public. A panic becomes an answer.
func (h *Handler) serve(rt route, w http.ResponseWriter, r *http.Request, who caller) {
	defer h.rescue(w, r)
	l := acquireLifecycle()
	defer l.release()
	r, leave := l.enter(w, r, time.Duration(h.DrainTimeout))
	defer leave()
	if l.exiting.Err() != nil && !rt.public(h) {
		h.writeError(w, r, errExiting)
		return
	}
	rt.serve(h, w, r, who)
}

// enter makes a task of a request. Who called it must call leave when the request
// has been answered.
func (l *lifecycle) enter(w http.ResponseWriter, r *http.Request, drain time.Duration) (_ *http.Request, leave func()) {
	t := &task{lifecycle: l, drain: drain, conn: http.NewResponseController(w)}
	t.writing = t.conn
	if _, idle := caddyhttp.IdleTimeoutsFromContext(r.Context()); idle != nil {
		t.writing = idle.Ctrl // what is around it may only be used by who writes
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), taskKey{}, t))
	t.cancel = cancel
	r = r.WithContext(ctx)
	stopReading := t.watchBody(r)
	l.mu.Lock()
	l.tasks[t] = struct{}{}
	l.mu.Unlock()
	return r, func() {
		l.mu.Lock()
		delete(l.tasks, t)
		l.settle()
		l.mu.Unlock()
		stopReading()
		cancel(nil)
	}
}

// lastWriteTime is how long a client may take to read what is written last.
const lastWriteTime = endTime / 2

// limitInterval is how often the deadline of a write is set again that goes on.
const limitInterval = 100 * time.Millisecond

// end ends the request. A write that a client keeps waiting ends soon, too. Who calls
// it holds the lock of the lifecycle.
func (t *task) end() {
	t.cancel(errExiting)
	t.limit(time.Now().Add(lastWriteTime))
}

// limit sets the deadline of a write that goes on, and again while it does: Caddy
// writes in pieces, each of which has a deadline of its own. Who calls it holds the
// lock of the lifecycle.
func (t *task) limit(deadline time.Time) {
	if t.writing.SetWriteDeadline(deadline) != nil {
		return // where there are no deadlines, nothing can be done
	}
	time.AfterFunc(limitInterval, func() {
		t.lifecycle.mu.Lock() // so that it does not return meanwhile
		defer t.lifecycle.mu.Unlock()
		if _, running := t.lifecycle.tasks[t]; running {
			t.limit(deadline)
		}
	})
}

// lastWrite is for who writes the last words of an answer to a client that may not
// read them.
func lastWrite(conn *http.ResponseController, err error) {
	if err == errExiting {
		_ = conn.SetWriteDeadline(time.Now().Add(lastWriteTime))
	}
}

// watchBody ends the reading of the request's body when Caddy begins to stop: what
// is not here by then is not waited for.
func (t *task) watchBody(r *http.Request) (stop func()) {
	if r.ContentLength == 0 || t.lifecycle.exiting.Err() != nil {
		return func() {} // where there is no body, the connection is listened to already
	}
	ran := make(chan struct{})
	cancel := context.AfterFunc(t.lifecycle.exiting, func() {
		defer close(ran)
		t.cut.Store(true)
		_ = t.conn.SetReadDeadline(time.Now())
	})
	b := &watchedBody{ReadCloser: r.Body, task: t}
	b.stop = func() {
		if !b.stopped && !cancel() {
			<-ran // the connection must not be touched any later
		}
		b.stopped = true
	}
	r.Body = b
	return b.stop
}

// watchedBody is the body of a request. Once it has been read, the connection is
// only listened to for the client's leaving, which must not be disturbed.
type watchedBody struct {
	io.ReadCloser
	task    *task
	stop    func()
	stopped bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		b.stop()
	case b.task.cut.Load():
		err = errExiting
	}
	return n, err
}
