package caddyqwen

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// serveHealth tells that the server runs. It says nothing about the site, so
// that a failure there does not make anyone restart this server. Who has a key may
// ask for more, which has the status 200 as well: those who balance load look at
// nothing else.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !verbose(r) {
		writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
		return
	}
	if _, err := h.callers.identify(r); err != nil {
		h.writeError(w, r, err)
		return
	}
	report, err := h.health(r.Context())
	if err != nil {
		h.writeError(w, r, err)
		return
	}
	writeValue(w, report)
}

// verbose reports whether a request asks for more: with the parameter verbose, unless
// that says no.
func verbose(r *http.Request) bool {
	if r.URL.RawQuery == "" {
		return false
	}
	query := r.URL.Query()
	value := query.Get("verbose")
	return query.Has("verbose") && value != "0" && !strings.EqualFold(value, "false")
}

// healthStatus is how well the server can do what it is for.
type healthStatus string

const (
	healthOK       healthStatus = "ok"
	healthDegraded healthStatus = "degraded" // something does not work, or not for all requests
	healthDown     healthStatus = "down"     // no account can be used
)

// healthReport is the answer to `/health?verbose`. It has no path, no key and
// nothing of a credential.
type healthReport struct {
	Status   healthStatus    `json:"status"`
	Accounts []accountHealth `json:"accounts"`
	Models   modelsHealth    `json:"models"`
	Store    storeHealth     `json:"store"`
	Streams  streamsHealth   `json:"streams"`
	Versions versionsHealth  `json:"versions"`
	Uptime   int64           `json:"uptime_seconds"`
}

// health tells how all parts are. It calls nobody but the session store.
func (h *Handler) health(ctx context.Context) (*healthReport, error) {
	shared, err := h.stateKey.acquire()
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.stateKey.release() }() // of states, nothing is closed
	now := time.Now()
	report := &healthReport{
		Accounts: h.accountsHealth(now),
		Models:   shared.catalog.health(),
		Store:    h.storeHealth(ctx),
		Streams:  h.streamsHealth(shared.slots),
		Versions: h.versionsHealth(),
		Uptime:   int64(now.Sub(started).Seconds()),
	}
	report.Status = report.summary()
	return report, nil
}

// started is about when the process was started.
var started = time.Now()

// summary returns the status that follows from all parts.
func (r *healthReport) summary() healthStatus {
	usable, status := 0, healthOK
	for _, a := range r.Accounts {
		if a.usable {
			usable++
		}
		if !a.usable || a.State == accountQuota {
			status = healthDegraded
		}
	}
	switch {
	case usable == 0:
		return healthDown
	case r.Store.Status == storeUnavailable:
		return healthDegraded
	}
	return status
}

// The values of accountHealth.Breaker.
const (
	breakerClosed   = "closed"    // requests go to the site
	breakerOpen     = "open"      // none does
	breakerHalfOpen = "half-open" // the next one may, to try
)

// accountHealth is what is told of an account. Times that are not known are left out.
type accountHealth struct {
	Label     string       `json:"label"`
	State     accountState `json:"state"`
	Breaker   string       `json:"breaker"`
	Reachable bool         `json:"reachable"` // the site was, of late
	Until     time.Time    `json:"until,omitzero"`
	Expires   time.Time    `json:"expires,omitzero"`
	// Seconds are those until Expires, below zero after it.
	Seconds   *int64    `json:"seconds_to_expiry,omitempty"`
	Renewable bool      `json:"renewable"`
	Checked   time.Time `json:"checked_at,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
	Remedy    string    `json:"remedy,omitempty"`

	usable bool
}

func (h *Handler) accountsHealth(now time.Time) []accountHealth {
	h.hasCredential() // takes up what the owner has put there since
	list := make([]accountHealth, 0, len(h.accounts))
	for _, r := range h.accountReports() {
		list = append(list, r.health(now))
	}
	return list
}

// health is the report for programs.
func (r accountReport) health(now time.Time) accountHealth {
	a := accountHealth{
		Label: r.Label, State: r.State, Breaker: r.breaker(now), Reachable: !r.Unreachable,
		Until: seconds(r.Until), Expires: seconds(r.Expires), Renewable: r.Renewable,
		Checked: seconds(r.Checked), LastError: r.LastError, FailedAt: seconds(r.FailedAt),
		Remedy: r.text().remedy[english], usable: r.usable(),
	}
	if !r.Expires.IsZero() {
		left := int64(r.Expires.Sub(now).Seconds())
		a.Seconds = &left
	}
	return a
}

// seconds is a time as it is told: nobody needs fractions.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// usable reports whether requests may be expected to succeed, with some model at
// least.
func (r accountReport) usable() bool {
	return !r.missing() && !r.resting() && !r.Unreachable
}

// missing reports whether there is no credential.
func (r accountReport) missing() bool { return r.LastError == codeNoCredential }

func (r accountReport) resting() bool {
	return r.State == accountExpired || r.State == accountVerification
}

// breaker tells whether requests go to the site. That a limit is used up for a model
// does not keep those with others from it.
func (r accountReport) breaker(now time.Time) string {
	switch {
	case !r.resting():
		return breakerClosed
	case r.Until.After(now):
		return breakerOpen
	}
	return breakerHalfOpen
}

// modelsHealth is what is told of the list of models.
type modelsHealth struct {
	Count   int       `json:"count"` // of those that the site has; 0 if none is known
	Fetched time.Time `json:"fetched_at,omitzero"`
	Error   string    `json:"error,omitempty"` // why the list could not be fetched the last time
}

// health tells how the list is. It fetches nothing.
func (c *catalog) health() modelsHealth {
	list, _ := c.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := modelsHealth{Count: len(list), Fetched: seconds(c.got)}
	switch {
	case errors.Is(c.err, errNoModels):
		m.Error = "The site lists no models."
	case c.err != nil:
		m.Error = describe(c.err).Message
	}
	return m
}

// The values of storeHealth.Status.
const (
	storeOK          = "ok"
	storeUnavailable = "unavailable"
	storeOff         = "off"
)

// storeHealth is what is told of the record of conversations.
type storeHealth struct {
	Kind   string `json:"kind"` // the name of its module
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// storeTime bounds how long the store is asked.
const storeTime = time.Second

// storeHealth asks the store for something that it does not have.
func (h *Handler) storeHealth(ctx context.Context) storeHealth {
	shared := h.sessions()
	if shared == nil {
		return storeHealth{Kind: storeOff, Status: storeOff, Detail: "Each request gets a new chat, with its history as text."}
	}
	defer shared.release(h.logger)
	answer := storeHealth{Kind: storeKind(h.sessionStore), Status: storeOK}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	_, err := shared.store.Turn(ctx, session.Of("health"), "", "")
	if err != nil && !errors.Is(err, session.ErrNotFound) || shared.troubled.Load() {
		answer.Status = storeUnavailable
		answer.Detail = "The session store cannot be used; the log tells why. Until it works, each request gets a new chat, with its history as text."
	}
	return answer
}

// storeKind returns the name that stands behind `sessions` in the configuration.
func storeKind(store SessionStore) string {
	if module, ok := store.(caddy.Module); ok {
		return module.CaddyModule().ID.Name()
	}
	return "unknown"
}

// streamsHealth is how much is being done, and what limits it.
type streamsHealth struct {
	Active        int64 `json:"active"`  // in the process
	Waiting       int   `json:"waiting"` // for a place of the accounts
	Max           int   `json:"max"`
	MaxPerKey     int   `json:"max_per_key"`
	MaxPerAccount int   `json:"max_per_account"`
	MaxWaiting    int   `json:"max_waiting"`
}

func (h *Handler) streamsHealth(s *slots) streamsHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return streamsHealth{
		Active: inProcess.Load(), Waiting: s.waiting, Max: h.MaxStreams, MaxPerKey: h.MaxStreamsPerKey,
		MaxPerAccount: h.MaxStreamsPerAccount, MaxWaiting: h.QueueLength,
	}
}

// versionsHealth is what runs here.
type versionsHealth struct {
	Module   string `json:"module"` // `(devel)` for a build from a working copy
	Caddy    string `json:"caddy"`
	Go       string `json:"go"`
	Frontend string `json:"frontend_version"`
}

func (h *Handler) versionsHealth() versionsHealth {
	simple, _ := caddy.Version()
	return versionsHealth{Module: moduleVersion(), Caddy: simple, Go: runtime.Version(), Frontend: h.FrontendVersion}
}

// moduleVersion returns the version of this module in the program.
var moduleVersion = sync.OnceValue(func() string {
	const path, unknown = "github.com/caddy-qwen/caddy-qwen", "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	version := ""
	if info.Main.Path == path {
		version = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			version = dep.Version
		}
	}
	if version == "" {
		return unknown
	}
	return version
})
