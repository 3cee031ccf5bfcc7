package caddyqwen

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// mustSQL runs statements on a file, which SQLite makes if it does not exist.
func mustSQL(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// everyCommand has each command that opens the store.
var everyCommand = [][]string{{"list"}, {"show", "c"}, {"forget", "c"}, {"export"}, {"wipe"}, {"wipe", "--yes"}}

// TestSessionsFileErrors checks what is said of files that cannot be used, and
// that nothing happens to them.
func TestSessionsFileErrors(t *testing.T) {
	store := func(t *testing.T, path string) {
		if err := os.Rename(mustStore(t, nil, chain("c", "a", "b")), path); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string // a part of the error
	}{
		{"no file", func(*testing.T, string) {}, " does not exist. Run the command as the user that runs the server"},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, " is no session store. "},
		{"empty file", func(t *testing.T, path string) { mustWriteFile(t, path, "", 0o600) }, " is no session store. "},
		{"text", func(t *testing.T, path string) {
			mustWriteFile(t, path, strings.Repeat("This is a diary.\n", 500), 0o600)
		}, " is no session store. "},
		{"database of another program", func(t *testing.T, path string) {
			mustSQL(t, path, "CREATE TABLE diary (day TEXT)", "INSERT INTO diary VALUES ('Monday')")
		}, " is no session store. "},
		{"newer version", func(t *testing.T, path string) {
			store(t, path)
			mustSQL(t, path, "PRAGMA user_version = 1000")
		}, " cannot be used: the file has version 1000 of the schema, but only "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "sessions.db")
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			for _, args := range everyCommand {
				stdout, err := runSessions(t, path, args...)
				if err == nil || stdout != "" {
					t.Fatalf("%q: no error, but %q", args, stdout)
				}
				text, named := strings.CutPrefix(err.Error(), path)
				if !named || strings.Contains(text, path) || !strings.Contains(text, tt.want) || strings.Contains(text, "\n") {
					t.Errorf("%q: the error is %q, want one with %q", args, err, tt.want)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
				t.Error("the file has changed")
			}
			if names := mustNames(t, dir); slices.ContainsFunc(names, func(name string) bool { return name != "sessions.db" }) {
				t.Errorf("the directory has %q", names)
			}
		})
	}
}

func mustNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestSessionsNoDirectory checks that no directory is made, either.
func TestSessionsNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	if _, err := runSessions(t, filepath.Join(dir, "sessions.db"), "list"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

func TestSessionsLocked(t *testing.T) {
	path := mustStore(t, nil, chain("c", "a", "b"))
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_, err = runSessions(t, path, "wipe", "--yes")
	if !errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), path+" is locked by another process. Try again") {
		t.Errorf("the error is %v", err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if n := mustCount(t, path); n.Turns != 2 {
		t.Errorf("there are %d turns", n.Turns)
	}
}

// TestSessionsDamaged checks that a damaged file is left to the server, which
// renames it.
func TestSessionsDamaged(t *testing.T) {
	path := mustStore(t, nil, chain("c", "a", "b"))
	mustSQL(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 100; i < len(content); i++ { // all but the header of the file
		content[i] = 0x55
	}
	mustWriteFile(t, path, string(content), 0o600)
	for _, args := range everyCommand {
		_, err := runSessions(t, path, args...)
		if err == nil || !strings.Contains(err.Error(), path+" is damaged. The server renames such a file") {
			t.Errorf("%q: the error is %v", args, err)
		}
	}
	for _, name := range mustNames(t, filepath.Dir(path)) {
		if !slices.Contains([]string{"sessions.db", "sessions.db-wal", "sessions.db-shm"}, name) {
			t.Errorf("there is a file %s", name)
		}
	}
}

// TestSessionsAdvice checks what is said of faults that tests cannot bring about
// on every computer.
func TestSessionsAdvice(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{fs.ErrPermission, "/f may not be opened. Run the command as the user"},
		{syscall.EROFS, "/f cannot be written to, which also reading needs"},
		{syscall.ENOSPC, "/f cannot be used because the disk is full"},
		{io.ErrUnexpectedEOF, "/f cannot be used: unexpected EOF. Run the command with"},
		{errors.New("/f has rotted"), "/f has rotted. Run the command with"},
	}
	for _, tt := range tests {
		cause := fmt.Errorf("/f: %w: %w", session.ErrUnavailable, tt.err)
		if strings.HasPrefix(tt.err.Error(), "/f") {
			cause = tt.err
		}
		err := explainFile("/f", cause)
		if !strings.HasPrefix(err.Error(), tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("of %v: %q, want %q", tt.err, err, tt.want)
		}
		if again := explainStore("/f", err); again.Error() != err.Error() {
			t.Errorf("explained twice: %q", again)
		}
	}
	if err := explainStore("/f", errNotWiped); err != errNotWiped {
		t.Errorf("an error of another kind becomes %q", err)
	}
}

// TestSessionsForgetFails checks that with an error in the middle nothing is
// forgotten.
func TestSessionsForgetFails(t *testing.T) {
	turns := append(chain("x", "a", "b"), append(chain("y", "c"), chain("z", "d")...)...)
	turns[2].Time = time.UnixMilli(5)
	path := mustStore(t, nil, turns)
	mustSQL(t, path, "CREATE TRIGGER stuck BEFORE DELETE ON turns WHEN old.time = 5 BEGIN SELECT RAISE(ABORT, 'stuck'); END")
	stdout, err := runSessions(t, path, "forget", "x", "y", "z")
	if err == nil || stdout != "" || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("the error is %v, the output %q", err, stdout)
	}
	if n := mustCount(t, path); n.Turns != 4 || n.Chats != 3 {
		t.Errorf("the store has %+v", n)
	}
}

func TestSessionsUsage(t *testing.T) {
	path := mustStore(t, nil, chain("c", "a", "b"))
	tests := []struct{ args, err string }{
		{"sessions lists", "unknown command"},
		{"sessions list c", "unknown command"},
		{"sessions list --limit -1", "--limit must be 0"},
		{"sessions list --limit many", "invalid argument"},
		{"sessions list --yes", "unknown flag"},
		{"sessions show", "accepts 1 arg"},
		{"sessions show c d", "accepts 1 arg"},
		{"sessions forget", "requires at least 1 arg"},
		{"sessions export c", "unknown command"},
		{"sessions wipe everything --yes", "unknown command"},
		{"sessions wipe --file", "needs an argument"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			args := append(strings.Fields(tt.args), "--file="+path)
			if strings.HasSuffix(tt.args, "--file") {
				args = args[:len(args)-1]
			}
			stdout, _, err := runCommand(t, args...)
			checkError(t, err, tt.err)
			if stdout != "" {
				t.Errorf("standard output is %q", stdout)
			}
		})
	}
	if n := mustCount(t, path); n.Turns != 2 {
		t.Errorf("there are %d turns", n.Turns)
	}
}
