package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	signAlgorithm  = "OSS4-HMAC-SHA256"
	signTerminator = "aliyun_v4_request"
	unsigned       = "UNSIGNED-PAYLOAD"
	storageProduct = "oss"
	storageTime    = "20060102T150405Z" // of x-oss-date
	policyTime     = "2006-01-02T15:04:05.000Z"
)

// scope is what a signature is good for.
type scope struct{ day, region, product string }

func (s scope) String() string {
	return s.day + "/" + s.region + "/" + s.product + "/" + signTerminator
}

// credential is an access key id with the scope of a signature.
type credential struct {
	id string
	scope
}

// parseCredential reads `id/day/region/product/aliyun_v4_request`.
func parseCredential(text string) (credential, bool) {
	p := strings.Split(text, "/")
	if len(p) != 5 || p[0] == "" || p[4] != signTerminator {
		return credential{}, false
	}
	return credential{p[0], scope{day: p[1], region: p[2], product: p[3]}}, true
}

// authorization is the header of that name.
type authorization struct {
	credential
	additional []string // names of further signed headers
	signature  string
}

// parseAuthorization reads the header. Blanks after commas have no meaning.
func parseAuthorization(header string) (authorization, error) {
	rest, found := strings.CutPrefix(header, signAlgorithm+" ")
	if !found {
		return authorization{}, invalidArgument("The authorization header must begin with "+signAlgorithm+".", "")
	}
	var a authorization
	seen := make(map[string]bool)
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.Trim(part, " "), "=")
		if seen[name] {
			return a, invalidArgument("The authorization header has the field "+name+" twice.", "")
		}
		seen[name] = true
		ok := true
		switch name {
		case "Credential":
			a.credential, ok = parseCredential(value)
		case "AdditionalHeaders":
			a.additional, ok = parseAdditional(value)
		case "Signature":
			a.signature, ok = value, isHex(value, 2*sha256.Size)
		default:
			ok = false
		}
		if !ok {
			return a, invalidArgument("The authorization header has the invalid field "+name+".", "0002-00000209")
		}
	}
	if !seen["Credential"] || !seen["Signature"] {
		return a, invalidArgument("The authorization header lacks Credential or Signature.", "")
	}
	return a, nil
}

// parseAdditional reads the names of further signed headers: in lower case,
// sorted, each once, and none that is signed anyway.
func parseAdditional(text string) ([]string, bool) {
	names := strings.Split(text, ";")
	for i, n := range names {
		if n == "" || n != strings.ToLower(n) || signedAnyway(n) || i > 0 && names[i-1] >= n {
			return nil, false
		}
	}
	return names, true
}

// signedAnyway reports whether a header, in lower case, is part of every
// signature.
func signedAnyway(name string) bool {
	return name == "content-type" || name == "content-md5" || strings.HasPrefix(name, "x-oss-")
}

// isHex reports whether a text consists of n lower-case hexadecimal digits.
func isHex(text string, n int) bool {
	return len(text) == n && strings.Trim(text, hexDigits) == ""
}

// canonicalRequest puts a request into the form that is signed. The key is as
// the client means it, without any encoding.
func canonicalRequest(r *http.Request, bucket, key string, additional []string) string {
	uri := "/" + bucket + "/" + key
	return strings.Join([]string{
		r.Method, percentEncode(uri, true), canonicalQuery(r.URL.RawQuery), canonicalHeaders(r, additional),
		strings.Join(additional, ";"), unsigned,
	}, "\n")
}

// canonicalQuery sorts the parameters by their encoded names. The signature
// itself is not among them.
func canonicalQuery(raw string) string {
	values, _ := url.ParseQuery(raw) // what cannot be read is not signed
	type pair struct{ name, text string }
	var list []pair
	for name, all := range values {
		if name == "x-oss-signature" {
			continue
		}
		encoded := percentEncode(name, false)
		for _, v := range all {
			p := pair{name: encoded, text: encoded}
			if v != "" {
				p.text += "=" + percentEncode(v, false)
			}
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.text
	}
	return strings.Join(texts, "&")
}

// canonicalHeaders lists the signed headers, one on each line.
func canonicalHeaders(r *http.Request, additional []string) string {
	lines := make(map[string]string)
	var names []string
	add := func(name string, values []string) {
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.TrimSpace(v)
		}
		names = append(names, name)
		lines[name] = name + ":" + strings.Join(trimmed, ",") + "\n"
	}
	for name, values := range r.Header {
		if name = strings.ToLower(name); signedAnyway(name) || slices.Contains(additional, name) {
			add(name, values)
		}
	}
	if slices.Contains(additional, "host") {
		add("host", []string{r.Host})
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(lines[n])
	}
	return b.String()
}

// percentEncode encodes every byte but letters, digits and -._~ and, if it is
// to stay, the slash.
func percentEncode(s string, keepSlash bool) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 || c == '/' && keepSlash {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', upper[c>>4], upper[c&15]})
	}
	return b.String()
}

// stringToSign is the text that the signature of a request covers.
func stringToSign(date string, sc scope, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{signAlgorithm, date, sc.String(), hex.EncodeToString(sum[:])}, "\n")
}

// signingKey derives the key of a scope from a secret.
func signingKey(secret string, sc scope) []byte {
	key := []byte("aliyun_v4" + secret)
	for _, part := range []string{sc.day, sc.region, sc.product, signTerminator} {
		key = hmacSum(key, part)
	}
	return key
}

// sign returns the signature of a text in hexadecimal digits.
func sign(secret string, sc scope, text string) string {
	return hex.EncodeToString(hmacSum(signingKey(secret, sc), text))
}

func hmacSum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// presign returns a link that reads an object for some seconds. Base is the
// URL before the encoded key, with a slash at its end.
func (s *Storage) presign(g *grant, base, key string, seconds int) string {
	now := s.now()
	sc := scope{day: now.Format("20060102"), region: s.scoped, product: storageProduct}
	q := url.Values{
		"x-oss-signature-version": {signAlgorithm},
		"x-oss-credential":        {g.AccessKeyID + "/" + sc.String()},
		"x-oss-date":              {now.Format(storageTime)},
		"x-oss-expires":           {strconv.Itoa(seconds)},
		"x-oss-security-token":    {g.SecurityToken},
	}
	query := canonicalQuery(q.Encode())
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}}
	text := stringToSign(q.Get("x-oss-date"), sc, canonicalRequest(r, s.options.Bucket, key, nil))
	return base + percentEncode(key, true) + "?" + query + "&x-oss-signature=" + sign(g.AccessKeySecret, sc, text)
}
