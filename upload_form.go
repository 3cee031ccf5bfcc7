package caddyqwen

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/internal/form"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// fileForm is a form with one file.
type fileForm struct {
	file   *content
	fields map[string]string
	size   int // of the fields in bytes
}

const (
	// maxFields is how many bytes the text fields of a form may have together, and how
	// many all that is around the fields and the file.
	maxFields = 1<<20 + 64<<10
	// lingerSize is how much of a form that is refused is still read, as long as the
	// client does not pause for longer than lingerPause: some clients look for an answer
	// only when they have sent everything.
	lingerSize  = 8 << 20
	lingerPause = 200 * time.Millisecond
)

// readForm reads a form whose file is in a field, to its end: only then a client
// that leaves is noticed. The form's file has to be closed.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request, field string, kinds ...filetype.Kind) (_ *fileForm, err error) {
	defer func() {
		if err != nil {
			linger(w, r)
		}
	}()
	if err := h.checkOrigin(r); err != nil {
		return nil, err
	}
	limit, option := h.largest(kinds)
	body := &noting{from: http.MaxBytesReader(w, r.Body, limit+2*maxFields)}
	parts, err := form.New(r.Header.Get("Content-Type"), body, form.Limits{})
	if err != nil {
		return nil, formError(err)
	}
	f := &fileForm{fields: make(map[string]string)}
	defer func() {
		if err != nil && f.file != nil {
			f.file.Close()
		}
	}()
	for {
		part, err := parts.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = h.readPart(f, parts, part, field, kinds)
		}
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(body.err, &tooLarge):
			return nil, fileTooLarge(field, limit, option)
		case body.err != nil:
			return nil, bodyError(body.err)
		}
		if err != nil {
			return nil, formError(err)
		}
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, bodyError(err)
	}
	if f.file == nil {
		return nil, missingFile(field)
	}
	return f, nil
}

// largest returns the largest size of a file of any of the kinds, and the option that
// sets it.
func (h *Handler) largest(kinds []filetype.Kind) (limit int64, option string) {
	if len(kinds) == 0 {
		kinds = []filetype.Kind{filetype.Image, filetype.Video, filetype.Audio, filetype.Document}
	}
	for _, kind := range kinds {
		if most, name := h.fileLimit(kind); most > limit {
			limit, option = most, name
		}
	}
	return limit, option
}

// checkOrigin refuses a form that a page of another site has sent. Browsers let
// every page send forms without asking, with the password or the client certificate
// by which this server knows the user.
func (h *Handler) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if own, err := parseOrigin(origin); err == nil {
		for _, scheme := range []string{"http", "https"} {
			if here, err := parseOrigin(scheme + "://" + r.Host); err == nil && own == here {
				return nil
			}
		}
	}
	if _, allowed := h.cors.allowed(http.Header{}, r); allowed {
		return nil
	}
	return &openai.Error{Status: http.StatusForbidden, Code: "origin_not_allowed", Type: openai.TypeInvalidRequest,
		Message: "Pages of this origin may not use the server. The owner can allow the origin with cors."}
}

// linger reads on after a form was refused. A client that waits for leave to send the
// rest needs none of this.
func linger(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	connection := http.NewResponseController(w)
	for read := int64(0); read < lingerSize; {
		if connection.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return
		}
		n, err := io.CopyN(io.Discard, r.Body, 256<<10)
		if read += n; err != nil {
			return
		}
	}
}

// noting notes why a body could not be read to its end.
type noting struct {
	from io.Reader
	err  error
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.from.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

// readPart reads one part of a form.
func (h *Handler) readPart(f *fileForm, parts *form.Reader, part *form.Part, field string, kinds []filetype.Kind) (err error) {
	switch {
	case !part.IsFile && part.Name == field:
		return invalidFile(http.StatusBadRequest, "invalid_value", field, "This field must hold a file, but holds text. With curl, write an @ before the path: -F "+field+"=@photo.png.")
	case !part.IsFile:
		if _, twice := f.fields[part.Name]; twice {
			return invalidFile(http.StatusBadRequest, "invalid_value", part.Name, "This field is there twice. Send it once.")
		}
		value, err := parts.Text(part)
		if f.size += len(value); f.size > maxFields {
			return invalidFile(http.StatusRequestEntityTooLarge, "request_too_large", "", fmt.Sprintf("The fields of the form are longer than %d bytes together. Send less text.", maxFields))
		}
		f.fields[part.Name] = value
		return err
	case part.Name != field:
		return invalidFile(http.StatusBadRequest, "missing_required_parameter", field, fmt.Sprintf("The file must be in this field, but is in the field %.64q.", part.Name))
	case f.file != nil:
		return invalidFile(http.StatusBadRequest, "invalid_value", field, "There are two files. Send one.")
	}
	f.file, err = h.receive(incoming{
		from: part, name: form.Unquote(part.FileName), declared: part.ContentType, otherwise: field, param: field, kinds: kinds,
	})
	return err
}

func missingFile(field string) error {
	return invalidFile(http.StatusBadRequest, "missing_required_parameter", field, "The form has no file in this field. Send it as multipart/form-data; with curl: -F "+field+"=@photo.png.")
}

// formError translates failures of reading a form. Others come back as they are.
func formError(err error) error {
	var field *form.FieldTooLargeError
	switch {
	case errors.As(err, &field):
		return invalidFile(http.StatusRequestEntityTooLarge, "request_too_large", field.Name, fmt.Sprintf("The field is longer than %d bytes. Send a shorter one.", field.Limit))
	case errors.Is(err, form.ErrMalformed) && errors.Is(err, io.ErrUnexpectedEOF):
		return bodyError(io.ErrUnexpectedEOF)
	case errors.Is(err, form.ErrNotForm), errors.Is(err, form.ErrMalformed), errors.Is(err, form.ErrTooManyParts), errors.Is(err, form.ErrHeaderTooLarge):
		return invalidFile(http.StatusBadRequest, "invalid_form", "", "The body is not a usable form: "+err.Error()+". Send it as multipart/form-data, as curl does with -F.")
	}
	return err
}

// value returns a field that is a word or a number, without the quotes that a
// Windows shell may have left around it.
func (f *fileForm) value(name string) string { return form.Unquote(f.fields[name]) }

// text returns a field of free text that must not be empty. Quotes around all of
// it are those of a shell, unless there are more of them.
func (f *fileForm) text(name string) (string, error) {
	value := f.fields[name]
	if inner := form.Unquote(value); inner != strings.TrimSpace(value) && !strings.ContainsAny(inner, `"'`) {
		value = inner
	}
	if strings.TrimSpace(value) != "" {
		return value, nil
	}
	return "", &openai.Error{Status: http.StatusBadRequest, Code: "missing_required_parameter", Param: name, Type: openai.TypeInvalidRequest,
		Message: "The form field " + name + " is missing or empty."}
}

// bool returns a field of the form that is true or false. An empty one is as
// good as none.
func (f *fileForm) bool(name string, otherwise bool) (bool, error) {
	switch strings.ToLower(f.value(name)) {
	case "":
		return otherwise, nil
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: name, Type: openai.TypeInvalidRequest,
		Message: "The form field " + name + " must be true or false."}
}

// count returns a field of the form that is a whole number of at least 0, which
// is 0 if the field is empty or missing.
func (f *fileForm) count(name string) (int64, error) {
	value := f.value(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: name, Type: openai.TypeInvalidRequest,
			Message: "The form field " + name + " must be a whole number of at least 0."}
	}
	return n, nil
}
