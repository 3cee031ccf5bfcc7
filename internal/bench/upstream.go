//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// cache keeps what was made for a prompt.
type cache[T any] struct {
	values sync.Map
	build  func(script) T
}

func (c *cache[T]) get(prompt string) (value T, err error) {
	if v, ok := c.values.Load(prompt); ok {
		return v.(T), nil
	}
	s, err := parsePrompt(prompt)
	if err != nil {
		return value, err
	}
	v, _ := c.values.LoadOrStore(prompt, c.build(s))
	return v.(T), nil
}

// newSite returns the emulated site, which answers prompts that are scripts.
func newSite() http.Handler {
	site := emulator.New(emulator.Options{NoRecord: true})
	replies := &cache[emulator.Reply]{build: script.reply}
	site.Respond(func(c emulator.Completion) emulator.Reply {
		reply, err := replies.get(c.Content)
		if err != nil {
			return emulator.Internal()
		}
		return reply
	})
	return stamping{site}
}

// newFinal returns the server behind the reverse_proxy. Its writes are those of
// the emulated site: the start, blocks of frames, two at the end.
func newFinal() http.Handler {
	answers := &cache[*rendered]{build: script.render}
	return stamping{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		answer, err := answers.get(findPrompt(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if bytes.Contains(body, []byte(`"stream":true`)) {
			answer.stream(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.whole)))
		_, _ = w.Write(answer.whole) // the client checks what it gets
	})}
}

// findPrompt returns the prompt of a request without parsing the request.
func findPrompt(body []byte) string {
	start := bytes.Index(body, []byte(promptStart))
	if start < 0 {
		return ""
	}
	prompt, _, _ := bytes.Cut(body[start:], []byte(`"`))
	return string(prompt)
}

// stream sends the answer until it is complete or the client has gone.
func (a *rendered) stream(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w)
	send := func(b []byte) bool {
		_, err := w.Write(b)
		return err == nil && flush.Flush() == nil
	}
	_ = send(a.start) && a.frames(send) && send(a.finish) && send(a.end)
}

// frames sends the frames one by one after the gap, or in blocks.
func (a *rendered) frames(send func([]byte) bool) bool {
	left := a.script.frames
	if a.script.gap > 0 {
		for ; left > 0; left-- {
			time.Sleep(a.script.gap)
			if !send(a.frame) {
				return false
			}
		}
		return true
	}
	many := len(a.block) / len(a.frame)
	for ; left > 0; left -= many {
		if !send(a.block[:min(left, many)*len(a.frame)]) {
			return false
		}
	}
	return true
}

// stamping puts the time in the place of placeholders.
type stamping struct{ http.Handler }

func (s stamping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Handler.ServeHTTP(&stampWriter{ResponseWriter: w}, r)
}

type stampWriter struct {
	http.ResponseWriter
	scratch []byte
}

// Unwrap is for http.ResponseController.
func (w *stampWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *stampWriter) Write(p []byte) (int, error) {
	at := bytes.Index(p, []byte(placeholder))
	if at < 0 {
		return w.ResponseWriter.Write(p)
	}
	w.scratch = append(w.scratch[:0], p[:at]...)
	w.scratch = fmt.Appendf(w.scratch, "%016x", time.Now().UnixNano())
	w.scratch = append(w.scratch, p[at+len(placeholder):]...)
	return w.ResponseWriter.Write(w.scratch)
}

// listen serves a handler on a free port and returns its address.
func listen(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // until the process ends
	return l.Addr().String(), nil
}
