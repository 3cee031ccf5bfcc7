package caddyqwen

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

const (
	// drainTime is how long the rest of a stream may take whose turn has ended,
	// so that its connection can be used again.
	drainTime = 250 * time.Millisecond
	// openTime is how long the site may still take to open a chat that has to be
	// deleted some day for a client that has left.
	openTime = time.Second
	// stopTime is how long the site may take to stop an answer.
	stopTime = 5 * time.Second
	// arrivalTime is how long a prompt may be on its way that was cut off before
	// any answer. A stop that overtakes it has no effect.
	arrivalTime = 200 * time.Millisecond
	// reopenDelay is the shortest wait before a chat is opened a second time.
	reopenDelay = 200 * time.Millisecond
)

// upstream is the site's side of a turn: a goroutine that opens a chat, unless
// the conversation has one, sends the prompt and reads the answer. It owns what
// the turn holds there, and gives it back when the turn is over, aborted or not.
type upstream struct {
	h        *Handler
	turn     turn           // as it was at the beginning
	tenant   string         // of the conversation
	account  *account       // that it is with
	owner    session.Digest // of the chat: the account when the turn began
	parentID string         // of the answer that the turn follows, or empty
	shared   *sessions      // nil without a record of conversations

	opened bool // the chat was opened for the request; for the receiver once something has come

	// For the receiver once something has come after the prompt was sent.
	cred qwen.Credential // with which that was
	sent bool

	place atomic.Pointer[func()] // gives back the place of the account; nil if another has it

	// For the receiver as well, once something has come.
	chatID string
	lease  *chatLease

	// reads hands over what comes, one at a time. After one with an error
	// nothing comes.
	reads   chan read
	settled chan struct{} // closed when the turn is over and nothing is of interest any more
	cancel  context.CancelFunc

	recorded   bool   // the store has the turn; set before settle
	followed   bool   // another upstream goes on in the chat; set before settle
	over       bool   // settle or abort was called; for the receiver only
	responseID string // of the answer, known only to the receiver; set before cancel
}

// read is what has come from the site: data of the stream, or the end, or, before
// the stream, that something goes on. Whoever has it gives the buffer back.
type read struct {
	data *buffer
	err  error
	// uploading is how much of a large file is there, in percent.
	uploading int
}

// spot is where on the site a turn happens.
type spot struct {
	chatID, parentID string     // empty: in a new chat, as its first turn
	lease            *chatLease // of the chat
	opened           bool       // the chat was opened for the request
}

// begin waits for a place of the account, unless an earlier upstream of the turn
// hands over its own, and starts a turn where its conversation goes on. The context is
// that of the request; what it ends, the caller has to end by settle or abort.
func (h *Handler) begin(ctx context.Context, t *turn, earlier *upstream) (*upstream, error) {
	c := t.conversation
	u, err := h.start(ctx, t, earlier, spot{chatID: c.place.ChatID, parentID: c.place.ParentID, lease: c.lease})
	if err == nil {
		c.lease = nil // the upstream has it now
	}
	return u, err
}

// follow settles a turn that has ended on the site with an answer of an id, and
// starts another one after it in the same chat.
func (h *Handler) follow(ctx context.Context, t *turn, earlier *upstream, answerID string) (*upstream, error) {
	u, err := h.start(ctx, t, earlier, spot{earlier.chatID, answerID, earlier.lease, earlier.opened})
	if err == nil {
		earlier.followed = true
		earlier.settle()
	}
	return u, err
}

func (h *Handler) start(ctx context.Context, t *turn, earlier *upstream, at spot) (*upstream, error) {
	shared, err := h.stateKey.acquire()
	if err != nil {
		return nil, err
	}
	c := t.conversation
	place := earlier.handOver(c.account)
	if place == nil {
		release, err := h.place(ctx, shared, c.account, t.model)
		if err != nil {
			h.stateKey.release()
			return nil, err
		}
		place = &release
	}
	// The request's context ends when its handler returns, which is before the
	// end of the stream is read and before an aborted answer is stopped.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	u := &upstream{
		h: h, turn: *t, cancel: cancel,
		tenant: c.tenant, account: c.account, owner: c.owner, shared: h.sessions(),
		chatID: at.chatID, parentID: at.parentID, lease: at.lease, opened: at.opened,
		reads:   make(chan read),
		settled: make(chan struct{}),
	}
	u.place.Store(place)
	if t.attached != nil {
		t.attached.hold()
	}
	helped := help()
	go func() {
		defer helped()
		defer h.stateKey.release()
		defer u.giveBack()
		defer u.shared.release(h.logger)
		defer cancel()
		u.live(ctx)
	}()
	return u, nil
}

// handOver returns what gives back the place of an account, which is the
// caller's from then on, or nil if there is none.
func (u *upstream) handOver(a *account) *func() {
	if u == nil || u.account != a {
		return nil
	}
	return u.place.Swap(nil)
}

// giveBack gives back the place of the account, if it was not handed over.
func (u *upstream) giveBack() {
	if release := u.place.Swap(nil); release != nil {
		(*release)()
	}
}

// settle tells that the turn has ended on the site. Only the first call of
// settle and abort counts.
func (u *upstream) settle() {
	if u.over {
		return
	}
	u.over = true
	close(u.settled)
	time.AfterFunc(drainTime, u.cancel)
}

// abort ends a turn that has not ended on the site, whose answer has this id if
// it is known.
func (u *upstream) abort(responseID string) {
	if u.over {
		return
	}
	u.over = true
	u.responseID = responseID
	u.cancel()
}

func (u *upstream) run(ctx context.Context) {
	files, err := u.attach(ctx)
	if err != nil {
		u.lease.end()
		u.hand(ctx, read{err: err})
		return
	}
	if u.chatID == "" {
		u.opened = true
		chatID, err := u.openChat(ctx)
		if err != nil {
			u.hand(ctx, read{err: err})
			return
		}
		u.chatID = chatID
		u.reserve(ctx)
	}
	writing, err := u.converse(ctx, files)
	if writing {
		u.stop(ctx)
	}
	if err != nil {
		u.aborted(ctx) // until then the receiver may ask for the place
	}
	u.leave(ctx, err)
}

// reserve takes the chat that has been opened. One that may be deleted is known
// to the store before there is anything in it.
func (u *upstream) reserve(ctx context.Context) {
	if u.shared == nil {
		return
	}
	u.lease = u.shared.take(chatKey{u.owner, u.chatID})
	if u.h.Chats != chatsKeep {
		u.shared.addChat(context.WithoutCancel(ctx), u.h.logger, u.chat())
	}
}

// leave gives the chat back after the turn, unless another upstream has taken it over.
// The turn may have ended with err on the site.
func (u *upstream) leave(ctx context.Context, err error) {
	if u.followed {
		return
	}
	defer u.lease.end()
	ctx = context.WithoutCancel(ctx)
	switch {
	case u.h.Chats == chatsTemporary && !resting(err):
		u.h.deleteTemporary(ctx, u.shared, u.account, chatKey{u.owner, u.chatID})
	case u.h.Chats == chatsKeep && u.opened && !u.recorded && u.shared != nil:
		u.shared.addChat(ctx, u.h.logger, u.chat()) // its caller can still delete it
	}
}

// chat is the chat as the store is to know it.
func (u *upstream) chat() session.Chat {
	now := time.Now()
	return session.Chat{
		Account: u.owner, ID: u.chatID, Tenant: u.tenant, Model: u.turn.model,
		Disposable: u.h.Chats != chatsKeep, Created: now, Used: now,
	}
}

// openChat opens a chat. A failure of the network is worth a second try, since
// opening a chat twice does no harm; so is a passing failure of the site.
func (u *upstream) openChat(ctx context.Context) (string, error) {
	id, err := u.newChat(ctx)
	if err == nil || !passing(err) || infoOf(ctx).retries.Load() > 0 || u.replaceable(err) {
		return id, err
	}
	select {
	case <-time.After(reopenDelay + rand.N(reopenDelay)):
		infoOf(ctx).retried(retryChatOpening)
		return u.newChat(ctx)
	case <-ctx.Done():
		return "", err
	}
}

// replaceable reports whether another account may take the turn over after a failure.
// What was uploaded to this one before cannot be taken along.
func (u *upstream) replaceable(err error) bool {
	return u.h.otherAccount(u.account, err) != nil && (u.turn.attached == nil || len(u.turn.attached.list) == 0)
}

// uncertain reports whether the site may have got the prompt, and be answering it,
// although the connection has failed. It must not be sent to another account then.
func (u *upstream) uncertain(err error) bool {
	var dial reverseproxy.DialError
	return isKind(err, qwen.KindNetwork) && u.sent && !errors.As(err, &dial)
}

// newChat opens a chat. One that is to be deleted must not get lost, so that a
// client that leaves does not end the call at once.
func (u *upstream) newChat(ctx context.Context) (id string, err error) {
	if u.h.Chats != chatsKeep {
		leaving := ctx
		calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(leaving, func() { time.AfterFunc(openTime, cancel) })()
		ctx = calling
	}
	err = u.account.call(ctx, u.turn.model, func(c *qwen.Client, cred qwen.Credential) error {
		id, err = c.NewChat(ctx, cred, u.turn.model)
		return err
	})
	return id, err
}

// passing reports whether a failure to open a chat may be over in a moment.
func passing(err error) bool {
	var e *qwen.Error
	return errors.As(err, &e) && (e.Kind == qwen.KindNetwork || e.Kind == qwen.KindUnavailable && e.Status > http.StatusInternalServerError)
}

// converse sends the prompt with its files and hands over the answer. It reports whether the
// site may still be writing the answer, and why the site has refused the prompt,
// if it has.
func (u *upstream) converse(ctx context.Context, files []qwen.File) (writing bool, refused error) {
	if ctx.Err() != nil {
		return false, nil
	}
	var stream io.ReadCloser
	err := u.account.call(ctx, u.turn.model, func(c *qwen.Client, cred qwen.Credential) (err error) {
		u.cred, u.sent = cred, true
		stream, err = c.Complete(ctx, cred, qwen.Completion{
			ChatID: u.chatID, ParentID: u.parentID, Model: u.turn.model, Prompt: u.turn.prompt, Files: files,
			Thinking: u.turn.thinking, Budget: u.turn.budget, LocalTools: u.turn.local,
		})
		return err
	})
	if err != nil && ctx.Err() != nil {
		time.Sleep(arrivalTime)
		return true, nil
	}
	if err != nil {
		u.hand(ctx, read{err: err})
		return false, err
	}
	defer stream.Close()
	return u.pump(ctx, stream), nil
}

// pump hands over a stream and reads on after the turn has ended, to the end of
// the stream. It reports whether the site may still be writing the answer.
func (u *upstream) pump(ctx context.Context, stream io.Reader) (writing bool) {
	for size := smallRead; ; {
		b := getBuffer(size)
		n, err := stream.Read(b.space)
		b.filled = b.space[:n]
		size = nextRead(n)
		if n == 0 || !u.hand(ctx, read{data: b}) {
			b.free()
		}
		if err != nil {
			u.hand(ctx, read{err: err})
			return u.aborted(ctx)
		}
	}
}

// hand gives the receiver what has come. It reports false if nobody waits.
func (u *upstream) hand(ctx context.Context, r read) bool {
	select {
	case u.reads <- r:
		return true
	case <-u.settled:
	case <-ctx.Done():
	}
	return false
}

// aborted waits until the receiver has judged the turn, and reports whether it
// called abort.
func (u *upstream) aborted(ctx context.Context) bool {
	select {
	case <-u.settled:
		return false
	case <-ctx.Done():
	}
	// Settle ends the context, too, after a moment.
	select {
	case <-u.settled:
		return false
	default:
		return true
	}
}

// stop ends the answer on the site. Otherwise the chat would stay busy and the
// answer would be counted. Nobody is left to hear of a failure.
func (u *upstream) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	_ = u.account.client.Stop(ctx, u.account.credential(), u.chatID, u.responseID)
}
