package tools

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// scraps are what the outputs of the corpus are mixed with.
var scraps = []string{
	openTag, closeTag, functionTag + "read_file>", functionClose, parameterTag + "path>", parameterClose,
	"```\n", "```json\n", "~~~\n", "`", "- ", "> ", "1. ", "\n", "\r\n", " ", "<", "\\", "{", "}", "[", "]",
	"\"", "'", "“", ",", ":", "//", "/*", `{"name": "read_file", "arguments": {"path": "a"}}`,
}

// TestMixturesOfTheCorpus makes texts of which nobody knows what they mean, and
// checks that they mean the same however they arrive.
func TestMixturesOfTheCorpus(t *testing.T) {
	samples := mustCorpus(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		offer := samples[random.IntN(len(samples))]
		text := mixture(random, samples)
		read := func(pieces []string) []part {
			r := reading{t: t, parser: offer.set.Parser(offer.wish), set: offer.set}
			r.read(pieces)
			if r.source.String() != text {
				t.Fatalf("seed %d: the parts account for\n%q\nof\n%q", seed, r.source.String(), text)
			}
			return r.parts
		}
		whole := read([]string{text})
		for _, longest := range []int{1, 3, 40} {
			pieces := cutUp(random, text, longest)
			if parts := read(pieces); !slices.Equal(parts, whole) {
				t.Fatalf("seed %d: %q in the pieces %q\nwas read as%s\nand whole as%s", seed, text, pieces, show(parts), show(whole))
			}
		}
	}
}

// mixture puts parts of outputs and scraps together.
func mixture(random *rand.Rand, samples []*sample) string {
	var text strings.Builder
	for range 1 + random.IntN(4) {
		if random.IntN(3) == 0 {
			for range random.IntN(8) {
				text.WriteString(scraps[random.IntN(len(scraps))])
			}
			continue
		}
		output := samples[random.IntN(len(samples))].output
		from, to := 0, len(output)
		if random.IntN(2) == 0 {
			from = random.IntN(to + 1)
		}
		if random.IntN(2) == 0 {
			to -= random.IntN(to - from + 1)
		}
		text.WriteString(output[from:to])
	}
	return text.String()
}

// cutUp cuts a text into pieces of random length.
func cutUp(random *rand.Rand, text string, longest int) (pieces []string) {
	for text != "" {
		n := min(1+random.IntN(longest), len(text))
		pieces = append(pieces, text[:n])
		text = text[n:]
	}
	return pieces
}
