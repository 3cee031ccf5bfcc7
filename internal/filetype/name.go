package filetype

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 255 // bytes, what file systems and the site allow
	// maxExtension is the length in bytes up to which the end of a name may be
	// an extension.
	maxExtension = 10
)

// CleanName makes a name that is safe to show, to store and to save under on any
// system: without path, control and invisible characters, blanks and dots at the
// ends, and the names that Windows reserves, of at most 255 bytes of UTF-8. A
// name without an extension gets that of t. If nothing is left, the name is file
// with that extension. Unicode, quotes, plus and percent signs and blanks stay.
//
// A name that is clean stays as it is.
func CleanName(name string, t Type) string {
	name = withoutPath(strings.ToValidUTF8(name, "_"))
	name = withoutReserved(withoutDrive(visible(name)))
	if name == "" {
		name = "file"
	}
	stem, extension := splitExtension(name)
	if extension == "" && t.Extension != "" {
		extension = "." + t.Extension
	}
	return shortened(stem, maxName-len(extension)) + extension
}

func withoutPath(name string) string {
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

// visible drops what cannot be seen, and what makes a name look like another one.
func visible(name string) string {
	var b strings.Builder
	before := rune(0)
	for i, r := range name {
		if r == joiner {
			after, _ := utf8.DecodeRuneInString(name[i+len(string(joiner)):])
			if !emoji(before) || !emoji(after) {
				continue
			}
		} else if invisible(r) {
			continue
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}

// joiner is the zero-width joiner, which builds one emoji of several.
const joiner = '\u200d'

func emoji(r rune) bool {
	return r >= 0x1f000 && r < 0x20000 || r >= 0x2600 && r < 0x2800 || r == 0xfe0f
}

// invisible tells control characters, separators of lines, marks of writing
// direction, and characters without width.
func invisible(r rune) bool {
	switch {
	case unicode.IsControl(r), r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r >= 0x200b && r <= 0x200f:
		return true
	case r == 0x00ad, r == 0x061c, r == 0x180e, r == 0xfeff, r >= 0xe0000 && r < 0xe0080:
		return true
	}
	return false
}

// atEnds tells what names neither begin nor end with.
func atEnds(r rune) bool { return r == '.' || unicode.IsSpace(r) || r == joiner }

// withoutDrive drops the letters of drives, as in C:photo.png, and trims the ends.
func withoutDrive(name string) string {
	for {
		name = strings.TrimFunc(name, atEnds)
		if len(name) < 2 || name[1] != ':' || !letter(name[0]) {
			return name
		}
		name = name[2:]
	}
}

func letter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// withoutReserved replaces the names of devices, which Windows does not open as
// files, whatever follows the first dot.
func withoutReserved(name string) string {
	stem, rest, dot := strings.Cut(name, ".")
	if !reserved(strings.ToUpper(strings.TrimSpace(stem))) {
		return name
	}
	if dot {
		return "file." + rest
	}
	return "file"
}

func reserved(stem string) bool {
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		port, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

// splitExtension cuts the extension off, with its dot: up to ten letters and
// digits, and not digits alone, which are versions and dates.
func splitExtension(name string) (stem, extension string) {
	dot := strings.LastIndexByte(name, '.')
	extension = name[dot+1:]
	if dot <= 0 || extension == "" || len(extension) > maxExtension {
		return name, ""
	}
	letters := false
	for i := range len(extension) {
		isLetter := letter(extension[i])
		if letters = letters || isLetter; !isLetter && (extension[i] < '0' || extension[i] > '9') {
			return name, ""
		}
	}
	if !letters {
		return name, ""
	}
	return name[:dot], name[dot:]
}

// shortened cuts s to at most n bytes between characters.
func shortened(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRightFunc(s[:n], atEnds)
}
