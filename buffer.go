package caddyqwen

import "sync"

// The sizes of buffers. A stream that waits holds a small one to read into; one
// that brings more than that at once gets a large one. Answers are put together
// in large ones, which they hold only while they write.
const (
	smallRead = 4 << 10
	largeRead = 32 << 10
)

// buffer is memory for a part of a stream on its way from the site to the
// client.
type buffer struct {
	space  []byte
	filled []byte // the data: a part of space, unless it has outgrown it
}

var (
	smallBuffers = sync.Pool{New: func() any { return &buffer{space: make([]byte, smallRead)} }}
	largeBuffers = sync.Pool{New: func() any { return &buffer{space: make([]byte, largeRead)} }}
)

// getBuffer returns a buffer of one of the two sizes.
func getBuffer(size int) *buffer {
	if size == largeRead {
		return largeBuffers.Get().(*buffer)
	}
	return smallBuffers.Get().(*buffer)
}

// free gives the buffer back. Nothing may use its data any more.
func (b *buffer) free() {
	b.filled = nil
	if len(b.space) == largeRead {
		largeBuffers.Put(b)
		return
	}
	smallBuffers.Put(b)
}

// nextRead is the size of the buffer for the read after one of n bytes.
func nextRead(n int) int {
	if n >= smallRead {
		return largeRead
	}
	return smallRead
}
