package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Completion is a completion that the site has accepted. Header, Body, Files,
// LocalTools and Context must not be changed.
type Completion struct {
	ChatID     string
	ParentID   string // as sent; the context is empty if it is not an answer of this chat
	Model      string
	Role       string // user
	Content    string // the prompt
	ChatType   string // of the message; t2t if it was not sent
	UserAction string // chat, edit, …
	Feature    Feature
	Files      []FileRef
	LocalTools []DeclaredTool // declared in this turn
	Header     http.Header
	Body       []byte
	Context    []Turn // what the model knows of the chat, without this prompt
	ResponseID string // of the (first) answer

	// The rest is filled in while the answer is sent. It is empty for the
	// function given to Site.Respond.

	Answer   string // the text sent so far, of the first candidate
	Frames   int    // events sent so far
	Finished bool   // the terminal frame of the first candidate was reached
	Stopped  bool   // the stop call ended it
	Gone     bool   // the client left before the end of the reply
	Ended    bool   // nothing more will be sent
}

// String describes the completion without anything secret in it: neither the
// credential nor the prompt nor the answer.
func (c Completion) String() string {
	return fmt.Sprintf("completion %s of chat %s (model %s, prompt of %d bytes, %d turns before): %d frames, finished %t, stopped %t, gone %t, ended %t",
		c.ResponseID, c.ChatID, c.Model, len(c.Content), len(c.Context), c.Frames, c.Finished, c.Stopped, c.Gone, c.Ended)
}

// Feature is the `feature_config` of a message.
type Feature struct {
	ThinkingEnabled bool            `json:"thinking_enabled"`
	AutoThinking    bool            `json:"auto_thinking"`
	ThinkingMode    string          `json:"thinking_mode"`
	ThinkingFormat  string          `json:"thinking_format"`
	ThinkingBudget  int             `json:"thinking_budget"`
	OutputSchema    string          `json:"output_schema"`
	ResearchMode    string          `json:"research_mode"`
	AutoSearch      bool            `json:"auto_search"`
	LocalMCP        json.RawMessage `json:"local_mcp"`
}

// completionBody is the body of a completion.
type completionBody struct {
	Stream      *bool         `json:"stream"`
	Incremental bool          `json:"incremental_output"`
	ChatID      string        `json:"chat_id"`
	ParentID    parentID      `json:"parent_id"`
	ParentCamel parentID      `json:"parentId"`
	Model       string        `json:"model"`
	Messages    []messageBody `json:"messages"`
	Timestamp   json.Number   `json:"timestamp"`
}

type messageBody struct {
	ParentID    parentID          `json:"parent_id"`
	ParentCamel parentID          `json:"parentId"`
	Role        string            `json:"role"`
	Content     json.RawMessage   `json:"content"`
	UserAction  string            `json:"user_action"`
	Files       []json.RawMessage `json:"files"`
	Timestamp   json.Number       `json:"timestamp"`
	ChatType    string            `json:"chat_type"`
	Feature     Feature           `json:"feature_config"`
}

// parentID is one of the four fields that name the parent. Null and the empty
// string mean the same, a missing field means nothing.
type parentID struct {
	sent bool
	id   string
}

// UnmarshalJSON reads a string or null.
func (p *parentID) UnmarshalJSON(raw []byte) error {
	p.sent = true
	return json.Unmarshal(raw, &p.id)
}

// parent returns the answer that a completion follows. All parent fields that
// were sent must agree: the site finds no context otherwise, and does not say so.
func (b *completionBody) parent() (id string, consistent bool) {
	m := &b.Messages[0]
	id = b.ParentID.id
	for _, p := range []parentID{b.ParentCamel, m.ParentID, m.ParentCamel} {
		if p.sent && p.id != id {
			return id, false
		}
	}
	return id, true
}

// complete answers `POST /api/v2/chat/completions?chat_id=…`.
func (s *Site) complete(c *call) (Reply, *generation) {
	// Without the header the site does not say what is wrong.
	if c.r.Header.Get("Version") == "" {
		return Internal(), nil
	}
	var b completionBody
	if json.Unmarshal(c.body, &b) != nil {
		return invalid("body", "is not a valid JSON object."), nil
	}
	prompt, refused := s.inspect(c, &b)
	if refused != nil {
		return *refused, nil
	}
	files, refused := s.inspectFiles(c.account, s.models[b.Model], b.Messages[0].Files)
	if refused != nil {
		return *refused, nil
	}
	tools, refused := s.inspectLocalTools(&b)
	if refused != nil {
		return *refused, nil
	}
	g := newGeneration(c, &b, prompt, files)
	g.LocalTools, g.speechless = tools, len(b.Messages[0].Feature.LocalMCP) > maxLocalTools
	if refused := s.claim(g); refused != nil {
		return *refused, nil
	}
	return s.choose(g), g
}

// inspect finds what the site refuses before it looks at the chat.
func (s *Site) inspect(c *call, b *completionBody) (prompt string, _ *Reply) {
	no := func(r Reply) (string, *Reply) { return "", &r }
	switch query := c.r.URL.Query().Get("chat_id"); {
	case b.ChatID == "":
		return no(invalid("chat_id", "is required."))
	case query != b.ChatID:
		return no(invalid("chat_id", "must be the same in the query."))
	case len(b.Messages) == 0:
		return no(invalid("messages", "must not be empty."))
	case len(b.Messages) > 1:
		return no(TooManyMessages())
	}
	m := &b.Messages[0]
	switch {
	case m.Role == "assistant":
		return no(BrokenParent())
	case m.Role == "function":
		return no(Internal()) // results of local tools are for the site's own desktop app
	case m.Role != "user":
		return no(Refusal("Bad_Request", "The role of a message must be user or function."))
	case !bytes.HasPrefix(m.Content, []byte{'"'}) || json.Unmarshal(m.Content, &prompt) != nil:
		return no(invalid("content", "must be a string."))
	case inMillis(b.Timestamp) || inMillis(m.Timestamp):
		return no(invalid("timestamp", "must be a time in seconds."))
	case m.ChatType != "" && !knownChatType(m.ChatType):
		return no(invalid("chat_type", "has an unknown value."))
	case b.Stream == nil || !*b.Stream:
		return no(Refusal("Bad_Request", "Only streaming is supported."))
	}
	model, known := s.models[b.Model]
	switch {
	case !known:
		return no(ModelNotFound())
	case model.mustThink() && !m.Feature.ThinkingEnabled:
		return no(Refusal("invalid_input", "This model cannot skip thinking."))
	case s.options.MaxPrompt > 0 && len(prompt) > s.options.MaxPrompt:
		return no(ChallengeJSON())
	}
	return prompt, nil
}

func inMillis(n json.Number) bool {
	f, err := n.Float64()
	return err == nil && f >= earliestMillis
}

// newGeneration puts together what is known of an accepted completion.
func newGeneration(c *call, b *completionBody, prompt string, files []FileRef) *generation {
	m := &b.Messages[0]
	parent, consistent := b.parent()
	g := &generation{
		userID:     uuid.NewString(),
		orphan:     !consistent,
		phases:     m.Feature.OutputSchema == "phase",
		cumulative: !b.Incremental,
		stop:       make(chan struct{}),
		Completion: Completion{
			ChatID: b.ChatID, ParentID: parent, Model: b.Model, Role: m.Role, Content: prompt,
			ChatType: m.ChatType, UserAction: m.UserAction, Feature: m.Feature, Files: files,
			Header: c.r.Header, Body: c.body, ResponseID: uuid.NewString(),
		},
	}
	if g.ChatType == "" {
		g.ChatType = "t2t"
	}
	return g
}

// claim starts the generation in its chat, or says why the site refuses it.
func (s *Site) claim(g *generation) *Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chats[g.ChatID]
	if ch == nil {
		r := chatNotFound(g.ChatID)
		return &r
	}
	if ch.busy != nil {
		r := Busy()
		return &r
	}
	if !g.orphan {
		g.Context = ch.path(g.ParentID)
	}
	g.chat, ch.busy = ch, g
	if len(s.queue) > 0 && !g.speechless {
		// Taken here, completions get their replies in the order in which they
		// show in the records.
		g.queued, s.queue = &s.queue[0], s.queue[1:]
	}
	s.active++
	if !s.options.NoRecord {
		g.Header = g.Header.Clone()
		s.records.completions = keep(s.records.completions, g)
	}
	s.notify()
	return nil
}

// choose returns the answer of an accepted completion: none where the tools are too
// much for the model, else the next queued reply, else that of a marker in the prompt, else that of the responder.
func (s *Site) choose(g *generation) Reply {
	if g.speechless {
		return EmptyStream()
	}
	if g.queued != nil {
		return *g.queued
	}
	s.mu.Lock()
	c, respond := g.Completion, s.respond
	s.mu.Unlock()
	if name, arg, found := findMarker(c.Content); found {
		return s.marked(c, name, arg)
	}
	if respond == nil {
		respond = s.canned
	}
	return respond(c)
}

// Reply queues answers: each completion that the site accepts takes the next
// one, before markers and before the responder.
func (s *Site) Reply(r ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, r...)
}

// Respond replaces the default responder, which answers every completion that
// neither the queue nor a marker answers. Nil restores it. The function may be
// called by several goroutines at once.
func (s *Site) Respond(f func(Completion) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = f
}

// Fail queues answers for an endpoint, named by one of the Endpoint constants
// (`completions` and `chat/completions/stop` are understood, too). They are
// given before the site looks at the request at all. It panics if there is no
// such endpoint.
func (s *Site) Fail(endpoint string, r ...Reply) {
	name := canonicalEndpoint(endpoint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[name] = append(s.failures[name], r...)
}

func canonicalEndpoint(name string) string {
	name = strings.Trim(strings.TrimPrefix(name, "/api/v2/"), "/")
	switch name {
	case EndpointModels, EndpointNewChat, EndpointChats, EndpointChat, EndpointDelete,
		EndpointCompletions, EndpointStop, EndpointAuths, EndpointRefresh, EndpointUnknown,
		EndpointFileGrant, EndpointFileParse, EndpointFileStatus, EndpointFileLink:
		return name
	case "completions":
		return EndpointCompletions
	case "chat/completions/stop":
		return EndpointStop
	}
	panic("emulator: no endpoint is called " + name)
}

// nextFailure takes the next answer that Fail has queued for an endpoint.
func (s *Site) nextFailure(endpoint string) (Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.failures[endpoint]
	if len(list) == 0 {
		return Reply{}, false
	}
	s.failures[endpoint] = list[1:]
	return list[0], true
}
