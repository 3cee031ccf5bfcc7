package browser

import (
	"errors"
	"strings"
)

var (
	errNoCommand  = errors.New("there is no address in it; copy the request again, and paste all of it")
	errCurlFile   = errors.New("cookies or headers are in another file; copy the request as cURL in the browser")
	errCurlOption = errors.New("the value of its last option is missing; copy the request again, and paste all of it")
)

// curlOptions has what is done with the values of options. A value of the others in
// curlValues has no meaning here.
var curlOptions = map[string]func(r *request, value string) error{
	"-H": addHeaderLine, "--header": addHeaderLine,
	"-b": addCookies, "--cookie": addCookies,
	"-A": addUserAgent, "--user-agent": addUserAgent,
	"--url": (*request).setURL,
}

// curlValues are the options whose values are of no interest, such as the body.
var curlValues = map[string]bool{
	"-X": true, "--request": true, "-e": true, "--referer": true, "-d": true, "--data": true, "--data-raw": true,
	"--data-binary": true, "--data-ascii": true, "--data-urlencode": true, "--json": true, "-F": true, "--form": true,
	"--form-string": true, "-o": true, "--output": true, "-x": true, "--proxy": true, "-m": true, "--max-time": true,
	"--connect-timeout": true, "-w": true, "--write-out": true, "-c": true, "--cookie-jar": true, "--resolve": true,
	"-u": true, "--user": true,
}

// readCurl reads the words of a curl command.
func readCurl(words []string, err error) (*request, error) {
	if err != nil {
		return nil, err
	}
	r := new(request)
	for words = words[1:]; len(words) > 0 && err == nil; {
		words, err = curlArgument(r, words)
	}
	if err == nil && r.url == "" {
		err = errNoCommand
	}
	return r, err
}

// curlArgument reads an option or an address, and returns the words after it.
func curlArgument(r *request, words []string) ([]string, error) {
	name, rest := words[0], words[1:]
	if !strings.HasPrefix(name, "-") {
		return rest, r.setURL(name)
	}
	if len(name) > 2 && name[1] != '-' { // a value may follow without a space
		if short := name[:2]; curlOptions[short] != nil || curlValues[short] {
			name, rest = short, append([]string{name[2:]}, rest...)
		}
	}
	act := curlOptions[name]
	if act == nil && !curlValues[name] {
		return rest, nil // without a value
	}
	if len(rest) == 0 {
		return nil, errCurlOption
	}
	if act == nil {
		return rest[1:], nil
	}
	return rest[1:], act(r, rest[0])
}

// addHeaderLine takes the value of -H.
func addHeaderLine(r *request, line string) error {
	if strings.HasPrefix(line, "@") {
		return errCurlFile
	}
	if name, value, ok := strings.Cut(line, ":"); ok {
		r.add(strings.TrimSpace(name), value)
	}
	return nil // without a value it is `name;`
}

// addCookies takes the value of -b.
func addCookies(r *request, value string) error {
	if !strings.Contains(value, "=") {
		return errCurlFile
	}
	r.add("Cookie", value)
	return nil
}

// addUserAgent takes the value of -A.
func addUserAgent(r *request, value string) error {
	r.add("User-Agent", value)
	return nil
}
