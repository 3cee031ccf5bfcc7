package caddyqwen

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// subdirective is a name that may stand in a block.
type subdirective struct {
	// parse consumes the arguments. The dispenser stands at the name.
	parse func(d *caddyfile.Dispenser) error

	// repeat says that the name may be there more than once.
	repeat bool
}

// parseBlock parses the block, if there is one, that follows the current line.
func parseBlock(d *caddyfile.Dispenser, known map[string]subdirective) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		sub, ok := known[name]
		switch {
		case !ok:
			return unknownSubdirective(d, name, known)
		case seen[name] && !sub.repeat:
			return d.Errf("%s already specified", name)
		}
		seen[name] = true
		if err := sub.parse(d); err != nil {
			return err
		}
	}
	return nil
}

// unknownSubdirective says what may stand in the place of name. What cannot be
// meant as a name is not repeated: it may be a key or a cookie that slipped into
// a line of its own.
func unknownSubdirective(d *caddyfile.Dispenser, name string, known map[string]subdirective) error {
	what := "something that is no subdirective"
	if isName(name) || name == "{" {
		what = "unknown subdirective " + strconv.Quote(name)
	}
	return d.Errf("%s; known are: %s", what, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// oneValue returns the only argument of the current subdirective.
func oneValue(d *caddyfile.Dispenser) (name, value string, err error) {
	name = d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return name, "", d.Errf("%s takes one value; if it has spaces, put it in quotation marks", name)
	}
	return name, args[0], nil
}

// secret is a subdirective with a value that no error shows.
func secret(field *string) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) (err error) {
		_, *field, err = oneValue(d)
		return err
	}}
}

// word is a subdirective with a value without spaces.
func word(field *string) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		if strings.ContainsFunc(value, func(c rune) bool { return isControl(c) || c == ' ' }) {
			return d.Errf("%s: %q has a space or a control character", name, value)
		}
		*field = value
		return nil
	}}
}

// file is a subdirective with the path of a file, which may have spaces. Secrets may
// have slipped in, so that no error shows it.
func file(field *string) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		if strings.ContainsFunc(value, isControl) {
			return d.Errf("%s: the path has a line break or another control character", name)
		}
		*field = value
		return nil
	}}
}

// oneOf is a subdirective with one of several values.
func oneOf(field *string, values ...string) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		if !slices.Contains(values, value) {
			return d.Errf("%s: %q is none of %s", name, value, strings.Join(values, ", "))
		}
		*field = value
		return nil
	}}
}

// onOff is a subdirective with the value on or off.
func onOff(field **bool) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		var value string
		if err := oneOf(&value, "on", "off").parse(d); err != nil {
			return err
		}
		on := value == "on"
		*field = &on
		return nil
	}}
}

// duration is a subdirective with a duration greater than zero.
func duration(field *caddy.Duration) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil || parsed <= 0 {
			return d.Errf("%s: %q is not a duration greater than zero, such as 90s or 2m", name, value)
		}
		*field = caddy.Duration(parsed)
		return nil
	}}
}

// size is a subdirective with a number of bytes greater than zero.
func size(field *int64) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		parsed, err := humanize.ParseBytes(value)
		if err != nil || parsed == 0 || parsed > math.MaxInt64 {
			return d.Errf("%s: %q is not a size greater than zero, such as 20MiB", name, value)
		}
		*field = int64(parsed)
		return nil
	}}
}

// count is a subdirective with a whole number greater than zero.
func count(field *int) subdirective {
	return subdirective{parse: func(d *caddyfile.Dispenser) error {
		name, value, err := oneValue(d)
		if err != nil {
			return err
		}
		parsed, err := strconv.Atoi(value)
		if err != nil || parsed <= 0 {
			return d.Errf("%s: %q is not a whole number greater than zero", name, value)
		}
		*field = parsed
		return nil
	}}
}

// wrap adds the place in the Caddyfile to an error, if there is one.
func wrap(d *caddyfile.Dispenser, name string, err error) error {
	if err == nil {
		return nil
	}
	return d.Errf("%s: %w", name, err)
}

// checkBaseURL reports what makes a URL unusable as the address of the site.
func checkBaseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Errorf("%q is not of the form https://host", s)
	}
	if strings.Trim(u.Path, "/") != "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return errors.New("the address ends after the host and port")
	}
	return nil
}
