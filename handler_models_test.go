package caddyqwen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// modelSite is a transport that answers like the site does about its models.
type modelSite struct {
	calls  atomic.Int64
	models []emulator.Model
	fails  bool
	hangs  bool
}

func (s *modelSite) RoundTrip(req *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	if s.hangs {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if s.fails {
		return nil, errors.New("the site is down")
	}
	body, err := json.Marshal(map[string]any{"data": s.models})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}, nil
}

func siteModels(ids ...string) []emulator.Model {
	var models []emulator.Model
	for _, id := range ids {
		models = append(models, emulator.NewModel(id, strings.ToUpper(id)))
	}
	return models
}

// mustModelHandler returns a handler for everybody in front of a site.
func mustModelHandler(t testing.TB, site *modelSite, aliases map[string]string) *Handler {
	t.Helper()
	everybody, _, err := newCallers(authOff, nil, caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{
		Auth: authOff, ModelAliases: aliases, logger: zap.NewNop(), callers: everybody, cors: mustCORS(t),
		client: &qwen.Client{BaseURL: "https://site.test", Transport: site},
	}
	k, err := acquireKeeper(defaultLabel, accountSource{
		baseURL: t.Name(), given: qwen.Credential{Token: testToken, Cookies: testCookie},
	})
	must(t, err)
	h.accounts = []*account{h.newAccount(defaultLabel, k)}
	h.stateKey = newStateKey(h.accounts, 1)
	if _, err := h.stateKey.acquire(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.stateKey.release(), k.release()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// serve sends a request through the handler's routes.
func serve(t testing.TB, h *Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// get asks the handler for a path and expects a status and JSON.
func get(t testing.TB, h *Handler, path string, status int) []byte {
	t.Helper()
	w := serve(t, h, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("GET %s: %d, %s, %s; want %d and JSON", path, w.Code, w.Header(), w.Body, status)
	}
	return w.Body.Bytes()
}

// mustModelList returns the list that clients see.
func mustModelList(t testing.TB, h *Handler) modelList {
	t.Helper()
	var list modelList
	if err := json.Unmarshal(get(t, h, "/v1/models", http.StatusOK), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func idsOfList(entries []modelEntry) []string {
	ids := []string{}
	for _, entry := range entries {
		ids = append(ids, entry.ID)
	}
	return ids
}

// mustModel returns one model as clients see it.
func mustModel(t testing.TB, h *Handler, path string) modelEntry {
	t.Helper()
	var entry modelEntry
	if err := json.Unmarshal(get(t, h, "/v1/models/"+path, http.StatusOK), &entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

// mustFail asks for a path and returns the error of the answer.
func mustFail(t testing.TB, h *Handler, path string, status int) (code, param, message string) {
	t.Helper()
	var envelope struct {
		Error struct{ Message, Type, Code, Param string }
	}
	if err := json.Unmarshal(get(t, h, path, status), &envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.Error.Code, envelope.Error.Param, envelope.Error.Message
}

func TestModelList(t *testing.T) {
	h := mustModelHandler(t, &modelSite{models: emulator.DefaultModels()}, map[string]string{"gpt-4o": "qwen3.7-plus", "dead": "gone"})
	body := get(t, h, "/v1/models", http.StatusOK)
	var list struct {
		Object string
		Data   []map[string]any
	}
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	t.Run("MO-01 list", func(t *testing.T) {
		if list.Object != "list" || len(list.Data) == 0 {
			t.Errorf("object %q with %d models", list.Object, len(list.Data))
		}
	})
	t.Run("MO-02 fields", func(t *testing.T) {
		for _, m := range list.Data {
			id, _ := m["id"].(string)
			owner, _ := m["owned_by"].(string)
			created, isNumber := m["created"].(float64)
			if id == "" || strings.TrimSpace(id) != id || m["object"] != "model" || owner == "" || !isNumber || created != 1780000000 {
				t.Errorf("%v", m)
			}
		}
		if bytes.Contains(body, []byte("null")) {
			t.Errorf("null in %s", body)
		}
	})
	t.Run("MO-03 unique ids", func(t *testing.T) {
		seen := map[any]bool{}
		for _, m := range list.Data {
			if seen[m["id"]] {
				t.Errorf("%v is there twice", m["id"])
			}
			seen[m["id"]] = true
		}
	})
	t.Run("MO-04 all usable models", func(t *testing.T) {
		want := []string{
			"qwen3.7-plus", "qwen3.8-max", "qwen3.7-max", "qwen3.6-plus", "qwen3.5-plus", "qwen3.5-omni-plus",
			"qwen3-coder-plus", "qwen3-vl-plus", "qwen3.5-flash", "qwen2.5-turbo",
			"qwen3.7-plus-thinking", "qwen3.7-max-thinking", "qwen3.6-plus-thinking", "qwen3.5-plus-thinking",
			"qwen3.5-omni-plus-thinking", "qwen3-coder-plus-thinking", "qwen3-vl-plus-thinking",
			"gpt-4o",
		}
		want = append(want, builtinNames()...)
		var got []string
		for _, m := range list.Data {
			got = append(got, m["id"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

// builtinNames are the aliases at the end of every list.
func builtinNames() (names []string) {
	for _, alias := range builtinAliases {
		names = append(names, alias.name)
	}
	return names
}

func TestModelListAliases(t *testing.T) {
	tests := []struct {
		name    string
		models  []emulator.Model
		aliases map[string]string
		want    []string
	}{
		{"by name, after the models", siteModels("b", "a"), map[string]string{"z": "a", "y": "b"}, []string{"b", "a", "b-thinking", "a-thinking", "y", "z"}},
		{"dead ones are left out", siteModels("a"), map[string]string{"y": "x", "z": "a"}, []string{"a", "a-thinking", "z"}},
		{"hiding a model", siteModels("b", "a"), map[string]string{"b": "a"}, []string{"a", "b-thinking", "a-thinking", "b"}},
		{"hiding a model, dead", siteModels("b", "a"), map[string]string{"b": "x"}, []string{"a", "a-thinking"}},
		{"hiding a variant", siteModels("b", "a"), map[string]string{"b-thinking": "a"}, []string{"b", "a", "a-thinking", "b-thinking"}},
		{"of itself", siteModels("a"), map[string]string{"a": "a"}, []string{"a-thinking", "a"}},
		{"a model in other case", siteModels("a"), map[string]string{"A": "a"}, []string{"a", "a-thinking"}},
		{"white space around", siteModels("a"), map[string]string{" y": "a", "y ": "a"}, []string{"a", "a-thinking"}},
		{"a model named like a variant", siteModels("a", "a-thinking"), nil, []string{"a", "a-thinking", "a-thinking-thinking"}},
		{"models that differ in case", siteModels("A", "a"), nil, []string{"A", "a", "A-thinking", "a-thinking"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := mustModelHandler(t, &modelSite{models: tt.models}, tt.aliases)
			want := append(tt.want, builtinNames()...)
			if got := idsOfList(mustModelList(t, h).Data); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// Models that only draw are not for chats.
func TestModelListTextModelsOnly(t *testing.T) {
	models := siteModels("wan3", "qwen4")
	models[0].Info.Meta.ChatTypes = []string{"t2i", "t2v"}
	h := mustModelHandler(t, &modelSite{models: models}, map[string]string{"draw": "wan3"})
	if got := idsOfList(mustModelList(t, h).Data); !slices.Equal(got, append([]string{"qwen4", "qwen4-thinking"}, builtinNames()...)) {
		t.Errorf("got %v", got)
	}
	if code, _, _ := mustFail(t, h, "/v1/models/wan3", http.StatusNotFound); code != "model_not_found" {
		t.Errorf("code %q", code)
	}
}

func TestModelEntryJSON(t *testing.T) {
	h := mustModelHandler(t, &modelSite{models: emulator.DefaultModels()}, map[string]string{"gpt-4o": "qwen3.7-plus-thinking"})
	tests := []struct{ path, want string }{
		{"qwen3.7-plus", `{"id":"qwen3.7-plus","object":"model","created":1780000000,"owned_by":"qwen","meta":{"name":"Qwen3.7-Plus","description":"Emulated.",` +
			`"capabilities":{"vision":true,"document":true,"video":true,"audio":true,"thinking":true,"search":true},` +
			`"max_context_length":1000000,"max_output_length":65536,"max_thinking_length":81920}}`},
		{"qwen2.5-turbo", `{"id":"qwen2.5-turbo","object":"model","created":1780000000,"owned_by":"qwen","meta":{"name":"Qwen2.5-Turbo",` +
			`"capabilities":{"vision":false,"document":false,"video":false,"audio":false,"thinking":false,"search":false},` +
			`"max_context_length":1000000,"thinking":"off"}}`},
		{"gpt-4o", `{"id":"gpt-4o","object":"model","created":1780000000,"owned_by":"qwen","meta":{"name":"Qwen3.7-Plus","description":"Emulated.",` +
			`"capabilities":{"vision":true,"document":true,"video":true,"audio":true,"thinking":true,"search":true},` +
			`"max_context_length":1000000,"max_output_length":65536,"max_thinking_length":81920,"alias_of":"qwen3.7-plus","thinking":"on"}}`},
	}
	for _, tt := range tests {
		t.Run("MO-06 "+tt.path, func(t *testing.T) {
			if got := string(get(t, h, "/v1/models/"+tt.path, http.StatusOK)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestModel(t *testing.T) {
	models := append(emulator.DefaultModels(), siteModels("org/Model:free", "100%sure", "what?")...)
	h := mustModelHandler(t, &modelSite{models: models}, map[string]string{"my/alias": "qwen3.7-plus", "smart": "qwen3.8-max"})
	tests := []struct{ name, path, id, aliasOf, thinking string }{
		{"MO-06 listed", "qwen3.6-plus", "qwen3.6-plus", "", ""},
		{"MO-06 other case", "QWEN3.6-Plus", "qwen3.6-plus", "", ""},
		{"MO-06 thinking variant", "qwen3.6-plus-thinking", "qwen3.6-plus-thinking", "", "on"},
		{"MO-06 variant in other case", "Qwen3.6-Plus-Thinking", "qwen3.6-plus-thinking", "", "on"},
		{"MO-06 fast variant", "qwen3.6-plus-fast", "qwen3.6-plus-fast", "", "off"},
		{"MO-06 fast variant of a model that always thinks", "qwen3.8-max-fast", "qwen3.8-max-fast", "", "on"},
		{"MO-06 thinking variant of a model that cannot", "qwen3.5-flash-thinking", "qwen3.5-flash-thinking", "", "off"},
		{"MO-06 owner's alias", "smart", "smart", "qwen3.8-max", "on"},
		{"MO-06 variant of an alias", "my/alias-thinking", "my/alias-thinking", "qwen3.7-plus", "on"},
		{"MO-08 slash", "my/alias", "my/alias", "qwen3.7-plus", ""},
		{"MO-08 escaped slash", "my%2Falias", "my/alias", "qwen3.7-plus", ""},
		{"MO-08 escaped dot", "qwen3%2E6-plus", "qwen3.6-plus", "", ""},
		{"MO-08 slash and colon", "org/Model:free", "org/Model:free", "", ""},
		{"MO-08 escaped slash and colon", "org%2FModel%3Afree", "org/Model:free", "", ""},
		{"MO-10 qwen", "qwen", "qwen", "qwen3.8-max", "on"},
		{"MO-10 qwen3", "qwen3", "qwen3", "qwen3.8-max", "on"},
		{"MO-10 qwen3-coder", "qwen3-coder", "qwen3-coder", "qwen3-coder-plus", ""},
		{"MO-10 qwen3-vl", "qwen3-vl", "qwen3-vl", "qwen3-vl-plus", ""},
		{"MO-10 qwq", "qwq", "qwq", "qwen3.8-max", "on"},
		{"MO-10 gpt-3.5-turbo", "gpt-3.5-turbo", "gpt-3.5-turbo", "qwen3.5-flash", "off"},
		{"MO-10 gpt-4", "gpt-4", "gpt-4", "qwen3.7-plus", ""},
		{"MO-10 in other case", "GPT-4", "GPT-4", "qwen3.7-plus", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustModel(t, h, tt.path)
			if got.ID != tt.id || got.Meta.AliasOf != tt.aliasOf || got.Meta.Thinking != tt.thinking || got.Object != "model" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestModelNotFound(t *testing.T) {
	aliases := map[string]string{"dead": "qwen-gone"}
	h := mustModelHandler(t, &modelSite{models: siteModels("qwen4")}, aliases)
	tests := []struct{ name, path, inMessage string }{
		{"MO-07 unknown", "gpt-9", `"gpt-9" does not exist`},
		{"MO-07 unknown variant", "gpt-9-thinking", `"gpt-9-thinking"`},
		{"MO-07 dead alias names its target", "dead", `"dead" is an alias of "qwen-gone"`},
		{"MO-07 variant of a dead alias", "dead-fast", `"dead-fast" is an alias of "qwen-gone"`},
		{"MO-08 dots", "..%2F..%2Fetc%2Fpasswd", `"../../etc/passwd"`},
		{"MO-08 escapes", "%22%00%0d%0A%1b%5B31m", `"\"\x00\r\n\x1b[31m"`},
		{"MO-08 not UTF-8", "%ff%fe", `"\xff\xfe"`},
		{"MO-08 escaped percent", "100%25", `"100%"`},
		{"MO-08 long", strings.Repeat("x", 5000), strings.Repeat("x", maxQuoted) + `…"`},
		{"MO-08 long, cut within a character", "x" + strings.Repeat("%C3%A9", 100), strings.Repeat("é", 49) + `…"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, param, message := mustFail(t, h, "/v1/models/"+tt.path, http.StatusNotFound)
			if code != "model_not_found" || param != "model" {
				t.Errorf("code %q, param %q", code, param)
			}
			if !strings.Contains(message, tt.inMessage) || !strings.Contains(message, "GET /v1/models lists") || len(message) > 500 {
				t.Errorf("message %q", message)
			}
		})
	}
	t.Run("MO-09 as an error of a chat", func(t *testing.T) {
		err := modelNotFound("gpt-9", aliases)
		if err.Status != http.StatusNotFound || err.Type != openai.TypeInvalidRequest {
			t.Errorf("%d %s", err.Status, err.Type)
		}
	})
}

// A model that the site has added is found without waiting for the hour to end,
// while misspelled names cost next to nothing.
func TestModelAddedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &modelSite{models: siteModels("qwen4")}
		h := mustModelHandler(t, site, nil)
		mustModelList(t, h)
		site.models = siteModels("qwen4", "qwen5")
		for range 100 {
			mustFail(t, h, "/v1/models/qwen5", http.StatusNotFound)
		}
		if n := site.calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		pass(catalogRecent)
		if got := mustModel(t, h, "qwen5"); got.ID != "qwen5" {
			t.Errorf("got %+v", got)
		}
		pass(catalogRecent)
		site.fails = true
		mustFail(t, h, "/v1/models/qwen6", http.StatusNotFound)
		if n := site.calls.Load(); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	})
}

func TestModelsUnderLoad(t *testing.T) {
	site := &modelSite{models: siteModels("qwen4")}
	h := mustModelHandler(t, site, nil)
	for range 1000 {
		get(t, h, "/v1/models", http.StatusOK)
		get(t, h, "/v1/models/qwen4", http.StatusOK)
	}
	if n := site.calls.Load(); n != 1 {
		t.Errorf("%d calls of the site, want 1", n)
	}
}

func TestModelsWithoutSite(t *testing.T) {
	h := mustModelHandler(t, &modelSite{fails: true}, map[string]string{"gpt-4o": "qwen3.7-plus", "qwq": "qwen3.8-max-thinking"})
	t.Run("P40 the aliases are listed", func(t *testing.T) {
		list := mustModelList(t, h)
		want := []string{"gpt-4o", "qwq", "qwen", "qwen3", "qwen3-coder", "qwen3-vl", "gpt-3.5-turbo", "gpt-4"}
		if got := idsOfList(list.Data); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for _, entry := range list.Data {
			if entry.Meta.AliasOf == "" || entry.OwnedBy != "qwen" || entry.Meta.Capabilities != nil {
				t.Errorf("%+v", entry)
			}
		}
	})
	t.Run("P40 each of them is found", func(t *testing.T) {
		for _, entry := range mustModelList(t, h).Data {
			if got := mustModel(t, h, entry.ID); got != entry {
				t.Errorf("got %+v, listed %+v", got, entry)
			}
		}
		if got := mustModel(t, h, "qwq"); got.Meta.AliasOf != "qwen3.8-max" || got.Meta.Thinking != "on" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("P40 of another name nothing is known", func(t *testing.T) {
		code, _, message := mustFail(t, h, "/v1/models/qwen3.7-plus", http.StatusBadGateway)
		if code != "upstream_unreachable" || strings.Contains(message, testToken) || strings.Contains(message, testCookie) {
			t.Errorf("%s: %s", code, message)
		}
	})
}

// A client that leaves while the first list is being fetched gets no answer, and
// the next one gets what came of it.
func TestModelsClientGone(t *testing.T) {
	for _, path := range []string{"/v1/models", "/v1/models/qwen", "/v1/models/gpt-9"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := mustModelHandler(t, &modelSite{hangs: true}, nil)
				ctx, leave := context.WithCancel(t.Context())
				leave()
				w := serve(t, h, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
				if w.Code != statusClientGone || w.Body.Len() > 0 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				pass(catalogTimeout)
				synctest.Wait()
			})
		})
	}
}

func TestModelsHead(t *testing.T) {
	h := mustModelHandler(t, &modelSite{models: siteModels("qwen4")}, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ServeHTTP(w, r, nil); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	for path, status := range map[string]int{
		"/v1/models": 200, "/v1/models/qwen4": 200, "/v1/models/gpt-9": 404, "/health": 200, "/": 200,
	} {
		t.Run(path, func(t *testing.T) {
			var lengths []int64
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != status || (len(body) > 0) != (method == http.MethodGet) {
					t.Errorf("%s: %d, %d bytes, %v", method, resp.StatusCode, len(body), err)
				}
				lengths = append(lengths, resp.ContentLength)
			}
			if lengths[0] <= 0 || lengths[0] != lengths[1] {
				t.Errorf("Content-Length of GET and HEAD: %v", lengths)
			}
		})
	}
}

// Whatever the site and the owner call their models: ids are unique and trimmed,
// and each stands for the model that its entry describes.
func FuzzListedModels(f *testing.F) {
	f.Add("qwen4 qwen4-thinking QWEN4", "gpt-4o", "qwen4", "qwen4", "gone")
	f.Add("a b-thinking", "b", "a", "A-THINKING", "b-thinking-fast")
	f.Add("", "qwen", "qwq", "x ", "y")
	f.Add("qwen4 ſ K k", "s", "k-fast", "K", "ſ-thinking")
	f.Fuzz(func(t *testing.T, ids, alias1, target1, alias2, target2 string) {
		for _, text := range []*string{&ids, &alias1, &target1, &alias2, &target2} {
			*text = strings.ToValidUTF8(*text, "\ufffd") // all of them come from JSON
		}
		ids = ids[:min(len(ids), 200)]
		models := modelsNamed(slices.Compact(slices.Sorted(slices.Values(strings.Fields(ids))))...)
		for i := range models {
			models[i].Name, models[i].Thinking, models[i].AlwaysThinks = models[i].ID, i%2 == 0, i%3 == 0
		}
		owner := map[string]string{alias1: target1, alias2: target2}
		seen := map[string]bool{}
		for _, entry := range listedModels(models, owner) {
			if seen[entry.ID] || strings.TrimSpace(entry.ID) != entry.ID || entry.Object != "model" || entry.OwnedBy == "" {
				t.Errorf("%+v", entry)
			}
			seen[entry.ID] = true
			found := mustResolve(t, models, owner, entry.ID)
			got := describeModel(entry.ID, found)
			got.Meta.Capabilities, entry.Meta.Capabilities = nil, nil // pointers
			if got != entry {
				t.Errorf("listed %+v, described %+v", entry, got)
			}
		}
		for _, m := range models {
			if _, hidden := owner[m.ID]; !hidden && !seen[m.ID] {
				t.Errorf("%q is missing in %q", m.ID, slices.Sorted(maps.Keys(seen)))
			}
		}
	})
}

func BenchmarkModelList(b *testing.B) {
	h := mustModelHandler(b, &modelSite{models: emulator.DefaultModels()}, map[string]string{"gpt-4o": "qwen3.7-plus"})
	r := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.serveModels(httptest.NewRecorder(), r)
	}
}
