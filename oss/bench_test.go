package oss

import (
	"bytes"
	"hash/crc64"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// benchSize is the size of the object that benchmarks upload, 64 MiB unless
// CADDY_QWEN_BENCH_SIZE says how many bytes.
func benchSize(t testing.TB) int64 {
	s := os.Getenv("CADDY_QWEN_BENCH_SIZE")
	if s == "" {
		return 64 << 20
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal("CADDY_QWEN_BENCH_SIZE must be a number of bytes:", err)
	}
	return n
}

// generated is data of any size that takes no memory: one block again and again.
type generated struct{ block []byte }

func (g generated) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], g.block[(off+int64(n))%int64(len(g.block)):])
	}
	return len(p), nil
}

// mustGenerate returns an object of generated data.
func mustGenerate(t testing.TB, size int64) Object {
	t.Helper()
	g := generated{testData(1<<20 + 13)}
	h := crc64.New(crcTable)
	if _, err := io.Copy(h, io.NewSectionReader(g, 0, size)); err != nil {
		t.Fatal(err)
	}
	return Object{Body: g, Size: size, CRC64: h.Sum64(), ContentType: "video/mp4"}
}

// storageProcess is the variable that turns the test binary into a storage which
// discards what it gets, so that it does not count towards a benchmark.
const storageProcess = "CADDY_QWEN_BENCH_STORAGE"

// TestStorageProcess is no test but the storage of the benchmarks.
func TestStorageProcess(t *testing.T) {
	if os.Getenv(storageProcess) == "" {
		t.Skip("runs only for benchmarks")
	}
	s := emulator.NewStorage(emulator.StorageOptions{Discard: true, NoRecord: true})
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Close()
	g := s.Grant("bench")
	out := []string{server.URL, g.AccessKeyID, g.AccessKeySecret, g.SecurityToken, s.Region(), s.Bucket(), s.Endpoint()}
	if _, err := os.Stdout.WriteString("storage\t" + strings.Join(out, "\t") + "\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

// mustProcess starts the storage in a process of its own.
func mustProcess(b *testing.B) (address string, g Grant) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestStorageProcess$")
	cmd.Env = append(os.Environ(), storageProcess+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	var line bytes.Buffer
	for one := make([]byte, 1); one[0] != '\n'; line.Write(one) {
		if _, err := out.Read(one); err != nil {
			b.Fatal(err)
		}
	}
	f := strings.Split(strings.TrimSpace(line.String()), "\t")
	if len(f) != 8 {
		b.Fatalf("the storage said %d fields", len(f))
	}
	return f[1], Grant{AccessKeyID: f[2], AccessKeySecret: f[3], SecurityToken: f[4], Region: f[5], Bucket: f[6], Endpoint: f[7], Key: "bench"}
}

// BenchmarkMultipartUpload uploads generated data in parts of 6 MiB, three at a
// time. Run each sub-benchmark in a process of its own to compare peak memory.
func BenchmarkMultipartUpload(b *testing.B) {
	o := mustGenerate(b, benchSize(b))
	const part = 6 << 20
	b.Run("ours", func(b *testing.B) {
		address, g := mustProcess(b)
		u, err := url.Parse(address)
		if err != nil {
			b.Fatal(err)
		}
		c := &Client{Endpoint: u, PartSize: part}
		defer c.CloseIdleConnections()
		measure(b, o.Size, func() error {
			return c.Upload(b.Context(), g, o, []Method{MultipartUpload}, nil)
		})
	})
	b.Run("SDK", func(b *testing.B) {
		address, g := mustProcess(b)
		uploader := sdk.NewUploader(sdkClient(b, address, g), func(o *sdk.UploaderOptions) { o.PartSize = part })
		measure(b, o.Size, func() error {
			_, err := uploader.UploadFrom(b.Context(), &sdk.PutObjectRequest{Bucket: &g.Bucket, Key: &g.Key},
				io.NewSectionReader(o.Body, 0, o.Size))
			return err
		})
	})
	b.Run("SDK, stream", func(b *testing.B) {
		address, g := mustProcess(b)
		uploader := sdk.NewUploader(sdkClient(b, address, g), func(o *sdk.UploaderOptions) { o.PartSize = part })
		measure(b, o.Size, func() error {
			_, err := uploader.UploadFrom(b.Context(), &sdk.PutObjectRequest{Bucket: &g.Bucket, Key: &g.Key},
				struct{ io.Reader }{io.NewSectionReader(o.Body, 0, o.Size)})
			return err
		})
	})
}

// measure runs the uploads and reports what they cost.
func measure(b *testing.B, size int64, upload func() error) {
	b.ReportAllocs()
	b.SetBytes(size)
	before := mustUsage(b)
	for b.Loop() {
		if err := upload(); err != nil {
			b.Fatal(err)
		}
	}
	after := mustUsage(b)
	b.ReportMetric((after.cpu-before.cpu).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(after.peak-before.peak)/(1<<20), "peak-MiB")
}
