package sessiontest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func testClose(t *testing.T, s *store) {
	s.record(turn("c", "r", "", 1))
	s.must(s.Close())
	s.must(s.Close())
	_, find := s.Find(s.ctx, keyOf(1), 1)
	_, alias := s.FindAlias(s.ctx, key(1), 1)
	_, turnErr := s.Turn(s.ctx, here, "c", "r")
	_, chatErr := s.Chat(s.ctx, here, "c")
	_, idle := s.IdleChats(s.ctx, here, at(0), 1)
	_, prune := s.Prune(s.ctx, at(0), 1, 1)
	_, byID := s.File(s.ctx, here, "ann", "f", at(0))
	_, byURL := s.FileByURL(s.ctx, here, "ann", "u", at(0))
	_, byHash := s.FileByHash(s.ctx, here, "ann", [32]byte{1}, at(0), at(0))
	_, _, list := s.Files(s.ctx, here, "ann", session.FileQuery{Limit: 1}, at(0))
	for name, err := range map[string]error{
		"Find": find, "FindAlias": alias, "Turn": turnErr, "Chat": chatErr, "IdleChats": idle, "Prune": prune,
		"Record":      s.Record(s.ctx, turn("c", "r2", "r", 2)),
		"AddChat":     s.AddChat(s.ctx, chat("d", 1)),
		"ForgetTurns": s.ForgetTurns(s.ctx, here, "c"),
		"RemoveChat":  s.RemoveChat(s.ctx, here, "c"),
		"File":        byID, "FileByURL": byURL, "FileByHash": byHash, "Files": list,
		"AddFile":    s.AddFile(s.ctx, file("f", 1)),
		"RemoveFile": s.RemoveFile(s.ctx, here, "ann", "f"),
	} {
		if !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testReopen(t *testing.T, open func(*testing.T, string) session.Store) {
	dir := t.TempDir()
	s := wrap(t, open(t, dir))
	one, two := turn("c", "r1", "", 1), turn("c", "r2", "r1", 2)
	one.Aliases, one.Variants = []session.Digest{key(100)}, []session.Digest{key(50)}
	s.record(one, two)
	s.addChat(chat("d", 4))
	kept := file("f", 1)
	s.must(s.AddFile(s.ctx, kept))
	s.must(s.Close())

	s = wrap(t, open(t, dir))
	s.findsAlias(key(100), 5, "c/r1")
	one.Aliases, one.Continued = nil, true
	sameTurn(t, s.turn("c", "r1"), one)
	sameTurn(t, s.turn("c", "r2"), two)
	sameChat(t, s.chat("d"), chat("d", 4))
	s.files().has(kept, at(0))
	s.record(turn("c", "r3", "r2", 3))
	if !s.turn("c", "r2").Continued {
		t.Error("the conversation does not go on")
	}
}

func testReopenChanges(t *testing.T, open func(*testing.T, string) session.Store) {
	dir := t.TempDir()
	s := wrap(t, open(t, dir))
	s.record(turn("old", "r", "", 1), turn("forgotten", "r", "", 7), turn("removed", "r", "", 8))
	s.must(s.ForgetTurns(s.ctx, here, "forgotten"))
	s.must(s.RemoveChat(s.ctx, here, "removed"))
	s.prune(at(3), 100, 100, 1)
	s.files().add(file("gone", 5), file("old", 1), file("new", 5))
	s.must(s.RemoveFile(s.ctx, here, "ann", "gone"))
	s.prune(at(3), 100, 100, 1)
	s.must(s.Close())

	s = wrap(t, open(t, dir))
	s.noChat("old")
	s.noChat("removed")
	s.chat("forgotten")
	s.noTurn("forgotten", "r")
	s.files().lists(session.FileQuery{Limit: 9}, false, "new")
	s.prune(at(1000), 0, 100, 2)
}

// testCrash opens a copy of what is on disk while the store is open, as it would be
// after a crash of the process.
func testCrash(t *testing.T, open func(*testing.T, string) session.Store) {
	if runtime.GOOS == "windows" {
		t.Skip("files that are locked cannot be copied on Windows")
	}
	dir, copied := t.TempDir(), t.TempDir()
	s := wrap(t, open(t, dir))
	one, two := turn("c", "r1", "", 1), turn("c", "r2", "r1", 2)
	kept, gone, changed := file("kept", 1), file("gone", 2), file("changed", 3)
	s.record(one, two)
	s.addChat(chat("d", 4))
	s.files().add(kept, gone, changed)
	changed.Name = "changed"
	s.files().add(changed)
	s.must(s.RemoveFile(s.ctx, here, "ann", "gone"))
	mustCopy(t, dir, copied)

	s = wrap(t, open(t, copied))
	one.Continued = true
	sameTurn(t, s.turn("c", "r1"), one)
	sameTurn(t, s.turn("c", "r2"), two)
	sameChat(t, s.chat("d"), chat("d", 4))
	s.files().has(kept, at(0))
	s.files().has(changed, at(0))
	s.files().hasNo(gone, at(0))
}

// mustCopy copies the files of a directory.
func mustCopy(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, entry := range entries {
		if err := copyFile(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}
