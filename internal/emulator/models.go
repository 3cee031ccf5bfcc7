package emulator

import "encoding/json"

// Model is one entry of the catalogue, in the form of the wire.
type Model struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Object    string   `json:"object"`
	OwnedBy   string   `json:"owned_by"`
	Preset    bool     `json:"preset"`
	ActionIDs []string `json:"action_ids"`
	Info      Info     `json:"info"`
}

// Info is the inner description of a [Model].
type Info struct {
	ID              string  `json:"id"`
	UserID          string  `json:"user_id"`
	BaseModelID     *string `json:"base_model_id"`
	Name            string  `json:"name"`
	CreatedAt       int64   `json:"created_at"` // Unix seconds
	IsActive        bool    `json:"is_active"`
	IsVisitorActive bool    `json:"is_visitor_active"`
	Meta            Meta    `json:"meta"`
}

// Meta is what a model can do. Every key is optional on the wire: zero values
// are left out.
type Meta struct {
	Description      string          `json:"description,omitempty"`
	ShortDescription string          `json:"short_description,omitempty"`
	Capabilities     map[string]bool `json:"capabilities,omitempty"`
	Abilities        map[string]int  `json:"abilities,omitempty"`
	MaxContext       int             `json:"max_context_length,omitempty"`
	MaxGeneration    int             `json:"max_generation_length,omitempty"`
	MaxThinking      int             `json:"max_thinking_generation_length,omitempty"`
	MaxSummary       int             `json:"max_summary_generation_length,omitempty"`
	ChatTypes        []string        `json:"chat_type,omitempty"`
	Modality         []string        `json:"modality,omitempty"`
	MCP              []string        `json:"mcp,omitempty"`
	AutoThinking     bool            `json:"auto_thinking,omitempty"`
	AutoSearch       bool            `json:"auto_search,omitempty"`
	ThinkingFormat   string          `json:"thinking_format,omitempty"`
	ThinkSkip        *ThinkSkip      `json:"think_skip,omitempty"`
	FileLimits       json.RawMessage `json:"file_limits,omitempty"`
}

// ThinkSkip tells whether a model can answer without thinking.
type ThinkSkip struct {
	Enable bool `json:"enable"`
}

// NewModel returns a model with the full set of abilities and a context of
// 1,000,000 tokens.
func NewModel(id, name string) Model {
	return Model{
		ID: id, Name: name, Object: "model", OwnedBy: "qwen", Preset: true, ActionIDs: []string{},
		Info: Info{
			ID: id, UserID: "u-0", Name: name, CreatedAt: 1780000000, IsActive: true, IsVisitorActive: true,
			Meta: fullMeta(name),
		},
	}
}

// DefaultModels returns the catalogue of a site that was not given one. It
// has a model for each special case: `qwen3.8-max` cannot skip thinking,
// `qwen3.7-max` and `qwen3-coder-plus` take text only, `qwen3.5-flash` cannot
// think, `qwen2.5-turbo` has almost no metadata.
func DefaultModels() []Model {
	max38 := NewModel("qwen3.8-max", "Qwen3.8-Max")
	max38.Info.Meta.ThinkSkip = &ThinkSkip{Enable: false}
	max38.Info.Meta.MaxGeneration = 131072

	max37 := textOnly(NewModel("qwen3.7-max", "Qwen3.7-Max"))
	max37.Info.Meta.MaxThinking = 81920

	omni := NewModel("qwen3.5-omni-plus", "Qwen3.5-Omni-Plus")
	omni.Info.Meta.MaxContext = 262144
	omni.Info.Meta.Modality = []string{"text", "image", "video", "audio"}

	coder := textOnly(NewModel("qwen3-coder-plus", "Qwen3-Coder"))
	coder.Info.Meta.ChatTypes = []string{"t2t", "search", "artifacts", "web_dev"}

	vl := NewModel("qwen3-vl-plus", "Qwen3-VL-Plus")
	vl.Info.Meta.MaxContext = 262144

	turbo := NewModel("qwen2.5-turbo", "Qwen2.5-Turbo")
	turbo.Info.Meta = Meta{MaxContext: 1000000, ChatTypes: []string{"t2t"}}

	return []Model{
		NewModel("qwen3.7-plus", "Qwen3.7-Plus"), max38, max37,
		NewModel("qwen3.6-plus", "Qwen3.6-Plus"), NewModel("qwen3.5-plus", "Qwen3.5-Plus"),
		omni, coder, vl, withoutThinking(NewModel("qwen3.5-flash", "Qwen3.5-Flash")), turbo,
	}
}

func fullMeta(name string) Meta {
	return Meta{
		Description:      name + " is an emulated model.",
		ShortDescription: "Emulated.",
		Capabilities: map[string]bool{
			"vision": true, "document": true, "video": true, "audio": true, "citations": true,
			"thinking": true, "thinking_budget": true, "search": true,
		},
		Abilities: map[string]int{
			"vision": 1, "document": 1, "video": 1, "audio": 1, "mcp": 1, "thinking": 3, "citations": 1, "parse_url": 2,
		},
		MaxContext: 1000000, MaxGeneration: 65536, MaxThinking: 81920, MaxSummary: 65536,
		ChatTypes:      []string{"t2t", "t2v", "t2i", "image_edit", "search", "artifacts", "web_dev", "deep_research", "travel", "learn", "slides"},
		Modality:       []string{"text", "image", "video"},
		MCP:            []string{"image-generation", "code-interpreter", "amap", "fire-crawl"},
		AutoThinking:   true,
		AutoSearch:     true,
		ThinkingFormat: "summary",
		ThinkSkip:      &ThinkSkip{Enable: true},
		FileLimits:     json.RawMessage("{}"),
	}
}

func textOnly(m Model) Model {
	meta := &m.Info.Meta
	for _, k := range []string{"vision", "video", "audio"} {
		meta.Capabilities[k] = false
		delete(meta.Abilities, k)
	}
	meta.Modality = []string{"text"}
	return m
}

func withoutThinking(m Model) Model {
	meta := &m.Info.Meta
	for _, k := range []string{"thinking", "thinking_budget"} {
		meta.Capabilities[k] = false
		delete(meta.Abilities, k)
	}
	meta.AutoThinking, meta.ThinkingFormat, meta.ThinkSkip, meta.MaxThinking, meta.MaxSummary = false, "", nil, 0, 0
	return m
}

// mustThink reports whether the model refuses to answer without thinking.
func (m Model) mustThink() bool {
	skip := m.Info.Meta.ThinkSkip
	return skip != nil && !skip.Enable
}

// canThink reports whether the model knows how to think at all.
func (m Model) canThink() bool {
	return m.Info.Meta.Capabilities["thinking"] || m.mustThink()
}

// legacyModels answers `GET /api/models`, which has no envelope and asks for
// no credential.
func (s *Site) legacyModels(*call) (Reply, *generation) {
	return jsonReply(map[string]any{"data": s.options.Models}), nil
}

// modelList answers `GET /api/v2/models/`, which asks for no credential.
func (s *Site) modelList(*call) (Reply, *generation) {
	return success(map[string]any{"data": s.options.Models}), nil
}
