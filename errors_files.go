package caddyqwen

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/fetch"
	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// This file is the part of the translation of failures that is about files.

// describeIntake translates failures to take in a file. It returns nil for
// others.
func describeIntake(err error) *problem {
	var (
		blocked *fetch.Error
		disk    *spool.StorageError
	)
	switch {
	case errors.As(err, &blocked):
		return describeFetch(blocked)
	case errors.Is(err, spool.ErrFull), errors.As(err, &disk):
		return &problem{
			Error: openai.Error{Status: http.StatusServiceUnavailable, Code: "storage_unavailable",
				Message: "The server has no room for the file at the moment. Try again later; the owner should look at the disk of Caddy's data directory, or raise max_spool. Chats without files go on."},
			class: classUpstream, final: true,
		}
	}
	return nil
}

// describeFetch translates a failure to fetch what a URL names. Nothing tells
// whether a host or a port is there.
func describeFetch(e *fetch.Error) *problem {
	p := &problem{class: classClient, final: true}
	switch e.Kind {
	case fetch.KindBlocked:
		p.Error = openai.Error{Status: http.StatusBadRequest, Code: "media_fetch_blocked", Type: openai.TypeInvalidRequest,
			Message: "The server does not fetch this URL: it takes http and https on the usual ports of public hosts only. Send the file in a data URL, or upload it first; the owner can permit addresses with fetch_allow."}
	case fetch.KindInvalid:
		p.Error = openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Type: openai.TypeInvalidRequest,
			Message: "This is not a URL that can be fetched. Send an absolute http or https URL of at most 2048 characters, or a data URL."}
	case fetch.KindEncoded:
		p.Error = openai.Error{Status: http.StatusUnsupportedMediaType, Code: "media_type_unsupported", Type: openai.TypeInvalidRequest,
			Message: "The server of this URL sends the file compressed, which is not taken. Send the file in a data URL, or upload it first."}
	default:
		p.Error = openai.Error{Status: http.StatusBadRequest, Code: "media_fetch_failed", Type: openai.TypeInvalidRequest,
			Message: "The file of this URL could not be fetched. Check that anybody can open it, or send it in a data URL, or upload it first."}
		p.final = false
	}
	return p
}

// describeUpload translates a failed upload, and names the stage.
func describeUpload(e *uploadError) *problem {
	p := describeTransfer(e.cause)
	p.Param = e.param
	p.Message = "The file could not be uploaded to the site; it failed at this stage: " + e.stage + ". " + p.Message
	return p
}

func describeTransfer(cause error) *problem {
	var (
		site    *qwen.Error
		storage *oss.Error
		unread  *errNotRead
	)
	switch {
	case errors.As(cause, &storage):
		return describeStorage(storage)
	case errors.As(cause, &site):
		return describeUploadCall(site)
	case errors.As(cause, &unread):
		message := "The site cannot read this document. Check that it is not damaged or protected by a password, or send its text."
		if unread.reason != "" {
			message += " Details: " + unread.reason
		}
		return &problem{Error: openai.Error{Status: http.StatusBadRequest, Code: "document_unreadable", Type: openai.TypeInvalidRequest, Message: message},
			class: classContent, final: true}
	case errors.Is(cause, errReadTooLong), errors.Is(cause, context.DeadlineExceeded):
		return uploadTimeout()
	}
	return describe(cause)
}

func uploadTimeout() *problem {
	return &problem{Error: openai.Error{Status: http.StatusGatewayTimeout, Code: "upload_timeout",
		Message: "It took too long. Try again, or send a smaller file; the owner can raise idle_timeout."}, class: classNetwork}
}

// describeUploadCall translates a failure of a call to the site. What the site
// thinks of the account counts as always; the rest is a failed upload.
func describeUploadCall(e *qwen.Error) *problem {
	p := describeSite(e)
	switch e.Kind {
	case qwen.KindRejected, qwen.KindBadResponse, qwen.KindUnavailable, qwen.KindChatNotFound, qwen.KindEmpty, qwen.KindTruncated:
		p.Status, p.Code, p.Type = http.StatusBadGateway, "upload_failed", ""
		p.Message = strings.Replace(p.Message, "The site refused the request.", "The site refused it.", 1)
	case qwen.KindTimeout:
		return uploadTimeout()
	}
	return p
}

// describeStorage translates a failure of the object storage.
func describeStorage(e *oss.Error) *problem {
	p := &problem{Error: openai.Error{Status: http.StatusBadGateway, Code: "upload_failed"}, class: classUpstream}
	switch e.Kind {
	case oss.KindUntrusted:
		p.Code, p.final = "upstream_bad_response", true
		p.Message = "The site named a place for the file that cannot be its storage, and nothing was sent there. The owner should look into the log; storage_endpoint names another place."
	case oss.KindTimeout:
		return uploadTimeout()
	case oss.KindNetwork:
		p.class, p.retryAfter = classNetwork, 5*time.Second
		p.Message = "The storage could not be reached, or the connection to it broke. Try again in a moment; the owner should check the server's network and DNS."
	case oss.KindUnavailable:
		p.retryAfter = 5 * time.Second
		p.Message = "The storage reports a failure of its own. Try again in a moment."
	case oss.KindMismatch:
		p.Message = "What arrived there differs from what was sent, also when it was sent again. Try again later."
	case oss.KindBody:
		p.Message = "The server could not read its own copy of the file. Try again; the owner should look at the disk of Caddy's data directory."
	case oss.KindRefused, oss.KindBadResponse:
		p.final = e.Kind == oss.KindRefused
		p.Message = "The storage refused the file, or its answer could not be understood. If this happens with every file, the site may have changed: update this program."
	default:
		p.Message = "The storage did not accept the site's grant. Try again."
	}
	return p
}

// storageFields describes a failure of an upload for the log.
func storageFields(err error) (fields []zap.Field) {
	var failed *uploadError
	if errors.As(err, &failed) {
		fields, err = append(fields, zap.String("stage", failed.stage)), failed.cause
		fields = append(fields, siteFields(err)...)
	}
	var e *oss.Error
	if errors.As(err, &e) {
		fields = append(fields,
			zap.String("operation", e.Op), zap.Stringer("failure", e.Kind), zap.Stringer("method", e.Method),
			zap.Int("storage_status", e.Status), zap.String("storage_code", e.Code), zap.String("storage_ec", e.EC),
			zap.String("storage_request_id", e.RequestID), zap.String("host", e.Host), zap.Bool("abort_failed", e.AbortFailed))
	}
	return fields
}
