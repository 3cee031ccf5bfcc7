package emulator

import (
	"compress/gzip"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// newStream prepares sending a reply.
func (s *Site) newStream(c *call, r Reply, g *generation) *stream {
	st := &stream{
		site: s, w: c.w, control: http.NewResponseController(c.w), ctx: c.r.Context(),
		requestID: c.id, chatID: c.r.URL.Query().Get("chat_id"), phases: true, delay: s.options.Delay,
		recording: g != nil && !s.options.NoRecord,
	}
	if g == nil {
		st.userID = uuid.NewString()
		st.current = st.candidate(0, uuid.NewString())
		return st
	}
	st.generation, st.stop = g, g.stop
	st.chatID, st.userID = g.ChatID, g.userID
	st.phases, st.cumulative = g.phases, g.cumulative
	st.current = st.candidate(0, g.ResponseID)
	if !st.recording { // an idle stream holds on to little
		c.body = nil
		g.Body, g.Content, g.Header, g.Files, g.LocalTools, g.Context = nil, "", nil, nil, nil, nil
	}
	return st
}

// run sends the reply and returns how it ended.
func (st *stream) run(r Reply) error {
	if r.gated {
		// A stream that is stopped before its headers still has to say so.
		if err := st.wait(r.gate); err != nil && !(r.stream && errors.Is(err, errStopped)) {
			return err
		}
	}
	if r.reset {
		return errReset
	}
	if r.early != 0 {
		st.w.WriteHeader(r.early)
	}
	h := st.w.Header()
	for name, values := range r.Header {
		h[name] = values
	}
	if !r.bare {
		h["X-Request-Id"] = []string{st.requestID}
	}
	if r.gzip {
		st.zip = gzip.NewWriter(st.w)
	}
	var err error
	if r.stream {
		st.w.WriteHeader(statusOK(r.Status))
		err = st.play(r.steps)
	} else {
		err = st.plain(r)
	}
	if err == nil && st.zip != nil && st.zip.Close() != nil {
		return st.left()
	}
	return err
}

// statusOK is the status to send for a reply that does not set one.
func statusOK(status int) int {
	if status == 0 {
		return http.StatusOK
	}
	return status
}

// plain sends an answer that is not a stream.
func (st *stream) plain(r Reply) error {
	body := r.Body
	if r.render != nil {
		body = r.render(st.requestID)
	}
	if _, typed := r.Header["Content-Type"]; !typed && len(body) > 0 {
		st.w.Header()["Content-Type"] = nil // no guessing
	}
	st.w.WriteHeader(statusOK(r.Status))
	if len(body) == 0 {
		return nil
	}
	var err error
	if st.zip != nil {
		_, err = st.zip.Write(body)
	} else {
		_, err = st.w.Write(body)
	}
	if err != nil {
		return st.left()
	}
	return nil
}

// play runs the steps of a stream.
func (st *stream) play(steps []Step) error {
	err := st.flush()
	if err == nil {
		err = st.steps(steps)
	}
	if errors.Is(err, errStopped) {
		err = st.stopped()
	}
	if errors.Is(err, errCut) {
		return nil
	}
	return err
}

// settleTime is how long a stopped stream waits for its client to leave.
const settleTime = 100 * time.Millisecond

// stopped ends a stream after the stop call. Clients often leave and stop at
// the same moment: waiting a little makes the record (Completion.Gone) the
// same whichever is noticed first.
func (st *stream) stopped() error {
	st.stop = nil
	if err := st.spill(); err != nil {
		return err
	}
	err := st.frame(func(b []byte) []byte {
		b = appendString(append(b, `{"response.stopped":{"response_id":`...), st.primary().id)
		return append(b, "}}"...)
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-st.ctx.Done():
		return errGone
	case <-timer.C:
	case <-st.site.done:
	}
	return errCut
}

// alive returns why nothing more can be sent, or nil.
func (st *stream) alive() error {
	select {
	case <-st.ctx.Done():
		return st.left()
	case <-st.stop:
		return errStopped
	default:
		return nil
	}
}

// left tells a client that went away from a server that is being closed,
// which ends the connections, too.
func (st *stream) left() error {
	select {
	case <-st.site.done:
		return errDrop
	default:
		return errGone
	}
}

// wait blocks until the gate is closed or received from. Nil blocks for ever.
func (st *stream) wait(gate <-chan struct{}) error {
	if err := st.spill(); err != nil {
		return err
	}
	select {
	case <-gate:
		return nil
	case <-st.site.done:
		return errDrop
	case <-st.ctx.Done():
		return st.left()
	case <-st.stop:
		return errStopped
	}
}

// sleep pauses for a while.
func (st *stream) sleep(d time.Duration) error {
	if st.timer == nil {
		st.timer = time.NewTimer(d)
	} else {
		st.timer.Reset(d)
	}
	select {
	case <-st.timer.C:
		return nil
	case <-st.site.done:
		return errDrop
	case <-st.ctx.Done():
		return st.left()
	case <-st.stop:
		return errStopped
	}
}
