package tools

import (
	"strconv"
	"testing"
)

const (
	oslo     = `{"name": "get_weather", "arguments": {"city": "Oslo"}}`
	osloCall = "<tool_call>\n" + oslo + "\n</tool_call>"
	isOslo   = `get_weather({"city": "Oslo"})`
	timeCall = `<tool_call>{"name":"get_time"}</tool_call>`
	isTime   = `get_time({})`
)

func TestCalls(t *testing.T) {
	outputs{
		"nothing":                      {"", nil},
		"only white space":             {" \n ", []string{`text " \n "`}},
		"one call":                     {osloCall, []string{isOslo}},
		"white space around":           {"\n  " + osloCall + "\r\n\n", []string{isOslo}},
		"all in one line":              {"<tool_call>" + oslo + "</tool_call>", []string{isOslo}},
		"CRLF":                         {"<tool_call>\r\n" + oslo + "\r\n</tool_call>\r\n", []string{isOslo}},
		"after text":                   {"Let me look.\n\n" + osloCall, []string{`text "Let me look.\n\n"`, isOslo}},
		"right after text":             {"Let me look:" + osloCall, []string{`text "Let me look:"`, isOslo}},
		"before text":                  {osloCall + "\n\nDone.\n", []string{isOslo, `text "Done.\n"`}},
		"in Chinese text":              {"我来查一下。\n" + osloCall + "\n请稍等。", []string{`text "我来查一下。\n"`, isOslo, `text "请稍等。"`}},
		"with a Chinese name":          {`<tool_call>{"name":"查询天气","arguments":{"城市":"奥斯陆"}}</tool_call>`, []string{`查询天气({"城市":"奥斯陆"})`}},
		"two calls":                    {osloCall + "\n" + timeCall, []string{isOslo, isTime}},
		"two calls without a gap":      {osloCall + timeCall, []string{isOslo, isTime}},
		"text between calls":           {osloCall + "\nand\n" + timeCall, []string{isOslo, `text "and\n"`, isTime}},
		"no end tag at the end":        {"<tool_call>\n" + oslo + "\n", []string{isOslo}},
		"a fence of JSON5 in it":       {"<tool_call>\n```JSON5 a-z_Z c++\n" + oslo + "\n```\n</tool_call>", []string{isOslo}},
		"half an end tag at the end":   {"<tool_call>\n" + oslo + "\n</tool_", []string{isOslo}},
		"no end tag before the next":   {"<tool_call>\n" + oslo + "\n" + timeCall, []string{isOslo, isTime}},
		"two in one block":             {"<tool_call>\n" + oslo + "\n" + `{"name":"get_time","arguments":{}}` + "\n</tool_call>", []string{isOslo, isTime}},
		"brackets too many":            {"<tool_call>\n" + oslo + "}\n]</tool_call>", []string{isOslo}},
		"brackets too few":             {"<tool_call>\n" + oslo[:len(oslo)-2] + "</tool_call>.", []string{isOslo, `text "."`}},
		"a fence in the block":         {"<tool_call>\n```json\n" + oslo + "\n```\n</tool_call>", []string{isOslo}},
		"an open fence in the block":   {"<tool_call>\n~~~\n" + oslo + "\n</tool_call>", []string{isOslo}},
		"in a list":                    {"1. First:\n   - " + osloCall + "\n2. Then", []string{`text "1. First:\n   - "`, isOslo, `text "2. Then"`}},
		"in a quotation":               {"> " + osloCall, []string{`text "> "`, isOslo}},
		"indented":                     {"So:\n    " + osloCall, []string{`text "So:\n    "`, isOslo}},
		"after an angle bracket":       {"a < b <" + osloCall, []string{`text "a < b <"`, isOslo}},
		"after half a tag":             {"<tool_<tool_call" + osloCall, []string{`text "<tool_<tool_call"`, isOslo}},
		"after an empty tag":           {"<tool_call>\n" + osloCall, []string{isOslo}},
		"tag in the arguments":         {`<tool_call>{"name":"get_weather","arguments":{"city":"</tool_call><tool_call>{"}}</tool_call>`, []string{`get_weather({"city":"</tool_call><tool_call>{"})`}},
		"fence in the arguments":       {"<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"\\n```\\n```json\"}}</tool_call>ok", []string{"get_weather({\"city\":\"\\n```\\n```json\"})", `text "ok"`}},
		"brackets in strings":          {`<tool_call>{"name":"get_weather","arguments":{"city":"}}\"]{[\\"}}</tool_call>`, []string{`get_weather({"city":"}}\"]{[\\"})`}},
		"escapes stay as they are":     {`<tool_call>{"name":"get_weather","arguments": { "city" : "\u00d8\/ø😀\ud83d\ude00" , "days":1e0 } }</tool_call>`, []string{`get_weather({ "city" : "\u00d8\/ø😀\ud83d\ude00" , "days":1e0 })`}},
		"a name with escapes":          {`<tool_call>{"name":"get\u005ftime"}</tool_call>`, []string{isTime}},
		"the keys in another order":    {`<tool_call>{"arguments":{"city":"a"},"name":"get_weather"}</tool_call>`, []string{`get_weather({"city":"a"})`}},
		"parameters for arguments":     {`<tool_call>{"name":"get_weather","parameters":{"city":"a"}}</tool_call>`, []string{`get_weather({"city":"a"})`}},
		"arguments null":               {`<tool_call>{"name":"get_time","arguments":null}</tool_call>`, []string{isTime}},
		"arguments as a string":        {`<tool_call>{"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"}</tool_call>`, []string{isOslo}},
		"arguments as a loose string":  {`<tool_call>{"name":"get_weather","arguments":"{'city': 'Oslo',}"}</tool_call>`, []string{isOslo}},
		"arguments as an empty string": {`<tool_call>{"name":"get_time","arguments":" "}</tool_call>`, []string{isTime}},
		"an id beside":                 {`<tool_call>{"id":1,"name":"get_time","arguments":{}}</tool_call>`, []string{isTime}},
		"single quotes":                {"<tool_call>\n{'name': 'get_weather', 'arguments': {'city': 'Oslo', 'days': 1,}}\n</tool_call>", []string{`get_weather({"city": "Oslo", "days": 1})`}},
		"raw line feeds":               {"<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"a\nb\"}}</tool_call>", []string{`get_weather({"city":"a\nb"})`}},
		"a made-up result after it":    {osloCall + "\n<tool_response>\n20\n</tool_response>\nWarm. " + timeCall, []string{isOslo}},
		"half a result after it":       {osloCall + "\n<tool_res", []string{isOslo, `text "<tool_res"`}},
		"a result after words":         {osloCall + "So: <tool_response>20</tool_response>", []string{isOslo, `text "So: <tool_response>20</tool_response>"`}},
		"only the name is loose":       {`<tool_call>{name: "get_weather", "arguments": {"city":"\u0041"}}</tool_call>`, []string{`get_weather({"city":"\u0041"})`}},
		"an array":                     {"<tool_call>\n[\n" + oslo + ",\n" + `{"name":"get_time","arguments":{}}` + "\n]\n</tool_call>.", []string{isOslo, isTime, `text "."`}},
		"an array of one":              {"<tool_call>[" + oslo + ",]</tool_call>", []string{isOslo}},
		"an open array at the end":     {"<tool_call>[" + oslo + ",", []string{isOslo}},
		"no array of calls":            {"<tool_call>[1, 2]</tool_call>", []string{`text "<tool_call>[1, 2]</tool_call>"`}},
		"an array in an array":         {"<tool_call>[[" + oslo + "]]</tool_call>", []string{"text " + strconv.Quote("<tool_call>[["+oslo+"]]</tool_call>")}},
		"in the form of the API":       {`<tool_call>{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"}}</tool_call>`, []string{isOslo}},
		"the same with an object":      {`<tool_call>{"type":"function","function":` + oslo + `}</tool_call>`, []string{isOslo}},
		"a second end tag":             {osloCall + "</tool_call>", []string{isOslo}},
		"a start tag for an end tag":   {"<tool_call>\n" + oslo + "\n<tool_call>", []string{isOslo}},
		"the same twice":               {"<tool_call>\n" + oslo + "\n<tool_call>\n<tool_call>\n" + `{"name":"get_time"}` + "\n<tool_call>\n", []string{isOslo, isTime}},
		"a tag in text after it":       {osloCall + "ok <tool_call> </tool_call>", []string{isOslo, `text "ok <tool_call> </tool_call>"`}},
	}.check(t, Wish{})
}

func TestTextThatIsNoCall(t *testing.T) {
	table := outputs{}
	for name, text := range map[string]string{
		"words":                            "Hello, world! 你好 😀\r\n\r\n- a\n- b\n",
		"angle brackets":                   "a < b, a <b> c </b> <tool> <tool_call <tool_cal>",
		"half a tag at the end":            "Well, <tool_c",
		"only half a tag":                  "<tool",
		"a tag at the end":                 "Use <tool_call>",
		"a tag and white space":            "<tool_call>\n\n",
		"a tag and words":                  "The <tool_call> tag, or <tool_call>\nname\n</tool_call>",
		"a tag and an array":               `<tool_call>["get_time"]</tool_call>`,
		"a tag and half a function":        "<tool_call>\n<func",
		"a tag and another":                "<tool_call>\n<b>",
		"a tag and a fence of something":   "<tool_call>\n```json\nfoo\n```\n",
		"a tag and an open fence":          "<tool_call>\n```json",
		"a tag and inline code":            "<tool_call> `{` </tool_call>",
		"tags in capitals":                 `<TOOL_CALL>{"name":"get_time"}</TOOL_CALL>`,
		"a tag with attributes":            `<tool_call id="1">{"name":"get_time"}</tool_call>`,
		"tags of others":                   `<tool_use>{"name":"get_time"}</tool_use><function_call>{"name":"get_time"}</function_call>`,
		"a function without a tag":         "<function=get_time>\n</function>\n",
		"a stray end tag":                  "Done. </tool_call>",
		"a result":                         "<tool_response>\n{}\n</tool_response>",
		"inline code":                      "Write `" + osloCall + "` here.",
		"inline code of two backticks":     "Write ``a ` <tool_call>{}</tool_call>`` here.",
		"inline code over a line":          "Write `this\nand <tool_call>{\"name\":\"get_time\"}` here.",
		"inline code that looks a fence":   "```<tool_call>{}</tool_call>``` is it",
		"inline code in a line of its own": "Note:\n`" + osloCall + "`",
		"inline code and no item":          "A ` alone\n-and " + osloCall + "`",
		"inline code and a number":         "A ` alone\n1.5 " + osloCall + "`",
		"a fence":                          "So:\n```\n" + osloCall + "\n```\nthat's it.",
		"a fence with a language":          "So:\n\n```xml\n" + osloCall + "\n```\n",
		"a fence that is open":             "So:\n```\n" + osloCall + "\n\n" + timeCall,
		"a fence of tildes":                "So:\n~~~ `x`\n```\n" + osloCall + "\n~~~\n",
		"a longer fence":                   "So:\n````\n```\n" + osloCall + "\n```\n````\n",
		"a fence that is closed late":      "So:\n```\nx ```\n``` x\n``\n~~~\n" + osloCall + "\n```",
		"a fence in a list":                "1. So:\n   ```\n   " + osloCall + "\n   ```\n",
		"a fence after a bullet":           "- ```\n  " + osloCall + "\n  ```\n",
		"a fence in a quotation":           "> So:\n> ```\n> " + osloCall + "\n> ```\n",
		"a fence with CRLF":                "So:\r\n```json\r\n" + osloCall + "\r\n```\r\n",
		"a fence before words":             "```\n" + osloCall + "\n```\nThat is how to call it.",
		"a fence after words":              "Like this:\n```json\n" + oslo + "\n```",
		"a fence with words":               "```\n" + osloCall + "\nfoo\n```",
		"a fence with JSON before words":   "```json\n" + oslo + "\n```\nok",
		"JSON before words":                oslo + "\nok",
		"JSON after words":                 "So: " + oslo,
		"two JSON objects":                 oslo + "\n" + oslo,
		"JSON of another kind":             `{"name": "Anna", "arguments": {}}`,
		"JSON with a longer name":          `{"name": "get_weather2", "arguments": {}}`,
		"JSON with more keys":              `{"name": "get_time", "arguments": {}, "why": "x"}`,
		"JSON with another key":            `{"name": "get_time", "why": "x"}`,
		"JSON with a name only":            `{"name": "get_time"}`,
		"JSON with a tool's definition":    `{"name": "get_time", "parameters": {}, "description": "x"}`,
		"JSON with both":                   `{"name": "get_time", "parameters": {}, "arguments": {}}`,
		"JSON with unknown arguments":      `{"arguments": {"a":1}, "name": "x"}`,
		"JSON that is cut off":             oslo[:len(oslo)-1],
		"JSON that is broken":              `{"name": "get_time", "arguments": {oops}}`,
		"JSON that is a list":              "[" + oslo + "]",
		"JSON in a fence that is cut off":  "```json\n" + oslo[:20],
		"JSON, empty":                      "{}",
		"JSON, a bracket":                  "{",
		"JSON, bracket too many":           oslo + "}",
		"code":                             "```go\nif a < b { x := `y` }\n```\n\n`a` and ``b`c``\n",
		"a fence only":                     "```",
		"an empty fence":                   "```json\n```\n",
		"a fence of half a tag":            "```\n<tool_ca",
		"tildes":                           "~a~ ~~b~~\n~~c\n",
		"backslashes":                      "\\ \\\\ \\\n\\",
	} {
		table[name] = struct {
			text string
			want []string
		}{text, []string{"text " + quoteGo(text)}}
	}
	table.check(t, Wish{})
}

// Where code ends, calls may come again.
func TestCallsBesideCode(t *testing.T) {
	for name, before := range map[string]string{
		"inline code":                          "Use `x` and ``y`z`` ",
		"inline code with a tag":               "The `<tool_call>` tag: ",
		"open inline code before the line":     "A ` alone\n",
		"open inline code before an indent":    "A ` alone\n  ",
		"open inline code before a paragraph":  "A ` alone\n\nand ",
		"open inline code before an item":      "A ` alone\n- and ",
		"open inline code before a ninth item": "A ` alone\n9. and ",
		"tildes":                               "x\n~~a ",
		"an escaped backtick":                  "A \\` alone ",
		"an escaped backslash":                 "A \\\\`b` alone ",
		"a fence":                              "x\n```\n<tool_call>{}</tool_call>\n```\n",
		"a fence that is closed by a longer":   "```\nx\n````  \t\n",
		"a fence with a language":              "```go title=\"x\"\nx\n```\n",
		"a fence of tildes":                    "~~~~\n~~~\n```\n~~~~\nx ",
		"a fence with CRLF":                    "```\r\nx\r\n```\r\n",
		"a fence in a list":                    "- a\n  ```\n  x\n  ```\n  ",
		"a fence in a quotation":               "> ```\n> x\n> ```\n> ",
		"an open fence in a quotation":         "> ```\n> x\n",
		"an open fence in a quotation, a line": "> ```\n> x\n\n> ",
		"a fence in a quotation and more":      ">```\n>x\n>```\n\n",
		"what looks like a fence":              "```x``` ",
		"bold":                                 "**a** *b* - c\n* **d**\n***\n",
		"numbers":                              "1.5 is\n1) x\n2 y\n10. ",
		"strikethrough":                        "~~a~~\n~~~~~~a\n~~~~~~\n",
	} {
		outputs{name: {before + osloCall, []string{"text " + quoteGo(before), isOslo}}}.check(t, Wish{})
	}
}
