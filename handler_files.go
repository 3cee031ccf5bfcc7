package caddyqwen

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

const filesPrefix = "/v1/files/"

// contentSuffix ends the paths of the contents of files.
const contentSuffix = "/content"

// fileObject is a file as OpenAI's API tells it, with what the site knows of it.
type fileObject struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt *int64 `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"`

	URL      string     `json:"url"`
	MIME     string     `json:"mime_type"`
	Type     string     `json:"type"`
	Class    string     `json:"file_class"`
	Display  string     `json:"display_type"`
	FileInfo *qwen.File `json:"file_info,omitempty"`
}

// newFileObject returns a file for the answer to its caller.
func newFileObject(f *session.File) *fileObject {
	site := fileOf(f)
	o := &fileObject{
		ID: f.ID, Object: "file", Bytes: f.Size, CreatedAt: f.Created.Unix(), Filename: f.Name, Purpose: f.Purpose,
		Status: "processed", URL: f.URL, MIME: f.MIME, Type: f.Kind, Class: f.Kind, Display: site.Class(),
	}
	if !f.Expires.IsZero() {
		at := f.Expires.Unix()
		o.ExpiresAt = &at
	}
	return o
}

// fileAnswer is the answer to an upload. Its URL is signed and can be opened for
// a few minutes; the whole of file_info can be sent back in a chat.
func fileAnswer(f *session.File, signed string) *fileObject {
	o := newFileObject(f)
	info := fileOf(f)
	info.URL = signed
	o.Status, o.URL, o.FileInfo = "uploaded", signed, info
	return o
}

// serveFiles answers POST /v1/files, and GET /v1/files: the caller's files, the
// newest first.
func (h *Handler) serveFiles(w http.ResponseWriter, r *http.Request, who caller) {
	if r.Method == http.MethodPost {
		h.serveUpload(w, r, who)
		return
	}
	if err := h.listFiles(w, r, who); err != nil {
		h.writeError(w, r, err)
	}
}

// The number of files in a list.
const (
	defaultFiles = 10_000
	maxListed    = 10_000
)

func (h *Handler) listFiles(w http.ResponseWriter, r *http.Request, who caller) error {
	query := r.URL.Query()
	q := session.FileQuery{Purpose: query.Get("purpose"), After: query.Get("after"), Limit: defaultFiles}
	if s := query.Get("limit"); s != "" {
		var err error
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxListed {
			return invalidFile(http.StatusBadRequest, "invalid_value", "limit", "It must be a whole number from 1 to 10000.")
		}
	}
	switch order := query.Get("order"); order {
	case "", "desc":
	case "asc":
		q.Ascending = true
	default:
		return invalidFile(http.StatusBadRequest, "invalid_value", "order", "It must be asc or desc.")
	}
	known := h.knownFiles(who)
	defer known.close()
	files, more, err := known.list(r.Context(), q)
	if err != nil {
		return err
	}
	list := struct {
		Object  string        `json:"object"`
		Data    []*fileObject `json:"data"`
		FirstID *string       `json:"first_id"`
		LastID  *string       `json:"last_id"`
		HasMore bool          `json:"has_more"`
	}{Object: "list", Data: []*fileObject{}, HasMore: more}
	for i := range files {
		list.Data = append(list.Data, newFileObject(&files[i]))
	}
	if n := len(files); n > 0 {
		list.FirstID, list.LastID = &files[0].ID, &files[n-1].ID
	}
	writeValue(w, list)
	return nil
}

// serveFile answers GET and DELETE /v1/files/{id}.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, who caller) {
	id := strings.TrimPrefix(r.URL.Path, filesPrefix)
	serve := h.tellFile
	if r.Method == http.MethodDelete {
		serve = h.forgetFile
	}
	if err := serve(w, r, who, id); err != nil {
		h.writeError(w, r, err)
	}
}

// serveFileContent answers GET /v1/files/{id}/content.
func (h *Handler) serveFileContent(w http.ResponseWriter, r *http.Request, who caller) {
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, filesPrefix), contentSuffix)
	h.admit(w, r, who, func(*state) error { return h.fileContent(w, r, who, id) })
}

func (h *Handler) tellFile(w http.ResponseWriter, r *http.Request, who caller, id string) error {
	known := h.knownFiles(who)
	defer known.close()
	f, err := known.get(r.Context(), id)
	if err != nil {
		return err
	}
	writeValue(w, newFileObject(&f))
	return nil
}

// forgetFile makes the server forget a file. The site offers no way to delete
// it there.
func (h *Handler) forgetFile(w http.ResponseWriter, r *http.Request, who caller, id string) error {
	known := h.knownFiles(who)
	defer known.close()
	if err := known.remove(r.Context(), id); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, []byte(`{"id":"`+id+`","object":"file","deleted":true}`))
	return nil
}

// fileContent sends a file's content through from the storage. It may be
// anything, so that no browser may run or show it as a page of this server.
func (h *Handler) fileContent(w http.ResponseWriter, r *http.Request, who caller, id string) error {
	known := h.knownFiles(who)
	f, err := known.get(r.Context(), id)
	known.close()
	if err != nil {
		return err
	}
	ctx, idle := newIdle(r.Context(), time.Duration(h.IdleTimeout))
	defer idle.stop()
	var body io.Reader = strings.NewReader("")
	if r.Method != http.MethodHead {
		resp, err := h.openFile(ctx, &f)
		if err != nil {
			return idle.why(r.Context(), err)
		}
		defer resp.Body.Close()
		if resp.ContentLength >= 0 {
			f.Size = resp.ContentLength
		}
		body = &watched{resp.Body, idle}
	}
	header := w.Header()
	header.Set("Content-Type", f.MIME)
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, body); err != nil && orExit(r.Context(), r.Context().Err()) == context.Canceled {
		infoOf(r.Context()).gone()
	} else if err != nil {
		// What has been announced cannot be kept. The connection must not look as if
		// all had come.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// idle ends a context after a time in which nothing has come.
type idle struct {
	patience time.Duration
	timer    *time.Timer
	cancel   context.CancelCauseFunc
	ctx      context.Context
}

func newIdle(ctx context.Context, patience time.Duration) (context.Context, *idle) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &idle{patience, time.AfterFunc(patience, func() { cancel(errIdle) }), cancel, ctx}
}

func (i *idle) stop() {
	i.timer.Stop()
	i.cancel(nil)
}

// why returns what has ended a request whose own context is given.
func (i *idle) why(request context.Context, err error) error {
	switch {
	case request.Err() != nil:
		return errClientGone
	case context.Cause(i.ctx) == errIdle:
		return errIdle
	}
	return err
}

// watched is a reader whose every piece is a sign of life.
type watched struct {
	io.Reader
	idle *idle
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.idle.timer.Reset(r.idle.patience)
	return n, err
}

// trustedStorage reports whether a URL is one of the site's storage.
func (h *Handler) trustedStorage(u *url.URL) bool {
	if own := h.storage.Endpoint; own != nil {
		return u.Scheme == own.Scheme && u.Host == own.Host
	}
	return u.Scheme == "https" && oss.TrustedHost(u.Host)
}

// openFile gets a file from the storage by a fresh link of the site. Nothing is
// sent to any other host, and no credential at all.
func (h *Handler) openFile(ctx context.Context, f *session.File) (*http.Response, error) {
	a := h.accountOf(f.Account)
	if a == nil {
		return nil, errFileNotFound
	}
	infoOf(ctx).account = a.label
	var link string
	err := a.ask(ctx, func(c *qwen.Client, cred qwen.Credential) (err error) {
		link, err = c.FileLink(ctx, cred, f.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(link)
	if err != nil || !h.trustedStorage(u) {
		return nil, &oss.Error{Kind: oss.KindUntrusted, Op: "read the file"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := h.client.Transport.RoundTrip(req)
	if err != nil {
		return nil, &qwen.Error{Kind: qwen.KindNetwork, Op: "read the file", Err: err}
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errFileLost
	}
	return resp, nil
}
