package session

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// turnOf is a turn of a conversation that a client plays.
type turnOf struct {
	asked     []Message // what the client adds before the reply
	reasoning string
	text      string // of the reply
	calls     []Call // of the reply
}

// client is how a client sends replies back. HI-10: whatever it does to them,
// the conversation goes on.
type client struct {
	name string
	// back makes what is sent back of a reply. newest tells that no later reply
	// is in the list.
	back  func(turn turnOf, newest bool) Message
	turns []turnOf
	// calling makes what the client makes of a reply that calls tools. nil: it adds
	// the calls as they came.
	calling func(m Message) Message
}

// again is a reply as the client sends it back, its calls included.
func (c *client) again(turn turnOf, newest bool) Message {
	m := c.back(turn, newest)
	m.Calls = slices.Clone(turn.calls)
	if len(m.Calls) > 0 && c.calling != nil {
		m = c.calling(m)
	}
	return m
}

var clients = []client{
	{name: "SDKs, as it came", back: func(turn turnOf, _ bool) Message { return assistant(turn.text) }, turns: plain},
	{name: "Open WebUI, stripped", back: func(turn turnOf, _ bool) Message { return assistant(strings.TrimSpace(turn.text)) }, turns: thought},
	{name: "Open WebUI, tool loop", back: func(turn turnOf, _ bool) Message {
		return assistant("<think>" + turn.reasoning + "</think>\n" + strings.TrimSpace(turn.text))
	}, turns: thought},
	{name: "Open WebUI, older messages", back: openWebUIDetails, turns: thought},
	{name: "Open WebUI, details but for the newest", back: func(turn turnOf, newest bool) Message {
		if newest {
			return assistant(strings.TrimSpace(turn.text))
		}
		return openWebUIDetails(turn, newest)
	}, turns: thought},
	{name: "Dify", back: func(turn turnOf, _ bool) Message {
		return assistant("<think>\n" + turn.reasoning + "\n</think>" + turn.text)
	}, turns: thought},
	{name: "NextChat, lines", back: func(turn turnOf, _ bool) Message {
		return assistant("> " + strings.ReplaceAll(turn.reasoning, "\n", "\n> ") + "\n\n" + turn.text)
	}, turns: thought},
	{name: "NextChat, paragraphs", back: func(turn turnOf, _ bool) Message {
		return assistant("> " + strings.ReplaceAll(turn.reasoning, "\n\n", "\n\n> ") + "\n\n" + turn.text)
	}, turns: thought},
	{name: "NextChat, first line only", back: func(turn turnOf, _ bool) Message {
		return assistant("> " + turn.reasoning + "\n\n" + turn.text)
	}, turns: thought},
	{name: "AI SDK", back: func(turn turnOf, _ bool) Message { return assistant(turn.text) }, turns: functions(Message{Role: "assistant"})},
	{name: "Cherry Studio, functions", back: func(turn turnOf, _ bool) Message { return assistant(turn.text) }, turns: functions(assistant("I look it up."))},
	{name: "Cherry Studio, prompt", back: func(turn turnOf, _ bool) Message { return assistant(turn.text) }, turns: toolTags},
	{name: "Cherry Studio, prompt, tags removed", back: func(turn turnOf, _ bool) Message { return assistant(withoutTags(turn.text)) }, turns: toolTags},
	{name: "Cherry Studio, prompt, old tags removed", back: func(turn turnOf, newest bool) Message {
		if newest {
			return assistant(turn.text)
		}
		return assistant(withoutTags(turn.text))
	}, turns: toolTags},
	{name: "Cherry Studio, prompt, thinking in front, tags removed", back: func(turn turnOf, _ bool) Message {
		return assistant("<think>" + turn.reasoning + "</think>" + withoutTags(turn.text))
	}, turns: toolTags},
	{name: "Continue", back: func(turn turnOf, _ bool) Message {
		if turn.text == "" {
			return assistant(" ")
		}
		return assistant(turn.text)
	}, turns: functions(assistant(" "))},
	{name: "Cursor", back: func(turn turnOf, _ bool) Message { return assistant(turn.text) }, turns: functions(Message{Role: "assistant"})},
	{name: "LangChain, parts", back: func(turn turnOf, _ bool) Message { return assistant(inParts(turn.text)) }, turns: thought},
	{name: "Anthropic, content blocks", back: func(turn turnOf, _ bool) Message { return assistant(inParts(strings.TrimRight(turn.text, " \n"))) }, turns: thought},
	{name: "Windows line ends", back: func(turn turnOf, _ bool) Message {
		return assistant(strings.ReplaceAll(turn.text, "\n", "\r\n"))
	}, turns: thought},
	{name: "SDKs, tools", back: asItCame, turns: tools},
	{name: "content null beside calls", back: asItCame, turns: tools, calling: withoutText},
	{name: "a space beside calls", back: asItCame, turns: tools, calling: func(m Message) Message {
		m.Text = " "
		return m
	}},
	{name: "arguments written anew", back: asItCame, turns: tools, calling: writtenAnew},
	{name: "content null, arguments written anew", back: asItCame, turns: tools, calling: func(m Message) Message {
		return writtenAnew(withoutText(m))
	}},
	{name: "Open WebUI, tools", back: func(turn turnOf, _ bool) Message {
		return assistant("<think>" + turn.reasoning + "</think>\n" + strings.TrimSpace(turn.text))
	}, turns: tools},
	{name: "NextChat, tools", back: func(turn turnOf, _ bool) Message {
		return assistant("> " + turn.reasoning + "\n\n" + turn.text)
	}, turns: tools},
}

func asItCame(turn turnOf, _ bool) Message { return assistant(turn.text) }

func withoutText(m Message) Message {
	m.Text = ""
	return m
}

// writtenAnew is a message of a client that reads the arguments of calls, and
// writes them by another library.
func writtenAnew(m Message) Message {
	for i := range m.Calls {
		var value map[string]any
		if err := json.Unmarshal([]byte(m.Calls[i].Arguments), &value); err != nil {
			panic(err)
		}
		written, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			panic(err)
		}
		m.Calls[i].Arguments = string(written)
	}
	return m
}

func openWebUIDetails(turn turnOf, _ bool) Message {
	quoted := strings.ReplaceAll(turn.reasoning, "\n", "\n> ")
	return assistant("<details type=\"reasoning\" done=\"true\" duration=\"2\">\n<summary>Thought for 2 seconds</summary>\n> " +
		quoted + "\n</details>\n" + strings.TrimSpace(turn.text))
}

// inParts is a text that came as several parts, which are joined by lines.
func inParts(text string) string { return strings.ReplaceAll(text, " ", "\n") }

// withoutTags takes out the tags that Cherry Studio reads calls of tools from.
func withoutTags(text string) string {
	for {
		before, rest, found := strings.Cut(text, "<tool_use>")
		_, after, closed := strings.Cut(rest, "</tool_use>")
		if !found || !closed {
			return text
		}
		text = before + after
	}
}

var plain = []turnOf{
	{asked: []Message{user("Hello")}, text: "Hello! How can I help you today?"},
	{asked: []Message{user("What is 1+1?")}, text: "2"},
	{asked: []Message{user("And why?")}, text: "Because.\n\n\tSo it is.\n"},
	{asked: []Message{user("OK")}, text: "OK"},
	{asked: []Message{user("OK")}, text: "OK"},
	{asked: []Message{user("你好")}, text: "  你好！\u3000有什么可以帮您？ "},
}

var thought = []turnOf{
	{asked: []Message{user("Hello")}, reasoning: "The user greets.\nI greet back.", text: "\n\nHello!\n"},
	{asked: []Message{user("What is 1+1?")}, reasoning: "> a quotation\n\n  1+1 is 2.\n\n- 2\n", text: "2"},
	{asked: []Message{user("Quote!")}, reasoning: "A quotation, then.", text: "> So it is\n> said.\n\nBy me."},
	{asked: []Message{user("OK")}, reasoning: "OK", text: "OK"},
	{asked: []Message{user("OK")}, reasoning: "OK", text: "OK"},
	{asked: []Message{user("你好")}, reasoning: "用户\u3000问好。", text: "你好！  有什么可以帮您？"},
}

var toolTags = []turnOf{
	{
		asked: []Message{user("The weather?")}, reasoning: "A tool.",
		text: "I look it up.\n<tool_use>\n<name>weather</name>\n<arguments>{\"city\": \"Bern\"}</arguments>\n</tool_use>\n",
	},
	{asked: []Message{user("<tool_use_result>\n<name>weather</name>\n<result>rain</result>\n</tool_use_result>")}, reasoning: "Rain.", text: "It rains in Bern."},
	{
		asked: []Message{user("And in Thun and Biel?")}, reasoning: "Two tools.",
		text: "<tool_use><name>weather</name><arguments>{\"city\":\"Thun\"}</arguments></tool_use> and <tool_use><name>weather</name><arguments>{\"city\":\"Biel\"}</arguments></tool_use>",
	},
	{asked: []Message{user("<tool_use_result>sun</tool_use_result>")}, reasoning: "Sun.", text: "The sun shines there. <b>Enjoy!</b>"},
	{asked: []Message{user("Thanks")}, reasoning: "Done.", text: "OK"},
}

// tools is a conversation in which the model calls tools: beside text, without any,
// several at once, and with the same arguments again.
var tools = []turnOf{
	{asked: []Message{user("The weather?")}, reasoning: "A tool.", text: "I look it up.", calls: []Call{{"weather", `{"unit":"C","city":"Zürich","days":1.50}`}}},
	{asked: []Message{tool("rain")}, reasoning: "Two more.", calls: []Call{{"weather", `{"city":"Thun"}`}, {"weather", `{"city":"Biel/Bienne"}`}}},
	{asked: []Message{tool("sun"), tool("snow")}, reasoning: "Again.", text: "I look it up.", calls: []Call{{"weather", `{"unit":"C","city":"Zürich","days":1.50}`}}},
	{asked: []Message{tool("rain")}, reasoning: "The time.", text: "And <b>now</b>\n\nthe time.", calls: []Call{{"now", "{}"}}},
	{asked: []Message{tool("12:00")}, reasoning: "Done.", text: "It rains in Zürich, the sun shines in Thun, and it snows in Biel."},
	{asked: []Message{user("Thanks")}, reasoning: "Done.", text: "OK"},
}

// functions is a conversation in which the client has called tools, some of
// them with the help of other models. called is how it sends a message that
// calls tools.
func functions(called Message) []turnOf {
	call := func(arguments string) Message {
		m := called
		m.Calls = []Call{{Name: "weather", Arguments: arguments}}
		return m
	}
	return []turnOf{
		{asked: []Message{user("The weather?"), call(`{"city":"Bern","unit":"C"}`), tool("rain")}, reasoning: "Rain.", text: "It rains in Bern."},
		{asked: []Message{user("And in Thun?"), call(`{"city":"Thun"}`), tool("sun")}, reasoning: "Sun.", text: "Sun"},
		{asked: []Message{user("Thanks")}, reasoning: "Done.", text: "You are welcome."},
		{asked: []Message{system("Be brief."), user("Bye")}, reasoning: "Bye.", text: "Bye"},
		{asked: []Message{user("Bye")}, reasoning: "Bye.", text: "Bye"},
	}
}

// sent is the list that the client sends for a turn.
func (c *client) sent(turn int) (messages []Message) {
	for i := range turn {
		messages = append(messages, c.turns[i].asked...)
		messages = append(messages, c.again(c.turns[i], i == turn-1))
	}
	return append(messages, c.turns[turn].asked...)
}

// TestClients plays a conversation with each client: every turn follows the one
// before, and only what is new is sent (HI-02, HI-03, HI-10).
func TestClients(t *testing.T) {
	for _, c := range clients {
		for _, systemText := range []string{"", "You are a helpful assistant."} {
			t.Run(c.name+"/"+map[bool]string{true: "no system", false: "system"}[systemText == ""], func(t *testing.T) {
				s := newSite(t)
				answers := c.play(s, systemText)
				c.regenerate(t, s, systemText, answers)
			})
		}
	}
}

// called reports whether there is a message of another model among these, after
// which the conversation counts as another one.
func called(messages []Message) bool {
	return slices.ContainsFunc(messages, func(m Message) bool { return m.Role == roleAssistant })
}

// play plays the whole conversation.
func (c *client) play(s *site, systemText string) []answer {
	s.t.Helper()
	var answers []answer
	for i, turn := range c.turns {
		messages := c.sent(i)
		a := s.ask(request{system: systemText, messages: messages, reasoning: turn.reasoning, text: turn.text, calls: turn.calls})
		if i == 0 {
			a.isNew(s.t)
		} else {
			a.follows(s.t, answers[i-1], len(messages)-len(turn.asked))
			a.is(s.t, called(turn.asked), false)
		}
		answers = append(answers, a)
	}
	return answers
}

// regenerate asks for each answer once more, the newest first: the place is
// found whatever has become of the replies in the middle (HI-07).
func (c *client) regenerate(t *testing.T, s *site, systemText string, answers []answer) {
	t.Helper()
	for i, turn := range slices.Backward(c.turns) {
		if i == 0 {
			return
		}
		messages := c.sent(i)
		a := s.ask(request{system: systemText, messages: messages, reasoning: "Again.", text: "Another answer.", aborted: true})
		a.follows(t, answers[i-1], len(messages)-len(turn.asked))
		a.is(t, true, false)
	}
}

// TestClientsTrim drops the oldest messages of the newest request of each client
// as far as the place can still be told.
func TestClientsTrim(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			answers := c.play(s, "You are brief.")
			for turn := 2; turn < len(c.turns); turn++ {
				before := c.turns[turn-1]
				if len([]rune(strings.Join(strings.Fields(withoutTags(before.text)), " "))) < minLong ||
					before.asked[len(before.asked)-1].Role != "user" {
					continue
				}
				whole := c.sent(turn)
				for cut := 1; cut < len(whole)-len(c.turns[turn].asked)-2; cut++ { // more than a question and its reply
					a := s.ask(request{system: "You are brief.", messages: whole[cut:], text: "So.", aborted: true})
					a.follows(t, answers[turn-1], len(whole)-cut-len(c.turns[turn].asked))
				}
			}
		})
	}
}

// TestClientsChangeSystem sends the conversations of each client with another
// system text.
func TestClientsChangeSystem(t *testing.T) {
	for _, c := range clients {
		for name, texts := range map[string][2]string{
			"changed": {"It is Monday.", "It is Tuesday."}, "added": {"", "It is Monday."}, "removed": {"It is Monday.", ""},
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				s := newSite(t)
				answers := c.play(s, texts[0])
				for turn := 1; turn < len(c.turns); turn++ {
					messages := c.sent(turn)
					a := s.ask(request{system: texts[1], messages: messages, text: "So.", aborted: true})
					last := messages[len(messages)-len(c.turns[turn].asked)-1]
					if e := last.entry(); !e.long || called(c.turns[turn].asked) || !answers[turn-1].record.Long {
						a.isNew(t)
						continue
					}
					a.follows(t, answers[turn-1], len(messages)-len(c.turns[turn].asked))
					a.is(t, true, true)
				}
			})
		}
	}
}
