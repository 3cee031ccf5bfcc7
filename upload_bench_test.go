package caddyqwen

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// generated is a video that is made while it is read.
type generated struct {
	left int64
	at   uint64
}

func (g *generated) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), g.left))
	for i := 0; i+8 <= n; i += 8 {
		g.at = g.at*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(p[i:], g.at)
	}
	g.left -= int64(n)
	return n, nil
}

// uploadGenerated uploads a video of a size, different for each seed, without
// ever having it in memory.
func (g *gateway) uploadGenerated(seed uint64, size int64) {
	g.t.Helper()
	const mark = "boundary-of-the-test"
	head := "--" + mark + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\nContent-Type: video/mp4\r\n\r\n" +
		string(testMP4(seed, 64))
	tail := "\r\n--" + mark + "--\r\n"
	body := io.MultiReader(strings.NewReader(head), &generated{left: size - 64, at: seed}, strings.NewReader(tail))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.url+"/v1/files/upload", body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.ContentLength = int64(len(head)) + size - 64 + int64(len(tail))
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+mark)
	r.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf(`"bytes":%d`, size); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(answer), want) {
		g.t.Fatalf("status %d, %v: %s", resp.StatusCode, err, tail)
	}
}

// mustUploader starts a gateway whose storage keeps nothing.
func mustUploader(t testing.TB) *gateway {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return mustGateway(t, setup{
		qwen:    "max_video 8GiB\nmax_spool 16GiB",
		options: emulator.Options{Storage: emulator.NewStorage(emulator.StorageOptions{Discard: true, NoRecord: true})},
	})
}

// TestUploadMemory checks that a large file costs no more memory than a small
// one.
func TestUploadMemory(t *testing.T) {
	g := mustUploader(t)
	allocated := func(seed uint64, size int64) int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		g.uploadGenerated(seed, size)
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc - before.TotalAlloc)
	}
	allocated(1, 16<<20) // fills the pools of buffers
	small, large := allocated(2, 16<<20), allocated(3, 96<<20)
	const most = 4 << 20
	if large-small > most {
		t.Errorf("96 MiB allocate %s, 16 MiB %s", humanize.IBytes(uint64(large)), humanize.IBytes(uint64(small)))
	}
}

// BenchmarkUpload is the whole way of a video. CADDY_QWEN_BENCH_SIZE is its size
// in bytes, 64 MiB by default.
func BenchmarkUpload(b *testing.B) {
	size := int64(64 << 20)
	if s := os.Getenv("CADDY_QWEN_BENCH_SIZE"); s != "" {
		var err error
		if size, err = strconv.ParseInt(s, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	g := mustUploader(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.uploadGenerated(uint64(i), size)
	}
}
