package caddyqwen

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// refusedFetch is the line of the log about a file that was not fetched.
type refusedFetch struct {
	Message string `json:"msg"`
	ID      string `json:"request_id"`
	Caller  string
	Reason  string
	raw     string
}

// refusedFetches are all such lines.
func (g *gateway) refusedFetches() (lines []refusedFetch) {
	for line := range strings.Lines(g.logged()) {
		var l refusedFetch
		if json.Unmarshal([]byte(line), &l) == nil && strings.HasSuffix(l.Message, "was not fetched") {
			l.raw = line
			lines = append(lines, l)
		}
	}
	return lines
}

// The owner is told whose file was not fetched and why, but nothing of what is in a
// URL, which may be secret.
func TestMultimodalFetchLog(t *testing.T) {
	const annsKey = "sk-ann-0123456789abcdef"
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "moved"):
			http.Redirect(w, r, "http://169.254.169.254/hidden-path?hidden-query", http.StatusFound)
		case strings.Contains(r.URL.Path, "broken"):
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	})
	secret := "hidden-path/a.png?hidden-query=1#hidden-fragment"
	for name, test := range map[string]struct{ qwen, url string }{
		"S01 a blocked address":      {"", m.URL + "/" + secret},
		"S02 the cloud's own":        {fetchAllowed, "http://169.254.169.254/" + secret},
		"S06 a redirect to it":       {fetchAllowed, m.URL + "/moved/" + secret},
		"S19 a file that is missing": {fetchAllowed, m.URL + "/" + secret},
		"S19 an answer that breaks":  {fetchAllowed, m.URL + "/broken/" + secret},
		"S19 nobody there":           {fetchAllowed, "http://127.0.0.1:1/" + secret},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: "api_key ann " + annsKey + "\n" + test.qwen})
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", imageAt(test.url))}, fields), "Authorization", "Bearer "+annsKey)
				if r.status != http.StatusBadRequest {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				lines := g.refusedFetches()
				if len(lines) != 1 {
					t.Fatalf("%d lines:\n%s", len(lines), g.logged())
				}
				l := lines[0]
				if l.ID != r.header.Get("X-Request-Id") || l.ID == "" || l.Caller != "ann" || l.Reason == "" {
					t.Errorf("request %q of %q, %q", l.ID, l.Caller, l.Reason)
				}
				if strings.Contains(g.logged(), "hidden-") {
					t.Errorf("the log tells what is in the URL: %s", l.raw)
				}
				g.sentNothing()
			})
		}
	}
}
