package oss

import (
	"bytes"
	"errors"
	"hash/crc64"
	"io"
	"sync"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

var errDetached = errors.New("the request is over")

// A section is the part of the object that a request carries.
type section struct {
	from, size int64
	mark       *mark
	sum        bool // its CRC is compared with what the storage received
}

// A body is the body of one attempt: perhaps something before the section, the
// section, perhaps something behind. A transport may go on reading a body after
// the request has ended; detach makes sure that it does not.
type body struct {
	mu       sync.Mutex
	src      io.Reader
	left     int64 // bytes still to be read
	dog      *watchdog
	detached bool
	err      error // of reading the object, not of the network
	crash    *crash

	sec  section
	sent int64 // bytes of the section
	crc  uint64
}

// newBody returns a body of head, section and tail, and its length.
func newBody(o Object, sec section, head, tail []byte, dog *watchdog) (*body, int64) {
	length := int64(len(head)) + sec.size + int64(len(tail))
	b := &body{left: length, dog: dog, sec: sec}
	sources := []io.Reader{bytes.NewReader(head)}
	if sec.size > 0 {
		sources = append(sources, &counted{b, io.NewSectionReader(o.Body, sec.from, sec.size)})
	}
	b.src = io.MultiReader(append(sources, bytes.NewReader(tail))...)
	return b, length
}

// Read reads the next piece. It runs in a goroutine of the transport, where
// nobody could recover a panic of the object's reader or of the progress
// function: it is kept for the goroutine that made the request.
func (b *body) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.detached {
		return 0, errDetached
	}
	defer func() {
		if v := recover(); v != nil {
			b.crash, b.err = &crash{v}, errCrashed
			n, err = 0, errCrashed
		}
	}()
	n, err = b.src.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	b.dog.moved(b.left == 0)
	return n, err
}

// Close does nothing: the object belongs to the caller.
func (b *body) Close() error { return nil }

// detach ends all reading and returns when no Read is going on any more.
func (b *body) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.detached = true
}

// failure returns why the body could not be read to its end, if it could not. It
// panics if reading it panicked.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crash.raise()
	return b.err
}

// whole tells whether all of the section was read, and its CRC.
func (b *body) whole() (crc uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.crc, b.sent == b.sec.size
}

// counted reads the section and counts it.
type counted struct {
	b *body
	r io.Reader
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.b.sec.sum {
		c.b.crc = crc64.Update(c.b.crc, crcTable, p[:n])
	}
	c.b.sent += int64(n)
	if n > 0 && c.b.sec.mark != nil {
		c.b.sec.mark.reached(c.b.sent)
	}
	return n, err
}

// A crash is a panic that is carried from one goroutine to another.
type crash struct{ value any }

var errCrashed = errors.New("reading panicked")

// raise panics again, if there was a panic.
func (c *crash) raise() {
	if c != nil {
		panic(c.value)
	}
}
