package caddyqwen

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// soon is the bound on what has to happen within a second, with some patience
// for machines that are busy with other tests.
const soon = 4 * time.Second

// leaver is a client that sends a request and can leave.
type leaver struct {
	leave context.CancelFunc
	done  chan string // what it has got, when it has left
}

// leaver sends a chat request.
func (g *gateway) leaver(fields string) *leaver {
	return g.leaverWith(chatBody("hello", fields))
}

// leaverWith sends a chat request with this body.
func (g *gateway) leaverWith(body string) *leaver {
	ctx, cancel := context.WithCancel(context.Background())
	l := &leaver{leave: cancel, done: make(chan string, 1)}
	go func() {
		resp, err := g.trySend(ctx, http.MethodPost, chatPath, body)
		if err != nil {
			l.done <- ""
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body) // ends with the context
		l.done <- string(text)
	}()
	return l
}

// gone leaves and waits until nothing of the request is left.
func (l *leaver) gone(g *gateway) {
	g.t.Helper()
	left := time.Now()
	l.leave()
	<-l.done
	g.slotsFree()
	if took := time.Since(left); took > soon {
		g.t.Errorf("it took %v", took)
	}
}

func TestCancelAnswers(t *testing.T) {
	for name, reply := range map[string]emulator.Reply{
		"C01 before the headers":     emulator.HangBeforeHeaders(),
		"C01 before the first byte":  emulator.Stream(emulator.Hang()),
		"C01 before the first text":  emulator.Stream(emulator.Created(), emulator.Hang()),
		"C02 in the reasoning":       emulator.Stream(emulator.Created(), emulator.Think("Hm. "), emulator.Hang()),
		"C02 in the text":            afterText(emulator.Hang()),
		"C02 while much is arriving": emulator.Bulk(1<<20, "word ", time.Millisecond),
	} {
		for mode, fields := range modes {
			t.Run(map[string]string{"streamed": "CA-01 ", "whole": "CA-02 "}[mode]+name+"/"+mode, func(t *testing.T) {
				g := mustGateway(t, setup{})
				g.site.Reply(reply)
				l := g.leaver(fields)
				begun := 0
				if strings.HasPrefix(name, "C02") {
					begun = 1
				}
				g.await("the answer begins", func() bool {
					c := g.site.Completions()
					return len(c) == 1 && c[0].Frames >= begun
				})
				left := time.Now()
				l.leave()
				g.await("the site sees it", func() bool { return len(g.site.Stops()) == 1 && g.site.Active() == 0 })
				if took := time.Since(left); took > soon {
					t.Errorf("it took %v", took)
				}
				l.gone(g)
				c := g.site.Completions()[0]
				if stop := g.site.Stops()[0]; stop.ChatID != c.ChatID || !c.Gone || g.site.ChatBusy(c.ChatID) {
					t.Errorf("stop %+v for %v", stop, c)
				}
			})
		}
	}
}

// Once the site has named its answer, the stop call names it, too.
func TestCancelNamesAnswer(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(afterText(emulator.Hang()))
	ctx, leave := context.WithCancel(context.Background())
	resp := g.send(ctx, http.MethodPost, chatPath, chatBody("hello", `"stream":true`))
	body := bufio.NewReader(resp.Body)
	for line := ""; !strings.Contains(line, firstWords); {
		var err error
		if line, err = body.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	resp.Body.Close()
	g.await("the answer is stopped", func() bool { return len(g.site.Stops()) == 1 })
	if c, stop := g.site.Completions()[0], g.site.Stops()[0]; stop.ResponseID != c.ResponseID {
		t.Errorf("stop %+v for %v", stop, c)
	}
	g.slotsFree()
}

func TestCancelBeforeChat(t *testing.T) {
	t.Run("C01 in the queue", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_wait 1m"})
		finish := g.running()
		for _, fields := range modes {
			l := g.leaver(fields)
			g.queued(1)
			l.leave()
			<-l.done
			g.queued(0)
		}
		finish()
		g.slotsFree()
		if n := g.requested(emulator.EndpointNewChat); n != 1 {
			t.Errorf("%d chats were opened", n)
		}
	})
	t.Run("C01 while the chat is opened", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "max_streams_per_account 1"})
		for i := range 3 {
			g.site.Fail(emulator.EndpointNewChat, emulator.HangBeforeHeaders())
			l := g.leaver(`"stream":true`)
			g.await("the chat is opened", func() bool { return g.requested(emulator.EndpointNewChat) == i+1 })
			l.gone(g)
		}
		if n := g.requested(emulator.EndpointCompletions) + g.requested(emulator.EndpointStop); n != 0 {
			t.Errorf("the site got %v", g.site.Requests())
		}
	})
	t.Run("C01 while the list of models is fetched", func(t *testing.T) {
		g := mustGateway(t, setup{})
		gate := make(chan struct{})
		defer close(gate)
		g.site.Fail(emulator.EndpointModels, emulator.Status(502).After(gate))
		l := g.leaver("")
		g.await("the list is asked for", func() bool { return g.requested(emulator.EndpointModels) == 1 })
		l.gone(g)
		if n := g.requested(emulator.EndpointNewChat); n != 0 {
			t.Errorf("%d chats were opened", n)
		}
	})
}

// The access log has the usual status for clients that did not wait.
func TestCancelLogged(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(emulator.HangBeforeHeaders())
	l := g.leaver("")
	g.await("the prompt arrives", func() bool { return len(g.site.Completions()) == 1 })
	l.gone(g)
	eventually(t, "499 is in the access log", func() bool { return strings.Contains(g.logged(), `"status":499`) })
	if strings.Contains(g.logged(), "request failed") {
		t.Errorf("it is logged as a failure:\n%s", g.logged())
	}
}

func TestCancelMany(t *testing.T) {
	const clients, each = 10, 20
	g := mustGateway(t, setup{qwen: "max_streams_per_account 6\nqueue_wait 1m"})
	g.site.Respond(func(emulator.Completion) emulator.Reply { return emulator.Bulk(1<<20, "word ", 5*time.Millisecond) })
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for k := range each {
				ctx, leave := context.WithCancel(context.Background())
				fields := fmt.Sprintf(`"stream":%t`, k%3 > 0)
				if k%3 < 2 { // leaves at some point before the answer
					timer := time.AfterFunc(time.Duration(i+k)*time.Millisecond/2, leave)
					defer timer.Stop()
				}
				resp, err := g.trySend(ctx, http.MethodPost, chatPath, chatBody("hello", fields))
				if err == nil {
					_, _ = io.ReadFull(resp.Body, make([]byte, 1<<k%1024))
					resp.Body.Close()
				}
				leave()
			}
		})
	}
	all.Wait()
	g.await("CA-03 the site is left alone", func() bool { return g.site.Active() == 0 })
	g.slotsFree()
	for _, c := range g.site.Completions() {
		if g.site.ChatBusy(c.ChatID) {
			t.Errorf("CA-01 nobody has stopped %v", c)
		}
	}
	g.site.Respond(nil)
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("CA-03 status %d afterwards: %s", got.status, got.body)
	}
}

// A client that does not read holds up the site, not the memory.
func TestCancelSlowReader(t *testing.T) {
	const frames = 96 // of 1 MiB
	g := mustGateway(t, setup{qwen: "max_answer 1GiB"})
	steps := []emulator.Step{emulator.Created()}
	for range frames {
		steps = append(steps, emulator.HugeFrame(1<<20))
	}
	g.site.Reply(emulator.Stream(append(steps, emulator.Finish())...))
	before := heap()
	conn := g.dial()
	body := chatBody("hello", `"stream":true`)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chatPath, testKey, len(body), body)
	still, last := 0, -1
	eventually(t, "the stream stands still", func() bool {
		sent := 0
		if c := g.site.Completions(); len(c) == 1 {
			sent = c[0].Frames
		}
		if still++; sent == 0 || sent != last {
			still, last = 0, sent
		}
		return still > 300
	})
	if last > frames/2 {
		t.Errorf("L09 C05 %d of %d frames were taken", last, frames)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("L09 the memory has grown by %d MiB", grown>>20)
	}
	conn.Close()
	g.await("the site sees that the client has left", func() bool { return g.site.Active() == 0 && len(g.site.Stops()) == 1 })
	g.slotsFree()
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Go takes a client that closes its sending side for one that has left.
func TestCancelHalfClosed(t *testing.T) {
	g := mustGateway(t, setup{})
	g.site.Reply(afterText(emulator.Hang()))
	conn := g.dial()
	body := chatBody("hello", `"stream":true`)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chatPath, testKey, len(body), body)
	g.await("the answer begins", func() bool { c := g.site.Completions(); return len(c) == 1 && c[0].Frames > 0 })
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	g.await("C04 the answer is stopped", func() bool { return g.site.Active() == 0 && len(g.site.Stops()) == 1 })
	g.slotsFree()
}

// The turn that was aborted leaves nothing behind for the next.
func TestCancelThenGoOn(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1"})
	g.site.Reply(afterText(emulator.Hang()))
	l := g.leaver(`"stream":true`)
	g.await("the answer begins", func() bool { c := g.site.Completions(); return len(c) == 1 && c[0].Frames > 1 })
	l.gone(g)
	g.site.Reply(emulator.Text("all of it"))
	if text, complete := streamed(t, g.chat("again", `"stream":true`).body); !complete || text != "all of it" {
		t.Errorf("CA-04 got %q", text)
	}
	if c := g.site.Completions(); len(c) != 2 || c[1].ChatID == c[0].ChatID || len(c[1].Context) != 0 {
		t.Errorf("CA-04 got %v", c)
	}
}
