package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	driver "modernc.org/sqlite"
)

// SQLite's result codes, of which the last 8 bits are the class.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26

	codeShmSize = 4874 // no space for the index of the write-ahead log
)

// failure is an error whose kind is known.
type failure struct {
	kind Kind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// damaged is what SQLite did not notice itself.
func damaged(what string) error {
	return &failure{KindCorrupt, fmt.Errorf("the session store is damaged: %s", what)}
}

// KindOf returns what an error of a store means: one of KindLocked to KindFailed.
func KindOf(err error) Kind {
	var known *failure
	if errors.As(err, &known) {
		return known.kind
	}
	switch code := codeOf(err); {
	case code != 0:
		return kindOfCode(code)
	case errors.Is(err, syscall.ENOSPC):
		return KindFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return KindReadOnly
	}
	return KindFailed
}

// codeOf returns SQLite's code for an error, or 0 if it is of another kind.
func codeOf(err error) int {
	var fault *driver.Error
	if errors.As(err, &fault) {
		return fault.Code()
	}
	return 0
}

func kindOfCode(code int) Kind {
	if code == codeShmSize {
		return KindFull
	}
	switch code & 0xff {
	case codeBusy, codeLocked:
		return KindLocked
	case codeFull:
		return KindFull
	case codeReadOnly:
		return KindReadOnly
	case codeCorrupt, codeNotADB:
		return KindCorrupt
	}
	return KindFailed
}

// explain finds out whether SQLite cannot open a file because the directory is
// read-only: it only says that it cannot.
func explain(path string, err error) error {
	if codeOf(err)&0xff != codeCantOpen {
		return err
	}
	trial, why := os.CreateTemp(filepath.Dir(path), ".trial-*")
	if why != nil {
		return &failure{KindOf(why), fmt.Errorf("%w: %w", err, why)}
	}
	_ = trial.Close()
	_ = os.Remove(trial.Name())
	return err
}

// passing tells that the file can stay open: the cause may be gone at the next
// try.
func passing(err error) bool {
	kind := KindOf(err)
	return kind == KindLocked || kind == KindFull
}

// messages of the kinds that mean trouble.
var messages = map[Kind]string{
	KindLocked:   "the session store is locked by another process",
	KindFull:     "there is no space left for the session store",
	KindReadOnly: "the session store is read-only",
	KindCorrupt:  "the session store is damaged",
	KindNewer:    "the session store was written by a newer version",
	KindForeign:  "the file is not a session store",
	KindReplaced: "the file of the session store was removed or replaced",
	KindFailed:   "the session store cannot be used",
}

// tell passes a notice on.
func (s *Store) tell(n Notice) {
	if s.options.Notify == nil {
		return
	}
	if n.Path = s.options.Path; n.Message == "" {
		n.Message = messages[n.Kind]
	}
	s.options.Notify(n)
}

// troubled tells what is wrong, unless that was the last thing told.
func (s *Store) troubled(err error) {
	s.noticing.Lock()
	defer s.noticing.Unlock()
	n := Notice{Kind: KindOf(err), Err: err}
	var moved *quarantined
	if errors.As(err, &moved) {
		n.Kept, n.Message = moved.kept, "the session store is damaged; it was renamed, and a new one takes its place"
	} else if last := s.trouble.Load(); last != nil && *last == n.Kind {
		return
	}
	s.trouble.Store(&n.Kind)
	s.tell(n)
}

// recovered tells that the trouble is over, if there was any.
func (s *Store) recovered() {
	if s.trouble.Load() == nil {
		return
	}
	s.noticing.Lock()
	defer s.noticing.Unlock()
	if s.trouble.Swap(nil) != nil {
		s.tell(Notice{Kind: KindAvailable, Message: "the session store can be used again"})
	}
}

// quarantined says that a damaged file was renamed.
type quarantined struct {
	kept string
	err  error
}

func (q *quarantined) Error() string { return q.err.Error() }
func (q *quarantined) Unwrap() error { return q.err }

// quarantine renames the file, which is closed, and its companions. It returns
// the error that stays: that of the damage, or why it could not be dealt with.
//
// There often is no write-ahead log any more: when SQLite closes a file, even one
// that is none of its own, it moves what it can read in the log into the file and
// deletes the log. Renaming an open file is no way out: SQLite deletes the log by
// its name, which may be that of a new file then.
func (s *Store) quarantine(h *handle, damage error) error {
	now, err := os.Stat(h.path)
	if err != nil || !os.SameFile(h.file, now) {
		return damage // another process has renamed it already
	}
	kept, err := setAside(h.path, fmt.Sprintf("%s.corrupt-%s", h.path, s.stamp()), true)
	if err != nil {
		return &failure{KindCorrupt, fmt.Errorf("%w; it cannot be renamed: %w", damage, err)}
	}
	return &quarantined{kept, damage}
}

// setAside renames the companions of a file and then, if it is asked to, the file
// itself: in this order, because SQLite deletes companions without a file.
func setAside(path, name string, whole bool) (kept string, err error) {
	if kept, err = freeName(name); err != nil {
		return "", err
	}
	for _, suffix := range companions {
		err := os.Rename(path+suffix, kept+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if whole {
		err = os.Rename(path, kept)
	}
	return kept, err
}

// freeName returns the name, with a number if there is such a file or companion.
func freeName(name string) (string, error) {
	for number := 1; number < 1000; number++ {
		free := name
		if number > 1 {
			free = fmt.Sprintf("%s.%d", name, number)
		}
		taken := false
		for _, suffix := range append([]string{""}, companions...) {
			if _, err := os.Lstat(free + suffix); !errors.Is(err, fs.ErrNotExist) {
				taken = true
			}
		}
		if !taken {
			return free, nil
		}
	}
	return "", fmt.Errorf("there are too many files named %s", name)
}

func (s *Store) stamp() string { return s.hooks.now().UTC().Format("20060102T150405Z") }

// moved returns an error if the file at the path is not the open one any more.
func (h *handle) moved() error {
	now, err := os.Stat(h.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &failure{KindReplaced, errors.New("the file of the session store was removed")}
	case err == nil && !os.SameFile(h.file, now):
		return &failure{KindReplaced, errors.New("the file of the session store was replaced")}
	}
	return nil // also if one cannot look: that says nothing about the open file
}

// leaveBehind renames the companions of a file that was removed or replaced.
// SQLite would take what is in them for a part of the new file.
func (s *Store) leaveBehind(h *handle) {
	for suffix, info := range h.beside {
		now, err := os.Stat(h.path + suffix)
		if err != nil || !os.SameFile(info, now) {
			return // they belong to the new file
		}
	}
	_, err := setAside(h.path, fmt.Sprintf("%s.replaced-%s", h.path, s.stamp()), false)
	if err != nil {
		s.tell(Notice{Kind: KindReplaced, Message: "the remains of the session store that was replaced cannot be renamed", Err: err})
	}
}

// check looks for damage. Looking ends unfinished, without an error, when it has
// taken too long.
func (s *Store) check(ctx context.Context, h *handle) error {
	ctx, cancel := context.WithTimeout(ctx, s.hooks.budget)
	defer cancel()
	var verdict string
	err := h.read.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil && verdict != "ok":
		return damaged(verdict)
	}
	return err
}

// checkLater runs a check beside the normal work.
func (s *Store) checkLater(h *handle) {
	h.checks.Go(func() {
		if err := guard(func() error { return s.check(h.ctx, h) }); err != nil && !passing(err) {
			h.fail(err)
		}
	})
}

// fail makes the store's goroutine close the file because of the error.
func (h *handle) fail(err error) {
	select {
	case h.broken <- err:
	default: // it has a reason already
	}
}

// drop takes the file out of use at once.
func (s *Store) drop(h *handle, err error) {
	s.setReason(err)
	s.handle.CompareAndSwap(h, nil)
	h.fail(err)
}

// rest waits before the next try to open the file.
func (s *Store) rest() {
	timer := s.hooks.retry(s.failures)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer:
			return
		case j := <-s.queue:
			j.result <- s.unavailable()
		}
	}
}
