package oss

import (
	"context"
	"errors"
	"sync"
	"time"
)

var (
	errStalled  = errors.New("the connection stands still")
	errNoAnswer = errors.New("no answer came")
)

// A watchdog ends a request that stands still. It does not limit how long a
// request takes as long as something moves.
type watchdog struct {
	mu            sync.Mutex
	timer         *time.Timer
	stall, answer time.Duration
	waiting       bool // the request is out, the answer is awaited
	done          bool
}

// newWatchdog begins to watch a request; sending tells that it has a body.
func newWatchdog(c *Client, sending bool, cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{stall: c.stallTimeout(), answer: c.answerTimeout(), waiting: !sending}
	w.timer = time.AfterFunc(w.patience(), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.done {
			return
		}
		if w.waiting {
			cancel(errNoAnswer)
		} else {
			cancel(errStalled)
		}
	})
	return w
}

func (w *watchdog) patience() time.Duration {
	if w.waiting {
		return w.answer
	}
	return w.stall
}

// moved tells that the network took a piece of the body, the last one if last.
func (w *watchdog) moved(last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = last
	if !w.done {
		w.timer.Reset(w.patience())
	}
}

// end stops watching.
func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	w.timer.Stop()
}
