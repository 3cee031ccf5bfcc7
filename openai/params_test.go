package openai

import (
	"slices"
	"strings"
	"testing"
)

func TestParseChatIgnored(t *testing.T) {
	tests := []struct {
		name, fields string
		want         []string
	}{
		{"nothing but the conversation", ``, nil},
		{"J17 harmless parameters have an effect elsewhere", `"seed":1,"presence_penalty":0.5,"frequency_penalty":-2`, []string{"frequency_penalty", "presence_penalty", "seed"}},
		{"CN-17 stop string", `"stop":"\n"`, []string{"stop"}},
		{"CN-17 stop list", `"stop":["a","b"]`, []string{"stop"}},
		{"CN-13 empty stop", `"stop":""`, nil},
		{"CN-13 stop list of nothing", `"stop":["",null]`, nil},
		{"CN-18 max_tokens", `"max_tokens":100`, []string{"max_tokens"}},
		{"CN-18 max_completion_tokens", `"max_completion_tokens":100`, []string{"max_completion_tokens"}},
		{"CN-18 no limit", `"max_tokens":0,"max_completion_tokens":null`, nil},
		{"J18 above any cap", `"max_tokens":9223372036854775807`, []string{"max_tokens"}},
		{"J12 whole numbers in other notations", `"max_tokens":1e3,"seed":-5.0,"n":1.0`, []string{"max_tokens", "seed"}},
		{"temperature", `"temperature":0.7`, []string{"temperature"}},
		{"temperature zero", `"temperature":0`, []string{"temperature"}},
		{"sampling at its defaults", `"temperature":1,"top_p":1.0,"presence_penalty":0,"frequency_penalty":0,"repetition_penalty":1,"min_p":0,"top_a":0,"typical_p":1,"top_k":0`, nil},
		{"sampling", `"top_p":0.9,"repetition_penalty":1.1,"min_p":0.1,"top_a":0.2,"typical_p":0.5,"top_k":40`, []string{"min_p", "repetition_penalty", "top_a", "top_k", "top_p", "typical_p"}},
		{"logit_bias", `"logit_bias":{"50256":-100}`, []string{"logit_bias"}},
		{"CN-19 n is 1", `"n":1`, nil},
		{"CN-19 n is null", `"n":null`, nil},
		{"logprobs off", `"logprobs":false,"top_logprobs":0`, nil},
		{"verbosity", `"verbosity":"low"`, []string{"verbosity"}},
		{"verbosity at its default", `"verbosity":"medium"`, nil},
		{"text output", `"modalities":["text"]`, nil},
		{"audio output", `"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}`, []string{"audio", "modalities"}},
		{"search", `"web_search_options":{"search_context_size":"low"},"enable_search":true`, []string{"enable_search", "web_search_options"}},
		{"search off", `"web_search_options":{},"enable_search":false`, nil},
		{"parallel_tool_calls", `"parallel_tool_calls":true`, nil},
		{"no parallel_tool_calls", `"parallel_tool_calls":false`, []string{"parallel_tool_calls"}},
		{"J17 never an effect on the text", `"user":"u","metadata":{"a":"b"},"store":true,"stream_options":{"include_usage":true},"service_tier":"auto","prompt_cache_key":"k","safety_identifier":"s","prediction":{"type":"content","content":"x"}`, nil},
		{"CN-12 user as an object", `"user":{"name":"A"}`, nil},
		{"reasoning has an effect", `"reasoning_effort":"high","thinking_budget":100`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(test.fields)).Ignored; !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseChatIgnoredIsSafeForAHeader(t *testing.T) {
	r := mustParse(t, chatWith(`"stop":"a\r\nSet-Cookie: x","tools":[{"name":"f\r\n"}],"x\r\ny":1,"stopp":2`))
	if got := strings.Join(r.Ignored, ","); got != "stop,tools" {
		t.Errorf("got %q", got)
	}
}

func TestParseChatRefusesWrongParameters(t *testing.T) {
	runRefusals(t, []refusal{
		{"CN-19 n above 1", chatWith(`"n":2`), codeUnsupported, "n"},
		{"J12 n is 0", chatWith(`"n":0`), codeInvalid, "n"},
		{"J12 n is negative", chatWith(`"n":-1`), codeInvalid, "n"},
		{"J12 n is a string", chatWith(`"n":"1"`), codeInvalid, "n"},
		{"J17 logprobs", chatWith(`"logprobs":true`), codeUnsupported, "logprobs"},
		{"J17 top_logprobs", chatWith(`"top_logprobs":5`), codeUnsupported, "top_logprobs"},
		{"J12 logprobs is a number", chatWith(`"logprobs":5`), codeInvalid, "logprobs"},
		{"J12 top_logprobs is negative", chatWith(`"top_logprobs":-1`), codeInvalid, "top_logprobs"},
		{"J18 max_tokens is negative", chatWith(`"max_tokens":-1`), codeInvalid, "max_tokens"},
		{"J18 max_completion_tokens is negative", chatWith(`"max_completion_tokens":-5.0`), codeInvalid, "max_completion_tokens"},
		{"J12 max_tokens is a fraction", chatWith(`"max_tokens":1.5`), codeInvalid, "max_tokens"},
		{"J12 max_tokens is huge", chatWith(`"max_tokens":99999999999999999999`), codeInvalid, "max_tokens"},
		{"J12 max_tokens has a huge exponent", chatWith(`"max_tokens":1e400`), codeInvalid, "max_tokens"},
		{"J12 max_tokens has very many digits", chatWith(`"max_tokens":1` + strings.Repeat("0", 100_000)), codeInvalid, "max_tokens"},
		{"J12 max_tokens is a string", chatWith(`"max_tokens":"100"`), codeInvalid, "max_tokens"},
		{"J12 seed is a fraction", chatWith(`"seed":0.5`), codeInvalid, "seed"},
		{"J12 temperature is huge", chatWith(`"temperature":1e400`), codeInvalid, "temperature"},
		{"J12 temperature is a string", chatWith(`"temperature":"0.7"`), codeInvalid, "temperature"},
		{"J12 temperature is a list", chatWith(`"temperature":[0.7]`), codeInvalid, "temperature"},
		{"J12 top_p is a boolean", chatWith(`"top_p":true`), codeInvalid, "top_p"},
		{"J12 top_k is below -1", chatWith(`"top_k":-2`), codeInvalid, "top_k"},
		{"ER-02 stop is a number", chatWith(`"stop":5`), codeInvalid, "stop"},
		{"ER-02 stop holds a number", chatWith(`"stop":["a",5]`), codeInvalid, "stop[1]"},
		{"ER-02 logit_bias is a string", chatWith(`"logit_bias":"x"`), codeInvalid, "logit_bias"},
		{"ER-02 modalities is a string", chatWith(`"modalities":"text"`), codeInvalid, "modalities"},
		{"ER-02 parallel_tool_calls is a string", chatWith(`"parallel_tool_calls":"no"`), codeInvalid, "parallel_tool_calls"},
		{"ER-02 verbosity is a number", chatWith(`"verbosity":1`), codeInvalid, "verbosity"},
		{"ER-02 audio is true", chatWith(`"audio":true`), codeInvalid, "audio"},
		{"ER-02 enable_search is a string", chatWith(`"enable_search":"true"`), codeInvalid, "enable_search"},
	})
}
