package qwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// outcome is all that a stream comes to.
type outcome struct {
	Answer, Reasoning string
	Calls             string // one a line
	End               string // "stop", "length", or the kind of the failure
	ResponseID        string
	Usage             Usage
}

// decode feeds stream in pieces of the given size and ends it.
func decode(t testing.TB, d *Decoder, stream string, size int) (o outcome) {
	t.Helper()
	var answer, reasoning []byte
	take := func(ev Event) {
		switch ev.Kind {
		case Answer:
			answer = jsonraw.AppendText(answer, ev.Raw)
		case Reasoning:
			reasoning = jsonraw.AppendText(reasoning, ev.Raw)
		case Called:
			o.Calls += ev.Name + ev.Arguments + "\n"
		case Finished:
			o.End = "stop"
			if ev.Truncated {
				o.End = "length"
			}
		case Failed:
			o.End = ev.Err.Kind.String()
		}
		if (ev.Kind == Answer || ev.Kind == Reasoning) && (!jsonraw.Clean(ev.Raw) || len(ev.Raw) == 0) {
			t.Fatalf("event with raw text %q", ev.Raw)
		}
	}
	for rest := []byte(stream); len(rest) > 0; {
		n := min(size, len(rest))
		piece := append([]byte(nil), rest[:n]...)
		d.Feed(piece)
		for ev, ok := d.Next(); ok; ev, ok = d.Next() {
			take(ev)
		}
		for i := range piece {
			piece[i] = '#' // the decoder must not hold on to it
		}
		rest = rest[n:]
	}
	d.End()
	for ev, ok := d.Next(); ok; ev, ok = d.Next() {
		take(ev)
	}
	if _, ok := d.Next(); ok {
		t.Fatal("event after the end")
	}
	o.Answer, o.Reasoning = string(answer), string(reasoning)
	o.ResponseID = d.ResponseID()
	o.Usage, _ = d.Usage()
	return o
}

func created(index int, id string) string {
	return fmt.Sprintf(`data: {"response.created":{"chat_id":"c","parent_id":"p","response_id":%q,"response_index":"%d"}}`+"\n\n", id, index)
}

func answerOf(id, text string) string {
	return fmt.Sprintf(`data: {"choices":[{"delta":{"role":"assistant","content":"%s","phase":"answer","status":"typing"}}],"response_id":%q,"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12,"output_tokens_details":{"reasoning_tokens":1},"prompt_tokens_details":{"cached_tokens":3}},"timestamp":1790000002} `+"\n\n", text, id)
}

func answerFrame(text string) string { return answerOf("r", text) }

func think(text string) string {
	return fmt.Sprintf(`data: {"choices":[{"delta":{"role":"assistant","content":"%s","phase":"think","status":"typing"}}],"response_id":"r"}`+"\n\n", text)
}

func summaryFrame(titles, thoughts string) string {
	return fmt.Sprintf(`data: {"choices":[{"delta":{"role":"assistant","content":"","phase":"thinking_summary","extra":{"summary_title":{"content":[%s]},"summary_thought":{"content":[%s]}},"status":"typing"}}],"response_id":"r"}`+"\n\n", titles, thoughts)
}

const (
	summaryEnd = `data: {"choices":[{"delta":{"role":"assistant","content":"","phase":"thinking_summary","status":"finished"}}],"response_id":"r","timestamp":1790000002}` + "\n\n"
	finish     = `data: {"choices":[{"delta":{"content":"","role":"assistant","status":"finished","phase":"answer"}}],"response_id":"r"}` + "\n\n"
	toolFrames = `data: {"choices":[{"delta":{"role":"assistant","content":"secret","phase":"web_search","status":"typing","function_call":{"name":"web_search","arguments":"{\"q\""},"function_id":"f"}}],"response_id":"r"}` + "\n\n" +
		`data: {"choices":[{"delta":{"role":"function","content":"secret","phase":"web_search","status":"finished","extra":{"tool_result":{"docs":[{"url":"u","title":"t"}]}}}}],"response_id":"r"}` + "\n\n" +
		`data: {"choices":[{"delta":{"role":"assistant","content":"secret","phase":"some_new_tool","status":"finished"}}],"response_id":"r"}` + "\n\n"
	keepAlive = `data: {"response.info":{"action":"keep_alive","chat_id":"c","response_id":"r","timestamp":1}}` + "\n\n"
)

func TestDecoder(t *testing.T) {
	stop := func(o outcome) outcome {
		o.End, o.ResponseID = "stop", "r"
		return o
	}
	used := Usage{Input: 10, Output: 2, Reasoning: 1, Cached: 3}
	hello := created(0, "r") + answerFrame("Hel") + answerFrame("lo") + answerFrame("") + finish
	for name, tt := range map[string]struct {
		stream string
		want   outcome
	}{
		"answer":             {hello, stop(outcome{Answer: "Hello", Usage: used})},
		"CRLF":               {strings.ReplaceAll(hello, "\n", "\r\n"), stop(outcome{Answer: "Hello", Usage: used})},
		"CR":                 {strings.ReplaceAll(hello, "\n", "\r"), stop(outcome{Answer: "Hello", Usage: used})},
		"BOM":                {"\ufeff" + hello, stop(outcome{Answer: "Hello", Usage: used})},
		"no blank lines":     {strings.ReplaceAll(hello, "\n\n", "\n"), stop(outcome{Answer: "Hello", Usage: used})},
		"no space":           {strings.ReplaceAll(hello, "data: ", "data:"), stop(outcome{Answer: "Hello", Usage: used})},
		"comments, fields":   {": hi\n\nevent: message\nid: 7\nretry: 10\n" + hello, stop(outcome{Answer: "Hello", Usage: used})},
		"no final line end":  {strings.TrimRight(hello, "\n"), stop(outcome{Answer: "Hello", Usage: used})},
		"keep alive":         {keepAlive + hello + keepAlive, stop(outcome{Answer: "Hello", Usage: used})},
		"after the end":      {hello + answerFrame("more") + finish + "data: [DONE]\n\n", stop(outcome{Answer: "Hello", Usage: used})},
		"[DONE] for the end": {created(0, "r") + answerFrame("Hi") + "data: [DONE]\n\n", stop(outcome{Answer: "Hi", Usage: used})},
		"done for the end":   {created(0, "r") + answerFrame("Hi") + `data: {"done":true}` + "\n\n", stop(outcome{Answer: "Hi", Usage: used})},
		"white space":        {answerFrame(`  a\n`) + answerFrame(`\n `) + answerFrame("b ") + finish, stop(outcome{Answer: "  a\n\n b ", Usage: used})},
		"look-alikes":        {answerFrame(`data: {\"x\":1}\n\n`) + answerFrame(`[DONE]`) + answerFrame("\u2028\\u0000") + finish, stop(outcome{Answer: "data: {\"x\":1}\n\n[DONE]\u2028\x00", Usage: used})},
		"escapes":            {answerFrame(`\ud83d\ude00 \u00e9 \/ \"`) + answerFrame("日本語😀") + finish, stop(outcome{Answer: "😀 é / \"日本語😀", Usage: used})},
		"pair cut in two":    {answerFrame(`a\ud83d`) + answerFrame("") + answerFrame(`\ude00b`) + finish, stop(outcome{Answer: "a😀b", Usage: used})},
		"pair cut, reasoning between": {answerFrame(`a\ud83d`) + think("t") + answerFrame(`\ude00b`) + finish,
			stop(outcome{Answer: "a😀b", Reasoning: "t", Usage: used})},
		"lone surrogate":      {answerFrame(`a\ud83d`) + answerFrame(`b\ude00c`) + finish, stop(outcome{Answer: "a\ufffdb\ufffdc", Usage: used})},
		"invalid UTF-8":       {answerFrame("a\xffb") + finish, stop(outcome{Answer: "a\ufffdb", Usage: used})},
		"think":               {think("Let me ") + think("see.") + answerFrame("Hi") + finish, stop(outcome{Answer: "Hi", Reasoning: "Let me see.", Usage: used})},
		"tools kept out":      {toolFrames + answerFrame("Hi") + toolFrames + finish, stop(outcome{Answer: "Hi", Usage: used})},
		"phase missing":       {`data: {"choices":[{"delta":{"role":"assistant","content":"Hi"}}],"response_id":"r"}` + "\n\n" + `data: {"choices":[{"delta":{"content":"","status":"finished","phase":null}}],"response_id":"r"}` + "\n", stop(outcome{Answer: "Hi"})},
		"text in the last":    {answerFrame("a") + strings.Replace(finish, `"content":""`, `"content":"b"`, 1), stop(outcome{Answer: "ab", Usage: used})},
		"length":              {answerFrame("a") + `data: {"choices":[{"delta":{"content":"b","phase":"answer","status":"typing"},"finish_reason":"length"}],"response_id":"r"}` + "\n\n", outcome{Answer: "ab", End: "length", ResponseID: "r", Usage: used}},
		"odd members":         {`data: {"choices":[]}` + "\n" + `data: {"choices":null}` + "\n" + `data: {"choices":[null,7]}` + "\n" + `data: {"choices":[{"delta":null}],"usage":null}` + "\n" + `data: {"choices":[{"delta":{"content":null,"phase":7}}],"response_id":"r"}` + "\n" + hello, stop(outcome{Answer: "Hello", Usage: used})},
		"usage empty at last": {answerFrame("a") + strings.Replace(finish, `}],`, `}],"usage":{},`, 1), stop(outcome{Answer: "a", Usage: used})},
		"noise":               {"data: ping\n\ndata: \ndata\n" + hello, stop(outcome{Answer: "Hello", Usage: used})},

		"empty stream":        {"", outcome{End: KindTruncated.String()}},
		"cut":                 {created(0, "r") + answerFrame("Hel"), outcome{Answer: "Hel", End: KindTruncated.String(), ResponseID: "r", Usage: used}},
		"cut in a frame":      {created(0, "r") + answerFrame("Hel") + finish[:40], outcome{Answer: "Hel", End: KindTruncated.String(), ResponseID: "r", Usage: used}},
		"no text":             {created(0, "r") + finish, outcome{End: KindEmpty.String(), ResponseID: "r"}},
		"reasoning only":      {think("hm") + finish, outcome{Reasoning: "hm", End: KindEmpty.String(), ResponseID: "r"}},
		"stopped on the site": {answerFrame("Hel") + `data: {"response.stopped":{"response_id":"r"}}` + "\n\n", outcome{Answer: "Hel", End: KindTruncated.String(), ResponseID: "r", Usage: used}},
		"damaged frame":       {answerFrame("a") + "data: {\"choices\":[{\"delta\":{\"content\":\"b\n\n" + answerFrame("c") + finish, outcome{Answer: "a", End: KindBadResponse.String(), ResponseID: "r", Usage: used}},
		"too much noise":      {strings.Repeat("data: ping\n\n", 4) + hello, outcome{End: KindBadResponse.String()}},
		"error string":        {`data: {"error":"Internal error!"}` + "\n\n", outcome{End: KindUnavailable.String()}},
		"error object":        {answerFrame("a") + `data: {"error":{"code":"invalid_input","details":"no"},"response_id":"r"}` + "\n\n", outcome{Answer: "a", End: KindRejected.String(), ResponseID: "r", Usage: used}},
		"error null":          {`data: {"error":null,"choices":[]}` + "\n\n" + hello, stop(outcome{Answer: "Hello", Usage: used})},
		"error in delta":      {`data: {"choices":[{"delta":{"status":"error","extra":{"error":{"code":"data_inspection_failed","details":"no"}}}}],"response_id":"r"}` + "\n\n", outcome{End: KindContent.String(), ResponseID: "r"}},
		"refusal in a frame":  {`data: {"success":false,"data":{"code":"RateLimited","details":"limit","num":4}}` + "\n\n", outcome{End: KindQuota.String()}},
		"challenge without data": {created(0, "r") + `{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::busy"],"data":{"url":"https://x/_____tmd_____/punish?x5secdata=1"}}`,
			outcome{End: KindVerification.String(), ResponseID: "r"}},
		"page": {"<!doctypehtml><html><script>aliyun_waf_aa</script>\n", outcome{End: KindVerification.String()}},

		"second candidate dropped": {created(0, "r") + created(1, "s") + answerOf("s", "X") + answerOf("r", "a") + answerOf("s", "Y") + answerOf("r", "b") +
			strings.ReplaceAll(finish, `"r"`, `"s"`) + answerOf("r", "c") + finish, stop(outcome{Answer: "abc", Usage: used})},
		"second candidate first":  {created(1, "s") + answerOf("s", "X") + created(0, "r") + answerOf("r", "a") + finish, stop(outcome{Answer: "a", Usage: used})},
		"the other is stopped":    {created(0, "r") + created(1, "s") + answerOf("r", "a") + `data: {"response.stopped":{"response_id":"s"}}` + "\n\n" + answerOf("r", "b") + finish, stop(outcome{Answer: "ab", Usage: used})},
		"text with done":          {created(0, "r") + answerFrame("a") + `data: {"done":true,"choices":[{"delta":{"content":"b","phase":"answer","status":"typing"}}],"response_id":"r"}` + "\n\n", stop(outcome{Answer: "ab", Usage: used})},
		"frame without its head":  {answerFrame("a") + `data: ices":[{"delta":{"content":"lost"}}]}` + "\n\n" + finish, outcome{Answer: "a", End: KindBadResponse.String(), ResponseID: "r", Usage: used}},
		"content of another type": {answerFrame("a") + `data: {"choices":[{"delta":{"content":[{"text":"lost"}],"phase":"answer"}}],"response_id":"r"}` + "\n\n" + finish, outcome{Answer: "a", End: KindBadResponse.String(), ResponseID: "r", Usage: used}},
		"candidates unnamed":      {answerOf("r", "a") + answerOf("s", "X") + finish, stop(outcome{Answer: "a", Usage: used})},
		"error of the other":      {created(0, "r") + created(1, "s") + `data: {"error":{"code":"x","details":"y"},"response_id":"s"}` + "\n\n" + answerOf("r", "a") + finish, stop(outcome{Answer: "a", Usage: used})},

		"summary": {summaryFrame(`"T1"`, ``) + summaryFrame(`"T1"`, `"Par"`) + summaryFrame(`"T1"`, `"Par"`) + summaryFrame(`"T1"`, `"Paragraph 1"`) + summaryFrame(`"T1","T2"`, `"Paragraph 1","P2"`) + summaryEnd + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "T1\n\nParagraph 1\n\nT2\n\nP2", Usage: used})},
		"summary without titles": {summaryFrame(``, `"A"`) + summaryFrame(``, `"A","B"`) + summaryEnd + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "A\n\nB", Usage: used})},
		"summary goes on after a tool": {summaryFrame(`"T"`, `"A"`) + summaryEnd + toolFrames + summaryFrame(`"T","U"`, `"A","B"`) + summaryEnd + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "T\n\nA\n\nU\n\nB", Usage: used})},
		"summary starts anew after a tool": {summaryFrame(`"T","U"`, `"A","B"`) + summaryEnd + toolFrames + summaryFrame(`"V"`, `"C"`) + summaryFrame(`"V"`, `"C","D"`) + summaryEnd + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "T\n\nA\n\nU\n\nB\n\nV\n\nC\n\nD", Usage: used})},
		"summary with one array": {summaryFrame(`"T"`, `"A"`) + summaryFrame(``, `"A","B"`) + summaryFrame(`"T","U"`, ``) + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "T\n\nA\n\nB\n\nU", Usage: used})},
		"summary grows late": {summaryFrame(`"T","U"`, `"A"`) + summaryFrame(`"T","U"`, `"A more","B"`) + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "T\n\nA\n\nU more\n\nB", Usage: used})},
		"summary with escapes": {summaryFrame(``, `"\ud83d"`) + summaryFrame(``, `"\ud83d\ude00\n\"x\""`) + answerFrame("Hi") + finish,
			stop(outcome{Answer: "Hi", Reasoning: "😀\n\"x\"", Usage: used})},
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
