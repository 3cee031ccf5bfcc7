// Package sqlite is a session.Store in one SQLite file.
//
// A store that cannot be used never makes its callers wait: every method
// returns session.ErrUnavailable after Options.Patience at the latest. The store
// meanwhile tries by itself to become usable again, and tells what happens
// through Options.Notify. It deletes no file: what is damaged is renamed.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// DefaultPatience is how long a method waits if Options.Patience is not set.
const DefaultPatience = 250 * time.Millisecond

// Options say which file a Store uses, and how.
type Options struct {
	// Path of the file. It and its directory are created if they are missing,
	// readable by their owner only.
	Path string
	// Patience is how long a method waits at most for the store to be opened, or
	// for another process to release it. Default: DefaultPatience.
	Patience time.Duration
	// Full makes acknowledged writes survive a power failure, not only a crash of
	// the process. Each write then waits for the disk.
	Full bool
	// Notify is told what happens to the store, each change of its state once. It
	// must return soon and not call the store. Optional.
	Notify func(Notice)
}

// Kind is the kind of a Notice.
type Kind string

// What a store tells.
const (
	// KindCreated: there was no file, a new one was made.
	KindCreated Kind = "created"
	// KindOpened: the file is open.
	KindOpened Kind = "opened"
	// KindEmpty: the file had no content. It is used as a new one.
	KindEmpty Kind = "empty"
	// KindMigrated: the file was brought to the present version of the schema.
	// Notice.Kept is the copy made before.
	KindMigrated Kind = "migrated"
	// KindPermissions: others could read the file. Notice.Err says why that
	// could not be changed; it is nil if it was.
	KindPermissions Kind = "permissions"
	// KindNoWAL: the file system cannot do write-ahead logging. The store works,
	// but readers and writers wait for each other.
	KindNoWAL Kind = "no_wal"

	// KindLocked: another process keeps the file locked.
	KindLocked Kind = "locked"
	// KindFull: there is no space for more. What is stored can be read.
	KindFull Kind = "full"
	// KindReadOnly: the file, its directory or the file system is read-only.
	KindReadOnly Kind = "read_only"
	// KindCorrupt: the file was damaged or no database. It was renamed to
	// Notice.Kept, unless Notice.Kept is empty, and a new one takes its place.
	KindCorrupt Kind = "corrupt"
	// KindNewer: a newer version of this package has written the file. It is not
	// touched.
	KindNewer Kind = "newer"
	// KindForeign: the file is a database of another program. It is not touched.
	KindForeign Kind = "foreign"
	// KindReplaced: the file was removed or replaced while it was open. What is
	// now at its path is opened.
	KindReplaced Kind = "replaced"
	// KindFailed: any other error, such as a path that is a directory.
	KindFailed Kind = "failed"

	// KindAvailable: the store can be used again after one of KindLocked to
	// KindFailed.
	KindAvailable Kind = "available"
)

// Notice is something that happened to a store.
type Notice struct {
	Kind Kind
	// Message says it in a sentence.
	Message string
	// Path is the store's file.
	Path string
	// Kept is the path of the file that was kept, if any.
	Kept string
	// Err is the cause, if any.
	Err error
}

// Store is a session.Store in an SQLite file.
type Store struct {
	options Options
	hooks   hooks

	ctx    context.Context
	cancel context.CancelFunc
	queue  chan job
	handle atomic.Pointer[handle] // nil while the store cannot be used
	reason atomic.Pointer[error]  // why it cannot
	// settled is closed when the first attempt to open the file has ended, gone
	// when the store's goroutine has.
	settled, gone chan struct{}
	settle        sync.Once
	failures      int // in a row; used by the store's goroutine only

	noticing sync.Mutex
	trouble  atomic.Pointer[Kind] // which was told last, nil if all is well
}

// hooks are what tests replace.
type hooks struct {
	migrations []migration
	budget     time.Duration // for a check of the file
	lockWait   time.Duration // for other processes, while the file is opened
	vfs        string
	tool       bool              // neither create nor check nor rename the file
	making     func()            // called while a new file is being made
	copying    func(kept string) // called before a file is copied
	now        func() time.Time
	every      func(time.Duration) (<-chan time.Time, func())
	retry      func(failures int) <-chan time.Time
}

func defaultHooks() hooks {
	return hooks{
		migrations: migrations,
		budget:     2 * time.Second,
		lockWait:   5 * time.Second,
		making:     func() {},
		copying:    func(string) {},
		now:        time.Now,
		every: func(d time.Duration) (<-chan time.Time, func()) {
			ticker := time.NewTicker(d)
			return ticker.C, ticker.Stop
		},
		retry: func(failures int) <-chan time.Time {
			return time.After(min(time.Minute, time.Second<<min(failures-1, 6)))
		},
	}
}

// New returns a store and begins to open its file. It does not wait for that:
// what is wrong with the file is told through Options.Notify.
func New(o Options) *Store { return start(o, defaultHooks()) }

func start(o Options, h hooks) *Store {
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	s := &Store{
		options: o, hooks: h,
		queue:   make(chan job, maxQueue),
		settled: make(chan struct{}), gone: make(chan struct{}),
	}
	s.setReason(errors.New("it is being opened"))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// OpenFile opens the store in an existing file, for looking into it while
// another process may be using it. It waits until the file is open, neither
// creates nor renames anything, and returns why the file cannot be used.
// A file of an older version is brought to the present one. The methods of the
// store are patient.
func OpenFile(path string) (*Store, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, &failure{KindForeign, fmt.Errorf("%s is no session store", path)}
	}
	h := defaultHooks()
	h.tool = true
	s := start(Options{Path: path, Patience: 10 * time.Second}, h)
	<-s.settled
	if s.handle.Load() == nil {
		err := s.unavailable()
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Close implements session.Store. It waits until the file is closed.
func (s *Store) Close() error {
	s.cancel()
	<-s.gone
	return nil
}

// current returns the open file. It waits for the first attempt to open it, but
// not longer than until the timer fires.
func (s *Store) current(ctx context.Context, timer <-chan time.Time) (*handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if h := s.handle.Load(); h != nil {
		return h, nil
	}
	select {
	case <-s.settled:
	case <-timer:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if h := s.handle.Load(); h != nil {
		return h, nil
	}
	return nil, s.unavailable()
}

// unavailable is the error of all methods while the file is not open.
func (s *Store) unavailable() error { return unavailable(*s.reason.Load()) }

func unavailable(why error) error {
	return fmt.Errorf("%w: %w", session.ErrUnavailable, why)
}

func (s *Store) setReason(err error) { s.reason.Store(&err) }

// path returns the path without symbolic links, because SQLite puts the
// companions of the file beside the file itself.
func (s *Store) path() string {
	if real, err := filepath.EvalSymlinks(s.options.Path); err == nil {
		return real
	}
	return s.options.Path
}

// Interface guard.
var _ session.Store = (*Store)(nil)
