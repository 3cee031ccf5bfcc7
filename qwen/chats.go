package qwen

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

type newChatBody struct {
	ChatID    string   `json:"chatId"`
	Models    []string `json:"models"`
	ProjectID string   `json:"project_id"`
	Timestamp int64    `json:"timestamp"`
	ChatType  string   `json:"chat_type"`
	ChatMode  string   `json:"chat_mode"`
}

// NewChat opens a chat for the model and returns its id. The time in the
// request is in milliseconds, unlike everywhere else. The site names the chat
// after the first answer.
func (c *Client) NewChat(ctx context.Context, cred Credential, model string) (string, error) {
	req, err := c.request(ctx, cred, http.MethodPost, "/api/v2/chats/new", newChatBody{
		Models: []string{model}, Timestamp: time.Now().UnixMilli(), ChatType: chatType, ChatMode: "normal",
	})
	if err != nil {
		return "", err
	}
	req.Header.Set("Referer", c.BaseURL+"/c/new-chat")
	var answer struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	const op = "open a chat"
	if err := c.call(req, op, &answer); err != nil {
		return "", err
	}
	if !validID(answer.Data.ID) {
		return "", &Error{Kind: KindBadResponse, Op: op, Detail: "it names no usable chat"}
	}
	return answer.Data.ID, nil
}

// Stop ends the answer that is being written in a chat. Without it the chat
// stays busy after the connection is closed. The response id may be empty if it
// is not known yet.
func (c *Client) Stop(ctx context.Context, cred Credential, chatID, responseID string) error {
	req, err := c.request(ctx, cred, http.MethodPost,
		"/api/v2/chat/completions/stop?chat_id="+url.QueryEscape(chatID),
		map[string]string{"chat_id": chatID, "response_id": responseID})
	if err != nil {
		return err
	}
	req.Header.Set("Referer", c.BaseURL+"/c/"+chatID)
	return c.call(req, "stop the answer", nil)
}

// DeleteChat deletes a chat. A chat that does not exist counts as deleted.
func (c *Client) DeleteChat(ctx context.Context, cred Credential, chatID string) error {
	if !validID(chatID) {
		return errors.New("not a chat id")
	}
	req, err := c.request(ctx, cred, http.MethodDelete, "/api/v2/chats/"+chatID, nil)
	if err != nil {
		return err
	}
	err = c.call(req, "delete the chat", nil)
	var e *Error
	if errors.As(err, &e) && e.Kind == KindChatNotFound {
		return nil
	}
	return err
}

// validID reports whether an id that came from outside can be part of a URL, a
// header or a log line: 1 to 128 letters, digits and any of `._:-`, not only
// dots.
func validID(id string) bool {
	dots := 0
	for _, r := range []byte(id) {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == ':', r == '-':
		case r == '.':
			dots++
		default:
			return false
		}
	}
	return len(id) <= 128 && dots < len(id)
}
