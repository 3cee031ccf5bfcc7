//go:build !linux

package oss

import (
	"testing"
	"time"
)

// A usage is what this process has used so far; unknown here.
type usage struct {
	cpu  time.Duration
	peak int64
}

func mustUsage(testing.TB) usage { return usage{} }
