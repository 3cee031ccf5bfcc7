package spool

import (
	"crypto/sha256"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"sync"
)

// File is one file that came in whole. Its methods are safe for concurrent use.
type File struct {
	size int64
	crc  uint64
	sum  [32]byte
	head []byte

	mu     sync.RWMutex // held for reading by ReadAt, for writing by Close
	closed bool
	memory []byte // the content, unless it is on disk
	disk   *disk
	spool  *Spool
}

// Size is the length in bytes.
func (f *File) Size() int64 { return f.size }

// CRC64 is the checksum with the ECMA polynomial, which object storage uses.
func (f *File) CRC64() uint64 { return f.crc }

// SHA256 is the digest of the content.
func (f *File) SHA256() [32]byte { return f.sum }

// Head gives the first bytes, at most 3072, enough to tell the type. They stay
// after Close and must not be changed.
func (f *File) Head() []byte { return f.head }

// ReadAt implements [io.ReaderAt]. A failure of the disk is a [*StorageError];
// after Close it is [os.ErrClosed].
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case f.closed:
		return 0, os.ErrClosed
	case f.disk != nil:
		return f.disk.readAt(p, offset)
	case offset < 0:
		return 0, os.ErrInvalid
	case offset >= int64(len(f.memory)):
		return 0, io.EOF
	}
	n := copy(p, f.memory[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close gives memory, quota and disk space back. It waits for reads under way;
// calls after the first do nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.spool.inMemory.giveBack(int64(len(f.memory)))
	f.memory = nil
	if f.disk == nil {
		return nil
	}
	return f.disk.close()
}

// disk is the temporary file of a large file.
type disk struct {
	spool  *Spool
	file   *os.File
	linked bool // the file still has a name, to be removed at the end
	taken  int64
}

func (d *disk) write(p []byte) error {
	if !d.spool.onDisk.take(int64(len(p))) {
		return ErrFull
	}
	d.taken += int64(len(p))
	if _, err := d.file.Write(p); err != nil {
		return &StorageError{err}
	}
	return nil
}

func (d *disk) readAt(p []byte, offset int64) (int, error) {
	n, err := d.file.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		err = &StorageError{err}
	}
	return n, err
}

func (d *disk) close() error {
	err := d.file.Close()
	if d.linked {
		if gone := os.Remove(d.file.Name()); err == nil {
			err = gone
		}
	}
	d.spool.onDisk.giveBack(d.taken)
	if err != nil {
		return &StorageError{err}
	}
	return nil
}

// intake is a file that is coming in.
type intake struct {
	spool  *Spool
	size   int64
	crc    uint64
	sum    hash.Hash
	memory []byte
	head   []byte
	disk   *disk
}

func newIntake(s *Spool) *intake { return &intake{spool: s, sum: sha256.New()} }

// add takes the next bytes.
func (in *intake) add(p []byte) error {
	in.size += int64(len(p))
	in.crc = crc64.Update(in.crc, crcTable, p)
	in.sum.Write(p)
	in.head = append(in.head, p[:min(headSize-len(in.head), len(p))]...)
	if in.disk == nil && in.size <= inMemory && in.spool.inMemory.take(int64(len(p))) {
		in.memory = append(in.memory, p...)
		return nil
	}
	if in.disk == nil {
		if err := in.toDisk(); err != nil {
			return err
		}
	}
	return in.disk.write(p)
}

// toDisk moves what came so far into a temporary file.
func (in *intake) toDisk() error {
	file, linked, err := in.spool.open()
	if err != nil {
		return err
	}
	in.disk = &disk{spool: in.spool, file: file, linked: linked}
	kept := in.memory
	in.memory = nil
	defer in.spool.inMemory.giveBack(int64(len(kept)))
	return in.disk.write(kept)
}

// drop gives back what a file that failed has taken.
func (in *intake) drop() {
	in.spool.inMemory.giveBack(int64(len(in.memory)))
	in.memory = nil
	if in.disk != nil {
		// The file is of no use any more, whatever the disk says.
		_ = in.disk.close()
	}
}

func (in *intake) finish() *File {
	f := &File{size: in.size, crc: in.crc, head: in.head, disk: in.disk, spool: in.spool}
	in.sum.Sum(f.sum[:0])
	if f.disk == nil {
		f.memory = in.memory
		if room := cap(f.memory) - len(f.memory); room > len(f.memory)/8 { // append left it, and nobody needs it
			f.memory = append(make([]byte, 0, len(in.memory)), in.memory...)
		}
	}
	return f
}
