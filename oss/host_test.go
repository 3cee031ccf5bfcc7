package oss

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var hostCases = map[string]bool{
	"oss-accelerate.aliyuncs.com":                  true,
	"bucket.oss-accelerate.aliyuncs.com":           true,
	"OSS-CN-Hangzhou.ALIYUNCS.com":                 true,
	"oss.aliyuncs.com:443":                         true,
	"aliyuncs.com":                                 false,
	".aliyuncs.com":                                false,
	"evilaliyuncs.com":                             false,
	"aliyuncs.com.evil.example":                    false,
	"oss.aliyuncs.com.":                            false,
	"oss.aliyuncs.com..":                           false,
	"oss..aliyuncs.com":                            false,
	"-oss.aliyuncs.com":                            false,
	"oss-.aliyuncs.com":                            false,
	"oss.aliyuncs.com:80":                          false,
	"oss.aliyuncs.com:":                            false,
	"oss.aliyuncs.com:443:443":                     false,
	"oss.aliyuncs.com:0443":                        false,
	"user@oss.aliyuncs.com":                        false,
	"evil.example#.aliyuncs.com":                   false,
	"evil.example/.aliyuncs.com":                   false,
	"evil.example?.aliyuncs.com":                   false,
	`evil.example\.aliyuncs.com`:                   false,
	"evil.example%2f.aliyuncs.com":                 false,
	"evil.example\x00.aliyuncs.com":                false,
	"evil.example .aliyuncs.com":                   false,
	" oss.aliyuncs.com":                            false,
	"oss.aliyuncs.com\n":                           false,
	"oss.aliyuncs。com":                             false,
	"oss.ａliyuncs.com":                             false,
	"oss.\u0430liyuncs.com":                        false,
	"\u212aey.aliyuncs.com":                        false,
	"o_s.aliyuncs.com":                             false,
	"1.2.3.4":                                      false,
	"[::1]":                                        false,
	"localhost":                                    false,
	"":                                             false,
	strings.Repeat("a", 63) + ".aliyuncs.com":      true,
	strings.Repeat("a", 64) + ".aliyuncs.com":      false,
	strings.Repeat("a.", 125) + "oss.aliyuncs.com": false,
}

func TestTrustedHost(t *testing.T) {
	for host, want := range hostCases {
		if got := TrustedHost(host); got != want {
			t.Errorf("TrustedHost(%q) = %v", host, got)
		}
	}
}

func TestNormalise(t *testing.T) {
	const plain = "oss-accelerate.aliyuncs.com"
	cases := map[string]string{
		plain:                               plain,
		"https://" + plain:                  plain,
		"HTTPS://" + plain + "/":            plain,
		plain + ":443":                      plain,
		"https://" + plain + ":443/":        plain,
		"bucket." + plain:                   plain,
		"https://Bucket." + plain + "/":     plain,
		"oss-bucket." + plain:               "oss-bucket." + plain,
		"bucket.aliyuncs.com":               "bucket.aliyuncs.com", // not the bucket: nothing would be left
		"http://" + plain:                   "",
		"https:///" + plain:                 "",
		"//" + plain:                        "",
		"ftp://" + plain:                    "",
		"https://https://" + plain:          "",
		"https://" + plain + "/path":        "",
		"https://" + plain + "//":           "",
		"https://" + plain + "?a=b":         "",
		"https://" + plain + "#f":           "",
		"https://u:p@" + plain:              "",
		"https://" + plain + ":8443":        "",
		"https://evil.example/." + plain:    "",
		"https://127.0.0.1":                 "",
		"https://evil.example@" + plain:     "",
		"https://" + plain + "@evil.exampl": "",
	}
	for endpoint, want := range cases {
		if got, ok := normalise(endpoint, "bucket"); got != want || ok != (want != "") {
			t.Errorf("normalise(%q) = %q, %v, want %q", endpoint, got, ok, want)
		}
	}
}

func TestTargets(t *testing.T) {
	key := "a b/+"
	cases := []struct{ endpoint, want, bucketLevel string }{
		{"http://127.0.0.1:9000", "http://127.0.0.1:9000/buck/a%20b/%2B?q", "http://127.0.0.1:9000/buck/"},
		{"https://[::1]:9000/", "https://[::1]:9000/buck/a%20b/%2B?q", "https://[::1]:9000/buck/"},
		{"http://storage.test:80", "http://buck.storage.test:80/a%20b/%2B?q", "http://buck.storage.test:80/"},
	}
	for _, c := range cases {
		u, err := url.Parse(c.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		to, ok := ownTarget(u, "buck")
		if got := to.url(key, []param{{"q", ""}}).String(); !ok || got != c.want {
			t.Errorf("%s: %s, want %s", c.endpoint, got, c.want)
		}
		if got := to.url("", nil).String(); got != c.bucketLevel {
			t.Errorf("%s: %s, want %s", c.endpoint, got, c.bucketLevel)
		}
	}
	if _, ok := grantTarget(Grant{Bucket: strings.Repeat("b", 63), Endpoint: strings.Repeat("a.", 110) + "aliyuncs.com"}); ok {
		t.Error("a host name of more than 253 characters cannot exist")
	}
}

// safeHost is the rule written down a second time.
var safeHost = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+aliyuncs\.com$`)

func FuzzNormalise(f *testing.F) {
	for host := range hostCases {
		f.Add(host)
		f.Add("https://" + host + "/")
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		host, ok := normalise(endpoint, "bucket")
		if !ok {
			if host != "" {
				t.Errorf("%q is refused and yet gives %q", endpoint, host)
			}
			return
		}
		if !safeHost.MatchString(host) || len(host) > 253 || !TrustedHost(host) {
			t.Errorf("%q gives %q", endpoint, host)
		}
		if u, err := url.Parse("https://" + host); err != nil || u.Host != host || u.User != nil || u.Path != "" {
			t.Errorf("%q gives %q, which is not a host: %v", endpoint, host, err)
		}
	})
}

func FuzzTrustedHost(f *testing.F) {
	for host := range hostCases {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		want := safeHost.MatchString(strings.TrimSuffix(asciiLower(host), ":443")) && len(strings.TrimSuffix(host, ":443")) <= 253
		if TrustedHost(host) != want {
			t.Errorf("TrustedHost(%q) = %v", host, !want)
		}
	})
}

// asciiLower is lowerASCII written in another way.
func asciiLower(s string) string {
	return regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(s, strings.ToLower)
}
