package caddyqwen

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

// endless is a text that is repeated for ever.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		copied := copy(p[n:], e.text[e.at:])
		e.at = (e.at + copied) % len(e.text)
		n += copied
	}
	return n, nil
}

// push posts a form that the server need not take to its end. The length is what
// the request declares; without one the body comes in chunks. It returns the
// answer, and how many bytes of the body were sent.
func (g *gateway) push(t *testing.T, path string, length int64, body io.Reader) (got reply, sent int64) {
	t.Helper()
	conn := g.dial()
	how := "Transfer-Encoding: chunked"
	if length > 0 {
		how = fmt.Sprintf("Content-Length: %d", length)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=%s\r\n%s\r\n\r\n", path, testKey, boundary, how)
	written := make(chan int64, 1)
	go func() {
		to := io.Writer(conn)
		if length <= 0 {
			to = httputil.NewChunkedWriter(conn)
		}
		n, _ := io.CopyBuffer(struct{ io.Writer }{to}, body, make([]byte, 64<<10)) // ends when the server hangs up
		written <- n
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	conn.Close()
	return reply{resp.StatusCode, resp.Header, string(text), err}, <-written
}

// numbered is a row of fields that does not end, each with a name of its own.
type numbered struct {
	size int // of a field
	n    int
	left string
}

func (f *numbered) Read(p []byte) (int, error) {
	if f.left == "" {
		f.n++
		f.left = "--" + boundary + "\r\n" + rawPart(fmt.Sprintf(`name="note%d"`, f.n), "text/plain", strings.Repeat("x", f.size)) + "\r\n"
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

// excess is a form that is too much in some way, and has no end.
type excess struct {
	name string
	// begin is the beginning, which goes on with more.
	begin string
	more  io.Reader
	limit int64 // after so much of more it is too much
	want  failed
}

// fileLimit is the size of the largest file in these tests.
const fileLimit = 300_000

func (route formRoute) excesses() []excess {
	zeros := &endless{text: strings.Repeat("\x00", 64<<10)}
	open := func(disposition string) string {
		return "--" + boundary + "\r\n" + rawPart(disposition, "text/plain", "")
	}
	large := func(param string) failed {
		return wantFile(http.StatusRequestEntityTooLarge, "request_too_large", param)
	}
	form := wantFile(http.StatusBadRequest, "invalid_form", "")
	file := "--" + boundary + "\r\n" + rawPart(`name="`+route.file.name+`"; filename="`+route.file.file+`"`, route.file.kind, route.file.value)
	return []excess{
		{"U05 a text field", open(`name="note"`), zeros, 1 << 20, large("note")},
		{"U05 the prompt", open(`name="prompt"`), zeros, 1 << 20, large("prompt")},
		{"U05 a field without a name", open(`x="y"`), zeros, 1 << 20, large("")},
		{"U05 fields that are long together", "", &numbered{size: 1000 << 10}, maxFields + 1000<<10, large("")},
		{"U06 a file", file, zeros, fileLimit, wantFile(http.StatusRequestEntityTooLarge, "file_too_large", route.file.name)},
		{"U04 fields", "", &numbered{size: 10}, 65 * 200, form},
		{"U04 a header", "--" + boundary + "\r\nContent-Disposition: form-data; name=\"", &endless{text: "x"}, 8 << 10, form},
		{"U04 headers", "--" + boundary, &endless{text: "\r\nX-Header: value"}, 8 << 10, form},
		{"U04 something before the form", "", &endless{text: "nonsense\r\n"}, 8 << 10, form},
	}
}

// someExcesses are those that are tried with the n-th route: each one with one of the
// routes, and all of them with all in long tests.
func (route formRoute) someExcesses(n int) (list []excess) {
	for i, e := range route.excesses() {
		if long || i%len(formRoutes()) == n {
			list = append(list, e)
		}
	}
	return list
}

// Neither a form without an end nor one of a gigabyte is read much beyond the
// limit.
func TestUploadEndless(t *testing.T) {
	const (
		// blocks is what is read at once, and what the server itself takes before it
		// answers in the middle of a body.
		blocks  = 64<<10 + 256<<10 + 1
		kernels = 32 << 20 // what can be on its way in the buffers of a connection
	)
	g := mustGateway(t, setup{qwen: fmt.Sprintf("max_image %d\nmax_video %[1]d", fileLimit)})
	for i, route := range formRoutes() {
		for _, test := range route.someExcesses(i) {
			t.Run(test.name+", and nothing more comes "+route.path, func(t *testing.T) {
				got, _ := g.push(t, route.path, 1<<30, io.MultiReader(strings.NewReader(test.begin), io.LimitReader(test.more, test.limit+blocks)))
				test.want.check(t, got)
			})
		}
	}
	for i, route := range formRoutes() {
		for _, test := range route.someExcesses(i) {
			t.Run(test.name+" without an end "+route.path, func(t *testing.T) {
				got, sent := g.push(t, route.path, 0, io.MultiReader(strings.NewReader(test.begin), test.more))
				test.want.check(t, got)
				if sent > test.limit+kernels {
					t.Errorf("%d bytes were taken", sent)
				}
			})
		}
	}
	g.notSent(t)
	g.nothingLeft()
}
