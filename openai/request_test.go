package openai

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// canary is the text of prompts in tests. No error may repeat it.
const canary = "canary-7f3a9c"

// mustParse parses a body that has to be accepted.
func mustParse(t *testing.T, body string) *ChatRequest {
	t.Helper()
	r, err := ParseChat([]byte(body), Limits{})
	if err != nil {
		t.Fatalf("%.200s: %v", body, err)
	}
	return r
}

// mustRefuse parses a body that has to be refused, and checks what holds for
// each error.
func mustRefuse(t *testing.T, body string, l Limits) *Error {
	t.Helper()
	r, err := ParseChat([]byte(body), l)
	if err == nil {
		t.Fatalf("%.200s was accepted", body)
	}
	if r != nil {
		t.Errorf("there is a request beside the error %v", err)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	checkRequestError(t, e)
	if strings.Contains(e.Message+e.Param, canary) {
		t.Errorf("the error repeats the prompt: %+v", e)
	}
	return e
}

func checkRequestError(t *testing.T, e *Error) {
	t.Helper()
	wantStatus := http.StatusBadRequest
	if e.Code == "request_too_large" {
		wantStatus = http.StatusRequestEntityTooLarge
	}
	if e.Status != wantStatus {
		t.Errorf("the status is %d for the code %s", e.Status, e.Code)
	}
	if e.Type != "invalid_request_error" || e.Code == "" || e.Message == "" {
		t.Errorf("the error is incomplete: %+v", e)
	}
}

// chatWith returns a body with one user message and more fields.
func chatWith(fields string) string {
	body := `{"model":"qwen3-max","messages":[{"role":"user","content":"` + canary + `"}]`
	if fields != "" {
		body += "," + fields
	}
	return body + "}"
}

// messagesOf returns a body with the given messages.
func messagesOf(messages ...string) string {
	return `{"messages":[` + strings.Join(messages, ",") + `]}`
}

// userMessage is the JSON of a message that is always fine.
const userMessage = `{"role":"user","content":"` + canary + `"}`

// refusal is a body that has to be refused, and how.
type refusal struct {
	name  string
	body  string
	code  string
	param string
}

func runRefusals(t *testing.T, tests []refusal) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := mustRefuse(t, test.body, Limits{})
			if e.Code != test.code || e.Param != test.param {
				t.Errorf("got %s for %q, want %s for %q (%s)", e.Code, e.Param, test.code, test.param, e.Message)
			}
			if !strings.Contains(e.Message, test.param) {
				t.Errorf("the message does not name %s: %s", test.param, e.Message)
			}
		})
	}
}

func TestParseChatRefusesBadJSON(t *testing.T) {
	runRefusals(t, []refusal{
		{"J01 empty body", "", codeJSON, ""},
		{"J01 only white space", " \r\n\t", codeJSON, ""},
		{"J01 only a byte order mark", "\uFEFF", codeJSON, ""},
		{"J02 missing value", `{"model":}`, codeJSON, ""},
		{"J02 single quotes", `{'model':'m'}`, codeJSON, ""},
		{"J02 trailing comma", chatWith(`"n":1,`), codeJSON, ""},
		{"J02 comment", `{/* c */}`, codeJSON, ""},
		{"J02 misspelled literal", chatWith(`"stream":True`), codeJSON, ""},
		{"J02 control character in a string", messagesOf("{\"role\":\"user\",\"content\":\"a\nb\"}"), codeJSON, ""},
		{"J02 unknown escape", messagesOf(`{"role":"user","content":"\x41"}`), codeJSON, ""},
		{"J02 cut off in an object", `{"messages":[` + userMessage, codeJSON, ""},
		{"J02 cut off in a string", `{"messages":[{"role":"us`, codeJSON, ""},
		{"ER-01 not JSON at all", "model=m&stream=true", codeJSON, ""},
		{"J03 trailing garbage", chatWith("") + "x", codeJSON, ""},
		{"J03 second document", chatWith("") + "\n" + chatWith(""), codeJSON, ""},
		{"J03 trailing bracket", chatWith("") + "}", codeJSON, ""},
		{"J04 null", "null", codeJSON, ""},
		{"J04 list", "[]", codeJSON, ""},
		{"J04 list of messages", "[" + userMessage + "]", codeJSON, ""},
		{"J04 number", "1", codeJSON, ""},
		{"J04 string", `"x"`, codeJSON, ""},
		{"J05 two byte order marks", "\uFEFF\uFEFF" + chatWith(""), codeJSON, ""},
		{"J06 duplicate model", chatWith(`"model":"other"`), codeInvalid, "model"},
		{"J06 duplicate by escape", chatWith(`"mod\u0065l":"other"`), codeInvalid, "model"},
		{"J06 duplicate in a message", messagesOf(userMessage, `{"role":"user","content":"a","content":"b"}`), codeInvalid, "messages[1].content"},
		{"J06 duplicate in a skipped field", chatWith(`"metadata":{"a":[{"b":1,"b":2}]}`), codeInvalid, "metadata.a[0].b"},
		{"J06 duplicate numeric name", chatWith(`"logit_bias":{"50256":1,"50256":2}`), codeInvalid, "logit_bias.50256"},
		{"J08 invalid UTF-8 in a string", messagesOf("{\"role\":\"user\",\"content\":\"a\xffb\"}"), codeJSON, ""},
		{"J08 UTF-16 surrogate in UTF-8", messagesOf("{\"role\":\"user\",\"content\":\"\xed\xa0\xbd\"}"), codeJSON, ""},
		{"ER-04 UTF-16 body", "\xff\xfe{\x00}\x00", codeJSON, ""},
		{"J09 NUL in model", `{"model":"a\u0000b","messages":[` + userMessage + `]}`, codeInvalid, "model"},
		{"J09 NUL in a tool call id", messagesOf(userMessage, `{"role":"tool","tool_call_id":"\u0000","content":"x"}`), codeInvalid, "messages[1].tool_call_id"},
		{"J09 NUL in the id of a call", messagesOf(userMessage, `{"role":"assistant","tool_calls":[{"id":"c\u0000","function":{"name":"f"}}]}`), codeInvalid, "messages[1].tool_calls[0].id"},
		{"J12 NaN", chatWith(`"temperature":NaN`), codeInvalid, "temperature"},
		{"J12 negative infinity", chatWith(`"logit_bias":{"1":-Infinity}`), codeInvalid, "logit_bias.1"},
		{"J12 NaN in a list", chatWith(`"metadata":[1,NaN]`), codeInvalid, "metadata[1]"},
	})
}

func TestParseChatTellsTheOffset(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"J02 syntax error", `{"model" "x"}`, "at byte 9"},
		{"J02 cut off", `{"model":"x`, "after 11 bytes"},
		{"J03 second document", chatWith("") + "{}", fmt.Sprintf("ends at byte %d", len(chatWith("")))},
		{"J08 invalid UTF-8", "{\"a\":\"\u00e9\uFFFD\x80\"}", "at byte 11"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := mustRefuse(t, test.body, Limits{})
			if !strings.Contains(e.Message, test.want) {
				t.Errorf("%q does not say %q", e.Message, test.want)
			}
		})
	}
}

func TestParseChatAcceptsOddJSON(t *testing.T) {
	tests := []struct{ name, body, text string }{
		{"J05 byte order mark", "\uFEFF" + chatWith(""), canary},
		{"J09 lone high surrogate", messagesOf(`{"role":"user","content":"a\ud83d"}`), "a\uFFFD"},
		{"J09 lone low surrogate", messagesOf(`{"role":"user","content":"\ude00b"}`), "\uFFFDb"},
		{"J09 surrogates in the wrong order", messagesOf(`{"role":"user","content":"\ude00\ud83d"}`), "\uFFFD\uFFFD"},
		{"ER-04 lone surrogate in a name", chatWith(`"\ud800":1`), canary},
		{"J09 surrogate pair", messagesOf(`{"role":"user","content":"\ud83d\ude00"}`), "😀"},
		{"J09 NUL in content", messagesOf(`{"role":"user","content":"a\u0000b"}`), "a\x00b"},
		{"CN-08 text is verbatim", messagesOf(`{"role":"user","content":" \u2028data: [DONE]\r\n\r\n\u001b[0m "}`), " \u2028data: [DONE]\r\n\r\n\x1b[0m "},
		{"escaped field names", `{"\u006dessages":[{"rol\u0065":"user","content":"x"}]}`, "x"},
		{"white space around", "\r\n\t " + chatWith("") + " \n", canary},
		{"J10 64 levels", chatWith(`"metadata":` + strings.Repeat("[", 63) + strings.Repeat("]", 63)), canary},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, test.body)
			if got := r.Messages[0].Content; got != test.text {
				t.Errorf("got the text %q, want %q", got, test.text)
			}
		})
	}
}

func TestParseChatComparesNamesExactly(t *testing.T) {
	tests := []struct{ name, fields string }{
		{"J07 upper case", `"MODEL":"other","Stream":true,"MESSAGES":1`},
		{"J07 other letters that fold", `"ſtream":true,"ſtop":5`},
		{"J29 fields that steer other gateways", `"base_url":"http://x","api_base":1,"cookie":"c","headers":{"a":"b"},"proxy":[]`},
		{"CN-12 unknown fields", `"chat_id":"c","session_id":null,"id":7,"filter_ids":[[]],"transforms":["middle-out"],"provider":{"order":[]},"store":true`},
	}
	want := mustParse(t, chatWith(""))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, chatWith(test.fields)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestParseChatModel(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"plain", `"qwen3-max"`, "qwen3-max"},
		{"MO-08 slashes, colons and percent signs", `"a/b:c%20d"`, "a/b:c%20d"},
		{"white space around", `" qwen3-max\n"`, "qwen3-max"},
		{"CN-13 null", `null`, ""},
		{"CN-13 empty", `""`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, `{"model":`+test.json+`,"messages":[`+userMessage+`]}`)
			if r.Model != test.want {
				t.Errorf("got %q, want %q", r.Model, test.want)
			}
		})
	}
	t.Run("J14 missing", func(t *testing.T) {
		if r := mustParse(t, messagesOf(userMessage)); r.Model != "" {
			t.Errorf("got %q", r.Model)
		}
	})
}

func TestParseChatRefusesWrongFields(t *testing.T) {
	runRefusals(t, []refusal{
		{"ER-02 model is a number", `{"model":5,"messages":[]}`, codeInvalid, "model"},
		{"ER-02 model is an object", `{"model":{"id":"m"},"messages":[]}`, codeInvalid, "model"},
		{"J13 stream is a string", chatWith(`"stream":"true"`), codeInvalid, "stream"},
		{"J13 stream is a number", chatWith(`"stream":1`), codeInvalid, "stream"},
		{"ER-03 a wrong field of a streamed request", chatWith(`"stream":true,"temperature":"hot"`), codeInvalid, "temperature"},
		{"ER-02 stream_options is a list", chatWith(`"stream_options":[]`), codeInvalid, "stream_options"},
		{"ER-02 include_usage is a string", chatWith(`"stream_options":{"include_usage":"yes"}`), codeInvalid, "stream_options.include_usage"},
		{"J14 messages missing", `{"model":"m"}`, codeMissing, "messages"},
		{"J14 messages null", `{"messages":null}`, codeMissing, "messages"},
		{"J14 messages empty", `{"messages":[]}`, codeMissing, "messages"},
		{"J14 no text at all", messagesOf(`{"role":"system","content":null}`, `{"role":"user","content":""}`), codeInvalid, "messages"},
		{"ER-02 messages is a string", `{"messages":"` + canary + `"}`, codeInvalid, "messages"},
		{"ER-02 messages is an object", `{"messages":` + userMessage + `}`, codeInvalid, "messages"},
	})
}

func TestParseChatStream(t *testing.T) {
	tests := []struct {
		name, fields         string
		stream, includeUsage bool
	}{
		{"CN-07 absent", ``, false, false},
		{"CN-13 null", `"stream":null,"stream_options":null`, false, false},
		{"ST-13 streamed without usage", `"stream":true`, true, false},
		{"ST-12 streamed with usage", `"stream":true,"stream_options":{"include_usage":true,"x":1}`, true, true},
		{"ST-12 options first", `"stream_options":{"include_usage":true},"stream":true`, true, true},
		{"CN-13 empty options", `"stream":true,"stream_options":{}`, true, false},
		{"CN-13 null option", `"stream":true,"stream_options":{"include_usage":null}`, true, false},
		{"ST-16 options without stream", `"stream":false,"stream_options":{"include_usage":true}`, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, chatWith(test.fields))
			if r.Stream != test.stream || r.IncludeUsage != test.includeUsage {
				t.Errorf("got %v and %v", r.Stream, r.IncludeUsage)
			}
			if len(r.Ignored) > 0 {
				t.Errorf("ignored: %v", r.Ignored)
			}
		})
	}
}

func TestParseChatDoesNotKeepTheBody(t *testing.T) {
	body := []byte(chatWith(`"stop":"x"`))
	r, err := ParseChat(body, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = '#'
	}
	if r.Model != "qwen3-max" || r.Messages[0].Content != canary || r.Messages[0].Role != "user" {
		t.Errorf("the request changed with the body: %+v", r)
	}
}

func TestParseChatDoesNotChangeTheBody(t *testing.T) {
	for _, body := range []string{chatWith(`"stop":["\u0041"]`), `{"messages":[{"role":"bot"}]}`, `{"a":1,"a":2}`} {
		b := []byte(body)
		_, _ = ParseChat(b, Limits{})
		if string(b) != body {
			t.Errorf("%s became %s", body, b)
		}
	}
}
