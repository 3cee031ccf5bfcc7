package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Each fault of a PutObject, and whether the object is there afterwards.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  Fault
		status int // 0: no answer
		code   string
		stored bool
	}{
		{"status", Fault{Status: 503, Code: "ServiceUnavailable", EC: "0001-1"}, 503, "ServiceUnavailable", false},
		{"status alone", Fault{Status: 500}, 500, "InternalError", false},
		{"status after the effect", Fault{Status: 500, Late: true}, 500, "InternalError", true},
		{"reset", Fault{Reset: true}, 0, "", false},
		{"reset after the effect", Fault{Reset: true, Late: true}, 0, "", true},
		{"drop", Fault{Drop: true}, 0, "", false},
		{"drop after the effect", Fault{Drop: true, Late: true}, 0, "", true},
		{"cut", Fault{Cut: 100_000}, 0, "", false},
		{"cut after the end", Fault{Cut: 1 << 30}, 200, "", true},
		{"slow", Fault{Pause: time.Microsecond}, 200, "", true},
		{"slow and failing", Fault{Pause: time.Microsecond, Status: 500}, 500, "InternalError", false},
		{"wrong CRC", Fault{WrongCRC: true}, 200, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, "k")
			srv.Fail(OpPut, 1, tc.fault)
			body := pattern(300_000)
			r := c.request("PUT", "k", "", bytes.NewReader(body))
			r.GetBody = nil // no silent repetition
			if tc.status == 0 {
				err := c.fails(r)
				if tc.fault.Reset && tc.fault.Late && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("error %v", err)
				}
			} else {
				resp, text := c.do(r)
				wantError(t, resp, text, tc.status, tc.code)
				if !strings.Contains(text, tc.fault.EC) {
					t.Errorf("answered %s", text)
				}
			}
			mustStored(t, srv, "the end", func() bool { list := srv.Requests(); return len(list) == 1 && list[0].Ended })
			if o, found := srv.Object("k"); found != tc.stored || found && !bytes.Equal(o.Body, body) {
				t.Errorf("stored: %t", found)
			}
			if r := srv.Requests()[0]; r.Status != tc.status || r.Code != tc.code || !r.Faulty || r.Lost != (tc.status == 0) {
				t.Errorf("recorded %+v", r)
			}
			c.mustPut("k", "the next call is as always")
		})
	}
}

func TestFaultOrder(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	statuses := func(n int) string {
		var b strings.Builder
		for range n {
			resp, _ := c.call("PUT", "k", "", "x")
			b.WriteString(resp.Status[:3] + " ")
		}
		return b.String()
	}
	srv.Fail(OpPut, 3, Fault{Status: 503})
	srv.Fail(OpPut, 1, Fault{Status: 500})
	srv.Fail(OpHead, 1, Fault{Status: 599})
	if got := statuses(4); got != "500 200 503 200 " {
		t.Errorf("third and first: %s", got)
	}
	srv.Fail(OpPut, 2, Fault{Status: 501})
	srv.Fail(OpPut, 0, Fault{Status: 500})
	if got := statuses(4); got != "500 501 500 500 " {
		t.Errorf("second before every: %s", got)
	}
	srv.Heal()
	if got := statuses(1); got != "200 " {
		t.Errorf("healed: %s", got)
	}
	for _, f := range []func(){
		func() { srv.Fail("put", 1, Fault{}) }, func() { srv.Fail(OpPut, -1, Fault{}) }, func() { srv.Fail(OpPut, 1, Fault{Hang: true, Drop: true}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a mistake in a plan is not noticed")
				}
			}()
			f()
		}()
	}
}

// Every operation can fail.
func TestFaultOperations(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	c.mustPut("k", "x")
	id := c.mustInitiate("k")
	for op, r := range map[string]*http.Request{
		OpPut:      c.request("PUT", "k", "", strings.NewReader("x")),
		OpPost:     c.form(c.newPost("k", "x")),
		OpGet:      c.request("GET", "k", "", nil),
		OpHead:     c.request("HEAD", "k", "", nil),
		OpInitiate: c.request("POST", "k", "uploads", nil),
		OpPart:     c.request("PUT", "k", "partNumber=1&uploadId="+id, strings.NewReader("x")),
		OpParts:    c.request("GET", "k", "uploadId="+id, nil),
		OpComplete: c.request("POST", "k", "uploadId="+id, strings.NewReader("x")),
		OpAbort:    c.request("DELETE", "k", "uploadId="+id, nil),
		OpUnknown:  c.request("DELETE", "k", "", nil),
	} {
		srv.Fail(op, 1, Fault{Status: 418, Code: "Teapot"})
		resp, _ := c.do(r)
		if resp.StatusCode != 418 {
			t.Errorf("%s: %d", op, resp.StatusCode)
		}
		list := srv.Requests()
		if last := list[len(list)-1]; last.Op != op || last.Code != "Teapot" {
			t.Errorf("%s: recorded %+v", op, last)
		}
	}
	if srv.OpenUploads() != 1 {
		t.Errorf("%d uploads are open", srv.OpenUploads())
	}
}

// The answer to a call is lost, but the call had its effect.
func TestLostComplete(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	id := c.mustInitiate("k")
	etag := c.mustPart("k", id, 1, "hello")
	srv.Fail(OpComplete, 1, Fault{Drop: true, Late: true})
	r := c.request("POST", "k", "uploadId="+id, strings.NewReader("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>"))
	r.GetBody = nil
	c.fails(r)
	resp, body := c.complete("k", id, 1, etag)
	wantError(t, resp, body, 404, "NoSuchUpload")
	if resp, _ := c.call("HEAD", "k", "", ""); resp.ContentLength != 5 || resp.Header.Get(crcHeader) == "" {
		t.Errorf("HEAD %v", resp.Header)
	}
}

// A bit of a part flips while it is stored; the answer says what is stored.
func TestFlip(t *testing.T) {
	for _, discard := range []bool{false, true} {
		srv := mustStorage(t, StorageOptions{Discard: discard})
		c := newRaw(t, srv, "k")
		id := c.mustInitiate("k")
		srv.Fail(OpPart, 1, Fault{Flip: true})
		broken, _ := c.part("k", id, 1, "hello")
		good, _ := c.part("k", id, 2, "hello")
		if broken.Header.Get(crcHeader) == good.Header.Get(crcHeader) || broken.Header.Get("Etag") == good.Header.Get("Etag") {
			t.Errorf("headers %v", broken.Header)
		}
		c.complete("k", id, 1, broken.Header.Get("Etag"))
		if o, _ := srv.Object("k"); !discard && string(o.Body) != "iello" || o.Size != 5 {
			t.Errorf("stored %q", o.Body)
		}
	}
}

func TestGate(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	gate := make(chan struct{})
	srv.Fail(OpPut, 1, Fault{Gate: gate})
	done := make(chan int, 1)
	r := c.request("PUT", "k", "", strings.NewReader("x"))
	go func() {
		resp, err := c.http.Do(r)
		if err != nil {
			done <- 0
			return
		}
		defer resp.Body.Close()
		done <- resp.StatusCode
	}()
	mustStored(t, srv, "the request", func() bool { return len(srv.Requests()) == 1 })
	if r := srv.Requests()[0]; r.Ended || len(srv.Objects()) != 0 {
		t.Errorf("before: %+v", r)
	}
	close(gate)
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
}

// A hanging storage lets go of clients that leave, and of all when it closes.
func TestHang(t *testing.T) {
	t.Run("the client leaves", func(t *testing.T) {
		srv := mustStorage(t, StorageOptions{})
		c := newRaw(t, srv, "k")
		srv.Fail(OpPut, 1, Fault{Hang: true, Late: true})
		ctx, cancel := context.WithCancel(t.Context())
		r := c.request("PUT", "k", "", strings.NewReader("x")).WithContext(ctx)
		done := make(chan error, 1)
		go func() {
			_, err := c.http.Do(r) // there is no answer to close
			done <- err
		}()
		mustStored(t, srv, "the object", func() bool { return len(srv.Objects()) == 1 })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		mustStored(t, srv, "the end", func() bool { return srv.Requests()[0].Ended })
	})
	for name, f := range map[string]Fault{"hang": {Hang: true}, "gate": {Gate: make(chan struct{})}, "pause": {Pause: 1 << 40}} {
		t.Run("the storage closes: "+name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			srv, err := NewStorageServer(NewStorage(StorageOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			tr := &http.Transport{}
			c := newRaw(t, srv, "k")
			c.http = &http.Client{Transport: tr}
			srv.Fail(OpPut, 1, f)
			done := make(chan error, 1)
			r := c.request("PUT", "k", "", strings.NewReader("x"))
			r.GetBody = nil
			go func() {
				resp, err := c.http.Do(r)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				done <- err
			}()
			mustStored(t, srv, "the request", func() bool { return len(srv.Requests()) == 1 })
			srv.Close()
			if <-done == nil {
				t.Error("answered")
			}
			srv.Close() // does nothing
			tr.CloseIdleConnections()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
	}
}

// A refusal reaches the client even if much of the body is on its way.
func TestRefusalOfLargeBody(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	c.grant.AccessKeySecret = "wrong"
	for range 5 {
		resp, body := c.do(c.request("PUT", "k", "", bytes.NewReader(make([]byte, 4<<20))))
		wantError(t, resp, body, 403, "SignatureDoesNotMatch")
	}
	// Who asks first is told before.
	r := c.request("PUT", "k", "", &interrupted{parts: []string{"never", "sent"}, between: func() { t.Error("the body was sent") }})
	r.ContentLength = 9
	r.Header.Set("Expect", "100-continue")
	c.http.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	resp, body := c.do(r)
	wantError(t, resp, body, 403, "SignatureDoesNotMatch")
}
