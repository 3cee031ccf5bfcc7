package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// The values of the header X-Qwen-Session of an answer.
const (
	sessionNew       = "new"       // a conversation began in a new chat
	sessionContinued = "continued" // only what is new was sent to the chat
	sessionBranched  = "branched"  // the same, but after an earlier answer of the chat
	sessionReplayed  = "replayed"  // a new chat got the history as text
)

// conversation is the conversation of a turn: where on the site it goes on, and
// what is to be recorded of it. It belongs to the goroutine of the request.
type conversation struct {
	h        *Handler
	tenant   string
	account  *account       // that the turn is with
	owner    session.Digest // of the chat: the account when the turn began
	moved    bool           // the account is not the first choice any more
	model    string
	messages []openai.Message // nil once the turn cannot start over
	attached *attachments     // of the messages

	// What the model is told besides the messages: once in a chat, and with the turn.
	instructions, note string

	shared *sessions // nil without a record of conversations
	record *session.Conversation
	keep   bool // the turn is to be recorded

	place session.Place
	kind  string     // the value of X-Qwen-Session
	lease *chatLease // of the chat, until an upstream has it

	reply    session.Reply
	thinking bool   // raw is reasoning
	raw      []byte // what of the answer is to be digested next
	text     []byte // the same, decoded
}

// converse finds out where the conversation of a turn goes on. Who got it must call
// close.
func (h *Handler) converse(r *http.Request, who caller, t *turn, messages []openai.Message, attached *attachments) (*conversation, error) {
	forced, err := demandsNewChat(r)
	if err != nil {
		return nil, err
	}
	c := &conversation{h: h, tenant: who.tenant, model: t.model, messages: messages, attached: attached, note: t.demand.note(t.local != nil)}
	if t.local == nil {
		c.instructions = t.demand.instructions()
	}
	found := false
	defer func() {
		if !found { // a store has panicked; the attachments are still the caller's
			c.attached = nil
			c.close()
		}
	}()
	if c.shared = h.sessions(); c.shared != nil {
		c.keep = h.Chats != chatsTemporary && !isTask(messages)
	}
	if err := c.settleAccount(r.Context(), forced); err != nil {
		return nil, err
	}
	infoOf(r.Context()).account = c.account.label
	found = true
	return c, nil
}

// close gives back what converse has taken and begin has not taken over, and the
// attachments.
func (c *conversation) close() {
	c.drop()
	c.lease.end()
	c.shared.release(c.h.logger)
}

// drop lets go of the request when the turn cannot start over any more: an answer
// may take long.
func (c *conversation) drop() {
	c.messages = nil
	if c.attached != nil {
		c.attached.release()
		c.attached = nil
	}
}

// demandsNewChat reports whether a request must not go on in a chat.
func demandsNewChat(r *http.Request) (bool, error) {
	switch value := r.Header.Get("X-Qwen-Session"); {
	case value == "":
		return false, nil
	case strings.EqualFold(value, sessionNew):
		return true, nil
	}
	return false, &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: "X-Qwen-Session",
		Message: "The only value of the header X-Qwen-Session is new, which demands a new chat. Send that, or leave the header out."}
}

// recordOf returns a conversation as the record knows it. Other instructions count
// as another system text.
func recordOf(scope session.Scope, messages []openai.Message, attached *attachments, instructions string) *session.Conversation {
	system, rest := splitSystem(messages)
	list := make([]session.Message, len(rest))
	for i := range rest {
		m := &rest[i]
		list[i] = session.Message{Role: m.Role, Name: m.Name, Text: m.Content}
		for _, call := range m.ToolCalls {
			list[i].Calls = append(list[i].Calls, session.Call{Name: call.Name, Arguments: call.Arguments})
		}
	}
	for _, a := range attached.list {
		if a.message >= 0 { // otherwise it is a part of the prompt, from before the turn started over
			list[a.message].Files = append(list[a.message].Files, a.identity())
		}
	}
	return session.New(scope, systemText(system, instructions), list)
}

// prepare completes a turn with what the site does not know yet.
func (c *conversation) prepare(t *turn) error {
	_, rest := splitSystem(c.messages)
	send, leftOut, err := c.attached.toSend(c.place.Known, newMessages(rest))
	if err != nil {
		return err
	}
	for _, a := range send {
		if a.err != nil {
			return a.err
		}
		if kind := a.kind(); !takes(t.info, kind) {
			return errNotTaken(a.Param, t.model, kind)
		}
	}
	p := prompt{
		messages: c.messages, instructions: c.instructions, note: c.note, known: c.place.Known, goesOn: c.place.ChatID != "", systemChanged: c.place.SystemChanged,
		attached: notes(send, leftOut),
	}
	t.attached, t.toSend, t.long = c.attached, send, false
	if t.prompt = p.write(); int64(len(t.prompt)) <= c.h.MaxPrompt {
		return nil
	}
	if c.h.LongPrompts == longRefuse || tooLong(len(t.prompt), t.info) {
		return errPromptTooLong(len(t.prompt), c.h.MaxPrompt)
	}
	return c.shorten(t, &p)
}

// newMessages returns the index of the first message of the present turn: those of
// the user after the last reply before them. The calls and results of tools that
// follow belong to the turn, and so does an answer that is to be completed.
func newMessages(messages []openai.Message) int {
	last := len(messages)
	for i := range messages {
		if messages[i].Role == "user" {
			last = i
		}
	}
	for last > 0 && messages[last-1].Role != "assistant" {
		last--
	}
	return last
}

// bytesPerToken is about how much text a token stands for.
const bytesPerToken = 4

// tooLong reports whether a model cannot take as much text, however it is sent.
func tooLong(size int, m qwen.Model) bool {
	return m.MaxContext > 0 && size/bytesPerToken > m.MaxContext
}

// shorten moves most of a prompt that is too long for the site into a file, which
// the model reads whole.
func (c *conversation) shorten(t *turn, p *prompt) error {
	name := "prompt.txt"
	for n := 2; slices.ContainsFunc(t.toSend, func(a *attachment) bool { return a.name == name }); n++ {
		name = fmt.Sprintf("prompt-%d.txt", n)
	}
	inline, document := p.split(int(c.h.MaxPrompt), name)
	file, err := c.h.spool.Read(strings.NewReader(document), c.h.MaxDocument)
	if errors.Is(err, spool.ErrTooLarge) {
		return fileTooLarge("messages", c.h.MaxDocument, "max_document")
	}
	if err != nil {
		return err
	}
	a := &attachment{
		Attachment: &openai.Attachment{Kind: openai.AttachedFile, Param: "messages"}, message: -1, name: name,
		content: &content{
			File: file, Type: filetype.Type{Kind: filetype.Document, MIME: "text/plain", Extension: "txt"}, name: name, named: true,
		},
	}
	c.attached.list = append(c.attached.list, a)
	t.prompt, t.long, t.toSend = inline, true, append(t.toSend, a)
	return nil
}

// digestSize is how much text is digested at once: pieces are small, and there
// are many of them.
const digestSize = 1 << 10

// take takes a piece of the answer, given as the content of a JSON string.
func (c *conversation) take(reasoning bool, raw []byte) {
	c.drop()
	if !c.keep {
		return
	}
	if reasoning != c.thinking {
		c.digest()
		c.thinking = reasoning
	}
	c.raw = append(c.raw, raw...)
	if len(c.raw) >= digestSize {
		c.digest()
	}
}

// digest digests what has been taken.
func (c *conversation) digest() {
	c.text = jsonraw.AppendText(c.text[:0], c.raw)
	if c.thinking {
		c.reply.Reasoning(c.text)
	} else {
		c.reply.Text(c.text)
	}
	c.raw = c.raw[:0]
	if cap(c.text) > largeRead {
		c.raw, c.text = nil, nil // one large piece is no reason to keep as much for the rest
	}
}

// called takes a call of a function, which is part of the answer as well.
func (c *conversation) called(call tools.Call) {
	if c.keep {
		c.digest()
		c.reply.Call(call.Name, call.Arguments)
	}
}

// complete records a turn whose answer is complete. It reports whether the store
// has it.
func (c *conversation) complete(ctx context.Context, chatID, responseID string) bool {
	if !c.keep || responseID == "" {
		return false
	}
	c.digest()
	err := c.shared.store.Record(ctx, c.record.Turn(c.place, chatID, responseID, &c.reply, time.Now()))
	c.shared.check(c.h.logger, err)
	return err == nil
}

// placed reports whether the turn stays in its chat: it does not start over any
// more.
func (c *conversation) placed() bool { return c.place.ChatID == "" || c.messages == nil }

// startOver prepares a turn for a new chat after the site has refused it in the
// one that was found, or with the account, or returns the error to answer with.
func (c *conversation) startOver(ctx context.Context, t *turn, cause error) error {
	if other := c.otherAccount(cause); other != nil {
		c.moved = true
		c.with(other)
		c.reply, c.raw, c.thinking = session.Reply{}, nil, false
		if c.prepare(t) != nil {
			return cause
		}
		infoOf(ctx).retried(retryAccount)
		return nil
	}
	if c.tellInWords(t, cause) {
		infoOf(ctx).retried(retryTools)
		return c.prepare(t)
	}
	busy, lost := isKind(cause, qwen.KindBusy), isKind(cause, qwen.KindChatNotFound)
	if c.placed() || !busy && !lost {
		return cause
	}
	if lost {
		c.shared.check(c.h.logger, c.shared.store.ForgetTurns(ctx, c.owner, c.place.ChatID))
	}
	c.newChat()
	c.reply, c.raw, c.thinking = session.Reply{}, nil, false
	err := c.prepare(t)
	switch {
	case err != nil && busy:
		return cause // the chat will be free in a moment, the prompt stays too long
	case err != nil:
		return err
	case busy:
		infoOf(ctx).retried(retryChatBusy)
	default:
		infoOf(ctx).retried(retryChatLost)
	}
	return nil
}

func isKind(err error, kind qwen.Kind) bool {
	var e *qwen.Error
	return errors.As(err, &e) && e.Kind == kind
}

// taskOpeners are how the messages begin with which some clients have a
// conversation named or summarised in the background, in the conversation itself.
// Other clients send such tasks as conversations of their own.
var taskOpeners = []string{
	"Please generate a four to five word title summarizing our conversation",
	"Summarize the discussion briefly in 200 words or less",
	"使用四到五个字直接返回这句话的简要主题",
	"简要总结一下对话内容，用作后续的上下文提示",
}

// isTask reports whether a request is a client's own and not part of the user's
// conversation. It gets a chat of its own, and no record.
func isTask(messages []openai.Message) bool {
	if len(messages) < 2 {
		return false
	}
	text := strings.TrimSpace(messages[len(messages)-1].Content)
	for _, opener := range taskOpeners {
		if strings.HasPrefix(text, opener) {
			return true
		}
	}
	return false
}
