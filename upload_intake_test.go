package caddyqwen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const boundary = "----caddy-qwen-test"

// rawForm writes a form of parts with headers as they are.
func rawForm(parts ...string) (contentType, body string) {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("--" + boundary + "\r\n" + part + "\r\n")
	}
	return "multipart/form-data; boundary=" + boundary, b.String() + "--" + boundary + "--\r\n"
}

// rawPart is one part of rawForm.
func rawPart(disposition, kind, value string) string {
	return "Content-Disposition: form-data; " + disposition + "\r\nContent-Type: " + kind + "\r\n\r\n" + value
}

func TestUploadNotForms(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, route := range formRoutes() {
		_, form := mustForm(t, route.fields(route.file)...)
		_, raw := rawForm(rawPart(`name="`+route.file.name+`"; filename="a.png"`, route.file.kind, route.file.value))
		for name, test := range map[string]struct{ kind, body, code string }{
			"U01 JSON":                       {"application/json", `{"file":"x"}`, "invalid_form"},
			"U01 a form without files":       {"application/x-www-form-urlencoded", "file=x", "invalid_form"},
			"U01 no type":                    {"", string(form), "invalid_form"},
			"U01 a type that is none":        {"multipart/form-data; boundary", raw, "invalid_form"},
			"U01 another multipart":          {"multipart/mixed; boundary=" + boundary, raw, "invalid_form"},
			"U01 no boundary":                {"multipart/form-data", raw, "invalid_form"},
			"U01 empty boundary":             {`multipart/form-data; boundary=""`, raw, "invalid_form"},
			"U01 boundary of 71 characters":  {"multipart/form-data; boundary=" + strings.Repeat("x", 71), raw, "invalid_form"},
			"U01 empty body":                 {"multipart/form-data; boundary=" + boundary, "", "invalid_request_body"},
			"U01 boundary that is not there": {"multipart/form-data; boundary=other", raw, "invalid_request_body"},
			"U01 no closing boundary":        {"multipart/form-data; boundary=" + boundary, strings.TrimSuffix(raw, "--"+boundary+"--\r\n"), "invalid_request_body"},
			"U01 a header without a colon":   {"multipart/form-data; boundary=" + boundary, "--" + boundary + "\r\nnonsense\r\n\r\nx\r\n--" + boundary + "--\r\n", "invalid_form"},
		} {
			t.Run(name+" "+route.path, func(t *testing.T) {
				wantFile(http.StatusBadRequest, test.code, "").check(t, g.do(http.MethodPost, route.path, test.body, "Content-Type", test.kind))
			})
		}
		t.Run("U01 boundary of 70 characters "+route.path, func(t *testing.T) {
			longest := strings.Repeat("x", 70)
			_, body := rawForm(rawPart(`name="`+route.file.name+`"; filename="`+route.file.file+`"`, route.file.kind, route.file.value), rawPart(`name="prompt"`, "text/plain", "hello"))
			route.good(t, g.do(http.MethodPost, route.path, strings.ReplaceAll(body, boundary, longest), "Content-Type", "multipart/form-data; boundary="+longest))
		})
	}
	g.nothingLeft()
}

func TestUploadFields(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_spool 500000"}) // room for one file
	for _, route := range formRoutes() {
		name := route.file.name
		missing := wantFile(http.StatusBadRequest, "missing_required_parameter", name)
		misnamed, empty, second := route.file, route.file, route.file
		misnamed.name, empty.value, second.file = "picture", "", "second.png"
		many := route.fields(route.file)
		for i := range 64 {
			many = append(many, field{name: fmt.Sprint("note", i), value: "x"})
		}
		for title, test := range map[string]struct {
			fields []field
			want   failed
		}{
			"U02 no file":                       {route.more, missing},
			"U02 no file but text":              {[]field{{name: "note", value: "x"}}, missing},
			"U02 the file is misnamed":          {route.fields(misnamed), missing},
			"U02 text in the place of the file": {route.fields(field{name: name, value: "photo.png"}), wantFile(http.StatusBadRequest, "invalid_value", name)},
			"U03 two files":                     {route.fields(route.file, second), wantFile(http.StatusBadRequest, "invalid_value", name)},
			"U03 two files, the first on disk":  {route.fields(route.sized(400_000), second), wantFile(http.StatusBadRequest, "invalid_value", name)},
			"U04 more than 64 parts":            {many, wantFile(http.StatusBadRequest, "invalid_form", "")},
			"U04 a header above 8 KiB":          {route.fields(route.named(strings.Repeat("x", 8<<10) + ".png")), wantFile(http.StatusBadRequest, "invalid_form", "")},
			"U05 a text field above 1 MiB":      {route.fields(route.file, field{name: "note", value: strings.Repeat("x", 1<<20+1)}), wantFile(http.StatusRequestEntityTooLarge, "request_too_large", "note")},
			"U07 a file without a byte":         {route.fields(empty), wantFile(http.StatusBadRequest, "invalid_value", name)},
			"a field twice":                     {route.fields(route.file, field{name: "note", value: "x"}, field{name: "note", value: "y"}), wantFile(http.StatusBadRequest, "invalid_value", "note")},
		} {
			t.Run(title+" "+route.path, func(t *testing.T) { test.want.check(t, g.form(route.path, test.fields...)) })
		}
	}
	g.notSent(t)
	for _, route := range formRoutes() {
		t.Run("U05 a text field of 1 MiB "+route.path, func(t *testing.T) {
			route.good(t, g.form(route.path, route.fields(route.file, field{name: "note", value: strings.Repeat("x", 1<<20)})...))
		})
	}
	g.nothingLeft()
}

// sizeLimits are the options for the sizes of files, with a file of each kind.
var sizeLimits = map[string]func(size int) field{
	"max_image": func(n int) field { return field{name: "file", file: "a.png", value: string(testPNG(1, n))} },
	"max_video": func(n int) field { return field{name: "file", file: "a.mp4", value: string(testMP4(1, n))} },
	"max_audio": func(n int) field {
		return testSound(n)
	},
	"max_document": func(n int) field { return textFile("a.txt", strings.Repeat("x", n)) },
}

func TestUploadTooLarge(t *testing.T) {
	const limit = 300_000 // more than stays in memory
	var options string
	for option := range sizeLimits {
		options += fmt.Sprintf("%s %d\n", option, limit)
	}
	g := mustGateway(t, setup{qwen: options})
	for _, route := range formRoutes() {
		t.Run("U06 one byte above "+route.limit+" "+route.path, func(t *testing.T) {
			got := g.form(route.path, route.fields(route.sized(limit+1))...)
			wantFile(http.StatusRequestEntityTooLarge, "file_too_large", route.file.name).check(t, got)
			if !strings.Contains(got.body, route.limit) {
				t.Errorf("it does not name the option: %s", got.body)
			}
		})
	}
	for option, file := range sizeLimits {
		t.Run("U06 one byte above "+option, func(t *testing.T) {
			got := g.form("/v1/files", file(limit+1))
			wantFile(http.StatusRequestEntityTooLarge, "file_too_large", "file").check(t, got)
			if !strings.Contains(got.body, option) {
				t.Errorf("it does not name the option: %s", got.body)
			}
		})
	}
	g.notSent(t)
	for option, file := range sizeLimits {
		t.Run("U06 exactly "+option, func(t *testing.T) {
			if f := g.mustUpload(t, file(limit)); f.Bytes != limit {
				t.Errorf("%d bytes", f.Bytes)
			}
		})
	}
	if n := len(g.site.Storage().Objects()); n != len(sizeLimits) {
		t.Errorf("the storage has %d objects", n)
	}
	g.nothingLeft()
}

func TestUploadDefaultSize(t *testing.T) {
	const limit = 10_000_000
	g := mustGateway(t, setup{})
	image := field{name: "file", file: "a.png", value: string(testPNG(1, 900)) + strings.Repeat("\x00", limit-899)}
	for _, route := range formRoutes()[:3] {
		t.Run("U06 an image above 10 MB "+route.path, func(t *testing.T) {
			image.name = route.file.name
			wantFile(http.StatusRequestEntityTooLarge, "file_too_large", image.name).check(t, g.form(route.path, route.fields(image)...))
		})
	}
	g.notSent(t)
	image.name, image.value = "file", image.value[:limit]
	if f := g.mustUpload(t, image); f.Bytes != limit {
		t.Errorf("U06 %d bytes", f.Bytes)
	}
	g.mustHold(t, image.value)
	g.nothingLeft()
}

func TestUploadTypes(t *testing.T) {
	g := mustGateway(t, setup{})
	png, mp4 := string(testPNG(1, 900)), string(testMP4(1, 900))
	program := "MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff" + strings.Repeat("\x00", 900)
	elf := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 900)
	for title, test := range map[string]field{
		"an image under the name of a video":   {file: "a.mp4", value: png},
		"a video under the name of an image":   {file: "a.png", value: mp4},
		"an image declared as a video":         {file: "a.png", kind: "video/mp4", value: png},
		"a video declared as an image":         {file: "a.mp4", kind: "image/png", value: mp4},
		"text under the name of an image":      {file: "a.png", kind: "image/png", value: "hello, this is text"},
		"an image declared as text":            {file: "a", kind: "text/plain", value: png},
		"name, type and content all different": {file: "a.txt", kind: "audio/mpeg", value: png},
		"a program under the name of an image": {file: "a.png", kind: "image/png", value: program},
		"a program under its own name":         {file: "setup.exe", kind: "application/octet-stream", value: program},
		"another program":                      {file: "a.mp4", kind: "video/mp4", value: elf},
		"an archive":                           {file: "a.zip", kind: "application/zip", value: "PK\x03\x04\x14\x00\x00\x00\x00\x00" + strings.Repeat("\x01", 900)},
		"bytes of no meaning":                  {file: "a.bin", value: string(testFile("\x00\x01\x02\x03\xfe\xff", 3, 900))},
		"a page under the name of a video":     {file: "a.mp4", kind: "video/mp4", value: "<html><script>alert(1)</script></html>"},
		"a format that the site does not take": {file: "a.heic", kind: "image/heic", value: "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + strings.Repeat("\x00", 900)},
	} {
		for _, route := range formRoutes() {
			t.Run("U09 "+title+" "+route.path, func(t *testing.T) {
				test.name = route.file.name
				wantFile(http.StatusUnsupportedMediaType, "media_type_unsupported", test.name).check(t, g.form(route.path, route.fields(test)...))
			})
		}
	}
	for _, route := range formRoutes()[2:] {
		for title, file := range map[string]field{
			"a video for an image": {file: "a.mp4", value: mp4}, "an image for a video": {file: "a.png", value: png}, "a document": {file: "a.txt", value: "text"},
		} {
			if strings.HasSuffix(title, "for an "+route.file.name) || strings.HasSuffix(title, "for a "+route.file.name) || title == "a document" {
				t.Run("U09 "+title+" "+route.path, func(t *testing.T) {
					file.name = route.file.name
					wantFile(http.StatusUnsupportedMediaType, "media_type_unsupported", file.name).check(t, g.form(route.path, route.fields(file)...))
				})
			}
		}
	}
	g.notSent(t)
	g.nothingLeft()
}

// Types that say nothing do no harm.
func TestUploadTypesTolerated(t *testing.T) {
	g := mustGateway(t, setup{})
	for title, file := range map[string]field{
		"no type":            {file: "a.png"},
		"a type of no use":   {file: "a.png", kind: "application/octet-stream"},
		"no extension":       {file: "a", kind: "image/png"},
		"an extension alone": {file: ".png", kind: "nonsense"},
		"capitals":           {file: "A.PNG", kind: "IMAGE/PNG"},
	} {
		t.Run("U09 "+title, func(t *testing.T) {
			file.name, file.value = "file", string(testPNG(uint64(len(title)), 900))
			if f := g.mustUpload(t, file); f.MIME != "image/png" || f.Type != "image" {
				t.Errorf("taken for %s, %s", f.MIME, f.Type)
			}
		})
	}
	for _, o := range g.site.Storage().Objects() {
		if o.ContentType != "image/png" || o.Op != emulator.OpPost {
			t.Errorf("stored as %v", o)
		}
	}
	g.nothingLeft()
}
