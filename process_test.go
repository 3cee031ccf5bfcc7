package caddyqwen

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// configEnv names the Caddyfile that a process of these tests is to run with.
const configEnv = "CADDY_QWEN_TEST_CONFIG"

var wantStopping = failed{status: 503, code: "server_stopping", class: classClient, retry: 5}

// process is `caddy run` as a process of its own.
type process struct {
	cmd    *exec.Cmd
	log    bytes.Buffer // to be read when the process has ended
	site   *emulator.Server
	socket string
	dir    string
	done   chan error
}

// mustRun starts a process with the emulated site, and waits until it answers.
func mustRun(t *testing.T, site *emulator.Server, s setup) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "qwen") // paths of sockets must be short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &process{site: site, socket: filepath.Join(dir, "http.sock"), dir: dir}
	p.start(t, s)
	return p
}

// start starts the process, which is not running.
func (p *process) start(t *testing.T, s setup) {
	t.Helper()
	p.configure(t, s)
	p.done = make(chan error, 1)
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestProcess$")
	p.cmd.Env = append(os.Environ(), configEnv+"="+p.config(), "TMPDIR="+p.dir)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	must(t, p.cmd.Start())
	cmd, done := p.cmd, p.done
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended unless the test has failed
	eventually(t, "the process answers", func() bool { return p.healthy(t) })
}

func (p *process) config() string { return filepath.Join(p.dir, "Caddyfile") }

// configure writes the configuration. With a prefix, there is no handler.
func (p *process) configure(t *testing.T, s setup) {
	t.Helper()
	block := fmt.Sprintf(`qwen {
			base_url %s
			storage_endpoint %s
			sessions sqlite %s
			account {
				token %s
			}
			api_key %s
			%s
		}`, p.site.URL(), p.site.StorageURL(), filepath.Join(p.dir, "sessions.db"), testToken, testKey, s.qwen)
	if s.bare {
		block = ""
	}
	must(t, os.WriteFile(p.config(), fmt.Appendf(nil, `{
		admin off
		persist_config off
		auto_https off
		log default {
			level DEBUG
		}
		%s
	}
	http:// {
		bind unix/%s
		log
		%s
		%s
	}`, s.global, p.socket, block, s.site), 0o600))
}

// reload has the process load another configuration, and waits until it serves and
// the one before takes no connections any more: Go's server closes a connection
// without an answer if it begins to shut down while the request is read. The setup
// must have a response for /new.
func (p *process) reload(t *testing.T, s setup) {
	t.Helper()
	idle := p.idle(t)
	p.configure(t, s)
	must(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the configuration before does not end: %v", err)
	}
	eventually(t, "the new configuration serves", func() bool { return p.get(t, "/new").body == "new" })
}

// idle returns a connection that waits for its next request. A server that shuts
// down closes it as soon as it has stopped to listen.
func (p *process) idle(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", p.socket)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"))
	must(t, err)
	if got := mustReadReply(t, conn); got.status != http.StatusOK || got.err != nil {
		t.Fatalf("status %d, %v", got.status, got.err)
	}
	return conn
}

// servesNew answers in the new configuration of a process.
const servesNew = "respond /new new"

func (p *process) get(t *testing.T, path string) reply {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	must(t, err)
	return <-p.carry(r).done
}

func (p *process) healthy(t *testing.T) bool { return p.get(t, "/health").status == http.StatusOK }

// mustEnd waits until the process has ended as it should.
func (p *process) mustEnd(t *testing.T) {
	t.Helper()
	p.mustEndWith(t, 0)
	if strings.Contains(p.log.String(), "DATA RACE") {
		t.Errorf("the log of the process:\n%s", p.log.String())
	}
}

// mustEndWith waits until the process has ended with an exit code.
func (p *process) mustEndWith(t *testing.T, code int) {
	t.Helper()
	select {
	case <-p.done:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("the process ended with %d, not %d:\n%s", got, code, p.log.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
	}
}

// chatRequest is a chat request to the process.
func chatRequest(t *testing.T, fields string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1"+chatPath, strings.NewReader(chatBody("hello", fields)))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+testKey)
	return r
}

// carry sends a request to the process.
func (p *process) carry(r *http.Request) *posting {
	ctx, cancel := context.WithCancel(context.Background())
	x := &posting{cancel, make(chan reply, 1)}
	go func() {
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.socket)
		}}
		x.done <- answerTo(transport.RoundTrip(r.WithContext(ctx)))
	}()
	return x
}

// TestProcess is Caddy itself in the processes of tests.
func TestProcess(t *testing.T) {
	config := os.Getenv(configEnv)
	if config == "" {
		return
	}
	os.Args = []string{"caddy", "run", "--config", config, "--adapter", "caddyfile"}
	caddycmd.Main() // does not return
}
