package structured

import "strings"

// output is what a model wrote, and what the client must get.
type output struct {
	name string
	text string
	want string // the JSON, byte for byte; empty: nothing
	kind string // of the problem; empty: none
}

// Answers where any JSON object was asked for.
var objects = []output{
	{name: "nothing but the object", text: `{"a":1}`, want: `{"a":1}`},
	{name: "an object over lines", text: "{\n  \"a\": 1,\n  \"b\": [true, null]\n}", want: "{\n  \"a\": 1,\n  \"b\": [true, null]\n}"},
	{name: "white space around", text: "\n\n  {\"a\":1}\n \t\r\n", want: `{"a":1}`},
	{name: "a byte order mark", text: "\ufeff{\"a\":1}", want: `{"a":1}`},
	{name: "a fence", text: "```json\n{\"a\":1}\n```", want: `{"a":1}`},
	{name: "a fence without a language", text: "```\n{\"a\":1}\n```\n", want: `{"a":1}`},
	{name: "a fence in capitals", text: "```JSON\r\n{\"a\":1}\r\n```", want: `{"a":1}`},
	{name: "a fence in one line", text: "```json {\"a\":1} ```", want: `{"a":1}`},
	{name: "a fence without any space", text: "```{\"a\":1}```", want: `{"a":1}`},
	{name: "a fence of four", text: "````json\n{\"a\":\"```\"}\n````", want: "{\"a\":\"```\"}"},
	{name: "a fence in the text", text: "{\"a\":\"```json\\n{}\\n```\"}", want: "{\"a\":\"```json\\n{}\\n```\"}"},
	{name: "a fence that is not closed", text: "```json\n{\"a\":1}", want: `{"a":1}`},
	{name: "a fence in the middle of a line", text: "Here: ```json\n{\"a\":1}\n```", want: `{"a":1}`},
	{name: "inline code", text: "`{\"a\":1}`", want: `{"a":1}`},
	{name: "words before it", text: "Sure! Here is the JSON you asked for:\n\n{\"a\":1}", want: `{"a":1}`},
	{name: "words after it", text: "{\"a\":1}\n\nLet me know if you need anything else.", want: `{"a":1}`},
	{name: "words around a fence", text: "Sure:\n```json\n{\"a\":1}\n```\nI hope this helps {really}!", want: `{"a":1}`},
	{name: "words in the same line", text: `The result is {"a":1}.`, want: `{"a":1}`},
	{name: "Chinese around it", text: "好的，这是您要的 JSON：\n```json\n{\"城市\":\"北京\"}\n```\n希望对您有帮助！", want: `{"城市":"北京"}`},
	{name: "Chinese without white space", text: "结果如下：{\"城市\":\"北京\"}。请查收。", want: `{"城市":"北京"}`},
	{name: "German around it", text: "Natürlich! Hier ist das gewünschte Objekt:\n{\"größe\": 1.5}\nViel Spaß damit.", want: `{"größe": 1.5}`},
	{name: "French around it", text: "Voici l’objet demandé : {\"prénom\":\"Zoé\"} — bonne journée", want: `{"prénom":"Zoé"}`},
	{name: "Russian around it", text: "Вот ответ:\n{\"имя\":\"Анна\"}", want: `{"имя":"Анна"}`},
	{name: "Japanese around it", text: "以下がJSONです。\n{\"名前\":\"太郎\"}\n以上です。", want: `{"名前":"太郎"}`},
	{name: "Arabic around it", text: "إليك النتيجة: {\"الاسم\":\"علي\"}", want: `{"الاسم":"علي"}`},
	{name: "an emoji before it", text: "✅ {\"a\":\"🎉\"}", want: `{"a":"🎉"}`},
	{name: "braces in the words", text: "I replaced {name} and {{value}} in the template:\n{\"a\":1}", want: `{"a":1}`},
	{name: "formulas", text: "With $\\frac{1}{2}$ and \\{x, y\\}: {\"a\":0.5}", want: `{"a":0.5}`},
	{name: "code in the words", text: "func main() { fmt.Println(1) }\n{\"a\":1}", want: `{"a":1}`},
	{name: "a pair of braces in the words", text: "An empty object is {} and yours is {\"a\":1}", want: `{"a":1}`},
	{name: "references", text: "According to [1] and [2, 3]:\n{\"a\":\"[1]\"}\n[1] https://example.com", want: `{"a":"[1]"}`},
	{name: "an example in inline code", text: "As in `{\"x\": {\"y\": 1}}`, here it is: {\"a\":1}", want: `{"a":1}`},
	{name: "code in another language", text: "```python\nd = {\"x\": 1}\n```\nwhich prints\n```json\n{\"a\":1}\n```", want: `{"a":1}`},
	{name: "a brace and a string without a colon", text: "The set {\"x\", \"y\"} becomes {\"a\":1}", want: `{"a":1}`},
	{name: "thoughts", text: "<think>The user wants {\"x\":1}, I guess.</think>\n{\"a\":1}", want: `{"a":1}`},
	{name: "thoughts in other words", text: "\n<thinking>\nmaybe {\"x\":1} < {\"y\":2}? <</thinking>\n\n```json\n{\"a\":1}\n```", want: `{"a":1}`},
	{name: "something like thoughts", text: "<thanks>{\"a\":1}", want: `{"a":1}`},
	{name: "less-than signs", text: "<<{\"a\":1}>>", want: `{"a":1}`},
	{name: "a tag", text: "<json>{\"a\":1}</json>", want: `{"a":1}`},
	{name: "a backtick that is not closed", text: "The ` sign, then\n{\"a\":1}", want: `{"a":1}`},
	{name: "a longer fence in another language", text: "````python\n{\"x\":1}\n```\n````\n{\"a\":1}", want: `{"a":1}`},
	{name: "strings and a slash", text: `{"x" / "y"} is {"a":1}`, want: `{"a":1}`},
	{name: "several objects", text: "{\"a\":1}\n{\"b\":2}", want: `{"a":1}`},
	{name: "several objects and words", text: "First: {\"a\":1}, second: {\"b\":2}", want: `{"a":1}`},
	{name: "a list of one", text: `[{"a":1}]`, want: `{"a":1}`},
	{name: "a list of several", text: "[{\"a\":1} ,{\"b\":2}]", want: `{"a":1}`, kind: "violation"},
	{name: "an empty object", text: " {} ", want: `{}`},
	{name: "an empty object in a fence", text: "```json\n{ }\n```", want: `{ }`},
	{name: "an empty object and words", text: "Nothing was found:\n\n{}\n\nSorry.", want: `{}`},
	{name: "braces in the strings", text: `{"a":"}{","b":"\"}"}`, want: `{"a":"}{","b":"\"}"}`},
	{name: "a quote in the words", text: `He said "{" and then {"a":1}`, want: `{"a":1}`},
	{name: "quotes in the words", text: `From "{" to "}", and "{"x" too: {"a":1}`, want: `{"a":1}`},
	{name: "braces over braces", text: strings.Repeat(`{"`, 300) + ` {"a":1}`, want: `{"a":1}`},
	{name: "an object in something else", text: `{see: note {"a":1}}`, want: `{"a":1}`},
	{name: "escapes", text: `{"a\"b":"\u4e2d\\"}`, want: `{"a\"b":"\u4e2d\\"}`},
	{name: "objects in it", text: `{"a":{"b":{"c":[{}]}}} ok`, want: `{"a":{"b":{"c":[{}]}}}`},

	{name: "a comma too many", text: "{\"a\":1,}", want: `{"a":1}`},
	{name: "commas too many", text: "Here: {\"a\":[1,2,],\n}\nDone", want: "{\"a\":[1,2]\n}"},
	{name: "a line feed in a string", text: "{\"a\":\"x\ny\"}", want: `{"a":"x\ny"}`},
	{name: "a tab in a string, late", text: "{\"a\":\"x\",\"b\":\"\ty\",\"c\":1}", want: `{"a":"x","b":"\ty","c":1}`},
	{name: "single quotes", text: `{'a': 'it\'s'}`, want: `{"a": "it's"}`},
	{name: "single quotes after words", text: `Use {this}: {'a': 1}`, want: `{"a": 1}`},
	{name: "keys without quotes", text: `{a: 1, b: {c: "x"}}`, want: `{"a": 1, "b": {"c": "x"}}`},
	{name: "words of Python", text: `{"a": True, "b": None}`, want: `{"a": true, "b": null}`},
	{name: "typographic quotes", text: `{“a”: “x”}`, want: `{"a": "x"}`},
	{name: "comments", text: "{\n// the first\n\"a\": 1 /* one */\n}", want: "{\n\n\"a\": 1 \n}"},
	{name: "a comment later", text: "{\"a\": 1, // one\n\"b\": 2}", want: "{\"a\": 1, \n\"b\": 2}"},
	{name: "an escape that there is not", text: `{"re":"\d+"}`, want: `{"re":"\\d+"}`},
	{name: "quotes that are not escaped", text: `{"html":"<a href="x">y</a>"}`, want: `{"html":"<a href=\"x\">y</a>"}`},
	{name: "the last bracket is missing in a fence", text: "```json\n{\"a\":[1,2]\n```", want: "{\"a\":[1,2]\n}"},
	{name: "two brackets are missing in a fence", text: "```json\n{\"a\":[{\"b\":1}\n```\nThat's it.", want: "{\"a\":[{\"b\":1}\n]}"},

	{name: "cut off in a string", text: `{"a":"xy`, want: `{"a":"xy`, kind: "incomplete"},
	{name: "cut off after a value", text: `{"a":1`, want: `{"a":1`, kind: "incomplete"},
	{name: "cut off after a comma", text: `Here: {"a":1,`, want: `{"a":1`, kind: "incomplete"},
	{name: "cut off in the first key", text: `{"a`, kind: "incomplete"},
	{name: "cut off at once", text: "```json\n{", kind: "incomplete"},
	{name: "cut off, written loosely", text: `{'a': [1, 2`, kind: "incomplete"},
	{name: "two colons", text: `{"a":1,"b"::2}`, want: `{"a":1,"b":`, kind: "malformed"},
	{name: "a word as value", text: `{"a":yes}`, want: `{"a":`, kind: "malformed"},
	{name: "an end in a fence that may mean anything", text: "```json\n{\"a\":1,\"b\":\n```", want: `{"a":1,"b":` + "\n", kind: "malformed"},
	{name: "an end as of a fence where there is none", text: "{\"a\":1\n```", want: "{\"a\":1\n", kind: "malformed"},
	{name: "a single backtick where the end must be", text: "```json\n{\"a\":1 `x`}\n```", want: `{"a":1 `, kind: "malformed"},
	{name: "the wrong bracket", text: `{"a":[1}`, want: `{"a":[1`, kind: "malformed"},
	{name: "dots", text: `{"a":1, ...}`, want: `{"a":1, `, kind: "malformed"},
	{name: "nothing", text: "", kind: "no_json"},
	{name: "only white space", text: " \n", kind: "no_json"},
	{name: "a refusal", text: "I'm sorry, but I can't help with that.", kind: "no_json"},
	{name: "a refusal in Chinese", text: "抱歉，我无法提供这个信息。", kind: "no_json"},
	{name: "a refusal that speaks of braces", text: "I cannot answer with {} or {name} [1].", kind: "no_json"},
	{name: "an empty fence", text: "```json\n```", kind: "no_json"},
	{name: "a list where an object is due", text: `[1, 2, 3]`, kind: "no_json"},
	{name: "a string where an object is due", text: `"a"`, kind: "no_json"},
	{name: "only thoughts", text: "<think>{\"a\":1}", kind: "no_json"},
	{name: "only code in another language", text: "```go\nm := map[string]int{\"a\": 1}\n```", kind: "no_json"},
	{name: "YAML", text: "a: 1\nb:\n  - 2\n", kind: "no_json"},
}

const stepsSchema = `{"type":"object","properties":{"steps":{"type":"array","items":{"$ref":"#/$defs/step"}},"answer":{"type":["string","null"]}},
	"required":["steps","answer"],"additionalProperties":false,"$defs":{"step":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false}}}`

// Answers where an object of a schema that lists all keys was asked for.
var steps = []output{
	{name: "as demanded", text: `{"steps":[{"text":"x"}],"answer":"7"}`, want: `{"steps":[{"text":"x"}],"answer":"7"}`},
	{name: "in a fence, with words", text: "Let's see.\n```json\n{\"steps\":[],\"answer\":null}\n```\nDone.", want: `{"steps":[],"answer":null}`},
	{name: "the schema first", text: "The schema is {\"type\":\"object\",\"properties\":{\"steps\":{\"type\":\"array\"}}}, so:\n{\"steps\":[],\"answer\":\"a\"}", want: `{"steps":[],"answer":"a"}`},
	{name: "an example first", text: "For {\"x\": 2} it is {\"answer\":\"a\",\"steps\":[]}", want: `{"answer":"a","steps":[]}`},
	{name: "loosely", text: "{'steps': [], 'answer': None,}", want: `{"steps": [], "answer": null}`},
	{name: "an escaped key", text: `{"\u0073teps":[],"answer":null}`, want: `{"\u0073teps":[],"answer":null}`},
	{name: "something is missing", text: `{"steps":[]}`, want: `{"steps":[]}`, kind: "violation"},
	{name: "something is wrong", text: `{"steps":[{"text":1}],"answer":null}`, want: `{"steps":[{"text":1}],"answer":null}`, kind: "violation"},
	{name: "something more", text: `{"steps":[],"answer":null,"note":"x"}`, want: `{"steps":[],"answer":null,"note":"x"}`, kind: "violation"},
	{name: "an empty object", text: `{}`, want: `{}`, kind: "violation"},
	{name: "in an object of its own", text: `{"result":{"steps":[],"answer":null}}`, kind: "violation"},
	{name: "another object, cut off", text: `{"result":{"steps":[`, kind: "violation"},
	{name: "another object, broken", text: `{"result":{"steps":oh}} and {"steps":[],"answer":null}`, want: `{"steps":[],"answer":null}`},
	{name: "another object with a backtick", text: "{\"`x\":oh} {\"steps\":[],\"answer\":null}", want: `{"steps":[],"answer":null}`},
	{name: "a refusal", text: "No.", kind: "no_json"},
}

// Answers where a list of numbers was asked for.
var numbers = []output{
	{name: "a list", text: `[1,2,3]`, want: `[1,2,3]`},
	{name: "a list in a fence", text: "```json\n[\n 1,\n 2\n]\n```", want: "[\n 1,\n 2\n]"},
	{name: "a list in a line of its own", text: "As [1] says:\n [4, 5, 6] \nSee [2].\n\n[1] https://example.com\n[2] ibid.", want: `[4, 5, 6]`},
	{name: "the longest", text: "[7]\n[8,9]\n[1]\n", want: `[8,9]`},
	{name: "an empty list", text: "[]", want: `[]`},
	{name: "a comma too many", text: "[1,2,]", want: `[1,2]`},
	{name: "lists of lists", text: "[[1]]", want: `[[1]]`, kind: "violation"},
	{name: "words", text: `Sure: ["a", "b"] and so on`, want: `["a", "b"]`, kind: "violation"},
	{name: "a list in the line of its fence", text: "```json [1,2] ```", want: `[1,2]`},
	{name: "strings and a slash", text: "[\"x\" / \"y\"]\n[1]", want: `[1]`},
	{name: "references at the end of lines", text: "It is so [1]\nand so [2, 3]\n", kind: "no_json"},
	{name: "boxes", text: "- [ ] one\n- [x] two", kind: "no_json"},
	{name: "references only", text: "It is so [1], and [2, 3] agree.", kind: "no_json"},
	{name: "cut off", text: "[1, 2", kind: "no_json"},
	{name: "an object", text: `{"a":1}`, kind: "no_json"},
}

// Answers where a list of objects was asked for.
var people = []output{
	{name: "a list", text: `[{"name":"Ann"},{"name":"Bo"}]`, want: `[{"name":"Ann"},{"name":"Bo"}]`},
	{name: "words and a list", text: "The people [1]:\n[\n{\"name\":\"Ann\"}]\n[1] x", want: "[\n{\"name\":\"Ann\"}]"},
	{name: "a list within a line", text: `They are [{"name":"Ann"}].`, want: `[{"name":"Ann"}]`},
	{name: "loosely", text: `[{'name':'Ann'},]`, want: `[{"name":"Ann"}]`},
	{name: "an empty list", text: "Nobody:\n[]", want: `[]`},
	{name: "a wrong item", text: `[{"name":1}]`, want: `[{"name":1}]`, kind: "violation"},
	{name: "an empty item", text: `[{}]`, want: `[{}]`, kind: "violation"},
	{name: "cut off", text: `[{"name":"A`, want: `[{"name":"A`, kind: "incomplete"},
}

// Answers where an object or a list was asked for.
var either = []output{
	{name: "an object", text: `{"a":1}`, want: `{"a":1}`},
	{name: "a list", text: `[1, 2]`, want: `[1, 2]`},
	{name: "a list of objects", text: `[{"a":1}, {"b":2}]`, want: `[{"a":1}, {"b":2}]`},
	{name: "a reference and an object", text: `See [1]{"a":1}, please`, want: `{"a":1}`},
	{name: "a line of its own and an object", text: "[1]\n{\"a\":1}", want: `{"a":1}`},
}
