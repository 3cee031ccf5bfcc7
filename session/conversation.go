package session

import "time"

// Scope is what separates conversations: nothing found in one is ever used in
// another.
type Scope struct {
	// Tenant is the caller that the conversation belongs to.
	Tenant string
	// Account is the account on the site.
	Account Digest
	// Model is the model's id on the site.
	Model string
}

// Conversation is a conversation as a client sends it: its system text, and its
// messages, the last of which wants an answer. It holds digests only.
type Conversation struct {
	scope   Scope
	entries []entry
	chain   Digest // before the first message
	loose   Digest // the same without the system text
	last    int    // how many messages there are up to the newest reply, it included
}

// New returns the conversation of a request. The system text is empty if there is
// none.
func New(scope Scope, system string, messages []Message) *Conversation {
	c := &Conversation{scope: scope, entries: make([]entry, len(messages))}
	for i := range messages {
		c.entries[i] = messages[i].entry()
		if c.entries[i].role == roleAssistant && i < len(messages)-1 {
			c.last = i + 1
		}
	}
	c.loose = Of("conversation", scope.Tenant, string(scope.Account[:]), scope.Model)
	c.chain = c.loose
	if text := asKept(system); text != "" {
		c.chain = Of("system text", string(c.loose[:]), text)
	}
	return c
}

// next returns the digest of a conversation with one more message.
func next(chain, message Digest) Digest { return join("chain", chain, message) }

// pair returns the digest of a reply and of the message before it, of which there
// are the given number up to and including it.
func (c *Conversation) pair(before int, reply Digest) Digest {
	if before == 0 {
		return join("pair", c.loose, Digest{}, reply)
	}
	return join("pair", c.loose, c.entries[before-1].digest, reply)
}

// Place is where on the site a turn goes, and what the site knows there.
type Place struct {
	// ChatID and ParentID name the chat and the answer in it that the turn
	// follows. Both are empty if there is no such place: the turn needs a new
	// chat.
	ChatID, ParentID string
	// Known is how many messages of the conversation the site knows at this
	// place. The others have to be sent.
	Known int
	// Branch tells that the turn makes a branch: the parent has been continued
	// before, or the conversation is another one after it.
	Branch bool
	// SystemChanged tells that the site knows the conversation with another
	// system text, so that the present one has to be sent.
	SystemChanged bool

	chain, loose Digest // of what is known
}

// NewChat returns the place of a conversation that begins in a new chat.
func (c *Conversation) NewChat() Place {
	return Place{chain: c.chain, loose: c.loose}
}

// Turn returns what is to be recorded of a turn whose reply is complete. The ids
// are those of the chat and of the answer.
func (c *Conversation) Turn(p Place, chatID, responseID string, reply *Reply, now time.Time) Turn {
	f := reply.forms()
	t := Turn{
		Account: c.scope.Account, Tenant: c.scope.Tenant, Model: c.scope.Model,
		ChatID: chatID, ResponseID: responseID, ParentID: p.ParentID,
		System: c.chain, Long: f.long, Variants: f.variants, Time: now,
	}
	added := c.entries[p.Known:]
	chain, loose := p.chain, p.loose
	for i := range added {
		chain, loose = next(chain, added[i].digest), next(loose, added[i].digest)
	}
	t.Key = Key{Pair: c.pair(len(c.entries), f.digest), Loose: next(loose, f.digest), Chain: next(chain, f.digest)}
	for _, v := range f.variants {
		t.Aliases = append(t.Aliases, c.pair(len(c.entries), v))
	}
	t.Messages, t.Partial = messageDigests(added, f.digest)
	return t
}

// messageDigests returns the digests of the messages that a turn adds.
func messageDigests(added []entry, reply Digest) (digests []Digest, partial bool) {
	if len(added) > MaxMessages-1 {
		added, partial = added[len(added)-(MaxMessages-1):], true
	}
	digests = make([]Digest, 0, len(added)+1)
	for i := range added {
		digests = append(digests, added[i].digest)
	}
	return append(digests, reply), partial
}
