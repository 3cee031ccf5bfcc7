package qwen

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// Model is a model of the site, with those facts about it that matter to a
// client. A length is 0 if the site does not tell it.
type Model struct {
	ID          string
	Name        string
	Description string
	OwnedBy     string
	// Created is the time of creation in seconds since 1970, or 0.
	Created int64
	// Vision, Document, Video, Audio, Search and Thinking tell what the model
	// takes and does.
	Vision, Document, Video, Audio, Search, Thinking bool
	// Described tells that the site says at all what the model takes.
	Described bool
	// AlwaysThinks tells that thinking cannot be switched off.
	AlwaysThinks bool
	// MaxContext, MaxOutput and MaxThinking are limits in tokens.
	MaxContext, MaxOutput, MaxThinking int
	// ChatTypes are the site's names for what the model can be used for, such as
	// t2t (text) and t2i (images).
	ChatTypes []string
}

// Models returns the models that are in use, in the site's order. It needs no
// credential; the answer is no proof that one is good.
func (c *Client) Models(ctx context.Context, cred Credential) ([]Model, error) {
	req, err := c.request(ctx, cred, http.MethodGet, "/api/models", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Referer", c.BaseURL+"/")
	const op = "list the models"
	var answer json.RawMessage
	if err := c.call(req, op, &answer); err != nil {
		return nil, err
	}
	models := decodeModels(answer)
	if len(models) == 0 {
		return nil, &Error{Kind: KindBadResponse, Op: op, Detail: "it names no models"}
	}
	return models, nil
}

// decodeModels finds the list, which is one or two levels deep in `data`, and
// leaves out what it does not understand.
func decodeModels(raw json.RawMessage) []Model {
	var entries []json.RawMessage
	for range 3 {
		if json.Unmarshal(raw, &entries) == nil {
			break
		}
		var level struct{ Data json.RawMessage }
		if json.Unmarshal(raw, &level) != nil {
			return nil
		}
		raw = level.Data
	}
	var models []Model
	seen := map[string]bool{}
	for _, entry := range entries {
		if m, ok := decodeModel(entry); ok && !seen[m.ID] {
			seen[m.ID] = true
			models = append(models, m)
		}
	}
	return models
}

// wireModel is a model as the site describes it. All of `meta` is optional.
// `capabilities` are booleans; the numbers of `abilities` are levels, which are
// only read where there is no boolean.
type wireModel struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	OwnedBy string `json:"owned_by"`
	Info    struct {
		CreatedAt float64  `json:"created_at"`
		IsActive  *bool    `json:"is_active"`
		Meta      wireMeta `json:"meta"`
	} `json:"info"`
}

type wireMeta struct {
	Description      string             `json:"description"`
	ShortDescription string             `json:"short_description"`
	Capabilities     map[string]bool    `json:"capabilities"`
	Abilities        map[string]float64 `json:"abilities"`
	MaxContext       int                `json:"max_context_length"`
	MaxGeneration    int                `json:"max_generation_length"`
	MaxThinking      int                `json:"max_thinking_generation_length"`
	ChatType         []string           `json:"chat_type"`
	ThinkSkip        *struct {
		Enable *bool `json:"enable"`
	} `json:"think_skip"`
}

func (m wireMeta) can(what string) bool {
	if can, ok := m.Capabilities[what]; ok {
		return can
	}
	return m.Abilities[what] > 0
}

// decodeModel takes one entry. A part of another type than expected is left
// out, so that a change of the site costs a detail and not the list.
func decodeModel(raw json.RawMessage) (Model, bool) {
	var w wireModel
	_ = json.Unmarshal(raw, &w)
	id := strings.TrimSpace(w.ID)
	if !validModelID(id) || w.Info.IsActive != nil && !*w.Info.IsActive {
		return Model{}, false
	}
	meta := w.Info.Meta
	m := Model{
		ID: id, Name: orElse(w.Name, id), Description: orElse(meta.ShortDescription, meta.Description),
		OwnedBy: orElse(w.OwnedBy, "qwen"), Created: seconds(w.Info.CreatedAt),
		Vision: meta.can("vision"), Document: meta.can("document"), Video: meta.can("video"),
		Audio: meta.can("audio"), Search: meta.can("search"), Thinking: meta.can("thinking"),
		Described:  len(meta.Capabilities)+len(meta.Abilities) > 0,
		MaxContext: meta.MaxContext, MaxOutput: meta.MaxGeneration, MaxThinking: meta.MaxThinking,
		ChatTypes: meta.ChatType,
	}
	if skip := meta.ThinkSkip; skip != nil && skip.Enable != nil {
		m.AlwaysThinks = !*skip.Enable
	}
	return m, true
}

// validModelID is validID with the slash that names of model families may have.
func validModelID(id string) bool {
	return validID(strings.ReplaceAll(id, "/", "-"))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// seconds returns a time that may be in milliseconds in seconds.
func seconds(t float64) int64 {
	if t > 1e11 {
		t /= 1000
	}
	return int64(max(t, 0))
}
