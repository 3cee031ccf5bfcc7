package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const (
	imageChatPath = "/v1/image/upload_and_chat"
	videoChatPath = "/v1/video/upload_and_chat"
)

func imageField(image []byte) field {
	return field{name: "image", file: "flower.png", kind: "image/png", value: string(image)}
}

func videoField(video []byte) field {
	return field{name: "video", file: "film.mp4", kind: "video/mp4", value: string(video)}
}

func promptField(text string) field { return field{name: "prompt", value: text} }

// The defaults of the original.
func TestFormChatDefaults(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	image, video := testPNG(1, 900), testMP4(2, 900)
	t.Run("MM-12 an image, not streamed", func(t *testing.T) {
		r := g.form(imageChatPath, imageField(image), promptField("What is it?"))
		if text := g.mustReply(r); r.header.Get("Content-Type") != "application/json" || !strings.Contains(text, "I see flower.png (image/png, 900 bytes)") {
			t.Errorf("%s: %q", r.header.Get("Content-Type"), text)
		}
		g.mustShow(g.last().Files, image)
		if f := g.last().Files[0]; f.FileClass != "vision" || f.Name != "flower.png" {
			t.Errorf("the model sees %s", f.Raw)
		}
	})
	t.Run("MM-15 a video, streamed, in parts", func(t *testing.T) {
		r := g.form(videoChatPath, videoField(video), promptField("What is it?"))
		text, complete := streamed(t, r.body)
		if r.header.Get("Content-Type") != "text/event-stream" || !complete || !strings.Contains(text, "I see film.mp4 (video/mp4, 900 bytes)") {
			t.Errorf("%s: %q", r.header.Get("Content-Type"), text)
		}
		g.mustShow(g.last().Files, video)
		if stored := g.site.Storage().Objects(); stored[len(stored)-1].Op != emulator.OpComplete {
			t.Errorf("it was stored by %s", stored[len(stored)-1].Op)
		}
	})
	for _, c := range g.site.Completions() {
		if c.Model != "qwen3-vl-plus" || c.Content != "What is it?" || c.Feature.ThinkingEnabled {
			t.Errorf("%s was asked %q, thinking %t", c.Model, c.Content, c.Feature.ThinkingEnabled)
		}
	}
}

// All fields of the original, with the quotes that Windows shells leave.
func TestFormChatFields(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		fields map[string]string
		stream bool
		model  string
		think  bool
		budget int
	}{
		"MM-12 streamed":                     {imageChatPath, map[string]string{"stream": "true"}, true, "qwen3-vl-plus", false, 0},
		"MM-12 in quotes":                    {imageChatPath, map[string]string{"stream": `"false"`, "model": `"qwen3.7-plus"`}, false, "qwen3.7-plus", false, 0},
		"MM-12 in single quotes":             {imageChatPath, map[string]string{"stream": `'true'`, "enable_thinking": `'true'`}, true, "qwen3-vl-plus", true, 0},
		"MM-12 with blanks, in capitals":     {imageChatPath, map[string]string{"stream": " True ", "model": " qwen3.7-plus "}, true, "qwen3.7-plus", false, 0},
		"MM-12 numbers as truth":             {imageChatPath, map[string]string{"stream": "1", "enable_thinking": "0"}, true, "qwen3-vl-plus", false, 0},
		"MM-12 empty is the default":         {imageChatPath, map[string]string{"stream": "", "model": "", "enable_thinking": "", "thinking_budget": ""}, false, "qwen3-vl-plus", false, 0},
		"MM-15 empty is the default":         {videoChatPath, map[string]string{"stream": ""}, true, "qwen3-vl-plus", false, 0},
		"MM-15 not streamed":                 {videoChatPath, map[string]string{"stream": `"false"`}, false, "qwen3-vl-plus", false, 0},
		"MM-12, RE-08 thinking and a budget": {imageChatPath, map[string]string{"enable_thinking": "true", "thinking_budget": `"1234"`}, false, "qwen3-vl-plus", true, 1234},
		"MM-15, RE-08 thinking and a budget": {videoChatPath, map[string]string{"enable_thinking": "true", "thinking_budget": "77"}, true, "qwen3-vl-plus", true, 77},
		"MM-12 a budget without thinking":    {imageChatPath, map[string]string{"thinking_budget": "77"}, false, "qwen3-vl-plus", false, 0},
		"MM-12 a short name":                 {imageChatPath, map[string]string{"model": "qwen3-vl"}, false, "qwen3-vl-plus", false, 0},
		"MM-12 fields of nobody's":           {imageChatPath, map[string]string{"temperature": "0.5"}, false, "qwen3-vl-plus", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			fields := []field{promptField(`What is "it"?`)}
			for name, value := range test.fields {
				fields = append(fields, field{name: name, value: value})
			}
			content, file := testPNG(1, 900), imageField
			if test.path == videoChatPath {
				content, file = testMP4(1, 900), videoField
			}
			r := g.form(test.path, append(fields, file(content))...)
			if got := modelOf(t, r); got != test.model {
				t.Errorf("%q has answered", got)
			}
			if got := r.header.Get("Content-Type") == "text/event-stream"; got != test.stream {
				t.Errorf("streamed: %t", got)
			}
			if got := strings.Contains(r.body, `"reasoning_content":"`); got != test.think {
				t.Errorf("it has thought: %t", got)
			}
			c := g.last()
			g.mustShow(c.Files, content)
			if c.Content != `What is "it"?` || c.Feature.ThinkingEnabled != test.think || test.budget > 0 && c.Feature.ThinkingBudget != test.budget {
				t.Errorf("the site got %q, thinking %t, budget %d", c.Content, c.Feature.ThinkingEnabled, c.Feature.ThinkingBudget)
			}
		})
	}
}

// How clients write the names of files into forms.
func TestFormChatNames(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for i, test := range []struct{ disposition, want string }{
		{`filename="图 a+b%.png"`, "图 a+b%.png"},
		{`filename="\"photo.png\""`, "photo.png"},
		{`filename="'photo.png'"`, "photo.png"},
		{`filename="%22photo.png%22"`, "photo.png"},
		{`filename="C:\Users\me\photo.png"`, "photo.png"},
		{`filename="\"C:\\Users\\me\\my photo.png\""`, "my photo.png"},
		{`filename=photo.png`, "photo.png"},
		{`filename="../../photo.png"`, "photo.png"},
		{`filename="she said \"hi\".png"`, `she said "hi".png`},
		{`filename="photo.png"; filename*=UTF-8''%E5%9B%BE%20%2B%25.png`, "图 +%.png"},
		{`filename="a;b.png"`, "a;b.png"},
		{`filename=".png"`, "png.png"},
	} {
		t.Run("FI-02, FI-08, MM-12 "+test.disposition, func(t *testing.T) {
			image := testPNG(uint64(i), 700)
			body := "--xyz\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nWhat is it?\r\n" +
				"--xyz\r\nContent-Disposition: form-data; name=\"image\"; " + test.disposition + "\r\nContent-Type: application/octet-stream\r\n\r\n" +
				string(image) + "\r\n--xyz--\r\n"
			g.mustReply(g.do(http.MethodPost, imageChatPath, body, "Content-Type", "multipart/form-data; boundary=xyz"))
			g.mustShow(g.last().Files, image)
			if got := g.last().Files[0].Name; got != test.want {
				t.Errorf("the name is %q, not %q", got, test.want)
			}
		})
	}
}

// What the forms refuse, in the envelope of all errors.
func TestFormChatRefused(t *testing.T) {
	image, video, pdf := testPNG(1, 900), testMP4(2, 900), testFile(pdfHead, 3, 900)
	prompt := promptField("What is it?")
	with := func(f field, value string) field { f.value = value; return f }
	for name, test := range map[string]struct {
		path        string
		fields      []field
		status      int
		code, param string
	}{
		"MM-13 no prompt":                   {imageChatPath, []field{imageField(image)}, 400, "missing_required_parameter", "prompt"},
		"MM-13 a blank prompt":              {imageChatPath, []field{imageField(image), promptField(" \r\n")}, 400, "missing_required_parameter", "prompt"},
		"MM-13 a prompt of quotes":          {imageChatPath, []field{imageField(image), promptField(`""`)}, 400, "missing_required_parameter", "prompt"},
		"MM-13, U02 no image":               {imageChatPath, []field{prompt}, 400, "missing_required_parameter", "image"},
		"MM-13, U02 no video":               {videoChatPath, []field{prompt}, 400, "missing_required_parameter", "video"},
		"MM-13, U02 in another field":       {videoChatPath, []field{prompt, imageField(image)}, 400, "missing_required_parameter", "video"},
		"MM-13 text in place of the file":   {imageChatPath, []field{prompt, {name: "image", value: "photo.png"}}, 400, "invalid_value", "image"},
		"U03 two files":                     {imageChatPath, []field{prompt, imageField(image), imageField(image)}, 400, "invalid_value", "image"},
		"MM-13 a field twice":               {imageChatPath, []field{prompt, prompt, imageField(image)}, 400, "invalid_value", "prompt"},
		"FI-07, U07 an empty file":          {imageChatPath, []field{prompt, imageField(nil)}, 400, "invalid_value", "image"},
		"U09 a video as the image":          {imageChatPath, []field{prompt, {name: "image", file: "film.mp4", kind: "video/mp4", value: string(video)}}, 415, "media_type_unsupported", "image"},
		"U09 an image as the video":         {videoChatPath, []field{prompt, {name: "video", file: "a.png", kind: "image/png", value: string(image)}}, 415, "media_type_unsupported", "video"},
		"U09 a document as the image":       {imageChatPath, []field{prompt, {name: "image", file: "a.pdf", value: string(pdf)}}, 415, "media_type_unsupported", "image"},
		"U09 a document named as an image":  {imageChatPath, []field{prompt, with(imageField(nil), string(pdf))}, 415, "media_type_unsupported", "image"},
		"MM-13 neither true nor false":      {imageChatPath, []field{prompt, imageField(image), {name: "stream", value: "maybe"}}, 400, "invalid_value", "stream"},
		"MM-13 thinking, neither":           {imageChatPath, []field{prompt, imageField(image), {name: "enable_thinking", value: "2"}}, 400, "invalid_value", "enable_thinking"},
		"MM-13 a budget of words":           {imageChatPath, []field{prompt, imageField(image), {name: "thinking_budget", value: "much"}}, 400, "invalid_value", "thinking_budget"},
		"MM-13 a negative budget":           {imageChatPath, []field{prompt, imageField(image), {name: "thinking_budget", value: "-1"}}, 400, "invalid_value", "thinking_budget"},
		"MM-13 an unknown model":            {imageChatPath, []field{prompt, imageField(image), {name: "model", value: "gpt-9"}}, 404, "model_not_found", "model"},
		"a model that cannot see":           {imageChatPath, []field{prompt, imageField(image), {name: "model", value: "qwen3.7-max"}}, 400, "unsupported_content", "image"},
		"MM-14, U06 one byte too many":      {imageChatPath, []field{prompt, imageField(testPNG(1, 2001))}, 413, "file_too_large", "image"},
		"MM-14, U06 a video, one too many":  {videoChatPath, []field{prompt, videoField(testMP4(1, 3001))}, 413, "file_too_large", "video"},
		"U05 a prompt of more than a MiB":   {imageChatPath, []field{promptField(strings.Repeat("x", 1<<20+1)), imageField(image)}, 413, "request_too_large", "prompt"},
		"U04 65 fields":                     {imageChatPath, append(manyFields(64), imageField(image)), 400, "invalid_form", ""},
		"FI-06 the form has no part at all": {imageChatPath, nil, 400, "missing_required_parameter", "image"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "max_image 2000\nmax_video 3000"})
			mustRefuse(t, g.form(test.path, test.fields...), test.status, test.code, test.param)
			g.sentNothing()
		})
	}
	for name, test := range map[string]struct{ kind, body string }{
		"FI-06, U01 JSON":             {"application/json", `{"prompt":"x"}`},
		"FI-06, U01 a plain form":     {"application/x-www-form-urlencoded", "prompt=x"},
		"FI-06, U01 no type":          {"", "prompt=x"},
		"FI-06, U01 no boundary":      {"multipart/form-data", "--x\r\n"},
		"FI-06, U01 a long boundary":  {"multipart/form-data; boundary=" + strings.Repeat("x", 71), "--x\r\n"},
		"FI-06, U01 another boundary": {"multipart/form-data; boundary=x", "--y\r\n\r\n--y--\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			for _, path := range []string{imageChatPath, videoChatPath, "/v1/files/upload", "/v1/files"} {
				r := g.do(http.MethodPost, path, test.body, "Content-Type", test.kind)
				if code := r.code(); r.status != 400 || code != "invalid_form" && code != "invalid_request_body" {
					t.Errorf("%s: status %d: %s", path, r.status, r.body)
				}
			}
			g.sentNothing()
		})
	}
}

// manyFields returns different fields of a form.
func manyFields(n int) (fields []field) {
	for i := range n {
		fields = append(fields, field{name: fmt.Sprint("field", i), value: "x"})
	}
	return fields
}
