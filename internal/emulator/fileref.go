package emulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// FileRef is a file that a message refers to. Raw must not be changed.
type FileRef struct {
	ID        string
	Name      string
	Type      string // image, video, audio or file
	URL       string // as sent, its signature included
	Size      int64  // bytes
	FileType  string // MIME type
	FileClass string // vision, video, audio or document
	ShowType  string // like Type
	Status    string // uploaded
	Key       string // in the storage
	Raw       json.RawMessage
}

// String describes the file without its address.
func (f FileRef) String() string {
	return fmt.Sprintf("%s (%s, %d bytes)", f.Name, f.FileType, f.Size)
}

// fileBody is an entry of `messages[].files`.
type fileBody struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	URL       string     `json:"url"`
	Size      int64      `json:"size"`
	FileType  string     `json:"file_type"`
	FileClass string     `json:"file_class"`
	ShowType  string     `json:"showType"`
	Status    string     `json:"status"`
	GreenNet  string     `json:"greenNet"`
	Error     string     `json:"error"`
	Inner     *fileInner `json:"file"`
}

// fileInner repeats most of it.
type fileInner struct {
	ID        string `json:"id"`
	Filename  string `json:"filename"`
	UserID    string `json:"user_id"`
	CreatedAt int64  `json:"created_at"`
	Meta      struct {
		Name        string `json:"name"`
		Size        int64  `json:"size"`
		ContentType string `json:"content_type"`
		Parse       *struct {
			Status string `json:"parse_status"`
		} `json:"parse_meta"`
	} `json:"meta"`
}

// inspectFiles finds what the site refuses about the files of a message.
func (s *Site) inspectFiles(account string, m Model, raw []json.RawMessage) ([]FileRef, *Reply) {
	var list []FileRef
	for i, r := range raw {
		ref, why := s.inspectFile(account, m, r)
		if why != "" {
			refused := Refusal("invalid_input", fmt.Sprintf("files[%d]: %s", i, why))
			return nil, &refused
		}
		list = append(list, ref)
	}
	return list, nil
}

// inspectFile checks one file of a message and says what is wrong with it.
func (s *Site) inspectFile(account string, m Model, raw json.RawMessage) (ref FileRef, why string) {
	var b fileBody
	if json.Unmarshal(raw, &b) != nil {
		return ref, "is not a valid file object."
	}
	key, trusted := s.storage.keyOf(b.URL)
	s.mu.Lock()
	f := s.file(account, b.ID)
	if b.ID == "" && trusted { // the short form, for files that are there already
		f = s.fileByKey(account, key)
	}
	parsed := f != nil && f.status() == "success"
	s.mu.Unlock()
	if f == nil {
		return ref, "The file does not exist."
	}
	o := s.storage.object(f.key)
	switch {
	case !trusted || key != f.key:
		return ref, "The url is not that of the file."
	case o == nil:
		return ref, "The file was not uploaded."
	case !m.Info.Meta.Capabilities[fileKinds[f.kind]]:
		return ref, "The model does not support files of the type " + f.kind + "."
	case f.kind == "file" && !parsed:
		return ref, "The document was not parsed."
	}
	if why := b.mistake(f, o.data.size); why != "" {
		return ref, why
	}
	return FileRef{
		ID: f.id, Name: b.Name, Type: b.Type, URL: b.URL, Size: o.data.size, FileType: b.FileType,
		FileClass: b.FileClass, ShowType: b.ShowType, Status: b.Status, Key: f.key, Raw: raw,
	}, ""
}

// mistake finds what does not fit the file. Only the short form, which has no
// id, may leave out the size and the inner object.
func (b *fileBody) mistake(f *file, size int64) string {
	short := b.ID == ""
	switch {
	case b.Type != f.kind:
		return "The type must be " + f.kind + "."
	case b.ShowType != f.kind:
		return "The showType must be " + f.kind + "."
	case b.FileClass != fileKinds[f.kind]:
		return "The file_class must be " + fileKinds[f.kind] + "."
	case !mimeFits(b.FileType, f.kind):
		return "The file_type does not fit the type " + f.kind + "."
	case b.Name != f.name:
		return "The name is not that of the file."
	case b.Status != "uploaded", b.Error != "":
		return "The file is not uploaded."
	case b.GreenNet != "" && b.GreenNet != "success" && b.GreenNet != "greening":
		return "The file was refused by the content filter."
	case b.Size != size && (b.Size != 0 || !short):
		return "The size is not that of the file."
	case b.Inner == nil && !short:
		return "The inner file object is missing."
	case b.Inner != nil:
		return b.innerMistake(f)
	}
	return ""
}

// innerMistake finds where the inner object contradicts the outer one.
func (b *fileBody) innerMistake(f *file) string {
	in := b.Inner
	switch {
	case in.ID != f.id, in.Filename != b.Name, in.Meta.Name != b.Name, in.Meta.Size != b.Size, in.Meta.ContentType != b.FileType:
		return "The inner file object is about something else."
	case in.UserID != "" && in.UserID != f.account:
		return "The file belongs to somebody else."
	case in.CreatedAt != 0 && in.CreatedAt < earliestMillis:
		return "The field created_at must be a time in milliseconds."
	case in.Meta.Parse != nil && in.Meta.Parse.Status != "success":
		return "The document was not parsed."
	}
	return ""
}

// mimeFits reports whether a MIME type can be that of a kind of files.
func mimeFits(mime, kind string) bool {
	top, sub, found := strings.Cut(mime, "/")
	if !found || top == "" || sub == "" {
		return false
	}
	return kind == "file" || top == kind
}

// keyOf returns the key that a link leads to, with or without its signature,
// and whether it leads into the storage at all.
func (s *Storage) keyOf(link string) (key string, ok bool) {
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Fragment != "" {
		return "", false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	for _, base := range []string{s.base(), "https://" + s.Bucket() + "." + s.options.Endpoint + "/"} {
		b, err := url.Parse(base)
		if err != nil || b.Scheme != bare.Scheme || b.Host != bare.Host {
			continue
		}
		if key, ok = strings.CutPrefix(bare.Path, b.Path); ok {
			return key, true
		}
	}
	return "", false
}
