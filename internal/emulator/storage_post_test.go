package emulator

import (
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// A form whose signature was computed elsewhere.
func TestPostVector(t *testing.T) {
	const policy = "eyJleHBpcmF0aW9uIjoiMjAyNi0wMS0wMlQwNDowNDowNS4wMDBaIiwiY29uZGl0aW9ucyI6W3siYnVja2V0IjoicXdlbi13ZWJ1aS1wcm9kIn0seyJ4LW9zcy1zaWduYXR1cmUtdmVyc2lvbiI6Ik9TUzQtSE1BQy1TSEEyNTYifSx7Ingtb3NzLWNyZWRlbnRpYWwiOiJTVFMuYWsvMjAyNjAxMDIvYXAtc291dGhlYXN0LTEvb3NzL2FsaXl1bl92NF9yZXF1ZXN0In0seyJ4LW9zcy1kYXRlIjoiMjAyNjAxMDJUMDMwNDA1WiJ9LHsieC1vc3Mtc2VjdXJpdHktdG9rZW4iOiJDQUlTKy90b2tlbj09In0sWyJjb250ZW50LWxlbmd0aC1yYW5nZSIsNSw1XV19"
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := NewStorage(StorageOptions{})
	s.SetClock(func() time.Time { return at })
	s.admit(&grant{Grant: Grant{AccessKeyID: "STS.ak", AccessKeySecret: "secret", SecurityToken: "CAIS+/token==", Key: "u/f_x", Expires: at.Add(time.Hour)}})
	var b strings.Builder
	for _, f := range [][2]string{
		{"key", "u/f_x"}, {"policy", policy}, {"x-oss-signature-version", "OSS4-HMAC-SHA256"},
		{"x-oss-credential", "STS.ak/20260102/ap-southeast-1/oss/aliyun_v4_request"}, {"x-oss-date", "20260102T030405Z"},
		{"x-oss-signature", "0eaeb55d297b574006247c2ba63a3b2192be31b67c92074da6f3f451cdaacad9"}, {"x-oss-security-token", "CAIS+/token=="},
	} {
		b.WriteString("--x\r\nContent-Disposition: form-data; name=\"" + f[0] + "\"\r\n\r\n" + f[1] + "\r\n")
	}
	b.WriteString("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\nContent-Type: text/css\r\n\r\nhello\r\n--x--\r\n")
	r := httptest.NewRequest("POST", "http://qwen-webui-prod.oss-accelerate.aliyuncs.com/", strings.NewReader(b.String()))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if o, _ := s.Object("u/f_x"); w.Code != 204 || string(o.Body) != "hello" || o.ContentType != "text/css" || o.Op != OpPost {
		t.Errorf("%d %s, stored %v", w.Code, w.Body, o)
	}
}

func TestPostAnswers(t *testing.T) {
	for _, tc := range []struct {
		status string
		want   int
		body   bool
	}{{"200", 200, false}, {"201", 201, true}, {"204", 204, false}, {"299", 204, false}, {"", 204, false}} {
		for _, key := range oddKeys {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, key)
			p := c.newPost(key, "hello")
			p.set("success_action_status", tc.status)
			resp, body := c.do(c.form(p))
			o, _ := srv.Object(key)
			if resp.StatusCode != tc.want || strings.Contains(body, "<PostResponse>") != tc.body || string(o.Body) != "hello" {
				t.Errorf("status %q, key %q: %d %s, stored %v", tc.status, key, resp.StatusCode, body, o)
			}
			if resp.Header.Get("Etag") != `"5D41402ABC4B2A76B9719D911017C592"` || resp.Header.Get("X-Oss-Hash-Crc64ecma") == "" {
				t.Errorf("headers %v", resp.Header)
			}
		}
	}
}

func TestPostRefusals(t *testing.T) {
	const key = "u/f_photo.png"
	cond := func(v any) func(*raw, *post) {
		return func(_ *raw, p *post) { p.conditions = append(p.conditions, v) }
	}
	policyText := func(f func(string) string) func(*raw, *post) {
		return func(_ *raw, p *post) {
			enc := p.policy
			p.policy = func(s string) string { return enc(f(s)) }
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*raw, *post)
		status int
		code   string
		ec     string
	}{
		{"right", func(*raw, *post) {}, 200, "", ""},
		{"path with a slash", func(_ *raw, p *post) { p.path += "/" }, 200, "", ""},
		{"virtual host", func(c *raw, p *post) { c.host, p.path = "qwen-webui-prod.example.test", "/" }, 200, "", ""},
		{"names in capitals", func(_ *raw, p *post) { p.fields[0][0] = "Key" }, 200, "", ""},
		{"file name without quotes", func(_ *raw, p *post) { p.disp = "form-data; name=file; filename=file" }, 200, "", ""},
		{"no file name, short", func(_ *raw, p *post) { p.disp = `form-data; name="file"` }, 200, "", ""},
		{"starts-with", cond([]any{"starts-with", "$key", "u/"}), 200, "", ""},
		{"in", cond([]any{"in", "$key", []string{"x", key}}), 200, "", ""},
		{"not-in", cond([]any{"not-in", "$key", []string{"x", "y"}}), 200, "", ""},
		{"date of six days ago", func(c *raw, p *post) {
			c.date = c.date.Add(-6 * 24 * time.Hour)
			*p = *c.newPost(key, p.file)
			p.expires = 6*24*time.Hour + time.Hour
		}, 200, "", ""},

		{"to the key", func(_ *raw, p *post) { p.path += "/" + key }, 405, "MethodNotAllowed", ""},
		{"no key", func(_ *raw, p *post) { p.del("key") }, 400, "InvalidObjectName", ""},
		{"key that begins with a slash", func(_ *raw, p *post) { p.set("key", "/"+key) }, 400, "InvalidObjectName", ""},
		{"key of somebody else", func(_ *raw, p *post) { p.set("key", "u/f_other.png") }, 403, "AccessDenied", "0003-00000001"},
		{"no policy", func(_ *raw, p *post) { p.set("policy", "") }, 400, "InvalidArgument", "0002-00000702"},
		{"no version", func(_ *raw, p *post) { p.del("x-oss-signature-version") }, 400, "InvalidArgument", ""},
		{"version 1", func(_ *raw, p *post) { p.set("x-oss-signature-version", "OSS1") }, 400, "InvalidArgument", ""},
		{"no credential", func(_ *raw, p *post) { p.del("x-oss-credential") }, 400, "InvalidArgument", ""},
		{"no date", func(_ *raw, p *post) { p.del("x-oss-date") }, 400, "InvalidArgument", ""},
		{"no token", func(_ *raw, p *post) { p.del("x-oss-security-token") }, 403, "InvalidAccessKeyId", ""},
		{"expired token", func(c *raw, _ *post) { c.srv.ExpireGrants() }, 403, "SecurityTokenExpired", ""},
		{"wrong signature", func(_ *raw, p *post) { p.set("x-oss-signature", strings.Repeat("0", 64)) }, 403, "SignatureDoesNotMatch", ""},
		{"another secret", func(c *raw, p *post) { c.grant.AccessKeySecret += "x" }, 403, "SignatureDoesNotMatch", ""},
		{"region with its prefix", func(c *raw, p *post) {
			c.region = "oss-" + c.region
			*p = *c.newPost(key, p.file)
		}, 400, "InvalidArgument", "0002-00000715"},
		{"date of 8 days ago", func(c *raw, p *post) {
			c.date = c.date.Add(-8 * 24 * time.Hour)
			*p = *c.newPost(key, p.file)
		}, 403, "AccessDenied", ""},
		{"date in 20 minutes", func(c *raw, p *post) {
			c.date = c.date.Add(20 * time.Minute)
			*p = *c.newPost(key, p.file)
		}, 403, "AccessDenied", ""},
		{"expired", func(_ *raw, p *post) { p.expires = -time.Second }, 403, "AccessDenied", ""},
		{"good for 8 days", func(_ *raw, p *post) { p.expires = 8 * 24 * time.Hour }, 403, "AccessDenied", ""},
		{"policy that is no Base64", func(_ *raw, p *post) { p.policy = func(s string) string { return s } }, 400, "InvalidPolicyDocument", ""},
		{"policy that is no JSON", policyText(func(s string) string { return s[1:] }), 400, "InvalidPolicyDocument", ""},
		{"policy with another member", policyText(func(s string) string { return strings.Replace(s, "{", `{"version":1,`, 1) }), 400, "InvalidPolicyDocument", "0006-00000207"},
		{"policy with a member in capitals", policyText(func(s string) string { return strings.Replace(s, "conditions", "Conditions", 1) }), 400, "InvalidPolicyDocument", "0006-00000207"},
		{"something after the policy", policyText(func(s string) string { return s + "{}" }), 400, "InvalidPolicyDocument", ""},
		{"expiration without milliseconds", policyText(func(s string) string { return strings.Replace(s, ".000Z", "Z", 1) }), 400, "InvalidPolicyDocument", "0006-00000209"},
		{"conditions that are no list", policyText(func(s string) string { return strings.Replace(s, "[", "{", 1) }), 400, "InvalidPolicyDocument", ""},
		{"unknown operator", cond([]any{"ends-with", "$key", "x"}), 400, "InvalidPolicyDocument", ""},
		{"field without a dollar sign", cond([]any{"eq", "key", key}), 400, "InvalidPolicyDocument", ""},
		{"condition of two", cond([]any{"eq", "$key"}), 400, "InvalidPolicyDocument", ""},
		{"condition with a number", cond([]any{"eq", "$key", 1}), 400, "InvalidPolicyDocument", ""},
		{"object of two", cond(map[string]string{"key": key, "bucket": "qwen-webui-prod"}), 400, "InvalidPolicyDocument", ""},
		{"two ranges", cond([]any{"content-length-range", 1, 2}), 400, "InvalidPolicyDocument", "0006-00000219"},
		{"range upside down", func(_ *raw, p *post) { p.conditions[6] = []any{"content-length-range", 6, 5} }, 400, "InvalidPolicyDocument", "0006-00000222"},
		{"range of texts", func(_ *raw, p *post) { p.conditions[6] = []any{"content-length-range", "5", "5"} }, 400, "InvalidPolicyDocument", "0006-00000222"},
		{"range of nothing", func(_ *raw, p *post) { p.conditions[6] = []any{"content-length-range", nil, 5} }, 400, "InvalidPolicyDocument", "0006-00000222"},
		{"field that is not there", cond([]any{"eq", "$cache-control", "no"}), 403, "AccessDenied", "0006-00000226"},
		{"condition that does not hold", cond([]any{"eq", "$success_action_status", "201"}), 403, "AccessDenied", "0006-00000227"},
		{"starts otherwise", cond([]any{"starts-with", "$key", "v/"}), 403, "AccessDenied", "0006-00000227"},
		{"not in", cond([]any{"in", "$key", []string{"x"}}), 403, "AccessDenied", "0006-00000227"},
		{"in what it must not be in", cond([]any{"not-in", "$key", []string{key}}), 403, "AccessDenied", "0006-00000227"},
		{"another bucket", func(_ *raw, p *post) { p.conditions[0] = map[string]string{"bucket": "b"} }, 403, "AccessDenied", "0006-00000227"},
		{"version not covered", func(_ *raw, p *post) { p.conditions = slices.Delete(p.conditions, 1, 2) }, 403, "AccessDenied", "0006-00000228"},
		{"credential not covered", func(_ *raw, p *post) { p.conditions = slices.Delete(p.conditions, 2, 3) }, 403, "AccessDenied", "0006-00000228"},
		{"date not covered", func(_ *raw, p *post) { p.conditions = slices.Delete(p.conditions, 3, 4) }, 403, "AccessDenied", "0006-00000228"},
		{"token not covered", func(_ *raw, p *post) { p.conditions = slices.Delete(p.conditions, 4, 5) }, 403, "AccessDenied", "0006-00000228"},
		{"type not covered", func(_ *raw, p *post) { p.conditions = slices.Delete(p.conditions, 5, 6) }, 403, "AccessDenied", "0006-00000228"},
		{"field of its own", func(_ *raw, p *post) { p.set("x-oss-meta-a", "b") }, 403, "AccessDenied", "0006-00000228"},
		{"field twice", func(_ *raw, p *post) { p.fields = append(p.fields, [2]string{"KEY", key}) }, 400, "InvalidArgument", ""},
		{"file too long", func(_ *raw, p *post) { p.file += "!" }, 400, "EntityTooLarge", ""},
		{"file too short", func(_ *raw, p *post) { p.file = p.file[1:] }, 400, "EntityTooSmall", ""},
		{"name in UTF-8 by RFC 5987", func(_ *raw, p *post) {
			p.disp = `form-data; name="file"; filename*=UTF-8''%E7%9B%B8.png`
			p.file = strings.Repeat("x", 5000)
			p.conditions[6] = []any{"content-length-range", 0, 5000}
		}, 400, "FieldItemTooLong", "0006-00000112"},
		{"short, name in UTF-8 by RFC 5987", func(_ *raw, p *post) { p.disp = `form-data; name="file"; filename*=UTF-8''%E7%9B%B8.png` }, 400, "FieldItemTooLong", "0006-00000112"},
		{"no file name, long", func(_ *raw, p *post) {
			p.disp, p.file = `form-data; name="file"`, strings.Repeat("x", 5000)
			p.conditions[6] = []any{"content-length-range", 0, 5000}
		}, 400, "FieldItemTooLong", "0006-00000112"},
		{"field after the file", func(_ *raw, p *post) {
			p.tail = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--" + boundary + "--\r\n"
		}, 400, "MalformedPOSTRequest", "0006-00000103"},
		{"no file", func(_ *raw, p *post) { p.disp = `form-data; name="data"` }, 400, "MalformedPOSTRequest", ""},
		{"no end", func(_ *raw, p *post) { p.tail, p.conditions[6] = "\r\n", []any{"content-length-range", 0, 100} }, 400, "MalformedPOSTRequest", ""},
		{"part of another kind", func(_ *raw, p *post) { p.disp = `attachment; name="file"` }, 400, "MalformedPOSTRequest", ""},
		{"quotes that do not end", func(_ *raw, p *post) { p.disp = `form-data; name="file` }, 400, "MalformedPOSTRequest", ""},
		{"huge field", func(_ *raw, p *post) { p.set("cache-control", strings.Repeat("x", 3<<20)) }, 400, "FieldItemTooLong", ""},
		{"many fields", func(_ *raw, p *post) {
			for _, n := range []string{"a", "b", "c", "d", "e"} {
				p.set(n, strings.Repeat("x", 2<<20))
			}
		}, 400, "FieldItemTooLong", "0006-00000112"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, key)
			p := c.newPost(key, "hello")
			tc.change(c, p)
			resp, body := c.do(c.form(p))
			wantError(t, resp, body, tc.status, tc.code)
			if !strings.Contains(body, tc.ec) {
				t.Errorf("no %s in %s", tc.ec, body)
			}
			if _, found := srv.Object(key); found != (tc.status == 200) || len(srv.Objects()) != map[bool]int{true: 1}[found] {
				t.Errorf("stored %v", srv.Objects())
			}
		})
	}
}

func TestPostBoundaries(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	for _, contentType := range []string{
		"", "application/json", "multipart/form-data", "multipart/mixed; boundary=" + boundary, "multipart/form-data; boundary=" + strings.Repeat("x", 71),
	} {
		r := c.form(c.newPost("k", "hello"))
		r.Header.Set("Content-Type", contentType)
		resp, body := c.do(r)
		wantError(t, resp, body, 400, "MalformedPOSTRequest")
	}
}

// The field made for it goes before the type of the part, and that before the
// field Content-Type.
func TestPostContentType(t *testing.T) {
	for _, tc := range []struct{ own, part, field, want string }{
		{"image/png", "application/octet-stream", "image/gif", "image/png"},
		{"", "application/octet-stream", "image/gif", "application/octet-stream"},
		{"", "", "image/gif", "image/gif"},
		{"", "", "", "application/octet-stream"},
	} {
		srv := mustStorage(t, StorageOptions{})
		c := newRaw(t, srv, "k")
		p := c.newPost("k", "hello")
		p.conditions = slices.Delete(p.conditions, 5, 6)
		p.del("x-oss-content-type")
		if tc.own != "" {
			p.set("x-oss-content-type", tc.own)
			p.conditions = append(p.conditions, map[string]string{"x-oss-content-type": tc.own})
		}
		if tc.field != "" {
			p.set("Content-Type", tc.field)
		}
		p.fileType = tc.part
		resp, body := c.do(c.form(p))
		if o, _ := srv.Object("k"); resp.StatusCode != 200 || o.ContentType != tc.want {
			t.Errorf("%+v: %d %s, stored %v", tc, resp.StatusCode, body, o)
		}
		if r := srv.Requests()[0]; r.ContentType != tc.want || r.Signed != "form" || r.Key != "k" || r.AccessKeyID != c.grant.AccessKeyID || r.Date == "" {
			t.Errorf("recorded %+v", r)
		}
	}
}

// A client that leaves in the middle of the file is not told anything.
func TestPostHalfSent(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	r := c.form(c.newPost("k", strings.Repeat("x", 100_000)))
	whole, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(whole[:50_000])))
	c.fails(r)
	mustStored(t, srv, "the end", func() bool { list := srv.Requests(); return len(list) == 1 && list[0].Ended })
	if r := srv.Requests()[0]; !r.Lost || r.Code != "" || r.Status != 0 || len(srv.Objects()) != 0 {
		t.Errorf("recorded %+v", r)
	}
}
