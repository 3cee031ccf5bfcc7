//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is the result of a comparison.
type report struct {
	Rows       []row        `json:"rows"`
	Counts     []count      `json:"counts"`
	Conditions []conditions `json:"conditions"` // before and after
}

// row compares the sides by one measure. Values are medians of the rounds.
type row struct {
	Workload string  `json:"workload"`
	AtOnce   int     `json:"at_once"`
	Measure  string  `json:"measure"`
	Handler  float64 `json:"handler"`
	Other    float64 `json:"other"` // reverse_proxy, or as Measure says
	// Result is the median of the rounds' ratios, or of their differences.
	Result     float64 `json:"result"`
	Difference bool    `json:"difference"`
	Must       float64 `json:"must"` // the largest acceptable result, 0 if nothing is demanded
	Good       float64 `json:"good"` // the largest result that is aimed at

	about string
}

// count is how many answers of a side were not as they must be.
type count struct {
	Side     string `json:"side"`
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	Cut      int    `json:"cut"`
	Wrong    int    `json:"wrong_bytes"`
	Failure  string `json:"failure,omitempty"` // the first one
}

// bar is a measure of a kind of workload and the results that it should have.
type bar struct {
	measure, name string
	than          string // the role to compare with, if not roleProxy
	base          string // of the other side; measureDirect: of the same side
	difference    bool
	must, good    float64
}

// bars returns what is compared of a workload.
func (w workload) bars() []bar {
	cpu := func(name string, must, good float64) bar {
		return bar{measure: measureCPU, name: name, must: must, good: good}
	}
	first := bar{measure: measureFirst, name: "first text, median ms", difference: true, must: 1, good: 0.6}
	record := bar{measure: measureCPU, name: "the same, and with sessions off", than: roleOff}
	switch w.kind {
	case perRequest:
		if !w.stream {
			return []bar{cpu("CPU s per 1,000 requests", 2.5, 1.8), record}
		}
		return []bar{cpu("CPU s per 1,000 requests", 1.8, 1.3), record}
	case latency:
		first.name, first.base = "first text, ms over direct", measureDirect
		return []bar{cpu("CPU s per 1,000 requests", 1.8, 1.3), record, first}
	case perFrame:
		return []bar{cpu("CPU s per 1,000,000 frames", 3, 1.8)}
	case memory:
		return []bar{{measure: measureMemory, name: "KiB per stream", must: 1.3, good: 1}}
	case delay:
		return []bar{first,
			{measure: measureLag, name: "lag, median ms", difference: true, must: 0.2},
			{measure: measureLag99, name: "lag, 99th percentile ms", difference: true, must: 2}}
	}
	return nil
}

func newReport(outcomes []*outcome, before, after conditions) *report {
	r := &report{Conditions: []conditions{before, after}}
	for _, out := range outcomes {
		for _, b := range out.workload.bars() {
			r.Rows = append(r.Rows, out.row(b))
		}
	}
	for _, role := range []string{roleQwen, roleProxy, roleOff} {
		total := new(tally)
		for _, out := range outcomes {
			if t := out.tallies[role]; t != nil {
				total.merge(t)
			}
		}
		c := count{Side: role, Requests: total.requests, Failed: total.failed, Cut: total.cut, Wrong: total.wrong}
		if total.err != nil {
			c.Failure = total.err.Error()
		}
		r.Counts = append(r.Counts, c)
	}
	return r
}

// row compares the sides by a measure. Rounds are compared before they are put
// together, because what disturbs one disturbs both sides of it.
func (out *outcome) row(b bar) row {
	w := out.workload
	ours, theirs := out.series[roleQwen][b.measure], out.series[cmp.Or(b.than, roleProxy)][b.measure]
	if b.base != "" {
		ours = subtract(ours, out.series[roleQwen][b.base])
		theirs = subtract(theirs, out.series[roleProxy][b.base])
	}
	r := row{
		Workload: w.name, AtOnce: w.conns, Measure: b.name, about: w.about,
		Handler: median(ours), Other: median(theirs), Difference: b.difference, Must: b.must, Good: b.good,
	}
	switch {
	case b.base != "":
		r.Result = r.Handler
	case b.difference:
		r.Result = median(subtract(ours, theirs))
	default:
		r.Result = median(divide(ours, theirs))
	}
	return r
}

func subtract(a, b []float64) []float64 {
	return combine(a, b, func(x, y float64) float64 { return x - y })
}

func divide(a, b []float64) []float64 {
	return combine(a, b, func(x, y float64) float64 { return x / y })
}

func combine(a, b []float64, f func(x, y float64) float64) []float64 {
	c := make([]float64, min(len(a), len(b)))
	for i := range c {
		c[i] = f(a[i], b[i])
	}
	return c
}

// median returns NaN if there are no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// correct reports whether all answers of both sides were as they must be.
func (r *report) correct() bool {
	return !slices.ContainsFunc(r.Counts, func(c count) bool { return c.Failed+c.Cut+c.Wrong > 0 })
}

// verdict tells how the result compares with the bars.
func (r row) verdict() string {
	switch {
	case r.Must == 0:
		return ""
	case r.Result <= r.Good:
		return "good"
	case r.Result <= r.Must:
		return "ok"
	}
	return "missed"
}

// bound writes a result or a bar.
func (r row) bound(value float64) string {
	if r.Difference {
		return fmt.Sprintf("%+.2f", value)
	}
	return fmt.Sprintf("%.2fx", value)
}

// demand writes a bar, if there is one.
func (r row) demand(value float64) string {
	if r.Must == 0 {
		return ""
	}
	return r.bound(value)
}

func writeJSON(w io.Writer, r *report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func writeTable(w io.Writer, r *report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "workload\tat once\tmeasure\thandler\treverse_proxy\tresult\tmust\tgood\t")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s %s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Workload, row.about, row.AtOnce, row.Measure,
			figure(row.Handler), figure(row.Other), row.bound(row.Result), row.demand(row.Must), row.demand(row.Good), row.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, c := range r.Counts {
		fmt.Fprintf(w, "%s: %d requests, %d failed, %d cut, %d wrong bytes", c.Side, c.Requests, c.Failed, c.Cut, c.Wrong)
		if c.Failure != "" {
			fmt.Fprintf(w, " (%s)", c.Failure)
		}
		fmt.Fprintln(w)
	}
	before, after := r.Conditions[0], r.Conditions[1]
	_, err := fmt.Fprintf(w, "\n%s, Caddy %s, %d CPUs (%s), load average %s before and %s after\n",
		before.Go, before.Caddy, before.CPUs, before.Processor, before.Load, after.Load)
	return err
}

// figure writes a number with three digits that matter.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	case math.Abs(v) >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// conditions are what the figures depend on.
type conditions struct {
	Go        string `json:"go"`
	Caddy     string `json:"caddy"`
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor"`
	Load      string `json:"load_average"` // of the last minute
}

func readConditions() conditions {
	load, _, _ := strings.Cut(readFile("/proc/loadavg"), " ")
	_, model, _ := strings.Cut(readFile("/proc/cpuinfo"), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	return conditions{runtime.Version(), caddyVersion(), runtime.NumCPU(), model, load}
}

// readFile returns an empty string for files that cannot be read.
func readFile(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func caddyVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == "github.com/caddyserver/caddy/v2" {
			return dep.Version
		}
	}
	return "of an unknown version"
}
