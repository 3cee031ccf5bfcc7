package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// patiently repeats a write while the store says that it is too busy. That is no
// error: a write is done once, however often it is tried.
func patiently(write func() error) error {
	for end := time.Now().Add(30 * time.Second); ; {
		err := write()
		if !errors.Is(err, session.ErrUnavailable) || time.Now().After(end) {
			return err
		}
	}
}

// Writers each continue a conversation of their own, while readers look at all of
// them.
func testConcurrent(t *testing.T, s *store) {
	const writers, length = 8, 25
	stop := make(chan struct{})
	var writing, reading sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for i := range length {
				one := turn(fmt.Sprint("c", n), fmt.Sprint("r", i), fmt.Sprint("r", i-1), 1000*n+i)
				one.Tenant = fmt.Sprint("tenant", n)
				if i == 0 {
					one.ParentID = ""
				}
				if err := patiently(func() error { return s.Record(s.ctx, one) }); err != nil {
					t.Errorf("%d: %v", n, err)
				}
			}
		})
		reading.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				number := 1000*(i%writers) + i%length
				found, err := s.Find(s.ctx, keyOf(number), 3)
				if err != nil && !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("reader: %v", err)
				}
				for _, one := range found {
					if one.Key != keyOf(number) || one.Tenant != fmt.Sprint("tenant", i%writers) {
						t.Errorf("found a turn of %s", one.Tenant)
					}
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	for n := range writers {
		for i := range length {
			got := s.turn(fmt.Sprint("c", n), fmt.Sprint("r", i))
			if got.Continued != (i < length-1) {
				t.Errorf("%d/%d: continued %t", n, i, got.Continued)
			}
		}
	}
}

// All record the same two turns: each is recorded once, as one of those who have
// recorded it tells.
func testConcurrentSame(t *testing.T, s *store) {
	const number = 16
	var all sync.WaitGroup
	for n := range number {
		all.Go(func() {
			one := turn("c", fmt.Sprint("r", n%2), "", n%2)
			one.Tenant, one.Key, one.Aliases = fmt.Sprint("tenant", n), keyOf(1), []session.Digest{key(100), key(200 + n)}
			if err := patiently(func() error { return s.Record(s.ctx, one) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.finds(keyOf(1), 100, "c/r1", "c/r0")
	s.findsAlias(key(100), 100, "c/r1", "c/r0")
	for n := range number {
		place := fmt.Sprint("r", n%2)
		if found := s.findAlias(key(200+n), 100); len(found) > 0 != (s.turn("c", place).Tenant == fmt.Sprint("tenant", n)) {
			t.Errorf("%s is that of %s, and is found %d times by an alias of tenant%d", place, s.turn("c", place).Tenant, len(found), n)
		}
	}
}

// A read that is cancelled must never give one caller what another has asked for.
func testConcurrentCancel(t *testing.T, s *store) {
	const number = 8
	for n := range number {
		one := turn(fmt.Sprint("c", n), "r", "", n)
		one.Tenant = fmt.Sprint("tenant", n)
		s.record(one)
	}
	var all sync.WaitGroup
	for n := range number {
		all.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(s.ctx)
				go cancel()
				found, err := s.Find(ctx, keyOf(n), 3)
				if err == nil && (len(found) != 1 || found[0].Tenant != fmt.Sprint("tenant", n)) {
					t.Errorf("%d: try %d found %d turns", n, i, len(found))
				}
				one, err := s.Turn(ctx, here, fmt.Sprint("c", n), "r")
				if err == nil && one.Tenant != fmt.Sprint("tenant", n) {
					t.Errorf("%d: try %d got a turn of %s", n, i, one.Tenant)
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// Close ends all calls, and those that were acknowledged before count.
func testCloseInUse(t *testing.T, s *store) {
	var all sync.WaitGroup
	started := make(chan struct{}, 8)
	for n := range cap(started) {
		all.Go(func() {
			for i := 0; ; i++ {
				err := s.Record(s.ctx, turn(fmt.Sprint("c", n), fmt.Sprint("r", i), "", i))
				if i == 0 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, session.ErrUnavailable) {
						t.Errorf("error: %v", err)
					}
					return
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}
