package caddyqwen

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// wantStorage is the answer if there is no room for a file.
var wantStorage = failed{status: 503, code: "storage_unavailable", class: classUpstream, final: true}

// breaking is a body that ends with the client's departure.
type breaking struct {
	io.Reader
	leave func()
}

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.leave()
	}
	return n, err
}

// aborted posts the first n bytes of a form and leaves.
func (g *gateway) aborted(path string, n int, fields ...field) {
	kind, body := mustForm(g.t, fields...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, breaking{strings.NewReader(string(body[:n])), cancel})
	if err != nil {
		g.t.Error(err)
		return
	}
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+testKey)
	if got := <-carry(r, cancel).done; got.status == http.StatusOK {
		g.t.Error("U13 half a file was accepted")
	}
}

func TestUploadMany(t *testing.T) {
	clients, each := 6, 10
	if long {
		each = 85
	}
	g := mustGateway(t, setup{qwen: "max_streams_per_account 6\nqueue_wait 1m"})
	var all sync.WaitGroup
	var mu sync.Mutex
	var kept []string
	for c := range clients {
		all.Go(func() {
			for i := range each {
				file := image(uint64(1000*c+i), []int{3000, 300_000}[i%2])
				if i%10 < 3 {
					g.aborted("/v1/files", len(file.value)*(i%10+1)/4, file)
					continue
				}
				if got := g.form("/v1/files", file); got.status != http.StatusOK {
					t.Errorf("U13 status %d: %s", got.status, got.body)
				}
				mu.Lock()
				kept = append(kept, file.value)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	g.nothingLeft()
	g.mustHold(t, kept...)
	if n := g.listed(t); n != len(kept) {
		t.Errorf("U13 %d files are listed, want %d", n, len(kept))
	}
}

func TestUploadSpoolFull(t *testing.T) {
	g := mustGateway(t, setup{qwen: "max_spool 1000000"})
	for _, route := range formRoutes() {
		t.Run("U14 "+route.path, func(t *testing.T) {
			gate := make(chan struct{})
			g.site.Storage().Fail(emulator.OpPost, 1, emulator.Fault{Gate: gate})
			before := g.ops(emulator.OpPost)
			first := g.post("/v1/files", image(uint64(before+50), 600_000))
			g.awaitStored("the first file is on its way", func() bool { return g.ops(emulator.OpPost) > before })
			wantStorage.check(t, g.form(route.path, route.fields(route.sized(500_000))...))
			if got := g.chat("hello", ""); got.status != http.StatusOK {
				t.Errorf("a chat without files: status %d: %s", got.status, got.body)
			}
			route.good(t, g.form(route.path, route.fields(route.sized(200_000))...)) // which needs no room on disk
			close(gate)
			if got := <-first.done; got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			route.good(t, g.form(route.path, route.fields(route.sized(500_000))...))
			wantStorage.check(t, g.form(route.path, route.fields(route.sized(1_000_001))...))
		})
	}
	if !strings.Contains(g.logged(), "storage_unavailable") {
		t.Error("U14 it is not in the log")
	}
	g.nothingLeft()
}

// The directory for temporary files cannot be used.
func TestUploadSpoolBroken(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	spool := filepath.Join(caddy.AppDataDir(), "qwen", "spool")
	g := mustGateway(t, setup{})
	must(t, os.MkdirAll(filepath.Dir(spool), 0o700))
	must(t, os.WriteFile(spool, nil, 0o600))
	for _, route := range formRoutes() {
		t.Run("U14 "+route.path, func(t *testing.T) {
			got := g.form(route.path, route.fields(route.sized(300_000))...)
			wantStorage.check(t, got)
			if strings.Contains(got.body, "spool\"") || strings.Contains(got.body, spool) {
				t.Errorf("the error names a path: %s", got.body)
			}
			route.good(t, g.form(route.path, route.fields(route.file)...))
			if got := g.chat("hello", ""); got.status != http.StatusOK {
				t.Errorf("a chat without files: status %d: %s", got.status, got.body)
			}
		})
	}
	must(t, os.Remove(spool))
	g.mustUpload(t, image(5, 300_000)) // as soon as it can be made
	g.nothingLeft()
}

// However many uploads there are, only so many go up at once, and none of them is
// in memory.
func TestUploadParallel(t *testing.T) {
	const size, places = 16 << 20, 2
	storage := emulator.NewStorage(emulator.StorageOptions{Discard: true})
	g := mustGateway(t, setup{
		qwen:    fmt.Sprintf("max_streams_per_account %d\nqueue_length 2\nqueue_wait 1m", places),
		options: emulator.Options{Storage: storage},
	})
	gate := make(chan struct{})
	storage.Fail(emulator.OpPart, 0, emulator.Fault{Gate: gate})
	before := heap()
	var under []chan reply
	begin := func(i int) {
		kind := "multipart/form-data; boundary=" + boundary
		head := "--" + boundary + "\r\n" + rawPart(`name="file"; filename="a.mp4"`, "video/mp4", string(testMP4(uint64(i), 900)))
		tail := "\r\n--" + boundary + "--\r\n"
		body := io.MultiReader(strings.NewReader(head), io.LimitReader(&endless{text: strings.Repeat("\x00", 64<<10)}, size), strings.NewReader(tail))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/files", body)
		must(t, err)
		r.ContentLength = int64(len(head) + size + len(tail))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+testKey)
		under = append(under, carry(r, func() {}).done)
	}
	for i := range places {
		begin(i)
	}
	g.awaitStored("parts of two uploads go up", func() bool { return g.ops(emulator.OpPart) == places*3 })
	for i := range 2 {
		begin(places + i)
		g.queued(i + 1)
	}
	wantQueue.check(t, g.form("/v1/files", image(1, 900)))
	if grown := heap() - before; grown > size/2 {
		t.Errorf("U23 the memory has grown by %d MiB", grown>>20)
	}
	if n := storage.OpenUploads(); n != places {
		t.Errorf("U23 %d uploads go up at once", n)
	}
	close(gate)
	for _, done := range under {
		if got := <-done; got.status != http.StatusOK {
			t.Errorf("U23 status %d, %v: %s", got.status, got.err, got.body)
		}
	}
	if n := len(storage.Objects()); n != places+2 {
		t.Errorf("U23 the storage has %d objects", n)
	}
	g.nothingLeft()
}

// Clients leave at points that nobody has chosen.
func TestUploadLeftAtRandom(t *testing.T) {
	rounds := 20
	if long {
		rounds = 200
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	before := goleak.IgnoreCurrent()
	t.Run("rounds", func(t *testing.T) {
		g := mustGateway(t, setup{qwen: "max_spool 6MB"})
		s := g.site.Storage()
		happened := func() int { return len(g.site.Requests()) + len(s.Requests()) }
		for i := range rounds {
			file := []field{image(uint64(i), 3000), image(uint64(i), 5<<20), film(uint64(i), 2<<20), textFile("a.txt", fmt.Sprint("text ", i))}[random.IntN(4)]
			if random.IntN(4) == 0 {
				_, body := mustForm(t, file)
				g.aborted("/v1/files", random.IntN(len(body)), file)
				continue
			}
			for _, op := range []string{emulator.OpPart, emulator.OpPost} {
				s.Fail(op, 0, emulator.Fault{Pause: time.Duration(random.IntN(3)) * time.Millisecond})
			}
			at := happened() + 1 + random.IntN(9)
			p := g.post("/v1/files", file)
			var got *reply
			eventually(t, "so much has happened", func() bool {
				select {
				case r := <-p.done:
					got = &r
				default:
				}
				return got != nil || happened() >= at
			})
			if p.leave(); got == nil {
				<-p.done
			} else if got.status != http.StatusOK {
				t.Errorf("round %d: status %d, %v: %s", i, got.status, got.err, got.body)
			}
			s.Heal()
			g.nothingLeft()
		}
		g.mustUpload(t, image(uint64(rounds), 5<<20))
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
