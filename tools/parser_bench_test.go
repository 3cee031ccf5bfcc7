package tools

import (
	"strings"
	"testing"
)

// BenchmarkParser shows what the parser costs a stream. Pieces are as long as
// those of the site: some words.
func BenchmarkParser(b *testing.B) {
	prose := strings.Repeat("The quick brown fox jumps over the lazy dog, 敏捷的棕色狐狸 — and so on.\nAnother line follows it.\n\n- an item\n", 400)
	code := strings.Repeat("Use `a < b` here:\n\n```go\nif x := f(`y`); x < 10 {\n\treturn \"<b>\" + x\n}\n```\n\nSo <b>that</b> is it.\n", 400)
	call := "I write it.\n<tool_call>\n{\"name\": \"write_file\", \"arguments\": {\"path\": \"a.go\", \"content\": \"" +
		strings.Repeat(`\tif err != nil {\n\t\treturn fmt.Errorf(\"reading: %w\", err)\n\t}\n`, 600) + "\"}}\n</tool_call>"
	set := mustSet(b, offeredTools...)
	for name, text := range map[string]string{"prose": prose, "prose with code": code, "one long call": call} {
		for size, width := range map[string]int{"4": 4, "16": 16, "40": 40} {
			pieces := cut(text, width)
			b.Run(name+"/pieces of "+size, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					p := set.Parser(Wish{})
					for _, piece := range pieces {
						p.Feed(piece)
						for _, any := p.Next(); any; _, any = p.Next() {
						}
					}
					p.End()
					p.Next()
				}
			})
		}
	}
}
