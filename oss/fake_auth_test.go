package oss

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	sdkcredentials "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"
)

// authentic verifies the signature of a request as the official SDK would have
// made it. Forms are verified later, by their fields.
func (f *fake) authentic(c *fakeCall) (status int, code string) {
	if c.op == "post" {
		return 0, ""
	}
	h := c.req.Header
	f.mu.Lock()
	f.dates = append(f.dates, h.Get("x-oss-date"))
	f.mu.Unlock()
	at, err := time.Parse("20060102T150405Z", h.Get("x-oss-date"))
	if err != nil {
		return 403, "AccessDenied"
	}
	if time.Now().Add(f.ahead).Sub(at).Abs() > 15*time.Minute {
		return 403, "RequestTimeTooSkewed"
	}
	if h.Get("x-oss-security-token") != f.grant.SecurityToken {
		return 403, "InvalidAccessKeyId"
	}
	if h.Get("Authorization") != sdkAuthorization(f.grant, c.req, c.key, at) {
		return 403, "SignatureDoesNotMatch"
	}
	return 0, ""
}

// sdkAuthorization returns the Authorization header the official SDK would send
// with the request.
func sdkAuthorization(g Grant, r *http.Request, key string, at time.Time) string {
	r = r.Clone(context.Background())
	r.Header.Del("Authorization")
	region, product := strings.TrimPrefix(g.Region, "oss-"), "oss"
	sc := &signer.SigningContext{
		Product: &product, Region: &region, Bucket: &g.Bucket, Key: &key, Request: r, Time: at,
		Credentials: &sdkcredentials.Credentials{
			AccessKeyID: g.AccessKeyID, AccessKeySecret: g.AccessKeySecret, SecurityToken: g.SecurityToken,
		},
	}
	if err := (&signer.SignerV4{}).Sign(context.Background(), sc); err != nil {
		return err.Error()
	}
	return r.Header.Get("Authorization")
}

// A postedForm is a form as the storage reads it.
type postedForm struct {
	fields map[string]string
	order  []string
	file   []byte
	ctype  string
}

func readForm(ctype string, body []byte) (*postedForm, error) {
	kind, params, err := mime.ParseMediaType(ctype)
	if err != nil || kind != "multipart/form-data" {
		return nil, fmt.Errorf("content type %q: %v", ctype, err)
	}
	form := &postedForm{fields: map[string]string{}}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return form, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		form.order = append(form.order, part.FormName())
		if part.FormName() == "file" {
			if got := part.Header.Get("Content-Disposition"); got != `form-data; name="file"; filename="file"` {
				return nil, fmt.Errorf("disposition %q", got)
			}
			form.file, form.ctype = data, part.Header.Get("Content-Type")
			continue
		}
		form.fields[part.FormName()] = string(data)
	}
}

// post verifies and stores a form.
func (f *fake) post(h http.Header, c *fakeCall) (status int, code string) {
	form, err := readForm(c.req.Header.Get("Content-Type"), c.body)
	if err != nil || form.order[len(form.order)-1] != "file" {
		f.t.Errorf("the form: %v, %v", err, form)
		return 400, "MalformedPOSTRequest"
	}
	if code := f.permitted(form); code != "" {
		return 403, code
	}
	f.store(h, form.fields["key"], fakeObject{form.file, form.ctype})
	return 200, ""
}

// permitted verifies signature and policy of a form, step by step as the
// documentation describes it.
func (f *fake) permitted(form *postedForm) (code string) {
	v := form.fields
	if v["x-oss-signature"] != postSignature(f.grant.AccessKeySecret, v["x-oss-credential"], v["policy"]) {
		return "SignatureDoesNotMatch"
	}
	if v["x-oss-security-token"] != f.grant.SecurityToken {
		return "InvalidAccessKeyId"
	}
	text, _ := base64.StdEncoding.DecodeString(v["policy"])
	var policy struct {
		Expiration time.Time
		Conditions []any
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		return "InvalidPolicyDocument"
	}
	now := time.Now().Add(f.ahead)
	at, err := time.Parse("20060102T150405Z", v["x-oss-date"])
	if err != nil || now.After(policy.Expiration) || at.Sub(now) > 15*time.Minute || policy.Expiration.Sub(at) > 7*24*time.Hour {
		return "AccessDenied" // with the message: Policy expired
	}
	return f.covered(form, policy.Conditions)
}

// covered verifies the conditions, and that all fields are named in one.
func (f *fake) covered(form *postedForm, conditions []any) (code string) {
	named := []string{"policy", "x-oss-signature", "file"}
	sized := false
	for _, condition := range conditions {
		switch c := condition.(type) {
		case map[string]any:
			if len(c) != 1 || c["bucket"] != f.grant.Bucket {
				return "AccessDenied"
			}
		case []any:
			if c[0] == "content-length-range" {
				sized = c[1] == c[2] && c[1] == float64(len(form.file))
				continue
			}
			name := strings.TrimPrefix(c[1].(string), "$")
			if c[0] != "eq" || form.fields[name] != c[2] {
				return "AccessDenied"
			}
			named = append(named, name)
		}
	}
	for _, name := range form.order {
		if !slices.Contains(named, name) {
			return "AccessDenied" // extra input fields
		}
	}
	if !sized {
		return "EntityTooLarge"
	}
	return ""
}

// postSignature computes the signature of a policy by the documented steps,
// independently of the code under test.
func postSignature(secret, credential, policy string) string {
	sum := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		_, _ = io.WriteString(h, text)
		return h.Sum(nil)
	}
	_, scope, _ := strings.Cut(credential, "/")
	fields := strings.Split(scope, "/")
	if len(fields) != 4 {
		return "the credential has another form"
	}
	dateKey := sum([]byte("aliyun_v4"+secret), fields[0])
	regionKey := sum(dateKey, fields[1])
	productKey := sum(regionKey, fields[2])
	requestKey := sum(productKey, fields[3])
	return hex.EncodeToString(sum(requestKey, policy))
}
