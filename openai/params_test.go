package openai

import (
	"math"
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
		{"J12 whole numbers in other notations", `"top_k":1e3,"seed":-5.0,"n":1.0`, []string{"seed", "top_k"}},
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
		{"J17 never an effect on the text", `"user":"u","metadata":{"a":"b"},"store":true,"stream_options":{"include_usage":true},"service_tier":"auto","prompt_cache_key":"k","safety_identifier":"s","prediction":{"type":"content","content":"x"}`, nil},
		{"CN-12 user as an object", `"user":{"name":"A"}`, nil},
		{"CN-17 CN-18 what ends the answer has an effect", `"stop":["a"],"max_tokens":5,"max_completion_tokens":7`, nil},
		{"TO-02 tools have an effect", `"tools":[{"name":"f"}],"tool_choice":"required","parallel_tool_calls":false`, nil},
		{"TO-02 functions have an effect", `"functions":[{"name":"f"}],"function_call":{"name":"f"}`, nil},
		{"SO-01 a format has an effect", `"response_format":{"type":"json_object"}`, nil},
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
	r := mustParse(t, chatWith(`"seed":5,"verbosity":"a\r\nSet-Cookie: x","x\r\ny":1,"stopp":2`))
	if got := strings.Join(r.Ignored, ","); got != "seed,verbosity" {
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
		{"CN-18 max_tokens is zero", chatWith(`"max_tokens":0`), codeInvalid, "max_tokens"},
		{"CN-18 max_completion_tokens is zero", chatWith(`"max_completion_tokens":0.0`), codeInvalid, "max_completion_tokens"},
		{"CN-18 one of both is wrong", chatWith(`"max_tokens":5,"max_completion_tokens":0`), codeInvalid, "max_completion_tokens"},
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
		{"CN-17 stop is an object", chatWith(`"stop":{}`), codeInvalid, "stop"},
		{"CN-17 stop has too many entries", chatWith(`"stop":[""` + strings.Repeat(`,"a"`, 16) + `]`), codeInvalid, "stop"},
		{"CN-17 stop is long", chatWith(`"stop":"` + strings.Repeat("s", 1025) + `"`), codeInvalid, "stop"},
		{"CN-17 an entry of stop is long", chatWith(`"stop":["a","` + strings.Repeat("s", 1025) + `"]`), codeInvalid, "stop[1]"},
		{"ER-02 logit_bias is a string", chatWith(`"logit_bias":"x"`), codeInvalid, "logit_bias"},
		{"ER-02 modalities is a string", chatWith(`"modalities":"text"`), codeInvalid, "modalities"},
		{"TO-06 parallel_tool_calls is a number", chatWith(`"parallel_tool_calls":0`), codeInvalid, "parallel_tool_calls"},
		{"ER-02 parallel_tool_calls is a string", chatWith(`"parallel_tool_calls":"no"`), codeInvalid, "parallel_tool_calls"},
		{"ER-02 verbosity is a number", chatWith(`"verbosity":1`), codeInvalid, "verbosity"},
		{"ER-02 audio is true", chatWith(`"audio":true`), codeInvalid, "audio"},
		{"ER-02 enable_search is a string", chatWith(`"enable_search":"true"`), codeInvalid, "enable_search"},
	})
}

func TestParseChatStop(t *testing.T) {
	longest := strings.Repeat("s", 1024)
	tests := []struct {
		name, json string
		want       []string
	}{
		{"CN-17 string", `"\n"`, []string{"\n"}},
		{"CN-17 list, verbatim and in order", `["b"," a\r\n","b","日本"]`, []string{"b", " a\r\n", "b", "日本"}},
		{"CN-17 sixteen", `["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g"]`, strings.Split("123456789abcdefg", "")},
		{"CN-17 the longest", `"` + longest + `"`, []string{longest}},
		{"CN-13 null", `null`, nil},
		{"CN-13 empty", `""`, nil},
		{"CN-13 no entries", `[]`, nil},
		{"CN-13 entries of nothing", `["",null,"a",""]`, []string{"a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(`"stop":`+test.json)).Stop; !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseChatMaxOutput(t *testing.T) {
	tests := []struct {
		name, fields string
		want         int
	}{
		{"absent", ``, 0},
		{"CN-13 null", `"max_tokens":null,"max_completion_tokens":null`, 0},
		{"CN-18 max_tokens", `"max_tokens":100`, 100},
		{"CN-18 max_completion_tokens", `"max_completion_tokens":1`, 1},
		{"CN-18 the first is smaller", `"max_tokens":5,"max_completion_tokens":7`, 5},
		{"CN-18 the second is smaller", `"max_tokens":7,"max_completion_tokens":5`, 5},
		{"CN-18 one is null", `"max_tokens":7,"max_completion_tokens":null`, 7},
		{"J12 another notation", `"max_tokens":1e3`, 1000},
		{"J18 above any cap", `"max_tokens":9223372036854775807`, math.MaxInt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(test.fields)).MaxOutput; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
