// Package filetype tells what a file is from its first bytes, and makes names of
// files safe. No content is ever decoded.
package filetype

import (
	"fmt"
	"mime"
	"path"
	"strings"
)

// Kind is a class of files that the site treats alike.
type Kind uint8

// The kinds of files. The zero value is none of them.
const (
	Image Kind = iota + 1
	Video
	Audio
	Document
)

// String gives the site's name of the kind: image, video, audio or file.
func (k Kind) String() string {
	switch k {
	case Image:
		return "image"
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Document:
		return "file"
	}
	return "unknown"
}

// word is the kind in a sentence.
func (k Kind) word() string {
	switch k {
	case Image:
		return "an image"
	case Video:
		return "a video"
	case Audio:
		return "a sound"
	}
	return "a document"
}

// Type is what a file is.
type Type struct {
	Kind Kind
	MIME string // without parameters, such as image/png
	// Extension is the usual extension without the dot, such as png.
	Extension string
}

// Accepted names the accepted types, for people.
const Accepted = "images (JPEG, PNG, GIF, WebP, BMP, TIFF, SVG), " +
	"videos (MP4, AVI, MOV, WEBM, MKV, WMV, FLV, M4V, 3GP, M2TS), " +
	"sounds (MP3, WAV, M4A, AAC, FLAC, OGG, OPUS, AMR) and " +
	"documents (PDF, DOC, DOCX, CSV, XLS, XLSX, PPT, PPTX, MD, TXT, EPUB, OFD, JSON, HTML, XML, YAML, LOG and source code in UTF-8)"

// UnknownError says that a file is of no accepted type. Its text may be shown to
// clients.
type UnknownError struct {
	Found string // what the file seems to be, or ""
}

func (e *UnknownError) Error() string {
	if e.Found == "" {
		return "the type of the file is not known; accepted are " + Accepted
	}
	return "the file is " + e.Found + ", which is not accepted; accepted are " + Accepted
}

// MismatchError says that a file is of an accepted type, but of another kind
// than its name or its declared type says. Its text may be shown to clients.
type MismatchError struct {
	Found   Type
	Claimed Kind
	By      string // what disagrees: the extension with its dot, or the declared type
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the content of the file is %s (%s), but %.80q stands for %s",
		e.Found.Kind.word(), e.Found.MIME, e.By, e.Claimed.word())
}

// Detect tells what a file is from its first bytes, of which 3072 are enough, its
// size in bytes, its name and the MIME type that the client declared. The bytes
// decide. Text is told further by the extension, and so is what looks the same
// from outside.
//
// The errors are [*UnknownError], and [*MismatchError] when the extension or the
// declared type stands for another kind of files. Those that are unknown or
// mean nothing, such as application/octet-stream, do not disagree.
func Detect(head []byte, size int64, name, declared string) (Type, error) {
	if size <= 0 || len(head) == 0 {
		return Type{}, &UnknownError{Found: "empty"}
	}
	claim := newClaim(name, declared)
	found, err := sniff(head, size > int64(len(head)), claim)
	if err != nil {
		return Type{}, err
	}
	if by, kind, wrong := claim.contradicts(found); wrong {
		return Type{}, &MismatchError{Found: found.Type, Claimed: kind, By: by}
	}
	return found.Type, nil
}

// finding is a type and what else the same bytes may be called.
type finding struct {
	Type
	// also is the other kind of a container that holds sound with or without
	// pictures. Names do not tell those two apart reliably.
	also Kind
}

// claim is what a client says about its file.
type claim struct {
	extension string // in lower case, without the dot
	declared  string // in lower case, without parameters
}

func newClaim(name, declared string) claim {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	extension := strings.TrimPrefix(path.Ext(strings.TrimSpace(name)), ".")
	kind, _, err := mime.ParseMediaType(declared)
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(declared), ";")
		kind = strings.TrimSpace(kind)
	}
	return claim{extension: strings.ToLower(extension), declared: kind}
}

// contradicts tells what of the claim stands for another kind than what was found.
func (c claim) contradicts(found finding) (by string, kind Kind, wrong bool) {
	agrees := func(k Kind) bool { return k == 0 || k == found.Kind || k == found.also }
	if kind := kindOfExtension(c.extension); !agrees(kind) {
		return "." + c.extension, kind, true
	}
	if c.extension == "ts" && found.Kind == Document {
		return "", 0, false // browsers declare TypeScript as a video
	}
	if kind := kindOfMIME(c.declared); !agrees(kind) {
		return c.declared, kind, true
	}
	return "", 0, false
}

// kindOfMIME is 0 for types that say nothing about the kind.
func kindOfMIME(declared string) Kind {
	main, _, _ := strings.Cut(declared, "/")
	switch main {
	case "image":
		return Image
	case "video":
		return Video
	case "audio":
		return Audio
	case "text":
		return Document
	}
	for _, t := range documents {
		if t.MIME == declared {
			return Document
		}
	}
	for _, text := range texts {
		if text == declared {
			return Document
		}
	}
	return 0
}

// kindOfExtension is 0 for extensions that say nothing about the kind.
func kindOfExtension(extension string) Kind {
	if kind, ok := mediaExtensions[extension]; ok {
		return kind
	}
	if _, ok := documents[extension]; ok {
		return Document
	}
	if _, ok := texts[extension]; ok && extension != "ts" { // TypeScript, or a transport stream
		return Document
	}
	return 0
}
