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

	Key
	// System is the digest of the system text within the scope.
	System Digest
	// Long tells that the reply is long enough to be known again without the
	// whole conversation.
	Long bool
	// Aliases are digests like Key.Pair with the reply in other forms in which
	// clients send it back.
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

// Key names turns that end in the same way. Several turns may have the same.
type Key struct {
	// Pair is the digest of the last two messages, the second of which is the
	// reply. It is never zero.
	Pair Digest
	// Loose is the digest of the conversation without its system text, up to and
	// including the reply.
	Loose Digest
	// Chain is the digest of the same with its system text.
	Chain Digest
}

// Matches reports whether a turn with the key is one of those that wanted names:
// zero digests in it stand for any.
func (k Key) Matches(wanted Key) bool {
	return k.Pair == wanted.Pair &&
		(wanted.Loose.IsZero() || k.Loose == wanted.Loose) &&
		(wanted.Chain.IsZero() || k.Chain == wanted.Chain)
}

// MaxSamePair is how many turns with the same pair, or with the same alias, a Store
// has to look at.
const MaxSamePair = 1024

// Store keeps where conversations are on the site, and what files callers have
// uploaded there. Of conversations it holds digests, ids and times, of files what a
// File has, such as names and URLs without their signatures. It holds no text of any
// message, no content of any file and nothing secret. All methods are safe for
// concurrent use, and return ErrUnavailable, possibly wrapped, soon instead of
// waiting long for a store that is in trouble. What a method has acknowledged
// survives a crash of the process.
type Store interface {
	FileStore

	// Find returns turns by their key, at most limit of them: those that were not
	// continued first, and among them the newest first. A key without a chain
	// finds turns with any chain, and one without a loose digest those with any;
	// of more than MaxSamePair turns with the pair, only as many of the newest
	// need be looked at, also with a chain. Aliases of the turns are not filled in.
	// Finding none is no error.
	Find(ctx context.Context, key Key, limit int) ([]Turn, error)

	// FindAlias returns the turns that have the alias, like Find: of more than
	// MaxSamePair, only as many of the newest need be looked at.
	FindAlias(ctx context.Context, alias Digest, limit int) ([]Turn, error)

	// Turn returns a turn by its place on the site, without its Aliases, or
	// ErrNotFound.
	Turn(ctx context.Context, account Digest, chatID, responseID string) (Turn, error)

	// Record adds a turn, and marks its parent as continued if the store has it.
	// Recording the same turn twice has the effect of recording it once.
	Record(ctx context.Context, t Turn) error

	// AddChat adds a chat. If it has been added before, only its time of use
	// changes, and only to a later one.
	AddChat(ctx context.Context, c Chat) error

	// Chat returns a chat, or ErrNotFound. A chat that was not added is one, too,
	// if it has turns: it is that of the oldest of them, was used with the newest,
	// and is not disposable. Turns of another tenant do not count as those of a
	// chat that was added.
	Chat(ctx context.Context, account Digest, chatID string) (Chat, error)

	// ForgetTurns removes all turns of a chat, but not the chat, which is added if
	// it was not. It still counts as used when it was. Forgetting those of an unknown
	// chat is no error.
	ForgetTurns(ctx context.Context, account Digest, chatID string) error

	// RemoveChat removes a chat and all its turns. Removing an unknown chat is no
	// error.
	RemoveChat(ctx context.Context, account Digest, chatID string) error

	// IdleChats returns the disposable chats of an account that were used last,
	// with a turn or as AddChat tells, before a time, the longest unused first, at
	// most limit of them.
	IdleChats(ctx context.Context, account Digest, before time.Time, limit int) ([]Chat, error)

	// Prune removes the turns that were recorded before a time, and the oldest of
	// those above the number keep; then the chats, unused since that time, that
	// have no turns; then the files that were created before it, and those that have
	// expired by the store's clock. It removes at most limit of each and returns how
	// many turns, chats and files it has removed. Disposable chats stay, however
	// many there are, for they are on the site until somebody deletes them there:
	// only RemoveChat removes them. A chat that was added still counts as used when
	// its turns were that are removed.
	Prune(ctx context.Context, before time.Time, keep, limit int) (removed int, err error)

	// Close ends the use of the store. What was acknowledged is kept. Other
	// methods then return ErrUnavailable. Closing twice is no error.
	Close() error
}
