package caddyqwen

import (
	"time"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

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
