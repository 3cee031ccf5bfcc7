package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"hash/crc64"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// vector is a published signature.
type vector struct {
	ID         string
	Kind       string // header or query
	Method     string
	Bucket     string
	Key        string
	AccessKey  string `json:"access_key_id"`
	Secret     string `json:"access_key_secret"`
	Token      string `json:"security_token"`
	Region     string
	Product    string
	Date       string
	Query      [][2]string
	Headers    [][2]string
	Additional []string `json:"additional_headers"`
	Expect     struct {
		Canonical     string `json:"canonical_request"`
		CanonicalSum  string `json:"canonical_request_sha256"`
		StringToSign  string `json:"string_to_sign"`
		SigningKey    string `json:"signing_key_hex"`
		Signature     string
		Authorization string
		Query         string `json:"canonical_query_with_signature"`
	}
}

// mustVectors reads the published signatures.
func mustVectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/oss-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	mustDecode(t, string(raw), &file)
	if len(file.Vectors) != 14 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	return file.Vectors
}

// request is the request of a vector as it is on the wire.
func (v *vector) request() *http.Request {
	q := url.Values{}
	for _, p := range v.Query {
		q.Set(p[0], p[1])
	}
	r := httptest.NewRequest(v.Method, "http://127.0.0.1/", strings.NewReader("123"))
	r.URL.Path, r.URL.RawQuery = "/"+v.Bucket+"/"+v.Key, q.Encode()
	for _, h := range v.Headers {
		r.Header.Set(h[0], h[1])
	}
	if v.Kind == "query" {
		r.URL.RawQuery = v.Expect.Query
	} else {
		r.Header.Set("Authorization", v.Expect.Authorization)
	}
	return r
}

// storage is one that knows the key of a vector, on its day.
func (v *vector) storage(t testing.TB) *Storage {
	t.Helper()
	s := NewStorage(StorageOptions{Bucket: v.Bucket, Region: "oss-" + v.Region})
	at, err := time.Parse("20060102T150405Z", v.Date)
	if err != nil {
		t.Fatal(err)
	}
	s.SetClock(func() time.Time { return at })
	s.admit(&grant{Grant: Grant{
		AccessKeyID: v.AccessKey, AccessKeySecret: v.Secret, SecurityToken: v.Token, Key: v.Key, Expires: at.Add(time.Hour),
	}})
	return s
}

func TestVectors(t *testing.T) {
	for _, v := range mustVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			additional := v.Additional
			if v.Kind == "header" {
				a, err := parseAuthorization(v.Expect.Authorization)
				if err != nil || a.id != v.AccessKey || a.signature != v.Expect.Signature || a.region != v.Region {
					t.Fatalf("authorization %+v, %v", a, err)
				}
				additional = a.additional
			}
			canonical := canonicalRequest(v.request(), v.Bucket, v.Key, additional)
			if canonical != v.Expect.Canonical {
				t.Errorf("canonical request\n%s\nwant\n%s", canonical, v.Expect.Canonical)
			}
			sum := sha256.Sum256([]byte(canonical))
			if got := hex.EncodeToString(sum[:]); got != v.Expect.CanonicalSum {
				t.Errorf("its sum %s", got)
			}
			sc := scope{day: v.Date[:8], region: v.Region, product: v.Product}
			text := stringToSign(v.Date, sc, canonical)
			if text != v.Expect.StringToSign {
				t.Errorf("string to sign\n%s\nwant\n%s", text, v.Expect.StringToSign)
			}
			if got := hex.EncodeToString(signingKey(v.Secret, sc)); v.Expect.SigningKey != "" && got != v.Expect.SigningKey {
				t.Errorf("signing key %s", got)
			}
			if got := sign(v.Secret, sc, text); got != v.Expect.Signature {
				t.Errorf("signature %s", got)
			}
		})
	}
}

// What the storage says of the requests of the vectors, and of the same with
// another signature.
func TestVectorRequests(t *testing.T) {
	for _, v := range mustVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			want, code := 200, ""
			switch {
			case v.Product != "oss":
				want, code = 400, "InvalidArgument"
			case v.Method == "POST":
				want, code = 501, "NotImplemented" // the right signature of an AppendObject
			}
			s := v.storage(t)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, v.request())
			if w.Code != want || mustCode(t, w.Body.String()) != code {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if o, _ := s.Object(v.Key); want == 200 && string(o.Body) != "123" {
				t.Errorf("stored %q", o.Body)
			}
			if v.Product != "oss" {
				return
			}
			other := strings.Repeat("0", 64)
			v.Expect.Authorization = strings.Replace(v.Expect.Authorization, v.Expect.Signature, other, 1)
			v.Expect.Query = strings.Replace(v.Expect.Query, v.Expect.Signature, other, 1)
			w = httptest.NewRecorder()
			s.ServeHTTP(w, v.request())
			var doc errorDocument
			if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 403 || doc.Code != "SignatureDoesNotMatch" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if doc.StringToSign != v.Expect.StringToSign || doc.CanonicalRequest != v.Expect.Canonical || doc.SignatureProvided != other || doc.OSSAccessKeyID != v.AccessKey {
				t.Errorf("explained with %+v", doc)
			}
		})
	}
}

// errorDocument is what the storage says when it refuses.
type errorDocument struct {
	XMLName           xml.Name `xml:"Error"`
	Code              string
	Message           string
	RequestID         string `xml:"RequestId"`
	HostID            string `xml:"HostId"`
	EC                string
	RequestTime       string
	ServerTime        string
	OSSAccessKeyID    string `xml:"OSSAccessKeyId"`
	SignatureProvided string
	StringToSign      string
	CanonicalRequest  string
	UploadID          string `xml:"UploadId"`
	PartNumber        string
	MinSizeAllowed    string
}

// mustCode returns the code of an error document, or nothing of any other body.
func mustCode(t testing.TB, body string) string {
	t.Helper()
	if !strings.Contains(body, "<Error>") {
		return ""
	}
	var doc errorDocument
	if err := xml.Unmarshal([]byte(body), &doc); err != nil || doc.RequestID == "" || doc.Message == "" {
		t.Fatalf("no error document: %v: %s", err, body)
	}
	return doc.Code
}

func TestCRC64(t *testing.T) {
	raw, err := os.ReadFile("testdata/oss-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		CRC64 []struct {
			Text string
			CRC  string `json:"crc64ecma"`
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.CRC64) != 2 {
		t.Fatalf("%v: %d", err, len(file.CRC64))
	}
	for _, v := range file.CRC64 {
		d, err := intake(strings.NewReader(v.Text), -1, false, false)
		if err != nil || strconv.FormatUint(d.crc, 10) != v.CRC {
			t.Errorf("%q: %d %v, want %s", v.Text, d.crc, err, v.CRC)
		}
	}
}

func TestCombineCRC(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) // always the same numbers
	body := pattern(70_000)
	for range 200 {
		i := rnd.IntN(len(body) + 1)
		j := i + rnd.IntN(len(body)-i+1)
		a, b := body[:i], body[i:j]
		got := combineCRC(crc64.Checksum(a, crcTable), crc64.Checksum(b, crcTable), int64(len(b)))
		if want := crc64.Checksum(body[:j], crcTable); got != want {
			t.Fatalf("%d and %d bytes: %x, want %x", len(a), len(b), got, want)
		}
	}
}
