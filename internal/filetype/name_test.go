package filetype

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	pictures := Type{Image, "image/png", "png"}
	long := strings.Repeat("长", 400)
	for name, want := range map[string]string{
		"photo.png": "photo.png", "照片 1+1 100%.png": "照片 1+1 100%.png", `say "hi" & 'bye'.png`: `say "hi" & 'bye'.png`,
		"naïve café.JPEG": "naïve café.JPEG", "👨‍👩‍👧.png": "👨‍👩‍👧.png",

		"../../etc/passwd": "passwd.png", `..\..\x`: "x.png", `C:\Users\x\photo.png`: "photo.png", "C:photo.png": "photo.png",
		"/": "file.png", "a/": "file.png", "C:": "file.png", "C:D: .x.png": "x.png", `\\server\share\a.png`: "a.png",

		"": "file.png", ".": "file.png", "..": "file.png", "...": "file.png", " . . ": "file.png", "\x00": "file.png", "\u202e": "file.png",

		"a\x00b.png": "ab.png", "a\r\nX-Header: b.png": "aX-Header: b.png", "a\u202egnp.exe.png": "agnp.exe.png",
		"a\u2066b\u2069\u200b\ufeff.png": "ab.png", "a\u200db.png": "ab.png", "\u200d.png": "png.png", "a\u2028b.png": "ab.png",
		"a\xffb.png": "a_b.png", "\x1b[31mred.png": "[31mred.png",

		"CON": "file.png", "con.png": "file.png", "NUL.tar.gz": "file.tar.gz", "Aux .png": "file.png", "COM1.txt": "file.txt", "lpt9": "file.png",
		"COM²": "file.png", "CONIN$": "file.png", "C:CON": "file.png", "COM10.png": "COM10.png", "console.png": "console.png", "COMa": "COMa.png",

		".htaccess": "htaccess.png", "..a.png": "a.png", "a.png. ": "a.png", "a.": "a.png", " a.png": "a.png", "\u3000a\u00a0": "a.png",

		"photo": "photo.png", "v1.2": "v1.2.png", "a.jpg": "a.jpg", "a.b c": "a.b c.png", "a.照片": "a.照片.png", "a.abcdefghijk": "a.abcdefghijk.png", "a.7z": "a.7z",

		long: strings.Repeat("长", 83) + ".png", long + ".jpeg": strings.Repeat("长", 83) + ".jpeg",
		"a" + long + ".png":                 strings.TrimSuffix("a"+strings.Repeat("长", 83), "长") + "长.png",
		strings.Repeat("x", 255):            strings.Repeat("x", 251) + ".png",
		strings.Repeat("x", 251) + ".png":   strings.Repeat("x", 251) + ".png",
		strings.Repeat("x", 252) + ".png":   strings.Repeat("x", 251) + ".png",
		strings.Repeat("x", 250) + "  .png": strings.Repeat("x", 250) + ".png",
	} {
		if got := CleanName(name, pictures); got != want {
			t.Errorf("U11: %q becomes %q, want %q", name, got, want)
		}
	}
}

func TestCleanNameWithoutAType(t *testing.T) {
	for name, want := range map[string]string{"": "file", "a": "a", "a.b": "a.b", "NUL": "file"} {
		if got := CleanName(name, Type{}); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestCleanNameOfRandomNames(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"CON", "nul", "com1", ".", "..", " ", "/", `\`, "C:", "长", "\u200d", "👨", "\u202e", "\x00", "\xff", "png", "a", ".tar", ".gz", "\u3000", strings.Repeat("y", 100), strings.Repeat("长", 40)}
	for range 50000 {
		var name strings.Builder
		for range random.IntN(8) {
			name.WriteString(pieces[random.IntN(len(pieces))])
		}
		mustBeClean(t, name.String())
	}
}

func FuzzCleanName(f *testing.F) {
	for _, name := range []string{"photo.png", "../../etc/passwd", "C:CON", "a\u202eb", strings.Repeat("长", 400), "👨‍👩‍👧.png", ".. ."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { mustBeClean(t, name) })
}

// mustBeClean demands of every name what U11 and U12 demand.
func mustBeClean(t *testing.T, name string) {
	t.Helper()
	kind := Type{Image, "image/png", "png"}
	got := CleanName(name, kind)
	unsafe := func(r rune) bool {
		return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == '/' || r == '\\'
	}
	stem, _, _ := strings.Cut(got, ".")
	switch {
	case CleanName(got, kind) != got:
		t.Errorf("%q becomes %q, and that becomes %q", name, got, CleanName(got, kind))
	case got == "" || len(got) > 255 || !utf8.ValidString(got):
		t.Errorf("%q becomes %q of %d bytes", name, got, len(got))
	case strings.ContainsFunc(got, unsafe):
		t.Errorf("%q becomes %q, which has unsafe characters", name, got)
	case strings.Trim(got, " .") != got:
		t.Errorf("%q becomes %q, which has blanks or dots at its ends", name, got)
	case reserved(strings.ToUpper(strings.TrimSpace(stem))):
		t.Errorf("%q becomes %q, which Windows reserves", name, got)
	case !strings.Contains(got, "."):
		t.Errorf("%q becomes %q, which has no extension", name, got)
	}
}
