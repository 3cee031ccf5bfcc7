package sessiontest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// FileOpener returns a new, empty store of files, ready for use.
type FileOpener func(t *testing.T) session.FileStore

// RunFiles tests a store of files against each sentence of the documentation of
// session.FileStore. It must have room for session.MaxFiles of two tenants.
func RunFiles(t *testing.T, open FileOpener) {
	for name, test := range map[string]func(t *testing.T, s *files){
		"an empty store has no files":             testNoFiles,
		"a file comes back as it was added":       testFileRoundTrip,
		"AddFile/again replaces":                  testFileReplaced,
		"AddFile/no id of another tenant":         testFileTaken,
		"AddFile/the oldest of too many goes":     testMaxFiles,
		"FI-10 tenants and accounts side by side": testFilesApart,
		"File/until it expires":                   testFileExpires,
		"FileByURL":                               testFileByURL,
		"FileByHash":                              testFileByHash,
		"Files/order":                             testFilesOrder,
		"Files/limit":                             testFilesLimit,
		"Files/purpose":                           testFilesPurpose,
		"Files/after one that is not found":       testFilesAfter,
		"RemoveFile":                              testRemoveFile,
		"a context that has ended":                testFileContext,
		"concurrent/lists while files are added":  testConcurrentLists,
		"concurrent/one id for all":               testConcurrentTaken,
		"random/like a plain list":                testRandomFiles,
	} {
		t.Run(name, func(t *testing.T) { test(t, &files{open(t), t, context.Background()}) })
	}
}

// files is a store of files whose errors end the test.
type files struct {
	session.FileStore
	t   *testing.T
	ctx context.Context
}

// file returns a file that was created at a time.
func file(id string, created int) session.File {
	return session.File{
		Account: here, Tenant: "ann", ID: id, Owner: "user-1", URL: "https://oss.example/" + id, Name: id + ".png",
		MIME: "image/png", Kind: "image", Purpose: "vision", Size: 1000, Hash: sha256.Sum256([]byte(id)), Created: at(created),
	}
}

func (s *files) add(files ...session.File) {
	s.t.Helper()
	for _, f := range files {
		if err := s.AddFile(s.ctx, f); err != nil {
			s.t.Fatalf("adding %s: %v", f.ID, err)
		}
	}
}

// has asserts that the store has the file, whichever way one looks for it.
func (s *files) has(want session.File, now time.Time) {
	s.t.Helper()
	got, err := s.File(s.ctx, want.Account, want.Tenant, want.ID, now)
	if err != nil {
		s.t.Fatalf("file %s: %v", want.ID, err)
	}
	sameFile(s.t, got, want)
}

// hasNo asserts that there is no such file, whichever way one looks for it.
func (s *files) hasNo(f session.File, now time.Time) {
	s.t.Helper()
	if _, err := s.File(s.ctx, f.Account, f.Tenant, f.ID, now); !errors.Is(err, session.ErrNotFound) {
		s.t.Errorf("file %s: %v", f.ID, err)
	}
	if got, err := s.FileByURL(s.ctx, f.Account, f.Tenant, f.URL, now); err == nil && got.ID == f.ID || err != nil && !errors.Is(err, session.ErrNotFound) {
		s.t.Errorf("file of the URL %s: %s, %v", f.URL, got.ID, err)
	}
	isIt := func(other session.File) bool { return other.ID == f.ID }
	found, err := s.FileByHash(s.ctx, f.Account, f.Tenant, f.Hash, time.UnixMilli(0), now)
	if err != nil || slices.ContainsFunc(found, isIt) {
		s.t.Errorf("files with the hash of %s: %d, %v", f.ID, len(found), err)
	}
	found, _, err = s.Files(s.ctx, f.Account, f.Tenant, session.FileQuery{Limit: session.MaxFiles}, now)
	if err != nil || slices.ContainsFunc(found, isIt) {
		s.t.Errorf("a list with %s: %d, %v", f.ID, len(found), err)
	}
}

func (s *files) list(q session.FileQuery, now time.Time) (found []session.File, more bool) {
	s.t.Helper()
	found, more, err := s.Files(s.ctx, here, "ann", q, now)
	if err != nil {
		s.t.Fatalf("%+v: %v", q, err)
	}
	return found, more
}

// lists asserts which files are listed, by their ids.
func (s *files) lists(q session.FileQuery, wantMore bool, want ...string) {
	s.t.Helper()
	found, more := s.list(q, at(0))
	if got := ids(found); !slices.Equal(got, want) || more != wantMore {
		s.t.Errorf("%+v: %v, more %t; not %v, %t", q, got, more, want, wantMore)
	}
}

func (s *files) hashed(hash [32]byte, since int, want ...string) {
	s.t.Helper()
	found, err := s.FileByHash(s.ctx, here, "ann", hash, at(since), at(0))
	if got := ids(found); err != nil || !slices.Equal(got, want) {
		s.t.Errorf("since %d: %v, not %v, %v", since, got, want, err)
	}
}

func ids(files []session.File) (ids []string) {
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	return ids
}

func sameFile(t *testing.T, got, want session.File) {
	t.Helper()
	if a, b := describeFile(got), describeFile(want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func describeFile(f session.File) string {
	expires := "never"
	if !f.Expires.IsZero() {
		expires = fmt.Sprint(f.Expires.UnixMilli())
	}
	return fmt.Sprintf("%s %q %q %q %q %q %q %q %q %d %x %d %s", f.Account, f.Tenant, f.ID, f.Owner, f.URL, f.Name,
		f.MIME, f.Kind, f.Purpose, f.Size, f.Hash, f.Created.UnixMilli(), expires)
}

func testNoFiles(t *testing.T, s *files) {
	s.hasNo(file("f", 1), at(0))
	s.hasNo(session.File{}, at(0))
	s.lists(session.FileQuery{Limit: 10}, false)
	s.lists(session.FileQuery{Limit: 10, Ascending: true, Purpose: "vision"}, false)
	if err := s.RemoveFile(s.ctx, here, "ann", "f"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("removing: %v", err)
	}
}

func testFileRoundTrip(t *testing.T, s *files) {
	full := file("f", 1)
	full.Expires = at(1000)
	bare := session.File{ID: "bare", Created: at(0)}
	odd := file(`o'"\%_ ☃ `+"\x00\n", 2)
	odd.Tenant, odd.URL, odd.Name, odd.Purpose = `t'";`, "https://oss.example/%E5%9B%BE?a=1&b=2", "图 +%20 .png\xff", "\x00"
	uuid := file("7d5c9a34-12ab-4e0f-8a77-0123456789ab", 3)
	uuid.Owner = "7D5C9A34-12AB-4E0F-8A77-0123456789AB"
	large := file("large", 4)
	large.Size, large.Name = 1<<62, string(make([]byte, 100_000))
	wrong := file("wrong", 5)
	wrong.Size, wrong.Expires = -1, time.Date(2999, 1, 1, 0, 0, 0, 123456789, time.FixedZone("", 3600))
	old := file("old", 6)
	old.Created = time.Time{}
	for _, want := range []session.File{full, bare, odd, uuid, large, wrong, old} {
		s.add(want)
		s.has(want, at(0))
	}
	s.has(full, at(0))
	for _, want := range []session.File{full, odd, uuid, large, wrong, old} {
		got, err := s.FileByURL(s.ctx, want.Account, want.Tenant, want.URL, at(0))
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, got, want)
		found, err := s.FileByHash(s.ctx, want.Account, want.Tenant, want.Hash, time.Time{}, at(0))
		if err != nil || len(found) != 1 {
			t.Fatalf("%q: %d files with the hash, %v", want.ID, len(found), err)
		}
		sameFile(t, found[0], want)
	}
}

func testFileReplaced(t *testing.T, s *files) {
	first, second := file("f", 1), file("f", 2)
	second.Owner, second.URL, second.Name, second.MIME = "user-2", "https://oss.example/new", "new.pdf", "application/pdf"
	second.Kind, second.Purpose, second.Size, second.Hash = "document", "assistants", 7, sha256.Sum256([]byte("new"))
	second.Expires = at(50)
	s.add(first, first, file("g", 3), second)
	s.has(second, at(0))
	s.lists(session.FileQuery{Limit: 10}, false, "g", "f")
	s.lists(session.FileQuery{Limit: 10, Purpose: first.Purpose}, false, "g")
	s.lists(session.FileQuery{Limit: 10, Purpose: second.Purpose}, false, "f")
	s.hashed(first.Hash, 0)
	s.hashed(second.Hash, 0, "f")
	if _, err := s.FileByURL(s.ctx, here, "ann", first.URL, at(0)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("by its old URL: %v", err)
	}
	s.hasNo(second, at(50))
	s.add(first) // again without an end
	s.has(first, at(50))
}

func testFileTaken(t *testing.T, s *files) {
	anns := file("f", 1)
	anns.Expires = at(5)
	bobs := file("f", 2)
	bobs.Tenant = "bob"
	s.add(anns)
	if err := s.AddFile(s.ctx, bobs); !errors.Is(err, session.ErrTaken) {
		t.Errorf("error: %v", err)
	}
	s.has(anns, at(4))
	s.hasNo(bobs, at(4))
	if err := s.AddFile(s.ctx, bobs); !errors.Is(err, session.ErrTaken) {
		t.Errorf("after it has expired: %v", err)
	}
	s.add(file("g", 3)) // others are not spoilt
	if err := s.RemoveFile(s.ctx, here, "bob", "f"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("removed by bob: %v", err)
	}
	if err := s.RemoveFile(s.ctx, here, "ann", "f"); err != nil {
		t.Error(err)
	}
	s.add(bobs) // the id is free
	s.has(bobs, at(4))
	s.hasNo(anns, at(4))
}

func testFilesApart(t *testing.T, s *files) {
	anns, bobs, theirs := file("f", 1), file("g", 2), file("f", 3)
	bobs.URL, bobs.Hash, bobs.Tenant = anns.URL, anns.Hash, "bob"
	theirs.Account = there
	s.add(anns, bobs, theirs)
	for _, f := range []session.File{anns, bobs, theirs} {
		s.has(f, at(0))
		got, err := s.FileByURL(s.ctx, f.Account, f.Tenant, f.URL, at(0))
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, got, f)
		found, err := s.FileByHash(s.ctx, f.Account, f.Tenant, f.Hash, at(0), at(0))
		if err != nil || len(found) != 1 {
			t.Fatalf("%d files with the hash, %v", len(found), err)
		}
		sameFile(t, found[0], f)
		found, more, err := s.Files(s.ctx, f.Account, f.Tenant, session.FileQuery{Limit: 5}, at(0))
		if err != nil || len(found) != 1 || more {
			t.Fatalf("%d files are listed, more %t, %v", len(found), more, err)
		}
		sameFile(t, found[0], f)
	}
	stranger := anns
	stranger.Tenant = "eve"
	s.hasNo(stranger, at(0))
	stranger = bobs
	stranger.Account = there
	s.hasNo(stranger, at(0))
	for _, q := range []session.FileQuery{{After: "f", Limit: 5}, {After: "f", Limit: 5, Ascending: true}} {
		if _, _, err := s.Files(s.ctx, here, "bob", q, at(0)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("bob's list after ann's file: %v", err)
		}
	}
	if err := s.RemoveFile(s.ctx, there, "ann", "f"); err != nil {
		t.Error(err)
	}
	s.hasNo(theirs, at(0))
	s.has(anns, at(0))
	s.has(bobs, at(0))
}

func testFileExpires(t *testing.T, s *files) {
	f, kept := file("f", 1), file("kept", 1)
	f.Expires = at(100)
	s.add(f, kept)
	s.has(f, at(99))
	s.has(f, at(100).Add(-time.Nanosecond))
	s.hasNo(f, at(100))
	s.hasNo(f, at(101))
	s.has(kept, at(1<<30))
	found, more := s.list(session.FileQuery{Limit: 1}, at(100))
	if got := ids(found); !slices.Equal(got, []string{"kept"}) || more {
		t.Errorf("listed: %v, more %t", got, more)
	}
	if _, _, err := s.Files(s.ctx, here, "ann", session.FileQuery{After: "f", Limit: 5}, at(100)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a list after it: %v", err)
	}
	s.has(f, at(0)) // looking has not changed it
	if err := s.RemoveFile(s.ctx, here, "ann", "f"); err != nil {
		t.Error(err)
	}
	s.hasNo(f, at(0))
}
