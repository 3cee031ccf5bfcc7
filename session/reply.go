package session

import "bytes"

// minLong is how many characters a reply must have, with the arguments of its calls,
// to be known again without the whole conversation: short replies are like each other.
const minLong = 16

// minUnique is how many characters the text of a reply must have to be taken for the
// only one like it.
const minUnique = 64

// Reply digests the reply of a turn while it comes, in the forms in which clients
// may send it back:
//
//   - as it is;
//   - without blocks of <tool_use>, which some clients take out, and without
//     blocks of <think> at its start;
//   - after its reasoning, which some clients put in front as a quotation;
//   - if it calls tools, without any text: what was said beside calls is left out by
//     clients that take a message for either the one or the other.
//
// It keeps nothing of the text, but all of the calls. The zero value is ready for use.
type Reply struct {
	exact  *folder
	bare   *folder   // the reply without blocks; nil as long as it is the same
	quoted *unquoter // the reasoning and the reply; nil without reasoning
	calls  calls

	inside string // the mark that ends the block in which the text is
	held   []byte // what may be the start of a mark
}

// Reasoning takes a piece of the reasoning that comes before the reply, which
// parts no characters.
func (r *Reply) Reasoning(p []byte) {
	if r.quoted == nil {
		r.quoted = &unquoter{to: newFolder()}
	}
	r.quoted.write(p)
}

// Text takes a piece of the reply, which parts no characters.
func (r *Reply) Text(p []byte) {
	if len(p) == 0 {
		return
	}
	r.begin()
	if r.quoted != nil {
		r.quoted.write(p)
	}
	if len(r.held) > 0 {
		p = append(r.held, p...)
		r.held = nil
	}
	for len(p) > 0 {
		p = r.step(p)
	}
}

// Call takes a call of a tool in the reply. The calls count in the order in which
// they are taken, wherever they stand in the text. The arguments are JSON; spaces and
// the order of names in them do not count.
func (r *Reply) Call(name, arguments string) { r.calls.add(name, arguments) }

// begin begins the text, if it has not begun.
func (r *Reply) begin() {
	if r.exact != nil {
		return
	}
	r.exact = newFolder()
	if r.quoted != nil {
		r.quoted.write([]byte("\n\n"))
	}
}

// step takes what is before the next mark, or the mark, and returns the rest.
func (r *Reply) step(p []byte) []byte {
	i := bytes.IndexByte(p, '<')
	if i < 0 {
		i = len(p)
	}
	if i > 0 {
		r.pass(p[:i])
		return p[i:]
	}
	mark, maybe := r.mark(p)
	switch {
	case mark != "":
		r.cross(p[:len(mark)])
		return p[len(mark):]
	case maybe:
		r.held = bytes.Clone(p)
		return nil
	}
	r.pass(p[:1])
	return p[1:]
}

// mark returns the mark at the start of p that begins a block, or ends the one
// in which the text is. It reports whether p may become one.
func (r *Reply) mark(p []byte) (mark string, maybe bool) {
	candidates := [...]string{r.inside, ""}
	if r.inside == "" {
		candidates = [...]string{toolOpen, ""}
		if r.blank() {
			candidates[1] = thinkOpen
		}
	}
	for _, m := range candidates {
		switch {
		case m == "":
		case len(p) >= len(m) && string(p[:len(m)]) == m:
			return m, false
		case len(p) < len(m) && string(p) == m[:len(p)]:
			maybe = true
		}
	}
	return "", maybe
}

// blank reports whether nothing but white space has come outside of blocks.
func (r *Reply) blank() bool {
	if r.bare != nil {
		return r.bare.runes == 0
	}
	return r.exact.runes == 0
}

// cross takes a mark that begins or ends a block.
func (r *Reply) cross(mark []byte) {
	if r.inside == "" && r.bare == nil {
		r.bare = r.exact.clone()
	}
	r.exact.write(mark)
	switch {
	case r.inside != "":
		r.inside = ""
	case string(mark) == thinkOpen:
		r.inside = thinkClose
	default:
		r.inside = toolClose
	}
}

// pass takes text.
func (r *Reply) pass(p []byte) {
	r.exact.write(p)
	if r.bare != nil && r.inside == "" {
		r.bare.write(p)
	}
}

// forms is a reply in all its forms.
type forms struct {
	digest   Digest // as a message
	variants []Digest
	long     bool
}

// forms ends the reply.
func (r *Reply) forms() forms {
	r.begin()
	if len(r.held) > 0 {
		r.pass(r.held)
		r.held = nil
	}
	f := forms{digest: r.calls.digest(replyDigest(r.exact.digest())), long: r.exact.runes+r.calls.runes >= minLong}
	// Nobody takes out a block without an end.
	if r.bare != nil && r.bare.runes > 0 && r.inside == "" {
		f.variants = append(f.variants, r.calls.digest(replyDigest(r.bare.digest())))
	}
	if r.quoted != nil {
		f.variants = append(f.variants, r.calls.digest(quotedDigest(r.quoted.to.digest())))
	}
	if len(r.calls.fields) > 0 && r.exact.runes > 0 {
		f.variants = append(f.variants, r.calls.digest(replyDigest(newFolder().digest())))
	}
	return f
}
