package emulator

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFindMarker(t *testing.T) {
	for _, tc := range []struct {
		prompt, name, arg string
		found             bool
	}{
		{"", "", "", false},
		{"[[emulator:hang]]", "hang", "", true},
		{"text [[emulator:status 503]] text", "status", "503", true},
		{"[[emulator: status  503 ]]", "status", "503", true},
		{"[[emulator:hang]] and later [[emulator:cut]]", "cut", "", true},
		{"[[emulator:hang", "", "", false},
		{"[[emulator:hang]] and [[emulator:cut", "", "", false},
		{"[[emulator:]]", "", "", true},
		{"[[ emulator:hang]]", "", "", false},
	} {
		name, arg, found := findMarker(tc.prompt)
		if name != tc.name || arg != tc.arg || found != tc.found {
			t.Errorf("%q: %q %q %t", tc.prompt, name, arg, found)
		}
	}
}

func FuzzFindMarker(f *testing.F) {
	f.Add("[[emulator:status 503]]")
	f.Add("[[emulator:[[emulator:x]]")
	f.Add("]][[emulator:]]")
	f.Fuzz(func(t *testing.T, prompt string) {
		name, arg, found := findMarker(prompt)
		if strings.Contains(name, " ") || strings.Contains(name+arg, "]]") {
			t.Errorf("%q: %q %q", prompt, name, arg)
		}
		if !found && name+arg != "" {
			t.Errorf("%q: not found, but %q %q", prompt, name, arg)
		}
	})
}

// The list in the package documentation is complete.
func TestMarkersAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(doc)) {
		if entry, ok := strings.CutPrefix(line, "//\t"); ok {
			documented = append(documented, strings.Fields(entry)[0])
		}
	}
	slices.Sort(documented)
	if got := Markers(); !slices.Equal(got, documented) {
		t.Errorf("Markers() %v\ndocumented %v", got, documented)
	}
}

// Every marker is tried, through the whole path, with what it promises.
func TestMarkers(t *testing.T) {
	type result struct {
		status int
		body   string
		err    error
	}
	try := func(t *testing.T, marker string) result {
		t.Helper()
		srv := mustStart(t, Options{})
		c := newClient(t, srv)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		chat := c.mustChat()
		if marker == "hang-headers" {
			go func() {
				_ = srv.Await(ctx, func() bool { return srv.Active() == 1 })
				cancel()
			}()
		}
		resp, err := c.http.Do(c.completion(ctx, turn{chat: chat, prompt: "please [[emulator:" + marker + "]]"}))
		if err != nil {
			return result{err: err}
		}
		defer resp.Body.Close()
		leaveAt := map[string]string{"hang": "ends here", "hold-open": `"finished"`}[marker]
		var b strings.Builder
		for buf := make([]byte, 64<<10); ; {
			n, err := resp.Body.Read(buf)
			b.Write(buf[:n])
			if err == io.EOF {
				err = nil
			} else if err == nil {
				if leaveAt != "" && strings.Contains(b.String(), leaveAt) {
					cancel()
				}
				continue
			}
			return result{resp.StatusCode, b.String(), err}
		}
	}
	checks := map[string]func(r result) bool{
		"bad-request":        func(r result) bool { return strings.Contains(r.body, "Internal error") },
		"broken-parent":      func(r result) bool { return strings.Contains(r.body, "first message must not") },
		"burst":              func(r result) bool { return strings.Contains(r.body, `data: {"error":`) },
		"busy":               func(r result) bool { return strings.Contains(r.body, "The chat is in progress!") },
		"bytewise":           func(r result) bool { return strings.Count(r.body, "世界 🌍") == 2 },
		"call f":             func(r result) bool { return answerText(mustEvents(t, r.body), "") == block("f", "{}") },
		"call":               func(r result) bool { return strings.Contains(r.body, "marker call needs") },
		`call f {"x":[1]}`:   func(r result) bool { return answerText(mustEvents(t, r.body), "") == block("f", `{"x":[1]}`) },
		"call f []":          func(r result) bool { return strings.Contains(r.body, "marker call needs") },
		"candidates":         func(r result) bool { return answerText(mustEvents(t, r.body), "") == "Only this one." },
		"challenge":          func(r result) bool { return strings.Contains(r.body, "FAIL_SYS_USER_VALIDATE") },
		"challenge-html":     func(r result) bool { return r.status == 200 && strings.Contains(r.body, "aliyun_waf_aa") },
		"challenge-html 405": func(r result) bool { return r.status == 405 },
		"chat-not-found":     func(r result) bool { return strings.Contains(r.body, "is not exist") },
		"crlf":               func(r result) bool { return strings.Count(r.body, "}\r\n\r\n") == 2 },
		"cut": func(r result) bool {
			return r.err == nil && strings.HasSuffix(r.body, "}\n\n") && !strings.Contains(r.body, "finished")
		},
		"cut-frame":    func(r result) bool { return r.err == nil && strings.HasSuffix(r.body, `"role":"assi`) },
		"done":         func(r result) bool { return strings.Contains(r.body, "data: [DONE]") },
		"drop":         func(r result) bool { return errors.Is(r.err, io.ErrUnexpectedEOF) },
		"empty":        func(r result) bool { return r.status == 200 && r.body == "" },
		"empty-stream": func(r result) bool { return len(mustEvents(t, r.body)) == 2 },
		"error": func(r result) bool {
			return strings.Contains(r.body, `"content":"ends here"`) && strings.Contains(r.body, `{"error":{`)
		},
		"error-delta": func(r result) bool { return strings.Contains(r.body, `"status":"error"`) },
		"error-first": func(r result) bool { return r.body == "data: {\"error\":\"Internal error!\"}\n\n" },
		"expired":     func(r result) bool { return strings.Contains(r.body, "Token has expired") },
		"garbage": func(r result) bool {
			return answerText(mustEventsTolerant(r.body), "") == "A broken event is in this answer."
		},
		"garbage-only": func(r result) bool {
			return strings.Count(r.body, `"content":`+"\n") >= 4 && !strings.Contains(r.body, "finished")
		},
		"gzip":         func(r result) bool { return strings.HasPrefix(r.body, "\x1f\x8b") },
		"hang":         func(r result) bool { return errors.Is(r.err, context.Canceled) },
		"hang-headers": func(r result) bool { return errors.Is(r.err, context.Canceled) && r.status == 0 },
		"hold-open":    func(r result) bool { return errors.Is(r.err, context.Canceled) && r.status == 200 },
		"huge":         func(r result) bool { return len(answerText(mustEvents(t, r.body), "")) == 1<<20 },
		"huge 100":     func(r result) bool { return len(answerText(mustEvents(t, r.body), "")) == 100 },
		"keep-alive": func(r result) bool {
			return strings.Contains(r.body, "keep_alive") && strings.Contains(r.body, "\n: keep-alive\n")
		},
		"length":          func(r result) bool { return strings.Contains(r.body, `"finish_reason":"length"`) },
		"login-page":      func(r result) bool { return strings.HasPrefix(r.body, "<!doctype html>") },
		"long":            func(r result) bool { return answerText(mustEvents(t, r.body), "") == strings.Repeat("word ", 1000) },
		"long 3":          func(r result) bool { return answerText(mustEvents(t, r.body), "") == "word word word " },
		"model-not-found": func(r result) bool { return strings.Contains(r.body, "Model not found") },
		"moderation":      func(r result) bool { return strings.Contains(r.body, "data_inspection_failed") },
		"moderation-late": func(r result) bool {
			return strings.Contains(r.body, `data: {"error":{"code":"data_inspection_failed"`)
		},
		"rate-limited":   func(r result) bool { return strings.Contains(r.body, `"num":4`) },
		"rate-limited 7": func(r result) bool { return strings.Contains(r.body, `"num":7`) },
		"rate-limited 0": func(r result) bool { return !strings.Contains(r.body, "num") },
		"reset":          func(r result) bool { return errors.Is(r.err, syscall.ECONNRESET) },
		"search": func(r result) bool {
			return strings.Contains(r.body, "https://example.com/") && strings.Contains(r.body, "[[1]]")
		},
		"slow 0":            func(r result) bool { return answerText(mustEvents(t, r.body), "") == strings.Repeat("word ", 60) },
		"slow 1":            func(r result) bool { return answerText(mustEvents(t, r.body), "") == strings.Repeat("word ", 60) },
		"status":            func(r result) bool { return r.status == 502 },
		"status 503":        func(r result) bool { return r.status == 503 },
		"status x":          func(r result) bool { return r.status == 502 },
		"status 1":          func(r result) bool { return r.status == 502 },
		"think":             func(r result) bool { return answerText(mustEvents(t, r.body), "") == "Done thinking." },
		"style":             func(r result) bool { return strings.Contains(r.body, "perfect chatty chinese") },
		"style none":        func(r result) bool { return strings.Contains(r.body, "perfect chatty chinese") },
		"style bare never":  func(r result) bool { return strings.Contains(r.body, "once, each-turn or always") },
		"style half-tag":    func(r result) bool { return strings.HasSuffix(answerText(mustEvents(t, r.body), ""), "<tool_c") },
		"too-many-messages": func(r result) bool { return strings.Contains(r.body, "too many messages") },
		"unauthorized":      func(r result) bool { return r.status == 200 && strings.Contains(r.body, `"code":"Unauthorized"`) },
		"unauthorized-401":  func(r result) bool { return r.status == 401 },
		"unicode": func(r result) bool {
			return strings.Contains(answerText(mustEvents(t, r.body), ""), "b\x00c\x1b[0m data: [DONE]\n\n")
		},
		"no-such-marker": func(r result) bool { return strings.Contains(answerText(mustEvents(t, r.body), ""), "hang-headers") },
	}
	for marker, ok := range checks {
		t.Run(marker, func(t *testing.T) {
			if r := try(t, marker); !ok(r) {
				t.Errorf("%d %v %.400q", r.status, r.err, r.body)
			}
		})
	}
	for _, name := range Markers() {
		if checks[name] == nil && name != "slow" {
			t.Errorf("the marker %s is not tested", name)
		}
	}
}
