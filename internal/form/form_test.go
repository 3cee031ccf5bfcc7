package form

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const formType = `multipart/form-data; boundary=X`

func TestContentTypes(t *testing.T) {
	longest := strings.Repeat("b", 70)
	for contentType, want := range map[string]error{
		"multipart/form-data; boundary=X":                      nil,
		`Multipart/Form-Data; charset=utf-8; boundary="a b:c"`: nil,
		"multipart/form-data; boundary=" + longest:             nil,
		"multipart/form-data; boundary=" + longest + "b":       ErrNotForm,
		"multipart/form-data":                                  ErrNotForm,
		"multipart/form-data; boundary=":                       ErrNotForm,
		`multipart/form-data; boundary=""`:                     ErrNotForm,
		"multipart/mixed; boundary=X":                          ErrNotForm,
		"application/json":                                     ErrNotForm,
		"":                                                     ErrNotForm,
		"multipart/form-data; boundary=X; boundary=Y":          ErrNotForm,
	} {
		if _, err := New(contentType, strings.NewReader(""), Limits{}); err != want {
			t.Errorf("U01: %q: %v, want %v", contentType, err, want)
		}
	}
}

func TestFieldsAndFiles(t *testing.T) {
	body := "a preamble that nobody reads\r\n" + parts(
		part(`form-data; name="prompt"`, "", "what is\r\n--this?"),
		part(`form-data; name="image"; filename="photo.png"`, "image/png", "\x89PNG\r\n\x1a\n"),
		part(`form-data; name="empty"; filename=""`, "application/octet-stream", ""),
	) + "an epilogue"
	got := mustAll(t, formType, body, Limits{})
	want := []field{
		{Name: "prompt", Content: "what is\r\n--this?"},
		{Name: "image", FileName: "photo.png", IsFile: true, ContentType: "image/png", Content: "\x89PNG\r\n\x1a\n"},
		{Name: "empty", IsFile: true, ContentType: "application/octet-stream"},
	}
	mustEqual(t, got, want)
}

func TestContentIsNotDecoded(t *testing.T) {
	body := "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n" +
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--X--\r\n"
	mustEqual(t, mustAll(t, formType, body, Limits{}), []field{{Name: "f", FileName: "f", IsFile: true, Content: "=41"}})
}

func TestEndsOfForms(t *testing.T) {
	start := "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--X--"
	for name, end := range map[string]string{
		"nothing": "", "line end": "\r\n", "blanks": " \t ", "blanks and line end": " \r\n", "epilogue": "\r\nx\r\n--X\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			mustEqual(t, mustAll(t, formType, start+end, Limits{}), []field{{Name: "a", Content: "b"}})
		})
	}
	t.Run("only line feeds", func(t *testing.T) {
		body := "--X\nContent-Disposition: form-data; name=\"a\"\n\nb\n--X--"
		mustEqual(t, mustAll(t, formType, body, Limits{}), []field{{Name: "a", Content: "b"}})
	})
	t.Run("no parts", func(t *testing.T) {
		mustEqual(t, mustAll(t, formType, "--X--\r\n", Limits{}), nil)
	})
}

// A body that ends anywhere before the closing boundary is never taken for one
// that ends well, not even within a header.
func TestU08BodyThatEndsEarly(t *testing.T) {
	whole := parts(part(`form-data; name="a"`, "", "1"),
		part(`form-data; name="f"; filename="photo.png"`, "image/png", strings.Repeat("content\r\n", 10)))
	enough := strings.LastIndex(whole, "--X--") + len("--X--")
	for length := range enough {
		for _, wrap := range []func(io.Reader) io.Reader{plain, iotest.OneByteReader, iotest.DataErrReader} {
			_, err := all(formType, wrap(strings.NewReader(whole[:length])), Limits{})
			if !errors.Is(err, ErrMalformed) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d of %d bytes: %v", length, enough, err)
			}
		}
	}
	if _, err := all(formType, strings.NewReader(whole[:enough]), Limits{}); err != nil {
		t.Errorf("all bytes: %v", err)
	}
}

func TestMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"no colon":          "--X\r\nnonsense\r\n\r\nsecret\r\n--X--\r\n",
		"blank first":       "--X\r\n Content-Type: a/b\r\n\r\nsecret\r\n--X--\r\n",
		"control character": "--X\r\nContent-Type: secret\x00\r\n\r\n\r\n--X--\r\n",
		"text at boundary":  "--X\r\nA: b\r\n\r\nc\r\n--X \r\n--Xsecret\r\n" + strings.Repeat("y", 9000),
	} {
		_, err := all(formType, strings.NewReader(body), Limits{})
		if !errors.Is(err, ErrMalformed) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestU04NumberOfParts(t *testing.T) {
	form := func(n int) string {
		return parts(strings.Repeat(part(`form-data; name="a"`, "", "b"), n))
	}
	for _, c := range []struct{ limit, parts int }{{0, 64}, {3, 3}} {
		if got := mustAll(t, formType, form(c.parts), Limits{Parts: c.limit}); len(got) != c.parts {
			t.Errorf("%d parts, want %d", len(got), c.parts)
		}
		if _, err := all(formType, strings.NewReader(form(c.parts+1)), Limits{Parts: c.limit}); err != ErrTooManyParts {
			t.Errorf("%d parts: %v", c.parts+1, err)
		}
	}
}

func TestU04SizeOfHeaders(t *testing.T) {
	const limit = 8 << 10
	header := func(size int) string {
		line := `Content-Disposition: form-data; name="a"` + "\r\n"
		return line + "X: " + strings.Repeat("y", size-len(line)-len("X: \r\n")) + "\r\n"
	}
	form := func(header string) string { return "--X\r\n" + header + "\r\nb\r\n--X--\r\n" }
	mustEqual(t, mustAll(t, formType, form(header(limit)), Limits{}), []field{{Name: "a", Content: "b"}})
	many := strings.Repeat("X: y\r\n", limit/6+1)
	for name, body := range map[string]string{
		"one byte more":    form(header(limit + 1)),
		"twice as much":    form(header(2 * limit)),
		"many lines":       form(many),
		"long preamble":    strings.Repeat("preamble\r\n", limit) + form(header(100)),
		"continued lines":  form("A: b" + strings.Repeat("\r\n c", limit)),
		"one line, no end": "--X\r\nA: " + strings.Repeat("y", 1<<20),
	} {
		if _, err := all(formType, strings.NewReader(body), Limits{}); err != ErrHeaderTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestU04ReadingStopsSoonAfterTheLimit(t *testing.T) {
	for name, start := range map[string]string{
		"first part":  "",
		"later part":  part(`form-data; name="a"`, "", strings.Repeat("b", 100<<10)),
		"preamble":    "preamble\r\n",
		"in the name": "--X\r\nContent-Disposition: form-data; name=",
	} {
		body := &counter{r: io.MultiReader(strings.NewReader(start), strings.NewReader("--X\r\nA: "), letters{})}
		if _, err := all(formType, body, Limits{}); err != ErrHeaderTooLarge {
			t.Errorf("%s: %v", name, err)
		}
		if more := body.n - int64(len(start)); more > 8<<10+readAhead+bodyBuffer {
			t.Errorf("%s: %d bytes were read", name, more)
		}
	}
}

func TestU05LengthOfTextFields(t *testing.T) {
	for _, c := range []struct{ limit, allowed int64 }{{0, 1 << 20}, {10, 10}} {
		fits := strings.Repeat("x", int(c.allowed))
		r := mustNew(t, parts(part(`form-data; name="prompt"`, "", fits)), Limits{Field: c.limit})
		if text, err := r.Text(mustNext(t, r)); err != nil || text != fits {
			t.Errorf("%d bytes: %d, %v", c.allowed, len(text), err)
		}
		body := &counter{r: io.MultiReader(strings.NewReader("--X\r\nContent-Disposition: form-data; name=prompt\r\n\r\n"), letters{})}
		r, err := New(formType, body, Limits{Field: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Text(mustNext(t, r))
		var large *FieldTooLargeError
		if !errors.As(err, &large) || large.Name != "prompt" || large.Limit != c.allowed {
			t.Errorf("endless: %v", err)
		}
		if body.n > c.allowed+2*bodyBuffer {
			t.Errorf("%d bytes were read", body.n)
		}
	}
}

func TestFieldTooLargeErrorIsShort(t *testing.T) {
	text := (&FieldTooLargeError{Name: strings.Repeat("长\x00", 5000), Limit: 5}).Error()
	if len(text) > 500 || strings.ContainsAny(text, "\x00\n") {
		t.Errorf("%d bytes: %.200q", len(text), text)
	}
}

func TestPartsThatNobodyReadsAreSkipped(t *testing.T) {
	r := mustNew(t, parts(part(`form-data; name="a"; filename="a"`, "", strings.Repeat("long ", 100000)), part(`form-data; name="b"`, "", "c")), Limits{})
	first := mustNext(t, r)
	second := mustNext(t, r)
	if second.Name != "b" {
		t.Errorf("the second part is %q", second.Name)
	}
	if rest, err := io.ReadAll(first); len(rest) > 0 || err != nil {
		t.Errorf("a part that is over gives %d bytes, %v", len(rest), err)
	}
	if text, err := r.Text(second); text != "c" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestErrorsOfTheBodyStayVisible(t *testing.T) {
	whole := parts(part(`form-data; name="a"`, "", "1"), part(`form-data; name="f"; filename="f"`, "", strings.Repeat("y", 500)))
	for length := range len(whole) - len("--\r\n") {
		body := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(whole)), int64(length))
		_, err := all(formType, body, Limits{})
		if large, ok := errors.AsType[*http.MaxBytesError](err); !ok || large.Limit != int64(length) {
			t.Fatalf("U06: after %d bytes: %v", length, err)
		}
		if errors.Is(err, ErrMalformed) {
			t.Fatalf("after %d bytes the client is told that its form is malformed", length)
		}
	}
	gone := errors.New("client gone")
	_, err := all(formType, io.MultiReader(strings.NewReader(whole[:100]), iotest.ErrReader(gone)), Limits{})
	if !errors.Is(err, gone) {
		t.Errorf("U08: %v", err)
	}
}

func TestErrorsStay(t *testing.T) {
	for name, body := range map[string]string{
		"malformed": "--X\r\nnonsense\r\n\r\n" + parts(part("form-data; name=a", "", "")), "parts": strings.Repeat(part("form-data; name=a", "", ""), 70),
	} {
		r := mustNew(t, body, Limits{})
		var first error
		for first == nil {
			_, first = r.Next()
		}
		if _, again := r.Next(); again != first {
			t.Errorf("%s: %v, then %v", name, first, again)
		}
	}
	t.Run("content", func(t *testing.T) {
		r := mustNew(t, "--X\r\nA: b\r\n\r\nto be cont", Limits{})
		_, first := io.Copy(io.Discard, mustNext(t, r))
		if _, err := r.Next(); err != first || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v, then %v", first, err)
		}
	})
}

func TestWhatTheStandardWriterMakes(t *testing.T) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	want := []field{
		{Name: "naïve \\ \"name\" here", FileName: `C:\dir\照片 "1".png`, IsFile: true, ContentType: "application/octet-stream", Content: "x"},
		{Name: "é", Content: "plain"},
	}
	file, err := w.CreateFormFile(want[0].Name, want[0].FileName)
	if err == nil {
		_, err = io.WriteString(file, want[0].Content)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteField(want[1].Name, want[1].Content), w.Close()); err != nil {
		t.Fatal(err)
	}
	mustEqual(t, mustAll(t, w.FormDataContentType(), body.String(), Limits{}), want)
}
