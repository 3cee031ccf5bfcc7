package caddyqwen

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// gone leaves and waits until nothing of the request is left, here and in the
// storage.
func (p *posting) gone(g *gateway) {
	g.t.Helper()
	left := time.Now()
	p.leave()
	<-p.done
	g.slotsFree()
	g.awaitStored("no upload is open in the storage", func() bool { return g.site.Storage().OpenUploads() == 0 })
	eventually(g.t, "no temporary file is open", func() bool { return len(spooled()) == 0 })
	if took := time.Since(left); took > soon {
		g.t.Errorf("it took %v", took)
	}
}

// waysIn are requests with a file, for one that goes up in parts and for one
// that does not.
func waysIn(g *gateway) map[string]func(video bool) *posting {
	file := func(name string, video bool) field {
		if video {
			return field{name: name, file: "film.mp4", value: string(testMP4(5, 3<<20))}
		}
		return field{name: name, file: "photo.png", value: string(testPNG(5, 400_000))}
	}
	ways := map[string]func(bool) *posting{}
	ways["/v1/files/upload"] = func(video bool) *posting { return g.post("/v1/files/upload", file("file", video)) }
	ways["upload_and_chat"] = func(video bool) *posting {
		what := map[bool]string{false: "image", true: "video"}[video]
		return g.post("/v1/"+what+"/upload_and_chat", file(what, video), field{name: "prompt", value: "What is this?"})
	}
	ways["chat/completions"] = func(video bool) *posting {
		f := file("file", video)
		what := map[bool]string{false: "image", true: "video"}[video]
		url := "data:" + what + "/" + map[bool]string{false: "png", true: "mp4"}[video] + ";base64," + base64.StdEncoding.EncodeToString([]byte(f.value))
		return g.postChat(fmt.Sprintf(`{"model":"qwen3-vl","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"%s_url","%[1]s_url":{"url":%q}}]}]}`, what, url))
	}
	return ways
}

// hang makes the storage hang at an operation.
func hang(op string, n int, late bool) func(g *gateway) {
	return func(g *gateway) { g.site.Storage().Fail(op, n, emulator.Fault{Hang: true, Late: late}) }
}

func TestUploadClientLeaves(t *testing.T) {
	stored := func(op string, n int) func(*gateway) {
		return func(g *gateway) {
			g.awaitStored(op, func() bool { return g.ops(op) >= n })
		}
	}
	for name, phase := range map[string]struct {
		video  bool
		script func(*gateway)
		await  func(*gateway)
	}{
		"U08 while the grant is asked for": {false, func(g *gateway) { g.site.Fail(emulator.EndpointFileGrant, emulator.HangBeforeHeaders()) },
			func(g *gateway) {
				g.await("the grant is asked for", func() bool { return g.requested(emulator.EndpointFileGrant) == 1 })
			}},
		"U08 while the form goes up":       {false, hang(emulator.OpPost, 1, false), stored(emulator.OpPost, 1)},
		"U08 when the form has gone up":    {false, hang(emulator.OpPost, 1, true), stored(emulator.OpPost, 1)},
		"U08 while parts are opened":       {true, hang(emulator.OpInitiate, 1, false), stored(emulator.OpInitiate, 1)},
		"U08 while the first part goes up": {true, hang(emulator.OpPart, 1, false), stored(emulator.OpPart, 1)},
		"U08 while the last part goes up":  {true, hang(emulator.OpPart, 3, true), stored(emulator.OpPart, 3)},
		"U08 while parts go up slowly": {true, func(g *gateway) {
			g.site.Storage().Fail(emulator.OpPart, 0, emulator.Fault{Pause: 20 * time.Millisecond})
		}, stored(emulator.OpPart, 3)},
		"U08 while a part is tried again":         {true, func(g *gateway) { g.site.Storage().Fail(emulator.OpPart, 0, emulator.Fault{Status: 503}) }, stored(emulator.OpPart, 3)},
		"U08 while the storage hangs at complete": {true, hang(emulator.OpComplete, 1, false), stored(emulator.OpComplete, 1)},
		"U08 when the storage has completed it":   {true, hang(emulator.OpComplete, 1, true), stored(emulator.OpComplete, 1)},
	} {
		for _, way := range []string{"/v1/files/upload", "upload_and_chat", "chat/completions"} {
			t.Run(name+" "+way, func(t *testing.T) {
				g := mustGateway(t, setup{})
				phase.script(g)
				p := waysIn(g)[way](phase.video)
				phase.await(g)
				p.gone(g)
				if n := g.requested(emulator.EndpointNewChat); n != 0 {
					t.Errorf("%d chats were opened", n)
				}
				if g.listed(t) != 0 {
					t.Error("the file is listed")
				}
				eventually(t, "499 is in the access log", func() bool { return strings.Contains(g.logged(), `"status":499`) })
				if strings.Contains(g.logged(), "request failed") {
					t.Errorf("it is logged as a failure:\n%s", g.logged())
				}
			})
		}
	}
}

// The answer to the opening of parts comes after the client has left: only it
// tells what is to be given up.
func TestUploadClientLeavesBeforeParts(t *testing.T) {
	for _, way := range []string{"/v1/files/upload", "upload_and_chat", "chat/completions"} {
		t.Run("U08 just before parts are opened "+way, func(t *testing.T) {
			g := mustGateway(t, setup{})
			gate := make(chan struct{})
			g.site.Storage().Fail(emulator.OpInitiate, 1, emulator.Fault{Gate: gate})
			p := waysIn(g)[way](true)
			g.awaitStored("the parts are about to be opened", func() bool { return g.ops(emulator.OpInitiate) == 1 })
			p.leave()
			<-p.done
			close(gate)
			g.nothingLeft()
			if g.ops(emulator.OpAbort) == 0 || g.ops(emulator.OpComplete) != 0 {
				t.Errorf("the storage got %v", g.site.Storage().Requests())
			}
		})
	}
}

// A client that leaves, or that announces more than it sends, while the file
// comes in: nothing of it goes anywhere.
func TestUploadClientLeavesWhileSending(t *testing.T) {
	g := mustGateway(t, setup{})
	for name, size := range map[string]int{"in memory": 100_000, "on disk": 2 << 20} {
		for _, route := range formRoutes() {
			head := "--" + boundary + "\r\n" + rawPart(`name="`+route.file.name+`"; filename="`+route.file.file+`"`, route.file.kind, route.sized(size).value)
			request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n%s",
				route.path, testKey, boundary, size+100_000, head)
			t.Run("U08 gone with the file "+name+" "+route.path, func(t *testing.T) {
				conn := g.dial()
				fmt.Fprint(conn, request)
				if size > 256<<10 {
					eventually(t, "the file is on disk", func() bool { return len(spooled()) == 1 })
				}
				left := time.Now()
				conn.Close()
				g.nothingLeft()
				if took := time.Since(left); took > soon {
					t.Errorf("it took %v", took)
				}
			})
			t.Run("U08 body shorter than declared with the file "+name+" "+route.path, func(t *testing.T) {
				conn := g.dial()
				fmt.Fprint(conn, request)
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				wantFile(http.StatusBadRequest, "invalid_request_body", "").check(t, mustReadReply(t, conn))
				g.nothingLeft()
			})
			t.Run("U08 chunks that are none with the file "+name+" "+route.path, func(t *testing.T) {
				conn := g.dial()
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=%s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nnonsense\r\n",
					route.path, testKey, boundary, len(head), head)
				wantFile(http.StatusBadRequest, "invalid_request_body", "").check(t, mustReadReply(t, conn))
				g.nothingLeft()
			})
		}
	}
	g.notSent(t)
}

// A client that waits for a place of the account leaves.
func TestUploadClientLeavesQueue(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_streams_per_account 1\nqueue_wait 1m"})
	finish := g.running()
	for way, begin := range waysIn(g) {
		t.Run("U08 in the queue "+way, func(t *testing.T) {
			p := begin(false)
			g.queued(1)
			p.leave()
			<-p.done
			g.queued(0)
			eventually(t, "no temporary file is open", func() bool { return len(spooled()) == 0 })
		})
	}
	finish()
	g.nothingLeft()
	if n := g.requested(emulator.EndpointFileGrant); n != 0 {
		t.Errorf("%d grants were asked for", n)
	}
}

// Nobody asks on for a client that has left.
func TestUploadClientLeavesParsing(t *testing.T) {
	pending := 1 // how often the other document is not ready; the pauses grow each time
	if long {
		pending = 3
	}
	never := func(g *gateway) { g.site.Parse(emulator.Parsing{Never: true}) }
	hung := func(endpoint string) func(*gateway) {
		return func(g *gateway) { g.site.Fail(endpoint, emulator.HangBeforeHeaders()) }
	}
	chat := func(g *gateway) *posting {
		data := base64.StdEncoding.EncodeToString([]byte("some text"))
		return g.postChat(fmt.Sprintf(`{"model":"qwen","messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"file","file":{"filename":"a.txt","file_data":%q}}]}]}`, "data:text/plain;base64,"+data))
	}
	upload := func(g *gateway) *posting { return g.post("/v1/files", textFile("a.txt", "some text")) }
	for name, test := range map[string]struct {
		script   func(*gateway)
		endpoint string
		n        int
	}{
		"U08 while it is submitted":           {hung(emulator.EndpointFileParse), emulator.EndpointFileParse, 1},
		"U08 while its state is asked for":    {hung(emulator.EndpointFileStatus), emulator.EndpointFileStatus, 1},
		"U08 U24 between two questions":       {never, emulator.EndpointFileStatus, 1},
		"U08 U24 after some of the questions": {never, emulator.EndpointFileStatus, 3},
	} {
		for way, begin := range map[string]func(*gateway) *posting{"upload": upload, "chat": chat} {
			t.Run(name+" "+way, func(t *testing.T) {
				g := mustGateway(t, setup{})
				test.script(g)
				p := begin(g)
				g.await("the site reads", func() bool { return g.requested(test.endpoint) >= test.n })
				p.gone(g)
				asked := g.requested(emulator.EndpointFileStatus)
				// Only another document's state is asked for from now on.
				g.site.Parse(emulator.Parsing{Pending: pending})
				g.mustUpload(t, textFile("b.txt", "another text"))
				if now := g.requested(emulator.EndpointFileStatus); now != asked+pending+1 {
					t.Errorf("the state was asked for %d times more", now-asked)
				}
				if n := g.requested(emulator.EndpointCompletions); n != 0 {
					t.Errorf("%d prompts were sent", n)
				}
			})
		}
	}
}
