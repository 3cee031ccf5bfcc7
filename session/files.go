package session

import (
	"context"
	"errors"
	"time"
)

// ErrTaken says that the id of a file belongs to another tenant.
var ErrTaken = errors.New("the id of the file belongs to another caller")

const (
	// MaxFiles is how many files a FileStore keeps for a tenant of an account. When
	// one more is added, the oldest goes.
	MaxFiles = 10_000
	// MaxSameHash is how many files FileByHash returns at most.
	MaxSameHash = 8
)

// File is a file that a caller has uploaded to the site.
type File struct {
	// Account is the digest of the account that the file belongs to.
	Account Digest
	// Tenant is the caller that has uploaded the file.
	Tenant string
	// ID is the site's id of the file. It is unique within an account.
	ID string
	// Owner is the site's id of the user who owns the object. It may be empty.
	Owner string
	// URL is where the object is, without the signature. It may be empty.
	URL string
	// Name is the file's name, and MIME its type, as in "image/png".
	Name, MIME string
	// Kind is what the site takes the file for, and Purpose what the caller has said
	// that it is for. The store compares purposes but knows none. A file without a
	// purpose, which was only attached to a message, is in no list.
	Kind, Purpose string
	// Size is the number of bytes.
	Size int64
	// Hash is the SHA-256 of the content. It is zero if that is not known.
	Hash [32]byte
	// Created and Expires are when the file was uploaded and from when on it counts
	// as gone, in milliseconds. If Expires is zero, it never does by itself.
	Created, Expires time.Time
}

// ExpiredAt reports whether the file has expired at a time.
func (f *File) ExpiredAt(now time.Time) bool {
	return !f.Expires.IsZero() && f.Expires.UnixMilli() <= now.UnixMilli()
}

// FileQuery says which files of a tenant to list.
type FileQuery struct {
	// Purpose of the files. Empty: any, but not none.
	Purpose string
	// After is the id of the file after which the list goes on. Empty: it begins at
	// the beginning.
	After string
	// Limit is how many files to return at most. Unless it is positive, there are
	// none.
	Limit int
	// Ascending makes the list begin with the oldest file instead of the newest.
	Ascending bool
}

// FileStore keeps what is known of uploaded files: all that a File has, but not
// its content. Its methods see the files of the account and tenant only, and of
// these only the ones that have not expired at the time now, so that files of
// others, expired and unknown ones are all the same: ErrNotFound. Files that were
// created at the same time are in the order of their ids.
//
// Of each tenant of an account it keeps MaxFiles, the newest, whether they have
// expired or not. All methods are safe for concurrent use.
type FileStore interface {
	// AddFile adds a file. Adding it again replaces all that is known of it. If
	// the store has a file of another tenant of the account with the id, even one
	// that has expired, the error is ErrTaken, and nothing changes.
	AddFile(ctx context.Context, f File) error

	// File returns a file by its id, or ErrNotFound.
	File(ctx context.Context, account Digest, tenant, id string, now time.Time) (File, error)

	// FileByURL returns the newest file with the URL, or ErrNotFound. No file is
	// found by an empty URL.
	FileByURL(ctx context.Context, account Digest, tenant, url string, now time.Time) (File, error)

	// FileByHash returns the files with the hash that were created at a time or
	// after it, the newest first, at most MaxSameHash of them. No file is found by
	// the zero hash. Finding none is no error.
	FileByHash(ctx context.Context, account Digest, tenant string, hash [32]byte, since, now time.Time) ([]File, error)

	// Files returns a part of the list of files, in the order of their creation, and
	// whether there are more after them. If the list is to go on after a file that
	// is not found, the error is ErrNotFound. Files that are added meanwhile come at
	// the end of the list where the newest are, and no file comes twice, unless it is
	// added again with another time.
	Files(ctx context.Context, account Digest, tenant string, q FileQuery, now time.Time) (files []File, more bool, err error)

	// RemoveFile removes a file, also one that has expired. If there is none, the
	// error is ErrNotFound.
	RemoveFile(ctx context.Context, account Digest, tenant, id string) error
}
