package caddyqwen

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// readFile takes up what the owner has put into the account file. It is called
// with the lock, or before anybody else has the keeper.
func (k *keeper) readFile() error {
	cred, info, err := readAccountFile(k.source.path)
	if errors.Is(err, fs.ErrNotExist) && k.source.optional {
		return nil
	}
	if err != nil {
		return err
	}
	again := k.file != nil
	k.file, k.openTold = info, false
	switch {
	case cred.Fingerprint() != k.supplied.Fingerprint():
		k.supply(cred)
	case again:
		k.endRest()
	}
	return nil
}

// supply takes up a credential that the owner has supplied. What was known of the
// old one says nothing about it. It is called with the lock.
func (k *keeper) supply(cred qwen.Credential) {
	k.supplied = cred
	k.supplies++
	k.made = time.Time{}
	k.setCredential(cred, cred.Expires())
	k.health, k.restored, k.saved = health{}, false, nil
	k.absences, k.away = 0, time.Time{}
	k.nextProbe, k.nextRenew, k.failures, k.denied, k.warned = time.Time{}, time.Time{}, 0, false, 0
	k.stir()
}

// endRest lets the site be asked again: the owner has written the same account file
// anew, having finished the site's check, for example. It is called with the lock.
func (k *keeper) endRest() {
	if k.health.resting() {
		k.health.Until, k.nextProbe = time.Time{}, time.Time{}
		k.stir()
	}
}

// look takes up what has changed on disk: the account file, the state file when the
// keeper is new, and when the account rests, whether the owner has cleared that. It
// is called with the lock.
func (k *keeper) look(logger *zap.Logger) {
	if k.source.path != "" {
		k.lookAtFile(logger)
	}
	if !k.restored || k.health.resting() || len(k.health.Quotas) > 0 {
		k.restore(logger)
	}
}

// errFileGone says that an account file that need not exist has been deleted.
var errFileGone = errors.New("it has been deleted; to take the account away, restart the server")

func (k *keeper) lookAtFile(logger *zap.Logger) {
	defer k.tellOpen(logger)
	info, err := os.Stat(k.source.path)
	if err == nil && k.file != nil && sameContent(info, k.file) {
		return
	}
	before := k.supplied.Fingerprint()
	if err = k.readFile(); err == nil && info == nil && k.file != nil {
		err = errFileGone
	}
	if err != nil {
		if text := err.Error(); text != k.fileErr {
			k.fileErr = text
			logger.Error("the account file cannot be read; what it held before is used further", zap.Error(err))
		}
		return
	}
	if k.fileErr = ""; k.supplied.Fingerprint() != before {
		logger.Info("the account file has been read", zap.String("path", k.source.path))
		k.stir() // who has put it there wants to know whether the site accepts it
	}
}

// tellOpen warns, once, of an account file that others may read.
func (k *keeper) tellOpen(logger *zap.Logger) {
	if k.file == nil || k.openTold || !tooOpen(k.file) {
		return
	}
	k.openTold = true
	logger.Warn("other users of this machine may read the account file: run chmod 600 on it", zap.String("path", k.source.path))
}
