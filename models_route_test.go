package caddyqwen

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// rawModels is the model list as it is written.
type rawModels struct {
	Object string                       `json:"object"`
	Data   []map[string]json.RawMessage `json:"data"`
}

func mustRawModels(t testing.TB, r reply) (list rawModels) {
	t.Helper()
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// checkRawModel checks the fields that clients insist on.
func checkRawModel(t testing.TB, m map[string]json.RawMessage) (id string) {
	t.Helper()
	var created int64
	var owner string
	for name, target := range map[string]any{"id": &id, "created": &created, "owned_by": &owner} {
		if err := json.Unmarshal(m[name], target); err != nil || string(m[name]) == "null" {
			t.Errorf("MO-02: %s is %s", name, m[name])
		}
	}
	if id == "" || id != strings.TrimSpace(id) || owner == "" || string(m["object"]) != `"model"` {
		t.Errorf("MO-02: %s", m)
	}
	if created < 0 || created > time.Now().Unix()+366*86400 {
		t.Errorf("MO-02: created is %d, which is not in seconds", created)
	}
	return id
}

func TestModelsRouteList(t *testing.T) {
	g := mustGateway(t, setup{qwen: "model_alias mine qwen3.7-plus"})
	var ids []string
	t.Run("MO-01 MO-02 MO-03", func(t *testing.T) {
		list := mustRawModels(t, g.do(http.MethodGet, "/v1/models", ""))
		if list.Object != "list" {
			t.Errorf("object is %q", list.Object)
		}
		for _, m := range list.Data {
			id := checkRawModel(t, m)
			if slices.Contains(ids, id) {
				t.Errorf("MO-03: %s is there twice", id)
			}
			ids = append(ids, id)
		}
	})
	t.Run("MO-04 all of the site and of the owner", func(t *testing.T) {
		for _, m := range emulator.DefaultModels() {
			if !slices.Contains(ids, m.ID) {
				t.Errorf("%s is missing", m.ID)
			}
		}
		if !slices.Contains(ids, "mine") {
			t.Error("the owner's alias is missing")
		}
	})
	t.Run("MO-04 all that is listed can be used", func(t *testing.T) {
		for _, id := range ids {
			mustCompletion(t, g.chatWith(id, ""))
		}
	})
	t.Run("MO-05 Bearer and X-Api-Key", func(t *testing.T) {
		mustRawModels(t, g.do(http.MethodGet, "/v1/models", "", "X-Api-Key", testKey))
	})
	t.Run("MO-06 every entry by its id", func(t *testing.T) {
		for _, id := range ids {
			r := g.do(http.MethodGet, "/v1/models/"+id, "")
			var m map[string]json.RawMessage
			if err := json.Unmarshal([]byte(r.body), &m); err != nil || checkRawModel(t, m) != id {
				t.Errorf("%s: %d %s", id, r.status, r.body)
			}
		}
	})
	if n := len(slices.DeleteFunc(g.site.Requests(), func(r emulator.Request) bool { return r.Endpoint != emulator.EndpointModels })); n != 1 {
		t.Errorf("the site was asked for its models %d times", n)
	}
}

func TestModelsRouteSDK(t *testing.T) {
	g := mustGateway(t, setup{})
	client := g.client()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	t.Run("MO-01", func(t *testing.T) {
		page, err := client.Models.List(ctx)
		if err != nil || len(page.Data) < 10 || page.Data[0].ID != "qwen3.7-plus" || page.Data[0].Created != 1780000000 {
			t.Errorf("%v, %+v", err, page)
		}
	})
	t.Run("MO-06", func(t *testing.T) {
		m, err := client.Models.Get(ctx, "qwen3-coder-plus")
		if err != nil || m.ID != "qwen3-coder-plus" || m.OwnedBy != "qwen" {
			t.Errorf("%v, %+v", err, m)
		}
	})
	t.Run("MO-07", func(t *testing.T) {
		_, err := client.Models.Get(ctx, "gpt-9/o:x%y")
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound || refused.Code != "model_not_found" {
			t.Errorf("%v", err)
		}
	})
	t.Run("MO-09", func(t *testing.T) {
		_, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
			Model: "gpt-9", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
		})
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound || refused.Code != "model_not_found" {
			t.Errorf("%v", err)
		}
	})
}

// TestModelsRouteIDs asks for models by all kinds of spellings.
func TestModelsRouteIDs(t *testing.T) {
	g := mustGateway(t, setup{
		qwen:    "model_alias my:model team/qwen-x\nmodel_alias \"50% off\" qwen3.7-plus",
		options: emulator.Options{Models: []emulator.Model{emulator.NewModel("qwen3.7-plus", "P"), emulator.NewModel("team/qwen-x", "X")}},
	})
	tests := []struct {
		name, path string
		id         string // empty: 404 model_not_found
	}{
		{"a slash", "team/qwen-x", "team/qwen-x"},
		{"an escaped slash", "team%2Fqwen-x", "team/qwen-x"},
		{"a colon", "my:model", "my:model"},
		{"an escaped colon", "my%3Amodel", "my:model"},
		{"per cent", "50%25%20off", "50% off"},
		{"escaped letters", "qwen3%2E7%2Dplus", "qwen3.7-plus"},
		{"another case", "QWEN3.7-Plus", "qwen3.7-plus"},
		{"a built-in alias", "gpt-4", "gpt-4"},
		{"an unknown one", "gpt-9", ""},
		{"an unknown one with escapes", "%00%0A%22%3Cscript%3E", ""},
		{"dots", "..%2Fchat%2Fcompletions", ""},
		{"a long one", strings.Repeat("x", 5000), ""},
	}
	for _, tt := range tests {
		t.Run("MO-07 MO-08 "+tt.name, func(t *testing.T) {
			r := g.do(http.MethodGet, "/v1/models/"+tt.path, "")
			if tt.id == "" {
				if r.status != http.StatusNotFound || r.code() != "model_not_found" || len(r.body) > 1000 {
					t.Errorf("%d %s", r.status, r.body)
				}
				return
			}
			var m struct{ ID, Object string }
			if err := json.Unmarshal([]byte(r.body), &m); err != nil || r.status != http.StatusOK || m.ID != tt.id || m.Object != "model" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

// TestModelsRouteChat checks which model answers under which name.
func TestModelsRouteChat(t *testing.T) {
	g := mustGateway(t, setup{qwen: "model_alias gpt-4o qwen3.6-plus\nmodel_alias gone qwen1-max\ndefault_model qwen3.5-plus"})
	tests := []struct{ name, model, want string }{
		{"MO-04 its own name", "qwen3.6-plus", "qwen3.6-plus"},
		{"MO-04 in other case", "Qwen3.6-PLUS", "qwen3.6-plus"},
		{"MO-04 with blanks", " qwen3.6-plus\n", "qwen3.6-plus"},
		{"MO-10 qwen", "qwen", "qwen3.8-max"},
		{"MO-10 qwen3", "qwen3", "qwen3.8-max"},
		{"MO-10 qwen3-coder", "qwen3-coder", "qwen3-coder-plus"},
		{"MO-10 qwen3-vl", "qwen3-vl", "qwen3-vl-plus"},
		{"MO-10 qwq", "qwq", "qwen3.8-max"},
		{"MO-10 gpt-3.5-turbo", "gpt-3.5-turbo", "qwen3.5-flash"},
		{"MO-10 gpt-4", "gpt-4", "qwen3.7-plus"},
		{"the owner's alias", "gpt-4o", "qwen3.6-plus"},
		{"the default model", "", "qwen3.5-plus"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustCompletion(t, g.chatWith(tt.model, ""))
			if seen := g.lastCompletion(t).Model; c.Model != tt.want || seen != tt.want {
				t.Errorf("the answer says %q and the site saw %q, want %q", c.Model, seen, tt.want)
			}
			s := readStream(t, g.chatWith(tt.model, `"stream":true`).body)
			if seen := g.lastCompletion(t).Model; s.model != tt.want || seen != tt.want {
				t.Errorf("the stream says %q and the site saw %q, want %q", s.model, seen, tt.want)
			}
		})
	}
	t.Run("MO-10 a substitution is logged once", func(t *testing.T) {
		const line = `"alias_target":"qwq-32b","model":"qwen3.8-max"`
		if n := strings.Count(g.logged(), line); n != 1 {
			t.Errorf("%d lines with %s", n, line)
		}
	})
	for _, model := range []string{"gpt-9", "gone", "gone-thinking", "qwen3.6-plus-slow"} {
		for _, fields := range []string{"", `"stream":true`} {
			t.Run("MO-09 ER-03 unknown: "+model+", "+fields, func(t *testing.T) {
				before := len(g.site.Completions())
				r := g.chatWith(model, fields)
				if r.status != http.StatusNotFound || r.code() != "model_not_found" || r.header.Get("Content-Type") != "application/json" {
					t.Errorf("%d %s", r.status, r.body)
				}
				if len(g.site.Completions()) != before {
					t.Error("the site was asked")
				}
			})
		}
	}
}

// TestModelsRouteSiteFails checks that chats do not depend on the model list.
func TestModelsRouteSiteFails(t *testing.T) {
	g := mustGateway(t, setup{})
	broken := slices.Repeat([]emulator.Reply{emulator.Status(502)}, 20)
	g.site.Fail(emulator.EndpointModels, broken...)
	t.Run("MO-09 a model of the site", func(t *testing.T) {
		if c := mustCompletion(t, g.chatWith("qwen3.6-plus", `"enable_thinking":true`)); c.Model != "qwen3.6-plus" {
			t.Errorf("model %q", c.Model)
		}
		checkFeature(t, g.lastCompletion(t).Feature, thinks)
	})
	t.Run("MO-09 a model that the site does not know", func(t *testing.T) {
		r := g.chatWith("gpt-9", "")
		if r.status != http.StatusNotFound || r.code() != "model_not_found" {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// TestModelsRouteMissing checks a request that names no model.
func TestModelsRouteMissing(t *testing.T) {
	g := mustGateway(t, setup{})
	r := g.chatWith("", "")
	if r.status != http.StatusBadRequest || r.code() != "missing_required_parameter" || !strings.Contains(r.body, `"param":"model"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestRoutePaths checks which paths and methods are the handler's.
func TestRoutePaths(t *testing.T) {
	g := mustGateway(t, setup{})
	tests := []struct {
		name, method, path string
		status             int
		allow, code, body  string // expected of the answer; empty: anything
	}{
		{"others' paths", "GET", "/other", 200, "", "", "next handler"},
		{"others' paths with our name in them", "POST", "/x/v1/chat/completions", 200, "", "", "next handler"},
		{"a path like ours", "GET", "/v1x", 200, "", "", "next handler"},
		{"another version", "GET", "/v2/models", 200, "", "", "next handler"},
		{"ER-06 unknown path", "GET", "/v1/unknown", 404, "", "unknown_url", ""},
		{"ER-06 unknown path, POST", "POST", "/v1/embeddings", 404, "", "unknown_url", ""},
		{"ER-06 the base URL", "GET", "/v1", 404, "", "unknown_url", ""},
		{"ER-06 the base URL with a slash", "GET", "/v1/", 404, "", "unknown_url", ""},
		{"ER-06 a slash too many", "POST", "/v1/chat/completions/", 404, "", "unknown_url", ""},
		{"ER-06 models with a slash", "GET", "/v1/models/", 404, "", "unknown_url", ""},
		{"ER-06 another case", "POST", "/v1/Chat/Completions", 404, "", "unknown_url", ""},
		{"ER-06 escapes", "POST", "/v1/chat%2Fcompletions", 404, "", "unknown_url", ""},
		{"ER-07 GET on chat", "GET", chatPath, 405, "POST, OPTIONS", "method_not_allowed", ""},
		{"ER-07 HEAD on chat", "HEAD", chatPath, 405, "POST, OPTIONS", "", ""},
		{"ER-07 PUT on chat", "PUT", chatPath, 405, "POST, OPTIONS", "method_not_allowed", ""},
		{"ER-07 POST on models", "POST", "/v1/models", 405, "GET, HEAD, OPTIONS", "method_not_allowed", ""},
		{"ER-07 DELETE on a model", "DELETE", "/v1/models/gpt-4", 405, "GET, HEAD, OPTIONS", "method_not_allowed", ""},
		{"ER-07 POST on the start page", "POST", "/", 405, "GET, HEAD, OPTIONS", "method_not_allowed", ""},
		{"ER-07 part of a method", "OPT", chatPath, 405, "POST, OPTIONS", "method_not_allowed", ""},
		{"ER-07 lower case", "post", chatPath, 405, "POST, OPTIONS", "method_not_allowed", ""},
		{"HEAD models", "HEAD", "/v1/models", 200, "", "", ""},
		{"HEAD health", "HEAD", "/health", 200, "", "", ""},
		{"HEAD the start page", "HEAD", "/", 200, "", "", ""},
		{"GET health", "GET", "/health", 200, "", "", `{"status":"ok"}`},
		{"CO-01 OPTIONS chat", "OPTIONS", chatPath, 204, "POST, OPTIONS", "", ""},
		{"CO-01 OPTIONS models", "OPTIONS", "/v1/models", 204, "GET, HEAD, OPTIONS", "", ""},
		{"CO-01 OPTIONS unknown", "OPTIONS", "/v1/unknown", 204, "OPTIONS", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := g.do(tt.method, tt.path, "")
			if r.status != tt.status || r.header.Get("Allow") != tt.allow || r.code() != tt.code {
				t.Errorf("%d, Allow %q: %s", r.status, r.header.Get("Allow"), r.body)
			}
			if tt.body != "" && r.body != tt.body {
				t.Errorf("the body is %s", r.body)
			}
			if tt.method == "HEAD" && r.body != "" {
				t.Errorf("HEAD has the body %s", r.body)
			}
			if ours := tt.body != "next handler"; (r.header.Get("X-Request-Id") != "") != ours {
				t.Errorf("ER-08: X-Request-Id is %q", r.header.Get("X-Request-Id"))
			}
		})
	}
	if n := len(g.site.Completions()); n > 0 {
		t.Errorf("the site saw %d completions", n)
	}
}

// TestRoutePrefix serves the handler below a prefix.
func TestRoutePrefix(t *testing.T) {
	g := mustGateway(t, setup{prefix: "/ai"})
	t.Run("chat", func(t *testing.T) {
		g.site.Reply(emulator.Text("a"), emulator.Text("b"))
		if got := mustCompletion(t, g.chat("Hi", "")).text(); got != "a" {
			t.Errorf("got %q", got)
		}
		if got := g.stream(t, "Hi", "").text; got != "b" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("SDK", func(t *testing.T) {
		g.site.Reply(emulator.Text("c"))
		if acc, _ := mustAccumulate(t, g.client()); acc.Choices[0].Message.Content != "c" {
			t.Errorf("got %+v", acc.ChatCompletion)
		}
	})
	for path, status := range map[string]int{
		"/v1/models": 200, "/v1/models/gpt-4": 200, "/v1/models/qwen3%2E7-plus": 200, "/health": 200, "/": 200, "/v1/unknown": 404,
	} {
		t.Run("ER-06 "+path, func(t *testing.T) {
			if r := g.do(http.MethodGet, path, ""); r.status != status || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	t.Run("not without the prefix", func(t *testing.T) {
		g.url = strings.TrimSuffix(g.url, "/ai")
		if r := g.chat("Hi", ""); r.status != http.StatusOK || r.body != "next handler" {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}
