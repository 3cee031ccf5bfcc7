package caddyqwen

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// endTime is how long it may take to end the requests that are told to, and what
// was done for them on the site.
const endTime = 2 * time.Second

// watchInterval is how often it is looked whether the process ends while only
// requests of configurations are left that have no successor.
const watchInterval = 250 * time.Millisecond

// errExiting ends requests when the process ends.
var errExiting = errors.New("the server is shutting down")

// lifecycles holds the lifecycle as long as a handler or a request has a share of it.
var lifecycles = caddy.NewUsagePool()

type lifecycleKey struct{}

// lifecycle knows all requests that are being answered, and the goroutines that do
// something for them, whatever configuration they began under, and tells them when
// the process ends. On a reload nothing is told to anybody.
type lifecycle struct {
	exiting context.Context // ends when Caddy begins to stop
	exit    context.CancelFunc

	mu       sync.Mutex
	tasks    map[*task]struct{}
	helpers  int           // goroutines beside the requests
	handlers int           // of configurations that have not ended
	grace    time.Duration // of the configuration that was loaded last
	watching bool          // for the end of the process, without a handler
	until    time.Time     // when nobody waits for them any more; set on exit
	idle     chan struct{} // closed when nothing is left; nil unless somebody waits
}

// acquireLifecycle returns the lifecycle. Who got it must call release once.
func acquireLifecycle() *lifecycle {
	value, _, _ := lifecycles.LoadOrNew(lifecycleKey{}, func() (caddy.Destructor, error) {
		l := &lifecycle{tasks: make(map[*task]struct{})}
		l.exiting, l.exit = context.WithCancel(context.Background())
		return l, nil
	})
	return value.(*lifecycle) // the constructor does not fail
}

// release gives back what acquireLifecycle returned.
func (l *lifecycle) release() { _, _ = lifecycles.Delete(lifecycleKey{}) }

// Destruct is called when the last user is gone.
func (l *lifecycle) Destruct() error {
	l.exit() // nobody is left to be told
	return nil
}

// setUpLifecycle has the end of the process told to all requests.
func (h *Handler) setUpLifecycle(ctx caddy.Context) {
	l := acquireLifecycle()
	h.lifecycle = l
	grace := graceOf(ctx)
	l.mu.Lock()
	l.handlers++
	l.grace = grace
	l.mu.Unlock()
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	logger := h.logger
	server.RegisterOnShutdown(func() {
		if caddy.Exiting() {
			l.stop(grace, logger)
		}
	})
	server.RegisterOnStop(func(context.Context) error {
		if caddy.Exiting() {
			l.wait()
		}
		return nil
	})
}

// leaveLifecycle gives up the handler's share of the lifecycle. Further calls do
// nothing.
func (h *Handler) leaveLifecycle() {
	l := h.lifecycle
	if l == nil {
		return
	}
	h.lifecycle = nil
	l.mu.Lock()
	l.handlers--
	l.watchOrphans(h.logger)
	l.mu.Unlock()
	l.release()
}

// graceOf returns how long Caddy waits for requests when it stops, or 0 if it does
// so for ever.
func graceOf(ctx caddy.Context) time.Duration {
	for _, module := range ctx.Modules() {
		if app, ok := module.(*caddyhttp.App); ok {
			return time.Duration(app.GracePeriod)
		}
	}
	return 0
}

// drainFor is for how long a request may go on after Caddy has begun to stop, of
// which the configuration says limit. What follows must fit into the grace period.
func drainFor(limit, grace time.Duration) time.Duration {
	if grace <= 0 {
		return limit
	}
	return min(limit, max(grace-endTime, grace/2))
}

// stop begins the end: nothing new is begun any more, and what is running is told
// to end after a while.
func (l *lifecycle) stop(grace time.Duration, logger *zap.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exiting.Err() != nil {
		return
	}
	var longest time.Duration
	groups := make(map[time.Duration][]*task)
	for t := range l.tasks {
		drain := drainFor(t.drain, grace)
		groups[drain] = append(groups[drain], t)
		longest = max(longest, drain)
	}
	l.until = time.Now().Add(longest + endTime)
	if grace > 0 {
		l.until = time.Now().Add(min(longest+endTime, grace))
	}
	for drain, tasks := range groups {
		time.AfterFunc(drain, func() { l.tell(tasks, logger) })
	}
	l.exit()
}

// tell ends the requests that are still running.
func (l *lifecycle) tell(tasks []*task, logger *zap.Logger) {
	l.mu.Lock() // so that none of them returns meanwhile
	told := 0
	for _, t := range tasks {
		if _, running := l.tasks[t]; running {
			t.end()
			told++
		}
	}
	l.mu.Unlock()
	if told > 0 {
		logger.Warn("the server is being stopped, and requests that were still running were told to end", zap.Int("requests", told))
	}
}

// wait waits for the last request, and for what is done for it after its answer.
func (l *lifecycle) wait() {
	l.mu.Lock()
	if l.until.IsZero() { // stop has not been called yet: it is in another goroutine
		l.until = time.Now().Add(endTime)
	}
	l.idle = make(chan struct{})
	idle, timer := l.idle, time.NewTimer(time.Until(l.until))
	l.settle()
	l.mu.Unlock()
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// settle tells who waits that nothing is left. Who calls it holds the lock.
func (l *lifecycle) settle() {
	if l.idle != nil && len(l.tasks) == 0 && l.helpers == 0 {
		close(l.idle)
		l.idle = nil
	}
}

// watchOrphans looks whether the process ends as long as there are requests, but no
// handler that would be told. Who calls it holds the lock.
func (l *lifecycle) watchOrphans(logger *zap.Logger) {
	if l.watching || l.handlers > 0 || len(l.tasks) == 0 {
		return
	}
	l.watching = true
	time.AfterFunc(watchInterval, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.watching = false
		if caddy.Exiting() {
			go l.stop(l.grace, logger)
			return
		}
		l.watchOrphans(logger)
	})
}

// help counts a goroutine that does something for a request and may outlive it.
// Who calls it must call done once.
func help() (done func()) {
	l := acquireLifecycle()
	l.mu.Lock()
	l.helpers++
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.helpers--
		l.settle()
		l.mu.Unlock()
		l.release()
	}
}

// whileServing returns a context that also ends when Caddy begins to stop.
func whileServing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() bool { return true }
	if t := taskOf(ctx); t != nil {
		if t.lifecycle.exiting.Err() != nil {
			cancel(errExiting)
		}
		stop = context.AfterFunc(t.lifecycle.exiting, func() { cancel(errExiting) })
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// orExit returns the failure of a request, which is that the process ends if that
// has ended its context.
func orExit(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if t := taskOf(ctx); t != nil && t.cut.Load() || errors.Is(context.Cause(ctx), errExiting) {
		return errExiting
	}
	return err
}
