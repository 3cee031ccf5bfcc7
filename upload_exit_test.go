package caddyqwen

import (
	"bytes"
	"context"
	"fmt"
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
	socket string
	dir    string
	done   chan error
}

// mustRun starts a process with the emulated site, and waits until it answers.
func mustRun(t *testing.T, site *emulator.Server) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "qwen") // paths of sockets must be short
	must(t, err)
	p := &process{socket: filepath.Join(dir, "http.sock"), dir: dir, done: make(chan error, 1)}
	config := filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `{
		admin off
		persist_config off
		auto_https off
		log default {
			level DEBUG
		}
	}
	http:// {
		bind unix/%s
		log
		qwen {
			base_url %s
			storage_endpoint %s
			sessions sqlite %s
			account {
				token %s
			}
			api_key %s
		}
	}`, p.socket, site.URL(), site.StorageURL(), filepath.Join(dir, "sessions.db"), testToken, testKey), 0o600))
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestUploadProcess$")
	p.cmd.Env = append(os.Environ(), configEnv+"="+config, "TMPDIR="+dir)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	must(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended unless the test has failed
		os.RemoveAll(dir)
	})
	eventually(t, "the process answers", func() bool {
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1/health", nil)
		must(t, err)
		return (<-p.carry(r).done).status == http.StatusOK
	})
	return p
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

// TestUploadProcess is Caddy itself in the processes of the tests below.
func TestUploadProcess(t *testing.T) {
	config := os.Getenv(configEnv)
	if config == "" {
		return
	}
	os.Args = []string{"caddy", "run", "--config", config, "--adapter", "caddyfile"}
	caddycmd.Main() // does not return
}

func TestUploadExit(t *testing.T) {
	upload := func(fields ...field) *http.Request {
		kind, body := mustForm(t, fields...)
		path := "/v1/files"
		if fields[0].name != "file" {
			path = "/v1/" + fields[0].name + "/upload_and_chat"
		}
		r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1"+path, bytes.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+testKey)
		return r
	}
	asked := film(1, 3<<20)
	asked.name = "video"
	for name, test := range map[string]struct {
		fields []field
		script func(*emulator.Server)
		begun  func(*emulator.Server) bool
	}{
		"U22 while a part goes up": {[]field{film(1, 3<<20)},
			func(s *emulator.Server) { s.Storage().Fail(emulator.OpPart, 2, emulator.Fault{Hang: true}) },
			func(s *emulator.Server) bool { return len(s.Storage().Requests()) > 2 }},
		"U22 while a part of a chat goes up": {[]field{asked, {name: "prompt", value: "What?"}},
			func(s *emulator.Server) { s.Storage().Fail(emulator.OpPart, 2, emulator.Fault{Hang: true}) },
			func(s *emulator.Server) bool { return len(s.Storage().Requests()) > 2 }},
		"U22 while the grant is asked for": {[]field{image(1, 400_000)},
			func(s *emulator.Server) { s.Fail(emulator.EndpointFileGrant, emulator.HangBeforeHeaders()) },
			func(s *emulator.Server) bool { return len(s.Requests()) > 0 }},
		"U22 while a document is read": {[]field{textFile("a.txt", "text")},
			func(s *emulator.Server) { s.Parse(emulator.Parsing{Never: true}) },
			func(s *emulator.Server) bool { return len(s.Requests()) > 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			site, err := emulator.Start(emulator.Options{})
			must(t, err)
			t.Cleanup(site.Close)
			test.script(site)
			p := mustRun(t, site)
			x := p.carry(upload(test.fields...))
			eventually(t, "the upload has begun", func() bool { return test.begun(site) })
			told := time.Now()
			must(t, p.cmd.Process.Signal(syscall.SIGTERM))
			select {
			case got := <-x.done:
				wantStopping.check(t, got)
			case <-time.After(20 * time.Second):
				t.Fatal("the upload does not end")
			}
			select {
			case err := <-p.done:
				if err != nil {
					t.Errorf("the process ended with %v:\n%s", err, p.log.String())
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the process does not end")
			}
			if took := time.Since(told); took > 2*soon {
				t.Errorf("it took %v", took)
			}
			if n := site.Storage().OpenUploads(); n != 0 {
				t.Errorf("%d uploads are open", n)
			}
			left, err := filepath.Glob(filepath.Join(p.dir, "*", "data", "caddy", "qwen", "spool", "*"))
			if err != nil || len(left) != 0 {
				t.Errorf("temporary files are left: %v, %v", left, err)
			}
			if log := p.log.String(); !strings.Contains(log, "server_stopping") || strings.Contains(log, "DATA RACE") {
				t.Errorf("the log of the process:\n%s", log)
			}
		})
	}
}
