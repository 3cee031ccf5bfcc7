package oss

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	minPart  = 100 << 10
	maxParts = 10_000

	initiateGrace = time.Second
	abortTimeout  = 2 * time.Second
	abortAgain    = 100 * time.Millisecond
)

// partSize returns the size of all parts but the last.
func (c *Client) partSize(size int64) int64 {
	const step = 256 << 10
	part := max(c.PartSize, minPart)
	if c.PartSize <= 0 {
		part = min(max(size/16/step*step, 1<<20), 6<<20)
	}
	if least := (size + maxParts - 1) / maxParts; part < least {
		part = (least + step - 1) / step * step
	}
	return part
}

// A parted is one multipart upload.
type parted struct {
	*upload
	id       string
	partSize int64
	etags    []string

	// unsettled tells that an answer to a part was lost, so that the part may arrive
	// after the upload has been aborted.
	unsettled atomic.Bool
}

// multipart stores the object by a multipart upload. If the storage has lost the
// upload, or joined the parts to something else, it is done once more.
func (u *upload) multipart(ctx context.Context) *Error {
	if u.o.Size == 0 {
		return u.refuse("an empty object has no parts")
	}
	if u.c.partSize(u.o.Size) > maxSingle {
		return u.refuse("the object is larger than 10,000 parts of 5 GiB")
	}
	err := u.multipartOnce(ctx)
	if err == nil || err.next != restart {
		return err
	}
	if err.Code == codeNoUpload && u.stored(ctx) {
		return nil
	}
	u.meter.again()
	if err = u.multipartOnce(ctx); err != nil && err.next == restart && err.Code == codeNoUpload {
		err.next = fallBack
	}
	return err
}

// multipartOnce makes one multipart upload. Whatever happens after it was opened,
// a panic too, it ends complete or aborted.
func (u *upload) multipartOnce(ctx context.Context) (err *Error) {
	id, err := u.initiate(ctx)
	if err != nil {
		return err
	}
	m := &parted{upload: u, id: id, partSize: u.c.partSize(u.o.Size)}
	m.etags = make([]string, (u.o.Size+m.partSize-1)/m.partSize)
	complete := false
	defer func() {
		if complete {
			return
		}
		if aborted := m.abort(ctx); !aborted && err != nil {
			err.AbortFailed = true
		}
	}()
	if err = m.send(ctx); err != nil {
		return err
	}
	a, err := m.complete(ctx)
	if err != nil {
		return err
	}
	complete = true
	return u.confirmed(ctx, a)
}

// initiate opens a multipart upload. It outlives the caller for a moment: only
// its answer tells what has to be aborted. What was opened by a request whose
// answer the network lost stays behind, empty: grants do not permit to look for it.
func (u *upload) initiate(ctx context.Context) (id string, err *Error) {
	var result struct {
		XMLName xml.Name
		ID      string `xml:"UploadId"`
	}
	_, err = u.do(ctx, &request{
		op: "open a multipart upload", verb: http.MethodPost, ctype: u.o.ContentType,
		query: []param{{"uploads", ""}}, grace: initiateGrace,
		check: func(a *answer) *Error {
			if xml.Unmarshal(a.data, &result) != nil || result.ID == "" {
				return u.about(a, KindBadResponse, stop, "the answer names no upload")
			}
			return nil
		},
	})
	return result.ID, err
}

// send sends all parts, several at a time. It returns after all its goroutines
// have ended.
func (m *parted) send(ctx context.Context) *Error {
	var next atomic.Int64
	var panicked panics
	group, inner := errgroup.WithContext(ctx)
	for range min(m.c.parallel(), len(m.etags)) {
		group.Go(func() (err error) {
			defer panicked.keep(&err)
			for i := int(next.Add(1)) - 1; i < len(m.etags); i = int(next.Add(1)) - 1 {
				if err := m.part(inner, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	panicked.first.raise()
	var e *Error
	errors.As(err, &e)
	return e
}

// part sends part i, counted from 0.
func (m *parted) part(ctx context.Context, i int) error {
	from := int64(i) * m.partSize
	a, err := m.do(ctx, &request{
		op: "upload a part", verb: http.MethodPut,
		query:   []param{{"partNumber", strconv.Itoa(i + 1)}, {"uploadId", m.id}},
		section: section{from, min(m.partSize, m.o.Size-from), &mark{meter: &m.meter}, true},
		check:   m.samePart,
		lost:    &m.unsettled,
	})
	if err != nil {
		return err
	}
	m.etags[i] = a.header.Get("ETag")
	return nil
}

// samePart is the check of a part.
func (m *parted) samePart(a *answer) *Error {
	if crc, told := a.checksum(); told && crc != a.crc {
		return m.about(a, KindMismatch, repeat, "the checksum of the stored part is another one")
	}
	if a.header.Get("ETag") == "" {
		return m.about(a, KindBadResponse, stop, "the answer names no part")
	}
	return nil
}

// complete has the parts joined. Where the answer is lost, the object itself
// tells whether they were.
func (m *parted) complete(ctx context.Context) (*answer, *Error) {
	return m.do(ctx, &request{
		op: "complete the multipart upload", verb: http.MethodPost, ctype: "application/xml",
		query: []param{{"uploadId", m.id}}, data: m.list(),
		check: func(a *answer) *Error {
			err := m.sameObject(a)
			if err != nil {
				err.next = restart // the upload no longer exists
			}
			return err
		},
		settled: m.stored,
	})
}

// list returns the list of parts as the storage wants it.
func (m *parted) list() []byte {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i, etag := range m.etags {
		b.WriteString("<Part><PartNumber>" + strconv.Itoa(i+1) + "</PartNumber><ETag>")
		_ = xml.EscapeText(&b, []byte(etag)) // a strings.Builder takes everything
		b.WriteString("</ETag></Part>")
	}
	b.WriteString("</CompleteMultipartUpload>")
	return []byte(b.String())
}

// abort gives the upload up, also after the caller has left, and tells whether
// nothing of it remains. All parts must have ended before. A part whose answer is
// unknown may still be on its way inside the storage; so the abort is repeated
// after a moment.
func (m *parted) abort(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	aborted := m.abortOnce(ctx)
	if aborted && m.unsettled.Load() {
		sleep(ctx, abortAgain)
		aborted = m.abortOnce(ctx)
	}
	return aborted
}

func (m *parted) abortOnce(ctx context.Context) bool {
	_, err := m.do(ctx, &request{
		op: "abort the multipart upload", verb: http.MethodDelete, query: []param{{"uploadId", m.id}},
	})
	return err == nil || err.Code == codeNoUpload
}

// panics keeps the first panic of several goroutines.
type panics struct {
	once  sync.Once
	first *crash
}

// keep is to be deferred; it turns a panic into an error.
func (p *panics) keep(err *error) {
	if v := recover(); v != nil {
		p.once.Do(func() { p.first = &crash{v} })
		*err = errCrashed
	}
}
