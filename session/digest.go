// Package session finds out where on the site a conversation is. Clients send the
// whole conversation with every request; the site keeps it as a tree of turns.
// The package makes digests of conversations, by which a Store finds the turn
// that a request continues.
package session

import "encoding/hex"

// Digest is a SHA-256 digest cut to 128 bits.
type Digest [16]byte

// IsZero reports whether the digest is not set.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the digest in hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }
