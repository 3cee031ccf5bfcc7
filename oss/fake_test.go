package oss

import (
	"bytes"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A fault changes what the fake does with one request.
type fault struct {
	status    int                        // answer this, do nothing
	code      string                     // with this code
	header    map[string]string          // and these headers
	reset     bool                       // close the connection, do nothing
	lose      bool                       // do it, then close the connection
	afterJoin bool                       // do it, then answer status and code
	hang      bool                       // do nothing until the client has gone
	deaf      bool                       // do not even read the body
	badCRC    bool                       // do it, answer another checksum
	noCRC     bool                       // do it, answer no checksum
	noETag    bool                       // do it, answer no ETag
	body      string                     // answer this text
	during    func()                     // called before anything is done
	afterward func(f *fake, r *fakeCall) // called when it is done, under the lock
}

// A fakeCall is one request as the fake understood it.
type fakeCall struct {
	op    string
	n     int // counted from 1 within the operation
	part  int
	key   string
	query url.Values
	req   *http.Request
	body  []byte
}

type fakeUpload struct {
	key, ctype string
	parts      map[int][]byte
}

type fakeObject struct {
	data  []byte
	ctype string
}

// A fake is a small strict storage for one bucket, both in path style and by
// virtual host. It verifies every signature with code that is not ours.
type fake struct {
	t      testing.TB
	grant  Grant
	server *httptest.Server
	faults func(c *fakeCall) fault
	ahead  time.Duration // of its clock
	drop   bool          // discard bodies, for benchmarks
	quit   chan struct{} // closed when the fake is to end

	mu      sync.Mutex
	objects map[string]fakeObject
	uploads map[string]*fakeUpload
	opened  int
	calls   map[string]int
	log     []string
	dates   []string
}

func newFake(t testing.TB) *fake {
	f := &fake{
		t: t, grant: testGrant(), objects: map[string]fakeObject{}, uploads: map[string]*fakeUpload{},
		calls: map[string]int{}, quit: make(chan struct{}), faults: func(*fakeCall) fault { return fault{} },
	}
	return f
}

// mustFake starts a fake on loopback.
func mustFake(t testing.TB) *fake {
	t.Helper()
	f := newFake(t)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.close)
	return f
}

// close ends the fake; when it returns, all requests have ended.
func (f *fake) close() {
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
	f.server.Close()
}

func testGrant() Grant {
	return Grant{
		AccessKeyID: "STS.id", AccessKeySecret: "the-secret", SecurityToken: "CAIS+token/with=signs==",
		Endpoint: "oss-accelerate.aliyuncs.com", Region: "oss-ap-southeast-1",
		Bucket: "qwen-webui-prod", Key: "user/1234_an image+100% ½ 图.png",
	}
}

// client returns a client of the fake that does not wait between attempts.
func (f *fake) client() *Client {
	u, err := url.Parse(f.server.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	transport := &http.Transport{}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &Client{
		Transport: transport, Endpoint: u, PartSize: minPart,
		backoff: func(int) time.Duration { return 0 },
	}
}

// count returns how many requests of the operation came.
func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// open returns how many multipart uploads are open.
func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.uploads)
}

func (f *fake) object(key string) (fakeObject, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.objects[key]
	return o, ok
}

// mustHold fails unless the fake holds exactly the data and nothing is open.
func (f *fake) mustHold(data []byte, ctype string) {
	f.t.Helper()
	o, ok := f.object(f.grant.Key)
	if !ok || !bytes.Equal(o.data, data) || o.ctype != ctype {
		f.t.Errorf("stored %v: %d bytes of %s, want %d of %s", ok, len(o.data), o.ctype, len(data), ctype)
	}
	if n := f.open(); n != 0 {
		f.t.Errorf("%d uploads are open", n)
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &fakeCall{req: r, query: r.URL.Query()}
	if !f.locate(c) {
		f.refuse(w, 404, "NoSuchBucket")
		return
	}
	f.mu.Lock()
	f.calls[c.op]++
	c.n = f.calls[c.op]
	f.log = append(f.log, c.op)
	f.mu.Unlock()
	ft := f.faults(c)
	if ft.during != nil {
		ft.during()
	}
	if ft.deaf { // a server that does not read does not notice either that the client goes
		<-f.quit
		return
	}
	var err error
	if c.body, err = f.read(r); err != nil {
		return
	}
	f.answer(w, c, ft)
}

func (f *fake) read(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		f.t.Errorf("%s %s came without a length", r.Method, r.URL.Path)
	}
	if f.drop && r.Method == http.MethodPut {
		h := crc64.New(crcTable)
		_, err := io.Copy(h, r.Body)
		return []byte(strconv.FormatUint(h.Sum64(), 10)), err
	}
	return io.ReadAll(r.Body)
}

func (f *fake) answer(w http.ResponseWriter, c *fakeCall, ft fault) {
	switch {
	case ft.hang:
		<-c.req.Context().Done()
	case ft.reset:
		panic(http.ErrAbortHandler)
	case ft.status != 0 && !ft.afterJoin:
		for k, v := range ft.header {
			w.Header().Set(k, v)
		}
		f.refuse(w, ft.status, ft.code)
	default:
		if status, code := f.authentic(c); code != "" {
			f.refuse(w, status, code)
			return
		}
		f.mu.Lock()
		status, code := f.execute(w.Header(), c)
		if ft.afterward != nil {
			ft.afterward(f, c)
		}
		f.mu.Unlock()
		if ft.afterJoin {
			status, code = ft.status, ft.code
		}
		f.finish(w, c, ft, status, code)
	}
}

func (f *fake) finish(w http.ResponseWriter, c *fakeCall, ft fault, status int, code string) {
	if ft.lose {
		panic(http.ErrAbortHandler)
	}
	if code != "" {
		f.refuse(w, status, code)
		return
	}
	if ft.badCRC {
		w.Header().Set("x-oss-hash-crc64ecma", "1")
	}
	if ft.noCRC {
		w.Header().Del("x-oss-hash-crc64ecma")
	}
	if ft.noETag {
		w.Header().Del("ETag")
	}
	text := ft.body
	if text == "" && c.op == "initiate" {
		text = `<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>` + w.Header().Get("X-Id") + `</UploadId></InitiateMultipartUploadResult>`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// refuse answers an error the way the storage does; to HEAD in a header.
func (f *fake) refuse(w http.ResponseWriter, status int, code string) {
	now := time.Now().Add(f.ahead).UTC()
	if w.Header().Get("Date") == "" {
		w.Header().Set("Date", now.Format(http.TimeFormat))
	}
	w.Header().Set("x-oss-request-id", "the-request")
	w.WriteHeader(status)
	if status/100 != 3 {
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message><RequestId>the-request</RequestId>`+
			`<ServerTime>%s</ServerTime><EC>0001-00000001</EC></Error>`, code, now.Format("2006-01-02T15:04:05.000Z"))
	}
}

// only returns faults for one operation: the n-th request gets the n-th fault,
// those after the last none.
func only(op string, list ...fault) func(*fakeCall) fault {
	return func(c *fakeCall) fault {
		if c.op == op && c.n <= len(list) {
			return list[c.n-1]
		}
		return fault{}
	}
}

// always returns the same fault for every request of an operation.
func always(op string, ft fault) func(*fakeCall) fault {
	return only(op, slices.Repeat([]fault{ft}, 1000)...)
}
