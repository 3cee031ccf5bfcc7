package qwen

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

// header makes a header of pairs.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// refused returns the error of a call that gets an answer, and of a completion
// that gets it.
func refused(t *testing.T, a answering) []*Error {
	t.Helper()
	_, first := a.client().NewChat(t.Context(), testCredential, "m")
	_, second := a.client().Complete(t.Context(), testCredential, Completion{ChatID: "c", Model: "m", Prompt: "p"})
	var list []*Error
	for _, err := range []error{first, second} {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v and %v", first, second)
		}
		list = append(list, e)
	}
	return list
}

// A credential that is missing, refused or over, in every shape that the site and
// the servers in front of it have had for it.
func TestCredentialRefused(t *testing.T) {
	actual := header("X-Actual-Status-Code", "401")
	for name, tt := range map[string]struct {
		answer answering
		status int
	}{
		"code":                       {answering{body: `{"success":false,"data":{"code":"Unauthorized","details":"x"}}`}, 200},
		"code in lower case, actual": {answering{header: actual, body: `{"success":false,"data":{"code":"unauthorized","details":"Token has expired"}}`}, 401},
		"only the sentence":          {answering{body: `{"success":false,"data":{"code":"Bad_Request","details":"Token has expired, please sign in"}}`}, 200},
		"code of a token":            {answering{body: `{"success":false,"data":{"code":"invalid_token"}}`}, 200},
		"code at the top":            {answering{body: `{"success":false,"code":"unauthorized","details":"x"}`}, 200},
		"without success":            {answering{body: `{"code":"unauthorized","details":"Token has expired"}`}, 200},
		"detail alone":               {answering{body: `{"detail":"Token has expired"}`}, 200},
		"error alone":                {answering{body: `{"error":{"code":"Unauthorized","message":"x"}}`}, 200},
		"error in words":             {answering{body: `{"error":"Token has expired"}`}, 200},
		"to log in":                  {answering{body: `{"success":false,"data":{"code":"Bad_Request","details":"Please log in first."}}`}, 200},
		"to sign in":                 {answering{body: `{"success":false,"data":{"details":"You need to sign in"}}`}, 200},
		"the session":                {answering{body: `{"success":false,"data":{"code":"Bad_Request","details":"Your session has expired"}}`}, 200},
		"not authenticated":          {answering{status: 200, body: `{"success":false,"detail":"Not authenticated"}`}, 200},
		"gateway: the session":       {answering{body: `{"ret":["FAIL_SYS_SESSION_EXPIRED::Session expired"]}`}, 200},
		"actual alone":               {answering{header: actual, body: `{}`}, 401},
		"actual, empty":              {answering{header: actual}, 401},
		"actual, a page":             {answering{header: actual, body: `<html>x</html>`}, 401},
		"real 401":                   {answering{status: 401, body: `{"detail":"x"}`}, 401},
		"real 401, a page":           {answering{status: 401, body: `<html>x</html>`}, 401},
		"real 401, empty":            {answering{status: 401}, 401},
		"real 401, actual 200":       {answering{status: 401, header: header("X-Actual-Status-Code", "200"), body: `{"detail":"x"}`}, 401},
		"P07 403, empty":             {answering{status: 403}, 403},
		"P07 403, a page":            {answering{status: 403, body: `<html>Forbidden</html>`}, 403},
		"P07 403, JSON":              {answering{status: 403, body: `{"success":false,"data":{"code":"Forbidden","details":"no"}}`}, 403},
		"P07 403, words":             {answering{status: 403, body: `denied`}, 403},
		"P07 actual 403":             {answering{header: header("X-Actual-Status-Code", "403"), body: `{"success":false}`}, 403},
	} {
		t.Run("P06 "+name, func(t *testing.T) {
			for _, e := range refused(t, tt.answer) {
				if e.Kind != KindCredential || e.Status != tt.status {
					t.Errorf("got %v: %+v", e, e)
				}
			}
		})
	}
}

// Sentences about signing in count only where nothing else tells what it is.
func TestSignInIsNotEverything(t *testing.T) {
	for body, want := range map[string]Kind{
		`{"success":false,"data":{"code":"RateLimited","details":"Please log in to raise the limit","num":3}}`: KindQuota,
		`{"success":false,"data":{"code":"Too_Many_Requests","details":"Please sign in to go on"}}`:            KindRateLimited,
		`{"success":false,"data":{"code":"Bad_Request","details":"The login page is a nice place"}}`:           KindRejected,
		`{"success":false,"data":{"code":"data_inspection_failed","details":"please log in"}}`:                 KindContent,
	} {
		if e := classifyBody([]byte(body)); e.Kind != want {
			t.Errorf("%s: %v", body, e)
		}
	}
}

func TestProtection(t *testing.T) {
	json := `{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::x"],"data":{"url":"https://x/punish?x5secdata=1"}}`
	for name, a := range map[string]answering{
		"P08 page, 200":             {body: "<!doctypehtml><html aliyun_waf_aa>"},
		"P08 page, 403":             {status: 403, body: "<!doctype html><html aliyun_waf_bb>"},
		"P08 page, 405":             {status: 405, body: "<!DOCTYPE html><script src=/_____tmd_____/>"},
		"P08 page, 405, no marks":   {status: 405, body: "<!DOCTYPE html>"},
		"P08 page, 401":             {status: 401, body: "<html>x5secdata</html>"},
		"P08 page after a mark":     {body: "\ufeff\r\n <html>baxia</html>"},
		"P09 JSON, 200":             {body: json},
		"P09 JSON, 403":             {status: 403, body: json},
		"P09 JSON, 429":             {status: 429, body: json},
		"P09 code":                  {body: `{"success":false,"data":{"code":"FAIL_SYS_USER_VALIDATE"}}`},
		"P09 without success":       {body: `{"code":"FAIL_SYS_USER_VALIDATE"}`},
		"P09 JSON that is cut":      {body: json[:60]},
		"P09 address in a sentence": {body: `{"success":false,"data":{"details":"see https://x/punish?x5secdata=1"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range refused(t, a) {
				if e.Kind != KindVerification || e.RetryAfter != 0 {
					t.Errorf("got %v: %+v", e, e)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	for name, tt := range map[string]struct {
		value string
		want  time.Duration
	}{
		"none":          {"", 0},
		"seconds":       {"7", 7 * time.Second},
		"zero":          {"0", time.Second},
		"negative":      {"-5", time.Second},
		"10^9":          {"1000000000", time.Hour},
		"10^30":         {"1000000000000000000000000000000", time.Hour},
		"minus 10^30":   {"-1000000000000000000000000000000", time.Second},
		"date":          {date(90 * time.Second), 90 * time.Second},
		"date, past":    {date(-time.Hour), time.Second},
		"date, far off": {date(1000 * time.Hour), time.Hour},
		"garbage":       {"soon", 0},
		"fraction":      {"1.5", 0},
		"exponent":      {"1e9", 0},
		"NUL":           {"\x00", 0},
	} {
		t.Run("P10 "+name, func(t *testing.T) {
			for _, status := range []int{429, 503} {
				a := answering{status: status, header: header("Retry-After", tt.value, "Date", now.UTC().Format(http.TimeFormat))}
				for _, e := range refused(t, a) {
					if e.RetryAfter != tt.want || e.Status != status {
						t.Errorf("got %v: %+v", e.RetryAfter, e)
					}
				}
			}
		})
	}
	// A date is meant by the clock of the site.
	skewed := now.Add(-5 * time.Hour)
	a := answering{status: 429, header: header("Retry-After", skewed.Add(time.Minute).UTC().Format(http.TimeFormat), "Date", skewed.UTC().Format(http.TimeFormat))}
	if e := refused(t, a)[0]; e.RetryAfter != time.Minute {
		t.Errorf("by another clock: %v", e.RetryAfter)
	}
}

func TestQuota(t *testing.T) {
	body := func(num string) string {
		return `{"success":false,"data":{"code":"RateLimited","details":"upper limit","num":` + num + `}}`
	}
	for name, tt := range map[string]struct {
		answer answering
		kind   Kind
		want   time.Duration
	}{
		"hours":             {answering{body: body("4")}, KindQuota, 4 * time.Hour},
		"hours with 429":    {answering{status: 429, header: header("Retry-After", "5"), body: body("4")}, KindQuota, 4 * time.Hour},
		"half an hour":      {answering{body: body("0.5")}, KindQuota, 30 * time.Minute},
		"as text":           {answering{body: body(`"23"`)}, KindQuota, 23 * time.Hour},
		"more than a day":   {answering{body: body("1e300")}, KindQuota, 24 * time.Hour},
		"next to nothing":   {answering{body: body("1e-300")}, KindQuota, time.Second},
		"infinite":          {answering{body: body(`"Inf"`)}, KindQuota, 24 * time.Hour},
		"no number":         {answering{body: body(`"NaN"`)}, KindRateLimited, 0},
		"negative":          {answering{body: body("-3")}, KindRateLimited, 0},
		"an object":         {answering{body: body("{}")}, KindRateLimited, 0},
		"none":              {answering{body: body("null")}, KindRateLimited, 0},
		"none, but seconds": {answering{header: header("Retry-After", "9"), body: body("null")}, KindRateLimited, 9 * time.Second},
		"another name":      {answering{body: `{"success":false,"data":{"code":"quota_exhausted"}}`}, KindQuota, 0},
		"name and seconds":  {answering{header: header("Retry-After", "1800"), body: `{"success":false,"data":{"code":"quotaLimited"}}`}, KindQuota, 30 * time.Minute},
		"without success":   {answering{body: `{"code":"RateLimited","details":"x","num":2}`}, KindQuota, 2 * time.Hour},
	} {
		t.Run("P11 "+name, func(t *testing.T) {
			for _, e := range refused(t, tt.answer) {
				if e.Kind != tt.kind || e.RetryAfter != tt.want {
					t.Errorf("got %v after %v", e, e.RetryAfter)
				}
			}
		})
	}
}

// What only looks like a failure is none: old paths answer without an envelope,
// and records have fields of all kinds.
func TestAnswersWithoutAnEnvelope(t *testing.T) {
	for body, want := range map[string]bool{
		`{"id":"a","message":"hello"}`:                     true,
		`{"data":[],"code":"","details":null}`:             true,
		`{"data":{"id":"a"},"error":null,"detail":"fine"}`: true,
		`{"access_key_id":"a"}`:                            true,
		`{"id":"a","detail":"fine"}`:                       true,
		`{"id":"a","code":"A-17"}`:                         true,
		`{"success":true,"data":{"code":"Unauthorized"}}`:  true,
		`{}`:                      true,
		`{"detail":"no"}`:         false,
		`{"code":"Unauthorized"}`: false,
		`{"error":{"message":"no"},"request_id":"x"}`: false,
		`{"error":false}`: true,
		`[]`:              false,
		`{"ret":["x"]}`:   false,
	} {
		if got := succeeded(&http.Response{StatusCode: 200, Header: http.Header{}}, []byte(body)); got != want {
			t.Errorf("%s: %t", body, got)
		}
	}
}
