package oss

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func testFields(token string) map[string]string {
	at := time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)
	fields := map[string]string{}
	for _, f := range (credentials{"ak", "sk", token, "ap-southeast-1"}).formFields("bucket", `k"ey ü<`, 17, at) {
		fields[f.name] = f.value
	}
	return fields
}

func TestPolicyPermitsThisObjectOnly(t *testing.T) {
	text, err := base64.StdEncoding.DecodeString(testFields("token=")["policy"])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"expiration": "2026-03-02T00:30:00.000Z",
		"conditions": []any{
			map[string]any{"bucket": "bucket"},
			[]any{"eq", "$key", `k"ey ü<`},
			[]any{"eq", "$success_action_status", "200"},
			[]any{"eq", "$x-oss-signature-version", "OSS4-HMAC-SHA256"},
			[]any{"eq", "$x-oss-credential", "ak/20260301/ap-southeast-1/oss/aliyun_v4_request"},
			[]any{"eq", "$x-oss-date", "20260301T233000Z"},
			[]any{"eq", "$x-oss-security-token", "token="},
			[]any{"content-length-range", 17.0, 17.0},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("policy\n%v, want\n%v", got, want)
	}
}

func TestPolicySignature(t *testing.T) {
	fields := testFields("token=")
	want := postSignature("sk", fields["x-oss-credential"], fields["policy"])
	if fields["x-oss-signature"] != want || len(want) != 64 {
		t.Errorf("signature %s, want %s", fields["x-oss-signature"], want)
	}
}

func TestNoTokenNoField(t *testing.T) {
	fields := testFields("")
	text, _ := base64.StdEncoding.DecodeString(fields["policy"])
	if _, there := fields["x-oss-security-token"]; there || strings.Contains(string(text), "security-token") {
		t.Errorf("permanent keys have no token: %v", fields)
	}
}

func TestFormFrame(t *testing.T) {
	head, tail, ctype := formFrame([]param{{"key", "a\r\n--x"}, {"policy", "p"}}, "text/plain")
	form, err := readForm(ctype, slices.Concat(head, []byte("the file\r\n"), tail))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(form.order, []string{"key", "policy", "file"}) || form.fields["key"] != "a\r\n--x" ||
		string(form.file) != "the file\r\n" || form.ctype != "text/plain" {
		t.Errorf("%+v", form)
	}
}
