package tools

import (
	"fmt"
	"testing"
)

// BenchmarkNew is what each request of an agent with 50 tools costs before anything
// is sent.
func BenchmarkNew(b *testing.B) {
	var list []Tool
	for i := range 50 {
		list = append(list, Tool{Name: fmt.Sprintf("function_%d", i), Description: "Does something useful", Parameters: weatherSchema})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(list); err != nil {
			b.Fatal(err)
		}
	}
}
