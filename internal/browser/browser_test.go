package browser

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// What the browsers of testdata/exports have sent.
const (
	exportToken   = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6ImNhbmFyeS1pZCJ9.canary-signature"
	exportCookies = `cna=canary-cna; x-ap=ap-southeast-1; acw_tc=0a03e5a5-canary; ssxmod_itna=1-canary/a+b==; ` +
		`tfstk=g%2Fcanary!it's"ok"$x; token=` + exportToken + `; refresh_token=canary-refresh`
	exportBx = "231!canary-bx/ua=="
)

func mustReadExport(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "exports", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// exports has what is expected of each file: its form, the names of the headers, and
// whether cookies and an address are in it.
var exports = map[string]struct {
	format, headers  string
	cookies, address bool
}{
	"chrome_linux_curl_bash.txt": {formatBash, "Accept-Language Bx-Ua Bx-V Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform " +
		"Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"edge_windows_curl_cmd.txt": {formatCmd, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform " +
		"Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"edge_windows_curl_bash.txt":          {formatBash, "Accept-Language User-Agent", true, true},
	"firefox_linux_curl.txt":              {formatBash, "Accept-Language Bx-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"firefox_windows_curl_cmd.txt":        {formatCmd, "Accept-Language Bx-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"safari_curl.txt":                     {formatBash, "Accept-Language Bx-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"chrome_windows_powershell.txt":       {formatPowerShell, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"chrome_fetch.txt":                    {formatFetch, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site", false, true},
	"chrome_fetch_node.txt":               {formatNode, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site", true, true},
	"firefox_fetch.txt":                   {formatFetch, "Accept-Language Bx-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", false, true},
	"safari_fetch.txt":                    {formatFetch, "Accept-Language Bx-Ua User-Agent", false, true},
	"firefox_request_headers.txt":         {formatHeaders, "Accept-Language Bx-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"chrome_request_headers.txt":          {formatHeaders, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"chrome_request_headers_selected.txt": {formatHeaders, "Accept-Language Bx-Ua Sec-Ch-Ua Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site User-Agent", true, true},
	"safari_http_request.txt":             {formatHeaders, "Accept-Language Bx-Ua User-Agent", true, true},
	"cookie_header.txt":                   {formatCookies, "", true, false},
	"cookies.txt":                         {formatCookies, "", true, false},
	"token.txt":                           {formatToken, "", false, false},
}

func TestParseExports(t *testing.T) {
	for name, want := range exports {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(mustReadExport(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if got.Format != want.format {
				t.Errorf("form %q, want %q", got.Format, want.format)
			}
			if want.cookies && (got.Cookies != exportCookies || got.Token != "") {
				t.Errorf("cookies %s, token %s; want only %s", got.Cookies, got.Token, exportCookies)
			}
			if !want.cookies && (got.Cookies != "" || got.Token != exportToken) {
				t.Errorf("cookies %s, token %s; want only %s", got.Cookies, got.Token, exportToken)
			}
			if want.address != (got.URL == "https://chat.qwen.ai/api/v2/chat/completions") {
				t.Errorf("URL %q", got.URL)
			}
			if names := strings.Join(slices.Sorted(maps.Keys(got.Header)), " "); names != want.headers {
				t.Errorf("headers %s, want %s", names, want.headers)
			}
			if got.Header["Bx-Ua"] != nil && got.Header.Get("Bx-Ua") != exportBx {
				t.Errorf("bx-ua %s, want %s", got.Header.Get("Bx-Ua"), exportBx)
			}
		})
	}
}

// TestExportsAreListed checks that no file is forgotten above.
func TestExportsAreListed(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("testdata", "exports"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := exports[entry.Name()]; !ok {
			t.Errorf("nothing is expected of %s", entry.Name())
		}
	}
}

// TestParseEncodings checks each export as editors and shells store it.
func TestParseEncodings(t *testing.T) {
	encodings := map[string]func(text string) []byte{
		"line ends of Windows": func(s string) []byte {
			return []byte(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n"))
		},
		"line ends of Unix": func(s string) []byte { return []byte(strings.ReplaceAll(s, "\r\n", "\n")) },
		"byte order mark":   func(s string) []byte { return []byte("\ufeff" + s) },
		"UTF-16LE":          func(s string) []byte { return inUTF16(s, binary.LittleEndian) },
		"UTF-16BE":          func(s string) []byte { return inUTF16(s, binary.BigEndian) },
		"space around it":   func(s string) []byte { return []byte("\r\n \t" + s + " \r\n\r\n") },
	}
	for name := range exports {
		data := mustReadExport(t, name)
		want, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for encoding, encode := range encodings {
			if got, err := Parse(encode(string(data))); err != nil || !samePaste(got, want) {
				t.Errorf("%s, %s: %+v, %v; want %+v", name, encoding, got, err, want)
			}
		}
	}
}

func inUTF16(s string, order binary.AppendByteOrder) []byte {
	data := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(s)) {
		data = order.AppendUint16(data, unit)
	}
	return data
}

func samePaste(a, b Paste) bool {
	return a.Format == b.Format && a.URL == b.URL && a.Cookies == b.Cookies && a.Token == b.Token &&
		maps.EqualFunc(a.Header, b.Header, func(x, y []string) bool { return slices.Equal(x, y) })
}

func TestParseDetails(t *testing.T) {
	const site = "https://chat.qwen.ai/"
	tests := []struct {
		name, text     string
		cookies, token string
	}{
		{"several cookie headers", `curl ` + site + ` -H 'Cookie: a=1' -b b=2 -H cookie:\ c=3`, "a=1; b=2; c=3", ""},
		{"values right behind short options", `curl -XPOST '-Hcookie: a=1' '-bb=2' ` + site, "a=1; b=2", ""},
		{"the address as an option", `curl -H 'cookie: a=1' --url ` + site, "a=1", ""},
		{"tabs", "curl\t" + site + "\t-b\ta=1", "a=1", ""},
		{"a backslash in cmd", `curl ^"` + site + `^" -b ^"a=x^\^\y\z^"`, `a=x\y\z`, ""},
		{"a line break in cmd", `curl ^"` + site + `^" --data-raw ^"x"^` + "\r\n\r\n" + `"y ^%^41 ^&^" -b ^"a=1^"`, "a=1", ""},
		{"another spelling of the host", `curl https://u:p@CHAT.Qwen.AI.:443/ -b a=1`, "a=1", ""},
		{"something in brackets in PowerShell", `Invoke-WebRequest -Uri "` + site + `" -Body (Get-Content -Uri ("x") -Path "y") -Headers @{"cookie"="a=1"}`, "a=1", ""},
		{"curl.exe", `curl.exe "` + site + `" -H "Cookie: a=1"`, "a=1", ""},
		{"a semicolon at the end", `curl ` + site + " -b a=1 ;\n", "a=1", ""},
		{"a comment at the end", `curl ` + site + " -b a=1 # mine", "a=1", ""},
		{"bash in all ways at once", `curl ` + site + ` \` + "\n" + `-H $'Cookie: \x61\u003d\061\U0001F600\ud83d\ude00\q\?'\'"'"'"x'`, "a=1😀😀\\q?''\"x", ""},
		{"a dollar sign", `curl ` + site + ` -b 'a=$1' -b "b=$" -b c=$`, "a=$1; b=$; c=$", ""},
		{"an escaped dollar sign", `curl ` + site + ` -b "a=\$HOME\` + "\n" + `b" -b b=\$1`, "a=$HOMEb; b=$1", ""},
		{"a token besides that of the cookies", `curl ` + site + ` -b 'token=T' -H 'authorization: bearer U'`, "token=T", "U"},
		{"the token of the cookies", `curl ` + site + ` -b 'a=1;token=T ; b=2' -H 'authorization: bearer T'`, "a=1;token=T ; b=2", ""},
		{"another cookie with the token", `curl ` + site + ` -b 'xtoken=T' -H 'authorization: Bearer T'`, "xtoken=T", "T"},
		{"no token in JavaScript", `curl ` + site + ` -b 'a=1' -H 'authorization: Bearer undefined'`, "a=1", ""},
		{"another way to log in", `curl ` + site + ` -b 'a=1' -H 'authorization: Basic eDp5'`, "a=1", ""},
		{"a header without a value", `curl ` + site + ` -b 'a=1' -H 'bx-ua;' -H 'bx-v:'`, "a=1", ""},
		{"PowerShell in single quotes", `Invoke-WebRequest -Uri '` + site + `' -Headers @{ 'Cookie'='a=it''s'; "x"="y" }`, "a=it's", ""},
		{"PowerShell with doubled quotes", `Invoke-RestMethod -Uri "` + site + `" -Headers @{"Cookie"="a=""1"""}`, `a="1"`, ""},
		{"a fetch without options", `fetch("` + site + `", {"headers":{"cookie":"a=1"}});`, "a=1", ""},
		{"a Cookie header without space", "cookie:a=1; b=2", "a=1; b=2", ""},
		{"headers without the site", "accept: */*\ncookie: a=1", "a=1", ""},
		{"an empty header among others", "accept:\ncookie: a=1\nbx-ua:\nuser-agent: x", "a=1", ""},
		{"names and values in turn", "accept\n*/*\nreferer\nhttps://chat.qwen.ai/c/1\ncookie\na=1", "a=1", ""},
		{"a request line with an address", "GET https://chat.qwen.ai/ HTTP/1.1\nCookie: a=1", "a=1", ""},
		{"a token in quotation marks", `"eyJh.eyJp.c-_1"`, "", "eyJh.eyJp.c-_1"},
		{"a token as a header has it", `Bearer eyJh.eyJp.c`, "", "eyJh.eyJp.c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err != nil || got.Cookies != tt.cookies || got.Token != tt.token {
				t.Errorf("cookies %q, token %q, error %v; want %q, %q", got.Cookies, got.Token, err, tt.cookies, tt.token)
			}
		})
	}
}

func TestKeptHeaders(t *testing.T) {
	text := "Host: chat.qwen.ai\nCookie: a=1\nUser-Agent: U\nAccept: */*\nAccept-Language: en\nAccept-Encoding: br\n" +
		"Content-Type: text/plain\nContent-Length: 1\nOrigin: O\nReferer: R\nAuthorization: Bearer T\nX-Request-Id: 1\nTimezone: Z\n" +
		"If-None-Match: \"x\"\nIf-Modified-Since: x\nConnection: close\nSource: web\nVersion: 0.3.12\nbx-ua: B\nSec-Ch-Ua-Platform: \"L\"\n" +
		"Sec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\nSec-Fetch-Site: none\nSec-Fetch-User: ?1\nSec-GPC: 1"
	got, err := Parse([]byte(text))
	want := http.Header{"User-Agent": {"U"}, "Accept-Language": {"en"}, "Version": {"0.3.12"}, "Bx-Ua": {"B"}, "Sec-Ch-Ua-Platform": {`"L"`}}
	if err != nil || !maps.EqualFunc(got.Header, want, func(x, y []string) bool { return slices.Equal(x, y) }) {
		t.Errorf("kept %q, error %v; want %q", got.Header, err, want)
	}
}

func TestText(t *testing.T) {
	for _, data := range [][]byte{{0xff}, {'a', 0}, {0xff, 0xfe, 'a'}, {0xff, 0xfe, 0, 0}, []byte("\x1f\x8b\x08")} {
		if got, err := Text(data); err == nil {
			t.Errorf("%q was read as %q", data, got)
		}
	}
	if got, err := Text(bytes.Repeat([]byte("ü"), 3)); err != nil || got != "üüü" {
		t.Errorf("%q, %v", got, err)
	}
}
