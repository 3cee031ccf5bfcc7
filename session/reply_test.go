package session

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The forms of a reply, written slowly with the functions of package strings.

func slowFold(text string) string {
	return strings.Join(strings.FieldsFunc(text, unicode.IsSpace), " ")
}

func slowDigest(text string) Digest {
	d, _ := fold(slowFold(text))
	return d
}

// slowBare takes out blocks of <tool_use>, and those of <think> before any other
// text. ok is false if there are none, or one has no end.
func slowBare(text string) (bare string, ok bool) {
	for {
		i := strings.Index(text, toolOpen)
		open, end := toolOpen, toolClose
		if k := strings.Index(text, thinkOpen); k >= 0 && (i < 0 || k < i) && slowFold(bare+text[:k]) == "" {
			i, open, end = k, thinkOpen, thinkClose
		}
		if i < 0 {
			return bare + text, ok
		}
		bare += text[:i]
		_, after, closed := strings.Cut(text[i+len(open):], end)
		if !closed {
			return "", false
		}
		text, ok = after, true
	}
}

func slowUnquote(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "> \t")
	}
	return strings.Join(lines, "\n")
}

// slowCalls adds calls to the digest of a reply.
func slowCalls(reply Digest, calls []Call) Digest {
	if len(calls) == 0 {
		return reply
	}
	fields := []string{string(reply[:])}
	for _, c := range calls {
		fields = append(fields, c.Name, canonical(c.Arguments))
	}
	return Of(fmt.Sprint("calls of ", len(calls)), fields...)
}

func slowForms(reasoning, text string, calls ...Call) forms {
	size := utf8.RuneCountInString(slowFold(text))
	for _, c := range calls {
		size += utf8.RuneCountInString(canonical(c.Arguments))
	}
	f := forms{digest: slowCalls(replyDigest(slowDigest(text)), calls), long: size >= 16}
	if bare, ok := slowBare(text); ok && slowFold(bare) != "" {
		f.variants = append(f.variants, slowCalls(replyDigest(slowDigest(bare)), calls))
	}
	if reasoning != "" {
		f.variants = append(f.variants, slowCalls(quotedDigest(slowDigest(slowUnquote(reasoning+"\n\n"+text))), calls))
	}
	if len(calls) > 0 && slowFold(text) != "" {
		f.variants = append(f.variants, slowCalls(replyDigest(slowDigest("")), calls))
	}
	return f
}

func (f forms) equal(other forms) bool {
	return f.digest == other.digest && f.long == other.long && slices.Equal(f.variants, other.variants)
}

// pieces parts a text at random between characters; some pieces are empty.
func pieces(r *rand.Rand, text string) (parts []string) {
	for len(text) > 0 {
		n := 0
		for range r.IntN(12) {
			_, size := utf8.DecodeRuneInString(text[n:])
			n += size
		}
		parts, text = append(parts, text[:n]), text[n:]
	}
	return parts
}

// inPieces digests a reply that comes in pieces, with its calls anywhere between.
func inPieces(seed uint64, reasoning, text string, calls ...Call) forms {
	r := rand.New(rand.NewPCG(seed, 0))
	reply := new(Reply)
	if seed%3 == 0 {
		reply.Text(nil) // an empty piece may come at any time
	}
	for _, p := range pieces(r, reasoning) {
		reply.Reasoning([]byte(p))
	}
	for _, p := range pieces(r, text) {
		for len(calls) > 0 && r.IntN(2) == 0 {
			reply.Call(calls[0].Name, calls[0].Arguments)
			calls = calls[1:]
		}
		reply.Text([]byte(p))
	}
	for _, c := range calls {
		reply.Call(c.Name, c.Arguments)
	}
	return reply.forms()
}

var replies = []struct{ name, reasoning, text string }{
	{"nothing", "", ""},
	{"white space", "", " \n\t\u3000"},
	{"short", "", "OK"},
	{"15 characters", "", "你好你好你好你好你好你好你好你"},
	{"16 characters, one of them a space", "", "你好你好你好你好  你好你好你好你"},
	{"reasoning only", "Hm.", ""},
	{"reasoning", "Hm.\nSo.", "Hello"},
	{"reasoning with quotations", "> a\n>> b\n\t> c", "> d\n e > f"},
	{"a tool", "", "I ask. <tool_use><name>a</name></tool_use> Done."},
	{"a tool only", "", "<tool_use><name>a</name></tool_use>"},
	{"tools", "", "<tool_use>a</tool_use>b<tool_use>c</tool_use>d"},
	{"a tool without an end", "", "Write <tool_use> and then the name of the tool."},
	{"a tool, and one without an end", "", "a<tool_use>b</tool_use>c<tool_use>d"},
	{"a tool in a tool", "", "a<tool_use>b<tool_use>c</tool_use>d</tool_use>e"},
	{"an end without a tool", "", "a</tool_use>b</think>"},
	{"tags in the text", "Hm.", "<think>\nSo.\n</think>\nHello"},
	{"tags after a tool", "", "<tool_use>a</tool_use> <think>b</think> c"},
	{"tags in the middle", "", "a <think>b</think> c"},
	{"tags twice", "", " <think>a</think>\n<think>b</think> c"},
	{"tags without an end", "", "<think>a"},
	{"a tool in tags", "", "<think>a<tool_use>b</tool_use></think>c"},
	{"tags in a tool", "", "<tool_use><think>b</tool_use>c</think>d"},
	{"starts of marks", "", "<<tool_use>a</</tool_use>b<tool_use"},
	{"starts of marks at the end", "", "<tool_use>a</tool_use>b<think"},
	{"marks in capitals", "", "<TOOL_USE>a</TOOL_USE>"},
}

func TestReplyForms(t *testing.T) {
	for _, test := range replies {
		t.Run(test.name, func(t *testing.T) {
			want := slowForms(test.reasoning, test.text)
			for seed := range uint64(200) {
				if got := inPieces(seed, test.reasoning, test.text); !got.equal(want) {
					t.Fatalf("seed %d: %v, want %v", seed, got, want)
				}
			}
		})
	}
}

// A digest at hand keeps the rule for short replies from moving unnoticed.
func TestReplyLong(t *testing.T) {
	for text, want := range map[string]bool{
		"":                         false,
		"1234567 9012345":          false,
		"1234567 90123456":         true,
		" 1234567 \n\t 9012345 ":   false,
		"1234567\u3000\n90123456 ": true,
		"你好你好你好你好你好你好你好你":  false,
		"你好你好你好你好你好你好你好你好": true,
	} {
		if got := replyOf("", text).forms().long; got != want {
			t.Errorf("%q: long %v, want %v", text, got, want)
		}
	}
}

func TestReplyEndsTwice(t *testing.T) {
	for _, test := range replies {
		r := replyOf(test.reasoning, test.text)
		if first, second := r.forms(), r.forms(); !first.equal(second) {
			t.Errorf("%s: %v, then %v", test.name, first, second)
		}
	}
	if got, want := new(Reply).forms(), slowForms("", ""); !got.equal(want) {
		t.Errorf("without any piece: %v, want %v", got, want)
	}
	r := new(Reply)
	r.Reasoning([]byte("Hm."))
	if got, want := r.forms(), slowForms("Hm.", ""); !got.equal(want) {
		t.Errorf("without text: %v, want %v", got, want)
	}
}

// What was recorded has a form in common with what comes back.
func TestReplyComesBack(t *testing.T) {
	for _, test := range replies {
		t.Run(test.name, func(t *testing.T) {
			f := replyOf(test.reasoning, test.text).forms()
			recorded := append([]Digest{f.digest}, f.variants...)
			back := map[string]string{
				"as it is": test.text, "stripped": strings.TrimSpace(test.text),
				"folded":      slowFold(test.text),
				"with tags":   "<think>\n" + test.reasoning + "\n</think>\n" + test.text,
				"in details":  "<details type=\"reasoning\" done=\"true\">\n> " + test.reasoning + "</details>\n" + test.text,
				"after empty": "<think></think>" + test.text,
			}
			if test.reasoning != "" {
				back["quoted"] = "> " + test.reasoning + "\n\n" + test.text
				back["quoted lines"] = "> " + strings.ReplaceAll(test.reasoning, "\n", "\n> ") + "\n\n" + test.text
			}
			if bare := withoutTags(test.text); slowFold(bare) != "" && !strings.Contains(bare, toolOpen) && !strings.Contains(test.text, thinkOpen) {
				back["without tools"] = bare
				back["without tools, with tags"] = "<think>a</think>" + bare
			}
			for name, text := range back {
				e := (&Message{Role: "assistant", Text: text}).entry()
				if !e.isOneOf(recorded) {
					t.Errorf("%s: %q has forms %v, recorded are %v", name, text, e.forms(), recorded)
				}
			}
		})
	}
}

func FuzzReply(f *testing.F) {
	for i, test := range replies {
		f.Add(test.reasoning, test.text, uint64(i))
	}
	f.Fuzz(func(t *testing.T, reasoning, text string, seed uint64) {
		reasoning, text = strings.ToValidUTF8(reasoning, "?"), strings.ToValidUTF8(text, "?")
		if got, want := inPieces(seed, reasoning, text), slowForms(reasoning, text); !got.equal(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		e := (&Message{Role: "assistant", Text: text}).entry()
		if exact := replyOf(reasoning, text).forms().digest; e.digest != exact {
			t.Fatalf("sent back as %v, recorded as %v", e.digest, exact)
		}
	})
}

// Pieces cost no memory, and nothing of them is kept.
func TestReplyAllocs(t *testing.T) {
	r := replyOf("Let me see.", "So: <tool_use>a</tool_use>\n")
	reasoning, text := []byte("\n> 你好, and so on"), []byte("你好, <b>and</b> so on\n")
	if n := testing.AllocsPerRun(1000, func() { r.Text(text) }); n > 0 {
		t.Errorf("%v allocations per piece of text", n)
	}
	r = new(Reply)
	r.Reasoning(reasoning)
	if n := testing.AllocsPerRun(1000, func() { r.Reasoning(reasoning) }); n > 0 {
		t.Errorf("%v allocations per piece of reasoning", n)
	}
}

func TestReplyMemory(t *testing.T) {
	r := new(Reply)
	piece := []byte(strings.Repeat("<tool_use>a</tool_use> b <think> <", 1<<10))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 1 << 9 { // 17 MiB
		r.Reasoning(piece)
		r.Text(piece)
	}
	after := heap()
	if len(r.held) >= len(toolClose) {
		t.Errorf("%d bytes held", len(r.held))
	}
	if after > before+1<<20 {
		t.Errorf("%d bytes kept of a reply", after-before)
	}
	runtime.KeepAlive(r)
}
