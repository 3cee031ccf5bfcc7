package emulator

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a [Site] that listens on a free port of 127.0.0.1, and its
// [Storage] on another one.
type Server struct {
	*Site

	site    *loopback
	storage *StorageServer
}

// Start starts a server. The error says why no port could be opened.
func Start(o Options) (*Server, error) {
	site := New(o)
	storage, err := NewStorageServer(site.Storage())
	if err != nil {
		return nil, err
	}
	l, err := listen(site)
	if err != nil {
		storage.Close()
		return nil, err
	}
	return &Server{Site: site, site: l, storage: storage}, nil
}

// URL returns the address of the site, such as `http://127.0.0.1:40123`,
// without a path.
func (srv *Server) URL() string { return srv.site.url() }

// StorageURL returns the address of the storage, without a path.
func (srv *Server) StorageURL() string { return srv.storage.URL() }

// Close ends all open streams and connections and returns when nothing of the
// server is running any more. It may be called more than once.
func (srv *Server) Close() {
	srv.Site.Close()
	srv.site.close()
	srv.storage.Close()
}

// StorageServer is a [Storage] that listens on a free port of 127.0.0.1.
type StorageServer struct {
	*Storage

	at *loopback
}

// NewStorageServer starts a server and tells the storage its address. The
// error says why no port could be opened.
func NewStorageServer(s *Storage) (*StorageServer, error) {
	l, err := listen(s)
	if err != nil {
		return nil, err
	}
	s.SetAddress(l.url())
	return &StorageServer{Storage: s, at: l}, nil
}

// URL returns the address of the server, such as `http://127.0.0.1:40123`,
// without a path.
func (srv *StorageServer) URL() string { return srv.at.url() }

// Close ends all connections and returns when nothing of the server is running
// any more. Whatever a [Fault] holds open on other servers of the same storage
// ends, too. It may be called more than once.
func (srv *StorageServer) Close() {
	srv.Storage.Close()
	srv.at.close()
}

// loopback is an HTTP server on a free port of 127.0.0.1.
type loopback struct {
	handler  http.Handler
	listener net.Listener
	http     *http.Server
	busy     tracker
	served   chan struct{}
}

// listen starts a server for a handler.
func listen(h http.Handler) (*loopback, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &loopback{handler: h, listener: l, served: make(chan struct{})}
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

func (srv *loopback) url() string {
	return "http://" + srv.listener.Addr().String()
}

// ServeHTTP counts the request while the handler answers it.
func (srv *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	srv.busy.add(1)
	defer srv.busy.add(-1)
	srv.handler.ServeHTTP(w, r)
}

// close ends all connections and waits until nothing is running any more.
func (srv *loopback) close() {
	_ = srv.http.Close() // the only error is about closing the listener twice
	<-srv.served
	srv.busy.wait()
}

// connState counts the connections whose goroutine belongs to the server.
func (srv *loopback) connState(_ net.Conn, state http.ConnState) {
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
