package openai

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestErrorAppendJSON(t *testing.T) {
	tests := []struct {
		name string
		err  Error
		want string
	}{
		{
			"ER-02 absent param and code are null", Error{Status: 400, Message: "m"},
			`{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}`,
		},
		{
			"ER-02 all fields", Error{Status: 400, Message: "m", Type: "t", Param: "messages[3].role", Code: "c"},
			`{"error":{"message":"m","type":"t","param":"messages[3].role","code":"c"}}`,
		},
		{
			"no HTML escaping", Error{Status: 502, Message: `a<b>&"c"\`},
			`{"error":{"message":"a<b>&\"c\"\\","type":"server_error","param":null,"code":null}}`,
		},
		{
			"429 has a type of its own", Error{Status: http.StatusTooManyRequests, Message: "m", Code: "upstream_busy"},
			`{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"upstream_busy"}}`,
		},
		{
			"ER-04 invalid UTF-8 is replaced", Error{Status: 400, Message: "a\xffb", Param: "\xc3"},
			`{"error":{"message":"a` + "\uFFFD" + `b","type":"invalid_request_error","param":"` + "\uFFFD" + `","code":null}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := string(test.err.AppendJSON([]byte("data: ")))
			if got != "data: "+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestErrorIsOneLine(t *testing.T) {
	err := Error{Status: 500, Message: "a\r\nb\n\ndata: [DONE]\x00\x1b[0m", Param: "\n", Code: "\r"}
	line := string(err.AppendJSON(nil))
	if strings.ContainsAny(line, "\r\n\x00\x1b") {
		t.Errorf("the JSON has control characters: %q", line)
	}
	var decoded struct {
		Error struct {
			Message, Type, Param, Code string
		}
	}
	if e := json.Unmarshal([]byte(line), &decoded); e != nil {
		t.Fatal(e)
	}
	if got := decoded.Error; got.Message != err.Message || got.Param != err.Param || got.Code != err.Code {
		t.Errorf("decoded %+v", got)
	}
}

func TestErrorText(t *testing.T) {
	if got := (&Error{Message: "m", Code: "c"}).Error(); got != "c: m" {
		t.Errorf("with a code: %q", got)
	}
	if got := (&Error{Message: "m"}).Error(); got != "m" {
		t.Errorf("without a code: %q", got)
	}
}

func FuzzErrorAppendJSON(f *testing.F) {
	f.Add("message", "param", "code")
	f.Add("a\nb", "\xff", "\u2028")
	f.Fuzz(func(t *testing.T, message, param, code string) {
		err := Error{Status: 400, Message: message, Param: param, Code: code}
		line := err.AppendJSON(nil)
		if !json.Valid(line) {
			t.Errorf("not JSON: %q", line)
		}
		if strings.ContainsAny(string(line), "\r\n") {
			t.Errorf("not one line: %q", line)
		}
	})
}
