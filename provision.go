package caddyqwen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// defaultTransport is Caddy's own transport. Its default of 32 idle connections
// per host would cost a new connection for most requests under load, and 3
// seconds are short for a connection around the world.
const defaultTransport = `{"protocol":"http","dial_timeout":"10s","keep_alive":{"max_idle_conns_per_host":1024}}`

// Provision sets up the handler. It reads no files but those of placeholders, and
// does not call the site: `caddy validate` runs it, too.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.setDefaults()
	if err := metrics.register(ctx); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	var err error
	var warnings []string
	if h.callers, warnings, err = newCallers(h.Auth, h.APIKeys, repl); err != nil {
		return err
	}
	for _, warning := range append(warnings, literalSecretWarnings(h)...) {
		h.logger.Warn(warning)
	}
	if h.cors, err = newCORS(h.CORSOrigins); err != nil {
		return fmt.Errorf("cors: %w", err)
	}
	if err := h.setUpClient(ctx); err != nil {
		return err
	}
	if err := h.setUpAccounts(ctx, repl); err != nil {
		return err
	}
	if err := h.setUpFiles(); err != nil {
		return err
	}
	if err := h.setUpSessions(ctx); err != nil {
		return err
	}
	h.setUpLifecycle(ctx)
	h.stateKey = newStateKey(h.accounts, h.MaxStreamsPerAccount)
	if _, err := h.stateKey.acquire(); err != nil {
		return err
	}
	h.provisioned = true
	metrics.accounts.show(h)
	return nil
}

// setDefaults fills in what was not configured.
func (h *Handler) setDefaults() {
	orDefault(&h.Auth, authKeys)
	orDefault(&h.BaseURL, "https://chat.qwen.ai")
	orDefault(&h.AuthBaseURL, "https://auth.qwen.ai")
	orDefault(&h.FrontendVersion, "0.3.12")
	orDefault(&h.Chats, chatsKeep)
	orDefault(&h.Heartbeat, caddy.Duration(15*time.Second))
	orDefault(&h.FirstByteHold, caddy.Duration(10*time.Second))
	orDefault(&h.IdleTimeout, caddy.Duration(2*time.Minute))
	orDefault(&h.MaxDuration, caddy.Duration(30*time.Minute))
	orDefault(&h.DrainTimeout, caddy.Duration(30*time.Second))
	orDefault(&h.MaxBody, 20<<20)
	orDefault(&h.MaxJSONTokens, 100_000)
	orDefault(&h.MaxJSONDepth, 64)
	orDefault(&h.MaxPrompt, 160_000)
	orDefault(&h.MaxFrame, qwen.DefaultMaxFrame)
	orDefault(&h.MaxAnswer, 16<<20)
	orDefault(&h.LongPrompts, longUpload)
	orDefault(&h.Tools, toolsEmulated)
	orDefault(&h.MaxImage, 10_000_000)
	orDefault(&h.MaxVideo, 500_000_000)
	orDefault(&h.MaxAudio, 100_000_000)
	orDefault(&h.MaxDocument, 50_000_000)
	orDefault(&h.MaxSpool, 2<<30)
	orDefault(&h.MaxStreams, 256)
	orDefault(&h.MaxStreamsPerKey, 16)
	orDefault(&h.MaxStreamsPerAccount, 4)
	orDefault(&h.QueueLength, 32)
	orDefault(&h.QueueWait, caddy.Duration(10*time.Second))
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// publicModels reports whether the model list can be read without a key.
func (h *Handler) publicModels() bool { return h.PublicModels == nil || *h.PublicModels }

// stsEndpoint reports whether callers may have upload grants of their own.
func (h *Handler) stsEndpoint() bool { return h.STSEndpoint == nil || *h.STSEndpoint }

// checkCredential refuses what cannot be sent, without repeating it.
func checkCredential(c qwen.Credential) error {
	if !httpguts.ValidHeaderFieldValue(c.Cookies) {
		return errors.New("account: cookies contain line breaks or control characters; paste the Cookie header as one line")
	}
	if !httpguts.ValidHeaderFieldValue(c.Token) {
		return errors.New("account: the token contains line breaks or control characters; paste it as one line")
	}
	for name, values := range c.Header {
		if reservedHeaders[name] {
			return fmt.Errorf("account: header %s is set by the handler itself; the cookies and the token have options of their own", name)
		}
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(values[0]) {
			return fmt.Errorf("account: header %q has a name or a value that cannot be sent", name)
		}
	}
	return nil
}

// reservedHeaders belong to a request's form, or have an option of their own.
var reservedHeaders = map[string]bool{
	"Accept-Encoding": true, "Authorization": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Type": true, "Cookie": true, "Host": true, "Te": true, "Transfer-Encoding": true, "Upgrade": true,
}

// setUpClient makes the client of the site with the configured transport.
func (h *Handler) setUpClient(ctx caddy.Context) error {
	if h.TransportRaw == nil {
		h.TransportRaw = json.RawMessage(defaultTransport)
	}
	mod, err := ctx.LoadModule(h, "TransportRaw")
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	transport, ok := mod.(http.RoundTripper)
	if !ok {
		return fmt.Errorf("transport: %T cannot make HTTP requests", mod)
	}
	h.client = &qwen.Client{
		BaseURL: strings.TrimSuffix(h.BaseURL, "/"), AuthURL: strings.TrimSuffix(h.AuthBaseURL, "/"),
		Version: h.FrontendVersion, Transport: ownVars{transport},
	}
	return nil
}

// ownVars gives each request Caddy's per-request values apart from those of other
// requests and of the client's. Transports write to them, several at the same time,
// and also after the client's request has been answered.
type ownVars struct{ http.RoundTripper }

// RoundTrip carries out a request.
func (t ownVars) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	return t.RoundTripper.RoundTrip(r.WithContext(ctx))
}

// setUpSessions loads the module that keeps conversations, and has its store
// opened when the configuration has been started.
func (h *Handler) setUpSessions(ctx caddy.Context) error {
	if h.SessionsRaw == nil {
		h.SessionsRaw = json.RawMessage(`{"store":"sqlite"}`)
	}
	mod, err := ctx.LoadModule(h, "SessionsRaw")
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	if _, none := mod.(*NoSessions); none {
		return nil
	}
	store, ok := mod.(SessionStore)
	if !ok {
		return fmt.Errorf("sessions: %T does not keep conversations", mod)
	}
	h.sessionStore, h.housekeeper = store, new(background)
	return onStart(ctx, h.startHousekeeping)
}

// Validate refuses values that make no sense.
func (h *Handler) Validate() error {
	if err := checkBaseURL(h.BaseURL); err != nil {
		return fmt.Errorf("base_url: %w", err)
	}
	if err := checkBaseURL(h.AuthBaseURL); err != nil {
		return fmt.Errorf("auth_base_url: %w", err)
	}
	for name, n := range map[string]int64{
		"heartbeat": int64(h.Heartbeat), "first_byte_hold": int64(h.FirstByteHold),
		"idle_timeout": int64(h.IdleTimeout), "max_duration": int64(h.MaxDuration), "queue_wait": int64(h.QueueWait),
		"drain_timeout": int64(h.DrainTimeout),
		"max_body":      h.MaxBody, "max_prompt": h.MaxPrompt, "max_frame": h.MaxFrame, "max_answer": h.MaxAnswer,
		"max_image": h.MaxImage, "max_video": h.MaxVideo, "max_audio": h.MaxAudio, "max_document": h.MaxDocument, "max_spool": h.MaxSpool,
		"max_json_tokens": int64(h.MaxJSONTokens), "max_json_depth": int64(h.MaxJSONDepth),
		"max_streams": int64(h.MaxStreams), "max_streams_per_key": int64(h.MaxStreamsPerKey),
		"max_streams_per_account": int64(h.MaxStreamsPerAccount), "queue_length": int64(h.QueueLength),
	} {
		if n < 0 {
			return fmt.Errorf("%s must be positive", name)
		}
	}
	if h.LongPrompts != longUpload && h.LongPrompts != longRefuse {
		return fmt.Errorf("long_prompts is %q; it must be %s or %s", h.LongPrompts, longUpload, longRefuse)
	}
	if h.Tools != toolsEmulated && h.Tools != toolsNative {
		return fmt.Errorf("tools is %q; it must be %s or %s", h.Tools, toolsEmulated, toolsNative)
	}
	if err := h.validateChats(); err != nil {
		return err
	}
	for alias, model := range h.ModelAliases {
		if alias == "" || model == "" || strings.TrimSpace(alias) != alias || strings.TrimSpace(model) != model {
			return fmt.Errorf("model_aliases: %q: both the name and the model must be given, without spaces around them", alias)
		}
	}
	return nil
}

// validateChats refuses what cannot be done with chats.
func (h *Handler) validateChats() error {
	switch h.Chats {
	case chatsKeep, chatsTemporary:
		if h.DeleteChatsAfter != 0 {
			return errors.New("delete_chats_after: only for chats: delete")
		}
		return nil
	case chatsDelete:
	default:
		return fmt.Errorf("chats is %q; it must be %s, %s or %s", h.Chats, chatsKeep, chatsDelete, chatsTemporary)
	}
	if h.DeleteChatsAfter <= 0 {
		return errors.New("delete_chats_after: chats: delete needs the time after which they are deleted")
	}
	if h.sessionStore == nil {
		return errors.New("chats: delete needs the record of sessions, which tells the chats that may be deleted; chats: temporary does not")
	}
	return nil
}

// Cleanup gives up the handler's share of the accounts and of the state. Requests that are still
// being answered have their own. It is also called if Provision has failed.
func (h *Handler) Cleanup() error {
	metrics.accounts.forget(h)
	h.housekeeper.stop()
	h.watcher.stop()
	var errs []error
	for _, k := range h.held {
		errs = append(errs, k.release())
	}
	h.held = nil // while requests still read the accounts
	h.leaveLifecycle()
	if h.provisioned {
		h.provisioned = false
		errs = append(errs, h.stateKey.release())
	}
	return errors.Join(errs...)
}
