package session

// NewMemory returns the store that the tests of this package use.
func NewMemory() Store { return new(memory) }
