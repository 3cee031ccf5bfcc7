package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkLocate makes the digests of a list and finds its place, of which the
// store knows all, nothing, or all in other forms.
func BenchmarkLocate(b *testing.B) {
	for _, n := range []int{2, 40, 400} {
		texts := make([]string, n+1)
		for i := range texts {
			texts[i] = fmt.Sprintf("Message %d. %s", i, strings.Repeat("And so on and on. ", 20))
		}
		known, unknown, mangled := list(texts...), list(texts...), list(texts...)
		unknown[0].Text = "Where?"
		for i := range mangled {
			if i%2 == 1 {
				mangled[i].Text = "<think>So.</think>" + mangled[i].Text
			}
		}
		for _, bench := range []struct {
			name     string
			messages []Message
			known    int
		}{{"known", known, n}, {"unknown", unknown, 0}, {"mangled", mangled, n}} {
			b.Run(fmt.Sprintf("%s/%d", bench.name, n), func(b *testing.B) {
				s := newSite(b)
				s.chat("Be brief.", texts...)
				b.ReportAllocs()
				s.store.reads = 0
				for b.Loop() {
					c := New(s.scope, "Be brief.", bench.messages)
					p, _ := c.Locate(context.Background(), s.store, func(string) bool { return true })
					if p.Known != bench.known {
						b.Fatalf("%d messages known", p.Known)
					}
				}
				b.ReportMetric(float64(s.store.reads)/float64(b.N), "reads/op")
			})
		}
	}
}

// BenchmarkReply digests replies that come in pieces as models send them.
func BenchmarkReply(b *testing.B) {
	for name, piece := range map[string]string{
		"text": " word by word", "chinese": "你好，世界", "tags": "<tool_use>a</tool_use>", "starts of tags": "a < b",
	} {
		for _, reasoning := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/reasoning=%v", name, reasoning), func(b *testing.B) {
				r, p := new(Reply), []byte(piece)
				if reasoning {
					r.Reasoning([]byte("Hm."))
				}
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					r.Text(p)
				}
			})
		}
	}
}

// BenchmarkTurn makes what is recorded of a turn.
func BenchmarkTurn(b *testing.B) {
	c := New(testScope, "Be brief.", list("Hello", long1, "So?"))
	r := replyOf("Hm.", long2)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if t := c.Turn(c.NewChat(), "chat", "answer", r, now); t.Chain.IsZero() {
			b.Fatal("no digest")
		}
	}
}
