package caddyqwen

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// toolError is an error in a sentence for the person who runs a command.
type toolError struct {
	text string
	err  error // the cause
}

func (e *toolError) Error() string { return e.text }
func (e *toolError) Unwrap() error { return e.err }

// explainStore says what an error of the store in a file means and what to do.
// Other errors stay as they are.
func explainStore(path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "does not exist. Run the command as the user that runs the server, or name the file of `sessions sqlite <path>` with --file; if these are right, no conversation was recorded yet"
	case errors.Is(err, fs.ErrPermission):
		advice = "may not be opened. Run the command as the user that runs the server"
	case errors.Is(err, session.ErrUnavailable):
		advice = storeAdvice(err)
	default:
		return err
	}
	return &toolError{path + " " + advice, err}
}

// storeAdvice ends the sentence about a file that cannot be used.
func storeAdvice(err error) string {
	switch storeKind(err) {
	case sqlite.KindLocked:
		return "is locked by another process. Try again in a moment; if it stays so, look for a backup or another program that keeps the file open"
	case sqlite.KindForeign:
		return "is not a session store. Name the file of `sessions sqlite <path>` with --file"
	case sqlite.KindNewer:
		return "was written by a newer version of this program. Run the command with the program that runs the server"
	case sqlite.KindCorrupt:
		return "is damaged. The server renames such a file and begins a new one when it notices: restart the server, then try again"
	case sqlite.KindReadOnly:
		return "cannot be written to, which also reading needs. Run the command as the user that runs the server, and see that the file system is not read-only"
	case sqlite.KindFull:
		return "cannot be used because the disk is full. Make room, then try again"
	case sqlite.KindReplaced:
		return "was removed or replaced meanwhile. Try again"
	}
	return fmt.Sprintf("cannot be used: %v", err)
}

// eachChat calls do for each chat, the last used first.
func (r *sessionsRun) eachChat(do func(sqlite.ChatInfo) error) error {
	chats, err := r.store.Chats(r.ctx, -1)
	if err != nil {
		return err
	}
	for _, c := range chats {
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

// find returns the chats with these ids, in their order. Ids of which there is no
// chat are an error.
func (r *sessionsRun) find(ids []string) (found []sqlite.ChatInfo, err error) {
	wanted := map[string][]sqlite.ChatInfo{}
	for _, id := range ids {
		wanted[id] = nil
	}
	err = r.eachChat(func(c sqlite.ChatInfo) error {
		if list, ok := wanted[c.ID]; ok {
			wanted[c.ID] = append(list, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var unknown []string
	for _, id := range ids {
		list, fresh := wanted[id]
		if delete(wanted, id); fresh && len(list) == 0 {
			unknown = append(unknown, id)
		}
		found = append(found, list...)
	}
	if len(unknown) > 0 {
		return nil, unknownChats(r.path, unknown)
	}
	return found, nil
}

// forgetAll removes the turns of chats, of all or, with an error, of those that
// it does not name.
func (r *sessionsRun) forgetAll(chats []sqlite.ChatInfo) error {
	for i, c := range chats {
		if err := r.store.ForgetTurns(r.ctx, c.Account, c.ID); err != nil {
			left := make([]string, 0, len(chats))
			for _, c := range chats[i:] {
				left = append(left, c.ID)
			}
			return &toolError{fmt.Sprintf("%v; not forgotten: %q", explainStore(r.path, err), left), err}
		}
	}
	return nil
}

// wipeAll removes everything.
func (r *sessionsRun) wipeAll(before sqlite.Stats) (sqlite.Stats, error) {
	_, err := r.store.Wipe(r.ctx)
	return before, err
}

// storeKind returns what an error of the store means.
func storeKind(err error) sqlite.Kind {
	var fault interface{ Code() int }
	if !errors.As(err, &fault) {
		return sqlite.KindFailed
	}
	switch fault.Code() & 0xff {
	case 5, 6:
		return sqlite.KindLocked
	case 8:
		return sqlite.KindReadOnly
	case 11:
		return sqlite.KindCorrupt
	case 13:
		return sqlite.KindFull
	case 26:
		return sqlite.KindForeign
	}
	return sqlite.KindFailed
}
