package emulator

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a [Site] that listens on a free port of 127.0.0.1.
type Server struct {
	*Site

	listener net.Listener
	http     *http.Server
	busy     tracker
	served   chan struct{}
}

// Start starts a server. The error says why no port could be opened.
func Start(o Options) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &Server{Site: New(o), listener: l, served: make(chan struct{})}
	srv.http = &http.Server{
		Handler:           srv,
		ConnState:         srv.connState,
		ReadHeaderTimeout: 30 * time.Second,
	}
	go func() {
		defer close(srv.served)
		_ = srv.http.Serve(l) // ends with ErrServerClosed
	}()
	return srv, nil
}

// URL returns the address of the server, such as `http://127.0.0.1:40123`,
// without a path.
func (srv *Server) URL() string {
	return "http://" + srv.listener.Addr().String()
}

// ServeHTTP answers one request as the site would.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	srv.busy.add(1)
	defer srv.busy.add(-1)
	srv.Site.ServeHTTP(w, r)
}

// Close ends all open streams and connections and returns when nothing of the
// server is running any more. It may be called more than once.
func (srv *Server) Close() {
	srv.Site.Close()
	_ = srv.http.Close() // the only error is about closing the listener twice
	<-srv.served
	srv.busy.wait()
}

// connState counts the connections whose goroutine belongs to the server.
func (srv *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		srv.busy.add(1)
	case http.StateClosed, http.StateHijacked:
		srv.busy.add(-1)
	}
}

// tracker counts running things and can wait until there are none. It differs
// from a sync.WaitGroup in that waiting may begin while the count still grows.
type tracker struct {
	mu    sync.Mutex
	count int
	zero  *sync.Cond
}

func (t *tracker) add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
	if t.count == 0 && t.zero != nil {
		t.zero.Broadcast()
	}
}

func (t *tracker) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zero == nil {
		t.zero = sync.NewCond(&t.mu)
	}
	for t.count > 0 {
		t.zero.Wait()
	}
}
