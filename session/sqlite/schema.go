package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// applicationID marks a file as a session store ("qwSs").
const applicationID = 0x71775373

// migration brings the schema to its version: its place in the list, from 1.
type migration func(ctx context.Context, conn *sql.Conn) error

// migrations are never changed once released; new ones are appended.
var migrations = []migration{
	statements(`
-- A turn by its place and in the order of its chat. continued may change, the
-- rest does not; data has all that has no column. See place.go and format.go.
CREATE TABLE turns (
	id        INTEGER PRIMARY KEY,
	key       INTEGER NOT NULL,
	time      INTEGER NOT NULL,
	continued INTEGER NOT NULL DEFAULT 0,
	data      BLOB    NOT NULL
);
CREATE INDEX turns_key ON turns (key, time);

CREATE TABLE aliases (
	key  INTEGER NOT NULL,
	time INTEGER NOT NULL,
	turn INTEGER NOT NULL,
	PRIMARY KEY (key, time, turn)
) WITHOUT ROWID;

-- Only chats that were added, or whose turns were forgotten. place is the lowest id
-- of their turns.
CREATE TABLE chats (
	place      INTEGER NOT NULL,
	account    BLOB    NOT NULL,
	chat       TEXT    NOT NULL,
	tenant     TEXT    NOT NULL,
	model      TEXT    NOT NULL,
	disposable INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	used       INTEGER NOT NULL,
	PRIMARY KEY (place, account, chat)
) WITHOUT ROWID;
CREATE INDEX chats_idle ON chats (account, used) WHERE disposable = 1;
`),
	statements(`
-- url and hash are keys made of the account, the tenant and the one or the other;
-- data has all but the times. See files.go and format.go.
CREATE TABLE files (
	id      INTEGER PRIMARY KEY,
	account BLOB    NOT NULL,
	tenant  TEXT    NOT NULL,
	file    TEXT    NOT NULL,
	purpose TEXT    NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	url     INTEGER NOT NULL,
	hash    INTEGER NOT NULL,
	data    BLOB    NOT NULL
);
CREATE UNIQUE INDEX files_file ON files (account, file);
CREATE INDEX files_list ON files (account, tenant, created, file);
CREATE INDEX files_url ON files (url, created, file);
CREATE INDEX files_hash ON files (hash, created, file);
CREATE INDEX files_created ON files (created);
CREATE INDEX files_expires ON files (expires);

-- How many files each tenant has, so that nobody has to count them.
CREATE TABLE file_numbers (
	account BLOB    NOT NULL,
	tenant  TEXT    NOT NULL,
	number  INTEGER NOT NULL,
	PRIMARY KEY (account, tenant)
) WITHOUT ROWID;
CREATE TRIGGER files_added AFTER INSERT ON files BEGIN
	INSERT INTO file_numbers SELECT new.account, new.tenant, 0
		WHERE NOT EXISTS (SELECT 1 FROM file_numbers WHERE account = new.account AND tenant = new.tenant);
	UPDATE file_numbers SET number = number + 1 WHERE account = new.account AND tenant = new.tenant;
END;
CREATE TRIGGER files_removed AFTER DELETE ON files BEGIN
	UPDATE file_numbers SET number = number - 1 WHERE account = old.account AND tenant = old.tenant;
	DELETE FROM file_numbers WHERE account = old.account AND tenant = old.tenant AND number = 0;
END;
`),
}

func statements(text string) migration {
	return func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, text)
		return err
	}
}

// content is what a file says about itself.
type content struct {
	application, version, tables int
}

// inspect reads all of it in one statement: another process may be making the
// schema just now.
func inspect(ctx context.Context, conn *sql.Conn) (c content, err error) {
	err = conn.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&c.application, &c.version, &c.tables)
	return c, err
}

// acceptable tells whether the file may be used.
func (c content) acceptable(latest int) error {
	switch {
	case c.tables > 0 && c.application != applicationID:
		return &failure{KindForeign, errors.New("the file belongs to another program")}
	case c.version > latest:
		return &failure{KindNewer, fmt.Errorf("the file has version %d of the schema, but only %d is known", c.version, latest)}
	}
	return nil
}

// migrate brings the file to the latest version in one transaction, whatever
// other processes do at the same time. It returns the path of the copy made
// before, if any. No copy is left of a file that was not changed.
func (s *Store) migrate(ctx context.Context, conn *sql.Conn, path string, found content) (kept string, err error) {
	if found.tables > 0 && found.version < len(s.hooks.migrations) {
		if kept, err = s.keepCopy(ctx, conn, path, found.version); err != nil {
			return "", fmt.Errorf("copying before the migration: %w", err)
		}
	}
	migrated, err := s.migrateNow(ctx, conn)
	if kept != "" && !migrated && (err == nil || unchanged(conn, found)) {
		_ = os.Remove(kept)
		kept = ""
	}
	return kept, err
}

// unchanged reports whether the file still is what it was found to be.
func unchanged(conn *sql.Conn, found content) bool {
	now, err := inspect(context.Background(), conn)
	return err == nil && now == found
}

// migrateNow reports whether there was anything to do. Also without, it shows
// whether the file can be written to.
func (s *Store) migrateNow(ctx context.Context, conn *sql.Conn) (migrated bool, err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	if migrated, err = s.migrateLocked(ctx, conn); err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// Without the context, which may be what has ended the migration.
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
		return false, err
	}
	return migrated, nil
}

// migrateLocked looks again at the version, which another process may have
// changed while this one waited for the lock.
func (s *Store) migrateLocked(ctx context.Context, conn *sql.Conn) (migrated bool, err error) {
	now, err := inspect(ctx, conn)
	if err != nil {
		return false, err
	}
	latest := len(s.hooks.migrations)
	if err := now.acceptable(latest); err != nil {
		return false, err
	}
	if now.version == latest {
		return false, nil
	}
	for version := now.version; version < latest; version++ {
		if err := s.hooks.migrations[version](ctx, conn); err != nil {
			return false, fmt.Errorf("migration to version %d: %w", version+1, err)
		}
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf(
		"PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, latest))
	return true, err
}

// keepCopy copies the file beside itself. Nothing is left of a copy that fails.
func (s *Store) keepCopy(ctx context.Context, conn *sql.Conn, path string, version int) (string, error) {
	kept, err := newFile(fmt.Sprintf("%s.v%d-%s", path, version, s.stamp()))
	if err != nil {
		return "", err
	}
	s.hooks.copying(kept)
	// SQLite writes into an existing file if it is empty, and leaves its mode.
	_, err = conn.ExecContext(ctx, "VACUUM INTO '"+strings.ReplaceAll(kept, "'", "''")+"'")
	if err != nil {
		_ = os.Remove(kept)
		if codeOf(err) == codeNotADB { // the copy, for the file was read before
			err = &failure{KindFailed, err}
		}
		return "", err
	}
	return kept, nil
}

// newFile makes an empty file of the name, or of one like it if that is taken.
func newFile(name string) (string, error) {
	for {
		free, err := freeName(name)
		if err != nil {
			return "", err
		}
		file, err := os.OpenFile(free, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue // somebody was faster
		}
		if err != nil {
			return "", err
		}
		return free, file.Close()
	}
}
