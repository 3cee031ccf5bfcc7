package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// maxFiles is session.MaxFiles.
const maxFiles = session.MaxFiles

const (
	fileKeys    = "account, tenant, file, purpose, created, expires, url, hash, data"
	fileColumns = "created, expires, data"
	// oldFiles holds for files that were created before ?1 or have expired at ?2.
	oldFiles = "(created < ?1 OR expires <= ?2)"
)

// never stands in the file for the time at which a file does not expire.
const never = math.MaxInt64

// excluded returns the columns as they are in a row that is not added because
// there is one.
func excluded(columns string) string {
	return "excluded." + strings.ReplaceAll(columns, ", ", ", excluded.")
}

func (r *reader) fileTexts() map[**sql.Stmt]string {
	files := "SELECT " + fileColumns + " FROM files WHERE "
	part := files + "account = ? AND tenant = ? AND expires > ? AND purpose != '' AND (?4 = '' OR purpose = ?4) AND (created, file) "
	return map[**sql.Stmt]string{
		&r.file:        files + "account = ? AND tenant = ? AND file = ? AND expires > ?",
		&r.fileByURL:   files + "url = ? AND expires > ? ORDER BY created DESC, file DESC",
		&r.filesByHash: files + "hash = ? AND expires > ? AND created >= ? ORDER BY created DESC, file DESC",
		&r.filesDown:   part + "< (?5, ?6) ORDER BY created DESC, file DESC LIMIT ?7",
		&r.filesUp:     part + "> (?5, ?6) ORDER BY created, file LIMIT ?7",
		&r.oldFiles:    "SELECT id FROM files WHERE " + oldFiles + " LIMIT ?3",
	}
}

// fileKey returns the key of a URL or hash in the file. It is that of one tenant,
// so that what many have does not make the look-ups of one longer.
func fileKey(purpose string, account session.Digest, tenant, value string) int64 {
	d := session.Of(purpose, string(account[:]), tenant, value)
	return int64(binary.BigEndian.Uint64(d[:]))
}

func urlKey(account session.Digest, tenant, url string) int64 {
	return fileKey("url of a file", account, tenant, url)
}

func hashKey(account session.Digest, tenant string, hash [32]byte) int64 {
	return fileKey("hash of a file", account, tenant, string(hash[:]))
}

// fileRow returns the values of fileKeys.
func fileRow(f *session.File) []any {
	expires := int64(never)
	if !f.Expires.IsZero() {
		expires = f.Expires.UnixMilli()
	}
	return []any{f.Account[:], f.Tenant, f.ID, f.Purpose, f.Created.UnixMilli(), expires,
		urlKey(f.Account, f.Tenant, f.URL), hashKey(f.Account, f.Tenant, f.Hash), encodeFile(f)}
}

// AddFile implements session.Store.
func (s *Store) AddFile(ctx context.Context, f session.File) error {
	row := fileRow(&f)
	return s.write(ctx, job{op: func(w *writer) error {
		err := changed(session.ErrTaken)(w.addFile.Exec(row...))
		if err == nil {
			_, err = w.trimFiles.Exec(f.Account[:], f.Tenant)
		}
		return err
	}})
}

// changed returns the error if a statement has changed nothing.
func changed(otherwise error) func(sql.Result, error) error {
	return func(result sql.Result, err error) error {
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			err = otherwise
		}
		return err
	}
}

// RemoveFile implements session.Store.
func (s *Store) RemoveFile(ctx context.Context, account session.Digest, tenant, id string) error {
	return s.write(ctx, job{op: func(w *writer) error {
		return changed(session.ErrNotFound)(w.dropFile.Exec(account[:], tenant, id))
	}})
}

// scanFile reads a row of fileColumns.
func scanFile(rows *sql.Rows) (f session.File, err error) {
	var created, expires int64
	var data sql.RawBytes
	if rows.Scan(&created, &expires, &data) != nil {
		return f, damaged("a column of a file has another type")
	}
	if f, err = decodeFile(data); err != nil {
		return f, err
	}
	if f.Created = instant(created); expires != never {
		f.Expires = instant(expires)
	}
	return f, nil
}

// filesOf returns the files of a query that are wanted, at most limit of them. All
// must be those of the tenant.
func filesOf(account session.Digest, tenant string, limit int, wanted func(*session.File) (bool, error)) func(*sql.Rows, error) ([]session.File, error) {
	return func(rows *sql.Rows, err error) (found []session.File, _ error) {
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for len(found) < limit && rows.Next() {
			f, err := scanFile(rows)
			if err != nil {
				return nil, err
			}
			if f.Account != account || f.Tenant != tenant {
				return nil, damaged("a file was found that is that of another")
			}
			ok, err := wanted(&f)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, f)
			}
		}
		return found, rows.Err()
	}
}

// ofKey wants the files that are the right ones of those with a key.
func ofKey(right func(*session.File) bool, key int64, keyOf func(*session.File) int64) func(*session.File) (bool, error) {
	return func(f *session.File) (bool, error) {
		if keyOf(f) != key {
			return false, damaged("a file was found by a key that is not its own")
		}
		return right(f), nil
	}
}

// oneOf returns the only file that a query has found.
func oneOf(found []session.File, err error) (session.File, error) {
	if err == nil && len(found) == 0 {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.File{}, err
	}
	return found[0], nil
}

// File implements session.Store.
func (s *Store) File(ctx context.Context, account session.Digest, tenant, id string, now time.Time) (f session.File, err error) {
	err = s.read(ctx, func(r *reader) error {
		f, err = r.fileOf(account, tenant, id, now)
		return err
	})
	return f, err
}

func (r *reader) fileOf(account session.Digest, tenant, id string, now time.Time) (session.File, error) {
	one := filesOf(account, tenant, 1, func(f *session.File) (bool, error) {
		if f.ID != id {
			return false, damaged("a file was found by an id that is not its own")
		}
		return true, nil
	})
	return oneOf(one(r.file.Query(account[:], tenant, id, now.UnixMilli())))
}

// FileByURL implements session.Store.
func (s *Store) FileByURL(ctx context.Context, account session.Digest, tenant, url string, now time.Time) (f session.File, err error) {
	key := urlKey(account, tenant, url)
	one := filesOf(account, tenant, 1, ofKey(func(f *session.File) bool { return f.URL == url }, key,
		func(f *session.File) int64 { return urlKey(account, tenant, f.URL) }))
	err = s.read(ctx, func(r *reader) error {
		if url == "" {
			return session.ErrNotFound
		}
		f, err = oneOf(one(r.fileByURL.Query(key, now.UnixMilli())))
		return err
	})
	return f, err
}

// FileByHash implements session.Store.
func (s *Store) FileByHash(ctx context.Context, account session.Digest, tenant string, hash [32]byte, since, now time.Time) (found []session.File, err error) {
	key := hashKey(account, tenant, hash)
	some := filesOf(account, tenant, session.MaxSameHash, ofKey(func(f *session.File) bool { return f.Hash == hash }, key,
		func(f *session.File) int64 { return hashKey(account, tenant, f.Hash) }))
	err = s.read(ctx, func(r *reader) error {
		if hash == [32]byte{} {
			return nil
		}
		found, err = some(r.filesByHash.Query(key, now.UnixMilli(), since.UnixMilli()))
		return err
	})
	return found, err
}

// Files implements session.Store.
func (s *Store) Files(ctx context.Context, account session.Digest, tenant string, q session.FileQuery, now time.Time) (files []session.File, more bool, err error) {
	if q.Limit <= 0 {
		return nil, false, ctx.Err()
	}
	q.Limit = min(q.Limit, maxFiles)
	err = s.read(ctx, func(r *reader) error {
		files, err = r.listFiles(account, tenant, q, now)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return files[:min(q.Limit, len(files))], len(files) > q.Limit, nil
}

// listFiles returns one file more than the limit if there are so many.
func (r *reader) listFiles(account session.Digest, tenant string, q session.FileQuery, now time.Time) ([]session.File, error) {
	list, after := r.filesDown, int64(math.MaxInt64)
	if q.Ascending {
		list, after = r.filesUp, math.MinInt64
	}
	if q.After != "" {
		f, err := r.fileOf(account, tenant, q.After, now)
		if err != nil {
			return nil, err
		}
		after = f.Created.UnixMilli()
	}
	all := filesOf(account, tenant, q.Limit+1, func(f *session.File) (bool, error) {
		if f.Purpose == "" || q.Purpose != "" && f.Purpose != q.Purpose {
			return false, damaged("a file was found by a purpose that is not its own")
		}
		return true, nil
	})
	return all(list.Query(account[:], tenant, now.UnixMilli(), q.Purpose, after, q.After, q.Limit+1))
}
