package qwen

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// chatType is the site's name for an ordinary text chat.
const chatType = "t2t"

// Thinking tells how much a model thinks before it answers.
type Thinking uint8

// The modes of thinking.
const (
	// ThinkingOff: the model answers at once.
	ThinkingOff Thinking = iota
	// ThinkingOn: the model thinks, then answers.
	ThinkingOn
	// ThinkingAuto: the model decides.
	ThinkingAuto
)

// Completion is one turn of a conversation.
type Completion struct {
	// ChatID is the chat in which the turn happens.
	ChatID string
	// ParentID is the response id of the answer after which the turn comes, or
	// empty for the first turn of a chat. With a wrong one the site answers
	// without the context and without an error.
	ParentID string
	// Model is the model's id.
	Model string
	// Prompt is the text of the turn. The site has no other roles than the user.
	Prompt string
	// Files are what the turn has attached, in order.
	Files []File
	// Thinking is the mode of thinking.
	Thinking Thinking
	// Budget is the largest number of tokens to think with, or 0 for the model's
	// own limit.
	Budget int
	// LocalTools are functions that the model may call and the client executes.
	// The site may refuse a turn that has any, and answers with nothing where
	// their schemas are longer than about 127 KB. Default: none.
	LocalTools []LocalTool
}

// Stream is a completion stream whose first bytes have arrived. Read returns
// the stream's bytes for a Decoder. It must be closed.
type Stream struct {
	body io.ReadCloser
	text io.Reader
}

// Read reads the stream. An error other than io.EOF is an *Error.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.text.Read(p)
	if err != nil && err != io.EOF {
		e := classifyNetwork(err)
		if e.Kind == KindNetwork {
			e.Kind = KindTruncated
		}
		err = named("read the answer", e)
	}
	return n, err
}

// Close ends the stream.
func (s *Stream) Close() error { return s.body.Close() }

// Complete sends a turn and waits for the first bytes of the answer. The time
// in the request is in seconds. An answer that is not a stream is an *Error.
func (c *Client) Complete(ctx context.Context, cred Credential, turn Completion) (*Stream, error) {
	const op = "send the prompt"
	req, err := c.request(ctx, cred, http.MethodPost,
		"/api/v2/chat/completions?chat_id="+url.QueryEscape(turn.ChatID), turn.body(time.Now().Unix()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Referer", c.BaseURL+"/c/"+turn.ChatID)
	req.Header.Set("X-Accel-Buffering", "no")
	resp, err := c.do(req)
	if err != nil {
		return nil, named(op, classifyNetwork(err))
	}
	stream, err := openStream(resp)
	if err != nil {
		resp.Body.Close()
		return nil, named(op, asError(err))
	}
	return stream, nil
}

// openStream tells a stream from other answers by its first bytes: the content
// type may promise a stream and bring a refusal.
func openStream(resp *http.Response) (*Stream, error) {
	text, err := plainBody(resp)
	if err != nil {
		return nil, err
	}
	head, err := readHead(text)
	if err != nil {
		return nil, err
	}
	if status := actualStatus(resp); len(significant(head)) == 0 && success(status) {
		return nil, &Error{Kind: KindEmpty, Status: status}
	}
	if isStream(head) {
		return &Stream{body: resp.Body, text: io.MultiReader(bytes.NewReader(head), text)}, nil
	}
	return nil, classifyResponse(resp, readRefusal(head, text))
}

// readRefusal reads the rest of an answer that begins with head. Of JSON it reads
// one value, because the connection may stay open after it.
func readRefusal(head []byte, text io.Reader) []byte {
	var all bytes.Buffer
	source := io.TeeReader(io.MultiReader(bytes.NewReader(head), io.LimitReader(text, maxRefusal)), &all)
	var value json.RawMessage
	if json.NewDecoder(source).Decode(&value) != nil {
		_, _ = io.Copy(io.Discard, source) // a part of it is enough to judge it
	}
	return all.Bytes()
}

// readHead reads until a byte that is not white space, and enough after it to
// see what it begins, or to the end.
func readHead(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, 512)
	for len(significant(buf)) < len("data:") && len(buf) < cap(buf) {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(significant(buf)) == 0 {
			buf = buf[:0] // white space alone says nothing
			continue
		}
		if s := significant(buf); s[0] == '{' || s[0] == '<' || s[0] == ':' {
			break
		}
	}
	return buf, nil
}

func significant(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n")
}

// isStream reports whether the bytes are the start of an event stream.
func isStream(head []byte) bool {
	head = significant(head)
	for _, field := range []string{"data:", "event", "id:", "retry", ":"} {
		if bytes.HasPrefix(head, []byte(field)) {
			return true
		}
	}
	return false
}

type completionBody struct {
	Stream            bool      `json:"stream"`
	Version           string    `json:"version"`
	IncrementalOutput bool      `json:"incremental_output"`
	ChatID            string    `json:"chatId"`
	ParentID          string    `json:"parentId"`
	ChatIDSnake       string    `json:"chat_id"`
	ChatMode          string    `json:"chat_mode"`
	Model             string    `json:"model"`
	ParentIDSnake     *string   `json:"parent_id"`
	Messages          []message `json:"messages"`
	Timestamp         int64     `json:"timestamp"`
}

type message struct {
	ID            *string       `json:"id"`
	FID           string        `json:"fid"`
	ParentID      *string       `json:"parentId"`
	ChildrenIDs   []string      `json:"childrenIds"`
	Role          string        `json:"role"`
	Content       string        `json:"content"`
	UserAction    string        `json:"user_action"`
	Files         []File        `json:"files"`
	Timestamp     int64         `json:"timestamp"`
	Models        []string      `json:"models"`
	Model         string        `json:"model"`
	ChatType      string        `json:"chat_type"`
	FeatureConfig featureConfig `json:"feature_config"`
	Extra         extra         `json:"extra"`
	SubChatType   string        `json:"sub_chat_type"`
	ParentIDSnake *string       `json:"parent_id"`
}

type extra struct {
	Meta struct {
		SubChatType string `json:"subChatType"`
	} `json:"meta"`
}

// featureConfig switches the model's features. Without `output_schema` the
// site's deltas carry no phase. Web search stays off: an API's answers must not
// depend on what the model feels like looking up.
type featureConfig struct {
	ThinkingEnabled bool       `json:"thinking_enabled"`
	OutputSchema    string     `json:"output_schema"`
	ResearchMode    string     `json:"research_mode"`
	AutoThinking    bool       `json:"auto_thinking"`
	ThinkingMode    string     `json:"thinking_mode"`
	ThinkingFormat  string     `json:"thinking_format,omitempty"`
	ThinkingBudget  int        `json:"thinking_budget,omitempty"`
	AutoSearch      bool       `json:"auto_search"`
	LocalMCP        localTools `json:"local_mcp,omitempty"` // an empty object would mean other tools
}

func (t Completion) features() featureConfig {
	f := featureConfig{OutputSchema: "phase", ResearchMode: "normal", ThinkingMode: "Fast", LocalMCP: t.LocalTools}
	if t.Thinking == ThinkingOff {
		return f
	}
	f.ThinkingEnabled, f.ThinkingMode = true, "Thinking"
	f.ThinkingFormat, f.ThinkingBudget = "summary", t.Budget
	if t.Thinking == ThinkingAuto {
		f.AutoThinking, f.ThinkingMode = true, "Auto"
	}
	return f
}

// body is the request as the site's front end sends it since 2026-09. The four
// parent fields agree, except that the one at the top named parentId is empty
// where the others are null.
func (t Completion) body(now int64) completionBody {
	var parent *string
	if t.ParentID != "" {
		parent = &t.ParentID
	}
	m := message{
		FID: uuid.NewString(), ParentID: parent, ChildrenIDs: []string{uuid.NewString()},
		Role: "user", Content: t.Prompt, UserAction: "chat", Files: append([]File{}, t.Files...), Timestamp: now,
		Models: []string{t.Model}, ChatType: chatType, FeatureConfig: t.features(),
		SubChatType: chatType, ParentIDSnake: parent,
	}
	m.Extra.Meta.SubChatType = chatType
	return completionBody{
		Stream: true, Version: "2.1", IncrementalOutput: true,
		ChatID: t.ChatID, ParentID: t.ParentID, ChatIDSnake: t.ChatID, ChatMode: "normal",
		Model: t.Model, ParentIDSnake: parent, Messages: []message{m}, Timestamp: now,
	}
}
