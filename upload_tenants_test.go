package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

var wantNoFile = failed{status: 404, code: "file_not_found", class: classClient, final: true}

// withPart is a chat request with a part after the question.
func withPart(part string) string {
	return `{"model":"qwen3-vl","messages":[{"role":"user","content":[{"type":"text","text":"What?"},` + part + `]}]}`
}

func TestUploadForeign(t *testing.T) {
	const second = "sk-second-0123456789"
	g := mustGateway(t, setup{qwen: "api_key other " + second})
	f := g.mustUpload(t, image(1, 900))
	grant := g.do(http.MethodPost, "/v2/files/getstsToken", `{"filename":"b.png","filesize":10,"filetype":"image"}`)
	var granted struct {
		Data struct {
			FileID string `json:"file_id"`
		}
	}
	if err := json.Unmarshal([]byte(grant.body), &granted); err != nil || granted.Data.FileID == "" {
		t.Fatalf("status %d, %v: %s", grant.status, err, grant.body)
	}
	stranger := func(method, path, body string) reply {
		return g.do(method, path, body, "Authorization", "Bearer "+second)
	}
	asked := len(g.site.Requests())
	messages := map[string]bool{}
	for name, id := range map[string]string{
		"of another caller": f.ID, "granted to another caller": granted.Data.FileID,
		"unknown": "00000000-0000-4000-8000-000000000000", "invented": "file-abc", "a path": "..%2f..%2fetc",
	} {
		t.Run("U25 "+name, func(t *testing.T) {
			for _, got := range []reply{
				stranger(http.MethodGet, "/v1/files/"+id, ""), stranger(http.MethodDelete, "/v1/files/"+id, ""), stranger(http.MethodGet, "/v1/files/"+id+"/content", ""),
			} {
				wantNoFile.check(t, got)
				messages[got.body] = true
			}
			for _, part := range []string{
				fmt.Sprintf(`{"type":"file","file":{"file_id":%q}}`, id),
				fmt.Sprintf(`{"type":"file","file_info":{"id":%q,"url":"","name":"a.png","type":"image"}}`, id),
			} {
				want := wantNoFile
				want.param = fileParam
				got := stranger(http.MethodPost, chatPath, withPart(part))
				want.check(t, got)
				messages[strings.ReplaceAll(got.body, `"param":"`+fileParam+`"`, `"param":null`)] = true
			}
		})
	}
	if len(messages) != 1 {
		t.Errorf("U25 the answers differ: %v", messages)
	}
	for _, r := range g.site.Requests()[asked:] {
		if r.Endpoint != emulator.EndpointModels && r.Endpoint != emulator.EndpointNewChat {
			t.Errorf("U25 the site was asked: %v", r)
		}
	}
	if got := stranger(http.MethodGet, "/v1/files", ""); strings.Contains(got.body, f.ID) || !strings.Contains(got.body, `"data":[]`) {
		t.Errorf("U25 the list of another caller: %s", got.body)
	}
	if got := g.do(http.MethodGet, "/v1/files/"+f.ID, ""); got.status != http.StatusOK {
		t.Errorf("the file is gone: status %d: %s", got.status, got.body)
	}
	g.nothingLeft()
}

// What a client says about a file that is known does not count.
func TestUploadForged(t *testing.T) {
	g := mustGateway(t, setup{})
	content := image(1, 900)
	f := g.mustUpload(t, content)
	key := g.site.Storage().Objects()[0].Key
	for name, change := range map[string]map[string]any{
		"U26 unchanged":       {},
		"U26 its size":        {"size": 1},
		"U26 its name":        {"name": "../../evil.exe"},
		"U26 its type":        {"type": "video", "file_type": "video/mp4", "showType": "video", "file_class": "video"},
		"U26 its address":     {"url": "http://127.0.0.1:1/evil.png"},
		"U26 another address": {"url": "https://evil.example/x.png?x-oss-signature=1"},
		"U26 what is inside":  {"file": map[string]any{"id": "x", "meta": map[string]any{"size": 7, "name": "evil"}}},
		"U26 everything":      {"size": -5, "name": "", "url": "file:///etc/passwd", "status": "failed", "error": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var info map[string]any
			if err := json.Unmarshal(f.FileInfo, &info); err != nil {
				t.Fatal(err)
			}
			for field, value := range change {
				info[field] = value
			}
			forged, _ := json.Marshal(info)
			got := g.do(http.MethodPost, chatPath, withPart(`{"type":"file","file":{"file_info":`+string(forged)+`}}`))
			if got.status != http.StatusOK || len(g.last().Files) != 1 {
				t.Fatalf("status %d, %v: %s", got.status, g.last().Files, got.body)
			}
			seen := g.last().Files[0]
			if seen.ID != f.ID || seen.Key != key || seen.Size != 900 || seen.Name != content.file || seen.FileType != "image/png" || strings.Contains(seen.URL, "evil") || seen.Status != "uploaded" {
				t.Errorf("the site got %s", seen.Raw)
			}
		})
	}
	g.mustHold(t, content.value)
	g.nothingLeft()
}
