package openai

import (
	"math"
	"strings"
	"testing"
)

func TestParseChatThinking(t *testing.T) {
	var (
		unset = Thinking{}
		off   = Thinking{Set: true}
		on    = Thinking{Set: true, Enabled: true}
		auto  = Thinking{Set: true, Enabled: true, Auto: true}
	)
	within := func(budget int) Thinking { return Thinking{Set: true, Enabled: true, Budget: budget} }
	tests := []struct {
		name, fields string
		want         Thinking
	}{
		{"RE-07 nothing", ``, unset},
		{"RE-07 enable_thinking on", `"enable_thinking":true`, on},
		{"RE-07 enable_thinking off", `"enable_thinking":false`, off},
		{"CN-13 enable_thinking null", `"enable_thinking":null`, unset},
		{"RE-07 template on", `"chat_template_kwargs":{"enable_thinking":true,"other":1}`, on},
		{"RE-07 template off", `"chat_template_kwargs":{"enable_thinking":false}`, off},
		{"CN-13 template null", `"chat_template_kwargs":null`, unset},
		{"CN-13 template with nulls", `"chat_template_kwargs":{"enable_thinking":null,"thinking_budget":null}`, unset},
		{"RE-07 type enabled", `"thinking":{"type":"enabled"}`, on},
		{"RE-07 type disabled", `"thinking":{"type":"disabled"}`, off},
		{"RE-07 type auto", `"thinking":{"type":"auto"}`, auto},
		{"RE-07 type adaptive", `"thinking":{"type":"adaptive","display":"summarized"}`, auto},
		{"CN-13 thinking null", `"thinking":null`, unset},
		{"CN-13 type null", `"thinking":{"type":null}`, unset},
		{"RE-07 effort none", `"reasoning_effort":"none"`, off},
		{"RE-07 effort minimal", `"reasoning_effort":"minimal"`, off},
		{"RE-07 effort low", `"reasoning_effort":"low"`, on},
		{"RE-07 effort medium", `"reasoning_effort":"medium"`, on},
		{"RE-07 effort high", `"reasoning_effort":"high"`, on},
		{"RE-07 effort xhigh", `"reasoning_effort":"xhigh"`, on},
		{"RE-07 effort max", `"reasoning_effort":"max"`, on},
		{"RE-07 effort auto", `"reasoning_effort":"auto"`, auto},
		{"CN-13 effort empty", `"reasoning_effort":""`, unset},
		{"RE-07 reasoning effort", `"reasoning":{"effort":"high","summary":"auto"}`, on},
		{"RE-07 reasoning effort none", `"reasoning":{"effort":"none"}`, off},
		{"RE-07 reasoning effort auto", `"reasoning":{"effort":"auto"}`, auto},
		{"RE-07 reasoning enabled", `"reasoning":{"enabled":true}`, on},
		{"RE-07 reasoning disabled", `"reasoning":{"enabled":false}`, off},
		{"CN-13 reasoning null", `"reasoning":null`, unset},
		{"CN-13 reasoning with nulls", `"reasoning":{"effort":null,"enabled":null,"max_tokens":null}`, unset},

		{"RE-08 budget alone", `"thinking_budget":1000`, within(1000)},
		{"RE-08 no budget", `"thinking_budget":0`, unset},
		{"RE-08 budget in the template", `"chat_template_kwargs":{"thinking_budget":1000}`, within(1000)},
		{"RE-08 budget in thinking", `"thinking":{"type":"enabled","budget_tokens":1000}`, within(1000)},
		{"RE-08 budget in reasoning", `"reasoning":{"max_tokens":1000}`, within(1000)},
		{"RE-08 budget with a switch elsewhere", `"enable_thinking":true,"reasoning":{"max_tokens":1000}`, within(1000)},
		{"RE-08 budget although off", `"enable_thinking":false,"thinking_budget":1000`, off},
		{"RE-08 budget with auto", `"thinking":{"type":"auto","budget_tokens":5}`, Thinking{Set: true, Enabled: true, Auto: true, Budget: 5}},
		{"RE-08 the most explicit budget", `"reasoning":{"max_tokens":4},"thinking":{"budget_tokens":3},"chat_template_kwargs":{"thinking_budget":2},"thinking_budget":1`, within(1)},
		{"RE-08 zero yields", `"thinking_budget":0,"thinking":{"budget_tokens":3},"reasoning":{"max_tokens":4}`, within(3)},
		{"J18 above any cap", `"thinking_budget":9000000000000`, within(math.MaxInt32)},
		{"J12 whole number in another notation", `"thinking_budget":1e3`, within(1000)},

		{"RE-07 enable_thinking before template", `"chat_template_kwargs":{"enable_thinking":true},"enable_thinking":false`, off},
		{"RE-07 template before thinking", `"thinking":{"type":"disabled"},"chat_template_kwargs":{"enable_thinking":true}`, on},
		{"RE-07 thinking before reasoning_effort", `"reasoning_effort":"high","thinking":{"type":"disabled"}`, off},
		{"RE-07 reasoning_effort before reasoning", `"reasoning":{"enabled":false},"reasoning_effort":"auto"`, auto},
		{"RE-07 enabled before effort", `"reasoning":{"enabled":false,"effort":"high"}`, off},
		{"RE-07 enabled before effort, the other way round", `"reasoning":{"effort":"none","enabled":true}`, on},
		{"RE-07 an empty switch yields", `"thinking":{"type":""},"reasoning_effort":"none"`, off},
		{"RE-07 all at once", `"enable_thinking":true,"chat_template_kwargs":{"enable_thinking":false},"thinking":{"type":"disabled"},"reasoning_effort":"none","reasoning":{"enabled":false}`, on},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(test.fields)).Thinking; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseChatRefusesWrongThinking(t *testing.T) {
	runRefusals(t, []refusal{
		{"RE-07 unknown effort", chatWith(`"reasoning_effort":"extreme"`), codeInvalid, "reasoning_effort"},
		{"RE-07 effort is a number", chatWith(`"reasoning_effort":3`), codeInvalid, "reasoning_effort"},
		{"RE-07 effort in upper case", chatWith(`"reasoning_effort":"HIGH"`), codeInvalid, "reasoning_effort"},
		{"RE-07 unknown effort in reasoning", chatWith(`"reasoning":{"effort":"extreme"}`), codeInvalid, "reasoning.effort"},
		{"RE-07 reasoning is a string", chatWith(`"reasoning":"high"`), codeInvalid, "reasoning"},
		{"RE-07 reasoning enabled is a string", chatWith(`"reasoning":{"enabled":"yes"}`), codeInvalid, "reasoning.enabled"},
		{"RE-07 unknown type", chatWith(`"thinking":{"type":"on"}`), codeInvalid, "thinking.type"},
		{"RE-07 type is a boolean", chatWith(`"thinking":{"type":true}`), codeInvalid, "thinking.type"},
		{"RE-07 thinking is a boolean", chatWith(`"thinking":true`), codeInvalid, "thinking"},
		{"RE-07 enable_thinking is a string", chatWith(`"enable_thinking":"true"`), codeInvalid, "enable_thinking"},
		{"RE-07 template is a string", chatWith(`"chat_template_kwargs":"x"`), codeInvalid, "chat_template_kwargs"},
		{"RE-07 template switch is a string", chatWith(`"chat_template_kwargs":{"enable_thinking":"no"}`), codeInvalid, "chat_template_kwargs.enable_thinking"},
		{"J18 negative budget", chatWith(`"thinking_budget":-1`), codeInvalid, "thinking_budget"},
		{"J12 budget is a fraction", chatWith(`"thinking_budget":1.5`), codeInvalid, "thinking_budget"},
		{"J12 huge budget", chatWith(`"thinking_budget":99999999999999999999`), codeInvalid, "thinking_budget"},
		{"J12 budget is a string", chatWith(`"thinking_budget":"many"`), codeInvalid, "thinking_budget"},
		{"J18 negative budget in the template", chatWith(`"chat_template_kwargs":{"thinking_budget":-1}`), codeInvalid, "chat_template_kwargs.thinking_budget"},
		{"J18 negative budget in thinking", chatWith(`"thinking":{"budget_tokens":-1}`), codeInvalid, "thinking.budget_tokens"},
		{"J18 negative budget in reasoning", chatWith(`"reasoning":{"max_tokens":-1}`), codeInvalid, "reasoning.max_tokens"},
	})
}

func TestParseChatNamesUnknownEfforts(t *testing.T) {
	for field, value := range map[string]string{
		`"reasoning_effort":"extreme"`:     `"extreme"`,
		`"thinking":{"type":"on\n"}`:       `"on\n"`,
		`"reasoning":{"effort":"max max"}`: `"max max"`,
	} {
		if e := mustRefuse(t, chatWith(field), Limits{}); !strings.Contains(e.Message, value) {
			t.Errorf("%s: %s", field, e.Message)
		}
	}
}
