package spool

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// benchSize is 64 MiB, or what SPOOL_BENCH_MIB says in MiB.
func benchSize(b *testing.B) int64 {
	b.Helper()
	text := os.Getenv("SPOOL_BENCH_MIB")
	if text == "" {
		return 64 << 20
	}
	mib, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("SPOOL_BENCH_MIB: %v", err)
	}
	return int64(mib) << 20
}

func BenchmarkRead(b *testing.B) {
	size := benchSize(b)
	s := New(b.TempDir(), 0)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		mustRead(b, s, io.LimitReader(endlessReader{}, size)).Close()
	}
}

func BenchmarkReadSmall(b *testing.B) {
	s := New(b.TempDir(), 0)
	content := mustBytes(b, 20<<10)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		mustRead(b, s, bytes.NewReader(content)).Close()
	}
}

// Memory is bounded whatever the size: one copy buffer, and what stays in memory
// before the file goes to disk.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	s := New(t.TempDir(), 0)
	mustRead(t, s, io.LimitReader(endlessReader{}, 1<<20)).Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := mustRead(t, s, io.LimitReader(endlessReader{}, 64<<20))
	defer f.Close()
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
		t.Errorf("64 MiB took %d bytes of memory", taken)
	}
}
