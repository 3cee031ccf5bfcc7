package form

import (
	"io"
	"runtime"
	"strings"
	"testing"
)

// large is a form with a file of so many bytes.
func large(size int64) io.Reader {
	return io.MultiReader(strings.NewReader("--X\r\nContent-Disposition: form-data; name=file; filename=film.mp4\r\n\r\n"),
		io.LimitReader(letters{}, size), strings.NewReader("\r\n--X--\r\n"))
}

func mustReadFile(t testing.TB, size int64) {
	t.Helper()
	r, err := New(formType, large(size), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, mustNext(t, r)); n != size || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mustReadFile(t, 64<<20)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 256<<10 {
		t.Errorf("64 MiB took %d bytes of memory", taken)
	}
}

func BenchmarkReader(b *testing.B) {
	const size = 64 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		mustReadFile(b, size)
	}
}
