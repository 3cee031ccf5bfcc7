package caddyqwen

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// healthTime is when the tests of health begin.
var healthTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func siteFailed(kind qwen.Kind) *qwen.Error { return &qwen.Error{Kind: kind} }

// checkRefusal checks why a request is refused, and for how long.
func checkRefusal(t *testing.T, err error, kind qwen.Kind, wait time.Duration) {
	t.Helper()
	var e *qwen.Error
	if !errors.As(err, &e) || e.Kind != kind || e.RetryAfter != wait {
		t.Errorf("refused with %v, want kind %v and %v", err, kind, wait)
		if e != nil {
			t.Logf("after %v", e.RetryAfter)
		}
	}
}

func checkAdmitted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestHealthRests(t *testing.T) {
	for _, tt := range []struct {
		kind  qwen.Kind
		state accountState
		code  string
	}{
		{qwen.KindVerification, accountVerification, "upstream_verification_required"},
		{qwen.KindCredential, accountExpired, "upstream_credential_expired"},
	} {
		t.Run("P41 "+string(tt.state), func(t *testing.T) {
			var h health
			now := healthTime
			// Each refusal of a trial makes the next rest longer, up to an hour.
			for i, rest := range []time.Duration{10, 20, 40, 60, 60} {
				rest *= time.Minute
				if news := h.failed(siteFailed(tt.kind), "m", 0, now); news != (i == 0) {
					t.Errorf("refusal %d: news %t", i, news)
				}
				if h.state(now) != tt.state || !h.until(now).Equal(now.Add(rest)) {
					t.Fatalf("refusal %d: %s until %v", i, h.state(now), h.until(now).Sub(now))
				}
				if h.LastError != tt.code || !h.FailedAt.Equal(now) {
					t.Errorf("refusal %d: %s at %v", i, h.LastError, h.FailedAt)
				}
				checkRefusal(t, h.refusal("m", now), tt.kind, rest)
				checkRefusal(t, h.admit("other", now.Add(rest-1)), tt.kind, 1)
				now = now.Add(rest)
				checkAdmitted(t, h.refusal("", now)) // which is no trial
				checkAdmitted(t, h.admit("m", now))
				checkRefusal(t, h.admit("m", now), tt.kind, trialTime)
				now = now.Add(time.Second)
			}
			now = h.until(now)
			checkAdmitted(t, h.admit("m", now))
			if !h.accepted(true, now) || h.state(now) != accountOK || !h.until(now).IsZero() || !h.Checked.Equal(now) {
				t.Errorf("accepted: %+v", h)
			}
			checkAdmitted(t, h.admit("m", now))
			checkAdmitted(t, h.admit("m", now))
			h.failed(siteFailed(tt.kind), "m", 0, now)
			checkRefusal(t, h.admit("m", now), tt.kind, firstRest) // an answer has been there
		})
	}
}

func TestHealthTrial(t *testing.T) {
	var h health
	h.failed(siteFailed(qwen.KindVerification), "m", 0, healthTime)
	now := healthTime.Add(firstRest)
	for range 5 { // the outcome of none is known
		checkAdmitted(t, h.admit("m", now))
		checkRefusal(t, h.admit("m", now.Add(10*time.Second)), qwen.KindVerification, 20*time.Second)
		now = now.Add(trialTime)
	}
	if h.Rests != 1 {
		t.Errorf("%d rests", h.Rests)
	}
}

// Of requests that fail together, one counts.
func TestHealthManyFailures(t *testing.T) {
	for _, kind := range []qwen.Kind{qwen.KindVerification, qwen.KindCredential} {
		var h health
		for i := range 100 {
			h.failed(siteFailed(kind), "m", 0, healthTime.Add(time.Duration(i)*time.Second))
		}
		if until := h.until(healthTime); !until.Equal(healthTime.Add(firstRest)) || h.Rests != 1 {
			t.Errorf("%v: %d rests, until %v", kind, h.Rests, until.Sub(healthTime))
		}
	}
}

// A renewal that failed on the way is tried again soon, and no reason for longer
// rests.
func TestHealthPause(t *testing.T) {
	var h health
	for i := range 100 {
		now := healthTime.Add(time.Duration(i) * time.Minute)
		h.failed(siteFailed(qwen.KindCredential), "m", 5*time.Second, now)
		checkRefusal(t, h.admit("m", now), qwen.KindCredential, 5*time.Second)
		checkAdmitted(t, h.admit("m", now.Add(5*time.Second)))
	}
	now := healthTime.Add(2 * time.Hour)
	h.failed(siteFailed(qwen.KindCredential), "m", 0, now)
	checkRefusal(t, h.admit("m", now), qwen.KindCredential, firstRest)
}

// Only an answer of a model proves that the next one will be there, too.
func TestHealthAccepted(t *testing.T) {
	var h health
	if h.state(healthTime) != accountUnknown {
		t.Errorf("at first it is %s", h.state(healthTime))
	}
	if !h.accepted(false, healthTime) || h.accepted(true, healthTime) {
		t.Error("the first acceptance is news, and the second is not")
	}
	h.failed(siteFailed(qwen.KindVerification), "m", 0, healthTime)
	h.accepted(false, healthTime)
	checkAdmitted(t, h.admit("m", healthTime))
	h.failed(siteFailed(qwen.KindVerification), "m", 0, healthTime)
	checkRefusal(t, h.admit("m", healthTime), qwen.KindVerification, 2*firstRest)
	if h.LastError == "" || h.FailedAt.IsZero() {
		t.Error("the last error is forgotten")
	}
}

func TestHealthQuotas(t *testing.T) {
	var h health
	now := healthTime
	h.accepted(true, now)
	quota := func(model string, wait time.Duration) bool {
		return h.failed(&qwen.Error{Kind: qwen.KindQuota, RetryAfter: wait}, model, 0, now)
	}
	if !quota("a", 4*time.Hour) || h.state(now) != accountQuota || !h.until(now).Equal(now.Add(4*time.Hour)) {
		t.Errorf("%s until %v", h.state(now), h.until(now))
	}
	checkRefusal(t, h.admit("a", now), qwen.KindQuota, 4*time.Hour)
	checkAdmitted(t, h.admit("b", now))
	checkAdmitted(t, h.admit("", now))
	if quota("b", 0); !h.until(now).Equal(now.Add(4 * time.Hour)) {
		t.Errorf("until %v", h.until(now))
	}
	checkRefusal(t, h.admit("b", now), qwen.KindQuota, unknownQuota)
	if h.LastError != "upstream_quota_exceeded" {
		t.Errorf("last error %s", h.LastError)
	}
	h.accepted(true, now) // by an answer of a third model
	checkRefusal(t, h.admit("a", now), qwen.KindQuota, 4*time.Hour)

	now = now.Add(unknownQuota)
	checkAdmitted(t, h.admit("b", now))
	quota("c", time.Minute)
	if len(h.Quotas) != 2 {
		t.Errorf("an end that has passed is kept: %v", h.Quotas)
	}
	h.failed(siteFailed(qwen.KindVerification), "a", 0, now)
	if h.state(now) != accountVerification || !h.until(now).Equal(now.Add(firstRest)) {
		t.Errorf("%s until %v", h.state(now), h.until(now))
	}
	now = healthTime.Add(4 * time.Hour)
	if h.accepted(true, now); h.state(now) != accountOK || !h.until(now).IsZero() {
		t.Errorf("in the end: %s until %v", h.state(now), h.until(now))
	}
	checkAdmitted(t, h.admit("a", now))
}

func TestHealthOtherFailures(t *testing.T) {
	for kind := qwen.KindBadResponse; kind <= qwen.KindTimeout; kind++ {
		if aboutAccount(siteFailed(kind)) {
			continue
		}
		var h health
		if h.failed(siteFailed(kind), "m", 0, healthTime) || h.state(healthTime) != accountUnknown || h.LastError != "" {
			t.Errorf("%v says something about the account: %+v", kind, h)
		}
	}
}

func TestHealthClone(t *testing.T) {
	var h health
	h.useUp("a", time.Hour, healthTime)
	c := h.clone()
	c.Quotas["b"] = healthTime
	if len(h.Quotas) != 1 {
		t.Error("a clone shares the quotas")
	}
}
