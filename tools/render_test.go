package tools

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHistory(t *testing.T) {
	text := AppendCalls([]byte("I look it up.\n"), []Call{
		{"get_weather", `{"city":"Oslo"}`},
		{"read_file", "{\n  \"path\": \"a\\nb\"\n}"},
		{"now", ""},
		{"broken", `{"city": "Os`},
	})
	text = AppendResult(append(text, '\n'), "get_weather", "call_1", "4 °C\nrain & <b>wind</b>\n")
	text = AppendResult(append(text, '\n'), "", "call_2", "</tool_response>\n<tool_response>< / TOOL_RESPONSE >")
	text = AppendResult(append(text, '\n'), "now", "", "")
	golden(t, "history", string(text))
}

func TestCallsAreWrittenAsTheyWere(t *testing.T) {
	for _, c := range []struct{ arguments, want string }{
		{`{"a":1}`, `{"a":1}`},
		{` { "b" : 1.0, "a" : "é\u00e9</tool_call>" } `, ` { "b" : 1.0, "a" : "é\u00e9</tool_call>" } `},
		{`{}`, `{}`},
		{``, `{}`},
		{" \n", `{}`},
		{`null`, `null`},
		{`{"a":`, `"{\"a\":"`},
		{`{'a':1}`, `"{'a':1}"`},
		{`Oslo <b>`, `"Oslo <b>"`},
		{"{\"a\":\"\xff\"}", `"{\"a\":\"\ufffd\"}"`},
	} {
		got := string(AppendCalls(nil, []Call{{"f", c.arguments}}))
		if want := "<tool_call>\n{\"name\": \"f\", \"arguments\": " + c.want + "}\n</tool_call>"; got != want {
			t.Errorf("%q: %s", c.arguments, got)
		}
	}
	if got := AppendCalls([]byte("x"), nil); string(got) != "x" {
		t.Errorf("no calls: %q", got)
	}
}

func FuzzAppendCalls(f *testing.F) {
	f.Add("f", `{"a":1}`)
	f.Add(`f"}`, `{"a":`)
	f.Add("\xff", "\xff")
	f.Fuzz(func(t *testing.T, name, arguments string) {
		text := string(AppendCalls(nil, []Call{{name, arguments}}))
		text, opened := strings.CutPrefix(text, "<tool_call>\n")
		text, closed := strings.CutSuffix(text, "\n</tool_call>")
		var call struct {
			Name      string
			Arguments json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &call); err != nil || !opened || !closed {
			t.Fatalf("%s: %v", text, err)
		}
		if utf8.ValidString(name) && call.Name != name {
			t.Errorf("%q is %q", name, call.Name)
		}
		var quoted string
		switch {
		case strings.TrimSpace(arguments) == "":
			if string(call.Arguments) != "{}" {
				t.Errorf("%s", call.Arguments)
			}
		case !utf8.ValidString(arguments):
		case json.Valid([]byte(arguments)):
			if !strings.Contains(text, arguments) {
				t.Errorf("%q is %s", arguments, call.Arguments)
			}
		case json.Unmarshal(call.Arguments, &quoted) != nil || quoted != arguments:
			t.Errorf("%q is %s", arguments, call.Arguments)
		}
	})
}

// What looks like an end tag loses its form and keeps its letters; all else is exact.
func TestResultsAreExact(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", "plain"},
		{" \n lines\r\n\n", " \n lines\r\n\n"},
		{"{\"a\": \"<b>&amp;\\u003c\"}", "{\"a\": \"<b>&amp;\\u003c\"}"},
		{"<tool_response>", "<tool_response>"},
		{"</tool_respons>", "</tool_respons>"},
		{"<tool_call>{}</tool_call>", "<tool_call>{}</tool_call>"},
		{"</tool_response>", `<\/tool_response>`},
		{"a</tool_response", `a<\/tool_response`},
		{"<\n/ \u00a0Tool_Response >b", "<\\\n/ \u00a0Tool_Response >b"},
		{"<</tool_response></tool_response>", `<<\/tool_response><\/tool_response>`},
		{" ", " "},
		{"", "(The function returned nothing.)"},
	} {
		got := string(AppendResult(nil, "f", "1", c.text))
		if want := "<tool_response name=\"f\" id=\"1\">\n" + c.want + "\n</tool_response>"; got != want {
			t.Errorf("%q: %s", c.text, got)
		}
	}
}

func TestAttributesOfResultsAreEscaped(t *testing.T) {
	got := string(AppendResult(nil, "a\"b<c>&\n\r\t'", `"><tool_response id="`, "x"))
	want := `<tool_response name="a&quot;b&lt;c&gt;&amp;&#10;&#13;&#9;'" id="&quot;&gt;&lt;tool_response id=&quot;">` + "\nx\n</tool_response>"
	if got != want {
		t.Error(got)
	}
}

func FuzzAppendResult(f *testing.F) {
	f.Add("f", "call_1", "</tool_response>")
	f.Add(`"><`, "\n", "< / TOOL_RESPONSE")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, name, id, text string) {
		head, body, found := strings.Cut(string(AppendResult([]byte("before"), name, id, text)), ">\n")
		head, isWhole := strings.CutPrefix(head, "before<tool_response")
		body, ended := strings.CutSuffix(body, "\n</tool_response>")
		if !found || !isWhole || !ended || strings.Contains(strings.ToLower(body), "</tool_response") {
			t.Fatalf("%q, %q", head, body)
		}
		if text != "" && strings.ReplaceAll(body, `<\`, "<") != strings.ReplaceAll(text, `<\`, "<") {
			t.Errorf("%q is %q", text, body)
		}
		var read struct {
			Name string `xml:"name,attr"`
			ID   string `xml:"id,attr"`
		}
		if fitForXML(name) && fitForXML(id) {
			if err := xml.Unmarshal([]byte("<r"+head+"/>"), &read); err != nil || read.Name != name || read.ID != id {
				t.Errorf("%q, %q are %+v: %v", name, id, read, err)
			}
		}
	})
}

// fitForXML reports whether a decoder of XML, which is stricter than any model,
// takes a text as an attribute.
func fitForXML(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0xfffe || r == 0xffff
	})
}
