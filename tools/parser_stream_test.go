package tools

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is held back after a piece is no more than what may become a call.
func TestWhatIsHeldBack(t *testing.T) {
	set := mustSet(t, offeredTools...)
	for text, want := range map[string]string{
		"Hello ":                               "",
		"Hello <":                              "<",
		"Hello <tool_":                         "<tool_",
		"Hello <tool>":                         "",
		"Hello <tool_call>":                    "<tool_call>",
		"Hello <tool_call>\n```js":             "<tool_call>\n```js",
		"Hello <tool_call> x":                  "",
		"Hello `<tool_call>":                   "",
		"x\n```\n<tool_call>":                  "",
		"x ```":                                "",
		"Hello\n\n":                            "",
		"Hello {\"name\":":                     "",
		" \n":                                  " \n",
		"`":                                    "`",
		"`x":                                   "",
		"```json\n":                            "```json\n",
		"```json\nx":                           "",
		"```json\n{\"name\": \"get_wea":        "```json\n{\"name\": \"get_wea",
		"```json\n{\"name\": \"get_web":        "",
		"```\n<tool_call>":                     "```\n<tool_call>",
		"```\n<b":                              "",
		"```\n" + osloCall + "\n```":           "```\n" + osloCall + "\n```",
		"```\n" + osloCall + "\n```\nS":        "",
		"{":                                    "{",
		"{ }":                                  "",
		"{\"a":                                 "{\"a",
		"{\"ag":                                "",
		"{\"name\": \"x":                       "",
		"{'name' : 'get_time' ,":               "{'name' : 'get_time' ,",
		"{\"name\": \"get_time\"}":             "",
		"{\"name\": \"get_time\", \"d":         "",
		"{\"name\":\"get_time\",\"arguments\"": "{\"name\":\"get_time\",\"arguments\"",
		"{\"name\" \"":                         "",
		"{\"arguments\": {\"a\": [":            "{\"arguments\": {\"a\": [",
		"{\"arguments\": {\"a\": [}":           "",
		oslo:                                   oslo,
		oslo + " .":                            "",
		osloCall:                               "",
		osloCall + " \n":                       "",
		osloCall + " <":                        "<",
		osloCall + " x":                        "",
		"<tool_call>{\"na":                     "<tool_call>{\"na",
		"<tool_call>" + oslo:                   "<tool_call>" + oslo,
		"<tool_call>{oops}":                    "",
		"<tool_call>{oops} <":                  "<",
		"<tool_call>{oops} <tool_call> ":       "<tool_call> ",
		"<tool_call>{oops} <tool_call> x":      "",
	} {
		for _, pieces := range [][][]byte{cut(text, 1), cut(text, 5), {[]byte(text)}} {
			p := set.Parser(Wish{})
			told := 0
			for _, piece := range pieces {
				p.Feed(piece)
				for event, any := p.Next(); any; event, any = p.Next() {
					told += len(event.Source)
				}
			}
			if held := text[told:]; held != want {
				t.Errorf("%q in %d pieces: %q is held back, want %q", text, len(pieces), held, want)
			}
		}
	}
}

// Pieces may also come faster than events are taken.
func TestFeedWithoutNext(t *testing.T) {
	set := mustSet(t, offeredTools...)
	p := set.Parser(Wish{})
	var got answerOf
	for i, piece := range cut("Well, "+osloCall+"\nand "+timeCall, 9) {
		p.Feed(piece)
		if i%2 == 0 {
			continue
		}
		if event, any := p.Next(); any {
			got.take(event)
		}
	}
	p.End()
	for event, any := p.Next(); any; event, any = p.Next() {
		got.take(event)
	}
	got.finish()
	if want := `text "Well, "|` + isOslo + `|text "and "|` + isTime; strings.Join(got.lines, "|") != want {
		t.Errorf("got %s", got.lines)
	}
}

func TestLimits(t *testing.T) {
	set := mustSet(t, offeredTools...)
	long := func(n int) string { return strings.Repeat("x", n) }
	head, end := `<tool_call>{"name":"get_weather","arguments":{"city":"`, `"}}</tool_call>`
	fits := maxCall - len(head) - len(end)
	space := strings.Repeat(" ", maxLead)
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"a call as long as it may be":     {head + long(fits-1) + end + "ok", `get_weather({"city":"` + long(fits-1) + `"})|text "ok"`},
		"a call that is too long":         {head + long(fits+1) + end + "ok", `broken too_large "get_weather"|text "ok"`},
		"a tag in what is too long":       {head + long(maxCall) + "</tool_call><tool_call>{" + end + "ok", `broken too_large "get_weather"|text "ok"`},
		"what is too long and broken":     {head + long(maxCall) + `" "x` + end + "ok", `broken too_large "get_weather"|text "ok"`},
		"what is too long, cut off":       {head + long(3*maxCall), `broken too_large "get_weather"`},
		"white space after the value":     {head + `"}}` + strings.Repeat(" ", maxCall) + "</tool_call>ok", `broken too_large "get_weather"|text "ok"`},
		"a value in XML that is too long": {"<tool_call><function=run><parameter=text>" + long(maxCall) + "</parameter></function></tool_call>ok", `broken too_large "run"|text "ok"`},
		"a name in XML that is too long":  {"<tool_call><function=" + long(maxTagName+1) + "></function></tool_call>ok", `broken malformed ""|text "ok"`},
		"JSON that is too long":           {`{"arguments":{"a":"` + long(maxCall) + `"},"name":"get_time"}`, "text"},
		"space before the answer":         {space + "x", "text"},
		"space before a call":             {space + timeCall, "text|" + isTime},
		"space in a tag":                  {"<tool_call>" + space + "{}", "text"},
		"space in JSON":                   {"{" + space + `"name":"get_time","arguments":{}}`, "text"},
		"space after a fence":             {"```\n" + timeCall + "\n```" + space, "text"},
		"a long fence":                    {strings.Repeat("`", maxInfo) + "\n" + timeCall, "text"},
		"a long fence in a tag":           {"<tool_call>\n```" + long(maxInfo) + "\n{}", "text"},
		"a long fence after a value":      {"<tool_call>\n```\n{\"name\":\"get_time\"}\n" + strings.Repeat("`", maxInfo) + "\n</tool_call>", `broken malformed "get_time"`},
		"brackets that are too deep":      {`<tool_call>{"name":"get_time","arguments":` + strings.Repeat("[", 5000) + "</tool_call>", `broken malformed "get_time"`},
		"calls":                           {strings.Repeat(timeCall+"\n", maxCalls+1), strings.Repeat(isTime+"|", maxCalls) + `broken too_large "get_time"`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{len(tt.text), 4093, 37} {
				got := parse(t, set, Wish{}, cut(tt.text, size)...)
				for i, line := range got.lines {
					if len(line) > 100 && strings.HasPrefix(line, "text ") {
						got.lines[i] = "text"
					}
				}
				if have := strings.Join(got.lines, "|"); have != tt.want && !(tt.want == "text" && len(got.lines) == 1 && got.events[0].Kind == Text) {
					t.Errorf("in pieces of %d: %.200s, want %.200s", size, have, tt.want)
				}
			}
		})
	}
}

// However long a call is, no more than its limit is kept.
func TestMemoryIsBounded(t *testing.T) {
	set := mustSet(t, offeredTools...)
	for name, head := range map[string]string{
		"JSON":      `<tool_call>{"name":"get_weather","arguments":{"city":"`,
		"XML":       "<tool_call><function=run><parameter=text>",
		"bare JSON": `{"arguments":{"a":"`,
		"a fence":   "```\n<tool_call>{\"name\":\"",
		"space":     "<tool_call>" + oslo,
		"text":      "So ",
	} {
		p := set.Parser(Wish{})
		piece := []byte(strings.Repeat("0123456789abcdef", 256))
		if name == "space" {
			piece = []byte(strings.Repeat(" ", 4096))
		}
		p.Feed([]byte(head))
		for range 8 << 20 / len(piece) {
			p.Feed(piece)
			for _, any := p.Next(); any; _, any = p.Next() {
			}
		}
		if cap(p.own) > maxCall*3/2 {
			t.Errorf("%s: %d bytes are kept", name, cap(p.own))
		}
	}
}

// Text, and calls that are waited for, cost no memory per piece.
func TestNoAllocationPerPiece(t *testing.T) {
	set := mustSet(t, offeredTools...)
	for name, text := range map[string]string{
		"words":     "Hello, world! 你好.\n\n- a\n- b `code` and <b>html</b>, a < b <tool <tool_cal\n",
		"a fence":   "```go\nif a < b {\n\treturn `x`\n}\n```\n",
		"hot spots": "<tool_call> <tool_call>\n```x\n{<tool_call>",
	} {
		p := set.Parser(Wish{})
		p.Feed([]byte("Words first.\n"))
		pieces := cut(text, 3)
		run := func() {
			for _, piece := range pieces {
				p.Feed(piece)
				for _, any := p.Next(); any; _, any = p.Next() {
				}
			}
		}
		if name == "hot spots" {
			pieces = cut(text[:len(text)-len("{<tool_call>")], 3)
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// Ten times the text takes about ten times as long, and a hundred times if something
// is done again and again.
func TestTimeGrowsWithTheLength(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	set := mustSet(t, offeredTools...)
	for name, tt := range map[string]struct{ head, unit string }{
		"tags":               {"x", "<tool_call>"},
		"tags and space":     {"x", "<tool_call>\n"},
		"tags and fences":    {"x", "<tool_call>\n```\n"},
		"half tags":          {"x", "<tool_cal"},
		"backticks":          {"x", "`"},
		"fences":             {"", "```\n"},
		"fences of space":    {"```\n" + timeCall + "\n```", " "},
		"backticks at first": {"", "`"},
		"space":              {"", " "},
		"names in JSON":      {`{"name":"`, "get_weather"},
		"space in JSON":      {`{`, " "},
		"quotes":             {`<tool_call>{"name":"`, `\"`},
		"broken and tags":    {"<tool_call>{oops", "<tool_call> "},
		"broken and starts":  {"<tool_call>{oops", "<tool_call>{"},
		"brackets":           {`<tool_call>{"name":"x"}`, "}"},
		"ticks in a block":   {"<tool_call>\n```\n{}", "`"},
		"XML names":          {"<tool_call><function=", "x"},
		"XML parameters":     {"<tool_call><function=a>", "<parameter=b></parameter>"},
		"XML end tags":       {"<tool_call><function=a><parameter=b>", "</parameter>"},
		"XML half tags":      {"<tool_call><function=a><parameter=b>", "</para"},
		"XML space":          {"<tool_call><function=a><parameter=b></parameter>", " "},
		"XML tags and space": {"<tool_call><function=a><parameter=b>", "</parameter>\n\n"},
		"calls":              {"", timeCall},
		"calls in a fence":   {"```\n", timeCall},
		"broken in a fence":  {"```\n", "<tool_call>{oops</tool_call>"},
	} {
		took := func(n int) time.Duration {
			pieces := cut(tt.head+strings.Repeat(tt.unit, n/len(tt.unit)), 5)
			runtime.GC()
			start := time.Now()
			parse(t, set, Wish{}, pieces...)
			return time.Since(start)
		}
		// Other programs only make it longer, so that the best of some counts.
		var short, long time.Duration
		for try := range 5 {
			short = max(short, took(50_000))
			if long = took(500_000); long < 40*short+50*time.Millisecond {
				break
			} else if try == 4 {
				t.Errorf("%s: %v for 50 KB, %v for 500 KB", name, short, long)
			}
		}
	}
}
