//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what came of a number of requests.
type tally struct {
	requests int
	failed   int // requests that were refused, or whose connection failed
	cut      int // answers that ended early
	wrong    int // wrong bytes

	firsts []time.Duration // from the requests to their first texts
	lags   []time.Duration // of the stamped texts
	err    error           // the first failure
}

// add counts one request.
func (t *tally) add(k *check, err error) {
	t.requests++
	t.wrong += k.wrong
	switch {
	case errors.Is(err, errCut):
		t.cut++
	case err != nil:
		t.failed++
	default:
		t.firsts = append(t.firsts, k.first)
		t.lags = append(t.lags, k.lags...)
	}
	if t.err == nil {
		t.err = err
	}
}

// merge adds another tally.
func (t *tally) merge(o *tally) {
	t.requests += o.requests
	t.failed += o.failed
	t.cut += o.cut
	t.wrong += o.wrong
	t.firsts = append(t.firsts, o.firsts...)
	t.lags = append(t.lags, o.lags...)
	if t.err == nil {
		t.err = o.err
	}
}

// load is a number of connections that make the same request.
type load struct {
	clients []*client
	request []byte
	want    *expected
	spread  time.Duration // between the starts of two connections
}

func newLoad(address string, w workload) *load {
	l := &load{request: chatRequest(w.script.prompt(), w.stream), want: w.script.expected(w.stream), spread: w.spread}
	for range w.conns {
		l.clients = append(l.clients, newClient(address))
	}
	return l
}

func (l *load) close() {
	for _, c := range l.clients {
		c.close()
	}
}

// run makes a number of requests on all connections and waits for the answers.
func (l *load) run(ctx context.Context, requests int) *tally {
	var next atomic.Int64
	return l.each(func(c *client, t *tally) {
		for next.Add(1) <= int64(requests) && ctx.Err() == nil {
			k := &check{expected: l.want}
			t.add(k, c.chat(l.request, k))
		}
	})
}

// warmUp is the answer with which connections are opened.
var warmUp = script{frames: 20, size: 40}

// warmUp opens all connections, those behind the gateway included.
func (l *load) warmUp(ctx context.Context) *tally {
	first := &load{clients: l.clients, request: chatRequest(warmUp.prompt(), true), want: warmUp.expected(true)}
	return first.run(ctx, len(l.clients))
}

// each has all connections do something at the same time.
func (l *load) each(do func(c *client, t *tally)) *tally {
	tallies := make([]tally, len(l.clients))
	start := time.Now()
	var working sync.WaitGroup
	for i, c := range l.clients {
		working.Go(func() {
			time.Sleep(time.Until(start.Add(time.Duration(i) * l.spread)))
			do(c, &tallies[i])
		})
	}
	working.Wait()
	total := new(tally)
	for i := range tallies {
		total.merge(&tallies[i])
	}
	return total
}

// settleTime is how long idle streams run before their memory is measured.
const settleTime = 3 * time.Second

// idle makes one request on every connection. When all answers have begun and
// some time has passed, it calls settled, before any answer may have ended.
func (l *load) idle(settled func() error) (*tally, error) {
	var begun, ended atomic.Int64
	all := make(chan struct{})
	begin := func() {
		if begun.Add(1) == int64(len(l.clients)) {
			close(all)
		}
	}
	finished := make(chan *tally, 1)
	go func() {
		finished <- l.each(func(c *client, t *tally) {
			k := &check{expected: l.want, began: begin}
			t.add(k, c.chat(l.request, k))
			ended.Add(1)
		})
	}()
	select {
	case <-all:
	case t := <-finished:
		return t, fmt.Errorf("only %d of %d idle streams began: %w", begun.Load(), len(l.clients), t.err)
	}
	time.Sleep(settleTime)
	err := settled()
	if n := ended.Load(); n > 0 && err == nil {
		err = fmt.Errorf("%d idle streams ended before their memory was measured", n)
	}
	return <-finished, err
}
