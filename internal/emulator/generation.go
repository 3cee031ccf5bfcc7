package emulator

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"time"
)

// generation is an accepted completion while it is answered, and afterwards
// its record. The embedded Completion, ids and stopped state are guarded by
// the lock of the site.
type generation struct {
	Completion

	chat       *chat
	userID     string // what the site calls the user message
	orphan     bool   // the parent fields contradict each other
	phases     bool   // deltas carry a phase
	cumulative bool   // answer frames carry the text so far
	speechless bool   // the model says nothing
	ids        []string
	stop       chan struct{} // closed by the stop call
	queued     *Reply        // the queued reply that it has taken, if any
}

// owns reports whether a response id belongs to the generation.
func (g *generation) owns(responseID string) bool {
	return responseID == g.ResponseID || slices.Contains(g.ids, responseID)
}

// How a reply can end before its last step.
var (
	errGone    = errors.New("client is gone")
	errStopped = errors.New("stopped by the client")
	errCut     = errors.New("script ends the stream")
	errReset   = errors.New("script resets the connection")
	errDrop    = errors.New("script drops the connection")
)

// answer sends the reply to a call. The generation is nil for everything that
// is not an accepted completion.
func (s *Site) answer(c *call, r Reply, g *generation) {
	st := s.newStream(c, r, g)
	err := st.run(r)
	if g != nil {
		s.finish(g, err)
	}
	switch {
	case errors.Is(err, errReset):
		reset(c.w)
	case errors.Is(err, errDrop):
		panic(http.ErrAbortHandler) // net/http closes the connection silently
	}
}

// finish records how a generation ended. A chat whose client has left in the
// middle of an answer stays busy until the stop call.
func (s *Site) finish(g *generation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Ended = true
	g.Gone = g.Gone || errors.Is(err, errGone)
	abandoned := g.Gone && !g.Finished && !g.Stopped
	if g.chat.busy == g && !abandoned {
		g.chat.busy = nil
	}
	s.active--
	s.notify()
}

// halt is the effect of the stop call on a running or abandoned generation. It
// is called with the lock held. What was answered so far stays in the chat.
func (s *Site) halt(ch *chat, g *generation) {
	ch.busy = nil
	if g.Stopped {
		return
	}
	g.Stopped = true
	close(g.stop)
	if !g.Finished {
		s.commit(g, g.ResponseID, g.Answer, true)
	}
}

// commit makes an answer part of the chat; a further candidate does not become
// the chat's current answer. It is called with the lock held.
func (s *Site) commit(g *generation, responseID, text string, primary bool) {
	n := &node{
		responseID: responseID, userID: g.userID, model: g.Model, at: time.Now().Unix(),
	}
	if !g.orphan {
		n.parent = g.ParentID
	}
	if !s.options.NoRecord {
		n.user, n.answer, n.files = g.Content, text, g.Files
	}
	g.chat.add(n, primary)
}

// reset ends the connection with a TCP RST. A connection that cannot be taken
// over (HTTP/2) has its stream reset instead.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a closed connection needs no reset
	}
	_ = raw.Close()
}
