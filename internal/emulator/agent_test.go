package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// offer is a first prompt in the convention, with two functions.
const offer = "<system>\nBe brief.\n\nYou can call functions, one JSON object per line:\n<tools>\n" +
	`{"name":"weather","description":"Tells the weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}` + "\n" +
	`{"name":"step","parameters":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}` + "\n</tools>\n" +
	"Write <tool_call>\n{\"name\": \"<function>\"}\n</tool_call>. Results come in <tool_response> blocks.\n</system>\n\n"

const (
	correction = "[Your answer could not be used:\n- It was wrong.\nNow write it again.]"
	required   = "\n\n[For this answer: You must call at least one function now, in a <tool_call> block.]"
	forbidden  = "\n\n[For this answer: Call no function, write no <tool_call>; answer in words.]"
	single     = "\n\n[For this answer: Write one <tool_call> block at most.]"
	onlyStep   = "\n\n[For this answer: Of the functions, you may call only these: \"step\".]"
	mustStep   = "\n\n[For this answer: You must call the function \"step\" now, in a <tool_call> block, and no other.]"
	asJSON     = "\n\n[For this answer: Write JSON that satisfies this schema, and nothing else:\n" +
		`{"type":"object","properties":{"city":{"type":"string"},"n":{"type":"number"}},"required":["city","n"]}]`
)

func question(text string) string {
	return offer + "<current_user_message>\n" + text + "\n</current_user_message>"
}

func result(name, id, text string) string {
	return fmt.Sprintf("<tool_response name=%q id=%q>\n%s\n</tool_response>", name, id, text)
}

func block(name, arguments string) string {
	return fmt.Sprintf("<tool_call>\n{\"name\": %q, \"arguments\": %s}\n</tool_call>", name, arguments)
}

// said is what an answer consists of.
type said struct {
	text, thinking string
	native         []string // calls of local tools
	pieces         int      // of the text
}

// talk is a chat that goes on with every prompt.
type talk struct {
	*client
	chat, parent string
	edit         func(body, message map[string]any)
}

func mustTalk(t testing.TB, srv *Server) *talk {
	t.Helper()
	c := newClient(t, srv)
	return &talk{client: c, chat: c.mustChat()}
}

func (k *talk) ask(prompt string) (s said) {
	k.t.Helper()
	list := mustEvents(k.t, mustReadAll(k.t, k.mustDo(k.completion(k.t.Context(), turn{k.chat, k.parent, prompt, k.edit}))))
	k.parent = list[0].Created.Response
	for _, e := range list[1:] {
		d := e.Choices[0].Delta
		switch *d.Phase {
		case "answer":
			s.text += d.Content
			if d.Content != "" {
				s.pieces++
			}
		case "think":
			s.thinking += d.Content
		case "thinking_summary":
			var extra struct {
				Thought struct{ Content []string } `json:"summary_thought"`
			}
			if len(d.Extra) > 0 {
				mustDecode(k.t, string(d.Extra), &extra)
				s.thinking = strings.Join(extra.Thought.Content, "\n")
			}
		case "local_tool":
			if len(d.Extra) > 0 { // else it tells the usage
				s.native = append(s.native, string(d.Extra))
			}
		}
	}
	if last := list[len(list)-1].Choices[0].Delta; last.Status != "finished" || *last.Phase != "answer" {
		k.t.Errorf("the last event is %+v", last)
	}
	return s
}

var oslo = Script(Move{Calls: []Call{{"weather", `{"city":"Oslo's \"fjord\"","days":3,"x":[true,null]}`}}})

const osloArguments = `{"city":"Oslo's \"fjord\"","days":3,"x":[true,null]}`

// What each style writes, to the byte.
func TestAgentStyles(t *testing.T) {
	call := block("weather", osloArguments)
	inner := `{"name": "weather", "arguments": ` + osloArguments + "}"
	fence := func(kind, text string) string { return "```" + kind + "\n" + text + "\n```" }
	tests := map[Style]struct{ text, thinking string }{
		StylePerfect:       {call, ""},
		StyleChatty:        {"Sure, I can do that {no problem}. Is 1 < 2? It is, so here you go:\n\n" + call + "\n\nLet me know if you need anything else!", ""},
		StyleChinese:       {"好的，我马上为您处理。请看：\n" + call + "\n以上就是我的操作，请稍等。", ""},
		StyleLate:          {prose(8<<10) + "\n\n" + call, ""},
		StyleFenced:        {fence("json", inner), ""},
		StyleFencedXML:     {fence("xml", call), ""},
		StyleFencedInside:  {"<tool_call>\n" + fence("json", inner) + "\n</tool_call>", ""},
		StyleBare:          {inner, ""},
		StyleFunctionXML:   {"<tool_call>\n<function=weather>\n<parameter=city>\nOslo's \"fjord\"\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=x>\n[true,null]\n</parameter>\n</function>\n</tool_call>", ""},
		StyleSingleQuotes:  {"<tool_call>\n{'name': 'weather', 'arguments': {'city': 'Oslo\\'s \"fjord\"', 'days': 3, 'x': [True, None]}}\n</tool_call>", ""},
		StyleUnclosed:      {strings.TrimSuffix(call, "\n</tool_call>"), ""},
		StyleTruncated:     {"<tool_call>\n" + `{"name": "weather", "arguments": {"city":"Oslo's \"fjord\"","days":3,"x":`, ""},
		StyleWrongName:     {block("weather_now", osloArguments), ""},
		StyleWrongTypes:    {block("weather", `{"city":12345}`), ""},
		StyleTwoCalls:      {call + "\n" + block("step", `{"n":7}`), ""},
		StyleThinkThenCall: {call, "I need a function for that. " + call},
		StyleThinkOnly:     {"", call},
		StyleHalfTag:       {"I will look that up. <tool_c", ""},
		StyleIgnores:       {"I can answer that without any help: it depends.", ""},
		StyleAnnounces:     {"I will call the function weather now to find that out.", ""},
		StyleDefiant:       {call, ""},
	}
	for _, style := range Styles() {
		want, tested := tests[style]
		if !tested {
			t.Errorf("the style %s is not tested", style)
		}
		for _, format := range []string{"summary", "full"} {
			srv := mustStart(t, Options{})
			srv.Respond(Agent{Style: style, Plan: oslo}.Respond)
			k := mustTalk(t, srv)
			k.edit = func(_, m map[string]any) { feature(m)["thinking_format"] = format }
			if got := k.ask(question("Weather?")); got.text != want.text || got.thinking != want.thinking || got.native != nil {
				t.Errorf("%s, %s: got %+v\nwant %+v", style, format, got, want)
			}
		}
	}
	if n := len(tests[StyleLate].text); n < 8<<10 {
		t.Errorf("late comes after %d bytes", n)
	}
}

func TestAgentPersistence(t *testing.T) {
	ok := block("weather", osloArguments)
	for _, tc := range []struct {
		persistence Persistence
		good        []bool // question, correction, results, correction, correction
	}{
		{Once, []bool{false, true, true, true, true}},
		{EachTurn, []bool{false, true, false, true, true}},
		{Always, []bool{false, false, false, false, false}},
	} {
		srv := mustStart(t, Options{})
		again := Script(oslo(View{}), oslo(View{}))
		srv.Respond(Agent{Style: StyleTruncated, Persistence: tc.persistence, Plan: again}.Respond)
		k := mustTalk(t, srv)
		for i, prompt := range []string{question("Weather?"), correction, result("weather", "1", "rain"), correction, correction} {
			if got := k.ask(prompt); (got.text == ok) != tc.good[i] || got.text == "" {
				t.Errorf("persistence %d, turn %d: %s", tc.persistence, i, got.text)
			}
		}
	}
}

func TestAgentDemands(t *testing.T) {
	weather, step := block("weather", osloArguments), block("step", `{"n":7}`)
	two := func(v View) Move {
		return Move{Calls: []Call{{"weather", osloArguments}, {"step", `{"n":7}`}}, Text: "Two."}
	}
	silent := func(View) Move { return Move{Text: "In words."} }
	for _, tc := range []struct {
		name, note string
		style      Style
		plan       Plan
		want       string
	}{
		{"nothing", "", StylePerfect, two, "Two.\n" + weather + "\n" + step},
		{"nothing, words", "", StylePerfect, silent, "In words."},
		{"required", required, StylePerfect, silent, "In words.\n" + block("weather", `{"city":"example"}`)},
		{"required, defiant", required, StyleDefiant, two, "Two."},
		{"forbidden", forbidden, StylePerfect, two, "Two."},
		{"forbidden, defiant", forbidden, StyleDefiant, silent, "In words.\n" + block("weather", `{"city":"example"}`)},
		{"single", single, StylePerfect, two, "Two.\n" + weather},
		{"single, defiant", single, StyleDefiant, oslo, weather + "\n" + step},
		{"only one of them", onlyStep, StylePerfect, two, "Two.\n" + step},
		{"only one of them, words", onlyStep, StylePerfect, silent, "In words."},
		{"a certain one", mustStep, StylePerfect, oslo, step},
		{"a certain one, ignored", mustStep, StyleIgnores, oslo, "I can answer that without any help: it depends."},
		{"required, chatty", required, StyleChinese, silent, "In words.\n好的，我马上为您处理。请看：\n" + block("weather", `{"city":"example"}`) + "\n以上就是我的操作，请稍等。"},
		{"half a tag in words", "", StyleHalfTag, silent, "In words. <tool_c"},
		{"no functions", "", StyleDefiant, silent, "In words."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			srv.Respond(Agent{Style: tc.style, Plan: tc.plan}.Respond)
			k := mustTalk(t, srv)
			if got := k.ask(question("hm?") + tc.note); got.text != tc.want {
				t.Errorf("got %s\nwant %s", got.text, tc.want)
			}
			// A note is about one answer only, but holds for the correction of it.
			if got := k.ask(correction); got.text != k.perfect(tc.plan, tc.note) {
				t.Errorf("corrected: %s", got.text)
			}
		})
	}
}

// perfect is what a perfect model answers to the same question.
func (k *talk) perfect(plan Plan, note string) string {
	k.t.Helper()
	srv := mustStart(k.t, Options{})
	srv.Respond(Agent{Plan: plan}.Respond)
	return mustTalk(k.t, srv).ask(question("hm?") + note).text
}

// TestAgentLoop goes through 20 rounds, with a correction in the middle.
func TestAgentLoop(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Respond(Agent{Plan: Loop("step", 20), Piece: 1}.Respond)
	k := mustTalk(t, srv)
	prompt := question("Count.")
	for i := 1; i <= 20; i++ {
		want := block("step", fmt.Sprintf(`{"n":%d}`, i))
		if got := k.ask(prompt); got.text != want {
			t.Fatalf("round %d: %s", i, got.text)
		}
		if i == 7 {
			if got := k.ask(correction); got.text != want {
				t.Fatalf("round %d, corrected: %s", i, got.text)
			}
		}
		prompt = result("step", fmt.Sprint("call_", i), fmt.Sprintf("done %d", i))
	}
	if got := k.ask(prompt); got.text != "The last result is: done 20" {
		t.Errorf("at the end: %s", got.text)
	}
	if got := k.ask("And again."); got.text != block("step", `{"n":1}`) {
		t.Errorf("the next question: %s", got.text)
	}
}

func TestAgentPieces(t *testing.T) {
	const text = "Grüße, 世界 🌍! "
	for size, want := range map[int]int{0: 2, 1: 13, 2: 10, 3: 8, 4: 6, 1000: 1} {
		list := Agent{Piece: size}.pieces(text)
		if strings.Join(list, "") != text || size > 0 && len(list) != want && size != 2 && size != 3 && size != 4 {
			t.Errorf("%d: %q", size, list)
		}
		for _, p := range list {
			if !utf8.ValidString(p) || size >= 4 && len(p) > size {
				t.Errorf("%d: %q", size, p)
			}
		}
	}
	srv := mustStart(t, Options{})
	srv.Respond(Agent{Plan: oslo, Piece: 1}.Respond)
	if got := mustTalk(t, srv).ask(question("Weather?")); got.pieces != len(got.text) {
		t.Errorf("%d pieces for %d bytes", got.pieces, len(got.text))
	}
}

// Declared tools are called natively, in any style, and mistakes in writing are not
// made then.
func TestAgentLocalTools(t *testing.T) {
	const declared = `{"srv":{"weather":{"description":"","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},"step":{"input_schema":{"type":"object"}}}}`
	frame := func(name, arguments string) string {
		return fmt.Sprintf(`{"local_mcp":{"srv":[{"params":%s,"tool_name":%q}]}}`, arguments, name)
	}
	for style, want := range map[Style]said{
		StylePerfect:   {native: []string{frame("weather", `{"city":"Oslo"}`)}},
		StyleTruncated: {native: []string{frame("weather", `{"city":"Oslo"}`)}},
		StyleWrongName: {native: []string{frame("weather_now", `{"city":"Oslo"}`)}},
		StyleTwoCalls:  {native: []string{frame("weather", `{"city":"Oslo"}`), frame("step", `{}`)}},
		StyleChinese:   {text: "好的，我马上为您处理。请看：\n\n以上就是我的操作，请稍等。", native: []string{frame("weather", `{"city":"Oslo"}`)}},
		StyleIgnores:   {text: "I can answer that without any help: it depends."},
	} {
		srv := mustStart(t, Options{})
		srv.Respond(Agent{Style: style}.Respond)
		k := mustTalk(t, srv)
		k.edit = func(_, m map[string]any) { feature(m)["local_mcp"] = json.RawMessage(declared) }
		got := k.ask("How is the weather in Oslo?")
		if strings.ReplaceAll(got.text, "\n", "") != strings.ReplaceAll(want.text, "\n", "") || fmt.Sprint(got.native) != fmt.Sprint(want.native) {
			t.Errorf("%s: got %+v\nwant %+v", style, got, want)
		}
		if got := k.ask(result("weather", "1", "rain")); style == StylePerfect && got.text != "The last result is: rain" {
			t.Errorf("with the result: %+v", got)
		}
	}
}
