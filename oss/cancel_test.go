package oss

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A lease reports reads of the body after Upload has returned.
type lease struct {
	io.ReaderAt
	t    *testing.T
	over atomic.Bool
}

func (l *lease) ReadAt(p []byte, off int64) (int, error) {
	if l.over.Load() {
		l.t.Error("the body was read after Upload had returned")
	}
	return l.ReaderAt.ReadAt(p, off)
}

// cancelDuring uploads and cancels when the operation arrives at the storage.
func cancelDuring(t *testing.T, f *fake, method Method, op string, ft fault) *Error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	inner := ft.during
	ft.during = func() {
		cancel()
		if inner != nil {
			inner()
		}
	}
	f.faults = only(op, ft)
	o := testObject(testData(5 * minPart))
	body := &lease{ReaderAt: o.Body, t: t}
	o.Body = body
	begun := time.Now()
	var over atomic.Bool
	err := f.client().Upload(ctx, f.grant, o, []Method{method, PutObject, PostForm}, func(int64) {
		if over.Load() {
			t.Error("progress after Upload had returned")
		}
	})
	over.Store(true)
	body.over.Store(true)
	if d := time.Since(begun); d > 4*time.Second {
		t.Errorf("returned after %v", d)
	}
	e := mustFail(t, err, KindCanceled)
	if !errors.Is(err, context.Canceled) || e.Method != method {
		t.Errorf("%v", err)
	}
	return e
}

func TestU08CancelledUploadsAreAborted(t *testing.T) {
	for _, op := range []string{"initiate", "part", "complete"} {
		for name, ft := range map[string]fault{"answered": {}, "never answered": {hang: true}, "body not read": {deaf: true}} {
			t.Run(op+"/"+name, func(t *testing.T) {
				f := mustFake(t)
				e := cancelDuring(t, f, MultipartUpload, op, ft)
				// What the storage did with a request that was under way when the client
				// left is done once its handler has ended.
				f.close()
				if f.open() != 0 || e.AbortFailed {
					t.Errorf("%d open, requests %v", f.open(), f.log)
				}
				if f.count("put")+f.count("post") != 0 {
					t.Errorf("another method was tried: %v", f.log)
				}
			})
		}
	}
}

func TestU08OtherMethodsEndAtOnce(t *testing.T) {
	for op, method := range map[string]Method{"put": PutObject, "post": PostForm} {
		for _, ft := range []fault{{hang: true}, {deaf: true}} {
			f := mustFake(t)
			cancelDuring(t, f, method, op, ft)
			if len(f.log) != 1 {
				t.Errorf("requests %v", f.log)
			}
		}
	}
}

func TestInitiateThatDoesNotEndIsLeft(t *testing.T) {
	f := mustFake(t)
	begun := time.Now()
	cancelDuring(t, f, MultipartUpload, "initiate", fault{hang: true})
	if d := time.Since(begun); d > initiateGrace+time.Second {
		t.Errorf("left after %v", d)
	}
}

func TestLatePartIsAbortedToo(t *testing.T) {
	f := mustFake(t)
	landed := false
	f.faults = func(c *fakeCall) fault {
		switch {
		case c.op == "part":
			return fault{reset: true}
		case c.op == "abort" && c.n == 1:
			// The part whose answer was lost arrives behind the abort.
			return fault{afterward: func(f *fake, _ *fakeCall) {
				f.uploads["UP1"] = &fakeUpload{key: f.grant.Key, parts: map[int][]byte{1: nil}}
				landed = true
			}}
		}
		return fault{}
	}
	mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{MultipartUpload}, nil), KindNetwork)
	if !landed || f.open() != 0 {
		t.Errorf("%d open, requests %v", f.open(), f.log)
	}
}

func TestAnsweredPartsNeedOneAbort(t *testing.T) {
	f := mustFake(t)
	f.faults = only("part", fault{status: 400, code: "InvalidArgument"})
	mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{MultipartUpload}, nil), KindRefused)
	if f.count("abort") != 1 {
		t.Errorf("requests %v", f.log)
	}
}

func TestAbortIsRetried(t *testing.T) {
	f := mustFake(t)
	f.faults = func(c *fakeCall) fault {
		if c.op == "part" || c.op == "abort" && c.n < attempts {
			return fault{status: 500, code: "InternalError"}
		}
		return fault{}
	}
	e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{MultipartUpload}, nil), KindUnavailable)
	if f.open() != 0 || e.AbortFailed || f.count("abort") != attempts {
		t.Errorf("%d open, requests %v", f.open(), f.log)
	}
}

func TestAbortThatHangsIsLeft(t *testing.T) {
	f := mustFake(t)
	f.faults = func(c *fakeCall) fault {
		return map[string]fault{"part": {status: 400, code: "x"}, "abort": {hang: true}}[c.op]
	}
	begun := time.Now()
	e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{MultipartUpload}, nil), KindRefused)
	if d := time.Since(begun); !e.AbortFailed || d > abortTimeout+2*time.Second {
		t.Errorf("%+v after %v", e, d)
	}
}

func TestContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, m := range []Method{PostForm, MultipartUpload, PutObject} {
		c := &Client{Transport: noTransport{t}}
		mustFail(t, c.Upload(ctx, testGrant(), testObject(testData(9)), []Method{m, PutObject}, nil), KindCanceled)
	}
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	err := (&Client{Transport: noTransport{t}}).Upload(late, testGrant(), testObject(nil), []Method{PutObject}, nil)
	mustFail(t, err, KindTimeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// wild is a body that fails or panics from an offset on.
type wild struct {
	io.ReaderAt
	from  int64
	fails error
}

func (w wild) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= w.from {
		return w.ReaderAt.ReadAt(p, off)
	}
	if w.fails != nil {
		return 0, w.fails
	}
	panic("the reader panicked")
}

func TestPanicsAbortAndGoOn(t *testing.T) {
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		for name, inProgress := range map[string]bool{"body": false, "progress": true} {
			t.Run(method.String()+"/"+name, func(t *testing.T) {
				f := mustFake(t)
				o := testObject(testData(5 * minPart))
				var progress func(int64)
				if inProgress {
					progress = func(n int64) {
						if n > minPart {
							panic("the reader panicked")
						}
					}
				} else {
					o.Body = wild{ReaderAt: o.Body, from: 2 * minPart}
				}
				defer func() {
					if v := recover(); v != "the reader panicked" {
						t.Errorf("recovered %v", v)
					}
					f.close()
					if f.open() != 0 || method == MultipartUpload && f.count("abort") == 0 {
						t.Errorf("%d open, requests %v", f.open(), f.log)
					}
				}()
				err := f.client().Upload(t.Context(), f.grant, o, []Method{method}, progress)
				t.Errorf("returned %v", err)
			})
		}
	}
}

func TestUnreadableBody(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		f := mustFake(t)
		o := testObject(testData(5 * minPart))
		good := o.Body
		o.Body = wild{good, 2 * minPart, broken}
		err := f.client().Upload(t.Context(), f.grant, o, []Method{method, PutObject}, nil)
		e := mustFail(t, err, KindBody)
		if !errors.Is(err, broken) || e.Method != method {
			t.Errorf("%v", err)
		}
		o.Body, o.Size = good, o.Size+1
		err = f.client().Upload(t.Context(), f.grant, o, []Method{method}, nil)
		mustFail(t, err, KindBody)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a body that is too short: %v", err)
		}
		f.close()
		if f.open() != 0 {
			t.Error("open upload")
		}
	}
}

func TestU08RandomCancellation(t *testing.T) {
	r := mustRandom(t)
	f := mustFake(t)
	c := f.client()
	data := testData(6 * minPart)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		stopAt, stopOp := r.IntN(12), r.IntN(3)
		var n atomic.Int32
		var once sync.Once
		f.faults = func(call *fakeCall) fault {
			if int(n.Add(1)) < stopAt || call.op == "abort" {
				return fault{}
			}
			switch stopOp {
			case 0:
				return fault{during: func() { once.Do(cancel) }}
			case 1:
				return fault{afterward: func(*fake, *fakeCall) { once.Do(cancel) }}
			}
			return fault{lose: true, during: func() { once.Do(cancel) }}
		}
		if stopOp == 2 && stopAt <= 1 {
			stopAt = 2 // nobody can know of an upload whose opening was lost in the network
		}
		o := testObject(data)
		body := &lease{ReaderAt: o.Body, t: t}
		o.Body = body
		cancelAt := int64(r.IntN(8 * minPart))
		err := c.Upload(ctx, f.grant, o, []Method{MultipartUpload}, func(sent int64) {
			if stopOp == 0 && sent > cancelAt {
				once.Do(cancel)
			}
		})
		body.over.Store(true)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	f.close()
	if f.open() != 0 {
		t.Errorf("%d uploads are open", f.open())
	}
}
