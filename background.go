package caddyqwen

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// background is what runs from the start of a handler's configuration to its end.
// The zero value has not been started.
type background struct {
	mu     sync.Mutex
	cancel context.CancelFunc // nil before the start
	ended  chan struct{}      // closed when nothing of it is left
	done   bool               // no start any more
}

// start runs something until its context ends, and reports whether it does: not
// after stop, nor a second time.
func (b *background) start(run func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done || b.cancel != nil {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	b.cancel, b.ended = cancel, ended
	go func() {
		defer close(ended)
		run(ctx)
	}()
	return true
}

// stop ends it and waits for it, so that all is closed properly before the process
// ends. There may be nothing to end.
func (b *background) stop() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	if b.cancel == nil {
		return
	}
	b.cancel()
	select {
	case <-b.ended:
	case <-time.After(stopTime):
	}
}

// onStart has f called once the configuration that is being provisioned has been
// started. It never is if the configuration is only validated.
func onStart(ctx caddy.Context, f func()) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", startHandler{f})
}

// startHandler calls a function for an event. Caddy's debug log shows it as JSON.
type startHandler struct{ call func() }

// Handle calls the function.
func (s startHandler) Handle(context.Context, caddy.Event) error {
	s.call()
	return nil
}
