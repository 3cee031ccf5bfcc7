package caddyqwen

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// accountMetrics show how the accounts are of the handlers that are in use when
// somebody looks.
type accountMetrics struct {
	mu       sync.Mutex
	handlers []*Handler

	state, expiry *prometheus.Desc
}

func newAccountMetrics() *accountMetrics {
	return &accountMetrics{
		state: prometheus.NewDesc("caddy_qwen_account_state",
			"What the site makes of an account: 1 for its present state, 0 for the others.", []string{"account", "state"}, nil),
		expiry: prometheus.NewDesc("caddy_qwen_account_token_expiry_seconds",
			"How long the access token of an account is still good; negative once it has ended.", []string{"account"}, nil),
	}
}

// show includes the accounts of a handler from now on.
func (m *accountMetrics) show(h *Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handlers = append(m.handlers, h)
}

// forget leaves out the accounts of a handler from now on. Once it has returned,
// nobody looks at them.
func (m *accountMetrics) forget(h *Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handlers = slices.DeleteFunc(m.handlers, func(other *Handler) bool { return other == h })
}

// severity orders the states of accounts from good to bad.
var severity = []accountState{accountOK, accountExpiring, accountUnknown, accountQuota, accountVerification, accountExpired}

// reports returns one report for each label. Accounts with the same label, as
// handlers and configurations that overlap have them, are shown as one, in the worst
// of their states: no series may be there twice.
func (m *accountMetrics) reports() map[string]accountReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]accountReport)
	for _, h := range m.handlers {
		for _, r := range h.accountReports() {
			label := strings.ToValidUTF8(r.Label, "\uFFFD")
			other, twice := all[label]
			if twice && slices.Index(severity, other.State) > slices.Index(severity, r.State) {
				r.State = other.State
			}
			if twice && !other.Expires.IsZero() && (r.Expires.IsZero() || other.Expires.Before(r.Expires)) {
				r.Expires = other.Expires
			}
			all[label] = r
		}
	}
	return all
}

// Describe implements prometheus.Collector.
func (m *accountMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.state
	to <- m.expiry
}

// Collect implements prometheus.Collector.
func (m *accountMetrics) Collect(to chan<- prometheus.Metric) {
	for label, r := range m.reports() {
		for _, state := range accountStates {
			value := 0.0
			if state == r.State {
				value = 1
			}
			to <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, value, label, string(state))
		}
		if !r.Expires.IsZero() {
			to <- prometheus.MustNewConstMetric(m.expiry, prometheus.GaugeValue, time.Until(r.Expires).Seconds(), label)
		}
	}
}
