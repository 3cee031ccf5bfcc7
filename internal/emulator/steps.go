package emulator

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Step is one part of a stream. It may be used in several streams.
type Step struct {
	run func(*stream) error
}

// Created is the event `response.created`, with which every stream of the real
// site begins.
func Created() Step {
	return Step{(*stream).created}
}

// Answer is a piece of the answer: phase `answer`, status `typing`. It carries
// the text so far instead if the request lacks `incremental_output: true`.
func Answer(text string) Step {
	return Step{func(st *stream) error { return st.text(text, "answer") }}
}

// Unphased is a piece of the answer in a delta without a phase.
func Unphased(text string) Step {
	return Step{func(st *stream) error { return st.text(text, "") }}
}

// text sends a piece of the answer.
func (st *stream) text(text, phase string) error {
	c := st.current
	if st.recording || st.cumulative {
		c.text.WriteString(text)
	}
	if st.cumulative {
		text = c.text.String()
	}
	return st.delta(delta{role: "assistant", content: text, phase: phase, status: "typing"})
}

// Cumulative runs steps with answer frames that carry the text so far.
func Cumulative(steps ...Step) Step {
	return Step{func(st *stream) error {
		before := st.cumulative
		st.cumulative = true
		defer func() { st.cumulative = before }()
		return st.steps(steps)
	}}
}

// Think is a piece of the reasoning as text: phase `think`, status `typing`.
func Think(text string) Step {
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", content: text, phase: "think", status: "typing"})
	}}
}

// ThinkDone ends the phase `think`.
func ThinkDone() Step { return PhaseDone("think") }

// Summary is a snapshot of the reasoning: phase `thinking_summary`, no content,
// all titles and all thoughts of the block so far.
func Summary(titles, thoughts []string) Step {
	extra := appendStrings([]byte(`{"summary_title":{"content":`), titles)
	extra = appendStrings(append(extra, `},"summary_thought":{"content":`...), thoughts)
	extra = append(extra, "}}"...)
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", phase: "thinking_summary", status: "typing", extra: string(extra)})
	}}
}

// SummaryDone ends the phase `thinking_summary`. Its status is `finished`, too.
func SummaryDone() Step { return PhaseDone("thinking_summary") }

// PhaseDone is a frame without content that ends some phase but not the turn.
func PhaseDone(phase string) Step {
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", phase: phase, status: "finished"})
	}}
}

// Usage sets the token counts and sends them on a typing frame without
// content, as the site does near the end. Later typing frames repeat them.
// Out includes the reasoning tokens.
func Usage(in, out, reasoning int) Step {
	return Step{func(st *stream) error {
		st.usage.set(in, out, reasoning)
		return st.delta(delta{role: "assistant", phase: st.current.phase, status: "typing"})
	}}
}

// Count sets the token counts that the following typing frames carry, without
// a frame of its own.
func Count(in, out, reasoning int) Step {
	return Step{func(st *stream) error {
		st.usage.set(in, out, reasoning)
		return nil
	}}
}

// Cached sets how many of the input tokens the later token counts report as
// cached.
func Cached(tokens int) Step {
	return Step{func(st *stream) error {
		st.usage.cachedPart = tokens
		return nil
	}}
}

func (u *usage) set(in, out, reasoning int) {
	u.known, u.in, u.out, u.reasoning = true, in, out, reasoning
}

// KeepAlive is the event `response.info` with the action `keep_alive`.
func KeepAlive() Step { return Note("keep_alive") }

// Note is the event `response.info` with any action, such as `skip_think`.
func Note(action string) Step {
	return Step{func(st *stream) error {
		return st.frame(func(b []byte) []byte {
			b = appendString(append(b, `{"response.info":{"action":`...), action)
			b = appendString(append(b, `,"chat_id":`...), st.chatID)
			b = appendString(append(b, `,"response_id":`...), st.current.id)
			return append(appendTime(b), '}')
		})
	}}
}

// KeepAlivePhase is the other spelling of a keep-alive: a delta with the phase
// `KeepAlive`.
func KeepAlivePhase() Step {
	return Step{func(st *stream) error {
		phase := st.current.phase
		defer func() { st.current.phase = phase }()
		return st.delta(delta{role: "assistant", phase: "KeepAlive", status: "typing"})
	}}
}

// Comment is a comment line of the event stream, which has no meaning.
func Comment() Step {
	return Step{func(st *stream) error { return st.write(st.appendEnd([]byte(": keep-alive"))) }}
}

// ErrorFrame is an error in the stream, with the HTTP status 200:
// `{"error":{"code":…,"details":…},"response_id":…}`, or, if the code is empty,
// `{"error":"details"}`.
func ErrorFrame(code, details string) Step {
	return Step{func(st *stream) error {
		return st.frame(func(b []byte) []byte {
			if code == "" {
				return append(appendString(append(b, `{"error":`...), details), '}')
			}
			b = appendString(append(b, `{"error":{"code":`...), code)
			b = appendString(append(b, `,"details":`...), details)
			b = appendString(append(b, `},"response_id":`...), st.current.id)
			return append(b, '}')
		})
	}}
}

// ErrorDelta is an error as a delta with the status `error`.
func ErrorDelta(code, details string) Step {
	extra := mustText(map[string]any{"error": refusal{Code: code, Details: details}})
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", phase: st.current.phase, status: "error", extra: extra})
	}}
}

// Candidate runs steps as the candidate of an index. Its first use announces
// the candidate with a `response.created` of its own, unless it is index 0 and
// was announced already. Several uses with other steps between them interleave
// the candidates.
func Candidate(index int, steps ...Step) Step {
	return Step{func(st *stream) error {
		before := st.current
		defer func() { st.current = before }()
		st.current = st.candidate(index, uuid.NewString())
		st.own(st.current.id)
		if !st.current.created {
			if err := st.created(); err != nil {
				return err
			}
		}
		return st.steps(steps)
	}}
}

// own makes the stop call know a response id.
func (st *stream) own(id string) {
	if st.generation == nil {
		return
	}
	st.site.mu.Lock()
	defer st.site.mu.Unlock()
	if !st.generation.owns(id) {
		st.generation.ids = append(st.generation.ids, id)
	}
}

// Finish is the terminal frame: phase `answer`, status `finished`, neither
// usage nor time. With it the answer belongs to the chat, and the chat is free
// for the next completion. The connection stays as it is.
func Finish() Step { return FinishWith("answer", "") }

// FinishWith is a terminal frame in another phase (`image_gen`), and with a
// `finish_reason` if that is not empty.
func FinishWith(phase, reason string) Step {
	return Step{func(st *stream) error { return st.terminal(phase, reason) }}
}

// Done is `data: [DONE]`, which the site does not send any more.
func Done() Step {
	return Step{func(st *stream) error { return st.frame(func(b []byte) []byte { return append(b, "[DONE]"...) }) }}
}

// Frame is an event with the given JSON, or whatever else stands there. The
// words `$chat_id` and `$response_id` are replaced by the ids of the stream.
func Frame(data string) Step {
	return Step{func(st *stream) error {
		r := strings.NewReplacer("$chat_id", st.chatID, "$response_id", st.current.id)
		return st.frame(func(b []byte) []byte { return append(b, r.Replace(data)...) })
	}}
}

// Raw is sent as it is and flushed.
func Raw(data []byte) Step {
	data = bytes.Clone(data)
	return Step{func(st *stream) error {
		if err := st.alive(); err != nil {
			return err
		}
		return st.write(data)
	}}
}

// Garbage is an event whose JSON is broken.
func Garbage() Step { return Frame(`{"choices":[{"delta":{"role":"assistant","content":`) }

// HugeFrame is one answer frame with n bytes of text.
func HugeFrame(n int) Step {
	return Step{func(st *stream) error { return st.text(strings.Repeat("x", n), "answer") }}
}

// Wait blocks until the gate is closed or received from, or the client leaves,
// or the site is closed.
func Wait(gate <-chan struct{}) Step {
	return Step{func(st *stream) error { return st.wait(gate) }}
}

// Pause waits for a time.
func Pause(d time.Duration) Step {
	return Step{func(st *stream) error { return st.sleep(d) }}
}

// Hang blocks until the client leaves or the site is closed. The chat is busy
// for so long.
func Hang() Step { return Wait(nil) }

// HoldOpen leaves the connection open after the terminal frame, until the
// client leaves or the site is closed. It is [Hang] by another name: what
// makes the difference is the [Finish] before it.
func HoldOpen() Step { return Hang() }

// Cut ends the stream cleanly at this point; later steps are not run.
func Cut() Step { return failing(errCut) }

// Reset ends the connection with a TCP RST at this point.
func Reset() Step { return failing(errReset) }

// Drop closes the connection at this point without ending the body, so that
// the client sees an unexpected EOF.
func Drop() Step { return failing(errDrop) }

func failing(err error) Step {
	return Step{func(st *stream) error {
		if spilled := st.spill(); spilled != nil {
			return spilled
		}
		return err
	}}
}

// Bytewise runs steps and sends one byte at a time.
func Bytewise(steps ...Step) Step { return Split([]int{1}, steps...) }

// Split runs steps and sends their bytes in pieces of the given sizes, over
// and over again, wherever that cuts lines or characters. What is left at the
// end is sent then; before a wait, too. It panics if a size is not positive.
func Split(sizes []int, steps ...Step) Step {
	if len(sizes) == 0 {
		panic("emulator: Split needs sizes")
	}
	for _, n := range sizes {
		if n <= 0 {
			panic("emulator: Split cannot send pieces of " + strconv.Itoa(n) + " bytes")
		}
	}
	return Step{func(st *stream) error {
		before := st.sizes
		st.sizes, st.sized = sizes, 0
		err := st.steps(steps)
		st.sizes = before
		if err != nil {
			return err
		}
		return st.spill()
	}}
}

// Joined runs steps and sends all their bytes at once.
func Joined(steps ...Step) Step { return Split([]int{1 << 30}, steps...) }

// CRLF runs steps with lines that end in CR LF.
func CRLF(steps ...Step) Step {
	return Step{func(st *stream) error {
		before := st.crlf
		st.crlf = true
		defer func() { st.crlf = before }()
		return st.steps(steps)
	}}
}
