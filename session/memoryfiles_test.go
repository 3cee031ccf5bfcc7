package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Those who have most lose their oldest when there are too many.
func TestMemoryFilesBound(t *testing.T) {
	ctx, now := context.Background(), time.UnixMilli(1000)
	account := Of("account", "a")
	s := NewMemoryFiles(10)
	add := func(tenant string, n int) {
		t.Helper()
		err := s.AddFile(ctx, File{Account: account, Tenant: tenant, ID: fmt.Sprint(tenant, n), Created: time.UnixMilli(int64(n))})
		if err != nil {
			t.Fatal(err)
		}
	}
	has := func(tenant string, n int, want bool) {
		t.Helper()
		_, err := s.File(ctx, account, tenant, fmt.Sprint(tenant, n), now)
		if err != nil && !errors.Is(err, ErrNotFound) || (err == nil) != want {
			t.Errorf("%s's file %d: %v", tenant, n, err)
		}
	}
	add("bob", 0)
	add("bob", 1)
	for n := range 20 {
		add("ann", 10+n)
	}
	has("bob", 0, true) // although it is the oldest of all
	has("bob", 1, true)
	has("ann", 21, false)
	has("ann", 22, true)
	add("ann", 29) // again: that is no more of them
	has("ann", 22, true)
	for n := range 3 {
		add("bob", 2+n)
		has("bob", 0, true)
		has("ann", 22+n, false)
		has("ann", 23+n, true)
	}
	for n := range 10 {
		err := s.RemoveFile(ctx, account, "bob", fmt.Sprint("bob", n))
		if (err == nil) != (n < 5) {
			t.Errorf("removing %d: %v", n, err)
		}
	}
	add("ann", 100) // there is room again
	has("ann", 25, true)
	if m := s.(*memoryFiles); m.number != 6 || len(m.owners) != 6 || len(m.shelves) != 1 {
		t.Errorf("%d files of %d places on %d shelves", m.number, len(m.owners), len(m.shelves))
	}
}

func TestMemoryFilesDefault(t *testing.T) {
	for _, max := range []int{0, -1} {
		if got := NewMemoryFiles(max).(*memoryFiles).max; got != MaxFiles {
			t.Errorf("%d: %d", max, got)
		}
	}
}
