package form

import (
	"io"
	"strings"
)

// unbounded is the budget of a source while content is read.
const unbounded = -1

// source stands between the body and mime/multipart, which reads up to 10 MiB
// of headers, and which reports a body that ends within a header in the same
// way as a form that ends well.
type source struct {
	body io.Reader
	end  string // the closing boundary
	left int    // bytes that may still be read, or unbounded

	tail  []byte // the last bytes that came
	over  bool   // more than left was asked for
	ended bool   // the body ended
	err   error  // the body failed
}

// tailSize is enough for the closing boundary and blanks after it.
const tailSize = 128

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.over = true
		return 0, ErrHeaderTooLarge
	}
	if s.left > 0 {
		p = p[:min(len(p), s.left)]
	}
	n, err := s.body.Read(p)
	if s.left > 0 {
		s.left -= n
	}
	s.remember(p[:n])
	if err == io.EOF {
		s.ended = true
		if !s.closed() {
			err = io.ErrUnexpectedEOF
		}
	} else if err != nil {
		s.err = err
	}
	return n, err
}

func (s *source) remember(p []byte) {
	if len(p) >= tailSize {
		s.tail = append(s.tail[:0], p[len(p)-tailSize:]...)
		return
	}
	s.tail = append(s.tail, p...)
	if more := len(s.tail) - tailSize; more > 0 {
		s.tail = append(s.tail[:0], s.tail[more:]...)
	}
}

// closed tells whether the last line is the closing boundary without a line end.
// Only then mime/multipart needs to see io.EOF to take it for one; any other end
// comes after the closing boundary, when nobody reads on, or is too early.
func (s *source) closed() bool {
	line := s.tail
	for i := len(line) - 1; i >= 0; i-- {
		if line[i] == '\n' {
			line = line[i+1:]
			break
		}
	}
	rest, ok := strings.CutPrefix(string(line), s.end)
	return ok && strings.Trim(rest, " \t") == ""
}
