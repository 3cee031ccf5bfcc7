//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// side is one of those that are compared: a gateway and its upstream.
type side struct {
	role     string
	upstream *child
	gateway  *child
}

// startSide starts both processes of a side.
func startSide(role string) (*side, error) {
	behind := roleSite
	if role == roleProxy {
		behind = roleFinal
	}
	upstream, err := startChild(behind, "none")
	if err != nil {
		return nil, err
	}
	gateway, err := startChild(role, upstream.address)
	if err != nil {
		upstream.stop()
		return nil, err
	}
	return &side{role, upstream, gateway}, nil
}

func (s *side) stop() {
	s.gateway.stop()
	s.upstream.stop()
}

// series has the values of all rounds of a measure.
type series map[string][]float64

// outcome is what was found out about a workload.
type outcome struct {
	workload workload
	series   map[string]series // by role
	tallies  map[string]*tally // by role
}

// The measures.
const (
	measureCPU    = "cpu"    // see kind
	measureFirst  = "first"  // ms from the request to the first text, median
	measureDirect = "direct" // the same without a gateway, from roleFinal
	measureLag    = "lag50"  // ms from the site to the client, median
	measureLag99  = "lag99"  // the same, 99th percentile
	measureMemory = "memory" // KiB per stream
)

// bench is a running comparison.
type bench struct {
	options options
	log     io.Writer
	sides   []*side // those that live as long as the comparison
}

// measure runs the workloads: a round of all of them, then the next, with the
// sides in turns.
func measure(ctx context.Context, o options, log io.Writer) (*report, error) {
	if err := makeProfiles(o.profile); err != nil {
		return nil, err
	}
	b := &bench{options: o, log: log}
	before := readConditions()
	defer b.stop()
	for _, role := range []string{roleQwen, roleProxy, roleOff} {
		s, err := startSide(role)
		if err != nil {
			return nil, err
		}
		b.sides = append(b.sides, s)
	}
	var outcomes []*outcome
	for _, w := range workloads(o.quick) {
		if len(o.only) == 0 || o.only[w.name] {
			outcomes = append(outcomes, &outcome{w, map[string]series{}, map[string]*tally{}})
		}
	}
	for n := range o.rounds {
		for _, out := range outcomes {
			if n >= out.workload.rounds(o) {
				continue
			}
			if err := b.round(ctx, n, out); err != nil {
				return nil, err
			}
		}
	}
	return newReport(outcomes, before, readConditions()), nil
}

func (b *bench) stop() {
	for _, s := range b.sides {
		s.stop()
	}
}

// round measures a workload once on each side.
func (b *bench) round(ctx context.Context, n int, out *outcome) error {
	fmt.Fprintf(b.log, "%s, %d at once, round %d\n", out.workload.name, out.workload.conns, n+1)
	sides := slices.Clone(b.sides)
	switch out.workload.kind {
	case correct:
		sides = sides[:1]
	case perRequest, latency:
	default:
		sides = sides[:2] // a record costs nothing while an answer is written
	}
	if n%2 == 1 {
		slices.Reverse(sides)
	}
	for _, s := range sides {
		if err := ctx.Err(); err != nil {
			return err
		}
		if out.series[s.role] == nil {
			out.series[s.role], out.tallies[s.role] = series{}, new(tally)
		}
		var values map[string]float64
		var t *tally
		var err error
		if out.workload.kind == memory {
			values, t, err = b.memory(ctx, out.workload, s.role)
		} else {
			values, t, err = b.costs(ctx, out.workload, s)
		}
		if err != nil {
			return fmt.Errorf("%s, %d at once, %s: %w", out.workload.name, out.workload.conns, s.role, err)
		}
		for name, value := range values {
			out.series[s.role][name] = append(out.series[s.role][name], value)
		}
		out.tallies[s.role].merge(t)
	}
	return nil
}

// costs measures CPU time and delays.
func (b *bench) costs(ctx context.Context, w workload, s *side) (map[string]float64, *tally, error) {
	l := newLoad(s.gateway.address, w)
	defer l.close()
	warm := l.warmUp(ctx)
	used, t, err := b.metered(s, w, func() *tally { return l.run(ctx, w.requests) })
	if err != nil {
		return nil, nil, err
	}
	values := map[string]float64{}
	switch w.kind {
	case latency:
		values[measureFirst] = millis(percentile(t.firsts, 50))
		values[measureDirect] = b.direct(ctx, w)
		fallthrough
	case perRequest:
		values[measureCPU] = used.Seconds() / float64(w.requests) * 1e3
	case perFrame:
		values[measureCPU] = used.Seconds() / float64(w.requests*w.script.frames) * 1e6
	case delay:
		values[measureFirst] = millis(percentile(t.firsts, 50))
		values[measureLag] = millis(percentile(t.lags, 50))
		values[measureLag99] = millis(percentile(t.lags, 99))
	}
	t.merge(warm)
	return values, t, nil
}

// direct returns the time to the first text without a gateway.
func (b *bench) direct(ctx context.Context, w workload) float64 {
	l := newLoad(b.final().address, w)
	defer l.close()
	l.warmUp(ctx)
	return millis(percentile(l.run(ctx, w.requests).firsts, 50))
}

// final returns the server behind the reverse_proxy.
func (b *bench) final() *child {
	at := slices.IndexFunc(b.sides, func(s *side) bool { return s.role == roleProxy })
	return b.sides[at].upstream
}

// metered returns the CPU time that the gateway uses for something, with what
// it does right after.
func (b *bench) metered(s *side, w workload, do func() *tally) (time.Duration, *tally, error) {
	const afterwards = 30 * time.Millisecond
	if err := b.profile(s, fmt.Sprintf("%s %s", commandProfile, b.path(w, "cpu"))); err != nil {
		return 0, nil, err
	}
	before, err := s.gateway.number(commandCPU)
	if err != nil {
		return 0, nil, err
	}
	t := do()
	time.Sleep(afterwards)
	after, err := s.gateway.number(commandCPU)
	if err != nil {
		return 0, nil, err
	}
	return time.Duration(after - before), t, b.profile(s, commandStop)
}

// profile has the handler's process carry out a command if profiles are wanted.
func (b *bench) profile(s *side, command string) error {
	if b.options.profile == "" || s.role != roleQwen {
		return nil
	}
	_, err := s.gateway.ask(command)
	return err
}

// path returns the file of a profile. That of the last round remains.
func (b *bench) path(w workload, what string) string {
	path, err := filepath.Abs(filepath.Join(b.options.profile, fmt.Sprintf("%s-%d.%s.pprof", w.name, w.conns, what)))
	if err != nil {
		panic(err) // the working directory is gone
	}
	return path
}

// memory measures the resident memory of idle streams, in processes that have
// not done anything else.
func (b *bench) memory(ctx context.Context, w workload, role string) (map[string]float64, *tally, error) {
	s, err := startSide(role)
	if err != nil {
		return nil, nil, err
	}
	defer s.stop()
	warm := newLoad(s.gateway.address, workload{script: warmUp, stream: true, conns: 8})
	warm.run(ctx, 64)
	warm.close()
	if _, err := s.gateway.ask(commandTidy); err != nil {
		return nil, nil, err
	}
	empty, err := s.gateway.number(commandRSS)
	if err != nil {
		return nil, nil, err
	}
	l := newLoad(s.gateway.address, w)
	defer l.close()
	var full int64
	t, err := l.idle(func() (err error) {
		if full, err = s.gateway.number(commandRSS); err != nil {
			return err
		}
		return b.profile(s, commandHeap+" "+b.path(w, "heap"))
	})
	if err != nil {
		return nil, nil, err
	}
	return map[string]float64{measureMemory: float64(full-empty) / float64(w.conns)}, t, nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile returns the value below which so many percent of the values are,
// or 0 if there are none. It sorts the values.
func percentile(values []time.Duration, percent int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*percent/100)]
}

// makeProfiles makes the directory for profiles.
func makeProfiles(dir string) error {
	if dir == "" {
		return nil
	}
	return os.MkdirAll(dir, 0o755)
}
