package caddyqwen

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/openai/openai-go/v3"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The official SDK sends images, a document and sound.
func TestMultimodalOfSDK(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("MM-01, MM-02, MM-08 bytes and order are those of the message, streamed %t", streamed), func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.parsesAtOnce()
			first, second := testPNG(1, 3000), testFile(jpegHead, 2, 4000)
			pdf, wav := testFile(pdfHead, 3, 5000), testFile(wavHead, 4, 2100)
			params := openai.ChatCompletionNewParams{Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: dataURL("image/png", first), Detail: "high"}),
					openai.TextContentPart("What are these?"),
					openai.FileContentPart(openai.ChatCompletionContentPartFileFileParam{
						FileData: openai.String(dataURL("application/pdf", pdf)), Filename: openai.String("报告 a+b.pdf"),
					}),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: dataURL("image/jpeg", second)}),
					openai.InputAudioContentPart(openai.ChatCompletionContentPartInputAudioInputAudioParam{
						Data: base64.StdEncoding.EncodeToString(wav), Format: "wav",
					}),
				}),
			}}
			client := g.client()
			text := ""
			if streamed {
				text = mustStream(t, client, params).Content
			} else {
				answer, err := client.Chat.Completions.New(t.Context(), params)
				if err != nil {
					t.Fatal(err)
				}
				text = answer.Choices[0].Message.Content
			}
			c := g.last()
			g.mustShow(c.Files, first, pdf, second, wav)
			if c.Content != "What are these?" || !strings.Contains(text, "报告 a+b.pdf") {
				t.Errorf("the prompt is %q, the answer %q", c.Content, text)
			}
			var kinds []string
			for _, f := range c.Files {
				kinds = append(kinds, f.FileType)
			}
			if want := "[image/png application/pdf image/jpeg audio/wav]"; fmt.Sprint(kinds) != want {
				t.Errorf("the types are %v, not %s", kinds, want)
			}
		})
	}
}

// The object by which a message refers to a file has all fields of the site's own,
// and no others.
func TestMultimodalFileObject(t *testing.T) {
	for name, test := range map[string]struct {
		content       []byte
		send          part
		kind, class   string
		mime, wantKey string
	}{
		"image":    {testPNG(1, 900), nil, "image", "vision", "image/png", ".png"},
		"video":    {testMP4(2, 900), nil, "video", "video", "video/mp4", ".mp4"},
		"audio":    {testFile(wavHead, 3, 900), nil, "audio", "audio", "audio/wav", ".wav"},
		"document": {testFile(pdfHead, 4, 900), nil, "file", "document", "application/pdf", ".pdf"},
	} {
		t.Run("MM-01, MM-08, MM-09 "+name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.parsesAtOnce()
			before := time.Now().UnixMilli()
			name := `图 a+b%2F "x"` + test.wantKey
			g.discuss([]any{say("What is it?", filePart(name, test.mime, test.content))})
			f := g.last().Files[0]
			g.mustShow(g.last().Files, test.content)
			var object, inner, meta map[string]any
			mustObject(t, f.Raw, &object)
			inner, _ = object["file"].(map[string]any)
			meta, _ = inner["meta"].(map[string]any)
			if got, want := keys(object), "collection_name error file file_class file_type greenNet id itemId name progress showType size status type uploadTaskId url"; got != want {
				t.Errorf("the fields are %s, not %s", got, want)
			}
			if got, want := keys(inner), "created_at data filename hash id meta update_at user_id"; got != want {
				t.Errorf("the inner fields are %s, not %s", got, want)
			}
			size := float64(len(test.content))
			for path, is := range map[string]bool{
				"type":      object["type"] == test.kind && object["showType"] == test.kind,
				"class":     object["file_class"] == test.class,
				"MIME":      object["file_type"] == test.mime && meta["content_type"] == test.mime,
				"name":      object["name"] == name && inner["filename"] == name && meta["name"] == name,
				"size":      object["size"] == size && meta["size"] == size,
				"id":        object["id"] == f.ID && inner["id"] == f.ID && f.ID != "",
				"state":     object["status"] == "uploaded" && object["greenNet"] == "success" && object["error"] == "" && object["progress"] == 0.0 && object["collection_name"] == "",
				"time":      inner["created_at"].(float64) >= float64(before) && inner["update_at"] == inner["created_at"],
				"hash":      inner["hash"] == nil,
				"signature": strings.Contains(f.URL, "x-oss-signature="),
				"parsed":    (meta["parse_meta"] != nil) == (test.kind == "file"),
			} {
				if !is {
					t.Errorf("the %s is wrong: %s", path, f.Raw)
				}
			}
			for _, id := range []string{"itemId", "uploadTaskId"} {
				if _, err := uuid.Parse(fmt.Sprint(object[id])); err != nil {
					t.Errorf("%s is no UUID: %v", id, object[id])
				}
			}
		})
	}
}

func mustObject(t testing.TB, raw []byte, into *map[string]any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func keys(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }

// Names reach the model as they were sent, but for paths.
func TestMultimodalNames(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for i, test := range []struct{ name, want string }{
		{"图片 ①.png", "图片 ①.png"},
		{"a+b.png", "a+b.png"},
		{"50%25 off.png", "50%25 off.png"},
		{"100%.png", "100%.png"},
		{`she said "hi" & it's <fine>?#.png`, `she said "hi" & it's <fine>?#.png`},
		{"é̂.png", "é̂.png"},
		{`C:\Users\me\photo.png`, "photo.png"},
		{"../../etc/photo.png", "photo.png"},
		{"photo\r\nX-Header: 1.png", "photoX-Header: 1.png"},
		{strings.Repeat("长", 400) + ".png", strings.Repeat("长", 83) + ".png"},
	} {
		t.Run(fmt.Sprintf("FI-02, FI-08, MM-08 %.20q", test.name), func(t *testing.T) {
			image := testPNG(uint64(i), 500)
			g.discuss([]any{say("What is it?", filePart(test.name, "image/png", image))})
			f := g.last().Files[0]
			g.mustShow(g.last().Files, image)
			if f.Name != test.want || !strings.HasSuffix(f.Key, "_"+test.want) {
				t.Errorf("the name is %q, the key %q", f.Name, f.Key)
			}
		})
	}
}

// All spellings that clients have for the same.
func TestMultimodalForms(t *testing.T) {
	image, video, pdf, wav := testPNG(1, 700), testMP4(2, 800), testFile(pdfHead, 3, 900), testFile(wavHead, 4, 1000)
	url := dataURL("image/png", image)
	encoded := base64.StdEncoding.EncodeToString
	for name, test := range map[string]struct {
		part part
		want []byte
		mime string
	}{
		"MM-01 a data URL":                     {imagePart(image), image, "image/png"},
		"MM-03 a bare string":                  {part{"type": "image_url", "image_url": url}, image, "image/png"},
		"MM-01 no type in the data URL":        {imageAt("data:;base64," + encoded(image)), image, "image/png"},
		"MM-01 base64 of URLs without padding": {imageAt("data:image/png;base64," + base64.RawURLEncoding.EncodeToString(image)), image, "image/png"},
		"MM-01 base64 in lines":                {imageAt("data:image/png;base64," + encoded(image)[:76] + "\r\n" + encoded(image)[76:]), image, "image/png"},
		"MM-01 a parameter before base64":      {imageAt("data:image/png;name=a.png;base64," + encoded(image)), image, "image/png"},
		"MM-01 a PNG that is called a JPEG":    {imageAt(dataURL("image/jpeg", image)), image, "image/png"},
		"MM-09 a video":                        {part{"type": "video_url", "video_url": map[string]any{"url": dataURL("video/mp4", video)}}, video, "video/mp4"},
		"MM-09 a video as a bare string":       {part{"type": "video_url", "video_url": dataURL("video/mp4", video)}, video, "video/mp4"},
		"MM-08 a file in plain base64":         {part{"type": "file", "file": map[string]any{"filename": "a.pdf", "file_data": encoded(pdf)}}, pdf, "application/pdf"},
		"MM-08 a file without a name":          {part{"type": "file", "file": map[string]any{"file_data": dataURL("application/pdf", pdf)}}, pdf, "application/pdf"},
		"MM-08 a file of the Responses API":    {part{"type": "input_file", "filename": "a.pdf", "file_data": encoded(pdf)}, pdf, "application/pdf"},
		"MM-08 an image as a file":             {filePart("a.png", "image/png", image), image, "image/png"},
		"MM-08 sound":                          {part{"type": "input_audio", "input_audio": map[string]any{"data": encoded(wav), "format": "wav"}}, wav, "audio/wav"},
		"MM-08 sound in a data URL":            {part{"type": "input_audio", "input_audio": map[string]any{"data": dataURL("audio/wav", wav), "format": "wav"}}, wav, "audio/wav"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.parsesAtOnce()
			g.discuss([]any{say("What is it?", test.part)})
			g.mustShow(g.last().Files, test.want)
			if f := g.last().Files[0]; f.FileType != test.mime || len(f.Name)-strings.LastIndexByte(f.Name, '.') != len(".png") {
				t.Errorf("type %s, name %q", f.FileType, f.Name)
			}
		})
	}
}

// What cannot be sent is refused, and nothing of the message is.
func TestMultimodalRefused(t *testing.T) {
	const at = "messages[0].content[1]"
	image := base64.StdEncoding.EncodeToString(testPNG(1, 600))
	for name, test := range map[string]struct {
		part   part
		status int
		code   string
	}{
		"MM-04, S22 no base64":                   {imageAt("data:image/png;base64,this is no base64!"), 400, "invalid_value"},
		"MM-04, S22 base64 that ends early":      {imageAt("data:image/png;base64," + image[:len(image)-3]), 400, "invalid_value"},
		"MM-04, S22 text after the padding":      {imageAt("data:image/png;base64," + image + "=" + image), 400, "invalid_value"},
		"MM-04, S22 nothing":                     {imageAt("data:,"), 400, "invalid_value"},
		"MM-04, S22 nothing in base64":           {imageAt("data:image/png;base64,"), 400, "invalid_value"},
		"MM-04, S22 no comma":                    {imageAt("data:image/png;base64"), 400, "invalid_value"},
		"MM-04, S22 a wrong type":                {imageAt("data:video/mp4;base64," + image), 400, "media_type_unsupported"},
		"MM-04, S22 a document's type":           {imageAt("data:application/pdf;base64," + image), 400, "media_type_unsupported"},
		"MM-04, S22 a page as an image":          {imageAt(dataURL("image/png", []byte("<!DOCTYPE html><html><body>no image</body></html>"))), 400, "media_type_unsupported"},
		"MM-04 a document as an image":           {imageAt(dataURL("application/pdf", testFile(pdfHead, 1, 500))), 400, "media_type_unsupported"},
		"MM-04 a program":                        {filePart("a.exe", "", testFile("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00", 1, 600)), 400, "media_type_unsupported"},
		"MM-04 an image that calls itself a PDF": {filePart("a.pdf", "application/pdf", testPNG(1, 500)), 400, "media_type_unsupported"},
		"MM-14, S22 one byte too many":           {imageAt(dataURL("image/png", testPNG(1, 3001))), 413, "file_too_large"},
		"MM-10 an unknown part":                  {part{"type": "hologram", "hologram": "x"}, 400, "invalid_value"},
		"MM-13 no URL":                           {part{"type": "image_url", "image_url": map[string]any{}}, 400, "missing_required_parameter"},
		"MM-13 an empty URL":                     {imageAt(""), 400, "missing_required_parameter"},
		"MM-13 a file without content":           {part{"type": "file", "file": map[string]any{"filename": "a.pdf"}}, 400, "missing_required_parameter"},
		"MM-05 file:":                            {imageAt("file:///etc/passwd"), 400, "media_fetch_blocked"},
		"MM-05 ftp:":                             {imageAt("ftp://example.com/a.png"), 400, "media_fetch_blocked"},
		"MM-05 a path":                           {imageAt("/etc/passwd"), 400, "media_fetch_blocked"},
		"MM-05 no scheme":                        {imageAt("//example.com/a.png"), 400, "media_fetch_blocked"},
		"MM-05 javascript:":                      {imageAt("javascript:alert(1)"), 400, "media_fetch_blocked"},
		"S13 a blank in the URL":                 {imageAt("https://example.com/a b.png"), 400, "invalid_value"},
		"FI-05 an unknown id":                    {fileOfID("3f1f0c0e-0000-4000-8000-000000000000"), 404, "file_not_found"},
		"FI-05 an impossible id":                 {fileOfID("../../etc/passwd"), 404, "file_not_found"},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: "max_image 3000"})
				messages := []any{say("What is it?", test.part, imagePart(testPNG(9, 400)))}
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", messages, fields))
				param := at
				if strings.HasPrefix(name, "MM-10") {
					param += ".type"
				}
				mustRefuse(t, r, test.status, test.code, param)
				if kind := r.header.Get("Content-Type"); kind != "application/json" {
					t.Errorf("the error is %s", kind)
				}
				if n := len(g.site.Completions()); n > 0 {
					t.Errorf("the site got %d prompts", n)
				}
			})
		}
	}
}

// A file at its very limit is taken, and a large one goes up in parts.
func TestMultimodalSizes(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		op   string
	}{
		"MM-12 below 5 MiB, as a form":  {5<<20 - 1, emulator.OpPost},
		"MM-12 from 5 MiB, in parts":    {5 << 20, emulator.OpComplete},
		"MM-14, L01 10 MB are accepted": {10_000_000, emulator.OpComplete},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			image := testPNG(1, test.size)
			g.discuss([]any{say("What is it?", imagePart(image))})
			g.mustShow(g.last().Files, image)
			if o := g.site.Storage().Objects(); len(o) != 1 || o[0].Op != test.op {
				t.Errorf("it was stored by %v", o)
			}
		})
	}
	t.Run("MM-14 10 MB and a byte", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		mustRefuse(t, g.show([]any{say("What is it?", imagePart(testPNG(1, 10_000_001)))}), 413, "file_too_large", "messages[0].content[1]")
		g.sentNothing()
	})
}
