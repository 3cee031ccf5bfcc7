package caddyqwen

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/session"
)

// Why a chat is not deleted.
var (
	errChatNotFound = &openai.Error{Status: http.StatusNotFound, Code: "chat_not_found", Param: "id",
		Message: "There is no such chat among those that were opened for you. Send the id from the header X-Qwen-Chat-Id of an answer."}
	errChatBusy = &openai.Error{Status: http.StatusConflict, Code: "chat_busy", Param: "id",
		Message: "An answer is being written in this chat. Wait for its end, or end the request, then try again."}
	errNoSessions = errors.New("there is no record of conversations")
)

const chatsPrefix = "/v1/chats/"

// serveDeleteChat answers DELETE /v1/chats/{id}.
func (h *Handler) serveDeleteChat(w http.ResponseWriter, r *http.Request, who caller) {
	id := strings.TrimPrefix(r.URL.Path, chatsPrefix)
	if err := h.deleteOwnChat(r.Context(), who, id); err != nil {
		h.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, []byte(`{"id":"`+id+`","object":"chat.deleted","deleted":true}`))
}

// deleteOwnChat deletes a chat that was opened for the caller. All others look
// the same, whether they exist or not.
func (h *Handler) deleteOwnChat(ctx context.Context, who caller, id string) error {
	if !plainID(id) {
		return errChatNotFound
	}
	shared := h.sessions()
	if shared == nil {
		return errNoSessions
	}
	defer shared.release(h.logger)
	a, key, err := h.ownChat(ctx, shared, who, id)
	if err != nil {
		return err
	}
	lease := shared.take(key)
	if lease == nil {
		return errChatBusy
	}
	defer lease.end()
	return h.deleteChat(ctx, shared, a, key)
}

// ownChat finds a chat that was opened for the caller, and its account.
func (h *Handler) ownChat(ctx context.Context, shared *sessions, who caller, id string) (*account, chatKey, error) {
	for _, a := range h.accounts {
		key := chatKey{a.id(), id}
		chat, err := shared.store.Chat(ctx, key.account, id)
		shared.check(h.logger, err)
		switch {
		case err == nil && chat.Tenant == who.tenant:
			return a, key, nil
		case err != nil && !errors.Is(err, session.ErrNotFound):
			return nil, key, errNoSessions
		}
	}
	return nil, chatKey{}, errChatNotFound
}
