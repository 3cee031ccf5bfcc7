package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// withFiles puts files into a message.
func withFiles(files ...map[string]any) func(_, message map[string]any) {
	return func(_, message map[string]any) { message["files"] = files }
}

func TestCompletionWithFiles(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	image := c.mustUpload("相片 1.png", "image", "image/png", "hello")
	text := c.mustUpload("a.txt", "file", "text/plain", "some text")
	c.mustParse(text["id"].(string))
	chat := c.mustChat()
	send := func(parent, prompt string, files ...map[string]any) []event {
		t.Helper()
		resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, parent: parent, prompt: prompt, edit: withFiles(files...)}))
		return mustEvents(t, mustReadAll(t, resp))
	}
	list := send("", "look", image, text)
	if got := answerText(list, ""); !strings.Contains(got, "I see 相片 1.png (image/png, 5 bytes), a.txt (text/plain, 9 bytes). You said: look") {
		t.Errorf("answer %q", got)
	}
	first := list[0].Created.Response
	list = send(first, "again")
	if got := answerText(list, ""); !strings.Contains(got, "I remember 相片 1.png (image/png, 5 bytes), a.txt") || strings.Contains(got, "I see") {
		t.Errorf("answer %q", got)
	}
	second := list[0].Created.Response
	f := srv.Completions()[0].Files
	want := FileRef{
		ID: image["id"].(string), Name: "相片 1.png", Type: "image", URL: image["url"].(string), Size: 5, FileType: "image/png",
		FileClass: "vision", ShowType: "image", Status: "uploaded", Key: userID + "/" + image["id"].(string) + "_相片 1.png",
	}
	if len(f) != 2 || f[1].FileClass != "document" || !json.Valid(f[0].Raw) || !strings.Contains(string(f[0].Raw), "uploadTaskId") {
		t.Fatalf("files %v", f)
	}
	got := f[0]
	if got.Raw = nil; fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("file %#v, want %#v", got, want)
	}
	turns := srv.Context(chat, second)
	if len(turns) != 2 || len(turns[0].Files) != 2 || turns[0].Files[1].Name != "a.txt" || turns[1].Files != nil {
		t.Errorf("context %+v", turns)
	}
	if got := srv.Completions()[1].Context; len(got) != 1 || len(got[0].Files) != 2 {
		t.Errorf("context of the second completion %+v", got)
	}
	if _, body := c.call("GET", "/api/v2/chats/"+chat, ""); strings.Count(body, `"file_class":"vision"`) != 2 {
		t.Errorf("chat %s", body)
	}
	if text := f[0].String(); strings.Contains(text, "http") {
		t.Errorf("String: %s", text)
	}
}

// change sets a value, at a path of names with dots between them.
func change(path string, value any) func(map[string]any) {
	return func(m map[string]any) {
		names := strings.Split(path, ".")
		for _, n := range names[:len(names)-1] {
			m = m[n].(map[string]any)
		}
		if value == nil {
			delete(m, names[len(names)-1])
			return
		}
		m[names[len(names)-1]] = value
	}
}

// short leaves only what the short form of a file has.
func short(m map[string]any) {
	for _, n := range []string{"id", "file", "size", "greenNet"} {
		delete(m, n)
	}
}

func TestFileObjects(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	bare := func(m map[string]any) { m["url"], _, _ = strings.Cut(m["url"].(string), "?") }
	for _, tc := range []struct {
		name, kind, model string
		change            func(map[string]any)
		why               string // empty: accepted
	}{
		{"image", "image", "", func(map[string]any) {}, ""},
		{"video", "video", "", func(map[string]any) {}, ""},
		{"audio", "audio", "", func(map[string]any) {}, ""},
		{"document", "file", "", func(map[string]any) {}, ""},
		{"document for a model without vision", "file", "qwen3.7-max", func(map[string]any) {}, ""},
		{"url without its signature", "image", "", bare, ""},
		{"still being filtered", "video", "", change("greenNet", "greening"), ""},
		{"short form", "image", "", short, ""},
		{"short form without signature", "image", "", func(m map[string]any) { short(m); bare(m) }, ""},
		{"document that says it was parsed", "file", "", change("file.meta.parse_meta", map[string]string{"parse_status": "success"}), ""},
		{"no user", "image", "", change("file.user_id", nil), ""},

		{"image for a model without vision", "image", "qwen3.7-max", func(map[string]any) {}, "does not support files of the type image"},
		{"video for a model without it", "video", "qwen3-coder-plus", func(map[string]any) {}, "does not support files of the type video"},
		{"model that says nothing", "file", "qwen2.5-turbo", func(map[string]any) {}, "does not support"},
		{"unknown id", "image", "", change("id", "x"), "does not exist"},
		{"class image", "image", "", change("file_class", "image"), "file_class must be vision"},
		{"class file", "file", "", change("file_class", "file"), "file_class must be document"},
		{"type of another kind", "image", "", change("type", "file"), "type must be image"},
		{"showType of another kind", "image", "", change("showType", "file"), "showType must be image"},
		{"MIME type of another kind", "image", "", change("file_type", "video/mp4"), "file_type does not fit"},
		{"no MIME type", "file", "", change("file_type", ""), "file_type does not fit"},
		{"another name", "image", "", change("name", "b"), "name is not that"},
		{"another size", "image", "", change("size", 4), "size is not that"},
		{"no size", "image", "", change("size", nil), "size is not that"},
		{"short form with another size", "image", "", func(m map[string]any) { short(m); m["size"] = 4 }, "size is not that"},
		{"uploading", "image", "", change("status", "uploading"), "not uploaded"},
		{"with an error", "image", "", change("error", "x"), "not uploaded"},
		{"filtered", "image", "", change("greenNet", "failed"), "content filter"},
		{"foreign url", "image", "", change("url", "https://example.com/a.png"), "url is not that"},
		{"no url", "image", "", change("url", ""), "url is not that"},
		{"url that is none", "image", "", change("url", ":"), "url is not that"},
		{"no inner object", "image", "", change("file", nil), "inner file object is missing"},
		{"inner object with another id", "image", "", change("file.id", "x"), "about something else"},
		{"inner object with another size", "image", "", change("file.meta.size", 4), "about something else"},
		{"inner object with another type", "image", "", change("file.meta.content_type", "image/gif"), "about something else"},
		{"inner object of another user", "image", "", change("file.user_id", "x"), "somebody else"},
		{"inner object with seconds", "image", "", change("file.created_at", 1790000000), "milliseconds"},
		{"document that says it failed", "file", "", change("file.meta.parse_meta", map[string]string{"parse_status": "failed"}), "not parsed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mime := map[string]string{"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg", "file": "text/plain"}[tc.kind]
			f := c.mustUpload("a b+c.x", tc.kind, mime, "hello")
			if tc.kind == "file" {
				c.mustParse(f["id"].(string))
			}
			tc.change(f)
			chat := c.mustChat()
			resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi", edit: func(b, m map[string]any) {
				m["files"] = []any{f}
				if tc.model != "" {
					b["model"] = tc.model
				}
			}}))
			body := mustReadAll(t, resp)
			if tc.why == "" {
				if got := answerText(mustEvents(t, body), ""); !strings.Contains(got, "I see a b+c.x ("+mime+", 5 bytes)") {
					t.Errorf("answer %q", body)
				}
				return
			}
			wantRefusal(t, resp, body, "invalid_input", tc.why, "400")
		})
	}
}

func TestFilesThatAreNotReady(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	refused := func(why string, files any) {
		t.Helper()
		chat := c.mustChat()
		resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi", edit: func(_, m map[string]any) { m["files"] = files }}))
		wantRefusal(t, resp, mustReadAll(t, resp), "invalid_input", why, "400")
	}
	gone := c.mustUpload("a.png", "image", "image/png", "hello")
	srv.Storage().Remove(userID + "/" + gone["id"].(string) + "_a.png")
	refused("files[0]: The file was not uploaded", []any{gone})
	doc := c.mustUpload("a.txt", "file", "text/plain", "hello")
	refused("The document was not parsed", []any{doc})
	srv.Parse(Parsing{Error: "no"})
	c.call("POST", "/api/v2/files/parse", `{"file_id":"`+doc["id"].(string)+`"}`)
	refused("The document was not parsed", []any{doc})
	c.mustPoll(doc["id"].(string))
	refused("The document was not parsed", []any{doc})
	good := c.mustUpload("b.png", "image", "image/png", "hello")
	refused("files[1]: is not a valid file object", []any{good, 5})
	if list := srv.Completions(); len(list) != 0 {
		t.Errorf("accepted %v", list)
	}
}

// Links lead to the virtual host as long as nobody has said where the storage
// is served, and files may be named so always.
func TestLinksToTheRealHost(t *testing.T) {
	s := NewStorage(StorageOptions{})
	for link, want := range map[string]string{
		"https://qwen-webui-prod.oss-accelerate.aliyuncs.com/u/a%20b?x=y": "u/a b",
		"http://qwen-webui-prod.oss-accelerate.aliyuncs.com/u/a":          "",
		"https://oss-accelerate.aliyuncs.com/qwen-webui-prod/u/a":         "",
		"https://me@qwen-webui-prod.oss-accelerate.aliyuncs.com/u/a":      "",
		"http://127.0.0.1:1/qwen-webui-prod/u/a%2Fb":                      "",
	} {
		if key, ok := s.keyOf(link); key != want || ok != (want != "") {
			t.Errorf("%s: %q %t", link, key, ok)
		}
	}
	s.SetAddress("http://127.0.0.1:1")
	for _, link := range []string{"http://127.0.0.1:1/qwen-webui-prod/u/a", "https://qwen-webui-prod.oss-accelerate.aliyuncs.com/u/a"} {
		if key, ok := s.keyOf(link); key != "u/a" || !ok {
			t.Errorf("%s: %q %t", link, key, ok)
		}
	}
}
