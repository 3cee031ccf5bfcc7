package filetype

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAcceptedTypes(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			extension := name[strings.LastIndexByte(name, '.')+1:]
			want := Type{s.kind, s.mime, extension}
			for _, given := range []string{name, strings.ToUpper(name), `C:\x.y\` + name, " " + name + " "} {
				for _, declared := range []string{"", "application/octet-stream", s.mime, s.mime + "; charset=utf-8", "x-unknown/y"} {
					mustDetect(t, s.content, given, declared, want)
				}
			}
		})
	}
}

// Without a helpful name the bytes alone tell the kind, and all but a few types.
func TestBytesDecideWithoutANameThatHelps(t *testing.T) {
	other := map[string]string{ // what cannot be told from the bytes
		"text.doc": "", "text.xls": "", "text.ppt": "",
		"text.log": "text/plain", "text.md": "text/plain", "text.csv": "text/plain", "text.yaml": "text/plain",
		"text.py": "text/plain", "text.go": "text/plain",
	}
	for name, s := range samples(t) {
		for _, given := range []string{"", "blob", "file.unknownext"} {
			got, err := Detect([]byte(s.content), int64(len(s.content)), given, "")
			want, differs := other[name]
			if !differs {
				want = s.mime
			}
			if want == "" {
				mustBeUnknown(t, err)
			} else if err != nil || got.MIME != want || got.Kind != s.kind {
				t.Errorf("%s as %q: %+v, %v", name, given, got, err)
			}
		}
	}
}

func TestU09OtherKindIsAMismatch(t *testing.T) {
	for name, s := range samples(t) {
		for _, c := range []struct {
			kind           Kind
			name, declared string
		}{
			{Image, "x.png", ""}, {Image, "x", "image/png"}, {Image, "x.heic", ""},
			{Video, "x.mkv", ""}, {Video, "x", "video/x-unheard-of"},
			{Audio, "x.mp3", ""}, {Audio, "x", "audio/mpeg"},
			{Document, "x.pdf", ""}, {Document, "x", "application/pdf"}, {Document, "x", "text/plain; charset=utf-8"}, {Document, "x", "application/json"},
		} {
			_, err := Detect([]byte(s.content), int64(len(s.content)), c.name, c.declared)
			if twoFaced(name, c.kind) || c.kind == s.kind {
				if _, is := errors.AsType[*MismatchError](err); is {
					t.Errorf("%s as %q, %q: %v", name, c.name, c.declared, err)
				}
				continue
			}
			if s.content == ole { // nothing tells which document it is
				mustBeUnknown(t, err)
				continue
			}
			if name == "film.wmv" && c.kind == Audio {
				mustBeUnknown(t, err) // sound in that container is not accepted
				continue
			}
			if s.content == svgFile && c.name != "x" {
				continue // below
			}
			mismatch, ok := errors.AsType[*MismatchError](err)
			if !ok || mismatch.Claimed != c.kind || mismatch.Found.Kind != s.kind {
				t.Errorf("%s as %q, %q: %v", name, c.name, c.declared, err)
			}
		}
	}
}

// twoFaced tells the containers of video and sound.
func twoFaced(name string, claimed Kind) bool {
	switch name {
	case "film.mp4", "film.mov", "film.webm", "film.mkv", "film.m4v", "film.3gp":
		return claimed == Audio
	case "song.m4a", "song.ogg", "song.opus":
		return claimed == Video
	}
	return false
}

func TestU09OtherTypeOfTheSameKind(t *testing.T) {
	all := samples(t)
	for _, c := range []struct{ content, name, declared, want string }{
		{"photo.png", "IMG.jpg", "image/jpeg", "image/png"},
		{"photo.webp", "photo.png", "image/png", "image/webp"},
		{"film.mkv", "film.mp4", "video/mp4", "video/x-matroska"},
		{"song.wav", "song.mp3", "audio/mpeg", "audio/wav"},
		{"text.docx", "text.doc", "application/msword", documents["docx"].MIME},
		{"text.pdf", "text.txt", "text/plain", "application/pdf"},
		{"text.csv", "text.csv", "application/vnd.ms-excel", "text/csv"}, // Windows with Excel
	} {
		content := all[c.content].content
		got, err := Detect([]byte(content), int64(len(content)), c.name, c.declared)
		if err != nil || got.MIME != c.want {
			t.Errorf("%s as %s: %+v, %v", c.content, c.name, got, err)
		}
	}
}

func TestS18PagesAreNoImages(t *testing.T) {
	for _, page := range []string{
		"<!DOCTYPE html><html><body><svg></svg></body></html>", "<html>", "\n<!-- --><HTML lang=zh>", "<body><img>", "Not found", `{"error":404}`,
		"<!DOCTYPE html><svg></svg>", "\xef\xbb\xbf<!doctype HTML>", `<?xml version="1.0"?><html xmlns="x">`,
	} {
		for _, claim := range [][2]string{{"photo.png", ""}, {"", "image/png"}, {"drawing.svg", ""}, {"", "image/svg+xml"}, {"photo.jpg", "image/jpeg"}} {
			_, err := Detect([]byte(page), int64(len(page)), claim[0], claim[1])
			if mismatch, ok := errors.AsType[*MismatchError](err); !ok || mismatch.Found.Kind != Document {
				t.Errorf("%q as %v: %v", page, claim, err)
			}
		}
	}
}

func TestSVG(t *testing.T) {
	for _, content := range []string{
		svgFile, "\ufeff" + svgFile, "\n\t" + svgFile, `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + svgFile,
		"<!-- <html> -->" + svgFile, `<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>`, "<SVG>",
		`<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x/svg11.dtd">` + svgFile,
		`<!DOCTYPE svg [ <!ENTITY a "b>"> ]>` + svgFile, "<svg\n>",
	} {
		mustDetect(t, content, "drawing.svg", "image/svg+xml", svg)
		mustDetect(t, content, "", "", svg)
	}
	for _, content := range []string{
		"<a>" + svgFile, "svg " + svgFile, "<svgx>", "<!-- " + svgFile, "<svg", "<?xml " + svgFile, "<!DOCTYPE svg [ " + svgFile, "<!DOCTYPE svg",
	} {
		if got, err := Detect([]byte(content), 1<<20, "", ""); err != nil || got.Kind != Document {
			t.Errorf("%q: %+v, %v", content, got, err)
		}
	}
	t.Run("as a text", func(t *testing.T) {
		mustDetect(t, svgFile, "drawing.xml", "text/xml", Type{Document, "text/xml", "xml"})
		if _, err := Detect([]byte(svgFile), 100, "drawing.xml", "image/svg+xml"); err == nil {
			t.Error("a text passes for an image")
		}
	})
}

func TestUnknownTypes(t *testing.T) {
	for name, content := range map[string]string{
		"program.exe": "MZ\x90\x00\x03\x00\x00\x00", "program": "\x7fELF\x02\x01\x01\x00", "mac": "\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\x00\x00\x00\x02\x00\x00\x00",
		"a.zip": mustZip(t, "x.txt"), "a.jar": mustZip(t, "META-INF/MANIFEST.MF", "a.class"), "a.docx": mustZip(t, "x.txt"),
		"a.odt": mustZip(t, "mimetype=application/vnd.oasis.opendocument.text"),
		"a.rar": "Rar!\x1a\x07\x01\x00", "a.7z": "7z\xbc\xaf\x27\x1c\x00\x04", "a.gz": "\x1f\x8b\x08\x00\x00\x00\x00\x00", "a.bz2": "BZh91AY&SY\x00\xff",
		"a.heic": box("ftyp", "heic\x00\x00\x00\x00mif1heic"), "a.avif": box("ftyp", "avif\x00\x00\x00\x00mif1avif"),
		"a.psd": "8BPS\x00\x01\x00\x00", "a.ico": "\x00\x00\x01\x00\x01\x00", "a.wasm": "\x00asm\x01\x00\x00\x00",
		"a.wma": windowsMedia, "a.ogv": oggPage("\x80theora\x03\x02\x01"), "a.ogx": oggPage("unheard of"),
		"film with sound": oggPage("\x80theora\x03\x02\x01") + oggPage("\x01vorbis\x00\x00\x00\x00\x02"),
		"a.rtf":           `{\rtf1\ansi}`, "a.bin": "\x01\x02\x03\x04\x05", "gbk.txt": "\xd5\xd5\xc6\xac\xb5\xc4", "nul.txt": "a\x00b", "a.msi": ole, "a.sqlite": "SQLite format 3\x00",
		"a.pdf": "PDF-1.7 \x00", "png.png": "\x89PNG\r\n",
	} {
		for _, declared := range []string{"", "application/octet-stream"} {
			_, err := Detect([]byte(content), int64(len(content)), name, declared)
			t.Run(name, func(t *testing.T) { mustBeUnknown(t, err) })
		}
	}
}

func TestEmptyFile(t *testing.T) {
	_, err := Detect(nil, 0, "photo.png", "image/png")
	if mustBeUnknown(t, err); !strings.Contains(err.Error(), "empty") {
		t.Errorf("U07: %v", err)
	}
}

func TestContainers(t *testing.T) {
	sound := track("soun")
	for _, c := range []struct {
		what, content, name, declared string
		want                          Type
	}{
		{"sound only, whole index at hand", box("ftyp", "mp42\x00\x00\x00\x00isom") + box("moov", sound), "x", "", m4a},
		{"sound and pictures", box("ftyp", "mp42\x00\x00\x00\x00isom") + box("moov", sound+track("vide")), "x", "", mp4},
		{"sound and more that is not at hand", (box("ftyp", "mp42\x00\x00\x00\x00isom") + box("moov", sound+strings.Repeat("\x00", 5000)))[:3072], "x", "", mp4},
		{"named as sound", box("ftyp", "isom\x00\x00\x00\x00isom") + box("mdat", ""), "x.m4a", "", m4a},
		{"declared as sound", box("ftyp", "isom\x00\x00\x00\x00isom") + box("mdat", ""), "x", "audio/mp4", m4a},
		{"named as sound, with pictures", box("ftyp", "isom\x00\x00\x00\x00isom") + box("moov", track("vide")), "x.m4a", "", mp4},
		{"brand of sound", box("ftyp", "M4B \x00\x00\x00\x00isom"), "x.mp4", "video/mp4", m4a},
		{"named m4v", box("ftyp", "mp42\x00\x00\x00\x00isom"), "x.m4v", "", m4v},
		{"brand of 3GPP2", box("ftyp", "3g2a\x00\x00\x00\x003g2a"), "x.mp4", "", v3gp},
		{"voice memo", box("ftyp", "3gp4\x00\x00\x00\x003gp4"), "x.3gp", "audio/3gpp", v3gp},
		{"old QuickTime", box("moov", strings.Repeat("\x00", 50)), "x", "", mov},
		{"WMV without a name", windowsMedia, "x", "", wmv},
		{"WMV by name", windowsMedia, "x.wmv", "audio/x-ms-wma", wmv},
		{"Opus named ogg", oggPage("OpusHead\x01"), "x.ogg", "", ogg},
		{"voice of a browser", matroska("webm"), "x.weba", "audio/webm", webm},
		{"PDF without a byte that text has not", "%PDF-1.4\n1 0 obj\n", "x", "application/pdf", documents["pdf"]},
		{"AAC behind tags", "ID3\x04\x00\x00\x00\x00\x00\x23TSSE\x00\x00\x00\x0f\x00\x00\x03", "x.aac", "", aac},
		{"transport stream without time codes", strings.Repeat("G"+strings.Repeat("\x01", 187), 5), "x.ts", "video/mp2t", m2ts},
		{"TypeScript as browsers declare it", "let a = 1\n", "x.ts", "video/mp2t", Type{Document, "text/plain", "ts"}},
		{"document of Office written in another order", mustZip(t, "docProps/app.xml="+strings.Repeat("x", 4000), "xl/workbook.xml")[:3072], "x.xlsx", "", documents["xlsx"]},
		{"document of Office by declared type", ole, "x", "application/msword", documents["doc"]},
	} {
		t.Run(c.what, func(t *testing.T) { mustDetect(t, c.content, c.name, c.declared, c.want) })
	}
}

// Some magic numbers are words too.
func TestTextThatBeginsLikeSomethingElse(t *testing.T) {
	for _, text := range []string{"BMW is a car", "II* III", "GRIB data", "ID3 tags are", "MZ", "FLV files", "RIFF", "Rar! she said", "PK", "#!AMR", "7z is an archiver"} {
		mustDetect(t, text, "x.txt", "text/plain", Type{Document, "text/plain", "txt"})
	}
}

func TestText(t *testing.T) {
	wide := func(order binary.ByteOrder, s string) string {
		var b bytes.Buffer
		if err := binary.Write(&b, order, utf16.Encode([]rune("\ufeff"+s))); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	plain := Type{Document, "text/plain", "txt"}
	for _, content := range []string{
		"a", "\ufeffa", "ünï\tcödé\r\n\f", wide(binary.LittleEndian, "照片 a\r\n"), wide(binary.BigEndian, "照片 a\r\n"),
		"[see below]", "{curly} words", "[", "<3 hearts", "<", "{", "<!",
	} {
		mustDetect(t, content, "x", "", plain)
	}
	t.Run("cut within a character", func(t *testing.T) {
		head := strings.Repeat("照", 1025)[:3072+1] // 3073 is no multiple of three
		got, err := Detect([]byte(head), 1<<20, "x.md", "")
		if err != nil || got.MIME != "text/markdown" {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := Detect([]byte(head), int64(len(head)), "x.md", ""); err == nil {
			t.Error("a file that ends within a character passes for UTF-8")
		}
	})
	t.Run("UTF-16 with control characters", func(t *testing.T) {
		content := wide(binary.LittleEndian, "a\x01")
		_, err := Detect([]byte(content), int64(len(content)), "x.txt", "")
		mustBeUnknown(t, err)
	})
	t.Run("another encoding is named", func(t *testing.T) {
		_, err := Detect([]byte("\xd5\xd5\xc6\xac\xb5\xc4"), 6, "x.txt", "")
		if !strings.Contains(err.Error(), "UTF-8") {
			t.Error(err)
		}
	})
}

func TestErrorsMayBeShown(t *testing.T) {
	long := strings.Repeat("x\x00", 5000)
	_, mismatch := Detect([]byte("text"), 4, "", "image/"+long)
	unknown := &UnknownError{Found: "application/zip"}
	for _, err := range []error{mismatch, unknown} {
		if text := err.Error(); len(text) > 1000 || strings.ContainsAny(text, "\x00\n") {
			t.Errorf("%d bytes: %.300q", len(text), text)
		}
	}
	_, err := Detect([]byte("text"), 4, "secret name.png", "")
	if text := err.Error(); !strings.Contains(text, `".png"`) || !strings.Contains(text, "text/plain") || strings.Contains(text, "secret") {
		t.Errorf("U09: it does not say what disagrees: %s", text)
	}
	if text := unknown.Error(); !strings.Contains(text, "application/zip") || !strings.Contains(text, Accepted) {
		t.Errorf("it does not say what is accepted: %s", text)
	}
}

func TestNamesOfKinds(t *testing.T) {
	for kind, want := range map[Kind]string{Image: "image", Video: "video", Audio: "audio", Document: "file", 0: "unknown"} {
		if kind.String() != want {
			t.Errorf("%d is %s, want %s", kind, kind, want)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for name, s := range samples(f) {
		f.Add([]byte(s.content), name, s.mime)
	}
	f.Fuzz(func(t *testing.T, head []byte, name, declared string) {
		got, err := Detect(head, int64(len(head)), name, declared)
		_, unknown := errors.AsType[*UnknownError](err)
		_, mismatch := errors.AsType[*MismatchError](err)
		switch {
		case err == nil && (got.Kind == 0 || got.MIME == "" || got.Extension == ""):
			t.Errorf("no error and no type: %+v", got)
		case err != nil && !unknown && !mismatch:
			t.Errorf("an error of another type: %v", err)
		case err == nil && claimsAnother(got, declared):
			t.Errorf("%+v under the type %q", got, declared)
		}
	})
}

// claimsAnother tells an image that is declared to be none, and the reverse.
func claimsAnother(got Type, declared string) bool {
	return got.Kind == Image && declared == "text/html" || got.Kind == Document && declared == "image/png"
}
