package qwen

import (
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// FuzzDecoder checks that a stream means the same however it is cut, and that
// whatever comes out is well formed.
func FuzzDecoder(f *testing.F) {
	for _, stream := range []string{
		created(0, "r") + answerFrame("Hel") + answerFrame(`l\ud83d`) + answerFrame(`\ude00o`) + finish,
		created(0, "r") + created(1, "s") + answerOf("s", "X") + think("hm") + answerFrame("a") + finish,
		summaryFrame(`"T"`, `"A"`) + summaryFrame(`"T","U"`, `"A more","B"`) + summaryEnd + toolFrames + answerFrame("Hi") + finish,
		localFrame("typing", `{"client":[{"tool_name":"f","params":{}}]}`) + localFrame("finished", `{"client":[{"tool_name":"f","params":{"a":1}},{"tool_name":"client-g"}]}`) + finish,
		": c\r\n\r\ndata:" + `{"error":{"code":"x"}}` + "\r\n",
		"\ufeff<!doctypehtml>\n", keepAlive, "data: [DONE]\n", `{"ret":["FAIL_SYS_USER_VALIDATE"]}`,
		strings.Repeat("data: x\n", 5),
	} {
		f.Add(stream, 3)
	}
	f.Fuzz(func(t *testing.T, stream string, size int) {
		whole := decode(t, new(Decoder), stream, len(stream)+1)
		if cut := decode(t, new(Decoder), stream, 1+max(size, -size, 0)%50); cut != whole {
			t.Fatalf("whole: %+v\n  cut: %+v", whole, cut)
		}
		if whole.End == "" || whole.End == "stop" && whole.Answer+whole.Calls == "" {
			t.Fatalf("no end, or an empty answer: %+v", whole)
		}
	})
}

// FuzzClassify checks that every body becomes an error without addresses.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		`{"success":false,"data":{"code":"RateLimited","num":4}}`, `{"ret":["FAIL_SYS_USER_VALIDATE"]}`, `<html>`, `{"error":"x"}`,
		`{"data":{"error":{"code":7,"details":["https://x/?k=1"]}}}`, ``, `[`, `null`, `{"success":false,"detail":"a\nb"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := classifyBody(body)
		if e == nil || strings.Contains(e.Detail, "://") || strings.ContainsAny(e.Error(), "\r\n\x00") || len([]rune(e.Detail)) > 200 {
			t.Fatalf("%q became %+v", body, e)
		}
	})
}

// The limit holds for a frame that comes whole and for one that comes in
// pieces, and nothing of its size stays in memory.
func TestFrameLimit(t *testing.T) {
	big := answerFrame(strings.Repeat("x", 100_000)) + finish
	for size, limit := range map[int]int{1 << 20: 1000, 4096: 1000, 100: 99_000} {
		if got := decode(t, &Decoder{MaxFrame: limit}, big, size); got.End != KindBadResponse.String() || got.Answer != "" {
			t.Errorf("pieces of %d: %s, %d bytes", size, got.End, len(got.Answer))
		}
	}
	d := new(Decoder)
	if got := decode(t, d, big, 4096); got.End != "stop" || len(got.Answer) != 100_000 {
		t.Errorf("below the limit: %s, %d bytes", got.End, len(got.Answer))
	}
	if cap(d.partial) > 64<<10 {
		t.Errorf("%d bytes are kept", cap(d.partial))
	}
}

// P24: a frame of 10 MB passes by default.
func TestHugeFrame(t *testing.T) {
	text := strings.Repeat("0123456789", 1<<20)
	if got := decode(t, new(Decoder), answerFrame(text)+finish, 4096); got.Answer != text || got.End != "stop" {
		t.Errorf("%s, %d bytes", got.End, len(got.Answer))
	}
}

// mustNotAllocate feeds the frames again and again.
func mustNotAllocate(t testing.TB, frames string) (perRound float64) {
	d := new(Decoder)
	input := []byte(frames)
	half := len(input) / 2
	return testing.AllocsPerRun(100, func() {
		for _, p := range [][]byte{input[:half], input[half:]} {
			d.Feed(p)
			for ev, ok := d.Next(); ok; ev, ok = d.Next() {
				if ev.Kind == Failed {
					t.Fatal(ev.Err)
				}
			}
		}
	})
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for name, frames := range map[string]string{
		"answer":  strings.Repeat(answerFrame(`some \"words\" — 日本`), 10),
		"think":   strings.Repeat(think(`some words\n`), 10),
		"summary": strings.Repeat(summaryFrame(`"T","U"`, `"A","B"`), 10),
		"tools":   strings.Repeat(toolFrames+keepAlive, 5),
	} {
		if n := mustNotAllocate(t, frames); n != 0 {
			t.Errorf("%s: %v allocations for ten frames", name, n)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	for name, frame := range map[string]string{
		"answer":  answerFrame("a few words of text, as the site sends them"),
		"escapes": answerFrame(`\"quotes\"\n\tand 日本語 — \ud83d\ude00`),
		"summary": summaryFrame(`"Title 1","Title 2"`, `"`+strings.Repeat("words ", 50)+`","`+strings.Repeat("words ", 50)+`"`),
	} {
		b.Run(name, func(b *testing.B) {
			d := new(Decoder)
			input := []byte(strings.Repeat(frame, 10))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%10 != 0 {
					continue
				}
				d.Feed(input)
				for ev, ok := d.Next(); ok; ev, ok = d.Next() {
					if ev.Kind != Answer && ev.Kind != Reasoning || !jsonraw.Clean(ev.Raw[:1]) && ev.Raw[0] != '\\' && ev.Raw[0] < 0x80 {
						b.Fatal(ev.Kind)
					}
				}
			}
		})
	}
}
