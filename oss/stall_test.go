package oss

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestStalledBody(t *testing.T) {
	for op, method := range map[string]Method{"put": PutObject, "post": PostForm, "part": MultipartUpload} {
		t.Run(op, func(t *testing.T) {
			f := mustFake(t)
			f.faults = always(op, fault{deaf: true})
			c := f.client()
			c.StallTimeout, c.Parallel, c.PartSize = 50*time.Millisecond, 1, 64<<20
			// More than the buffers between the two ends hold.
			o := testObject(testData(32 << 20))
			e := mustFail(t, c.Upload(t.Context(), f.grant, o, []Method{method, PutObject}, nil), KindTimeout)
			if !errors.Is(e, errStalled) || f.count(op) != attempts || e.Method != method {
				t.Errorf("%v, requests %v", e, f.log)
			}
		})
	}
}

func TestMissingAnswer(t *testing.T) {
	for op, method := range methodOf {
		t.Run(op, func(t *testing.T) {
			f := mustFake(t)
			f.faults = only(op, fault{hang: true})
			c := f.client()
			c.AnswerTimeout = 50 * time.Millisecond
			data := testData(10)
			if op == "initiate" {
				f.faults = only(op, fault{hang: true}, fault{hang: true})
			}
			if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{method}, nil); err != nil {
				t.Fatal(err)
			}
			f.mustHold(data, "image/png")
		})
	}
}

func TestLastingSilence(t *testing.T) {
	f := mustFake(t)
	f.faults = always("put", fault{hang: true})
	c := f.client()
	c.AnswerTimeout = 20 * time.Millisecond
	e := mustFail(t, c.Upload(t.Context(), f.grant, testObject(testData(10)), []Method{PutObject, PostForm}, nil), KindTimeout)
	if !errors.Is(e, errNoAnswer) || f.count("put") != attempts || f.count("post") != 0 {
		t.Errorf("%v, requests %v", e, f.log)
	}
}

// TestSlowIsNotStalled sends a body that takes several times the stall timeout.
func TestSlowIsNotStalled(t *testing.T) {
	f := mustFake(t)
	c := f.client()
	c.StallTimeout = 200 * time.Millisecond
	data := testData(32 << 10 * 20)
	o := testObject(data)
	o.Body = slow{bytes.NewReader(data)}
	if err := c.Upload(t.Context(), f.grant, o, []Method{PutObject}, nil); err != nil {
		t.Fatal(err)
	}
}

type slow struct{ io.ReaderAt }

func (s slow) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(20 * time.Millisecond) // the passing of time is what is tested
	return s.ReaderAt.ReadAt(p, off)
}

// early answers before the body has been read.
type early struct{ status int }

func (e early) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"X-Oss-Hash-Crc64ecma": {"0"}, "Etag": {"x"}}
	return &http.Response{StatusCode: e.status, Header: h, Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
}

func TestAnswerBeforeTheBodyIsNoSuccess(t *testing.T) {
	c := &Client{Transport: early{200}, backoff: func(int) time.Duration { return 0 }}
	o := Object{Body: bytes.NewReader(testData(10)), Size: 10}
	mustFail(t, c.Upload(t.Context(), testGrant(), o, []Method{PutObject}, nil), KindMismatch)
	c.Transport = early{403}
	mustFail(t, c.Upload(t.Context(), testGrant(), o, []Method{PutObject}, nil), KindRefused)
}

// clingy keeps the body of a request after it has answered, as transports may.
type clingy struct{ body io.Reader }

func (c *clingy) RoundTrip(r *http.Request) (*http.Response, error) {
	c.body = r.Body
	return early{403}.RoundTrip(r)
}

func TestBodyIsOutOfReachAfterwards(t *testing.T) {
	c := &clingy{}
	body := &lease{ReaderAt: bytes.NewReader(testData(10)), t: t}
	o := Object{Body: body, Size: 10}
	client := &Client{Transport: c}
	mustFail(t, client.Upload(t.Context(), testGrant(), o, []Method{PutObject}, func(int64) { t.Error("progress") }), KindRefused)
	body.over.Store(true)
	if n, err := c.body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errDetached) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
