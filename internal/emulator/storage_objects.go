package emulator

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxObject is the largest size in bytes of an object or a part that arrives
// in one request.
const maxObject = 5 << 30

// StoredObject is an object as it is stored.
type StoredObject struct {
	Key         string
	ContentType string
	Size        int64
	CRC64       uint64
	SHA256      string // hexadecimal; empty if the data was discarded
	Body        []byte // nil if the data was discarded
	ETag        string // with its quotes
	Op          string // that made it: OpPut, OpPost or OpComplete
	Parts       int    // of a multipart upload, else 0
}

// String describes the object without what is in it.
func (o StoredObject) String() string {
	return fmt.Sprintf("object %s (%s, %d bytes, by %s)", o.Key, o.ContentType, o.Size, o.Op)
}

// object is a stored object. It never changes.
type object struct {
	key         string
	seq         int
	op          string
	contentType string
	data        *data
	etag        string
	parts       int
	modified    time.Time
}

// validKey reports whether the storage takes a key.
func validKey(key string) bool {
	return len(key) >= 1 && len(key) <= 1023 && utf8.ValidString(key) && key[0] != '/' && key[0] != '\\'
}

// store makes an object known. It is called with the lock held.
func (s *Storage) store(o *object) {
	s.seq++
	o.seq = s.seq
	s.objects[o.key] = o
	s.notify()
}

// exported returns what the tests see of an object.
func (o *object) exported() StoredObject {
	x := StoredObject{
		Key: o.key, ContentType: o.contentType, Size: o.data.size, CRC64: o.data.crc,
		ETag: o.etag, Op: o.op, Parts: o.parts,
	}
	if o.data.kept {
		x.Body = o.data.bytes()
		sum := sha256.Sum256(x.Body)
		x.SHA256 = hex.EncodeToString(sum[:])
	}
	return x
}

// Object returns the object of a key.
func (s *Storage) Object(key string) (StoredObject, bool) {
	o := s.object(key)
	if o == nil {
		return StoredObject{}, false
	}
	return o.exported(), true
}

func (s *Storage) object(key string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

// Objects returns all objects in the order they were stored.
func (s *Storage) Objects() []StoredObject {
	s.mu.Lock()
	list := make([]*object, 0, len(s.objects))
	for _, o := range s.objects {
		list = append(list, o)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *object) int { return a.seq - b.seq })
	all := make([]StoredObject, len(list))
	for i, o := range list {
		all[i] = o.exported()
	}
	return all
}

// Remove deletes the object of a key, as the owner of the bucket may.
func (s *Storage) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	s.notify()
}

// receive reads the body of an upload.
func (s *Storage) receive(c *storageCall) (*data, error) {
	want, checked, err := bodySum(c.r.Header)
	if err != nil {
		return nil, err
	}
	if c.r.ContentLength > maxObject {
		return nil, storageFailure(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.", "")
	}
	d, err := intake(c.body, c.r.ContentLength, s.options.Discard, c.fault != nil && c.fault.Flip)
	if err != nil {
		return nil, bodyError(err)
	}
	if checked && !s.options.Discard && !bytes.Equal(want, d.md5[:]) {
		return nil, invalidDigest
	}
	return d, nil
}

// bodyError is how a body that ends early, or with a fault, ends the request.
func bodyError(err error) error {
	var refused *storageError
	if errors.As(err, &refused) || errors.Is(err, errDrop) {
		return err
	}
	return errGone
}

// bodySum reads the header Content-MD5, if there is one.
func bodySum(h http.Header) (sum []byte, given bool, err error) {
	text := h.Get("Content-Md5")
	if text == "" {
		return nil, false, nil
	}
	sum, err = base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != md5.Size {
		return nil, false, invalidDigest
	}
	return sum, true, nil
}

// hasLength reports whether a request says how long its body is.
func hasLength(r *http.Request) bool {
	return r.ContentLength > 0 || r.Header.Get("Content-Length") != ""
}

// isChunked reports whether the body of a request comes in chunks.
func isChunked(r *http.Request) bool { return slices.Contains(r.TransferEncoding, "chunked") }

// putObject answers `PUT /key`.
func (s *Storage) putObject(c *storageCall) (storageAnswer, error) {
	if !hasLength(c.r) && !isChunked(c.r) {
		return storageAnswer{}, lengthRequired
	}
	d, err := s.receive(c)
	if err != nil {
		return storageAnswer{}, err
	}
	o := &object{
		key: c.key, op: OpPut, contentType: contentTypeOr(c.r.Header.Get("Content-Type")),
		data: d, etag: d.etag(), modified: c.now,
	}
	s.mu.Lock()
	s.store(o)
	s.mu.Unlock()
	return storageAnswer{header: sums(o.etag, d)}, nil
}

// contentTypeOr is the type of an object that was sent with the given one.
func contentTypeOr(t string) string {
	if t = strings.TrimSpace(t); t == "" {
		return "application/octet-stream"
	}
	return t
}

// sums returns the headers that describe data.
func sums(etag string, d *data) http.Header {
	return http.Header{"Etag": {etag}, crcHeader: {strconv.FormatUint(d.crc, 10)}}
}

// crcHeader has the CRC-64 in decimal digits.
const crcHeader = "X-Oss-Hash-Crc64ecma"

// readObject answers `GET /key` and `HEAD /key`.
func (s *Storage) readObject(c *storageCall) (storageAnswer, error) {
	o := s.object(c.key)
	switch {
	case o == nil:
		return storageAnswer{}, noSuchKey.with("Key", c.key)
	case c.op == OpGet && !o.data.kept:
		return storageAnswer{}, storageFailure(http.StatusNotImplemented, "NotImplemented", "The emulator did not keep the data.", "")
	}
	h := sums(o.etag, o.data)
	h.Set("Content-Type", o.contentType)
	h.Set("Content-Length", strconv.FormatInt(o.data.size, 10))
	h.Set("Last-Modified", o.modified.Format(http.TimeFormat))
	h.Set("X-Oss-Object-Type", "Normal")
	if o.parts > 0 {
		h.Set("X-Oss-Object-Type", "Multipart")
	}
	return storageAnswer{header: h, object: o}, nil
}
