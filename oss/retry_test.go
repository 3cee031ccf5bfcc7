package oss

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// methodOf is the method whose upload uses the operation.
var methodOf = map[string]Method{
	"initiate": MultipartUpload, "part": MultipartUpload, "complete": MultipartUpload,
	"put": PutObject, "post": PostForm,
}

func TestPassingFaultsAreRetried(t *testing.T) {
	unavailable := fault{status: 503, code: "ServiceUnavailable"}
	faults := map[string][]fault{
		"U19 5xx":        {unavailable, {status: 500, code: "InternalError"}},
		"U19 429":        {{status: 429, code: "TooManyRequests"}, unavailable},
		"U19 408":        {{status: 408, code: "RequestTimeout"}},
		"U19 reset":      {{reset: true}, {reset: true}},
		"answer lost":    {{lose: true}},
		"U20 bad digest": {{status: 400, code: "InvalidDigest"}},
	}
	for op, method := range methodOf {
		for name, list := range faults {
			if op == "initiate" && name == "answer lost" {
				continue // leaves an upload nobody can know of
			}
			t.Run(op+"/"+name, func(t *testing.T) {
				f := mustFake(t)
				f.faults = only(op, list...)
				c := f.client()
				c.Parallel = 1
				var pauses atomic.Int32
				c.backoff = countPauses(&pauses)
				data := testData(minPart / 2)
				if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
				settled := op == "complete" && list[0].lose
				if want := len(list) + 1; f.count(op) != want && !settled {
					t.Errorf("%d requests, want %d", f.count(op), want)
				}
				if want := len(list); int(pauses.Load()) != want && !settled {
					t.Errorf("%d pauses, want %d", pauses.Load(), want)
				}
			})
		}
	}
}

func TestLastingFaultsEnd(t *testing.T) {
	cases := map[string]struct {
		ft   fault
		kind Kind
	}{
		"U19 5xx":          {fault{status: 503, code: "ServiceUnavailable"}, KindUnavailable},
		"reset":            {fault{reset: true}, KindNetwork},
		"digest":           {fault{status: 400, code: "BadDigest"}, KindMismatch},
		"not XML":          {fault{status: 502}, KindUnavailable},
		"U20 bad checksum": {fault{badCRC: true}, KindMismatch},
	}
	for op, method := range methodOf {
		for name, c := range cases {
			if c.ft.badCRC && op == "initiate" {
				continue
			}
			t.Run(op+"/"+name, func(t *testing.T) {
				f := mustFake(t)
				f.faults = always(op, c.ft)
				err := f.client().Upload(t.Context(), f.grant, testObject(testData(10)), []Method{method, PutObject, PostForm}, nil)
				e := mustFail(t, err, c.kind)
				if e.Method != method || e.AbortFailed {
					t.Errorf("%+v; no other method may be tried", e)
				}
				want := attempts
				if op == "complete" && c.ft.badCRC {
					want = 2 // the whole upload is repeated once
				}
				if f.count(op) != want || f.open() != 0 {
					t.Errorf("%d requests, want %d; %d open", f.count(op), want, f.open())
				}
			})
		}
	}
}

func TestU18ExpiredKeysEndTheUpload(t *testing.T) {
	codes := []string{"SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken", "AccessKeyIdAndSecurityTokenNotMatch"}
	for op, method := range methodOf {
		for _, code := range codes {
			t.Run(op+"/"+code, func(t *testing.T) {
				f := mustFake(t)
				f.faults = only(op, fault{status: 403, code: code})
				e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(3*minPart)),
					[]Method{method, PutObject, PostForm}, nil), KindExpired)
				if e.Method != method || e.Code != code || f.count("put")+f.count("post") > 1 || f.open() != 0 {
					t.Errorf("%+v, requests %v, %d open", e, f.log, f.open())
				}
			})
		}
	}
}

func TestExpiredKeysCannotAbort(t *testing.T) {
	f := mustFake(t)
	f.faults = func(c *fakeCall) fault {
		if c.op == "initiate" {
			return fault{}
		}
		return fault{status: 403, code: "SecurityTokenExpired"}
	}
	e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(5)), []Method{MultipartUpload}, nil), KindExpired)
	if !e.AbortFailed {
		t.Error("the error must tell that parts stay behind")
	}
}

func TestU20ChecksumOfPartIsRepeated(t *testing.T) {
	f := mustFake(t)
	f.faults = only("part", fault{badCRC: true}, fault{badCRC: true})
	c := f.client()
	c.Parallel = 1
	data := testData(2 * minPart)
	if err := c.Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload}, nil); err != nil {
		t.Fatal(err)
	}
	f.mustHold(data, "image/png")
	if f.count("part") != 4 {
		t.Errorf("%d parts sent, want 4", f.count("part"))
	}
}

func TestWrongChecksumOfTheObject(t *testing.T) {
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		f := mustFake(t)
		o := testObject(testData(2 * minPart))
		o.CRC64++
		mustFail(t, f.client().Upload(t.Context(), f.grant, o, []Method{method}, nil), KindMismatch)
		if f.open() != 0 {
			t.Error("open upload")
		}
	}
}

func TestMissingChecksumIsAskedFor(t *testing.T) {
	for op, method := range methodOf {
		for _, changed := range []bool{false, true} {
			t.Run(fmt.Sprint(op, " changed ", changed), func(t *testing.T) {
				f := mustFake(t)
				list := []fault{{noCRC: true}}
				if changed {
					list[0].afterward = func(f *fake, c *fakeCall) { f.objects[f.grant.Key] = fakeObject{data: []byte("other")} }
				}
				f.faults = only(op, list...)
				err := f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{method}, nil)
				switch whole := op != "part" && op != "initiate"; {
				case whole && changed:
					mustFail(t, err, KindMismatch)
				case err != nil:
					t.Error(err)
				case whole && f.count("head") != 1:
					t.Errorf("asked %d times", f.count("head"))
				}
			})
		}
	}
}

func TestNobodyTellsTheChecksum(t *testing.T) {
	f := mustFake(t)
	f.faults = func(*fakeCall) fault { return fault{noCRC: true} }
	mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{PutObject}, nil), KindBadResponse)
}

func TestStrangeAnswers(t *testing.T) {
	cases := map[string]func(*fakeCall) fault{
		"no upload id": only("initiate", fault{body: "<InitiateMultipartUploadResult/>"}),
		"not XML":      only("initiate", fault{body: "hello"}),
		"no ETag":      only("part", fault{noETag: true}),
	}
	for name, faults := range cases {
		t.Run(name, func(t *testing.T) {
			f := mustFake(t)
			f.faults = faults
			mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(9)), []Method{MultipartUpload, PutObject}, nil), KindBadResponse)
			if f.count("put") != 0 {
				t.Error("another method was tried")
			}
		})
	}
}

func TestU21LostAnswerOfComplete(t *testing.T) {
	cases := map[string]struct {
		faults   []fault
		complete int
		heads    int
	}{
		"was joined":            {[]fault{{lose: true}}, 1, 1},
		"was not joined":        {[]fault{{reset: true}}, 2, 1},
		"5xx, was not joined":   {[]fault{{status: 500, code: "InternalError"}}, 2, 1},
		"second answer lost":    {[]fault{{reset: true}, {lose: true}}, 2, 2},
		"third answer lost":     {[]fault{{reset: true}, {reset: true}, {lose: true}}, 3, 3},
		"joined, then no trace": {[]fault{{status: 404, code: "NoSuchUpload", afterJoin: true}}, 1, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := mustFake(t)
			f.faults = only("complete", c.faults...)
			data := testData(2*minPart + 1)
			if err := f.client().Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload}, nil); err != nil {
				t.Fatal(err)
			}
			f.mustHold(data, "image/png")
			if f.count("complete") != c.complete || f.count("head") != c.heads || f.count("initiate") != 1 {
				t.Errorf("requests %v", f.log)
			}
		})
	}
}

func TestOldObjectIsNotTakenForTheNewOne(t *testing.T) {
	f := mustFake(t)
	data := testData(minPart)
	old := slices.Clone(data)
	old[5]++
	f.objects[f.grant.Key] = fakeObject{data: old}
	f.faults = only("complete", fault{reset: true})
	if err := f.client().Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload}, nil); err != nil {
		t.Fatal(err)
	}
	f.mustHold(data, "image/png")
}

func TestUploadThatIsGone(t *testing.T) {
	forget := fault{during: nil}
	for _, op := range []string{"part", "complete"} {
		for times := 1; times <= 2; times++ {
			t.Run(fmt.Sprint(op, " ", times), func(t *testing.T) {
				f := mustFake(t)
				forget.during = func() {
					f.mu.Lock()
					defer f.mu.Unlock()
					clear(f.uploads)
				}
				f.faults = only(op, slices.Repeat([]fault{forget}, times)...)
				c := f.client()
				data := testData(minPart)
				var seen []int64
				err := c.Upload(t.Context(), f.grant, testObject(data), []Method{MultipartUpload, PutObject},
					func(n int64) { seen = append(seen, n) })
				if err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
				if f.count("initiate") != 2 || f.count("put") != times-1 || f.count("head") == 0 {
					t.Errorf("requests %v", f.log)
				}
				if times == 1 && (!slices.IsSorted(seen) || seen[len(seen)-1] != minPart) {
					t.Errorf("progress %v", seen)
				}
			})
		}
	}
}

func TestPauses(t *testing.T) {
	for attempt := 1; attempt < 80; attempt++ {
		limit := min(2*time.Second, 200*time.Millisecond<<min(attempt+1, 10))
		seen := map[time.Duration]bool{}
		for range 200 {
			d := jitter(attempt)
			if d < 200*time.Millisecond || d > limit {
				t.Fatalf("pause %d: %v", attempt, d)
			}
			seen[d] = true
		}
		if len(seen) < 100 {
			t.Errorf("pauses after attempt %d are not random", attempt)
		}
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	f := mustFake(t)
	f.faults = always("put", fault{status: 503})
	ctx, cancel := context.WithCancel(t.Context())
	c := f.client()
	c.backoff = func(int) time.Duration { cancel(); return time.Hour }
	err := c.Upload(ctx, f.grant, testObject(testData(9)), []Method{PutObject, PostForm}, nil)
	mustFail(t, err, KindCanceled)
	if !errors.Is(err, context.Canceled) || f.count("put") != 1 || f.count("post") != 0 {
		t.Errorf("%v, requests %v", err, f.log)
	}
}
