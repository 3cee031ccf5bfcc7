package caddyqwen

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// R01, R02: a request whose body is still on its way when the configuration is
// replaced is answered by the old one, with its accounts.
func TestReloadDuringBody(t *testing.T) {
	g := mustGateway(t, setup{})
	body, text := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, g.url+chatPath, body)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	answer := make(chan reply, 1)
	go func() {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			answer <- reply{err: err}
			return
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		answer <- reply{resp.StatusCode, resp.Header, string(got), err}
	}()
	whole := chatBody("hello", "")
	_, err = io.WriteString(text, whole[:10])
	must(t, err)
	mustBeHeld(t, 2) // by the handler and the request
	g.load(setup{qwen: "heartbeat 1s"})
	eventually(t, "the old configuration has ended", func() bool { return strings.Contains(g.logged(), "servers shutting down") })
	mustBeHeld(t, 2)
	_, err = io.WriteString(text, whole[10:])
	must(t, err)
	must(t, text.Close())
	select {
	case got := <-answer:
		if got.err != nil || got.status != http.StatusOK {
			t.Errorf("status %d, %v: %s", got.status, got.err, got.body)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
	}
}
