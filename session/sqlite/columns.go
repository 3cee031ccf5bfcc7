package sqlite

import (
	"database/sql"
	"slices"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

const (
	turnColumns = "turns.id, turns.time, turns.continued, turns.data"
	chatColumns = "account, chat, tenant, model, disposable, created, used"
)

// storedTurn is a turn as it is in the file.
type storedTurn struct {
	session.Turn
	id int64
}

// scanTurn reads a row of turnColumns.
func scanTurn(rows *sql.Rows) (t storedTurn, err error) {
	var ms int64
	var continued bool
	var data sql.RawBytes
	if rows.Scan(&t.id, &ms, &continued, &data) != nil {
		return t, damaged("a column of a turn has another type")
	}
	if t.Turn, err = decode(data); err != nil {
		return t, err
	}
	t.Time, t.Continued = instant(ms), continued
	if at := t.id - turnID(t.Account, t.ChatID, t.ResponseID); at < 0 || at >= window {
		return t, damaged("a turn is at a place that is not its own")
	}
	return t, nil
}

// eachTurn calls do for each row of turnColumns until it returns false or an
// error.
func eachTurn(rows *sql.Rows, err error, do func(*storedTurn) (more bool, err error)) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t, err := scanTurn(rows)
		if err != nil {
			return err
		}
		if more, err := do(&t); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// scanChat reads a row of chatColumns.
func scanChat(rows *sql.Rows) (c session.Chat, err error) {
	var created, used int64
	if rows.Scan((*digest)(&c.Account), &c.ID, &c.Tenant, &c.Model, &c.Disposable, &created, &used) != nil {
		return c, damaged("a column of a chat has another type")
	}
	c.Created, c.Used = instant(created), instant(used)
	return c, nil
}

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// chatInfo is what a chat is, as it was added or, if that is nil, by its turns.
// There is none without both.
func chatInfo(added *session.Chat, turns []storedTurn) (c session.Chat, found bool) {
	slices.SortStableFunc(turns, func(a, b storedTurn) int { return a.Time.Compare(b.Time) })
	switch {
	case added != nil:
		c = *added
	case len(turns) == 0:
		return c, false
	default:
		t := &turns[0]
		c = session.Chat{Account: t.Account, ID: t.ChatID, Tenant: t.Tenant, Model: t.Model, Created: t.Time, Used: t.Time}
	}
	for i := range turns {
		if t := &turns[i]; t.Tenant == c.Tenant && t.Time.After(c.Used) {
			c.Used = t.Time
		}
	}
	return c, true
}

// common are statements of both sorts of connections.
type common struct {
	ids, chat *sql.Stmt
}

func (c *common) texts() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&c.ids:  "SELECT " + turnColumns + " FROM turns WHERE id BETWEEN ? AND ?",
		&c.chat: "SELECT " + chatColumns + " FROM chats WHERE place = ? AND account = ? AND chat = ?",
	}
}

// at returns the turns that may be at a place.
func (c *common) at(account session.Digest, chat, response string) (found []storedTurn, err error) {
	first := turnID(account, chat, response)
	return c.between(first, first+window-1, func(*storedTurn) bool { return true })
}

// turnsOf returns the turns of a chat.
func (c *common) turnsOf(account session.Digest, chat string) ([]storedTurn, error) {
	first := firstID(account, chat)
	return c.between(first, first+chatIDs-1, func(t *storedTurn) bool { return t.Account == account && t.ChatID == chat })
}

func (c *common) between(first, last int64, wanted func(*storedTurn) bool) (found []storedTurn, err error) {
	rows, err := c.ids.Query(first, last)
	err = eachTurn(rows, err, func(t *storedTurn) (bool, error) {
		if wanted(t) {
			found = append(found, *t)
		}
		return true, nil
	})
	return found, err
}

// added returns a chat that was added, or nil.
func (c *common) added(account session.Digest, chat string) (*session.Chat, error) {
	rows, err := c.chat.Query(firstID(account, chat), account[:], chat)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	found, err := scanChat(rows)
	return &found, err
}

// look returns a chat with its turns, the oldest first.
func (c *common) look(account session.Digest, chat string) (info session.Chat, turns []storedTurn, found bool, err error) {
	added, err := c.added(account, chat)
	if err == nil {
		turns, err = c.turnsOf(account, chat)
	}
	if err == nil {
		info, found = chatInfo(added, turns)
	}
	return info, turns, found, err
}

// digest scans a BLOB.
type digest session.Digest

func (d *digest) Scan(value any) error {
	text, ok := value.([]byte)
	if !ok || len(text) != len(d) {
		return damaged("a digest has the wrong size")
	}
	copy(d[:], text)
	return nil
}
