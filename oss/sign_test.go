package oss

import (
	"encoding/hex"
	"encoding/json"
	"hash/crc64"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A vector is a published signature: of a request with headers, or of a signed URL.
type vector struct {
	ID         string      `json:"id"`
	Kind       string      `json:"kind"`
	Method     string      `json:"method"`
	Bucket     string      `json:"bucket"`
	Key        string      `json:"key"`
	AK         string      `json:"access_key_id"`
	SK         string      `json:"access_key_secret"`
	Token      string      `json:"security_token"`
	Region     string      `json:"region"`
	Product    string      `json:"product"`
	Date       string      `json:"date"`
	Query      [][2]string `json:"query"`
	Headers    [][2]string `json:"headers"`
	Additional []string    `json:"additional_headers"`
	Expect     struct {
		Canonical     string `json:"canonical_request"`
		StringToSign  string `json:"string_to_sign"`
		Key           string `json:"signing_key_hex"`
		Signature     string `json:"signature"`
		Authorization string `json:"authorization"`
		Query         string `json:"canonical_query_with_signature"`
		DocKey        string `json:"doc_signing_key_hex"`
		DocSignature  string `json:"doc_signature"`
	} `json:"expect"`
}

type vectorFile struct {
	Vectors []vector
	CRC64   []struct{ ID, Text, CRC64ECMA string }
}

func mustVectors(t testing.TB) vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// signable returns the vector's request and scope.
func (v vector) signable() (signable, scope) {
	s := signable{verb: v.Method, bucket: v.Bucket, key: v.Key, header: http.Header{}, additional: v.Additional}
	for _, h := range v.Headers {
		s.header.Add(h[0], h[1])
	}
	for _, q := range v.Query {
		s.query = append(s.query, param{q[0], q[1]})
	}
	return s, scope{v.Date[:8], v.Region, v.Product}
}

func TestSignatureVectors(t *testing.T) {
	vectors := mustVectors(t).Vectors
	if len(vectors) != 14 {
		t.Fatalf("%d vectors, want 14", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			s, sc := v.signable()
			same := func(what, got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("%s\n%q, want\n%q", what, got, want)
				}
			}
			canonical := s.canonical()
			same("canonical request", canonical, v.Expect.Canonical)
			text := stringToSign(v.Date, sc, canonical)
			same("string to sign", text, v.Expect.StringToSign)
			key := signingKey(v.SK, sc)
			same("key", hex.EncodeToString(key), v.Expect.Key)
			sig := signature(key, text)
			same("signature", sig, v.Expect.Signature)
			if v.Kind == "header" {
				same("header", authorization(v.AK, sc, s.extra(), sig), v.Expect.Authorization)
			} else {
				same("query", canonicalQuery(append(s.query, param{"x-oss-signature", sig})), v.Expect.Query)
			}
			if v.Expect.DocKey != "" {
				docKey, _ := hex.DecodeString(v.Expect.DocKey)
				same("signature of the documentation", signature(docKey, text), v.Expect.DocSignature)
			}
		})
	}
}

func TestChecksumVectors(t *testing.T) {
	for _, v := range mustVectors(t).CRC64 {
		if got := strconv.FormatUint(crc64.Checksum([]byte(v.Text), crcTable), 10); got != v.CRC64ECMA {
			t.Errorf("%s: %s, want %s", v.ID, got, v.CRC64ECMA)
		}
	}
}

// TestSignaturesOfRequests signs the vectors' requests the way real ones are.
func TestSignaturesOfRequests(t *testing.T) {
	tried := 0
	for _, v := range mustVectors(t).Vectors {
		if v.Kind != "header" || v.Product != product || len(v.Additional) > 0 {
			continue
		}
		tried++
		at, err := time.Parse(stampLayout, v.Date)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := v.signable()
		for _, name := range []string{"x-oss-date", "x-oss-content-sha256", "x-oss-security-token"} {
			s.header.Del(name)
		}
		keys := credentials{v.AK, v.SK, v.Token, v.Region}
		keys.sign(s.header, v.Method, v.Bucket, v.Key, s.query, at.In(time.FixedZone("east", 9*3600)))
		if got := s.header.Get("Authorization"); got != v.Expect.Authorization {
			t.Errorf("%s: %s, want %s", v.ID, got, v.Expect.Authorization)
		}
	}
	if tried < 3 {
		t.Errorf("only %d vectors apply", tried)
	}
}

func TestCanonicalForms(t *testing.T) {
	s := signable{verb: "GET", bucket: "b", header: http.Header{
		"X-Oss-Meta-A-B": {" two  blanks inside "}, "X-Oss-Meta-A": {"1", " 2 "}, "Content-Md5": {"md5"},
		"X-Other": {"no"}, "Host": {"no"},
	}}
	want := "GET\n/b/\n\ncontent-md5:md5\nx-oss-meta-a:1,2\nx-oss-meta-a-b:two  blanks inside\n\n\nUNSIGNED-PAYLOAD"
	if got := s.canonical(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// The names are sorted without their values: "-" sorts before "=".
	query := []param{{"a-b", "1"}, {"a", "2"}, {"z", ""}, {"A", "0"}, {"ü", "x y"}}
	if got := canonicalQuery(query); got != "%C3%BC=x%20y&A=0&a=2&a-b=1&z" {
		t.Errorf("query %q", got)
	}
}

// randomText returns text of characters that are hard to encode.
func randomText(r *rand.Rand) string {
	alphabet := []rune("ab/ZÄ图🖼 +%&=?#;:@$,'\"\\<>~-._!*()[]{}|^`\t\x01\u00a0\u2028")
	text := make([]rune, 1+r.IntN(40))
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(text)
}

func mustRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("CADDY_QWEN_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CADDY_QWEN_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// TestSignaturesEqualTheSDK compares signatures of random requests with those of
// the official SDK.
func TestSignaturesEqualTheSDK(t *testing.T) {
	r := mustRandom(t)
	for range 2000 {
		g := Grant{
			AccessKeyID: "STS." + strconv.Itoa(r.Int()), AccessKeySecret: strconv.Itoa(r.Int()),
			Region: "oss-cn-x", Bucket: "bucket-1", Key: randomText(r),
		}
		if r.IntN(2) == 0 {
			g.SecurityToken = "token+/=" + strconv.Itoa(r.Int())
		}
		at := time.Unix(r.Int64N(4e9), 0)
		query := []param{{"uploadId", randomText(r)}, {"partNumber", strconv.Itoa(r.IntN(9))}, {"uploads", ""}, {"x " + randomText(r), randomText(r)}}
		to := target{scheme: "https", host: "bucket-1.aliyuncs.com", bucket: g.Bucket}
		req := &http.Request{Method: "PUT", URL: to.url(g.Key, query), Header: http.Header{"Content-Type": {"text/plain"}}}
		keys := credentials{g.AccessKeyID, g.AccessKeySecret, g.SecurityToken, "cn-x"}
		keys.sign(req.Header, req.Method, g.Bucket, g.Key, query, at)
		if got, want := req.Header.Get("Authorization"), sdkAuthorization(g, req, g.Key, at); got != want {
			t.Fatalf("key %q, query %q: %s, the SDK has %s", g.Key, query, got, want)
		}
	}
}

// mustEscape checks the encoding of one text.
func mustEscape(t *testing.T, s string) {
	t.Helper()
	for _, slash := range []bool{false, true} {
		got := escape(s, slash)
		if back, err := url.PathUnescape(got); err != nil || back != s {
			t.Errorf("%q became %q and back %q, %v", s, got, back, err)
		}
		rest := strings.TrimLeft(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")
		if !slash && rest != "" || slash && strings.Trim(rest, "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%") != "" {
			t.Errorf("%q keeps characters bare: %q", s, got)
		}
		if strings.Count(got, "/") != strings.Count(s, "/") && slash {
			t.Errorf("%q lost slashes: %q", s, got)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a b+c%2F/ü", "//", "%", "\x00\xff", "~-._"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		mustEscape(t, key)
		// What is signed is what net/http sends, and what a server reads.
		u := target{scheme: "https", host: "h"}.url(key, []param{{key, key}})
		if got := u.EscapedPath(); got != "/"+escape(key, true) {
			t.Errorf("path on the wire %q", got)
		}
		back, err := url.ParseQuery(u.RawQuery)
		if err != nil || back.Get(key) != key {
			t.Errorf("query %q: %q, %v", u.RawQuery, back, err)
		}
		if utf8.ValidString(key) && strings.Contains(u.RequestURI(), " ") {
			t.Errorf("request line %q", u.RequestURI())
		}
	})
}

func TestSigningIsPure(t *testing.T) {
	h := http.Header{}
	keys := credentials{"ak", "sk", "", "r"}
	at := time.Unix(0, 0)
	keys.sign(h, "PUT", "b", "k", nil, at)
	first := h.Get("Authorization")
	keys.sign(h, "PUT", "b", "k", nil, at)
	if h.Get("Authorization") != first || h.Get("x-oss-security-token") != "" {
		t.Errorf("signing twice differs: %v", h)
	}
	if strings.Contains(first, "AdditionalHeaders") {
		t.Error("an empty list of additional headers is an error of its own:", first)
	}
}
