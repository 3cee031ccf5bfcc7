package caddyqwen

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestChatCommandText(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "default_model qwen3.7-plus")
	tests := []struct {
		name, input string
		args        []string
		prompt      string
	}{
		{"arguments", "", []string{"hello", "you"}, "hello you"},
		{"standard input", "first line\nsecond line\n", nil, "first line\nsecond line"},
		{"standard input by name", "piped\n", []string{"-"}, "piped"},
		{"both", "the text\n", []string{"Sum", "up:", "-", "Be brief."}, "Sum up:\n\nthe text\n\nBe brief."},
		{"only the first dash", "the text", []string{"-", "a", "-", "b"}, "the text\n\na - b"},
		{"wide characters", "", []string{"你好，世界"}, "你好，世界"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			b.site.Reply(emulator.Text("Hello ", "there, 世界!"))
			out := b.mustRunTool(tt.input, append([]string{"chat"}, tt.args...)...)
			if out != "Hello there, 世界!\n" {
				t.Errorf("the output is %q", out)
			}
			sent := b.site.Completions()
			if last := sent[len(sent)-1]; last.Content != tt.prompt || last.Model != "qwen3.7-plus" {
				t.Errorf("the site got %q for %s", last.Content, last.Model)
			}
		})
	}
}

func TestChatCommandOptions(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "chats delete 1h")
	out, stderr, err := b.run("", "chat", "-m", "qwen3.7-plus", "--think", "--system", "Be kind.", "--json", "hello")
	if err != nil || stderr != "" {
		t.Fatalf("%v: %s", err, stderr)
	}
	answer := mustUnmarshal[struct {
		Object  string
		Choices []struct {
			Message struct {
				Content   string
				Reasoning string `json:"reasoning_content"`
			}
		}
	}](t, out)
	if answer.Object != "chat.completion" || len(answer.Choices) != 1 ||
		!strings.Contains(answer.Choices[0].Message.Content, "hello") || answer.Choices[0].Message.Reasoning == "" {
		t.Errorf("the output is %s", out)
	}
	sent := b.site.Completions()[0]
	if sent.Model != "qwen3.7-plus" || !strings.Contains(sent.Content, "Be kind.") || !sent.Feature.ThinkingEnabled {
		t.Errorf("the site got %+v", sent)
	}
	deleted := 0
	for _, r := range b.site.Requests() {
		if r.Endpoint == emulator.EndpointDelete {
			deleted++
		}
	}
	if deleted != 1 {
		t.Errorf("%d chats were deleted when the command had ended", deleted)
	}
	// What the model thinks is not printed where nobody sees it.
	out, stderr, err = b.run("", "chat", "-m", "qwen3.7-plus", "--think", "hello")
	if err != nil || stderr != "" || strings.Contains(out, "question") {
		t.Errorf("%v, %q, %q", err, out, stderr)
	}
}

func TestChatCommandFiles(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "")
	dir := t.TempDir()
	video, image, text := filepath.Join(dir, "电影.mp4"), filepath.Join(dir, "a b.png"), filepath.Join(dir, "notes.txt")
	must(t, os.WriteFile(video, testMP4(1, 20<<20), 0o600))
	must(t, os.WriteFile(image, testPNG(2, 4000), 0o600))
	must(t, os.WriteFile(text, []byte("some notes"), 0o600))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out := b.mustRunTool("", "chat", "-f", video, "-f", image, "-f", text, "What is this?")
	runtime.ReadMemStats(&after)
	for _, want := range []string{"电影.mp4", "20971520 bytes", "a b.png", "notes.txt", "What is this?"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if sent := b.site.Completions()[0]; sent.Model != "qwen3-vl-plus" || len(sent.Files) != 3 {
		t.Errorf("%d files for %s", len(sent.Files), sent.Model)
	}
	// The emulated storage keeps it once, growing; as base64 in JSON it would be several
	// times as much again.
	if used := after.TotalAlloc - before.TotalAlloc; used > 200<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
	if left, _ := filepath.Glob(filepath.Join(b.data, "caddy", "qwen", "s*")); len(left) > 1 { // the directory of the spool
		t.Errorf("%v are left", left)
	}
	// A document needs no model that sees.
	b.mustRunTool("", "chat", "-f", text, "Sum it up.")
	if sent := b.site.Completions()[1]; sent.Model == "qwen3-vl-plus" {
		t.Error("a document was sent to a model that sees")
	}
}

func TestChatCommandFails(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "")
	dir := t.TempDir()
	program := filepath.Join(dir, "program.exe")
	must(t, os.WriteFile(program, []byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"), 0o600))
	tests := []struct {
		name  string
		args  []string
		input string
		reply emulator.Reply
		out   string
		err   string
	}{
		{"nothing", []string{"chat"}, " \n", emulator.Reply{}, "", "nothing to ask"},
		{"no text", []string{"chat", "-"}, "\xff\xfe\x00", emulator.Reply{}, "", "not UTF-8"},
		{"no file", []string{"chat", "-f", filepath.Join(dir, "none.png"), "x"}, "", emulator.Reply{}, "", "none.png: no such file"},
		{"a directory", []string{"chat", "-f", dir, "x"}, "", emulator.Reply{}, "", "is not a file"},
		{"a program", []string{"chat", "-f", program, "x"}, "", emulator.Reply{}, "", "program.exe: file: This file cannot be taken"},
		{"no such model", []string{"chat", "-m", "nothing", "x"}, "", emulator.Reply{}, "", "The model \"nothing\" does not exist"},
		{"key without url", []string{"chat", "--key", "x", "x"}, "", emulator.Reply{}, "", "--url names"},
		{"moderation", []string{"chat", "x"}, "", emulator.Moderation(), "", "moderation refused"},
		{"moderation, json", []string{"chat", "--json", "x"}, "", emulator.Moderation(), "", "moderation refused"},
		{"broken off", []string{"chat", "x"}, "", emulator.Stream(emulator.Created(), emulator.Answer("This answer"), emulator.Cut()), "This answer\n", "ended before it was complete"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			if tt.reply.Status != 0 || strings.Contains(tt.name, "moderation") || tt.out != "" {
				b.site.Reply(tt.reply)
			}
			out, _, err := b.run(tt.input, tt.args...)
			checkError(t, err, tt.err)
			if out != tt.out {
				t.Errorf("the output is %q", out)
			}
		})
	}
}

// TestChatCommandServer asks a running server.
func TestChatCommandServer(t *testing.T) {
	g := mustGateway(t, setup{})
	image := filepath.Join(t.TempDir(), "a.png")
	must(t, os.WriteFile(image, testPNG(2, 4000), 0o600))
	out, _, err := runTool(t, nil, "chat", "--url", g.url, "--key", testKey, "-f", image, "hello")
	if err != nil || !strings.Contains(out, "a.png") || !strings.Contains(out, "hello") {
		t.Errorf("%v: %s", err, out)
	}
	t.Setenv("OPENAI_API_KEY", testKey)
	if out, _, err = runTool(t, nil, "chat", "--url", g.url+"/v1/", "hello"); err != nil || !strings.Contains(out, "hello") {
		t.Errorf("with the key of the environment: %v: %s", err, out)
	}
	for _, tt := range []struct{ url, key, err string }{
		{g.url, "sk-wrong", "API key"},
		{g.url + "/other", testKey, "is it the base URL of this API?"},
		{"http://127.0.0.1:1", testKey, "connection refused"},
		{"ftp://127.0.0.1", testKey, "--url must be the base URL"},
		{"http://a:b@127.0.0.1", testKey, "--url must be the base URL"},
	} {
		_, _, err := runTool(t, nil, "chat", "--url", tt.url, "--key", tt.key, "hello")
		checkError(t, err, tt.err)
	}
	if _, _, err := runTool(t, nil, "chat", "--url", g.url, "--config", "x", "hello"); err == nil {
		t.Error("--url and --config are accepted together")
	}
}

// TestChatCommandInterrupted checks that a process that is interrupted ends the answer
// on the site.
func TestChatCommandInterrupted(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"Ctrl+C": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "nobody reads": 0} {
		t.Run(name, func(t *testing.T) {
			b := mustToolbox(t, emulator.Options{}, "")
			next := make(chan struct{})
			b.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("Once upon "), emulator.Wait(next), emulator.Answer("a time"), emulator.Hang()))
			cmd := b.process("chat", "Tell a story.")
			out, err := cmd.StdoutPipe()
			must(t, err)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			must(t, cmd.Start())
			defer cmd.Process.Kill()
			begin := make([]byte, len("Once upon "))
			_, err = io.ReadFull(out, begin)
			must(t, err)
			if string(begin) != "Once upon " { // it is there before the answer ends
				t.Errorf("the output begins with %q", begin)
			}
			if signal != 0 {
				must(t, cmd.Process.Signal(signal))
			} else {
				out.Close()
				close(next)
			}
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("the process ended with %v: %s", err, stderr.String())
			}
			if signal != 0 && strings.TrimSpace(stderr.String()) != "Error: interrupted" {
				t.Errorf("standard error is %q", stderr.String())
			}
			stopped := 0
			for _, r := range b.site.Requests() {
				if r.Endpoint == emulator.EndpointStop {
					stopped++
				}
			}
			if stopped != 1 {
				t.Errorf("the site was told to stop %d times", stopped)
			}
		})
	}
}

// TestStreamOfOthers checks what the client makes of answers that are not ours.
func TestStreamOfOthers(t *testing.T) {
	for _, tt := range []struct{ stream, err string }{
		{"", "connection to"},
		{"data: {\"choices\":[]}\n\n", "connection to"},
		{"<html>", "connection to"},
		{"data: <html>\n\n", "cannot be understood"},
		{"data: {\"error\":{\"message\":\"It \\u001b[31mhurts.\"}}\n\n", "It \uFFFD[31mhurts."},
		{": keep-alive\n\ndata: [DONE]\n\n", ""},
	} {
		c := &apiClient{base: "http://example.com/v1", http: http.DefaultClient}
		checkError(t, c.stream(strings.NewReader(tt.stream), func(answerPiece) error { return nil }), tt.err)
	}
}

func TestAnswerOnTerminal(t *testing.T) {
	var out, notes bytes.Buffer
	p := &answerPrinter{out: &out, notes: &notes, bar: &progressBar{out: &notes, label: "a"}, safe: true, thoughts: true, dim: true}
	for _, piece := range []answerPiece{
		{uploading: 50}, {reasoning: "hm\x1b]0;x\a"}, {text: "\x1b[2J👩\u200d💻 \u202eok"}, {reason: "length"},
	} {
		must(t, p.take(piece))
	}
	must(t, p.end())
	if got := out.String(); got != "[2J👩\u200d💻 ok\n" {
		t.Errorf("the output is %q", got)
	}
	text := notes.String()
	if !strings.Contains(text, "a [###############...............]  50%") || !strings.Contains(text, "\x1b[2mhm]0;x\x1b[0m\n\n") || !strings.Contains(text, "was cut") {
		t.Errorf("the notes are %q", text)
	}
}
