package caddyqwen

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// expire makes an account one that others are taken in place of.
func (g *gateway) expire(label string) {
	g.supposed(label, health{State: accountExpired, Until: time.Now().Add(time.Hour)})
}

// uploadWith uploads an image to an account.
func (g *gateway) uploadWith(label string, seed uint64) uploaded {
	g.t.Helper()
	for _, other := range owners[:2] {
		if g.supposed(other, health{State: accountOK}); other != label {
			g.expire(other)
		}
	}
	f := g.uploadTo(filesPath, field{name: "file", file: fmt.Sprint(seed, ".png"), kind: "image/png", value: string(testPNG(seed, 300))}, field{name: "purpose", value: "vision"})
	if by := g.askedLast(emulator.EndpointFileGrant); by != label {
		g.t.Fatalf("it was uploaded to %s", by)
	}
	g.accept()
	return f
}

// askedLast returns the account with which an endpoint was asked last.
func (g *gateway) askedLast(endpoint string) string {
	for _, r := range slices.Backward(g.site.Requests()) {
		if r.Endpoint == endpoint {
			return ownerOf(r.Header)
		}
	}
	return "nobody"
}

// Nobody but the account that has a file can have a model see it.
func TestAccountsPinnedByFiles(t *testing.T) {
	g := mustAccounts(t, 2, "")
	first, second := g.uploadWith("first", 1), g.uploadWith("second", 2)
	for label, f := range map[string]uploaded{"first": first, "second": second} {
		g.discuss([]any{say("what is this?", fileOfID(f.ID))})
		g.mustAnswerBy(label)
		g.discuss([]any{say("what is this?", imageAt(f.URL))})
		g.mustAnswerBy(label)
	}
	r := g.show([]any{say("compare", fileOfID(first.ID), fileOfID(second.ID))})
	mustRefuse(t, r, http.StatusBadRequest, "invalid_value", "messages[0].content[2]")
	if !strings.Contains(r.body, "belongs to another account") {
		t.Errorf("the message: %s", r.body)
	}

	g.revoke("second")
	before := len(g.site.Completions())
	if r := g.show([]any{say("and this?", fileOfID(second.ID))}); r.code() != "upstream_credential_expired" {
		t.Errorf("its account has expired: status %d: %s", r.status, r.body)
	}
	if n := len(g.site.Completions()) - before; n != 0 {
		t.Error("another account was asked about a file that it does not have")
	}
	g.discuss([]any{say("and without a file?")})
	g.mustAnswerBy("first")
}

// A conversation that goes on in another account takes its images with it.
func TestAccountsUploadAgain(t *testing.T) {
	g := mustAccounts(t, 2, "")
	image := testPNG(1, 300)
	talk := []any{say("what is this?", imagePart(image))}
	talk = append(talk, g.discuss(talk).said, say("and now?"))
	g.mustStore(1)
	g.revoke("first")
	g.discuss(talk).mustBe(t, "replayed")
	g.mustAnswerBy("second")
	g.mustStore(2)
	g.mustShow(g.last().Files, image)
	if by := g.askedLast(emulator.EndpointFileGrant); by != "second" {
		t.Errorf("the image was uploaded to %s again", by)
	}

	// The first turn of all: the image is on its way when the account is refused.
	g = mustAccounts(t, 2, "")
	g.revoke("first")
	g.discuss([]any{say("what is this?", imagePart(image))}).mustBe(t, "new")
	g.mustAnswerBy("second")
	g.mustShow(g.last().Files, image)
}

// The list of a caller's files is one, whatever account they are in.
func TestAccountsFileList(t *testing.T) {
	for _, sessions := range []string{"", "sessions off"} {
		t.Run(sessions, func(t *testing.T) {
			g := mustAccounts(t, 2, sessions)
			var ids []string
			for i := range 7 {
				nextMilli()
				ids = append(ids, g.uploadWith(owners[i*i%3%2], uint64(i)).ID)
			}
			for _, order := range []string{"asc", "desc"} {
				var paged []string
				for after := ""; ; {
					page := g.files("?limit=3&order=" + order + after)
					paged = append(paged, page.ids()...)
					if !*page.HasMore {
						break
					}
					after = "&after=" + *page.LastID
				}
				if !slices.Equal(paged, ids) {
					t.Errorf("%s: %q, want %q", order, paged, ids)
				}
				slices.Reverse(ids)
			}
			mustRefuse(t, g.do(http.MethodGet, filesPath+"?after=file-nobody-has", ""), http.StatusBadRequest, "invalid_value", "after")
			for i, id := range ids {
				if r := g.do(http.MethodGet, filesPath+"/"+id, ""); r.status != http.StatusOK {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if r := g.do(http.MethodDelete, filesPath+"/"+id, ""); r.status != http.StatusOK {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if r := g.do(http.MethodDelete, filesPath+"/"+id, ""); r.status != http.StatusNotFound {
					t.Errorf("again: status %d: %s", r.status, r.body)
				}
				if n := len(g.files("").Data); n != len(ids)-i-1 {
					t.Errorf("%d files are left", n)
				}
			}
		})
	}
}

// Chats of all accounts can be deleted, each with its own credential.
func TestAccountsDeleteChat(t *testing.T) {
	g := mustAccounts(t, 2, "")
	a := g.ask([]said{user("one")})
	g.expire("first")
	b := g.ask([]said{user("two")})
	g.accept()
	for label, chat := range map[string]string{"first": a.chat, "second": b.chat} {
		g.slotsFree()
		if r := g.do(http.MethodDelete, chatsPrefix+chat, ""); r.status != http.StatusOK {
			t.Errorf("status %d: %s", r.status, r.body)
		}
		if by := g.askedLast(emulator.EndpointDelete); by != label {
			t.Errorf("deleted with %s, not %s", by, label)
		}
		if r := g.do(http.MethodDelete, chatsPrefix+chat, ""); r.status != http.StatusNotFound {
			t.Errorf("again: status %d: %s", r.status, r.body)
		}
	}
	if n := len(g.site.ChatIDs()); n != 0 {
		t.Errorf("%d chats are left", n)
	}
}
