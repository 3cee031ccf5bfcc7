package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

func testFileByURL(t *testing.T, s *files) {
	none, other := file("none", 9), file("other", 9)
	none.URL = ""
	s.add(none, other)
	var same []session.File
	for n, created := range []int{3, 5, 5, 1} {
		f := file(fmt.Sprint("f", n), created)
		f.URL = "https://oss.example/same"
		same = append(same, f)
		s.add(f)
	}
	same[1].Expires, same[2].Expires = at(50), at(40)
	s.add(same[1], same[2])
	for now, want := range map[int]int{39: 2, 40: 1, 50: 0} { // of those of one time, the last id
		got, err := s.FileByURL(s.ctx, here, "ann", same[0].URL, at(now))
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, got, same[want])
	}
	for _, url := range []string{"", "https://oss.example/sam", "https://oss.example/same?x", "%"} {
		if f, err := s.FileByURL(s.ctx, here, "ann", url, at(0)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%q: %s, %v", url, f.ID, err)
		}
	}
}

func testFileByHash(t *testing.T, s *files) {
	hash, alike := file("same", 0).Hash, file("same", 0).Hash
	alike[31] ^= 1
	for n, created := range []int{4, 2, 6, 6, 1} {
		f := file(fmt.Sprint("f", n), created)
		f.Hash = hash
		s.add(f)
	}
	near, unknown, gone := file("near", 9), file("unknown", 9), file("gone", 9)
	near.Hash, unknown.Hash = alike, [32]byte{}
	gone.Hash, gone.Expires = hash, at(-1)
	s.add(near, unknown, gone)
	s.hashed(hash, 0, "f3", "f2", "f0", "f1", "f4")
	s.hashed(hash, 2, "f3", "f2", "f0", "f1")
	s.hashed(hash, 5, "f3", "f2")
	s.hashed(hash, 7)
	s.hashed(alike, 0, "near")
	s.hashed([32]byte{}, 0)
	var want []string
	for n := range session.MaxSameHash + 2 {
		f := file(fmt.Sprint("g", n), 100-n)
		f.Hash = hash
		s.add(f)
		want = append(want, f.ID)
	}
	s.hashed(hash, 0, want[:session.MaxSameHash]...)
}

func testFilesOrder(t *testing.T, s *files) {
	for n, created := range []int{5, 1, 3, 3, 9} {
		s.add(file(fmt.Sprint("f", n), created))
	}
	down, up := []string{"f4", "f0", "f3", "f2", "f1"}, []string{"f1", "f2", "f3", "f0", "f4"}
	s.lists(session.FileQuery{Limit: 5}, false, down...)
	s.lists(session.FileQuery{Limit: 5, Ascending: true}, false, up...)
	for i := range down {
		for limit := 1; limit <= 5; limit++ {
			end := min(i+1+limit, 5)
			s.lists(session.FileQuery{Limit: limit, After: down[i]}, end < 5, down[i+1:end]...)
			s.lists(session.FileQuery{Limit: limit, After: up[i], Ascending: true}, end < 5, up[i+1:end]...)
		}
	}
}

func testFilesLimit(t *testing.T, s *files) {
	s.add(file("a", 1), file("b", 2), file("c", 3))
	s.lists(session.FileQuery{Limit: 2}, true, "c", "b")
	s.lists(session.FileQuery{Limit: 3}, false, "c", "b", "a")
	s.lists(session.FileQuery{Limit: math.MaxInt}, false, "c", "b", "a")
	s.lists(session.FileQuery{Limit: 0}, false)
	s.lists(session.FileQuery{Limit: -1, Ascending: true}, false)
}

func testFilesPurpose(t *testing.T, s *files) {
	for n := range 6 {
		f := file(fmt.Sprint("f", n), n)
		if n%2 == 0 {
			f.Purpose = "batch"
		}
		s.add(f)
	}
	s.lists(session.FileQuery{Limit: 2, Purpose: "batch"}, true, "f4", "f2")
	s.lists(session.FileQuery{Limit: 2, Purpose: "batch", After: "f2"}, false, "f0")
	s.lists(session.FileQuery{Limit: 2, Purpose: "vision", After: "f2", Ascending: true}, false, "f3", "f5") // after one of another
	s.lists(session.FileQuery{Limit: 9, Purpose: "vision"}, false, "f5", "f3", "f1")
	s.lists(session.FileQuery{Limit: 9, Purpose: "Batch"}, false)

	attached := file("attached", 3)
	attached.Purpose = ""
	s.add(attached)
	s.lists(session.FileQuery{Limit: 9}, false, "f5", "f4", "f3", "f2", "f1", "f0")
	s.lists(session.FileQuery{Limit: 6, Ascending: true}, false, "f0", "f1", "f2", "f3", "f4", "f5")
	s.lists(session.FileQuery{Limit: 9, After: "attached"}, false, "f2", "f1", "f0")
}

func testFilesAfter(t *testing.T, s *files) {
	s.add(file("a", 1), file("b", 2), file("c", 3))
	s.lists(session.FileQuery{Limit: 1}, true, "c")
	if err := s.RemoveFile(s.ctx, here, "ann", "c"); err != nil {
		t.Fatal(err)
	}
	for _, ascending := range []bool{false, true} {
		for _, after := range []string{"c", "unknown", "A"} {
			_, _, err := s.Files(s.ctx, here, "ann", session.FileQuery{Limit: 1, After: after, Ascending: ascending}, at(0))
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("after %s: %v", after, err)
			}
		}
	}
}

func testRemoveFile(t *testing.T, s *files) {
	f, other := file("f", 1), file("other", 2)
	other.Hash = f.Hash
	s.add(f, other)
	for i, want := range []error{nil, session.ErrNotFound} {
		if err := s.RemoveFile(s.ctx, here, "ann", "f"); !errors.Is(err, want) {
			t.Errorf("time %d: %v", i, err)
		}
		s.hasNo(f, at(0))
		s.has(other, at(0))
		s.hashed(f.Hash, 0, "other")
	}
	s.add(f)
	s.has(f, at(0))
}

func testFileContext(t *testing.T, s *files) {
	s.add(file("f", 1))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, byID := s.File(ctx, here, "ann", "f", at(0))
	_, byURL := s.FileByURL(ctx, here, "ann", file("f", 1).URL, at(0))
	_, byHash := s.FileByHash(ctx, here, "ann", file("f", 1).Hash, at(0), at(0))
	_, _, list := s.Files(ctx, here, "ann", session.FileQuery{Limit: 1}, at(0))
	_, _, none := s.Files(ctx, here, "ann", session.FileQuery{}, at(0))
	for name, err := range map[string]error{
		"File": byID, "FileByURL": byURL, "FileByHash": byHash, "Files": list, "Files without a limit": none,
		"AddFile": s.AddFile(ctx, file("g", 1)), "RemoveFile": s.RemoveFile(ctx, here, "ann", "f"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.has(file("f", 1), at(0))
}

// fill adds files that were created at the times from first on, several at a time.
func (s *files) fill(tenant string, first, number int) {
	var all sync.WaitGroup
	const adders = 8
	for k := range adders {
		all.Go(func() {
			for n := first + k; n < first+number; n += adders {
				f := file(fmt.Sprint(tenant, n), n)
				f.Tenant = tenant
				if err := patiently(func() error { return s.AddFile(s.ctx, f) }); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Of one tenant as many are kept as the store has to keep, the newest of them.
func testMaxFiles(t *testing.T, s *files) {
	bobs, theirs := file("bob", 0), file("ann", 0)
	bobs.Tenant, theirs.Account = "bob", there
	s.add(bobs, theirs)
	s.fill("ann", 1, session.MaxFiles)
	oldest, newest := file("ann1", 1), file(fmt.Sprint("ann", session.MaxFiles), session.MaxFiles)
	s.has(oldest, at(0))
	s.add(newest) // it is there already
	s.has(oldest, at(0))
	next := file("next", session.MaxFiles+1)
	s.add(next)
	s.hasNo(oldest, at(0))
	s.has(file("ann2", 2), at(0))
	s.has(next, at(0))
	s.add(oldest) // it is the one too many
	s.hasNo(oldest, at(0))
	s.has(file("ann2", 2), at(0))
	if found, more := s.list(session.FileQuery{Limit: session.MaxFiles}, at(0)); len(found) != session.MaxFiles || more {
		t.Errorf("%d files, more %t", len(found), more)
	}
	s.has(bobs, at(0))
	s.has(theirs, at(0))
	bobs = file("ann1", 0)
	bobs.Tenant = "bob"
	s.add(bobs) // the id of what has gone is free
}

// A list in parts has each file once, and all that were there when it began.
func testConcurrentLists(t *testing.T, s *files) {
	const before, during = 40, 200
	s.fill("ann", 0, before)
	var all sync.WaitGroup
	all.Go(func() { s.fill("ann", before, during) })
	for _, ascending := range []bool{false, true} {
		all.Go(func() {
			for round := 0; round < 10; round++ {
				seen := map[string]bool{}
				q := session.FileQuery{Limit: 7, Ascending: ascending}
				for more := true; more; {
					var found []session.File
					err := patiently(func() (err error) {
						found, more, err = s.Files(s.ctx, here, "ann", q, at(0))
						return err
					})
					if err != nil || len(found) > 7 || more && len(found) < 7 {
						t.Errorf("%d files, more %t, %v", len(found), more, err)
						return
					}
					for _, f := range found {
						if seen[f.ID] {
							t.Errorf("%s is listed twice", f.ID)
						}
						seen[f.ID] = true
						q.After = f.ID
					}
				}
				for n := range before {
					if !seen[fmt.Sprint("ann", n)] {
						t.Errorf("file %d is not listed, ascending %t", n, ascending)
					}
				}
			}
		})
	}
	all.Wait()
}

// All want the same id: one gets it, and nothing of the others is left.
func testConcurrentTaken(t *testing.T, s *files) {
	const number = 16
	errs := make([]error, number)
	var all sync.WaitGroup
	for n := range number {
		all.Go(func() {
			f := file("f", n)
			f.Tenant = fmt.Sprint("tenant", n)
			errs[n] = patiently(func() error { return s.AddFile(s.ctx, f) })
		})
	}
	all.Wait()
	owners := 0
	for n, err := range errs {
		f := file("f", n)
		f.Tenant = fmt.Sprint("tenant", n)
		switch {
		case err == nil:
			owners++
			s.has(f, at(0))
		case errors.Is(err, session.ErrTaken):
			s.hasNo(f, at(0))
		default:
			t.Errorf("%d: %v", n, err)
		}
	}
	if owners != 1 {
		t.Errorf("%d have the id", owners)
	}
}
