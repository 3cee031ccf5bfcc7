package emulator

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// mustInitiate opens an upload.
func (c *raw) mustInitiate(key string) string {
	c.t.Helper()
	resp, body := c.call("POST", key, "uploads", "", "Content-Type", "video/mp4")
	var doc struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}
	if err := xml.Unmarshal([]byte(body), &doc); err != nil || resp.StatusCode != 200 || doc.Bucket != "qwen-webui-prod" || doc.Key != key || doc.UploadID == "" {
		c.t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	return doc.UploadID
}

// part sends a part and returns its ETag.
func (c *raw) part(key, upload string, n int, body string) (*http.Response, string) {
	c.t.Helper()
	return c.call("PUT", key, "partNumber="+strconv.Itoa(n)+"&uploadId="+upload, body)
}

func (c *raw) mustPart(key, upload string, n int, body string) string {
	c.t.Helper()
	resp, text := c.part(key, upload, n, body)
	if resp.StatusCode != 200 || text != "" {
		c.t.Fatalf("part %d: %d %s", n, resp.StatusCode, text)
	}
	return resp.Header.Get("Etag")
}

// complete sends a list of numbers and ETags in turn.
func (c *raw) complete(key, upload string, list ...any) (*http.Response, string) {
	c.t.Helper()
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i := 0; i < len(list); i += 2 {
		fmt.Fprintf(&b, "<Part><PartNumber>%v</PartNumber><ETag>%v</ETag></Part>", list[i], list[i+1])
	}
	b.WriteString("</CompleteMultipartUpload>")
	return c.call("POST", key, "uploadId="+upload, b.String())
}

var bigPart = strings.Repeat("0123456789abcdef", 6400) // 100 KiB

func TestMultipart(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	const key = "u/f_相片 + %.mp4"
	c := newRaw(t, srv, key)
	id := c.mustInitiate(key)
	second := c.mustPart(key, id, 9, "end")
	c.mustPart(key, id, 2, "something else")
	first := c.mustPart(key, id, 2, bigPart)
	c.mustPart(key, id, 5, "not in the list")
	sum := md5.Sum([]byte(bigPart))
	if want := `"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`; first != want {
		t.Errorf("ETag %s, want %s", first, want)
	}
	if srv.OpenUploads() != 1 || srv.Uploads()[0].Size != int64(len(bigPart)+3+15) || len(srv.Objects()) != 0 {
		t.Errorf("before: %+v", srv.Uploads())
	}
	resp, body := c.complete(key, id, 2, first, 9, strings.Trim(second, `"`))
	o, _ := srv.Object(key)
	if resp.StatusCode != 200 || string(o.Body) != bigPart+"end" || o.ContentType != "video/mp4" || o.Parts != 2 {
		t.Fatalf("%d %s, stored %v", resp.StatusCode, body, o)
	}
	var doc struct {
		XMLName             xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag   string
		Location, RequestID string
	}
	if err := xml.Unmarshal([]byte(body), &doc); err != nil || doc.ETag != o.ETag || doc.Key != key || resp.Header.Get("Etag") != o.ETag {
		t.Errorf("%v: %s", err, body)
	}
	if resp.Header.Get("X-Oss-Hash-Crc64ecma") != strconv.FormatUint(o.CRC64, 10) {
		t.Errorf("headers %v", resp.Header)
	}
	if srv.OpenUploads() != 0 {
		t.Errorf("open: %+v", srv.Uploads())
	}
	resp, body = c.complete(key, id, 2, first, 9, second)
	wantError(t, resp, body, 404, "NoSuchUpload")
	if resp, _ := c.call("HEAD", key, "", ""); resp.Header.Get("X-Oss-Object-Type") != "Multipart" || resp.ContentLength != o.Size {
		t.Errorf("HEAD %v", resp.Header)
	}
	if r := srv.Requests()[1]; r.Op != OpPart || r.Part != 9 || r.UploadID != id || r.BodySize != 3 || r.Signed != "header" || r.Virtual {
		t.Errorf("recorded %+v", r)
	}
}

func TestCompleteRefusals(t *testing.T) {
	const key = "k"
	for _, tc := range []struct {
		name   string
		list   func(small, big1, big2 string) []any
		status int
		code   string
	}{
		{"nothing", func(_, _, _ string) []any { return nil }, 400, "MalformedXML"},
		{"small part first", func(s, b, _ string) []any { return []any{1, s, 2, b} }, 400, "EntityTooSmall"},
		{"descending", func(s, b, b2 string) []any { return []any{3, b2, 2, b} }, 400, "InvalidPartOrder"},
		{"twice", func(_, b, _ string) []any { return []any{2, b, 2, b} }, 400, "InvalidPartOrder"},
		{"missing part", func(_, b, _ string) []any { return []any{2, b, 4, b} }, 400, "InvalidPart"},
		{"ETag of another part", func(_, b, b2 string) []any { return []any{2, b2, 3, b2} }, 400, "InvalidPart"},
		{"ETag in lower case", func(_, b, b2 string) []any { return []any{2, strings.ToLower(b), 3, b2} }, 400, "InvalidPart"},
		{"no ETag", func(_, b, _ string) []any { return []any{2, ""} }, 400, "MalformedXML"},
		{"no number", func(_, b, _ string) []any { return []any{"x", b} }, 400, "MalformedXML"},
		{"number 0", func(_, b, _ string) []any { return []any{0, b} }, 400, "InvalidArgument"},
		{"number 10001", func(_, b, _ string) []any { return []any{10001, b} }, 400, "InvalidArgument"},
		{"small part last", func(s, b, _ string) []any { return []any{2, b, 4, s} }, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := newRaw(t, srv, key)
			id := c.mustInitiate(key)
			small := c.mustPart(key, id, 1, bigPart[1:])
			b1, b2 := c.mustPart(key, id, 2, bigPart), c.mustPart(key, id, 3, "x"+bigPart)
			if tc.status == 200 {
				c.mustPart(key, id, 4, bigPart[1:])
			}
			resp, body := c.complete(key, id, tc.list(small, b1, b2)...)
			wantError(t, resp, body, tc.status, tc.code)
			if open := srv.OpenUploads(); (open == 0) != (tc.status == 200) {
				t.Errorf("%d uploads are open", open)
			}
			if tc.code == "EntityTooSmall" && !strings.Contains(body, "<MinSizeAllowed>102400</MinSizeAllowed>") {
				t.Errorf("explained with %s", body)
			}
		})
	}
	for _, doc := range []string{
		"", "x", "<CompleteMultipartUpload>", "<Other><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></Other>",
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload><x/>",
		"<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>",
		strings.Repeat(" ", maxPartList+1),
	} {
		srv := mustStorage(t, StorageOptions{})
		c := newRaw(t, srv, key)
		resp, body := c.call("POST", key, "uploadId="+c.mustInitiate(key), doc)
		wantError(t, resp, body, 400, "MalformedXML")
	}
}

func TestUploadRefusals(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	id := c.mustInitiate("k")
	for _, n := range []string{"0", "10001", "-1", "x", ""} {
		resp, body := c.call("PUT", "k", "partNumber="+n+"&uploadId="+id, "x")
		if n == "" {
			resp, body = c.call("PUT", "k", "partNumber&uploadId="+id, "x")
		}
		wantError(t, resp, body, 400, "InvalidArgument")
	}
	for _, call := range [][2]string{{"PUT", "partNumber=1&uploadId=X"}, {"GET", "uploadId=X"}, {"POST", "uploadId=X"}, {"DELETE", "uploadId=X"}} {
		resp, body := c.call(call[0], "k", call[1], "x")
		wantError(t, resp, body, 404, "NoSuchUpload")
		if !strings.Contains(body, "<UploadId>X</UploadId>") {
			t.Errorf("explained with %s", body)
		}
	}
	other := newRaw(t, srv, "other")
	resp, body := other.part("other", id, 1, "x")
	wantError(t, resp, body, 404, "NoSuchUpload")
	resp, body = other.call("DELETE", "k", "uploadId="+id, "")
	wantError(t, resp, body, 403, "AccessDenied")
	for _, r := range []*http.Request{
		c.request("GET", "k", "uploads", nil), c.request("DELETE", "k", "", nil), c.request("PATCH", "k", "uploadId="+id, nil),
	} {
		if r.Method == "GET" {
			continue // reads the object: it has no part in uploads
		}
		resp, body := c.do(r)
		wantError(t, resp, body, 501, "NotImplemented")
	}
	if resp, body := c.call("DELETE", "k", "uploadId="+id, ""); resp.StatusCode != 204 || body != "" || srv.OpenUploads() != 0 {
		t.Errorf("abort: %d %s", resp.StatusCode, body)
	}
	resp, body = c.part("k", id, 1, "x")
	wantError(t, resp, body, 404, "NoSuchUpload")
	c.mustInitiate("k")
	if n := srv.ForgetUploads(); n != 1 || srv.OpenUploads() != 0 {
		t.Errorf("forgot %d", n)
	}
}

// A part that arrives after the upload was aborted is not stored.
func TestPartOfAbortedUpload(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	id := c.mustInitiate("k")
	// More than the buffers in between can take: at its end the storage reads.
	const much = 32 << 20
	end := &interrupted{parts: []string{"nearly ", "done"}, between: func() { srv.ForgetUploads() }}
	r := c.request("PUT", "k", "partNumber=1&uploadId="+id, io.MultiReader(bytes.NewReader(make([]byte, much)), end))
	r.ContentLength = much + 11
	resp, body := c.do(r)
	wantError(t, resp, body, 404, "NoSuchUpload")
	if list := srv.Requests(); list[1].BodySize != much+11 {
		t.Errorf("recorded %+v", list[1])
	}
}

// interrupted is a body with something that happens before its last piece.
type interrupted struct {
	parts   []string
	between func()
}

func (s *interrupted) Read(b []byte) (int, error) {
	if len(s.parts) == 1 {
		s.between()
	}
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.parts[0])
	s.parts = s.parts[1:]
	return n, nil
}

func TestContentMD5(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	c := newRaw(t, srv, "k")
	sum := md5.Sum([]byte("hello"))
	right := base64.StdEncoding.EncodeToString(sum[:])
	for md, status := range map[string]int{right: 200, base64.StdEncoding.EncodeToString(make([]byte, 16)): 400, "x": 400, "aGVsbG8=": 400} {
		resp, body := c.call("PUT", "k", "", "hello", "Content-MD5", md)
		wantError(t, resp, body, status, map[int]string{400: "InvalidDigest"}[status])
	}
	id := c.mustInitiate("k")
	resp, body := c.call("POST", "k", "uploadId="+id, "other", "Content-MD5", right)
	wantError(t, resp, body, 400, "InvalidDigest")
}
