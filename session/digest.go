// Package session finds out where on the site a conversation is. Clients send the
// whole conversation with every request; the site keeps it as a tree of turns.
// The package makes digests of conversations, by which a [Store] finds the turn
// that a request continues.
//
// Clients do not send replies back as they got them. What they change is known,
// and is either left out of the digests, as white space and reasoning are, or
// makes further digests of the same turn.
package session

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest is a SHA-256 digest cut to 128 bits.
type Digest [16]byte

// IsZero reports whether the digest is not set.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the digest in hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Of returns the digest of some values for a purpose. Different lists of values
// have different digests, and so have the same values for different purposes.
func Of(purpose string, values ...string) Digest {
	size := len(purpose) + 8
	for _, v := range values {
		size += len(v) + 8
	}
	b := appendField(make([]byte, 0, size), purpose)
	for _, v := range values {
		b = appendField(b, v)
	}
	return cut(sha256.Sum256(b))
}

// join returns the digest of digests for a purpose.
func join(purpose string, parts ...Digest) Digest {
	b := appendField(make([]byte, 0, 128), purpose)
	for i := range parts {
		b = append(b, parts[i][:]...)
	}
	return cut(sha256.Sum256(b))
}

func appendField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}

func cut(sum [sha256.Size]byte) Digest { return Digest(sum[:16]) }
