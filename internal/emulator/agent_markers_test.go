package emulator

import (
	"strings"
	"testing"
)

func TestCallMarker(t *testing.T) {
	k := mustTalk(t, mustStart(t, Options{}))
	const marker = `[[emulator:call weather {"city":"Rome"}]]`
	call := block("weather", `{"city":"Rome"}`)
	for i, tc := range []struct{ prompt, want string }{
		{question(marker), call},
		{correction, call},
		{result("weather", "1", "rain"), "The last result is: rain"},
		{"Thanks", "This is a canned answer of the emulator. I remember 3 earlier turns of this chat. You said: Thanks"},
		// The whole conversation in one prompt.
		{"<user>\n" + marker + "\n</user>\n<assistant>\n" + call + "\n</assistant>\n" + result("weather", "1", "snow"), "The last result is: snow"},
	} {
		if got := k.ask(tc.prompt); got.text != tc.want {
			t.Errorf("%d: %s", i, got.text)
		}
	}
}

func TestStyleMarker(t *testing.T) {
	good, bad := block("weather", `{"city":"Oslo"}`), "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\":"
	for arg, want := range map[string][]string{
		"truncated":           {bad, good, "The last result is: rain", good},
		"truncated each-turn": {bad, good, "The last result is: rain", bad},
		"truncated always":    {bad, bad, "The last result is: rain", bad},
	} {
		k := mustTalk(t, mustStart(t, Options{}))
		for i, prompt := range []string{
			question("[[emulator:style " + arg + "]] The weather in Oslo?"), correction, result("weather", "1", "rain"), "The weather in Oslo?",
		} {
			if got := k.ask(prompt); got.text != want[i] {
				t.Errorf("%s, turn %d: %s", arg, i, got.text)
			}
		}
	}
}

// The default responder does what is demanded, and is canned otherwise.
func TestCannedAnswersWithFunctions(t *testing.T) {
	weather := block("weather", `{"city":"Oslo"}`)
	for name, tc := range map[string]struct{ prompt, want string }{
		"about a function":              {question("How is the Weather in Oslo?"), weather},
		"about none":                    {question("How are you in Oslo?"), "canned"},
		"about one that is forbidden":   {question("How is the weather in Oslo?") + forbidden, "canned"},
		"demanded":                      {question("How are you in Oslo?") + required, weather},
		"JSON":                          {question("How are you in Oslo?") + asJSON, `{"city":"Oslo","n":7}`},
		"a result":                      {question("How is the weather?") + "\n" + result("weather", "1", "sun"), "The last result is: sun"},
		"a correction out of the blue":  {correction, "canned"},
		"no functions":                  {"How is the weather in Oslo?", "canned"},
		"a word on <tool_call> in text": {"What does <tool_call> mean?", "canned"},
	} {
		got := mustTalk(t, mustStart(t, Options{})).ask(tc.prompt).text
		if tc.want == "canned" && !strings.HasPrefix(got, "This is a canned answer of the emulator.") || tc.want != "canned" && got != tc.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
