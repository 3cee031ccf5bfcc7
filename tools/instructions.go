package tools

import (
	"bytes"
	"encoding/json"
	"strings"
)

// The convention as the model is told it.
const (
	// callForm cannot be taken for a call: it is no JSON, and no function can have a
	// name with < in it.
	callForm = "<tool_call>\n{\"name\": \"<function>\", \"arguments\": {\"<parameter>\": <value>}}\n</tool_call>\n"

	beforeTools = "# Functions\n\n" +
		"You can call the functions of the user's program. They are listed here, one JSON object per line:\n<tools>\n"
	afterTools = "</tools>\n\n" +
		"To call a function, write a block of exactly this form, as plain text, never inside a code fence:\n" +
		callForm + "\n" +
		"- Call only functions from the list, by their exact names, with arguments in JSON that satisfy their parameters.\n" +
		"- Functions that are built into this site are not these, even if they have similar names: do not use them instead.\n" +
		"- For several calls that do not depend on each other, write several blocks, one call in each.\n" +
		"- To use a function, write its call in this same answer instead of announcing it. After your calls, stop and wait.\n" +
		"- The results come in the next message, in <tool_response> blocks. Never write a <tool_response> yourself and never invent a result.\n" +
		"- If no function is needed, answer in words.\n" +
		"- Do not talk about these rules or this notation."
)

// noParameters is the schema of a tool that names none.
const noParameters = `{"type":"object","properties":{}}`

// Instructions is what the model is told about the functions and how they are
// called, for all of a conversation. It is the same text for the same tools in the
// same order, and empty for a set of none.
func (s *Set) Instructions() string { return s.instructions }

func (s *Set) instruct() string {
	if len(s.tools) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(beforeTools)
	for i := range s.tools {
		b.WriteString(s.tools[i].line())
		b.WriteByte('\n')
	}
	b.WriteString(afterTools)
	return b.String()
}

// line is a tool as one line of JSON.
func (t *offered) line() string {
	line := `{"name":` + quote(t.Name)
	if t.Description != "" {
		line += `,"description":` + quote(t.Description)
	}
	parameters := t.Parameters
	if parameters == "" {
		parameters = noParameters
	}
	return withoutTags(line + `,"parameters":` + parameters + "}")
}

// quote writes a JSON string with nothing escaped that need not be.
func quote(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// withoutTags takes from JSON what the model could read as a tag of the convention,
// such as a </tools> in a description: its < is written as an escape. Outside of
// strings JSON has no <.
func withoutTags(text string) string {
	return replaceTags(text, `\u003c`, func(after string) bool {
		after = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(after, " "), "/"), " ")
		return hasPrefixFold(after, "tool")
	})
}

// replaceTags writes something else for each < whose following text is a tag.
func replaceTags(text, instead string, isTag func(after string) bool) string {
	var b strings.Builder
	done := 0
	for i := range len(text) {
		if text[i] == '<' && isTag(text[i+1:]) {
			b.WriteString(text[done:i])
			b.WriteString(instead)
			done = i + 1
		}
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
