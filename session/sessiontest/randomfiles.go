package sessiontest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// fileList is a store of files as simple as possible, to compare others with.
type fileList struct{ all []session.File }

// index returns where a file is, whoever has it, or -1.
func (l *fileList) index(account session.Digest, id string) int {
	return slices.IndexFunc(l.all, func(f session.File) bool { return f.Account == account && f.ID == id })
}

func (l *fileList) add(f session.File) error {
	i := l.index(f.Account, f.ID)
	switch {
	case i < 0:
		l.all = append(l.all, f)
	case l.all[i].Tenant != f.Tenant:
		return session.ErrTaken
	default:
		l.all[i] = f
	}
	return nil
}

func (l *fileList) remove(account session.Digest, tenant, id string) error {
	i := l.index(account, id)
	if i < 0 || l.all[i].Tenant != tenant {
		return session.ErrNotFound
	}
	l.all = slices.Delete(l.all, i, i+1)
	return nil
}

// find returns the files of a tenant that are wanted, the newest first.
func (l *fileList) find(account session.Digest, tenant string, now time.Time, wanted func(session.File) bool) (found []session.File) {
	for _, f := range l.all {
		if f.Account == account && f.Tenant == tenant && (f.Expires.IsZero() || now.Before(f.Expires)) && wanted(f) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b session.File) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
	return found
}

func (l *fileList) list(account session.Digest, tenant string, q session.FileQuery, now time.Time) (found []session.File, more bool, err error) {
	all := l.find(account, tenant, now, func(session.File) bool { return true })
	if q.Ascending {
		slices.Reverse(all)
	}
	if q.After != "" {
		at := slices.IndexFunc(all, func(f session.File) bool { return f.ID == q.After })
		if at < 0 {
			return nil, false, session.ErrNotFound
		}
		all = all[at+1:]
	}
	for _, f := range all {
		switch {
		case f.Purpose == "", q.Purpose != "" && f.Purpose != q.Purpose:
		case len(found) == q.Limit:
			return found, true, nil
		default:
			found = append(found, f)
		}
	}
	return found, false, nil
}

func (l *fileList) prune(before, now time.Time) (removed int) {
	number := len(l.all)
	l.all = slices.DeleteFunc(l.all, func(f session.File) bool {
		return f.Created.Before(before) || !f.Expires.IsZero() && !now.Before(f.Expires)
	})
	return number - len(l.all)
}

func (r *random) fileID() string { return fmt.Sprint("f", r.IntN(20)) }

func (r *random) tenant() string { return []string{"ann", "bob"}[r.IntN(2)] }

func (r *random) file() session.File {
	f := session.File{
		Account: r.account(), Tenant: r.tenant(), ID: r.fileID(), URL: []string{"", "a", "b"}[r.IntN(3)],
		Purpose: []string{"", "vision", "batch"}[r.IntN(3)], Size: r.Int64(), Created: at(r.IntN(30)),
		Name: fmt.Sprint(r.IntN(1000)), Hash: [32]byte{31: byte(r.IntN(3))},
	}
	switch r.IntN(4) {
	case 0:
		f.Expires = at(r.IntN(60))
	case 1:
		f.Expires = time.UnixMilli(int64(r.IntN(1000))) // long ago, by any clock
	}
	return f
}

// testRandomFiles does the same random things to the store and to a plain list,
// and compares what each finds.
func testRandomFiles(t *testing.T, s *files) {
	r := &random{Rand: rand.New(rand.NewPCG(seed(t), 2))}
	l := new(fileList)
	for step := range 1500 {
		switch r.IntN(12) {
		default:
			f := r.file()
			if err, want := s.AddFile(s.ctx, f), l.add(f); !errors.Is(err, want) {
				t.Errorf("adding %s: %v, not %v", f.ID, err, want)
			}
		case 0, 1:
			account, tenant, id := r.account(), r.tenant(), r.fileID()
			if err, want := s.RemoveFile(s.ctx, account, tenant, id), l.remove(account, tenant, id); !errors.Is(err, want) {
				t.Errorf("removing %s: %v, not %v", id, err, want)
			}
		case 2:
			r.pruneFiles(s, l)
		}
		r.compareFiles(s, l)
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
}

// pruneFiles does nothing to a store that is one of files only.
func (r *random) pruneFiles(s *files, l *fileList) {
	pruned, ok := s.FileStore.(session.Store)
	if !ok {
		return
	}
	before := at(r.IntN(15))
	removed, err := pruned.Prune(s.ctx, before, 0, 1000)
	if want := l.prune(before, time.Now()); err != nil || removed != want {
		s.t.Errorf("removed %d, not %d, %v", removed, want, err)
	}
}

func (r *random) compareFiles(s *files, l *fileList) {
	account, tenant, now := r.account(), r.tenant(), at(r.IntN(60))
	same := func(what string, got, want []session.File, err, wantErr error) {
		s.t.Helper()
		if len(got) != len(want) || !errors.Is(err, wantErr) {
			s.t.Fatalf("%s: %v, %v; not %v, %v", what, ids(got), err, ids(want), wantErr)
		}
		for i := range want {
			sameFile(s.t, got[i], want[i])
		}
	}
	one := func(what string, got session.File, err error, want []session.File) {
		s.t.Helper()
		if len(want) == 0 {
			same(what, nil, nil, err, session.ErrNotFound)
		} else {
			same(what, []session.File{got}, want[:1], err, nil)
		}
	}
	id, url, hash, since := r.fileID(), []string{"", "a", "b"}[r.IntN(3)], [32]byte{31: byte(r.IntN(3))}, at(r.IntN(30))
	got, err := s.File(s.ctx, account, tenant, id, now)
	one("File", got, err, l.find(account, tenant, now, func(f session.File) bool { return f.ID == id }))
	got, err = s.FileByURL(s.ctx, account, tenant, url, now)
	one("FileByURL", got, err, l.find(account, tenant, now, func(f session.File) bool { return url != "" && f.URL == url }))
	found, err := s.FileByHash(s.ctx, account, tenant, hash, since, now)
	want := l.find(account, tenant, now, func(f session.File) bool {
		return hash != [32]byte{} && f.Hash == hash && !f.Created.Before(since)
	})
	same("FileByHash", found, want[:min(len(want), session.MaxSameHash)], err, nil)
	q := session.FileQuery{Limit: 1 + r.IntN(8), Ascending: r.IntN(2) == 0, Purpose: []string{"", "", "vision"}[r.IntN(3)]}
	if r.IntN(2) == 0 {
		q.After = r.fileID()
	}
	found, more, err := s.Files(s.ctx, account, tenant, q, now)
	want, wantMore, wantErr := l.list(account, tenant, q, now)
	same(fmt.Sprintf("%+v", q), found, want, err, wantErr)
	if more != wantMore {
		s.t.Errorf("%+v: more %t", q, more)
	}
}
