package emulator

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBulk(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    int
		text string
		gap  time.Duration
	}{
		{"none", 0, "x", 0},
		{"negative", -1, "x", 0},
		{"one", 1, "x", 0},
		{"several writes", 1000, "héllo ", 0},
		{"larger than a write", 3, strings.Repeat("y", 2*bulkWrite), 0},
		{"with a gap", 5, "z", time.Microsecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Reply(Bulk(tc.n, tc.text, tc.gap))
			c := newClient(t, srv)
			_, body := c.say(c.mustChat(), "", "hi")
			list, n := mustEvents(t, body), max(tc.n, 0)
			if len(list) != n+3 {
				t.Errorf("%d frames, want %d", len(list), n+3)
			}
			want := strings.Repeat(tc.text, n)
			if got := answerText(list, ""); got != want {
				t.Errorf("%d bytes of text, want %d", len(got), len(want))
			}
			if rec := srv.Completions()[0]; rec.Answer != want || rec.Frames != n+3 || !rec.Finished {
				t.Errorf("record %v", rec)
			}
		})
	}
}

func TestBulkObeysTheRequest(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Bulk(2, "x", 0))
	c := newClient(t, srv)
	resp := c.mustDo(c.completion(t.Context(), turn{chat: c.mustChat(), prompt: "hi", edit: func(_, m map[string]any) {
		delete(feature(m), "output_schema")
	}}))
	if body := mustReadAll(t, resp); strings.Contains(body, "phase") {
		t.Errorf("stream %s", body)
	}
}

// nowhere is a response writer that costs nothing.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header         { return w.header }
func (w nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w nowhere) WriteHeader(int)             {}
func (w nowhere) Flush()                      {}

// The number of allocations of a stream does not depend on its length.
func TestBulkAllocations(t *testing.T) {
	s := New(Options{NoRecord: true})
	chat := s.AddChat("")
	body := completionJSON(t, turn{chat: chat, prompt: "hi"})
	allocations := func(n int) float64 {
		s.Respond(func(Completion) Reply { return Bulk(n, "word ", 0) })
		return testing.AllocsPerRun(20, func() {
			r, err := http.NewRequest("POST", "/api/v2/chat/completions?chat_id="+chat, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer x")
			r.Header.Set("Version", "1")
			s.ServeHTTP(nowhere{http.Header{}}, r)
		})
	}
	few, many := allocations(200), allocations(20000)
	if many > few+5 {
		t.Errorf("%v allocations for 200 frames, %v for 20000", few, many)
	}
}

func BenchmarkBulk(b *testing.B) {
	srv := mustStart(b, Options{NoRecord: true})
	srv.Respond(func(Completion) Reply { return Bulk(1000, "word ", 0) })
	c := newClient(b, srv)
	chat := c.mustChat()
	b.ReportAllocs()
	for b.Loop() {
		resp := c.mustDo(c.completion(b.Context(), turn{chat: chat, prompt: "hi"}))
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}

func BenchmarkCanned(b *testing.B) {
	srv := mustStart(b, Options{NoRecord: true})
	c := newClient(b, srv)
	chat := c.mustChat()
	b.ReportAllocs()
	for b.Loop() {
		resp := c.mustDo(c.completion(b.Context(), turn{chat: chat, prompt: "hi"}))
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
