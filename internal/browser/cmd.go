package browser

import (
	"regexp"
	"strings"
)

// cmd takes apart a command for Windows' cmd. Its quotation marks are `"` or, in
// what newer browsers write, `^"`. Browsers escape more than cmd and curl undo, so
// what counts is what they mean.
type cmd struct {
	words
	rest  string
	quote string // the quotation mark that is open
}

// cmdWords returns the words of the single command in a text.
func cmdWords(text string) ([]string, error) {
	c := &cmd{rest: text}
	for c.rest != "" {
		step := c.outside
		if c.quote != "" {
			step = c.inside
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	if c.quote != "" {
		return nil, errUnfinished
	}
	c.end()
	return c.list, nil
}

func (c *cmd) skip(n int) { c.rest = c.rest[n:] }

// outside reads one character outside of quotation marks.
func (c *cmd) outside() error {
	switch first := c.rest[0]; {
	case strings.HasPrefix(c.rest, "^\n") && !(c.open && strings.HasPrefix(c.rest, "^\n\n")):
		c.skip(2)
	case strings.HasPrefix(c.rest, `^"`), first == '"':
		c.quote = c.rest[:strings.IndexByte(c.rest, '"')+1]
		c.skip(len(c.quote))
		c.add("")
	case first == ' ' || first == '\t':
		c.skip(1)
		c.end()
	case strings.IndexByte("\n&|<>()", first) >= 0:
		if strings.Trim(c.rest, "& \t\n") != "" {
			return errSeveral
		}
		c.rest = ""
	default:
		text, n := c.char()
		c.add(text)
		c.skip(n)
	}
	return nil
}

// inside reads one character within quotation marks.
func (c *cmd) inside() error {
	text, n := c.char()
	c.skip(n)
	switch {
	case text == `\`:
		c.backslash()
	case text == `"` && c.quote == `"` && n == 1 && strings.HasPrefix(c.rest, `"`): // Firefox, long ago
		c.add(`"`)
		c.skip(1)
	case text == `"`:
		c.quote = ""
	default:
		c.add(text)
	}
	return nil
}

// backslash reads what follows a backslash. Some versions of Firefox write one
// before `$` and "`", too.
func (c *cmd) backslash() {
	if c.rest != "" {
		if next, n := c.char(); next == `\` || next == `"` || next == "$" || next == "`" {
			c.add(next)
			c.skip(n)
			return
		}
	}
	c.add(`\`)
}

// splitName is a `%` that is kept apart from what could be the name of a variable.
var splitName = regexp.MustCompile(`^\^?%\^[0-9A-Za-z_]`)

// char returns the next character without the `^` that escapes it, and its length.
// Within plain quotation marks cmd would keep each `^`, but older browsers write
// them there, before what is not harmless, and between `%` and a name.
func (c *cmd) char() (string, int) {
	if first := c.rest[0]; c.quote == `"` && (first == '%' || first == '^') {
		if m := splitName.FindString(c.rest[:min(len(c.rest), 4)]); m != "" {
			return "%", len(m) - 1
		}
	}
	switch {
	case c.rest[0] != '^' || len(c.rest) == 1:
		return c.rest[:1], 1
	case strings.HasPrefix(c.rest, "^\n\n"):
		return "\n", 3
	case c.quote == `"` && (isAlphanumeric(c.rest[1]) || strings.IndexByte(" \t\n_-:=+~'/.,?;()*`", c.rest[1]) >= 0):
		return "^", 1
	}
	return c.rest[1:2], 2
}
