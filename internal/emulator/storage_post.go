package emulator

import (
	"bytes"
	"crypto/hmac"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of forms in bytes.
const (
	maxFormFields = 8 << 20 // all fields before the file
	maxFormValue  = 2 << 20 // one of them
	maxNamelessIn = 4 << 10 // the file, if its part has no file name, to be taken for one
)

// form is a form before its file. Names are in lower case.
type form struct {
	fields   map[string]string
	file     *multipart.Part // what follows is its content
	inline   []byte          // the content, if the part had no file name
	fileType string          // Content-Type of the part
	reader   *multipart.Reader
}

// postObject answers `POST /`: the fields are checked before the file is read.
func (s *Storage) postObject(c *storageCall) (storageAnswer, error) {
	f, err := readForm(c.r.Header.Get("Content-Type"), c.body)
	if err != nil {
		return storageAnswer{}, err
	}
	key := f.fields["key"]
	c.key = key
	s.note(c, func(r *StorageRequest) { r.Key, r.ContentType = key, f.contentType() })
	if !validKey(key) {
		return storageAnswer{}, invalidName
	}
	p, err := s.authenticateForm(c, f)
	if err != nil {
		return storageAnswer{}, err
	}
	d, err := s.receiveFile(c, f, p)
	if err != nil {
		return storageAnswer{}, err
	}
	o := &object{key: key, op: OpPost, contentType: f.contentType(), data: d, etag: d.etag(), modified: c.now}
	s.mu.Lock()
	s.store(o)
	s.mu.Unlock()
	return f.answer(c, o), nil
}

// readForm reads the fields of a form up to its file.
func readForm(contentType string, body io.Reader) (*form, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" || len(params["boundary"]) > 70 {
		return nil, malformedForm
	}
	f := &form{fields: make(map[string]string), reader: multipart.NewReader(body, params["boundary"])}
	total := 0
	for f.file == nil && f.inline == nil {
		p, err := f.reader.NextRawPart()
		if err != nil {
			return nil, formError(err)
		}
		n, err := f.take(p)
		if err != nil {
			return nil, err
		}
		if total += n; total > maxFormFields {
			return nil, storageFailure(http.StatusBadRequest, "FieldItemTooLong", "The fields of the form are too long.", "0006-00000112")
		}
	}
	return f, nil
}

// formError is how a form that cannot be read ends its request.
func formError(err error) error {
	if err = bodyError(err); errors.Is(err, errGone) {
		return malformedForm // a client that has left does not see it
	}
	return err
}

// take reads one part of a form: the value of a field, or the beginning of
// the file. It returns the size of what it has read.
func (f *form) take(p *multipart.Part) (int, error) {
	d, ok := parseDisposition(p.Header.Get("Content-Disposition"))
	if !ok {
		return 0, malformedForm
	}
	name := strings.ToLower(d.name)
	most := maxFormValue
	if name == "file" {
		f.fileType = p.Header.Get("Content-Type")
		if d.hasFile {
			f.file = p
			return 0, nil
		}
		if most = maxNamelessIn; d.extended {
			most = 0
		}
	}
	value, err := io.ReadAll(io.LimitReader(p, int64(most)+1))
	if err != nil {
		return 0, formError(err)
	}
	if len(value) > most {
		return 0, storageFailure(http.StatusBadRequest, "FieldItemTooLong", "The field "+name+" is too long.", "0006-00000112")
	}
	if name == "file" {
		f.inline = append([]byte{}, value...)
		return len(value), nil
	}
	if _, twice := f.fields[name]; twice {
		return 0, invalidArgument("The form has the field "+name+" twice.", "")
	}
	f.fields[name] = string(value)
	return len(value), nil
}

// disposition is the header Content-Disposition of a part.
type disposition struct {
	name     string
	hasFile  bool // it has a file name
	extended bool // it has one in the form of RFC 5987, which does not count
}

// parseDisposition reads `form-data; name="…"; filename="…"`. The storage does
// not know the parameter `filename*`: for it such a part is no file.
func parseDisposition(header string) (d disposition, ok bool) {
	kind, rest, _ := strings.Cut(header, ";")
	if strings.TrimSpace(kind) != "form-data" {
		return d, false
	}
	for rest != "" {
		var param, value string
		param, rest, _ = strings.Cut(strings.TrimLeft(rest, " ;"), "=")
		if value, rest, ok = quoted(rest); !ok {
			return d, false
		}
		switch param {
		case "name":
			d.name = value
		case "filename":
			d.hasFile = true
		case "filename*":
			d.extended = true
		}
	}
	return d, d.name != ""
}

// quoted reads the value of a parameter, in quotes or without.
func quoted(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(value), rest, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), strings.TrimLeft(s[i+1:], " ;"), true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// contentType is the type of the object: the field made for it, else that of
// the file part, else the field Content-Type.
func (f *form) contentType() string {
	for _, t := range []string{f.fields["x-oss-content-type"], f.fileType, f.fields["content-type"]} {
		if t != "" {
			return t
		}
	}
	return contentTypeOr("")
}

// authenticateForm checks the signature of a form and its policy.
func (s *Storage) authenticateForm(c *storageCall, f *form) (*policy, error) {
	text, signed := f.fields["policy"], f.fields["x-oss-signature-version"]
	switch {
	case text == "":
		return nil, invalidArgument("The form has no policy.", "0002-00000702")
	case signed != signAlgorithm:
		return nil, invalidArgument("The field x-oss-signature-version must be "+signAlgorithm+".", "")
	}
	cred, ok := parseCredential(f.fields["x-oss-credential"])
	date := f.fields["x-oss-date"]
	at, err := time.Parse(storageTime, date)
	s.noteSignature(c, signedForm, cred.id, date)
	switch {
	case !ok:
		return nil, invalidArgument("The field x-oss-credential is missing or invalid.", "")
	case err != nil:
		return nil, invalidArgument("The field x-oss-date is missing or is no time such as "+storageTime+".", "")
	case at.Sub(c.now) > maxSkew: // a date that is too old comes with a policy that is over
		return nil, accessDenied("Invalid according to Policy: x-oss-date is too far away.", "")
	}
	if err := s.checkFormScope(cred.scope, date); err != nil {
		return nil, err
	}
	g, err := s.lookUp(cred.id, f.fields["x-oss-security-token"], c.now)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(sign(g.AccessKeySecret, cred.scope, text)), []byte(f.fields["x-oss-signature"])) {
		return nil, wrongSignature.with("OSSAccessKeyId", cred.id).
			with("SignatureProvided", f.fields["x-oss-signature"]).with("StringToSign", text)
	}
	p, err := readPolicy(text)
	if err != nil {
		return nil, err
	}
	if err := p.check(f.fields, c.bucket, at, c.now); err != nil {
		return nil, err
	}
	return p, g.allows(c)
}

// checkFormScope is checkScope with the number that forms have for a wrong
// region.
func (s *Storage) checkFormScope(sc scope, date string) error {
	err := s.checkScope(sc, date)
	var refused *storageError
	if errors.As(err, &refused) {
		return invalidArgument(refused.message, "0002-00000715")
	}
	return err
}

// receiveFile reads the file of a form and makes sure that it is the last part.
func (s *Storage) receiveFile(c *storageCall, f *form, p *policy) (*data, error) {
	var content io.Reader = bytes.NewReader(f.inline)
	if f.file != nil {
		content = f.file
	}
	if p.limited {
		content = &limitedReader{r: content, left: p.most}
	}
	d, err := intake(content, -1, s.options.Discard, c.fault != nil && c.fault.Flip)
	if err != nil {
		return nil, formError(err)
	}
	if p.limited && d.size < p.least {
		return nil, storageFailure(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.", "").
			with("ProposedSize", strconv.FormatInt(d.size, 10)).with("MinSizeAllowed", strconv.FormatInt(p.least, 10))
	}
	if _, err := f.reader.NextRawPart(); !errors.Is(err, io.EOF) {
		return nil, malformedForm
	}
	return d, nil
}

// limitedReader refuses what is longer than a policy allows.
type limitedReader struct {
	r    io.Reader
	left int64
}

// Read reads from the file.
func (l *limitedReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, storageFailure(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.", "")
	}
	return n, err
}

// answer is what the form asks for with success_action_status.
func (f *form) answer(c *storageCall, o *object) storageAnswer {
	h := sums(o.etag, o.data)
	switch f.fields["success_action_status"] {
	case "200":
		return storageAnswer{status: http.StatusOK, header: h}
	case "201":
		a := xmlAnswer(struct {
			XMLName                     xml.Name `xml:"PostResponse"`
			Bucket, ETag, Key, Location string
		}{Bucket: c.bucket, ETag: o.etag, Key: o.key, Location: "http://" + c.r.Host + "/" + percentEncode(o.key, true)})
		a.status = http.StatusCreated
		for name, values := range h {
			a.header[name] = values
		}
		return a
	}
	return storageAnswer{status: http.StatusNoContent, header: h}
}
