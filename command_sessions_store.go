package caddyqwen

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

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
// Other errors of a command stay as they are.
func explainStore(path string, err error) error {
	var told *toolError
	if errors.As(err, &told) || !errors.Is(err, session.ErrUnavailable) {
		return err
	}
	return explainFile(path, err)
}

// explainFile says why a file cannot be used and what to do.
func explainFile(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &toolError{path + " does not exist. Run the command as the user that runs the server, or name the file of `sessions sqlite <path>` with --file; if these are right, no conversation was recorded yet", err}
	case errors.Is(err, fs.ErrPermission):
		return &toolError{path + " may not be opened. Run the command as the user that runs the server", err}
	}
	if advice := storeAdvice(err); advice != "" {
		return &toolError{path + " " + advice, err}
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), path+": "), session.ErrUnavailable.Error()+": ")
	if !strings.HasPrefix(text, path+" ") {
		text = path + " cannot be used: " + text
	}
	return &toolError{text + ". Run the command with the program that runs the server, and name the file of `sessions sqlite <path>` with --file", err}
}

// SQLite's result codes, without their upper bits.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteNotADB   = 26
)

// storeAdvice ends the sentence about a file that SQLite cannot use. It is empty
// if the error says enough itself.
func storeAdvice(err error) string {
	var fault interface{ Code() int }
	if !errors.As(err, &fault) {
		return ""
	}
	switch fault.Code() & 0xff {
	case sqliteBusy, sqliteLocked:
		return "is locked by another process. Try again in a moment; if it stays so, look for a backup or another program that keeps the file open"
	case sqliteNotADB:
		return "is no session store. Name the file of `sessions sqlite <path>` with --file"
	case sqliteCorrupt:
		return "is damaged. The server renames such a file and begins a new one when it notices: restart the server, then try again"
	case sqliteReadOnly:
		return "cannot be written to, which also reading needs. Run the command as the user that runs the server, and see that the file system is not read-only"
	case sqliteFull:
		return "cannot be used because the disk is full. Make room, then try again"
	}
	return ""
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
