package oss

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPartSizes(t *testing.T) {
	const mib = 1 << 20
	cases := []struct{ own, size, want int64 }{
		{0, 1, mib},
		{0, 16 * mib, mib},
		{0, 32 * mib, 2 * mib},
		{0, 96 * mib, 6 * mib},
		{0, 500 * mib, 6 * mib},
		{0, 60_000 * mib, 6 * mib},
		{0, 60_001 * mib, 6*mib + 256<<10},
		{1, 1000, 100 << 10},
		{5 * mib, 10, 5 * mib},
		{100 << 10, 10_000 * 100 << 10, 100 << 10},
		{100 << 10, 10_000*100<<10 + 1, 256 << 10},
	}
	for _, c := range cases {
		got := (&Client{PartSize: c.own}).partSize(c.size)
		if got != c.want {
			t.Errorf("parts of %d bytes for %d, want %d", got, c.size, c.want)
		}
		if n := (c.size + got - 1) / got; n > maxParts {
			t.Errorf("%d parts for %d bytes", n, c.size)
		}
	}
	for size := int64(1); size < 1<<44; size += size/7 + 1 {
		part := new(Client).partSize(size)
		if n := (size + part - 1) / part; n > maxParts || part < mib {
			t.Errorf("%d parts of %d for %d bytes", n, part, size)
		}
	}
}

func TestProgress(t *testing.T) {
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		for _, size := range []int{0, 1, 7 * minPart} {
			t.Run(fmt.Sprint(method, size), func(t *testing.T) {
				if method == MultipartUpload && size == 0 {
					t.Skip("empty objects have no parts")
				}
				f := mustFake(t)
				var tried sync.Map
				f.faults = func(c *fakeCall) fault { // the first attempt of everything fails
					if _, again := tried.LoadOrStore(fmt.Sprint(c.op, c.part), true); !again && c.op != "abort" {
						return fault{status: 500, code: "InternalError"}
					}
					return fault{}
				}
				var inside atomic.Int32
				var seen []int64
				err := f.client().Upload(t.Context(), f.grant, testObject(testData(size)), []Method{method}, func(n int64) {
					if inside.Add(1) != 1 {
						t.Error("two calls at a time")
					}
					seen = append(seen, n)
					inside.Add(-1)
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(seen) == 0 || !slices.IsSorted(seen) || seen[len(seen)-1] != int64(size) {
					t.Errorf("%v", seen)
				}
				if len(slices.Compact(seen)) != len(seen) || slices.Max(seen) > int64(size) {
					t.Errorf("told twice: %v", seen)
				}
			})
		}
	}
}

func TestProgressStartsOverWithTheNextMethod(t *testing.T) {
	f := mustFake(t)
	f.faults = always("put", fault{status: 403, code: "AccessDenied"})
	var seen []int64
	const size = 20 * minPart
	if err := f.client().Upload(t.Context(), f.grant, testObject(testData(size)), []Method{PutObject, PostForm},
		func(n int64) { seen = append(seen, n) }); err != nil {
		t.Fatal(err)
	}
	if slices.IsSorted(seen) || seen[len(seen)-1] != size || slices.Max(seen) != size {
		t.Errorf("%v", seen)
	}
}

func TestPartsGoOutInParallel(t *testing.T) {
	for parallel, want := range map[int]int32{0: 3, 1: 1, 5: 5} {
		f := mustFake(t)
		c := f.client()
		c.Parallel = parallel
		var now, most atomic.Int32
		gate := make(chan struct{})
		f.faults = func(call *fakeCall) fault {
			if call.op != "part" {
				return fault{}
			}
			return fault{during: func() {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if n == want {
					close(gate) // as many as there may be are here
				}
				<-gate
			}}
		}
		// Exactly as many parts as go out together, so that the gate opens once.
		data := testData(int(want) * minPart)
		if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload}, nil); err != nil {
			t.Fatal(err)
		}
		f.mustHold(data, "image/png")
		if most.Load() != want {
			t.Errorf("%d at a time, want %d", most.Load(), want)
		}
	}
}

func TestNoMorePartsThanAllowedAtATime(t *testing.T) {
	f := mustFake(t)
	var now atomic.Int32
	f.faults = func(call *fakeCall) fault {
		if call.op != "part" {
			return fault{}
		}
		if n := now.Add(1); n > 3 {
			t.Errorf("%d parts at a time", n)
		}
		return fault{afterward: func(*fake, *fakeCall) { now.Add(-1) }}
	}
	if err := f.client().Upload(t.Context(), f.grant, testObject(testData(30*minPart)), []Method{MultipartUpload}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestGrantsDoNotPrintKeys(t *testing.T) {
	g := testGrant()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		text := fmt.Sprintf(verb+" "+verb, g, &g)
		if strings.Contains(text, g.AccessKeySecret) || strings.Contains(text, "CAIS") || strings.Contains(text, g.AccessKeyID) {
			t.Errorf("%s shows keys: %s", verb, text)
		}
	}
}

func TestOwnTransport(t *testing.T) {
	f := mustFake(t)
	c := &Client{Endpoint: f.client().Endpoint}
	defer c.CloseIdleConnections()
	data := testData(3)
	if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{PutObject}, nil); err != nil {
		t.Fatal(err)
	}
	f.mustHold(data, "image/png")
	if c.ownTransport().Protocols.HTTP2() || !c.ownTransport().DisableCompression {
		t.Error("HTTP/1.1 without compression is what uploads need")
	}
	if c.stallTimeout() != 30*time.Second || c.answerTimeout() != time.Minute {
		t.Error("timeouts are not as documented")
	}
}

func TestRequestsCarryWhatTheyMust(t *testing.T) {
	f := mustFake(t)
	f.faults = func(c *fakeCall) fault {
		h := c.req.Header
		if h.Get("Authorization") != "" && (h.Get("x-oss-content-sha256") != unsigned || h.Get("x-oss-security-token") == "") {
			t.Errorf("%s: %v", c.op, h)
		}
		if len(c.req.TransferEncoding) > 0 || c.req.Method != http.MethodDelete && c.req.ContentLength < 0 {
			t.Errorf("%s has no length", c.op)
		}
		if c.op == "post" && (h.Get("Authorization") != "" || c.req.URL.RawQuery != "") {
			t.Errorf("a form is signed inside: %v", h)
		}
		return fault{}
	}
	for _, m := range []Method{PostForm, MultipartUpload, PutObject} {
		if err := f.client().Upload(t.Context(), f.grant, testObject(testData(2*minPart)), []Method{m}, nil); err != nil {
			t.Error(err)
		}
	}
}
