package qwen

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The kinds of files, by the site's names.
const (
	FileImage    = "image"
	FileVideo    = "video"
	FileAudio    = "audio"
	FileDocument = "file"
)

// Grant is leave to upload one file to the site's object storage. The keys and
// the signature in URL are secret.
type Grant struct {
	// AccessKeyID, AccessKeySecret and SecurityToken sign requests to the
	// storage. They are valid for this file and for a short time only.
	AccessKeyID, AccessKeySecret, SecurityToken string
	// FileID is the site's id of the file.
	FileID string
	// URL reads the file, with a signature that is valid for five minutes. It
	// cannot be used to upload.
	URL string
	// Path is the name of the object: the user's id, a slash, the file's id, an
	// underscore and the file's name.
	Path string
	// Bucket, Region and Endpoint tell where the storage is. Nothing is known of
	// them: what they name has to be checked before anything is sent there.
	Bucket, Region, Endpoint string
}

// UserID returns the id of the account's user, or an empty text if the path does
// not tell it.
func (g Grant) UserID() string {
	user, _, found := strings.Cut(g.Path, "/")
	if !found || user == "anonymous" || !validID(user) {
		return ""
	}
	return user
}

// wireGrant is a grant as the site answers it.
type wireGrant struct {
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
	SecurityToken   string `json:"security_token"`
	FileURL         string `json:"file_url"`
	FilePath        string `json:"file_path"`
	FileID          string `json:"file_id"`
	BucketName      string `json:"bucketname"`
	Region          string `json:"region"`
	Endpoint        string `json:"endpoint"`
}

// opGrant names the call for a grant in errors.
const opGrant = "ask for an upload grant"

// GrantUpload asks for leave to upload a file of a kind. The site's own page
// sends the size as a string; the names of the fields have another spelling in
// one version of the site, which is tried if the site does not know this one.
func (c *Client) GrantUpload(ctx context.Context, cred Credential, name string, size int64, kind string) (Grant, error) {
	bytes := strconv.FormatInt(size, 10)
	g, err := c.grant(ctx, cred, map[string]string{"filename": name, "filesize": bytes, "filetype": kind})
	var e *Error
	if errors.As(err, &e) && strings.Contains(strings.ToLower(e.Detail), "invalid file information") {
		return c.grant(ctx, cred, map[string]string{"file_name": name, "file_size": bytes, "file_type": kind})
	}
	return g, err
}

func (c *Client) grant(ctx context.Context, cred Credential, body any) (Grant, error) {
	var answer struct {
		Data *wireGrant `json:"data"`
		wireGrant
	}
	if err := c.post(ctx, cred, "/api/v2/files/getstsToken", body, opGrant, &answer); err != nil {
		return Grant{}, err
	}
	w := answer.wireGrant // without an envelope, as the site's first version answers
	if answer.Data != nil {
		w = *answer.Data
	}
	return w.grant()
}

// grant checks that nothing is missing.
func (w wireGrant) grant() (Grant, error) {
	for _, field := range []struct{ name, value string }{
		{"access_key_id", w.AccessKeyID}, {"access_key_secret", w.AccessKeySecret}, {"security_token", w.SecurityToken},
		{"file_url", w.FileURL}, {"file_path", w.FilePath}, {"bucketname", w.BucketName},
		{"region", w.Region}, {"endpoint", w.Endpoint},
	} {
		if field.value == "" {
			return Grant{}, &Error{Kind: KindBadResponse, Op: opGrant, Detail: "it lacks " + field.name}
		}
	}
	if !validID(w.FileID) {
		return Grant{}, &Error{Kind: KindBadResponse, Op: opGrant, Detail: "it names no usable file"}
	}
	return Grant{
		AccessKeyID: w.AccessKeyID, AccessKeySecret: w.AccessKeySecret, SecurityToken: w.SecurityToken,
		FileID: w.FileID, URL: w.FileURL, Path: w.FilePath, Bucket: w.BucketName, Region: w.Region, Endpoint: w.Endpoint,
	}, nil
}

// ParseState tells how far the site is with reading a document.
type ParseState uint8

// The states of a document.
const (
	ParsePending ParseState = iota
	ParseDone
	ParseFailed
)

// Parse has the site read a document, which models see only then. ParseStatus
// tells how far it is.
func (c *Client) Parse(ctx context.Context, cred Credential, fileID string) error {
	return c.post(ctx, cred, "/api/v2/files/parse", map[string]string{"file_id": fileID}, "have the document read", nil)
}

// ParseStatus returns how far the site is with reading a document, and why it
// failed if it has and the site says why. A document of which the answer says
// nothing is pending.
func (c *Client) ParseStatus(ctx context.Context, cred Credential, fileID string) (state ParseState, reason string, err error) {
	var answer struct {
		Data []struct {
			FileID   string `json:"file_id"`
			Status   string `json:"status"`
			ErrorMsg string `json:"error_msg"`
		} `json:"data"`
	}
	const op = "ask whether the document is read"
	if err := c.post(ctx, cred, "/api/v2/files/parse/status", map[string][]string{"file_id_list": {fileID}}, op, &answer); err != nil {
		return ParsePending, "", err
	}
	for _, f := range answer.Data {
		if f.FileID != fileID {
			continue
		}
		switch strings.ToLower(f.Status) {
		case "success":
			return ParseDone, "", nil
		case "failed", "fail", "error":
			return ParseFailed, clean(f.ErrorMsg), nil
		}
	}
	return ParsePending, "", nil
}

// FileLink returns a URL that reads a file, with a fresh signature. It is secret
// for as long as the signature is valid.
func (c *Client) FileLink(ctx context.Context, cred Credential, fileID string) (string, error) {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	const op = "ask for a link to the file"
	if err := c.post(ctx, cred, "/api/v2/files/getfilelink", map[string]string{"file_id": fileID}, op, &answer); err != nil {
		return "", err
	}
	var link string
	if json.Unmarshal(answer.Data, &link) != nil {
		var named struct {
			URL     string `json:"url"`
			FileURL string `json:"file_url"`
		}
		_ = json.Unmarshal(answer.Data, &named)
		link = orElse(named.FileURL, named.URL)
	}
	if u, err := url.Parse(link); err != nil || u.Host == "" {
		return "", &Error{Kind: KindBadResponse, Op: op, Detail: "it names no usable link"}
	}
	return link, nil
}

// post makes a call with a JSON body.
func (c *Client) post(ctx context.Context, cred Credential, path string, body any, op string, out any) error {
	req, err := c.request(ctx, cred, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Referer", c.BaseURL+"/")
	return c.call(req, op, out)
}

// File is a file in the site's storage, as a turn refers to it.
type File struct {
	// ID is the site's id of the file, UserID that of the user who has uploaded
	// it, or empty.
	ID, UserID string
	// URL reads the file. The site takes it with a signature that is over, and
	// without any.
	URL string
	// Name is the file's name, MIME its media type.
	Name, MIME string
	// Kind is FileImage, FileVideo, FileAudio or FileDocument.
	Kind string
	// Size is in bytes.
	Size int64
	// Created is when the file was uploaded.
	Created time.Time
}

// Class returns the site's class of the file, which tells what it does with it:
// vision, video, audio or document.
func (f File) Class() string {
	switch f.Kind {
	case FileImage:
		return "vision"
	case FileDocument:
		return "document"
	}
	return f.Kind
}

// wireFile is a file in a turn, as the site's own page sends it. Times are in
// milliseconds; the two ids that name nothing on the site are new each time.
type wireFile struct {
	Type           string        `json:"type"`
	File           wireFileInner `json:"file"`
	ID             string        `json:"id"`
	URL            string        `json:"url"`
	Name           string        `json:"name"`
	CollectionName string        `json:"collection_name"`
	Progress       int           `json:"progress"`
	Status         string        `json:"status"`
	GreenNet       string        `json:"greenNet"`
	Size           int64         `json:"size"`
	Error          string        `json:"error"`
	ItemID         string        `json:"itemId"`
	FileType       string        `json:"file_type"`
	ShowType       string        `json:"showType"`
	FileClass      string        `json:"file_class"`
	UploadTaskID   string        `json:"uploadTaskId"`
}

type wireFileInner struct {
	CreatedAt int64        `json:"created_at"`
	Data      struct{}     `json:"data"`
	Filename  string       `json:"filename"`
	Hash      *string      `json:"hash"`
	ID        string       `json:"id"`
	UserID    string       `json:"user_id,omitempty"`
	Meta      wireFileMeta `json:"meta"`
	UpdateAt  int64        `json:"update_at"`
}

type wireFileMeta struct {
	Name        string     `json:"name"`
	Size        int64      `json:"size"`
	ContentType string     `json:"content_type"`
	ParseMeta   *parseMeta `json:"parse_meta,omitempty"`
}

type parseMeta struct {
	ParseStatus string `json:"parse_status"`
}

// MarshalJSON writes the file as the site's own page does.
func (f File) MarshalJSON() ([]byte, error) {
	at := f.Created.UnixMilli()
	meta := wireFileMeta{Name: f.Name, Size: f.Size, ContentType: f.MIME}
	if f.Kind == FileDocument {
		meta.ParseMeta = &parseMeta{ParseStatus: "success"}
	}
	out, err := encode(wireFile{
		Type: f.Kind,
		File: wireFileInner{CreatedAt: at, Filename: f.Name, ID: f.ID, UserID: f.UserID, Meta: meta, UpdateAt: at},
		ID:   f.ID, URL: f.URL, Name: f.Name, Status: "uploaded", GreenNet: "success", Size: f.Size,
		ItemID: uuid.NewString(), FileType: f.MIME, ShowType: f.Kind, FileClass: f.Class(), UploadTaskID: uuid.NewString(),
	})
	return out, err
}

// WithoutSignature returns a URL without its query, in which the signature is,
// and without its fragment.
func WithoutSignature(rawURL string) string {
	if i := strings.IndexAny(rawURL, "?#"); i >= 0 {
		return rawURL[:i]
	}
	return rawURL
}
