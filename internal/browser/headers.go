package browser

import (
	"errors"
	"regexp"
	"strings"
)

var errHeaderLine = errors.New("some of its lines are not headers of the form name: value; copy the request as cURL instead")

var (
	requestLine = regexp.MustCompile(`^[A-Z]+ (\S+) HTTP/[0-9.]+$`)
	headerLine  = regexp.MustCompile(`^(:?[A-Za-z0-9_-]+):(?:[ \t](.*))?$`)
	nameLine    = regexp.MustCompile(`^:?[A-Za-z0-9_-]+$`)
)

// isHeaders reports whether a text begins like the headers of a request.
func isHeaders(text string) bool {
	first, second, more := strings.Cut(text, "\n")
	first = strings.TrimSpace(first)
	if requestLine.MatchString(first) || headerLine.MatchString(first) {
		return true
	}
	return more && nameLine.MatchString(first) && strings.TrimSpace(second) != ""
}

// readHeaders reads the headers of a request: one in each line, or in the form that
// is selected on the page of Chrome's tools, names and values in turn.
func readHeaders(text string) (*request, error) {
	r := new(request)
	head, _, _ := strings.Cut(text, "\n\n") // the body may follow
	target := ""
	if first, rest, _ := strings.Cut(head, "\n"); requestLine.MatchString(first) {
		target, head = requestLine.FindStringSubmatch(first)[1], rest
	}
	host := ""
	for lines := strings.Split(head, "\n"); len(lines) > 0; {
		name, value, n := header(lines)
		if n == 0 {
			return nil, errHeaderLine
		}
		lines = lines[n:]
		switch strings.ToLower(name) {
		case ":authority", "host":
			host = value
		case ":path":
			target = value
		default:
			r.add(name, value)
		}
	}
	if host != "" {
		r.url = "https://" + host + "/" + strings.TrimPrefix(target, "/")
	} else if strings.Contains(target, "://") {
		r.url = target
	}
	return r, nil
}

// header returns the first header in some lines, and how many lines it takes. The
// value may be in the next line.
func header(lines []string) (name, value string, n int) {
	line := strings.TrimSpace(lines[0])
	if line == "" {
		return "", "", 1
	}
	m := headerLine.FindStringSubmatch(line)
	if m != nil && strings.TrimSpace(m[2]) != "" {
		return m[1], strings.TrimSpace(m[2]), 1
	}
	if m == nil && !nameLine.MatchString(line) {
		return "", "", 0
	}
	name = strings.TrimSuffix(line, ":")
	if len(lines) > 1 && (m == nil || !hasValue(lines[1])) {
		return name, strings.TrimSpace(lines[1]), 2
	}
	return name, "", min(1, len(m))
}

// hasValue reports whether a line is a header with its value.
func hasValue(line string) bool {
	m := headerLine.FindStringSubmatch(strings.TrimSpace(line))
	return m != nil && m[2] != ""
}

// isCookies reports whether a text is a Cookie header or its value.
func isCookies(text string) bool {
	name, _, ok := strings.Cut(bareCookies(text), "=")
	return ok && isName(name) && !strings.Contains(text, "\n")
}

// bareCookies returns the value of a Cookie header, without the marks around it.
func bareCookies(text string) string {
	const name = "cookie:"
	if len(text) > len(name) && strings.EqualFold(text[:len(name)], name) {
		text = strings.TrimSpace(text[len(name):])
	}
	return unquoted(text)
}

// unquoted returns a text without quotation marks around the whole, which the consoles
// of browsers show.
func unquoted(text string) string {
	if len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	return text
}

func readCookies(text string) (*request, error) {
	return &request{cookies: []string{bareCookies(text)}}, nil
}

// bareToken returns what may be a token, without the marks around it.
func bareToken(text string) string {
	text = unquoted(text)
	if scheme, token, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(token)
	}
	return text
}

// isToken reports whether a text is a JSON Web Token.
func isToken(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 && isToken68(text)
}

func readToken(text string) (*request, error) {
	r := new(request)
	r.add("Authorization", "Bearer "+bareToken(text))
	return r, nil
}
