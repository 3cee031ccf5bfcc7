package session

import (
	"context"
	"errors"
	"slices"
)

const (
	// maxCandidates is how many turns of the same conversation are looked at, and
	// maxSimilar how many that have the same last messages.
	maxCandidates = 8
	maxSimilar    = 64
	// maxReads bounds the reads from the store for one request. Most need one.
	maxReads = 4096
)

// errTooManyReads ends a search that takes too long. What is not found by then
// counts as unknown.
var errTooManyReads = errors.New("too many reads")

// ErrBusy says that the place of a conversation is known, but that its chat
// cannot be had.
var ErrBusy = errors.New("the chat is in use")

// Locate finds the place of a conversation: the longest part of it that the site
// knows. It asks take for the chat, which must reserve the chat, or report false
// if it is in use. If the place is in no chat that can be had, the error is
// ErrBusy; if there is no place, it is ErrNotFound. Other errors are those of
// the store. When the context ends, what has not been found counts as unknown.
//
// The whole conversation decides. Only if it is not known to its newest reply,
// two weaker rules apply, each of them only if exactly one conversation comes
// into question and its newest reply is long enough: that the oldest messages
// were left out, and that the system text has changed.
func (c *Conversation) Locate(ctx context.Context, store Store, take func(chatID string) bool) (Place, error) {
	if c.last == 0 {
		return Place{}, ErrNotFound
	}
	l := locator{Conversation: c, ctx: ctx, store: store}
	found, err := l.search()
	if errors.Is(err, errTooManyReads) {
		return Place{}, ErrNotFound
	}
	if err != nil {
		return Place{}, err
	}
	if len(found.turns) == 0 {
		return Place{}, ErrNotFound
	}
	for i := range found.turns {
		if take(found.turns[i].ChatID) {
			return c.place(&found, &found.turns[i]), nil
		}
	}
	return Place{}, ErrBusy
}

// match is a part of a conversation that the site knows.
type match struct {
	known int    // messages
	turns []Turn // any of which ends the part
	// systemChanged tells that the turns have another system text.
	systemChanged bool
}

func (c *Conversation) place(m *match, t *Turn) Place {
	p := Place{
		ChatID: t.ChatID, ParentID: t.ResponseID, Known: m.known,
		Branch:        t.Continued || m.known < c.last,
		SystemChanged: m.systemChanged,
		chain:         t.Chain, loose: t.Loose,
	}
	if m.systemChanged {
		// With this system text nothing is recorded that would tell the recorded
		// forms of replies, so the conversation has to be found again as it came.
		p.chain = c.chain
		for i := range m.known {
			p.chain = next(p.chain, c.entries[i].digest)
		}
	}
	return p
}

// locator is one search.
type locator struct {
	*Conversation
	ctx   context.Context
	store Store
	reads int
}

func (l *locator) search() (match, error) {
	best, err := l.longest(byChain, l.chain)
	if err != nil || best.known == l.last {
		return best, err
	}
	if !l.entries[l.last-1].long {
		return best, nil
	}
	weaker, err := l.weaker()
	if len(weaker.turns) > 0 || err != nil && !errors.Is(err, errTooManyReads) {
		return weaker, err
	}
	return best, nil
}

// weaker finds the place by the rules that do not look at the whole
// conversation.
func (l *locator) weaker() (match, error) {
	trimmed, err := l.trimmed()
	if err != nil || len(trimmed.turns) > 0 {
		return trimmed, err
	}
	loose, err := l.longest(byLoose, l.loose)
	if err != nil || loose.known < l.last || !same(loose.turns) || !loose.turns[0].Long {
		return match{}, err
	}
	loose.systemChanged = true
	return loose, nil
}

// way is a digest of whole conversations, by which turns are found.
type way func(pair, conversation Digest) Key

func byChain(pair, conversation Digest) Key { return Key{Pair: pair, Chain: conversation} }
func byLoose(pair, conversation Digest) Key { return Key{Pair: pair, Loose: conversation} }

// longest finds the longest part of the conversation that is known in a way. The
// root is the digest before the first message.
func (l *locator) longest(by way, root Digest) (match, error) {
	keys := make([]Digest, l.last+1)
	keys[0] = root
	for i := range l.last {
		keys[i+1] = next(keys[i], l.entries[i].digest)
	}
	var best match
	for i := l.last; i > 0 && best.known == 0; i-- {
		if l.entries[i-1].role != roleAssistant {
			continue
		}
		turns, err := l.find(by(l.pair(i-1, l.entries[i-1].digest), keys[i]), maxCandidates)
		if err != nil {
			return match{}, err
		}
		if len(turns) > 0 {
			best = match{known: i, turns: turns}
		}
	}
	if best.known < l.last {
		err := l.extend(by, keys, &best)
		if err != nil && !errors.Is(err, errTooManyReads) {
			return match{}, err
		}
	}
	return best, nil
}

// extend goes on from the known part of the conversation, through replies that
// came back in another form than they were recorded in. After each of those, what
// follows may have been recorded after the recorded form, or, if it went along as
// text, after the form in which it came. Both ways are tried.
func (l *locator) extend(by way, keys []Digest, best *match) error {
	key := keys[best.known] // with the recorded forms; keys are as it came
	for i := best.known; i < l.last; i++ {
		e := &l.entries[i]
		digest := e.digest
		if e.role == roleAssistant {
			turns, err := l.reply(by, key, i, key != keys[i])
			if err == nil && len(turns) == 0 && key != keys[i] {
				if turns, err = l.reply(by, keys[i], i, false); len(turns) > 0 {
					key = keys[i]
				}
			}
			if err != nil {
				return err
			}
			if len(turns) > 0 {
				digest = turns[0].reply()
				*best = match{known: i + 1, turns: turns}
			}
		}
		key = next(key, digest)
	}
	return nil
}

// reply finds the turns that end with the reply at i, in one of its forms, after
// the messages with the digest before. The form in which it came was looked up
// earlier unless something before it has been replaced.
func (l *locator) reply(by way, before Digest, i int, moved bool) ([]Turn, error) {
	for n, form := range l.entries[i].forms() {
		pair := l.pair(i, form)
		if n > 0 || moved {
			turns, err := l.find(by(pair, next(before, form)), maxCandidates)
			if err != nil || len(turns) > 0 {
				return turns, err
			}
		}
		turns, err := l.findAlias(pair)
		if err != nil {
			return nil, err
		}
		turns = slices.DeleteFunc(turns, func(t Turn) bool { return !t.Matches(by(t.Pair, next(before, t.reply()))) })
		if same(turns) {
			return turns, nil
		}
	}
	return nil, nil
}

// reply returns the digest of the turn's reply.
func (t *Turn) reply() Digest { return t.Messages[len(t.Messages)-1] }

// trimmed finds the conversation of which the client has left out the oldest
// messages.
//
// A single question with its reply is little to go by: greetings are the same in
// many conversations. It counts only if the reply is one that nobody else gets.
func (l *locator) trimmed() (match, error) {
	n := l.last - 1 // the newest reply
	if n == 0 || l.last <= 2 && !l.entries[n].unique {
		return match{}, nil
	}
	var verified []Turn
	for _, form := range l.entries[n].forms() {
		similar, err := l.similar(l.pair(n, form))
		if err != nil {
			return match{}, err
		}
		for _, t := range similar {
			if !t.Long || t.System != l.chain {
				continue
			}
			ok, err := l.endsWith(t)
			if err != nil {
				return match{}, err
			}
			if ok {
				verified = append(verified, t)
			}
		}
	}
	if !same(verified) {
		return match{}, nil
	}
	return match{known: l.last, turns: verified}, nil
}

// similar returns the turns that end with a pair, in any form, or none if there
// are too many to tell them apart.
func (l *locator) similar(pair Digest) ([]Turn, error) {
	turns, err := l.find(Key{Pair: pair}, maxSimilar)
	if err != nil {
		return nil, err
	}
	aliases, err := l.findAlias(pair)
	if err != nil || len(turns) == maxSimilar || len(aliases) == maxSimilar {
		return nil, err
	}
	return append(turns, aliases...), nil
}

// endsWith reports whether the conversation up to a turn ends with all messages
// up to the newest reply.
func (l *locator) endsWith(t Turn) (bool, error) {
	i := l.last - 1
	for {
		for k := len(t.Messages) - 1; k >= 0 && i >= 0; k-- {
			forms := []Digest{t.Messages[k]}
			if k == len(t.Messages)-1 {
				forms = append(forms, t.Variants...)
			}
			if !l.entries[i].isOneOf(forms) {
				return false, nil
			}
			i--
		}
		if i < 0 {
			return true, nil
		}
		if t.Partial || t.ParentID == "" {
			return false, nil
		}
		parent, err := l.turn(t.ChatID, t.ParentID)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		t = parent
	}
}

func (e *entry) isOneOf(recorded []Digest) bool {
	return slices.ContainsFunc(e.forms(), func(d Digest) bool { return slices.Contains(recorded, d) })
}

// same reports whether there are turns and all are of the same conversation.
func same(turns []Turn) bool {
	for i := range turns {
		if turns[i].Chain != turns[0].Chain {
			return false
		}
	}
	return len(turns) > 0
}

// find returns the turns with a key that are of this scope.
func (l *locator) find(key Key, limit int) ([]Turn, error) {
	if err := l.count(); err != nil {
		return nil, err
	}
	turns, err := l.store.Find(l.ctx, key, limit)
	return slices.DeleteFunc(turns, func(t Turn) bool { return !l.mine(&t) || !t.Matches(key) }), err
}

// findAlias returns the turns with an alias that are of this scope.
func (l *locator) findAlias(alias Digest) ([]Turn, error) {
	if err := l.count(); err != nil {
		return nil, err
	}
	turns, err := l.store.FindAlias(l.ctx, alias, maxSimilar)
	return slices.DeleteFunc(turns, func(t Turn) bool { return !l.mine(&t) }), err
}

func (l *locator) turn(chatID, responseID string) (Turn, error) {
	if err := l.count(); err != nil {
		return Turn{}, err
	}
	t, err := l.store.Turn(l.ctx, l.scope.Account, chatID, responseID)
	if err == nil && !l.mine(&t) {
		return Turn{}, ErrNotFound
	}
	return t, err
}

// mine reports whether a turn is of this scope. A store that is damaged, or shared
// with others, is not trusted with that.
func (l *locator) mine(t *Turn) bool {
	return t.Tenant == l.scope.Tenant && t.Account == l.scope.Account && t.Model == l.scope.Model && len(t.Messages) > 0
}

func (l *locator) count() error {
	if l.reads++; l.reads > maxReads || l.ctx.Err() != nil {
		return errTooManyReads
	}
	return nil
}
