package openai

import (
	"encoding/json"
	"testing"
)

func TestAppendModelList(t *testing.T) {
	models := []Model{
		{ID: "qwen3-max", Created: 1_700_000_000, OwnedBy: "qwen"},
		{ID: "a/b:<c>\"\n\xff", Meta: &ModelMeta{Name: "B"}},
	}
	tests := []struct {
		name   string
		models []Model
		want   string
	}{
		{"MO-01 data is never null", nil, `{"object":"list","data":[]}`},
		{"MO-02 one model", models[:1], `{"object":"list","data":[{"id":"qwen3-max","object":"model","created":1700000000,"owned_by":"qwen"}]}`},
		{
			"MO-02 nothing is null", models,
			`{"object":"list","data":[{"id":"qwen3-max","object":"model","created":1700000000,"owned_by":"qwen"},` +
				`{"id":"a/b:<c>\"\n` + "\uFFFD" + `","object":"model","created":0,"owned_by":"","meta":{"name":"B"}}]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := string(AppendModelList([]byte("> "), test.models))
			if got != "> "+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestModelAppendJSON(t *testing.T) {
	m := Model{ID: "qwen3-max", Created: 5, OwnedBy: "qwen"}
	const plain = `{"id":"qwen3-max","object":"model","created":5,"owned_by":"qwen"`
	tests := []struct {
		name string
		meta *ModelMeta
		want string
	}{
		{"MO-06 plain", nil, plain + `}`},
		{"MO-06 empty description", &ModelMeta{}, plain + `,"meta":{}}`},
		{
			"MO-06 described", &ModelMeta{Name: "N", Description: "D", ContextLength: 1, MaxOutput: 2, MaxThinking: 3, Capabilities: []string{"vision", "thinking"}},
			plain + `,"meta":{"name":"N","description":"D","context_length":1,"max_output_tokens":2,"max_thinking_tokens":3,"capabilities":["vision","thinking"]}}`,
		},
		{"MO-06 partly described", &ModelMeta{MaxOutput: 2, Capabilities: []string{"audio"}}, plain + `,"meta":{"max_output_tokens":2,"capabilities":["audio"]}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m.Meta = test.meta
			if got := string(m.AppendJSON(nil)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzModelAppendJSON(f *testing.F) {
	f.Add("qwen3-max", "qwen", "vision", int64(1))
	f.Add("\xff\n", "\u2028", "", int64(-1))
	f.Fuzz(func(t *testing.T, id, owner, capability string, created int64) {
		m := Model{ID: id, OwnedBy: owner, Created: created, Meta: &ModelMeta{Name: owner, Capabilities: []string{capability, id}}}
		var decoded struct {
			Object string
			Data   []struct {
				ID      string
				Object  string
				Created int64
				OwnedBy string `json:"owned_by"`
			}
		}
		if err := json.Unmarshal(AppendModelList(nil, []Model{m}), &decoded); err != nil {
			t.Fatal(err)
		}
		got := decoded.Data[0]
		if got.ID != string([]rune(id)) || got.OwnedBy != string([]rune(owner)) || got.Created != created || got.Object != "model" {
			t.Errorf("got %+v", got)
		}
	})
}
