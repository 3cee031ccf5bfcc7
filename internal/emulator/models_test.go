package emulator

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestModelLists(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	var legacy struct{ Data []map[string]any }
	_, body := c.call("GET", "/api/models", "")
	mustDecode(t, body, &legacy)
	if strings.Contains(body, "success") {
		t.Error("GET /api/models has no envelope")
	}
	var v2 struct {
		Success bool
		Data    struct{ Data []map[string]any }
	}
	_, body = c.call("GET", "/api/v2/models/", "")
	mustDecode(t, body, &v2)
	if !v2.Success || !reflect.DeepEqual(legacy.Data, v2.Data.Data) || len(legacy.Data) < 8 {
		t.Errorf("%d and %d models", len(legacy.Data), len(v2.Data.Data))
	}
	first := legacy.Data[0]
	for _, key := range []string{"id", "name", "object", "owned_by", "preset", "action_ids", "info"} {
		if _, ok := first[key]; !ok {
			t.Errorf("a model has no %s", key)
		}
	}
	meta := first["info"].(map[string]any)["meta"].(map[string]any)
	for _, key := range []string{
		"description", "short_description", "capabilities", "abilities", "max_context_length", "max_generation_length",
		"max_thinking_generation_length", "max_summary_generation_length", "chat_type", "modality", "mcp",
		"auto_thinking", "auto_search", "thinking_format", "think_skip", "file_limits",
	} {
		if _, ok := meta[key]; !ok {
			t.Errorf("a model has no %s in its meta", key)
		}
	}
	if v := meta["capabilities"].(map[string]any)["vision"]; v != true {
		t.Errorf("capabilities are booleans, not %T", v)
	}
	if v := meta["abilities"].(map[string]any)["thinking"]; v != 3.0 {
		t.Errorf("abilities are numbers, not %T %v", v, v)
	}
}

func TestSpecialModels(t *testing.T) {
	byID := make(map[string]Model)
	for _, m := range DefaultModels() {
		byID[m.ID] = m
	}
	if m := byID["qwen3.8-max"]; !m.mustThink() || !m.canThink() || m.Info.Meta.MaxGeneration != 131072 {
		t.Errorf("qwen3.8-max: %+v", m.Info.Meta)
	}
	if m := byID["qwen3.7-max"]; m.Info.Meta.Capabilities["vision"] || !reflect.DeepEqual(m.Info.Meta.Modality, []string{"text"}) {
		t.Errorf("qwen3.7-max: %+v", m.Info.Meta)
	}
	if m := byID["qwen3.5-flash"]; m.canThink() || m.mustThink() {
		t.Errorf("qwen3.5-flash: %+v", m.Info.Meta)
	}
	if m := byID["qwen3.7-plus"]; !m.canThink() || m.mustThink() || !m.Info.Meta.Capabilities["vision"] {
		t.Errorf("qwen3.7-plus: %+v", m.Info.Meta)
	}
	raw, err := json.Marshal(byID["qwen2.5-turbo"])
	if err != nil || !strings.Contains(string(raw), `"meta":{"max_context_length":1000000,"chat_type":["t2t"]}`) {
		t.Errorf("qwen2.5-turbo: %s", raw)
	}
}

func TestOwnCatalogue(t *testing.T) {
	srv := mustStart(t, Options{Models: []Model{NewModel("mine", "Mine")}})
	c := newClient(t, srv)
	if _, body := c.call("GET", "/api/models", ""); strings.Contains(body, "qwen3.7-plus") || !strings.Contains(body, `"id":"mine"`) {
		t.Errorf("answered %s", body)
	}
	resp, body := c.call("POST", "/api/v2/chats/new", newChatBody(nil))
	wantRefusal(t, resp, body, "Not_Found", "Model not found", "404")
	if _, body := c.call("POST", "/api/v2/chats/new", newChatBody(func(b map[string]any) { b["models"] = []string{"mine"} })); !strings.Contains(body, `"success":true`) {
		t.Errorf("answered %s", body)
	}
	srv = mustStart(t, Options{Models: []Model{}})
	if _, body := newClient(t, srv).call("GET", "/api/models", ""); body != `{"data":[]}` {
		t.Errorf("no models: %s", body)
	}
}
