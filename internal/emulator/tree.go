package emulator

import "encoding/json"

// Turn is one question and its answer in a chat.
type Turn struct {
	ResponseID string    // of the answer
	User       string    // the prompt
	Answer     string    // the text of the answer, without thinking and tools
	Files      []FileRef // that came with the prompt
}

// chat is a tree of turns. It is guarded by the lock of the site.
type chat struct {
	id      string
	seq     int // order of creation
	title   string
	kind    string
	created int64 // Unix seconds
	updated int64
	nodes   map[string]*node // by response id
	order   []*node          // as they were answered
	current string           // response id of the newest answer
	busy    *generation      // what keeps the site from starting another answer
}

// node is an answered prompt. Its parent is the response id of the answer it
// follows, or empty at a root.
type node struct {
	responseID string
	userID     string
	parent     string
	model      string
	user       string
	answer     string
	files      []FileRef
	at         int64 // Unix seconds
}

// path returns the turns from the root to the given answer. It is empty if
// that answer is not in the chat.
func (ch *chat) path(responseID string) []Turn {
	var n int
	for p := ch.nodes[responseID]; p != nil; p = ch.nodes[p.parent] {
		n++
	}
	if n == 0 {
		return nil
	}
	turns := make([]Turn, n)
	for p := ch.nodes[responseID]; p != nil; p = ch.nodes[p.parent] {
		n--
		turns[n] = Turn{ResponseID: p.responseID, User: p.user, Answer: p.answer, Files: p.files}
	}
	return turns
}

// add puts an answer into the tree. A parent that is not in this chat makes
// it a root: the site says nothing about that.
func (ch *chat) add(n *node, primary bool) {
	if ch.nodes[n.parent] == nil {
		n.parent = ""
	}
	if ch.nodes == nil {
		ch.nodes = make(map[string]*node)
	}
	ch.nodes[n.responseID] = n
	ch.order = append(ch.order, n)
	ch.updated = n.at
	if primary {
		ch.current = n.responseID
	}
	if ch.title == newChatTitle && n.user != "" {
		ch.title = shorten(n.user, 40)
	}
}

// shorten cuts a text after a number of runes.
func shorten(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// Context returns the turns from the root of a chat to the given answer,
// which is the last of them: what the model knows when a completion names that
// answer as its parent. It is empty if the chat or the answer is unknown.
func (s *Site) Context(chatID, responseID string) []Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chats[chatID]
	if ch == nil {
		return nil
	}
	return ch.path(responseID)
}

// message is an entry of a chat's messages on the wire.
type message struct {
	ID          string            `json:"id"`
	Role        string            `json:"role"`
	Content     string            `json:"content"`
	ContentList []content         `json:"content_list,omitempty"`
	Model       string            `json:"model,omitempty"`
	Files       []json.RawMessage `json:"files,omitempty"`
	ParentID    *string           `json:"parentId"`
	ChildrenIDs []string          `json:"childrenIds"`
	Timestamp   int64             `json:"timestamp"`
}

type content struct {
	Content string `json:"content"`
	Phase   string `json:"phase"`
	Status  string `json:"status"`
}

// detail returns the chat as `GET /api/v2/chats/{id}` shows it.
func (ch *chat) detail() map[string]any {
	list := ch.messages()
	byID := make(map[string]message, len(list))
	for _, m := range list {
		byID[m.ID] = m
	}
	return map[string]any{
		"id": ch.id, "title": ch.title, "chat_type": ch.kind, "currentId": ch.current,
		"created_at": ch.created, "updated_at": ch.updated, "pinned": false, "project_id": nil,
		"chat": map[string]any{
			"messages": list,
			"history":  map[string]any{"currentId": ch.current, "messages": byID},
		},
	}
}

// messages returns the questions and answers in the order they were answered.
func (ch *chat) messages() []message {
	list := []message{}
	answers := make(map[string][]string)   // by user message
	followers := make(map[string][]string) // by answer
	for _, n := range ch.order {
		if answers[n.userID] == nil && n.parent != "" {
			followers[n.parent] = append(followers[n.parent], n.userID)
		}
		answers[n.userID] = append(answers[n.userID], n.responseID)
	}
	for _, n := range ch.order {
		if answers[n.userID][0] == n.responseID {
			list = append(list, message{
				ID: n.userID, Role: "user", Content: n.user, ParentID: optional(n.parent), Files: rawFiles(n.files),
				ChildrenIDs: answers[n.userID], Timestamp: n.at,
			})
		}
		list = append(list, message{
			ID: n.responseID, Role: "assistant", Model: n.model, ParentID: &n.userID, Timestamp: n.at,
			ContentList: []content{{Content: n.answer, Phase: "answer", Status: "finished"}},
			ChildrenIDs: append([]string{}, followers[n.responseID]...),
		})
	}
	return list
}

// optional is null for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
