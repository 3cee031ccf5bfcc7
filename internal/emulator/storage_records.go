package emulator

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// StorageRequest is one request to the storage. There is nothing secret in it.
type StorageRequest struct {
	Op          string // one of the Op constants
	Method      string
	Bucket      string
	Key         string
	Virtual     bool   // the bucket was in the host name
	Signed      string // header, query or form; empty if no signature was found
	AccessKeyID string
	Date        string // x-oss-date
	ContentType string // of the object, as far as the request says it
	UploadID    string
	Part        int
	BodySize    int64  // bytes of the body that were read
	Status      int    // of the answer; 0 while there is none
	Code        string // of the error, if the storage refused
	Faulty      bool   // a Fault was at work
	Ended       bool   // nothing more will be sent
	Lost        bool   // the connection ended without a whole answer
}

// String describes the request in one line.
func (r StorageRequest) String() string {
	return fmt.Sprintf("%s %s: %d %s", r.Op, r.Key, r.Status, r.Code)
}

// begin records a request and finds its fault.
func (s *Storage) begin(c *storageCall) {
	c.body = &meter{r: c.r.Body, storage: s, call: c}
	if c.r.Body == nil { // only without an HTTP server
		c.body.r = http.NoBody
	}
	c.record = &StorageRequest{
		Op: c.op, Method: c.r.Method, Bucket: c.bucket, Key: c.key, Virtual: c.virtual,
		ContentType: c.r.Header.Get("Content-Type"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.fault = s.nextFault(c.op)
	c.record.Faulty = c.fault != nil
	if !s.options.NoRecord {
		s.requests = keep(s.requests, c.record)
		s.notify()
	}
}

// end records how a request ended.
func (s *Storage) end(c *storageCall, err error) {
	s.note(c, func(r *StorageRequest) {
		r.Ended, r.Lost = true, err != nil
		r.BodySize = c.body.n
	})
}

// note changes a record.
func (s *Storage) note(c *storageCall, change func(*StorageRequest)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(c.record)
	s.notify()
}

func (s *Storage) noteSignature(c *storageCall, form, id, date string) {
	s.note(c, func(r *StorageRequest) { r.Signed, r.AccessKeyID, r.Date = form, id, date })
}

func (s *Storage) noteUpload(c *storageCall, id string, part int) {
	s.note(c, func(r *StorageRequest) { r.UploadID, r.Part = id, part })
}

func (s *Storage) noteStatus(c *storageCall, status int) {
	s.note(c, func(r *StorageRequest) { r.Status = status })
}

func (s *Storage) noteCode(c *storageCall, code string) {
	s.note(c, func(r *StorageRequest) { r.Code = code })
}

// Requests returns all requests in the order they arrived, at least the last
// 10,000 of them.
func (s *Storage) Requests() []StorageRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]StorageRequest, len(s.requests))
	for i, r := range s.requests {
		list[i] = *r
	}
	return list
}

// meter counts the bytes of a body and lets the faults of a call act on them.
type meter struct {
	r       io.Reader
	storage *Storage
	call    *storageCall
	n       int64
	broken  bool // the client stopped sending before the end
}

// slice is how much of a body is read between two pauses of a slow storage.
const slice = 64 << 10

// Read reads from the body.
func (m *meter) Read(b []byte) (int, error) {
	f := m.call.fault
	if f == nil || len(b) == 0 {
		return m.read(b)
	}
	if f.Cut > 0 {
		if m.n >= f.Cut {
			return 0, errDrop
		}
		b = b[:min(int64(len(b)), f.Cut-m.n)]
	}
	if f.Pause > 0 {
		b = b[:min(len(b), slice)]
		if err := m.storage.hold(m.call, nil, time.After(f.Pause)); err != nil {
			return 0, err
		}
	}
	return m.read(b)
}

func (m *meter) read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n += int64(n)
	m.broken = m.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}
