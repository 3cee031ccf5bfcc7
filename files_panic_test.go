package caddyqwen

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// panicText is what all the parts of tests that panic do it with.
const panicText = "canary-panic-value at "

// fragileStore is a store of somebody else, which panics.
type fragileStore struct {
	session.Store
	at      atomic.Pointer[string] // the method
	spooled atomic.Int64           // how many temporary files were open then
}

// panicAt makes a method panic, or none.
func (s *fragileStore) panicAt(method string) { s.at.Store(&method) }

func (s *fragileStore) touch(method string) {
	if at := s.at.Load(); at != nil && *at == method {
		s.spooled.Store(int64(len(spooled())))
		panic(panicText + method)
	}
}

func (s *fragileStore) File(ctx context.Context, account session.Digest, tenant, id string, now time.Time) (session.File, error) {
	s.touch("File")
	return s.Store.File(ctx, account, tenant, id, now)
}

func (s *fragileStore) FileByURL(ctx context.Context, account session.Digest, tenant, url string, now time.Time) (session.File, error) {
	s.touch("FileByURL")
	return s.Store.FileByURL(ctx, account, tenant, url, now)
}

func (s *fragileStore) FileByHash(ctx context.Context, account session.Digest, tenant string, hash [32]byte, since, now time.Time) ([]session.File, error) {
	s.touch("FileByHash")
	return s.Store.FileByHash(ctx, account, tenant, hash, since, now)
}

func (s *fragileStore) AddFile(ctx context.Context, f session.File) error {
	s.touch("AddFile")
	return s.Store.AddFile(ctx, f)
}

func (s *fragileStore) Find(ctx context.Context, key session.Key, limit int) ([]session.Turn, error) {
	s.touch("Find")
	return s.Store.Find(ctx, key, limit)
}

func (s *fragileStore) Record(ctx context.Context, turn session.Turn) error {
	s.touch("Record")
	return s.Store.Record(ctx, turn)
}

func (s *fragileStore) AddChat(ctx context.Context, c session.Chat) error {
	s.touch("AddChat")
	return s.Store.AddChat(ctx, c)
}

func (s *fragileStore) IdleChats(ctx context.Context, account session.Digest, before time.Time, limit int) ([]session.Chat, error) {
	s.touch("IdleChats")
	return s.Store.IdleChats(ctx, account, before, limit)
}

func (s *fragileStore) Prune(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	s.touch("Prune")
	return s.Store.Prune(ctx, before, keep, limit)
}

// Close closes the store, also if it panics.
func (s *fragileStore) Close() error {
	err := s.Store.Close()
	s.touch("Close")
	return err
}

// fragileSessions is the module for it.
type fragileSessions struct{ SQLiteSessions }

// newestFragile is the store that the module has opened last.
var newestFragile atomic.Pointer[fragileStore]

// openPanics is where a store panics from the start.
var openPanics atomic.Pointer[string]

func init() {
	caddy.RegisterModule(fragileSessions{})
	openPanics.Store(new(string))
}

func (fragileSessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.qwen.sessions.fragile", New: func() caddy.Module { return new(fragileSessions) }}
}

func (m *fragileSessions) OpenStore(logger *zap.Logger) session.Store {
	at := *openPanics.Load()
	if at == "OpenStore" {
		panic(panicText + at)
	}
	s := &fragileStore{Store: m.SQLiteSessions.OpenStore(logger)}
	s.panicAt(at)
	newestFragile.Store(s)
	return s
}

// mustFragileGateway is a gateway with a store that can panic. There is room for the
// temporary files of one request, so that those that are not given back are missed
// by the next one.
func mustFragileGateway(t *testing.T) (*gateway, *fragileStore) {
	t.Helper()
	g := mustFilesGateway(t, setup{qwen: "sessions fragile " + filepath.Join(t.TempDir(), "sessions.db") + "\nmax_spool 2MB\n" + fetchAllowed})
	g.numbered()
	return g, newestFragile.Load()
}

// mustBlame checks that the owner is told where something has panicked, but not
// with what, which may be anything.
func (g *gateway) mustBlame(function string) {
	g.t.Helper()
	log := g.logged()
	if !strings.Contains(log, function) || !strings.Contains(log, `"stack"`) || !strings.Contains(log, `"type":"string"`) {
		g.t.Error("the owner is not told where")
	}
	if strings.Contains(log, panicText) {
		g.t.Error("the log has the value of the panic")
	}
}

// onDisk is an image that is too large to be kept in memory.
func onDisk(seed uint64) []byte { return testPNG(seed, 600_000) }

// A store that panics while the request is read leaves nothing behind.
func TestFilesPanicWhileTakenIn(t *testing.T) {
	for method, last := range map[string]part{
		"File":      fileOfID("00000000-0000-4000-8000-000000000000"),
		"FileByURL": imageAt("http://127.0.0.1:1/a.png"),
		"Find":      nil,
	} {
		for mode, fields := range modes {
			t.Run("at "+method+"/"+mode, func(t *testing.T) {
				g, s := mustFragileGateway(t)
				a := g.discuss([]any{user("one")})
				parts := []part{imagePart(onDisk(1)), imagePart(onDisk(2))}
				if last != nil {
					parts = append(parts, last)
				}
				talk := []any{user("one"), a.said, say("What is it?", parts...)}
				s.panicAt(method)
				mustRefuse(t, g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, fields)), 500, "internal_error", "")
				g.mustBlame("(*fragileStore)." + method)
				if n := s.spooled.Load(); n != 2 {
					t.Errorf("%d temporary files were open, so that this test proves nothing", n)
				}
				g.nothingLeft()
				g.mustStore(0)
				s.panicAt("")
				g.discuss([]any{say("What is it?", imagePart(onDisk(1)), imagePart(onDisk(2)), imagePart(onDisk(3)))})
				g.mustShow(g.last().Files, onDisk(1), onDisk(2), onDisk(3))
			})
		}
	}
}

// A store that panics while files go up ends the request, and not the process.
func TestFilesPanicWhileUploaded(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		parts  []part
	}{
		"before the upload":              {"FileByHash", []part{imagePart(onDisk(1))}},
		"after the upload":               {"AddFile", []part{imagePart(onDisk(1))}},
		"several files":                  {"FileByHash", []part{imagePart(onDisk(1)), imagePart(onDisk(2)), imagePart(onDisk(3))}},
		"the same file several times":    {"FileByHash", []part{imagePart(onDisk(1)), imagePart(onDisk(1)), imagePart(onDisk(1))}},
		"several files, after one is up": {"AddFile", []part{imagePart(onDisk(1)), imagePart(onDisk(2)), imagePart(onDisk(3))}},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g, s := mustFragileGateway(t)
				s.panicAt(test.method)
				talk := []any{say("What is it?", test.parts...)}
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, fields))
				mustRefuse(t, r, 500, "internal_error", "")
				if strings.Contains(r.body, panicText) {
					t.Errorf("the answer tells what is for the owner: %s", r.body)
				}
				g.mustBlame("(*fragileStore)." + test.method)
				if n := len(g.site.Completions()); n != 0 {
					t.Errorf("the site got %d prompts", n)
				}
				g.nothingLeft()
				s.panicAt("")
				g.discuss(talk)
				if n := len(g.last().Files); n != len(test.parts) {
					t.Errorf("afterwards the model sees %d files", n)
				}
			})
		}
	}
}
