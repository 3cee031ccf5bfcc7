package caddyqwen

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// P18 X15: that a token has ended is also told within a stream. This is no reason to
// refuse all requests while a new one is to be had.
func TestExpiredInTheStream(t *testing.T) {
	g := mustGateway(t, setup{})
	token := g.site.IssueToken(time.Hour)
	g.load(setup{
		bare: true, qwen: fmt.Sprintf("api_key %s\nauth_base_url %s\naccount {\ncookies \"refresh_token=r; token=%s\"\n}", testKey, g.site.URL(), token),
	})
	expired := emulator.Stream(emulator.ErrorFrame("Unauthorized", "Token has expired."))
	g.site.Reply(expired)
	if got := g.chat("hello", ""); got.status != http.StatusServiceUnavailable || got.code() != "upstream_credential_expired" {
		t.Errorf("the first: status %d: %s", got.status, got.body)
	}
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("the next: status %d: %s", got.status, got.body)
	}
	eventually(t, "the new token is in use", func() bool {
		renewed := false
		keepers.Range(func(_, value any) bool {
			cred := value.(*keeper).credential()
			renewed = renewed || cred.Renewable() && cred.AccessToken() != token
			return true
		})
		return renewed
	})
	g.site.Reply(expired)
	g.chat("hello", "")
	sent := g.requested(emulator.EndpointCompletions)
	if got := g.chat("hello", ""); got.code() != "upstream_credential_expired" || g.requested(emulator.EndpointCompletions) != sent || g.site.Refreshes() != 1 {
		t.Errorf("the new token is refused, too: status %d: %s", got.status, got.body)
	}
}

// A failure that a stream tells of when it has lasted longer than its token says
// nothing about the token that has taken its place.
func TestExpiredInAnOldStream(t *testing.T) {
	g := mustGateway(t, setup{})
	token := g.site.IssueToken(time.Hour)
	g.load(setup{
		bare: true, qwen: fmt.Sprintf("api_key %s\naccount {\ntoken %s\n}", testKey, token),
	})
	gate := make(chan struct{})
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("a"), emulator.Wait(gate), emulator.ErrorFrame("Unauthorized", "Token has expired.")))
	answer := make(chan reply, 1)
	go func() { answer <- g.chat("hello", "") }()
	g.await("the answer has begun", func() bool { return g.site.Active() == 1 })
	keepers.Range(func(_, value any) bool {
		k := value.(*keeper)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.cred.AccessToken() == token {
			k.setFresh(k.cred.WithToken(g.site.IssueToken(2*time.Hour)), time.Now())
		}
		return true
	})
	close(gate)
	if got := <-answer; got.status == http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("the next: status %d: %s", got.status, got.body)
	}
}

// P20: a connection that breaks after the prompt was sent is no reason to send it to
// another account: the first may be answering, and both would be counted.
func TestPromptIsNotSentTwice(t *testing.T) {
	g := mustGateway(t, setup{})
	first, second := g.site.IssueToken(time.Hour), g.site.IssueTokenFor("second", time.Hour)
	for name, broken := range map[string]emulator.Reply{
		"before the header": emulator.ResetConnection(),
		"in the stream":     emulator.Stream(emulator.Created(), emulator.Reset()),
	} {
		t.Run(name, func(t *testing.T) {
			g.load(setup{bare: true, qwen: fmt.Sprintf("api_key %s\naccount one {\ntoken %s\n}\naccount two {\ntoken %s\n}", testKey, first, second)})
			g.accept()
			before := g.requested(emulator.EndpointCompletions)
			g.site.Reply(broken)
			got := g.chat("hello", "")
			if n := g.requested(emulator.EndpointCompletions) - before; n != 1 {
				t.Errorf("the prompt was sent %d times; status %d: %s", n, got.status, got.body)
			}
		})
	}
}

// However much goes wrong, one request is worth one more try.
func TestRetriesOfARequest(t *testing.T) {
	g := mustGateway(t, setup{})
	first, second := g.site.IssueToken(time.Hour), g.site.IssueTokenFor("second", time.Hour)
	g.load(setup{bare: true, qwen: fmt.Sprintf("api_key %s\naccount one {\ntoken %s\n}\naccount two {\ntoken %s\n}", testKey, first, second)})
	before := g.requested(emulator.EndpointNewChat)
	g.site.Refuse(emulator.ResetConnection(), emulator.EndpointNewChat)
	got := g.chat("hello", "")
	if n := g.requested(emulator.EndpointNewChat) - before; got.status == http.StatusOK || n > 2 {
		t.Errorf("status %d after %d calls", got.status, n)
	}
}
