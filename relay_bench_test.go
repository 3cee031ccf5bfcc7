package caddyqwen

import (
	"bytes"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// nullWriter is a response writer that counts what is written and keeps nothing.
type nullWriter struct {
	header  http.Header
	written int
	flushed int
}

func (w *nullWriter) Header() http.Header { return w.header }
func (w *nullWriter) WriteHeader(int)     {}
func (w *nullWriter) Flush()              { w.flushed++ }

func (w *nullWriter) Write(p []byte) (int, error) {
	w.written += len(p)
	return len(p), nil
}

// mustOpenRelay returns a relay whose stream is open and whose buffers have
// grown to what the data needs. The request may demand something of the answer.
func mustOpenRelay(tb testing.TB, d *demand, data []byte) (*relay, *nullWriter) {
	tb.Helper()
	w := &nullWriter{header: make(http.Header)}
	h := new(Handler)
	h.setDefaults()
	h.MaxAnswer = math.MaxInt64
	x := newRelay(h, w, nil, openai.NewStream("chatcmpl-1", "qwen3.7-plus", 1790000000, true), true, time.Now())
	x.up, x.turn = &upstream{account: &account{keeper: new(keeper)}}, &turn{conversation: &conversation{h: h, keep: true}, demand: d}
	x.reading = x.turn.reading(x.stream, false)
	x.info = new(requestInfo)
	tb.Cleanup(func() { x.timer.Stop() })
	mustTake(tb, x, data)
	if !x.opened || w.flushed == 0 {
		tb.Fatal("the stream is not open after the first data")
	}
	return x, w
}

func mustTake(tb testing.TB, x *relay, data []byte) {
	tb.Helper()
	b := getBuffer(largeRead)
	b.filled = append(b.space[:0], data...)
	if over, err := x.take(read{data: b}); over || err != nil {
		tb.Fatalf("take: over %t, %v", over, err)
	}
}

// siteFrame is a frame as the site sends most, with a text of 60 bytes.
func siteFrame(phase string) []byte {
	return []byte(`data: {"choices":[{"delta":{"role":"assistant","content":"sixty bytes of text, \"quoted\", with a line\nand höher, 世界 …",` +
		`"phase":"` + phase + `","status":"typing"}}],"response_id":"5d2d1fe5-3a5b-4f6c-8a56-0c1c26a1d9ab",` +
		`"usage":{"input_tokens":1200,"output_tokens":90,"total_tokens":1290,"output_tokens_details":{"reasoning_tokens":0}},"timestamp":1790000002}` + "\n\n")
}

// relayReads is what may come in one read, over and over again. What precedes
// the first one completes a frame that each read begins in the middle of.
func relayReads() map[string]struct{ before, data []byte } {
	answer, think := siteFrame("answer"), siteFrame("think")
	cut := len(answer) / 3
	keepAlives := strings.Repeat(": keep-alive\n\n", 8) + `data: {"response.info":{"action":"keep_alive"}}` + "\n\n"
	return map[string]struct{ before, data []byte }{
		"one frame":           {nil, answer},
		"sixteen frames":      {nil, bytes.Repeat(answer, 16)},
		"cut frames":          {answer[:cut], slices.Concat(answer[cut:], answer, answer, answer[:cut])},
		"reasoning":           {nil, bytes.Repeat(think, 4)},
		"reasoning to answer": {nil, slices.Concat(think, answer)},
		"keep-alives":         {nil, slices.Concat([]byte(keepAlives), answer)},
	}
}

func TestRelayAllocatesNothingPerFrame(t *testing.T) {
	for name, in := range relayReads() {
		t.Run(name, func(t *testing.T) {
			x, w := mustOpenRelay(t, nil, slices.Concat(in.before, in.data))
			mustTake(t, x, in.data)
			written, flushed := w.written, w.flushed
			const reads = 100
			// The race detector makes pools forget a part of what they hold.
			if n := testing.AllocsPerRun(reads, func() { mustTake(t, x, in.data) }); n > 0 && !raceDetector {
				t.Errorf("%v allocations per read, want none", n)
			}
			// AllocsPerRun makes one more call than it counts.
			if got := w.flushed - flushed; got != reads+1 {
				t.Errorf("%d flushes for %d reads, want one for each", got, reads+1)
			}
			if w.written == written {
				t.Error("nothing was written")
			}
		})
	}
}

func BenchmarkRelay(b *testing.B) {
	for name, in := range relayReads() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			frames := float64(max(1, bytes.Count(in.data, []byte("data: {\"choices"))))
			x, _ := mustOpenRelay(b, nil, slices.Concat(in.before, in.data))
			b.ReportAllocs()
			b.SetBytes(int64(len(in.data)))
			for b.Loop() {
				mustTake(b, x, in.data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}
