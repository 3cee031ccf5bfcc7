package emulator

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestServerListensOnLoopback(t *testing.T) {
	srv := mustStart(t, Options{})
	u, err := url.Parse(srv.URL())
	if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Port() == "" || u.Path != "" {
		t.Errorf("address %q: %v", srv.URL(), err)
	}
}

// Close ends every kind of open stream and leaves nothing running.
func TestCloseEndsOpenStreams(t *testing.T) {
	for name, reply := range map[string]Reply{
		"hanging":        Stream(Created(), Answer("a"), Hang()),
		"held open":      Stream(Created(), Answer("a"), Finish(), HoldOpen()),
		"before headers": HangBeforeHeaders(),
		"plain":          Expired().After(nil),
		"waiting":        Stream(Created(), Wait(make(chan struct{}))),
		"pausing":        Stream(Created(), Pause(1<<40)),
		"dripping":       Bulk(1<<20, "x", 1<<40),
		"nobody reads":   Bulk(1<<22, "xxxxxxxx", 0),
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			srv, err := Start(Options{})
			if err != nil {
				t.Fatal(err)
			}
			tr := &http.Transport{}
			c := &client{t: t, srv: srv, http: &http.Client{Transport: tr}}
			const streams = 5
			var clients sync.WaitGroup
			for range streams {
				srv.Reply(reply)
				chat := c.mustChat()
				clients.Go(func() {
					resp, err := c.http.Do(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
					if err != nil {
						return // the server was closed before the headers
					}
					defer resp.Body.Close()
					if name == "nobody reads" {
						_ = srv.Await(t.Context(), func() bool { return false })
						return
					}
					if _, err := io.ReadAll(resp.Body); err == nil {
						t.Error("the body ended as if it were complete")
					}
				})
			}
			mustAwait(t, srv.Site, "all streams", func() bool { return srv.Active() == streams })
			srv.Close()
			if n := srv.Active(); n != 0 {
				t.Errorf("%d streams are open after Close", n)
			}
			for _, rec := range srv.Completions() {
				if rec.Gone {
					t.Errorf("the server left, not the client: %v", rec)
				}
			}
			clients.Wait()
			tr.CloseIdleConnections()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", srv.site.listener.Addr().String()); err == nil {
				t.Error("the port is still open")
			}
			srv.Close() // does nothing
		})
	}
}

// A site may be served by another server.
func TestSiteIsAHandler(t *testing.T) {
	site := New(Options{})
	ts := httptest.NewServer(site)
	defer ts.Close()
	site.Fail("models", Stream(Answer("a"), Hang()), Stream(Answer("b")))
	resp, err := ts.Client().Get(ts.URL + "/api/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	site.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if resp, err = ts.Client().Get(ts.URL + "/api/models"); err != nil {
		t.Fatal(err)
	}
	if body := mustReadAll(t, resp); !strings.Contains(body, `"content":"b"`) {
		t.Errorf("after Close: %s", body)
	}
}

func TestHTTP10(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Fail("models", Stream(Answer("a"), Finish()))
	conn, err := net.Dial("tcp", srv.site.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /api/models HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 200 OK") || strings.Contains(string(b), "chunked") || !strings.Contains(string(b), `"finished"`) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestManyAtOnce(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 10 {
				chat := c.mustChat()
				first := c.mustTurn(chat, "", "a")
				second := c.mustTurn(chat, first, "b")
				if got := prompts(srv.Context(chat, second)); got != "a,b" {
					t.Errorf("context %q", got)
				}
				c.stop(chat, second)
				c.call("DELETE", "/api/v2/chats/"+chat, "")
			}
		})
	}
	clients.Wait()
	if len(srv.Completions()) != 160 || len(srv.Stops()) != 80 || len(srv.Deleted()) != 80 || len(srv.ChatIDs()) != 0 || len(srv.Refusals()) != 0 {
		t.Errorf("%d completions, %d stops, %d deleted, %d left, %d refusals",
			len(srv.Completions()), len(srv.Stops()), len(srv.Deleted()), len(srv.ChatIDs()), len(srv.Refusals()))
	}
}
