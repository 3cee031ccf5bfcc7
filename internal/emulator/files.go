package emulator

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// linkLife is how long the links of the site are good.
const linkLife = 300 * time.Second

// file is a file that somebody has asked a grant for. Only its parsing
// changes, which the lock of the site guards.
type file struct {
	id      string
	account string
	name    string
	kind    string // image, video, audio or file
	size    int64  // as announced
	key     string
	parsing *Parsing // nil: not asked for
	polls   int
}

// Parsing is how the parsing of one document goes. It ends, well or not, only
// when the client polls for it.
type Parsing struct {
	Pending int    // polls that are answered with `pending` before it ends
	Error   string // it fails with this text, if there is one
	Never   bool   // it never ends
}

// Parse queues how documents are parsed: each call of `files/parse` takes the
// next one.
func (s *Site) Parse(p ...Parsing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parsings = append(s.parsings, p...)
}

// grantBody is the body of getstsToken. The web client sends the size as a
// string.
type grantBody struct {
	Name string          `json:"filename"`
	Size json.RawMessage `json:"filesize"`
	Type string          `json:"filetype"`
}

// size returns the size of the file, or false if it is none.
func (b *grantBody) size() (int64, bool) {
	text := string(b.Size)
	var inner string
	if json.Unmarshal(b.Size, &inner) == nil && inner != "" {
		text = inner
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}

// fileKinds are the values of `filetype` with the ability of a model that is
// needed to see such files.
var fileKinds = map[string]string{"image": "vision", "video": "video", "audio": "audio", "file": "document"}

// grantFile answers `POST /api/v2/files/getstsToken`: the right to upload one
// file.
func (s *Site) grantFile(c *call) (Reply, *generation) {
	bad := Refusal("Bad_Request", "Invalid file information!")
	var b grantBody
	if json.Unmarshal(c.body, &b) != nil {
		return bad, nil
	}
	size, ok := b.size()
	if !ok || b.Name == "" || fileKinds[b.Type] == "" {
		return bad, nil
	}
	f := &file{id: uuid.NewString(), account: c.account, name: b.Name, kind: b.Type, size: size}
	f.key = f.account + "/" + f.id + "_" + f.name
	if !validKey(f.key) {
		return bad, nil
	}
	s.mu.Lock()
	s.files[f.id] = f
	s.notify()
	s.mu.Unlock()
	g := s.storage.Grant(f.key)
	return success(map[string]string{
		"access_key_id": g.AccessKeyID, "access_key_secret": g.AccessKeySecret, "security_token": g.SecurityToken,
		"file_url": s.storage.Link(f.key, linkLife), "file_path": f.key, "file_id": f.id,
		"bucketname": s.storage.Bucket(), "region": s.storage.Region(), "endpoint": s.storage.Endpoint(),
	}), nil
}

// file returns a file of an account, or nil. It is called with the lock held.
func (s *Site) file(account, id string) *file {
	f := s.files[id]
	if f == nil || f.account != account {
		return nil
	}
	return f
}

// fileByKey returns the file of an account at a key, or nil. It is called with
// the lock held.
func (s *Site) fileByKey(account, key string) *file {
	id, _, _ := strings.Cut(strings.TrimPrefix(key, account+"/"), "_")
	if f := s.file(account, id); f != nil && f.key == key {
		return f
	}
	return nil
}

// fileNotFound is the refusal of a file that is not there, or is another's.
func fileNotFound() Reply { return Refusal("Not_Found", "File not found") }

// uploaded returns a file of an account that is in the storage.
func (s *Site) uploaded(account, id string) *file {
	s.mu.Lock()
	f := s.file(account, id)
	s.mu.Unlock()
	if f == nil || s.storage.object(f.key) == nil {
		return nil
	}
	return f
}

// fileID reads a body that names a file.
func fileID(body []byte) string {
	var b struct {
		ID string `json:"file_id"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return b.ID
}

// parseFile answers `POST /api/v2/files/parse`: it begins to read a document.
func (s *Site) parseFile(c *call) (Reply, *generation) {
	id := fileID(c.body)
	if id == "" {
		return invalid("file_id", "is required."), nil
	}
	f := s.uploaded(c.account, id)
	switch {
	case f == nil:
		return fileNotFound(), nil
	case f.kind != "file":
		return Refusal("invalid_input", "Only documents can be parsed."), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.status() == "" || f.status() == "failed" {
		p := s.options.Parsing
		if len(s.parsings) > 0 {
			p, s.parsings = s.parsings[0], s.parsings[1:]
		}
		f.parsing, f.polls = &p, 0
	}
	s.notify()
	return success(map[string]string{"file_id": id, "status": "pending"}), nil
}

// status is how far the parsing is: empty if nobody has asked for it. It is
// called with the lock held.
func (f *file) status() string {
	switch p := f.parsing; {
	case p == nil:
		return ""
	case p.Never, f.polls <= p.Pending:
		return "pending"
	case p.Error != "":
		return "failed"
	}
	return "success"
}

// parseStatus is an entry of the answer to `files/parse/status`.
type parseStatus struct {
	ID     string `json:"file_id"`
	Status string `json:"status"`
	Error  string `json:"error_msg"`
}

// fileStatus answers `POST /api/v2/files/parse/status`. Every poll moves the
// parsing on.
func (s *Site) fileStatus(c *call) (Reply, *generation) {
	var b struct {
		IDs []string `json:"file_id_list"`
	}
	if json.Unmarshal(c.body, &b) != nil || len(b.IDs) == 0 {
		return invalid("file_id_list", "must be a list of ids."), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]parseStatus, len(b.IDs))
	for i, id := range b.IDs {
		f := s.file(c.account, id)
		if f == nil {
			return fileNotFound(), nil
		}
		list[i] = f.poll()
	}
	s.notify()
	return success(list), nil
}

// poll moves the parsing on and tells how far it is. It is called with the
// lock held.
func (f *file) poll() parseStatus {
	f.polls++
	st := parseStatus{ID: f.id, Status: f.status()}
	switch st.Status {
	case "":
		st.Status, st.Error = "failed", "The file was not submitted for parsing."
	case "failed":
		st.Error = f.parsing.Error
	}
	return st
}

// fileLink answers `POST /api/v2/files/getfilelink`: `data.file_url` is a
// fresh link to read the file.
func (s *Site) fileLink(c *call) (Reply, *generation) {
	id := fileID(c.body)
	if id == "" {
		return invalid("file_id", "is required."), nil
	}
	f := s.uploaded(c.account, id)
	if f == nil {
		return fileNotFound(), nil
	}
	return success(map[string]string{"file_id": id, "file_url": s.storage.Link(f.key, linkLife)}), nil
}

// rawFiles returns the files as they were sent.
func rawFiles(files []FileRef) []json.RawMessage {
	var list []json.RawMessage
	for _, f := range files {
		list = append(list, f.Raw)
	}
	return list
}
