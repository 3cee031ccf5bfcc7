package caddyqwen

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// mustSite starts the emulated site.
func mustSite(t *testing.T) *emulator.Server {
	t.Helper()
	site, err := emulator.Start(emulator.Options{})
	must(t, err)
	t.Cleanup(site.Close)
	return site
}

// hanging begins streams at a process that do not end, and returns when all of them
// have begun.
func (p *process) hanging(t *testing.T, n int, fields string) (streams []*posting) {
	t.Helper()
	before := p.site.Active()
	for range n {
		p.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Hang()))
		streams = append(streams, p.carry(chatRequest(t, fields)))
	}
	defer func() {
		if t.Failed() {
			for _, x := range streams {
				select {
				case got := <-x.done:
					t.Logf("an answer: %d %s %v", got.status, got.body, got.err)
				default:
					t.Log("no answer")
				}
			}
			for _, c := range p.site.Completions() {
				t.Logf("%+v", c)
			}
			t.Log(p.log.String())
		}
	}()
	eventually(t, "the answers have begun", func() bool {
		begun := 0
		for _, c := range p.site.Completions() {
			if !c.Ended && c.Frames > 1 {
				begun++
			}
		}
		return begun >= before+n
	})
	return streams
}

// mustBeTold checks that a stream ended with an error, without [DONE].
func mustBeTold(t *testing.T, stream string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the stream was cut: %v", err)
	}
	data := events(t, stream)
	if len(data) == 0 || !strings.Contains(data[len(data)-1], `"code":"server_stopping"`) || strings.Contains(stream, "[DONE]") {
		t.Errorf("the stream ended with %s", tail(stream))
	}
}

// room is a configuration with places for many answers.
const room = "max_streams_per_key 64\nmax_streams_per_account 64\nqueue_length 64\nqueue_wait 1m\nfirst_byte_hold 1m\n"

// slack is for machines that are busy with other tests.
func slack() time.Duration {
	if raceDetector {
		return soon
	}
	return soon / 4
}

// When the process is told to stop, streams go on for a while and are then told.
func TestDrainProcess(t *testing.T) {
	for name, test := range map[string]struct {
		global, qwen string
		drain, most  time.Duration
	}{
		"R07 with a grace period":         {"grace_period 4s", "", 2 * time.Second, 5 * time.Second},
		"R08 without a grace period":      {"", "drain_timeout 1s\n", time.Second, 1*time.Second + soon},
		"R07 with a very short one":       {"grace_period 1s", "", time.Second / 2, 2 * time.Second},
		"R07 with a shorter drain_timout": {"grace_period 1m", "drain_timeout 1s\n", time.Second, 1*time.Second + soon},
	} {
		t.Run(name, func(t *testing.T) {
			const streams, whole = 20, 3
			p := mustRun(t, mustSite(t), setup{global: test.global, qwen: room + test.qwen + "chats temporary"})
			told := p.hanging(t, streams, `"stream":true`)
			unopened := p.hanging(t, whole, "")
			gate := make(chan struct{})
			p.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer(firstWords), emulator.Wait(gate), emulator.Finish()))
			lucky := p.carry(chatRequest(t, `"stream":true`))
			eventually(t, "the last answer has begun", func() bool { return p.site.Active() == streams+whole+1 })
			begin := time.Now()
			must(t, p.cmd.Process.Signal(syscall.SIGTERM))
			close(gate)
			if text, complete := streamed(t, (<-lucky.done).body); !complete || text != firstWords {
				t.Errorf("a stream that ended in time: %q", text)
			}
			for _, x := range told {
				got := <-x.done
				mustBeTold(t, got.body, got.err)
			}
			if took := time.Since(begin); took < test.drain {
				t.Errorf("the streams ended after %v", took)
			}
			for _, x := range unopened {
				wantStopping.check(t, <-x.done)
			}
			p.mustEnd(t)
			if took := time.Since(begin); took > test.most+slack() {
				t.Errorf("it took %v", took)
			}
			if n := strings.Count(p.log.String(), fmt.Sprintf(`"requests":%d`, streams+whole)); n != 1 {
				t.Errorf("the log says %d times how many requests were told to end:\n%s", n, p.log.String())
			}
			stopped := 0
			for _, c := range p.site.Completions() {
				if c.Stopped {
					stopped++
				}
			}
			if stopped != streams+whole || len(p.site.ChatIDs()) > 0 {
				t.Errorf("the site was told to stop %d of %d answers, and %d chats are left", stopped, streams+whole, len(p.site.ChatIDs()))
			}
		})
	}
}

// What has not begun when the process is told to stop ends at once.
func TestDrainProcessAtOnce(t *testing.T) {
	p := mustRun(t, mustSite(t), setup{qwen: "max_streams_per_account 1\nqueue_wait 1m\ndrain_timeout 3s"})
	running := p.hanging(t, 1, `"stream":true`)[0]
	waiting := p.carry(chatRequest(t, ""))
	var open []net.Conn
	dial := func(begin string) {
		conn, err := net.Dial("unix", p.socket)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = conn.Write([]byte(begin))
		must(t, err)
		open = append(open, conn)
	}
	const head = "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + testKey + "\r\nContent-Type: %s\r\nContent-Length: 10000000\r\n\r\n"
	dial(fmt.Sprintf(head, chatPath, "application/json") + `{"model":`)
	dial(fmt.Sprintf(head, "/v1/files", "multipart/form-data; boundary=x") + "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nsome te")
	for range 2 { // until the others are in the handler
		if !p.healthy(t) {
			t.Fatal("the process does not answer")
		}
	}
	begin := time.Now()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	wantStopping.check(t, <-waiting.done)
	for _, conn := range open {
		wantStopping.check(t, mustReadReply(t, conn))
	}
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	got := <-running.done
	mustBeTold(t, got.body, got.err)
	p.mustEnd(t)
}

// The end of the process is told to requests of all configurations before.
func TestDrainProcessAfterReload(t *testing.T) {
	for name, next := range map[string]setup{
		"of the same handler":       {qwen: room + "drain_timeout 1s", site: servesNew},
		"that has no handler left":  {bare: true, site: servesNew},
		"with a short grace period": {qwen: room, global: "grace_period 2s", site: servesNew},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustRun(t, mustSite(t), setup{qwen: room + "drain_timeout 1s"})
			streams := p.hanging(t, 3, `"stream":true`)
			p.reload(t, next)
			if !next.bare {
				streams = append(streams, p.hanging(t, 2, `"stream":true`)...)
			}
			begin := time.Now()
			must(t, p.cmd.Process.Signal(syscall.SIGTERM))
			for _, x := range streams {
				got := <-x.done
				mustBeTold(t, got.body, got.err)
			}
			p.mustEnd(t)
			if took := time.Since(begin); took > 3*time.Second+slack() {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Who cannot wait says it twice.
func TestDrainProcessTwice(t *testing.T) {
	p := mustRun(t, mustSite(t), setup{qwen: room})
	stream := p.hanging(t, 1, `"stream":true`)[0]
	must(t, p.cmd.Process.Signal(os.Interrupt))
	eventually(t, "nothing new is taken", func() bool {
		conn, err := net.Dial("unix", p.socket)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	begin := time.Now()
	must(t, p.cmd.Process.Signal(os.Interrupt))
	const forced = 2
	p.mustEndWith(t, forced)
	if took := time.Since(begin); took > soon {
		t.Errorf("R09 it took %v", took)
	}
	if got := <-stream.done; got.err == nil {
		t.Error("the stream ended as if it was complete")
	}
}

// After kill -9 everything goes on with the next start.
func TestKilledProcess(t *testing.T) {
	p := mustRun(t, mustSite(t), setup{qwen: room})
	p.site.Reply(emulator.Text("The answer."))
	first := <-p.carry(chatRequest(t, "")).done
	stream := p.hanging(t, 1, `"stream":true`)[0]
	p.site.Storage().Fail(emulator.OpPart, 2, emulator.Fault{Hang: true})
	kind, body := mustForm(t, film(1, 3<<20))
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/v1/files", strings.NewReader(string(body)))
	must(t, err)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+testKey)
	upload := p.carry(r)
	eventually(t, "the upload has begun", func() bool { return len(p.site.Storage().Requests()) > 2 })
	must(t, p.cmd.Process.Kill())
	<-p.done
	<-upload.done
	if got := <-stream.done; got.err == nil {
		t.Error("the stream ended as if it was complete")
	}
	begin := time.Now()
	p.start(t, setup{qwen: room})
	if took := time.Since(begin); took > soon {
		t.Errorf("R09 it took %v to start", took)
	}
	eventually(t, "the store is open", func() bool {
		r, err := http.NewRequest(http.MethodDelete, "http://127.0.0.1"+chatsPrefix+"x", nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+testKey)
		return (<-p.carry(r).done).code() == "chat_not_found"
	})
	r = chatRequest(t, "")
	talk := talkBody([]said{user("hello"), assistant("The answer."), user("Go on.")}, "")
	r, err = http.NewRequest(http.MethodPost, r.URL.String(), strings.NewReader(talk))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+testKey)
	got := <-p.carry(r).done
	if got.status != http.StatusOK || got.header.Get("X-Qwen-Session") != "continued" || got.header.Get("X-Qwen-Chat-Id") != first.header.Get("X-Qwen-Chat-Id") {
		t.Errorf("the conversation did not go on: status %d, %v: %s", got.status, got.header, got.body)
	}
	left, err := filepath.Glob(filepath.Join(p.dir, "*", "data", "caddy", "qwen", "spool", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.mustEnd(t)
}

// The process does not end before the site has been told what it has to know.
func TestDrainProcessWaitsForTheSite(t *testing.T) {
	p := mustRun(t, mustSite(t), setup{qwen: room + "drain_timeout 100ms\nchats temporary"})
	gate := make(chan struct{})
	p.site.Fail(emulator.EndpointDelete, emulator.Text("").After(gate))
	stream := p.hanging(t, 1, `"stream":true`)[0]
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	got := <-stream.done
	mustBeTold(t, got.body, got.err)
	select {
	case <-p.done:
		t.Fatal("the process ended while the chat was being deleted")
	case <-time.After(endTime / 2):
	}
	close(gate)
	p.mustEnd(t)
}
