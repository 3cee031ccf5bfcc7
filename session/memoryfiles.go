package session

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// memoryFiles is a FileStore in memory.
type memoryFiles struct {
	max int

	mu      sync.Mutex
	number  int
	owners  map[filePlace]string // the tenant of each file
	shelves map[fileOwner][]File // in the order of compareFiles, none empty
}

// filePlace names a file, and fileOwner a tenant of an account.
type (
	filePlace struct {
		account Digest
		id      string
	}
	fileOwner struct {
		account Digest
		tenant  string
	}
)

// NewMemoryFiles returns a store of files in memory, for servers that keep no
// record on disk: it forgets all when the process ends. If there are more than max
// files of all accounts and tenants together, it forgets the oldest of those who
// have most. Unless max is positive, it is MaxFiles.
func NewMemoryFiles(max int) FileStore {
	if max <= 0 {
		max = MaxFiles
	}
	return &memoryFiles{max: max, owners: make(map[filePlace]string), shelves: make(map[fileOwner][]File)}
}

// compareFiles is the order of lists: that of creation.
func compareFiles(a, b File) int {
	return cmp.Or(cmp.Compare(a.Created.UnixMilli(), b.Created.UnixMilli()), cmp.Compare(a.ID, b.ID))
}

// AddFile implements FileStore.
func (m *memoryFiles) AddFile(ctx context.Context, f File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch tenant, ok := m.owners[filePlace{f.Account, f.ID}]; {
	case ok && tenant != f.Tenant:
		return ErrTaken
	case ok:
		m.remove(fileOwner{f.Account, f.Tenant}, func(old *File) bool { return old.ID == f.ID })
	}
	owner := fileOwner{f.Account, f.Tenant}
	shelf := m.shelves[owner]
	at, _ := slices.BinarySearchFunc(shelf, f, compareFiles)
	m.shelves[owner] = slices.Insert(shelf, at, f)
	m.owners[filePlace{f.Account, f.ID}] = f.Tenant
	m.number++
	m.shrink(owner)
	return nil
}

// shrink keeps the bounds after a file was added.
func (m *memoryFiles) shrink(owner fileOwner) {
	if len(m.shelves[owner]) > MaxFiles {
		m.dropOldest(owner)
	}
	if m.number <= m.max {
		return
	}
	most := owner
	for other, shelf := range m.shelves {
		if len(shelf) > len(m.shelves[most]) {
			most = other
		}
	}
	m.dropOldest(most)
}

func (m *memoryFiles) dropOldest(owner fileOwner) {
	oldest := m.shelves[owner][0].ID
	m.remove(owner, func(f *File) bool { return f.ID == oldest })
}

// remove removes some files of an owner and returns how many.
func (m *memoryFiles) remove(owner fileOwner, which func(*File) bool) (removed int) {
	shelf := slices.DeleteFunc(m.shelves[owner], func(f File) bool {
		if !which(&f) {
			return false
		}
		removed++
		delete(m.owners, filePlace{f.Account, f.ID})
		return true
	})
	if m.shelves[owner] = shelf; len(shelf) == 0 {
		delete(m.shelves, owner)
	}
	m.number -= removed
	return removed
}

// find returns the files that are wanted and have not expired, the newest first, at
// most limit of them.
func (m *memoryFiles) find(ctx context.Context, owner fileOwner, now time.Time, limit int, wanted func(*File) bool) (found []File, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range slices.Backward(m.shelves[owner]) {
		if len(found) == limit {
			break
		}
		if wanted(&f) && !f.ExpiredAt(now) {
			found = append(found, f)
		}
	}
	return found, nil
}

// first returns the newest file that is wanted.
func (m *memoryFiles) first(ctx context.Context, owner fileOwner, now time.Time, wanted func(*File) bool) (File, error) {
	found, err := m.find(ctx, owner, now, 1, wanted)
	if err != nil {
		return File{}, err
	}
	if len(found) == 0 {
		return File{}, ErrNotFound
	}
	return found[0], nil
}

// File implements FileStore.
func (m *memoryFiles) File(ctx context.Context, account Digest, tenant, id string, now time.Time) (File, error) {
	return m.first(ctx, fileOwner{account, tenant}, now, func(f *File) bool { return f.ID == id })
}

// FileByURL implements FileStore.
func (m *memoryFiles) FileByURL(ctx context.Context, account Digest, tenant, url string, now time.Time) (File, error) {
	return m.first(ctx, fileOwner{account, tenant}, now, func(f *File) bool { return url != "" && f.URL == url })
}

// FileByHash implements FileStore.
func (m *memoryFiles) FileByHash(ctx context.Context, account Digest, tenant string, hash [32]byte, since, now time.Time) ([]File, error) {
	return m.find(ctx, fileOwner{account, tenant}, now, MaxSameHash, func(f *File) bool {
		return hash != [32]byte{} && f.Hash == hash && f.Created.UnixMilli() >= since.UnixMilli()
	})
}

// Files implements FileStore.
func (m *memoryFiles) Files(ctx context.Context, account Digest, tenant string, q FileQuery, now time.Time) (files []File, more bool, err error) {
	if q.Limit <= 0 {
		return nil, false, ctx.Err()
	}
	files, err = m.find(ctx, fileOwner{account, tenant}, now, -1, func(f *File) bool {
		return f.Purpose != "" && (q.Purpose == "" || f.Purpose == q.Purpose) || f.ID == q.After
	})
	if err != nil {
		return nil, false, err
	}
	if q.Ascending {
		slices.Reverse(files)
	}
	if q.After != "" {
		at := slices.IndexFunc(files, func(f File) bool { return f.ID == q.After })
		if at < 0 {
			return nil, false, ErrNotFound
		}
		files = files[at+1:]
	}
	return slices.Clone(files[:min(q.Limit, len(files))]), len(files) > q.Limit, nil
}

// RemoveFile implements FileStore.
func (m *memoryFiles) RemoveFile(ctx context.Context, account Digest, tenant, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.remove(fileOwner{account, tenant}, func(f *File) bool { return f.ID == id }) == 0 {
		return ErrNotFound
	}
	return nil
}

// Interface guard.
var _ FileStore = (*memoryFiles)(nil)
