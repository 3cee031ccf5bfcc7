package emulator

import (
	"encoding/json"
	"strings"
	"testing"
)

// An agent without a plan calls what the question is about, else the first function.
func TestAgentWithoutAPlan(t *testing.T) {
	for prompt, want := range map[string]string{
		question("What is the next step?"):      block("step", `{"n":7}`),
		question("Hello Oslo"):                  block("weather", `{"city":"Oslo"}`),
		"Hello Oslo":                            "This is a canned answer of the emulator. You said: Hello Oslo",
		question("") + result("step", "1", "x"): "The last result is: x",
	} {
		srv := mustStart(t, Options{})
		srv.Respond(Agent{}.Respond)
		if got := mustTalk(t, srv).ask(prompt); got.text != want {
			t.Errorf("%.40q: %s", prompt, got.text)
		}
	}
}

func TestScriptQuotesTheResult(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Respond(Agent{Plan: Script(Move{Text: "First: $result."}, Move{Text: "I have <$result> and $result."})}.Respond)
	k := mustTalk(t, srv)
	if got := k.ask("hi"); got.text != "First: ." {
		t.Errorf("without results: %s", got.text)
	}
	if got := k.ask(result("f", "1", "rain") + "\n" + result("f", "2", "snow")); got.text != "I have <snow> and snow." {
		t.Errorf("with results: %s", got.text)
	}
}

// A model that thinks does so before it calls, and the tokens are counted.
func TestAgentThinks(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Respond(Agent{Plan: oslo}.Respond)
	k := mustTalk(t, srv)
	k.edit = func(_, m map[string]any) { feature(m)["thinking_enabled"] = true }
	got := k.ask(question("Weather?"))
	if got.thinking == "" || strings.Contains(got.thinking, "tool_call") || got.text != block("weather", osloArguments) {
		t.Errorf("%+v", got)
	}
}

func TestWritersOfText(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"it's"}`: `{'a': "it's"}`, `"both ' and \""`: `'both \' and "'`, `"a\n\\"`: `'a\n\\'`,
		`[1.5e3,false,{}]`: `[1.5e3, False, {}]`, `""`: `''`,
	} {
		if got := pythonic(json.RawMessage(text)); got != want {
			t.Errorf("pythonic(%s) = %s", text, got)
		}
	}
	for text, want := range map[string]string{`{"a:b":1}`: `{"a:b":`, `{"a":"x:\":"}`: `{"a":`, `[1,2]`: `[1`, `{"a":1,"b":"c"}`: `{"a":1,"b":`} {
		if got := truncated(text); got != want {
			t.Errorf("truncated(%s) = %s", text, got)
		}
	}
	one := View{Functions: []DeclaredTool{{Name: "f"}}}
	if got := one.another(Call{"f", `{"x":1}`}); got != (Call{"f", `{"x":1}`}) {
		t.Errorf("another: %+v", got)
	}
}
