package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
)

// prose is text of at least n bytes.
func prose(n int) string {
	var b strings.Builder
	for i := 1; b.Len() < n; i++ {
		fmt.Fprintf(&b, "Point %d: if a < b, then `b` is the larger one, and nothing else follows from it. ", i)
	}
	return strings.TrimSpace(b.String())
}

// truncated ends a text after the last colon that is not inside of a string, where
// nobody can know what would follow.
func truncated(text string) string {
	end, inside := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case !inside && c == ':':
			end = i + 1
		}
	}
	if end == 0 {
		return text[:len(text)/2]
	}
	return text[:end]
}

// functionXML writes a call as the coder models do.
func functionXML(c Call) string {
	var b strings.Builder
	b.WriteString("<function=" + c.Name + ">\n")
	eachMember(json.RawMessage(c.Arguments), func(name string, value json.RawMessage) bool {
		text := string(value)
		_ = json.Unmarshal(value, &text) // only a string is written without quotes
		b.WriteString("<parameter=" + name + ">\n" + text + "\n</parameter>\n")
		return true
	})
	return b.String() + "</function>"
}

// pythonic writes JSON as Python would print it.
func pythonic(raw json.RawMessage) string {
	var list []json.RawMessage
	var text string
	var parts []string
	switch {
	case raw[0] == '{':
		eachMember(raw, func(name string, value json.RawMessage) bool {
			parts = append(parts, pythonText(name)+": "+pythonic(value))
			return true
		})
		return "{" + strings.Join(parts, ", ") + "}"
	case raw[0] == '[' && json.Unmarshal(raw, &list) == nil:
		for _, value := range list {
			parts = append(parts, pythonic(value))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case raw[0] == '"' && json.Unmarshal(raw, &text) == nil:
		return pythonText(text)
	}
	return strings.NewReplacer("true", "True", "false", "False", "null", "None").Replace(string(raw))
}

// pythonText writes a string as Python would: in single quotes, unless that would
// need escapes and double quotes would not.
func pythonText(text string) string {
	escapes := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		return `"` + escapes.Replace(text) + `"`
	}
	return "'" + strings.ReplaceAll(escapes.Replace(text), "'", `\'`) + "'"
}
