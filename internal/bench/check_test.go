//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// chunk is a chunk as the handler writes most. The text is raw.
func chunk(text string) string {
	return `data: {"id":"x","choices":[{"index":0,"delta":{"content":"` + text + `"},"logprobs":null,"finish_reason":null}]}` + "\n\n"
}

const (
	roleChunk   = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	thoughtPart = `data: {"choices":[{"index":0,"delta":{"reasoning_content":"Hm"},"finish_reason":null}]}` + "\n\n"
	stopChunk   = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageChunk  = `data: {"choices":[],"usage":{"prompt_tokens":1}}` + "\n\n"
	endMark     = "data: [DONE]\n\n"
	ending      = stopChunk + usageChunk + endMark
)

func TestCheckStream(t *testing.T) {
	for name, tt := range map[string]struct {
		body    string
		thought string
		wrong   int
		cut     bool
	}{
		"right":             {body: roleChunk + chunk(`ab\ncd`) + ending},
		"in two chunks":     {body: roleChunk + chunk(`ab\n`) + chunk(`cd`) + ending},
		"other escapes":     {body: `data: {"choices":[{"delta":{"content":"\u0061b\u000acd"}}]}` + "\n\n" + ending},
		"comments":          {body: ": keep-alive\n\n" + chunk(`ab\ncd`) + ": keep-alive\n\n" + ending},
		"reasoning":         {body: thoughtPart + chunk(`ab\ncd`) + ending, thought: "Hm"},
		"long line":         {body: ":" + strings.Repeat(" ", 40<<10) + "\n\n" + chunk(`ab\ncd`) + ending},
		"wrong byte":        {body: chunk(`ab\ncX`) + ending, wrong: 1},
		"two wrong bytes":   {body: chunk(`Xb\ncX`) + ending, wrong: 2},
		"missing":           {body: chunk(`ab`) + ending, wrong: 4},
		"missing in middle": {body: chunk(`abcd`) + ending, wrong: 2 + 2},
		"too much":          {body: chunk(`ab\ncdefg`) + ending, wrong: 3},
		"no text":           {body: ending, wrong: 6},
		"no reasoning":      {body: chunk(`ab\ncd`) + ending, thought: "Hm", wrong: 2},
		"wrong reasoning":   {body: thoughtPart + chunk(`ab\ncd`) + ending, wrong: 2},
		"no end mark":       {body: chunk(`ab\ncd`) + stopChunk, cut: true},
		"no finish reason":  {body: chunk(`ab\ncd`) + endMark, cut: true},
		"half a line":       {body: chunk(`ab\ncd`) + stopChunk + "data: [DO", cut: true},
		"after the end":     {body: chunk(`ab\ncd`) + ending + chunk("x"), cut: true},
		"error":             {body: chunk(`ab`) + `data: {"error":{"code":"x"}}` + "\n\n", cut: true},
		"no JSON":           {body: chunk(`ab`) + "data: <html>\n\n" + ending, cut: true},
		"no event stream":   {body: `{"choices":[]}` + "\n", cut: true},
		"empty":             {cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := &expected{stream: true, answer: []byte(`ab\ncd`), thought: []byte(tt.thought)}
			k := &check{expected: want, sent: time.Now()}
			err := k.read(bufio.NewReaderSize(strings.NewReader(tt.body), 16))
			if errors.Is(err, errCut) != tt.cut || err != nil && !tt.cut {
				t.Fatalf("error %v, want one: %t", err, tt.cut)
			}
			if err == nil && k.wrong != tt.wrong {
				t.Errorf("%d wrong bytes, want %d", k.wrong, tt.wrong)
			}
		})
	}
}

func TestCheckWhole(t *testing.T) {
	for name, tt := range map[string]struct {
		body  string
		wrong int
		cut   bool
	}{
		"right":            {body: `{"choices":[{"message":{"content":"ab\ncd"},"finish_reason":"stop"}]}`},
		"wrong byte":       {body: `{"choices":[{"message":{"content":"ab cd"},"finish_reason":"stop"}]}`, wrong: 1 + 1},
		"no finish reason": {body: `{"choices":[{"message":{"content":"ab\ncd"}}]}`, cut: true},
		"half":             {body: `{"choices":[{"message":{"content":"ab`, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := &check{expected: &expected{answer: []byte(`ab\ncd`)}}
			err := k.read(bufio.NewReader(strings.NewReader(tt.body)))
			if errors.Is(err, errCut) != tt.cut {
				t.Fatalf("error %v, want one: %t", err, tt.cut)
			}
			// An escape has two bytes, the blank in its place has one.
			if err == nil && (k.wrong > 0) != (tt.wrong > 0) {
				t.Errorf("%d wrong bytes, want %d", k.wrong, tt.wrong)
			}
		})
	}
}

func TestCheckStamps(t *testing.T) {
	s := script{frames: 3, size: 40, stamped: true}
	began := 0
	k := &check{expected: s.expected(true), sent: time.Now(), began: func() { began++ }}
	rest := string(rawString(s.text()))[len(placeholder):]
	stamp := func(age time.Duration) string {
		return fmt.Sprintf("%016x", time.Now().Add(-age).UnixNano()) + rest
	}
	body := chunk(stamp(time.Hour)) + chunk(stamp(2*time.Hour)+stamp(3*time.Hour)) + ending
	if err := k.read(bufio.NewReader(strings.NewReader(body))); err != nil {
		t.Fatal(err)
	}
	if k.wrong != 0 || began != 1 || k.first <= 0 || len(k.lags) != 3 {
		t.Fatalf("%d wrong bytes, %d beginnings, first after %v, lags %v", k.wrong, began, k.first, k.lags)
	}
	for i, lag := range k.lags {
		if want := time.Duration(i+1) * time.Hour; lag < want || lag > want+time.Minute {
			t.Errorf("lag %v, want about %v", lag, want)
		}
	}
}

func TestCheckStampsMissing(t *testing.T) {
	s := script{frames: 1, size: 40, stamped: true}
	k := &check{expected: s.expected(true)}
	text := string(rawString(s.text()))
	body := chunk("not a hex number"+text[len(placeholder):]) + ending
	if err := k.read(bufio.NewReader(strings.NewReader(body))); err != nil {
		t.Fatal(err)
	}
	if k.wrong == 0 || len(k.lags) != 0 {
		t.Errorf("%d wrong bytes and %d lags for a text without a time", k.wrong, len(k.lags))
	}
}
