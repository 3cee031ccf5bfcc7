package emulator

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAgentJSON(t *testing.T) {
	const good, wrong = `{"city":"Bergen","n":7}`, `{"city":12345,"n":"not a number"}`
	tested := 0
	for style, want := range map[Style]said{
		StylePerfect:       {text: good},
		StyleChatty:        {text: "Sure, I can do that {no problem}. Is 1 < 2? It is, so here you go:\n\n" + good + "\n\nLet me know if you need anything else!"},
		StyleChinese:       {text: "好的，我马上为您处理。请看：\n" + good + "\n以上就是我的操作，请稍等。"},
		StyleLate:          {text: prose(8<<10) + "\n\n" + good},
		StyleFenced:        {text: "```json\n" + good + "\n```"},
		StyleFencedXML:     {text: "```json\n" + good + "\n```"},
		StyleFencedInside:  {text: "```json\n" + good + "\n```"},
		StyleBare:          {text: good},
		StyleFunctionXML:   {text: good},
		StyleSingleQuotes:  {text: `{'city': 'Bergen', 'n': 7}`},
		StyleUnclosed:      {text: `{"city":"Bergen","n":7`},
		StyleTruncated:     {text: `{"city":"Bergen","n":`},
		StyleWrongName:     {text: good},
		StyleWrongTypes:    {text: wrong},
		StyleTwoCalls:      {text: good + "\n" + good},
		StyleThinkThenCall: {text: good, thinking: "It has to be JSON. " + good},
		StyleThinkOnly:     {thinking: good},
		StyleHalfTag:       {text: good + "\n<tool_c"},
		StyleIgnores:       {text: "I would rather say it in words: it depends."},
		StyleAnnounces:     {text: "I would rather say it in words: it depends."},
		StyleDefiant:       {text: "I would rather say it in words: it depends."},
	} {
		for _, persistence := range []Persistence{Once, Always} {
			srv := mustStart(t, Options{})
			srv.Respond(Agent{Style: style, Persistence: persistence}.Respond)
			k := mustTalk(t, srv)
			if got := k.ask("What is the rain of Bergen?" + asJSON); got.text != want.text || got.thinking != want.thinking {
				t.Errorf("%s: got %+v\nwant %+v", style, got, want)
			}
			after := want
			if persistence == Once {
				after = said{text: good}
			}
			if got := k.ask(correction); got.text != after.text || got.thinking != after.thinking {
				t.Errorf("%s, corrected: got %+v\nwant %+v", style, got, after)
			}
		}
		tested++
	}
	if len(Styles()) != tested {
		t.Error("a style is not tested")
	}
}

// What a plan says is given if it is JSON.
func TestAgentJSONOfThePlan(t *testing.T) {
	for _, tc := range []struct{ text, note, want string }{
		{`{"city":"Rome","n":1}`, asJSON, `{"city":"Rome","n":1}`},
		{`words`, asJSON, `{"city":"Bergen","n":7}`},
		{`words "here"`, "\n\n[For this answer: Write a JSON object.]", `{"answer":"words \"here\""}`},
		{`words`, "\n\n(JSON or not?)", "words"},
	} {
		srv := mustStart(t, Options{})
		srv.Respond(Agent{Plan: Script(Move{Text: tc.text})}.Respond)
		if got := mustTalk(t, srv).ask("What is the rain of Bergen?" + tc.note); got.text != tc.want {
			t.Errorf("%s, %s: %s", tc.text, tc.note, got.text)
		}
	}
}

func TestSample(t *testing.T) {
	for schema, want := range map[string][2]string{ // a good one, a wrong one
		``:                       {`{}`, `null`},
		`{}`:                     {`"Rome"`, `"Rome"`},
		`{"type":"object"}`:      {`{}`, `{}`},
		`{"type":"array"}`:       {`[null]`, `[null]`},
		`{"enum":["b","a"]}`:     {`"b"`, `"b"`},
		`{"const":{"x":1}}`:      {`{"x":1}`, `{"x":1}`},
		`{"type":["null","x"]}`:  {`null`, `null`},
		`{"type":"boolean"}`:     {`true`, `true`},
		`{"properties":{"a":7}}`: {`{"a":null}`, `{"a":null}`},
		`{"type":"object","properties":{"z":{"type":"integer","minimum":3},"a":{"type":"boolean"}}}`:                                         {`{"z":3,"a":true}`, `{"z":"not a integer","a":"not a boolean"}`},
		`{"type":"object","properties":{"z":{"type":"string","minLength":6},"a":{}},"required":["z"]}`:                                       {`{"z":"Rome.."}`, `{"z":12345}`},
		`{"type":"object","properties":{"l":{"type":"array","minItems":2,"items":{"enum":[1]}}}}`:                                            {`{"l":[1,1]}`, `{"l":12345}`},
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"x":{"type":"null"}}}}}`:                                            {`{}`, `12345`},
		`{"type":"object","properties":{"x":{"$ref":"#/$defs/n"}},"$defs":{"n":{"anyOf":[{"type":"number"},{"type":"null"}]}}}`:              {`{"x":7}`, `{"x":"not a number"}`},
		`{"type":"object","properties":{"c":{"$ref":"#"}},"required":["c"]}`:                                                                 {strings.Repeat(`{"c":`, 7) + "null" + strings.Repeat("}", 7), `{"c":12345}`},
		`{"type":"object","properties":{"c":{"$ref":"#/$defs/none"},"d":{"oneOf":[{"const":1}]},"e":{"allOf":[{"type":"string"}]}}}`:         {`{"c":null,"d":1,"e":"Rome"}`, `{"c":null,"d":12345,"e":12345}`},
		`{"type":"object","properties":{"o":{"type":"object","properties":{"p":{"type":"string"},"q":{"type":"string"}},"required":["q"]}}}`: {`{"o":{"q":"Rome"}}`, `{"o":12345}`},
	} {
		v := View{Question: "How is Rome?"}
		got := [2]string{v.sample(schema), (&writer{view: &v}).wrong(schema)}
		if got != want {
			t.Errorf("%s: %s, want %s", schema, got, want)
		}
		for _, text := range got {
			if !json.Valid([]byte(text)) {
				t.Errorf("%s is no JSON", text)
			}
		}
	}
}

func TestSampleWord(t *testing.T) {
	for question, want := range map[string]string{
		"How is the weather in Oslo?": "Oslo", "how are you": "example", "": "example", "Oslo.": "example",
		"Go to Rome. Then stop": "Rome", "Is Zürich nice? Or Ürgüp": "Ürgüp", "a <B> c": "example",
	} {
		v := View{Question: question}
		if got := v.sample(`{"type":"string"}`); got != `"`+want+`"` {
			t.Errorf("%s: %s", question, got)
		}
	}
}
