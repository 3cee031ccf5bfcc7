package caddyqwen

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

func init() {
	caddy.RegisterModule(SQLiteSessions{})
	caddy.RegisterModule(NoSessions{})
}

// What a store keeps by default.
const (
	defaultTTL     = caddy.Duration(30 * 24 * time.Hour)
	defaultMaxRows = 100_000
)

// SQLiteSessions keeps conversations in an SQLite file. It holds digests, ids and
// times, and the names of callers; no text of any message, and nothing secret.
// Several processes may use the same file, which has to be on a local disk.
type SQLiteSessions struct {
	// The file. Its directory is made if it does not exist. While it is in use,
	// two more files, with `-wal` and `-shm` at the end of their names, stand
	// beside it and belong to it. May contain placeholders.
	// Default: `qwen/sessions.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// How long a turn is kept. A conversation is forgotten that long after its
	// last answer: it then goes on in a new chat, with its history as text.
	// Default: `30d`.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// How many turns are kept. Above it, the oldest are forgotten.
	// Default: 100000.
	MaxRows int `json:"max_rows,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (SQLiteSessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.qwen.sessions.sqlite",
		New: func() caddy.Module { return new(SQLiteSessions) },
	}
}

// Provision fills in the defaults. It does not touch the file.
func (s *SQLiteSessions) Provision(caddy.Context) error {
	orDefault(&s.TTL, defaultTTL)
	orDefault(&s.MaxRows, defaultMaxRows)
	path, err := caddy.NewReplacer().ReplaceOrErr(s.Path, true, true)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if path == "" {
		path = defaultSessionsPath()
	}
	s.path, err = filepath.Abs(path)
	return err
}

// defaultSessionsPath is where conversations are kept by default.
func defaultSessionsPath() string {
	return filepath.Join(caddy.AppDataDir(), "qwen", "sessions.db")
}

// Validate refuses values that make no sense.
func (s *SQLiteSessions) Validate() error {
	if s.TTL < 0 || s.MaxRows < 0 {
		return fmt.Errorf("ttl and max_rows must be positive")
	}
	return nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	sqlite [<path>] {
//		ttl      <duration>
//		max_rows <count>
//	}
func (s *SQLiteSessions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if args := d.RemainingArgs(); len(args) > 1 {
		return d.Err("sessions sqlite takes the path of a file, or nothing")
	} else if len(args) == 1 {
		s.Path = args[0]
	}
	return parseBlock(d, map[string]subdirective{
		"ttl":      duration(&s.TTL),
		"max_rows": count(&s.MaxRows),
	})
}

// StoreKey names the store by its file.
func (s *SQLiteSessions) StoreKey() string { return "sqlite " + s.path }

// Retention returns for how long turns are kept, and how many.
func (s *SQLiteSessions) Retention() (ttl time.Duration, maxTurns int) {
	return time.Duration(s.TTL), s.MaxRows
}

// OpenStore opens the file.
func (s *SQLiteSessions) OpenStore(logger *zap.Logger) session.Store {
	return sqlite.New(sqlite.Options{Path: s.path, Notify: func(n sqlite.Notice) { logNotice(logger, n) }})
}

// logNotice logs what happens to a store. What keeps it from being used is at
// least a warning.
func logNotice(logger *zap.Logger, n sqlite.Notice) {
	fields := []zap.Field{zap.String("event", string(n.Kind)), zap.String("file", n.Path)}
	if n.Kept != "" {
		fields = append(fields, zap.String("kept", n.Kept))
	}
	if n.Err != nil {
		fields = append(fields, zap.Error(n.Err))
	}
	message := "session store: " + n.Message
	switch n.Kind {
	case sqlite.KindOpened:
		logger.Debug(message, fields...)
	case sqlite.KindCreated, sqlite.KindMigrated, sqlite.KindAvailable:
		logger.Info(message, fields...)
	case sqlite.KindEmpty, sqlite.KindPermissions, sqlite.KindNoWAL:
		logger.Warn(message, fields...)
	case sqlite.KindCorrupt, sqlite.KindReplaced:
		logger.Error(message, fields...)
	default:
		logger.Warn(message+"; "+withoutStore, fields...)
	}
}

// NoSessions keeps nothing: every request gets a new chat, with its history as
// text.
type NoSessions struct{}

// CaddyModule returns the Caddy module information.
func (NoSessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.qwen.sessions.off",
		New: func() caddy.Module { return new(NoSessions) },
	}
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	off
func (*NoSessions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if d.NextArg() {
		return d.Err("sessions off takes nothing else")
	}
	return parseBlock(d, nil)
}

// Interface guards
var (
	_ SessionStore          = (*SQLiteSessions)(nil)
	_ caddy.Provisioner     = (*SQLiteSessions)(nil)
	_ caddy.Validator       = (*SQLiteSessions)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteSessions)(nil)
	_ caddyfile.Unmarshaler = (*NoSessions)(nil)
)
