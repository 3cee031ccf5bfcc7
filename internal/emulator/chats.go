package emulator

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// chatsPerPage is the size of a page of the chat list.
const chatsPerPage = 60

// earliestMillis separates Unix milliseconds from Unix seconds: below it are
// seconds until the year 5138, above it milliseconds since 1973.
const earliestMillis = 100_000_000_000

// newChatTitle is what a chat is called until its first answer.
const newChatTitle = "New chat"

// knownChatType reports whether the site knows a value of `chat_type`.
func knownChatType(t string) bool {
	switch t {
	case "t2t", "search", "t2i", "image_edit", "t2v", "i2v", "artifacts", "web_dev", "deep_research",
		"deep_research_webdev", "travel", "learn", "slides", "aipodcast", "translate":
		return true
	}
	return false
}

// newChat answers `POST /api/v2/chats/new`.
func (s *Site) newChat(c *call) (Reply, *generation) {
	var body struct {
		Title     string      `json:"title"`
		Models    []string    `json:"models"`
		Timestamp json.Number `json:"timestamp"`
		ChatType  string      `json:"chat_type"`
		ChatMode  string      `json:"chat_mode"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return invalid("body", "is not a valid JSON object."), nil
	}
	if stamp, err := body.Timestamp.Float64(); err != nil || stamp < earliestMillis {
		return invalid("timestamp", "must be a time in milliseconds."), nil
	}
	if len(body.Models) == 0 {
		return invalid("models", "must not be empty."), nil
	}
	for _, m := range body.Models {
		if _, known := s.models[m]; !known {
			return ModelNotFound(), nil
		}
	}
	if body.ChatType != "" && !knownChatType(body.ChatType) {
		return invalid("chat_type", "has an unknown value."), nil
	}
	return success(map[string]string{"id": s.addChat(body.Title, body.ChatType)}), nil
}

// AddChat puts a chat on the account that no request has created, as if the
// owner had opened it in the browser, and returns its id.
func (s *Site) AddChat(title string) string {
	return s.addChat(title, "")
}

func (s *Site) addChat(title, chatType string) string {
	if title == "" {
		title = newChatTitle
	}
	if chatType == "" {
		chatType = "t2t"
	}
	now := time.Now().Unix()
	ch := &chat{id: uuid.NewString(), title: title, kind: chatType, created: now, updated: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.chats++
	ch.seq = s.records.chats
	s.chats[ch.id] = ch
	s.notify()
	return ch.id
}

// row is a chat in the list of chats; times are in seconds.
type row struct {
	ID               string  `json:"id"`
	Title            string  `json:"title"`
	UpdatedAt        int64   `json:"updated_at"`
	CreatedAt        int64   `json:"created_at"`
	ChatType         string  `json:"chat_type"`
	ProjectID        *string `json:"project_id"`
	Pinned           bool    `json:"pinned"`
	Content          *string `json:"content"`
	HighlightIndexes []int   `json:"highlight_indexes"`
	MessageID        *string `json:"message_id"`
}

// chatList answers `GET /api/v2/chats/?page=n`, newest first. Pages count
// from 1, an empty one ends the list.
func (s *Site) chatList(c *call) (Reply, *generation) {
	size := positive(c.r.FormValue("limit"), chatsPerPage)
	page := positive(c.r.FormValue("page"), 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*chat, 0, len(s.chats))
	for _, ch := range s.chats {
		list = append(list, ch)
	}
	slices.SortFunc(list, func(a, b *chat) int { return int(b.seq - a.seq) })
	from := min((page-1)*size, len(list))
	rows := []row{}
	for _, ch := range list[from:min(from+size, len(list))] {
		rows = append(rows, row{
			ID: ch.id, Title: ch.title, UpdatedAt: ch.updated, CreatedAt: ch.created, ChatType: ch.kind, HighlightIndexes: []int{},
		})
	}
	return success(rows), nil
}

// positive reads a number of a query, with a default for what is not one.
func positive(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 1<<20 {
		return n
	}
	return otherwise
}

// pinnedList answers `GET /api/v2/chats/pinned`; nothing is ever pinned.
func (s *Site) pinnedList(*call) (Reply, *generation) {
	return success([]row{}), nil
}

// chatDetail answers `GET /api/v2/chats/{id}`.
func (s *Site) chatDetail(c *call) (Reply, *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chats[c.r.PathValue("id")]
	if ch == nil {
		return chatNotFound(c.r.PathValue("id")), nil
	}
	return success(ch.detail()), nil
}

// deleteChat answers `DELETE /api/v2/chats/{id}`.
func (s *Site) deleteChat(c *call) (Reply, *generation) {
	id := c.r.PathValue("id")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chats[id] == nil {
		return chatNotFound(id), nil
	}
	s.removeChat(id)
	return success(map[string]bool{"status": true}), nil
}

// deleteAllChats answers `DELETE /api/v2/chats/`: an id that got lost on the
// way deletes every chat of the account.
func (s *Site) deleteAllChats(*call) (Reply, *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.chats {
		s.removeChat(id)
	}
	return success(map[string]bool{"status": true}), nil
}

// removeChat is called with the lock held.
func (s *Site) removeChat(id string) {
	delete(s.chats, id)
	if !s.options.NoRecord {
		s.records.deleted = keep(s.records.deleted, id)
	}
	s.notify()
}

// stopBody is the body of the stop call.
type stopBody struct {
	ChatID     string `json:"chat_id"`
	ResponseID string `json:"response_id"`
}

// stop answers `POST /api/v2/chat/completions/stop?chat_id=…`. It frees the
// chat at once. Without a response id whatever runs in the chat is stopped;
// a response id that is not running stops nothing.
func (s *Site) stop(c *call) (Reply, *generation) {
	var body stopBody
	if json.Unmarshal(c.body, &body) != nil || body.ChatID == "" {
		return invalid("chat_id", "is required."), nil
	}
	if q := c.r.URL.Query().Get("chat_id"); q != body.ChatID {
		return invalid("chat_id", "must be the same in the query."), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.options.NoRecord {
		s.records.stops = keep(s.records.stops, Stop(body))
	}
	s.notify()
	ch := s.chats[body.ChatID]
	if ch == nil {
		return chatNotFound(body.ChatID), nil
	}
	if g := ch.busy; g != nil && (body.ResponseID == "" || g.owns(body.ResponseID)) {
		s.halt(ch, g)
	}
	return success(map[string]bool{"status": true}), nil
}
