package browser

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

var (
	errFetchForm = errors.New("its fetch call is not as a browser writes it; copy the request again, and paste all of it")
	fetchCall    = regexp.MustCompile(`^(?:await\s+)?fetch\(\s*`)
)

// readFetch reads a call of JavaScript's fetch, whose arguments are JSON in all
// browsers.
func readFetch(text string) (*request, error) {
	rest := text[len(fetchCall.FindString(text)):]
	if len(rest) == len(text) {
		return nil, errFetchForm
	}
	r := new(request)
	rest, err := decodeJSON(rest, &r.url)
	if err != nil {
		return nil, err
	}
	if r.url == "" {
		return nil, errFetchForm
	}
	var options struct {
		Headers map[string]string `json:"headers"`
	}
	if after, ok := strings.CutPrefix(rest, ","); ok {
		if rest, err = decodeJSON(after, &options); err != nil {
			return nil, err
		}
	}
	for name, value := range options.Headers {
		r.add(name, value)
	}
	switch end, ok := strings.CutPrefix(rest, ")"); {
	case !ok:
		return nil, errFetchForm
	case strings.Trim(end, "; \t\n") != "":
		return nil, errSeveral
	}
	return r, nil
}

// decodeJSON decodes the value that a text begins with, and returns what follows.
func decodeJSON(text string, to any) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	if decoder.Decode(to) != nil { // its error may repeat content
		return "", errFetchForm
	}
	return strings.TrimLeft(text[decoder.InputOffset():], " \t\n"), nil
}
