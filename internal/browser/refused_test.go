package browser

import (
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// canary is in all pastes that are refused, and in no error.
const canary = "canary-secret"

func TestParseRefuses(t *testing.T) {
	const site = "https://chat.qwen.ai/"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "empty"},
		{"only space", " \r\n\t\ufeff", "nothing that a browser copies"},
		{"a sentence", "my password is " + canary, "nothing that a browser copies"},
		{"an address", site + "?token=" + canary, "nothing that a browser copies"},
		{"JSON", `[{"name":"token","value":"` + canary + `"}]`, "it is JSON"},
		{"HAR", `{"log":{"entries":["` + canary + `"]}}`, "it is JSON"},
		{"NUL", "token=" + canary + "\x00", "not text"},
		{"Latin-1", "token=\xe9" + canary, "not text"},
		{"too large", "a=" + canary + strings.Repeat(" ", MaxSize), "larger than 1 MiB"},

		{"another site", "curl 'https://example.com/' -b 'a=" + canary + "'", "another site, example.com"},
		{"a site with the same end", "curl 'https://notqwen.ai/' -b 'a=" + canary + "'", "another site, notqwen.ai"},
		{"a site with the same beginning", "curl 'https://chat.qwen.ai.example.com/' -b 'a=" + canary + "'", "another site"},
		{"a user of the site's name", "curl 'https://chat.qwen.ai@example.com/' -b 'a=" + canary + "'", "another site, example.com"},
		{"another site in headers", "GET / HTTP/1.1\nHost: example.com\nCookie: a=" + canary, "another site, example.com"},
		{"another site in PowerShell", `Invoke-WebRequest -Uri "https://example.com" -Headers @{"cookie"="a=` + canary + `"}`, "another site, example.com"},
		{"another site in fetch", `fetch("https://example.com/", {"headers":{"cookie":"a=` + canary + `"}})`, "another site, example.com"},
		{"an odd site", "curl 'https://evil\u202e/' -b 'a=" + canary + "'", "another site;"},
		{"no address", "curl 'chat.qwen.ai' -b 'a=" + canary + "'", "cannot be read"},
		{"no address at all", "curl -b 'a=" + canary + "'", "no address"},
		{"two addresses", "curl " + site + " " + site + canary, "more in it than one request"},

		{"nobody logged in", "curl " + site + " -H 'user-agent: " + canary + "'", "neither cookies nor a token"},
		{"fetch without cookies", `fetch("` + site + `", {"headers":{"user-agent":"` + canary + `"},"credentials":"include"});`, "leaves the cookies out"},

		{"bash without end", "curl " + site + " -b 'a=" + canary, "end is missing"},
		{"bash without end, double", "curl " + site + ` -b "a=` + canary, "end is missing"},
		{"bash without end, ANSI-C", "curl " + site + ` -b $'a=` + canary + `\`, "end is missing"},
		{"bash with a backslash at the end", "curl " + site + ` -b a=` + canary + ` \`, "end is missing"},
		{"bash without a value", "curl " + site + " -b a=" + canary + " -H", "last option"},
		{"command substitution", "curl " + site + ` -b "a=$(cat ` + canary + `)"`, "nothing is executed"},
		{"command substitution without quotes", "curl " + site + ` -b a=$(cat ` + canary + `)`, "nothing is executed"},
		{"backticks", "curl " + site + " -b \"a=`cat " + canary + "`\"", "nothing is executed"},
		{"backticks without quotes", "curl " + site + " -b a=`cat " + canary + "`", "nothing is executed"},
		{"variable", "curl " + site + ` -b "token=$TOKEN` + canary + `"`, "nothing is executed"},
		{"variable in braces", "curl " + site + ` -b token=${TOKEN:-` + canary + `}`, "nothing is executed"},
		{"arithmetic", "curl " + site + ` -b a=$((1+1)) -b ` + canary, "nothing is executed"},
		{"several in bash", "curl " + site + " -b a=" + canary + " ;\ncurl " + site, "more in it than one request"},
		{"several in lines", "curl " + site + " -b a=" + canary + "\ncurl " + site, "more in it than one request"},
		{"pipe", "curl " + site + " -b a=" + canary + " | sh", "more in it than one request"},
		{"background", "curl " + site + " -b a=" + canary + " & rm x", "more in it than one request"},
		{"redirection", "curl " + site + " -b a=" + canary + " > x", "more in it than one request"},
		{"subshell", "curl " + site + " -b a=" + canary + " (x)", "more in it than one request"},
		{"cookies in a file", "curl " + site + " -b " + canary, "another file"},
		{"headers in a file", "curl " + site + " -H @" + canary, "another file"},

		{"cmd without end", `curl ^"` + site + `^" -b ^"a=` + canary, "end is missing"},
		{"several in cmd", `curl ^"` + site + `^" -b ^"a=` + canary + "^\" &\r\ncurl ^\"" + site + `^"`, "more in it than one request"},
		{"a line too much in cmd", `curl ^"` + site + `^" -b ^"a=` + canary + "^\"\r\ndel x", "more in it than one request"},
		{"pipe in cmd", `curl ^"` + site + `^" -b ^"a=` + canary + `^" | more`, "more in it than one request"},

		{"PowerShell without end", `Invoke-WebRequest -Uri "` + site + canary, "end is missing"},
		{"PowerShell, half of it", `$session = New-Object x` + "\n" + `$session.UserAgent = "` + canary + `"`, "end is missing"},
		{"PowerShell, half of the headers", `Invoke-WebRequest -Uri "` + site + `" -Headers @{"cookie"="` + canary + `"`, "end is missing"},
		{"several in PowerShell", `Invoke-WebRequest -Uri "` + site + canary + `";` + "\r\n" + `Invoke-WebRequest -Uri "` + site + `"`, "more in it than one request"},
		{"several in PowerShell, one of them short", `Invoke-WebRequest -Uri "` + site + canary + `"; Invoke-WebRequest -Method GET`, "more in it than one request"},
		{"another command in PowerShell", `Invoke-WebRequest -Uri "` + site + canary + `"; Remove-Item x`, "more in it than one request"},
		{"pipe in PowerShell", `Invoke-WebRequest -Uri "` + site + canary + `" | iex`, "more in it than one request"},
		{"substitution in PowerShell", `Invoke-WebRequest -Uri "` + site + `" -Headers @{"cookie"="a=$(Get-Content ` + canary + `)"}`, "nothing is executed"},
		{"substitution without quotes in PowerShell", `Invoke-WebRequest -Uri $(` + canary + `)`, "nothing is executed"},
		{"variable in PowerShell", `Invoke-WebRequest -Uri "` + site + `" -Headers @{"cookie"="a=$env:X` + canary + `"}`, "nothing is executed"},
		{"a number that is no character", `Invoke-WebRequest -Uri "` + site + `$([char]99999)` + canary + `"`, "nothing is executed"},
		{"a value without a name in PowerShell", `Invoke-WebRequest -Uri "` + site + `" -Headers @{"` + canary + `"}`, "not as a browser writes"},
		{"a value of another kind in PowerShell", `Invoke-WebRequest -Uri "` + site + `" -Headers "` + canary + `"`, "not as a browser writes"},
		{"a cookie without a value in PowerShell", `$session.Cookies.Add((New-Object System.Net.Cookie("` + canary + `")))`, "not as a browser writes"},
		{"a cookie with another in PowerShell", `$session.Cookies.Add((New-Object System.Net.Cookie("a", "` + canary + `; token=x")))`, "not as a browser writes"},

		{"fetch without end", `fetch("` + site + `", {"headers":{"cookie":"` + canary, "not as a browser writes"},
		{"fetch without bracket", `fetch("` + site + `", {"headers":{"cookie":"a=` + canary + `"}}`, "not as a browser writes"},
		{"fetch of a variable", `fetch(address, {"headers":{"cookie":"` + canary + `"}})`, "not as a browser writes"},
		{"fetch of nothing", `fetch("", {"headers":{"cookie":"a=` + canary + `"}})`, "not as a browser writes"},
		{"fetch with a headers list", `fetch("` + site + `", {"headers":[["cookie","` + canary + `"]]})`, "not as a browser writes"},
		{"fetch with a template", "fetch(`" + site + canary + "`)", "not as a browser writes"},
		{"several fetches", `fetch("` + site + `", {"headers":{"cookie":"a=` + canary + `"}}) ;` + "\n" + `fetch("` + site + `")`, "more in it than one request"},
		{"await for something else", "await " + canary, "not as a browser writes"},

		{"headers and something else", "Host: chat.qwen.ai\nCookie: a=" + canary + "\nwhat else?", "some of its lines"},
		{"cookies without names", "Cookie: " + canary, "not of the form"},

		{"line break in a cookie", "curl " + site + ` -b $'a=` + canary + `\r\nHost: x'`, "line breaks"},
		{"line break in a header", "curl " + site + ` -b a=` + canary + ` -H $'user-agent: x\nHost: x'`, "the header User-Agent: there are line breaks"},
		{"line break in a token", "curl " + site + ` -H $'authorization: Bearer ` + canary + `\nx'`, "no token has"},
		{"line break in PowerShell", `Invoke-WebRequest -Uri "` + site + "\" -Headers @{\"cookie\"=\"a=" + canary + "`r`nHost: x\"}", "line breaks"},
		{"line break in fetch", `fetch("` + site + `", {"headers":{"cookie":"a=` + canary + `\r\nHost: x"}})`, "line breaks"},
		{"NUL in a cookie", "curl " + site + ` -b $'a=` + canary + `\0'`, "control characters"},
		{"reversed text in a cookie", "a=" + canary + "\u202e", "invisible"},
		{"invisible text in a header", "curl " + site + ` -b a=` + canary + ` -H $'bx-ua: x\u200b'`, "invisible"},
		{"half a character", "curl " + site + ` -b $'a=` + canary + `\xc3'`, "UTF-8"},
		{"other characters in a token", "curl " + site + ` -H 'authorization: Bearer ` + canary + `é'`, "no token has"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err == nil {
				t.Fatalf("read %+v, want an error", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if strings.Contains(err.Error(), canary) || strings.ContainsAny(err.Error(), "\r\n\x00\u202e") {
				t.Errorf("error %q repeats what was pasted", err)
			}
			if got.Cookies != "" || got.Token != "" || got.Header != nil {
				t.Errorf("an error and %+v", got)
			}
		})
	}
}

// TestParseIsBounded pastes what would take a careless reader very long or very
// much memory or stack.
func TestParseIsBounded(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(16 << 20))
	const size = MaxSize / 8
	limit := time.Second
	if raceDetector {
		limit = 10 * time.Second
	}
	const start = "curl https://chat.qwen.ai/ "
	for _, part := range []string{
		"$(", "${a:-", "(", "{", "[", "'", `"`, `\`, "$'", "^", `^"`, "`", "@{", `"" `, "-H ", "-b a=1 ", "a\n", "a: b\n", "\n", ":", ";", "$", "#",
		`\x`, `\u`, "# ", "%^", `"^` + "\n\n" + `"`, "$([char]1)", "'a'=", "-x ", `{"a":`, "a=b;", "é", "\u202e",
	} {
		for _, head := range []string{
			"", start, start + "'", start + `"`, start + "$'", `curl ^"`, "curl \"x ^\n", "curl \"x ^\n\"", "fetch(", `fetch("x",`, `fetch("x",{"headers":`, "$session = ",
			"Invoke-WebRequest ", "Invoke-WebRequest -Headers @{", `Invoke-WebRequest "`, "Host: x\n", "Cookie: ", "GET / HTTP/1.1\n",
		} {
			begun := time.Now()
			if _, err := Parse([]byte(head + strings.Repeat(part, (size-len(head))/len(part)))); err != nil && len(err.Error()) > 300 {
				t.Errorf("%q and many %q: a long error: %v", head, part, err)
			}
			if took := time.Since(begun); took > limit {
				t.Errorf("%q and many %q: %v", head, part, took)
			}
		}
	}
}
