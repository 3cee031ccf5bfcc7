package oss

import (
	"syscall"
	"testing"
	"time"
)

// A usage is what this process has used so far.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of resident memory
}

func mustUsage(t testing.TB) usage {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return usage{cpu: cpu, peak: int64(u.Maxrss) << 10} // Linux counts KiB
}
