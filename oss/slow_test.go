package oss

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A refusal that comes long after the signature, because the body took so long, is
// no matter of the clock: the next method is tried.
func TestSlowTransferIsNoSkew(t *testing.T) {
	f := mustFake(t)
	var late atomic.Int64
	c := f.client()
	c.now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	f.faults = func(k *fakeCall) fault {
		if k.op != "post" {
			return fault{}
		}
		// Six minutes go by for both sides while the body is sent.
		late.Add(int64(6 * time.Minute))
		f.ahead += 6 * time.Minute
		now := time.Now().Add(time.Duration(late.Load())).UTC().Format(http.TimeFormat)
		return fault{status: http.StatusForbidden, code: "AccessDenied", header: map[string]string{"Date": now}}
	}
	err := c.Upload(t.Context(), f.grant, testObject(testData(minPart)), []Method{PostForm, PutObject}, nil)
	if err != nil || f.count("post") != 1 || f.count("put") != 1 {
		t.Errorf("%v after %d forms and %d PUT", err, f.count("post"), f.count("put"))
	}
	if offset := c.ClockOffset(); offset != 0 {
		t.Errorf("the clock is set by %v", offset)
	}
}
