package qwen

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The request is what the site's front end sends, and the same with tools but
// for one member.
func TestCompletionBody(t *testing.T) {
	const plain = `{"stream":true,"version":"2.1","incremental_output":true,"chatId":"c","parentId":"p","chat_id":"c","chat_mode":"normal",` +
		`"model":"m","parent_id":"p","messages":[{"id":null,"fid":"ID","parentId":"p","childrenIds":["ID"],"role":"user","content":"<Hello>",` +
		`"user_action":"chat","files":[],"timestamp":1790000000,"models":["m"],"model":"","chat_type":"t2t","feature_config":{"thinking_enabled":false,` +
		`"output_schema":"phase","research_mode":"normal","auto_thinking":false,"thinking_mode":"Fast","auto_search":false%s},` +
		`"extra":{"meta":{"subChatType":"t2t"}},"sub_chat_type":"t2t","parent_id":"p"}],"timestamp":1790000000}` + "\n"
	ids := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	for name, tt := range map[string]struct {
		tools []LocalTool
		want  string
	}{
		"no tools":    {nil, ""},
		"empty slice": {[]LocalTool{}, ""},
		"in their order, compact": {
			[]LocalTool{
				{Name: "z", Description: "a <b> & \"c\"\n", Schema: "{\"type\": \"object\",\n \"properties\": {\"x\": {\"type\": \"number\"}}}"},
				{Name: "a", Schema: ""},
			},
			`,"local_mcp":{"client":{"z":{"description":"a <b> & \"c\"\n","input_schema":{"type":"object","properties":{"x":{"type":"number"}}}},` +
				`"a":{"description":"","input_schema":{"type":"object","properties":{}}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			turn := Completion{ChatID: "c", ParentID: "p", Model: "m", Prompt: "<Hello>", LocalTools: tt.tools}
			raw, err := encode(turn.body(1790000000))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ids.ReplaceAllString(string(raw), "ID"), fmt.Sprintf(plain, tt.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestSchemaThatIsNoJSON(t *testing.T) {
	_, c := mustSite(t, emulator.Options{})
	turn := Completion{ChatID: "c", Model: "m", LocalTools: []LocalTool{{Name: "f", Schema: "{"}}}
	if _, err := c.Complete(t.Context(), testCredential, turn); err == nil {
		t.Error("it was sent")
	}
}

func localFrame(status, servers string) string {
	return fmt.Sprintf(`data: {"choices":[{"delta":{"role":"assistant","content":"","phase":"local_tool","extra":{"local_mcp":%s},"status":%q}}],"response_id":"r"}`+"\n\n", servers, status)
}

func TestDecoderCalls(t *testing.T) {
	const (
		oslo = `{"tool_name":"weather","params":{"city":"Oslo"}}`
		rome = `{"tool_name":"weather","params":{"city":"Rome"}}`
		inO  = `weather{"city":"Oslo"}` + "\n"
		inR  = `weather{"city":"Rome"}` + "\n"
	)
	client := func(calls ...string) string { return `{"client":[` + strings.Join(calls, ",") + `]}` }
	called := func(calls ...string) string { return localFrame("finished", client(calls...)) }
	empty := `data: {"choices":[{"delta":{"role":"assistant","content":"","phase":"local_tool","status":"finished"}}],"response_id":"r"}` + "\n\n"
	start := created(0, "r")
	good := func(calls string) outcome { return outcome{Calls: calls, End: "stop", ResponseID: "r"} }
	bad := outcome{End: KindBadResponse.String(), ResponseID: "r"}
	for name, tt := range map[string]struct {
		stream string
		want   outcome
	}{
		"a call is no empty answer":     {start + called(oslo) + finish, good(inO)},
		"[DONE] ends it":                {start + called(oslo) + "data: [DONE]\n\n", good(inO)},
		"the stream's end ends it":      {start + called(oslo), good(inO)},
		"the end after usage":           {start + called(oslo) + strings.Replace(empty, "finished", "typing", 1), good(inO)},
		"done in the frame":             {start + strings.Replace(called(oslo), `{"choices"`, `{"done":true,"choices"`, 1) + called(rome), good(inO)},
		"several calls":                 {start + called(rome, oslo) + finish, good(inR + inO)},
		"the same call twice":           {start + called(oslo, oslo) + finish, good(inO + inO)},
		"several servers":               {start + localFrame("finished", `{"b":[`+oslo+`],"a":[`+rome+`]}`) + finish, good(inO + inR)},
		"several frames":                {start + called(oslo) + called(rome) + finish, good(inO + inR)},
		"a frame sent again":            {start + called(oslo) + called(oslo) + finish, good(inO)},
		"frames that hold all so far":   {start + called(oslo) + called(oslo, rome) + called(oslo, rome, rome) + finish, good(inO + inR + inR)},
		"prefixed name":                 {start + called(strings.Replace(oslo, "weather", "client-weather", 1)) + finish, good(inO)},
		"prefix of another server":      {start + called(`{"tool_name":"srv-f","params":{}}`) + finish, good("srv-f{}\n")},
		"escaped server and tool":       {start + localFrame("finished", `{"\u0063lient":[{"tool_name":"client-f\u00fcr","params":{}}]}`) + finish, good("für{}\n")},
		"no arguments":                  {start + called(`{"tool_name":"f"}`, `{"params":null,"tool_name":"g"}`) + finish, good("f{}\ng{}\n")},
		"arguments as they are written": {start + called(`{"tool_name":"f","params":{ "b":1.0, "a":["\u00e9",{}] }}`) + finish, good(`f{ "b":1.0, "a":["\u00e9",{}] }` + "\n")},
		"arguments of invalid UTF-8":    {start + called("{\"tool_name\":\"f\",\"params\":{\"a\":\"\xff\"}}") + finish, good("f{\"a\":\"\ufffd\"}\n")},
		"text before":                   {start + answerOf("r", "Hi") + called(oslo) + finish, outcome{Answer: "Hi", Calls: inO, End: "stop", ResponseID: "r", Usage: Usage{10, 2, 1, 3}}},
		"text after":                    {start + called(oslo) + answerOf("r", "Hi") + finish, outcome{Answer: "Hi", Calls: inO, End: "stop", ResponseID: "r", Usage: Usage{10, 2, 1, 3}}},
		"reasoning before":              {start + think("hm") + called(oslo) + finish, outcome{Reasoning: "hm", Calls: inO, End: "stop", ResponseID: "r"}},
		"length":                        {start + called(oslo) + `data: {"choices":[{"delta":{"content":"","phase":"answer"},"finish_reason":"length"}],"response_id":"r"}` + "\n\n", outcome{Calls: inO, End: "length", ResponseID: "r"}},
		"growing arguments":             {start + localFrame("typing", client(`{"tool_name":"weather","params":{}}`)) + called(oslo) + finish, good(inO)},
		"finished without calls":        {start + localFrame("typing", client(oslo)) + empty + finish, good(inO)},
		"never finished":                {start + localFrame("typing", client(oslo)) + finish, good(inO)},
		"never finished, then [DONE]":   {start + localFrame("typing", client(oslo, rome)) + "data: [DONE]\n", good(inO + inR)},
		"null":                          {start + localFrame("finished", "null") + called(oslo) + finish, good(inO)},
		"the other candidate's":         {start + created(1, "s") + strings.ReplaceAll(called(rome), `"r"`, `"s"`) + called(oslo) + finish, good(inO)},

		"nothing called":        {start + empty + finish, outcome{End: KindEmpty.String(), ResponseID: "r"}},
		"no calls":              {start + called() + finish, outcome{End: KindEmpty.String(), ResponseID: "r"}},
		"a result":              {start + strings.Replace(called(oslo), `"assistant"`, `"function"`, 1) + finish, outcome{End: KindEmpty.String(), ResponseID: "r"}},
		"cut while it grows":    {start + localFrame("typing", client(oslo)), outcome{End: KindTruncated.String(), ResponseID: "r"}},
		"cut while more grows":  {start + called(oslo) + localFrame("typing", client(oslo, rome)), outcome{Calls: inO, End: KindTruncated.String(), ResponseID: "r"}},
		"cut in text after it":  {start + called(oslo) + answerOf("r", "H"), outcome{Answer: "H", Calls: inO, End: KindTruncated.String(), ResponseID: "r", Usage: Usage{10, 2, 1, 3}}},
		"list of servers":       {start + localFrame("finished", `[]`) + finish, bad},
		"server without list":   {start + localFrame("finished", `{"client":{}}`) + finish, bad},
		"call that is text":     {start + called(`"x"`) + finish, bad},
		"call without name":     {start + called(`{"params":{}}`) + finish, bad},
		"nothing but prefix":    {start + called(`{"tool_name":"client-"}`) + finish, bad},
		"name of another type":  {start + called(`{"tool_name":7,"params":{}}`) + finish, bad},
		"arguments are text":    {start + called(`{"tool_name":"f","params":"{}"}`) + finish, bad},
		"arguments are a list":  {start + called(`{"tool_name":"f","params":[]}`) + finish, bad},
		"arguments are no JSON": {start + called(`{"tool_name":"f","params":{"a":tru}}`) + finish, bad},
		"damaged, not finished": {start + localFrame("typing", `{"client":7}`) + finish, bad},
		"too many":              {start + called(strings.Repeat(oslo+",", maxCalls)+oslo) + finish, bad},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 64, 1 << 20} {
				if got := decode(t, new(Decoder), tt.stream, size); got != tt.want {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", size, got, tt.want)
				}
			}
		})
	}
}
