package caddyqwen

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

var errListDown = errors.New("the list is down")

// listSource stands in for the site's list of models.
type listSource struct {
	mu    sync.Mutex
	ids   []string
	err   error
	delay time.Duration
	calls []time.Time // when each call began
}

// set changes what the following calls answer.
func (s *listSource) set(err error, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids, s.err = ids, err
}

func (s *listSource) fetch(ctx context.Context) ([]qwen.Model, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	ids, err, delay := s.ids, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return modelsNamed(ids...), nil
}

func (s *listSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func modelsNamed(ids ...string) []qwen.Model {
	models := make([]qwen.Model, 0, len(ids))
	for _, id := range ids {
		models = append(models, qwen.Model{ID: id, ChatTypes: []string{"t2t"}})
	}
	return models
}

func idsOf(models []qwen.Model) []string {
	var ids []string
	for _, m := range models {
		ids = append(ids, m.ID)
	}
	return ids
}

// pass lets the time of a synctest bubble pass, which takes none.
func pass(d time.Duration) { time.Sleep(d) }

// mustList calls models and compares the ids.
func mustList(t *testing.T, c *catalog, s *listSource, want ...string) {
	t.Helper()
	list, err := c.models(t.Context(), s.fetch)
	if err != nil || !slices.Equal(idsOf(list), want) {
		t.Fatalf("models = %v, %v; want %v", idsOf(list), err, want)
	}
}

// mustRefreshed calls refreshed and compares the ids.
func mustRefreshed(t *testing.T, c *catalog, s *listSource, want ...string) {
	t.Helper()
	list, err := c.refreshed(t.Context(), s.fetch)
	if err != nil || !slices.Equal(idsOf(list), want) {
		t.Fatalf("refreshed = %v, %v; want %v", idsOf(list), err, want)
	}
}

// mustHaveFetched compares the number of fetches so far, once none runs.
func mustHaveFetched(t *testing.T, s *listSource, want int) {
	t.Helper()
	synctest.Wait()
	if got := s.count(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

func TestCatalogFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"b", "a"}, delay: time.Second}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { mustListAsync(t, c.models, s) })
			all.Go(func() { mustListAsync(t, c.refreshed, s) })
		}
		all.Wait()
		mustHaveFetched(t, s, 1)
	})
}

// mustListAsync checks an answer in a goroutine that must not end the test.
func mustListAsync(t *testing.T, list func(context.Context, fetchModels) ([]qwen.Model, error), s *listSource) {
	models, err := list(t.Context(), s.fetch)
	if err != nil || !slices.Equal(idsOf(models), []string{"b", "a"}) {
		t.Errorf("got %v, %v", idsOf(models), err)
	}
}

func TestCatalogA16Load(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"a"}}
		for range 3599 {
			for range 10 {
				mustList(t, c, s, "a")
			}
			pass(time.Second)
		}
		mustHaveFetched(t, s, 1)
	})
}

func TestCatalogStaleServedDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"old"}, delay: 3 * time.Second}
		mustList(t, c, s, "old")
		s.set(nil, "new")
		pass(catalogFresh - time.Nanosecond)
		mustList(t, c, s, "old")
		mustHaveFetched(t, s, 1)

		pass(time.Nanosecond)
		asked := time.Now()
		for range 20 {
			mustList(t, c, s, "old")
		}
		if waited := time.Since(asked); waited != 0 {
			t.Errorf("the old list took %v, want none", waited)
		}
		mustHaveFetched(t, s, 2)
		pass(3 * time.Second)
		synctest.Wait()
		mustList(t, c, s, "new")
		mustHaveFetched(t, s, 2)
	})
}

// The background refresh belongs to nobody: a caller that has been answered and
// is gone does not end it.
func TestCatalogRefreshOutlivesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"old"}, delay: time.Second}
		mustList(t, c, s, "old")
		s.set(nil, "new")
		pass(catalogFresh)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := c.models(ctx, s.fetch); err != nil {
			t.Fatal(err)
		}
		cancel()
		pass(time.Second)
		synctest.Wait()
		mustList(t, c, s, "new")
	})
}

func TestCatalogP40StaleOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"a"}}
		mustList(t, c, s, "a")
		s.set(errListDown)
		for range 24*60 - 1 {
			pass(time.Minute)
			mustList(t, c, s, "a")
		}
		// 23 hours of failures: a few short pauses, then one fetch in 10 minutes.
		if n := s.count(); n < 100 || n > 23*6+10 {
			t.Errorf("%d fetches in 24 hours", n)
		}
		pass(time.Minute)
		if list, err := c.models(t.Context(), s.fetch); !errors.Is(err, errListDown) || list != nil {
			t.Errorf("after 24 hours: %v, %v; want the failure", idsOf(list), err)
		}
		s.set(nil, "b")
		pass(catalogMaxPause)
		mustList(t, c, s, "b")
	})
}

// A list that nobody asked for during a day is not served, even though nothing
// has failed.
func TestCatalogForgottenList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"old"}}
		mustList(t, c, s, "old")
		s.set(nil, "new")
		pass(catalogUsable)
		mustList(t, c, s, "new")
	})
}

func TestCatalogPauseDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{err: errListDown}
		start := time.Now()
		for range 3000 {
			if _, err := c.models(t.Context(), s.fetch); !errors.Is(err, errListDown) {
				t.Fatalf("got %v, want the last failure", err)
			}
			pass(time.Second)
		}
		var at []int
		for _, call := range s.calls {
			at = append(at, int(call.Sub(start)/time.Second))
		}
		want := []int{0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435}
		if !slices.Equal(at, want) {
			t.Errorf("fetches at seconds %v, want %v", at, want)
		}
	})
}

func TestCatalogPauseResetBySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{err: errListDown}
		for range 3 { // pauses of 5, 10 and 20 seconds
			_, err := c.models(t.Context(), s.fetch)
			if !errors.Is(err, errListDown) {
				t.Fatal(err)
			}
			pass(20 * time.Second)
		}
		s.set(nil, "a")
		mustList(t, c, s, "a")
		s.set(errListDown)
		pass(catalogUsable)
		for range 2 {
			if _, err := c.models(t.Context(), s.fetch); !errors.Is(err, errListDown) {
				t.Fatal(err)
			}
			mustHaveFetched(t, s, 5)
			pass(catalogMinPause - time.Nanosecond)
		}
		pass(time.Nanosecond)
		s.set(nil, "b")
		mustList(t, c, s, "b")
	})
}

func TestCatalogCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"b", "a"}, delay: 10 * time.Second}
		var others sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		others.Go(func() {
			pass(500 * time.Millisecond)
			mustListAsync(t, c.models, s)
		})
		_, err := c.models(ctx, s.fetch) // began the fetch
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
			t.Errorf("left after %v with %v", time.Since(started), err)
		}
		others.Wait()
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("the other caller was answered after %v, want 10s", took)
		}
		mustHaveFetched(t, s, 1)
	})
}

func TestCatalogFetchTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{delay: time.Hour}
		started := time.Now()
		_, err := c.models(t.Context(), s.fetch)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != catalogTimeout {
			t.Errorf("gave up after %v with %v", time.Since(started), err)
		}
		// The pause counts from the end of the fetch.
		_, err = c.models(t.Context(), s.fetch)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != catalogTimeout {
			t.Errorf("second call: %v with %v", time.Since(started), err)
		}
		mustHaveFetched(t, s, 1)
	})
}

func TestCatalogKeepsContextValues(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithValue(t.Context(), key{}, "value")
		var got any
		_, err := newCatalog().models(ctx, func(ctx context.Context) ([]qwen.Model, error) {
			got = ctx.Value(key{})
			return modelsNamed("a"), nil
		})
		if err != nil || got != "value" {
			t.Errorf("the fetch saw %v, %v; transports of Caddy need the request's values", got, err)
		}
	})
}

func TestCatalogRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"a"}}
		mustRefreshed(t, c, s, "a")
		s.set(nil, "a", "b")
		pass(catalogRecent - time.Nanosecond)
		mustRefreshed(t, c, s, "a")
		mustHaveFetched(t, s, 1)
		pass(time.Nanosecond)
		mustList(t, c, s, "a")
		mustRefreshed(t, c, s, "a", "b")
		mustHaveFetched(t, s, 2)
		mustList(t, c, s, "a", "b")
	})
}

func TestCatalogRefreshedOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{err: errListDown}
		if _, err := c.refreshed(t.Context(), s.fetch); !errors.Is(err, errListDown) {
			t.Fatalf("without a list: %v, want the failure", err)
		}
		s.set(nil, "a")
		pass(catalogMinPause)
		mustRefreshed(t, c, s, "a")
		s.set(errListDown)
		pass(catalogRecent)
		for range 10 { // the first one fetches, the others meet the pause
			mustRefreshed(t, c, s, "a")
		}
		mustHaveFetched(t, s, 3)
	})
}

func TestCatalogRefreshedCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{ids: []string{"a"}}
		mustList(t, c, s, "a")
		s.delay = 5 * time.Second
		pass(catalogRecent)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		list, err := c.refreshed(ctx, s.fetch)
		if err != nil || !slices.Equal(idsOf(list), []string{"a"}) {
			t.Errorf("got %v, %v; want the list there is", idsOf(list), err)
		}
		pass(4 * time.Second)
		mustHaveFetched(t, s, 2)
	})
}

func TestCatalogEmptyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCatalog(), &listSource{}
		if _, err := c.models(t.Context(), s.fetch); !errors.Is(err, errNoModels) {
			t.Fatalf("got %v, want errNoModels", err)
		}
		s.set(nil, "a")
		pass(catalogMinPause)
		mustList(t, c, s, "a")
		s.set(nil)
		pass(catalogFresh)
		mustList(t, c, s, "a")
		mustHaveFetched(t, s, 3)
		mustList(t, c, s, "a")
	})
}

func TestCatalogListIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalog()
		theirs := modelsNamed("a", "b", "c")[:2]
		list, err := c.models(t.Context(), func(context.Context) ([]qwen.Model, error) { return theirs, nil })
		if err != nil {
			t.Fatal(err)
		}
		theirs[0].ID = "changed by who fetched"
		one := append(list, qwen.Model{ID: "x"})
		two := append(list, qwen.Model{ID: "y"})
		if got := idsOf(list); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the list became %v", got)
		}
		if one[2].ID != "x" || two[2].ID != "y" {
			t.Errorf("two callers that append share memory: %q, %q", one[2].ID, two[2].ID)
		}
	})
}

func TestCatalogBoundsTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &listSource{ids: slices.Repeat([]string{"a"}, catalogMax+1)}
		mustList(t, newCatalog(), s, s.ids[:catalogMax]...)
	})
}
