package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// serveChat answers POST /v1/chat/completions.
func (h *Handler) serveChat(w http.ResponseWriter, r *http.Request, who caller) {
	h.admit(w, r, who, func(shared *state) error { return h.chat(w, r, who, shared) })
}

// admit counts a request among those that are being answered, and has serve
// answer it.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, who caller, serve func(shared *state) error) {
	err := func() error {
		shared, err := h.stateKey.acquire()
		if err != nil {
			return err
		}
		defer h.stateKey.release()
		leave, err := shared.slots.enter(who.tenant, h.MaxStreams, h.MaxStreamsPerKey)
		if err != nil {
			return err
		}
		defer leave()
		return serve(shared)
	}()
	if err != nil {
		h.writeError(w, r, err)
	}
}

// chat answers a chat request, or returns why it cannot be answered.
func (h *Handler) chat(w http.ResponseWriter, r *http.Request, who caller, shared *state) error {
	t, out, stream, err := h.prepareChat(w, r, who, shared)
	if err != nil {
		return err
	}
	defer t.conversation.close()
	return h.relay(w, r, t, out, stream)
}

// prepareChat reads a chat request and makes a turn of it. What it has read is
// garbage once the site has begun to answer, however long the answer takes. The
// turn's conversation has to be closed.
func (h *Handler) prepareChat(w http.ResponseWriter, r *http.Request, who caller, shared *state) (*turn, answer, bool, error) {
	req, attached, err := h.readChat(w, r, who, shared)
	if err != nil {
		if errors.Is(err, errExiting) {
			linger(w, r) // or a client that is still sending would miss the answer
		}
		return nil, nil, false, err
	}
	return h.prepareTurn(w, r, who, shared, req, attached)
}

// prepareTurn makes a turn of a chat request. It takes over the attachments.
func (h *Handler) prepareTurn(w http.ResponseWriter, r *http.Request, who caller, shared *state, req *openai.ChatRequest, attached *attachments) (*turn, answer, bool, error) {
	t, prepared := &turn{host: r.Host}, false
	defer func() {
		switch { // also if something has panicked
		case prepared:
		case t.conversation != nil:
			t.conversation.close()
		default:
			attached.release()
		}
	}()
	demand, err := demandOf(req)
	if err != nil {
		return nil, nil, false, err
	}
	t.demand = demand
	model, err := h.chooseModelFor(r, req.Model, shared, attached)
	if err != nil {
		return nil, nil, false, err
	}
	t.model, t.info = model.Model.ID, model.Model
	infoOf(r.Context()).model = t.model
	t.local, t.native = h.declare(t.demand, t.model, shared), &shared.native
	if t.conversation, err = h.converse(r, who, t, req.Messages, attached); err != nil {
		return nil, nil, false, err
	}
	if err = t.conversation.prepare(t); err != nil {
		return nil, nil, false, err
	}
	prepared = true
	var unable []string
	t.thinking, t.budget, unable = chooseThinking(req.Thinking, model)
	if ignored := append(req.Ignored, unable...); len(ignored) > 0 {
		w.Header().Set("X-Qwen-Ignored-Params", strings.Join(ignored, ", "))
	}
	id := "chatcmpl-" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if req.Stream {
		stream := openai.NewStream(id, t.model, time.Now().Unix(), req.IncludeUsage)
		stream.Functions = req.Functions
		return t, stream, true, nil
	}
	completion := openai.NewCompletion(id, t.model, time.Now().Unix())
	completion.Functions = req.Functions
	return t, completion, false, nil
}

// readChat reads and parses the body, and takes in its attachments. Of large
// bodies only so many are in memory at the same time.
func (h *Handler) readChat(w http.ResponseWriter, r *http.Request, who caller, shared *state) (*openai.ChatRequest, *attachments, error) {
	if err := checkBody(r); err != nil {
		return nil, nil, err
	}
	source := http.MaxBytesReader(w, r.Body, h.MaxBody)
	body, err := io.ReadAll(io.LimitReader(source, smallBody))
	if len(body) == smallBody && err == nil {
		share := min(h.MaxBody, bodyMemory)
		if err := h.awaitMemory(r, shared, share); err != nil {
			return nil, nil, err
		}
		defer shared.bodies.Release(share)
		var rest []byte
		rest, err = io.ReadAll(source)
		body = append(body, rest...)
	}
	if err != nil {
		return nil, nil, bodyError(err)
	}
	req, err := openai.ParseChat(body, openai.Limits{MaxTokens: h.MaxJSONTokens, MaxDepth: h.MaxJSONDepth, MaxText: max(4<<20, int(h.MaxPrompt))})
	if err != nil {
		return nil, nil, err
	}
	attached, err := h.takeAttachments(r.Context(), who, req.Messages)
	return req, attached, err
}

// awaitMemory takes a share of the memory for large bodies.
func (h *Handler) awaitMemory(r *http.Request, shared *state, share int64) error {
	serving, done := whileServing(r.Context())
	defer done()
	ctx, cancel := context.WithTimeout(serving, time.Duration(h.QueueWait))
	defer cancel()
	if shared.bodies.Acquire(ctx, share) == nil {
		return nil
	}
	if serving.Err() != nil {
		return orExit(serving, errClientGone)
	}
	return errServerBusy
}

// bodyError tells a body that is too large from one that ends early.
func bodyError(err error) error {
	if p := describe(err); p.Status == http.StatusRequestEntityTooLarge || errors.Is(err, errExiting) {
		return err
	}
	return &openai.Error{Status: http.StatusBadRequest, Code: "invalid_request_body",
		Message: "The request ended before its body was complete. Send it again."}
}

// checkBody refuses bodies that are not JSON by their headers. Scripts may leave
// out or mistake the content type; a web page may not, because browsers let
// every page send some types without asking.
func checkBody(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errUnsupportedMedia("The body must not be compressed. Send it without Content-Encoding.")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
	if !isJSON && r.Header.Get("Origin") != "" {
		return errUnsupportedMedia("The body must be JSON. Send it with Content-Type: application/json.")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return errUnsupportedMedia("The body must be in UTF-8.")
	}
	return nil
}

func errUnsupportedMedia(message string) error {
	return &openai.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: message}
}

// errPromptTooLong uses the words by which clients know that they have to cut
// the conversation short.
func errPromptTooLong(size int, limit int64) error {
	return &openai.Error{Status: http.StatusBadRequest, Code: "context_length_exceeded", Param: "messages",
		Message: fmt.Sprintf("context_length_exceeded: the prompt, with the system text and the history as far as the site does not know them, has %d bytes; the maximum context length here is %d bytes. Shorten the messages or start a new conversation; the owner can raise max_prompt.", size, limit)}
}

// modelsPatience is how long a chat request waits for the list of models before
// it goes on without.
const modelsPatience = 5 * time.Second

// chooseModel finds the model that a request names. The site adds models often,
// so that an unknown name is looked for once more in a new list.
func (h *Handler) chooseModel(r *http.Request, name string, shared *state) (resolution, error) {
	if name == "" {
		name = h.DefaultModel
	}
	if name == "" {
		return resolution{}, &openai.Error{Status: http.StatusBadRequest, Code: "missing_required_parameter", Param: "model",
			Message: "The field model is missing. Name one of the models that GET /v1/models lists; the owner can set default_model."}
	}
	// Without a list every name resolves, and the site decides.
	ctx, cancel := context.WithTimeout(r.Context(), modelsPatience)
	defer cancel()
	models, err := shared.catalog.models(ctx, h.fetchModels)
	found, ok := resolve(models, h.ModelAliases, name)
	if !ok && err == nil {
		if models, err = shared.catalog.refreshed(ctx, h.fetchModels); err == nil {
			found, ok = resolve(models, h.ModelAliases, name)
		}
	}
	if r.Context().Err() != nil {
		return resolution{}, errClientGone
	}
	if !ok {
		return resolution{}, modelNotFound(name, h.ModelAliases)
	}
	if found.Substitute {
		h.logSubstitute(found, shared)
	}
	return found, nil
}

// chooseModelFor is chooseModel for a request with attachments: if the model does
// not take them, another one that the owner has chosen for this may.
func (h *Handler) chooseModelFor(r *http.Request, name string, shared *state, attached *attachments) (resolution, error) {
	if !h.hasCredential() {
		return resolution{}, errNoCredential
	}
	model, err := h.chooseModel(r, name, shared)
	if err != nil || h.VisionModel == "" || attached.takesAll(model.Model) {
		return model, err
	}
	if seeing, err := h.chooseModel(r, h.VisionModel, shared); err == nil && attached.takesAll(seeing.Model) {
		return seeing, nil
	}
	return model, nil
}

// logSubstitute logs, once, that another model takes the place of one.
func (h *Handler) logSubstitute(found resolution, shared *state) {
	if _, logged := shared.substitutes.LoadOrStore([2]string{found.Wanted, found.Model.ID}, true); !logged {
		h.logger.Info("the model of an alias is gone; another one takes its place",
			zap.String("alias_target", found.Wanted), zap.String("model", found.Model.ID))
	}
}

// chooseThinking combines what the name of the model, the request and the model
// itself say about thinking, in this order. Without any wish the model answers
// at once. It returns the parameters that could not be honoured.
func chooseThinking(wish openai.Thinking, model resolution) (mode qwen.Thinking, budget int, unable []string) {
	asked := qwen.ThinkingOff
	switch {
	case wish.Auto:
		asked = qwen.ThinkingAuto
	case wish.Enabled:
		asked = qwen.ThinkingOn
	}
	named := namedThinking(asked, model.Thinking)
	mode = possibleThinking(named, model.Model)
	if wish.Set && mode != asked || model.Thinking != thinkingDefault && mode != named {
		unable = []string{"enable_thinking"}
	}
	if mode == qwen.ThinkingOff {
		return mode, 0, unable
	}
	budget = wish.Budget
	if most := model.Model.MaxThinking; most > 0 {
		budget = min(budget, most)
	}
	return mode, budget, unable
}

// namedThinking is the mode that the end of a model's name asks for, if it does.
func namedThinking(asked qwen.Thinking, named thinkingMode) qwen.Thinking {
	switch named {
	case thinkingOn:
		return qwen.ThinkingOn
	case thinkingOff:
		return qwen.ThinkingOff
	}
	return asked
}

// possibleThinking is the mode next to the wanted one that the model can do.
// Without the list of models, nothing is known about it.
func possibleThinking(wanted qwen.Thinking, m qwen.Model) qwen.Thinking {
	known := m.Name != ""
	switch {
	case wanted == qwen.ThinkingOff && m.AlwaysThinks:
		return qwen.ThinkingOn
	case known && !m.Thinking && !m.AlwaysThinks:
		return qwen.ThinkingOff
	}
	return wanted
}

// models returns the models of the site.
func (h *Handler) models(ctx context.Context) ([]qwen.Model, error) {
	shared, err := h.stateKey.acquire()
	if err != nil {
		return nil, err
	}
	defer h.stateKey.release()
	return shared.catalog.models(ctx, h.fetchModels)
}

// refreshedModels returns a newer list than models, unless that one is new.
func (h *Handler) refreshedModels(ctx context.Context) ([]qwen.Model, error) {
	shared, err := h.stateKey.acquire()
	if err != nil {
		return nil, err
	}
	defer h.stateKey.release()
	return shared.catalog.refreshed(ctx, h.fetchModels)
}

// fetchModels asks the site for its models, in a goroutine of its own.
func (h *Handler) fetchModels(ctx context.Context) (models []qwen.Model, err error) {
	defer recovered(h.logger, "the list of models was fetched", &err)
	a := h.chooseAccount()
	if err := a.refusal(a.logger); err != nil {
		return nil, err
	}
	// The site tells everybody, so that a failure says nothing about the account.
	models, err = a.client.Models(ctx, a.credential())
	if err != nil && ctx.Err() == nil {
		h.logger.Warn("the list of models cannot be fetched", siteFields(err)...)
	}
	return models, err
}
