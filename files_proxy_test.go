package caddyqwen

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// mustProxy starts a proxy and counts its requests.
func mustProxy(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	pass := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) { asked.Add(1) },
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	proxy := httptest.NewServer(pass)
	t.Cleanup(proxy.Close)
	return proxy.URL, asked
}

// unread uploads documents that the site has not read yet.
func (g *gateway) unread(n int) (parts []part, contents [][]byte) {
	g.t.Helper()
	for i := range n {
		content := fmt.Appendf(nil, "the text number %d", i)
		a := g.grant(fmt.Sprintf("%d.txt", i), "file", len(content))
		g.put(a, "text/plain", content)
		parts, contents = append(parts, fileOfID(a.ID)), append(contents, content)
	}
	return parts, contents
}

// Several requests of one upload, and of one chat, go through a proxy at the same
// time. The transport writes to Caddy's values of each: the race detector must find
// nothing.
func TestUploadThroughProxy(t *testing.T) {
	for name, option := range map[string]string{"forward_proxy_url": "forward_proxy_url %s", "network_proxy": "network_proxy url %s"} {
		t.Run(name, func(t *testing.T) {
			proxy, asked := mustProxy(t)
			g := mustFilesGateway(t, setup{
				site: "log_append id {http.request.uuid}\nlog_append v {vars.x}",
				qwen: "transport http {\n" + fmt.Sprintf(option, proxy) + "\n}",
			})
			g.parsesAtOnce()
			var want []string
			for i := range 3 {
				f := film(uint64(i), 8<<20)
				g.mustUpload(t, f)
				want = append(want, f.value)
			}
			if n := asked.Load(); n < int64(g.ops(emulator.OpPart)) || n == 0 {
				t.Errorf("%d requests went through the proxy", n)
			}
			g.mustHold(t, want...)
			parts, contents := g.unread(6)
			g.discuss([]any{say("What is in them?", parts...)})
			g.mustShow(g.last().Files, contents...)
			g.nothingLeft()
		})
	}
}

// markingTransport marks Caddy's values of each request, as transports with a proxy
// do, and counts the requests whose values are marked already.
type markingTransport struct {
	reverseproxy.HTTPTransport
	carried, marked atomic.Int64
}

// newestMarking is the transport that was made last.
var newestMarking atomic.Pointer[markingTransport]

func init() { caddy.RegisterModule(new(markingTransport)) }

func (*markingTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.marking", New: func() caddy.Module {
		t := new(markingTransport)
		newestMarking.Store(t)
		return t
	}}
}

func (t *markingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	const mark = "marked"
	replacer := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if _, replaced := replacer.GetString(mark); replaced || caddyhttp.GetVar(r.Context(), mark) != nil {
		t.marked.Add(1)
	}
	t.carried.Add(1)
	replacer.Set(mark, true)
	caddyhttp.SetVar(r.Context(), mark, true)
	return t.HTTPTransport.RoundTrip(r)
}

// No two requests to the site or its storage share Caddy's values.
func TestTransportValues(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "transport marking"})
	transport := newestMarking.Load()
	g.parsesAtOnce()
	for name, send := range map[string]func(){
		"a chat":              func() { g.mustReply(g.chat("hello", "")) },
		"an upload in parts":  func() { g.mustUpload(t, film(1, 3<<20)) },
		"documents in a chat": func() { parts, _ := g.unread(2); g.discuss([]any{say("What is in them?", parts...)}) },
		"a file's content": func() {
			f := g.mustUpload(t, image(1, 900))
			if r := g.do(http.MethodGet, filesPath+"/"+f.ID+"/content", ""); r.status != http.StatusOK {
				t.Errorf("status %d: %s", r.status, tail(r.body))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := transport.carried.Load()
			send()
			if n := transport.carried.Load() - before; n < 2 {
				t.Errorf("%d requests were sent, so that this test proves nothing", n)
			}
			if n := transport.marked.Swap(0); n > 0 {
				t.Errorf("%d requests share Caddy's values with others", n)
			}
		})
	}
}
