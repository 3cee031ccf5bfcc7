package caddyqwen

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// grantFields are those of a grant that the storage does not know.
func grantFields() map[string]any {
	return map[string]any{
		"access_key_id": "STS.canary", "access_key_secret": grantSecret, "security_token": grantToken,
		"file_url": "https://qwen-webui-prod.oss-accelerate.aliyuncs.com/u/f_a.png?x-oss-signature=" + linkSecret, "file_path": "u/f_a.png",
		"file_id": "00000000-0000-4000-8000-000000000000", "bucketname": "qwen-webui-prod", "region": "oss-ap-southeast-1", "endpoint": "oss-accelerate.aliyuncs.com",
	}
}

// Secrets of grants.
const (
	grantSecret = "canary-access-key-secret"
	grantToken  = "canary-security-token"
	linkSecret  = "canary-link-signature"
)

// grantAnswer answers with a grant.
func grantAnswer(fields map[string]any) emulator.Reply {
	body, _ := json.Marshal(map[string]any{"success": true, "request_id": "x", "data": fields})
	return emulator.Reply{Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

// badGrants are answers to the question for a grant, and what becomes of them.
func badGrants() []siteFailure {
	plain := func(body string) emulator.Reply { return emulator.Reply{Body: []byte(body)} }
	with := func(want failed) failed { want.param = "file"; return want }
	list := []siteFailure{
		{"not signed in", emulator.Unauthorized401(), with(wantExpired)},
		{"token expired", emulator.Expired(), with(wantExpired)},
		{"status 403", emulator.Status(403), with(wantExpired)},
		{"verification as JSON", emulator.ChallengeJSON(), with(wantVerification)},
		{"verification as a page", emulator.ChallengeHTML(200), with(wantVerification)},
		{"verification with 405", emulator.ChallengeHTML(405), with(wantVerification)},
		{"login page", emulator.LoginPage(), with(wantVerification)},
		{"daily limit", emulator.RateLimited(4), with(wantQuota(4))},
		{"limit per minute", emulator.RateLimited(0), with(wantRateLimited)},
		{"moderation", emulator.Moderation(), with(wantModeration)},
		{"success:false", emulator.Refusal("Bad_Request", "No more files, please."), wantUploadNever},
		{"status 404", emulator.Status(404), wantUploadNever},
		{"internal error", emulator.Internal(), wantUploadLater},
		{"status 500", emulator.Status(500), wantUploadLater},
		{"status 502", emulator.Status(502), wantUploadLater},
		{"status 503", emulator.Status(503), wantUploadLater},
		{"other JSON", plain(`{"success":true,"data":{}}`), wantUploadFailed},
		{"a list", plain(`[1,2,3]`), wantUploadFailed},
		{"not JSON", plain("hello"), wantUploadFailed},
		{"nothing", plain(""), wantUploadFailed},
		{"half of it", plain(`{"success":true,"data":{"access_key_id":"` + grantSecret), wantUploadFailed},
		{"the connection is reset", emulator.Stream(emulator.Reset()), with(wantUnreachable)},
	}
	for name := range grantFields() {
		fields := grantFields()
		delete(fields, name)
		list = append(list, siteFailure{"without " + name, grantAnswer(fields), wantUploadFailed})
	}
	wrong := grantFields()
	wrong["file_path"] = []int{1}
	return append(list, siteFailure{"a field of another type", grantAnswer(wrong), wantUploadFailed})
}

// passingGrants are the failures that may be over in a moment: there is a second
// try.
var passingGrants = map[string]bool{"status 502": true, "status 503": true, "the connection is reset": true}

func TestUploadGrantFails(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, test := range badGrants() {
		for _, route := range formRoutes()[1:] {
			t.Run("U15 "+test.name+" "+route.path, func(t *testing.T) {
				g.accept()
				tries, before := 1, g.requested(emulator.EndpointFileGrant)
				if passingGrants[test.name] {
					tries = 2
				}
				for range tries {
					g.site.Fail(emulator.EndpointFileGrant, test.reply)
				}
				got := g.form(route.path, route.fields(route.file)...)
				want := test.want
				want.param = route.file.name
				want.check(t, got)
				if n := g.requested(emulator.EndpointFileGrant) - before; n != tries {
					t.Errorf("it was asked for %d times, want %d", n, tries)
				}
				checkStage(t, g, got, stageGrant)
				for _, secret := range []string{grantSecret, grantToken, linkSecret} {
					if strings.Contains(got.body, secret) || strings.Contains(g.logged(), secret) {
						t.Errorf("U27 %s is told", secret)
					}
				}
			})
		}
	}
	t.Run("U15 once", func(t *testing.T) {
		g.site.Fail(emulator.EndpointFileGrant, emulator.Status(502))
		g.mustUpload(t, image(1, 900))
	})
	g.nothingLeft()
}

// trap counts what comes to addresses of this machine.
type trap struct {
	address string
	packets atomic.Int64
}

// mustTrap listens for connections and for questions about names.
func mustTrap(t *testing.T) *trap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	x := &trap{address: l.Addr().String()}
	done := make(chan struct{}, 2)
	t.Cleanup(func() { l.Close(); names.Close(); <-done; <-done })
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			x.packets.Add(1)
			conn.Close()
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for b := make([]byte, 1500); ; {
			n, from, err := names.ReadFrom(b)
			if err != nil {
				return
			}
			x.packets.Add(1)
			if n > 3 { // there is no such name, so that nobody waits for an answer
				b[2], b[3] = b[2]|0x80, b[3]&0xf0|3
				_, _ = names.WriteTo(b[:n], from)
			}
		}
	}()
	return x
}

func TestUploadGrantElsewhere(t *testing.T) {
	x := mustTrap(t)
	g := mustGateway(t, setup{siteStorage: true, qwen: "transport http {\nresolvers " + x.address + "\n}"})
	_, port, _ := net.SplitHostPort(x.address)
	for name, endpoint := range map[string]string{
		"an address":                   "127.0.0.1",
		"an address with a port":       x.address,
		"http to an address":           "http://" + x.address,
		"https to an address":          "https://" + x.address,
		"a local name":                 "localhost:" + port,
		"an address of IPv6":           "[::1]:" + port,
		"the metadata of a cloud":      "100.100.100.200",
		"http to the storage":          "http://oss-accelerate.aliyuncs.com",
		"an odd port of the storage":   "oss-accelerate.aliyuncs.com:" + port,
		"another host":                 "storage.example",
		"a name that only begins so":   "oss-accelerate.aliyuncs.com.evil.example",
		"a name that only ends so":     "evilaliyuncs.com",
		"the domain itself":            "aliyuncs.com",
		"a user before a host":         "oss-accelerate.aliyuncs.com@" + x.address,
		"a user before the storage":    "https://user:secret@oss-accelerate.aliyuncs.com",
		"a path before a host":         x.address + "/oss-accelerate.aliyuncs.com",
		"a host as a query":            x.address + "?.aliyuncs.com",
		"a host as a fragment":         x.address + "#.aliyuncs.com",
		"a backslash":                  x.address + `\.aliyuncs.com`,
		"a dot at the end":             "oss-accelerate.aliyuncs.com.",
		"a letter that looks the same": "oss-accelerate.aliyunсs.com",
		"a line break":                 "oss-accelerate.aliyuncs.com\r\nHost: " + x.address,
		"another scheme":               "file:///etc/passwd",
	} {
		t.Run("U16 "+name, func(t *testing.T) {
			fields := grantFields()
			fields["endpoint"] = endpoint
			want := failed{status: 502, code: "upstream_bad_response", class: classUpstream, final: true}
			for _, route := range formRoutes()[1:] {
				g.site.Fail(emulator.EndpointFileGrant, grantAnswer(fields))
				want.param = route.file.name
				got := g.form(route.path, route.fields(route.file)...)
				want.check(t, got)
				checkStage(t, g, got, stageTransfer)
			}
			g.site.Storage().SetEndpoint(endpoint)
			want.param = ""
			got := g.do(http.MethodPost, "/v2/files/getstsToken", `{"filename":"a.png","filesize":1,"filetype":"image"}`)
			want.check(t, got)
			checkStage(t, g, got, stageGrant)
		})
	}
	t.Run("U16 a bucket that is a host", func(t *testing.T) {
		fields := grantFields()
		fields["bucketname"] = x.address + "/x"
		g.site.Fail(emulator.EndpointFileGrant, grantAnswer(fields))
		failed{status: 502, code: "upstream_bad_response", class: classUpstream, final: true, param: "file"}.check(t, g.form("/v1/files", image(1, 900)))
	})
	if n := x.packets.Load(); n != 0 {
		t.Errorf("U16 %d packets were sent", n)
	}
	if n := len(g.site.Storage().Requests()); n != 0 {
		t.Errorf("U16 the storage got %d requests", n)
	}
	if !strings.Contains(g.logged(), `"host":"storage.example"`) {
		t.Error("U16 the log does not name the host")
	}
	for _, secret := range []string{grantSecret, grantToken, "user:secret"} {
		if strings.Contains(g.logged(), secret) {
			t.Errorf("U27 %s is in the log", secret)
		}
	}
	g.nothingLeft()
}

// The site's own storage is trusted: the trap proves that it would catch what is
// sent.
func TestUploadGrantTrusted(t *testing.T) {
	x := mustTrap(t)
	g := mustGateway(t, setup{siteStorage: true, qwen: "transport http {\nresolvers " + x.address + "\ndial_timeout 200ms\n}"})
	for range 2 {
		g.site.Fail(emulator.EndpointFileGrant, grantAnswer(grantFields()))
	}
	p := g.post("/v1/files", image(1, 900))
	eventually(t, "the name of the storage is asked for", func() bool { return x.packets.Load() > 0 })
	p.gone(g)
}

func TestUploadGrantExpires(t *testing.T) {
	for name, test := range map[string]struct {
		file field
		op   string
		n    int
		open int // uploads that cannot be given up, since the grant is over
	}{
		"U18 before the form":        {image(1, 5000), emulator.OpPost, 1, 0},
		"U18 before parts":           {film(2, 3<<20), emulator.OpInitiate, 1, 0},
		"U18 in the middle of parts": {film(3, 3<<20), emulator.OpPart, 2, 1},
		"U18 before completing":      {film(4, 3<<20), emulator.OpComplete, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			gate := make(chan struct{})
			g.site.Storage().Fail(test.op, test.n, emulator.Fault{Gate: gate})
			p := g.post("/v1/files", test.file)
			g.awaitStored("the storage is asked", func() bool { return g.ops(test.op) >= test.n })
			g.site.Storage().ExpireGrants()
			close(gate)
			got := <-p.done
			if got.status != http.StatusOK || g.requested(emulator.EndpointFileGrant) != 2 {
				t.Errorf("status %d after %d grants: %s", got.status, g.requested(emulator.EndpointFileGrant), got.body)
			}
			g.mustHold(t, test.file.value)
			keys := map[string]bool{}
			for _, r := range g.site.Storage().Requests() {
				if r.Op != emulator.OpPost {
					keys[r.Key] = true
				}
			}
			if test.op != emulator.OpPost && len(keys) != 2 {
				t.Errorf("it did not start over: %v", keys)
			}
			if n := g.site.Storage().ForgetUploads(); n != test.open {
				t.Errorf("%d uploads are open", n)
			}
			g.nothingLeft()
		})
	}
	t.Run("U18 twice", func(t *testing.T) {
		g := mustGateway(t, setup{})
		for range 2 {
			g.site.Fail(emulator.EndpointFileGrant, grantAnswer(grantFields()))
		}
		got := g.form("/v1/files", image(1, 900))
		wantUploadFailed.check(t, got)
		checkStage(t, g, got, stageTransfer)
		if n := g.requested(emulator.EndpointFileGrant); n != 2 {
			t.Errorf("%d grants were asked for", n)
		}
		for _, secret := range []string{grantSecret, grantToken, linkSecret} {
			if strings.Contains(got.body+g.logged(), secret) {
				t.Errorf("U27 %s is told", secret)
			}
		}
		g.nothingLeft()
	})
}
