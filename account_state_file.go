package caddyqwen

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// stateFile is what is kept of an account over restarts, as JSON.
type stateFile struct {
	Version int    `json:"version"`
	Label   string `json:"label"`
	BaseURL string `json:"base_url"`
	// Supplied is the digest of the credential that the owner has supplied. What is
	// known of another one is of no use.
	Supplied string `json:"supplied"`
	// Cookies and Token are the credential as the site has renewed it.
	Cookies string    `json:"cookies,omitempty"`
	Token   string    `json:"token,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Updated time.Time `json:"updated"`
	health
}

const (
	stateVersion = 1
	// stateLife is how long a state file is kept that nobody writes any more. The
	// longest credential of the site ends before.
	stateLife = 45 * 24 * time.Hour
)

// accountsDir is where the state files are: the directory `qwen/accounts` in Caddy's
// data directory.
func accountsDir() string { return filepath.Join(caddy.AppDataDir(), "qwen", "accounts") }

// statePath returns the place of the state file. It is called with the lock.
func (k *keeper) statePath() string {
	id := session.Of("account", k.source.baseURL, k.supplied.Identity())
	return filepath.Join(accountsDir(), hex.EncodeToString(id[:16])+".json")
}

// restore takes up the state file if it has changed since it was read or written
// here: at the start, and when the owner has cleared a state. It is called with the
// lock.
func (k *keeper) restore(logger *zap.Logger) {
	k.restored = true
	if k.supplied.Empty() {
		return
	}
	info, err := os.Stat(k.statePath())
	if err != nil || k.saved != nil && sameContent(info, k.saved) {
		return
	}
	f, info, err := readStateFile(k.statePath())
	if err != nil {
		logger.Warn("what is known of the account cannot be read, and will be found out anew", zap.Error(err))
		k.saved = info
		return
	}
	k.saved = info
	if f.Supplied != suppliedDigest(k.supplied) {
		return
	}
	kept := k.supplied
	kept.Cookies, kept.Token = f.Cookies, f.Token
	if !kept.Empty() && !kept.Expires().Before(k.cred.Expires()) {
		ends := f.Expires // by this server's clock
		if ends.IsZero() {
			ends = kept.Expires()
		}
		k.setCredential(kept, ends)
	}
	if newest := k.health.newest(); !newest.IsZero() && !newest.Before(f.Updated) {
		return // something has happened since, which may not be in the file yet
	}
	begun := k.health.begun + 1
	k.health, k.nextProbe = f.health.plausible(time.Now()), time.Time{}
	k.health.begun = begun
	if k.health.resting() {
		k.nextProbe = k.health.Until
	}
}

func suppliedDigest(c qwen.Credential) string {
	sum := c.Fingerprint()
	return hex.EncodeToString(sum[:])
}

// readStateFile reads a state file.
func readStateFile(path string) (*stateFile, fs.FileInfo, error) {
	data, info, err := readSmallFile(path)
	if err != nil {
		return nil, nil, err
	}
	f := new(stateFile)
	if json.Unmarshal(data, f) != nil || f.Version != stateVersion {
		return nil, info, fmt.Errorf("%s is not a state file of this program; delete it", path)
	}
	if !slices.Contains(keptStates, f.State) {
		f.health = health{}
	}
	return f, info, nil
}

// keptStates are the states that are kept; the others follow from what else is known.
// With one that is none of these, nothing is known: it would get into metrics, and
// what it has set could not be trusted.
var keptStates = []accountState{"", accountOK, accountExpired, accountVerification}

// dirty has what is known now saved by a time at the latest. It is called with the
// lock.
func (k *keeper) dirty(by time.Time) {
	if k.saveBy.IsZero() || by.Before(k.saveBy) {
		k.saveBy = by
	}
}

// saveDue reports whether something is to be saved at a time.
func (k *keeper) saveDue(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.saveBy.IsZero() && !now.Before(k.saveBy)
}

// unsaved reports whether the state file is behind.
func (k *keeper) unsaved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.saveBy.IsZero()
}

// flush saves what is not saved yet. What another goroutine is saving has been saved,
// too, when it returns.
func (k *keeper) flush(logger *zap.Logger) {
	k.saving.Lock()
	defer k.saving.Unlock()
	if !k.unsaved() {
		return
	}
	err := k.write(logger)
	k.mu.Lock()
	defer k.mu.Unlock()
	if failed := err != nil; failed != k.saveErr {
		if k.saveErr = failed; failed {
			logger.Warn("what is known of the account cannot be saved; after a restart, it will be found out anew", zap.Error(err))
		}
	}
}

// save writes the state file, with what is in it that is newer: another process, such
// as `caddy qwen accounts --clear`, may have written it.
func (k *keeper) save(logger *zap.Logger) error {
	k.saving.Lock()
	defer k.saving.Unlock()
	return k.write(logger)
}

// write is save for who may save.
func (k *keeper) write(logger *zap.Logger) error {
	for try := 1; ; try++ {
		k.mu.Lock()
		k.restore(logger)
		path, f, seen := k.statePath(), k.stateFile(), k.saved
		k.saveBy = time.Time{}
		k.mu.Unlock()
		info, err := writeStateFile(path, f, seen)
		k.mu.Lock()
		if err == nil {
			k.saved = info
		} else {
			k.dirty(time.Now().Add(flushInterval))
		}
		k.mu.Unlock()
		if try == saveTries || !errors.Is(err, errStateChanged) {
			return err
		}
	}
}

// saveTries is how often a state file is tried to be written that others write, too.
const saveTries = 3

// errStateChanged says that another process has written a state file meanwhile.
var errStateChanged = errors.New("another process has written the state file at the same time")

func (k *keeper) stateFile() *stateFile {
	return &stateFile{
		Version: stateVersion, Label: k.label, BaseURL: k.source.baseURL, Supplied: suppliedDigest(k.supplied),
		Cookies: k.cred.Cookies, Token: k.cred.Token, Expires: k.ends, Updated: time.Now().UTC(),
		health: k.health.clone(),
	}
}

// writeStateFile stores a state file, readable by its owner only, in place of the one
// that was seen, unless that is nil.
func writeStateFile(path string, f *stateFile, seen fs.FileInfo) (fs.FileInfo, error) {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	return replaceFileUnless(path, append(data, '\n'), func() error {
		if there, err := os.Stat(path); seen != nil && err == nil && !sameContent(there, seen) {
			return errStateChanged
		}
		return nil
	})
}

// removeOldStates deletes the state files that nobody has written for long. They
// hold credentials.
func removeOldStates(now time.Time) {
	entries, _ := os.ReadDir(accountsDir()) // there may be none
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > stateLife {
			_ = os.Remove(filepath.Join(accountsDir(), entry.Name())) // the next time, then
		}
	}
}
