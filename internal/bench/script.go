//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// script is what an answer consists of. It travels as the prompt.
type script struct {
	frames  int
	size    int           // of the text of a frame, in bytes
	gap     time.Duration // before each frame; 0: many frames in one write
	stamped bool          // each text begins with the time at which it was sent
	odd     bool          // thinking before and between the frames, cut at odd places
}

// promptStart is how a prompt begins that is a script.
const promptStart = "bench "

const promptFormat = promptStart + "frames=%d size=%d gap=%d stamped=%t odd=%t"

// prompt returns the prompt that asks for the answer.
func (s script) prompt() string {
	return fmt.Sprintf(promptFormat, s.frames, s.size, s.gap, s.stamped, s.odd)
}

// parsePrompt reads what prompt has written.
func parsePrompt(prompt string) (s script, err error) {
	_, err = fmt.Sscanf(prompt, promptFormat, &s.frames, &s.size, &s.gap, &s.stamped, &s.odd)
	return s, err
}

const (
	// sample is what texts are made of: every length of UTF-8, and characters
	// that JSON escapes.
	sample = "Grüße \"an\" alle,\n世界 🌍: 1+1=2\tin C:\\x – "
	// placeholder stands where the site puts the time, in hexadecimal digits.
	placeholder = "@@@@@@@@@@@@@@@@"
	// thought is the text of the thinking of odd answers.
	thought = "Hm, ünd\\odd\n"
)

// text returns the text of a frame.
func (s script) text() string {
	var b strings.Builder
	if s.stamped {
		b.WriteString(placeholder)
	}
	for b.Len() < s.size {
		for _, r := range sample {
			if utf8.RuneLen(r) <= s.size-b.Len() {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// reply returns the answer of the emulated site.
func (s script) reply() emulator.Reply {
	if !s.odd {
		return emulator.Bulk(s.frames, s.text(), s.gap)
	}
	steps := []emulator.Step{emulator.Created()}
	for range s.frames {
		steps = append(steps, emulator.Think(thought))
	}
	for range s.frames {
		steps = append(steps, emulator.Answer(s.text()), emulator.Think("left out"))
	}
	steps = append(steps, emulator.Usage(10, s.frames, 0), emulator.Finish())
	return emulator.Stream(emulator.Split([]int{1, 2, 3, 5, 7, 11, 13, 64, 301, 997}, steps...))
}

// rendered is an answer as the handler would write it, ready to be sent.
type rendered struct {
	start  []byte // what precedes the frames
	frame  []byte // one frame
	block  []byte // as many frames as are written at once
	finish []byte
	end    []byte // what follows it
	whole  []byte // the answer that is not streamed
	script script
}

// The same as in answers of the handler, whose length they share.
const (
	renderedID    = "chatcmpl-0123456789abcdef0123456789abcdef"
	renderedTime  = 1790000000
	renderedModel = "qwen3.7-plus"
	// blockSize is how much is written at once, as by the emulated site.
	blockSize = 16 << 10
)

// render writes the answer: one chunk for each frame of the site.
func (s script) render() *rendered {
	usage := openai.Usage{Prompt: 10, Completion: int64(s.frames)}
	raw := rawString(s.text())
	stream := openai.NewStream(renderedID, renderedModel, renderedTime, true)
	r := &rendered{script: s, start: stream.Start(nil)}
	r.frame = stream.Flush(stream.Text(nil, false, raw))
	for i := 0; i < max(1, min(s.frames, blockSize/len(r.frame))); i++ {
		r.block = append(r.block, r.frame...)
	}
	tail := string(stream.Finish(nil, "stop", usage))
	cut := strings.Index(tail, "\n\n") + 2
	r.finish, r.end = []byte(tail[:cut]), []byte(tail[cut:])
	whole := openai.NewCompletion(renderedID, renderedModel, renderedTime)
	for range s.frames {
		whole.Text(nil, false, raw)
	}
	r.whole = whole.Finish(nil, "stop", usage)
	return r
}

// rawString returns the content of the JSON string for s.
func rawString(s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return raw[1 : len(raw)-1]
}
