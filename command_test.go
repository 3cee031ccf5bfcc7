package caddyqwen

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// runCommand runs `caddy qwen` with arguments.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	qwen := caddycmd.Commands()["qwen"]
	cmd := &cobra.Command{Use: qwen.Name + " " + qwen.Usage, Short: qwen.Short, Long: qwen.Long}
	qwen.CobraFunc(cmd)
	root.AddCommand(cmd)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append([]string{"qwen"}, args...))
	err = root.Execute()
	return out.String(), errOut.String(), err
}

func TestKeyCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	path := filepath.Join(dir, "caddy", "qwen", "api_key")

	stdout, stderr, err := runCommand(t, "key")
	if err != nil {
		t.Fatal(err)
	}
	key, ok := strings.CutSuffix(stdout, "\n")
	if !ok || !isGeneratedKey(key) {
		t.Errorf("standard output has %d characters that are not just a key and a line break", len(stdout))
	}
	if !strings.Contains(stderr, path) || !strings.Contains(stderr, "only if no API key is configured") {
		t.Errorf("standard error %q does not say where the key is and when it counts", stderr)
	}
	if strings.Contains(stderr, key) {
		t.Error("the key is on standard error, too")
	}
	if stored := mustLoadKey(t, path); stored != key {
		t.Error("the printed key is not the stored one")
	}
	if again, _, err := runCommand(t, "key"); err != nil || again != stdout {
		t.Errorf("the second time, another key is printed, or an error: %v", err)
	}
}

// TestKeyCommandAndServer checks that the server accepts what the command
// prints.
func TestKeyCommandAndServer(t *testing.T) {
	c, _ := mustGeneratedCallers(t)
	key, _, err := runCommand(t, "key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.identify(keyRequest("Authorization", "Bearer "+strings.TrimSpace(key))); err != nil {
		t.Errorf("the server refuses the printed key: %v", err)
	}
}

func TestKeyCommandErrors(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	path := filepath.Join(dir, "caddy", "qwen", "api_key")
	mustWriteFile(t, path, "damaged", 0o600)
	stdout, _, err := runCommand(t, "key")
	if !errors.Is(err, errDamagedKey) || stdout != "" {
		t.Errorf("printed %q, error %v; want only %v", stdout, err, errDamagedKey)
	}
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("error %q does not name the file", err)
	}
}

func TestCommandUsage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	tests := []struct {
		args string
		want []string // parts of the output
		err  string   // a part of the error; empty: none
	}{
		{"", []string{"chat.qwen.ai", "key", "Prints the generated API key"}, ""},
		{"--help", []string{"chat.qwen.ai", "caddy qwen key"}, ""},
		{"key --help", []string{"sudo -H -u caddy caddy qwen key", "VALID_TOKENS", "delete the file"}, ""},
		{"keys", nil, "unknown command"},
		{"key please", nil, "unknown command"},
		{"key --force", nil, "unknown flag"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			stdout, _, err := runCommand(t, strings.Fields(tt.args)...)
			checkError(t, err, tt.err)
			for _, part := range tt.want {
				if err == nil && !strings.Contains(stdout, part) {
					t.Errorf("the help does not contain %q:\n%s", part, stdout)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "caddy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("showing help stored something: %v", err)
	}
}

// TestCommandsAreDocumented checks what people need to see of every sub-command.
func TestCommandsAreDocumented(t *testing.T) {
	for _, cmd := range qwenCommands() {
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, "caddy qwen "+cmd.Name()) {
			t.Errorf("%s lacks a short or long text or an example", cmd.Name())
		}
		if cmd.RunE == nil || cmd.Args == nil {
			t.Errorf("%s does not check its arguments or do anything", cmd.Name())
		}
	}
}
