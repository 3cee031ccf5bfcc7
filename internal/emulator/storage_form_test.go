package emulator

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const boundary = "----0123456789"

// post is a form as tests change it.
type post struct {
	fields     [][2]string
	conditions []any
	expires    time.Duration // after its date
	disp       string        // Content-Disposition of the file
	fileType   string
	file       string
	tail       string // what follows after the file instead of the end
	policy     func(string) string
	path       string
}

// set changes a field or adds it.
func (p *post) set(name, value string) {
	for i := range p.fields {
		if p.fields[i][0] == name {
			p.fields[i][1] = value
			return
		}
	}
	p.fields = append(p.fields, [2]string{name, value})
}

func (p *post) del(name string) {
	p.fields = slices.DeleteFunc(p.fields, func(f [2]string) bool { return f[0] == name })
}

// newPost is a form that the storage takes, up to its signature.
func (c *raw) newPost(key, file string) *post {
	date := c.date.UTC().Format("20060102T150405Z")
	cred := c.grant.AccessKeyID + "/" + date[:8] + "/" + c.region + "/" + c.product + "/aliyun_v4_request"
	return &post{
		fields: [][2]string{
			{"key", key}, {"success_action_status", "200"}, {"x-oss-content-type", "image/png"},
			{"x-oss-signature-version", "OSS4-HMAC-SHA256"}, {"x-oss-credential", cred}, {"x-oss-date", date},
			{"x-oss-security-token", c.grant.SecurityToken},
		},
		conditions: []any{
			map[string]string{"bucket": c.srv.Bucket()}, map[string]string{"x-oss-signature-version": "OSS4-HMAC-SHA256"},
			map[string]string{"x-oss-credential": cred}, map[string]string{"x-oss-date": date},
			map[string]string{"x-oss-security-token": c.grant.SecurityToken}, []any{"eq", "$x-oss-content-type", "image/png"},
			[]any{"content-length-range", len(file), len(file)},
		},
		expires: time.Hour, disp: `form-data; name="file"; filename="file"`, file: file, path: "/" + c.srv.Bucket(),
		policy: func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	}
}

// form signs a form by hand. A policy or a signature that is set stays.
func (c *raw) form(p *post) *http.Request {
	c.t.Helper()
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{
		"expiration": c.date.Add(p.expires).UTC().Format("2006-01-02T15:04:05.000Z"), "conditions": p.conditions,
	}); err != nil {
		c.t.Fatal(err)
	}
	policy := p.policy(strings.TrimSpace(text.String()))
	signature := hex.EncodeToString(chain("aliyun_v4"+c.grant.AccessKeySecret, c.date.UTC().Format("20060102"), c.region, c.product, "aliyun_v4_request", policy))
	fields := append([][2]string{{"policy", policy}, {"x-oss-signature", signature}}, p.fields...)
	var b strings.Builder
	for i, f := range fields {
		if i < 2 && slices.ContainsFunc(p.fields, func(g [2]string) bool { return g[0] == f[0] }) {
			continue
		}
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + f[0] + "\"\r\n\r\n" + f[1] + "\r\n")
	}
	b.WriteString("--" + boundary + "\r\nContent-Disposition: " + p.disp + "\r\n")
	if p.fileType != "" {
		b.WriteString("Content-Type: " + p.fileType + "\r\n")
	}
	b.WriteString("\r\n" + p.file + "\r\n")
	if p.tail == "" {
		p.tail = "--" + boundary + "--\r\n"
	}
	b.WriteString(p.tail)
	r, err := http.NewRequestWithContext(c.t.Context(), "POST", c.srv.URL()+p.path, strings.NewReader(b.String()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Host = c.host
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	return r
}

func FuzzForm(f *testing.F) {
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhello\r\n--x--\r\n"))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''f\r\n\r\nhello\r\n--x--\r\n"))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=file\r\n\r\nhello\r\n--x--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		frm, err := readForm("multipart/form-data; boundary=x", strings.NewReader(string(body)))
		if err != nil {
			if _, refused := err.(*storageError); !refused {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if frm.file == nil && frm.inline == nil {
			t.Fatalf("%q: no file", body)
		}
		for name, value := range frm.fields {
			if name != strings.ToLower(name) || len(value) > maxFormValue {
				t.Errorf("field %q of %d bytes", name, len(value))
			}
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"expiration":"2026-01-01T00:00:00.000Z","conditions":[{"a":"b"},["eq","$c","d"],["in","$e",["f"]],["content-length-range",1,2]]}`)
	f.Add(`{"expiration":"","conditions":null}`)
	f.Add(`{"expiration":"2026-01-01T00:00:00.000Z","conditions":[["starts-with","$",""],[],{},1]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := readPolicy(base64.StdEncoding.EncodeToString([]byte(text)))
		if err != nil {
			if _, refused := err.(*storageError); !refused {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if p.least < 0 || p.most < p.least {
			t.Errorf("%q: from %d to %d", text, p.least, p.most)
		}
		for _, c := range p.conditions {
			if c.field != strings.ToLower(c.field) || c.operator == "eq" && len(c.values) != 1 {
				t.Errorf("%q: condition %+v", text, c)
			}
			c.holds("x") // must not panic
		}
		_ = p.check(map[string]string{}, "b", p.expires, p.expires)
	})
}
