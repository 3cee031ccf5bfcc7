package oss

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const (
	algorithm   = "OSS4-HMAC-SHA256"
	product     = "oss"
	scopeEnd    = "aliyun_v4_request"
	unsigned    = "UNSIGNED-PAYLOAD" // the only value the storage takes for the body's hash
	stampLayout = "20060102T150405Z"
	dayLayout   = "20060102"
)

// A param is one parameter of a query or one field of a form.
type param struct{ name, value string }

// A scope says for which day, region and product a signature is valid.
type scope struct{ day, region, product string }

func (s scope) String() string {
	return s.day + "/" + s.region + "/" + s.product + "/" + scopeEnd
}

// A signable is what is signed of a request. The query is in decoded form.
type signable struct {
	verb, bucket, key string
	query             []param
	header            http.Header
	additional        []string // headers to be signed beyond those that always are
}

// canonical returns the canonical request.
func (s signable) canonical() string {
	extra := s.extra()
	return strings.Join([]string{
		s.verb,
		"/" + escape(s.bucket, false) + "/" + escape(s.key, true),
		canonicalQuery(s.query),
		s.headers(extra),
		strings.Join(extra, ";"),
		unsigned,
	}, "\n")
}

// extra returns the additional headers that are there and not signed anyway.
func (s signable) extra() []string {
	var names []string
	for _, name := range s.additional {
		name = strings.ToLower(name)
		if len(s.header.Values(name)) > 0 && !alwaysSigned(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// headers returns the block of signed headers, one to a line.
func (s signable) headers(extra []string) string {
	var lines []string
	for name, values := range s.header {
		name = strings.ToLower(name)
		if !alwaysSigned(name) && !slices.Contains(extra, name) {
			continue
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.TrimSpace(v)
		}
		lines = append(lines, name+":"+strings.Join(trimmed, ",")+"\n")
	}
	// The lines are ordered by name: no character of a name sorts before the colon
	// except the hyphen and the digits, so the names have to be compared alone.
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, ':')], b[:strings.IndexByte(b, ':')])
	})
	return strings.Join(lines, "")
}

// alwaysSigned tells whether the header, its name in lower case, is part of
// every signature.
func alwaysSigned(name string) bool {
	return name == "content-type" || name == "content-md5" || strings.HasPrefix(name, "x-oss-")
}

// canonicalQuery returns the query as it is signed and sent: encoded, then
// sorted by the encoded name; an empty value goes without its equals sign.
func canonicalQuery(query []param) string {
	encoded := make([]param, len(query))
	for i, p := range query {
		encoded[i] = param{escape(p.name, false), escape(p.value, false)}
	}
	slices.SortStableFunc(encoded, func(a, b param) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		if p.value != "" {
			b.WriteByte('=')
			b.WriteString(p.value)
		}
	}
	return b.String()
}

// escape encodes every byte that is not unreserved; slashes stay if slash says so.
// The functions of net/url leave more characters bare than a signature allows.
func escape(s string, slash bool) string {
	const hexDigits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+len(s)/4)
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || c == '/' && slash {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// stringToSign returns the text whose HMAC is the signature of a request.
func stringToSign(stamp string, sc scope, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{algorithm, stamp, sc.String(), hex.EncodeToString(sum[:])}, "\n")
}

// signingKey derives the key of one day, region and product from the secret.
func signingKey(secret string, sc scope) []byte {
	key := []byte("aliyun_v4" + secret)
	for _, step := range []string{sc.day, sc.region, sc.product, scopeEnd} {
		key = mac(key, step)
	}
	return key
}

// signature returns the signature of a text, in lower-case hex.
func signature(key []byte, text string) string {
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// authorization returns the value of the Authorization header. The field of the
// additional headers must not be there when there are none.
func authorization(id string, sc scope, extra []string, sig string) string {
	var b strings.Builder
	b.WriteString(algorithm + " Credential=" + id + "/" + sc.String())
	if len(extra) > 0 {
		b.WriteString(",AdditionalHeaders=" + strings.Join(extra, ";"))
	}
	b.WriteString(",Signature=" + sig)
	return b.String()
}
