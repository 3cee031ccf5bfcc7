package emulator

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	minPart     = 100 << 10 // bytes; the last part may be smaller
	maxParts    = 10000
	maxPartPage = 1000
	maxPartList = 4 << 20 // bytes of the document that completes an upload
)

// upload is a multipart upload that is open. Parts are guarded by the lock of
// the storage.
type upload struct {
	id, key     string
	seq         int
	contentType string
	parts       map[int]*part
}

type part struct {
	data     *data
	modified time.Time
}

// OpenUpload is a multipart upload that was neither completed nor aborted.
type OpenUpload struct {
	ID    string
	Key   string
	Parts []int // numbers of the parts that are stored, in order
	Size  int64 // of these parts
}

// OpenUploads returns how many multipart uploads are open.
func (s *Storage) OpenUploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Uploads returns the multipart uploads that are open, oldest first.
func (s *Storage) Uploads() []OpenUpload {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.SortedFunc(maps.Values(s.uploads), func(a, b *upload) int { return a.seq - b.seq })
	open := make([]OpenUpload, len(list))
	for i, u := range list {
		open[i] = OpenUpload{ID: u.id, Key: u.key, Parts: u.numbers()}
		for _, p := range u.parts {
			open[i].Size += p.data.size
		}
	}
	return open
}

// ForgetUploads ends all open multipart uploads, as if somebody else had
// aborted them, and returns how many there were.
func (s *Storage) ForgetUploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.uploads)
	clear(s.uploads)
	s.notify()
	return n
}

func (u *upload) numbers() []int {
	return slices.Sorted(maps.Keys(u.parts))
}

// find returns the open upload that a request is about. It is called with the
// lock held.
func (s *Storage) find(c *storageCall) (*upload, error) {
	u := s.uploads[c.query.Get("uploadId")]
	if u == nil || u.key != c.key {
		return nil, noSuchUpload.with("UploadId", c.query.Get("uploadId"))
	}
	return u, nil
}

// initiate answers `POST /key?uploads`.
func (s *Storage) initiate(c *storageCall) (storageAnswer, error) {
	u := &upload{
		id: strings.ToUpper(randomText(32)), key: c.key, parts: make(map[int]*part),
		contentType: contentTypeOr(c.r.Header.Get("Content-Type")),
	}
	s.mu.Lock()
	s.seq++
	u.seq = s.seq
	s.uploads[u.id] = u
	s.notify()
	s.mu.Unlock()
	s.noteUpload(c, u.id, 0)
	return xmlAnswer(struct {
		XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadID     string `xml:"UploadId"`
	}{EncodingType: c.query.Get("encoding-type"), Bucket: c.bucket, Key: c.listedKey(), UploadID: u.id}), nil
}

// listedKey is the key as documents have it.
func (c *storageCall) listedKey() string {
	if c.query.Get("encoding-type") == "url" {
		return percentEncode(c.key, false)
	}
	return c.key
}

// xmlAnswer is a document.
func xmlAnswer(v any) storageAnswer {
	doc, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("emulator: " + err.Error()) // only with types that are no documents
	}
	return storageAnswer{
		header: http.Header{"Content-Type": {"application/xml"}},
		body:   append([]byte(xml.Header), doc...),
	}
}

// uploadPart answers `PUT /key?partNumber=…&uploadId=…`. A part may come
// again; the last one counts.
func (s *Storage) uploadPart(c *storageCall) (storageAnswer, error) {
	n, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return storageAnswer{}, invalidArgument("Part number must be an integer between 1 and 10000, inclusive.", "")
	}
	s.noteUpload(c, c.query.Get("uploadId"), n)
	if !hasLength(c.r) {
		return storageAnswer{}, lengthRequired
	}
	s.mu.Lock()
	_, err = s.find(c)
	s.mu.Unlock()
	if err != nil {
		return storageAnswer{}, err
	}
	d, err := s.receive(c)
	if err != nil {
		return storageAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(c) // it may be gone by now
	if err != nil {
		return storageAnswer{}, err
	}
	u.parts[n] = &part{data: d, modified: c.now}
	s.notify()
	return storageAnswer{header: sums(d.etag(), d)}, nil
}

// listedPart is a part in the answer to ListParts.
type listedPart struct {
	PartNumber   int
	LastModified string
	ETag         string
	HashCrc64ecma,
	Size string
}

// listParts answers `GET /key?uploadId=…`.
func (s *Storage) listParts(c *storageCall) (storageAnswer, error) {
	most := min(positive(c.query.Get("max-parts"), maxPartPage), maxPartPage)
	after := positive(c.query.Get("part-number-marker"), 0)
	s.noteUpload(c, c.query.Get("uploadId"), 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(c)
	if err != nil {
		return storageAnswer{}, err
	}
	numbers := slices.DeleteFunc(u.numbers(), func(n int) bool { return n <= after })
	cut := len(numbers) > most
	numbers = numbers[:min(most, len(numbers))]
	next := 0
	var parts []listedPart
	for _, n := range numbers {
		p := u.parts[n]
		parts = append(parts, listedPart{
			PartNumber: n, LastModified: p.modified.Format(policyTime), ETag: p.data.etag(),
			HashCrc64ecma: strconv.FormatUint(p.data.crc, 10), Size: strconv.FormatInt(p.data.size, 10),
		})
		next = n
	}
	return xmlAnswer(struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		EncodingType         string   `xml:",omitempty"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []listedPart
	}{
		EncodingType: c.query.Get("encoding-type"), Bucket: c.bucket, Key: c.listedKey(), UploadID: u.id,
		StorageClass: "Standard", PartNumberMarker: after, NextPartNumberMarker: next, MaxParts: most, IsTruncated: cut, Part: parts,
	}), nil
}

// partList is the document that completes an upload.
type partList struct {
	XMLName xml.Name    `xml:"CompleteMultipartUpload"`
	Parts   []namedPart `xml:"Part"`
}

type namedPart struct {
	Number *int   `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
}

// readPartList reads the document that completes an upload.
func readPartList(body []byte) ([]namedPart, error) {
	var list partList
	dec := xml.NewDecoder(bytes.NewReader(body))
	if dec.Decode(&list) != nil || len(list.Parts) == 0 {
		return nil, malformedXML
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformedXML
	}
	last := 0
	for _, p := range list.Parts {
		switch {
		case p.Number == nil, p.ETag == "":
			return nil, malformedXML
		case *p.Number < 1, *p.Number > maxParts:
			return nil, invalidArgument("Part number must be an integer between 1 and 10000, inclusive.", "")
		case *p.Number <= last:
			return nil, invalidPartOrder
		}
		last = *p.Number
	}
	return list.Parts, nil
}

// completeUpload answers `POST /key?uploadId=…`. Parts that are not in the list
// are dropped.
func (s *Storage) completeUpload(c *storageCall) (storageAnswer, error) {
	s.noteUpload(c, c.query.Get("uploadId"), 0)
	body, err := s.readDocument(c)
	if err != nil {
		return storageAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(c)
	if err != nil {
		return storageAnswer{}, err
	}
	named, err := readPartList(body)
	if err != nil {
		return storageAnswer{}, err
	}
	parts, err := u.pick(named)
	if err != nil {
		return storageAnswer{}, err
	}
	d := join(parts)
	o := &object{
		key: u.key, op: OpComplete, contentType: u.contentType, data: d, parts: len(parts), modified: c.now,
		etag: strings.TrimSuffix(d.etag(), `"`) + "-" + strconv.Itoa(len(parts)) + `"`,
	}
	delete(s.uploads, u.id)
	s.store(o)
	a := xmlAnswer(struct {
		XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Location     string
		Bucket, Key  string
		ETag         string
	}{
		EncodingType: c.query.Get("encoding-type"), Location: "http://" + c.r.Host + "/" + percentEncode(u.key, true),
		Bucket: c.bucket, Key: c.listedKey(), ETag: o.etag,
	})
	maps.Copy(a.header, sums(o.etag, d))
	return a, nil
}

// readDocument reads a request body that is a document.
func (s *Storage) readDocument(c *storageCall) ([]byte, error) {
	want, checked, err := bodySum(c.r.Header)
	if err != nil {
		return nil, err
	}
	d, err := intake(io.LimitReader(c.body, maxPartList+1), -1, false, false)
	switch {
	case err != nil:
		return nil, bodyError(err)
	case d.size > maxPartList:
		return nil, malformedXML
	case checked && !bytes.Equal(want, d.md5[:]):
		return nil, invalidDigest
	}
	return d.bytes(), nil
}

// pick returns the parts that a list names.
func (u *upload) pick(named []namedPart) ([]*data, error) {
	list := make([]*data, len(named))
	for i, n := range named {
		p := u.parts[*n.Number]
		if p == nil || strings.Trim(n.ETag, `"`) != strings.Trim(p.data.etag(), `"`) {
			return nil, invalidPart.with("PartNumber", strconv.Itoa(*n.Number))
		}
		if i < len(named)-1 && p.data.size < minPart {
			return nil, storageFailure(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size.", "0042-00000213").
				with("ProposedSize", strconv.FormatInt(p.data.size, 10)).
				with("MinSizeAllowed", strconv.Itoa(minPart)).
				with("PartNumber", strconv.Itoa(*n.Number))
		}
		list[i] = p.data
	}
	return list, nil
}

// abortUpload answers `DELETE /key?uploadId=…`.
func (s *Storage) abortUpload(c *storageCall) (storageAnswer, error) {
	s.noteUpload(c, c.query.Get("uploadId"), 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(c)
	if err != nil {
		return storageAnswer{}, err
	}
	delete(s.uploads, u.id)
	s.notify()
	return storageAnswer{status: http.StatusNoContent}, nil
}
