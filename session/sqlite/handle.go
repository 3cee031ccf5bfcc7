package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// companions are the suffixes of the files that SQLite puts beside the file.
var companions = []string{"-wal", "-shm"}

// handle is an open file.
type handle struct {
	path        string
	file        os.FileInfo            // which file was at the path
	beside      map[string]os.FileInfo // its companions
	write, read *sql.DB
	conns       []*link    // of both
	writing     sync.Mutex // held by who uses writer
	writer      *writer
	left        bool          // the writer must not be used any more
	slow        atomic.Bool   // the last write has taken long
	more        chan struct{} // there may be jobs in the queue
	readers     chan *reader
	pool        int // how many readers there are
	closing     chan struct{}
	broken      chan error // why the handle cannot be used any more
	ctx         context.Context
	cancel      context.CancelFunc
	checks      sync.WaitGroup
}

// link is a connection with the statements that were prepared for it. They must
// be closed before it, or the file stays open.
type link struct {
	*sql.Conn
	stmts []*sql.Stmt
}

func (l *link) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	stmt, err := l.PrepareContext(ctx, text)
	if err == nil {
		l.stmts = append(l.stmts, stmt)
	}
	return stmt, err
}

// prepareAll prepares each text.
func (l *link) prepareAll(ctx context.Context, texts map[**sql.Stmt]string) (err error) {
	for stmt, text := range texts {
		if *stmt, err = l.prepare(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// setBusyTimeout sets how long a statement waits for locks of others.
func (l *link) setBusyTimeout(ctx context.Context, d time.Duration) error {
	_, err := l.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds()))
	return err
}

func (l *link) close() {
	for _, stmt := range l.stmts {
		_ = stmt.Close()
	}
	_ = l.Conn.Close()
}

// connection takes a connection out of its pool until the handle is closed.
func (h *handle) connection(ctx context.Context, db *sql.DB) (*link, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn}
	h.conns = append(h.conns, l)
	return l, nil
}

// wake makes the store's goroutine look into the queue.
func (h *handle) wake() {
	select {
	case h.more <- struct{}{}:
	default: // it will
	}
}

// close closes the file as soon as all readers are back. The writer goes last: it
// moves the write-ahead log into the file.
func (h *handle) close() {
	close(h.closing)
	h.cancel()
	h.checks.Wait()
	for range h.pool {
		<-h.readers
	}
	for _, conn := range h.conns {
		conn.close()
	}
	_ = h.read.Close()
	_ = h.write.Close()
}
