package tools

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendCalls writes calls as the model would have written them, so that in a history
// it sees the convention kept. Arguments that are JSON stand as they are, empty
// ones as {}, and what is no JSON as a JSON string. No line feed follows the last.
func AppendCalls(dst []byte, calls []Call) []byte {
	for i, call := range calls {
		if i > 0 {
			dst = append(dst, '\n')
		}
		dst = append(dst, "<tool_call>\n{\"name\": "...)
		dst = append(dst, quote(call.Name)...)
		dst = append(dst, ", \"arguments\": "...)
		dst = append(dst, argumentsOf(call)...)
		dst = append(dst, "}\n</tool_call>"...)
	}
	return dst
}

func argumentsOf(call Call) string {
	switch text := call.Arguments; {
	case strings.TrimSpace(text) == "":
		return "{}"
	case json.Valid([]byte(text)) && utf8.ValidString(text):
		return text
	default:
		return quote(text)
	}
}

// emptyResult tells the model that there is nothing, rather than that something was
// lost.
const emptyResult = "(The function returned nothing.)"

// AppendResult writes what a function returned. The text stands as it is, except
// that a backslash keeps a </tool_response> in it from ending the block:
// <\/tool_response>. A name or an id that is not known is left out. No line
// feed follows.
func AppendResult(dst []byte, name, id, text string) []byte {
	dst = append(dst, "<tool_response"...)
	dst = appendAttribute(dst, "name", name)
	dst = appendAttribute(dst, "id", id)
	dst = append(dst, ">\n"...)
	if text == "" {
		text = emptyResult
	}
	dst = append(dst, replaceTags(text, `<\`, endsResult)...)
	return append(dst, "\n</tool_response>"...)
}

// endsResult takes for an end tag also what a model could: with white space in it, or
// in capitals.
func endsResult(after string) bool {
	after, isEnd := strings.CutPrefix(strings.TrimLeftFunc(after, unicode.IsSpace), "/")
	return isEnd && hasPrefixFold(strings.TrimLeftFunc(after, unicode.IsSpace), "tool_response")
}

var attributeEscapes = strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;",
	"\n", "&#10;", "\r", "&#13;", "\t", "&#9;")

func appendAttribute(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, ' '), name...), `="`...)
	return append(append(dst, attributeEscapes.Replace(value)...), '"')
}
