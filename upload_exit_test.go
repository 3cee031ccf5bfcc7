package caddyqwen

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

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
			p := mustRun(t, site, setup{})
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
			p.mustEnd(t)
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
