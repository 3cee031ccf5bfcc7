package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// raw makes requests to a storage and signs them by hand. Tests change what
// they want to be wrong.
type raw struct {
	t    testing.TB
	srv  *StorageServer
	http *http.Client

	grant      Grant
	host       string // empty: path style
	date       time.Time
	day        string // of the scope; empty: that of the date
	region     string
	product    string
	additional []string // in the order and the case in which they are written
	after      func(*http.Request)
}

func newRaw(t testing.TB, srv *StorageServer, key string) *raw {
	t.Helper()
	return &raw{
		t: t, srv: srv, http: plainClient(t), grant: srv.Grant(key), date: srv.now().Truncate(time.Second),
		region: "ap-southeast-1", product: "oss",
	}
}

// escape is the encoding of keys, written in another way than in the storage.
func escape(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c == '/' || c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// chain is HMAC-SHA256 over each text in turn with the result as the next key.
func chain(key string, texts ...string) []byte {
	sum := []byte(key)
	for _, t := range texts {
		h := hmac.New(sha256.New, sum)
		io.WriteString(h, t)
		sum = h.Sum(nil)
	}
	return sum
}

// request makes a request with a signature in its headers. The query must be
// in its canonical form. Headers are names and values in turn.
func (c *raw) request(method, key, query string, body io.Reader, headers ...string) *http.Request {
	c.t.Helper()
	base := c.srv.URL() + "/" + c.srv.Bucket()
	if c.host != "" {
		base = c.srv.URL()
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, base+"/"+escape(key)+"?"+query, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if query == "" {
		r.URL.ForceQuery = false
	}
	r.Host = c.host
	date := c.date.UTC().Format("20060102T150405Z")
	h := map[string]string{
		"x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": date, "x-oss-security-token": c.grant.SecurityToken,
	}
	for i := 0; i < len(headers); i += 2 {
		h[strings.ToLower(headers[i])] = headers[i+1]
	}
	var lines []string
	for name, value := range h {
		if value == "" {
			continue
		}
		r.Header.Set(name, value)
		if name == "content-type" || name == "content-md5" || strings.HasPrefix(name, "x-oss-") || slices.Contains(c.additional, name) {
			lines = append(lines, name+":"+value+"\n")
		}
	}
	slices.Sort(lines)
	canonical := method + "\n/" + c.srv.Bucket() + "/" + escape(key) + "\n" + query + "\n" +
		strings.Join(lines, "") + "\n" + strings.Join(c.additional, ";") + "\nUNSIGNED-PAYLOAD"
	day := c.day
	if day == "" {
		day = date[:8]
	}
	scope := day + "/" + c.region + "/" + c.product + "/aliyun_v4_request"
	sum := sha256.Sum256([]byte(canonical))
	signature := hex.EncodeToString(chain("aliyun_v4"+c.grant.AccessKeySecret, day, c.region, c.product, "aliyun_v4_request",
		"OSS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
	extra := ""
	if c.additional != nil {
		extra = ",AdditionalHeaders=" + strings.Join(c.additional, ";")
	}
	r.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential="+c.grant.AccessKeyID+"/"+scope+extra+",Signature="+signature)
	if c.after != nil {
		c.after(r)
	}
	return r
}

// do sends a request and returns the response with its body.
func (c *raw) do(r *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, mustReadAll(c.t, resp)
}

// call sends a signed request.
func (c *raw) call(method, key, query, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	return c.do(c.request(method, key, query, strings.NewReader(body), headers...))
}

// fails sends a signed request that must not get an answer.
func (c *raw) fails(r *http.Request) error {
	c.t.Helper()
	resp, err := c.http.Do(r)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		c.t.Fatalf("answered with %d", resp.StatusCode)
	}
	return err
}

// wantError checks a refusal of the storage.
func wantError(t testing.TB, resp *http.Response, body string, status int, code string) {
	t.Helper()
	if resp.StatusCode != status || mustCode(t, body) != code {
		t.Errorf("%d %s, want %d %s", resp.StatusCode, body, status, code)
	}
	if resp.Header.Get("X-Oss-Request-Id") == "" || resp.Header.Get("Date") == "" {
		t.Errorf("headers %v", resp.Header)
	}
}

// mustPut stores an object.
func (c *raw) mustPut(key, body string) http.Header {
	c.t.Helper()
	resp, text := c.call("PUT", key, "", body, "Content-Type", "text/plain")
	if resp.StatusCode != 200 || text != "" {
		c.t.Fatalf("%d %s", resp.StatusCode, text)
	}
	return resp.Header
}
