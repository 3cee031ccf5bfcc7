//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		given := slices.Clone(tt.values)
		if got := median(tt.values); got != tt.want || !slices.Equal(given, tt.values) {
			t.Errorf("median of %v is %v, want %v; now %v", given, got, tt.want, tt.values)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestPercentile(t *testing.T) {
	var values []time.Duration
	for i := range 200 {
		values = append(values, time.Duration(200-i))
	}
	for percent, want := range map[int]time.Duration{50: 101, 99: 199, 100: 200, 0: 1} {
		if got := percentile(values, percent); got != want {
			t.Errorf("%d: %d, want %d", percent, got, want)
		}
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("percentile of nothing is %v", got)
	}
}

// outcomeOf is an outcome with these rounds of one measure.
func outcomeOf(w workload, measure string, ours, theirs []float64) *outcome {
	return &outcome{w,
		map[string]series{roleQwen: {measure: ours}, roleProxy: {measure: theirs}, roleOff: {measure: theirs}},
		map[string]*tally{roleQwen: {requests: 5}, roleProxy: {requests: 5}, roleOff: {requests: 5}},
	}
}

func TestRow(t *testing.T) {
	cpu := workload{name: "W4", conns: 32, kind: perRequest}
	for name, tt := range map[string]struct {
		bar          bar
		ours, theirs []float64
		result       float64
		verdict      string
	}{
		"ratio of rounds":   {bar{measure: "m", must: 3, good: 2}, []float64{2, 30, 5}, []float64{1, 10, 1}, 3, "ok"},
		"good at the bar":   {bar{measure: "m", must: 3, good: 2}, []float64{2}, []float64{1}, 2, "good"},
		"missed":            {bar{measure: "m", must: 3, good: 2}, []float64{3.1}, []float64{1}, 3.1, "missed"},
		"difference":        {bar{measure: "m", difference: true, must: 1, good: 0}, []float64{1.5, 9}, []float64{1, 8.5}, 0.5, "ok"},
		"better than proxy": {bar{measure: "m", difference: true, must: 1, good: 0}, []float64{1}, []float64{2}, -1, "good"},
		"nothing demanded":  {bar{measure: "m", than: roleOff}, []float64{3}, []float64{2}, 1.5, ""},
		"nothing measured":  {bar{measure: "m", must: 3, good: 2}, nil, nil, math.NaN(), "missed"},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcomeOf(cpu, "m", tt.ours, tt.theirs).row(tt.bar)
			if got.Result != tt.result && !(math.IsNaN(got.Result) && math.IsNaN(tt.result)) {
				t.Errorf("result %v, want %v", got.Result, tt.result)
			}
			if got.verdict() != tt.verdict {
				t.Errorf("verdict %q, want %q", got.verdict(), tt.verdict)
			}
		})
	}
}

func TestRowWithoutGateway(t *testing.T) {
	out := outcomeOf(workload{}, measureFirst, []float64{1.5, 2.5}, []float64{1, 2})
	out.series[roleQwen][measureDirect] = []float64{1, 1}
	out.series[roleProxy][measureDirect] = []float64{0.5, 1}
	got := out.row(bar{measure: measureFirst, base: measureDirect, difference: true, must: 1, good: 0.6})
	if got.Handler != 1 || got.Other != 0.75 || got.Result != 1 || got.verdict() != "ok" {
		t.Errorf("%+v", got)
	}
}

// TestBars compares the bars with those that the project has set itself.
func TestBars(t *testing.T) {
	var got []string
	for _, w := range workloads(false) {
		for _, b := range w.bars() {
			got = append(got, fmt.Sprintf("%s/%d %s %v %v %s", w.name, w.conns, b.measure, b.must, b.good, b.than))
		}
	}
	want := []string{
		"W1/1 cpu 1.8 1.3 ", "W1/1 cpu 0 0 sessions_off", "W1/1 first 1 0.6 ",
		"W1/32 cpu 1.8 1.3 ", "W1/32 cpu 0 0 sessions_off", "W1/256 cpu 1.8 1.3 ", "W1/256 cpu 0 0 sessions_off",
		"W2/8 cpu 3 1.8 ", "W2/64 cpu 3 1.8 ", "W4/32 cpu 2.5 1.8 ", "W4/32 cpu 0 0 sessions_off",
		"W5/32 first 1 0.6 ", "W5/32 lag50 0.2 0 ", "W5/32 lag99 2 0 ",
		"W3/1000 memory 1.3 1 ", "W3/5000 memory 1.3 1 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("bars\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestQuickIsSmaller(t *testing.T) {
	size := func(list []workload) (n int) {
		for _, w := range list {
			n += w.requests * w.script.frames
		}
		return n
	}
	if quick, full := size(workloads(true)), size(workloads(false)); quick*2 > full {
		t.Errorf("%d frames with -quick, %d without", quick, full)
	}
	for _, w := range workloads(false) {
		if n := w.rounds(options{rounds: 5}); n < 1 || n > 5 {
			t.Errorf("%s: %d rounds", w.name, n)
		}
	}
}

func TestReport(t *testing.T) {
	out := outcomeOf(workload{name: "W4", about: "not streamed", conns: 32, kind: perRequest}, measureCPU,
		[]float64{0.25, 0.3}, []float64{0.125, 0.15})
	place := conditions{Go: "go1.2.3", Caddy: "v2.3.4", CPUs: 2, Processor: "Abacus", Load: "0.50"}
	r := newReport([]*outcome{out}, place, place)
	if !r.correct() {
		t.Error("an outcome without mistakes counts as wrong")
	}
	var table bytes.Buffer
	if err := writeTable(&table, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"W4 not streamed  32       CPU s per 1,000 requests         0.275    0.138          2.00x   2.50x  1.80x  ok\n",
		"W4 not streamed  32       the same, and with sessions off  0.275    0.138          2.00x                 \n",
		"qwen: 5 requests, 0 failed, 0 cut, 0 wrong bytes\n",
		"go1.2.3, Caddy v2.3.4, 2 CPUs (Abacus), load average 0.50 before and 0.50 after\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no line %q in\n%s", want, &table)
		}
	}
}

func TestReportOfMistakes(t *testing.T) {
	for name, mistake := range map[string]*tally{
		"failed": {failed: 1, err: errors.New("refused")}, "cut": {cut: 1, err: errCut}, "wrong": {wrong: 1},
	} {
		t.Run(name, func(t *testing.T) {
			out := outcomeOf(workload{}, measureCPU, []float64{1}, []float64{1})
			out.tallies[roleQwen] = mistake
			r := newReport([]*outcome{out}, conditions{}, conditions{})
			if r.correct() {
				t.Error("counts as correct")
			}
			var table bytes.Buffer
			if err := writeTable(&table, r); err != nil {
				t.Fatal(err)
			}
			if mistake.err != nil && !strings.Contains(table.String(), mistake.err.Error()) {
				t.Errorf("the failure is not told:\n%s", &table)
			}
		})
	}
}

func TestTallyMerge(t *testing.T) {
	first := errors.New("first")
	total := &tally{}
	a := &tally{}
	a.add(&check{first: 3, lags: []time.Duration{1, 2}}, nil)
	a.add(&check{wrong: 2}, first)
	b := &tally{}
	b.add(&check{}, fmt.Errorf("%w: because", errCut))
	total.merge(a)
	total.merge(b)
	if total.requests != 3 || total.failed != 1 || total.cut != 1 || total.wrong != 2 || total.err != first {
		t.Errorf("%+v", total)
	}
	if len(total.firsts) != 1 || len(total.lags) != 2 {
		t.Errorf("%d first texts and %d lags, want those of the good answer", len(total.firsts), len(total.lags))
	}
}

func TestConditions(t *testing.T) {
	c := readConditions()
	if !strings.HasPrefix(c.Go, "go") || !strings.HasPrefix(c.Caddy, "v2.") || c.CPUs < 1 || c.Load == "" {
		t.Errorf("%+v", c)
	}
}
