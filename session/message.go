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
	unique   bool // the same, and without anything but its question; calls do not help, for tools are called alike
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
	var with calls
	for _, c := range m.Calls {
		with.add(c.Name, c.Arguments)
	}
	text, runes := fold(m.Text)
	e.digest = with.digest(replyDigest(text))
	stripped := withoutReasoning(m.Text)
	if stripped != m.Text {
		text, runes = fold(stripped)
		e.variants = append(e.variants, with.digest(replyDigest(text)))
	}
	e.long, e.unique = runes+with.runes >= minLong, runes >= minUnique
	if strings.HasPrefix(strings.TrimSpace(stripped), ">") {
		u := unquoter{to: newFolder()}
		for chunk := range chunks(stripped) {
			u.write(chunk)
		}
		e.variants = append(e.variants, with.digest(quotedDigest(u.to.digest())))
	}
	return e
}

// calls are the calls of tools in a reply.
type calls struct {
	fields []string // name and arguments of each, in one form
	runes  int      // characters of the arguments, or minLong if there are more
}

func (c *calls) add(name, arguments string) {
	arguments = canonical(arguments)
	c.fields = append(c.fields, name, arguments)
	for range arguments {
		if c.runes == minLong {
			break
		}
		c.runes++
	}
}

// digest adds the calls to the digest of a reply.
func (c *calls) digest(reply Digest) Digest {
	if len(c.fields) == 0 {
		return reply
	}
	return Of("calls of "+strconv.Itoa(len(c.fields)/2), append([]string{string(reply[:])}, c.fields...)...)
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
