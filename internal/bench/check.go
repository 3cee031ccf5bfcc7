//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// expected is what a script's answer has to be. It is shared by all checks. Of
// the reasoning the handler passes on what comes before the answer.
type expected struct {
	stream  bool
	answer  []byte // the text, as the content of a JSON string
	thought []byte // the same for the reasoning
	stamp   int    // the length of the raw text of a frame that begins with a stamp; 0: none does
}

func (s script) expected(stream bool) *expected {
	raw := rawString(s.text())
	e := &expected{stream: stream, answer: bytes.Repeat(raw, s.frames)}
	if s.odd {
		e.thought = bytes.Repeat(rawString(thought), s.frames)
	}
	if s.stamped {
		e.stamp = len(raw)
	}
	return e
}

// check compares one answer with what it has to be.
type check struct {
	*expected
	sent  time.Time
	began func() // called at the first text; may be nil

	first   time.Duration   // from the request to the first text
	lags    []time.Duration // from the site to the client, for stamped texts
	wrong   int             // bytes that differ, are missing or are too many
	answers int             // bytes of the answer so far
	thinks  int             // bytes of the reasoning so far
	ended   bool            // the finish reason `stop` was there
	done    bool            // the end mark was there
}

// errCut is returned for answers that are not complete.
var errCut = errors.New("the answer is not complete")

// read reads an answer to its end.
func (k *check) read(r *bufio.Reader) error {
	part := k.whole
	if k.stream {
		part = k.events
	}
	err := part(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if !k.ended || k.stream && !k.done {
		return errCut
	}
	k.wrong += abs(len(k.answer)-k.answers) + abs(len(k.thought)-k.thinks)
	return nil
}

func abs(n int) int { return max(n, -n) }

// whole reads an answer that is not streamed.
func (k *check) whole(r *bufio.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	k.first = time.Since(k.sent)
	return k.object(body)
}

// events reads an event stream.
func (k *check) events(r *bufio.Reader) error {
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = append(long, line...)
			continue
		}
		if err == io.EOF && len(line)+len(long) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = long[:0]
		}
		if err := k.line(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

func (k *check) line(line []byte) error {
	data, isData := bytes.CutPrefix(line, []byte("data: "))
	switch {
	case len(line) == 0 || line[0] == ':':
		return nil
	case !isData || k.done:
		return fmt.Errorf("unexpected line %.80q", line)
	case string(data) == "[DONE]":
		k.done = true
		return nil
	}
	if text, ok := plainChunk(data); ok {
		k.text(text)
		return nil
	}
	return k.object(data)
}

var (
	chunkStart = []byte(`"delta":{"content":"`)
	chunkEnd   = []byte(`"},"logprobs":null,"finish_reason":null}]}`)
)

// plainChunk finds the raw text of a chunk that looks as nearly all do, without
// parsing it.
func plainChunk(data []byte) ([]byte, bool) {
	rest, ok := bytes.CutSuffix(data, chunkEnd)
	at := bytes.Index(rest, chunkStart)
	if !ok || at < 0 {
		return nil, false
	}
	return rest[at+len(chunkStart):], true
}

// object reads a chunk or an answer of any other form.
func (k *check) object(data []byte) error {
	var o struct {
		Choices []struct {
			Delta, Message struct {
				Content   string
				Reasoning string `json:"reasoning_content"`
			}
			FinishReason string `json:"finish_reason"`
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	if len(o.Error) > 0 {
		return fmt.Errorf("error in the stream: %s", o.Error)
	}
	for _, choice := range o.Choices {
		k.text(rawString(choice.Delta.Content + choice.Message.Content))
		k.thinking(rawString(choice.Delta.Reasoning + choice.Message.Reasoning))
		k.ended = k.ended || choice.FinishReason == "stop"
	}
	return nil
}

// text compares a piece of the answer.
func (k *check) text(raw []byte) {
	if len(raw) == 0 {
		return
	}
	if k.first == 0 {
		k.first = time.Since(k.sent)
		if k.began != nil {
			k.began()
		}
	}
	if k.stamp > 0 {
		raw = k.readStamps(raw)
	}
	k.wrong += differing(raw, k.answer, k.answers)
	k.answers += len(raw)
}

// thinking compares a piece of the reasoning.
func (k *check) thinking(raw []byte) {
	k.wrong += differing(raw, k.thought, k.thinks)
	k.thinks += len(raw)
}

// differing counts the bytes of a piece that are not those of the text at that
// place. Bytes after the text's end do not count here.
func differing(piece, text []byte, at int) (n int) {
	text = text[min(at, len(text)):]
	piece = piece[:min(len(piece), len(text))]
	if bytes.Equal(piece, text[:len(piece)]) {
		return 0
	}
	for i, b := range piece {
		if text[i] != b {
			n++
		}
	}
	return n
}

// readStamps takes the times from whole texts and puts placeholders there.
func (k *check) readStamps(raw []byte) []byte {
	now := time.Now().UnixNano()
	for at := 0; at+k.stamp <= len(raw); at += k.stamp {
		stamp := raw[at : at+len(placeholder)]
		if ns, err := strconv.ParseInt(string(stamp), 16, 64); err == nil {
			k.lags = append(k.lags, time.Duration(now-ns))
			copy(stamp, placeholder)
		}
	}
	return raw
}
