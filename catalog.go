package caddyqwen

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

const (
	// catalogFresh is how long a list of models serves without a new one being
	// fetched. The site changes its list a few times a month.
	catalogFresh = time.Hour

	// catalogRecent is how old a list must be before an unknown model is a
	// reason to fetch a new one. It bounds what misspelled names can cost.
	catalogRecent = 5 * time.Minute

	// catalogUsable is how long a list serves while the site gives no new one.
	catalogUsable = 24 * time.Hour

	// catalogMax is how many models are kept. The site has had less than a
	// hundred; the time to make an answer grows with the square.
	catalogMax = 500

	// catalogTimeout bounds one fetch.
	catalogTimeout = 15 * time.Second

	// catalogMinPause and catalogMaxPause are the first and the longest pause
	// after a failed fetch. Each further failure doubles the pause.
	catalogMinPause = 5 * time.Second
	catalogMaxPause = 10 * time.Minute
)

// errNoModels says that the site was reached and has no model at all.
var errNoModels = errors.New("the site lists no models")

// fetchModels asks the site for its models. It is called from a goroutine of
// its own, with the values of a request's context but not its end, and must
// return when the context ends.
type fetchModels func(context.Context) ([]qwen.Model, error)

// catalog remembers the models of one site. It outlives configurations, so that
// a reload does not cost a fetch. However many requests there are, one fetch
// runs at a time, and after a failure none starts before a pause has passed.
// The zero value has no list.
type catalog struct {
	flight singleflight.Group

	mu    sync.Mutex
	list  []qwen.Model // nil if there never was one; its elements never change
	got   time.Time    // when list was fetched
	err   error        // what the last fetch failed with, or nil
	pause time.Duration
	next  time.Time // no fetch before this; only with err
}

// newCatalog returns a catalogue without a list.
func newCatalog() *catalog {
	return new(catalog)
}

// models returns the list in the site's order. A list older than an hour is
// returned all the same while a new one is fetched in the background. Without a
// list of the last 24 hours the call waits for the fetch or for the end of ctx;
// after a failed fetch it returns that failure until the next one is due.
// Callers must not change the elements of the list.
func (c *catalog) models(ctx context.Context, fetch fetchModels) ([]qwen.Model, error) {
	list, age := c.last()
	if list == nil {
		return c.wait(ctx, fetch, catalogFresh)
	}
	if age >= catalogFresh {
		c.refresh(ctx, fetch)
	}
	return list, nil
}

// refreshed is models for a caller who misses a model in the list: a list older
// than five minutes is fetched anew before the call returns. If that fails, the
// older list is returned.
func (c *catalog) refreshed(ctx context.Context, fetch fetchModels) ([]qwen.Model, error) {
	list, err := c.wait(ctx, fetch, catalogRecent)
	if err == nil {
		return list, nil
	}
	if list, _ := c.last(); list != nil {
		return list, nil
	}
	return nil, err
}

// last returns the last list and its age, or nil if that is too old to be used.
func (c *catalog) last() ([]qwen.Model, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := time.Since(c.got)
	if c.list == nil || age >= catalogUsable {
		return nil, 0
	}
	return c.list, age
}

// settled returns the list if it is younger than maxAge, or the last failure if
// the pause after it has not passed. Otherwise a fetch is due, and ok is false.
func (c *catalog) settled(maxAge time.Duration) (list []qwen.Model, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.list != nil && time.Since(c.got) < maxAge:
		return c.list, true, nil
	case c.err != nil && time.Now().Before(c.next):
		return nil, true, c.err
	}
	return nil, false, nil
}

// wait returns a list younger than maxAge, for which it may wait.
func (c *catalog) wait(ctx context.Context, fetch fetchModels, maxAge time.Duration) ([]qwen.Model, error) {
	if list, ok, err := c.settled(maxAge); ok {
		return list, err
	}
	select {
	case result := <-c.start(ctx, fetch, maxAge):
		list, _ := result.Val.([]qwen.Model)
		return list, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh has a list fetched that replaces one past its hour, if it is due.
func (c *catalog) refresh(ctx context.Context, fetch fetchModels) {
	if _, ok, _ := c.settled(catalogFresh); !ok {
		c.start(ctx, fetch, catalogFresh)
	}
}

// start begins a fetch or joins the one that runs. Nobody needs to receive from
// the channel.
func (c *catalog) start(ctx context.Context, fetch fetchModels, maxAge time.Duration) <-chan singleflight.Result {
	return c.flight.DoChan("", func() (any, error) {
		// Another fetch may have ended since the caller looked.
		if list, ok, err := c.settled(maxAge); ok {
			return list, err
		}
		// The fetch serves everyone, so the first caller's leaving must not
		// end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catalogTimeout)
		defer cancel()
		return c.record(fetch(ctx))
	})
}

// record keeps the outcome of a fetch.
func (c *catalog) record(list []qwen.Model, err error) ([]qwen.Model, error) {
	if err == nil && len(list) == 0 {
		err = errNoModels
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.err = err; err != nil {
		c.pause = min(max(2*c.pause, catalogMinPause), catalogMaxPause)
		c.next = now.Add(c.pause)
		return nil, err
	}
	list = list[:min(len(list), catalogMax)]
	c.list = slices.Clip(slices.Clone(list)) // appending to it makes a copy
	c.got, c.pause = now, 0
	return c.list, nil
}
