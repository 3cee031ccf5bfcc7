package emulator

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHeaderSignature(t *testing.T) {
	const key = "u/f_photo.png"
	for _, tc := range []struct {
		name    string
		change  func(*raw)
		headers []string
		status  int
		code    string
	}{
		{"right", func(*raw) {}, nil, 200, ""},
		{"virtual host", func(c *raw) { c.host = "qwen-webui-prod.example.test" }, nil, 200, ""},
		{"virtual host with port, in capitals", func(c *raw) { c.host = "Qwen-WebUI-Prod.oss-accelerate.aliyuncs.com:443" }, nil, 200, ""},
		{"14 minutes slow", func(c *raw) { c.date = c.date.Add(-14 * time.Minute) }, nil, 200, ""},
		{"14 minutes fast", func(c *raw) { c.date = c.date.Add(14 * time.Minute) }, nil, 200, ""},
		{"additional headers", func(c *raw) { c.additional = []string{"abc", "zabc"} }, []string{"abc", "1  2", "ZAbc", "x"}, 200, ""},
		{"blanks after commas", func(c *raw) {
			c.after = func(r *http.Request) {
				r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ",", ", "))
			}
		}, nil, 200, ""},
		{"16 minutes slow", func(c *raw) { c.date = c.date.Add(-16 * time.Minute) }, nil, 403, "RequestTimeTooSkewed"},
		{"16 minutes fast", func(c *raw) { c.date = c.date.Add(16 * time.Minute) }, nil, 403, "RequestTimeTooSkewed"},
		{"region with its prefix", func(c *raw) { c.region = "oss-ap-southeast-1" }, nil, 400, "InvalidArgument"},
		{"another region", func(c *raw) { c.region = "cn-hangzhou" }, nil, 400, "InvalidArgument"},
		{"another product", func(c *raw) { c.product = "oss-cloudbox" }, nil, 400, "InvalidArgument"},
		{"another day", func(c *raw) { c.day = "20200101" }, nil, 400, "InvalidArgument"},
		{"another secret", func(c *raw) { c.grant.AccessKeySecret += "x" }, nil, 403, "SignatureDoesNotMatch"},
		{"unknown key", func(c *raw) { c.grant.AccessKeyID = "STS.nobody" }, nil, 403, "InvalidAccessKeyId"},
		{"no token", func(c *raw) { c.grant.SecurityToken = "" }, nil, 403, "InvalidAccessKeyId"},
		{"unknown token", func(c *raw) { c.grant.SecurityToken = "CAIS+/x==" }, nil, 403, "InvalidSecurityToken"},
		{"token of another grant", func(c *raw) { c.grant.SecurityToken = c.srv.Grant(key).SecurityToken }, nil, 403, "AccessKeyIdAndSecurityTokenNotMatch"},
		{"expired by order", func(c *raw) { c.srv.ExpireGrants() }, nil, 403, "SecurityTokenExpired"},
		{"expired by the clock", func(c *raw) { c.srv.SetSkew(2 * time.Hour); c.date = c.srv.now() }, nil, 403, "SecurityTokenExpired"},
		{"right for another key", func(c *raw) { c.grant = c.srv.Grant("u/f_other.png") }, nil, 403, "AccessDenied"},
		{"no x-oss-date", func(*raw) {}, []string{"x-oss-date", ""}, 400, "InvalidArgument"},
		{"x-oss-date in another form", func(*raw) {}, []string{"x-oss-date", "Mon, 02 Jan 2006 15:04:05 GMT"}, 400, "InvalidArgument"},
		{"no x-oss-content-sha256", func(*raw) {}, []string{"x-oss-content-sha256", ""}, 400, "InvalidArgument"},
		{"a sum as x-oss-content-sha256", func(*raw) {}, []string{"x-oss-content-sha256", strings.Repeat("0", 64)}, 400, "InvalidArgument"},
		{"additional headers, unsorted", func(c *raw) { c.additional = []string{"zabc", "abc"} }, []string{"abc", "1", "zabc", "2"}, 400, "InvalidArgument"},
		{"additional headers in capitals", func(c *raw) { c.additional = []string{"Abc"} }, []string{"Abc", "1"}, 400, "InvalidArgument"},
		{"additional headers twice", func(c *raw) { c.additional = []string{"abc", "abc"} }, []string{"abc", "1"}, 400, "InvalidArgument"},
		{"empty additional headers", func(c *raw) { c.additional = []string{} }, nil, 400, "InvalidArgument"},
		{"additional header that is not there", func(c *raw) { c.additional = []string{"abc"} }, nil, 400, "InvalidArgument"},
		{"additional header that is signed anyway", func(c *raw) { c.additional = []string{"content-type"} }, nil, 400, "InvalidArgument"},
		{"content type set after signing", func(c *raw) {
			c.after = func(r *http.Request) { r.Header.Set("Content-Type", "image/gif") }
		}, nil, 403, "SignatureDoesNotMatch"},
		{"header of the storage added after signing", func(c *raw) {
			c.after = func(r *http.Request) { r.Header.Set("X-Oss-Meta-A", "b") }
		}, nil, 403, "SignatureDoesNotMatch"},
		{"other header added after signing", func(c *raw) { c.after = func(r *http.Request) { r.Header.Set("X-Other", "b") } }, nil, 200, ""},
		{"query added after signing", func(c *raw) { c.after = func(r *http.Request) { r.URL.RawQuery = "a=b" } }, nil, 403, "SignatureDoesNotMatch"},
		{"signed in the query, too", func(c *raw) { c.after = func(r *http.Request) { r.URL.RawQuery = "x-oss-signature=0" } }, nil, 400, "InvalidArgument"},
		{"no signature", func(c *raw) { c.after = func(r *http.Request) { r.Header.Del("Authorization") } }, nil, 403, "AccessDenied"},
		{"version 1", func(c *raw) {
			c.after = func(r *http.Request) { r.Header.Set("Authorization", "OSS ak:c2lnbmF0dXJl") }
		}, nil, 400, "InvalidArgument"},
		{"another bucket", func(c *raw) { c.after = func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/bucket/"+key, "" } }, nil, 404, "NoSuchBucket"},
		{"another bucket as host", func(c *raw) { c.host = "bucket.oss-accelerate.aliyuncs.com" }, nil, 404, "NoSuchBucket"},
		{"path style at the real domain", func(c *raw) {
			c.after = func(r *http.Request) { r.Host = "oss-accelerate.aliyuncs.com" }
		}, nil, 403, "SecondLevelDomainForbidden"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, key)
			tc.change(c)
			resp, body := c.call("PUT", key, "", "hello", append([]string{"Content-Type", "image/png"}, tc.headers...)...)
			wantError(t, resp, body, tc.status, tc.code)
			if o, found := srv.Object(key); found != (tc.status == 200) || found && string(o.Body) != "hello" {
				t.Errorf("stored: %t %v", found, o)
			}
			if list := srv.Requests(); len(list) != 1 || list[0].Status != tc.status || list[0].Code != tc.code || !list[0].Ended || list[0].BodySize != 5 {
				t.Errorf("recorded %+v", list)
			}
		})
	}
}

// A client with a wrong clock learns by how much.
func TestSkewIsTold(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	srv.SetClock(func() time.Time { return at })
	c := newRaw(t, srv, "k")
	c.date = at.Add(-20 * time.Minute)
	resp, body := c.call("PUT", "k", "", "x")
	wantError(t, resp, body, 403, "RequestTimeTooSkewed")
	for _, want := range []string{
		"<RequestTime>2026-01-02T02:44:05.000Z</RequestTime>", "<ServerTime>2026-01-02T03:04:05.000Z</ServerTime>",
		"<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>", "<EC>0002-00000504</EC>",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if got := resp.Header.Get("Date"); got != "Fri, 02 Jan 2026 03:04:05 GMT" || resp.Header.Get("X-Oss-Ec") != "0002-00000504" {
		t.Errorf("headers %v", resp.Header)
	}
	c.date = at
	c.mustPut("k", "x")
	srv.SetClock(nil)
	if d := time.Since(srv.now()); d < -time.Minute || d > time.Minute {
		t.Errorf("the real clock is %v off", d)
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	const cred, sig = "Credential=ak/20260101/r/oss/aliyun_v4_request", "Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, header := range []string{
		"", "OSS4-HMAC-SHA256", "OSS4-HMAC-SHA256" + cred + "," + sig, "OSS4-HMAC-SHA256 " + cred, "OSS4-HMAC-SHA256 " + sig,
		"OSS4-HMAC-SHA256 " + cred + "," + sig + "," + sig,
		"OSS4-HMAC-SHA256 " + cred + "," + cred + "," + sig,
		"OSS4-HMAC-SHA256 " + cred + ",SignedHeaders=host," + sig,
		"OSS4-HMAC-SHA256 " + cred + ",AdditionalHeaders=," + sig,
		"OSS4-HMAC-SHA256 " + cred + ",AdditionalHeaders=x-oss-date," + sig,
		"OSS4-HMAC-SHA256 " + cred + "," + strings.ToUpper(sig),
		"OSS4-HMAC-SHA256 " + cred + "," + strings.ReplaceAll(sig, "abc", "ABC"),
		"OSS4-HMAC-SHA256 " + cred + "," + sig + "0",
		"OSS4-HMAC-SHA256 " + cred + "," + sig + ",",
		"OSS4-HMAC-SHA256 Credential=/20260101/r/oss/aliyun_v4_request," + sig,
		"OSS4-HMAC-SHA256 Credential=ak/20260101/r/oss/aws4_request," + sig,
		"OSS4-HMAC-SHA256 Credential=ak/20260101/r/oss," + sig,
	} {
		_, err := parseAuthorization(header)
		var refused *storageError
		if !errors.As(err, &refused) || refused.status != 400 || refused.code != "InvalidArgument" {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func FuzzParseAuthorization(f *testing.F) {
	for _, v := range mustVectors(f) {
		if v.Kind == "header" {
			f.Add(v.Expect.Authorization)
		}
	}
	f.Add("OSS4-HMAC-SHA256 Credential=,AdditionalHeaders=;, Signature=")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			return
		}
		again := "OSS4-HMAC-SHA256 Credential=" + a.id + "/" + a.scope.String()
		if a.additional != nil {
			again += ",AdditionalHeaders=" + strings.Join(a.additional, ";")
		}
		b, err := parseAuthorization(again + ",Signature=" + a.signature)
		if err != nil || b.credential != a.credential || b.signature != a.signature {
			t.Errorf("%q was read as %+v, and that as %+v, %v", header, a, b, err)
		}
	})
}

func TestLinks(t *testing.T) {
	const key = "u/f_相片 a+b%.png"
	for _, tc := range []struct {
		name   string
		change func(*raw, string) string
		method string
		status int
		code   string
	}{
		{"right", func(_ *raw, l string) string { return l }, "GET", 200, ""},
		{"almost over", func(c *raw, l string) string { c.srv.SetSkew(299 * time.Second); return l }, "GET", 200, ""},
		{"over", func(c *raw, l string) string { c.srv.SetSkew(301 * time.Second); return l }, "GET", 403, "AccessDenied"},
		{"not valid yet", func(c *raw, l string) string { c.srv.SetSkew(-20 * time.Minute); return l }, "GET", 403, "AccessDenied"},
		{"expired grant", func(c *raw, l string) string { c.srv.ExpireGrants(); return l }, "GET", 403, "SecurityTokenExpired"},
		{"other key", func(_ *raw, l string) string { return strings.Replace(l, "png", "gif", 1) }, "GET", 403, "SignatureDoesNotMatch"},
		{"longer life", func(_ *raw, l string) string { return strings.Replace(l, "expires=300", "expires=400", 1) }, "GET", 403, "SignatureDoesNotMatch"},
		{"too long a life", func(_ *raw, l string) string { return strings.Replace(l, "expires=300", "expires=604801", 1) }, "GET", 400, "InvalidArgument"},
		{"no life", func(_ *raw, l string) string { return strings.Replace(l, "expires=300", "expires=0", 1) }, "GET", 400, "InvalidArgument"},
		{"no date", func(_ *raw, l string) string { return strings.Replace(l, "x-oss-date", "x-oss-data", 1) }, "GET", 400, "InvalidArgument"},
		{"no credential", func(_ *raw, l string) string { return strings.Replace(l, "x-oss-credential", "x-oss-c", 1) }, "GET", 400, "InvalidArgument"},
		{"another version", func(_ *raw, l string) string { return strings.Replace(l, "OSS4-HMAC", "OSS2-HMAC", 1) }, "GET", 400, "InvalidArgument"},
		{"no version", func(_ *raw, l string) string { return strings.Replace(l, "x-oss-signature-version", "v", 1) }, "GET", 400, "InvalidArgument"},
		{"bad additional headers", func(_ *raw, l string) string { return l + "&x-oss-additional-headers=" }, "GET", 400, "InvalidArgument"},
		{"missing additional header", func(_ *raw, l string) string { return l + "&x-oss-additional-headers=abc" }, "GET", 400, "InvalidArgument"},
		{"no signature at all", func(_ *raw, l string) string { l, _, _ = strings.Cut(l, "?"); return l }, "GET", 403, "AccessDenied"},
		{"for another method", func(_ *raw, l string) string { return l }, "PUT", 403, "SignatureDoesNotMatch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, key)
			c.mustPut(key, "hello")
			link := srv.Link(key, 300*time.Second)
			if strings.Contains(link, c.grant.AccessKeyID) || !strings.HasPrefix(link, srv.URL()+"/qwen-webui-prod/u/f_%E7%9B%B8%E7%89%87%20a%2Bb%25.png?") {
				t.Errorf("link %s", link)
			}
			r, err := http.NewRequestWithContext(t.Context(), tc.method, tc.change(c, link), strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			resp, body := c.do(r)
			wantError(t, resp, body, tc.status, tc.code)
			if tc.status == 200 && (body != "hello" || resp.Header.Get("Content-Type") != "text/plain") {
				t.Errorf("read %q, %v", body, resp.Header)
			}
		})
	}
}

// The key of a link reads only.
func TestLinkKeysOnlyRead(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	c.mustPut("k", "hello")
	c.grant = srv.issue("k", true).Grant
	resp, body := c.call("PUT", "k", "", "other")
	wantError(t, resp, body, 403, "AccessDenied")
	if resp, body := c.call("GET", "k", "", ""); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestLinkAddress(t *testing.T) {
	s := NewStorage(StorageOptions{})
	s.SetEndpoint("evil.example")
	if l := s.Link("a b", time.Minute); !strings.HasPrefix(l, "https://qwen-webui-prod.oss-accelerate.aliyuncs.com/a%20b?x-oss-") {
		t.Errorf("link %s", l)
	}
	s.SetAddress("http://127.0.0.1:1/")
	if l := s.Link("k", time.Minute); !strings.HasPrefix(l, "http://127.0.0.1:1/qwen-webui-prod/k?") || s.Address() != "http://127.0.0.1:1" {
		t.Errorf("link %s", l)
	}
	if s.Endpoint() != "evil.example" || s.Bucket() != "qwen-webui-prod" || s.Region() != "oss-ap-southeast-1" {
		t.Error("names")
	}
	if s.SetEndpoint(""); s.Endpoint() != "oss-accelerate.aliyuncs.com" {
		t.Errorf("endpoint %s", s.Endpoint())
	}
}

func TestGrantsHideSecrets(t *testing.T) {
	s := NewStorage(StorageOptions{})
	g := s.Grant("k")
	if text := g.String(); strings.Contains(text, g.AccessKeySecret) || strings.Contains(text, g.SecurityToken) || !strings.Contains(text, g.AccessKeyID) {
		t.Errorf("String: %s", text)
	}
	if !strings.HasPrefix(g.AccessKeyID, "STS.") || len(g.SecurityToken) < 700 || len(g.SecurityToken) > 1400 || !strings.ContainsAny(g.SecurityToken, "+/") || !strings.HasSuffix(g.SecurityToken, "=") {
		t.Errorf("grant %v with a token of %d", g, len(g.SecurityToken))
	}
}
