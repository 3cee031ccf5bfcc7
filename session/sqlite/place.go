package sqlite

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// The id of a turn is made of its place: 36 bits of the digest of the chat, so
// that the turns of a chat are neighbours, then 27 of that of the answer. So a
// turn is found by its place without an index. Of turns whose ids would be the
// same, each gets the next free one: it is among the window from the first on.
const (
	chatIDs = 1 << 27
	window  = 8
)

// firstID returns the lowest id of turns of a chat. Other chats may have the same.
func firstID(account session.Digest, chat string) int64 {
	sum := sha256.Sum256(append(account[:], chat...))
	return int64(binary.BigEndian.Uint64(sum[:])>>28) * chatIDs
}

// turnID returns the first of the ids that a turn may have.
func turnID(account session.Digest, chat, response string) int64 {
	sum := sha256.Sum256([]byte(response))
	return firstID(account, chat) + int64(binary.BigEndian.Uint32(sum[:])%(chatIDs-window+1))
}

// anyChain are the bits of a key in the index that are those of the chain.
const anyChain = 1<<24 - 1

// keyOf returns the key in the index: 40 bits of the pair and 24 of the chain.
// Without the chain it is the lowest of the keys with the pair; the highest has
// all the bits of anyChain.
func keyOf(k session.Key) int64 {
	pair := binary.BigEndian.Uint64(k.Pair[:]) &^ anyChain
	return int64(pair | uint64(binary.BigEndian.Uint32(k.Chain[:])>>8))
}

// aliasKey returns the key of an alias in the file.
func aliasKey(alias session.Digest) int64 { return int64(binary.BigEndian.Uint64(alias[:]) >> 1) }
