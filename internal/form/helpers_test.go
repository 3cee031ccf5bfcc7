package form

import (
	"io"
	"strings"
	"testing"
)

// field is a part with its content.
type field struct {
	Name, FileName string
	IsFile         bool
	ContentType    string
	Content        string
}

func plain(r io.Reader) io.Reader { return r }

func part(disposition, contentType, content string) string {
	header := "--X\r\nContent-Disposition: " + disposition + "\r\n"
	if contentType != "" {
		header += "Content-Type: " + contentType + "\r\n"
	}
	return header + "\r\n" + content + "\r\n"
}

func parts(all ...string) string { return strings.Join(all, "") + "--X--\r\n" }

func mustNew(t testing.TB, body string, l Limits) *Reader {
	t.Helper()
	r, err := New(formType, strings.NewReader(body), l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustNext(t testing.TB, r *Reader) *Part {
	t.Helper()
	p, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all reads a form to its end.
func all(contentType string, body io.Reader, l Limits) (fields []field, err error) {
	r, err := New(contentType, body, l)
	if err != nil {
		return nil, err
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return fields, nil
		}
		if err != nil {
			return fields, err
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return fields, err
		}
		fields = append(fields, field{p.Name, p.FileName, p.IsFile, p.ContentType, string(content)})
	}
}

func mustAll(t testing.TB, contentType, body string, l Limits) []field {
	t.Helper()
	fields, err := all(contentType, strings.NewReader(body), l)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func mustEqual(t testing.TB, got, want []field) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d fields, want %d: %+v", len(got), len(want), got)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("field %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}

// letters never ends.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'y'
	}
	return len(p), nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
