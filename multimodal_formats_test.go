package caddyqwen

import (
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// All formats of the original are taken, by name and content.
func TestFormChatFormats(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	iso := func(brand string) string { return "\x00\x00\x00\x14ftyp" + brand + "\x00\x00\x02\x00" + brand }
	ebml := func(kind string) string {
		return "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82" + string([]byte{0x80 | byte(len(kind))}) + kind + "\x42\x87\x81\x04"
	}
	stream := strings.Repeat("\x00\x00\x00\x00G"+strings.Repeat("\x11", 187), 8)
	for name, test := range map[string]struct{ head, mime string }{
		"a.jpg":  {jpegHead, "image/jpeg"},
		"a.jpeg": {jpegHead, "image/jpeg"},
		"a.png":  {string(testPNG(1, 64)), "image/png"},
		"a.gif":  {gifHead, "image/gif"},
		"a.webp": {"RIFF\xf8\x02\x00\x00WEBPVP8 \xec\x02\x00\x00", "image/webp"},
		"a.bmp":  {"BM\x00\x03\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x10\x00\x00\x00\x10\x00\x00\x00\x01\x00\x18\x00", "image/bmp"},
		"a.tiff": {"II*\x00\x08\x00\x00\x00", "image/tiff"},
		"a.svg":  {`<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`, "image/svg+xml"},
		"a.mp4":  {string(testMP4(1, 64)), "video/mp4"},
		"a.avi":  {"RIFF\xf8\x02\x00\x00AVI LIST\xec\x02\x00\x00hdrlavih", "video/"},
		"a.mov":  {iso("qt  "), "video/quicktime"},
		"a.webm": {ebml("webm"), "video/webm"},
		"a.mkv":  {ebml("matroska"), "video/"},
		"a.wmv":  {"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C", "video/"},
		"a.flv":  {"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00", "video/"},
		"a.m4v":  {iso("M4V "), "video/"},
		"a.3gp":  {iso("3gp4"), "video/3gpp"},
		"a.m2ts": {stream, "video/"},
	} {
		t.Run("MM-12, MM-15 "+name, func(t *testing.T) {
			content := []byte(test.head)
			if !strings.Contains(name, "svg") && !strings.Contains(name, "m2ts") {
				content = testFile(test.head, 1, 768)
			}
			path, field := imageChatPath, field{name: "image", file: name, value: string(content)}
			if strings.HasPrefix(test.mime, "video/") {
				path, field.name = videoChatPath, "video"
			}
			r := g.form(path, field, promptField("What is it?"))
			modelOf(t, r)
			g.mustShow(g.last().Files, content)
			if f := g.last().Files[0]; !strings.HasPrefix(f.FileType, test.mime) || f.Name != name {
				t.Errorf("the model sees %v", f)
			}
		})
	}
}

// A conversation that begins with a form goes on as any other, in which the
// client sends the image in its message.
func TestFormChatContinues(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.numbered()
	image := testPNG(1, 900)
	r := g.form(imageChatPath, imageField(image), promptField("one"))
	answer := g.mustReply(r)
	if r.header.Get("X-Qwen-Session") != "new" {
		t.Errorf("the form's turn is %q", r.header.Get("X-Qwen-Session"))
	}
	next := g.askModel("qwen3-vl-plus", []any{say("one", imagePart(image)), assistant(answer), user("two")}, "")
	if next.header.Get("X-Qwen-Session") != "continued" || next.header.Get("X-Qwen-Chat-Id") != r.header.Get("X-Qwen-Chat-Id") {
		t.Errorf("the next turn is %q: %s", next.header.Get("X-Qwen-Session"), next.body)
	}
	g.mustSee("two", "one", answer)
	g.mustShow(g.last().Files)
	g.mustShow(g.last().Context[0].Files, image)
	g.mustStore(1)
}

// Large images go up in parts, small ones as a form, and what cannot be stored is
// told with its stage.
func TestFormChatSizes(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		op   string
	}{
		"MM-12 below 5 MiB":     {5<<20 - 1, emulator.OpPost},
		"MM-12 from 5 MiB":      {5 << 20, emulator.OpComplete},
		"MM-12, MM-14 10 MB":    {10_000_000, emulator.OpComplete},
		"MM-14, U06 and a byte": {10_000_001, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			image := testPNG(1, test.size)
			r := g.form(imageChatPath, imageField(image), promptField("What is it?"))
			if test.op == "" {
				mustRefuse(t, r, 413, "file_too_large", "image")
				g.sentNothing()
				return
			}
			g.mustReply(r)
			g.mustShow(g.last().Files, image)
			if o := g.site.Storage().Objects(); len(o) != 1 || o[0].Op != test.op {
				t.Errorf("it was stored by %v", o)
			}
		})
	}
	for mode, stream := range map[string]string{"whole": "false", "streamed": "true"} {
		t.Run("U15 the site refuses, "+mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			g.site.Fail(emulator.EndpointFileGrant, emulator.Refusal("Bad_Request", "No."))
			r := g.form(imageChatPath, imageField(testPNG(1, 900)), promptField("What is it?"), field{name: "stream", value: stream})
			mustRefuse(t, r, 502, "upload_failed", "image")
			if !strings.Contains(r.body, "upload grant") {
				t.Errorf("the stage is not named: %s", r.body)
			}
			if n := len(g.site.Completions()); n > 0 {
				t.Errorf("the site got %d prompts", n)
			}
		})
	}
}
