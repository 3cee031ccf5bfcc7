package caddyqwen

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// What [slots] refuse with. They carry no text for clients: the status, the
// code and the waiting time of each are decided where answers are written.
var (
	// errServerBusy says that no caller may start another request now.
	errServerBusy = errors.New("too many chat requests at once")

	// errTooManyStreams says that this caller may not start another request
	// until one of the caller's own has ended.
	errTooManyStreams = errors.New("too many chat requests of one caller at once")

	// errQueueFull says that the account is busy and that either too many
	// requests wait for it already or this one has waited long enough.
	errQueueFull = errors.New("the account is busy")
)

// inProcess counts the chat requests that are being served with any account.
var inProcess atomic.Int64

// slots counts the chat requests that are being served with the accounts of a handler. It
// outlives configurations, so that a reload neither forgets the requests that
// still run nor grants their places a second time.
type slots struct {
	mu       sync.Mutex
	byTenant map[string]int // requests inside, by tenant; no entry at zero
	waiting  int            // requests in the queue for an account

	accounts []*semaphore.Weighted // serve those who wait in their order
}

// newSlots returns slots for a number of accounts, each of which answers perAccount
// requests at once.
func newSlots(accounts, perAccount int) *slots {
	s := &slots{byTenant: make(map[string]int), accounts: make([]*semaphore.Weighted, accounts)}
	for i := range s.accounts {
		s.accounts[i] = semaphore.NewWeighted(int64(perAccount))
	}
	return s
}

// enter admits a request of a tenant, or returns errServerBusy if there are
// maxTotal requests in the process already, or errTooManyStreams if maxPerKey of them are this
// tenant's. It never waits. Who was admitted must call leave exactly once.
func (s *slots) enter(tenant string, maxTotal, maxPerKey int) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if inProcess.Add(1) > int64(maxTotal) {
		inProcess.Add(-1)
		return nil, errServerBusy
	}
	n := s.byTenant[tenant]
	if n >= maxPerKey {
		inProcess.Add(-1)
		return nil, errTooManyStreams
	}
	s.byTenant[tenant] = n + 1
	return func() { s.leave(tenant) }, nil
}

func (s *slots) leave(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inProcess.Add(-1)
	if s.byTenant[tenant]--; s.byTenant[tenant] == 0 {
		// Without this, everyone who ever called would stay in memory.
		delete(s.byTenant, tenant)
	}
}

// lease takes one of an account's places. If all are taken, it waits its turn,
// unless queueLen requests wait already, and for at most the given time; both
// end in errQueueFull. If ctx ends first, the error is that of ctx. Who got a
// place must call release exactly once.
func (s *slots) lease(ctx context.Context, account, queueLen int, wait time.Duration) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	places := s.accounts[account]
	release = func() { places.Release(1) }
	if places.TryAcquire(1) {
		return release, nil
	}
	if !s.queue(queueLen) {
		return nil, errQueueFull
	}
	defer s.unqueue()

	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if places.Acquire(waiting, 1) == nil {
		return release, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, errQueueFull
}

// queue counts one more waiting request unless there are queueLen of them.
func (s *slots) queue(queueLen int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= queueLen {
		return false
	}
	s.waiting++
	return true
}

func (s *slots) unqueue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}
