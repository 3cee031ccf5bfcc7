package openai

import "testing"

func TestParseChatResponseFormat(t *testing.T) {
	tests := []struct {
		name, json string
		want       Format
	}{
		{"SO-01 text", `{"type":"text"}`, Format{}},
		{"SO-01 text, whatever else", `{"type":"text","strict":true,"schema":{}}`, Format{}},
		{"SO-01 json_object", `{"type":"json_object"}`, Format{Type: FormatObject, Param: "response_format"}},
		{"SO-01 json_schema", `{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,"schema":{ "type" : "object", "b": 1.0 }}}`,
			Format{Type: FormatSchema, Name: "n", Description: "d", Strict: true, Schema: `{"type":"object","b":1.0}`}},
		{"CN-13 nulls", `{"type":"json_schema","json_schema":{"name":null,"description":null,"strict":null,"schema":{"type":"array"}}}`, Format{Type: FormatSchema, Schema: `{"type":"array"}`}},
		{"SO-01 schema first, without a name", `{"json_schema":{"schema":{}},"type":"json_schema"}`, Format{Type: FormatSchema, Schema: "{}"}},
		{"SO-01 flat", `{"type":"json_schema","schema":{"a":1},"name":"n","strict":true}`, Format{Type: FormatSchema, Name: "n", Strict: true, Schema: `{"a":1}`, Param: "response_format"}},
		{"SO-01 flat beside null", `{"schema":{"a":1},"json_schema":null,"type":"json_schema"}`, Format{Type: FormatSchema, Schema: `{"a":1}`, Param: "response_format"}},
		{"SO-01 nested before flat", `{"type":"json_schema","json_schema":{"schema":{"a":1}},"schema":{"b":2},"name":"n"}`, Format{Type: FormatSchema, Schema: `{"a":1}`}},
		{"SO-01 json_object with a schema", `{"type":"json_object","schema":{"type":"object"},"json_schema":null,"x":1}`, Format{Type: FormatObject, Schema: `{"type":"object"}`, Param: "response_format"}},
		{"CN-13 null", `null`, Format{}},
		{"CN-13 empty", `{}`, Format{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustParse(t, chatWith(`"response_format":`+test.json))
			if test.want.Type != "" && test.want.Param == "" {
				test.want.Param = "response_format.json_schema"
			}
			if r.Format != test.want || len(r.Ignored) > 0 {
				t.Errorf("got %+v, ignored %v, want %+v", r.Format, r.Ignored, test.want)
			}
		})
	}
}

func TestParseChatRefusesMalformedFormats(t *testing.T) {
	format := func(json string) string { return chatWith(`"response_format":` + json) }
	schema := func(json string) string {
		return format(`{"type":"json_schema","json_schema":{"name":"n","schema":` + json + `}}`)
	}
	runRefusals(t, []refusal{
		{"SO-04 a string", format(`"json"`), codeInvalid, "response_format"},
		{"SO-04 a list", format(`[]`), codeInvalid, "response_format"},
		{"SO-04 no type", format(`{"json_schema":{}}`), codeMissing, "response_format.type"},
		{"SO-04 unknown type", format(`{"type":"xml"}`), codeInvalid, "response_format.type"},
		{"SO-04 grammar", format(`{"type":"grammar","grammar":"x"}`), codeInvalid, "response_format.type"},
		{"SO-04 type is a number", format(`{"type":1}`), codeInvalid, "response_format.type"},
		{"SO-04 no json_schema", format(`{"type":"json_schema"}`), codeMissing, "response_format.json_schema"},
		{"SO-04 json_schema null", format(`{"type":"json_schema","json_schema":null}`), codeMissing, "response_format.json_schema"},
		{"SO-04 json_schema is a string", format(`{"type":"json_schema","json_schema":"s"}`), codeInvalid, "response_format.json_schema"},
		{"SO-04 no schema", format(`{"type":"json_schema","json_schema":{"name":"n"}}`), codeMissing, "response_format.json_schema.schema"},
		{"SO-04 schema null", schema(`null`), codeMissing, "response_format.json_schema.schema"},
		{"SO-04 schema is a boolean", schema(`true`), codeInvalid, "response_format.json_schema.schema"},
		{"SO-04 schema is a list", schema(`[]`), codeInvalid, "response_format.json_schema.schema"},
		{"SO-04 schema is a string", schema(`"{}"`), codeInvalid, "response_format.json_schema.schema"},
		{"SO-04 flat schema is a boolean", format(`{"type":"json_schema","schema":false}`), codeInvalid, "response_format.schema"},
		{"SO-04 name is a number", format(`{"type":"json_schema","json_schema":{"name":1}}`), codeInvalid, "response_format.json_schema.name"},
		{"SO-04 description is a list", format(`{"type":"json_schema","json_schema":{"description":[]}}`), codeInvalid, "response_format.json_schema.description"},
		{"SO-04 strict is a string", format(`{"type":"json_schema","json_schema":{"name":"n","strict":"yes"}}`), codeInvalid, "response_format.json_schema.strict"},
	})
}
