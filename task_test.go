package caddyqwen

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// deadlineWriter notes the deadline of its writes.
type deadlineWriter struct {
	http.ResponseWriter
	deadline time.Time
}

func (w *deadlineWriter) SetWriteDeadline(deadline time.Time) error {
	w.deadline = deadline
	return nil
}

// A write in pieces, each of which has a deadline of its own, as Caddy makes them, ends
// as soon as any other, and nothing touches the connection after the request.
func TestTaskEndOfWriteInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(deadlineWriter)
		l := &lifecycle{tasks: make(map[*task]struct{})}
		l.exiting, l.exit = context.WithCancel(t.Context())
		defer l.exit()
		_, leave := l.enter(w, (&http.Request{}).WithContext(t.Context()), time.Minute)
		end := time.Now().Add(lastWriteTime)
		for task := range l.tasks {
			l.mu.Lock()
			task.end()
			l.mu.Unlock()
		}
		later := time.Now().Add(time.Hour)
		for range 3 {
			l.mu.Lock()
			w.deadline = later // the next piece
			l.mu.Unlock()
			time.Sleep(limitInterval + 1)
			synctest.Wait()
			if !w.deadline.Equal(end) {
				t.Errorf("the deadline is %v, want %v", w.deadline, end)
			}
		}
		leave()
		w.deadline = later
		time.Sleep(time.Minute)
		synctest.Wait()
		if !w.deadline.Equal(later) {
			t.Error("the connection is touched after the request")
		}
	})
}
