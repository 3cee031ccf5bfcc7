package emulator

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// defaultMaxPrompt is the prompt size in bytes above which the site answers
// with its human verification, unless [Options.MaxPrompt] says otherwise.
const defaultMaxPrompt = 180_000

// maxBody is the largest request body in bytes that the site reads.
const maxBody = 64 << 20

// Options configures a [Site]. The zero value is a usable site.
type Options struct {
	// Models is the catalogue. Default: [DefaultModels].
	Models []Model

	// Tokens are the access tokens that are accepted, as
	// `Authorization: Bearer` or as the cookie `token`. Default: any non-empty
	// token. A JWT whose `exp` has passed is never accepted.
	Tokens []string

	// RefreshTokens are the values of the cookie `refresh_token` that the auth
	// host exchanges for a new access token. Default: any non-empty value.
	RefreshTokens []string

	// MaxPrompt is the longest prompt in bytes. A longer one is answered with
	// [ChallengeJSON], as the real site does. Default: 180000. Negative: no limit.
	MaxPrompt int

	// Delay is the pause before each frame of a stream but the first, so that
	// a person can see it arriving. Default: none.
	Delay time.Duration

	// NoRecord switches off every record ([Site.Requests],
	// [Site.Completions], …) and the storage of prompts and answers in chats,
	// so that benchmarks measure little of the emulator. Chats, their busy
	// state and [Site.Active] still work.
	NoRecord bool

	// Storage is where files are uploaded to. Several sites may share one.
	// Default: [NewStorage] with its defaults, and NoRecord as here; Close
	// closes it together with the site.
	Storage *Storage

	// Parsing is how documents are parsed that no [Site.Parse] was queued for.
	// Default: one answer `pending`, then `success`.
	Parsing Parsing
}

// Site is the emulated site. It is an [http.Handler] that serves the paths of
// both the chat host and the auth host. Its methods may be called by several
// goroutines at once, also while requests are being answered.
type Site struct {
	options Options
	models  map[string]Model
	markers map[string]marker
	mux     *http.ServeMux
	storage *Storage
	owned   bool // the storage is nobody else's
	done    chan struct{}
	close   sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil while nobody waits
	tokens  map[string]bool
	revoked map[string]bool
	chats   map[string]*chat
	queue   []Reply
	respond func(Completion) Reply

	noLocalTools *Reply // for completions that declare local tools

	failures map[string][]Reply
	files    map[string]*file // by id
	parsings []Parsing
	records  records
	auth     authState
	active   int
}

// New returns a site with no chats.
func New(o Options) *Site {
	if o.Models == nil {
		o.Models = DefaultModels()
	}
	if o.MaxPrompt == 0 {
		o.MaxPrompt = defaultMaxPrompt
	}
	owned := o.Storage == nil
	if owned {
		o.Storage = NewStorage(StorageOptions{NoRecord: o.NoRecord})
	}
	if o.Parsing == (Parsing{}) {
		o.Parsing.Pending = 1
	}
	s := &Site{
		options:  o,
		storage:  o.Storage,
		owned:    owned,
		files:    make(map[string]*file),
		models:   make(map[string]Model, len(o.Models)),
		markers:  markerTable(),
		mux:      http.NewServeMux(),
		done:     make(chan struct{}),
		tokens:   make(map[string]bool),
		revoked:  make(map[string]bool),
		chats:    make(map[string]*chat),
		failures: make(map[string][]Reply),
		auth:     newAuthState(),
	}
	for _, m := range o.Models {
		s.models[m.ID] = m
	}
	for _, t := range o.Tokens {
		s.tokens[t] = true
	}
	s.routes()
	return s
}

// routes registers every path that is emulated.
func (s *Site) routes() {
	s.handle("GET /api/models", EndpointModels, s.legacyModels)
	s.handle("GET /api/v2/models/{$}", EndpointModels, s.modelList)
	s.handle("GET /api/v2/models", EndpointModels, s.modelList)
	s.handle("POST /api/v2/chats/new", EndpointNewChat, s.signedIn(s.newChat))
	s.handle("GET /api/v2/chats/{$}", EndpointChats, s.signedIn(s.chatList))
	s.handle("GET /api/v2/chats", EndpointChats, s.signedIn(s.chatList))
	s.handle("GET /api/v2/chats/pinned", EndpointChats, s.signedIn(s.pinnedList))
	s.handle("GET /api/v2/chats/{id}", EndpointChat, s.signedIn(s.chatDetail))
	s.handle("DELETE /api/v2/chats/{id}", EndpointDelete, s.signedIn(s.deleteChat))
	s.handle("DELETE /api/v2/chats/{$}", EndpointDelete, s.signedIn(s.deleteAllChats))
	s.handle("POST /api/v2/chat/completions", EndpointCompletions, s.signedIn(s.complete))
	s.handle("POST /api/v2/chat/completions/stop", EndpointStop, s.signedIn(s.stop))
	s.handle("GET /api/v1/auths/{$}", EndpointAuths, s.signedIn(s.account))
	s.handle("GET /api/v2/auths/refresh", EndpointRefresh, s.refresh)
	for _, version := range []string{"v1", "v2"} {
		s.handle("POST /api/"+version+"/files/getstsToken", EndpointFileGrant, s.signedIn(s.grantFile))
	}
	s.handle("POST /api/v2/files/parse", EndpointFileParse, s.signedIn(s.parseFile))
	s.handle("POST /api/v2/files/parse/status", EndpointFileStatus, s.signedIn(s.fileStatus))
	s.handle("POST /api/v2/files/getfilelink", EndpointFileLink, s.signedIn(s.fileLink))
	s.handle("/", EndpointUnknown, notFound)
}

// notFound answers every other path, and known paths with another method.
func notFound(*call) (Reply, *generation) {
	return Reply{Status: http.StatusNotFound, Header: http.Header{"Content-Type": {jsonType}}, Body: []byte(`{"detail":"Not Found"}`)}, nil
}

// The endpoints by the names that [Site.Fail] takes and the records have.
const (
	EndpointModels      = "models"             // GET /api/models and GET /api/v2/models/
	EndpointNewChat     = "chats/new"          // POST /api/v2/chats/new
	EndpointChats       = "chats"              // GET /api/v2/chats/ and GET /api/v2/chats/pinned
	EndpointChat        = "chats/get"          // GET /api/v2/chats/{id}
	EndpointDelete      = "chats/delete"       // DELETE /api/v2/chats/{id} and DELETE /api/v2/chats/
	EndpointCompletions = "chat/completions"   // POST /api/v2/chat/completions
	EndpointStop        = "stop"               // POST /api/v2/chat/completions/stop
	EndpointAuths       = "auths"              // GET /api/v1/auths/
	EndpointRefresh     = "auths/refresh"      // GET /api/v2/auths/refresh
	EndpointFileGrant   = "files/getstsToken"  // POST /api/v2/files/getstsToken, the same with v1
	EndpointFileParse   = "files/parse"        // POST /api/v2/files/parse
	EndpointFileStatus  = "files/parse/status" // POST /api/v2/files/parse/status
	EndpointFileLink    = "files/getfilelink"  // POST /api/v2/files/getfilelink
	EndpointUnknown     = "unknown"            // everything else, which is answered with 404
)

// call is one request while it is answered.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	id   string // of the request; chosen by the client or else by the site
	body []byte

	account string // id of the user who is signed in
}

// endpoint decides how a call is answered. The generation is nil except for a
// completion that was accepted.
type endpoint func(*call) (Reply, *generation)

// handle registers an endpoint behind everything that all of them share:
// reading, recording, and the answers that a test has queued with [Site.Fail].
func (s *Site) handle(pattern, name string, e endpoint) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r, id: r.Header.Get("X-Request-Id")}
		if c.id == "" {
			c.id = uuid.NewString()
		}
		var err error
		if c.body, err = readBody(w, r); err != nil {
			return // The client left while it was sending, or sends without an end.
		}
		s.recordRequest(name, c)
		if !s.waitHeld(name, c) {
			panic(http.ErrAbortHandler) // net/http closes the connection silently
		}
		reply, scripted := s.scripted(name)
		var g *generation
		if !scripted {
			if reply, g = e(c); g == nil {
				s.recordRefusal(name, reply)
			}
		}
		s.setDate(w.Header())
		s.answer(c, s.withCookies(reply), g)
	})
}

// ServeHTTP answers one request as the site would.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// Close ends everything that is held open by a script ([Hang], [HoldOpen],
// [Wait], [Pause], delays): the connections are dropped, as are those of later
// requests that would have to wait. A [Server] calls it when it is closed; a
// Site without a Server may be closed by hand.
func (s *Site) Close() {
	s.close.Do(func() { close(s.done) })
	if s.owned {
		s.storage.Close()
	}
}

// Storage returns where the files of the site are uploaded to.
func (s *Site) Storage() *Storage { return s.storage }

// readBody reads a request body to its end. Only after the end was seen does
// net/http watch for the client leaving.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil { // only without an HTTP server
		return nil, nil
	}
	var body bytes.Buffer
	if 0 < r.ContentLength && r.ContentLength <= maxBody {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // read into place
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	return body.Bytes(), err
}

// Interface guard
var _ http.Handler = (*Site)(nil)
