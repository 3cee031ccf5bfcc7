package caddyqwen

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// modelList is the answer to `GET /v1/models`.
type modelList struct {
	Object string       `json:"object"` // always `list`
	Data   []modelEntry `json:"data"`   // never null
}

// modelEntry is a name that requests can use, and the answer to
// `GET /v1/models/{id}`. Clients give up on the whole list if one of the first
// four fields is missing or null.
type modelEntry struct {
	ID      string    `json:"id"`
	Object  string    `json:"object"` // always `model`
	Created int64     `json:"created"`
	OwnedBy string    `json:"owned_by"`
	Meta    modelMeta `json:"meta"`
}

// modelMeta is what OpenAI's format has no field for. Lengths are in tokens.
type modelMeta struct {
	Name         string             `json:"name,omitempty"`
	Description  string             `json:"description,omitempty"`
	Capabilities *modelCapabilities `json:"capabilities,omitempty"`
	MaxContext   int                `json:"max_context_length,omitempty"`
	MaxOutput    int                `json:"max_output_length,omitempty"`
	MaxThinking  int                `json:"max_thinking_length,omitempty"`

	// AliasOf is the model that an alias stands for.
	AliasOf string `json:"alias_of,omitempty"`

	// Thinking is `on` or `off` if requests with this name cannot choose.
	Thinking string `json:"thinking,omitempty"`
}

type modelCapabilities struct {
	Vision   bool `json:"vision"`
	Document bool `json:"document"`
	Video    bool `json:"video"`
	Audio    bool `json:"audio"`
	Thinking bool `json:"thinking"`
	Search   bool `json:"search"`
}

// serveModels answers with all names of models that are offered. If the site's
// list is not available, these are the aliases, so that clients which want a
// list before anything else still work.
func (h *Handler) serveModels(w http.ResponseWriter, r *http.Request) {
	models, err := h.models(r.Context())
	if err != nil && r.Context().Err() != nil {
		h.writeError(w, r, err)
		return
	}
	writeValue(w, modelList{Object: "list", Data: listedModels(models, h.ModelAliases)})
}

// serveModel answers with one name, which need not be a listed one: all names
// that chat requests can use are found.
func (h *Handler) serveModel(w http.ResponseWriter, r *http.Request, id string) {
	models, err := h.models(r.Context())
	if err != nil {
		h.serveWithoutList(w, r, id, err)
		return
	}
	found, ok := resolve(models, h.ModelAliases, id)
	if !ok {
		// The site adds models often. The older list will do if this fails.
		if models, err = h.refreshedModels(r.Context()); err == nil {
			found, ok = resolve(models, h.ModelAliases, id)
		}
	}
	if !ok {
		h.writeError(w, r, modelNotFound(id, h.ModelAliases))
		return
	}
	writeValue(w, describeModel(id, found))
}

// serveWithoutList answers with an alias although the site's list is not
// available. Of other names nothing is known then, and the answer says why.
func (h *Handler) serveWithoutList(w http.ResponseWriter, r *http.Request, id string, reason error) {
	aliases := listedModels(nil, h.ModelAliases)
	i := slices.IndexFunc(aliases, func(entry modelEntry) bool { return entry.ID == id })
	if i < 0 || r.Context().Err() != nil {
		h.writeError(w, r, reason)
		return
	}
	writeValue(w, aliases[i])
}

// listedModels returns the models that answer in text, then a thinking variant
// of each that leaves the choice, then the owner's aliases by name, then the
// built-in ones. An id is listed once and only if it resolves to what its entry
// describes.
func listedModels(models []qwen.Model, owner map[string]string) []modelEntry {
	entries := make([]modelEntry, 0, 2*len(models)+len(owner)+len(builtinAliases))
	seen := make(map[string]bool, cap(entries))
	add := func(name string) {
		found, ok := resolve(models, owner, name)
		entry := describeModel(name, found)
		if !ok || seen[entry.ID] || entry.ID != strings.TrimSpace(entry.ID) {
			return
		}
		seen[entry.ID] = true
		entries = append(entries, entry)
	}
	for _, name := range siteNames(models) {
		if _, taken := owner[name]; !taken {
			add(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(owner)) {
		add(name)
	}
	for _, alias := range builtinAliases {
		add(alias.name)
	}
	return entries
}

// siteNames returns the names that the site's models are listed under.
func siteNames(models []qwen.Model) []string {
	var plain, variants []string
	for _, m := range models {
		if !textChat(m) {
			continue
		}
		plain = append(plain, m.ID)
		if variant := m.ID + suffixThinking; m.Thinking && !m.AlwaysThinks && !isModel(models, variant) {
			variants = append(variants, variant)
		}
	}
	return append(plain, variants...)
}

func isModel(models []qwen.Model, id string) bool {
	_, ok := findID(models, id)
	return ok
}

// describeModel returns the entry for a name and what it resolves to. The id of
// a model is given in the site's own case, an alias as it was asked for.
func describeModel(name string, found resolution) modelEntry {
	m := found.Model
	entry := modelEntry{
		ID: m.ID + found.Thinking.suffix(), Object: "model", Created: m.Created, OwnedBy: m.OwnedBy,
		Meta: modelMeta{
			Name: m.Name, Description: m.Description, Capabilities: capabilitiesOf(m),
			MaxContext: m.MaxContext, MaxOutput: m.MaxOutput, MaxThinking: m.MaxThinking,
			Thinking: found.fixedThinking(),
		},
	}
	if !strings.EqualFold(name, entry.ID) {
		entry.ID, entry.Meta.AliasOf = name, m.ID
	}
	if entry.OwnedBy == "" {
		entry.OwnedBy = "qwen"
	}
	return entry
}

// capabilitiesOf returns nil for a model of which nothing but the id is known.
func capabilitiesOf(m qwen.Model) *modelCapabilities {
	if m.Name == "" {
		return nil
	}
	return &modelCapabilities{
		Vision: m.Vision, Document: m.Document, Video: m.Video, Audio: m.Audio,
		Thinking: m.Thinking || m.AlwaysThinks, Search: m.Search,
	}
}

// suffix returns the ending of a name that stands for the mode.
func (t thinkingMode) suffix() string {
	switch t {
	case thinkingOn:
		return suffixThinking
	case thinkingOff:
		return suffixFast
	}
	return ""
}

// fixedThinking returns whether the model thinks, `on` or `off`, if the name or
// the model itself decides that, else nothing.
func (r resolution) fixedThinking() string {
	m := r.Model
	switch {
	case m.AlwaysThinks:
		return "on"
	case m.Name != "" && !m.Thinking, r.Thinking == thinkingOff:
		return "off"
	case r.Thinking == thinkingOn:
		return "on"
	}
	return ""
}

// modelNotFound returns the answer to a request for a model that does not
// exist. If the name is an alias of the owner, the message names its target,
// because that is what must be changed.
func modelNotFound(name string, owner map[string]string) *openai.Error {
	base, _ := cutSuffix(name)
	target, isAlias := owner[name]
	if !isAlias {
		target, isAlias = owner[base]
	}
	message := fmt.Sprintf("The model %s does not exist.", quoteName(name))
	if isAlias {
		message = fmt.Sprintf("The model %s is an alias of %s, which the site does not offer. The owner can change it with model_alias.",
			quoteName(name), quoteName(target))
	}
	return &openai.Error{
		Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "model_not_found", Param: "model",
		Message: message + " GET /v1/models lists the models.",
	}
}

// maxQuoted is the number of bytes of a name that an error repeats.
const maxQuoted = 100

// quoteName puts a name that a client has sent into quotes, without control
// characters and not at length.
func quoteName(name string) string {
	if len(name) > maxQuoted {
		name = strings.ToValidUTF8(name[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}
