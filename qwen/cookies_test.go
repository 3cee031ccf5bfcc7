package qwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var cookieTime = time.Unix(1790000000, 0)

// mustSet reads Set-Cookie headers as an answer brings them.
func mustSet(lines ...string) []*http.Cookie {
	return (&http.Response{Header: http.Header{"Set-Cookie": lines}}).Cookies()
}

func TestMergeCookies(t *testing.T) {
	later, earlier := tokenOf("a", cookieTime, time.Hour), tokenOf("a", cookieTime, time.Second)
	token, other := tokenOf("a", cookieTime, time.Minute), tokenOf("b", cookieTime, time.Hour)
	past := cookieTime.Add(-time.Hour).UTC().Format(http.TimeFormat)
	future := cookieTime.Add(time.Hour).UTC().Format(http.TimeFormat)
	for name, tt := range map[string]struct{ before, set, want string }{
		"nothing":                    {"a=1; b=2", "", "a=1; b=2"},
		"the same":                   {"a=1; b=2", "b=2; Path=/", "a=1; b=2"},
		"another value in its place": {"a=1; acw_tc=x;b=2 ", "acw_tc=y; path=/;HttpOnly;Max-Age=1800", "a=1; acw_tc=y;b=2 "},
		"a new one":                  {"a=1", "b=2", "a=1; b=2"},
		"after a semicolon":          {"a=1; ", "b=2", "a=1; b=2"},
		"the first":                  {"", "b=2", "b=2"},
		"percent and equals":         {"a=%20=1", "b=%7B%22x%22%3D1%7D==", "a=%20=1; b=%7B%22x%22%3D1%7D=="},
		"in quotes":                  {"a=1", `b="x y"`, `a=1; b="x y"`},
		"empty":                      {"a=1; b=2", "a=", "a=; b=2"},
		"expired by Max-Age":         {"a=1; b=2; c=3", "b=; Max-Age=0", "a=1; c=3"},
		"negative Max-Age":           {"a=1; b=2", "a=x; Max-Age=-5", "b=2"},
		"expired by Expires":         {"a=1; b=2", "b=x; Expires=" + past, "a=1"},
		"the only one expires":       {"a=1", "a=; Max-Age=0", ""},
		"Max-Age before Expires":     {"a=1", "a=2; Max-Age=60; Expires=" + past, "a=2"},
		"not expired yet":            {"a=1", "a=2; Expires=" + future, "a=2"},
		"expires and is not there":   {"a=1;  b=2", "c=; Max-Age=0", "a=1;  b=2"},
		"of the host":                {"a=1", "a=2; Domain=chat.qwen.ai", "a=2"},
		"of the parent":              {"a=1", "a=2; Domain=.qwen.ai", "a=2"},
		"of the parent in capitals":  {"a=1", "a=2; Domain=QWEN.AI", "a=2"},
		"of everybody":               {"a=1", "a=2; Domain=ai", "a=1"},
		"of somebody else":           {"a=1", "a=2; Domain=example.com", "a=1"},
		"of a sibling":               {"a=1", "a=2; Domain=auth.qwen.ai", "a=1"},
		"of a look-alike":            {"a=1", "a=2; Domain=wen.ai", "a=1"},
		"a name that cannot be sent": {"a=1", "b c=2", "a=1"},
		"a value with a line break":  {"a=1", "b=2\r\nx: y", "a=1"},
		"too long for a browser":     {"a=1", "b=" + strings.Repeat("x", maxOneCookie), "a=1"},
		"token emptied":              {"token=" + token, "token=", "token=" + token},
		"token deleted":              {"token=" + token + "; a=1", "token=x; Max-Age=0", "token=" + token + "; a=1"},
		"token deleted by date":      {"token=" + token, "token=" + later + "; Expires=" + past, "token=" + token},
		"refresh token deleted":      {"refresh_token=r", "refresh_token=; Max-Age=0", "refresh_token=r"},
		"refresh token emptied":      {"refresh_token=r", "refresh_token=", "refresh_token=r"},
		"refresh token replaced":     {"a=1; refresh_token=r; b=2", "refresh_token=s; Domain=.qwen.ai; HttpOnly", "a=1; refresh_token=s; b=2"},
		"refresh token appears":      {"a=1", "refresh_token=s", "a=1; refresh_token=s"},
		"refresh of another account": {"refresh_token=" + token, "refresh_token=" + other, "refresh_token=" + token},
		"token prolonged":            {"a=1; token=" + token + "; b=2", "token=" + later, "a=1; token=" + later + "; b=2"},
		"token that ends earlier":    {"token=" + token, "token=" + earlier, "token=" + token},
		"token of another account":   {"token=" + token, "token=" + other, "token=" + token},
		"token that says nothing":    {"token=" + token, "token=opaque", "token=" + token},
		"token for one that is not":  {"token=opaque", "token=" + later, "token=opaque"},
	} {
		t.Run(name, func(t *testing.T) {
			set := mustSet(tt.set)
			got := Credential{Cookies: tt.before}.WithCookies("chat.qwen.ai", set, cookieTime)
			if got.Cookies != tt.want || got.Token != "" {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
			if again := got.WithCookies("chat.qwen.ai", set, cookieTime); again.Cookies != got.Cookies {
				t.Errorf("the second time it is %q", again.Cookies)
			}
		})
	}
}

// A token in the field Token follows the cookie.
func TestMergeTokenBeside(t *testing.T) {
	token, later := tokenOf("a", cookieTime, time.Minute), tokenOf("a", cookieTime, time.Hour)
	got := Credential{Cookies: "a=1", Token: token}.WithCookies("h", mustSet("token="+later), cookieTime)
	if got.Token != later || got.Cookies != "a=1" {
		t.Errorf("got %+v", got)
	}
	got = Credential{Cookies: "refresh_token=r"}.WithCookies("h", mustSet("token="+later), cookieTime)
	if got.AccessToken() != later {
		t.Errorf("got %+v", got)
	}
}

func TestMergeHosts(t *testing.T) {
	for _, tt := range []struct {
		host, domain string
		want         bool
	}{
		{"127.0.0.1", "127.0.0.1", true}, {"127.0.0.1", "0.0.1", false}, {"localhost", "localhost", true}, {"localhost", "host", false},
		{"Chat.Qwen.AI", "chat.qwen.ai", true}, {"a.b.c", ".b.c", true}, {"ab.c", "b.c", false}, {"b.c", "a.b.c", false},
	} {
		if got := domainCovers(tt.domain, tt.host); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

// The site cannot make a credential grow without end, and what the owner has
// supplied is kept even if it is longer.
func TestMergeBounds(t *testing.T) {
	c := Credential{Cookies: "mine=1; token=t"}
	for i := range 500 {
		c = c.WithCookies("h", mustSet(fmt.Sprintf("c%d=%s", i, strings.Repeat("x", i*7%3000))), cookieTime)
	}
	if n := len(c.Cookies); n > maxCookieBytes || n < maxCookieBytes/2 || !strings.HasPrefix(c.Cookies, "mine=1; token=t; c0=") {
		t.Errorf("%d bytes: %.100q", n, c.Cookies)
	}
	many := make([]string, 0, 500)
	for i := range 500 {
		many = append(many, fmt.Sprintf("c%d=1", i))
	}
	c = Credential{}.WithCookies("h", mustSet(many...), cookieTime).WithCookies("h", mustSet(many[300:]...), cookieTime)
	if n := strings.Count(c.Cookies, "="); n != maxCookies {
		t.Errorf("%d cookies", n)
	}
	c = Credential{Cookies: "a=1"}.WithCookies("h", mustSet(append(many[:maxCookies:maxCookies], "a=2")...), cookieTime)
	if !strings.HasPrefix(c.Cookies, "a=1;") {
		t.Errorf("of one answer more than %d cookies were read", maxCookies)
	}
	long := Credential{Cookies: "a=" + strings.Repeat("x", 20<<10) + "; b=22"}
	got := long.WithCookies("h", mustSet("b=333", "c=1"), cookieTime)
	if got.Cookies != long.Cookies {
		t.Errorf("it grew to %d bytes", len(got.Cookies))
	}
	if got := long.WithCookies("h", mustSet("b=3"), cookieTime); !strings.HasSuffix(got.Cookies, "; b=3") {
		t.Errorf("it ends with %q", got.Cookies[len(got.Cookies)-10:])
	}
}

func TestMergeOfNothingIsCheap(t *testing.T) {
	c := Credential{Cookies: "cna=1; acw_tc=abc; token=" + tokenOf("a", cookieTime, time.Hour) + "; x-ap=ap-southeast-1"}
	set := mustSet("acw_tc=abc; path=/;HttpOnly;Max-Age=1800", "x-ap=ap-southeast-1; Domain=.qwen.ai")
	if n := testing.AllocsPerRun(100, func() { c = c.WithCookies("chat.qwen.ai", set, cookieTime) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
}

// Merging twice is merging once; no cookie that is not named is lost; nothing
// grows beyond the bounds; the credential itself is never lost.
func FuzzMergeCookies(f *testing.F) {
	f.Add("a=1; token=t; refresh_token=r", "a=2; Max-Age=0", "b=3; Domain=.qwen.ai")
	f.Add("token=t;;=;x", "token=; Max-Age=0", "refresh_token=")
	f.Add(" a = 1 ", `a="q"`, "refresh_token=new")
	f.Add("token="+tokenOf("a", cookieTime, time.Minute), "token="+tokenOf("a", cookieTime, time.Hour), "a=b=c")
	f.Fuzz(func(t *testing.T, cookies, first, second string) {
		before, set := Credential{Cookies: cookies}, mustSet(first, second)
		got := before.WithCookies("chat.qwen.ai", set, cookieTime)
		others, otherwise := cookies, got.Cookies
		for _, c := range set {
			others, otherwise = otherCookies(others, c.Name), otherCookies(otherwise, c.Name)
		}
		if norm(others) != norm(otherwise) {
			t.Errorf("the others were %q, are %q", others, otherwise)
		}
		if n := len(got.Cookies); n > max(maxCookieBytes, len(cookies)) {
			t.Errorf("%d bytes", n)
		}
		if before.AccessToken() != "" && got.AccessToken() == "" || before.Renewable() && !got.Renewable() {
			t.Errorf("the credential is lost: %q", got.Cookies)
		}
		if len(set) == 2 && set[0].Name == set[1].Name {
			return // the second of them undoes the first, each time
		}
		if again := got.WithCookies("chat.qwen.ai", set, cookieTime); again.Cookies != got.Cookies {
			t.Errorf("once %q, twice %q", got.Cookies, again.Cookies)
		}
	})
}

// norm leaves out what separates cookies.
func norm(cookies string) string {
	return strings.Join(strings.FieldsFunc(cookies, func(r rune) bool { return strings.ContainsRune("; \t\r\n", r) }), ";")
}
