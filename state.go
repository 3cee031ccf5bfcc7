package caddyqwen

import (
	"crypto/sha256"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/semaphore"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// states holds what outlives a configuration. On a reload the new handler takes
// over the state of the old one, and the old one's requests keep theirs.
var states = caddy.NewUsagePool()

// state is what all handlers with the same accounts share: who is being served,
// and the models of the site.
type state struct {
	slots   *slots
	catalog *catalog
	// bodies bounds the bytes of large request bodies that are in memory at the
	// same time.
	bodies *semaphore.Weighted
	// files are what is known of uploaded files without a record on disk.
	files session.FileStore
	// substitutes are the models that were logged as taking the place of others.
	substitutes sync.Map
	// native are the models for which the site has not taken functions.
	native nativeRefusals
}

// memoryFiles is how many files are remembered in memory.
const memoryFiles = 1000

// Limits on the memory for request bodies.
const (
	smallBody  = 1 << 20  // bodies up to this size are not counted
	bodyMemory = 64 << 20 // for all larger ones together
)

// Destruct is called when the last user of the state is gone. There is nothing
// to close.
func (*state) Destruct() error { return nil }

// stateKey names a state: all that decides what it is about.
type stateKey struct {
	accounts   [sha256.Size]byte // of where their credentials come from
	count      int               // of accounts
	perAccount int               // max_streams_per_account
}

func newStateKey(accounts []*account, perAccount int) stateKey {
	h := sha256.New()
	for _, a := range accounts {
		key := a.source.key()
		h.Write(key[:])
	}
	return stateKey{accounts: [sha256.Size]byte(h.Sum(nil)), count: len(accounts), perAccount: perAccount}
}

// acquire returns the state with this key. Who got it must call release once.
func (k stateKey) acquire() (*state, error) {
	value, _, err := states.LoadOrNew(k, func() (caddy.Destructor, error) {
		return &state{
			slots:   newSlots(k.count, k.perAccount),
			catalog: newCatalog(),
			bodies:  semaphore.NewWeighted(bodyMemory),
			files:   session.NewMemoryFiles(memoryFiles),
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*state), nil
}

// release gives back what acquire returned.
func (k stateKey) release() error {
	_, err := states.Delete(k)
	return err
}
