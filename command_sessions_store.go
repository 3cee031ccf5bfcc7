package caddyqwen

import (
	"errors"
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

// storeAdvice ends the sentence about a file that cannot be used. It is empty if
// the error says enough itself.
func storeAdvice(err error) string {
	switch sqlite.KindOf(err) {
	case sqlite.KindLocked:
		return "is locked by another process. Try again in a moment; if it stays so, look for a backup or another program that keeps the file open"
	case sqlite.KindForeign:
		return "is no session store. Name the file of `sessions sqlite <path>` with --file"
	case sqlite.KindCorrupt:
		return "is damaged. The server renames such a file and begins a new one when it notices: restart the server, then try again"
	case sqlite.KindReadOnly:
		return "cannot be written to, which also reading needs. Run the command as the user that runs the server, and see that the file system is not read-only"
	case sqlite.KindFull:
		return "cannot be used because the disk is full. Make room, then try again"
	}
	return ""
}

// eachChat calls do for each chat, in no special order.
func (r *sessionsRun) eachChat(do func(sqlite.ChatInfo) error) error {
	return r.store.EachChat(r.ctx, func(c sqlite.ChatInfo, _ []session.Turn) error { return do(c) })
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
