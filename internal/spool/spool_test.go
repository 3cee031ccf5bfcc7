package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadGivesBackWhatCame(t *testing.T) {
	sizes := []int{0, 1, headSize - 1, headSize, headSize + 1, copySize - 1, copySize, copySize + 1,
		inMemory - 1, inMemory, inMemory + 1, 1<<20 + 7}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := New(t.TempDir(), 0)
			content := mustBytes(t, size)
			f := mustRead(t, s, bytes.NewReader(content))
			defer f.Close()
			if f.Size() != int64(size) || f.SHA256() != sha256.Sum256(content) {
				t.Errorf("size %d, SHA-256 %x", f.Size(), f.SHA256())
			}
			if want := crc64.Checksum(content, crc64.MakeTable(crc64.ECMA)); f.CRC64() != want {
				t.Errorf("CRC-64 %x, want %x", f.CRC64(), want)
			}
			if !bytes.Equal(f.Head(), content[:min(size, headSize)]) {
				t.Errorf("head of %d bytes is not the beginning", len(f.Head()))
			}
			if got := mustContent(t, f); !bytes.Equal(got, content) {
				t.Errorf("%d bytes come back changed", len(got))
			}
			if onDisk := f.disk != nil; onDisk != (size > inMemory) {
				t.Errorf("on disk: %t", onDisk)
			}
			if cap(f.memory) > size+size/8 {
				t.Errorf("%d bytes of memory for %d", cap(f.memory), size)
			}
		})
	}
}

// The vector of the ECMA polynomial as object storage computes it.
func TestCRC64IsThatOfObjectStorage(t *testing.T) {
	f := mustRead(t, New(t.TempDir(), 0), strings.NewReader("123456789"))
	defer f.Close()
	if f.CRC64() != 0x995dc9bbdf1939fa {
		t.Errorf("CRC-64 is %x", f.CRC64())
	}
}

func TestReadTakesReadersAsTheyAre(t *testing.T) {
	content := mustBytes(t, inMemory+5000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"half":            iotest.HalfReader,
		"data with error": iotest.DataErrReader,
		"one byte":        iotest.OneByteReader,
	} {
		f := mustRead(t, New(t.TempDir(), 0), wrap(bytes.NewReader(content)))
		if !bytes.Equal(mustContent(t, f), content) {
			t.Errorf("%s: the content changed", name)
		}
		f.Close()
	}
}

func TestLimit(t *testing.T) {
	for _, limit := range []int64{0, 1, 1000, inMemory, inMemory + 1000, 1 << 20} {
		s := New(t.TempDir(), 0)
		f, err := s.Read(bytes.NewReader(mustBytes(t, int(limit))), limit)
		if err != nil {
			t.Fatalf("%d bytes of %d: %v", limit, limit, err)
		}
		f.Close()
		endless := &counter{r: endlessReader{}}
		if _, err := s.Read(endless, limit); err != ErrTooLarge {
			t.Errorf("limit %d: %v", limit, err)
		}
		if endless.n != limit+1 {
			t.Errorf("U06: limit %d: %d bytes were read, want one more than the limit", limit, endless.n)
		}
		mustBeEmpty(t, s)
	}
}

func TestOddLimits(t *testing.T) {
	s := New(t.TempDir(), 0)
	if _, err := s.Read(strings.NewReader("x"), -5); err != ErrTooLarge {
		t.Errorf("a negative limit: %v", err)
	}
	f, err := s.Read(strings.NewReader("x"), math.MaxInt64)
	if err != nil {
		t.Fatalf("the largest limit: %v", err)
	}
	f.Close()
}

func TestErrorsOfTheReaderComeBack(t *testing.T) {
	gone := errors.New("the client is gone")
	for _, want := range []error{gone, io.ErrUnexpectedEOF} {
		for _, size := range []int{0, 10, copySize, inMemory + 1, 1 << 20} {
			s := New(t.TempDir(), 0)
			broken := io.MultiReader(bytes.NewReader(mustBytes(t, size)), iotest.ErrReader(want))
			if f, err := s.Read(broken, math.MaxInt64); err != want || f != nil {
				t.Errorf("U08: %d bytes, then %q: got %v, %v", size, want, f, err)
			}
			mustBeEmpty(t, s)
		}
	}
}

func TestQuota(t *testing.T) {
	const large = inMemory + 1
	s := New(t.TempDir(), 2*large)
	first, second := mustRead(t, s, bytes.NewReader(mustBytes(t, large))), mustRead(t, s, bytes.NewReader(mustBytes(t, large)))
	if f, err := s.Read(bytes.NewReader(mustBytes(t, large)), math.MaxInt64); err != ErrFull {
		t.Fatalf("the third file: %v, %v", f, err)
	}
	small := mustRead(t, s, strings.NewReader("what stays in memory needs no quota"))
	first.Close()
	first.Close()
	third := mustRead(t, s, bytes.NewReader(mustBytes(t, large)))
	if _, err := s.Read(bytes.NewReader(mustBytes(t, large)), math.MaxInt64); err != ErrFull {
		t.Errorf("closing a file twice gives its quota back twice: %v", err)
	}
	second.Close()
	third.Close()
	small.Close()
	mustBeEmpty(t, s)
}

func TestMemoryIsBounded(t *testing.T) {
	s := New(t.TempDir(), 0)
	s.inMemory.quota = inMemory + 10
	first := mustRead(t, s, bytes.NewReader(mustBytes(t, inMemory)))
	small, other := mustBytes(t, 10), mustBytes(t, 100)
	second, third := mustRead(t, s, bytes.NewReader(small)), mustRead(t, s, bytes.NewReader(other))
	if first.disk != nil || second.disk != nil || third.disk == nil {
		t.Errorf("on disk: %v, %v, %v; want the third only", first.disk != nil, second.disk != nil, third.disk != nil)
	}
	if !bytes.Equal(mustContent(t, third), other) || !bytes.Equal(third.Head(), other) {
		t.Error("the file that went to the disk has another content")
	}
	failing := io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := s.Read(failing, math.MaxInt64); err != io.ErrUnexpectedEOF {
		t.Errorf("a reader that fails: %v", err)
	}
	first.Close()
	first.Close()
	fourth := mustRead(t, s, bytes.NewReader(mustBytes(t, inMemory)))
	if fourth.disk != nil {
		t.Error("the memory of a closed file is not free again")
	}
	for _, f := range []*File{second, third, fourth} {
		f.Close()
	}
	mustBeEmpty(t, s)
}

func TestDirectoryAndFilesAreForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	s := New(dir, 0)
	mustRead(t, s, strings.NewReader("small")).Close()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is made before it is needed: %v", err)
	}
	create := s.create
	s.create = func(dir, pattern string) (*os.File, error) {
		file, err := create(dir, pattern)
		if err == nil {
			mustHaveMode(t, file.Name(), 0o600)
		}
		return file, err
	}
	f := mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20)))
	defer f.Close()
	mustHaveMode(t, dir, 0o700)
}

func TestFilesHaveNoNameWhileTheyAreUsed(t *testing.T) {
	s := New(t.TempDir(), 0)
	f := mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20)))
	defer f.Close()
	if f.disk.linked {
		t.Skip("this system does not remove open files")
	}
	if names := mustNames(t, s.dir); len(names) > 0 {
		t.Errorf("U13: a crash would leave %q", names)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	dir := t.TempDir()
	mine := []string{namePrefix + "1" + nameSuffix, namePrefix + "zzz" + nameSuffix}
	others := []string{"important.db", namePrefix + "notes.txt", "x" + nameSuffix}
	for _, name := range append(mine, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustRead(t, New(dir, 0), bytes.NewReader(mustBytes(t, 1<<20))).Close()
	left := strings.Join(mustNames(t, dir), " ")
	for _, name := range mine {
		if strings.Contains(left, name) {
			t.Errorf("U13: %s is still there", name)
		}
	}
	for _, name := range others {
		if !strings.Contains(left, name) {
			t.Errorf("%s was removed", name)
		}
	}
}

// After a reload two Spools have the same directory for a while.
func TestSweepingHarmsNoFileInUse(t *testing.T) {
	dir := t.TempDir()
	content := mustBytes(t, 1<<20)
	old := mustRead(t, New(dir, 0), bytes.NewReader(content))
	defer old.Close()
	mustRead(t, New(dir, 0), bytes.NewReader(mustBytes(t, 1<<20))).Close()
	if !bytes.Equal(mustContent(t, old), content) {
		t.Error("the file of the old one changed")
	}
}

func TestDirectoryThatIsRemovedComesBack(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "spool"), 0)
	mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20))).Close()
	if err := os.Remove(s.dir); err != nil {
		t.Fatal(err)
	}
	mustRead(t, s, bytes.NewReader(mustBytes(t, 1<<20))).Close()
}

func TestReadAt(t *testing.T) {
	for _, size := range []int{100, inMemory + 100} {
		content := mustBytes(t, size)
		f := mustRead(t, New(t.TempDir(), 0), bytes.NewReader(content))
		p := make([]byte, 10)
		if n, err := f.ReadAt(p, int64(size)-4); n != 4 || err != io.EOF || !bytes.Equal(p[:n], content[size-4:]) {
			t.Errorf("%d bytes: at the end %d, %v", size, n, err)
		}
		if n, err := f.ReadAt(p, int64(size)+1); n != 0 || err != io.EOF {
			t.Errorf("%d bytes: behind the end %d, %v", size, n, err)
		}
		if _, err := f.ReadAt(p, -1); err == nil || err == io.EOF {
			t.Errorf("%d bytes: before the beginning %v", size, err)
		}
		f.Close()
		if _, err := f.ReadAt(p, 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d bytes: after Close %v", size, err)
		}
		if err := f.Close(); err != nil || f.memory != nil {
			t.Errorf("%d bytes: second Close %v, memory %d", size, err, len(f.memory))
		}
	}
}

func TestReadAtAndCloseAtTheSameTime(t *testing.T) {
	for _, size := range []int{1000, inMemory + 1000} {
		content := mustBytes(t, size)
		f := mustRead(t, New(t.TempDir(), 0), bytes.NewReader(content))
		var readers sync.WaitGroup
		for i := range 4 {
			readers.Go(func() {
				p := make([]byte, 100)
				for {
					n, err := f.ReadAt(p, int64(i*100))
					if errors.Is(err, os.ErrClosed) {
						return
					}
					if n != 100 || !bytes.Equal(p, content[i*100:][:100]) {
						t.Errorf("%d bytes, %v", n, err)
						return
					}
				}
			})
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		readers.Wait()
	}
}

func mustBytes(t testing.TB, size int) []byte {
	t.Helper()
	source := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)})
	b := make([]byte, size)
	if _, err := source.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func mustRead(t testing.TB, s *Spool, r io.Reader) *File {
	t.Helper()
	f, err := s.Read(r, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustContent(t testing.TB, f *File) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustNames(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// mustBeEmpty demands that nothing is on disk and no quota taken.
func mustBeEmpty(t testing.TB, s *Spool) {
	t.Helper()
	if names := mustNames(t, s.dir); len(names) > 0 || s.onDisk.used != 0 || s.inMemory.used != 0 {
		t.Errorf("left: %q, %d bytes of quota and %d of memory", names, s.onDisk.used, s.inMemory.used)
	}
}

func mustHaveMode(t testing.TB, name string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != mode {
		t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
