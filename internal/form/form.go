// Package form reads multipart/form-data as a stream, with every length
// bounded and nothing written to disk, and forgives what browsers, curl and
// Windows shells do to names and values.
package form

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

var (
	// ErrNotForm says that the Content-Type is not multipart/form-data with a
	// boundary of 1 to 70 characters.
	ErrNotForm = errors.New("the request must be multipart/form-data with a boundary of at most 70 characters")
	// ErrMalformed says that the body is no well-formed multipart/form-data. If
	// it ended too early, errors.Is finds [io.ErrUnexpectedEOF] too.
	ErrMalformed = errors.New("the form is malformed")
	// ErrTooManyParts says that the form has more parts than [Limits.Parts].
	ErrTooManyParts = errors.New("the form has too many parts")
	// ErrHeaderTooLarge says that the header of a part, or what stands before
	// the first part, is longer than [Limits.Header].
	ErrHeaderTooLarge = errors.New("the header of a part of the form is too large")
)

// FieldTooLargeError says that a text field is longer than [Limits.Field].
type FieldTooLargeError struct {
	Name  string // the field's name
	Limit int64  // in bytes
}

func (e *FieldTooLargeError) Error() string {
	return fmt.Sprintf("the form field %.64q is longer than %d bytes", e.Name, e.Limit)
}

// Limits bounds what a form may contain. Zero values mean the defaults.
type Limits struct {
	Parts  int   // number of parts; default 64
	Header int   // bytes in the header of one part; default 8 KiB
	Field  int64 // bytes in one text field; default 1 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Parts <= 0 {
		l.Parts = 64
	}
	if l.Header <= 0 {
		l.Header = 8 << 10
	}
	if l.Field <= 0 {
		l.Field = 1 << 20
	}
	return l
}

const (
	maxBoundary = 70 // characters, RFC 2046
	// readAhead is how many bytes mime/multipart reads at once. It may have
	// read so many of the content when it has read a header.
	readAhead = 4096
	// bodyBuffer is how many bytes are asked of the body at once. The reads of
	// mime/multipart alone would be too small for large files.
	bodyBuffer = 32 << 10
)

// Reader reads the parts of a form one after the other. It is not safe for
// concurrent use.
type Reader struct {
	limits Limits
	source *source
	parts  *multipart.Reader
	part   *Part // the last one
	count  int
	err    error // ends everything
}

// New returns a reader of the form in body, which has the given Content-Type.
// The only error is [ErrNotForm]; the body is not read yet. How long the body
// may be in all is the caller's business.
func New(contentType string, body io.Reader, l Limits) (*Reader, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > maxBoundary {
		return nil, ErrNotForm
	}
	in := &source{body: bufio.NewReaderSize(body, bodyBuffer), end: "--" + boundary + "--", left: unbounded}
	return &Reader{limits: l.withDefaults(), source: in, parts: multipart.NewReader(in, boundary)}, nil
}

// Part is one field of a form. It reads the field's content up to its end; that
// is possible until the next call of [Reader.Next]. Errors are those of Next.
type Part struct {
	// Name is the field's name, without quotes that a Windows shell left around it.
	Name string
	// FileName is the name of the file as the client gave it, with path and all,
	// but without quotes around it. Clean it before use.
	FileName string
	// IsFile tells that the client named a file, even by an empty name.
	IsFile bool
	// ContentType is the type that the client declared, or "".
	ContentType string

	io.Reader

	// openQuote is a quote that the name began with and that did not end there:
	// cmd.exe splits 'stream=false' into the name 'stream and the value false'.
	openQuote string
}

// Next returns the next part. What is left of the part before is read and thrown
// away, be it as long as the body. After the closing boundary the error is
// [io.EOF]. Other errors are [ErrMalformed], [ErrTooManyParts],
// [ErrHeaderTooLarge] and those of the body, which errors.As finds; all of them
// end the form.
func (r *Reader) Next() (*Part, error) {
	if r.err != nil {
		return nil, r.err
	}
	part, err := r.next()
	if err != nil {
		r.err = err
		return nil, err
	}
	r.part = part
	return part, nil
}

func (r *Reader) next() (*Part, error) {
	if r.part != nil {
		if _, err := io.Copy(io.Discard, r.part); err != nil {
			return nil, err
		}
	}
	r.source.left = r.limits.Header + readAhead
	raw, err := r.parts.NextRawPart()
	r.source.left = unbounded
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, r.explain(err)
	}
	if r.count++; r.count > r.limits.Parts {
		return nil, ErrTooManyParts
	}
	if headerSize(raw.Header) > r.limits.Header {
		return nil, ErrHeaderTooLarge
	}
	return r.newPart(raw), nil
}

func (r *Reader) newPart(raw *multipart.Part) *Part {
	p := &Part{ContentType: raw.Header.Get("Content-Type"), Reader: content{r, raw}}
	params := dispositionParams(raw.Header.Get("Content-Disposition"))
	p.FileName, p.IsFile = params.fileName()
	p.FileName = Unquote(p.FileName)
	p.Name = Unquote(params["name"])
	for _, quote := range []string{`"`, "'"} {
		if name, ok := strings.CutPrefix(p.Name, quote); ok && !p.IsFile {
			p.Name, p.openQuote = name, quote
			break
		}
	}
	return p
}

// headerSize is what a header takes on the wire, but for blanks and odd line
// ends.
func headerSize(h textproto.MIMEHeader) (n int) {
	for key, values := range h {
		for _, value := range values {
			n += len(key) + len(": ") + len(value) + len("\r\n")
		}
	}
	return n
}

// Text returns the content of a text field as it was sent. If it is longer than
// [Limits.Field], the error is a [*FieldTooLargeError]; else errors are those of
// [Reader.Next]. Values that are not prose may need [Unquote].
func (r *Reader) Text(p *Part) (string, error) {
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(p, r.limits.Field+1))
	if err != nil {
		return "", err
	}
	if n > r.limits.Field {
		return "", &FieldTooLargeError{Name: p.Name, Limit: r.limits.Field}
	}
	if p.openQuote != "" {
		return strings.TrimSuffix(text.String(), p.openQuote), nil
	}
	return text.String(), nil
}

// explain translates an error of mime/multipart, whose texts quote the content.
func (r *Reader) explain(err error) error {
	switch {
	case r.source.over || errors.Is(err, multipart.ErrMessageTooLarge):
		return ErrHeaderTooLarge
	case r.source.err != nil:
		return fmt.Errorf("read the form: %w", r.source.err)
	case r.source.ended:
		return fmt.Errorf("%w: it ends too early: %w", ErrMalformed, io.ErrUnexpectedEOF)
	}
	return ErrMalformed
}

// content reads the content of a part, with errors in our words.
type content struct {
	r   *Reader
	raw *multipart.Part
}

func (c content) Read(p []byte) (int, error) {
	n, err := c.raw.Read(p)
	if err != nil && err != io.EOF {
		c.r.err = c.r.explain(err)
		err = c.r.err
	}
	return n, err
}
