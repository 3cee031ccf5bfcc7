package form

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever comes: no panic, no more memory than the limits allow, only our own
// errors, and the same result however the bytes arrive. What this package takes
// for a form, mime/multipart takes for the same form.
func FuzzReader(f *testing.F) {
	f.Add([]byte(parts(part(`form-data; name="a"`, "", "b"))))
	f.Add([]byte(parts(part(`form-data; name="a"; filename="C:\x"`, "image/png", "\r\n--X"), part("form-data; name=b", "", "--X--"))))
	f.Add([]byte("--X--"))
	f.Add([]byte("--X\nA: b\n\nc\n--X-- "))
	f.Add([]byte("--X\r\nA: b\r\n\r\n--X\r\n\r\n\r\n--X--"))
	f.Add([]byte("--X\r\nA: b\r\n\r\nc\r\n--X-"))
	f.Add([]byte(strings.Repeat("--X\r\n\r\n\r\n", 20)))
	limits := Limits{Parts: 10, Header: 200, Field: 100}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := all(formType, bytes.NewReader(body), limits)
		mustBeKnown(t, err)
		slow, slowErr := all(formType, iotest.OneByteReader(bytes.NewReader(body)), limits)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %v, byte by byte %v", err, slowErr)
		}
		if err != nil {
			return
		}
		mustEqual(t, slow, fields)
		mustEqual(t, standard(t, body), stripped(fields))
	})
}

func mustBeKnown(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{nil, ErrMalformed, ErrTooManyParts, ErrHeaderTooLarge} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("unknown error %v", err)
}

// standard reads a form with mime/multipart alone.
func standard(t *testing.T, body []byte) (fields []field) {
	t.Helper()
	r := multipart.NewReader(bytes.NewReader(body), "X")
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return fields
		}
		if err != nil {
			t.Fatalf("mime/multipart does not take it for a form: %v", err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("mime/multipart does not take it for a form: %v", err)
		}
		fields = append(fields, field{ContentType: p.Header.Get("Content-Type"), Content: string(content)})
	}
}

// stripped leaves out the names, in which we are more forgiving.
func stripped(fields []field) (rest []field) {
	for _, f := range fields {
		rest = append(rest, field{ContentType: f.ContentType, Content: f.Content})
	}
	return rest
}

// What mime/multipart writes is a form, and its parts come back.
func FuzzWellFormed(f *testing.F) {
	f.Add("prompt", "photo.png", []byte("content"), []byte("more"))
	f.Add(`a"b\c`, `C:\x\`, []byte("\r\n--"), []byte{0})
	f.Fuzz(func(t *testing.T, name, fileName string, first, second []byte) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		file, err := w.CreateFormFile(name, fileName)
		if err == nil {
			_, err = file.Write(first)
		}
		if err := errors.Join(err, w.WriteField("second", string(second)), w.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := all(w.FormDataContentType(), bytes.NewReader(body.Bytes()), Limits{Header: 1 << 20})
		if errors.Is(err, ErrMalformed) && strings.ContainsFunc(name+fileName, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // the writer does not escape all control characters, and headers have none
		}
		if err != nil {
			t.Fatalf("%v in %q", err, body.String())
		}
		if len(got) != 2 || got[0].Content != string(first) || got[1].Content != string(second) || got[1].Name != "second" || !got[0].IsFile {
			t.Errorf("%+v", got)
		}
	})
}
