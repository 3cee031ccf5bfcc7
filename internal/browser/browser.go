// Package browser reads what the developer tools of browsers copy of a request, so
// that the owner of an account need not look for cookies and tokens in it.
//
// Nothing is executed or expanded, and errors never repeat what was pasted.
package browser

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// MaxSize is how large a paste may be, in bytes.
const MaxSize = 1 << 20

// The forms of a paste, as people know them from the menus.
const (
	formatBash       = "cURL (bash)"
	formatCmd        = "cURL (cmd)"
	formatPowerShell = "PowerShell"
	formatFetch      = "fetch"
	formatNode       = "fetch (Node.js)"
	formatHeaders    = "request headers"
	formatCookies    = "cookies"
	formatToken      = "token"
)

// Paste is what was found in a paste. All but Format and URL is secret.
type Paste struct {
	// Format names the form of the paste for people, such as "cURL (bash)".
	Format string
	// URL is the address of the request without its query, or empty if the paste
	// tells none. Its host is qwen.ai or below.
	URL string
	// Cookies is the whole Cookie header.
	Cookies string
	// Token is the access token, unless it is the one in the cookies.
	Token string
	// Header has further headers that are worth sending along. There is one value
	// for each.
	Header http.Header
}

// What is wrong with a paste. Each tells what to do.
var (
	errEmpty      = errors.New("it is empty")
	errTooLarge   = errors.New("it is larger than 1 MiB, so it is more than one request")
	errNotText    = errors.New("it is not text in UTF-8 or UTF-16")
	errUnknown    = errors.New("it is nothing that a browser copies of a request; copy the request as cURL")
	errJSON       = errors.New("it is JSON, which no browser copies of a single request; copy the request as cURL")
	errUnfinished = errors.New("its end is missing, or a quotation mark is; copy the request again, and paste all of it")
	errSeveral    = errors.New("there is more in it than one request; copy a single one, not all of them")
	errExpansion  = errors.New("there is a variable or a command in it that a shell would put a value in place of, which no browser writes; nothing is executed here")
	errNothing    = errors.New("there are neither cookies nor a token in it; log in, and copy a request that the page makes to chat.qwen.ai")
	errFetch      = errors.New("there are neither cookies nor a token in it, because a browser leaves the cookies out of this form; copy the request as cURL")
)

// Parse reads a paste. It takes the forms "Copy as cURL" (for bash and for cmd),
// "Copy as PowerShell", "Copy as fetch" (also for Node.js) and "Copy request
// headers" of Chrome, Edge, Firefox and Safari, a Cookie header or its value, and a
// token.
func Parse(data []byte) (Paste, error) {
	if len(data) > MaxSize {
		return Paste{}, errTooLarge
	}
	text, err := Text(data)
	if err != nil {
		return Paste{}, err
	}
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if text == "" {
		return Paste{}, errEmpty
	}
	format := recognise(text)
	read, ok := readers[format]
	if !ok {
		if text[0] == '{' || text[0] == '[' {
			return Paste{}, errJSON
		}
		return Paste{}, errUnknown
	}
	r, err := read(text)
	if err != nil {
		return Paste{}, err
	}
	if format == formatFetch && len(r.cookies) > 0 {
		format = formatNode // only it has cookies
	}
	return r.paste(format)
}

// readers has the function that reads each form.
var readers = map[string]func(string) (*request, error){
	formatBash:       func(text string) (*request, error) { return readCurl(bashWords(text)) },
	formatCmd:        func(text string) (*request, error) { return readCurl(cmdWords(text)) },
	formatPowerShell: readPowerShell,
	formatFetch:      readFetch,
	formatHeaders:    readHeaders,
	formatCookies:    readCookies,
	formatToken:      readToken,
}

// recognise returns the form of a text, or nothing.
func recognise(text string) string {
	word := strings.ToLower(text[:strings.IndexAny(text+" ", " \t\n=(.")])
	switch word {
	case "curl":
		return recogniseCurl(text)
	case "fetch", "await":
		return formatFetch
	case "$session", "invoke-webrequest", "invoke-restmethod":
		return formatPowerShell
	}
	switch {
	case isToken(bareToken(text)):
		return formatToken
	case isCookies(text):
		return formatCookies
	case isHeaders(text):
		return formatHeaders
	}
	return ""
}

// cmdBefore is how "Copy as cURL" for cmd began in older versions of the browsers.
var cmdBefore = regexp.MustCompile(`^\S+ "\S+ \^\n`)

// recogniseCurl tells the two spellings of "Copy as cURL" apart. Chrome and Firefox
// put `^` before each quotation mark for cmd.
func recogniseCurl(text string) string {
	quote := strings.IndexAny(text, `'"`)
	if quote > 0 && text[quote-1:quote+1] == `^"` || cmdBefore.MatchString(text) {
		return formatCmd
	}
	return formatBash
}
