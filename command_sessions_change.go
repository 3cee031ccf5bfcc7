package caddyqwen

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// forgotten is what `forget --json` prints.
type forgotten struct {
	Forgotten []forgottenChat `json:"forgotten"`
}

type forgottenChat struct {
	ID      string `json:"chat_id"`
	Account string `json:"account"`
	Turns   int    `json:"turns"`
}

// forget removes the turns of chats.
func (r *sessionsRun) forget(ids []string) error {
	chats, err := r.find(ids)
	if err != nil {
		return err
	}
	if err := r.store.ForgetAll(r.ctx, chats); err != nil {
		return err
	}
	done := make([]forgottenChat, len(chats))
	for i, c := range chats {
		done[i] = forgottenChat{c.ID, c.Account.String(), c.Turns}
	}
	if r.json {
		return printJSON(r.out, forgotten{done})
	}
	for _, c := range done {
		_, err := fmt.Fprintf(r.out, "Forgot %s of the chat %s. The chat stays on the site.\n", counted(c.Turns, "turn"), shown(c.ID))
		if err != nil {
			return err
		}
	}
	return nil
}

// wiped is what `wipe --json` prints: how much there was.
type wiped struct {
	Wiped bool `json:"wiped"`
	Chats int  `json:"chats"`
	Turns int  `json:"turns"`
	Files int  `json:"files"`
}

// wipe removes everything, or tells how much that would be.
func (r *sessionsRun) wipe(yes bool) error {
	stats, err := r.store.Stats(r.ctx)
	if err != nil {
		return err
	}
	var notErased error
	if yes {
		if stats, err = r.store.Wipe(r.ctx); errors.Is(err, sqlite.ErrStillOnDisk) {
			notErased, err = err, nil
		}
		if err != nil {
			return err
		}
	}
	if r.json {
		err = printJSON(r.out, wiped{yes, stats.Chats, stats.Turns, stats.Files})
	} else {
		verb := "This would remove"
		if yes {
			verb = "Removed"
		}
		_, err = fmt.Fprintf(r.out, "%s %s, %s and %s.\n", verb, counted(stats.Chats, "chat"), counted(stats.Turns, "turn"), counted(stats.Files, "file"))
	}
	switch {
	case err != nil:
		return err
	case !yes:
		return errNotWiped
	}
	return notErased
}

var errNotWiped = errors.New("nothing was removed: repeat the command with --yes to remove everything")

// unknownChats says that there are no such chats.
func unknownChats(path string, ids []string) error {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = strconv.Quote(id)
	}
	return &toolError{fmt.Sprintf("there is no chat %s in %s, so nothing was done; `caddy qwen sessions list --limit 0` lists all chats",
		strings.Join(quoted, " or "), path), session.ErrNotFound}
}
