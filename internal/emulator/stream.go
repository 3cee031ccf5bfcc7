package emulator

import (
	"compress/gzip"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// stream is a reply while it is sent. It belongs to the goroutine of its
// request.
type stream struct {
	site       *Site
	generation *generation // nil for what is not a completion
	w          http.ResponseWriter
	control    *http.ResponseController
	zip        *gzip.Writer
	ctx        context.Context
	stop       <-chan struct{}
	timer      *time.Timer
	delay      time.Duration

	requestID string
	chatID    string
	userID    string

	candidates []*candidate
	current    *candidate // what the steps are about
	phases     bool       // deltas carry a phase
	cumulative bool       // answer frames carry the text so far
	recording  bool
	usage      usage

	frames   int
	crlf     bool
	building []byte // the frame being put together
	sizes    []int  // of Split; nil outside of it
	sized    int    // how many pieces Split has sent
	pending  []byte // what Split has not sent yet
}

// candidate is one of the answers that a stream interleaves.
type candidate struct {
	index   int
	id      string // response id
	created bool   // response.created was sent
	phase   string // of the last delta
	text    strings.Builder
}

// usage is the snapshot that typing frames carry once it is known.
type usage struct {
	known                          bool
	in, out, reasoning, cachedPart int
}

// primary is the candidate that counts.
func (st *stream) primary() *candidate { return st.candidates[0] }

// candidate returns the candidate of an index and makes it if necessary.
func (st *stream) candidate(index int, id string) *candidate {
	for _, c := range st.candidates {
		if c.index == index {
			return c
		}
	}
	c := &candidate{index: index, id: id, phase: "answer"}
	st.candidates = append(st.candidates, c)
	return c
}

// steps runs steps one after the other.
func (st *stream) steps(list []Step) error {
	for _, s := range list {
		if err := s.run(st); err != nil {
			return err
		}
	}
	return nil
}

// frame sends one event. The function appends its JSON.
func (st *stream) frame(render func([]byte) []byte) error {
	if st.delay > 0 && st.frames > 0 {
		if err := st.sleep(st.delay); err != nil {
			return err
		}
	}
	if err := st.alive(); err != nil {
		return err
	}
	b := render(append(st.building[:0], "data: "...))
	if st.frames%4 == 3 {
		b = append(b, ' ') // as the site does now and then
	}
	st.building = st.appendEnd(b)
	st.frames++
	st.progress()
	return st.write(st.building)
}

// appendEnd appends the end of a line and an empty line.
func (st *stream) appendEnd(b []byte) []byte {
	if st.crlf {
		return append(b, "\r\n\r\n"...)
	}
	return append(b, "\n\n"...)
}

// progress brings the record up to date.
func (st *stream) progress() {
	if !st.recording {
		return
	}
	st.site.mu.Lock()
	defer st.site.mu.Unlock()
	st.generation.Frames = st.frames
	st.generation.Answer = st.primary().text.String()
	st.site.notify()
}

// write sends bytes and flushes them, in the sizes of Split if that is on.
func (st *stream) write(b []byte) error {
	if st.sizes == nil {
		return st.send(b)
	}
	st.pending = append(st.pending, b...)
	for {
		n := st.sizes[st.sized%len(st.sizes)]
		if n > len(st.pending) {
			return nil
		}
		if err := st.send(st.pending[:n]); err != nil {
			return err
		}
		st.pending = st.pending[n:]
		st.sized++
	}
}

// spill sends what Split holds back.
func (st *stream) spill() error {
	if len(st.pending) == 0 {
		return nil
	}
	b := st.pending
	st.pending = nil
	return st.send(b)
}

func (st *stream) send(b []byte) error {
	var err error
	if st.zip != nil {
		_, err = st.zip.Write(b)
	} else {
		_, err = st.w.Write(b)
	}
	if err != nil {
		return st.left()
	}
	return st.flush()
}

// flush sends everything written so far to the client.
func (st *stream) flush() error {
	if st.zip != nil {
		if err := st.zip.Flush(); err != nil {
			return st.left()
		}
	}
	if err := st.control.Flush(); err != nil {
		return st.left()
	}
	return nil
}

// delta is one delta frame; empty strings are left out, except for content.
type delta struct {
	role, content, phase, status string
	extra                        string // JSON
	call                         string // JSON of function_call
	callID                       string
}

// delta sends a delta of the current candidate, with usage and a timestamp.
func (st *stream) delta(d delta) error {
	if d.phase != "" {
		st.current.phase = d.phase
	}
	return st.frame(func(b []byte) []byte {
		b = append(b, `{"choices":[{"delta":{"role":`...)
		b = appendString(b, d.role)
		b = appendString(append(b, `,"content":`...), d.content)
		b = st.appendPhase(b, d.phase)
		if d.call != "" {
			b = append(append(b, `,"function_call":`...), d.call...)
			b = appendString(append(b, `,"function_id":`...), d.callID)
		}
		if d.extra != "" {
			b = append(append(b, `,"extra":`...), d.extra...)
		}
		b = appendString(append(b, `,"status":`...), d.status)
		b = appendString(append(b, `}}],"response_id":`...), st.current.id)
		if d.status == "typing" && st.usage.known {
			b = st.usage.append(append(b, `,"usage":`...))
		}
		return appendTime(b)
	})
}

// appendPhase appends the phase, which is only there for those who asked.
func (st *stream) appendPhase(b []byte, phase string) []byte {
	if !st.phases || phase == "" {
		return b
	}
	return appendString(append(b, `,"phase":`...), phase)
}

// appendTime ends an event with the time in seconds.
func appendTime(b []byte) []byte {
	b = strconv.AppendInt(append(b, `,"timestamp":`...), time.Now().Unix(), 10)
	return append(b, '}')
}

func (u usage) append(b []byte) []byte {
	number := func(name string, n int) {
		b = strconv.AppendInt(append(b, name...), int64(n), 10)
	}
	number(`{"input_tokens":`, u.in)
	number(`,"output_tokens":`, u.out)
	number(`,"characters":0,"total_tokens":`, u.in+u.out)
	number(`,"input_tokens_details":{"text_tokens":`, u.in)
	number(`},"output_tokens_details":{"reasoning_tokens":`, u.reasoning)
	number(`,"text_tokens":`, u.out)
	number(`},"prompt_tokens_details":{"cached_tokens":`, u.cachedPart)
	return append(b, "}}"...)
}

// created sends the event that announces the current candidate.
func (st *stream) created() error {
	c := st.current
	c.created = true
	return st.frame(func(b []byte) []byte {
		b = appendString(append(b, `{"response.created":{"chat_id":`...), st.chatID)
		b = appendString(append(b, `,"parent_id":`...), st.userID)
		b = appendString(append(b, `,"response_id":`...), c.id)
		b = appendString(append(b, `,"response_index":`...), strconv.Itoa(c.index))
		return append(b, "}}"...)
	})
}

// terminal sends the terminal frame of the current candidate. The chat has the
// answer, and is free, before the client can know.
func (st *stream) terminal(phase, reason string) error {
	if err := st.alive(); err != nil {
		return err
	}
	st.complete()
	return st.frame(func(b []byte) []byte {
		b = append(b, `{"choices":[{"delta":{"content":"","role":"assistant","status":"finished"`...)
		b = append(st.appendPhase(b, phase), '}')
		if reason != "" {
			b = appendString(append(b, `,"finish_reason":`...), reason)
		}
		b = appendString(append(b, `}],"response_id":`...), st.current.id)
		return append(b, '}')
	})
}

// complete puts the current candidate's answer into the chat.
func (st *stream) complete() {
	g, c := st.generation, st.current
	if g == nil {
		return
	}
	st.site.mu.Lock()
	defer st.site.mu.Unlock()
	primary := c == st.primary()
	if primary && g.Finished || g.Stopped {
		return
	}
	if st.site.commit(g, c.id, c.text.String(), primary); !primary {
		return
	}
	g.Finished = true
	if g.chat.busy == g {
		g.chat.busy = nil
	}
	st.site.notify()
}
