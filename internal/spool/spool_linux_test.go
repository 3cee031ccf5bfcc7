package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
)

// A system that does not remove open files is imitated by a file that goes under
// the name of a directory with something in it.
func TestFilesThatKeepTheirNameAreRemovedAtTheEnd(t *testing.T) {
	s := New(t.TempDir(), 0)
	held := filepath.Join(t.TempDir(), "held")
	if err := os.MkdirAll(filepath.Join(held, "by"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.create = func(dir, pattern string) (*os.File, error) {
		file, err := os.CreateTemp(dir, pattern)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		defer os.Remove(file.Name())
		return mustDup(t, file, held), nil
	}
	f := mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20)))
	if err := os.Remove(filepath.Join(held, "by")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(held); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// mustDup opens the same file once more, under another name.
func mustDup(t *testing.T, file *os.File, name string) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}

func TestFullDisk(t *testing.T) {
	s := New(t.TempDir(), 0)
	s.create = func(dir, _ string) (*os.File, error) {
		name := filepath.Join(dir, "full") // os.Remove must not get at the device itself
		if err := os.Symlink("/dev/full", name); err != nil {
			return nil, err
		}
		return os.OpenFile(name, os.O_RDWR, 0)
	}
	before := openFiles(t)
	f, err := s.Read(bytes.NewReader(mustBytes(t, 1<<20)), 1<<30)
	mustBeStorageError(t, err, syscall.ENOSPC)
	if f != nil {
		t.Error("U14: there is a file")
	}
	mustBeEmpty(t, s)
	if after := openFiles(t); after != before {
		t.Errorf("U14: %d files are open, before %d", after, before)
	}
	small := mustRead(t, s, bytes.NewReader(mustBytes(t, inMemory)))
	defer small.Close()
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := New(dir, 0).Read(bytes.NewReader(mustBytes(t, 1<<20)), 1<<30)
		mustBeStorageError(t, err, syscall.ENOTDIR)
	}
}

func mustBeStorageError(t *testing.T, err error, cause syscall.Errno) {
	t.Helper()
	var storage *StorageError
	if !errors.As(err, &storage) || !errors.Is(err, cause) {
		t.Errorf("%v, want a StorageError with %v", err, cause)
	}
}

// U13: uploads of all sizes, some of which end early.
func TestManyFilesLeaveNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := New(t.TempDir(), 2<<30)
	mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20))).Close()
	before := openFiles(t)
	aborted := errors.New("aborted")
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range 125 {
				size := random.IntN(600 << 10)
				var r io.Reader = io.LimitReader(endlessReader{}, int64(size))
				var want error
				if random.IntN(10) < 3 {
					r, want = io.MultiReader(r, iotest.ErrReader(aborted)), aborted
				}
				f, err := s.Read(r, 1<<20)
				if err != want {
					t.Errorf("%v, want %v", err, want)
				}
				if f != nil {
					f.Close()
				}
			}
		})
	}
	workers.Wait()
	mustBeEmpty(t, s)
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
