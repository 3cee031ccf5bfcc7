package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver
)

const (
	// readers is the number of connections that read at the same time.
	readers = 4
	// Kibibytes of pages that a connection keeps in memory.
	writerCache, readerCache = 8192, 2048
	// walPages is how long the write-ahead log may get, in pages, until it is moved
	// into the file. Many pages are then moved once that have changed several times.
	walPages = 4000
	// walLimit is what the write-ahead log is cut to after it has grown.
	walLimit = 64 << 20
	// firstWait is how long a new connection waits for locks of others, which
	// nothing can cut short.
	firstWait = 20 * time.Millisecond
)

// file is what was found at the path before it was opened.
type file struct {
	path           string
	info           os.FileInfo
	created, empty bool
}

// open opens the file, checks it and brings it to the latest schema.
func (s *Store) open(ctx context.Context) (*handle, error) {
	f, err := s.prepareFile()
	if err != nil {
		return nil, err
	}
	h := &handle{
		path: f.path, file: f.info, beside: map[string]os.FileInfo{},
		readers: make(chan *reader, readers),
		closing: make(chan struct{}), broken: make(chan error, 1), more: make(chan struct{}, 1),
	}
	h.ctx, h.cancel = context.WithCancel(ctx)
	if err := s.connect(ctx, h, f); err != nil {
		h.close()
		err = explain(h.path, err)
		if s.hooks.tool && codeOf(err) == codeNotADB {
			err = &failure{KindForeign, err}
		}
		if ctx.Err() == nil && !s.hooks.tool && KindOf(err) == KindCorrupt {
			return nil, s.quarantine(h, err)
		}
		return nil, err
	}
	for _, suffix := range companions {
		if info, err := os.Stat(h.path + suffix); err == nil {
			h.beside[suffix] = info
		}
	}
	return h, nil
}

// prepareFile makes sure that there is a file that only its owner can read. It
// never opens an existing one: closing it again would end the locks that other
// connections of this process hold.
func (s *Store) prepareFile() (f file, err error) {
	f.path, err = filepath.Abs(s.path())
	if err != nil {
		return f, err
	}
	if !s.hooks.tool {
		if f.created, err = s.createFile(f.path); err != nil {
			return f, err
		}
	}
	if f.info, err = os.Stat(f.path); err != nil {
		return f, err
	}
	if !f.info.Mode().IsRegular() {
		return f, fmt.Errorf("%s is not a file", f.path)
	}
	f.empty = !f.created && f.info.Size() == 0
	if !s.hooks.tool && runtime.GOOS != "windows" {
		s.tighten(f)
	}
	return f, nil
}

// creating is held by who makes a file: closing it ends the locks of all
// connections that this process has to it by then, and without these another
// process may write at the same time. So nobody else may open it before.
var creating sync.Mutex

func (s *Store) createFile(path string) (created bool, err error) {
	creating.Lock()
	defer creating.Unlock()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.hooks.making()
	return true, file.Close()
}

// tighten takes the file and its companions away from others.
func (s *Store) tighten(f file) {
	var loose bool
	var errs []error
	for _, path := range []string{f.path, f.path + "-wal", f.path + "-shm"} {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			loose = true
			errs = append(errs, os.Chmod(path, info.Mode().Perm()&^0o077))
		}
	}
	switch err := errors.Join(errs...); {
	case !loose:
	case err == nil:
		s.tell(Notice{Kind: KindPermissions, Message: "the session store could be read by others; now only by its owner"})
	default:
		s.tell(Notice{Kind: KindPermissions, Message: "the session store can be read by others", Err: err})
	}
}

func (s *Store) connect(ctx context.Context, h *handle, f file) error {
	h.write = openDB(s.dsn(f.path, writerCache, s.hooks.vfs), 1)
	// One more than the readers, for checks.
	h.read = openDB(s.dsn(f.path, readerCache, s.hooks.vfs)+"&_query_only=1", readers+1)
	conn, found, err := s.identify(ctx, h)
	if err != nil {
		return err
	}
	if err := found.acceptable(len(s.hooks.migrations)); err != nil {
		return err
	}
	if s.hooks.tool && found.tables == 0 {
		return &failure{KindForeign, errors.New("the file is no session store")}
	}
	if found.tables > 0 && !s.hooks.tool {
		if err := s.check(ctx, h); err != nil {
			return err
		}
	}
	wal, err := s.journal(ctx, conn.Conn)
	if err != nil {
		return err
	}
	kept, err := s.migrate(ctx, conn.Conn, f.path, found)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx, h, conn); err != nil {
		return err
	}
	s.tellOpened(f, wal, kept)
	return nil
}

// identify makes the connection for writing and reads what the file is. Until
// then another process that is just beginning or ending its use may have the
// file locked for a moment.
func (s *Store) identify(ctx context.Context, h *handle) (conn *link, found content, err error) {
	err = s.unlocked(ctx, func() (err error) {
		if conn == nil {
			conn, err = h.connection(ctx, h.write)
		}
		if err == nil {
			found, err = inspect(ctx, conn.Conn)
		}
		return err
	})
	if err == nil {
		err = conn.setBusyTimeout(ctx, s.hooks.lockWait)
	}
	return conn, found, err
}

// unlocked repeats what fails because the file is locked for some time.
func (s *Store) unlocked(ctx context.Context, try func() error) error {
	for tries := s.hooks.lockWait / firstWait; ; tries-- {
		err := try()
		if err == nil || KindOf(err) != KindLocked || tries <= 0 {
			return err
		}
		if err := pause(ctx, firstWait); err != nil {
			return err
		}
	}
}

func (s *Store) tellOpened(f file, wal bool, kept string) {
	switch {
	case f.created:
		s.tell(Notice{Kind: KindCreated, Message: "a new session store was made"})
	case f.empty:
		s.tell(Notice{Kind: KindEmpty, Message: "the session store was an empty file; it begins anew"})
	default:
		s.tell(Notice{Kind: KindOpened, Message: "the session store is open"})
	}
	if kept != "" {
		s.tell(Notice{Kind: KindMigrated, Message: "the session store was brought to a new version; a copy of the old one was kept", Kept: kept})
	}
	if !wal {
		s.tell(Notice{Kind: KindNoWAL, Message: "the file system of the session store does not allow write-ahead logging; the store works, but slower"})
	}
}

func openDB(dsn string, connections int) *sql.DB {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic(err) // only if there were no such driver
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// dsn returns the name under which the driver opens the file, which it does not
// create.
func (s *Store) dsn(path string, cache int, vfs string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive
	}
	synchronous := "NORMAL"
	if s.options.Full {
		synchronous = "FULL"
	}
	query := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", firstWait.Milliseconds()),
		fmt.Sprintf("cache_size(-%d)", cache),
		fmt.Sprintf("journal_size_limit(%d)", walLimit),
		fmt.Sprintf("wal_autocheckpoint(%d)", walPages),
		"synchronous(" + synchronous + ")",
		"foreign_keys(1)", "temp_store(MEMORY)", "trusted_schema(0)", "cell_size_check(1)",
	}}
	if vfs != "" {
		query.Set("vfs", vfs)
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// journal turns write-ahead logging on and reports whether that was possible.
// SQLite does not wait for the lock it needs if two processes want it at once.
func (s *Store) journal(ctx context.Context, conn *sql.Conn) (wal bool, err error) {
	var mode string
	err = s.unlocked(ctx, func() error {
		return conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
	})
	if err != nil || mode == "wal" {
		return err == nil, err
	}
	// Without the log, NORMAL could damage the file at a power failure.
	_, err = conn.ExecContext(ctx, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL")
	return false, err
}

// prepare makes the connections ready for use.
func (s *Store) prepare(ctx context.Context, h *handle, conn *link) (err error) {
	if h.writer, err = newWriter(ctx, conn, s.options.Patience*4/5); err != nil {
		return err
	}
	for range readers {
		conn, err := h.connection(ctx, h.read)
		if err != nil {
			return err
		}
		r, err := newReader(ctx, conn, s.options.Patience*2/5)
		if err != nil {
			return err
		}
		h.pool++
		h.readers <- r
	}
	return nil
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
