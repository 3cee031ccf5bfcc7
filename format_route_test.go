package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// person is the schema of a structured answer.
var person = map[string]any{
	"type": "object", "required": []string{"name", "age"}, "additionalProperties": false,
	"properties": map[string]any{"name": map[string]any{"type": "string"}, "age": map[string]any{"type": "integer"}},
}

func asObject(p *openai.ChatCompletionNewParams) {
	p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
}

func asText(p *openai.ChatCompletionNewParams) {
	p.ResponseFormat.OfText = &shared.ResponseFormatTextParam{}
}

func asPerson(p *openai.ChatCompletionNewParams) {
	p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "person", Schema: person, Strict: openai.Bool(true)},
	}
}

// The client gets JSON, whatever the model writes around it.
func TestFormatAnswered(t *testing.T) {
	const ada = `{"name": "Ada", "age": 36}`
	cases := []struct {
		name    string
		format  func(*openai.ChatCompletionNewParams)
		answers []string
		want    string // of both modes, unless streamed is set
		stream  string
	}{
		{"SO-01 text", asText, []string{"Hello {you}."}, `"Hello {you}." stop`, ""},
		{"SO-01 an object", asObject, []string{ada}, wanted(ada), ""},
		{"SO-03 a fence", asObject, []string{"```json\n" + ada + "\n```"}, wanted(ada), ""},
		{"SO-03 prose around", asPerson, []string{"Here {it} is:\n```\n" + ada + "\n```\nAnything else?"}, wanted(ada), ""},
		{"SO-03 Chinese prose", asPerson, []string{"好的：" + ada + "希望有帮助。"}, wanted(ada), ""},
		{"prose, then JSON", asPerson, []string{"She is Ada.", ada}, wanted(ada), ""},
		{"never JSON", asPerson, []string{"She is Ada.", "She is Ada."}, "error response_format_unsatisfied", ""},
		{"the schema, then right", asPerson, []string{`{"name": "Ada"}`, ada}, wanted(ada), "error response_format_unsatisfied"},
		{"never the schema", asPerson, []string{`{"name": "Ada"}`, `{"name": "Ada"}`}, "error response_format_unsatisfied", "error response_format_unsatisfied"},
	}
	bothModes(t, func(t *testing.T, g *gateway, streamed bool) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				answers, want := c.answers, c.want
				if streamed && c.stream != "" {
					answers, want = c.answers[:1], c.stream // what is sent cannot be taken back
				}
				g.says(3, answers...)
				params := offering("Who is it?")
				c.format(&params)
				if got := g.complete(t.Context(), streamed, params).String(); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				g.slotsFree()
			})
		}
	})
}

func wanted(text string) string { return fmt.Sprintf("%q stop", text) }

// SO-02: the schema reaches the model, at the end of the turn, and takes no part in
// where the conversation goes on.
func TestFormatReachesTheModel(t *testing.T) {
	g := mustGateway(t, setup{})
	params := offering("Who is it?")
	asPerson(&params)
	g.says(9, `{"name": "Ada", "age": 36}`, "In London.")
	answer := g.complete(t.Context(), false, params)
	if _, prompt := g.seen(); !strings.HasPrefix(prompt, "Who is it?\n\n") || !strings.Contains(prompt, `"additionalProperties":false`) {
		t.Errorf("the prompt is %q", prompt)
	}
	params.Messages = append(params.Messages, answer.Choices[0].Message.ToParam(), openai.UserMessage("Where was she born?"))
	asText(&params)
	params.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{}
	g.complete(t.Context(), false, params)
	if _, prompt := g.seen(); prompt != "Where was she born?" || g.requested(emulator.EndpointNewChat) != 1 {
		t.Errorf("the second prompt is %q", prompt)
	}
}

// Where functions are offered as well, the demand of JSON does not keep the model from calling
// them.
func TestFormatBesideTools(t *testing.T) {
	const json, calls = "Write one JSON object", "write their <tool_call> blocks instead"
	for name, c := range map[string]struct {
		choice      func(*openai.ChatCompletionNewParams)
		json, calls bool
	}{
		"auto": {auto, true, true}, "none": {none, true, false}, "required": {required, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			params := offering("Who is it?", weather)
			asPerson(&params)
			c.choice(&params)
			g.complete(t.Context(), false, params)
			if _, prompt := g.seen(); strings.Contains(prompt, json) != c.json || strings.Contains(prompt, calls) != c.calls {
				t.Errorf("the prompt is %q", prompt)
			}
		})
	}
}

// JSON that is streamed comes while it is written, not at its end.
func TestFormatStreamsLive(t *testing.T) {
	g := mustGateway(t, setup{})
	gate := make(chan struct{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("Sure:\n```json\n{\"name\": \"Ada"), emulator.Wait(gate),
		emulator.Answer("\", \"age\": 36}\n```"), emulator.Finish()))
	resp := g.send(t.Context(), http.MethodPost, chatPath, chatBody("Who?", `"stream":true,"response_format":{"type":"json_object"}`))
	defer resp.Body.Close()
	buf := make([]byte, 4096)
	got := ""
	for !strings.Contains(got, "Ada") {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += string(buf[:n])
	}
	close(gate)
}

// Stop sequences and the limit of tokens end an answer here, and on the site.
func TestAnswerCutOff(t *testing.T) {
	cases := []struct {
		name, fields string
		want         string
		stopped      bool
	}{
		{"a stop sequence", `"stop":"Observation:"`, `"Thought. " stop`, true},
		{"the first of several", `"stop":["never","ion","Obs"]`, `"Thought. " stop`, true},
		{"none comes", `"stop":["never"]`, `"Thought. Observation: 1 2 3" stop`, false},
		{"the start of one at the end", `"stop":["3 4"]`, `"Thought. Observation: 1 2 3" stop`, false},
		{"max_tokens", `"max_tokens":4`, `"Thought. Obs" length`, true},
		{"max_completion_tokens", `"max_completion_tokens":2,"max_tokens":50`, `"Though" length`, true},
		{"enough tokens", `"max_tokens":50`, `"Thought. Observation: 1 2 3" stop`, false},
	}
	for _, c := range cases {
		for _, streamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, streamed %t", c.name, streamed), func(t *testing.T) {
				g := mustGateway(t, setup{})
				g.counted("Thought. Observation: 1 2 3", 3)
				got := g.askedFor("Think.", c.fields, streamed)
				if got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				g.slotsFree()
				if n := len(g.site.Stops()); (n == 1) != c.stopped {
					t.Errorf("the site was told %d times to stop", n)
				}
			})
		}
	}
}

// Of what the site has sent since it last counted, the tokens are estimated.
func TestAnswerCutOffUncounted(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, streamed := range []bool{false, true} {
		g.site.Reply(emulator.Stream(emulator.Created(), emulator.Count(10, 2, 0), emulator.Answer("One two "), emulator.Frame(`{"choices":[{"delta":{"content":"three four five six seven eight nine ten","phase":"answer","status":"typing"}}]}`), emulator.Finish()))
		if got := g.askedFor("Count.", `"max_tokens":5`, streamed); got != `"One two three four f" length` {
			t.Errorf("got %s", got)
		}
	}
}

// counted makes the site answer in pieces of n characters, each of one token.
func (g *gateway) counted(text string, n int) {
	steps := []emulator.Step{emulator.Created()}
	for i, piece := range inPieces(text, n) {
		steps = append(steps, emulator.Count(10, i+1, 0), emulator.Answer(piece))
	}
	g.site.Reply(emulator.Stream(append(steps, emulator.Finish())...))
}

// askedFor is the answer to a request with fields, in one line.
func (g *gateway) askedFor(prompt, fields string, streamed bool) string {
	g.t.Helper()
	r := g.chat(prompt, fmt.Sprintf(`"stream":%t,%s`, streamed, fields))
	if !streamed {
		return completed{ChatCompletion: mustParse[openai.ChatCompletion](g.t, r.body)}.String()
	}
	var all openai.ChatCompletionAccumulator
	for _, data := range events(g.t, r.body) {
		if data != "[DONE]" && !all.AddChunk(mustParse[openai.ChatCompletionChunk](g.t, data)) {
			g.t.Fatal("a chunk does not fit to the others")
		}
	}
	return completed{ChatCompletion: all.ChatCompletion}.String()
}
