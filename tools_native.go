package caddyqwen

import (
	"slices"
	"sync"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// The values of [Handler.Tools].
const (
	toolsEmulated = "emulated"
	toolsNative   = "native"
)

const (
	// maxNative is how large the definitions of functions may be that the site itself
	// offers the model. Of larger ones it makes an empty answer.
	maxNative = 100_000
	// nativeRest is how long a model is told of functions in words after the site
	// has not taken them.
	nativeRest = time.Hour
)

// nativeRefusals are when the site has not taken the functions for a model.
type nativeRefusals struct{ models sync.Map }

func (n *nativeRefusals) add(model string, now time.Time) { n.models.Store(model, now) }

func (n *nativeRefusals) resting(model string, now time.Time) bool {
	refused, ok := n.models.Load(model)
	return ok && now.Sub(refused.(time.Time)) < nativeRest
}

// declare returns the functions that the site itself is to offer the model, or nil if
// the model is to be told of them in words.
func (h *Handler) declare(d *demand, model string, shared *state) []qwen.LocalTool {
	if h.Tools != toolsNative || d == nil || d.tools == nil || shared.native.resting(model, time.Now()) {
		return nil
	}
	size := 0
	list := make([]qwen.LocalTool, len(d.offered))
	for i, t := range d.offered {
		list[i] = qwen.LocalTool{Name: t.Name, Description: t.Description, Schema: t.Parameters}
		size += len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	if size > maxNative {
		return nil
	}
	return list
}

// declared returns the name with which a function was declared that the site has called:
// it may have taken away what is also the name of the server.
func (d *demand) declared(called string) string {
	const server = "client-"
	for _, name := range []string{called, server + called} {
		if slices.ContainsFunc(d.offered, func(t tools.Tool) bool { return t.Name == name }) {
			return name
		}
	}
	return called
}

// tellInWords prepares a turn for a new chat in which the model is told of the
// functions in words, if the site may have refused it because of them.
func (c *conversation) tellInWords(t *turn, cause error) bool {
	if t.local == nil || c.messages == nil || !refusesTools(cause) {
		return false
	}
	t.native.add(t.model, time.Now())
	t.local = nil
	c.instructions, c.note = t.demand.instructions(), t.demand.note(false)
	c.with(c.account)
	return true
}

// refusesTools reports whether a failure may be about the functions: the site fails
// without saying why, or answers with nothing.
func refusesTools(cause error) bool {
	for _, kind := range []qwen.Kind{qwen.KindUnavailable, qwen.KindRejected, qwen.KindBadResponse, qwen.KindEmpty} {
		if isKind(cause, kind) {
			return true
		}
	}
	return false
}
