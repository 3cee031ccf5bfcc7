package caddyqwen

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi-validator/schema_validation"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// plainHeaders are those of every HTTP server, which are not described.
var plainHeaders = []string{
	"Cache-Control", "Vary", "Etag", "Accept-Ranges", "X-Accel-Buffering", "Connection", "Server", "Date", "Content-Length",
	"Content-Encoding", "X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy",
}

// judge compares answers with the description.
type judge struct {
	described
	*gateway
	seen map[string]bool // operations with a status
}

func mustJudge(t *testing.T, s setup) *judge {
	t.Helper()
	return &judge{mustDescribe(t), mustFilesGateway(t, s), make(map[string]bool)}
}

// expect sends a request and compares the answer with the description.
func (j *judge) expect(t *testing.T, status int, method, path, body string, header ...string) reply {
	t.Helper()
	got := j.do(method, path, body, header...)
	j.compare(t, status, method, path, got)
	return got
}

// expectForm is expect for a form.
func (j *judge) expectForm(t *testing.T, status int, path string, fields ...field) reply {
	t.Helper()
	kind, body := mustForm(t, fields...)
	return j.expect(t, status, http.MethodPost, path, string(body), "Content-Type", kind)
}

func (j *judge) compare(t *testing.T, status int, method, path string, got reply) {
	t.Helper()
	if got.status != status || got.err != nil {
		t.Errorf("%s %s: status %d, want %d, %v: %s", method, path, got.status, status, got.err, tail(got.body))
	}
	for _, problem := range j.differences(t, method, path, got) {
		t.Errorf("%s %s: the answer %d is not as described: %s\n%s %s", method, path, got.status, problem, got.header, tail(got.body))
	}
	if op := j.operationOf(method, path); op != "" {
		j.seen[op+" "+strconv.Itoa(got.status)] = true
	}
}

// differences tells in what an answer is not as described.
func (j *judge) differences(t testing.TB, method, path string, got reply) (list []string) {
	t.Helper()
	target, err := url.Parse(j.url + path)
	if err != nil {
		t.Fatal(err)
	}
	kind := got.header.Get("Content-Type")
	resp := &http.Response{StatusCode: got.status, Header: got.header, Body: io.NopCloser(strings.NewReader(got.body))}
	if _, errs := j.ValidateHttpResponse(&http.Request{Method: method, URL: target, Header: http.Header{}}, resp); len(errs) > 0 {
		for _, err := range errs {
			list = append(list, err.Error())
			for _, cause := range err.SchemaValidationErrors {
				list = append(list, cause.Error())
			}
		}
	}
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		list = append(list, j.strangeEvents(t, got.body)...)
	case got.status >= 400 && kind != "application/json":
		list = append(list, "the error has the type "+kind)
	}
	return list
}

// strangeEvents tells which events of a stream are not as described. Comments are
// no events.
func (j *judge) strangeEvents(t testing.TB, stream string) (list []string) {
	t.Helper()
	data := chunksOf(stream)
	if len(data) == 0 {
		return []string{"there are no events"}
	}
	failed := false
	for i, text := range data {
		if last := i == len(data)-1; last && text == "[DONE]" {
			return list
		}
		failed = strings.HasPrefix(text, `{"error"`)
		list = append(list, j.unlike("ChatCompletionEvent", text)...)
	}
	if !failed {
		list = append(list, "the stream ends without [DONE] and without an error")
	}
	return list
}

// chunksOf returns the data of the events of a stream.
func chunksOf(stream string) (data []string) {
	for line := range strings.Lines(stream) {
		if text, found := strings.CutPrefix(line, "data: "); found {
			data = append(data, strings.TrimSuffix(text, "\n"))
		}
	}
	return data
}

// unlike tells in what a JSON text differs from a schema.
func (j *judge) unlike(schema, text string) (list []string) {
	_, errs := schema_validation.NewSchemaValidator().ValidateSchemaString(j.Components.Schemas.GetOrZero(schema).Schema(), text)
	for _, err := range errs {
		list = append(list, err.Error()+" "+text)
		for _, cause := range err.SchemaValidationErrors {
			list = append(list, cause.Error())
		}
	}
	return list
}

// operationOf returns the name of the operation that a request is for.
func (j *judge) operationOf(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	documented := j.operations()
	if op := documented[method+" "+path]; op != nil {
		return op.OperationId
	}
	if op := documented[method+" "+patternOf(path)]; op != nil {
		return op.OperationId
	}
	return ""
}

// TestOpenAPIAnswers compares good answers of all operations with the description.
func TestOpenAPIAnswers(t *testing.T) {
	j := mustJudge(t, setup{})
	j.chats(t)
	j.files(t)
	j.pages(t)
	var want []string
	for _, op := range j.operations() {
		want = append(want, op.OperationId+" 200")
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(j.seen)); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("seen are\n%q, and documented are\n%q", got, want)
	}
}

// chats has the operations of chats and models answer.
func (j *judge) chats(t *testing.T) {
	j.expect(t, 200, http.MethodPost, chatPath, chatBody("Hello!", `"temperature":0.5`))
	for _, marker := range []string{"", "think", "length", "search", "unicode", "keep-alive"} {
		prompt := "[[emulator:" + marker + "]]"
		for _, path := range []string{chatPath, "/v1/chat/multimodal"} {
			j.expect(t, 200, http.MethodPost, path, chatBody(prompt, `"enable_thinking":true`))
			j.expect(t, 200, http.MethodPost, path, chatBody(prompt, `"enable_thinking":true,"stream":true,"stream_options":{"include_usage":true}`))
		}
	}
	cut := j.expect(t, 200, http.MethodPost, chatPath, chatBody("[[emulator:cut]]", `"stream":true`))
	if data := chunksOf(cut.body); !strings.HasPrefix(data[len(data)-1], `{"error"`) {
		t.Errorf("no error: %s", cut.body)
	}
	image := field{name: "image", file: "a.png", kind: "image/png", value: string(testPNG(1, 900))}
	j.expectForm(t, 200, "/v1/image/upload_and_chat", image, field{name: "prompt", value: "What is it?"})
	video := field{name: "video", file: "a.mp4", kind: "video/mp4", value: string(testMP4(1, tellFrom+1))}
	j.expectForm(t, 200, "/v1/video/upload_and_chat", video, field{name: "prompt", value: "What is it?"})
	chat := j.chat("Delete this.", "")
	j.expect(t, 200, http.MethodDelete, chatsPrefix+chat.header.Get("X-Qwen-Chat-Id"), "")
	j.expect(t, 200, http.MethodGet, "/v1/models", "")
	j.expect(t, 200, http.MethodGet, "/v1/models/qwen", "")
	j.expect(t, 200, http.MethodGet, "/v1/models/qwen3.7-plus-thinking", "")
}

// files has the operations of files answer.
func (j *judge) files(t *testing.T) {
	j.expect(t, 200, http.MethodGet, filesPath+"?purpose=none", "")
	j.parsesAtOnce()
	expires := []field{{name: "expires_after[anchor]", value: "created_at"}, {name: "expires_after[seconds]", value: "3600"}}
	for _, path := range []string{filesPath, "/v1/files/upload"} {
		j.expectForm(t, 200, path, textFile("a.txt", "The text for "+path))
		j.expectForm(t, 200, path, append(expires, testSound(900))...)
	}
	id := j.mustUpload(t, textFile("b.txt", "Another text.")).ID
	j.expect(t, 200, http.MethodGet, filesPath+"?limit=3&order=asc", "")
	j.expect(t, 200, http.MethodGet, filesPrefix+id, "")
	j.expect(t, 200, http.MethodGet, filesPrefix+id+contentSuffix, "")
	j.expect(t, 200, http.MethodDelete, filesPrefix+id, "")
	j.expect(t, 200, http.MethodPost, "/v2/files/getstsToken", `{"filename":"a.png","filesize":900,"filetype":"image"}`)
}

// pages has the operations answer that need no key.
func (j *judge) pages(t *testing.T) {
	j.expect(t, 200, http.MethodGet, "/health?verbose=true", "")
	for path, rt := range routes {
		if rt.public(&Handler{}) && !strings.HasPrefix(path, "/v1/") && path != docsPrefix {
			j.expect(t, 200, http.MethodGet, path, "", "Authorization", "")
			j.expect(t, 200, http.MethodGet, path, "", "Authorization", "", "Accept", browserAccept)
		}
	}
}

// TestOpenAPIErrors compares errors of all statuses with the description.
func TestOpenAPIErrors(t *testing.T) {
	j := mustJudge(t, setup{qwen: "max_body 64KB\nmax_image 2KB"})
	const post, get, del = http.MethodPost, http.MethodGet, http.MethodDelete
	j.expect(t, 400, post, chatPath, `{`)
	j.expect(t, 400, post, chatPath, `{"model":"qwen"}`)
	j.expect(t, 400, post, chatPath, chatBody("Hello!", `"temperature":1.5,"n":2`))
	j.expect(t, 400, post, chatPath, chatBody("Hello!", ""), "X-Qwen-Session", "old")
	j.expect(t, 413, post, chatPath, chatBody(strings.Repeat("x", 70_000), ""))
	j.expect(t, 415, post, chatPath, chatBody("Hello!", ""), "Content-Encoding", "gzip")
	j.expect(t, 404, post, chatPath, `{"model":"gpt","messages":[{"role":"user","content":"Hello!"}]}`)
	for name := range j.operations() {
		method, path, _ := strings.Cut(name, " ")
		if op := j.operations()[name]; op.Security == nil {
			path = strings.ReplaceAll(path, "{id}", "some-id")
			j.expect(t, 401, method, path, "", "Authorization", "")
		}
	}
	j.expect(t, 401, get, "/health?verbose=true", "", "Authorization", "")
	j.expect(t, 404, get, "/v1/models/gpt", "")
	j.expect(t, 404, get, filesPrefix+"none", "")
	j.expect(t, 404, del, filesPrefix+"none", "")
	j.expect(t, 404, del, chatsPrefix+"none", "")
	j.expect(t, 400, get, filesPath+"?limit=0", "")
	j.expect(t, 400, post, "/v2/files/getstsToken", `{}`)
	j.expectForm(t, 413, filesPath, field{name: "file", file: "a.png", kind: "image/png", value: string(testPNG(1, 4000))})
	j.expectForm(t, 415, filesPath, field{name: "file", file: "a.png", kind: "image/png", value: "text"})
	kind, form := mustForm(t, textFile("a.txt", "Text."))
	j.expect(t, 403, post, filesPath, string(form), "Content-Type", kind, "Origin", "https://evil.example")
	j.otherMethods(t)
}

// TestOpenAPIRefusals compares what comes of refusals of the site with the
// description. Each has a server of its own, because some make the account rest.
func TestOpenAPIRefusals(t *testing.T) {
	for marker, status := range map[string]int{
		"rate-limited": 429, "busy": 429, "burst": 429, "status 500": 502, "empty-stream": 502, "challenge": 503, "expired": 503, "moderation": 400,
	} {
		t.Run(marker, func(t *testing.T) {
			j := mustJudge(t, setup{})
			j.expect(t, status, http.MethodPost, chatPath, chatBody("[[emulator:"+marker+"]]", `"seed":1`))
		})
	}
	t.Run("an upload", func(t *testing.T) {
		j := mustJudge(t, setup{})
		failure := emulator.Status(500)
		j.site.Fail(emulator.EndpointFileGrant, failure, failure, failure, failure)
		j.expectForm(t, 502, filesPath, textFile("a.txt", "Text."))
	})
}

// otherMethods checks the answers to methods that no operation has.
func (j *judge) otherMethods(t *testing.T) {
	t.Helper()
	want := slices.Sorted(maps.Keys(maps.Collect(j.Components.Responses.GetOrZero("MethodNotAllowed").Headers.FromOldest())))
	for path := range routes {
		got := j.do(http.MethodPatch, strings.ReplaceAll(path, "{id}", "some-id"), "")
		var headers []string
		for name := range got.header {
			if name == "Allow" || name == "Server-Timing" || strings.HasPrefix(name, "X-") {
				headers = append(headers, name)
			}
		}
		if slices.Sort(headers); got.status != 405 || !slices.Equal(headers, want) {
			t.Errorf("PATCH %s: %d with %q, want %q", path, got.status, headers, want)
		}
		for _, problem := range j.unlike("Error", got.body) {
			t.Errorf("PATCH %s: %s", path, problem)
		}
	}
}

// TestOpenAPITroubles compares errors that need a server of their own.
func TestOpenAPITroubles(t *testing.T) {
	t.Run("the site is silent", func(t *testing.T) {
		j := mustJudge(t, setup{qwen: "idle_timeout 100ms"})
		j.site.Reply(emulator.HangBeforeHeaders())
		j.expect(t, 504, http.MethodPost, chatPath, chatBody("Hello!", ""))
	})
	t.Run("no record of chats", func(t *testing.T) {
		j := &judge{mustDescribe(t), mustGateway(t, setup{qwen: "sessions off\nsts_endpoint off"}), make(map[string]bool)}
		j.expect(t, 503, http.MethodDelete, chatsPrefix+"some-id", "")
		j.expect(t, 404, http.MethodPost, "/v2/files/getstsToken", `{}`)
	})
	t.Run("the list of models needs a key", func(t *testing.T) {
		j := mustJudge(t, setup{qwen: "public_models off"})
		j.expect(t, 401, http.MethodGet, "/v1/models", "", "Authorization", "")
		j.expect(t, 401, http.MethodGet, "/v1/models/qwen", "", "Authorization", "")
	})
	t.Run("a chat is busy", func(t *testing.T) {
		j := mustJudge(t, setup{})
		first := j.discuss([]any{say("Hello!")})
		j.site.Reply(afterText(emulator.Hang()))
		next := messagesBody(t, "qwen3.7-plus", []any{say("Hello!"), first.said, say("And now?")}, `"stream":true`)
		resp := j.send(t.Context(), http.MethodPost, chatPath, next)
		defer resp.Body.Close()
		j.expect(t, 409, http.MethodDelete, chatsPrefix+resp.Header.Get("X-Qwen-Chat-Id"), "")
	})
}
