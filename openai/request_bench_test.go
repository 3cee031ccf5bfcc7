package openai

import (
	"strings"
	"testing"
)

func BenchmarkParseChat(b *testing.B) {
	turn := `{"role":"user","content":"` + strings.Repeat(`How does this work?\n`, 50) + `"},` +
		`{"role":"assistant","content":"` + strings.Repeat(`Like \"this\": 就这样。 `, 40) + `","reasoning_content":"hm"}`
	long := messagesOf(repeated(turn, 200_000/len(turn)), userMessage)
	tests := []struct{ name, body string }{
		{"small", chatWith(`"stream":true,"temperature":0.7,"stream_options":{"include_usage":true},"enable_thinking":true`)},
		{"200KB", long},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			body := []byte(test.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseChat(body, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
