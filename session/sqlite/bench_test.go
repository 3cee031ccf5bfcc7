//go:build unix

package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// benchStore opens a store with a number of turns, ten in each chat.
func benchStore(b *testing.B, number int) *Store {
	b.Helper()
	s := New(Options{Path: filepath.Join(b.TempDir(), "store.db"), Patience: 30 * time.Second})
	b.Cleanup(func() { _ = s.Close() })
	const batch = 2000
	for first := 0; first < number; first += batch {
		err := s.write(ctx, job{op: func(w *writer) error {
			for n := first; n < min(first+batch, number); n++ {
				one := benchTurn(n)
				if err := newRow(&one).record(w); err != nil {
					return err
				}
			}
			return nil
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func benchTurn(n int) session.Turn {
	parent := ""
	if n%10 > 0 {
		parent = fmt.Sprintf("5b0f2c1e-3f0a-4f0e-9d51-%012d", n-1)
	}
	return testTurn(fmt.Sprintf("7d5c9a34-12ab-4e0f-8a77-%012d", n/10), fmt.Sprintf("5b0f2c1e-3f0a-4f0e-9d51-%012d", n), parent, n)
}

// BenchmarkFind looks for turns that are there and turns that are not, in all of
// the store. The time of a look-up must not depend on the number of turns.
func BenchmarkFind(b *testing.B) {
	for _, number := range []int{1_000, 1_000_000} {
		b.Run(strconv.Itoa(number), func(b *testing.B) {
			s := benchStore(b, number)
			times := make([]time.Duration, 0, b.N)
			n := 0
			for b.Loop() {
				n++
				of := int(uint64(n) * 0x9e3779b97f4a7c15 % uint64(number))
				begin := time.Now()
				found, err := s.Find(ctx, testKeys(of+n%2*number), 3)
				times = append(times, time.Since(begin))
				if err != nil || len(found) != 1-n%2 {
					b.Fatalf("turn %d: %d found, %v", of, len(found), err)
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
			if stats, err := s.Stats(ctx); err == nil {
				b.ReportMetric(float64(stats.Bytes)/float64(number), "B/turn")
			}
			b.ReportMetric(residentMiB(), "RSS-MiB")
		})
	}
}

// BenchmarkRecord records turns one after the other, and several at a time, which
// then share transactions. A turn has a parent or not, and an alias if its reply
// comes back in another form.
func BenchmarkRecord(b *testing.B) {
	for name, change := range map[string]func(*session.Turn){
		"first": func(t *session.Turn) { t.ParentID, t.Aliases = "", nil },
		"next":  func(t *session.Turn) { t.Aliases = nil },
		"alias": func(*session.Turn) {},
	} {
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d at once", name, writers), func(b *testing.B) {
				benchRecord(b, writers, change)
			})
		}
	}
}

func benchRecord(b *testing.B, writers int, change func(*session.Turn)) {
	s := benchStore(b, 10_000)
	var next atomic.Int64
	next.Store(10_000)
	end := next.Load() + int64(b.N)
	var all sync.WaitGroup
	b.ResetTimer()
	begin := cpuTime()
	for range writers {
		all.Go(func() {
			for n := next.Add(1); n <= end; n = next.Add(1) {
				one := benchTurn(int(n))
				change(&one)
				if err := s.Record(ctx, one); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(cpuTime()-begin)/float64(b.N), "cpu-ns/op")
}

// cpuTime is how long processors have worked for this process.
func cpuTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// residentMiB is the memory of this process, 0 where that cannot be told.
func residentMiB() float64 {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseFloat(fields[0], 64)
	return kib / 1024
}
