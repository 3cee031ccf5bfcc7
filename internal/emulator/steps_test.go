package emulator

import (
	"strconv"
	"strings"
	"testing"
)

// framesOf answers one completion with steps and returns the lines of the
// stream, with ids and times replaced: CHAT, USER, R0 and R1 (first and second
// response id), NOW.
func framesOf(t *testing.T, edit func(b, m map[string]any), steps ...Step) []string {
	t.Helper()
	srv := mustStart(t, Options{})
	srv.Reply(Stream(steps...))
	c := newClient(t, srv)
	chat := c.mustChat()
	resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi", edit: edit}))
	body := mustReadAll(t, resp)
	rec := srv.Completions()[0]
	body = strings.ReplaceAll(strings.ReplaceAll(body, chat, "CHAT"), rec.ResponseID, "R0")
	for _, e := range mustEventsTolerant(body) {
		if e.Created != nil {
			body = strings.ReplaceAll(body, e.Created.ParentID, "USER")
			if e.Created.Index == "1" {
				body = strings.ReplaceAll(body, e.Created.Response, "R1")
			}
		}
		if len(e.Choices) > 0 && e.Choices[0].Delta.CallID != "" {
			body = strings.ReplaceAll(body, e.Choices[0].Delta.CallID, "CALL")
		}
		if e.Info != nil {
			e.Timestamp = e.Info.Timestamp
		}
		if e.Timestamp > 1e9 {
			body = strings.ReplaceAll(body, strconv.FormatInt(e.Timestamp, 10), "NOW")
		}
	}
	return strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n")
}

// mustEventsTolerant skips what is not an event.
func mustEventsTolerant(stream string) []event {
	var list []event
	for _, line := range strings.Split(strings.ReplaceAll(stream, "\r\n", "\n"), "\n") {
		var e event
		if data, ok := strings.CutPrefix(line, "data: "); ok && decodes(data, &e) {
			list = append(list, e)
		}
	}
	return list
}

func TestFramesAreExact(t *testing.T) {
	delta := func(inner string) string {
		return `data: {"choices":[{"delta":{` + inner + `}}],"response_id":"R0","timestamp":NOW}`
	}
	finish := `data: {"choices":[{"delta":{"content":"","role":"assistant","status":"finished","phase":"answer"}}],"response_id":"R0"}`
	info := func(action string) string {
		return `data: {"response.info":{"action":"` + action + `","chat_id":"CHAT","response_id":"R0","timestamp":NOW}}`
	}
	for _, tc := range []struct {
		name  string
		steps []Step
		want  []string
	}{
		{"Created", []Step{Created()}, []string{`data: {"response.created":{"chat_id":"CHAT","parent_id":"USER","response_id":"R0","response_index":"0"}}`}},
		{"Answer", []Step{Answer("Hel\n\"")}, []string{delta(`"role":"assistant","content":"Hel\n\"","phase":"answer","status":"typing"`)}},
		{"Unphased", []Step{Unphased("a")}, []string{delta(`"role":"assistant","content":"a","status":"typing"`)}},
		{"Think", []Step{Think("hm"), ThinkDone()}, []string{
			delta(`"role":"assistant","content":"hm","phase":"think","status":"typing"`),
			delta(`"role":"assistant","content":"","phase":"think","status":"finished"`),
		}},
		{"Summary", []Step{Summary([]string{"A", "B"}, []string{"p"}), SummaryDone()}, []string{
			delta(`"role":"assistant","content":"","phase":"thinking_summary","extra":{"summary_title":{"content":["A","B"]},"summary_thought":{"content":["p"]}},"status":"typing"`),
			delta(`"role":"assistant","content":"","phase":"thinking_summary","status":"finished"`),
		}},
		{"Usage", []Step{Cached(512), Usage(1200, 90, 88)}, []string{
			`data: {"choices":[{"delta":{"role":"assistant","content":"","phase":"answer","status":"typing"}}],"response_id":"R0",` +
				`"usage":{"input_tokens":1200,"output_tokens":90,"characters":0,"total_tokens":1290,"input_tokens_details":{"text_tokens":1200},` +
				`"output_tokens_details":{"reasoning_tokens":88,"text_tokens":90},"prompt_tokens_details":{"cached_tokens":512}},"timestamp":NOW}`,
		}},
		{"KeepAlive", []Step{KeepAlive(), Note("skip_think")}, []string{info("keep_alive"), info("skip_think")}},
		{"KeepAlivePhase", []Step{KeepAlivePhase()}, []string{delta(`"role":"assistant","content":"","phase":"KeepAlive","status":"typing"`)}},
		{"Comment", []Step{Comment()}, []string{": keep-alive"}},
		{"ErrorFrame", []Step{ErrorFrame("invalid_input", "bad")}, []string{`data: {"error":{"code":"invalid_input","details":"bad"},"response_id":"R0"}`}},
		{"ErrorFrame text", []Step{ErrorFrame("", "Internal error!")}, []string{`data: {"error":"Internal error!"}`}},
		{"ErrorDelta", []Step{ErrorDelta("c", "d")}, []string{
			delta(`"role":"assistant","content":"","phase":"answer","extra":{"error":{"code":"c","details":"d"}},"status":"error"`),
		}},
		{"Finish", []Step{Finish()}, []string{finish}},
		{"FinishWith", []Step{FinishWith("image_gen", "length")}, []string{
			`data: {"choices":[{"delta":{"content":"","role":"assistant","status":"finished","phase":"image_gen"},"finish_reason":"length"}],"response_id":"R0"}`,
		}},
		{"Done", []Step{Done()}, []string{"data: [DONE]"}},
		{"Frame", []Step{Frame(`{"c":"$chat_id","r":"$response_id"}`)}, []string{`data: {"c":"CHAT","r":"R0"}`}},
		{"Raw", []Step{Raw([]byte("event: x\ndata:y\n\n"))}, []string{"event: x\ndata:y"}},
		{"Garbage", []Step{Garbage()}, []string{`data: {"choices":[{"delta":{"role":"assistant","content":`}},
		{"HugeFrame", []Step{HugeFrame(3)}, []string{delta(`"role":"assistant","content":"xxx","phase":"answer","status":"typing"`)}},
		{"Cut", []Step{Answer("a"), Cut(), Answer("b")}, []string{delta(`"role":"assistant","content":"a","phase":"answer","status":"typing"`)}},
		{"Candidate", []Step{Created(), Answer("a"), Candidate(1, Answer("x")), Answer("b"), Candidate(1, Finish()), Finish()}, []string{
			`data: {"response.created":{"chat_id":"CHAT","parent_id":"USER","response_id":"R0","response_index":"0"}}`,
			delta(`"role":"assistant","content":"a","phase":"answer","status":"typing"`),
			`data: {"response.created":{"chat_id":"CHAT","parent_id":"USER","response_id":"R1","response_index":"1"}}`,
			`data: {"choices":[{"delta":{"role":"assistant","content":"x","phase":"answer","status":"typing"}}],"response_id":"R1","timestamp":NOW} `,
			delta(`"role":"assistant","content":"b","phase":"answer","status":"typing"`),
			`data: {"choices":[{"delta":{"content":"","role":"assistant","status":"finished","phase":"answer"}}],"response_id":"R1"}`,
			finish,
		}},
		{"Tool", []Step{Tool("code_interpreter", "{世}", map[string]int{"n": 1})}, []string{
			delta(`"role":"assistant","content":"","phase":"code_interpreter","function_call":{"name":"code_interpreter","arguments":"{"},"function_id":"CALL","extra":{"display_position":"answer"},"status":"typing"`),
			delta(`"role":"assistant","content":"","phase":"code_interpreter","function_call":{"name":"code_interpreter","arguments":"{世"},"function_id":"CALL","extra":{"display_position":"answer"},"status":"typing"`),
			delta(`"role":"assistant","content":"","phase":"code_interpreter","function_call":{"name":"code_interpreter","arguments":"{世}"},"function_id":"CALL","extra":{"display_position":"answer"},"status":"typing"`),
			delta(`"role":"function","content":"","phase":"code_interpreter","extra":{"n":1},"status":"finished"`) + " ",
		}},
		{"LocalTool", []Step{LocalTool("srv", "get_weather", map[string]string{"city": "Oslo"})}, []string{
			delta(`"role":"assistant","content":"","phase":"local_tool","extra":{"local_mcp":{"srv":[{"params":{"city":"Oslo"},"tool_name":"get_weather"}]}},"status":"finished"`),
		}},
		{"Image", []Step{Image("https://cdn.example/a.png", 800, 600)}, []string{
			delta(`"role":"assistant","content":"https://cdn.example/a.png","phase":"image_gen","extra":{"output_image_hw":[[600,800]]},"status":"typing"`),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := framesOf(t, nil, tc.steps...)
			if len(got) != len(tc.want) {
				t.Fatalf("%d frames, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
			for i, w := range tc.want {
				if got[i] != w {
					t.Errorf("frame %d:\n got %s\nwant %s", i, got[i], w)
				}
			}
		})
	}
}

func TestToolResults(t *testing.T) {
	search := framesOf(t, nil, WebSearch("q", 2, Doc{URL: "u", Title: "t", Snippet: "s", Date: "d"}))
	if want := `"extra":{"tool_result":{"docs":[{"url":"u","title":"t","snippet":"s","date":"d"}],"used_id":2}}`; !strings.Contains(search[3], want) {
		t.Errorf("web search: %s", search[3])
	}
	image := framesOf(t, nil, ToolImage("a cat", "D", "O"))
	if want := `"extra":{"image_list":[{"image":"D"}],"tool_result":[{"image":"O"}]}`; !strings.Contains(image[3], want) {
		t.Errorf("image tool: %s", image[3])
	}
}

// Without output_schema "phase" no delta has a phase, the terminal one included.
func TestMissingOutputSchema(t *testing.T) {
	edit := func(_, m map[string]any) { delete(feature(m), "output_schema") }
	frames := framesOf(t, edit, Created(), Think("t"), Answer("a"), Usage(1, 1, 0), Finish())
	for _, f := range frames {
		if strings.Contains(f, "phase") {
			t.Errorf("frame %s", f)
		}
	}
	if len(frames) != 5 {
		t.Errorf("%d frames", len(frames))
	}
}

// Without incremental_output every answer frame repeats the text so far.
func TestMissingIncrementalOutput(t *testing.T) {
	for name, got := range map[string][]string{
		"request": framesOf(t, func(b, _ map[string]any) { delete(b, "incremental_output") }, Answer("a"), Answer("b")),
		"step":    framesOf(t, nil, Cumulative(Answer("a"), Answer("b"))),
	} {
		if !strings.Contains(got[0], `"content":"a"`) || !strings.Contains(got[1], `"content":"ab"`) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestUsageRidesOnTypingFrames(t *testing.T) {
	frames := framesOf(t, nil, Created(), Answer("a"), Count(5, 6, 0), Answer("b"), PhaseDone("web_search"), Finish())
	for i, want := range []bool{false, false, true, false, false} {
		if got := strings.Contains(frames[i], `"usage":{"input_tokens":5,"output_tokens":6`); got != want {
			t.Errorf("frame %d: usage %t, want %t: %s", i, got, want, frames[i])
		}
	}
}

func TestTrailingSpaceNowAndThen(t *testing.T) {
	frames := framesOf(t, nil, Answer("a"), Answer("b"), Answer("c"), Answer("d"), Answer("e"))
	for i, f := range frames {
		if got, want := strings.HasSuffix(f, "} "), i == 3; got != want {
			t.Errorf("frame %d: trailing space %t, want %t", i, got, want)
		}
	}
}

func TestCRLF(t *testing.T) {
	got := strings.Join(framesOf(t, nil, CRLF(Answer("a"), Comment()), Answer("b")), "\n\n")
	if strings.Count(got, "\r\n\r\n") != 2 || !strings.HasSuffix(got, "NOW}") {
		t.Errorf("%q", got)
	}
}

func TestStepsPanicOnNonsense(t *testing.T) {
	for name, f := range map[string]func(){
		"no sizes":   func() { Split(nil) },
		"zero size":  func() { Split([]int{3, 0}) },
		"bad result": func() { Tool("x", "", func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
