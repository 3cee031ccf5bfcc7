package emulator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// writes is a response writer that remembers what each flush sent.
type writes struct {
	*httptest.ResponseRecorder
	pending string
	sent    []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.pending += string(b)
	return len(b), nil
}

func (w *writes) Flush() {
	if w.pending != "" {
		w.sent = append(w.sent, w.pending)
		w.pending = ""
	}
}

// sentBy runs steps outside of a completion and returns what each flush sent.
func sentBy(t *testing.T, steps ...Step) []string {
	t.Helper()
	s := New(Options{})
	s.Fail("stop", Stream(steps...))
	w := &writes{ResponseRecorder: httptest.NewRecorder()}
	r, err := http.NewRequestWithContext(context.Background(), "POST", "/api/v2/chat/completions/stop?chat_id=c", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.ServeHTTP(w, r)
	if w.pending != "" {
		t.Errorf("%q was never flushed", w.pending)
	}
	return w.sent
}

func TestSplit(t *testing.T) {
	const text = "data: é\n\n" // é has two bytes
	open := make(chan struct{})
	close(open)
	for _, tc := range []struct {
		name  string
		steps []Step
		want  []string
	}{
		{"one write per frame", []Step{Frame("é"), Frame("é")}, []string{text, text}},
		{"bytewise", []Step{Bytewise(Frame("é"))}, strings.Split(text, "")},
		{"in the middle of a character", []Step{Split([]int{7, 1}, Frame("é"))}, []string{"data: \xc3", "\xa9", "\n\n"}},
		{"across frames", []Step{Split([]int{12}, Frame("é"), Frame("é"))}, []string{"data: é\n\nda", "ta: é\n\n"}},
		{"joined", []Step{Joined(Frame("é"), Comment())}, []string{text + ": keep-alive\n\n"}},
		{"a wait sends the rest", []Step{Joined(Frame("é"), Wait(open), Frame("é"))}, []string{text, text}},
		{"a cut sends the rest", []Step{Joined(Frame("é"), Cut(), Frame("é"))}, []string{text}},
		{"off afterwards", []Step{Bytewise(Raw([]byte("ab"))), Raw([]byte("cd"))}, []string{"a", "b", "cd"}},
		{"raw", []Step{Split([]int{2, 3}, Raw([]byte("abcdefg")))}, []string{"ab", "cde", "fg"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := sentBy(t, tc.steps...)
			if tc.name == "bytewise" {
				tc.want = nil
				for i := range len(text) {
					tc.want = append(tc.want, text[i:i+1])
				}
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A step may be used by several streams at once and more than once in each.
func TestStepsAreReusable(t *testing.T) {
	step := Split([]int{3}, Raw([]byte("abcd")))
	if got := strings.Join(sentBy(t, step, step), "|"); got != "abc|d|abc|d" {
		t.Errorf("got %q", got)
	}
}
