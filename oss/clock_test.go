package oss

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

func TestU17ClockIsLearnt(t *testing.T) {
	for _, ahead := range []time.Duration{16 * time.Minute, -16 * time.Minute, 40 * 24 * time.Hour, -400 * 24 * time.Hour} {
		for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
			t.Run(method.String()+" "+ahead.String(), func(t *testing.T) {
				f := mustFake(t)
				f.ahead = ahead
				c := f.client()
				data := testData(5 * minPart)
				if method == PostForm && ahead > 0 && ahead < policyLife {
					t.Skip("the policy of a clock that is a little slow is still valid")
				}
				if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
				if off := (c.ClockOffset() - ahead).Abs(); off > 2*time.Second {
					t.Errorf("offset %v, want %v", c.ClockOffset(), ahead)
				}
				first := map[Method]string{PostForm: "post", MultipartUpload: "initiate", PutObject: "put"}[method]
				if f.count(first) != 2 {
					t.Errorf("%d requests, want the first and its repetition: %v", f.count(first), f.log)
				}
			})
		}
	}
}

func TestU17ClockIsLearntByManyAtOnce(t *testing.T) {
	f := mustFake(t)
	f.ahead = time.Hour
	c := f.client()
	data := testData(2 * minPart)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	f.mustHold(data, "image/png")
}

func TestClockThatCannotBeLearnt(t *testing.T) {
	skewed := fault{status: 403, code: "RequestTimeTooSkewed"}
	f := mustFake(t)
	f.faults = always("put", skewed)
	e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(nil), []Method{PutObject, PostForm}, nil), KindRefused)
	if f.count("put") != 2 || f.count("post") != 0 || e.Code != "RequestTimeTooSkewed" {
		t.Errorf("%v, requests %v; it is signed again once", e, f.log)
	}
}

func TestRefusalWithTheRightTimeIsNoSkew(t *testing.T) {
	f := mustFake(t)
	f.faults = always("put", fault{status: 403, code: "AccessDenied"})
	c := f.client()
	mustFail(t, c.Upload(t.Context(), f.grant, testObject(nil), []Method{PutObject}, nil), KindRefused)
	if f.count("put") != 1 || c.ClockOffset() != 0 {
		t.Errorf("%d requests, offset %v", f.count("put"), c.ClockOffset())
	}
}

func TestExpiredKeysAreNoSkew(t *testing.T) {
	f := mustFake(t)
	f.ahead = 2 * time.Hour
	f.faults = always("put", fault{status: 403, code: "SecurityTokenExpired"})
	mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(nil), []Method{PutObject}, nil), KindExpired)
	if f.count("put") != 1 {
		t.Errorf("%d requests; another time does not make keys valid", f.count("put"))
	}
}

func TestServerTime(t *testing.T) {
	date := http.Header{"Date": {"Thu, 01 Jan 2026 00:00:05 GMT"}}
	withXML := &answer{header: date, data: []byte("<Error><Code>x</Code><ServerTime>2026-01-01T00:00:09.000Z</ServerTime></Error>")}
	if at, ok := withXML.serverTime(); !ok || at.Second() != 9 {
		t.Errorf("%v, %v", at, ok)
	}
	if at, ok := (&answer{header: date}).serverTime(); !ok || at.Second() != 5 {
		t.Errorf("%v, %v", at, ok)
	}
	if _, ok := (&answer{header: http.Header{}}).serverTime(); ok {
		t.Error("there is no time")
	}
}

// TestEveryRequestIsSignedAfresh lets a second pass with every look at the clock,
// so that two requests with one signature would show the same date.
func TestEveryRequestIsSignedAfresh(t *testing.T) {
	f := mustFake(t)
	f.faults = only("part", fault{status: 500})
	c := f.client()
	c.Parallel = 1
	start := time.Now()
	n := 0
	c.now = func() time.Time { n++; return start.Add(time.Duration(n) * time.Second) }
	if err := c.Upload(t.Context(), f.grant, testObject(testData(3*minPart)), []Method{MultipartUpload}, nil); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, date := range f.dates {
		if seen[date] {
			t.Errorf("two requests were signed at %s", date)
		}
		seen[date] = true
	}
	if len(seen) < 4 {
		t.Errorf("only %d dates", len(seen))
	}
}
