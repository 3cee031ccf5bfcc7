package emulator

import (
	"io"
	"slices"
	"strconv"
	"time"
)

// Fault is something that goes wrong with one request to the storage. Of
// Status, Reset, Hang and Drop at most one is set, which takes the place of
// the answer. The others may be combined.
type Fault struct {
	// Status is the HTTP status of an error document with Code and EC.
	Status int
	Code   string // default: InternalError
	EC     string // may be empty

	// Reset ends the connection with a TCP RST.
	Reset bool

	// Drop closes the connection without an answer.
	Drop bool

	// Hang gives no answer until the client leaves or the storage is closed.
	Hang bool

	// Late lets the request have its effect first, so that only the answer is
	// lost. Otherwise Status, Drop and Hang read the body and do nothing with
	// it, and Reset does not even read it.
	Late bool

	// Gate holds the request back until it is closed or received from, before
	// anything else happens. Nil: not at all.
	Gate <-chan struct{}

	// Pause is a delay before each 64 KiB of the body of the request.
	Pause time.Duration

	// Cut closes the connection when that many bytes of the body were read.
	// 0: not at all.
	Cut int64

	// WrongCRC gives a wrong CRC-64 in the answer. What is stored is right.
	WrongCRC bool

	// Flip inverts one bit of what is stored. The answer is about the data as
	// they are stored.
	Flip bool
}

// plannedFault waits for the n-th call of an operation.
type plannedFault struct {
	op    string
	left  int // calls before the one it is for; negative: for every call
	fault Fault
}

// operations are the names that Fail takes.
var operations = []string{OpPut, OpPost, OpGet, OpHead, OpInitiate, OpPart, OpParts, OpComplete, OpAbort, OpUnknown}

// Fail plans a fault for the n-th call of an operation from now on: 1 is the
// next one, 0 is every one. If several faults are planned for a call, the one
// that was planned first happens. It panics if there is no such operation, or
// if the fault contradicts itself.
func (s *Storage) Fail(op string, n int, f Fault) {
	if !slices.Contains(operations, op) || n < 0 || f.ends() > 1 {
		panic("emulator: the storage cannot fail like this in call " + strconv.Itoa(n) + " of " + op)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &plannedFault{op: op, left: n - 1, fault: f})
}

// ends counts what takes the place of the answer.
func (f *Fault) ends() (n int) {
	for _, set := range []bool{f.Status != 0, f.Reset, f.Drop, f.Hang} {
		if set {
			n++
		}
	}
	return n
}

// Heal forgets all planned faults. What hangs already keeps hanging.
func (s *Storage) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault returns the fault of a call, or nil, and counts the call. It is
// called with the lock held.
func (s *Storage) nextFault(op string) *Fault {
	var found *Fault
	s.faults = slices.DeleteFunc(s.faults, func(p *plannedFault) bool {
		if p.op != op {
			return false
		}
		due := p.left <= 0
		if due && found == nil {
			found = &p.fault
		}
		if p.left >= 0 {
			p.left--
			return due
		}
		return false
	})
	return found
}

// fail lets the fault of a call happen. It reports whether the call is over;
// the error says how its connection ends then, nil if it was answered.
func (s *Storage) fail(c *storageCall) (ended bool, err error) {
	f := c.fault
	if f.Gate != nil {
		if err := s.hold(c, f.Gate, nil); err != nil {
			return true, err
		}
	}
	switch {
	case f.Reset:
		return true, errReset
	case f.ends() == 0:
		return false, nil
	}
	if _, err := io.Copy(io.Discard, c.body); err != nil {
		return true, bodyError(err)
	}
	switch {
	case f.Drop:
		return true, errDrop
	case f.Hang:
		return true, s.hold(c, nil, nil)
	}
	e := storageFailure(f.Status, f.Code, "This is a planned failure of the emulator.", f.EC)
	setDefault(&e.code, "InternalError")
	s.noteCode(c, e.code)
	s.noteStatus(c, e.status)
	return true, c.send(e.answer(c))
}

// hold waits for a gate or a time; without either for ever. The error is set
// if the client leaves or the storage is closed before.
func (s *Storage) hold(c *storageCall, gate <-chan struct{}, timer <-chan time.Time) error {
	select {
	case <-gate:
		return nil
	case <-timer:
		return nil
	case <-c.r.Context().Done():
		return errGone
	case <-s.done:
		return errDrop
	}
}

// spoil puts the wrong CRC into an answer.
func (f *Fault) spoil(a *storageAnswer) {
	if !f.WrongCRC {
		return
	}
	if values := a.header[crcHeader]; len(values) == 1 {
		crc, _ := strconv.ParseUint(values[0], 10, 64) // the storage wrote it
		a.header[crcHeader] = []string{strconv.FormatUint(^crc, 10)}
	}
}
