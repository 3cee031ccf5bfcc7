package loosejson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// What is meant beyond doubt.
func TestRepair(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"line feed in a string", "{\"a\":\"x\ny\"}", `{"a":"x\ny"}`},
		{"CRLF and tab in a string", "{\"a\":\"x\r\n\ty\"}", `{"a":"x\r\n\ty"}`},
		{"other control characters", "{\"a\":\"\x00\x1f\"}", `{"a":"\u0000\u001f"}`},
		{"trailing comma in an object", `{"a":1,}`, `{"a":1}`},
		{"trailing comma in an array", "[1, 2 ,\n]", "[1, 2 \n]"},
		{"single quotes", `{'a': 'x "y" z'}`, `{"a": "x \"y\" z"}`},
		{"escaped quotes in single quotes", `{'a': 'it\'s \"so\"'}`, `{"a": "it's \"so\""}`},
		{"apostrophe in single quotes", `{'a': 'it's l'été', 'b': 1}`, `{"a": "it's l'été", "b": 1}`},
		{"typographic quotes", `{“a”: “x "y" ’z”, ‘b’: ‘it’s’}`, `{"a": "x \"y\" ’z", "b": "it’s"}`},
		{"typographic quotes in typographic quotes", `[“say “hi” — ok…”]`, `["say “hi” — ok…"]`},
		{"keys without quotes", `{a: 1, $b_2-c : [2]}`, `{"a": 1, "$b_2-c" : [2]}`},
		{"Python's words", `{"a":True,"b":False,"c":[None]}`, `{"a":true,"b":false,"c":[null]}`},
		{"line comment", "{\"a\":1, // one\n\"b\":\"x\" // two\n}", "{\"a\":1, \n\"b\":\"x\" \n}"},
		{"comment right after a word", "{\"a\":\"x\"// two\n}", "{\"a\":\"x\"\n}"},
		{"block comment", `{/* * / **/"a":/**/1/*,*/,"b":2}`, `{"a":1,"b":2}`},
		{"comment after a trailing comma", "[1, // last\n]", "[1 \n]"},
		{"no comment in a string", "{'u':'http://x/*y*/'}", `{"u":"http://x/*y*/"}`},
		{"escaped apostrophe", `{"a":"it\'s"}`, `{"a":"it's"}`},
		{"escapes of regular expressions", `{"re":"^\d+\.\w\(é\)$"}`, `{"re":"^\\d+\\.\\w\\(é\\)$"}`},
		{"paths of Windows", `{"p":"C:\users\work"}`, `{"p":"C:\\users\\work"}`},
		{"valid escapes stay", `{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00",}`, `{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`},
		{"attribute", `{"html":"<a href="x" id="y-1">t</a>"}`, `{"html":"<a href=\"x\" id=\"y-1\">t</a>"}`},
		{"attribute with a path", `{"html":"<a href="/x">t</a>"}`, `{"html":"<a href=\"/x\">t</a>"}`},
		{"quoted word", `{"a":"He said "hi" to us","b":1}`, `{"a":"He said \"hi\" to us","b":1}`},
		{"quoted word in Chinese", `{"a":"他说"你好"。","b":1}`, `{"a":"他说\"你好\"。","b":1}`},
		{"quoted words at both ends", `{"a":""hi" and "ho""}`, `{"a":"\"hi\" and \"ho\""}`},
		{"quoted word in single quotes", `{'a':'rock 'n' roll'}`, `{"a":"rock 'n' roll"}`},
		{"call of a function", `{"code":"print("hello")"}`, `{"code":"print(\"hello\")"}`},
		{"fence", "```json\n{\"a\":1}\n```", `{"a":1}`},
		{"fence without a language", " ```\r\n{'a':1}\r\n``` ", `{"a":1}`},
		{"white space around", " {a:1}\n", ` {"a":1}`},
		{"escapes that are none, of other letters", `{"a":"\é\ ","b":'\—'}`, `{"a":"\\é\\ ","b":"\\—"}`},
		{"what looks like a typographic quote", "[“\xe2\x84\xa2 — \xe2\x80\xa6”]", "[\"\xe2\x84\xa2 — \xe2\x80\xa6\"]"},
		{"numbers stay as they are", `{"c":[1E5,2.5E-3,0,0e0],"a":-0.10e+5,"b":12345678901234567890123,}`, `{"c":[1E5,2.5E-3,0,0e0],"a":-0.10e+5,"b":12345678901234567890123}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Repair([]byte(tt.in))
			if !ok || string(got) != tt.want {
				t.Errorf("%s: got %s, %t, want %s", tt.in, got, ok, tt.want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is not valid", got)
			}
		})
	}
}

// What may mean more than one thing, or nothing.
var doubtful = map[string]string{
	"nothing":                               "",
	"words":                                 "hello",
	"cut off in a string":                   `{"a":"x`,
	"cut off after an escape":               `{"a":"x\`,
	"cut off after a value":                 `{"a":1`,
	"cut off in a word":                     `{"a":tru}`,
	"cut off in a number":                   `{"a":-}`,
	"cut off in an exponent":                `{"a":1e}`,
	"no value":                              `{"a":}`,
	"no value and no colon":                 `{"a"}`,
	"two values":                            `{"a":1}{"b":2}`,
	"lines of values":                       "{\"a\":1}\n{\"b\":2}",
	"words after it":                        `{"a":1} done`,
	"words before it":                       `Sure: {"a":1}`,
	"wrong bracket":                         `{"a":[1}`,
	"bracket too many":                      `{"a":1}}`,
	"comma too many":                        `[1,,2]`,
	"comma first":                           `[,1]`,
	"only a comma":                          `{,}`,
	"no comma":                              `{"a":1 "b":2}`,
	"no comma between strings":              "{\"a\":\"x\"\n\"b\":\"y\"}",
	"no comma between close strings":        `["a""b"]`,
	"no comma after a mark":                 `["a!""b"]`,
	"word without quotes":                   `{"a":Oslo}`,
	"word with a known start":               `{"a":nullable}`,
	"true and more":                         `{"a":true1}`,
	"leading zero":                          `{"a":012}`,
	"hexadecimal":                           `{"a":0x1F}`,
	"no digit before the point":             `{"a":.5}`,
	"no digit after the point":              `{"a":5.}`,
	"plus":                                  `{"a":+5}`,
	"not a number":                          `{"a":NaN}`,
	"sum":                                   `{"a":1+2}`,
	"strings joined by plus":                `{"a":"x" + "y"}`,
	"strings joined by close plus":          `{"a":"x"+"y"}`,
	"strings joined by a word":              `{"a":"x" or "y"}`,
	"odd quote":                             `{"a":"a 5" screen"}`,
	"odd quote and a comma":                 `["say "a","b" please"]`,
	"quoted words and a comma":              `{"a":"f("x", "y")"}`,
	"JSON in a string":                      `{"a":"{"b":"c"}"}`,
	"quoted words and a comma at the start": `{"a":""Hi", he said."}`,
	"quotes of nothing":                     `{"a":"x="" y"}`,
	"three quotes":                          `{"a":"""x"""}`,
	"quote in a key":                        `{"a "b" c":1}`,
	"missing end of a string":               `{"a":"x, "b":"y"}`,
	"missing end of a string in an array":   `["x, "b"]`,
	"plural possessive":                     `['the dogs' bowl']`,
	"backslash before a line feed":          "{\"a\":\"x\\\ny\"}",
	"hexadecimal escape":                    `{"a":"\x41"}`,
	"half an escape":                        `{"a":"\u00e"}`,
	"half an escape and more":               `{"a":"\u00zz"}`,
	"unknown quotes":                        `{«a»:1}`,
	"escaped typographic quote":             `[“x\” y”]`,
	"other signs for quotes":                "[\xe2\x84\xa2x\xe2\x84\xa2]",
	"exponent twice":                        `[1e5e5]`,
	"sign twice":                            `[1e+-5]`,
	"half a typographic quote":              "{\xe2\x80",
	"backticks":                             "{\"a\":`x`}",
	"mixed quotes":                          `{“a":"b"}`,
	"comment in front":                      `// x` + "\n{}",
	"half a comment":                        `{"a":1 / 2}`,
	"open comment":                          `{"a":1 /* }`,
	"comment over the end":                  `{"a":1 // }`,
	"tuple":                                 `{"a":(1,2)}`,
	"half a fence":                          "```json\n{'a':1}",
	"words in the fence's line":             "```{\n'a':1}\n```",
	"call":                                  `f({'a':1})`,
	"ellipsis":                              `[1, ...]`,
	"key that is a number":                  `{1:2}`,
}

func TestRepairRefusesDoubt(t *testing.T) {
	for name, text := range doubtful {
		if got, ok := Repair([]byte(text)); ok {
			t.Errorf("%s: %s became %s", name, text, got)
		}
	}
}

func TestRepairUnclosed(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"a":{"b":[1,{"c":"x"`, `{"a":{"b":[1,{"c":"x"}]}}`},
		{"{'a':[True\n", "{\"a\":[true\n]}"},
		{`{"a":12`, `{"a":12}`},
		{`{"a":"say "hi" x" `, `{"a":"say \"hi\" x" }`},
		{`{"a":{}`, `{"a":{}}`},
		{`{"a":1}`, `{"a":1}`},
		{`{a:1}`, `{"a":1}`},
		{`{"a":"x`, ""},
		{`{"a"`, ""},
		{`{"a`, ""},
		{`{"a":`, ""},
		{`{"a":1,`, ""},
		{`{`, ""},
		{`[`, ""},
		{`{"a":tru`, ""},
		{`{"a":-`, ""},
		{`{"a":1.`, ""},
		{`{"a":"say "hi"`, ""},
		{`{"a":1 /* x`, ""},
		{`{"a":[1}`, ""},
		{``, ""},
	} {
		got, ok := RepairUnclosed([]byte(tt.in))
		if ok != (tt.want != "") || string(got) != tt.want {
			t.Errorf("%s: got %s, %t, want %s", tt.in, got, ok, tt.want)
		}
	}
}

func TestRepairLeavesValidJSON(t *testing.T) {
	for _, text := range []string{
		` {"a" : [ 1.50 , "\u0041\/" , "\ud800" , {} ] , "a":2 }` + "\n", `"x"`, `null`, ` -1e5 `, `[]`,
		`{"a":"</tool_call> ` + "```" + ` // ' “ "}`, strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
	} {
		if got, ok := Repair([]byte(text)); !ok || string(got) != text {
			t.Errorf("%.60s became %.60s, %t", text, got, ok)
		}
	}
}

func TestRepairIsBoundedInDepth(t *testing.T) {
	deep := func(n int) []byte {
		return []byte(strings.Repeat("[", n) + "'x'" + strings.Repeat("]", n))
	}
	if got, ok := Repair(deep(maxDepth)); !ok || !json.Valid(got) {
		t.Errorf("%d levels: %t", maxDepth, ok)
	}
	if _, ok := Repair(deep(maxDepth + 1)); ok {
		t.Errorf("%d levels are repaired", maxDepth+1)
	}
}

// What takes other repairs a time that grows with the square: twice the text may
// not take many times the steps.
func BenchmarkRepairHostile(b *testing.B) {
	for name, unit := range map[string]string{
		"open brackets": "[", "quotes": `{"a":"x" y "`, "quoted words": ` "x" y`, "commas": "1,  ", "comments": "/**/", "escapes": `\q`,
	} {
		text := []byte(`{'a':"` + strings.Repeat(unit, 1<<20/len(unit)))
		if name != "quoted words" && name != "escapes" {
			text = append([]byte("['',"), bytes.Repeat([]byte(unit), 1<<20/len(unit))...)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				RepairUnclosed(text)
			}
		})
	}
}
