package sqlite

import (
	"database/sql"
	"slices"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// storedTurn is a turn as it is in the file.
type storedTurn struct {
	session.Turn
	id int64
}

// has tells whether the turn is found by the key.
func (t *storedTurn) has(index session.Index, key session.Digest) bool {
	switch index {
	case session.IndexChain:
		return t.Chain == key
	case session.IndexLoose:
		return t.Indexed && t.Loose == key
	case session.IndexPair:
		return t.Indexed && t.Pair == key && !key.IsZero()
	case session.IndexAlias:
		return slices.Contains(t.Aliases, key)
	}
	return false
}

// scanTurns reads rows of turnColumns.
func scanTurns(rows *sql.Rows, err error) (found []storedTurn, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t storedTurn
		err := rows.Scan(
			(*digest)(&t.Account), &t.ChatID, &t.Tenant, &t.ResponseID, &t.ParentID, &t.Model,
			(*digest)(&t.Chain), (*digest)(&t.Loose), (*digest)(&t.Pair),
			&t.Indexed, &t.Partial, &t.Continued, (*instant)(&t.Time),
			(*digests)(&t.Messages), (*digests)(&t.Variants), (*digests)(&t.Aliases), &t.id)
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, rows.Err()
}

// chatFields are what a row of chatColumns is scanned into.
func chatFields(c *session.Chat) []any {
	return []any{(*digest)(&c.Account), &c.ID, &c.Tenant, &c.Model, &c.Disposable, (*instant)(&c.Created), (*instant)(&c.Used)}
}

// digest scans a BLOB. NULL is the zero digest.
type digest session.Digest

func (d *digest) Scan(value any) error {
	text, ok := value.([]byte)
	if value == nil {
		*d = digest{}
		return nil
	}
	if !ok || len(text) != len(d) {
		return damaged("a digest has the wrong size")
	}
	copy(d[:], text)
	return nil
}

// digests scans a BLOB of digests that follow each other. NULL is none.
type digests []session.Digest

func (d *digests) Scan(value any) error {
	text, ok := value.([]byte)
	if value == nil {
		*d = nil
		return nil
	}
	const size = len(session.Digest{})
	if !ok || len(text)%size != 0 {
		return damaged("a list of digests has the wrong size")
	}
	*d = make(digests, 0, len(text)/size)
	for chunk := range slices.Chunk(text, size) {
		*d = append(*d, session.Digest(chunk))
	}
	return nil
}

// join returns what digests.Scan takes apart.
func join(list []session.Digest) any {
	if len(list) == 0 {
		return nil
	}
	text := make([]byte, 0, len(list)*len(session.Digest{}))
	for _, d := range list {
		text = append(text, d[:]...)
	}
	return text
}

// instant scans a number of milliseconds.
type instant time.Time

func (i *instant) Scan(value any) error {
	ms, ok := value.(int64)
	if !ok {
		return damaged("a time is not a number")
	}
	*i = instant(time.UnixMilli(ms).UTC())
	return nil
}
