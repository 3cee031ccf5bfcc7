package session

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound says that the store does not have what was asked for.
var ErrNotFound = errors.New("not in the session store")

// ErrUnavailable says that the store cannot be used at the moment: it is still
// being opened, locked, full, broken or closed. Conversations then go along as
// text; nobody is refused because of it.
var ErrUnavailable = errors.New("the session store is not available")

// Chat is a chat on the site that was opened for a caller.
type Chat struct {
	// Account is the digest of the account that the chat belongs to.
	Account Digest
	// ID is the site's id of the chat. It is unique within an account.
	ID string
	// Tenant is the caller that the chat belongs to.
	Tenant string
	// Model is the model that the chat was opened for.
	Model string
	// Disposable tells that the chat may be deleted on the site when it has
	// not been used for some time. It stays as it was when the chat was added.
	Disposable bool
	// Created and Used are when the chat was opened and when it had its last
	// turn, in milliseconds.
	Created, Used time.Time
}

// Turn is a completed turn of a conversation, and where it is on the site: the
// answer ResponseID of the chat ChatID, which follows the answer ParentID.
type Turn struct {
	Account    Digest
	ChatID     string
	ResponseID string
	// ParentID is the response id of the turn before in the same chat. Empty for
	// the first.
	ParentID string
	Tenant   string
	Model    string

	// Chain is the digest of the whole conversation up to and including the
	// reply: the key of the index Chain.
	Chain Digest
	// Loose is the digest of the same conversation without its system text: the
	// key of the index Loose, unless Indexed is false.
	Loose Digest
	// Pair is the digest of the system text, the last message of the user and
	// the reply: the key of the index Pair, unless Indexed is false or it is
	// zero.
	Pair Digest
	// Indexed tells that the reply is long enough for the indexes Loose and
	// Pair.
	Indexed bool
	// Aliases are the keys of the index Alias: digests of the same conversation
	// with the reply in other forms in which clients send it back, and of one
	// with a reply that is too short for the index Loose.
	Aliases []Digest

	// Messages are the digests of the messages that the turn added to those of
	// its parent, the reply last. Of more than MaxMessages the oldest are left
	// out.
	Messages []Digest
	// Partial tells that some messages are left out of Messages.
	Partial bool
	// Variants are the digests of the reply in other forms.
	Variants []Digest

	// Time is when the turn was completed, in milliseconds.
	Time time.Time
	// Continued tells that a turn was recorded whose parent this one is. It is
	// set by the store.
	Continued bool
}

// MaxMessages is the largest number of Messages in a Turn.
const MaxMessages = 1024

// Index is a way to find turns.
type Index uint8

// The indexes of a store. Several turns may have the same key in each of them.
const (
	// IndexChain has the turns by Turn.Chain.
	IndexChain Index = iota + 1
	// IndexLoose has the turns by Turn.Loose.
	IndexLoose
	// IndexPair has the turns by Turn.Pair.
	IndexPair
	// IndexAlias has the turns by each of Turn.Aliases.
	IndexAlias
)

// Store keeps where conversations are on the site. It holds digests, ids and
// times, but no text of any message and nothing secret. All methods are safe for
// concurrent use, and return ErrUnavailable, possibly wrapped, soon instead of
// waiting long for a store that is in trouble. What a method has acknowledged
// survives a crash of the process.
type Store interface {
	// Find returns the turns that have the key in the index, at most limit of
	// them: those that were not continued first, and among them the newest
	// first. Aliases of the turns are not filled in. Finding none is no error.
	Find(ctx context.Context, index Index, key Digest, limit int) ([]Turn, error)

	// Turn returns a turn by its place on the site, without its Aliases, or
	// ErrNotFound.
	Turn(ctx context.Context, account Digest, chatID, responseID string) (Turn, error)

	// Record adds a turn, and its chat if that is missing. It marks the parent as
	// continued and the chat as used at the time of the turn. Recording the same
	// turn twice has the effect of recording it once, and a turn never takes over
	// a chat of another tenant: that is an error.
	Record(ctx context.Context, t Turn) error

	// AddChat adds a chat. If there is a chat of the same id in the account, only
	// its time of use changes, and only to a later one.
	AddChat(ctx context.Context, c Chat) error

	// Chat returns a chat, or ErrNotFound.
	Chat(ctx context.Context, account Digest, chatID string) (Chat, error)

	// ForgetTurns removes all turns of a chat, but not the chat. Forgetting those
	// of an unknown chat is no error.
	ForgetTurns(ctx context.Context, account Digest, chatID string) error

	// RemoveChat removes a chat and all its turns. Removing an unknown chat is no
	// error.
	RemoveChat(ctx context.Context, account Digest, chatID string) error

	// IdleChats returns the disposable chats of an account that were used last
	// before a time, the longest unused first, at most limit of them.
	IdleChats(ctx context.Context, account Digest, before time.Time, limit int) ([]Chat, error)

	// Prune removes the turns that were recorded before a time, and the oldest of
	// those above the number keep; then the chats, unused since that time,
	// that have no turns. It removes at most limit of each and returns how many
	// turns and chats it has removed.
	Prune(ctx context.Context, before time.Time, keep, limit int) (removed int, err error)

	// Close ends the use of the store. What was acknowledged is kept. Other
	// methods then return ErrUnavailable. Closing twice is no error.
	Close() error
}
