package oss

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

// putObject stores the object by one plain request.
func (u *upload) putObject(ctx context.Context) *Error {
	return u.single(ctx, &request{
		op: "put the object", verb: http.MethodPut, ctype: u.o.ContentType,
	})
}

// postForm stores the object by a form.
func (u *upload) postForm(ctx context.Context) *Error {
	// The storage puts the file's name there, so the object would end up elsewhere.
	if strings.Contains(u.g.Key, "${filename}") {
		return u.refuse("the storage would take a part of the key for a variable")
	}
	return u.single(ctx, &request{op: "post the form", verb: http.MethodPost, form: true})
}

// single sends the whole object in one request and compares checksums.
func (u *upload) single(ctx context.Context, r *request) *Error {
	if u.o.Size > maxSingle {
		return u.refuse("the object is larger than the 5 GiB of one request")
	}
	r.section = section{size: u.o.Size, mark: &mark{meter: &u.meter}}
	r.check = u.sameObject
	a, err := u.do(ctx, r)
	if err != nil {
		return err
	}
	return u.confirmed(ctx, a)
}

// sameObject is the check of a request after which the object is complete.
func (u *upload) sameObject(a *answer) *Error {
	if crc, told := a.checksum(); told && crc != u.o.CRC64 {
		return u.about(a, KindMismatch, repeat, "the checksum of the stored object is another one")
	}
	return nil
}

// confirmed asks for the checksum if the answer does not tell it.
func (u *upload) confirmed(ctx context.Context, a *answer) *Error {
	if a == nil {
		return nil // the object has been looked at instead
	}
	if _, told := a.checksum(); told {
		return nil
	}
	same, err := u.compare(ctx)
	if err == nil && !same {
		err = u.fail("compare the object", u.about(a, KindMismatch, stop, "the stored object differs"))
	}
	return err
}

// stored tells whether the storage certainly holds the object.
func (u *upload) stored(ctx context.Context) bool {
	same, err := u.compare(ctx)
	return err == nil && same
}

// compare asks the storage for size and checksum of the object under the key.
func (u *upload) compare(ctx context.Context) (same bool, err *Error) {
	const op = "compare the object"
	a, err := u.do(ctx, &request{op: op, verb: http.MethodHead})
	if err != nil {
		if err.Status == http.StatusNotFound {
			return false, nil
		}
		return false, err
	}
	crc, told := a.checksum()
	if !told || a.length < 0 {
		return false, u.fail(op, u.about(a, KindBadResponse, stop, "the storage does not tell the checksum"))
	}
	return a.length == u.o.Size && crc == u.o.CRC64, nil
}

// formFrame returns what goes before and after the file in a form, and the
// form's content type. The file is called "file": the storage does not
// understand encoded names, and takes a part without a name for a text field.
func formFrame(fields []param, ctype string) (head, tail []byte, formType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		_ = w.WriteField(f.name, f.value) // a bytes.Buffer takes everything
	}
	_, _ = w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="file"`},
		"Content-Type":        {ctype},
	})
	n := b.Len()
	_ = w.Close()
	return b.Bytes()[:n:n], b.Bytes()[n:], w.FormDataContentType()
}
