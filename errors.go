package caddyqwen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// This file, with errors_files.go, is the only place where failures become answers.
// docs/errors.md describes each of them.

// Failures that the handler finds itself.
var (
	errNoCredential = errors.New("no credential is configured")
	errIdle         = errors.New("the site was silent for too long")
	errTooLong      = errors.New("the answer took too long")
	errFileLost     = errors.New("the storage does not give the file")
	errClientGone   = errors.New("the client has gone away")
	errPanic        = errors.New("a fault of the program; the log has more")
)

// errorClass tells programs whose matter a failure is; it is sent in the header
// X-Qwen-Error-Class.
type errorClass string

const (
	classClient       errorClass = "client"
	classCredential   errorClass = "credential"
	classVerification errorClass = "verification"
	classQuota        errorClass = "quota"
	classContent      errorClass = "content"
	classUpstream     errorClass = "upstream"
	classNetwork      errorClass = "network"
)

// problem is a failure as the client sees it.
type problem struct {
	openai.Error
	class errorClass
	// retryAfter is how long to wait before another try, or 0.
	retryAfter time.Duration
	// final tells that another try cannot succeed before somebody has done
	// something.
	final bool
}

// describe translates a failure.
func describe(err error) *problem {
	var (
		request  *openai.Error
		site     *qwen.Error
		part     *partError
		upload   *uploadError
		storage  *oss.Error
		tooLarge *http.MaxBytesError
		handler  caddyhttp.HandlerError
	)
	switch {
	case errors.As(err, &part):
		p := describe(part.err)
		p.Param = part.param
		return p
	case errors.As(err, &request):
		return &problem{Error: *request, class: classClient, final: request.Status < 500}
	case errors.As(err, &upload):
		return describeUpload(upload)
	case errors.As(err, &storage):
		return describeStorage(storage)
	case errors.As(err, &site):
		return describeSite(site)
	case errors.As(err, &tooLarge):
		return requestTooLarge(tooLarge.Limit)
	case errors.As(err, &handler) && handler.StatusCode == http.StatusRequestEntityTooLarge:
		return requestTooLarge(0)
	}
	if p := describeIntake(err); p != nil {
		return p
	}
	for known, p := range ownProblems {
		if errors.Is(err, known) {
			return &p
		}
	}
	return &problem{
		Error: openai.Error{Status: http.StatusInternalServerError, Code: "internal_error",
			Message: "The server failed to handle the request. Its log says why; look for the x-request-id of this answer."},
		class: classUpstream,
	}
}

var ownProblems = map[error]problem{
	errNoCredential: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "no_credential",
			Message: "No account is configured. The owner of the server must log in to the site in a browser, copy a request to it as cURL, and import that with `caddy qwen import`, or put the Cookie header into the environment variable QWEN_COOKIES and start the server again."},
		class: classCredential, final: true,
	},
	errNoSessions: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "sessions_unavailable",
			Message: "The server has no record of its chats and files: sessions are off, or the session store does not work at the moment, which the log tells. So it cannot know which of them are yours."},
		class: classClient, retryAfter: 30 * time.Second,
	},
	errFileLost: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_file_lost",
			Message: "The site's storage does not give the file any more. Upload it again."},
		class: classUpstream, final: true,
	},
	errExiting: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "server_stopping",
			Message: "The server is being stopped, and the request was ended. Try again when it runs again."},
		class: classClient, retryAfter: 5 * time.Second,
	},
	errTooManyStreams: {
		Error: openai.Error{Status: http.StatusTooManyRequests, Code: "too_many_streams",
			Message: "Too many requests with this key are being answered at the same time. Wait for one of them to end; the owner can raise max_streams_per_key."},
		class: classClient, retryAfter: 2 * time.Second,
	},
	errServerBusy: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "server_busy",
			Message: "The server is answering as many requests as it may. Try again in a moment; the owner can raise max_streams."},
		class: classClient, retryAfter: 2 * time.Second,
	},
	errQueueFull: {
		Error: openai.Error{Status: http.StatusTooManyRequests, Code: "queue_timeout",
			Message: "The account is busy with other requests. Try again in a moment; the owner can raise max_streams_per_account."},
		class: classQuota, retryAfter: 5 * time.Second,
	},
	errIdle: {
		Error: openai.Error{Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
			Message: "The site stopped answering. Try again; if it happens often, the owner can raise idle_timeout."},
		class: classNetwork,
	},
	errTooLong: {
		Error: openai.Error{Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
			Message: "The answer took longer than the server allows. Ask for a shorter answer; the owner can raise max_duration."},
		class: classUpstream, final: true,
	},
	errToolChoice: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "tool_choice_unsatisfied",
			Message: "The model did not call functions as tool_choice demands, although it was told so twice. Ask in other words, use tool_choice auto, or try another model."},
		class: classUpstream, final: true,
	},
	errToolCall: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "tool_call_invalid",
			Message: "The model called a function in a way that cannot be used, also after it was told what was wrong. Ask in other words, offer fewer or simpler functions, or try another model."},
		class: classUpstream, final: true,
	},
	errFormat: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "response_format_unsatisfied",
			Message: "The model's answer is not the JSON that response_format demands. Ask in other words, use a simpler schema, or try another model."},
		class: classUpstream, final: true,
	},
	context.DeadlineExceeded: {
		Error: openai.Error{Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
			Message: "The site did not answer in time. Try again."},
		class: classNetwork,
	},
}

func requestTooLarge(limit int64) *problem {
	message := "The request is larger than the server allows."
	if limit > 0 {
		message = "The request is larger than the " + strconv.FormatInt(limit, 10) + " bytes that the server allows."
	}
	return &problem{
		Error: openai.Error{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large",
			Message: message + " Send less; the owner can raise max_body."},
		class: classClient, final: true,
	}
}

// siteProblems describes the failures of calls to the site.
var siteProblems = map[qwen.Kind]problem{
	qwen.KindCredential: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "upstream_credential_expired",
			Message: "The site does not accept the account's credential any more. The owner must log in to the site in a browser and import the credential anew with `caddy qwen import`, or replace it in the configuration. Your API key is fine."},
		class: classCredential, final: true,
	},
	qwen.KindVerification: {
		Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "upstream_verification_required",
			Message: "The site asks for human verification. The owner must open the site in a browser, finish the check there, wait some minutes, and import the credential anew with `caddy qwen import`, or replace it in the configuration. Until then the account rests. Do not repeat the request before: it makes the site more suspicious."},
		class: classVerification, final: true,
	},
	qwen.KindQuota: {
		Error: openai.Error{Status: http.StatusTooManyRequests, Code: "upstream_quota_exceeded",
			Message: "The account has used up its limit on the site. Wait until the site grants new requests, or use another model."},
		class: classQuota, final: true,
	},
	qwen.KindRateLimited: {
		Error: openai.Error{Status: http.StatusTooManyRequests, Code: "upstream_rate_limited",
			Message: "The site received too many requests from this account in a short time. Wait a little, then try again."},
		class: classQuota, retryAfter: 30 * time.Second,
	},
	qwen.KindBusy: {
		Error: openai.Error{Status: http.StatusTooManyRequests, Code: "upstream_busy",
			Message: "The site is still writing another answer in this chat. Try again in a few seconds."},
		class: classQuota, retryAfter: 3 * time.Second,
	},
	qwen.KindModelNotFound: {
		Error: openai.Error{Status: http.StatusNotFound, Code: "model_not_found", Type: openai.TypeInvalidRequest, Param: "model",
			Message: "The site does not have this model. GET /v1/models lists the models that it has."},
		class: classClient, final: true,
	},
	qwen.KindTooLong: {
		Error: openai.Error{Status: http.StatusBadRequest, Code: "context_length_exceeded", Type: openai.TypeInvalidRequest, Param: "messages",
			Message: "context_length_exceeded: the prompt is longer than the model's maximum context length. Shorten the messages or start a new conversation."},
		class: classClient, final: true,
	},
	qwen.KindContent: {
		Error: openai.Error{Status: http.StatusBadRequest, Code: "content_filter", Type: openai.TypeInvalidRequest,
			Message: "The site's moderation refused the content. Change the request."},
		class: classContent, final: true,
	},
	qwen.KindRejected: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_rejected",
			Message: "The site refused the request. If this happens with every request, the site may have changed: update this program, or set frontend_version to what the site's own page sends."},
		class: classUpstream, final: true,
	},
	qwen.KindChatNotFound: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_chat_lost",
			Message: "The chat on the site was deleted in the meantime. Try again."},
		class: classUpstream,
	},
	qwen.KindEmpty: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_empty",
			Message: "The site ended its answer without any text. Try again, or use another model."},
		class: classUpstream,
	},
	qwen.KindTruncated: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_stream_broken",
			Message: "The site's answer ended before it was complete. Try again."},
		class: classUpstream,
	},
	qwen.KindBadResponse: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_bad_response",
			Message: "The site's answer could not be understood. Try again; if it happens with every request, the site may have changed: update this program."},
		class: classUpstream,
	},
	qwen.KindUnavailable: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_unavailable",
			Message: "The site reports a failure of its own. Try again in a moment."},
		class: classUpstream, retryAfter: 5 * time.Second,
	},
	qwen.KindNetwork: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_unreachable",
			Message: "The site could not be reached, or the connection to it broke. Try again in a moment; the owner should check the server's network and DNS."},
		class: classNetwork, retryAfter: 5 * time.Second,
	},
	qwen.KindTLS: {
		Error: openai.Error{Status: http.StatusBadGateway, Code: "upstream_tls",
			Message: "The site's certificate was not accepted. The owner should check the server's clock, its certificates, and what stands between it and the site."},
		class: classNetwork, final: true,
	},
	qwen.KindTimeout: {
		Error: openai.Error{Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
			Message: "The site did not answer in time. Try again."},
		class: classNetwork,
	},
}

// describeSite translates a failure of a call to the site, with the site's own
// words where they help.
func describeSite(e *qwen.Error) *problem {
	p := siteProblems[e.Kind]
	if e.RetryAfter > 0 {
		p.retryAfter = e.RetryAfter
	}
	switch e.Kind {
	case qwen.KindQuota, qwen.KindRateLimited, qwen.KindContent, qwen.KindRejected, qwen.KindUnavailable, qwen.KindBadResponse:
		if e.Detail != "" {
			p.Message += " Details: " + e.Detail
		}
	}
	return &p
}

// writeHeader sets the headers that tell programs what to do.
func (p *problem) writeHeader(h http.Header) {
	h.Set("X-Qwen-Error-Class", string(p.class))
	seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
	if seconds > 0 {
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	// Some SDKs sleep as long as they are told, others try again regardless.
	if p.final || seconds > 60 {
		h.Set("X-Should-Retry", "false")
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
}

// writeError answers with an error, unless the client has gone away.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errClientGone) || errors.Is(err, context.Canceled) {
		err = orExit(r.Context(), errClientGone)
	}
	if err == errClientGone {
		infoOf(r.Context()).gone()
		w.WriteHeader(statusClientGone)
		return
	}
	p := describe(err)
	h.logProblem(r, p, err)
	p.writeHeader(w.Header())
	if r.Header.Get("Expect") != "" || errors.Is(err, errExiting) {
		// The client waits for leave to send a body that nobody wants any more;
		// without this the server would wait for it before it answers.
		w.Header().Set("Connection", "close")
	}
	writeJSON(w, p.Status, p.AppendJSON(nil))
}

// statusClientGone is what servers log for a client that did not wait for the
// answer.
const statusClientGone = 499

// logProblem logs a failure that is not the client's own, without the texts of
// the site, in which parts of the prompt may stand.
func (h *Handler) logProblem(r *http.Request, p *problem, err error) {
	info := infoOf(r.Context())
	info.failed(p, err)
	if p.Status < 500 && p.class == classClient && p.Code != errFileNotFound.Code { // which may be another caller's
		return
	}
	fields := []zap.Field{
		zap.String("request_id", info.id),
		zap.String("caller", info.caller),
		zap.String("account", info.account),
		zap.String("path", r.URL.Path),
		zap.Int("status", p.Status),
		zap.String("code", p.Code),
		zap.String("class", string(p.class)),
	}
	fields = append(fields, siteFields(err)...)
	fields = append(fields, storageFields(err)...)
	var disk *spool.StorageError
	if errors.As(err, &disk) {
		fields = append(fields, zap.NamedError("cause", disk))
	}
	var demand *demandError
	if errors.As(err, &demand) {
		fields = append(fields, zap.String("reason", demand.reason))
	}
	if p.Code == "internal_error" {
		fields = append(fields, zap.Error(err))
	}
	h.logger.Warn("request failed", fields...)
}

// siteFields describes a failure of a call to the site for the log.
func siteFields(err error) []zap.Field {
	var e *qwen.Error
	if !errors.As(err, &e) {
		return nil
	}
	fields := []zap.Field{
		zap.String("operation", e.Op),
		zap.Stringer("failure", e.Kind),
		zap.Int("site_status", e.Status),
		zap.String("site_code", e.Code),
	}
	if e.Err != nil {
		fields = append(fields, zap.NamedError("cause", e.Err))
	}
	return fields
}

// writeValue answers with a value as JSON. Addresses in it stay readable: nothing
// is escaped for HTML.
func writeValue(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // strings, numbers and booleans always succeed
	writeJSON(w, http.StatusOK, bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone away is nobody to tell
}
