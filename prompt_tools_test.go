package caddyqwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// Short names for messages of prompts.
func message(role, text string) openai.Message { return openai.Message{Role: role, Content: text} }
func result(id, name, text string) openai.Message {
	return openai.Message{Role: "tool", ToolCallID: id, Name: name, Content: text}
}
func calling(text string, calls ...openai.ToolCall) openai.Message {
	return openai.Message{Role: "assistant", Content: text, ToolCalls: calls}
}

// What the model gets in the rounds of a loop, and what it is told besides the
// messages.
func TestPromptTools(t *testing.T) {
	weather := openai.ToolCall{ID: "c1", Name: "weather", Arguments: `{"city": "Bern"}`}
	now := openai.ToolCall{ID: "c2", Name: "now"}
	asked := []openai.Message{message("user", "Weather?"), calling("I look.", weather, now)}
	with := func(list []openai.Message, more ...openai.Message) []openai.Message {
		return append(list[:len(list):len(list)], more...)
	}
	system := func(list ...openai.Message) []openai.Message {
		return append([]openai.Message{message("system", "Be brief.")}, list...)
	}
	const (
		rain = "<tool_response name=\"weather\" id=\"c1\">\nrain\n</tool_response>"
		noon = "<tool_response name=\"now\" id=\"c2\">\nnoon\n</tool_response>"
		told = "<user>\nWeather?\n</user>\n\n<assistant>\nI look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call>\n" +
			"<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n</assistant>\n\n"
	)
	current := func(text string) string { return "<current_user_message>\n" + text + "\n</current_user_message>" }
	for name, test := range map[string]struct {
		prompt prompt
		want   string
	}{
		"one result":                      {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, goesOn: true}, rain},
		"parallel results":                {prompt{messages: with(asked, result("c1", "", "rain"), result("c2", "", "noon")), known: 2, goesOn: true}, rain + "\n\n" + noon},
		"a result that is known":          {prompt{messages: with(asked, result("c1", "", "rain"), result("c2", "", "noon")), known: 3, goesOn: true}, noon},
		"results in another order":        {prompt{messages: with(asked, result("c2", "", "noon"), result("c1", "", "rain")), known: 2, goesOn: true}, noon + "\n\n" + rain},
		"a result and a note":             {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, goesOn: true, note: "[Note.]"}, rain + "\n\n[Note.]"},
		"unchanged instructions":          {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, goesOn: true, instructions: "# F"}, rain},
		"results and a message":           {prompt{messages: with(asked, result("c1", "", "rain"), result("c2", "", "noon"), message("user", "In French.")), known: 2, goesOn: true}, rain + "\n\n" + noon + "\n\n" + current("In French.")},
		"results and a system message":    {prompt{messages: with(asked, result("c1", "", "rain"), message("developer", "In French.")), known: 2, goesOn: true}, rain + "\n\n<current_system>\nIn French.\n</current_system>"},
		"results and two messages":        {prompt{messages: with(asked, result("c1", "", "rain"), message("user", "a"), message("user", "b")), known: 2, goesOn: true}, branchNote + answerNote + "\n\n<conversation_history>\n" + rain + "\n\n<user>\na\n</user>\n\n</conversation_history>\n\n" + current("b")},
		"results and an unfinished reply": {prompt{messages: with(asked, result("c1", "", "rain"), message("assistant", "It")), known: 2, goesOn: true}, branchNote + answerNote + "\n\n<conversation_history>\n" + rain + "\n\n</conversation_history>\n\n<unfinished_assistant_message>\nIt\n</unfinished_assistant_message>"},
		"an unknown call in a chat":       {prompt{messages: with([]openai.Message{message("user", "Hi"), message("assistant", "Hi")}, with(asked, result("c1", "", "rain"))...), known: 2, goesOn: true}, strings.Replace(promptLoop(told), historyNote, branchNote, 1) + rain},
		"a replay":                        {prompt{messages: with(asked, result("c1", "", "rain"), result("c2", "", "noon"))}, promptLoop(told) + rain + "\n\n" + noon},
		"a replay with a message":         {prompt{messages: with(asked, result("c1", "", "rain"), result("c2", "", "noon"), message("user", "Thanks"))}, promptHistory(told) + rain + "\n\n" + noon + "\n\n" + current("Thanks")},
		"a replay of everything": {prompt{messages: system(with(asked, result("c1", "", "rain"))...), instructions: "# F", note: "[Note.]"},
			"<system>\nBe brief.\n\n# F\n</system>\n\n" + promptLoop(told) + rain + "\n\n[Note.]"},
		"an earlier result":          {prompt{messages: with(asked, result("c1", "", "rain"), message("assistant", "Rain."), message("user", "Thanks"))}, promptHistory(told+rain+"\n\n<assistant>\nRain.\n</assistant>\n\n") + current("Thanks")},
		"an attachment of a result":  {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, goesOn: true, attached: map[int][]string{2: {"[attached file: a.png]"}}}, "<tool_response name=\"weather\" id=\"c1\">\nrain\n[attached file: a.png]\n</tool_response>"},
		"an end tag in a result":     {prompt{messages: with(asked, result("c1", "", "a</tool_response>b")), known: 2, goesOn: true}, "<tool_response name=\"weather\" id=\"c1\">\na<\\/tool_response>b\n</tool_response>"},
		"arguments that are no JSON": {prompt{messages: []openai.Message{calling("", openai.ToolCall{Name: "f", Arguments: "{a"}), result("", "", "x")}}, promptLoop("<assistant>\n<tool_call>\n{\"name\": \"f\", \"arguments\": \"{a\"}\n</tool_call>\n</assistant>\n\n") + "<tool_response name=\"f\">\nx\n</tool_response>"},

		"a new chat":                       {prompt{messages: system(message("user", "Hi")), instructions: "# F"}, "<system>\nBe brief.\n\n# F\n</system>\n\n" + current("Hi")},
		"no system text":                   {prompt{messages: []openai.Message{message("user", "Hi")}, instructions: "# F"}, "<system>\n# F\n</system>\n\n" + current("Hi")},
		"a blank system text":              {prompt{messages: []openai.Message{message("system", " \n"), message("user", "Hi")}, instructions: "# F"}, "<system>\n# F\n</system>\n\n" + current("Hi")},
		"nothing but a system text":        {prompt{messages: system(), instructions: "# F"}, "<system>\n# F\n</system>\n\n" + current("Be brief.")},
		"changed":                          {prompt{messages: system(message("user", "Hi")), instructions: "# F", goesOn: true, systemChanged: true}, systemNote + "\n\n<system>\nBe brief.\n\n# F\n</system>\n\n" + current("Hi")},
		"changed before results":           {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, instructions: "# F", goesOn: true, systemChanged: true}, systemNote + "\n\n<system>\n# F\n</system>\n\n" + rain},
		"gone before results":              {prompt{messages: with(asked, result("c1", "", "rain")), known: 2, goesOn: true, systemChanged: true}, noSystem + "\n\n" + rain},
		"a plain message with a note":      {prompt{messages: []openai.Message{message("user", "Hi\n")}, note: "[Note.]"}, "Hi\n\n\n[Note.]"},
		"an empty message with a note":     {prompt{messages: []openai.Message{message("user", "")}, note: "[Note.]"}, "[Note.]"},
		"a marked message with a note":     {prompt{messages: system(message("user", "Hi")), note: "[Note.]"}, "<system>\nBe brief.\n</system>\n\n" + current("Hi") + "\n\n[Note.]"},
		"a later message with a note":      {prompt{messages: []openai.Message{message("user", "a"), message("assistant", "b"), message("user", "c")}, known: 2, goesOn: true, instructions: "# F", note: "[Note.]"}, "c\n\n[Note.]"},
		"a system text only, with a note":  {prompt{messages: system(), note: "[Note.]"}, "Be brief.\n\n[Note.]"},
		"instructions and a note, no text": {prompt{messages: []openai.Message{message("user", "")}, instructions: "# F", note: "[Note.]"}, "<system>\n# F\n</system>\n\n" + current("") + "\n\n[Note.]"},
	} {
		t.Run("TO-05 "+name, func(t *testing.T) {
			if got := test.prompt.write(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Results are named by what they belong to, however a client tells.
func TestResultNames(t *testing.T) {
	call := func(id, name string) openai.ToolCall { return openai.ToolCall{ID: id, Name: name} }
	for name, test := range map[string]struct {
		messages []openai.Message
		want     string // of all results, in order
	}{
		"by id":                          {[]openai.Message{calling("", call("1", "f"), call("2", "g")), result("2", "", ""), result("1", "", "")}, "g f"},
		"by id rather than name":         {[]openai.Message{calling("", call("1", "f"), call("2", "g")), result("2", "f", "")}, "g"},
		"by name":                        {[]openai.Message{calling("", call("", "f"), call("", "g")), result("", "g", ""), result("", "", "")}, "g f"},
		"by order, after one by name":    {[]openai.Message{calling("", call("", "f"), call("", "g")), result("", "f", ""), result("", "", "")}, "f g"},
		"by name where no id fits":       {[]openai.Message{calling("", call("1", "f")), result("x", "h", "")}, "h"},
		"by order":                       {[]openai.Message{calling("", call("", "f"), call("", "g")), result("", "", ""), result("", "", "")}, "f g"},
		"by order where no id fits":      {[]openai.Message{calling("", call("1", "f"), call("2", "g")), result("x", "", ""), result("y", "", "")}, "f g"},
		"by order, after one by id":      {[]openai.Message{calling("", call("1", "f"), call("2", "g")), result("1", "", ""), result("", "", "")}, "f g"},
		"by order, calls one by one":     {[]openai.Message{calling("", call("", "f")), calling("", call("", "g")), result("", "", ""), result("", "", "")}, "f g"},
		"more results than calls":        {[]openai.Message{calling("", call("", "f")), result("", "", ""), result("", "", "")}, "f -"},
		"no calls":                       {[]openai.Message{result("1", "", ""), result("", "f", "")}, "- f"},
		"a later message names no id":    {[]openai.Message{calling("", call("1", "f")), message("user", "Stop."), result("1", "", "")}, "f"},
		"an id again in another round":   {[]openai.Message{calling("", call("call_0", "f")), result("call_0", "", ""), calling("", call("call_0", "g")), result("call_0", "", "")}, "f g"},
		"an id of an earlier round":      {[]openai.Message{calling("", call("1", "f")), calling("", call("2", "g")), result("2", "", ""), result("1", "", "")}, "g f"},
		"unanswered in an earlier round": {[]openai.Message{calling("", call("1", "f"), call("2", "g")), result("1", "", ""), calling("", call("", "h")), result("", "", "")}, "f h"},
		"the same call twice":            {[]openai.Message{calling("", call("1", "f"), call("1", "f"), call("", "g")), result("1", "", ""), result("1", "", ""), result("", "", "")}, "f f g"},
		"a function":                     {[]openai.Message{calling("", call("", "f")), {Role: "function", Name: "f"}}, "f"},
	} {
		t.Run("TO-05 "+name, func(t *testing.T) {
			names := resultNames(test.messages)
			var got []string
			for i := range test.messages {
				if n, ok := names[i]; ok && n == "" {
					got = append(got, "-")
				} else if ok {
					got = append(got, n)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Naming results leaves the messages as they are: they may be sent again.
func TestResultNamesKeepsMessages(t *testing.T) {
	messages := []openai.Message{calling("", openai.ToolCall{Name: "f"}, openai.ToolCall{Name: "g"}), result("", "g", "x"), result("", "", "y")}
	p := prompt{messages: messages}
	first := p.write()
	if second := p.write(); second != first || messages[0].ToolCalls[0].Name != "f" || messages[0].ToolCalls[1].Name != "g" {
		t.Errorf("first\n%s\nthen\n%s\nof %v", first, second, messages)
	}
}

// In a loop of twenty rounds that goes on in one chat, each prompt is what the
// functions returned since the one before.
func TestPromptLoop(t *testing.T) {
	messages := []openai.Message{message("system", "You are an agent."), message("user", "Do it.")}
	for round := range 20 {
		p := prompt{messages: messages, instructions: "# Functions", goesOn: round > 0}
		want := "<system>\nYou are an agent.\n\n# Functions\n</system>\n\n<current_user_message>\nDo it.\n</current_user_message>"
		if round > 0 {
			p.known = 1 + 3*(round-1) + 1
			want = fmt.Sprintf("<tool_response name=\"read\" id=\"a%d\">\nfile %d\n</tool_response>\n\n<tool_response name=\"stat\" id=\"b%d\">\nsize %d\n</tool_response>", round, round, round, round)
		}
		if got := p.write(); got != want {
			t.Fatalf("round %d: got\n%s\nwant\n%s", round, got, want)
		}
		next := round + 1
		messages = append(messages, calling(fmt.Sprint("Round ", next),
			openai.ToolCall{ID: fmt.Sprint("a", next), Name: "read", Arguments: fmt.Sprint(`{"n":`, next, `}`)},
			openai.ToolCall{ID: fmt.Sprint("b", next), Name: "stat", Arguments: `{}`}),
			result(fmt.Sprint("a", next), "", fmt.Sprint("file ", next)), result(fmt.Sprint("b", next), "", fmt.Sprint("size ", next)))
	}
}

// Instructions take part in a conversation like a system text.
func TestRecordOfInstructions(t *testing.T) {
	scope := session.Scope{Tenant: "t", Model: "m"}
	of := func(instructions string, messages ...openai.Message) session.Place {
		return recordOf(scope, messages, &attachments{}, instructions).NewChat()
	}
	hi := message("user", "Hi")
	alone, other := of("# F", hi), of("# G", hi)
	for name, test := range map[string]struct {
		a, b session.Place
		want bool
	}{
		"none, and some":           {of("", hi), alone, false},
		"others":                   {alone, other, false},
		"the same":                 {alone, of("# F", hi), true},
		"with a system text":       {alone, of("# F", message("system", "Be brief."), hi), false},
		"other, with system texts": {of("# G", message("system", "Be brief."), hi), of("# F", message("system", "Be brief."), hi), false},
		"a blank system text":      {alone, of("# F", message("system", " "), hi), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.a == test.b; got != test.want {
				t.Errorf("the same: %v, want %v", got, test.want)
			}
		})
	}
}
