//go:build linux

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPrompt(t *testing.T) {
	for _, w := range append(workloads(true), workloads(false)...) {
		prompt := w.script.prompt()
		s, err := parsePrompt(prompt)
		if err != nil || s != w.script {
			t.Errorf("%q is read as %+v, %v", prompt, s, err)
		}
		if found := findPrompt(chatRequest(prompt, true)); found != prompt {
			t.Errorf("found %q in the request for %q", found, prompt)
		}
	}
	for _, prompt := range []string{"", "Hello", promptStart, promptStart + "frames=x"} {
		if s, err := parsePrompt(prompt); err == nil {
			t.Errorf("%q is read as %+v", prompt, s)
		}
	}
}

func TestText(t *testing.T) {
	for size := range 100 {
		text := script{size: size}.text()
		if len(text) != size || !utf8.ValidString(text) {
			t.Errorf("%d bytes instead of %d: %q", len(text), size, text)
		}
	}
	if text := (script{size: 40, stamped: true}).text(); len(text) != 40 || !strings.HasPrefix(text, placeholder) {
		t.Errorf("no place for the time in %q", text)
	}
}

// mustServe serves a handler and returns its address.
func mustServe(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestFinalServesWhatIsExpected(t *testing.T) {
	address := mustServe(t, newFinal())
	for _, w := range []workload{
		{about: "short", script: script{frames: 20, size: 40}, stream: true, conns: 2, requests: 6},
		{about: "long", script: script{frames: 1000, size: 60}, stream: true, conns: 2, requests: 4},
		{about: "one", script: script{frames: 1, size: 1}, stream: true, conns: 1, requests: 1},
		{about: "not streamed", script: script{frames: 20, size: 40}, conns: 2, requests: 6},
		{about: "with pauses", script: script{frames: 3, size: 40, gap: time.Millisecond, stamped: true}, stream: true, conns: 2, requests: 2},
	} {
		t.Run(w.about, func(t *testing.T) {
			l := newLoad(address, w)
			t.Cleanup(l.close)
			got := l.run(t.Context(), w.requests)
			if got.requests != w.requests || got.failed+got.cut+got.wrong > 0 || got.err != nil {
				t.Errorf("%+v", got)
			}
			if len(got.firsts) != w.requests {
				t.Errorf("%d times to the first text for %d requests", len(got.firsts), w.requests)
			}
			if want := w.requests * w.script.frames; w.script.stamped && len(got.lags) != want {
				t.Errorf("%d lags, want %d", len(got.lags), want)
			}
		})
	}
}

func TestFinalRefusesOtherPrompts(t *testing.T) {
	l := newLoad(mustServe(t, newFinal()), workload{conns: 1})
	t.Cleanup(l.close)
	l.request = chatRequest("Hello", true)
	if got := l.run(t.Context(), 2); got.failed != 2 || got.err == nil || !strings.Contains(got.err.Error(), "400") {
		t.Errorf("%+v, want two failures with the status", got)
	}
}

func TestFinalCutsNothingIn(t *testing.T) {
	half := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(chunk("ab")))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	l := newLoad(mustServe(t, half), workload{script: script{frames: 1, size: 2}, stream: true, conns: 1})
	t.Cleanup(l.close)
	if got := l.run(t.Context(), 2); got.cut != 2 || got.failed != 0 || len(got.firsts) != 0 {
		t.Errorf("%+v, want two cut answers", got)
	}
}

// TestRenderedSizes compares the writes with those of the emulated site: the
// comparison is only fair if both upstreams send about as much at once.
func TestRenderedSizes(t *testing.T) {
	r := script{frames: 1000, size: 60}.render()
	if n := len(r.block); n > blockSize || n < blockSize-len(r.frame) {
		t.Errorf("blocks of %d bytes, want nearly %d", n, blockSize)
	}
	if len(r.block)%len(r.frame) != 0 || !bytes.HasPrefix(r.block, r.frame) {
		t.Error("a block is not made of whole frames")
	}
	if n := len(r.frame); n < 200 || n > 400 {
		t.Errorf("frames of %d bytes; those of the site have about 260", n)
	}
	for name, part := range map[string][]byte{"start": r.start, "frame": r.frame, "finish": r.finish, "end": r.end} {
		if !bytes.HasPrefix(part, []byte("data: ")) || !bytes.HasSuffix(part, []byte("\n\n")) {
			t.Errorf("%s is %q, which is no event", name, part)
		}
	}
	if !bytes.HasSuffix(r.end, []byte(endMark)) || !bytes.Contains(r.end, []byte(`"usage"`)) {
		t.Errorf("the end is %q", r.end)
	}
}

func TestStamping(t *testing.T) {
	before := time.Now()
	recorder := httptest.NewRecorder()
	stamping{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, part := range []string{"start ", "<" + placeholder + ">", " end"} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})}.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	body := recorder.Body.String()
	k := &check{expected: &expected{stamp: len(placeholder)}}
	rest, _ := strings.CutPrefix(body, "start <")
	raw, end, _ := strings.Cut(rest, ">")
	if got := string(k.readStamps([]byte(raw))); got != placeholder || end != " end" || len(k.lags) != 1 {
		t.Fatalf("body %q", body)
	}
	if k.lags[0] < 0 || k.lags[0] > time.Since(before) {
		t.Errorf("lag %v", k.lags[0])
	}
}

func TestIdleNeedsAllStreams(t *testing.T) {
	w := workload{script: script{frames: 1, size: 40}, stream: true, conns: 3}
	l := newLoad(mustServe(t, http.NotFoundHandler()), w)
	t.Cleanup(l.close)
	_, err := l.idle(func() error {
		t.Error("settled without a stream")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "0 of 3") {
		t.Errorf("error %v", err)
	}
}
