package caddyqwen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/openai"
)

// content is a file that has come in: its bytes are in memory or in a temporary
// file until it is closed.
type content struct {
	*spool.File
	filetype.Type
	name  string // clean, never empty
	named bool   // the client has named it
}

// incoming is a file that is about to come in.
type incoming struct {
	from io.Reader
	// name and declared are what the client says: the file's name and media type.
	name, declared string
	// otherwise is the name if the client tells none, without extension.
	otherwise string
	// param names the file in errors.
	param string
	// loose tells that name and declared are nobody's claim, so that only the
	// content counts where they disagree with it.
	loose bool
	// kinds are what the file may be. None: anything.
	kinds []filetype.Kind
}

// sniffSize is how much of a file tells its type.
const sniffSize = 3072

// receive reads a file to its end. The type is known after the first bytes, so
// that the limit is that of the kind.
func (h *Handler) receive(in incoming) (*content, error) {
	source := bufio.NewReaderSize(in.from, sniffSize)
	head, err := source.Peek(sniffSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	whole := int64(len(head))
	if err == nil {
		whole++ // at least
	}
	if whole == 0 {
		return nil, invalidFile(http.StatusBadRequest, "invalid_value", in.param, "The file is empty. Send one with content.")
	}
	found, err := filetype.Detect(head, whole, in.name, in.declared)
	var mismatch *filetype.MismatchError
	if in.loose && errors.As(err, &mismatch) {
		in.name, in.declared = "", ""
		in.otherwise = strings.TrimSuffix(in.otherwise, path.Ext(in.otherwise))
		found, err = filetype.Detect(head, whole, "", "")
	}
	if err == nil && len(in.kinds) > 0 && !slices.Contains(in.kinds, found.Kind) {
		err = fmt.Errorf("its content is %s, which does not belong where %s is expected", found.MIME, in.kinds[0])
	}
	if err != nil {
		return nil, invalidFile(http.StatusUnsupportedMediaType, "media_type_unsupported", in.param,
			"This file cannot be taken: "+err.Error()+". Send a file of an accepted type, with its own extension and type.")
	}
	limit, option := h.fileLimit(found.Kind)
	f, err := h.spool.Read(source, limit)
	if errors.Is(err, spool.ErrTooLarge) {
		return nil, fileTooLarge(in.param, limit, option)
	}
	if err != nil {
		return nil, err
	}
	c := &content{File: f, Type: found, named: in.name != ""}
	name := in.name
	if name == "" {
		name = in.otherwise
	}
	c.name = filetype.CleanName(name, found)
	return c, nil
}

// fileLimit returns the largest size of a file of a kind, and the option that
// sets it.
func (h *Handler) fileLimit(kind filetype.Kind) (limit int64, option string) {
	switch kind {
	case filetype.Image:
		return h.MaxImage, "max_image"
	case filetype.Video:
		return h.MaxVideo, "max_video"
	case filetype.Audio:
		return h.MaxAudio, "max_audio"
	}
	return h.MaxDocument, "max_document"
}

func invalidFile(status int, code, param, message string) error {
	if param != "" {
		message = param + ": " + message
	}
	return &openai.Error{Status: status, Code: code, Param: param, Type: openai.TypeInvalidRequest, Message: message}
}

func fileTooLarge(param string, limit int64, option string) error {
	return invalidFile(http.StatusRequestEntityTooLarge, "file_too_large", param,
		fmt.Sprintf("The file is larger than %d bytes. Send a smaller one; the owner can raise %s.", limit, option))
}
