package openai

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// repeated returns n copies of an element, separated by commas.
func repeated(element string, n int) string {
	if n == 0 {
		return ""
	}
	return element + strings.Repeat(","+element, n-1)
}

func TestParseChatLimits(t *testing.T) {
	parts := func(n int) string {
		return messagesOf(`{"role":"user","content":[` + repeated(`{"type":"text","text":"x"}`, n) + `]}`)
	}
	calls := func(n int) string {
		return messagesOf(userMessage, `{"role":"assistant","tool_calls":[`+repeated(`{"function":{"name":"f"}}`, n)+`]}`)
	}
	nested := func(n int) string {
		return chatWith(`"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1))
	}
	objects := func(n int) string {
		return chatWith(`"x":` + strings.Repeat(`{"a":`, n-1) + "0" + strings.Repeat("}", n-1))
	}
	tokens := func(n int) string {
		body := messagesOf(`{"role":"user","content":"x"}`)
		return body[:len(body)-1] + `,"x":[` + repeated("0", n-14) + `]}`
	}
	tests := []struct {
		name        string
		body        func(n int) string
		max         int
		code, param string
	}{
		{"J10 lists", nested, 64, codeJSON, ""},
		{"J10 objects", objects, 64, codeJSON, ""},
		{"J11 tokens", tokens, 100_000, codeInvalid, ""},
		{"J11 messages", func(n int) string { return messagesOf(repeated(userMessage, n)) }, 2000, codeInvalid, "messages"},
		{"J11 parts", parts, 256, codeInvalid, "messages[0].content"},
		{"J11 tool calls", calls, 256, codeInvalid, "messages[1].tool_calls"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustParse(t, test.body(test.max))
			e := mustRefuse(t, test.body(test.max+1), Limits{})
			if e.Code != test.code || e.Param != test.param {
				t.Errorf("got %s for %q, want %s for %q", e.Code, e.Param, test.code, test.param)
			}
			if !strings.Contains(e.Message, fmt.Sprint(test.max)) {
				t.Errorf("the message does not tell the limit: %s", e.Message)
			}
		})
	}
}

func TestParseChatTextLimit(t *testing.T) {
	l := Limits{MaxText: 10}
	tests := []struct{ name, fits, over string }{
		{"J19 one message", messagesOf(`{"role":"user","content":"0123456789"}`), messagesOf(`{"role":"user","content":"0123456789x"}`)},
		{"J19 escapes count as what they stand for", messagesOf(`{"role":"user","content":"\u0061\u0061\u0061\n\n\n\n\ud83d"}`), messagesOf(`{"role":"user","content":"\u0061\u0061\u0061\n\n\n\n\n\ud83d"}`)},
		{"J19 several messages", messagesOf(`{"role":"user","content":"01234"}`, `{"role":"user","content":"56789"}`), messagesOf(`{"role":"user","content":"01234"}`, `{"role":"user","content":"56789x"}`)},
		{"J19 parts", messagesOf(`{"role":"user","content":["01234",{"type":"text","text":"56789"}]}`), messagesOf(`{"role":"user","content":["01234",{"type":"text","text":"56789x"}]}`)},
		{"J19 reasoning", messagesOf(`{"role":"assistant","content":"01234","reasoning_content":"56789"}`), messagesOf(`{"role":"assistant","content":"01234","reasoning_content":"56789x"}`)},
		{"J19 arguments", messagesOf(`{"role":"user","content":"01234"}`, `{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{   }"}}]}`),
			messagesOf(`{"role":"user","content":"01234"}`, `{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseChat([]byte(test.fits), l); err != nil {
				t.Errorf("10 bytes: %v", err)
			}
			e := mustRefuse(t, test.over, l)
			if e.Status != 413 || e.Code != "request_too_large" || e.Param == "" {
				t.Errorf("11 bytes: %+v", e)
			}
		})
	}
}

func TestParseChatTextLimitByDefault(t *testing.T) {
	body := func(n int) string { return messagesOf(`{"role":"user","content":"` + strings.Repeat("x", n) + `"}`) }
	t.Run("J19 4 MiB", func(t *testing.T) {
		if got := len(mustParse(t, body(4<<20)).Messages[0].Content); got != 4<<20 {
			t.Errorf("got %d bytes", got)
		}
	})
	t.Run("J19 one byte more", func(t *testing.T) {
		if e := mustRefuse(t, body(4<<20+1), Limits{}); e.Status != 413 {
			t.Errorf("got %+v", e)
		}
	})
}

func TestLimitsWithDefaults(t *testing.T) {
	want := Limits{MaxTokens: 100_000, MaxDepth: 64, MaxMessages: 2000, MaxParts: 256, MaxText: 4 << 20, MaxTools: 256 << 10}
	if got := (Limits{MaxText: -1}).withDefaults(); got != want {
		t.Errorf("got %+v", got)
	}
	set := Limits{1, 2, 3, 4, 5, 6}
	if got := set.withDefaults(); got != set {
		t.Errorf("got %+v", got)
	}
}

// allocated returns how many bytes f allocates in all, freed ones included,
// which is more than it ever holds.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestParseChatMemory(t *testing.T) {
	const size = 10 << 20
	fill := func(before, element, after string) []byte {
		return []byte(before + repeated(element, size/(len(element)+1)) + after)
	}
	names := func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(`{"x":{"0":0`)
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, `,"a field with an ordinary name %d":0`, i)
		}
		b.WriteString("}}")
		return b.Bytes()
	}
	escaped := messagesOf(`{"role":"user","content":"` + strings.Repeat(`\u4e2d`, 4<<20/3) + `"}`)
	tests := []struct {
		name string
		body []byte
	}{
		{"J11 10 MB of empty objects", fill("[", "{}", "]")},
		{"J11 10 MB of empty messages", fill(`{"messages":[`, "{}", "]}")},
		{"J11 10 MB of parts", fill(`{"messages":[{"role":"user","content":[`, `{"type":"text","text":""}`, "]}]}")},
		{"J11 10 MB of numbers", fill(`{"stop":[`, "0", "]}")},
		{"J10 10 MB of brackets", bytes.Repeat([]byte(`{"a":[`), size/6)},
		{"J11 as many names as there may be", names(49_000)},
		{"J11 messages that use up the tokens", []byte(messagesOf(repeated(`{"role":"assistant","content":[`+repeated(`"x"`, 40)+`]}`, 2000)))},
		{"J11 calls that use up the tokens", []byte(messagesOf(repeated(`{"role":"assistant","content":"x","tool_calls":[`+repeated(`{"function":{"name":"f","arguments":"{}"}}`, 4)+`]}`, 2000)))},
		{"J19 as much text as there may be", []byte(messagesOf(`{"role":"user","content":"` + strings.Repeat("x", 4<<20-10) + `"}`))},
		{"J19 as much escaped text as there may be", []byte(escaped)},
		{"J19 text in large parts", []byte(messagesOf(`{"role":"user","content":[` + repeated(`"`+strings.Repeat("x", 1<<20-10)+`"`, 4) + `]}`))},
		{"J30 a large description", []byte(chatWith(`"tools":[{"type":"function","function":{"name":"f","description":"` + strings.Repeat("x", size) + `"}}]`))},
		{"X21 a large number", []byte(chatWith(`"temperature":` + strings.Repeat("9", size)))},
		{"X21 a large name with an error below it", []byte(chatWith(`"` + strings.Repeat("x", size) + `":{"a":1,"a":2}`))},
		{"MM-01 a large attachment", []byte(messagesOf(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", size) + `"}}]}`))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var err error
			got := allocated(func() { _, err = ParseChat(test.body, Limits{}) })
			if limit := 3*len(test.body) + 1<<20; got > limit {
				t.Errorf("%d bytes allocated for a body of %d (%v)", got, len(test.body), err)
			}
			t.Logf("%.2f times the body", float64(got)/float64(len(test.body)))
		})
	}
}
