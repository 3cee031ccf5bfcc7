package qwen

import (
	"encoding/json"
	"hash/maphash"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/internal/jsonraw"
)

// maxCalls is how many calls of local tools a turn may have.
const maxCalls = 1024

// called takes a frame of calls. Next returns its events.
func (d *Decoder) called(f *frame) (Event, bool) {
	if !d.calls.take(f.extra, string(f.status) == "finished") {
		return d.fail(errDamagedCall()), true
	}
	d.ending = f.done
	return Event{}, false
}

func errDamagedCall() *Error {
	return &Error{Kind: KindBadResponse, Detail: "a call of a tool is damaged"}
}

// localCalls finds the calls of local tools in frames of phase `local_tool`:
//
//	"extra":{"local_mcp":{"client":[{"tool_name":"get_weather","params":{"city":"Oslo"}}]}}
//
// Like all that the site carries in `extra`, such a frame may be a snapshot that
// is sent again, with more calls in it. A call is new if the frame holds it more
// often than any frame before.
type localCalls struct {
	ready   []Event        // what Next has not returned yet
	seen    map[uint64]int // how often one frame has held a call, by its hash
	total   int
	growing []byte // the `local_mcp` of a frame whose status was not `finished`
	settled bool   // nothing but a finished frame of calls came last
}

// take reads a frame. One that is not finished waits for a later one, because
// its arguments may be incomplete. It reports false if the frame is damaged.
func (l *localCalls) take(extra []byte, finished bool) bool {
	if calls := memberOf(extra, "local_mcp"); len(calls) > 0 {
		l.growing = append(l.growing[:0], calls...)
		l.settled = false
	}
	if !finished {
		return true
	}
	ok := l.settle()
	l.settled = l.total > 0
	return ok
}

// settle makes events of the calls in the last frame.
func (l *localCalls) settle() bool {
	if len(l.growing) == 0 {
		return true
	}
	ok := l.servers(l.growing)
	l.growing = keep(l.growing)
	return ok
}

// servers reads the object of all servers. Null has no calls.
func (l *localCalls) servers(object []byte) bool {
	if string(object) == "null" {
		return true
	}
	here := make(map[uint64]int)
	c := jsonraw.NewCursor(object)
	if !c.Object() {
		return false
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		list := jsonraw.NewCursor(c.Raw())
		if !l.server(&list, string(jsonraw.AppendText(nil, key)), here) {
			return false
		}
	}
	return c.OK()
}

// server reads the list of one server's calls.
func (l *localCalls) server(c *jsonraw.Cursor, name string, here map[uint64]int) bool {
	if !c.Array() {
		return false
	}
	for c.Elem() {
		ev, ok := parseCall(c.Raw(), name+"-")
		if !ok || !l.add(ev, here) {
			return false
		}
	}
	return c.OK()
}

// add takes one call of a frame, unless it is known from earlier frames.
func (l *localCalls) add(ev Event, here map[uint64]int) bool {
	var h maphash.Hash
	h.SetSeed(summarySeed)
	_, _ = h.WriteString(ev.Name + "\x00" + ev.Arguments)
	key := h.Sum64()
	if here[key]++; here[key] <= l.seen[key] {
		return true
	}
	if l.seen == nil {
		l.seen = make(map[uint64]int)
	}
	l.seen[key]++
	l.total++
	l.ready = append(l.ready, ev)
	return l.total <= maxCalls
}

// parseCall reads one call.
func parseCall(object []byte, prefix string) (Event, bool) {
	var call struct {
		Name   string          `json:"tool_name"`
		Params json.RawMessage `json:"params"`
	}
	if len(object) == 0 || json.Unmarshal(object, &call) != nil {
		return Event{}, false
	}
	arguments := string(call.Params)
	if arguments == "" || arguments == "null" {
		arguments = "{}"
	}
	name := strings.TrimPrefix(call.Name, prefix)
	if name == "" || arguments[0] != '{' {
		return Event{}, false
	}
	return Event{Kind: Called, Name: name, Arguments: strings.ToValidUTF8(arguments, "\ufffd")}, true
}

// next returns the next call that is ready.
func (l *localCalls) next() (Event, bool) {
	if len(l.ready) == 0 {
		return Event{}, false
	}
	ev := l.ready[0]
	l.ready = l.ready[1:]
	return ev, true
}
