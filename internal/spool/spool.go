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
	// inMemory is the size in bytes up to which a file stays in memory, and
	// allInMemory how much all files of a Spool may have there at the same time.
	inMemory    = 256 << 10
	allInMemory = 64 << 20
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
	dir string
	// onDisk and inMemory are the room for files.
	onDisk, inMemory room
	// create makes a new, empty file in the directory, for this user only.
	create func(dir, pattern string) (*os.File, error)

	mu    sync.Mutex
	swept bool
}

// room is how much of something there is.
type room struct {
	quota int64 // 0 or less: no bound

	mu   sync.Mutex
	used int64
}

// take takes n bytes of the room, if they are there.
func (r *room) take(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.quota > 0 && r.used+n > r.quota {
		return false
	}
	r.used += n
	return true
}

func (r *room) giveBack(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
}

// New returns a Spool with its temporary files in the directory dir. Nothing is
// touched before a file needs the disk: then the directory is made if there is
// none (mode 0700), and what a crashed process left there is removed.
//
// quota is how many bytes all files of this Spool may have on disk at the same
// time; 0 or less sets no bound. What stays in memory does not count: files of up
// to 256 KiB, as long as they have at most 64 MiB there together.
func New(dir string, quota int64) *Spool {
	return &Spool{dir: dir, onDisk: room{quota: quota}, inMemory: room{quota: allInMemory}, create: os.CreateTemp}
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
