package oss

import (
	"net/http"
	"sync/atomic"
	"time"
)

// skewSuspected is how far the time of an answer may be from the time of its
// signature before the clock is taken for the cause of a refusal. The storage
// itself allows 15 minutes.
const skewSuspected = 5 * time.Minute

// A clock knows how far the storage's clock is ahead of ours.
type clock struct{ ahead atomic.Int64 }

func (c *clock) offset() time.Duration { return time.Duration(c.ahead.Load()) }

// time returns the time to sign with.
func (c *Client) time() time.Time { return c.localTime().Add(c.clock.offset()) }

// learn takes over the storage's clock if the refusal of a request can be explained
// by it, and tells whether it can. The time given is that of the clock with which the
// request was signed, as it is now.
func (c *Client) learn(a *answer, code string, ours time.Time) bool {
	server, ok := a.serverTime()
	if !ok {
		return false
	}
	off := server.Sub(ours).Abs()
	if code != codeSkewed && off <= skewSuspected {
		return false
	}
	c.clock.ahead.Store(int64(server.Sub(c.localTime())))
	return true
}

// serverTime returns the time that an answer tells: that of its error, else that
// of its Date header.
func (a *answer) serverTime() (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, a.problem().ServerTime); err == nil {
		return t, true
	}
	t, err := http.ParseTime(a.header.Get("Date"))
	return t, err == nil
}
