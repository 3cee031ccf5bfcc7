package caddyqwen

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// badNames are names that clients send or could send, and what becomes of them.
// An empty one stands for any clean name.
var badNames = map[string]struct{ name, clean string }{
	"U11 a path":                    {"../../etc/passwd.png", "passwd.png"},
	"U11 a path of Windows":         {`..\\..\\x.png`, "x.png"},
	"U11 a drive":                   {`C:\Users\me\photo.png`, "photo.png"},
	"U11 an absolute path":          {"/etc/passwd", "passwd.png"},
	"U11 a NUL":                     {"a\x00b.png", "ab.png"},
	"U11 CR and LF":                 {"a\r\nb.png", "ab.png"},
	"U11 a reversed direction":      {"gnp.\u202eexe.png", "gnp.exe.png"},
	"U11 400 long characters":       {strings.Repeat("长", 400) + ".png", strings.Repeat("长", 83) + ".png"},
	"U11 a device of Windows":       {"CON", "file.png"},
	"U11 a device with extension":   {"con.png", "file.png"},
	"U11 a dot":                     {".", "file.png"},
	"U11 two dots":                  {"..", "file.png"},
	"U11 slashes only":              {"///", "file.png"},
	"U11 blanks":                    {"   ", ""},
	"U11 only invisible ones":       {"\u200b\u2060\ufeff", "file.png"},
	"U11 Unicode":                   {"图 a+b%41&é.png", "图 a+b%41&é.png"},
	"U12 quotes":                    {`a"b'c.png`, `a"b'c.png`},
	"U12 quotes and another field":  {`a.png"; name="prompt`, ""},
	"U12 a header line":             {"a.png\r\nX-Evil: 1\r\n\r\nbody.png", "a.pngX-Evil: 1body.png"},
	"U12 JSON":                      {`","id":"x","a":".png`, ""},
	"U12 a template of the storage": {"${filename}.png", "${filename}.png"},
	"U12 a query":                   {"a?x-oss-process=image&b=%2f.png", ""},
	"U12 percent-encoded lines":     {"a%0d%0ab.png", "a%0d%0ab.png"},
}

// checkClean checks a name that is about to go to clients and to the site.
func checkClean(t *testing.T, name string) {
	t.Helper()
	if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsAny(name, "/\\\x00\r\n\u202e") || strings.Trim(name, ". ") != name || filepath.Base(name) != name {
		t.Errorf("not clean: %q", name)
	}
}

// disposition names a file in the way that can say everything.
func disposition(field, name string) string {
	return `name="` + field + `"; filename*=UTF-8''` + url.PathEscape(name)
}

func TestUploadNames(t *testing.T) {
	g := mustGateway(t, setup{})
	seed := uint64(100)
	for title, test := range badNames {
		for _, route := range formRoutes() {
			t.Run(title+" "+route.path, func(t *testing.T) {
				seed++
				clean := test.clean
				content := testPNG(seed, 600)
				if route.file.name == "video" {
					content, clean = testMP4(seed, 600), strings.ReplaceAll(clean, ".png", ".mp4")
				}
				name := strings.ReplaceAll(test.name, ".png", filepath.Ext(route.file.file))
				kind, body := rawForm(rawPart(disposition(route.file.name, name), route.file.kind, string(content)), rawPart(`name="prompt"`, "text/plain", "What is this?"))
				got := g.do(http.MethodPost, route.path, body, "Content-Type", kind)
				route.good(t, got)
				if got.header.Get("X-Evil") != "" {
					t.Error("a header was injected")
				}
				g.checkNamed(t, got, clean)
			})
		}
	}
	g.nothingLeft()
}

// checkNamed checks under which name the newest file went to the storage, to the
// site and to the client.
func (g *gateway) checkNamed(t *testing.T, got reply, want string) {
	t.Helper()
	objects := g.site.Storage().Objects()
	o := objects[len(objects)-1]
	_, stored, _ := strings.Cut(strings.SplitN(o.Key, "/", 2)[1], "_")
	names := map[string]string{"storage": stored}
	if strings.HasPrefix(got.body, "{\"id\":\"") && strings.Contains(got.body, `"object":"file"`) {
		var f uploadedFile
		if err := json.Unmarshal([]byte(got.body), &f); err != nil {
			t.Fatal(err)
		}
		names["client"] = f.Filename
	} else {
		files := g.last().Files
		if len(files) != 1 {
			t.Fatalf("the model sees %d files", len(files))
		}
		names["site"] = files[0].Name
	}
	for where, name := range names {
		checkClean(t, name)
		if want != "" && name != want {
			t.Errorf("%s: %q, want %q", where, name, want)
		}
		if name != stored {
			t.Errorf("%s: %q, but it is stored as %q", where, name, stored)
		}
	}
}

// Browsers escape quotes and line breaks in their own way.
func TestUploadNamesOfBrowsers(t *testing.T) {
	g := mustGateway(t, setup{})
	f := g.mustUpload(t, field{name: "file", file: "a\"b\r\nX-Evil: 1.png", value: string(testPNG(1, 600))})
	if f.Filename != `a"bX-Evil: 1.png` {
		t.Errorf("U12 %q", f.Filename)
	}
	checkClean(t, f.Filename)
	got := g.do(http.MethodGet, "/v1/files/"+f.ID+"/content", "")
	how, params, err := mime.ParseMediaType(got.header.Get("Content-Disposition"))
	if err != nil || how != "attachment" || params["filename"] != f.Filename || got.header.Get("X-Evil") != "" {
		t.Errorf("U12 %v: %v", err, got.header)
	}
	if got.body != string(testPNG(1, 600)) {
		t.Errorf("it has %d bytes", len(got.body))
	}
	g.nothingLeft()
}
