package emulator

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// The operations of the storage by the names that [Storage.Fail] takes and the
// records have.
const (
	OpPut      = "PutObject"               // PUT /key
	OpPost     = "PostObject"              // POST /
	OpGet      = "GetObject"               // GET /key
	OpHead     = "HeadObject"              // HEAD /key
	OpInitiate = "InitiateMultipartUpload" // POST /key?uploads
	OpPart     = "UploadPart"              // PUT /key?partNumber=…&uploadId=…
	OpParts    = "ListParts"               // GET /key?uploadId=…
	OpComplete = "CompleteMultipartUpload" // POST /key?uploadId=…
	OpAbort    = "AbortMultipartUpload"    // DELETE /key?uploadId=…
	OpUnknown  = "Unknown"                 // everything else, which nobody has a right to
)

// operation names what a request wants.
func operation(r *http.Request, p place, query url.Values) string {
	if p.key == "" {
		if r.Method == http.MethodPost && len(query) == 0 {
			return OpPost
		}
		return OpUnknown
	}
	if query.Has("uploadId") {
		switch r.Method {
		case http.MethodPut:
			return OpPart
		case http.MethodGet:
			return OpParts
		case http.MethodPost:
			return OpComplete
		case http.MethodDelete:
			return OpAbort
		}
		return OpUnknown
	}
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		return OpInitiate
	case r.Method == http.MethodPut:
		return OpPut
	case r.Method == http.MethodGet:
		return OpGet
	case r.Method == http.MethodHead:
		return OpHead
	}
	return OpUnknown
}

// storageCall is one request to the storage while it is answered.
type storageCall struct {
	place

	w      http.ResponseWriter
	r      *http.Request
	id     string
	op     string
	query  url.Values
	now    time.Time // by the storage's clock, when it arrived
	body   *meter
	fault  *Fault // nil: none
	record *StorageRequest
}

// ServeHTTP answers one request as the storage would.
func (s *Storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &storageCall{w: w, r: r, id: requestID(), now: s.now(), query: r.URL.Query()}
	var err error
	c.place, err = s.locate(r)
	c.op = operation(r, c.place, c.query)
	s.begin(c)
	err = s.serve(c, err)
	s.end(c, err)
	switch {
	case errors.Is(err, errReset):
		reset(w)
	case err != nil:
		panic(http.ErrAbortHandler) // net/http closes the connection silently
	}
}

// serve answers a request with its effect and its faults. The error says how
// the connection ends; nil if the answer was sent.
func (s *Storage) serve(c *storageCall, misplaced error) error {
	if c.fault != nil && !c.fault.Late {
		if ended, err := s.fail(c); ended {
			return err
		}
	}
	a, err := s.execute(c, misplaced)
	if c.body.broken {
		return errGone // whatever is wrong with the rest of the body
	}
	if err != nil {
		var refused *storageError
		if !errors.As(err, &refused) {
			return err
		}
		a = refused.answer(c)
		s.noteCode(c, refused.code)
	}
	if c.fault != nil {
		if c.fault.Late {
			if ended, err := s.fail(c); ended {
				return err
			}
		}
		c.fault.spoil(&a)
	}
	if err := c.settle(); err != nil {
		return err
	}
	s.noteStatus(c, statusOK(a.status))
	return c.send(a)
}

// execute does what the request wants, if it may.
func (s *Storage) execute(c *storageCall, misplaced error) (storageAnswer, error) {
	if misplaced != nil {
		return storageAnswer{}, misplaced
	}
	if c.op == OpPost {
		return s.postObject(c)
	}
	if c.op == OpUnknown && c.r.Method == http.MethodPost && len(c.query) == 0 {
		return storageAnswer{}, methodNotAllowed // forms go to the bucket
	}
	if c.key != "" && !validKey(c.key) {
		return storageAnswer{}, invalidName
	}
	g, err := s.authenticate(c)
	if err != nil {
		return storageAnswer{}, err
	}
	if err := g.allows(c); err != nil {
		return storageAnswer{}, err
	}
	switch c.op {
	case OpPut:
		return s.putObject(c)
	case OpGet, OpHead:
		return s.readObject(c)
	case OpInitiate:
		return s.initiate(c)
	case OpPart:
		return s.uploadPart(c)
	case OpParts:
		return s.listParts(c)
	case OpComplete:
		return s.completeUpload(c)
	case OpAbort:
		return s.abortUpload(c)
	}
	return storageAnswer{}, notImplemented
}

// settle reads the rest of the body of a request, so that the client sees the
// answer and not a broken connection. Clients that ask before they send get
// the answer at once.
func (c *storageCall) settle() error {
	if c.r.Header.Get("Expect") != "" {
		return nil
	}
	if _, err := io.Copy(io.Discard, c.body); err != nil {
		return bodyError(err)
	}
	return nil
}
