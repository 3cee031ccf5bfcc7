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
	// Call appends the call of a function. Arguments is JSON.
	Call(dst []byte, id, name, arguments string) []byte
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
	reading   *reading    // nil: all text is for the client
	buf       *buffer     // what is to be written next; nil if nothing
	opened    bool        // the status and the headers are written
	answered  bool        // the text of the answer has begun
	said      bool        // the client has got some of it
	chatID    string      // of the chat on the site, once known
	size      int64       // of the answer so far
	reasoning int64       // the part of it that is reasoning
	tokens    int64       // of it, as far as the request limits them
	counted   answerCount // the last count of the site's that said more than the one before
	prompt    int64       // the size of the prompt
	before    spent       // by an answer that has been corrected
	repeated  bool        // the correction was sent once more

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
	x.reading = t.reading(stream, false)
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
	if x.reading != nil && x.reading.again && !x.repeated && isKind(cause, qwen.KindBusy) {
		return x.repeat()
	}
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
	x.reading = x.turn.reading(x.stream, false)
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
		if x.thoughtOnly(ev.Err) {
			return false, x.correct(x.reading.wordless())
		}
		x.up.account.failedLate(x.r.Context(), x.up.cred, x.turn.model, ev.Err)
		return false, ev.Err
	case qwen.Finished:
		return x.complete(ev.Truncated)
	case qwen.Called:
		return false, x.called(ev)
	}
	if ev.Kind == qwen.Reasoning && x.answered {
		// The model thinks again after a tool. Clients take reasoning after text
		// for a new message, so that it is left out.
		return false, nil
	}
	if x.size == 0 {
		x.up.account.accepted(x.up.account, true)
	}
	x.answered = x.answered || ev.Kind == qwen.Answer
	x.info.heard(x.heard)
	x.turn.conversation.drop()
	raw, full := x.within(ev.Raw)
	raw, spent := x.affordable(raw)
	x.size += int64(len(raw))
	if ev.Kind == qwen.Reasoning {
		x.reasoning += int64(len(raw))
		x.deliver(true, raw)
	} else {
		x.text(raw)
	}
	switch {
	case x.reading != nil && x.reading.stopped:
		return x.cutOff("stop")
	case full || spent:
		return x.cutOff("length")
	}
	return false, nil
}

// text takes a piece of the answer's text.
func (x *relay) text(raw []byte) {
	if x.reading != nil {
		raw = x.reading.take(raw)
	}
	x.deliver(false, raw)
}

// deliver prepares text for the client, and digests it.
func (x *relay) deliver(reasoning bool, raw []byte) {
	if len(raw) == 0 {
		return
	}
	x.said = x.said || !reasoning
	x.turn.conversation.take(reasoning, raw)
	x.open()
	x.prepare(x.out.Text(x.prepared(), reasoning, raw))
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

// record records the turn, whose answer is complete, and gives its chat back.
func (x *relay) record() {
	x.up.recorded = x.turn.conversation.complete(context.WithoutCancel(x.r.Context()), x.chatID, x.decoder.ResponseID())
	x.yieldChat()
}

// yieldChat gives the chat back before the client has the end of the answer: the next
// turn may come at once. One that is to be deleted now has no next turn.
func (x *relay) yieldChat() {
	if x.h.Chats != chatsTemporary {
		x.up.lease.end()
	}
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
