package emulator

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// recordLimit is how many entries of each record are kept at least; the
// oldest are dropped.
const recordLimit = 10000

// errSiteClosed ends waiting for something that will not happen any more.
var errSiteClosed = errors.New("emulator: the site was closed")

// Request is one request as it arrived. Header and Body must not be changed.
type Request struct {
	Endpoint string // one of the Endpoint constants
	Method   string
	Path     string
	Query    url.Values
	Header   http.Header
	Body     []byte
}

// String describes the request without its headers and its body.
func (r Request) String() string {
	return r.Method + " " + r.Path
}

// Stop is one call of the stop endpoint.
type Stop struct {
	ChatID     string
	ResponseID string // empty if the client did not know it
}

// Refused is a request that the site itself did not accept. Answers that a
// test has scripted are not among them.
type Refused struct {
	Endpoint string // one of the Endpoint constants
	Code     string
	Details  string
}

type records struct {
	requests    []Request
	completions []*generation
	stops       []Stop
	deleted     []string
	refused     []Refused
	chats       int // created so far
}

// keep appends to a record and forgets the oldest entries.
func keep[T any](list []T, v T) []T {
	if len(list) >= 2*recordLimit {
		list = slices.Clone(list[len(list)-recordLimit:])
	}
	return append(list, v)
}

// notify wakes up everyone in Await. It is called with the lock held.
func (s *Site) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *Site) recordRequest(endpoint string, c *call) {
	list := s.recordOf(endpoint)
	if s.options.NoRecord {
		return
	}
	r := Request{
		Endpoint: endpoint, Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.Query(),
		Header: c.r.Header.Clone(), Body: c.body,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = keep(*list, r)
	s.notify()
}

// recordOf returns the record that requests to an endpoint are kept in, and counts
// those which are about the account.
func (s *Site) recordOf(endpoint string) *[]Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch endpoint {
	case EndpointRefresh:
		s.auth.refreshes++
	case EndpointAuths:
		s.auth.probes++
	default:
		return &s.records.requests
	}
	s.notify()
	return &s.auth.requests
}

func (s *Site) recordRefusal(endpoint string, r Reply) {
	if s.options.NoRecord || r.code == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.refused = keep(s.records.refused, Refused{Endpoint: endpoint, Code: r.code, Details: r.detail})
	s.notify()
}

// Requests returns all requests in the order they arrived, at least the last
// 10,000 of them. Those about the account are in [Site.AuthRequests].
func (s *Site) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.requests)
}

// Completions returns all completions that the site accepted, in the order
// they arrived, with what is known about each of them by now. At least the
// last 10,000 are kept.
func (s *Site) Completions() []Completion {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Completion, len(s.records.completions))
	for i, g := range s.records.completions {
		list[i] = g.Completion
	}
	return list
}

// Refusals returns the requests that the site itself refused.
func (s *Site) Refusals() []Refused {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.refused)
}

// Stops returns the calls of the stop endpoint.
func (s *Site) Stops() []Stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.stops)
}

// Deleted returns the ids of the chats that were deleted.
func (s *Site) Deleted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.deleted)
}

// ChatIDs returns the ids of the chats that exist, oldest first.
func (s *Site) ChatIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*chat, 0, len(s.chats))
	for _, ch := range s.chats {
		list = append(list, ch)
	}
	slices.SortFunc(list, func(a, b *chat) int { return a.seq - b.seq })
	ids := make([]string, len(list))
	for i, ch := range list {
		ids[i] = ch.id
	}
	return ids
}

// Active returns how many completions are being answered right now.
func (s *Site) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// ChatBusy reports whether the site would refuse another completion in the
// chat because one is in progress. A chat whose client went away before the
// end of the answer stays busy until the stop call.
func (s *Site) ChatBusy(chatID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chats[chatID]
	return ch != nil && ch.busy != nil
}

// Await waits until the condition holds, or until the context ends or the site
// is closed, and returns nil in the first case only. The condition is checked
// at first and after every change of a record, of a chat or of the number of
// active completions; it may call the methods of the site.
func (s *Site) Await(ctx context.Context, condition func() bool) error {
	return await(ctx, s.done, errSiteClosed, s.nextChange, condition)
}

func (s *Site) nextChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// await checks a condition at first and after every change. Next returns a
// channel that is closed at the next change; done is closed when there will be
// none any more, which is what the error closed says.
func await(ctx context.Context, done <-chan struct{}, closed error, next func() <-chan struct{}, condition func() bool) error {
	for {
		changed := next()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return closed
		}
	}
}
