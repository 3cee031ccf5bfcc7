package openai

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// The kinds of attachments, by what the part that holds it says.
const (
	AttachedImage = "image"
	AttachedVideo = "video"
	AttachedAudio = "audio"
	AttachedFile  = "file" // anything, an image, too
)

// Attachment is a part of a message that is not text. One of its content, URL
// and FileID says what it is.
type Attachment struct {
	// Kind is what the part says it is: AttachedImage, AttachedVideo,
	// AttachedAudio or AttachedFile.
	Kind string

	// Param is the path of the part in the request, for errors.
	Param string

	// FileID names a file that was uploaded before.
	FileID string

	// URL is where the content is, as the client sent it. It is not checked.
	URL string

	// Name is the name of the file, as the client sent it. Usually empty.
	Name string

	// MIME is the media type that the client tells, or empty.
	MIME string

	// data is the content as text.
	data    string
	encoded bool // data is base64; otherwise it is as in a URL
	inline  bool // there is data
}

// Inline reports whether the request itself holds the content.
func (a *Attachment) Inline() bool { return a.inline }

// Open returns a reader of the content of an attachment that is inline. A read
// fails with an [*Error] that names the part if the content cannot be decoded.
func (a *Attachment) Open() io.Reader {
	var r io.Reader = &unescaper{text: a.data}
	if a.encoded {
		r = &base64Reader{from: r}
	}
	return &attachmentReader{from: r, of: a}
}

// Drop lets go of the content, which may be large.
func (a *Attachment) Drop() { a.data = "" }

// setData takes a data URL, or plain base64.
func (a *Attachment) setData(text string) error {
	a.inline = true
	if !isDataURL(text) {
		a.data, a.encoded = text, true
		return nil
	}
	const maxHead = 1024
	head, _, found := strings.Cut(text[len("data:"):min(len(text), maxHead)], ",")
	if !found {
		return a.unusable("it has no comma before its content")
	}
	a.data = text[len("data:")+len(head)+1:]
	params := strings.Split(head, ";")
	if len(params) > 1 && strings.EqualFold(strings.TrimSpace(params[len(params)-1]), "base64") {
		a.encoded = true
	}
	if mime := strings.ToLower(strings.TrimSpace(params[0])); mime != "" {
		a.MIME = mime
	}
	return nil
}

func isDataURL(text string) bool {
	return len(text) >= len("data:") && strings.EqualFold(text[:len("data:")], "data:")
}

// unusable is the error for content that cannot be read.
func (a *Attachment) unusable(why string) error {
	return fail(codeInvalid, a.Param, "The content of %s cannot be read: %s. Send a data URL with base64, such as data:image/png;base64,iVBORw0….", a.Param, why)
}

// attachmentReader turns the errors of decoders into ones for the client.
type attachmentReader struct {
	from io.Reader
	of   *Attachment
}

func (r *attachmentReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	switch err {
	case errNotBase64:
		err = r.of.unusable("it is not base64")
	case errEscape:
		err = r.of.unusable("a % is not followed by two hexadecimal digits")
	}
	return n, err
}

var (
	errNotBase64 = errors.New("not base64")
	errEscape    = errors.New("incomplete escape")
)

// unescaper reads text of a URL, in which `%` and two digits stand for a byte.
type unescaper struct{ text string }

func (u *unescaper) Read(p []byte) (n int, err error) {
	for n < len(p) && u.text != "" {
		if u.text[0] != '%' {
			plain := u.text[:min(len(u.text), len(p)-n)]
			if i := strings.IndexByte(plain, '%'); i >= 0 {
				plain = plain[:i]
			}
			copied := copy(p[n:], plain)
			n, u.text = n+copied, u.text[copied:]
			continue
		}
		if len(u.text) < 3 {
			return n, errEscape
		}
		high, low := hexDigit(u.text[1]), hexDigit(u.text[2])
		if high < 0 || low < 0 {
			return n, errEscape
		}
		p[n] = byte(high<<4 | low)
		n, u.text = n+1, u.text[3:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return int(c - 'A' + 10)
	}
	return -1
}

// base64Reader decodes base64 of any alphabet, with or without padding and white
// space.
type base64Reader struct {
	from io.Reader
	raw  []byte // read, in the standard alphabet, not decoded yet
	out  []byte // decoded, not handed out yet
	over bool   // padding has come, after which nothing but padding may
	err  error

	rawSpace [32 << 10]byte
	outSpace [24 << 10]byte
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes the next piece. What is left of a group of four waits for the rest,
// or for the end.
func (r *base64Reader) fill() {
	left := copy(r.rawSpace[:], r.raw)
	n, err := r.from.Read(r.rawSpace[left:])
	kept, ok := r.translate(r.rawSpace[left : left+n])
	r.raw = r.rawSpace[:left+kept]
	whole := len(r.raw)
	if err == nil {
		whole -= whole % 4
	}
	n, failed := base64.RawStdEncoding.Decode(r.outSpace[:], r.raw[:whole])
	r.out, r.raw, r.err = r.outSpace[:n], r.raw[whole:], err
	if !ok || failed != nil {
		r.err = errNotBase64
	}
}

// translate works in place. It returns how much is left, and false if something
// follows the padding.
func (r *base64Reader) translate(p []byte) (kept int, ok bool) {
	for _, c := range p {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '=':
			r.over = true
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		if r.over {
			return kept, false
		}
		p[kept] = c
		kept++
	}
	return kept, true
}
