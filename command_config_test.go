package caddyqwen

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestCommandConfig(t *testing.T) {
	b := mustToolbox(t, emulator.Options{}, "model_alias mine qwen3.7-plus")
	list := func(args ...string) (string, error) {
		t.Helper()
		out, stderr, err := runTool(t, nil, append([]string{"models", "--json"}, args...)...)
		return out + stderr, err
	}
	dir := t.TempDir()
	asJSON := filepath.Join(dir, "caddy.json")
	text, err := os.ReadFile(b.config)
	must(t, err)
	must(t, os.WriteFile(asJSON, mustAdapt(t, string(text)), 0o600))
	for _, args := range [][]string{{"--config", b.config}, {"-c", b.config, "-a", "caddyfile"}, {"--config", asJSON}} {
		if out, err := list(args...); err != nil || !strings.Contains(out, `"mine"`) {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	t.Chdir(filepath.Dir(b.config)) // which is named Caddyfile
	if out, err := list(); err != nil || !strings.Contains(out, `"mine"`) {
		t.Errorf("in the directory of the Caddyfile: %v: %s", err, out)
	}

	two := filepath.Join(dir, "two")
	must(t, os.WriteFile(two, []byte("http://192.0.2.1:1 {\nqwen {\nbase_url "+b.site.URL()+"\nmodel_alias first qwen3.7-plus\n}\n}\nhttp://192.0.2.1:2 {\nqwen {\nmodel_alias second qwen3.7-plus\n}\n}\n"), 0o600))
	out, err := list("--config", two, "--adapter", "caddyfile")
	if err != nil || !strings.Contains(out, `"first"`) || !strings.Contains(out, "has 1 qwen handler besides the first") {
		t.Errorf("two handlers: %v: %s", err, out)
	}

	empty, broken, wrong := filepath.Join(dir, "empty.json"), filepath.Join(dir, "broken.json"), filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(empty, []byte(`{"apps":{}}`), 0o600))
	must(t, os.WriteFile(broken, []byte(`{`), 0o600))
	must(t, os.WriteFile(wrong, []byte("http://192.0.2.1:1 {\nqwen {\nmax_image -5\n}\n}\n"), 0o600))
	for path, want := range map[string]string{
		empty: "there is no qwen handler", broken: "not valid JSON", wrong: "max_image", filepath.Join(dir, "none"): "no such file",
	} {
		_, err := list("--config", path)
		checkError(t, err, want)
	}
}

func TestCommandEnvironment(t *testing.T) {
	names := []string{"TOOL_PLAIN", "TOOL_EXPORT", "TOOL_QUOTED", "TOOL_LINES", "TOOL_SET", "TOOL_EMPTY", "TOOL_OPEN"}
	for _, name := range names {
		t.Setenv(name, "") // so that it is put back
		os.Unsetenv(name)
	}
	t.Setenv("TOOL_SET", "before")
	path := filepath.Join(t.TempDir(), "env")
	must(t, os.WriteFile(path, []byte("# a comment\r\n\nTOOL_PLAIN=a=b; c  # the rest\nexport TOOL_EXPORT=x\nTOOL_QUOTED=\"with \\\"quotes\\\"\"\nTOOL_LINES='one\ntwo'\nTOOL_SET=after\nTOOL_EMPTY=\nTOOL_OPEN='never closed\n"), 0o600))
	must(t, loadEnvironment(path))
	want := []string{"a=b; c", "x", `with "quotes"`, "one\ntwo", "before", "", "never closed\n"}
	var got []string
	for _, name := range names {
		got = append(got, os.Getenv(name))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the variables are %q, want %q", got, want)
	}
	for text, line := range map[string]string{"A=1\nsecret-value\n": "line 2", "=secret-value": "line 1", "A B=secret-value": "line 1", "A\x00=secret-value": "line 1"} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		err := loadEnvironment(path)
		checkError(t, err, line)
		if err != nil && strings.Contains(err.Error(), "secret-value") {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
	b := mustToolbox(t, emulator.Options{Tokens: []string{testToken}}, "")
	os.Unsetenv("CANARY_COOKIES")
	must(t, os.WriteFile(path, []byte("CANARY_COOKIES=token="+testToken+"\n"), 0o600))
	if out := b.mustRunTool("", "chat", "hello", "--envfile", path); !strings.Contains(out, "hello") {
		t.Errorf("the output is %q", out)
	}
	_, _, err := b.run("", "chat", "hello", "--envfile", path+"x")
	checkError(t, err, "environment file")
}

func TestModelsCommand(t *testing.T) {
	b := mustToolbox(t, emulator.Options{Models: []emulator.Model{
		emulator.NewModel("qwen3.7-plus", "通义千问"), emulator.NewModel("small", "Small\x1b[2J"),
	}}, "model_alias mine qwen3.7-plus\nmodel_alias gone nothing")
	lines := strings.Split(b.mustRunTool("", "models"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "MODEL ") || !strings.Contains(lines[1], "images, video") ||
		!strings.Contains(lines[1], "mine") || strings.Contains(lines[1], "gone") || strings.Contains(lines[2], "\x1b") {
		t.Fatalf("the output is %q", lines)
	}
	column := func(line, cell string) int { return displayWidth(line[:strings.Index(line, cell)]) }
	if a, b := column(lines[0], "TAKES"), column(lines[1], "images"); a != b {
		t.Errorf("the columns begin at %d and %d:\n%s", a, b, strings.Join(lines, "\n"))
	}
	list := mustUnmarshal[modelList](t, b.mustRunTool("", "models", "--json"))
	if list.Object != "list" || len(list.Data) < 4 || list.Data[0].ID != "qwen3.7-plus" {
		t.Errorf("the list is %+v", list)
	}
	b.site.Close()
	_, _, err := b.run("", "models")
	checkError(t, err, "could not be reached")
}

func TestTerminalTexts(t *testing.T) {
	for text, want := range map[string]int{"abc": 3, "通义": 4, "e\u0301": 1, "ｆ": 2, "": 0} {
		if got := displayWidth(text); got != want {
			t.Errorf("%q takes %d columns, not %d", text, want, got)
		}
	}
	var out bytes.Buffer
	must(t, writeTable(&out, [][]string{{"A", "LONG HEAD", "C"}, {"通义", "x", ""}, {"longer", "", "z"}}))
	if want := "A       LONG HEAD  C\n通义    x\nlonger             z\n"; out.String() != want {
		t.Errorf("the table is\n%s, want\n%s", out.String(), want)
	}
	out.Reset()
	bar := &progressBar{out: &out, label: "文"}
	bar.draw(-1)
	bar.draw(101)
	bar.clear()
	bar.clear()
	full := "\r文 [" + strings.Repeat("#", 30) + "] 100%"
	if want := "\r文 [" + strings.Repeat(".", 30) + "]   0%" + full + "\r" + strings.Repeat(" ", 40) + "\r"; out.String() != want {
		t.Errorf("drawn is %q, want %q", out.String(), want)
	}
	for columns, want := range map[int]string{
		80: "a long 通义 name.txt [###############...............]  50%",
		40: "a long 通义 nam… [#######........]  50%",
		20: "a lon… [##...]  50%",
		9:  " []  50%",
		3:  " []  50%",
	} {
		out.Reset()
		(&progressBar{out: &out, label: "a long 通义 name.txt", columns: columns}).draw(50)
		if got := strings.TrimPrefix(out.String(), "\r"); got != want || columns >= 9 && displayWidth(got) >= columns {
			t.Errorf("in %d columns %q is drawn, want %q", columns, got, want)
		}
	}
	(*progressBar)(nil).draw(5)
	new(progressBar).clear()
	if palette(true).paint(colourRed, "x") != "\x1b[31mx\x1b[0m" || palette(false).paint(colourRed, "x") != "x" {
		t.Error("colours are not as chosen")
	}
	if onTerminal(&out) || bool(colours(&out)) {
		t.Error("a buffer counts as a terminal")
	}
	if err := writeTable(failingWriter{}, [][]string{{"a"}}); err == nil {
		t.Error("a table that cannot be written is no error")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }
