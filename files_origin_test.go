package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// pageOf sends a form as a page of an origin does.
func (g *gateway) pageOf(origin string, route formRoute, header ...string) reply {
	g.t.Helper()
	kind, body := mustForm(g.t, route.fields(route.file)...)
	return g.do(http.MethodPost, route.path, string(body), append([]string{"Content-Type", kind, "Origin", origin}, header...)...)
}

// callersWays are configurations that know their callers in different ways, with a
// page that may use them, and the headers of a caller.
func callersWays() map[string]struct {
	setup
	header []string
} {
	cors := "\ncors " + pageOrigin
	return map[string]struct {
		setup
		header []string
	}{
		"auth off":  {setup{bare: true, qwen: fmt.Sprintf("auth off\naccount {\ntoken %s\n}", testToken) + cors}, []string{"Authorization", ""}},
		"with keys": {setup{qwen: cors}, nil},
	}
}

// Browsers let every page send forms, so that a page of another site could use this
// server in the name of whoever looks at it.
func TestFilesOriginRefused(t *testing.T) {
	for way, s := range callersWays() {
		t.Run("A17 "+way, func(t *testing.T) {
			g := mustFilesGateway(t, s.setup)
			for _, origin := range []string{
				"https://evil.example", "null", "http://127.0.0.1:1", strings.Replace(g.url, "127.0.0.1", "localhost", 1),
				strings.Replace(pageOrigin, "https:", "http:", 1), pageOrigin + ":8443", pageOrigin + ".evil.example", "file://", "none at all",
			} {
				for _, route := range formRoutes() {
					t.Run("a page of "+origin+" "+route.path, func(t *testing.T) {
						mustRefuse(t, g.pageOf(origin, route, s.header...), 403, "origin_not_allowed", "")
					})
				}
			}
			g.notSent(t)
			if n := g.listed(t); n != 0 {
				t.Errorf("%d files are listed", n)
			}
			g.nothingLeft()
		})
	}
}

// Programs send no origin; the server's own pages and those that the owner has
// allowed send theirs.
func TestFilesOriginAllowed(t *testing.T) {
	for way, s := range callersWays() {
		t.Run("CO-03 "+way, func(t *testing.T) {
			g := mustFilesGateway(t, s.setup)
			for name, origin := range map[string]string{
				"no page": "", "its own page": g.url, "its own page behind a proxy with TLS": strings.Replace(g.url, "http:", "https:", 1), "a page that is allowed": pageOrigin,
			} {
				for _, route := range formRoutes() {
					t.Run(name+" "+route.path, func(t *testing.T) {
						route.good(t, g.pageOf(origin, route, s.header...))
					})
				}
			}
		})
	}
	t.Run("CO-03 all pages are allowed", func(t *testing.T) {
		g := mustFilesGateway(t, setup{qwen: "cors *"})
		for _, route := range formRoutes() {
			route.good(t, g.pageOf("https://anywhere.example", route))
		}
	})
}

// For requests in JSON, browsers ask the server first. Programs may send an origin.
func TestFilesOriginOfJSON(t *testing.T) {
	for way, s := range callersWays() {
		for path, body := range map[string]string{
			chatPath: chatBody("hello", ""), "/v1/chat/multimodal": chatBody("hello", ""), grantPath: `{"filename":"a.png","filesize":900,"filetype":"image"}`,
		} {
			t.Run("CO-03 "+way+" "+path, func(t *testing.T) {
				g := mustFilesGateway(t, s.setup)
				got := g.do(http.MethodPost, path, body, append([]string{"Origin", "https://evil.example"}, s.header...)...)
				if got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, tail(got.body))
				}
				checkHidden(t, got)
			})
		}
	}
}
