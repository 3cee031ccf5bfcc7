package caddyqwen

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// facts are what is known of a request in the end. They become metrics, fields of
// the access log and placeholders, once each. They belong to the goroutine of the
// request, but for the retries.
type facts struct {
	route string // its pattern, or otherRoute
	begun time.Time

	account string // its label, once one is asked for
	model   string // that answers
	session string // one of the values of X-Qwen-Session, once there is text
	chatID  string // on the site, once there is text
	usage   openai.Usage

	status          int // 0 until it is written
	size            int64
	code            string // of the error, also of one that came after the status; or one of the outcomes
	class           errorClass
	upstreamFailure bool // the failure is the site's
	returned        bool // nothing has panicked
	streamed        bool

	queued     time.Duration // for a place of the account
	asked      time.Time     // when the site was turned to
	firstByte  time.Duration
	firstToken time.Duration // 0: there was none
	retries    atomic.Int32
}

// otherRoute is the route of requests that go nowhere.
const otherRoute = "other"

// What requests came to that have no error code.
const (
	outcomeOK   = "ok"
	outcomeGone = "client_gone" // the client did not wait for the whole answer
	outcomeLost = "internal_error"
)

// measure begins to measure a request. What it returns is to be written to, and
// its method end to be deferred.
func measure(w http.ResponseWriter, r *http.Request, route string) *meter {
	info := infoOf(r.Context())
	info.route, info.begun = route, time.Now()
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(info.placeholder)
	}
	return &meter{ResponseWriter: w, info: info, request: r}
}

// meter is a response writer that notes what is written. It costs a stream no
// allocation.
type meter struct {
	http.ResponseWriter
	info    *requestInfo
	request *http.Request
}

// Unwrap lets http.ResponseController reach the writer below.
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// WriteHeader writes the header, with the times that are known now.
func (m *meter) WriteHeader(status int) {
	if m.info.status == 0 && status >= http.StatusOK { // what comes before is not the answer
		m.info.status = status
		m.info.firstByte = time.Since(m.info.begun)
		m.Header().Add("Server-Timing", m.info.serverTiming())
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(p []byte) (int, error) {
	m.begin()
	n, err := m.ResponseWriter.Write(p)
	m.info.size += int64(n)
	return n, err
}

// ReadFrom lets files go through without copies, where the writer below can do it.
func (m *meter) ReadFrom(r io.Reader) (int64, error) {
	m.begin()
	n, err := io.Copy(m.ResponseWriter, r)
	m.info.size += n
	return n, err
}

// begin writes the header that a body without one has.
func (m *meter) begin() {
	if m.info.status == 0 {
		m.WriteHeader(http.StatusOK)
	}
}

// end tells what has become of the request.
func (m *meter) end() {
	i := m.info
	if !i.returned { // somebody further out handles the panic
		i.status, i.code = cmp.Or(i.status, http.StatusInternalServerError), outcomeLost
	}
	i.status, i.code = cmp.Or(i.status, http.StatusOK), cmp.Or(i.code, outcomeOK)
	metrics.countRequest(i)
	if extra, ok := m.request.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Object("qwen", i))
	}
}

// failed notes why a request fails.
func (i *requestInfo) failed(p *problem, err error) {
	i.code, i.class = cmp.Or(p.Code, "error"), p.class
	i.upstreamFailure = isUpstream(err)
}

// gone notes that the client did not wait for the whole answer.
func (i *requestInfo) gone() { i.code = outcomeGone }

// heard notes when the first text of an answer has come.
func (i *requestInfo) heard(at time.Time) {
	if i.firstToken == 0 {
		i.firstToken = max(at.Sub(i.begun), 1)
	}
}

// retried notes and counts that something was tried again. Any goroutine may
// call it.
func (i *requestInfo) retried(reason retryReason) {
	i.retries.Add(1)
	countRetry(reason)
}

// answered notes what an answer was about that has begun, whether it is complete
// or not.
func (i *requestInfo) answered(x *relay) {
	if x.size > 0 {
		i.session, i.chatID, i.usage, i.streamed = x.turn.conversation.kind, x.chatID, x.usage(), x.stream
	}
}

// place waits for a place of an account for a request with a model or, if there is
// none, for something else, and notes how long. There is none while the account
// rests, and from when on Caddy begins to stop.
func (h *Handler) place(ctx context.Context, shared *state, a *account, model string) (release func(), err error) {
	info, begun := infoOf(ctx), time.Now()
	info.account = a.label
	ticket, err := a.admit(a.logger, model)
	if err != nil {
		return nil, err
	}
	ctx, cancel := whileServing(ctx)
	defer cancel()
	release, err = shared.slots.lease(ctx, a.place, h.QueueLength, time.Duration(h.QueueWait))
	info.queued += time.Since(begun)
	if err != nil {
		return nil, orExit(ctx, err)
	}
	if err := a.stillAdmitted(ticket, model); err != nil {
		release()
		return nil, err
	}
	info.asked = time.Now()
	return release, nil
}

// serverTiming returns the value of the header Server-Timing, in milliseconds. All
// of it is known when the header is written: total is the time since the request
// came; queue was spent waiting for a place of the account, and upstream from then
// on; after first_token the first text of the answer came.
func (i *requestInfo) serverTiming() string {
	b := make([]byte, 0, 96)
	if !i.asked.IsZero() {
		b = appendTiming(b, "queue", i.queued)
		b = appendTiming(b, "upstream", time.Since(i.asked))
	}
	if i.firstToken > 0 {
		b = appendTiming(b, "first_token", i.firstToken)
	}
	return string(appendTiming(b, "total", i.firstByte))
}

func appendTiming(b []byte, name string, d time.Duration) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = append(append(b, name...), ";dur="...)
	return strconv.AppendFloat(b, milliseconds(d), 'f', 1, 64)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// longestField is how much of a text goes into logs that a client may have chosen.
const longestField = 256

// shortModel is the model, which a client has named freely if the site's list of
// models is not at hand.
func (i *requestInfo) shortModel() string { return i.model[:min(len(i.model), longestField)] }

// placeholder returns the value of one of the placeholders {http.qwen.*}. Each has
// one from the beginning of the request on; it changes as more becomes known.
func (i *requestInfo) placeholder(name string) (value any, known bool) {
	switch name {
	case "http.qwen.request_id":
		return i.id, true
	case "http.qwen.caller":
		return i.caller, true
	case "http.qwen.account":
		return i.account, true
	case "http.qwen.route":
		return i.route, true
	case "http.qwen.model":
		return i.shortModel(), true
	case "http.qwen.session":
		return i.session, true
	case "http.qwen.chat_id":
		return i.chatID, true
	case "http.qwen.code":
		return i.code, true
	case "http.qwen.class":
		return string(i.class), true
	case "http.qwen.tokens_input":
		return i.usage.Prompt, true
	case "http.qwen.tokens_output":
		return i.usage.Completion, true
	case "http.qwen.queue_ms":
		return i.queued.Milliseconds(), true
	case "http.qwen.first_byte_ms":
		return i.firstByte.Milliseconds(), true
	case "http.qwen.first_token_ms":
		return i.firstToken.Milliseconds(), true
	case "http.qwen.retries":
		return i.retries.Load(), true
	}
	return nil, false
}

// MarshalLogObject writes what the access log tells of each request in the field
// qwen. What does not apply is left out.
func (i *requestInfo) MarshalLogObject(to zapcore.ObjectEncoder) error {
	for _, field := range []struct{ name, value string }{
		{"request_id", i.id}, {"caller", i.caller}, {"account", i.account}, {"route", i.route},
		{"model", i.shortModel()}, {"session", i.session}, {"chat_id", i.chatID},
		{"code", i.code}, {"class", string(i.class)},
	} {
		if field.value != "" {
			to.AddString(field.name, field.value)
		}
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"tokens_input", i.usage.Prompt}, {"tokens_output", i.usage.Completion},
		{"queue_ms", i.queued.Milliseconds()}, {"first_byte_ms", i.firstByte.Milliseconds()},
		{"first_token_ms", i.firstToken.Milliseconds()}, {"retries", int64(i.retries.Load())},
	} {
		if field.value != 0 {
			to.AddInt64(field.name, field.value)
		}
	}
	return nil
}

// Interface guards
var (
	_ io.ReaderFrom           = (*meter)(nil)
	_ zapcore.ObjectMarshaler = (*requestInfo)(nil)
)
