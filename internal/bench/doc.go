//go:build linux

// Command bench compares the qwen handler with Caddy's own reverse_proxy.
//
// It starts an emulation of the site, a Caddy with the handler in front of it,
// and a Caddy with a reverse_proxy in front of a server that sends what the
// handler would have written. Each is a process of its own on the loopback
// interface. The command itself is the client: it drives both in turns, checks
// every byte of the answers, and prints what they cost as ratios.
//
//	go run ./internal/bench [-quick] [-rounds n] [-only W1,W2] [-json] [-profile dir]
//
// The workloads:
//
//   - W1: short streams, 20 pieces of 40 bytes, one, 32 and 256 at once
//   - W2: long streams, 1,000 pieces of 60 bytes without a pause, 8 and 64 at once
//   - W3: idle streams, one piece a second, 1,000 and 5,000 at once
//   - W4: answers that are not streamed, 32 at once
//   - W5: 32 streams with a piece every 20 ms
//   - W6: thinking before and between the pieces, and the site's bytes cut at odd places
//
// It exits with 1 if an answer was wrong or incomplete, whatever its speed. It
// needs Linux, because it reads the memory of processes from /proc.
package main
