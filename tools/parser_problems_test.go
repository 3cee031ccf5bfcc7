package tools

import (
	"strings"
	"testing"
)

func TestBrokenCalls(t *testing.T) {
	outputs{
		"no JSON":                          {"<tool_call>\n{oops}\n</tool_call> and on", []string{`broken malformed ""`, `text "and on"`}},
		"no value":                         {`<tool_call>{"name": }</tool_call>`, []string{`broken malformed ""`}},
		"no comma":                         {`<tool_call>{"name":"get_time" "arguments":{}}</tool_call>`, []string{`broken malformed "get_time"`}},
		"quotes that are not escaped":      {`<tool_call>{"name":"get_weather","arguments":{"city":"a 5" b"}}</tool_call>`, []string{`broken malformed "get_weather"`}},
		"brackets that are missing inside": {`<tool_call>{"name":"get_weather","arguments":{"city":["a"}}</tool_call>`, []string{`broken malformed "get_weather"`}},
		"cut before the tag":               {`<tool_call>{"name":"get_time","arguments":{"a":</tool_call>x`, []string{`broken malformed "get_time"`, `text "x"`}},
		"no name":                          {`<tool_call>{"arguments":{}}</tool_call>`, []string{`broken malformed ""`}},
		"a name that is a number":          {`<tool_call>{"name":1}</tool_call>`, []string{`broken malformed ""`}},
		"a key twice":                      {`<tool_call>{"name":"get_time","name":"get_time"}</tool_call>`, []string{`broken malformed "get_time"`}},
		"empty object":                     {`<tool_call>{}</tool_call>`, []string{`broken malformed ""`}},
		"another end tag":                  {`<tool_call>{"name":"get_time"}</tool> x </tool_call>`, []string{`broken malformed "get_time"`}},
		"words for an end tag":             {`<tool_call>{"name":"get_time"} is it`, []string{`broken malformed "get_time"`}},
		"half a fence in it":               {"<tool_call>\n```\n{\"name\":\"get_time\"}``</tool_call>", []string{`broken malformed "get_time"`}},
		"a fence in it that was not open":  {"<tool_call>{\"name\":\"get_time\"}\n```\n</tool_call>", []string{`broken malformed "get_time"`}},
		"and a good one":                   {"<tool_call>{oops</tool_call>\n" + osloCall, []string{`broken malformed ""`, isOslo}},
		"no end tag and a good one":        {"<tool_call>{oops <b> <tool_call>\n" + osloCall, []string{`broken malformed ""`, isOslo}},
		"half an end tag":                  {"<tool_call>{oops</tool_", []string{`broken incomplete ""`}},

		"cut off":                  {`So: <tool_call>{"name":"get_weather","arguments":{"city":"Os`, []string{`text "So: "`, `broken incomplete "get_weather"`}},
		"cut off before the name":  {`<tool_call>{`, []string{`broken incomplete ""`}},
		"cut off in the name":      {`<tool_call>{"name":"get_we`, []string{`broken incomplete ""`}},
		"cut off in brackets":      {"<tool_call>" + oslo[:len(oslo)-1], []string{`broken incomplete "get_weather"`}},
		"cut off in a tag":         {"<tool_call>" + oslo[:len(oslo)-1] + "</tool_", []string{`broken incomplete "get_weather"`}},
		"cut off after a good one": {osloCall + "<tool_call>{\"name\":", []string{isOslo, `broken incomplete ""`}},

		"unknown":                {`<tool_call>{"name":"rm","arguments":{}}</tool_call>x`, []string{`broken unknown_tool "rm"`, `text "x"`}},
		"unknown but for case":   {`<tool_call>{"name":"Get_Time"}</tool_call>`, []string{`broken unknown_tool "Get_Time"`}},
		"unknown and a good one": {`<tool_call>{"name":"rm"}</tool_call>` + osloCall, []string{`broken unknown_tool "rm"`, isOslo}},

		"arguments that are a list":         {`<tool_call>{"name":"get_time","arguments":[1]}</tool_call>`, []string{`broken bad_arguments "get_time"`}},
		"arguments that are words":          {`<tool_call>{"name":"get_time","arguments":"Oslo"}</tool_call>`, []string{`broken bad_arguments "get_time"`}},
		"arguments that hold a list":        {`<tool_call>{"name":"get_time","arguments":"[]"}</tool_call>`, []string{`broken bad_arguments "get_time"`}},
		"arguments beside":                  {`<tool_call>{"name":"get_weather","city":"Oslo"}</tool_call>`, []string{`broken bad_arguments "get_weather"`}},
		"arguments that violate the schema": {`<tool_call>{"name":"get_weather","arguments":{"days":"1"}}</tool_call>`, []string{`get_weather({"days":"1"}) but bad_arguments`}},
	}.check(t, Wish{})
}

func TestWishes(t *testing.T) {
	two := osloCall + "\n" + timeCall
	for _, tt := range []struct {
		name string
		wish Wish
		text string
		want []string
	}{
		{"none", Wish{Mode: None}, "a " + two, []string{`text "a "`, `broken forbidden "get_weather"`, `broken forbidden "get_time"`}},
		{"none, an unknown one", Wish{Mode: None}, `<tool_call>{"name":"rm"}</tool_call>`, []string{`broken forbidden "rm"`}},
		{"none, JSON without a tag", Wish{Mode: None}, oslo, []string{`broken forbidden "get_weather"`}},
		{"required", Wish{Mode: Required}, two, []string{isOslo, isTime}},
		{"required, none came", Wish{Mode: Required}, "Hm.", []string{`text "Hm."`}},
		{"some", Wish{Only: []string{"get_time"}}, two, []string{`broken not_allowed "get_weather"`, isTime}},
		{"some, JSON without a tag", Wish{Only: []string{"get_time"}}, oslo, []string{`broken not_allowed "get_weather"`}},
		{"some, an unknown one", Wish{Only: []string{"get_time"}}, `<tool_call>{"name":"rm"}</tool_call>`, []string{`broken unknown_tool "rm"`}},
		{"single", Wish{Single: true}, two, []string{isOslo, `broken extra "get_time"`}},
		{"single, the first is broken", Wish{Single: true}, `<tool_call>{"name":"rm"}</tool_call>` + two, []string{`broken unknown_tool "rm"`, isOslo, `broken extra "get_time"`}},
	} {
		outputs{tt.name: {tt.text, tt.want}}.check(t, tt.wish)
	}
}

// What the model is told of its mistakes.
func TestDetails(t *testing.T) {
	set := mustSet(t, offeredTools...)
	for text, want := range map[string]string{
		`<tool_call>{"name":"get_weather","arguments":{"city":"a 5" b"}}</tool_call>`:                     `"arguments":{"city":"a 5"`,
		`<tool_call>{"name":"get_weather","arguments":{"city":"Oslo, Norway, Europe","x" 1}}</tool_call>`: `Oslo, Norway, Europe","x" `,
		`<tool_call>{"name":"get_time"}</tool>`:                                                           `</tool_call>`,
		`<tool_call>{"name":"get_weather","days":1}</tool_call>`:                                          `"days" stands beside "arguments"`,
		`<tool_call>{"name":"get_weather","arguments":{}}</tool_call>`:                                    `city`,
		`<tool_call>{"name":"get_weather","arguments":{"city":1}}</tool_call>`:                            `arguments.city`,
		`<tool_call>{"a":1}</tool_call>`:                                                                  `no "name"`,
		`<tool_call>{"name":"get_time","arguments":"x"}</tool_call>`:                                      `no JSON object`,
		`<tool_call><function=get_time><parameter=a>1</parameter><parameter=a>1</parameter></function>`:   `"a" is there twice`,
	} {
		got := parse(t, set, Wish{}, []byte(text))
		if len(got.events) == 0 || got.events[0].Problem == nil || !strings.Contains(got.events[0].Problem.Detail, want) {
			t.Errorf("%s: %s", text, got.lines)
			if len(got.events) > 0 && got.events[0].Problem != nil {
				t.Errorf("detail %q, want %q", got.events[0].Problem.Detail, want)
			}
		}
	}
}

func TestStrictIsTold(t *testing.T) {
	set := mustSet(t, offeredTools...)
	for text, want := range map[string]bool{
		`<tool_call>{"name":"write_file","arguments":{"path":"a"}}</tool_call>`: true,
		`<tool_call>{"name":"get_weather","arguments":{"city":1}}</tool_call>`:  false,
	} {
		got := parse(t, set, Wish{}, []byte(text)).events
		if len(got) != 1 || got[0].Kind != Called || got[0].Problem == nil || got[0].Strict != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestAnswersThatAreNothingButCalls(t *testing.T) {
	outputs{
		"bare JSON":                       {" " + oslo + "\n", []string{isOslo}},
		"bare JSON with parameters":       {`{"name":"get_time","parameters":{}}`, []string{isTime}},
		"bare JSON with arguments first":  {`{"arguments":{"city":"a"},"name":"get_weather"}`, []string{`get_weather({"city":"a"})`}},
		"bare JSON, loose":                {"{'name': 'get_weather',\n 'arguments': {'city': 'Oslo'}}", []string{isOslo}},
		"bare JSON without quotes":        {`{name: "get_time", arguments: {}}`, []string{isTime}},
		"bare JSON, arguments a string":   {`{"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"}`, []string{isOslo}},
		"bare JSON, bad arguments":        {`{"name":"get_time","arguments":[]}`, []string{`broken bad_arguments "get_time"`}},
		"bare JSON, Chinese name":         {`{"name":"查询天气","arguments":{}}`, []string{`查询天气({})`}},
		"JSON in a fence":                 {"```json\n" + oslo + "\n```\n", []string{isOslo}},
		"JSON in a fence of tildes":       {"\n~~~\n" + oslo + "\n~~~", []string{isOslo}},
		"JSON in an open fence":           {"```json\n" + oslo, []string{isOslo}},
		"a call in a fence":               {"```xml\n" + osloCall + "\n```", []string{isOslo}},
		"a call in a fence with CRLF":     {"```\r\n" + osloCall + "\r\n```\r\n", []string{isOslo}},
		"two calls in a fence":            {"````\n" + osloCall + "\n" + timeCall + "\n````  \n\n", []string{isOslo, isTime}},
		"two calls in a block in a fence": {"```\n<tool_call>" + oslo + oslo + "</tool_call>\n```", []string{isOslo, isOslo}},
		"two fences":                      {"```\n" + osloCall + "\n```\n\n```\n" + timeCall + "\n```", []string{isOslo, isTime}},
		"a fence and a call":              {"```\n" + osloCall + "\n```\n" + timeCall, []string{isOslo, isTime}},
		"a call in an open fence":         {"```\n" + osloCall, []string{isOslo}},
		"no end tag in a fence":           {"```\n<tool_call>" + oslo + "\n```", []string{isOslo}},
		"a fence in a block in a fence":   {"````\n<tool_call>\n```json\n" + oslo + "\n```\n</tool_call>\n````", []string{isOslo}},
		"a broken call in a fence":        {"```\n<tool_call>{oops}</tool_call>\n```", []string{`broken malformed ""`}},
		"two broken calls in a fence":     {"```\n<tool_call>{oops}</tool_call>\n<tool_call>{oh}\n```", []string{`broken malformed ""`, `broken malformed ""`}},
		"a call cut off in a fence":       {"```\n<tool_call>{\"name\":\"get_t", []string{`broken incomplete ""`}},
		"an XML call in a fence":          {"```xml\n<tool_call><function=get_time></function></tool_call>\n```", []string{isTime}},
	}.check(t, Wish{})
}

func TestCallsInXML(t *testing.T) {
	call := func(parameters string) string {
		return "<tool_call>\n<function=run>\n" + parameters + "</function>\n</tool_call>"
	}
	one := func(key, value string) string {
		return call("<parameter=" + key + ">\n" + value + "\n</parameter>\n")
	}
	table := outputs{
		"no parameters":               {"<tool_call>\n<function=get_time>\n</function>\n</tool_call>.", []string{isTime, `text "."`}},
		"in one line":                 {"<tool_call><function=get_weather><parameter=city>Oslo</parameter></function></tool_call>", []string{isOslo}},
		"two parameters":              {call("<parameter=text>\na\n</parameter>\n<parameter=count>\n1\n</parameter>\n"), []string{`run({"text": "a", "count": 1})`}},
		"two functions":               {"<tool_call>\n<function=get_time>\n</function>\n<function=get_time>\n</function>\n</tool_call>", []string{isTime, isTime}},
		"no end tag":                  {"<tool_call>\n<function=get_time>\n</function>\n", []string{isTime}},
		"no end tag before the next":  {"<tool_call>\n<function=get_time>\n</function>\n" + osloCall, []string{isTime, isOslo}},
		"no end of the function":      {"<tool_call><function=get_weather><parameter=city>Oslo</parameter></tool_call>", []string{isOslo}},
		"in a fence within the block": {"<tool_call>\n```xml\n<function=get_time>\n</function>\n```\n</tool_call>", []string{isTime}},
		"spaces in tags":              {"<tool_call><function= get_weather ><parameter= city >Oslo</parameter></function></tool_call>", []string{isOslo}},
		"unknown":                     {"<tool_call><function=rm></function></tool_call>", []string{`broken unknown_tool "rm"`}},
		"violates the schema":         {"<tool_call><function=get_weather></function></tool_call>", []string{`get_weather({}) but bad_arguments`}},
		"no boolean, in Python":       {one("count", "False"), []string{`run({"count": "False"}) but bad_arguments`}},
		"no null, in Python":          {one("flag", "None"), []string{`run({"flag": "None"}) but bad_arguments`}},
		"not the type":                {one("count", "many"), []string{`run({"count": "many"}) but bad_arguments`}},
		"another type":                {one("count", "[1]"), []string{`run({"count": [1]}) but bad_arguments`}},
		"a parameter twice":           {call("<parameter=text>a</parameter><parameter=text>b</parameter>"), []string{`broken bad_arguments "run"`}},
		"no end of a parameter":       {call("<parameter=text>\na\n<parameter=count>\n1\n</parameter>\n"), []string{`broken malformed "run"`}},
		"no end of a name":            {"<tool_call><function=run\n></function></tool_call>", []string{`broken malformed ""`}},
		"no name":                     {"<tool_call><function=></function></tool_call>", []string{`broken malformed ""`}},
		"words between":               {call("so: <parameter=text>a</parameter>"), []string{`broken malformed "run"`}},
		"cut off in a value":          {"<tool_call><function=run><parameter=text>abc", []string{`broken incomplete "run"`}},
		"cut off after a value":       {"<tool_call><function=run><parameter=text>abc</parameter>\n", []string{`broken incomplete "run"`}},
		"cut off in a name":           {"<tool_call><function=ru", []string{`broken incomplete ""`}},
		"tags in a value":             {one("text", "</tool_call> <tool_call>{</function> <parameter=x></parameter> x"), []string{`run({"text": "</tool_call> <tool_call>{</function> <parameter=x></parameter> x"})`}},
		"end tags in a value":         {one("text", "</parameter></parameter>"), []string{`run({"text": "</parameter></parameter>"})`}},
	}
	for name, tt := range map[string]struct{ key, value, want string }{
		"a string":                     {"text", "a", `"a"`},
		"a string of lines":            {"text", "\n a\n\tb\r\n\n", `"\n a\n\tb\r\n\n"`},
		"a string that is JSON":        {"text", `{"a":1}`, `"{\"a\":1}"`},
		"a string in quotes":           {"text", `"a"`, `"\"a\""`},
		"a string that is a number":    {"text", "12", `"12"`},
		"a string of HTML":             {"text", "<b>&amp; \\n 你好 😀</b>", `"<b>&amp; \\n 你好 😀</b>"`},
		"no string":                    {"text", "", `""`},
		"a number":                     {"count", " 12 ", "12"},
		"a boolean":                    {"flag", "true", "true"},
		"a boolean of Python":          {"flag", "False", "false"},
		"nothing of Python":            {"none", "None", "null"},
		"a list":                       {"list", "[1,\n \"a\"]", "[1,\n \"a\"]"},
		"a list of Python":             {"list", "['a', True]", `["a", true]`},
		"an object":                    {"map", "{'a': 1}", `{"a": 1}`},
		"a string or null, null":       {"maybe", "null", "null"},
		"a string or null, a number":   {"maybe", "1", `"1"`},
		"a string or null, None":       {"maybe", "None", `"None"`},
		"a string or a number, number": {"either", "1.5", "1.5"},
		"a string or a number, list":   {"either", "[1]", `"[1]"`},
		"one of some strings":          {"choice", "1", `"1"`},
		"one value":                    {"one", "1", "1"},
		"a reference to a string":      {"ref", "1", `"1"`},
		"a string and more":            {"both", "1", `"1"`},
		"anything, JSON":               {"any", `"a"`, `"a"`},
		"anything, words":              {"any", "True words", `"True words"`},
		"anything among others":        {"unknown", "7", "7"},
		"not in the schema":            {"extra", "[1]", "[1]"},
	} {
		table["value: "+name] = struct {
			text string
			want []string
		}{one(tt.key, tt.value), []string{`run({"` + tt.key + `": ` + tt.want + "})"}}
	}
	table.check(t, Wish{})
}

// Types are also found where a schema only refers to them.
func TestTypesOfReferredParameters(t *testing.T) {
	set := mustSet(t, Tool{Name: "f", Parameters: `{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"properties":{"s":{"type":"string"}}}}}`},
		Tool{Name: "g", Parameters: `{"allOf":[{"properties":{"s":{"type":"string"}}}]}`})
	for _, name := range []string{"f", "g"} {
		got := parse(t, set, Wish{}, []byte("<tool_call><function="+name+"><parameter=s>1</parameter></function></tool_call>"))
		if len(got.lines) != 1 || got.lines[0] != name+`({"s": "1"})` {
			t.Errorf("got %s", got.lines)
		}
	}
}
