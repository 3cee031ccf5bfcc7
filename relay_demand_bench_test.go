package caddyqwen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// jsonFrame is a frame with a part of a JSON document, 60 bytes of it.
func jsonFrame(text string) []byte {
	return bytes.Replace(siteFrame("answer"), []byte(`sixty bytes of text, \"quoted\", with a line\nand höher, 世界 …`), []byte(text), 1)
}

// demanding is an answer that begins with some text and goes on with a frame, over
// and over again, and what the request demands of it.
type demanding struct {
	demand        *demand
	before, frame []byte
}

// relayDemands are answers without calls or stop sequences, to requests that would
// have taken them.
func relayDemands(tb testing.TB) map[string]demanding {
	tb.Helper()
	answer := siteFrame("answer")
	var offered []openai.Tool
	for i := range 10 {
		offered = append(offered, openai.Tool{
			Name: fmt.Sprintf("get_weather_%d", i), Param: fmt.Sprintf("tools[%d].function", i),
			Parameters: `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`,
		})
	}
	demands := func(req openai.ChatRequest) *demand {
		d, err := demandOf(&req)
		must(tb, err)
		return d
	}
	stops := []string{"\nObservation:", "</answer>", "###"}
	object := openai.Format{Type: openai.FormatObject}
	begin, item := jsonFrame(`Here it is:\n\n`+"```json"+`\n{\"list\":[`), jsonFrame(`{\"id\":1,\"name\":\"some words, höher, 世界 …\",\"ok\":true},\n`)
	return map[string]demanding{
		"tools":            {demands(openai.ChatRequest{Tools: offered}), nil, answer},
		"tools, markup":    {demands(openai.ChatRequest{Tools: offered}), nil, jsonFrame("if a < b { use `x` } else <b>sixty</b> bytes, ~ and {…}")},
		"stop":             {demands(openai.ChatRequest{Stop: stops}), nil, answer},
		"tools and stop":   {demands(openai.ChatRequest{Tools: offered, Stop: stops}), nil, answer},
		"max_tokens":       {demands(openai.ChatRequest{MaxOutput: 1 << 30}), nil, answer},
		"response_format":  {demands(openai.ChatRequest{Format: object}), begin, item},
		"tools and format": {demands(openai.ChatRequest{Tools: offered, Format: object}), begin, item},
	}
}

func TestRelayAllocatesNothingPerFrameWithDemands(t *testing.T) {
	for name, in := range relayDemands(t) {
		for _, frames := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s, %d at once", name, frames), func(t *testing.T) {
				data := bytes.Repeat(in.frame, frames)
				x, w := mustOpenRelay(t, in.demand, slices.Concat(in.before, data))
				for range 8 {
					mustTake(t, x, data)
				}
				written, flushed := w.written, w.flushed
				const reads = 100
				// The race detector makes pools forget a part of what they hold. JSON is
				// kept to be checked, in memory that doubles: less than once in a read.
				if n := testing.AllocsPerRun(reads, func() { mustTake(t, x, data) }); n > 0 && !raceDetector {
					t.Errorf("%v allocations per read, want none", n)
				}
				// AllocsPerRun makes one more call than it counts. What is held back of one
				// piece comes with the next one.
				if got := w.flushed - flushed; got != reads+1 {
					t.Errorf("%d flushes for %d reads, want one for each", got, reads+1)
				}
				if least := (reads + 1) * frames * 50; w.written-written < least {
					t.Errorf("%d bytes were written, want at least %d", w.written-written, least)
				}
			})
		}
	}
}

// BenchmarkRelayDemands compares the answer to a request that demands something of it
// with the same answer to one that does not. Both are read in turns, so that other
// work on the machine does not change the ratio, which is the median of all turns.
func BenchmarkRelayDemands(b *testing.B) {
	const frames, reads = 4, 64
	for name, in := range relayDemands(b) {
		b.Run(strings.NewReplacer(", ", "-", " ", "-").Replace(name), func(b *testing.B) {
			data, begin := bytes.Repeat(in.frame, frames), slices.Concat(in.before, in.frame)
			plain, _ := mustOpenRelay(b, nil, begin)
			x, _ := mustOpenRelay(b, in.demand, begin)
			timed := func(x *relay) time.Duration {
				begun := time.Now()
				for range reads {
					mustTake(b, x, data)
				}
				return time.Since(begun)
			}
			var ratios, per []float64
			b.ReportAllocs()
			for b.Loop() {
				ordinary, took := timed(plain), timed(x)
				ratios = append(ratios, float64(took)/float64(ordinary))
				per = append(per, float64(took)/reads/frames)
				// JSON has a limit.
				x.reading = x.turn.reading(x.stream, false)
				mustTake(b, x, begin)
			}
			b.ReportMetric(median(ratios), "x-ordinary")
			b.ReportMetric(median(per), "ns/frame")
		})
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
