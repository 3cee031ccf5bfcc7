package caddyqwen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// answer writes an answer in a dialect. Its methods append to a slice.
type answer interface {
	// Start appends what opens a stream.
	Start(dst []byte) []byte
	// Text appends a piece of the answer or of the reasoning, given as the
	// content of a JSON string.
	Text(dst []byte, reasoning bool, raw []byte) []byte
	// Flush completes what Text has appended.
	Flush(dst []byte) []byte
	// Finish appends the end of a complete answer.
	Finish(dst []byte, reason string, usage openai.Usage) []byte
	// Fail appends the end of an answer that failed.
	Fail(dst []byte, err *openai.Error) []byte
}

// relay writes the answer of one turn to one client. All of it happens in the
// goroutine of the request, because a response writer serves only one.
type relay struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	flush  *http.ResponseController
	out    answer
	stream bool // otherwise the answer is written at its end
	turn   *turn
	up     *upstream
	info   *requestInfo

	decoder   qwen.Decoder
	buf       *buffer // what is to be written next; nil if nothing
	opened    bool    // the status and the headers are written
	answered  bool    // the text of the answer has begun
	chatID    string  // of the chat on the site, once known
	size      int64   // of the answer so far
	reasoning int64   // the part of it that is reasoning
	prompt    int64   // the size of the prompt

	begun, heard, wrote time.Time
	timer               *time.Timer
}

// relay answers a request with a turn.
func (h *Handler) relay(w http.ResponseWriter, r *http.Request, t *turn, out answer, stream bool) (err error) {
	up, err := h.begin(r.Context(), t, nil)
	if err != nil {
		// The account has begun to rest since it was chosen.
		if err = t.conversation.startOver(r.Context(), t, err); err == nil {
			up, err = h.begin(r.Context(), t, nil)
		}
	}
	if err != nil {
		return err
	}
	x := newRelay(h, w, r, out, stream, time.Now())
	defer x.timer.Stop()
	x.turn, x.up, x.prompt, x.info = t, up, promptSize(t), infoOf(r.Context())
	defer func() { x.info.answered(x) }()
	defer func() { x.up.abort("") }() // has an effect only if something below panics
	defer x.rescue(&err)
	return x.run()
}

// newRelay returns a relay that has heard nothing yet.
func newRelay(h *Handler, w http.ResponseWriter, r *http.Request, out answer, stream bool, now time.Time) *relay {
	x := &relay{
		h: h, w: w, r: r, flush: http.NewResponseController(w), out: out, stream: stream,
		decoder: qwen.Decoder{MaxFrame: int(h.MaxFrame)},
		begun:   now, heard: now, wrote: now,
	}
	x.timer = time.NewTimer(x.untilNext(now))
	return x
}

// run waits for the site, the clock and the client until the answer is over.
func (x *relay) run() error {
	for {
		var over bool
		var err error
		select {
		case in := <-x.up.reads:
			over, err = x.take(in)
		case <-x.timer.C:
			err = x.tick(time.Now())
		case <-x.r.Context().Done():
			err = orExit(x.r.Context(), errClientGone)
		}
		switch {
		case over:
			x.up.settle()
			return x.unlessOpened(err)
		case err != nil:
			if err = x.startOver(err); err != nil {
				return x.fail(err)
			}
		}
	}
}

// startOver begins the turn again in a new chat if the site refuses it in that of
// the conversation. Otherwise it returns the failure.
func (x *relay) startOver(cause error) error {
	if x.size > 0 || x.up.uncertain(cause) {
		return cause
	}
	if err := x.turn.conversation.startOver(x.r.Context(), x.turn, cause); err != nil {
		return err
	}
	up, err := x.h.begin(x.r.Context(), x.turn, x.up)
	x.up.settle()
	x.up.lease.end() // the turn is over in that chat
	if err != nil {
		return err
	}
	x.chatID = "" // that of the old chat may have come already
	x.up, x.prompt = up, promptSize(x.turn)
	x.decoder = qwen.Decoder{MaxFrame: int(x.h.MaxFrame)}
	x.heard = time.Now()
	x.timer.Reset(x.untilNext(x.heard))
	return nil
}

// take handles what has come from the site. It reports whether the turn is over.
func (x *relay) take(in read) (over bool, err error) {
	x.heard = time.Now()
	switch {
	case in.err == io.EOF:
		x.decoder.End()
	case in.err != nil:
		return false, in.err
	case in.data == nil:
		return false, x.uploading(in.uploading)
	default:
		defer in.data.free()
		x.chatID = x.up.chatID
		x.decoder.Feed(in.data.filled)
	}
	for ev, ok := x.decoder.Next(); ok; ev, ok = x.decoder.Next() {
		if over, err := x.event(ev); over || err != nil {
			return over, err
		}
	}
	return false, x.write()
}

// uploading lets the client see how far the upload of a large file is, in percent.
// 0 is only a sign of life.
func (x *relay) uploading(percent int) error {
	if !x.stream || percent == 0 {
		return nil
	}
	x.open()
	x.prepare(openai.AppendComment(x.prepared(), "uploading "+strconv.Itoa(percent)+"%"))
	return x.write()
}

// event handles one event of the stream.
func (x *relay) event(ev qwen.Event) (over bool, err error) {
	switch ev.Kind {
	case qwen.Failed:
		x.up.account.failedLate(x.r.Context(), x.up.cred, x.turn.model, ev.Err)
		return false, ev.Err
	case qwen.Finished:
		reason := "stop"
		if ev.Truncated {
			reason = "length"
		}
		x.record()
		return true, x.finish(reason)
	}
	if ev.Kind == qwen.Reasoning && x.answered {
		// The model thinks again after a tool. Clients take reasoning after text
		// for a new message, so that it is left out.
		return false, nil
	}
	if x.size == 0 {
		x.up.account.accepted(x.up.account, true)
	}
	x.answered = ev.Kind == qwen.Answer
	x.info.heard(x.heard)
	raw, full := x.within(ev.Raw)
	x.size += int64(len(raw))
	if ev.Kind == qwen.Reasoning {
		x.reasoning += int64(len(raw))
	}
	x.turn.conversation.take(ev.Kind == qwen.Reasoning, raw)
	x.open()
	x.prepare(x.out.Text(x.prepared(), ev.Kind == qwen.Reasoning, raw))
	if full {
		x.up.abort(x.decoder.ResponseID())
		return true, x.finish("length")
	}
	return false, nil
}

// within returns as much of a text as the answer may still have, and whether
// that is not all of it. The first piece keeps something in any case, so that no
// answer is empty.
func (x *relay) within(raw []byte) (part []byte, full bool) {
	const least = 12 // bytes that the longest character takes
	room := x.h.MaxAnswer - x.size
	switch {
	case int64(len(raw)) <= room:
		return raw, false
	case room >= least:
		return raw[:jsonraw.Cut(raw, int(room))], true
	case x.size == 0:
		return raw[:jsonraw.Cut(raw, least)], true
	}
	return nil, true
}

// open begins a stream: from here on its status is 200.
func (x *relay) open() {
	if x.opened || !x.stream {
		return
	}
	x.opened = true
	x.wrote = x.heard
	x.timer.Reset(x.untilNext(x.heard)) // patience has become shorter
	header := x.header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no")
	// Without an explicit status Caddy's `encode` does not compress the stream.
	x.w.WriteHeader(http.StatusOK)
	x.prepare(x.out.Start(x.prepared()))
}

// header returns the headers of a successful answer.
func (x *relay) header() http.Header {
	h := x.w.Header()
	if c := x.turn.conversation; x.chatID != "" && c.placed() {
		h.Set("X-Qwen-Chat-Id", x.chatID)
		h.Set("X-Qwen-Session", c.kind)
	}
	if x.turn.long {
		h.Set("X-Qwen-Long-Prompt", "uploaded")
	}
	return h
}

// record records the turn, whose answer is complete, and gives its chat back: the
// next turn may come as soon as the client has the end of this answer.
func (x *relay) record() {
	x.up.recorded = x.turn.conversation.complete(context.WithoutCancel(x.r.Context()), x.chatID, x.decoder.ResponseID())
	if x.h.Chats != chatsTemporary {
		x.up.lease.end()
	}
}

// finish writes the end of the answer. The server flushes it when the request's
// handler returns, which follows at once.
func (x *relay) finish(reason string) error {
	x.open()
	x.prepare(x.out.Finish(x.prepared(), reason, x.usage()))
	if !x.stream {
		header := x.header()
		header.Set("Content-Type", "application/json")
		header.Set("Content-Length", strconv.Itoa(len(x.buf.filled)))
		x.w.WriteHeader(http.StatusOK)
		x.opened = true
	}
	return x.send()
}

// prepared returns what is to be written next, for more to be appended.
func (x *relay) prepared() []byte {
	if x.buf == nil {
		x.buf = getBuffer(largeRead)
		x.buf.filled = x.buf.space[:0]
	}
	return x.buf.filled
}

// prepare sets what is to be written next.
func (x *relay) prepare(b []byte) { x.buf.filled = b }

// write sends what has been prepared, in one write and one flush.
func (x *relay) write() error {
	if x.buf == nil {
		return nil
	}
	if x.prepare(x.out.Flush(x.prepared())); len(x.buf.filled) == 0 {
		x.buf.free()
		x.buf = nil
		return nil
	}
	if err := x.send(); err != nil {
		return err
	}
	if err := x.flush.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errClientGone
	}
	return nil
}

// send writes what has been prepared. A client that has gone away shows here at
// the latest.
func (x *relay) send() error {
	_, err := x.w.Write(x.buf.filled)
	x.buf.free()
	x.buf = nil
	x.wrote = x.heard
	if err != nil {
		return errClientGone
	}
	return nil
}

// tick does what is due at a time and sets the timer for the next.
func (x *relay) tick(now time.Time) error {
	switch {
	case now.Sub(x.begun) >= time.Duration(x.h.MaxDuration):
		return errTooLong
	case now.Sub(x.heard) >= time.Duration(x.h.IdleTimeout):
		return errIdle
	case x.stream && now.Sub(x.lastSign()) >= x.patience():
		x.open()
		x.prepare(openai.AppendKeepAlive(x.prepared()))
		if err := x.write(); err != nil {
			return err
		}
		x.wrote = now // write takes the time of the last read
	}
	x.timer.Reset(x.untilNext(now))
	return nil
}

// lastSign is when the client last heard of the server.
func (x *relay) lastSign() time.Time {
	if x.opened {
		return x.wrote
	}
	return x.begun
}

// patience is how long the client may be left without a sign.
func (x *relay) patience() time.Duration {
	if x.opened {
		return time.Duration(x.h.Heartbeat)
	}
	return time.Duration(x.h.FirstByteHold)
}

// untilNext is the time until something is due.
func (x *relay) untilNext(now time.Time) time.Duration {
	next := min(
		time.Duration(x.h.MaxDuration)-now.Sub(x.begun),
		time.Duration(x.h.IdleTimeout)-now.Sub(x.heard),
	)
	if x.stream {
		next = min(next, x.patience()-now.Sub(x.lastSign()))
	}
	return max(next, time.Millisecond)
}

// fail ends a turn that failed. Before the first byte the error is returned, to
// become the answer; after it, it is told in the stream, and nil is returned.
func (x *relay) fail(err error) error {
	if endedOnSite(err) {
		x.up.settle()
	} else {
		x.up.abort(x.decoder.ResponseID())
	}
	if !x.opened || err == errClientGone {
		return x.unlessOpened(err)
	}
	p := describe(err)
	x.h.logProblem(x.r, p, err)
	x.prepare(x.out.Fail(x.prepared(), &p.Error))
	lastWrite(x.flush, err)
	_ = x.write() // there is no other way left to tell the client
	return nil
}

// unlessOpened returns an error that can still become the answer.
func (x *relay) unlessOpened(err error) error {
	if err == errClientGone {
		x.info.gone()
	}
	if x.opened {
		return nil
	}
	return err
}

// endedOnSite reports whether the site itself ended the turn with this failure,
// so that there is nothing to stop. After a failure of the connection, or when
// the stream cannot be understood, it may still be writing.
func endedOnSite(err error) bool {
	var e *qwen.Error
	return errors.As(err, &e) && e.Kind != qwen.KindBadResponse && e.Err == nil
}

// promptSize is the size of the text that a turn sends.
func promptSize(t *turn) int64 {
	size := int64(len(t.prompt))
	if t.long {
		size += t.toSend[len(t.toSend)-1].content.Size()
	}
	return size
}

// usage returns the tokens as the site counted them, or an estimate of four
// bytes per token.
func (x *relay) usage() openai.Usage {
	if u, ok := x.decoder.Usage(); ok {
		return openai.Usage{Prompt: u.Input, Completion: u.Output, Reasoning: u.Reasoning, Cached: u.Cached}
	}
	return openai.Usage{
		Prompt:     x.prompt/bytesPerToken + 1,
		Completion: x.size/bytesPerToken + 1,
		Reasoning:  x.reasoning / bytesPerToken,
		Estimated:  true,
	}
}
