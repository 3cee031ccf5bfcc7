package oss

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestParseProblem(t *testing.T) {
	cases := map[string]struct {
		xml  string
		want problem
	}{
		"plain": {
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code> AccessDenied\n</Code><Message>m</Message><RequestId>R1</RequestId>" +
				"<HostId>h</HostId><EC>0003-00000001</EC><RecommendDoc>d</RecommendDoc></Error>",
			problem{Code: "AccessDenied", RequestID: "R1", EC: "0003-00000001"},
		},
		"namespace": {`<Error xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"><Code>A</Code></Error>`, problem{Code: "A"}},
		"skew": {
			"<Error><Code>RequestTimeTooSkewed</Code><RequestTime>x</RequestTime><ServerTime>2026-01-01T00:00:00.000Z</ServerTime></Error>",
			problem{Code: "RequestTimeTooSkewed", ServerTime: "2026-01-01T00:00:00.000Z"},
		},
		"line breaks":   {"<Error><Code>A&#10;B\u2028</Code></Error>", problem{Code: "A?B"}},
		"long":          {"<Error><Code>" + strings.Repeat("x", 100) + "</Code></Error>", problem{Code: strings.Repeat("x", 64)}},
		"other element": {"<html><Code>A</Code></html>", problem{}},
		"cut off":       {"<Error><Code>A</Code>", problem{}},
		"no XML":        {"Bad Gateway", problem{}},
		"empty":         {"", problem{}},
		"entities":      {`<!DOCTYPE E [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>`, problem{}},
	}
	for name, c := range cases {
		if got := parseProblem([]byte(c.xml)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzParseProblem(f *testing.F) {
	f.Add([]byte("<Error><Code>A</Code><EC>e</EC></Error>"))
	f.Add([]byte(`<Error xmlns="x"><Code>A&#10;</Code><ServerTime>2026-01-01T00:00:00Z</ServerTime></Error>`))
	f.Add([]byte("<Error><Error>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := parseProblem(data)
		for _, s := range []string{p.Code, p.EC, p.RequestID, p.ServerTime} {
			if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", s)
			}
		}
	})
}

func TestProblemOfHEAD(t *testing.T) {
	text := base64.StdEncoding.EncodeToString([]byte("<Error><Code>NoSuchKey</Code></Error>"))
	a := &answer{header: http.Header{"X-Oss-Err": {text}, "X-Oss-Ec": {"0026-1"}, "X-Oss-Request-Id": {"R\n2"}}}
	if p := a.problem(); p.Code != "NoSuchKey" || p.EC != "0026-1" || p.RequestID != "R?2" {
		t.Errorf("%+v", p)
	}
}

func TestRetryTable(t *testing.T) {
	cases := []struct {
		status int
		code   string
		kind   Kind
		next   step
	}{
		{500, "InternalError", KindUnavailable, repeat},
		{502, "", KindUnavailable, repeat},
		{503, "ServiceUnavailable", KindUnavailable, repeat},
		{501, "NotImplemented", KindRefused, fallBack},
		{429, "", KindUnavailable, repeat},
		{408, "RequestTimeout", KindUnavailable, repeat},
		{400, "InvalidDigest", KindMismatch, repeat},
		{400, "BadDigest", KindMismatch, repeat},
		{403, "SecurityTokenExpired", KindExpired, stop},
		{403, "InvalidAccessKeyId", KindExpired, stop},
		{403, "InvalidSecurityToken", KindExpired, stop},
		{403, "AccessKeyIdAndSecurityTokenNotMatch", KindExpired, stop},
		{404, "NoSuchUpload", KindRefused, restart},
		{404, "NoSuchBucket", KindRefused, fallBack},
		{400, "InvalidArgument", KindRefused, fallBack},
		{403, "AccessDenied", KindRefused, fallBack},
		{403, "SignatureDoesNotMatch", KindRefused, fallBack},
		{403, "SecondLevelDomainForbidden", KindRefused, fallBack},
		{403, "RequestTimeTooSkewed", KindRefused, stop},
		{405, "MethodNotAllowed", KindRefused, fallBack},
		{409, "FileImmutable", KindRefused, fallBack},
		{411, "MissingContentLength", KindRefused, fallBack},
		{302, "", KindBadResponse, stop},
		{101, "", KindBadResponse, stop},
	}
	for _, c := range cases {
		if kind, next := judge(c.status, c.code); kind != c.kind || next != c.next {
			t.Errorf("%d %s: %v, %d, want %v, %d", c.status, c.code, kind, next, c.kind, c.next)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for k := KindNetwork; k <= KindBody; k++ {
		if advice[k] == "" || k.String() == "unknown" {
			t.Errorf("kind %d has no text", k)
		}
	}
	if Kind(0).String() != "unknown" || Kind(99).String() != "unknown" {
		t.Error("other numbers are no kinds")
	}
	e := &Error{Kind: KindRefused, Method: PostForm, Op: "post the form", Status: 403, Code: "AccessDenied", EC: "1", RequestID: "R", Host: "h", AbortFailed: true}
	want := "storage: post the form: the storage refuses the upload (by POST form, host h, status 403, AccessDenied, EC 1, request R, parts were left behind)"
	if e.Error() != want {
		t.Errorf("%s, want %s", e, want)
	}
	if (&Error{Kind: 99}).Error() == "" || Method(9).String() != "unknown method" {
		t.Error("unknown kinds and methods have texts too")
	}
}
