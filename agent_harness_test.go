package caddyqwen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The tests in agent_*_test.go are of agents: programs that work with a model which
// calls their functions. The model is an emulated one of some obedience, see
// [emulator.Agent]; it knows what its prompts say, and nothing else.

// play has a model answer from now on.
func (g *gateway) play(model emulator.Agent) { g.site.Respond(model.Respond) }

// prompts are how many prompts the site has got so far.
func (g *gateway) prompts() int { return len(g.site.Completions()) }

// since returns what the site was asked after so many prompts.
func (g *gateway) since(n int) []emulator.Completion { return g.site.Completions()[n:] }

// oneChat checks that prompts went to one chat, each after the one before.
func oneChat(t testing.TB, turns []emulator.Completion) {
	t.Helper()
	for i, c := range turns {
		if c.ChatID != turns[0].ChatID || len(c.Context) != len(turns[0].Context)+i {
			t.Errorf("prompt %d knows %d turns in chat %s, the first one %d in %s", i, len(c.Context), c.ChatID, len(turns[0].Context), turns[0].ChatID)
		}
	}
}

// compact is the answer in one line, like String, without the spaces in the arguments:
// those that had to be repaired are written anew.
func (c completed) compact(t testing.TB) string {
	t.Helper()
	if c.err != nil {
		return c.String()
	}
	parts := []string{strconv.Quote(c.Choices[0].Message.Content)}
	for _, call := range c.Choices[0].Message.ToolCalls {
		parts = append(parts, call.Function.Name+compactJSON(t, call.Function.Arguments))
	}
	return strings.Join(append(parts, c.Choices[0].FinishReason), " ")
}

// compactJSON is JSON without spaces.
func compactJSON(t testing.TB, text string) string {
	t.Helper()
	raw := jsontext.Value(text)
	if err := raw.Compact(); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return string(raw)
}

// resultsIn returns the results that a prompt shows the model: names, ids and texts.
func resultsIn(c emulator.Completion) []emulator.Result {
	return emulator.Agent{}.View(emulator.Completion{Content: c.Content}).Results
}

// working is an agent: what it has said and heard so far, and how it works.
type working struct {
	g        *gateway
	streamed bool
	params   openai.ChatCompletionNewParams
	// run returns what a function returns. Default: that it is done.
	run     func(call openai.ChatCompletionMessageToolCallUnion) string
	options []option.RequestOption
	// reversed tells that the results of calls are sent in the other order.
	reversed bool
}

// step asks once. It returns what has come, and runs what was called.
func (a *working) step() completed {
	a.g.t.Helper()
	answer := a.g.complete(a.g.t.Context(), a.streamed, a.params, a.options...)
	if answer.err != nil {
		a.g.t.Fatalf("%d messages: %v", len(a.params.Messages), answer.err)
	}
	a.take(answer)
	return answer
}

// take keeps an answer, and runs what was called. It reports whether anything was.
func (a *working) take(answer completed) bool {
	if answer.err != nil {
		return false
	}
	message := answer.Choices[0].Message
	a.params.Messages = append(a.params.Messages, message.ToParam())
	calls := slices.Clone(message.ToolCalls)
	if a.reversed {
		slices.Reverse(calls)
	}
	for _, call := range calls {
		result := "done"
		if a.run != nil {
			result = a.run(call)
		}
		a.params.Messages = append(a.params.Messages, openai.ToolMessage(result, call.ID))
	}
	return len(calls) > 0
}

// say lets the user say something.
func (a *working) say(text string) {
	a.params.Messages = append(a.params.Messages, openai.UserMessage(text))
}

// work goes on until an answer has no calls, and returns that answer and how many had.
func (a *working) work() (last completed, rounds int) {
	a.g.t.Helper()
	for ; rounds < 1000; rounds++ {
		if last = a.step(); len(last.Choices[0].Message.ToolCalls) == 0 {
			return last, rounds
		}
	}
	a.g.t.Fatal("the work does not end")
	return last, rounds
}

// step is a function that takes the number of the step.
var stepTool = function("step", "Does one step.", map[string]any{
	"type": "object", "required": []string{"n"}, "properties": map[string]any{"n": map[string]any{"type": "integer"}},
})

// stepping is an agent that has steps to do.
func (g *gateway) stepping(streamed bool) *working {
	return &working{g: g, streamed: streamed, params: offering("Do all the steps.", stepTool, search)}
}

// numberOf is the argument of a call of the function step.
func numberOf(t testing.TB, call openai.ChatCompletionMessageToolCallUnion) int {
	t.Helper()
	return mustParse[struct{ N int }](t, call.Function.Arguments).N
}

// stepCalls are calls of the function step with these numbers.
func stepCalls(numbers ...int) (list []emulator.Call) {
	for _, n := range numbers {
		list = append(list, emulator.Call{Name: "step", Arguments: fmt.Sprintf(`{"n": %d}`, n)})
	}
	return list
}

// mustOnly checks that a text has some parts and does not have others.
func mustOnly(t testing.TB, text string, parts, others []string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in %.300q", p, text)
		}
	}
	for _, o := range others {
		if strings.Contains(text, o) {
			t.Errorf("%q is in %.300q", o, text)
		}
	}
}
