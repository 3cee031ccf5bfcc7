// Package spool keeps files on their way through the server: small ones in
// memory, large ones in temporary files under a quota. Size, CRC-64, SHA-256
// and the first bytes are taken while a file comes in, so that nobody has to
// read it a second time.
package spool

import (
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// inMemory is the size in bytes up to which a file stays in memory.
	inMemory = 256 << 10
	// copySize is the size in bytes of the buffer that a Read holds.
	copySize = 128 << 10
	// headSize is how many of the first bytes [File.Head] gives.
	headSize = 3072

	namePrefix = "caddy-qwen-"
	nameSuffix = ".spool"
)

var (
	// ErrTooLarge says that a file has more bytes than the caller allows.
	ErrTooLarge = errors.New("the file is too large")
	// ErrFull says that other files take up the space there is for files on
	// their way. It passes when they are closed.
	ErrFull = errors.New("too many large files are on their way at the moment; try again later")
)

// StorageError says that the disk failed: it is full, read-only or broken.
// Its text names paths of the server, so it is for the owner only.
type StorageError struct {
	Err error // what the operating system said
}

func (e *StorageError) Error() string { return "temporary file: " + e.Err.Error() }

// Unwrap gives what the operating system said.
func (e *StorageError) Unwrap() error { return e.Err }

// Spool holds files on their way. It is safe for concurrent use, and more than
// one may use the same directory.
type Spool struct {
	dir   string
	quota int64
	// create makes a new, empty file in the directory, for this user only.
	create func(dir, pattern string) (*os.File, error)

	mu    sync.Mutex
	used  int64 // bytes in files on disk
	swept bool
}

// New returns a Spool with its temporary files in the directory dir. Nothing is
// touched before a file needs the disk: then the directory is made if there is
// none (mode 0700), and what a crashed process left there is removed.
//
// quota is how many bytes all files of this Spool may have on disk at the same
// time; 0 or less sets no bound. What stays in memory, at most 256 KiB of a
// file, does not count.
func New(dir string, quota int64) *Spool {
	return &Spool{dir: dir, quota: quota, create: os.CreateTemp}
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// buffers holds the copy buffers, each of copySize bytes.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// Read reads r to its end and returns what came, to be closed by the caller. A
// file of more than limit bytes ends with [ErrTooLarge] as soon as one byte too
// many was read. The other errors are [ErrFull], a [*StorageError], and those
// of r, which come back as they are. After an error nothing is kept.
func (s *Spool) Read(r io.Reader, limit int64) (*File, error) {
	buffer := buffers.Get().(*[copySize]byte)
	defer buffers.Put(buffer)
	limit = min(max(limit, 0), math.MaxInt64-1)
	in := newIntake(s)
	for {
		room := buffer[:min(copySize, limit+1-in.size)]
		n, err := fill(r, room)
		if in.size+int64(n) > limit {
			in.drop()
			return nil, ErrTooLarge
		}
		if failed := in.add(room[:n]); failed != nil {
			in.drop()
			return nil, failed
		}
		if err == io.EOF {
			return in.finish(), nil
		}
		if err != nil {
			in.drop()
			return nil, err
		}
	}
}

// fill reads until p is full or r fails. Unlike [io.ReadFull] it never changes
// the error: a file that ends early must not look like one that ends.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// reserve takes n bytes of the quota.
func (s *Spool) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quota > 0 && s.used+n > s.quota {
		return ErrFull
	}
	s.used += n
	return nil
}

func (s *Spool) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}

// open makes a temporary file. It has no name any more where the system allows
// that, so that even a crash leaves nothing; linked tells that it still has.
func (s *Spool) open() (file *os.File, linked bool, err error) {
	if err := s.prepare(); err != nil {
		return nil, false, &StorageError{err}
	}
	pattern := namePrefix + "*" + nameSuffix
	file, err = s.create(s.dir, pattern)
	if errors.Is(err, fs.ErrNotExist) { // somebody cleaned up the directory itself
		if err = os.MkdirAll(s.dir, 0o700); err == nil {
			file, err = s.create(s.dir, pattern)
		}
	}
	if err != nil {
		return nil, false, &StorageError{err}
	}
	gone := os.Remove(file.Name())
	return file, gone != nil && !errors.Is(gone, fs.ErrNotExist), nil
}

// prepare makes the directory and removes what crashed processes left in it. A
// file that a living process has open comes to no harm: either it has no name
// any more, or the system refuses to remove it.
func (s *Spool) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swept {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("look for left-over files: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type().IsRegular() && strings.HasPrefix(name, namePrefix) && strings.HasSuffix(name, nameSuffix) {
			// What cannot be removed is in use, or it is tried again by the next process.
			_ = os.Remove(filepath.Join(s.dir, name))
		}
	}
	s.swept = true
	return nil
}
