package session

import (
	"context"
	"time"
)

// shelf returns the files of the store, to be used until end is called.
func (m *memory) shelf(ctx context.Context) (files *memoryFiles, end func(), err error) {
	if end, err = m.begin(ctx); err != nil {
		return nil, nil, err
	}
	if m.files == nil {
		m.files = NewMemoryFiles(1 << 30).(*memoryFiles)
	}
	return m.files, end, nil
}

func (m *memory) AddFile(ctx context.Context, f File) error {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return err
	}
	defer end()
	return files.AddFile(ctx, f)
}

func (m *memory) File(ctx context.Context, account Digest, tenant, id string, now time.Time) (File, error) {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return File{}, err
	}
	defer end()
	return files.File(ctx, account, tenant, id, now)
}

func (m *memory) FileByURL(ctx context.Context, account Digest, tenant, url string, now time.Time) (File, error) {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return File{}, err
	}
	defer end()
	return files.FileByURL(ctx, account, tenant, url, now)
}

func (m *memory) FileByHash(ctx context.Context, account Digest, tenant string, hash [32]byte, since, now time.Time) ([]File, error) {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return files.FileByHash(ctx, account, tenant, hash, since, now)
}

func (m *memory) Files(ctx context.Context, account Digest, tenant string, q FileQuery, now time.Time) ([]File, bool, error) {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return nil, false, err
	}
	defer end()
	return files.Files(ctx, account, tenant, q, now)
}

func (m *memory) RemoveFile(ctx context.Context, account Digest, tenant, id string) error {
	files, end, err := m.shelf(ctx)
	if err != nil {
		return err
	}
	defer end()
	return files.RemoveFile(ctx, account, tenant, id)
}

// pruneFiles removes old and expired files, at most limit of them.
func (m *memory) pruneFiles(before time.Time, limit int) (removed int) {
	if m.files == nil {
		return 0
	}
	for owner := range m.files.shelves {
		removed += m.files.remove(owner, func(f *File) bool {
			if limit <= 0 || !f.Created.Before(before) && !f.ExpiredAt(time.Now()) {
				return false
			}
			limit--
			return true
		})
	}
	return removed
}
