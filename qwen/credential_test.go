package qwen

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// jwt returns an access token with that payload.
func jwt(payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256","typ":"JWT","kid":"legacy"}`)) + "." + enc([]byte(payload)) + ".c2lnbmF0dXJl"
}

// tokenOf returns an access token of an account in the site's form.
func tokenOf(id string, issued time.Time, life time.Duration) string {
	return jwt(fmt.Sprintf(`{"id":%q,"last_password_change":1750000000,"type":"access_token","iat":%d,"exp":%d}`,
		id, issued.Unix(), issued.Add(life).Unix()))
}

func TestAccessToken(t *testing.T) {
	for cookies, want := range map[string]string{
		"token=abc": "abc", "a=1; token=x=y==; b=2": "x=y==", "mytoken=1": "", "": "", "token": "", "Token=1": "",
		"a=1;token=%7Ba;": "%7Ba", "token=; a=1": "", " token=abc \n": "abc",
	} {
		if got := (Credential{Cookies: cookies}).AccessToken(); got != want {
			t.Errorf("%q: got %q", cookies, got)
		}
	}
	if got := (Credential{Cookies: "token=a", Token: "b"}).AccessToken(); got != "b" {
		t.Errorf("got %q", got)
	}
}

// The times in a token, and that no value of them is taken for one that makes
// no sense.
func TestTokenTimes(t *testing.T) {
	for name, tt := range map[string]struct {
		token   string
		expires int64
		life    time.Duration
	}{
		"15 minutes":      {jwt(`{"id":"a","iat":1790000000,"exp":1790000900}`), 1790000900, 15 * time.Minute},
		"30 days, no iat": {jwt(`{"id":"a","exp":1790000900}`), 1790000900, 0},
		"fraction":        {jwt(`{"iat":1790000000.9,"exp":1790000900.25}`), 1790000900, 15 * time.Minute},
		"exponent":        {jwt(`{"exp":1.79e9}`), 1790000000, 0},
		"no exp":          {jwt(`{"iat":1790000000}`), 0, 0},
		"iat after exp":   {jwt(`{"iat":1790000900,"exp":1790000000}`), 1790000000, 0},
		"negative":        {jwt(`{"iat":-900,"exp":-1}`), 0, 0},
		"zero":            {jwt(`{"exp":0}`), 0, 0},
		"huge":            {jwt(`{"exp":1e300}`), 0, 0},
		"beyond floats":   {jwt(`{"exp":1e999}`), 0, 0},
		"milliseconds":    {jwt(`{"exp":1790000900000}`), 0, 0},
		"year 9999":       {jwt(`{"iat":1,"exp":253402300799}`), 253402300799, math.MaxInt64},
		"string":          {jwt(`{"iat":1790000000,"exp":"1790000900"}`), 0, 0},
		"null":            {jwt(`{"exp":null}`), 0, 0},
		"object":          {jwt(`{"exp":{"a":[1]},"iat":[]}`), 0, 0},
		"odd id":          {jwt(`{"id":7,"exp":1790000900}`), 1790000900, 0},
		"padded":          {"a." + base64.URLEncoding.EncodeToString([]byte(`{"exp":1790000900} `)) + ".b", 1790000900, 0},
		"not JSON":        {jwt(`exp`), 0, 0},
		"an array":        {jwt(`[1790000900]`), 0, 0},
		"not base64":      {"a.!!!.b", 0, 0},
		"two parts":       {"a.b", 0, 0},
		"four parts":      {jwt(`{"exp":1790000900}`) + ".d", 0, 0},
		"opaque":          {"sk-0123", 0, 0},
		"none":            {"", 0, 0},
		"too long":        {jwt(`{"exp":1790000900}`) + strings.Repeat("x", maxToken), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []Credential{{Token: tt.token}, {Cookies: "cna=1; token=" + tt.token + "; b=2"}} {
				got := c.Expires()
				if got.IsZero() != (tt.expires == 0) || !got.IsZero() && got.Unix() != tt.expires {
					t.Errorf("expires %v, want %d", got, tt.expires)
				}
				if c.Lifetime() != tt.life {
					t.Errorf("lives for %v, want %v", c.Lifetime(), tt.life)
				}
				if _, err := json.Marshal(got); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestRenewable(t *testing.T) {
	for cookies, want := range map[string]bool{
		"": false, "token=a": false, "refresh_token=": false, "a=1; refresh_token=x": true, "xrefresh_token=x": false,
	} {
		if got := (Credential{Cookies: cookies, Token: "t"}).Renewable(); got != want {
			t.Errorf("%q: %t", cookies, got)
		}
	}
}

func TestWithToken(t *testing.T) {
	for name, tt := range map[string]struct{ before, want Credential }{
		"nothing yet":       {Credential{}, Credential{Token: "new"}},
		"token":             {Credential{Token: "old"}, Credential{Token: "new"}},
		"cookie":            {Credential{Cookies: "a=1; token=old==;b=%20=2"}, Credential{Cookies: "a=1; token=new;b=%20=2"}},
		"both":              {Credential{Cookies: "token=older; a=1", Token: "old"}, Credential{Cookies: "token=new; a=1", Token: "new"}},
		"token beside":      {Credential{Cookies: "a=1", Token: "old"}, Credential{Cookies: "a=1", Token: "new"}},
		"only cookies":      {Credential{Cookies: "a=1; refresh_token=r"}, Credential{Cookies: "a=1; refresh_token=r", Token: "new"}},
		"an empty cookie":   {Credential{Cookies: "a=1; token=; b=2"}, Credential{Cookies: "a=1; token=new; b=2"}},
		"twice":             {Credential{Cookies: "token=x; a=1; token=y"}, Credential{Cookies: "token=new; a=1; token=new"}},
		"space is kept":     {Credential{Cookies: "  a=1 ;  token=old  ; b=2 ; "}, Credential{Cookies: "  a=1 ;  token=new  ; b=2 ; "}},
		"names that end so": {Credential{Cookies: "mytoken=1; refresh_token=2; token=old"}, Credential{Cookies: "mytoken=1; refresh_token=2; token=new"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.before.WithToken("new")
			if got.Cookies != tt.want.Cookies || got.Token != tt.want.Token {
				t.Errorf("got %+v", got)
			}
			if got.AccessToken() != "new" {
				t.Errorf("the access token is %q", got.AccessToken())
			}
			for _, bad := range []string{"", "a b", "a;b", "a\r\nX: y", "ä", "\x00", strings.Repeat("x", maxToken+1)} {
				if got := tt.before.WithToken(bad); got.Cookies != tt.before.Cookies || got.Token != tt.before.Token {
					t.Errorf("%.10q was taken up: %+v", bad, got)
				}
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	now := time.Now()
	first := Credential{Cookies: "a=1; token=" + tokenOf("account", now, time.Minute)}
	if got := first.WithToken(tokenOf("account", now, time.Hour)); got.Identity() != first.Identity() {
		t.Error("another token of the same account is another identity")
	}
	for _, other := range []Credential{{Token: tokenOf("another", now, time.Minute)}, {Token: "opaque"}, {Cookies: "a=1"}, {}} {
		if other.Identity() == first.Identity() {
			t.Errorf("%+v has the same identity", other)
		}
	}
}

func TestFingerprint(t *testing.T) {
	list := []Credential{
		{}, {Cookies: "a"}, {Token: "a"}, {Cookies: "a", Token: "b"}, {Cookies: "ab"}, {Cookies: "b", Token: "a"},
		{Header: http.Header{"A": {"b"}}}, {Header: http.Header{"A": {"b", "c"}}}, {Header: http.Header{"A": {"bc"}}},
		{Header: http.Header{"A": {"b"}, "C": nil}}, {Header: http.Header{"A": {"b"}, "C": {"d"}}}, {Header: http.Header{"A": {"b", "C", "d"}}},
	}
	seen := map[[32]byte]int{}
	for i, c := range list {
		if j, ok := seen[c.Fingerprint()]; ok {
			t.Errorf("%+v and %+v are the same", list[j], c)
		}
		seen[c.Fingerprint()] = i
	}
	a := Credential{Header: http.Header{"Bx-Ua": {"1"}, "User-Agent": {"2"}, "Bx-V": {"3"}, "Source": {"4"}}}
	for range 20 { // maps have no order
		b := Credential{Header: http.Header{"Source": {"4"}, "Bx-V": {"3"}, "User-Agent": {"2"}, "Bx-Ua": {"1"}}}
		if a.Fingerprint() != b.Fingerprint() {
			t.Fatal("the order of headers counts")
		}
	}
}

// Whatever stands in a token, its times make sense, and a token that is taken
// up is found again with all cookies around it.
func FuzzToken(f *testing.F) {
	f.Add(`{"id":"a","exp":1790000900,"iat":1790000000}`, "a=1; token=b; c=2")
	f.Add(`{"exp":1e300}`, "token=")
	f.Add(`{"exp":"x","iat":-1}`, ";;=;token;token=1;token=2")
	f.Fuzz(func(t *testing.T, payload, cookies string) {
		c := Credential{Cookies: cookies}.WithToken(jwt(payload))
		if len(jwt(payload)) <= maxToken && c.AccessToken() != jwt(payload) {
			t.Errorf("the token is %q", c.AccessToken())
		}
		if at := c.Expires(); !at.IsZero() && (at.Year() < 1970 || at.UTC().Year() > 9999) {
			t.Errorf("expires %v", at)
		}
		if c.Lifetime() < 0 {
			t.Errorf("lives for %v", c.Lifetime())
		}
		if got, want := otherCookies(c.Cookies, tokenCookie), otherCookies(cookies, tokenCookie); got != want {
			t.Errorf("the other cookies were %q, are %q", want, got)
		}
		for _, raw := range []Credential{{Token: payload}, {Cookies: "token=" + payload}} {
			raw.Expires()
			raw.Identity()
		}
	})
}

// otherCookies returns what is not a cookie of that name.
func otherCookies(cookies, name string) string {
	var kept []string
	for _, part := range strings.Split(cookies, ";") {
		if !strings.HasPrefix(trim(part), name+"=") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}

func TestWithTokensOf(t *testing.T) {
	c := Credential{Cookies: "acw_tc=2; token=a; refresh_token=r; x=1"}
	got := c.WithTokensOf(Credential{Cookies: "acw_tc=1; token=b; refresh_token=s"})
	if want := "acw_tc=2; token=b; refresh_token=s; x=1"; got.Cookies != want || got.Token != "" {
		t.Errorf("got %+v, want the cookies %s", got, want)
	}
	if got := c.WithTokensOf(Credential{Token: "b"}); got.Cookies != "acw_tc=2; token=b; refresh_token=r; x=1" || got.Token != "" {
		t.Errorf("without a refresh token: %+v", got)
	}
}
