package browser

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// sent is a request as a browser has sent it.
type sent struct {
	url     string
	cookies [][2]string
	header  [][2]string // in order
	body    string
}

func (s sent) cookieHeader() string {
	var parts []string
	for _, c := range s.cookies {
		parts = append(parts, c[0]+"="+c[1])
	}
	return strings.Join(parts, "; ")
}

// all returns the headers with the one of cookies.
func (s sent) all() [][2]string {
	return append([][2]string{{"Accept", "*/*"}, {"Cookie", s.cookieHeader()}}, s.header...)
}

// The ways in which browsers write a request. Each quotes as that browser does.
var writers = map[string]func(s sent) string{
	"Chrome, cURL (bash)":      func(s sent) string { return curl(s, chromeBash, "-b", " \\\n  ") },
	"Chrome once, cURL (bash)": func(s sent) string { return curl(s, chromeBash, "", " \\\n  ") },
	"Firefox, cURL (bash)":     func(s sent) string { return curl(s, firefoxBash, "", " \\\n  ") },
	"Safari, cURL":             func(s sent) string { return curl(s, firefoxBash, "", " \\\n") },
	"Chrome, cURL (cmd)":       func(s sent) string { return curl(s, chromeCmd(`^"`), "-b", " ^\r\n  ") },
	"Chrome once, cURL (cmd)":  func(s sent) string { return curl(s, chromeCmd(`"`), "", " ^\n  ") },
	"Firefox, cURL (cmd)":      func(s sent) string { return curl(s, firefoxCmd, "", " ^\r\n  ") },
	"Firefox before, (cmd)":    func(s sent) string { return curl(s, firefoxCmdDollar, "", " ^\n  ") },
	"Firefox once, cURL (cmd)": func(s sent) string { return curl(s, firefoxCmdDoubled, "", " ^\n  ") },
	"Chrome, PowerShell":       powerShellCommands,
	"Chrome, fetch (Node.js)":  func(s sent) string { return fetchText(s, "", "  ") + ";" },
	"Firefox, fetch":           func(s sent) string { return fetchText(s, "await ", "    ") + ";" },
	"Firefox, request headers": func(s sent) string { return headerLines(s, "POST /api/x HTTP/2\r\nHost: chat.qwen.ai\r\n", "\r\n") },
	"Chrome, request headers": func(s sent) string {
		return headerLines(s, ":authority: chat.qwen.ai\n:path: /api/x\n:scheme: https\n", "\n")
	},
	"Chrome, selected headers":  func(s sent) string { return headerPairs(s, ":") },
	"Chrome, selected headers ": func(s sent) string { return headerPairs(s, "") },
	"bash by hand":              func(s sent) string { return curl(s, doubleBash, "--cookie", " ") },
}

func curl(s sent, quote func(string) string, cookie, join string) string {
	parts := []string{"curl " + quote(s.url), "-X POST"}
	for _, h := range s.all() {
		if h[0] == "Cookie" && cookie != "" {
			parts = append(parts, cookie+" "+quote(h[1]))
			continue
		}
		parts = append(parts, "-H "+quote(h[0]+": "+h[1]))
	}
	return strings.Join(append(parts, "--data-raw "+quote(s.body), "--compressed"), join)
}

// escape replaces each match of a pattern.
func escape(s, pattern, with string) string {
	return regexp.MustCompile(pattern).ReplaceAllString(s, with)
}

func chromeBash(s string) string {
	if !strings.ContainsAny(s, "!'\n\r") {
		return "'" + s + "'"
	}
	s = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "!", `\u0021`).Replace(s)
	return "$'" + s + "'"
}

// firefoxBash writes what is not in ASCII byte by byte, as the headers are bytes to
// Firefox.
func firefoxBash(s string) string {
	if !regexp.MustCompile(`[^\x20-\x7e]|!|'`).MatchString(s) {
		return "'" + s + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\\' || c == '\'':
			b.WriteString(`\` + string(rune(c)))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '!':
			b.WriteString(`\041`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}

func doubleBash(s string) string { return `"` + escape(s, "[\\\\\"$`]", `\$0`) + `"` }

func chromeCmd(mark string) func(string) string {
	return func(s string) string {
		s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
		s = escape(s, "[^a-zA-Z0-9\\s_\\-:=+~'/.',?;()*`]", "^$0")
		s = escape(s, `%([a-zA-Z0-9_])`, "%^$1")
		if mark == `"` && strings.Contains(s, "\n") {
			mark = `^"`
		}
		return mark + strings.ReplaceAll(s, "\n", "^\n\n") + mark
	}
}

func firefoxCmd(s string) string {
	s = strings.ReplaceAll(s, `"`, `\"`)
	s = escape(s, "[^a-zA-Z0-9\\s_\\-:=+~/.',?;()*`]", "^$0")
	s = escape(s, `%([a-zA-Z0-9_])`, "%^$1")
	return `^"` + strings.ReplaceAll(s, "\n", "\"^\r\n\r\n\"") + `^"`
}

func firefoxCmdDollar(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`).Replace(s)
	s = escape(s, "[^a-zA-Z0-9\\s_\\-:=+~/.',?;()*$&\\\\{}\"`]", "^$0")
	s = escape(s, `%([a-zA-Z0-9_])`, "%^$1")
	return `^"` + strings.ReplaceAll(s, "\n", "^\n\n") + `^"`
}

func firefoxCmdDoubled(s string) string {
	s = strings.NewReplacer(`"`, `""`, "%", `"%"`, `\`, `\\`).Replace(s)
	return `"` + escape(s, `[\r\n]+`, `"^$0"`) + `"`
}

func powerShellString(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		switch {
		case unit == '"' || unit == '`' || unit == '$':
			b.WriteString("`" + string(rune(unit)))
		case unit < ' ' || unit > '~':
			fmt.Fprintf(&b, "$([char]%d)", unit)
		default:
			b.WriteByte(byte(unit))
		}
	}
	return `"` + b.String() + `"`
}

func powerShellCommands(s sent) string {
	var b strings.Builder
	b.WriteString("$session = New-Object Microsoft.PowerShell.Commands.WebRequestSession\n")
	for _, h := range s.header {
		if strings.EqualFold(h[0], "User-Agent") {
			b.WriteString("$session.UserAgent = " + powerShellString(h[1]) + "\n")
		}
	}
	for _, c := range s.cookies {
		fmt.Fprintf(&b, "$session.Cookies.Add((New-Object System.Net.Cookie(%s, %s, \"/\", \".qwen.ai\")))\n", powerShellString(c[0]), powerShellString(c[1]))
	}
	b.WriteString("Invoke-WebRequest -UseBasicParsing -Uri " + powerShellString(s.url) + " `\n-Method \"POST\" `\n-WebSession $session `\n-Headers @{\n")
	for _, h := range s.header {
		if !strings.EqualFold(h[0], "User-Agent") {
			b.WriteString("  " + powerShellString(h[0]) + "=" + powerShellString(h[1]) + "\n")
		}
	}
	b.WriteString("} `\n-ContentType \"application/json\" `\n-Body ([System.Text.Encoding]::UTF8.GetBytes(" + powerShellString(s.body) + "))")
	return b.String()
}

func fetchText(s sent, await, indent string) string {
	headers := make(map[string]string)
	for _, h := range s.all() {
		headers[strings.ToLower(h[0])] = h[1]
	}
	address, _ := json.Marshal(s.url)
	options, _ := json.MarshalIndent(map[string]any{"headers": headers, "body": s.body, "method": "POST", "referrer": nil}, "", indent)
	return await + "fetch(" + string(address) + ", " + string(options) + ")"
}

func headerLines(s sent, head, end string) string {
	for _, h := range s.all() {
		head += h[0] + ": " + h[1] + end
	}
	return head
}

func headerPairs(s sent, mark string) string {
	text := ":authority" + mark + "\nchat.qwen.ai\n:path" + mark + "\n/api/x\n"
	for _, h := range s.all() {
		text += h[0] + mark + "\n" + h[1] + "\n"
	}
	return text
}
