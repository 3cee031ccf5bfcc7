package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// mustEnter admits a request of a tenant under generous limits.
func mustEnter(t *testing.T, s *slots, tenant string) (leave func()) {
	t.Helper()
	leave, err := s.enter(tenant, 1000, 1000)
	if err != nil {
		t.Fatalf("enter(%q): %v", tenant, err)
	}
	return leave
}

// mustLease takes a place that is free.
func mustLease(t *testing.T, s *slots) (release func()) {
	t.Helper()
	release, err := s.lease(t.Context(), 0, 0, 0)
	if err != nil {
		t.Fatalf("lease: %v", err)
	}
	return release
}

// checkEmpty fails the test if s still counts anything.
func checkEmpty(t *testing.T, s *slots) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if inProcess.Load() != 0 || s.waiting != 0 || len(s.byTenant) != 0 {
		t.Errorf("total %d, waiting %d, tenants %v; want nothing left", inProcess.Load(), s.waiting, s.byTenant)
	}
}

func TestSlotsEnter(t *testing.T) {
	tests := []struct {
		name                string
		inside              []string
		tenant              string
		maxTotal, maxPerKey int
		want                error
	}{
		{"first", nil, "a", 1, 1, nil},
		{"below both limits", []string{"a", "b"}, "a", 3, 2, nil},
		{"L04 caller at the limit", []string{"a", "a"}, "a", 9, 2, errTooManyStreams},
		{"L04 other caller passes", []string{"a", "a"}, "b", 9, 2, nil},
		{"L05 process at the limit", []string{"a", "b"}, "c", 2, 2, errServerBusy},
		{"L05 comes before L04", []string{"a", "a"}, "a", 2, 2, errServerBusy},
		{"limits lowered by a reload", []string{"a", "a", "a"}, "a", 9, 1, errTooManyStreams},
		{"total lowered by a reload", []string{"a", "b", "c"}, "d", 1, 1, errServerBusy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSlots(1, 1)
			defer checkEmpty(t, s) // runs after all of the following
			for _, tenant := range tt.inside {
				defer mustEnter(t, s, tenant)()
			}
			leave, err := s.enter(tt.tenant, tt.maxTotal, tt.maxPerKey)
			if !errors.Is(err, tt.want) {
				t.Fatalf("enter = %v, want %v", err, tt.want)
			}
			if (leave == nil) != (err != nil) {
				t.Fatalf("leave is nil: %v, with error %v", leave == nil, err)
			}
			if leave != nil {
				leave()
			}
			if got := int(inProcess.Load()); got != len(tt.inside) {
				t.Errorf("%d requests counted, want %d", got, len(tt.inside))
			}
		})
	}
}

func TestSlotsEnterAfterLeave(t *testing.T) {
	s := newSlots(1, 1)
	leave := mustEnter(t, s, "a")
	if _, err := s.enter("a", 9, 1); !errors.Is(err, errTooManyStreams) {
		t.Fatalf("second request: %v, want %v", err, errTooManyStreams)
	}
	leave()
	checkEmpty(t, s)
	leave, err := s.enter("a", 9, 1)
	if err != nil {
		t.Fatalf("after leaving: %v", err)
	}
	leave()
	checkEmpty(t, s)
}

func TestSlotsEnterAllocatesOnlyTheClosure(t *testing.T) {
	s := newSlots(1, 1)
	tenant := "name:" + t.Name()
	got := testing.AllocsPerRun(1000, func() {
		leave, err := s.enter(tenant, 1, 1)
		if err != nil {
			panic(err)
		}
		leave()
	})
	if got > 1 {
		t.Errorf("%v allocations for each request, want at most 1", got)
	}
}

func TestSlotsEnterConcurrently(t *testing.T) {
	const (
		tenants   = 7
		maxTotal  = 20
		maxPerKey = 4
	)
	s := newSlots(1, 1)
	var inside atomic.Int64
	var perTenant [tenants]atomic.Int64
	var refused, admitted atomic.Int64
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 500 {
				i := rnd.IntN(tenants)
				leave, err := s.enter(fmt.Sprint("tenant ", i), maxTotal, maxPerKey)
				if err != nil {
					refused.Add(1)
					continue
				}
				admitted.Add(1)
				if n := inside.Add(1); n > maxTotal {
					t.Errorf("%d requests at once, want at most %d", n, maxTotal)
				}
				if n := perTenant[i].Add(1); n > maxPerKey {
					t.Errorf("%d requests of one tenant at once, want at most %d", n, maxPerKey)
				}
				perTenant[i].Add(-1)
				inside.Add(-1)
				leave()
			}
		})
	}
	wg.Wait()
	if got := refused.Load() + admitted.Load(); got != 64*500 {
		t.Errorf("%d decisions, want %d", got, 64*500)
	}
	checkEmpty(t, s)
}

func TestSlotsLeaseOutcomes(t *testing.T) {
	gone := errors.New("the client has gone")
	tests := []struct {
		name      string
		queueLen  int
		wait      time.Duration
		clientFor time.Duration // how long the client stays; 0: for ever
		freeAfter time.Duration // when the place becomes free; 0: never
		want      error
		after     time.Duration
	}{
		{"L06 place becomes free", 1, 10 * time.Second, 0, 3 * time.Second, nil, 3 * time.Second},
		{"L06 waited long enough", 1, 10 * time.Second, 0, 0, errQueueFull, 10 * time.Second},
		{"L06 client leaves the queue", 1, 10 * time.Second, 2 * time.Second, 0, context.DeadlineExceeded, 2 * time.Second},
		{"L06 no queue", 0, 10 * time.Second, 0, time.Second, errQueueFull, 0},
		{"free only after the wait", 1, time.Second, 0, 2 * time.Second, errQueueFull, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(1, 1)
				holder := mustLease(t, s)
				if tt.freeAfter > 0 {
					time.AfterFunc(tt.freeAfter, holder)
				}
				ctx := t.Context()
				if tt.clientFor > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeoutCause(ctx, tt.clientFor, gone)
					defer cancel()
				}
				start := time.Now()
				release, err := s.lease(ctx, 0, tt.queueLen, tt.wait)
				if !errors.Is(err, tt.want) {
					t.Fatalf("lease = %v, want %v", err, tt.want)
				}
				if got := time.Since(start); got != tt.after {
					t.Errorf("decided after %v, want %v", got, tt.after)
				}
				if release != nil {
					release()
				}
				<-time.After(time.Minute) // lets the holder release, too
				checkEmpty(t, s)
			})
		})
	}
}

func TestSlotsLeaseOfGoneClient(t *testing.T) {
	s := newSlots(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.lease(ctx, 0, 1, time.Minute); !errors.Is(err, context.Canceled) {
		t.Fatalf("lease with a free place = %v, want %v", err, context.Canceled)
	}
	mustLease(t, s)() // the place is still free
	checkEmpty(t, s)
}

// TestSlotsLeaseInOrder checks that waiting requests are served first come,
// first served, and that a newcomer does not overtake them.
func TestSlotsLeaseInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiters = 8
		s := newSlots(1, 1)
		release := mustLease(t, s)
		served := make(chan int)
		for i := range waiters {
			go func() {
				release, err := s.lease(t.Context(), 0, waiters, time.Hour)
				if err != nil {
					t.Errorf("waiter %d: %v", i, err)
					return
				}
				served <- i
				release()
			}()
			synctest.Wait() // now it is in the queue
		}
		if _, err := s.lease(t.Context(), 0, waiters, time.Hour); !errors.Is(err, errQueueFull) {
			t.Errorf("L06 the queue takes more than its length: %v", err)
		}
		release()
		for want := range waiters {
			if got := <-served; got != want {
				t.Errorf("waiter %d was served as number %d", got, want)
			}
		}
		synctest.Wait()
		checkEmpty(t, s)
	})
}

// TestSlotsLeaseFreesItsPlaceInTheQueue checks that a client who leaves, or has
// waited long enough, makes room in the queue at once.
func TestSlotsLeaseFreesItsPlaceInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 1)
		release := mustLease(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := s.lease(ctx, 0, 1, time.Hour)
			left <- err
		}()
		synctest.Wait()
		if _, err := s.lease(t.Context(), 0, 1, time.Hour); !errors.Is(err, errQueueFull) {
			t.Fatalf("full queue: %v, want %v", err, errQueueFull)
		}
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the client who left got %v, want %v", err, context.Canceled)
		}
		if _, err := s.lease(t.Context(), 0, 1, time.Second); !errors.Is(err, errQueueFull) {
			t.Errorf("waited: %v, want %v", err, errQueueFull)
		}
		release()
		mustLease(t, s)()
		checkEmpty(t, s)
	})
}

func TestSlotsLeaseConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 3
		s := newSlots(1, places)
		var busy, got, refused, gone atomic.Int64
		var wg sync.WaitGroup
		for worker := range 40 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(worker), 2))
				for range 25 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(50))*time.Millisecond)
					release, err := s.lease(ctx, 0, 16, time.Duration(1+rnd.IntN(50))*time.Millisecond)
					cancel()
					switch {
					case errors.Is(err, errQueueFull):
						refused.Add(1)
					case err != nil:
						gone.Add(1)
					default:
						got.Add(1)
						if n := busy.Add(1); n > places {
							t.Errorf("%d places taken, want at most %d", n, places)
						}
						<-time.After(time.Duration(rnd.IntN(20)) * time.Millisecond)
						busy.Add(-1)
						release()
					}
				}
			})
		}
		wg.Wait()
		if n := got.Load() + refused.Load() + gone.Load(); n != 40*25 || got.Load() == 0 || refused.Load() == 0 || gone.Load() == 0 {
			t.Errorf("got %d, refused %d, gone %d; want some of each, %d in all", got.Load(), refused.Load(), gone.Load(), 40*25)
		}
		for range places {
			mustLease(t, s)
		}
		checkEmpty(t, s)
	})
}

func BenchmarkSlotsEnter(b *testing.B) {
	s := newSlots(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		leave, err := s.enter("name:bench", 1, 1)
		if err != nil {
			b.Fatal(err)
		}
		leave()
	}
}
