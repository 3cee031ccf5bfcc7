//go:build linux

package main

import "time"

// workload is what both sides have to do in a round.
type workload struct {
	name     string
	about    string
	script   script
	stream   bool
	conns    int
	requests int           // in a round, on all connections together
	spread   time.Duration // between the starts of two connections
	kind     kind
}

// kind tells what is measured of a workload.
type kind uint8

const (
	perRequest kind = iota // CPU time for 1,000 requests
	perFrame               // CPU time for a million frames
	memory                 // resident memory for each stream
	delay                  // time to the first text, and lag of all texts
	latency                // perRequest, and time to the first text without a queue
	correct                // of the handler only: whether its answers are right
)

// rampUp is the time between the starts of two idle streams.
const rampUp = 500 * time.Microsecond

// workloads returns all workloads.
func workloads(quick bool) []workload {
	scale := 4
	if quick {
		scale = 1
	}
	short := script{frames: 20, size: 40}
	long := script{frames: 1000, size: 60}
	paced := script{frames: 50 * (1 + scale/2), size: 40, gap: 20 * time.Millisecond, stamped: true}
	list := []workload{
		{"W1", "short streams", short, true, 1, 200 * scale, 0, latency},
		{"W1", "short streams", short, true, 32, 600 * scale, 0, perRequest},
		{"W1", "short streams", short, true, 256, 600 * scale, 0, perRequest},
		{"W2", "long streams", long, true, 8, 40 * scale, 0, perFrame},
		{"W2", "long streams", long, true, 64, 64 * scale, 0, perFrame},
		{"W4", "not streamed", short, false, 32, 600 * scale, 0, perRequest},
		{"W5", "a piece every 20 ms", paced, true, 32, 32, 5 * time.Millisecond, delay},
		{"W6", "thinking, odd cuts", script{frames: 20, size: 40, odd: true}, true, 8, 50 * scale, 0, correct},
		{"W3", "idle streams", script{frames: 8, size: 40, gap: time.Second}, true, 1000, 1000, rampUp, memory},
	}
	if !quick {
		list = append(list, workload{"W3", "idle streams", script{frames: 14, size: 40, gap: time.Second}, true, 5000, 5000, rampUp, memory})
	}
	return list
}

// rounds returns how many rounds of a workload are made. Streams that take their
// time need few.
func (w workload) rounds(o options) int {
	switch {
	case w.kind == memory || w.kind == correct:
		return 1
	case w.kind == delay && o.quick:
		return min(o.rounds, 2)
	}
	return o.rounds
}
