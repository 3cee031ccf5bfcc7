package caddyqwen

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// complete ends a turn whose answer is complete, or has the model answer once more.
func (x *relay) complete(truncated bool) (over bool, err error) {
	if x.reading != nil {
		x.deliver(false, x.reading.end())
		correction, err := x.reading.verdict(truncated, x.reading.again || x.decoder.ResponseID() == "")
		switch {
		case err != nil:
			x.up.settle() // the site has nothing to stop
			x.yieldChat()
			return false, err
		case correction != "":
			return false, x.correct(correction)
		}
	}
	x.conclude()
	x.record()
	reason := "stop"
	if truncated {
		reason = "length"
	}
	return true, x.finish(reason)
}

// cutOff ends a turn before the site has completed its answer. What the site keeps
// of it is not what the client has, so that it is not recorded.
func (x *relay) cutOff(reason string) (over bool, err error) {
	x.up.abort(x.decoder.ResponseID())
	if x.reading != nil {
		x.deliver(false, x.reading.end())
		if _, err := x.reading.verdict(true, true); err != nil {
			return false, err
		}
	}
	x.conclude()
	return true, x.finish(reason)
}

// conclude prepares what of the answer has waited until it was complete.
func (x *relay) conclude() {
	if x.reading == nil {
		return
	}
	held := x.reading.rested()
	if len(held) > 0 && x.said {
		x.deliver(false, []byte(`\n\n`)) // after an answer that had to be corrected
	}
	x.deliver(false, held)
	for _, call := range x.reading.calls {
		x.turn.conversation.called(call)
		x.open()
		x.prepare(x.out.Call(x.prepared(), callID(), call.Name, call.Arguments))
	}
}

// errNotDeclared is a call of a function of which the site has not been told.
var errNotDeclared = &qwen.Error{Kind: qwen.KindBadResponse, Detail: "it calls a tool that was not declared"}

// called takes a call that the site has told apart from the text.
func (x *relay) called(ev qwen.Event) error {
	if x.turn.local == nil {
		return errNotDeclared // an answer without the call would be a lie
	}
	if x.size == 0 {
		x.up.account.accepted(x.up.account, true)
	}
	x.size += int64(len(ev.Arguments))
	x.info.heard(x.heard)
	x.turn.conversation.drop()
	x.reading.found(x.reading.parser.Judge(tools.Call{Name: x.reading.declared(ev.Name), Arguments: ev.Arguments}))
	return nil
}

// callID returns an id by which the client names the result of a call.
func callID() string { return "call_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:24] }

// thoughtOnly reports whether an answer has failed because the model has only thought,
// about the calls that it should have made, or the JSON.
func (x *relay) thoughtOnly(err *qwen.Error) bool {
	return err.Kind == qwen.KindEmpty && x.reading != nil && (x.reading.tools != nil || x.reading.shape != nil) &&
		!x.reading.again && x.reasoning > 0 && x.decoder.ResponseID() != ""
}

// correct tells the model, in the same chat, what is wrong with its answer. It
// answers once more; the client has seen nothing of what was wrong.
func (x *relay) correct(prompt string) error {
	if x.turn.local != nil {
		// The second time, the model is told of the functions in words.
		prompt = x.reading.tools.Instructions() + "\n\n" + prompt
		x.turn.local = nil
	}
	next := *x.turn
	next.prompt, next.attached, next.toSend, next.long = prompt, nil, nil, false
	up, err := x.h.follow(x.r.Context(), &next, x.up, x.decoder.ResponseID())
	if err != nil {
		x.up.settle()
		return err
	}
	x.info.retried(retryCorrection)
	x.before = spent{x.usage(), x.size, x.reasoning}
	x.up, x.prompt, x.tokens, x.counted = up, int64(len(prompt)), 0, answerCount{}
	right := x.reading.right()
	x.reading = x.turn.reading(x.stream, true)
	x.reading.keep(right)
	x.decoder = qwen.Decoder{MaxFrame: int(x.h.MaxFrame)}
	x.heard = time.Now()
	x.timer.Reset(x.untilNext(x.heard))
	return nil
}

// repeat sends a correction once more that came before the site had ended the answer that it
// corrects. Until then the chat is busy.
func (x *relay) repeat() error {
	select {
	case <-time.After(correctionDelay):
	case <-x.r.Context().Done():
		return orExit(x.r.Context(), errClientGone)
	}
	up, err := x.h.follow(x.r.Context(), &x.up.turn, x.up, x.up.parentID)
	if err != nil {
		return err
	}
	x.info.retried(retryCorrection)
	x.repeated, x.up, x.heard = true, up, time.Now()
	x.timer.Reset(x.untilNext(x.heard))
	return nil
}

// correctionDelay is how long the site may take to end an answer after it has told that it
// has.
const correctionDelay = 500 * time.Millisecond

// answerCount is how many tokens the site has counted when the answer had a size.
type answerCount struct{ tokens, size int64 }

// spent is what an answer has taken that had to be corrected.
type spent struct {
	usage           openai.Usage
	size, reasoning int64
}

// affordable returns as much of a text as the request pays for with its limit of
// tokens, and whether that is not all of it. The site's own count decides where it
// sends one, and an estimate of what has come since; of the text of one event, the part is
// taken that its tokens are.
func (x *relay) affordable(raw []byte) (part []byte, spent bool) {
	if x.reading == nil || x.reading.most == 0 {
		return raw, false
	}
	most, before := int64(x.reading.most), x.tokens
	size := x.size - x.before.size + int64(len(raw))
	x.tokens = size/bytesPerToken + 1
	if u, ok := x.decoder.Usage(); ok {
		if u.Output != x.counted.tokens {
			x.counted = answerCount{u.Output, size}
		}
		x.tokens = u.Output + (size-x.counted.size)/bytesPerToken
	}
	switch {
	case x.tokens <= most:
		return raw, false
	case before >= most:
		return nil, true
	}
	return raw[:jsonraw.Cut(raw, int(int64(len(raw))*(most-before)/(x.tokens-before)))], true
}
