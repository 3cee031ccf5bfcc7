package caddyqwen

import (
	"context"
	"encoding/json"
	"math"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// serveUpload answers POST /v1/files/upload and POST /v1/files: a form with a
// file.
func (h *Handler) serveUpload(w http.ResponseWriter, r *http.Request, who caller) {
	h.admit(w, r, who, func(shared *state) error {
		f, err := h.readForm(w, r, "file")
		if err != nil {
			return err
		}
		defer f.file.Close()
		if !h.hasCredential() {
			return errNoCredential
		}
		purpose, err := f.purpose()
		if err != nil {
			return err
		}
		expires, err := f.expiry()
		if err != nil {
			return err
		}
		stored, signed, err := h.uploadNow(r.Context(), who, shared, &upload{content: f.file, param: "file", purpose: purpose, expires: expires})
		if err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-store") // of a signature
		writeValue(w, fileAnswer(stored, signed))
		return nil
	})
}

// purpose returns what the client says that the file is for.
func (f *fileForm) purpose() (string, error) {
	const longest = 256
	purpose := f.value("purpose")
	switch {
	case purpose == "":
		return "user_data", nil
	case len(purpose) > longest || !utf8.ValidString(purpose):
		return "", invalidFile(http.StatusBadRequest, "invalid_value", "purpose", "It must be UTF-8 of at most 256 bytes.")
	}
	return purpose, nil
}

// expiry returns after what time the file expires: as the client wishes it, or 0.
func (f *fileForm) expiry() (time.Duration, error) {
	const name = "expires_after[seconds]"
	seconds, err := f.count(name)
	if err != nil {
		return 0, err
	}
	if anchor := f.value("expires_after[anchor]"); anchor != "" && anchor != "created_at" {
		return 0, &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: "expires_after[anchor]", Type: openai.TypeInvalidRequest,
			Message: "The form field expires_after[anchor] must be created_at."}
	}
	const longest = 100 * 365 * 24 * 60 * 60
	return time.Duration(min(seconds, longest)) * time.Second, nil
}

// uploadNow uploads a file while the client waits.
func (h *Handler) uploadNow(ctx context.Context, who caller, shared *state, u *upload) (*session.File, string, error) {
	u.h, u.account, u.report = h, h.chooseAccount(), reporterOf(ctx)
	release, err := h.place(ctx, shared, u.account, "")
	if err != nil {
		return nil, "", err
	}
	defer release()
	ctx, cancel := whileServing(ctx)
	defer cancel()
	u.files = h.knownFiles(who)
	defer u.files.close()
	stored, signed, err := u.run(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, "", orExit(ctx, errClientGone)
	}
	return stored, signed, err
}

// serveImageChat answers POST /v1/image/upload_and_chat.
func (h *Handler) serveImageChat(w http.ResponseWriter, r *http.Request, who caller) {
	h.uploadAndChat(w, r, who, "image", filetype.Image, false)
}

// serveVideoChat answers POST /v1/video/upload_and_chat.
func (h *Handler) serveVideoChat(w http.ResponseWriter, r *http.Request, who caller) {
	h.uploadAndChat(w, r, who, "video", filetype.Video, true)
}

// seeingModel answers about a file if the form names no model.
const seeingModel = "qwen3-vl"

// uploadAndChat answers a form with a file and a question about it.
func (h *Handler) uploadAndChat(w http.ResponseWriter, r *http.Request, who caller, field string, kind filetype.Kind, stream bool) {
	h.admit(w, r, who, func(shared *state) error {
		f, err := h.readForm(w, r, field, kind)
		if err != nil {
			return err
		}
		a := &attachment{
			Attachment: &openai.Attachment{Kind: kind.String(), Param: field}, name: f.file.name, content: f.file,
		}
		attached := (&attachments{list: []*attachment{a}}).hold()
		req, err := f.chatRequest(stream)
		if err != nil {
			attached.release()
			return err
		}
		req.Messages[0].Attachments = []*openai.Attachment{a.Attachment}
		t, out, stream, err := h.prepareTurn(w, r, who, shared, req, attached)
		if err != nil {
			return err
		}
		defer t.conversation.close()
		return h.relay(w, r, t, out, stream)
	})
}

// chatRequest is what the form's text fields ask for.
func (f *fileForm) chatRequest(stream bool) (*openai.ChatRequest, error) {
	prompt, err := f.text("prompt")
	if err != nil {
		return nil, err
	}
	req := &openai.ChatRequest{Model: f.value("model"), Messages: []openai.Message{{Role: "user", Content: prompt}}}
	if req.Model == "" {
		req.Model = seeingModel
	}
	if req.Stream, err = f.bool("stream", stream); err != nil {
		return nil, err
	}
	if req.Thinking.Enabled, err = f.bool("enable_thinking", false); err != nil {
		return nil, err
	}
	req.Thinking.Set = f.value("enable_thinking") != ""
	budget, err := f.count("thinking_budget")
	if req.Thinking.Enabled {
		req.Thinking.Budget = int(min(budget, math.MaxInt32))
	}
	return req, err
}

// maxGrantBody is the largest request for an upload grant in bytes.
const maxGrantBody = 64 << 10

// grantRequest asks for an upload grant.
type grantRequest struct {
	name, kind string
	size       int64
}

// serveGrant answers POST /v2/files/getstsToken: the site's grant, with which the
// caller can upload one file. It is made for nobody else and never stored or
// logged.
func (h *Handler) serveGrant(w http.ResponseWriter, r *http.Request, who caller) {
	if h.grantsOff() {
		h.writeError(w, r, errUnknownURL)
		return
	}
	h.admit(w, r, who, func(shared *state) error {
		want, err := h.readGrantRequest(w, r)
		if err != nil {
			return err
		}
		if !h.hasCredential() {
			return errNoCredential
		}
		a := h.chooseAccount()
		release, err := h.place(r.Context(), shared, a, "")
		if err != nil {
			return err
		}
		defer release()
		g, err := a.grant(r.Context(), want.name, want.size, want.kind)
		if err == nil {
			err = h.checkGrant(g)
		}
		switch {
		case r.Context().Err() != nil:
			return errClientGone
		case err != nil:
			return &uploadError{stage: stageGrant, cause: err}
		}
		known := h.knownFiles(who)
		defer known.close()
		_ = known.add(r.Context(), a, session.File{ // without it, the file is fetched where it is named
			ID: g.FileID, Owner: g.UserID(), URL: qwen.WithoutSignature(g.URL), Name: want.name, MIME: mimeOf(want.name, want.kind),
			Kind: want.kind, Size: want.size, Created: time.Now(),
		})
		writeGrant(w, g)
		return nil
	})
}

// readGrantRequest reads the body of a request for a grant.
func (h *Handler) readGrantRequest(w http.ResponseWriter, r *http.Request) (grantRequest, error) {
	if err := checkBody(r); err != nil {
		return grantRequest{}, err
	}
	var body struct {
		Filename string          `json:"filename"`
		Filesize json.RawMessage `json:"filesize"`
		Filetype string          `json:"filetype"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxGrantBody)).Decode(&body); err != nil {
		if p := describe(err); p.Status == http.StatusRequestEntityTooLarge {
			return grantRequest{}, err
		}
		return grantRequest{}, invalidFile(http.StatusBadRequest, "invalid_json", "", "The body is not a JSON object with filename, filesize and filetype.")
	}
	kinds := map[string]filetype.Kind{"image": filetype.Image, "video": filetype.Video, "audio": filetype.Audio, "file": filetype.Document, "document": filetype.Document}
	kind, known := kinds[body.Filetype]
	size, err := strconv.ParseInt(strings.Trim(string(body.Filesize), `"`), 10, 64)
	switch {
	case strings.TrimSpace(body.Filename) == "":
		return grantRequest{}, invalidFile(http.StatusBadRequest, "missing_required_parameter", "filename", "It is missing; send the name of the file.")
	case err != nil || size <= 0:
		return grantRequest{}, invalidFile(http.StatusBadRequest, "invalid_value", "filesize", "It must be the size of the file in bytes, greater than 0.")
	case !known:
		return grantRequest{}, invalidFile(http.StatusBadRequest, "invalid_value", "filetype", "It must be image, video, audio or file.")
	}
	if limit, option := h.fileLimit(kind); size > limit {
		return grantRequest{}, fileTooLarge("filesize", limit, option)
	}
	return grantRequest{name: filetype.CleanName(body.Filename, filetype.Type{Kind: kind}), kind: kind.String(), size: size}, nil
}

// mimeOf tells the media type of a file that nobody has seen.
func mimeOf(name, kind string) string {
	t, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name)))
	if family, _, _ := strings.Cut(t, "/"); err != nil || kind != qwen.FileDocument && family != kind {
		return "application/octet-stream"
	}
	return t
}

// checkGrant refuses a grant for a place that is not the site's storage.
func (h *Handler) checkGrant(g qwen.Grant) error {
	if h.StorageEndpoint == "" && !oss.TrustedHost(g.Endpoint) {
		return &oss.Error{Kind: oss.KindUntrusted, Op: "check the grant"}
	}
	return nil
}

// writeGrant answers as the site does.
func writeGrant(w http.ResponseWriter, g qwen.Grant) {
	w.Header().Set("Cache-Control", "no-store")
	writeValue(w, map[string]any{
		"success": true, "request_id": uuid.NewString(),
		"data": map[string]string{
			"access_key_id": g.AccessKeyID, "access_key_secret": g.AccessKeySecret, "security_token": g.SecurityToken,
			"file_url": g.URL, "file_path": g.Path, "file_id": g.FileID,
			"bucketname": g.Bucket, "region": g.Region, "endpoint": g.Endpoint,
		},
	})
}
