package caddyqwen

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// contentOfFile is the path of a file's content.
func contentOfFile(id string) string { return filesPath + "/" + id + contentSuffix }

// get begins to read a file's content.
func (g *gateway) get(id string) *posting {
	ctx, cancel := context.WithCancel(context.Background())
	p := &posting{cancel, make(chan reply, 1)}
	go func() { p.done <- answerTo(g.trySend(ctx, http.MethodGet, contentOfFile(id), "")) }()
	return p
}

// Contents are streams like answers, with the same limits.
func TestFilesContentLimit(t *testing.T) {
	for name, test := range map[string]struct {
		qwen string
		want failed
	}{
		"of a caller":     {"max_streams_per_key 2", wantTooMany},
		"of the server":   {"max_streams 2", wantServerBusy},
		"smallest counts": {"max_streams_per_key 2\nmax_streams 100", wantTooMany},
	} {
		t.Run("LI-01 the limit "+name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: test.qwen})
			content := testPNG(1, 900)
			f := g.upload("a.png", "image/png", content)
			gate := make(chan struct{})
			g.site.Storage().Fail(emulator.OpGet, 0, emulator.Fault{Gate: gate})
			first, second := g.get(f.ID), g.get(f.ID)
			g.awaitStored("two contents are read", func() bool { return g.ops(emulator.OpGet) == 2 })
			third := g.get(f.ID)
			time.AfterFunc(10*time.Second, third.leave)
			test.want.check(t, <-third.done)
			if r := g.do(http.MethodHead, contentOfFile(f.ID), ""); r.status != test.want.status {
				t.Errorf("HEAD: status %d", r.status)
			}
			close(gate)
			for _, p := range []*posting{first, second} {
				if r := <-p.done; r.status != http.StatusOK || r.err != nil || r.body != string(content) {
					t.Errorf("status %d, %v, %d bytes", r.status, r.err, len(r.body))
				}
			}
			g.slotsFree()
			if r := g.do(http.MethodGet, contentOfFile(f.ID), ""); r.status != http.StatusOK {
				t.Errorf("afterwards: status %d: %s", r.status, r.body)
			}
		})
	}
}

// Nobody waits longer for a content than for an answer.
func TestFilesContentHangs(t *testing.T) {
	for name, script := range map[string]func(*gateway){
		"the storage":         hang(emulator.OpGet, 1, false),
		"the site with links": func(g *gateway) { g.site.Fail(emulator.EndpointFileLink, emulator.HangBeforeHeaders()) },
	} {
		t.Run("P05 "+name+" hangs", func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			f := g.upload("a.png", "image/png", testPNG(1, 900))
			g.load(setup{qwen: "idle_timeout 200ms"})
			script(g)
			r := g.do(http.MethodGet, contentOfFile(f.ID), "")
			mustRefuse(t, r, 504, "upstream_timeout", "")
			g.slotsFree()
			if r := g.do(http.MethodGet, contentOfFile(f.ID), ""); r.status != http.StatusOK {
				t.Errorf("afterwards: status %d: %s", r.status, r.body)
			}
		})
	}
}

// Length and type are in the record.
func TestFilesContentHead(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.parsesAtOnce()
	for name, content := range map[string][]byte{"a.png": testPNG(1, 70_000), "b.pdf": testFile(pdfHead, 2, 900)} {
		t.Run("FI-10 HEAD of "+name, func(t *testing.T) {
			f := g.upload(name, "", content)
			stored, asked := len(g.site.Storage().Requests()), len(g.site.Requests())
			r := g.do(http.MethodHead, contentOfFile(f.ID), "")
			if r.status != http.StatusOK || r.body != "" || r.header.Get("Content-Length") != strconv.Itoa(len(content)) || r.header.Get("Content-Type") != f.MIME {
				t.Errorf("status %d, %q bytes of %q", r.status, r.header.Get("Content-Length"), r.header.Get("Content-Type"))
			}
			if len(g.site.Storage().Requests()) != stored || len(g.site.Requests()) != asked {
				t.Errorf("the site and its storage got %v and %v", g.site.Requests()[asked:], g.site.Storage().Requests()[stored:])
			}
		})
	}
}

// mustMeddledStorage is a gateway whose storage answers something else when it is
// asked for a content. It has one file.
func mustMeddledStorage(t *testing.T, content []byte, with http.HandlerFunc) (g *gateway, qwen, id string) {
	t.Helper()
	m := mustMeddle(t, func(w http.ResponseWriter, r *http.Request, storage http.Handler) {
		if r.Method == http.MethodGet {
			storage = with
		}
		storage.ServeHTTP(w, r)
	})
	qwen = "storage_endpoint " + m.URL + "\n"
	g = mustFilesGateway(t, setup{qwen: qwen})
	u, err := url.Parse(g.site.StorageURL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	m.site.Store(proxy)
	g.site.Storage().SetAddress(m.URL)
	return g, qwen, g.upload("a.png", "image/png", content).ID
}

// sendHalf sends the first half of a content.
func sendHalf(w http.ResponseWriter, content []byte) {
	_, _ = w.Write(content[:len(content)/2])
	_ = http.NewResponseController(w).Flush()
}

// Half a content does not look like a whole one.
func TestFilesContentBreaks(t *testing.T) {
	content := testPNG(1, 200_000)
	announce := func(w http.ResponseWriter) { w.Header().Set("Content-Length", strconv.Itoa(len(content))) }
	for name, serve := range map[string]http.HandlerFunc{
		"breaks": func(w http.ResponseWriter, _ *http.Request) {
			announce(w)
			sendHalf(w, content)
			panic(http.ErrAbortHandler)
		},
		"breaks without a length": func(w http.ResponseWriter, _ *http.Request) {
			sendHalf(w, content)
			panic(http.ErrAbortHandler)
		},
		"ends early, with no error": func(w http.ResponseWriter, _ *http.Request) { sendHalf(w, content) },
		"hangs": func(w http.ResponseWriter, r *http.Request) {
			announce(w)
			sendHalf(w, content)
			<-r.Context().Done()
		},
	} {
		t.Run("FI-10 the storage "+name+" in the middle", func(t *testing.T) {
			g, qwen, id := mustMeddledStorage(t, content, serve)
			g.load(setup{qwen: qwen + "idle_timeout 200ms"})
			r := g.do(http.MethodGet, contentOfFile(id), "")
			if r.status != http.StatusOK || r.err == nil || !strings.HasPrefix(string(content), r.body) || len(r.body) > len(content)/2 {
				t.Errorf("status %d, %v, %d bytes", r.status, r.err, len(r.body))
			}
			g.slotsFree()
		})
	}
}

// A storage that goes on slowly is waited for, however long the whole takes.
func TestFilesContentSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, idle := newIdle(t.Context(), time.Second)
		defer idle.stop()
		slow := &watched{strings.NewReader("slowly"), idle}
		for range len("slowly") {
			time.Sleep(900 * time.Millisecond)
			if n, err := slow.Read(make([]byte, 1)); n != 1 || err != nil || ctx.Err() != nil {
				t.Fatalf("%d bytes, %v, %v", n, err, ctx.Err())
			}
		}
		time.Sleep(1100 * time.Millisecond)
		if err := idle.why(t.Context(), ctx.Err()); err != errIdle {
			t.Errorf("after a second without anything it ends with %v", err)
		}
	})
}

// When the client leaves, nothing more is read.
func TestFilesContentClientLeaves(t *testing.T) {
	content := testPNG(1, 200_000)
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the storage answers": func(http.ResponseWriter) {},
		"in the middle":              func(w http.ResponseWriter) { sendHalf(w, content) },
	} {
		t.Run("FI-10 the client leaves "+name, func(t *testing.T) {
			begun, ended := make(chan bool, 1), make(chan bool, 1)
			g, _, id := mustMeddledStorage(t, content, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				begun <- true
				<-r.Context().Done()
				ended <- true
			})
			p := g.get(id)
			<-begun
			p.leave()
			<-ended
			if r := <-p.done; r.err == nil {
				t.Errorf("status %d and all of %d bytes", r.status, len(r.body))
			}
			g.slotsFree()
		})
	}
	t.Run("FI-10 the client leaves before the site gives a link", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		f := g.upload("a.png", "image/png", content)
		g.site.Fail(emulator.EndpointFileLink, emulator.HangBeforeHeaders())
		p := g.get(f.ID)
		g.await("the link is asked for", func() bool { return g.requested(emulator.EndpointFileLink) == 1 })
		p.leave()
		<-p.done
		g.slotsFree()
		eventually(t, "499 is in the access log", func() bool { return strings.Contains(g.logged(), `"status":499`) })
		if n := g.ops(emulator.OpGet); n != 0 {
			t.Errorf("the storage was asked %d times", n)
		}
	})
}
