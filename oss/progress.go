package oss

import "sync"

// A meter adds up what has been handed to the network and tells the caller, one
// call at a time.
type meter struct {
	mu         sync.Mutex
	tell       func(sent int64)
	sent, told int64
}

// add counts n more bytes, or fewer if n is negative. The caller's function runs under the lock: calls are
// serialised, and the numbers in them never go back.
func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += n
	if m.sent > m.told {
		m.report(m.sent)
	}
}

func (m *meter) report(n int64) {
	m.told = n
	if m.tell != nil {
		m.tell(n)
	}
}

// begin starts over for another method.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent, m.told = 0, 0
}

// again counts from 0, but tells nothing below what it has told before.
func (m *meter) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = 0
}

// finish tells the size once everything is stored, unless that was told already.
func (m *meter) finish(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told != size || size == 0 {
		m.report(size)
	}
}

// A mark counts one section of the object towards a meter. A later attempt takes
// back what the one before has sent.
type mark struct {
	meter *meter
	sent  int64
}

// reached tells that n bytes of the section have been sent by this attempt.
func (m *mark) reached(n int64) {
	m.meter.add(n - m.sent)
	m.sent = n
}
