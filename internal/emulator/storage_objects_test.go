package emulator

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// mustStored waits until a condition about a storage holds.
func mustStored(t testing.TB, srv *StorageServer, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := srv.Await(ctx, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func TestObjects(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	a, b := newRaw(t, srv, "u/z"), newRaw(t, srv, "u/a")
	h := a.mustPut("u/z", "123456789")
	if h.Get("X-Oss-Hash-Crc64ecma") != "11051210869376104954" || h.Get("Etag") != `"25F9E794323B453885F5181F1B624D0B"` {
		t.Errorf("headers %v", h)
	}
	b.mustPut("u/a", "")
	list := srv.Objects()
	if len(list) != 2 || list[0].Key != "u/z" || list[1].Key != "u/a" || list[1].Size != 0 || list[1].SHA256 != sha(nil) {
		t.Errorf("objects %v", list)
	}
	if text := fmt.Sprint(list[0]); strings.Contains(text, "123456789") || !strings.Contains(text, "u/z") {
		t.Errorf("String: %s", text)
	}
	if text := srv.Requests()[0].String(); text != "PutObject u/z: 200 " {
		t.Errorf("String of a request: %q", text)
	}
	list[0].Body[0] = 'x'
	if o, _ := srv.Object("u/z"); string(o.Body) != "123456789" {
		t.Error("the copy of an object is the object")
	}
	a.mustPut("u/z", "again")
	if o, _ := srv.Object("u/z"); string(o.Body) != "again" || len(srv.Objects()) != 2 {
		t.Errorf("overwritten: %v", srv.Objects())
	}
	srv.Remove("u/z")
	if _, found := srv.Object("u/z"); found {
		t.Error("removed, but there")
	}
	resp, body := a.call("GET", "u/z", "", "")
	wantError(t, resp, body, 404, "NoSuchKey")
	resp, body = a.call("HEAD", "u/z", "", "")
	doc, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Oss-Err"))
	if err != nil || body != "" || resp.StatusCode != 404 || mustCode(t, string(doc)) != "NoSuchKey" || resp.Header.Get("X-Oss-Ec") != "0026-00000001" {
		t.Errorf("HEAD %d %v: %s", resp.StatusCode, resp.Header, doc)
	}
}

func TestKeys(t *testing.T) {
	for key, ok := range map[string]bool{
		strings.Repeat("x", 1023): true, strings.Repeat("x", 1024): false, `\x`: false, "/x": false, "\xff": false, "": false, "相": true, "x//y": true,
	} {
		if validKey(key) != ok {
			t.Errorf("%q: %t", key, !ok)
		}
		if ok || key == "" {
			continue
		}
		srv := mustStorage(t, StorageOptions{})
		resp, body := newRaw(t, srv, key).call("PUT", key, "", "x")
		wantError(t, resp, body, 400, "InvalidObjectName")
	}
}

// The bucket itself is nobody's to read.
func TestBuckets(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	for _, query := range []string{"", "uploads", "prefix=x"} {
		resp, body := c.call("GET", "", query, "")
		wantError(t, resp, body, 403, "AccessDenied")
	}
	resp, err := c.http.Get(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, resp, mustReadAll(t, resp), 403, "AccessDenied")
	if list := srv.Requests(); len(list) != 4 || list[0].Op != OpUnknown {
		t.Errorf("recorded %v", list)
	}
}

// exchange sends bytes and returns the first line of the answer.
func exchange(t testing.TB, srv *StorageServer, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\r\n")
	return line
}

// wire is a signed request as bytes, with other headers about its length.
func (c *raw) wire(method, key, query, length, body string) string {
	r := c.request(method, key, query, nil)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", method, r.URL.RequestURI(), length)
	_ = r.Header.Write(&b) // a Builder takes everything
	return b.String() + "\r\n" + body
}

func TestLengths(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	part := "partNumber=1&uploadId=" + c.mustInitiate("k")
	const chunked = "Transfer-Encoding: chunked\r\n"
	for _, tc := range []struct {
		name, query, length, body, want string
	}{
		{"object of known length", "", "Content-Length: 5\r\n", "hello", "200"},
		{"object of length 0", "", "Content-Length: 0\r\n", "", "200"},
		{"object in chunks", "", chunked, "5\r\nhello\r\n0\r\n\r\n", "200"},
		{"object of no length", "", "", "", "411"},
		{"part of known length", part, "Content-Length: 5\r\n", "hello", "200"},
		{"part in chunks", part, chunked, "5\r\nhello\r\n0\r\n\r\n", "411"},
		{"part of no length", part, "", "", "411"},
	} {
		if got := exchange(t, srv, c.wire("PUT", "k", tc.query, tc.length, tc.body)); !strings.Contains(got, " "+tc.want+" ") {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}

func TestTooLong(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	w := httptest.NewRecorder()
	r := c.request("PUT", "k", "", strings.NewReader("x"))
	r.ContentLength = maxObject + 1
	r.Header.Set("Content-Length", "5368709121")
	srv.ServeHTTP(w, r)
	if w.Code != 400 || mustCode(t, w.Body.String()) != "EntityTooLarge" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A body that ends early stores nothing.
func TestHalfSentObject(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, c.wire("PUT", "k", "", "Content-Length: 3000000\r\n", strings.Repeat("x", 2<<20))); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	mustStored(t, srv, "the end", func() bool { list := srv.Requests(); return len(list) == 1 && list[0].Ended })
	if r := srv.Requests()[0]; !r.Lost || r.Status != 0 || len(srv.Objects()) != 0 || r.BodySize > 2<<20 {
		t.Errorf("recorded %+v, stored %v", r, srv.Objects())
	}
}

func TestDiscard(t *testing.T) {
	srv := mustStorage(t, StorageOptions{Discard: true, NoRecord: true})
	c := newRaw(t, srv, "k")
	body := string(pattern(700_000))
	h := c.mustPut("k", body)
	o, _ := srv.Object("k")
	if o.Size != 700_000 || o.Body != nil || o.SHA256 != "" || h.Get("Etag") != o.ETag || len(o.ETag) != 34 {
		t.Errorf("stored %v %s", o, o.ETag)
	}
	plain := mustStorage(t, StorageOptions{})
	if kept := newRaw(t, plain, "k").mustPut("k", body); kept.Get(crcHeader) != h.Get(crcHeader) {
		t.Errorf("CRC %s, want %s", h.Get(crcHeader), kept.Get(crcHeader))
	}
	id := c.mustInitiate("k")
	first, second := c.mustPart("k", id, 1, bigPart), c.mustPart("k", id, 2, "x")
	if resp, text := c.complete("k", id, 1, first, 2, second); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if o, _ := srv.Object("k"); o.Size != int64(len(bigPart)+1) || o.Parts != 2 {
		t.Errorf("stored %v", o)
	}
	resp, text := c.call("GET", "k", "", "")
	wantError(t, resp, text, 501, "NotImplemented")
	if resp, _ := c.call("HEAD", "k", "", ""); resp.StatusCode != 200 || resp.ContentLength != int64(len(bigPart)+1) {
		t.Errorf("HEAD %d %v", resp.StatusCode, resp.Header)
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestManyUploadsAtOnce(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			key := fmt.Sprint("u/", i)
			c := newRaw(t, srv, key)
			for n := range 5 {
				c.mustPut(key, fmt.Sprint(i, n))
				id := c.mustInitiate(key)
				c.mustPart(key, id, 1, "x")
				c.call("DELETE", key, "uploadId="+id, "")
				_ = srv.Objects()
				_ = srv.Requests()
				_ = srv.Uploads()
			}
		})
	}
	clients.Wait()
	if len(srv.Objects()) != 8 || srv.OpenUploads() != 0 || len(srv.Requests()) != 8*5*4 {
		t.Errorf("%d objects, %d uploads, %d records", len(srv.Objects()), srv.OpenUploads(), len(srv.Requests()))
	}
}

func TestStorageAwait(t *testing.T) {
	s := NewStorage(StorageOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.AwaitOpenUploads(ctx, 1) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() { result <- s.AwaitOpenUploads(t.Context(), 1) }()
	s.Close()
	s.Close()
	if err := <-result; !errors.Is(err, errStorageClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := s.AwaitOpenUploads(t.Context(), 0); err != nil {
		t.Errorf("what holds already: %v", err)
	}
}

// The storage may be served by another server, also without one.
func TestStorageIsAHandler(t *testing.T) {
	s := NewStorage(StorageOptions{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, &http.Request{Method: "GET", URL: mustURL(t, s.Link("k", time.Minute)), Host: "qwen-webui-prod.x", Header: http.Header{}})
	if w.Code != 404 || mustCode(t, w.Body.String()) != "NoSuchKey" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
