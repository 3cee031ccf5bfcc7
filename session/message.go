package session

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Message is one message of a conversation.
type Message struct {
	// Role is user, assistant, system or tool. The names developer and function
	// stand for the last two.
	Role string
	// Name is the name of a participant. It counts for users only: clients add
	// names to other messages, and leave them out, as they like.
	Name string
	// Text is the text of the message.
	Text string
	// Files are what the message has attached, in order. Each text identifies the
	// content of one, in a form that the caller chooses, such as "sha256:" or "url:"
	// with what belongs after it. They count for all messages but those of
	// assistants: the same text with other files is another message.
	Files []string
	// Calls are the tools that an assistant called. Their ids do not count:
	// clients give them new ones.
	Calls []Call
}

// Call is the call of a tool.
type Call struct {
	Name string
	// Arguments is JSON. Spaces and the order of names do not count.
	Arguments string
}

// roleAssistant is the role of replies.
const roleAssistant = "assistant"

// role returns the one name of a role.
func (m *Message) role() string {
	switch m.Role {
	case "developer":
		return "system"
	case "function":
		return "tool"
	}
	return m.Role
}

// entry is a message as it takes part in digests.
type entry struct {
	digest Digest
	// variants are the digests of a reply if it came with additions of the
	// client's that it was recorded without.
	variants []Digest
	role     string
	long     bool // a reply long enough to be known again without the whole conversation
	unique   bool // the same, and without anything but its question
}

func (m *Message) entry() entry {
	e := entry{role: m.role()}
	if e.role != roleAssistant {
		name := ""
		if e.role == "user" {
			name = m.Name
		}
		// Without files this is what it was before there were any.
		e.digest = Of("message", append([]string{e.role, name, asKept(m.Text)}, m.Files...)...)
		return e
	}
	text, runes := fold(m.Text)
	e.long, e.unique = runes >= minLong, runes >= minUnique
	e.digest = m.called(replyDigest(text))
	stripped := withoutReasoning(m.Text)
	if stripped != m.Text {
		text, runes = fold(stripped)
		e.long, e.unique = runes >= minLong, runes >= minUnique
		e.variants = append(e.variants, m.called(replyDigest(text)))
	}
	if strings.HasPrefix(strings.TrimSpace(stripped), ">") {
		u := unquoter{to: newFolder()}
		for chunk := range chunks(stripped) {
			u.write(chunk)
		}
		e.variants = append(e.variants, m.called(quotedDigest(u.to.digest())))
	}
	return e
}

// called adds the calls of tools to the digest of a reply.
func (m *Message) called(reply Digest) Digest {
	if len(m.Calls) == 0 {
		return reply
	}
	fields := append(make([]string, 0, 1+2*len(m.Calls)), string(reply[:]))
	for _, c := range m.Calls {
		fields = append(fields, c.Name, canonical(c.Arguments))
	}
	return Of("calls of "+strconv.Itoa(len(m.Calls)), fields...)
}

// canonical returns the one form of JSON that means the same. What is not JSON
// stays as it is.
func canonical(arguments string) string {
	v := jsontext.Value(arguments)
	// Whole numbers stay as they are, for they may be larger than a float holds.
	if v.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawFloats(true)) != nil {
		return arguments
	}
	return string(v)
}

func replyDigest(text Digest) Digest  { return Of("reply", string(text[:])) }
func quotedDigest(text Digest) Digest { return Of("quoted reply", string(text[:])) }

// forms returns all digests that a message may have been recorded with.
func (e *entry) forms() []Digest { return append([]Digest{e.digest}, e.variants...) }
