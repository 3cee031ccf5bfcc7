package caddyqwen

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

const (
	// maxAttachments is how many attachments a whole request may have, and
	// maxTurnFiles how many its newest message may.
	maxAttachments = 256
	maxTurnFiles   = 10
	// maxHistoryFiles is up to how many files those of earlier messages are sent
	// along where the site does not know them. The site's own page takes five.
	maxHistoryFiles = 5
)

// attachment is something that a message has attached, on its way to the site.
type attachment struct {
	*openai.Attachment
	message int    // index of the message, the system text not counted
	name    string // for the model, where the message stands in a history

	content *content       // nil unless the file is here
	file    *qwen.File     // nil unless the site has it
	owner   session.Digest // the account that the file belongs to, if it was uploaded before
	unread  bool           // the site has it, but may not have read it yet
	err     error          // why it can never be sent
}

// attachments are those of a request, in order. They are closed when nobody uses
// them any more.
type attachments struct {
	list  []*attachment
	users atomic.Int32
}

func (a *attachments) hold() *attachments {
	a.users.Add(1)
	return a
}

// release ends a use. The last one gives memory and disk back.
func (a *attachments) release() {
	if a.users.Add(-1) > 0 {
		return
	}
	for _, at := range a.list {
		if at.content != nil {
			at.content.Close()
		}
	}
}

// account returns the account that files belong to which were uploaded before, or
// nil if there are none. No other account can have a model see them.
func (a *attachments) account(h *Handler) (*account, error) {
	var owner *account
	for _, at := range a.list {
		if at.file == nil {
			continue
		}
		of := h.accountOf(at.owner)
		switch {
		case of == nil:
			return nil, &partError{at.Param, errFileNotFound}
		case owner != nil && of != owner:
			return nil, invalidFile(http.StatusBadRequest, "invalid_value", at.Param, "It belongs to another account of this server than a file before it. Upload it again, so that all are in one account.")
		}
		owner = of
	}
	return owner, nil
}

// forget makes all that is attached to be uploaded again, to another account. It
// reports false if that cannot be done, because the content of some is not here.
func (a *attachments) forget() bool {
	for _, at := range a.list {
		if at.file != nil && at.content == nil {
			return false
		}
	}
	for _, at := range a.list {
		at.file, at.unread = nil, false
	}
	return true
}

// takeAttachments takes in what the messages of a request have attached: content
// in the request is decoded, files that were uploaded before are looked up.
// Nothing is fetched or uploaded yet. Who got them must release them.
func (h *Handler) takeAttachments(ctx context.Context, who caller, messages []openai.Message) (*attachments, error) {
	all := new(attachments).hold()
	taken := false
	defer func() {
		if !taken { // or a store has panicked
			all.release()
		}
	}()
	_, rest := splitSystem(messages)
	var known *knownFiles
	for i := range rest {
		for _, a := range rest[i].Attachments {
			if len(all.list) == maxAttachments {
				return nil, invalidFile(http.StatusBadRequest, "invalid_value", a.Param, fmt.Sprintf("The request has more than %d attachments. Send fewer.", maxAttachments))
			}
			if known == nil {
				known = h.knownFiles(who)
				defer known.close()
			}
			at := &attachment{Attachment: a, message: i}
			all.list = append(all.list, at)
			if err := h.takeAttachment(ctx, known, at, len(all.list)); err != nil {
				return nil, err
			}
		}
	}
	taken = true
	return all, nil
}

// takeAttachment takes in one attachment, the n-th of the request.
func (h *Handler) takeAttachment(ctx context.Context, known *knownFiles, a *attachment, n int) (err error) {
	otherwise := fmt.Sprintf("%s-%d", a.Kind, n)
	switch {
	case a.Inline():
		a.content, err = h.receive(incoming{
			from: a.Open(), name: a.Name, declared: a.MIME, otherwise: otherwise, param: a.Param, kinds: kindsOf(a.Attachment),
		})
		a.Drop()
		if err != nil {
			return inRequest(err)
		}
		a.name = a.content.name
		return nil
	case a.FileID != "":
		f, err := known.get(ctx, a.FileID)
		if err != nil {
			a.err = &partError{a.Param, err}
			break
		}
		a.setFile(&f)
	default:
		if f := known.byURL(ctx, a.URL); f != nil {
			a.setFile(f)
		}
	}
	if a.file != nil {
		a.name = a.file.Name
		return nil
	}
	a.name = filetype.CleanName(nameOf(a.Attachment, otherwise), filetype.Type{})
	return nil
}

// setFile makes a known file the attachment. The hash is known of all files but
// those that their callers have uploaded to the site by themselves, who cannot have
// it read them.
func (a *attachment) setFile(f *session.File) {
	a.file, a.owner = fileOf(f), f.Account
	a.unread = f.Kind == qwen.FileDocument && f.Hash == [32]byte{}
}

// kindsOf returns what the part of an attachment may hold. Some clients send all
// that is seen or heard as an image.
func kindsOf(a *openai.Attachment) []filetype.Kind {
	switch a.Kind {
	case openai.AttachedImage:
		return []filetype.Kind{filetype.Image, filetype.Video, filetype.Audio}
	case openai.AttachedVideo:
		return []filetype.Kind{filetype.Video, filetype.Image, filetype.Audio}
	case openai.AttachedAudio:
		return []filetype.Kind{filetype.Audio, filetype.Video}
	}
	return nil
}

// inRequest makes a wrong type of content that the request itself holds a matter
// of the request's form.
func inRequest(err error) error {
	var e *openai.Error
	if errors.As(err, &e) && e.Status == http.StatusUnsupportedMediaType {
		wrong := *e
		wrong.Status = http.StatusBadRequest
		return &wrong
	}
	return err
}

// nameOf returns the name of a file elsewhere, as far as it can be told.
func nameOf(a *openai.Attachment, otherwise string) string {
	if a.Name != "" {
		return a.Name
	}
	if u, err := url.Parse(a.URL); err == nil {
		if base := path.Base(u.Path); base != "." && base != "/" {
			return base
		}
	}
	return otherwise
}

// identity returns what tells the attachment from others where conversations are
// compared: its content if the request holds it, and otherwise its name.
func (a *attachment) identity() string {
	switch {
	case a.content != nil:
		sum := a.content.SHA256()
		return "sha256:" + hex.EncodeToString(sum[:])
	case a.FileID != "":
		return "id:" + a.FileID
	}
	return "url:" + withoutSignature(a.URL)
}

// withoutSignature returns a URL without what changes each time the same object
// is offered: the signatures of object storage.
func withoutSignature(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	u.Fragment, u.RawFragment = "", ""
	// What is left stays as it is: a server may read it in a way of its own.
	kept := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(field string) bool {
		name, _, _ := strings.Cut(field, "=")
		return signatureFields[strings.ToLower(name)]
	})
	slices.Sort(kept)
	u.RawQuery = strings.Join(kept, "&")
	return u.String()
}

// signatureFields are the names that object storages use for signatures.
var signatureFields = func() map[string]bool {
	names := map[string]bool{
		"signature": true, "expires": true, "ossaccesskeyid": true, "awsaccesskeyid": true, "googleaccessid": true, "security-token": true,
		"q-sign-algorithm": true, "q-ak": true, "q-sign-time": true, "q-key-time": true, "q-header-list": true, "q-url-param-list": true,
		"q-signature": true, "x-cos-security-token": true,
		"sig": true, "se": true, "st": true, "sp": true, "sv": true, "sr": true, "spr": true, // Azure
	}
	for _, prefix := range []string{"x-amz-", "x-goog-", "x-oss-"} {
		for _, name := range []string{"algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token", "signature-version", "additional-headers"} {
			names[prefix+name] = true
		}
	}
	return names
}()

// kind returns the site's name of what the attachment is, as far as it is known.
func (a *attachment) kind() string {
	switch {
	case a.content != nil:
		return a.content.Kind.String()
	case a.file != nil:
		return a.file.Kind
	case a.Kind == openai.AttachedFile:
		return ""
	}
	return a.Kind
}

// toSend returns the attachments that go along when the site knows the first
// messages, and those that are left out because there are too many. All that came
// after the last reply, in messages from the newest one of which is the given, are
// sent; of earlier ones, the newest.
func (a *attachments) toSend(known, newest int) (send, leftOut []*attachment, err error) {
	n := 0
	for i := len(a.list) - 1; i >= 0; i-- {
		at := a.list[i]
		switch {
		case at.message < known:
		case at.message >= newest:
			if n++; n > maxTurnFiles {
				return nil, nil, invalidFile(http.StatusBadRequest, "invalid_value", at.Param, fmt.Sprintf("More than %d attachments are new in this turn. Send fewer.", maxTurnFiles))
			}
			send = append(send, at)
		case n < maxHistoryFiles:
			n++
			send = append(send, at)
		default:
			leftOut = append(leftOut, at)
		}
	}
	slices.Reverse(send)
	slices.Reverse(leftOut)
	return send, leftOut, nil
}

// takes reports whether a model takes a kind of file. Documents reach all of
// them as text. A model of which the site does not say it is left to the site.
func takes(m qwen.Model, kind string) bool {
	switch {
	case !m.Described:
		return true
	case kind == qwen.FileImage:
		return m.Vision
	case kind == qwen.FileVideo:
		return m.Video
	case kind == qwen.FileAudio:
		return m.Audio
	}
	return true
}

// takesAll reports whether a model takes all attachments of a request.
func (a *attachments) takesAll(m qwen.Model) bool {
	for _, at := range a.list {
		if !takes(m, at.kind()) {
			return false
		}
	}
	return true
}

// errNotTaken refuses an attachment that the model cannot see.
func errNotTaken(param, model, kind string) error {
	return invalidFile(http.StatusBadRequest, "unsupported_content", param, fmt.Sprintf(
		"The model %s does not take files of this kind (%s). Use a model that does, such as qwen3-vl; the owner can set vision_model, which then answers such requests.", model, kind))
}

// partError is a failure that concerns a part of the request.
type partError struct {
	param string // its path
	err   error
}

func (e *partError) Error() string { return e.param + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }
