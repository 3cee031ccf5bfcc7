package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// metrics are the collectors of all handlers of the process. They are no part of
// a configuration: each has a registry of its own, and counters have to go on
// when one follows another. docs/metrics.md describes each of them.
//
// Every value of a label is one of a few that stand in the source code, but for
// the labels of accounts, which the owner has chosen. Nothing that a client sends
// may become one.
var metrics = newCollectors()

// collectors are the collectors as one.
type collectors struct {
	requests       *prometheus.CounterVec
	active         prometheus.GaugeFunc
	firstByte      prometheus.Histogram
	firstToken     prometheus.Histogram
	tokens         *prometheus.CounterVec
	upstreamErrors *prometheus.CounterVec
	retries        *prometheus.CounterVec
	sessions       *prometheus.CounterVec
	uploads        *prometheus.CounterVec
	uploadBytes    prometheus.Counter
	responseBytes  prometheus.Counter
	accounts       *accountMetrics

	all []prometheus.Collector
}

// latencyBuckets go from what a cache takes to what a model takes that thinks for
// minutes. 10 s is the default of first_byte_hold.
var latencyBuckets = []float64{0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300}

func newCollectors() *collectors {
	m := new(collectors)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "caddy", Subsystem: "qwen", Name: name, Help: help}, labels)
		m.all = append(m.all, c)
		return c
	}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "caddy", Subsystem: "qwen", Name: name, Help: help, Buckets: latencyBuckets})
		m.all = append(m.all, h)
		return h
	}
	m.requests = counter("requests_total", "Requests that were answered.", "route", "status", "code")
	m.active = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "caddy", Subsystem: "qwen", Name: "active_streams",
		Help: "Chats and uploads that are being answered now, which max_streams limits."},
		func() float64 { return float64(inProcess.Load()) })
	m.all = append(m.all, m.active)
	m.firstByte = histogram("time_to_first_byte_seconds", "How long chats that were answered have waited for the first byte.")
	m.firstToken = histogram("time_to_first_token_seconds", "How long streamed chats have waited for the first text or reasoning.")
	m.tokens = counter("tokens_total", "Tokens of prompts and of answers.", "direction")
	m.upstreamErrors = counter("upstream_errors_total", "Requests that failed because of the site, its storage, or the way to them.", "class")
	m.retries = counter("retries_total", "What was tried again without the client's doing.", "reason")
	m.sessions = counter("sessions_total", "Chats that got an answer, by where their conversation went on.", "kind")
	m.uploads = counter("uploads_total", "Stages of uploads that have ended.", "stage", "result")
	m.uploadBytes = counter("upload_bytes_total", "Bytes of files that the storage has taken.").WithLabelValues()
	m.responseBytes = counter("response_bytes_total", "Bytes of the bodies of answers.").WithLabelValues()
	m.accounts = newAccountMetrics()
	m.all = append(m.all, m.accounts)
	m.begin()
	return m
}

// begin makes the series whose labels are known begin at 0, so that the first
// event of each kind is an increase.
func (m *collectors) begin() {
	for _, direction := range []string{directionInput, directionOutput} {
		m.tokens.WithLabelValues(direction)
	}
	for _, class := range errorClasses {
		m.upstreamErrors.WithLabelValues(string(class))
	}
	for _, reason := range retryReasons {
		m.retries.WithLabelValues(string(reason))
	}
	for _, kind := range []string{sessionNew, sessionContinued, sessionBranched, sessionReplayed} {
		m.sessions.WithLabelValues(kind)
	}
	for _, stage := range uploadStages {
		for _, result := range []string{resultOK, resultError, resultCanceled} {
			m.uploads.WithLabelValues(stage, result)
		}
	}
}

// Describe implements prometheus.Collector.
func (m *collectors) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *collectors) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(to)
	}
}

// register makes the metrics a part of what a configuration's registry shows. All
// handlers of a configuration show the same.
func (m *collectors) register(ctx caddy.Context) error {
	var already prometheus.AlreadyRegisteredError
	if err := ctx.GetMetricsRegistry().Register(m); err != nil && !errors.As(err, &already) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// errorClasses are all classes of failures.
var errorClasses = []errorClass{
	classClient, classCredential, classVerification, classQuota, classContent, classUpstream, classNetwork,
}

// The values of the label direction.
const (
	directionInput  = "input"
	directionOutput = "output"
)

// retryReason is why something was tried again.
type retryReason string

const (
	retryChatBusy    retryReason = "chat_busy"    // the turn went on in a new chat
	retryChatLost    retryReason = "chat_lost"    // the same
	retryChatOpening retryReason = "chat_opening" // a chat was opened a second time
	retryGrant       retryReason = "upload_grant" // an upload grant was asked for a second time
	retryUpload      retryReason = "upload"       // a grant ran out, and the file was sent again
	retryRenewed     retryReason = "renewed"      // a call was made again with a new access token
	retryAccount     retryReason = "account"      // the turn went on with another account
	retryTools       retryReason = "tools"        // the site did not take the functions, and the model was told of them in words
	retryCorrection  retryReason = "correction"   // the model was told what was wrong with its answer
)

// retryReasons are all of them.
var retryReasons = []retryReason{retryChatBusy, retryChatLost, retryChatOpening, retryGrant, retryUpload, retryRenewed, retryAccount, retryTools, retryCorrection}

// countRetry counts that something was tried again without the client's doing.
// Where there is a request, its requestInfo counts it, too: see retried.
func countRetry(reason retryReason) { metrics.retries.WithLabelValues(string(reason)).Inc() }

// The values of the label result.
const (
	resultOK       = "ok"
	resultError    = "error"
	resultCanceled = "canceled"
)

// uploadStages are the values of the label stage, for the stages as errors name them.
var uploadStages = map[string]string{stageGrant: "grant", stageTransfer: "transfer", stageParse: "parse"}

// countUpload counts a stage of an upload that has ended. One that the client did
// not wait for, or that ended with another file, is neither good nor bad.
func (m *collectors) countUpload(ctx context.Context, stage string, err error) {
	result := resultOK
	switch {
	case err != nil && ctx.Err() != nil:
		result = resultCanceled
	case err != nil:
		result = resultError
	}
	m.uploads.WithLabelValues(uploadStages[stage], result).Inc()
}

// countRequest counts a request that has been answered.
func (m *collectors) countRequest(i *requestInfo) {
	m.requests.WithLabelValues(i.route, strconv.Itoa(i.status), i.code).Inc()
	m.responseBytes.Add(float64(i.size))
	if i.upstreamFailure {
		m.upstreamErrors.WithLabelValues(string(i.class)).Inc()
	}
	if i.session != "" { // a chat that got an answer
		m.sessions.WithLabelValues(i.session).Inc()
		m.tokens.WithLabelValues(directionInput).Add(float64(i.usage.Prompt))
		m.tokens.WithLabelValues(directionOutput).Add(float64(i.usage.Completion))
		m.firstByte.Observe(i.firstByte.Seconds())
	}
	if i.streamed && i.firstToken > 0 {
		m.firstToken.Observe(i.firstToken.Seconds())
	}
}

// isUpstream reports whether a failure is one of the site, of its storage, or of
// the way to them.
func isUpstream(err error) bool {
	var upload *uploadError
	if errors.As(err, &upload) {
		err = upload.cause // which it hides
	}
	var (
		site    *qwen.Error
		storage *oss.Error
		unread  *errNotRead
		ours    *openai.Error
	)
	switch {
	case errors.As(err, &ours):
		return false
	case errors.As(err, &site), errors.As(err, &storage), errors.As(err, &unread):
		return true
	}
	for _, known := range []error{errIdle, errTooLong, errFileLost, errReadTooLong, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// Interface guards
var _ prometheus.Collector = (*collectors)(nil)
