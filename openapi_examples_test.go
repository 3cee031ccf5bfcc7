package caddyqwen

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// TestOpenAPIExamples sends all example requests of the description. Each must be as
// described itself, and be answered well and as described.
func TestOpenAPIExamples(t *testing.T) {
	j := mustJudge(t, setup{})
	j.parsesAtOnce()
	for name, op := range j.operations() {
		method, path, _ := strings.Cut(name, " ")
		if op.RequestBody == nil {
			continue
		}
		for kind, media := range op.RequestBody.Content.FromOldest() {
			sent := 0
			switch kind {
			case "application/json":
				sent = j.tryJSON(t, method, path, media)
			case "multipart/form-data":
				sent = j.tryForm(t, path, media.Schema.Schema())
			}
			if sent == 0 {
				t.Errorf("%s takes %s, but no example was sent", name, kind)
			}
		}
	}
}

// exampleFileID is the id of an uploaded file in examples.
const exampleFileID = "7d4b1a52-0b7f-4c0e-9a51-3f0a2f6f9c11"

// tryJSON sends the examples of an operation that takes JSON.
func (j *judge) tryJSON(t *testing.T, method, path string, media *v3.MediaType) (sent int) {
	t.Helper()
	for name, example := range media.Examples.FromOldest() {
		var value any
		if err := example.Value.Decode(&value); err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text := string(body)
		if strings.Contains(text, exampleFileID) {
			text = strings.ReplaceAll(text, exampleFileID, j.mustUpload(t, textFile("a.txt", "The file of the example.")).ID)
		}
		j.checkRequest(t, method, path, text)
		got := j.expect(t, 200, method, path, text)
		if example.Summary == "" {
			t.Errorf("the example %s of %s has no summary", name, path)
		}
		if stream := strings.Contains(text, `"stream":true`); stream != strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
			t.Errorf("%s: the example %s is answered as %s", path, name, got.header.Get("Content-Type"))
		}
		sent++
	}
	return sent
}

// checkRequest compares a request with the description.
func (j *judge) checkRequest(t *testing.T, method, path, body string) {
	t.Helper()
	for _, problem := range j.misfits(t, method, path, body) {
		t.Errorf("%s %s: the request is not as described: %s\n%s", method, path, problem, body)
	}
}

func (j *judge) misfits(t *testing.T, method, path, body string) (list []string) {
	t.Helper()
	r, err := http.NewRequest(method, j.url+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+testKey)
	_, errs := j.ValidateHttpRequest(r)
	for _, err := range errs {
		list = append(list, err.Error())
		for _, cause := range err.SchemaValidationErrors {
			list = append(list, cause.Error())
		}
	}
	return list
}

// tryForm sends a form with a file and with the examples of all its other fields.
func (j *judge) tryForm(t *testing.T, path string, form *base.Schema) int {
	t.Helper()
	var fields []field
	for name, property := range form.Properties.FromOldest() {
		schema := property.Schema()
		switch {
		case schema.Format == "binary" && name == "video":
			fields = append(fields, field{name: name, file: "clip.mp4", kind: "video/mp4", value: string(testMP4(3, 900))})
		case schema.Format == "binary":
			fields = append(fields, field{name: name, file: "photo.png", kind: "image/png", value: string(testPNG(3, 900))})
		case len(schema.Examples) == 0:
			t.Errorf("the field %s of %s has no example", name, path)
		default:
			fields = append(fields, field{name: name, value: schema.Examples[0].Value})
		}
	}
	j.expectForm(t, 200, path, fields...)
	for _, name := range form.Required { // each of them is needed
		without := slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.name == name })
		j.expectForm(t, 400, path, without...)
	}
	return len(fields)
}

// TestOpenAPIRequests compares what the description says about requests with what
// the server takes: all forms of content, and nothing that it refuses.
func TestOpenAPIRequests(t *testing.T) {
	j := mustJudge(t, setup{})
	j.parsesAtOnce()
	file := j.mustUpload(t, field{name: "file", file: "a.png", kind: "image/png", value: string(testPNG(5, 900))})
	info := json.RawMessage(file.FileInfo)
	sound := dataURL("audio/wav", []byte(testSound(900).value))
	_, bare, _ := strings.Cut(sound, ",")
	good := map[string]part{
		"image":             imagePart(testPNG(1, 900)),
		"image, bare URL":   {"type": "image_url", "image_url": dataURL("image/png", testPNG(2, 900))},
		"image, file_info":  {"type": "image_url", "image_url": map[string]any{"url": file.URL, "file_info": info}},
		"image, input":      {"type": "input_image", "file_id": file.ID},
		"video":             {"type": "video_url", "video_url": map[string]any{"url": dataURL("video/mp4", testMP4(1, 900))}},
		"sound":             {"type": "input_audio", "input_audio": map[string]any{"data": bare, "format": "wav"}},
		"file":              filePart("a.txt", "text/plain", []byte("Text.")),
		"file, id":          fileOfID(file.ID),
		"file, beside":      {"type": "input_file", "filename": "b.txt", "file_data": dataURL("text/plain", []byte("More text."))},
		"file, file_info":   {"type": "file", "file": map[string]any{"file_info": info}},
		"text of a program": {"type": "input_text", "text": "And this."},
	}
	for name, p := range good {
		t.Run(name, func(t *testing.T) {
			body := messagesBody(t, "qwen3.8-max", []any{say("What is it?", p)}, "")
			j.checkRequest(t, http.MethodPost, chatPath, body)
			got := j.do(http.MethodPost, chatPath, body)
			if j.compare(t, got.status, http.MethodPost, chatPath, got); got.status != 200 && got.code() != "unsupported_content" {
				t.Errorf("%d: %s", got.status, got.body)
			}
		})
	}
	for i, bad := range []string{
		`{"model":"qwen"}`, `{"model":"qwen","messages":[]}`, `{"model":1,"messages":[{"role":"user","content":"a"}]}`,
		`{"model":"qwen","messages":[{"content":"a"}]}`, `{"model":"qwen","messages":[{"role":"robot","content":"a"}]}`,
		`{"model":"qwen","messages":[{"role":"user","content":[{"type":"image"}]}]}`,
		chatBody("a", `"n":2`), chatBody("a", `"logprobs":true`), chatBody("a", `"stream":"yes"`), chatBody("a", `"thinking_budget":-1`),
		chatBody("a", `"reasoning_effort":"much"`), chatBody("a", `"thinking":{"type":"on"}`),
	} {
		t.Run("refused "+strconv.Itoa(i), func(t *testing.T) {
			j.expect(t, 400, http.MethodPost, chatPath, bad)
			if len(j.misfits(t, http.MethodPost, chatPath, bad)) == 0 {
				t.Errorf("the description allows %s", bad)
			}
		})
	}
}
