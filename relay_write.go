package caddyqwen

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

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

// promptSize is the size of the text that a turn sends.
func promptSize(t *turn) int64 {
	size := int64(len(t.prompt))
	if t.long {
		size += t.toSend[len(t.toSend)-1].content.Size()
	}
	return size
}

// usage returns the tokens as the site counted them, or an estimate of four
// bytes per token. What the client does not get because the request limits it,
// does not count.
func (x *relay) usage() openai.Usage {
	size, reasoning := x.size-x.before.size, x.reasoning-x.before.reasoning
	u := openai.Usage{
		Prompt:     x.prompt/bytesPerToken + 1,
		Completion: size/bytesPerToken + 1,
		Reasoning:  reasoning / bytesPerToken,
		Estimated:  true,
	}
	if c, ok := x.decoder.Usage(); ok {
		u = openai.Usage{Prompt: c.Input, Completion: c.Output, Reasoning: c.Reasoning, Cached: c.Cached}
	}
	if x.reading != nil && x.reading.most > 0 {
		u.Completion = min(u.Completion, int64(x.reading.most))
	}
	return u.Plus(x.before.usage)
}
