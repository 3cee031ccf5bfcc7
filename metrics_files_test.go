package caddyqwen

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestMetricsOfUploads(t *testing.T) {
	document := textFile("a.txt", "The text.")
	tests := map[string]struct {
		fail func(g *gateway)
		want []increase
	}{
		"all is well": {func(*gateway) {}, []increase{
			{"uploads_total stage=grant result=ok", 1}, {"uploads_total stage=transfer result=ok", 1}, {"uploads_total stage=parse result=ok", 1},
			{"uploads_total", 3}, {"upload_bytes_total", float64(len(document.value))}, {"upstream_errors_total", 0},
		}},
		"no grant": {func(g *gateway) { g.site.Fail(emulator.EndpointFileGrant, emulator.Refusal("Bad_Request", "No.")) }, []increase{
			{"uploads_total stage=grant result=error", 1}, {"uploads_total", 1}, {"upload_bytes_total", 0}, {"upstream_errors_total class=upstream", 1},
		}},
		"the storage refuses it": {func(g *gateway) { g.failAll(emulator.OpPost, emulator.OpPut) }, []increase{
			{"uploads_total stage=grant result=ok", 1}, {"uploads_total stage=transfer result=error", 1}, {"uploads_total", 2}, {"upload_bytes_total", 0},
			{"upstream_errors_total class=upstream", 1},
		}},
		"the site will not read": {func(g *gateway) { g.site.Fail(emulator.EndpointFileParse, emulator.Refusal("Bad_Request", "No.")) }, []increase{
			{"uploads_total stage=transfer result=ok", 1}, {"uploads_total stage=parse result=error", 1}, {"uploads_total", 3},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := mustMeteredGateway(t, setup{})
			test.fail(g)
			g.mustGrow(t, func() { g.form("/v1/files", document) }, test.want...)
		})
	}
}

// An upload that its client does not wait for has not failed.
func TestMetricsOfUploadsCanceled(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	g.site.Storage().Fail(emulator.OpPost, 1, emulator.Fault{Gate: make(chan struct{})})
	g.mustGrow(t, func() {
		p := g.post("/v1/files", image(1, 500))
		g.awaitStored("the storage is asked", func() bool { return g.ops(emulator.OpPost) >= 1 })
		p.leave()
		<-p.done
	}, increase{"uploads_total stage=transfer result=canceled", 1}, increase{"uploads_total result=error", 0},
		increase{"requests_total route=/v1/files status=499 code=client_gone", 1}, increase{"upstream_errors_total", 0})
}

func TestMetricsOfBytes(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	file := g.mustUpload(t, image(1, 5000))
	for name, send := range map[string]func() reply{
		"a page":            func() reply { return g.do(http.MethodGet, "/", "") },
		"an error":          func() reply { return g.do(http.MethodGet, "/v1/nothing", "") },
		"a stream":          func() reply { return g.chat("hello", `"stream":true`) },
		"a file sent whole": func() reply { return g.do(http.MethodGet, "/v1/files/"+file.ID+"/content", "") },
	} {
		t.Run(name, func(t *testing.T) {
			before := g.scrape().value("response_bytes_total")
			got := send()
			eventually(t, fmt.Sprintf("%d bytes are counted", len(got.body)), func() bool {
				return g.scrape().value("response_bytes_total")-before == float64(len(got.body)) && got.body != ""
			})
		})
	}
}
