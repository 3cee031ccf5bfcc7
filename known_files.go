package caddyqwen

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// knownFiles are the files that a caller has uploaded.
type knownFiles struct {
	h      *Handler
	tenant string
	store  session.FileStore
	shared *sessions // nil without a record
	state  *state    // nil with one
}

// knownFiles returns what is known of a caller's files. Without a record on disk
// it is in memory. Who got it must close it.
func (h *Handler) knownFiles(who caller) *knownFiles {
	k := &knownFiles{h: h, tenant: who.tenant}
	if k.shared = h.sessions(); k.shared != nil {
		k.store = k.shared.store
		return k
	}
	k.state, _ = h.stateKey.acquire() // making a state does not fail
	k.store = k.state.files
	return k
}

func (k *knownFiles) close() {
	k.shared.release(k.h.logger)
	if k.state != nil {
		_ = k.h.stateKey.release() // nothing is closed that could fail
	}
}

// check logs a failure of the store.
func (k *knownFiles) check(err error) {
	if k.shared != nil && !errors.Is(err, session.ErrTaken) {
		k.shared.check(k.h.logger, err)
	}
}

// errFileNotFound is the answer for all files that are not the caller's, whether
// they exist or not.
var errFileNotFound = &openai.Error{Status: http.StatusNotFound, Code: "file_not_found", Type: openai.TypeInvalidRequest,
	Message: "There is no such file among those that were uploaded with your key; perhaps it has expired. Upload it again."}

// get returns what is known of a file, or why nothing is.
func (k *knownFiles) get(ctx context.Context, id string) (session.File, error) {
	if !plainID(id) {
		return session.File{}, errFileNotFound
	}
	for _, a := range k.h.accounts {
		f, err := k.store.File(ctx, a.id(), k.tenant, id, time.Now())
		k.check(err)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, session.ErrNotFound):
			return f, errNoSessions
		}
	}
	return session.File{}, errFileNotFound
}

// byURL returns the file that a URL names, or nil: then it has to be fetched.
func (k *knownFiles) byURL(ctx context.Context, rawURL string) *session.File {
	for _, a := range k.h.accounts {
		f, err := k.store.FileByURL(ctx, a.id(), k.tenant, withoutSignature(rawURL), time.Now())
		k.check(err)
		if err == nil {
			return &f
		}
	}
	return nil
}

// fileLife is for how long the same content is not uploaded again. How long the
// site keeps a file is not known.
const fileLife = 24 * time.Hour

// same returns a file with the same content that an account was sent not long ago, or
// nil. A document has to have the same name, which the model sees.
func (k *knownFiles) same(ctx context.Context, a *account, c *content) *session.File {
	now := time.Now()
	found, err := k.store.FileByHash(ctx, a.id(), k.tenant, c.SHA256(), now.Add(-fileLife), now)
	k.check(err)
	for i := range found {
		f := &found[i]
		if f.MIME == c.MIME && f.Kind == c.Kind.String() && (f.Name == c.name || !c.named && f.Kind != qwen.FileDocument) {
			return f
		}
	}
	return nil
}

// add remembers a file of an account.
func (k *knownFiles) add(ctx context.Context, a *account, f session.File) error {
	f.Account, f.Tenant = a.id(), k.tenant
	err := k.store.AddFile(context.WithoutCancel(ctx), f)
	k.check(err)
	return err
}

// remove forgets a file.
func (k *knownFiles) remove(ctx context.Context, id string) error {
	if !plainID(id) {
		return errFileNotFound
	}
	for _, a := range k.h.accounts {
		err := k.store.RemoveFile(ctx, a.id(), k.tenant, id)
		k.check(err)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, session.ErrNotFound):
			return errNoSessions
		}
	}
	return errFileNotFound
}

// list returns files that the caller has uploaded to be kept, of all accounts.
func (k *knownFiles) list(ctx context.Context, q session.FileQuery) (files []session.File, more bool, err error) {
	if accounts := k.h.accounts; len(accounts) == 1 {
		files, more, err = k.store.Files(ctx, accounts[0].id(), k.tenant, q, time.Now())
	} else {
		files, more, err = k.listAll(ctx, q)
	}
	k.check(err)
	switch {
	case errors.Is(err, session.ErrNotFound):
		err = invalidFile(http.StatusBadRequest, "invalid_value", "after", "There is no file with this id in your list.")
	case err != nil:
		err = errNoSessions
	}
	return files, more, err
}

// listAll makes one list of those of several accounts, of each of which the store
// has a bounded number.
func (k *knownFiles) listAll(ctx context.Context, q session.FileQuery) (files []session.File, more bool, err error) {
	whole := session.FileQuery{Purpose: q.Purpose, Limit: session.MaxFiles, Ascending: q.Ascending}
	for _, a := range k.h.accounts {
		some, _, err := k.store.Files(ctx, a.id(), k.tenant, whole, time.Now())
		if err != nil {
			return nil, false, err
		}
		files = append(files, some...)
	}
	slices.SortFunc(files, func(a, b session.File) int {
		order := cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
		if q.Ascending {
			return order
		}
		return -order
	})
	if q.After != "" {
		i := slices.IndexFunc(files, func(f session.File) bool { return f.ID == q.After })
		if i < 0 {
			return nil, false, session.ErrNotFound
		}
		files = files[i+1:]
	}
	n := min(len(files), q.Limit)
	return files[:n], n < len(files), nil
}

// fileOf returns a file as a turn refers to it.
func fileOf(f *session.File) *qwen.File {
	return &qwen.File{
		ID: f.ID, UserID: f.Owner, URL: f.URL, Name: f.Name, MIME: f.MIME, Kind: f.Kind, Size: f.Size, Created: f.Created,
	}
}
