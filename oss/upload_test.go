package oss

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// testData returns n bytes that are the same in every run.
func testData(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}

func testObject(data []byte) Object {
	return Object{
		Body: bytes.NewReader(data), Size: int64(len(data)),
		CRC64: crc64.Checksum(data, crcTable), ContentType: "image/png",
	}
}

// mustFail fails unless err is an *Error of the kind, and returns it.
func mustFail(t testing.TB, err error, kind Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *Error", err)
	}
	if e.Kind != kind {
		t.Errorf("kind %v of %v, want %v", e.Kind, err, kind)
	}
	for _, secret := range []string{"the-secret", "CAIS+token", "Signature="} {
		if strings.Contains(fmt.Sprintf("%v %+v", err, e.Err), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
	return e
}

func TestUploadStoresTheBytes(t *testing.T) {
	sizes := []int{0, 1, minPart - 1, minPart, minPart + 1, 3*minPart - 1, 3 * minPart, 1<<20 + 7}
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%v/%d bytes", method, size), func(t *testing.T) {
				if method == MultipartUpload && size == 0 {
					t.Skip("empty objects have no parts; see the test of fall-backs")
				}
				f := mustFake(t)
				data := testData(size)
				if err := f.client().Upload(t.Context(), f.grant, testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
			})
		}
	}
}

func TestUploadEncodesKeys(t *testing.T) {
	keys := []string{
		"plain.png", "a b", "a+b", "100%", "%41", "ü/图/🖼.png", "a//b", "q?uploads=x&y#z", `quo"te'`,
		"line\r\nbreak: x", "semi;colon,comma", "~-._", "$&+:=@", "${name}",
	}
	for _, key := range keys {
		for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
			t.Run(fmt.Sprintf("U12/%v/%q is encoded, not injected", method, key), func(t *testing.T) {
				f := mustFake(t)
				f.grant.Key = key
				data := testData(2 * minPart)
				if err := f.client().Upload(t.Context(), f.grant, testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
			})
		}
	}
}

// mustTLSFake starts a fake that is reached as the host of the grant, by a
// transport that trusts its certificate and nothing else.
func mustTLSFake(t *testing.T) (*fake, *Client) {
	t.Helper()
	f := newFake(t)
	f.server = httptest.NewUnstartedServer(f)
	host := f.grant.Bucket + "." + f.grant.Endpoint
	cert, pool := mustCertificate(t, host)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	f.server.StartTLS()
	t.Cleanup(f.close)
	address := f.server.Listener.Addr().String()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != host+":443" {
				t.Errorf("dialled %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return f, &Client{Transport: transport, PartSize: minPart}
}

func TestUploadByVirtualHost(t *testing.T) {
	endpoints := []string{
		"oss-accelerate.aliyuncs.com", "https://OSS-Accelerate.aliyuncs.com/",
		"qwen-webui-prod.oss-accelerate.aliyuncs.com:443", "https://qwen-webui-prod.oss-accelerate.aliyuncs.com",
	}
	for _, endpoint := range endpoints {
		for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
			t.Run(fmt.Sprintf("%v/%s", method, endpoint), func(t *testing.T) {
				f, c := mustTLSFake(t)
				data := testData(3 * minPart)
				g := f.grant
				g.Endpoint = endpoint
				if err := c.Upload(t.Context(), g, testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				f.mustHold(data, "image/png")
			})
		}
	}
}

func TestUnknownCertificate(t *testing.T) {
	_, c := mustTLSFake(t)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	var pauses atomic.Int32
	c.backoff = countPauses(&pauses)
	e := mustFail(t, c.Upload(t.Context(), testGrant(), testObject(testData(5)), []Method{PutObject, PostForm}, nil), KindNetwork)
	if e.Method != PutObject || e.Host == "" || pauses.Load() != 0 {
		t.Errorf("%v after %d pauses; a foreign certificate must end it at once", e, pauses.Load())
	}
}

// noTransport fails the test when anything is sent.
type noTransport struct{ t *testing.T }

func (n noTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s %s was sent", r.Method, r.URL.Host)
	return nil, errors.New("nothing may be sent")
}

func TestUntrustedGrantsSendNothing(t *testing.T) {
	change := func(f func(*Grant)) Grant { g := testGrant(); f(&g); return g }
	cases := map[string]Grant{
		"U16 foreign host":    change(func(g *Grant) { g.Endpoint = "evil.example" }),
		"U16 http":            change(func(g *Grant) { g.Endpoint = "http://oss-accelerate.aliyuncs.com" }),
		"U16 address":         change(func(g *Grant) { g.Endpoint = "100.100.100.200" }),
		"U16 IPv6 address":    change(func(g *Grant) { g.Endpoint = "https://[::1]" }),
		"U16 port":            change(func(g *Grant) { g.Endpoint = "oss-accelerate.aliyuncs.com:8443" }),
		"U16 user":            change(func(g *Grant) { g.Endpoint = "https://oss.aliyuncs.com@evil.example" }),
		"U16 bucket as host":  change(func(g *Grant) { g.Bucket = "evil.example/" }),
		"U16 bucket and user": change(func(g *Grant) { g.Bucket = "a@evil" }),
		"U16 no bucket":       change(func(g *Grant) { g.Bucket = "" }),
		"U16 long bucket":     change(func(g *Grant) { g.Bucket = strings.Repeat("b", 64) }),
		"U16 no host":         change(func(g *Grant) { g.Endpoint = "" }),
	}
	for name, g := range cases {
		t.Run(name, func(t *testing.T) {
			c := &Client{Transport: noTransport{t}}
			e := mustFail(t, c.Upload(t.Context(), g, testObject(testData(5)), []Method{PutObject, PostForm, MultipartUpload}, nil), KindUntrusted)
			if strings.Contains(e.Host, "@") || e.Method != 0 {
				t.Errorf("host %q, method %v", e.Host, e.Method)
			}
		})
	}
}

func TestUntrustedHostIsNamed(t *testing.T) {
	g := testGrant()
	g.Endpoint = "http://user:pass@evil.example\n:80/path?x=y"
	e := mustFail(t, (&Client{Transport: noTransport{t}}).Upload(t.Context(), g, testObject(nil), []Method{PutObject}, nil), KindUntrusted)
	if e.Host != "evil.example?:80" {
		t.Errorf("host %q", e.Host)
	}
}

func TestBadOwnEndpoint(t *testing.T) {
	for _, s := range []string{"ftp://127.0.0.1", "http://127.0.0.1/path", "http://u:p@127.0.0.1", "http://127.0.0.1?q=1", "127.0.0.1", "http://"} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{Transport: noTransport{t}, Endpoint: u}
		mustFail(t, c.Upload(t.Context(), testGrant(), testObject(nil), []Method{PutObject}, nil), KindUntrusted)
	}
}

func TestUnusableGrantsAndObjects(t *testing.T) {
	type input struct {
		g Grant
		o Object
		m []Method
	}
	cases := map[string]struct {
		kind   Kind
		change func(*input)
	}{
		"no key id":           {KindBadResponse, func(i *input) { i.g.AccessKeyID = "" }},
		"no secret":           {KindBadResponse, func(i *input) { i.g.AccessKeySecret = "" }},
		"token with a break":  {KindBadResponse, func(i *input) { i.g.SecurityToken = "a\r\nb" }},
		"id with a break":     {KindBadResponse, func(i *input) { i.g.AccessKeyID = "a\nb" }},
		"no region":           {KindBadResponse, func(i *input) { i.g.Region = "oss-" }},
		"region with a slash": {KindBadResponse, func(i *input) { i.g.Region = "a/b" }},
		"no key":              {KindBadResponse, func(i *input) { i.g.Key = "" }},
		"key with a slash":    {KindBadResponse, func(i *input) { i.g.Key = "/a" }},
		"backslash":           {KindBadResponse, func(i *input) { i.g.Key = `\a` }},
		"long key":            {KindBadResponse, func(i *input) { i.g.Key = strings.Repeat("k", 1024) }},
		"key not UTF-8":       {KindBadResponse, func(i *input) { i.g.Key = "a\xff" }},
		"U12 type with CRLF":  {KindRefused, func(i *input) { i.o.ContentType = "image/png\r\nx-oss-acl: public" }},
		"type not ASCII":      {KindRefused, func(i *input) { i.o.ContentType = "image/ü" }},
		"negative size":       {KindRefused, func(i *input) { i.o.Size = -1 }},
		"no body":             {KindRefused, func(i *input) { i.o.Body = nil }},
		"no method":           {KindRefused, func(i *input) { i.m = nil }},
		"unknown method":      {KindRefused, func(i *input) { i.m = []Method{9} }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := input{testGrant(), testObject(testData(5)), []Method{PutObject}}
			c.change(&in)
			mustFail(t, (&Client{Transport: noTransport{t}}).Upload(t.Context(), in.g, in.o, in.m, nil), c.kind)
		})
	}
}

func TestDefaultContentType(t *testing.T) {
	f := mustFake(t)
	o := Object{}
	if err := f.client().Upload(t.Context(), f.grant, o, []Method{PostForm}, nil); err != nil {
		t.Fatal(err)
	}
	f.mustHold(nil, "application/octet-stream")
}

func TestFallBack(t *testing.T) {
	denied := fault{status: 403, code: "AccessDenied"}
	cases := map[string]struct {
		size    int
		methods []Method
		faults  func(*fakeCall) fault
		calls   []string
	}{
		"denied initiate": {5, []Method{MultipartUpload, PostForm}, only("initiate", denied), []string{"initiate", "post"}},
		"denied form":     {5, []Method{PostForm, PutObject}, only("post", denied), []string{"post", "put"}},
		"405":             {5, []Method{PostForm, PutObject}, only("post", fault{status: 405, code: "MethodNotAllowed"}), []string{"post", "put"}},
		"501":             {5, []Method{PutObject, PostForm}, only("put", fault{status: 501, code: "NotImplemented"}), []string{"put", "post"}},
		"bad signature":   {5, []Method{PutObject, PostForm}, only("put", fault{status: 403, code: "SignatureDoesNotMatch"}), []string{"put", "post"}},
		"empty multipart": {0, []Method{MultipartUpload, PutObject}, only(""), []string{"put"}},
		"refused part": {5, []Method{MultipartUpload, PutObject}, only("part", denied),
			[]string{"initiate", "part", "abort", "put"}},
		"refused complete": {5, []Method{MultipartUpload, PutObject}, only("complete", fault{status: 400, code: "InvalidPart"}),
			[]string{"initiate", "part", "complete", "abort", "put"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := mustFake(t)
			f.faults = c.faults
			data := testData(c.size)
			if err := f.client().Upload(t.Context(), f.grant, testObject(data), c.methods, nil); err != nil {
				t.Fatal(err)
			}
			f.mustHold(data, "image/png")
			if !slices.Equal(f.log, c.calls) {
				t.Errorf("requests %v, want %v", f.log, c.calls)
			}
		})
	}
}

func TestAllMethodsRefused(t *testing.T) {
	f := mustFake(t)
	f.faults = func(*fakeCall) fault { return fault{status: 403, code: "AccessDenied"} }
	err := f.client().Upload(t.Context(), f.grant, testObject(testData(5)), []Method{MultipartUpload, PostForm, PutObject}, nil)
	e := mustFail(t, err, KindRefused)
	if e.Method != PutObject || e.Status != 403 || e.Code != "AccessDenied" || e.EC != "0001-00000001" || e.RequestID != "the-request" {
		t.Errorf("%+v", e)
	}
	for _, part := range []string{"put the object", "post the form", "open a multipart upload", "AccessDenied"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %q", part, err)
		}
	}
}

func TestVariableInKeyIsNoVariable(t *testing.T) {
	f := mustFake(t)
	f.grant.Key = "u/${filename}.png"
	data := testData(9)
	if err := f.client().Upload(t.Context(), f.grant, testObject(data), []Method{PostForm, PutObject}, nil); err != nil {
		t.Fatal(err)
	}
	f.mustHold(data, "image/png")
	if !slices.Equal(f.log, []string{"put"}) {
		t.Errorf("requests %v", f.log)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		f := mustFake(t)
		f.faults = always("put", fault{status: status, header: map[string]string{"Location": "http://127.0.0.1:1/"}})
		e := mustFail(t, f.client().Upload(t.Context(), f.grant, testObject(testData(5)), []Method{PutObject, PostForm}, nil), KindBadResponse)
		if e.Status != status || len(f.log) != 1 {
			t.Errorf("%d: %v, requests %v", status, e, f.log)
		}
	}
}

func TestTooLargeForOneRequest(t *testing.T) {
	o := Object{Body: bytes.NewReader(nil), Size: maxSingle + 1}
	c := &Client{Transport: noTransport{t}}
	mustFail(t, c.Upload(t.Context(), testGrant(), o, []Method{PutObject, PostForm}, nil), KindRefused)
	o.Size = maxParts*maxSingle + 1
	mustFail(t, c.Upload(t.Context(), testGrant(), o, []Method{MultipartUpload}, nil), KindRefused)
}
