package caddyqwen

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// secretContent is in the files of these tests.
const secretContent = "canary-content-of-a-file"

// grantSecrets finds what grants and signed links have in them, and nothing else
// has: the beginning of every token of the emulator, and signatures.
var grantSecrets = regexp.MustCompile(`CAIS(\+|%2B|\\u002b)|x-oss-signature=|x-oss-security-token=|OSS4-HMAC`)

// provokeUploads makes uploads that succeed and that fail in many ways, and
// returns the answers to those that failed.
func provokeUploads(g *gateway) (failures []string) {
	storage := g.site.Storage()
	seed := uint64(1000)
	files := func() []field {
		seed++
		secret := fmt.Sprint(secretContent, seed)
		f := []field{image(seed, 600), film(seed, 600), textFile("a.txt", "")}
		for i := range f {
			f[i].value += secret
		}
		return f
	}
	all := func() {
		for _, f := range files() {
			replies := []reply{g.form("/v1/files", f)}
			if f.file != "a.txt" {
				f.name = map[string]string{"photo.png": "image", "film.mp4": "video"}[f.file]
				replies = append(replies, g.form("/v1/"+f.name+"/upload_and_chat", f, field{name: "prompt", value: secretPrompt}))
			}
			for _, got := range replies {
				if got.status != http.StatusOK || strings.Contains(got.body, `{"error":{`) {
					failures = append(failures, got.body)
				}
			}
		}
	}
	all()
	for _, op := range []string{emulator.OpPost, emulator.OpPut, emulator.OpInitiate, emulator.OpPart, emulator.OpComplete} {
		storage.Fail(op, 0, emulator.Fault{Status: 403, Code: "AccessDenied", EC: "0003-1"})
	}
	all()
	storage.Heal()
	storage.Fail(emulator.OpPost, 0, emulator.Fault{Reset: true})
	storage.Fail(emulator.OpPart, 0, emulator.Fault{Flip: true})
	all()
	storage.Heal()
	for _, test := range badGrants() {
		g.accept()
		g.site.Fail(emulator.EndpointFileGrant, test.reply)
		if passingGrants[test.name] {
			g.site.Fail(emulator.EndpointFileGrant, test.reply)
		}
		failures = append(failures, g.form("/v1/files", files()[0]).body)
	}
	g.accept()
	fields := grantFields()
	fields["endpoint"] = "storage.example"
	g.site.Fail(emulator.EndpointFileGrant, grantAnswer(fields))
	all()
	g.site.Parse(emulator.Parsing{Error: "The document is damaged."})
	all()
	bad := files()[0]
	bad.file = "a.mp4"
	failures = append(failures, g.form("/v1/files", bad).body, g.do(http.MethodPost, "/v1/files", secretContent, "Content-Type", "text/plain").body,
		g.do(http.MethodPost, chatPath, withPart(`{"type":"file","file":{"filename":"a.png","file_data":"data:image/png;base64,`+secretContent+`!"}}`)).body)
	return failures
}

func TestUploadSecrets(t *testing.T) {
	formats := []string{"json"}
	if long {
		formats = append(formats, "console")
	}
	for _, format := range formats {
		t.Run("U27 "+format, func(t *testing.T) {
			s := secretSetup(t)
			s.site = metricsSite
			s.qwen = strings.Replace(s.qwen, "idle_timeout 100ms", "idle_timeout 5s", 1)
			g := mustGateway(t, setup{})
			testLog.Load().Reset()
			must(t, caddy.Load(logEncoder(t, g.adapt(s), format), true))
			g.url = mustAddress(t)
			failures := provokeUploads(g)
			if len(failures) < 40 {
				t.Errorf("only %d requests failed", len(failures))
			}
			f := g.mustUpload(t, image(1, 600))
			if !grantSecrets.MatchString(f.URL) {
				t.Errorf("the link is not signed, so that this test proves nothing: %s", f.URL)
			}
			grant := g.do(http.MethodPost, "/v2/files/getstsToken", `{"filename":"a.png","filesize":1,"filetype":"image"}`)
			if !strings.Contains(grant.body, "CAIS") || grant.header.Get("Cache-Control") != "no-store" {
				t.Errorf("not a grant, or not no-store: %v", grant.header)
			}
			if got := g.do(http.MethodGet, "/v1/files/"+f.ID+"/content", ""); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			for _, later := range []string{g.do(http.MethodGet, "/v1/files", "").body, g.do(http.MethodGet, "/v1/files/"+f.ID, "").body} {
				if !strings.Contains(later, f.ID) {
					t.Errorf("not the file: %s", later)
				}
				failures = append(failures, later)
			}
			g.checkSecrets(t, append(failures, g.metrics()))
			for _, want := range []string{"request failed", "upload_failed", stageGrant, stageTransfer, "AccessDenied", "handled request"} {
				if !strings.Contains(g.logged(), want) {
					t.Errorf("%s is not in the log, so that this test proves nothing", want)
				}
			}
			g.nothingLeft()
		})
	}
}

// checkSecrets checks that no secret is in the log nor in these answers.
func (g *gateway) checkSecrets(t *testing.T, answers []string) {
	t.Helper()
	secrets := append(canaries(), secretContent, grantSecret, grantToken, linkSecret)
	for _, text := range slices.Concat(answers, strings.Split(g.logged(), "\n")) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("U27 %s is told: %s", secret, text)
			}
		}
		if found := grantSecrets.FindString(text); found != "" {
			t.Errorf("U27 %s is told: %s", found, text)
		}
	}
}
