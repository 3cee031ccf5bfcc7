package caddyqwen

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const pageOrigin = "https://app.example.com"

// corsAnswers are requests whose answers differ in kind. What brings them about
// on the site is queued before each.
var corsAnswers = []struct {
	name, method, path, body string
	header                   []string
	reply                    emulator.Reply
	status                   int
}{
	{"answer", "POST", chatPath, chatBody("hello", ""), nil, emulator.Text("fine"), 200},
	{"stream", "POST", chatPath, chatBody("hello", `"stream":true`), nil, emulator.Text("fine"), 200},
	{"models", "GET", "/v1/models", "", nil, emulator.Reply{}, 200},
	{"refusal of the site", "POST", chatPath, chatBody("hello", `"stream":true`), nil, emulator.Expired(), 503},
	{"bad request", "POST", chatPath, "{", nil, emulator.Reply{}, 400},
	{"bad key", "POST", chatPath, chatBody("hello", ""), []string{"Authorization", "Bearer sk-wrong-key-0123456789"}, emulator.Reply{}, 401},
	{"no key", "POST", chatPath, chatBody("hello", ""), []string{"Authorization", ""}, emulator.Reply{}, 401},
	{"unknown path", "GET", "/v1/nothing", "", nil, emulator.Reply{}, 404},
	{"wrong method", "GET", chatPath, "", nil, emulator.Reply{}, 405},
}

// eachCORSAnswer makes all of these requests from a page of that origin.
func eachCORSAnswer(t *testing.T, s setup, origin string, check func(*testing.T, reply)) {
	t.Helper()
	for _, test := range corsAnswers {
		t.Run("CO-03 CO-04 "+test.name, func(t *testing.T) {
			g := mustGateway(t, s)
			g.site.Reply(test.reply)
			got := g.do(test.method, test.path, test.body, append([]string{"Origin", origin}, test.header...)...)
			if got.status != test.status {
				t.Errorf("status %d, want %d: %s", got.status, test.status, got.body)
			}
			if got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("A17 credentials are allowed")
			}
			check(t, got)
		})
	}
}

// checkAllowed checks that a page of that origin, and only it, sees the answer.
func checkAllowed(t *testing.T, got reply, origin string) {
	t.Helper()
	if values := got.header.Values("Access-Control-Allow-Origin"); len(values) != 1 || values[0] != origin {
		t.Errorf("Access-Control-Allow-Origin: %q", values)
	}
	exposed := got.header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"x-request-id", "retry-after", "x-qwen-error-class"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %q", name, exposed)
		}
	}
	if varies := strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin"); varies != (origin != "*") {
		t.Errorf("Vary: %q", got.header.Values("Vary"))
	}
}

// checkHidden checks that a page does not see the answer.
func checkHidden(t *testing.T, got reply) {
	t.Helper()
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %q", name, got.header.Values(name))
		}
	}
}

func TestCORSRouteOff(t *testing.T) {
	eachCORSAnswer(t, setup{}, pageOrigin, checkHidden)
}

func TestCORSRouteOrigins(t *testing.T) {
	s := setup{qwen: "cors https://other.example.com " + pageOrigin}
	t.Run("allowed", func(t *testing.T) {
		eachCORSAnswer(t, s, pageOrigin, func(t *testing.T, got reply) { checkAllowed(t, got, pageOrigin) })
	})
	for _, origin := range []string{"https://evil.example.com", "null", "http://app.example.com", pageOrigin + ":8443", pageOrigin + ".evil.com"} {
		t.Run("A17 refused "+origin, func(t *testing.T) {
			g := mustGateway(t, s)
			checkHidden(t, g.do("GET", "/v1/models", "", "Origin", origin))
			checkHidden(t, g.do("OPTIONS", chatPath, "", "Origin", origin, "Access-Control-Request-Method", "POST"))
		})
	}
}

func TestCORSRouteAny(t *testing.T) {
	eachCORSAnswer(t, setup{qwen: "cors *"}, pageOrigin, func(t *testing.T, got reply) { checkAllowed(t, got, "*") })
}

// Another directive of the site may set the header, too. Browsers refuse two.
func TestCORSRouteWithHeaderDirective(t *testing.T) {
	for _, directive := range []string{
		"header Access-Control-Allow-Origin *",
		"header >Access-Control-Allow-Origin *",
		"header +Access-Control-Allow-Origin *",
	} {
		t.Run(directive, func(t *testing.T) {
			s := setup{qwen: "cors " + pageOrigin, site: directive}
			eachCORSAnswer(t, s, pageOrigin, func(t *testing.T, got reply) {
				if values := got.header.Values("Access-Control-Allow-Origin"); len(values) != 1 {
					t.Errorf("Access-Control-Allow-Origin: %q", values)
				}
			})
		})
	}
}

func TestCORSRoutePreflight(t *testing.T) {
	g := mustGateway(t, setup{qwen: "public_models off\ncors " + pageOrigin})
	const asked = "authorization,content-type,x-stainless-lang,x-stainless-retry-count,anthropic-version,x-api-key"
	for path, methods := range map[string]string{
		chatPath: "POST, OPTIONS", "/v1/models": "GET, HEAD, OPTIONS", "/v1/models/qwen": "GET, HEAD, OPTIONS",
	} {
		t.Run("CO-01 CO-02 "+path, func(t *testing.T) {
			got := g.do(http.MethodOptions, path, "", "Authorization", "", "Origin", pageOrigin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", asked)
			if got.status != http.StatusNoContent || got.body != "" {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if values := got.header.Values("Access-Control-Allow-Origin"); len(values) != 1 || values[0] != pageOrigin {
				t.Errorf("Access-Control-Allow-Origin: %q", values)
			}
			if got.header.Get("Access-Control-Allow-Methods") != methods {
				t.Errorf("Access-Control-Allow-Methods: %q", got.header.Get("Access-Control-Allow-Methods"))
			}
			allowed := strings.Split(got.header.Get("Access-Control-Allow-Headers"), ", ")
			for name := range strings.SplitSeq(asked, ",") {
				if !strings.Contains(","+strings.Join(allowed, ",")+",", ","+name+",") {
					t.Errorf("%s is not allowed: %q", name, allowed)
				}
			}
		})
	}
	t.Run("CO-01 off", func(t *testing.T) {
		g := mustGateway(t, setup{})
		got := g.do(http.MethodOptions, chatPath, "", "Authorization", "", "Origin", pageOrigin, "Access-Control-Request-Method", "POST")
		if got.status != http.StatusNoContent || got.header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("status %d, Allow %q", got.status, got.header.Get("Allow"))
		}
		checkHidden(t, got)
	})
	if n := len(g.site.Requests()); n != 0 {
		t.Errorf("the site got %d requests", n)
	}
}
