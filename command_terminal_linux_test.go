package caddyqwen

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// atTerminal runs the command at a terminal, and returns what a person sees.
func (b *toolbox) atTerminal(environment []string, args ...string) string {
	b.t.Helper()
	person, program := mustTerminal(b.t)
	cmd := b.process(args...)
	cmd.Env = append(cmd.Env, environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	must(b.t, cmd.Start())
	seen := make(chan string)
	go func() {
		var text bytes.Buffer
		_, _ = io.Copy(&text, person) // it ends with an error when nobody has the other end
		seen <- text.String()
	}()
	if err := cmd.Wait(); err != nil {
		b.t.Errorf("%q: %v", args, err)
	}
	program.Close()
	text := <-seen
	checkNoSecret(b.t, text)
	return text
}

func TestCommandsAtTerminal(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "default_model qwen3.7-plus")
	film := filepath.Join(t.TempDir(), "film.mp4")
	must(t, os.WriteFile(film, testMP4(1, 20<<20), 0o600))
	colour, plain := []string{"TERM=xterm", "NO_COLOR="}, []string{"TERM=xterm", "NO_COLOR=1"}

	text := b.atTerminal(colour, "chat", "--think", "-f", film, "hello")
	for _, want := range []string{"film.mp4 [###", "] 100%\r", "\x1b[2mReading the question", "\x1b[0m\r\n\r\nThis is a canned answer", "You said: hello\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if text = b.atTerminal(plain, "chat", "--think", "hello"); strings.Contains(text, "\x1b") || !strings.Contains(text, "Reading the question") {
		t.Errorf("without colours: %q", text)
	}
	if text = b.atTerminal(colour, "doctor"); !strings.Contains(text, "\x1b[32mok     \x1b[0m  connection: ") {
		t.Errorf("the doctor says %q", text)
	}
	if text = b.atTerminal([]string{"TERM=dumb"}, "doctor"); strings.Contains(text, "\x1b") {
		t.Errorf("a terminal without colours gets %q", text)
	}
	person, program := mustTerminal(t)
	defer person.Close()
	if _, err := readPrompt(program, nil); err == nil || !strings.Contains(err.Error(), "behind the command") {
		t.Errorf("without a text: %v", err)
	}
}
