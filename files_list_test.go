package caddyqwen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
)

// fileList is a page of the list.
type fileList struct {
	Object  string
	Data    []uploaded
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore *bool   `json:"has_more"`
}

func (l fileList) ids() (ids []string) {
	for _, f := range l.Data {
		ids = append(ids, f.ID)
	}
	return ids
}

func (g *gateway) files(query string, header ...string) (l fileList) {
	g.t.Helper()
	r := g.do(http.MethodGet, filesPath+query, "", header...)
	if err := json.Unmarshal([]byte(r.body), &l); err != nil || r.status != http.StatusOK || l.Object != "list" || l.Data == nil || l.HasMore == nil {
		g.t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	if strings.Contains(r.body, "signature") {
		g.t.Errorf("U27 signed URLs in the list: %s", r.body)
	}
	return l
}

// The list in pages, in both orders, with and without a record on disk.
func TestFilesList(t *testing.T) {
	for _, sessions := range []string{"", "sessions off"} {
		g := mustFilesGateway(t, setup{qwen: sessions})
		t.Run("FI-10 nothing "+sessions, func(t *testing.T) {
			if l := g.files(""); len(l.Data) > 0 || *l.HasMore || l.FirstID != nil || l.LastID != nil {
				t.Errorf("%+v", l)
			}
		})
		for i := range 5 {
			g.newFile(g.client(), []string{"vision", "user_data"}[i%2], fmt.Sprintf("%d.png", i), "image/png", testPNG(uint64(i), 300))
		}
		all := g.files("")
		t.Run("FI-10 all, the newest first "+sessions, func(t *testing.T) {
			if len(all.Data) != 5 || *all.HasMore || *all.FirstID != all.Data[0].ID || *all.LastID != all.Data[4].ID {
				t.Fatalf("%+v", all)
			}
			if !slices.IsSortedFunc(all.Data, func(a, b uploaded) int { return int(b.CreatedAt - a.CreatedAt) }) {
				t.Errorf("the times are not in order: %+v", all.Data)
			}
			f := all.Data[slices.IndexFunc(all.Data, func(f uploaded) bool { return f.Filename == "2.png" })]
			if f.Bytes != 300 || f.Purpose != "vision" || f.Status != "processed" || f.MIME != "image/png" || f.Object != "file" {
				t.Errorf("a file in the list: %+v", f)
			}
		})
		ascending := slices.Clone(all.ids())
		slices.Reverse(ascending)
		for order, want := range map[string][]string{"asc": ascending, "desc": all.ids()} {
			for limit := range 6 {
				t.Run(fmt.Sprintf("FI-10 the SDK turns pages of %d, %s %s", limit+1, order, sessions), func(t *testing.T) {
					client := g.client()
					pages := client.Files.ListAutoPaging(t.Context(), openai.FileListParams{
						Limit: openai.Int(int64(limit + 1)), Order: openai.FileListParamsOrder(order),
					})
					var got []string
					for pages.Next() {
						got = append(got, pages.Current().ID)
					}
					if err := pages.Err(); err != nil || !slices.Equal(got, want) {
						t.Errorf("%v: %q, not %q", err, got, want)
					}
				})
			}
		}
		t.Run("FI-10 one page after another "+sessions, func(t *testing.T) {
			first := g.files("?limit=2")
			second := g.files("?limit=2&after=" + *first.LastID)
			third := g.files("?limit=2&after=" + *second.LastID)
			if got := slices.Concat(first.ids(), second.ids(), third.ids()); !slices.Equal(got, all.ids()) || !*first.HasMore || !*second.HasMore || *third.HasMore {
				t.Errorf("%q, more: %t %t %t", got, *first.HasMore, *second.HasMore, *third.HasMore)
			}
			if l := g.files("?after=" + *third.LastID); len(l.Data) > 0 || *l.HasMore {
				t.Errorf("after the last: %+v", l)
			}
		})
		t.Run("FI-10 of a purpose "+sessions, func(t *testing.T) {
			if l := g.files("?purpose=vision"); len(l.Data) != 3 || *l.HasMore {
				t.Errorf("%+v", l)
			}
			if l := g.files("?purpose=vision&limit=2"); len(l.Data) != 2 || !*l.HasMore {
				t.Errorf("%+v", l)
			}
			if l := g.files("?purpose=assistants"); len(l.Data) > 0 {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestFilesListRefused(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for query, param := range map[string]string{
		"limit=0": "limit", "limit=-1": "limit", "limit=10001": "limit", "limit=ten": "limit", "order=up": "order", "after=nobody": "after",
		"after=3f1f0c0e-0000-4000-8000-000000000000": "after",
	} {
		t.Run("FI-10 "+query, func(t *testing.T) {
			mustRefuse(t, g.do(http.MethodGet, filesPath+"?"+query, ""), 400, "invalid_value", param)
		})
	}
}

// The list has what was uploaded to be kept, and not what came with a message.
func TestFilesListOfKept(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_prompt 1000"})
	g.parsesAtOnce()
	kept, attached := testPNG(1, 300), testPNG(2, 300)
	var oldest uploaded
	for i := range 3 {
		g.discuss([]any{say("What is it?", imagePart(testPNG(uint64(10+i), 300)))})
		if i == 0 {
			oldest = g.upload("kept.png", "image/png", kept)
		}
	}
	g.mustReply(g.form(imageChatPath, imageField(attached), promptField("What is it?")))
	g.mustReply(g.chat(strings.Repeat("long ", 400), ""))
	g.mustStore(6)
	t.Run("FI-10 attachments are not in it", func(t *testing.T) {
		if l := g.files(""); !slices.Equal(l.ids(), []string{oldest.ID}) || *l.HasMore {
			t.Errorf("%+v", l)
		}
	})
	newest := g.upload("flower.png", "image/png", attached)
	t.Run("FI-10 until they are uploaded to be kept", func(t *testing.T) {
		if l := g.files(""); !slices.Equal(l.ids(), []string{newest.ID, oldest.ID}) && !slices.Equal(l.ids(), []string{oldest.ID, newest.ID}) {
			t.Errorf("%+v", l)
		}
		g.mustStore(7)
	})
	t.Run("FI-10 has_more counts none of them", func(t *testing.T) {
		for _, order := range []string{"asc", "desc"} {
			if l := g.files("?limit=2&order=" + order); len(l.Data) != 2 || *l.HasMore {
				t.Errorf("%s: %d files, more: %t", order, len(l.Data), *l.HasMore)
			}
			if l := g.files("?limit=1&order=" + order); len(l.Data) != 1 || !*l.HasMore {
				t.Errorf("%s: %d files, more: %t", order, len(l.Data), *l.HasMore)
			}
		}
	})
	t.Run("FI-09 a second upload of the same file is a file of its own", func(t *testing.T) {
		again := g.upload("kept.png", "image/png", kept, field{name: "purpose", value: "vision"})
		if again.ID == oldest.ID || again.Purpose != "vision" || len(g.files("").Data) != 3 {
			t.Errorf("%s", again.raw)
		}
		if r := g.do(http.MethodDelete, "/v1/files/"+again.ID, ""); r.status != http.StatusOK {
			t.Errorf("status %d: %s", r.status, r.body)
		}
		if l := g.files(""); !slices.Contains(l.ids(), oldest.ID) {
			t.Errorf("with it, the first is gone: %+v", l)
		}
	})
}

// A file that has expired is gone everywhere.
func TestFilesExpire(t *testing.T) {
	for _, sessions := range []string{"", "sessions off"} {
		t.Run("FI-10 "+sessions, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: sessions})
			stays := g.upload("stays.png", "image/png", testPNG(1, 300), field{name: "expires_after[anchor]", value: "created_at"}, field{name: "expires_after[seconds]", value: "3600"})
			if stays.ExpiresAt == nil || *stays.ExpiresAt < stays.CreatedAt+3599 || *stays.ExpiresAt > stays.CreatedAt+3601 {
				t.Errorf("it expires at %v, from %d on", stays.ExpiresAt, stays.CreatedAt)
			}
			f := g.upload("goes.png", "image/png", testPNG(2, 300), field{name: "expires_after[seconds]", value: "1"})
			if len(g.files("").Data) != 2 {
				t.Error("it is not in the list")
			}
			eventually(t, "it expires", func() bool {
				return g.do(http.MethodGet, filesPath+"/"+f.ID, "").status == http.StatusNotFound
			})
			if now := time.Now(); now.Unix() < *f.ExpiresAt {
				t.Errorf("it was gone at %v", now)
			}
			plain, _, _ := strings.Cut(f.URL, "?")
			if r := g.show([]any{say("What is it?", imageAt(plain))}); r.code() != "media_fetch_blocked" {
				t.Errorf("by its URL: status %d: %s", r.status, r.body)
			}
			mustRefuse(t, g.show([]any{say("What is it?", fileOfID(f.ID))}), 404, "file_not_found", imageParam)
			mustRefuse(t, g.do(http.MethodGet, filesPath+"/"+f.ID+"/content", ""), 404, "file_not_found", "")
			if l := g.files(""); !slices.Equal(l.ids(), []string{stays.ID}) {
				t.Errorf("the list has %q", l.ids())
			}
			again := g.upload("goes.png", "image/png", testPNG(2, 300))
			if again.ID == f.ID {
				t.Error("the expired file is used again")
			}
			g.mustStore(3)
		})
	}
}

// Files belong to the caller that has uploaded them.
func TestFilesOfOthers(t *testing.T) {
	for _, sessions := range []string{"", "\nsessions off"} {
		t.Run("FI-05, U25 "+sessions, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "api_key ann sk-ann-0123456789abcdef\napi_key bob sk-bob-0123456789abcdef sk-bob-abcdef0123456789" + sessions})
			ann := []string{"Authorization", "Bearer sk-ann-0123456789abcdef"}
			f := g.upload("a.png", "image/png", testPNG(1, 300))
			if l := g.files("", ann...); len(l.Data) > 0 {
				t.Errorf("another key's list has %q", l.ids())
			}
			for _, path := range []string{"", "/content"} {
				unknown := g.do(http.MethodGet, filesPath+"/3f1f0c0e-0000-4000-8000-000000000000"+path, "", ann...)
				foreign := g.do(http.MethodGet, filesPath+"/"+f.ID+path, "", ann...)
				if mustRefuse(t, foreign, 404, "file_not_found", ""); unknown.body != foreign.body {
					t.Errorf("the answers differ: %s, %s", unknown.body, foreign.body)
				}
			}
			mustRefuse(t, g.do(http.MethodDelete, filesPath+"/"+f.ID, "", ann...), 404, "file_not_found", "")
			mustRefuse(t, g.do(http.MethodGet, filesPath+"?after="+f.ID, "", ann...), 400, "invalid_value", "after")
			if l := g.files(""); !slices.Equal(l.ids(), []string{f.ID}) {
				t.Errorf("its own list has %q", l.ids())
			}
			kind, body := mustForm(t, field{name: "file", file: "b.png", value: string(testPNG(2, 300))})
			g.do(http.MethodPost, filesPath, string(body), "Content-Type", kind, "Authorization", "Bearer sk-bob-0123456789abcdef")
			if l := g.files("", "Authorization", "Bearer sk-bob-abcdef0123456789"); len(l.Data) != 1 {
				t.Errorf("the other key of the same caller sees %d files", len(l.Data))
			}
		})
	}
}

// Files outlive reloads and restarts.
func TestFilesOverReloadAndRestart(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	image := testPNG(1, 900)
	f := g.upload("图.png", "image/png", image, field{name: "expires_after[seconds]", value: "3600"})
	for name, again := range map[string]func(){
		"reload":  func() { g.load(setup{qwen: "heartbeat 3s"}) },
		"restart": func() { g.stop(); g.load(setup{}) },
	} {
		t.Run("FI-10 "+name, func(t *testing.T) {
			again()
			l := g.files("")
			if len(l.Data) != 1 || l.Data[0].ID != f.ID || l.Data[0].Filename != "图.png" || l.Data[0].CreatedAt != f.CreatedAt || *l.Data[0].ExpiresAt != *f.ExpiresAt {
				t.Fatalf("the list is %+v", l)
			}
			if r := g.do(http.MethodGet, filesPath+"/"+f.ID+"/content", ""); sha([]byte(r.body)) != sha(image) {
				t.Errorf("status %d, %d bytes", r.status, len(r.body))
			}
			g.discuss([]any{say("What is it?", fileOfID(f.ID), imagePart(image))})
			g.mustShow(g.last().Files, image, image)
			g.mustStore(1)
		})
	}
	t.Run("FI-10 without a record they outlive a reload", func(t *testing.T) {
		g := mustFilesGateway(t, setup{qwen: "sessions off"})
		f := g.upload("a.png", "image/png", image)
		g.load(setup{qwen: "sessions off\nheartbeat 3s"})
		if l := g.files(""); !slices.Equal(l.ids(), []string{f.ID}) {
			t.Errorf("the list has %q", l.ids())
		}
	})
}
